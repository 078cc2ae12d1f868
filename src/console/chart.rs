//! Pictures of numbers, drawn as SVG: geometry in attributes, colour by class, and a table beside it for those who do not see.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};

use super::parts::{Html, escape};

/// A day and its value; none where nothing was.
pub(super) type Point = (DateTime<Utc>, Option<f64>);

const LEFT: f64 = 30.0;
const RIGHT: f64 = 316.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 114.0;

/// What a chart shows.
pub(super) struct Chart<'a> {
    /// Its title.
    pub title: &'a str,
    /// What it sums up, beside the title.
    pub note: String,
    /// The class of its colour.
    pub tone: &'a str,
    /// What one value is called.
    pub legend: &'a str,
    /// The values, oldest first.
    pub points: Vec<Point>,
    /// Where the axis begins; bars begin at 0.
    pub floor: f64,
    /// Where it ends at least.
    pub roof: f64,
    /// How a value is written.
    pub text: fn(f64) -> String,
    /// Bars instead of a line.
    pub bars: bool,
}

impl Chart<'_> {
    /// As a figure.
    pub(super) fn draw(&self) -> Html {
        let top = self.points.iter().filter_map(|(_, value)| *value).fold(self.roof, f64::max);
        let roof = if top > self.roof { nice(top) } else { self.roof };
        let y = |value: f64| {
            BOTTOM - (value - self.floor).max(0.0) / (roof - self.floor).max(f64::EPSILON) * (BOTTOM - TOP)
        };
        #[allow(clippy::cast_precision_loss)] // days
        let slot = (RIGHT - LEFT) / self.points.len().max(1) as f64;
        let mut svg = String::new();
        for (line, value) in [(BOTTOM, self.floor), ((BOTTOM + TOP) / 2.0, (self.floor + roof) / 2.0), (TOP, roof)] {
            let _ = write!(
                svg,
                r#"<path class="grid" d="M30 {line:.1}H316"/><text class="ax e" x="25" y="{:.1}">{}</text>"#,
                line + 3.5,
                (self.text)(value)
            );
        }
        let mut marks = String::new();
        let mut line: Vec<(f64, f64)> = Vec::new();
        let mut table = String::new();
        let every = self.points.len().div_ceil(4).max(1);
        for (at, (day, value)) in self.points.iter().enumerate() {
            #[allow(clippy::cast_precision_loss)]
            let left = LEFT + slot * at as f64;
            let words = value.map_or_else(|| "–".to_owned(), self.text);
            if at % every == 0 {
                let _ = write!(
                    svg,
                    r#"<text class="ax m" x="{:.1}" y="129">{}</text>"#,
                    left + slot / 2.0,
                    day.format("%-d %b")
                );
            }
            if let Some(value) = value {
                if self.bars {
                    let height = BOTTOM - y(*value);
                    let _ = write!(
                        svg,
                        r#"<rect class="f {}" x="{:.1}" y="{:.1}" width="{:.1}" height="{height:.1}" rx="1.5"/>"#,
                        self.tone,
                        left + slot * 0.12,
                        y(*value),
                        slot * 0.76
                    );
                } else {
                    line.push((left + slot / 2.0, y(*value)));
                }
            }
            let _ = write!(
                marks,
                r#"<rect class="hit" x="{left:.1}" y="8" width="{slot:.1}" height="106"><title>{}: {words}</title></rect>"#,
                day.format("%-d %B")
            );
            let _ = write!(table, r#"<tr><th scope="row">{}</th><td>{words}</td></tr>"#, day.format("%-d %b"));
        }
        if let (Some(first), Some(last)) = (line.first(), line.last()) {
            let path = path(&line);
            let _ = write!(
                svg,
                r#"<path class="area {t}" d="{path} L{:.1} 114 L{:.1} 114z"/><path class="l {t}" d="{path}"/><circle class="dot {t}" cx="{:.1}" cy="{:.1}" r="3.2"/>"#,
                last.0,
                first.0,
                last.0,
                last.1,
                t = self.tone
            );
        }
        let key = match self.bars {
            true => format!(r#"<rect x="1" y="1" width="10" height="10" rx="2" class="f {}"/>"#, self.tone),
            false => format!(r#"<path d="M0 6h12" class="l {}"/>"#, self.tone),
        };
        let (title, note) = (escape(self.title), escape(&self.note));
        Html(format!(
            r#"<figure class="card chart"><figcaption>{title}<span>{note}</span></figcaption><svg class="plot" viewBox="0 0 320 132" role="img" aria-label="{title} per day: {note}">{svg}{marks}</svg><ul class="legend"><li><svg viewBox="0 0 12 12" aria-hidden="true">{key}</svg>{}</li></ul><table class="vh"><caption>{title} per day</caption><thead><tr><th scope="col">Day</th><th scope="col">Value</th></tr></thead><tbody>{table}</tbody></table></figure>"#,
            escape(self.legend)
        ))
    }
}

/// A round number that is not smaller.
fn nice(value: f64) -> f64 {
    let unit = 10_f64.powf(value.max(1.0).log10().floor());
    [1.0, 2.0, 2.5, 4.0, 5.0, 8.0, 10.0].iter().map(|n| n * unit).find(|n| *n >= value).unwrap_or(value)
}

fn path(points: &[(f64, f64)]) -> String {
    let mut text = String::new();
    for (at, (x, y)) in points.iter().enumerate() {
        let _ = write!(text, "{}{x:.1} {y:.1}", if at == 0 { "M" } else { " L" });
    }
    text
}

/// A small line beside a figure.
pub(super) fn spark(values: &[f64], tone: &str) -> Html {
    if values.len() < 2 {
        return Html::default();
    }
    let (least, most) =
        values.iter().fold((f64::MAX, f64::MIN), |(least, most), value| (least.min(*value), most.max(*value)));
    let spread = (most - least).max(f64::EPSILON);
    #[allow(clippy::cast_precision_loss)]
    let step = 92.0 / (values.len() - 1) as f64;
    #[allow(clippy::cast_precision_loss)]
    let points: Vec<(f64, f64)> = values
        .iter()
        .enumerate()
        .map(|(at, value)| (2.0 + step * at as f64, 21.0 - (value - least) / spread * 18.0))
        .collect();
    let (line, last) = (path(&points), points[points.len() - 1]);
    Html(format!(
        r#"<svg class="spark" viewBox="0 0 96 24" aria-hidden="true"><path class="area {tone}" d="{line} L94 24 L2 24z"/><path class="l {tone}" d="{line}"/><circle class="f {tone}" cx="{:.1}" cy="{:.1}" r="2.4"/></svg>"#,
        last.0, last.1
    ))
}

/// The last runs side by side, the newest at the right: each a state and whether records were set aside.
pub(super) fn strip(runs: &[(String, bool)]) -> Html {
    const PLACES: usize = 14;
    let mut svg = String::new();
    let runs = &runs[runs.len().saturating_sub(PLACES)..];
    for at in 0..PLACES {
        #[allow(clippy::cast_precision_loss)]
        let x = 1.0 + 8.0 * at as f64;
        let run = (at + runs.len()).checked_sub(PLACES).and_then(|at| runs.get(at));
        let _ = match run.map(|(state, has_errors)| (state.as_str(), *has_errors)) {
            None => write!(svg, r#"<circle class="f wait" cx="{:.1}" cy="12.5" r="1.3"/>"#, x + 3.0),
            Some(("succeeded", false)) => {
                write!(svg, r#"<rect class="f ok" x="{x}" y="4" width="6" height="16" rx="1"/>"#)
            }
            Some(("succeeded", true)) => write!(
                svg,
                r#"<rect class="f warn" x="{x}" y="9" width="6" height="11" rx="1"/><circle class="f warn" cx="{:.1}" cy="4.5" r="1.6"/>"#,
                x + 3.0
            ),
            Some(("failed", _)) => write!(
                svg,
                r#"<path class="l bad" d="M{a:.1} 5.2 L{b:.1} 10 M{b:.1} 5.2 L{a:.1} 10"/><rect class="f bad" x="{x}" y="14" width="6" height="6" rx="1"/>"#,
                a = x + 0.6,
                b = x + 5.4
            ),
            Some(("cancelled", _)) => {
                write!(svg, r#"<rect class="f off" x="{x}" y="11" width="6" height="3" rx="1"/>"#)
            }
            Some(_) => {
                write!(svg, r#"<rect class="hole run" x="{:.1}" y="4.7" width="4.6" height="14.6" rx="1"/>"#, x + 0.7)
            }
        };
    }
    let count = |wanted: &str| runs.iter().filter(|(state, _)| state == wanted).count();
    Html(format!(
        r#"<svg class="strip" viewBox="0 0 112 20" role="img" aria-label="last {}: {} succeeded, {} failed, {} cancelled">{svg}</svg>"#,
        runs.len(),
        count("succeeded"),
        count("failed"),
        count("cancelled")
    ))
}

/// One lane of a timeline: from, to (shares of the whole, 0 to 1), the class of its form, and its words.
pub(super) struct Bar {
    /// Where it begins.
    pub from: f64,
    /// Where it ends.
    pub to: f64,
    /// `f ok`, `hole bad`, `l dash wait`.
    pub class: &'static str,
    /// What it is.
    pub title: String,
}

/// A lane with its bars, and where now is.
pub(super) fn lane(bars: &[Bar], now: Option<f64>) -> Html {
    let mut svg = String::new();
    for quarter in [0, 25, 50, 75, 100] {
        let _ = write!(svg, r#"<line class="grid" x1="{quarter}%" x2="{quarter}%" y1="-2" y2="30"/>"#);
    }
    for bar in bars {
        let (x, width) = (bar.from * 100.0, ((bar.to - bar.from) * 100.0).max(0.4));
        let title = escape(&bar.title);
        let _ = match bar.class.starts_with("l ") {
            true => write!(
                svg,
                r#"<line class="{}" x1="{x:.2}%" x2="{:.2}%" y1="14" y2="14"><title>{title}</title></line>"#,
                bar.class,
                x + width
            ),
            false => write!(
                svg,
                r#"<rect class="{}" x="{x:.2}%" y="8" width="{width:.2}%" height="12" rx="3"><title>{title}</title></rect>"#,
                bar.class
            ),
        };
    }
    if let Some(now) = now {
        let _ = write!(
            svg,
            r#"<line class="l acc" x1="{0:.2}%" x2="{0:.2}%" y1="-2" y2="30" stroke-width="1"/>"#,
            now * 100.0
        );
    }
    Html(format!(r#"<svg class="lane" aria-hidden="true">{svg}</svg>"#))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_of_nothing_is_still_a_chart() {
        let chart = Chart {
            title: "T",
            note: "n".into(),
            tone: "ok",
            legend: "l",
            points: Vec::new(),
            floor: 0.0,
            roof: 1.0,
            text: |n| n.to_string(),
            bars: true,
        };
        assert!(chart.draw().0.contains("<figure") && !chart.draw().0.contains("NaN"));
    }

    #[test]
    fn the_newest_run_stands_at_the_right() {
        let drawn = strip(&[("failed".into(), false), ("succeeded".into(), false)]).0;
        assert!(drawn.find("f bad").unwrap() < drawn.find("f ok").unwrap(), "{drawn}");
        assert!(drawn.contains("last 2: 1 succeeded, 1 failed"), "{drawn}");
    }

    #[test]
    fn axes_end_at_round_numbers() {
        assert_eq!([nice(3.0), nice(716.0), nice(41.0)], [4.0, 800.0, 50.0]);
    }
}

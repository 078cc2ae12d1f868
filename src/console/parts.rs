//! What pages are made of: icons, states, times, numbers. Each fact reads the same on every page.
//!
//! What must hold: whatever comes from outside passes [`escape`] on its way into [`Html`].

use std::borrow::Borrow;
use std::fmt;

use chrono::{DateTime, Datelike, TimeDelta, Utc};

/// Text that is HTML already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Html(pub(super) String);

impl fmt::Display for Html {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl askama::filters::HtmlSafe for Html {}

/// Text as HTML shows it.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

/// A sentence in which commands stand between backticks.
pub(super) fn prose(text: &str) -> Html {
    let parts = text.split('`').map(escape).enumerate();
    Html(parts.map(|(at, part)| if at % 2 == 1 { format!("<code>{part}</code>") } else { part }).collect())
}

/// An icon of the sprite: `i-…` are drawn by lines.
pub(super) fn icon(name: &str) -> Html {
    Html(format!(r##"<svg class="i" viewBox="0 0 16 16" aria-hidden="true"><use href="#i-{name}"/></svg>"##))
}

/// The shape of a state.
pub(super) fn shape(name: &str) -> Html {
    let spin = if name == "running" { r#" class="spin""# } else { "" };
    Html(format!(
        r##"<svg{spin} viewBox="0 0 16 16" width="16" height="16" aria-hidden="true"><use href="#s-{name}"/></svg>"##
    ))
}

/// A state: tone, shape and word, always all three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    /// The class of its colour.
    pub tone: &'static str,
    /// Its icon.
    pub shape: &'static str,
    /// Its word.
    pub word: &'static str,
}

impl State {
    const fn of(tone: &'static str, shape: &'static str, word: &'static str) -> Self {
        Self { tone, shape, word }
    }

    /// In tables.
    pub(super) fn plain(self) -> Html {
        self.with(self.word)
    }

    /// In tables, with other words.
    pub(super) fn with(self, words: &str) -> Html {
        Html(format!(r#"<span class="state {}">{}{}</span>"#, self.tone, shape(self.shape), escape(words)))
    }

    /// Its shape alone, in its colour; the word stands beside it.
    pub(super) fn icon(self) -> Html {
        let spin = if self.shape == "running" { " spin" } else { "" };
        let (tone, shape) = (self.tone, self.shape);
        Html(format!(
            r##"<svg class="{tone} tone{spin}" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true"><use href="#s-{shape}"/></svg>"##
        ))
    }

    /// Beside a title.
    pub(super) fn badge(self) -> Html {
        Html(format!(r#"<span class="badge {}">{}{}</span>"#, self.tone, shape(self.shape), self.word))
    }
}

/// The state of a run; `rejected` records were set aside.
pub(super) fn run_state(state: &str, rejected: impl Borrow<i64>) -> State {
    let rejected = *rejected.borrow();
    match state {
        "queued" => State::of("wait", "queued", "Queued"),
        "running" => State::of("run", "running", "Running"),
        "cancelling" => State::of("off", "off", "Cancelling"),
        "succeeded" if rejected > 0 => State::of("warn", "part", "With errors"),
        "succeeded" => State::of("ok", "ok", "Succeeded"),
        "failed" => State::of("bad", "bad", "Failed"),
        _ => State::of("off", "off", "Cancelled"),
    }
}

/// The state of a step.
pub(super) fn step_state(state: &str) -> State {
    match state {
        "ready" => State::of("wait", "queued", "Queued"),
        "later" => State::of("wait", "wait", "Waiting"),
        "running" => State::of("run", "running", "Running"),
        "done" => State::of("ok", "ok", "Succeeded"),
        "dead" => State::of("bad", "dead", "Dead"),
        _ => State::of("off", "off", "Cancelled"),
    }
}

/// The state of a project, from what its health says.
pub(super) fn project_state(health: &str) -> State {
    match health {
        "paused" => State::of("wait", "paused", "Paused"),
        "removed" => State::of("off", "off", "Removed"),
        "site failing" => State::of("bad", "bad", "Site failing"),
        "failing" => State::of("bad", "bad", "Failing"),
        "held" => State::of("wait", "wait", "Held back"),
        "ailing" => State::of("warn", "part", "With errors"),
        "never" => State::of("wait", "queued", "Not synced yet"),
        "running" => State::of("run", "running", "Running"),
        _ => State::of("ok", "ok", "Fresh"),
    }
}

/// A severity of alerts.
pub(super) fn severity(name: &str) -> State {
    match name {
        "critical" => State::of("bad", "crit", "Critical"),
        "error" => State::of("bad", "bad", "Error"),
        "warning" => State::of("warn", "part", "Warning"),
        _ => State::of("acc", "info", "Information"),
    }
}

/// Something that is well, or is not.
pub(super) const fn good(word: &'static str) -> State {
    State::of("ok", "ok", word)
}

/// Something that needs a look.
pub(super) const fn doubtful(word: &'static str) -> State {
    State::of("warn", "part", word)
}

/// Something that is over or off.
pub(super) const fn off(word: &'static str) -> State {
    State::of("off", "off", word)
}

/// Something that people work on.
pub(super) const fn under_way(word: &'static str) -> State {
    State::of("run", "wait", word)
}

/// Something whose messages are kept back.
pub(super) const fn silenced() -> State {
    State::of("off", "mute", "Silenced")
}

/// Something that waits.
pub(super) const fn waiting(word: &'static str) -> State {
    State::of("wait", "wait", word)
}

/// Thousands by commas.
pub(super) fn number(n: impl Borrow<i64>) -> String {
    let n = *n.borrow();
    let digits = n.unsigned_abs().to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if n < 0 { format!("-{text}") } else { text }
}

/// A count that stops at 10,000.
pub(super) fn counted(n: impl Borrow<i64>) -> String {
    let n = *n.borrow();
    if n > crate::app::COUNTED { format!("{}+", number(crate::app::COUNTED)) } else { number(n) }
}

/// One thing, or several.
pub(super) fn plural(n: impl Borrow<i64>, one: &str) -> String {
    let n = *n.borrow();
    format!("{} {one}{}", number(n), if n == 1 { "" } else { "s" })
}

/// A duration: two units at most.
#[allow(clippy::cast_possible_truncation)] // durations of people's lives
pub(super) fn duration(seconds: impl Borrow<f64>) -> String {
    let seconds = *seconds.borrow();
    if seconds <= 0.0 {
        return "0 s".to_owned();
    }
    if seconds < 1.0 {
        return format!("{} ms", (seconds * 1000.0).round() as i64);
    }
    if seconds < 59.95 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as i64;
    let (days, hours, minutes, rest) = (whole / 86_400, whole / 3_600 % 24, whole / 60 % 60, whole % 60);
    let two = |a: i64, a_unit: &str, b: i64, b_unit: &str| match b {
        0 => format!("{a} {a_unit}"),
        b => format!("{a} {a_unit} {b} {b_unit}"),
    };
    match (days, hours, minutes) {
        (0, 0, minutes) => two(minutes, "min", rest, "s"),
        (0, hours, minutes) => two(hours, "h", minutes, "min"),
        (days, hours, _) => two(days, "d", hours, "h"),
    }
}

/// The same of two times.
pub(super) fn between(from: impl Borrow<DateTime<Utc>>, to: impl Borrow<DateTime<Utc>>) -> String {
    let (from, to) = (*from.borrow(), *to.borrow());
    duration(to.signed_duration_since(from).as_seconds_f64())
}

/// A moment. Without the script it is in UTC; the script writes the reader's zone.
pub(super) fn moment(at: impl Borrow<DateTime<Utc>>, now: impl Borrow<DateTime<Utc>>) -> Html {
    let (at, now) = (*at.borrow(), *now.borrow());
    let text = match (at.date_naive() == now.date_naive(), at.year() == now.year()) {
        (true, _) => at.format("%H:%M"),
        (_, true) => at.format("%-d %b %H:%M"),
        _ => at.format("%-d %b %Y"),
    };
    time("", at, &text.to_string())
}

/// A moment to the second, for logs.
pub(super) fn second(at: impl Borrow<DateTime<Utc>>) -> Html {
    let at = *at.borrow();
    time(r#" data-f="s""#, at, &at.format("%H:%M:%S%.3f").to_string())
}

/// How long ago, or in how long; beyond a day, the moment.
pub(super) fn relative(at: impl Borrow<DateTime<Utc>>, now: impl Borrow<DateTime<Utc>>) -> Html {
    let (at, now) = (*at.borrow(), *now.borrow());
    let away = now.signed_duration_since(at);
    if away.abs() >= TimeDelta::days(2) {
        return moment(at, now);
    }
    let minutes = away.abs().num_minutes();
    let span = match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{} s", away.abs().num_seconds()),
        (0, minutes) => format!("{minutes} min"),
        (hours, 0) => format!("{hours} h"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    };
    let text = if away < TimeDelta::zero() { format!("in {span}") } else { format!("{span} ago") };
    time(" data-rel", at, &text)
}

/// The same of a time that may not be.
pub(super) fn relative_or(at: impl Borrow<Option<DateTime<Utc>>>, now: impl Borrow<DateTime<Utc>>, or: &str) -> Html {
    let (at, now) = (*at.borrow(), *now.borrow());
    at.map_or_else(|| Html(escape(or)), |at| relative(at, now))
}

fn time(extra: &str, at: DateTime<Utc>, text: &str) -> Html {
    let (stamp, title) = (at.format("%Y-%m-%dT%H:%M:%S%.3fZ"), at.format("%Y-%m-%d %H:%M:%S UTC"));
    Html(format!(r#"<time{extra} datetime="{stamp}" title="{title}">{text}</time>"#))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units_at_most() {
        for (seconds, text) in [
            (0.2124, "212 ms"),
            (2.2, "2.2 s"),
            (59.97, "1 min"),
            (64.0, "1 min 4 s"),
            (8_040.0, "2 h 14 min"),
            (90_000.0, "1 d 1 h"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn thousands_are_separated_and_counts_stop() {
        assert_eq!([number(0), number(999), number(41_906), number(-1_284)], ["0", "999", "41,906", "-1,284"]);
        assert_eq!([counted(10_000), counted(10_001)], ["10,000", "10,000+"]);
    }

    #[test]
    fn what_comes_from_outside_is_escaped() {
        assert_eq!(escape("<script>'&\""), "&lt;script&gt;&#39;&amp;&quot;");
        assert!(!good("x").with("<b>").0.contains("<b>"));
        assert_eq!(prose("do `a <b>` now").0, "do <code>a &lt;b&gt;</code> now");
    }
}

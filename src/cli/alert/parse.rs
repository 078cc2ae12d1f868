//! Reads what people type: spans, times, and what a rule is for.

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};

use super::super::{Context, Error, project, site};
use crate::domain::alert::{category, class};
use crate::domain::failure::{Category, FailureCode, Severity};
use crate::domain::route::Selector;

/// Options that say what a rule is for.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct SelectorArgs {
    /// Minimum severity: info, warning, error or critical
    #[arg(long, value_name = "SEVERITY")]
    min_severity: Option<String>,
    /// Only alerts of this category, e.g. billing, authentication, latency; may be repeated
    #[arg(long, value_name = "CATEGORY")]
    category: Vec<String>,
    /// Only alerts of this class, e.g. SUSPENDED_PAYMENT; may be repeated
    #[arg(long, value_name = "CLASS")]
    class: Vec<String>,
    /// On this site; may be repeated
    #[arg(long, value_name = "SITE")]
    site: Vec<String>,
    /// Only alerts of this project, KEY or SITE/KEY; may be repeated
    #[arg(long, value_name = "PROJECT")]
    project: Vec<String>,
}

impl SelectorArgs {
    /// Sites and projects only.
    pub fn of(site: Vec<String>, project: Vec<String>) -> Self {
        Self { site, project, ..Self::default() }
    }

    /// The selector, with every name known.
    pub async fn read(&self, context: &Context) -> Result<Selector, Error> {
        let min_severity = self.min_severity.as_deref().map(severity).transpose()?;
        let categories = self.category.iter().map(|name| known_category(name)).collect::<Result<_, _>>()?;
        let classes = self.class.iter().map(|name| known_class(name)).collect::<Result<_, _>>()?;
        let mut sites = Vec::with_capacity(self.site.len());
        for name in &self.site {
            sites.push(site::find(context, name).await?.name);
        }
        let mut projects = Vec::with_capacity(self.project.len());
        for name in &self.project {
            projects.push(project::name(&project::find(context, name, false).await?));
        }
        Ok(Selector { min_severity, categories, classes, sites, projects })
    }
}

/// A severity by its name.
pub(super) fn severity(text: &str) -> Result<Severity, Error> {
    let names: Vec<&str> = Severity::ALL.iter().map(|severity| severity.as_str()).collect();
    Severity::parse(&text.to_ascii_lowercase()).ok_or_else(|| unknown("severity", text, &names))
}

/// The classes that an alert can have.
pub(super) fn classes() -> Vec<&'static str> {
    let own = [
        class::SLOW_RUNS,
        class::LOW_THROUGHPUT,
        class::WATERMARK_LAG,
        class::NO_RECENT_SUCCESS,
        class::TOKEN_ENDS,
        class::DATED_AHEAD,
        class::CHANNEL_FAILING,
    ];
    FailureCode::ALL.iter().map(|code| code.as_str()).chain(own).collect()
}

/// A class by its name.
pub(super) fn known_class(text: &str) -> Result<String, Error> {
    let upper = text.to_ascii_uppercase().replace('-', "_");
    let names = classes();
    if names.contains(&upper.as_str()) { Ok(upper) } else { Err(unknown("class", text, &names)) }
}

/// The category that alerts of a class have.
pub(super) fn category_of(name: &str) -> &'static str {
    match (FailureCode::parse(name), name) {
        (Some(code), _) => code.category().as_str(),
        (None, class::SLOW_RUNS | class::LOW_THROUGHPUT) => category::LATENCY,
        (None, class::CHANNEL_FAILING) => category::DELIVERY,
        (None, class::TOKEN_ENDS) => FailureCode::AuthInvalid.category().as_str(),
        (None, _) => category::FRESHNESS,
    }
}

fn known_category(text: &str) -> Result<String, Error> {
    let lower = text.to_ascii_lowercase().replace('-', "_");
    let mut names: Vec<&str> = FailureCode::ALL.iter().map(|code| code.category()).map(Category::as_str).collect();
    names.extend([category::LATENCY, category::FRESHNESS, category::DELIVERY]);
    names.sort_unstable();
    names.dedup();
    if names.contains(&lower.as_str()) { Ok(lower) } else { Err(unknown("category", text, &names)) }
}

/// An unknown word, with the nearest known one.
pub(super) fn unknown(what: &str, text: &str, names: &[&str]) -> Error {
    let near = names
        .iter()
        .map(|name| (strsim::jaro_winkler(&text.to_ascii_lowercase(), &name.to_ascii_lowercase()), *name))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let help = match near {
        Some((_, name)) => format!("did you mean {name}?"),
        None => format!("write one of {}", names.join(", ")),
    };
    Error::usage(format!("unknown {what} {text:?}")).help(help)
}

/// A span such as `90s`, `30m`, `4h`, `1d12h`, `2w`; more than nothing and at most ten years.
pub(super) fn span(text: &str) -> Result<TimeDelta, String> {
    let refused = || format!("{text:?} is not a duration; write e.g. 30m, 4h, 2d or 1d12h");
    let mut seconds: i64 = 0;
    let mut digits = String::new();
    for letter in text.trim().chars() {
        if letter.is_ascii_digit() {
            digits.push(letter);
            continue;
        }
        let unit = match letter {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return Err(refused()),
        };
        let count: i64 = digits.parse().map_err(|_| refused())?;
        seconds = count.checked_mul(unit).and_then(|part| seconds.checked_add(part)).ok_or_else(refused)?;
        digits.clear();
    }
    if !digits.is_empty() || !(1..=315_360_000).contains(&seconds) {
        return Err(refused());
    }
    TimeDelta::try_seconds(seconds).ok_or_else(refused)
}

/// A time such as `2026-03-02T18:00:00Z`, or `2026-03-02 18:00` in UTC.
pub(super) fn time(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text.trim()) {
        return Ok(at.with_timezone(&Utc));
    }
    ["%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S"]
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text.trim(), form).ok())
        .map(|at| at.and_utc())
        .ok_or_else(|| format!("{text:?} is not a time; write e.g. 2026-03-02T18:00:00Z, or 2026-03-02 18:00 for UTC"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_add_up_and_bad_ones_are_refused() {
        assert_eq!(span("30m").unwrap(), TimeDelta::minutes(30));
        assert_eq!(span("1d12h").unwrap(), TimeDelta::hours(36));
        for bad in ["", "30", "m", "0h", "-1h", "4 hours", "1h30", "99999999999d", "20000w"] {
            assert!(span(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_are_utc_unless_they_say_otherwise() {
        let six: DateTime<Utc> = "2026-03-02T18:00:00Z".parse().unwrap();
        for text in ["2026-03-02T18:00:00Z", "2026-03-02 18:00", "2026-03-02T19:00:00+01:00"] {
            assert_eq!(time(text).unwrap(), six, "{text}");
        }
        assert!(time("tomorrow").is_err() && time("2026-13-02 18:00").is_err());
    }

    #[test]
    fn every_class_has_a_category() {
        for name in classes() {
            assert!(known_category(category_of(name)).is_ok(), "{name}");
        }
        assert!(known_class("suspended-payment").is_ok());
        assert!(known_class("SUSPENDED_PAYMNT").unwrap_err().help.unwrap().contains("SUSPENDED_PAYMENT"));
    }
}

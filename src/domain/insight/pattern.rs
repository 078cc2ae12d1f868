//! Which failures go together with an hour, a weekday, a site or a setting that was changed.
//!
//! What is counted are hours of a site, not runs: what keeps a site down for a night fails a hundred runs and is one thing.
//! Only the first hour of a trouble counts. What must hold: of histories in which nothing goes together, hardly any shows a
//! pattern: what chance explains once in as many tests as were made is not told (Bonferroni, 1 %).

use std::collections::{BTreeMap, BTreeSet};

use super::numbers::by_chance;

/// How often chance alone may show any pattern.
const CHANCE: f64 = 0.01;
/// Fewer troubles make no pattern.
const MIN_HITS: u64 = 4;

/// What a unit may have in common with others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// The hour of the day, 0 to 23.
    Hour(u8),
    /// The day of the week, Monday first.
    Weekday(u8),
    /// The site.
    Site(String),
    /// This setting was changed within the hour before.
    Changed(String),
}

impl Condition {
    /// In words.
    pub fn words(&self) -> String {
        const DAYS: [&str; 7] = ["Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays"];
        match self {
            Self::Hour(hour) => format!("between {hour:02}:00 and {:02}:00", (hour + 1) % 24),
            Self::Weekday(day) => format!("on {}", DAYS.get(usize::from(*day)).unwrap_or(&"some days")),
            Self::Site(site) => format!("at site {site}"),
            Self::Changed(key) => format!("within an hour of a change of {key}"),
        }
    }
}

/// An hour of a site.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Unit {
    /// What holds of it.
    pub conditions: Vec<Condition>,
    /// Codes of the failures that began in it.
    pub codes: BTreeSet<String>,
}

/// Failures that go together with something.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern {
    /// The failures.
    pub code: String,
    /// What they go together with.
    pub condition: Condition,
    /// Troubles under that condition.
    pub hits: u64,
    /// Hours under that condition.
    pub hours: u64,
    /// Troubles in all.
    pub all_hits: u64,
    /// Hours in all.
    pub all_hours: u64,
    /// How likely chance alone shows so much somewhere.
    pub chance: f64,
}

impl Pattern {
    /// How many times as often as elsewhere; of troubles that came nowhere else, as if there had been one.
    #[allow(clippy::cast_precision_loss)] // counts
    pub fn times(&self) -> f64 {
        let there = self.hits as f64 / self.hours as f64;
        let elsewhere = (self.all_hits - self.hits).max(1) as f64 / (self.all_hours - self.hours).max(1) as f64;
        there / elsewhere
    }

    /// In words.
    pub fn words(&self) -> String {
        format!(
            "{} comes {:.0} times as often {} ({} of {} troubles)",
            self.code,
            self.times(),
            self.condition.words(),
            self.hits,
            self.all_hits
        )
    }
}

/// The patterns of these hours, the surest first.
pub fn patterns(units: &[Unit]) -> Vec<Pattern> {
    let mut hours: BTreeMap<&Condition, u64> = BTreeMap::new();
    let mut codes: BTreeMap<&str, u64> = BTreeMap::new();
    let mut hits: BTreeMap<(&str, &Condition), u64> = BTreeMap::new();
    for unit in units {
        for condition in &unit.conditions {
            *hours.entry(condition).or_default() += 1;
        }
        for code in &unit.codes {
            *codes.entry(code).or_default() += 1;
            for condition in &unit.conditions {
                *hits.entry((code, condition)).or_default() += 1;
            }
        }
    }
    let all_hours = units.len() as u64;
    #[allow(clippy::cast_precision_loss)] // tests
    let tests = (codes.len() * hours.len()).max(1) as f64;
    let mut found: Vec<Pattern> = hits
        .into_iter()
        .filter(|(_, hits)| *hits >= MIN_HITS)
        .filter_map(|((code, condition), hits)| {
            let (hours, all_hits) = (*hours.get(condition)?, *codes.get(code)?);
            // What holds everywhere tells nothing.
            let chance = (by_chance(all_hours, all_hits, hours, hits) * tests).min(1.0);
            let pattern = Pattern {
                code: code.to_owned(),
                condition: condition.clone(),
                hits,
                hours,
                all_hits,
                all_hours,
                chance,
            };
            (hours < all_hours && chance <= CHANCE).then_some(pattern)
        })
        .collect();
    found.sort_by(|one, other| one.chance.total_cmp(&other.chance));
    found
}

//! Schedules: a cron expression read on the wall clock of a time zone, as a series of instants ("slots") in UTC.
//!
//! What must hold: slots are strictly increasing, and the same schedule gives the same slots in every process. The
//! fields themselves are matched by `croner`; the change of the clocks is decided here, by two rules:
//!
//! - **Spring.** Slots that fall into the hour that does not exist run once, together, at the first instant after it.
//! - **Autumn.** A slot in the hour that comes twice runs once, the first time. Only a schedule that names every hour
//!   (`*/15 * * * *`) runs in both hours: it means a distance, and would else be silent for an hour.
//!
//! Expressions have the five fields of Unix cron, with `croner`'s additions (`L`, `W`, `#`, names of days and months), or
//! are one of `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`. There are no seconds: nothing here needs them. Several
//! joined by `|` name the slots of all of them: `*/15 7-19 * * 1-5 | 0 * * * *`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, LocalResult, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::{GapInfo, Tz};
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

/// The most slots that [`Schedule::missed_between`] counts: work stays bounded after a year of downtime.
pub const MISSED_LIMIT: u32 = 1_000;

/// A field of a cron expression, in the order in which they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Field {
    Minute,
    Hour,
    DayOfMonth,
    Month,
    DayOfWeek,
}

impl Field {
    const ALL: [Self; 5] = [Self::Minute, Self::Hour, Self::DayOfMonth, Self::Month, Self::DayOfWeek];

    const fn takes(self) -> &'static str {
        match self {
            Self::Minute => "takes 0-59, lists, ranges and steps, e.g. */15",
            Self::Hour => "takes 0-23, lists, ranges and steps, e.g. 6-22",
            Self::DayOfMonth => "takes 1-31, lists, ranges, steps, L and W, e.g. 1,15",
            Self::Month => "takes 1-12 or JAN-DEC, lists, ranges and steps, e.g. 1-6",
            Self::DayOfWeek => "takes 0-7 or SUN-SAT, lists, ranges, steps, L and #, e.g. MON-FRI",
        }
    }

    /// Letters that are not part of a name; a name in the wrong field would otherwise be read as its number.
    const fn takes_names(self) -> bool {
        matches!(self, Self::Month | Self::DayOfWeek)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::DayOfMonth => "day of month",
            Self::Month => "month",
            Self::DayOfWeek => "day of week",
        })
    }
}

/// Why a schedule cannot be read. Each text names what is wrong and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the texts say it
pub enum CronError {
    #[error("cron {expression:?} has {found} fields; write five: minute, hour, day of month, month, day of week")]
    FieldCount { expression: String, found: usize },
    #[error("cron nickname {name:?} is unknown; use @hourly, @daily, @weekly, @monthly or @yearly, or five fields")]
    Nickname { name: String },
    #[error("cron {expression:?}: the {field} field {text:?} is wrong; it {}", field.takes())]
    Field { expression: String, field: Field, text: String },
    #[error("cron {expression:?} is never due: there is no such date; check day of month and month")]
    Never { expression: String },
    #[error("time zone {name:?} is unknown; did you mean {nearest:?}? Names are those of the IANA database")]
    TimeZone { name: String, nearest: &'static str },
}

/// A parsed cron expression in its time zone.
#[derive(Clone, Debug)]
pub struct Schedule {
    parts: Vec<Part>,
    expression: String,
    time_zone: Tz,
}

/// One of the expressions that are joined by `|`.
#[derive(Clone, Debug)]
struct Part {
    cron: Cron,
    time_zone: Tz,
    every_hour: bool,
}

/// Where an instant stands in an hour that comes twice.
enum Pass {
    /// The wall clock shows this time once.
    Only,
    /// It will show it again; the wall time at which the second pass starts.
    First { again_from: NaiveDateTime },
    /// It has shown it before; the wall time at which the second pass ends.
    Second { until: NaiveDateTime },
}

impl Schedule {
    /// Reads a cron expression (`*/15 * * * *`) in a time zone of the IANA database (`Europe/Berlin`).
    ///
    /// # Errors
    /// [`CronError`] names the field that is wrong, or the nearest name of a time zone.
    pub fn parse(cron: &str, time_zone: &str) -> Result<Self, CronError> {
        let expression = cron.trim();
        let time_zone = Tz::from_str(time_zone.trim())
            .map_err(|_| CronError::TimeZone { name: time_zone.trim().to_owned(), nearest: nearest_zone(time_zone) })?;
        let parts =
            expression.split('|').map(|part| Part::parse(part.trim(), time_zone)).collect::<Result<Vec<_>, _>>()?;
        let expression = parts.iter().map(|part| part.cron.as_str()).collect::<Vec<_>>().join(" | ");
        Ok(Self { parts, expression, time_zone })
    }

    /// The first slot after `instant`; none once the calendar ends.
    pub fn next_after(&self, instant: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.parts.iter().filter_map(|part| part.next_after(instant)).min()
    }

    /// The slot to run next, given the last one that was enqueued: a clock that jumped back yields no slot again.
    pub fn next_slot(&self, last: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.next_after(last.map_or(now, |last| last.max(now)))
    }

    /// How many slots lie in `(last, now]`, at most [`MISSED_LIMIT`].
    pub fn missed_between(&self, last: DateTime<Utc>, now: DateTime<Utc>) -> u32 {
        let mut slot = last;
        let mut count = 0;
        while count < MISSED_LIMIT {
            match self.next_after(slot) {
                Some(next) if next <= now => slot = next,
                _ => break,
            }
            count += 1;
        }
        count
    }

    /// The distance from the first slot at or after `instant` to the one that follows it; zero when none follows.
    pub fn interval_at(&self, instant: DateTime<Utc>) -> Duration {
        let slot = self.next_after(instant - TimeDelta::milliseconds(1));
        let following = slot.and_then(|slot| self.next_after(slot));
        match (slot, following) {
            (Some(slot), Some(following)) => (following - slot).to_std().unwrap_or_default(),
            _ => Duration::ZERO,
        }
    }

    /// The expression as it was understood.
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// The time zone whose wall clock counts.
    pub fn time_zone(&self) -> Tz {
        self.time_zone
    }
}

impl Part {
    fn parse(expression: &str, time_zone: Tz) -> Result<Self, CronError> {
        let cron = match expression.strip_prefix('@') {
            Some(_) => parse_nickname(expression)?,
            None => parse_fields(expression)?,
        };
        let every_hour = (0..24).all(|hour| cron.pattern.hour_match(hour).unwrap_or(false));
        let part = Self { cron, time_zone, every_hour };
        // Every date that exists comes within the 28 years from here (leap days and weekdays repeat by then).
        match part.next_after(DateTime::UNIX_EPOCH + TimeDelta::days(10_957)) {
            Some(_) => Ok(part),
            None => Err(CronError::Never { expression: expression.to_owned() }),
        }
    }

    fn next_after(&self, instant: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let wall = self.wall(instant);
        match self.pass(instant) {
            Pass::Only => self.first_pass(self.next_wall(wall, false)?),
            Pass::First { again_from } => {
                let next = self.next_wall(wall, false)?;
                if self.every_hour && !self.is_ambiguous(next) {
                    self.last_pass(self.next_wall(again_from, true)?)
                } else {
                    self.first_pass(next)
                }
            }
            Pass::Second { .. } if self.every_hour => self.last_pass(self.next_wall(wall, false)?),
            Pass::Second { until } => self.first_pass(self.next_wall(until, true)?),
        }
    }

    /// The next time on the wall clock, as if every day had 24 hours.
    fn next_wall(&self, wall: NaiveDateTime, inclusive: bool) -> Option<NaiveDateTime> {
        self.cron.find_next_occurrence(&wall.and_utc(), inclusive).ok().map(|found| found.naive_utc())
    }

    /// When the wall clock first reaches `wall`: the end of the gap for a time that does not exist.
    fn first_pass(&self, wall: NaiveDateTime) -> Option<DateTime<Utc>> {
        match self.time_zone.from_local_datetime(&wall) {
            LocalResult::Single(instant) | LocalResult::Ambiguous(instant, _) => Some(instant.to_utc()),
            LocalResult::None => Some(GapInfo::new(&wall, &self.time_zone)?.end?.to_utc()),
        }
    }

    /// When the wall clock shows `wall` for the last time.
    fn last_pass(&self, wall: NaiveDateTime) -> Option<DateTime<Utc>> {
        match self.time_zone.from_local_datetime(&wall) {
            LocalResult::Ambiguous(_, instant) => Some(instant.to_utc()),
            _ => self.first_pass(wall),
        }
    }

    fn is_ambiguous(&self, wall: NaiveDateTime) -> bool {
        matches!(self.time_zone.from_local_datetime(&wall), LocalResult::Ambiguous(..))
    }

    fn wall(&self, instant: DateTime<Utc>) -> NaiveDateTime {
        instant.with_timezone(&self.time_zone).naive_local()
    }

    fn pass(&self, instant: DateTime<Utc>) -> Pass {
        let LocalResult::Ambiguous(first, second) = self.time_zone.from_local_datetime(&self.wall(instant)) else {
            return Pass::Only;
        };
        let length = second.to_utc() - first.to_utc();
        if first.to_utc() == instant {
            Pass::First { again_from: self.wall(self.transition(instant, instant + length)) }
        } else {
            Pass::Second { until: self.wall(self.transition(instant - length, instant)) + length }
        }
    }

    /// The first whole second at which the offset is that of `after`; it differs at `before`.
    fn transition(&self, before: DateTime<Utc>, after: DateTime<Utc>) -> DateTime<Utc> {
        let offset = |seconds: i64| {
            let instant = DateTime::from_timestamp(seconds, 0).unwrap_or_default();
            self.time_zone.offset_from_utc_datetime(&instant.naive_utc()).fix()
        };
        let (mut low, mut high) = (before.timestamp(), after.timestamp());
        let new = offset(high);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if offset(middle) == new { high = middle } else { low = middle }
        }
        DateTime::from_timestamp(high, 0).unwrap_or(after)
    }
}

fn parser() -> CronParser {
    CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build()
}

fn parse_nickname(expression: &str) -> Result<Cron, CronError> {
    parser().parse(expression).map_err(|_| CronError::Nickname { name: expression.to_owned() })
}

fn parse_fields(expression: &str) -> Result<Cron, CronError> {
    let fields: Vec<&str> = expression.split_whitespace().collect();
    if fields.len() != Field::ALL.len() {
        return Err(CronError::FieldCount { expression: expression.to_owned(), found: fields.len() });
    }
    for (index, (field, text)) in Field::ALL.into_iter().zip(&fields).enumerate() {
        let mut alone = ["*"; 5];
        alone[index] = text;
        let named = text.split(|c: char| !c.is_ascii_alphabetic()).any(|word| word.len() > 2);
        if (named && !field.takes_names()) || parser().parse(&alone.join(" ")).is_err() {
            let (expression, text) = (expression.to_owned(), (*text).to_owned());
            return Err(CronError::Field { expression, field, text });
        }
    }
    // Each field is right by itself, so this can only fail by what they say together.
    parser().parse(&fields.join(" ")).map_err(|_| CronError::Never { expression: expression.to_owned() })
}

/// The name that is written most like `name`; a city alone finds its zone.
fn nearest_zone(name: &str) -> &'static str {
    let wanted = name.trim().to_ascii_lowercase().replace(' ', "_");
    let likeness = |zone: &str| {
        let zone = zone.to_ascii_lowercase();
        let city = zone.rsplit('/').next().unwrap_or(&zone);
        let by_city = strsim::normalized_levenshtein(&wanted, city) * 0.99; // the whole name wins over an equal city
        strsim::normalized_levenshtein(&wanted, &zone).max(by_city)
    };
    let best = chrono_tz::TZ_VARIANTS.iter().map(|zone| (likeness(zone.name()), zone.name()));
    best.fold((0.0, "UTC"), |best, next| if next.0 > best.0 { next } else { best }).1
}

#[cfg(test)]
#[path = "cron_tests.rs"]
mod tests;

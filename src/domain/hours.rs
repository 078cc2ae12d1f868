//! Hours of the week on the wall clock of a time zone: `MON-FRI 08:00-18:00 Europe/Berlin`.
//!
//! What must hold: a range may pass midnight (`22:00-06:00`), and then the weekday is that of its beginning; what is printed
//! reads back as the same hours.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, Timelike, Utc, Weekday};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

const DAYS: [&str; 7] = ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"];
const MINUTES_A_DAY: u32 = 24 * 60;

/// Hours of the week.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hours {
    /// Which days, Monday first.
    days: [bool; 7],
    /// Minutes after midnight.
    from: u32,
    /// Minutes after midnight; at most 24:00.
    to: u32,
    zone: Tz,
}

/// Why hours cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("hours {text:?}: {problem}; write e.g. MON-FRI 08:00-18:00 Europe/Berlin, or SAT,SUN 00:00-24:00 UTC")]
pub struct HoursError {
    text: String,
    problem: String,
}

impl Hours {
    /// Whether `now` lies within.
    pub fn contains(&self, now: DateTime<Utc>) -> bool {
        let local = now.with_timezone(&self.zone);
        let minute = local.hour() * 60 + local.minute();
        let on = |day: Weekday| self.days[day.num_days_from_monday() as usize];
        if self.from < self.to {
            on(local.weekday()) && (self.from..self.to).contains(&minute)
        } else {
            on(local.weekday()) && minute >= self.from || on(local.weekday().pred()) && minute < self.to
        }
    }

    /// `now` as the wall clock shows it there.
    pub fn local(&self, now: DateTime<Utc>) -> String {
        let local = now.with_timezone(&self.zone);
        let day = DAYS[local.weekday().num_days_from_monday() as usize];
        format!("{day} {:02}:{:02} {}", local.hour(), local.minute(), self.zone.name())
    }
}

impl FromStr for Hours {
    type Err = HoursError;

    fn from_str(text: &str) -> Result<Self, HoursError> {
        let refused = |problem: String| HoursError { text: text.to_owned(), problem };
        let words: Vec<&str> = text.split_whitespace().collect();
        let (days, range, zone) = match words.as_slice() {
            [range] => (None, *range, "UTC"),
            [first, second] if first.contains(':') => (None, *first, *second),
            [days, range] => (Some(*days), *range, "UTC"),
            [days, range, zone] => (Some(*days), *range, *zone),
            _ => return Err(refused("days, a range and a time zone are expected".to_owned())),
        };
        let days = days.map_or(Ok([true; 7]), days_of).map_err(refused)?;
        let (from, to) = range.split_once('-').ok_or_else(|| refused(format!("{range:?} is not a range")))?;
        let (from, to) = (minutes(from).map_err(refused)?, minutes(to).map_err(refused)?);
        if from == to {
            return Err(refused(format!("{range:?} is empty")));
        }
        if from == MINUTES_A_DAY {
            return Err(refused("24:00 can only end a range".to_owned()));
        }
        let zone = Tz::from_str(zone).map_err(|_| refused(format!("{zone:?} is not an IANA time zone")))?;
        Ok(Self { days, from, to, zone })
    }
}

fn minutes(text: &str) -> Result<u32, String> {
    let parsed = text.split_once(':').and_then(|(hour, minute)| {
        let is_number = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        let (hour, minute) = (Some(hour).filter(|part| is_number(part))?, Some(minute).filter(|part| is_number(part))?);
        Some((hour.parse::<u32>().ok()?, minute.parse::<u32>().ok()?))
    });
    match parsed {
        Some((hour, minute)) if hour < 24 && minute < 60 || (hour, minute) == (24, 0) => Ok(hour * 60 + minute),
        _ => Err(format!("{text:?} is not a time of day from 00:00 to 24:00")),
    }
}

fn days_of(text: &str) -> Result<[bool; 7], String> {
    let number = |name: &str| {
        let found = DAYS.iter().position(|day| day.eq_ignore_ascii_case(name));
        found.ok_or_else(|| format!("{name:?} is not a day of {}", DAYS.join(", ")))
    };
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (mut day, last) = (number(first)?, number(last)?);
        // A range may pass Sunday: SAT-MON.
        loop {
            days[day] = true;
            if day == last {
                break;
            }
            day = (day + 1) % 7;
        }
    }
    Ok(days)
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.days != [true; 7] {
            let runs = self.runs();
            write!(f, "{} ", runs.join(","))?;
        }
        let clock = |minutes: u32| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        write!(f, "{}-{} {}", clock(self.from), clock(self.to), self.zone.name())
    }
}

impl Hours {
    /// Its days as `MON-FRI` or `SAT`.
    fn runs(&self) -> Vec<String> {
        let mut runs = Vec::new();
        let mut day = 0;
        while day < 7 {
            let first = day;
            while day < 7 && self.days[day] {
                day += 1;
            }
            match day - first {
                0 => day += 1,
                1 => runs.push(DAYS[first].to_owned()),
                _ => runs.push(format!("{}-{}", DAYS[first], DAYS[day - 1])),
            }
        }
        runs
    }
}

impl TryFrom<String> for Hours {
    type Error = HoursError;

    fn try_from(text: String) -> Result<Self, HoursError> {
        text.parse()
    }
}

impl From<Hours> for String {
    fn from(hours: Hours) -> Self {
        hours.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn office_hours_follow_the_wall_clock_through_summer_time() {
        let hours: Hours = "MON-FRI 08:00-18:00 Europe/Berlin".parse().unwrap();
        assert!(hours.contains(at("2026-01-05T07:00:00Z")), "8 o'clock in winter");
        assert!(!hours.contains(at("2026-01-05T06:59:00Z")));
        assert!(hours.contains(at("2026-07-06T06:00:00Z")), "8 o'clock in summer");
        assert!(!hours.contains(at("2026-07-06T16:00:00Z")), "18 o'clock is over");
        assert!(!hours.contains(at("2026-07-05T10:00:00Z")), "Sunday");
    }

    #[test]
    fn a_night_belongs_to_the_day_on_which_it_begins() {
        let hours: Hours = "FRI 22:00-06:00 UTC".parse().unwrap();
        assert!(hours.contains(at("2026-07-03T23:00:00Z")), "Friday night");
        assert!(hours.contains(at("2026-07-04T05:59:00Z")), "Saturday morning");
        assert!(!hours.contains(at("2026-07-03T05:00:00Z")), "Friday morning");
        assert!(!hours.contains(at("2026-07-04T22:30:00Z")), "Saturday night");
    }

    #[test]
    fn what_is_printed_reads_back() {
        for text in [
            "MON-FRI 08:00-18:00 Europe/Berlin",
            "SAT,SUN 00:00-24:00 UTC",
            "22:00-06:00 UTC",
            "MON,WED-THU 09:30-10:00 UTC",
        ] {
            let hours: Hours = text.parse().unwrap();
            let printed = hours.to_string();
            assert_eq!(printed.parse::<Hours>().unwrap(), hours, "{text} became {printed}");
        }
        assert_eq!(
            "sat-mon 9:00-10:00".parse::<Hours>().unwrap_err().problem,
            "\"9:00\" is not a time of day from 00:00 to 24:00"
        );
    }

    #[test]
    fn bad_hours_are_refused_with_the_reason() {
        for (text, word) in [
            ("", "expected"),
            ("MON", "not a range"),
            ("08:00-08:00", "empty"),
            ("08:00-25:00", "time of day"),
            ("24:00-06:00", "only end a range"),
            ("MOO 08:00-18:00 UTC", "not a day"),
            ("08:00-18:00 Europe/Berln", "time zone"),
        ] {
            let problem = text.parse::<Hours>().unwrap_err().to_string();
            assert!(problem.contains(word), "{text}: {problem}");
        }
    }
}

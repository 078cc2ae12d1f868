//! Years of runs, made up from a seed: what insights are scored on.
//!
//! A site has calm and rough weeks; in rough ones its troubles come close together. A project changes by the hours of the
//! week, its runs take what their issues cost at the pace that Jira has that hour and that week. Slow runs and thin days are
//! planted, and named, so that whoever looks for them can be told right from wrong.

use std::collections::BTreeSet;

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Timelike, Utc};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use uuid::Uuid;

use crate::domain::insight::{End, Run, Work};

/// What is made up.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Decides about everything.
    pub seed: u64,
    /// When it begins.
    pub from: DateTime<Utc>,
    /// For how long.
    pub days: i64,
    /// Between incremental runs.
    pub every: TimeDelta,
    /// The mean of the changes on a working day.
    pub changes_a_day: f64,
    /// How much more often than usual its site has troubles.
    pub unrest: f64,
    /// Of a hundred nights, those on which the site answers late between two and three o'clock.
    pub bad_nights: f64,
}

/// The history of a project, and what is in it by design.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Its runs, oldest first.
    pub runs: Vec<Run>,
    /// Runs that took three times as long as they would have.
    pub slow: BTreeSet<Uuid>,
    /// Days on which half as much changed.
    pub thin: BTreeSet<NaiveDate>,
}

impl Plan {
    /// Makes it up.
    pub fn play(&self) -> History {
        let mut dice = SmallRng::seed_from_u64(self.seed);
        let mut site = Site {
            rough_until: None,
            next_rough: self.from,
            down_until: self.from,
            code: "TIMEOUT",
            unrest: self.unrest,
        };
        let mut history = History::default();
        let (mut at, mut pace, mut day, mut waiting) = (self.from, 0.0f64, None, 0.0);
        let (mut day_factor, mut bad_night) = (1.0, false);
        let end = self.from + TimeDelta::days(self.days);
        while at < end {
            if day != Some(at.date_naive()) {
                day = Some(at.date_naive());
                // Jira becomes slower and faster over weeks.
                pace = 0.97 * pace + 0.05 * normal(&mut dice);
                day_factor = (0.08 * normal(&mut dice)).exp();
                bad_night = dice.random_bool((self.bad_nights / 100.0).clamp(0.0, 1.0));
                // A weekend of a few changes is halved by chance alone.
                if at.weekday().number_from_monday() <= 5 && dice.random_bool(0.03) {
                    day_factor *= 0.5;
                    history.thin.insert(at.date_naive());
                }
            }
            let hours = self.every.as_seconds_f64() / 3600.0;
            waiting += poisson(&mut dice, self.changes_a_day * shape(at) * day_factor * hours);
            let failed = site.trouble(&mut dice, at).or((bad_night && at.hour() == 2).then_some("TIMEOUT"));
            let id = uuid::Builder::from_random_bytes(dice.random()).into_uuid();
            // What changed during the overlap is read again, too.
            let issues: f64 = (waiting + (waiting * 0.2).round()).max(0.0);
            let busy = if (8..18).contains(&at.hour()) { 0.25 } else { 0.0 };
            let mut seconds = (8.0 + 0.05 * issues) * (pace + busy + 0.12 * normal(&mut dice)).exp();
            if failed.is_none() && dice.random_bool(0.002) {
                seconds *= 3.0;
                history.slow.insert(id);
            }
            let changed = if failed.is_none() { std::mem::take(&mut waiting) } else { 0.0 };
            #[allow(clippy::cast_possible_truncation)] // milliseconds of minutes
            let finished_at = at + TimeDelta::milliseconds((seconds * 1000.0) as i64);
            history.runs.push(Run {
                id,
                started_at: at,
                finished_at,
                work: Work::Incremental,
                end: failed.map_or(End::Succeeded, |code| End::Failed(code.to_owned())),
                issues: if failed.is_none() { issues } else { 0.0 },
                changed,
                requests: 3.0 + (issues / 100.0).ceil(),
            });
            at += self.every;
        }
        history
    }
}

struct Site {
    rough_until: Option<DateTime<Utc>>,
    next_rough: DateTime<Utc>,
    down_until: DateTime<Utc>,
    code: &'static str,
    unrest: f64,
}

impl Site {
    /// The code that runs fail with at this time.
    fn trouble(&mut self, dice: &mut SmallRng, at: DateTime<Utc>) -> Option<&'static str> {
        if at < self.down_until {
            return Some(self.code);
        }
        if self.rough_until.is_some_and(|until| at >= until) {
            self.rough_until = None;
        }
        if self.rough_until.is_none() && at >= self.next_rough {
            // Rough for a week, calm for four.
            let rough = TimeDelta::hours(whole(24.0 * 7.0 * exponential(dice)).max(24));
            self.rough_until = Some(at + rough);
            self.next_rough = at + rough + TimeDelta::hours(whole(24.0 * 28.0 * exponential(dice)).max(48));
        }
        // Troubles come twice a day in rough weeks, every fifty days in calm ones.
        let a_day = self.unrest * if self.rough_until.is_some() { 2.0 } else { 0.02 };
        if dice.random_bool((a_day / 48.0f64).min(1.0)) {
            // One in ten waits for somebody who changes a password.
            let by_hand = dice.random_bool(0.1);
            let (hours, longest) = if by_hand { (30.0, 120) } else { (1.0, 20) };
            self.down_until =
                at + TimeDelta::minutes(whole(hours * 60.0 * (0.9 * normal(dice)).exp()).clamp(20, 60 * longest));
            self.code = if by_hand {
                "AUTH_INVALID"
            } else if dice.random_bool(0.5) {
                "TIMEOUT"
            } else {
                "SERVER_ERROR"
            };
            return Some(self.code);
        }
        None
    }
}

/// How the changes of a working day are spread over the hours: the shares of a day are 1 in all; weekends have a twentieth.
fn shape(at: DateTime<Utc>) -> f64 {
    let hour = f64::from(at.hour()) + f64::from(at.minute()) / 60.0;
    let working =
        0.09 * (-((hour - 10.5) / 2.2).powi(2)).exp() + 0.09 * (-((hour - 15.0) / 2.2).powi(2)).exp() + 0.0022;
    if at.weekday().number_from_monday() > 5 { working * 0.05 } else { working }
}

#[allow(clippy::cast_possible_truncation)] // hours and minutes
fn whole(value: f64) -> i64 {
    value.round() as i64
}

fn exponential(dice: &mut SmallRng) -> f64 {
    -(1.0 - dice.random::<f64>()).ln()
}

fn normal(dice: &mut SmallRng) -> f64 {
    (-2.0 * (1.0 - dice.random::<f64>()).ln()).sqrt() * (2.0 * std::f64::consts::PI * dice.random::<f64>()).cos()
}

fn poisson(dice: &mut SmallRng, mean: f64) -> f64 {
    if mean > 60.0 {
        return (mean + mean.sqrt() * normal(dice)).round().max(0.0);
    }
    let (mut count, mut left) = (0.0, (-mean).exp());
    let mut product = dice.random::<f64>();
    while product > left && count < 1_000.0 {
        product *= dice.random::<f64>();
        count += 1.0;
        left = left.max(f64::MIN_POSITIVE);
    }
    count
}

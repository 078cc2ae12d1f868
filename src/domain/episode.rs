//! An alert as an episode: from the first sight of a condition to the word that it is over.
//!
//! ```text
//! fire ─▶ pending ──held for the group wait──▶ open ──cleared──▶ resolved
//!            └──cleared: nobody is told─────────────────────────▶  │
//!            ▲                                                      │ comes back within the flap window:
//!            └──────── the same episode, held back longer ──────────┘ the same episode again
//! ```
//! Pure: what is told, and when to look again, follows from the episode, its circumstances and the time.
//!
//! What must hold:
//! * people are told at most one `opened`, then escalations and reminders, then at most one `resolved`, and that in turn:
//!   no `resolved` without an `opened` before it, no two `opened` without a `resolved` between them (which a silence may
//!   have kept back: an episode that ends while it is silenced is over all the same);
//! * a look that comes twice, or too early, tells nothing;
//! * a condition that goes on is told at the latest when it has held for [`Timings::longest_hold`], or what keeps messages
//!   back has ended;
//! * as long as something is to be told by itself, `next_action_at` says when.

use chrono::{DateTime, TimeDelta, Utc};

use super::alert::Event;
use super::failure::Severity;

/// How long things wait, and how often they are repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timings {
    /// What is over within this time is never told; each time a condition comes back it doubles.
    pub group_wait: TimeDelta,
    /// How often people are reminded of what nobody has acknowledged.
    pub reminder: TimeDelta,
    /// What comes back within this time after it was resolved is the same episode.
    pub flap_window: TimeDelta,
    /// How long a flapping condition must be gone, at least, before it counts as over.
    pub resolve_wait: TimeDelta,
    /// Rungs of the back-off ladder that are worth a message when they are reached.
    pub milestones: Vec<i16>,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            group_wait: TimeDelta::seconds(30),
            reminder: TimeDelta::hours(24),
            flap_window: TimeDelta::hours(1),
            resolve_wait: TimeDelta::minutes(5),
            milestones: vec![3, 6],
        }
    }
}

/// How often the wait doubles at most: a condition that flaps without end is told all the same.
const MAX_DOUBLINGS: i32 = 4;

impl Timings {
    /// How long a condition must hold before it is told, when it has come back `flaps` times.
    pub fn hold(&self, flaps: i32) -> TimeDelta {
        self.group_wait * 2_i32.pow(flaps.clamp(0, MAX_DOUBLINGS).unsigned_abs())
    }

    /// The longest that a condition which holds is kept back.
    pub fn longest_hold(&self) -> TimeDelta {
        self.hold(MAX_DOUBLINGS)
    }

    /// How long it must be gone before it counts as over.
    fn absence(&self, flaps: i32) -> TimeDelta {
        if flaps == 0 { TimeDelta::zero() } else { self.hold(flaps).max(self.resolve_wait) }
    }
}

/// Where an episode stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It may pass before anybody needs to know.
    Pending,
    /// People were told.
    Open,
    /// The episode of its site speaks for it.
    Absorbed,
    /// It is over.
    Resolved,
}

impl Phase {
    /// The phase as stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Open => "open",
            Self::Absorbed => "absorbed",
            Self::Resolved => "resolved",
        }
    }

    /// The phase stored as `text`.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Pending, Self::Open, Self::Absorbed, Self::Resolved].into_iter().find(|phase| phase.as_str() == text)
    }
}

/// What people were told last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// They believe that it goes on.
    pub open: bool,
    /// When they heard of it last.
    pub at: Option<DateTime<Utc>>,
    /// When they were told that it began.
    pub opened_at: Option<DateTime<Utc>>,
    /// The worst severity that they heard of.
    pub severity: Option<Severity>,
    /// The highest rung that they heard of.
    pub rung: i16,
    /// The highest age without acknowledgement that they heard of.
    pub age: TimeDelta,
}

/// The state of one episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Episode {
    /// Where it stands.
    pub phase: Phase,
    /// How bad it is now.
    pub severity: Severity,
    /// The rung of the back-off ladder now.
    pub rung: i16,
    /// Since when the condition holds without a break.
    pub held_since: DateTime<Utc>,
    /// When it was seen to have ended, unless it came back.
    pub cleared_at: Option<DateTime<Utc>>,
    /// When the episode ended.
    pub resolved_at: Option<DateTime<Utc>>,
    /// Until when a return belongs to this episode.
    pub damped_until: Option<DateTime<Utc>>,
    /// How often it came back.
    pub flaps: i32,
    /// What people know.
    pub told: Told,
    /// When somebody took it on.
    pub acknowledged_at: Option<DateTime<Utc>>,
    /// When to look at it again.
    pub next_action_at: Option<DateTime<Utc>>,
}

/// What a decision depends on beside the episode itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Circumstances {
    /// Until when a silence or a maintenance window keeps messages back.
    pub withheld_until: Option<DateTime<Utc>>,
    /// The ages without acknowledgement at which somebody else is to hear of it, rising.
    pub escalations: Vec<TimeDelta>,
}

/// Something happened to an episode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    /// What.
    pub event: Event,
    /// Why, for the record and the message: `severity raised from error to critical`.
    pub reason: String,
    /// Whether people are told.
    pub audience: Audience,
}

/// Who hears of what happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Those whom the routes name.
    Routes,
    /// Nobody: they would be, but for a silence or a maintenance window.
    Withheld,
    /// Nobody: they never heard that it began.
    Nobody,
}

impl Episode {
    /// The first sight of a condition.
    pub fn begin(severity: Severity, rung: i16, now: DateTime<Utc>) -> Self {
        Self {
            phase: Phase::Pending,
            severity,
            rung,
            held_since: now,
            cleared_at: None,
            resolved_at: None,
            damped_until: None,
            flaps: 0,
            told: Told::default(),
            acknowledged_at: None,
            next_action_at: Some(now),
        }
    }

    /// The condition holds.
    pub fn fire(&mut self, severity: Severity, rung: i16, now: DateTime<Utc>) {
        (self.severity, self.rung) = (severity, rung);
        if self.phase == Phase::Resolved {
            // What people were told last was that it is over, if anything.
            self.phase = Phase::Pending;
            (self.resolved_at, self.damped_until) = (None, None);
        }
        if self.phase == Phase::Absorbed {
            self.cleared_at = None;
        } else if self.cleared_at.take().is_some() {
            self.flaps = self.flaps.saturating_add(1);
            self.held_since = now;
            self.next_action_at = Some(now);
        } else if self.phase == Phase::Open && self.is_worse_than_told() {
            self.next_action_at = Some(now);
        }
    }

    /// The condition has ended at `at`.
    pub fn clear(&mut self, at: DateTime<Utc>, now: DateTime<Utc>) {
        if self.cleared_at.is_some() || self.phase == Phase::Resolved {
            return;
        }
        // When it was heard of counts for waits, should the two clocks differ.
        self.cleared_at = Some(at.min(now).max(self.held_since));
        if self.phase == Phase::Absorbed {
            self.end(now, TimeDelta::zero());
        } else {
            self.next_action_at = Some(now);
        }
    }

    /// The condition has become part of a wider one, which is told instead: it ends, and nobody hears of that. False when it
    /// has ended before.
    pub fn absorb(&mut self, at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        if self.phase == Phase::Resolved {
            return false;
        }
        self.cleared_at = self.cleared_at.or(Some(at.min(now).max(self.held_since)));
        self.told.open = false;
        self.end(now, TimeDelta::zero());
        true
    }

    /// Looks at the episode: what is to be told now, and when to look again.
    pub fn decide(&mut self, given: &Circumstances, timings: &Timings, now: DateTime<Utc>) -> Option<Happening> {
        match (self.phase, self.cleared_at) {
            (Phase::Absorbed | Phase::Resolved, _) => {
                self.next_action_at = None;
                None
            }
            (Phase::Pending, Some(_)) => {
                self.end(now, timings.flap_window);
                let reason = "it was over before a message was sent".to_owned();
                Some(Happening { event: Event::Resolved, reason, audience: Audience::Nobody })
            }
            (Phase::Open, Some(cleared_at)) => self.decide_end(cleared_at, given, timings, now),
            (Phase::Pending, None) => self.decide_beginning(given, timings, now),
            (Phase::Open, None) => self.decide_going_on(given, timings, now),
        }
    }

    fn decide_beginning(&mut self, given: &Circumstances, timings: &Timings, now: DateTime<Utc>) -> Option<Happening> {
        let due = self.held_since + timings.hold(self.flaps);
        let due = given.withheld_until.map_or(due, |until| until.max(due));
        if now < due {
            self.next_action_at = Some(due);
            return None;
        }
        self.phase = Phase::Open;
        self.acknowledged_at = None;
        self.told = Told { open: true, opened_at: Some(now), ..Told::default() };
        self.remember_told(now);
        self.plan(given, timings);
        let reason = match self.flaps {
            0 => "it has begun".to_owned(),
            1 => "it has come back (1 time so far)".to_owned(),
            times => format!("it has come back ({times} times so far)"),
        };
        Some(Happening { event: Event::Opened, reason, audience: Audience::Routes })
    }

    fn decide_going_on(&mut self, given: &Circumstances, timings: &Timings, now: DateTime<Utc>) -> Option<Happening> {
        if let Some(until) = given.withheld_until.filter(|until| now < *until) {
            self.next_action_at = Some(until);
            return None;
        }
        let is_acknowledged = self.acknowledged_at.is_some();
        let reached = self.reached_age(given, now).filter(|_| !is_acknowledged);
        let reason = if let Some(told) = self.told.severity.filter(|told| self.severity > *told) {
            Some(format!("severity raised from {} to {}", told.as_str(), self.severity.as_str()))
        } else if !is_acknowledged && self.milestone(timings).is_some() {
            Some(format!("the back-off ladder reached rung {}", self.rung))
        } else {
            reached.map(|age| format!("nobody has acknowledged it for {}", in_words(age)))
        };
        let event = match reason {
            Some(_) => Some(Event::Escalated),
            None if !is_acknowledged && self.reminder_at(timings).is_some_and(|due| now >= due) => {
                Some(Event::Reminder)
            }
            None => None,
        };
        if event.is_some() {
            self.told.age = self.told.age.max(reached.unwrap_or_default());
            self.remember_told(now);
        }
        self.plan(given, timings);
        let reason = reason.unwrap_or_else(|| "it goes on".to_owned());
        event.map(|event| Happening { event, reason, audience: Audience::Routes })
    }

    fn decide_end(
        &mut self,
        cleared_at: DateTime<Utc>,
        given: &Circumstances,
        timings: &Timings,
        now: DateTime<Utc>,
    ) -> Option<Happening> {
        if cleared_at - self.held_since > timings.flap_window {
            self.flaps = 0; // it held for long: whatever flapped before is forgotten
        }
        let due = cleared_at + timings.absence(self.flaps);
        if now < due {
            self.next_action_at = Some(due);
            return None;
        }
        self.end(now, timings.flap_window);
        (self.told.open, self.told.at) = (false, Some(now));
        let is_withheld = given.withheld_until.is_some_and(|until| now < until);
        let audience = if is_withheld { Audience::Withheld } else { Audience::Routes };
        Some(Happening { event: Event::Resolved, reason: "it is over".to_owned(), audience })
    }

    fn end(&mut self, now: DateTime<Utc>, damped_for: TimeDelta) {
        self.phase = Phase::Resolved;
        self.resolved_at = Some(now);
        self.damped_until = (!damped_for.is_zero()).then(|| now + damped_for);
        self.next_action_at = None;
    }

    fn remember_told(&mut self, now: DateTime<Utc>) {
        self.told.at = Some(now);
        self.told.severity = self.told.severity.max(Some(self.severity));
        self.told.rung = self.told.rung.max(self.rung);
    }

    /// Sets when to look again at an open episode that goes on.
    fn plan(&mut self, given: &Circumstances, timings: &Timings) {
        if self.acknowledged_at.is_some() {
            self.next_action_at = None;
            return;
        }
        let escalation = given.escalations.iter().filter(|age| **age > self.told.age).min();
        let escalation = escalation.and_then(|age| Some(self.told.opened_at? + *age));
        self.next_action_at = [escalation, self.reminder_at(timings)].into_iter().flatten().min();
    }

    fn reminder_at(&self, timings: &Timings) -> Option<DateTime<Utc>> {
        self.told.at.map(|at| at + timings.reminder)
    }

    fn reached_age(&self, given: &Circumstances, now: DateTime<Utc>) -> Option<TimeDelta> {
        let age = now - self.told.opened_at?;
        given.escalations.iter().copied().filter(|at| *at <= age && *at > self.told.age).max()
    }

    fn milestone(&self, timings: &Timings) -> Option<i16> {
        timings.milestones.iter().copied().filter(|rung| *rung > self.told.rung && *rung <= self.rung).max()
    }

    /// Whether a look may find something to tell; which rungs are worth it is not known here.
    fn is_worse_than_told(&self) -> bool {
        self.told.severity.is_some_and(|told| self.severity > told) || self.rung > self.told.rung
    }
}

/// A span in its largest whole unit: `2 days`, `45 minutes`.
pub fn in_words(span: TimeDelta) -> String {
    let (count, unit) = match span.num_seconds().max(0) {
        seconds @ 0..60 => (seconds, "second"),
        seconds @ 60..3_600 => (seconds / 60, "minute"),
        seconds @ 3_600..172_800 => (seconds / 3_600, "hour"),
        seconds => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
#[path = "episode_tests.rs"]
mod tests;

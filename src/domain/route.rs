//! Who hears of what: selectors, hours, and the walk over the routes.
//!
//! Routes are tried in the order of their positions; the first that fits takes the alert, unless it says that the walk goes
//! on. A route with `escalate_after` is beside the walk: it matches only what nobody has acknowledged for so long, and
//! never
//! ends the walk, so that a second line can be named without touching the first.
//!
//! What must hold: an alert that no route takes goes to the log channel; an alert about a channel never goes to that channel.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::failure::Severity;
use super::hours::Hours;

/// The channel that takes what nobody else takes.
pub const LAST_RESORT: &str = "log";

/// What an alert is, for choosing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The episode.
    pub alert_id: Option<Uuid>,
    /// How bad it is.
    pub severity: Severity,
    /// A failure's category, or one of [`super::alert::category`].
    pub category: String,
    /// The class of the condition.
    pub class: String,
    /// The name of its site, if it is about one.
    pub site: Option<String>,
    /// SITE/KEY of its project, if it is about one.
    pub project: Option<String>,
    /// The channel that it is about, if it is about one.
    pub channel: Option<String>,
    /// How long it has gone without acknowledgement; none once it was acknowledged.
    pub unacknowledged_for: Option<TimeDelta>,
}

/// What a route or a silence is for; an empty list leaves a condition out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selector {
    /// At least so bad.
    pub min_severity: Option<Severity>,
    /// One of these categories.
    pub categories: Vec<String>,
    /// One of these classes.
    pub classes: Vec<String>,
    /// On one of these sites.
    pub sites: Vec<String>,
    /// About one of these projects: KEY or SITE/KEY. An alert of a whole site is about none of them.
    pub projects: Vec<String>,
}

impl Selector {
    /// Whether it has no condition at all.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Nothing when `subject` fits, else the first condition that it fails, in words.
    pub fn refusal(&self, subject: &Subject) -> Option<String> {
        if let Some(least) = self.min_severity.filter(|least| subject.severity < *least) {
            return Some(format!("is for {} and worse, this is {}", least.as_str(), subject.severity.as_str()));
        }
        let listed = |list: &[String], value: &str| list.is_empty() || list.iter().any(|one| one == value);
        if !listed(&self.categories, &subject.category) {
            return Some(format!("is for category {}, this is {}", self.categories.join(", "), subject.category));
        }
        if !listed(&self.classes, &subject.class) {
            return Some(format!("is for class {}, this is {}", self.classes.join(", "), subject.class));
        }
        if !self.sites.is_empty() && !subject.site.as_ref().is_some_and(|site| self.sites.contains(site)) {
            let here = subject.site.as_deref().unwrap_or("about no site");
            return Some(format!("is for site {}, this is {here}", self.sites.join(", ")));
        }
        if !self.projects.is_empty() && !subject.project.as_ref().is_some_and(|project| self.names(project)) {
            let here = subject.project.as_deref().unwrap_or("about no project");
            return Some(format!("is for project {}, this is {here}", self.projects.join(", ")));
        }
        None
    }

    /// Whether `project`, as SITE/KEY, is one of the projects.
    fn names(&self, project: &str) -> bool {
        let key = project.rsplit('/').next().unwrap_or(project);
        self.projects.iter().any(|one| one == project || one == key)
    }
}

/// One rule: what it is for, and who hears of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// Its id.
    pub id: Uuid,
    /// Its place in the walk, from 1.
    pub position: i32,
    /// The channel that it names.
    pub channel: String,
    /// Recipients.
    pub to: Vec<String>,
    /// Those who get a copy.
    pub cc: Vec<String>,
    /// Those who get a copy unseen.
    pub bcc: Vec<String>,
    /// What it is for.
    pub selector: Selector,
    /// When it is for; always, when absent.
    pub hours: Option<Hours>,
    /// Only what nobody has acknowledged for so many seconds.
    pub escalate_after_seconds: Option<i64>,
    /// Whether the walk goes on behind it.
    pub goes_on: bool,
}

impl Route {
    /// The age without acknowledgement from which on it matches.
    pub fn escalate_after(&self) -> Option<TimeDelta> {
        self.escalate_after_seconds.and_then(TimeDelta::try_seconds)
    }

    /// Why `subject` does not fit at `now`, whatever its age.
    fn refusal(&self, subject: &Subject, now: DateTime<Utc>) -> Option<String> {
        if subject.channel.as_ref() == Some(&self.channel) {
            return Some("the alert is about this channel".to_owned());
        }
        let refusal = self.selector.refusal(subject);
        refusal.or_else(|| {
            let hours = self.hours.as_ref().filter(|hours| !hours.contains(now))?;
            Some(format!("is for {hours}, now it is {}", hours.local(now)))
        })
    }

    /// Who gets it: the channel and the recipients, as one text.
    pub fn audience(&self) -> Audience {
        Audience { channel: self.channel.clone(), to: self.to.clone(), cc: self.cc.clone(), bcc: self.bcc.clone() }
    }
}

/// A channel with recipients.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Audience {
    /// The channel.
    pub channel: String,
    /// Recipients.
    pub to: Vec<String>,
    /// Those who get a copy.
    pub cc: Vec<String>,
    /// Those who get a copy unseen.
    pub bcc: Vec<String>,
}

impl Audience {
    /// Everybody at the log channel.
    pub fn last_resort() -> Self {
        Self { channel: LAST_RESORT.to_owned(), to: Vec::new(), cc: Vec::new(), bcc: Vec::new() }
    }

    /// Identifies the recipients within a channel.
    pub fn recipients(&self) -> String {
        let part = |list: &[String]| {
            let mut list = list.to_vec();
            list.sort();
            list.join(",")
        };
        [("", &self.to), (" cc:", &self.cc), (" bcc:", &self.bcc)]
            .into_iter()
            .filter(|(_, list)| !list.is_empty())
            .map(|(label, list)| format!("{label}{}", part(list)))
            .collect()
    }
}

/// What became of a route in a walk.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict<'a> {
    /// The route.
    pub route: &'a Route,
    /// Why it does not get the alert; nothing when it does.
    pub refusal: Option<String>,
}

/// Walks `routes`, which are in the order of their positions.
pub fn walk<'a>(routes: &'a [Route], subject: &Subject, now: DateTime<Utc>) -> Vec<Verdict<'a>> {
    let mut taken_by = None;
    let mut verdicts = Vec::with_capacity(routes.len());
    for route in routes {
        let mut refusal = route.refusal(subject, now);
        match route.escalate_after() {
            Some(after) if refusal.is_none() && subject.unacknowledged_for.is_none_or(|age| age < after) => {
                let after = super::episode::in_words(after);
                refusal = Some(format!("is for alerts that nobody has acknowledged for {after}"));
            }
            Some(_) => {}
            None => match taken_by {
                Some(position) if refusal.is_none() => {
                    refusal = Some(format!("route {position} has already taken it"));
                }
                None if refusal.is_none() && !route.goes_on => taken_by = Some(route.position),
                _ => {}
            },
        }
        verdicts.push(Verdict { route, refusal });
    }
    verdicts
}

/// Who gets an alert: each channel and group of recipients once, and the log channel when nobody else does.
pub fn choose(routes: &[Route], subject: &Subject, now: DateTime<Utc>) -> Vec<Audience> {
    let mut chosen: Vec<Audience> = Vec::new();
    for verdict in walk(routes, subject, now).into_iter().filter(|verdict| verdict.refusal.is_none()) {
        let audience = verdict.route.audience();
        if !chosen.contains(&audience) {
            chosen.push(audience);
        }
    }
    if chosen.is_empty() {
        chosen.push(Audience::last_resort());
    }
    chosen
}

/// The ages at which further routes fit, rising. Hours are left out: they are looked at when the time has come.
pub fn escalations(routes: &[Route], subject: &Subject) -> Vec<TimeDelta> {
    let fits =
        |route: &&Route| subject.channel.as_ref() != Some(&route.channel) && route.selector.refusal(subject).is_none();
    let mut ages: Vec<TimeDelta> = routes.iter().filter(fits).filter_map(Route::escalate_after).collect();
    ages.sort();
    ages.dedup();
    ages
}

/// What keeps messages back for a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// Its id.
    pub id: Uuid,
    /// One episode, or whatever the selector fits.
    pub alert_id: Option<Uuid>,
    /// What it is for.
    pub selector: Selector,
    /// From when.
    pub starts_at: DateTime<Utc>,
    /// Until when.
    pub ends_at: DateTime<Utc>,
}

impl Silence {
    /// Whether it keeps messages about `subject` back at `now`.
    pub fn covers(&self, subject: &Subject, now: DateTime<Utc>) -> bool {
        self.starts_at <= now
            && now < self.ends_at
            && self.alert_id.is_none_or(|id| subject.alert_id == Some(id))
            && self.selector.refusal(subject).is_none()
    }
}

/// Until when messages about `subject` are kept back, if they are.
pub fn withheld_until(silences: &[Silence], subject: &Subject, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    silences.iter().filter(|silence| silence.covers(subject, now)).map(|silence| silence.ends_at).max()
}

#[cfg(test)]
#[path = "route_tests.rs"]
mod tests;

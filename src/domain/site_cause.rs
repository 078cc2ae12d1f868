//! Failures that are the whole site's: seen as one event after they struck several of its projects.
//!
//! What must hold: one project's trouble is never the site's; one success of a run that started after the trouble began
//! ends it; while it lasts one project is the probe for all.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::failure::FailureCode;

/// What a whole site can suffer from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Its credential is refused.
    Authentication,
    /// It is suspended for payment.
    Billing,
    /// Its allowance of requests is spent.
    Limited,
    /// It cannot be reached, or fails on its side.
    Down,
}

impl Cause {
    /// The cause as stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authentication => "authentication",
            Self::Billing => "billing",
            Self::Limited => "limited",
            Self::Down => "down",
        }
    }

    /// The cause stored as `text`.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Authentication, Self::Billing, Self::Limited, Self::Down]
            .into_iter()
            .find(|cause| cause.as_str() == text)
    }

    /// What a failure would mean, were it the site's; `None` for those that are a project's or our own.
    pub const fn of(code: FailureCode) -> Option<Self> {
        use FailureCode as F;
        match code {
            F::AuthInvalid | F::AuthExpired | F::Captcha => Some(Self::Authentication),
            F::SuspendedPayment => Some(Self::Billing),
            F::RateLimit | F::Quota => Some(Self::Limited),
            F::SiteUnavailable
            | F::Maintenance
            | F::ServerError
            | F::GatewayHtml
            | F::Timeout
            | F::NetworkGlitch
            | F::Dns
            | F::Tls => Some(Self::Down),
            _ => None,
        }
    }

    /// Failures in a row, without a success on the site, that make it the site's. Refused credentials, bills and allowances
    /// are certain at once; a network that flaps fails several projects in a row by chance.
    const fn failures_needed(self) -> u32 {
        match self {
            Self::Authentication | Self::Billing | Self::Limited => 2,
            Self::Down => 8,
        }
    }

    /// Different projects that must be among them, as far as the site has as many.
    const fn projects_needed(self) -> usize {
        match self {
            Self::Authentication | Self::Billing | Self::Limited => 2,
            Self::Down => 3,
        }
    }
}

/// Projects that are remembered of a streak; more change nothing.
const REMEMBERED: usize = 200;

/// What is known of a site.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SiteHealth {
    /// What its failures mean.
    pub cause: Option<Cause>,
    /// The newest failure's code.
    pub code: Option<FailureCode>,
    /// Failures in a row over all its projects.
    pub failures: u32,
    /// The projects that failed.
    pub failed_projects: Vec<Uuid>,
    /// When the first of them failed.
    pub since: Option<DateTime<Utc>>,
    /// The code under which the event is told; it stays while its cause does.
    pub told: Option<FailureCode>,
    /// When they were recognised as the site's.
    pub incident_since: Option<DateTime<Utc>>,
    /// The rung of the ladder on which the site is tried.
    pub rung: u32,
    /// The project that is tried for all.
    pub probe: Option<Uuid>,
    /// When it is tried next.
    pub next_probe_at: Option<DateTime<Utc>>,
    /// The newest failure's message.
    pub last_error: Option<String>,
}

/// Several projects of a site fail on and off, for a reason that would be the site's, while others get through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsteady {
    /// The code under which it is told.
    pub code: FailureCode,
    /// Since when.
    pub since: DateTime<Utc>,
    /// When a project was last seen to be struck.
    pub seen_at: DateTime<Utc>,
}

impl Unsteady {
    /// Projects in trouble at once that make a site unsteady: fewer are told each by itself.
    pub const PROJECTS: usize = 4;
    /// Without a struck project for this long, the site is steady again.
    pub const CALM: TimeDelta = TimeDelta::hours(1);

    /// Whether it is over, while no project is in trouble.
    pub fn is_over(&self, now: DateTime<Utc>) -> bool {
        now - self.seen_at >= Self::CALM
    }
}

/// What a run's end changed for its site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing that concerns anybody else.
    None,
    /// The failures are the site's from now on.
    Opened,
    /// The site goes on failing.
    Continues,
    /// The site goes on failing, for another reason: what was told of before is over.
    Turned(FailureCode),
    /// It is over.
    Resolved(FailureCode),
}

impl SiteHealth {
    /// A run of `project` failed. `active_projects` is how many the site has.
    pub fn on_failure(
        &mut self,
        project: Uuid,
        code: FailureCode,
        message: &str,
        at: DateTime<Utc>,
        active_projects: usize,
    ) -> Change {
        let Some(cause) = Cause::of(code) else { return Change::None };
        let before = self.told;
        let turned = self.cause.is_some_and(|known| known != cause);
        if turned && self.incident_since.is_some() && cause == Cause::Down {
            // What is certain is not unlearnt because a gateway answered once.
            self.failures += 1;
            return Change::Continues;
        }
        if self.cause != Some(cause) && self.incident_since.is_none() {
            *self = Self::default();
        }
        self.cause = Some(cause);
        self.code = Some(code);
        self.failures += 1;
        self.since.get_or_insert(at);
        self.last_error = Some(message.to_owned());
        if !self.failed_projects.contains(&project) && self.failed_projects.len() < REMEMBERED {
            self.failed_projects.push(project);
        }
        if self.incident_since.is_some() {
            return match before {
                Some(before) if turned => {
                    self.told = Some(code);
                    Change::Turned(before)
                }
                _ => Change::Continues,
            };
        }
        let projects = cause.projects_needed().min(active_projects);
        if active_projects >= 2 && self.failures >= cause.failures_needed() && self.failed_projects.len() >= projects {
            self.incident_since = Some(at);
            self.probe = Some(project);
            self.told = Some(code);
            return Change::Opened;
        }
        Change::None
    }

    /// A run that started at `started_at` succeeded: the site answers.
    pub fn on_success(&mut self, started_at: DateTime<Utc>) -> Change {
        if self.since.is_none_or(|since| started_at < since) {
            return Change::None; // it began before the trouble did, and may have been fed from before
        }
        let told = self.told;
        *self = Self::default();
        told.map_or(Change::None, Change::Resolved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(minute)
    }

    fn fail(site: &mut SiteHealth, project: u128, code: FailureCode, minute: i64) -> Change {
        site.on_failure(Uuid::from_u128(project), code, "x", at(minute), 20)
    }

    #[test]
    fn one_projects_trouble_is_never_the_sites() {
        let mut site = SiteHealth::default();
        for minute in 0..50 {
            assert_eq!(fail(&mut site, 1, FailureCode::Timeout, minute), Change::None);
            assert_eq!(fail(&mut site, 1, FailureCode::AuthInvalid, minute), Change::None);
        }
        assert_eq!(fail(&mut site, 2, FailureCode::NotFoundProject, 51), Change::None);
    }

    #[test]
    fn a_suspension_is_the_sites_at_the_second_project() {
        let mut site = SiteHealth::default();
        assert_eq!(fail(&mut site, 1, FailureCode::SuspendedPayment, 0), Change::None);
        assert_eq!(fail(&mut site, 2, FailureCode::SuspendedPayment, 1), Change::Opened);
        assert_eq!(site.probe, Some(Uuid::from_u128(2)));
        assert_eq!(fail(&mut site, 2, FailureCode::SuspendedPayment, 30), Change::Continues);
        assert_eq!(site.on_success(at(60)), Change::Resolved(FailureCode::SuspendedPayment));
        assert_eq!(site, SiteHealth::default());
    }

    #[test]
    fn a_site_is_down_only_when_none_of_its_projects_gets_through() {
        let mut site = SiteHealth::default();
        for n in 0..7 {
            assert_eq!(fail(&mut site, n, FailureCode::ServerError, 0), Change::None);
        }
        assert_eq!(site.on_success(at(1)), Change::None);
        for n in 0..7 {
            assert_eq!(fail(&mut site, n, FailureCode::Timeout, 2), Change::None);
        }
        assert_eq!(fail(&mut site, 7, FailureCode::ServerError, 3), Change::Opened);
    }

    #[test]
    fn a_success_that_began_before_the_trouble_ends_nothing() {
        let mut site = SiteHealth::default();
        fail(&mut site, 1, FailureCode::AuthInvalid, 10);
        assert_eq!(site.on_success(at(9)), Change::None);
        assert_eq!(fail(&mut site, 2, FailureCode::AuthInvalid, 11), Change::Opened);
    }

    #[test]
    fn an_unpaid_bill_behind_an_outage_is_reported_and_kept() {
        let mut site = SiteHealth::default();
        for n in 0..8 {
            fail(&mut site, n, FailureCode::SiteUnavailable, 0);
        }
        assert!(site.incident_since.is_some());
        let turned = fail(&mut site, 1, FailureCode::SuspendedPayment, 5);
        assert_eq!(turned, Change::Turned(FailureCode::SiteUnavailable));
        assert_eq!(fail(&mut site, 1, FailureCode::GatewayHtml, 6), Change::Continues);
        assert_eq!(site.cause, Some(Cause::Billing));
    }
}

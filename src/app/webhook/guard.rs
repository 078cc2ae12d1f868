//! What keeps webhooks in bounds: why one is refused, how many are told of, how many a site may send.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

/// So many webhooks of a site are taken in a second, and so many at once.
const PER_SECOND: f64 = 2_000.0;
const AT_ONCE: f64 = 4_000.0;
/// How often refusals of one site and reason are told of.
const EVERY: Duration = Duration::from_secs(60);

/// Why a webhook is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// No such site takes webhooks.
    UnknownSite,
    /// Neither a signature nor a token nor a secret in the address.
    Unsigned,
    /// The signature is not of a secret of this site.
    BadSignature,
    /// The token is not of this site's app, or over.
    BadToken,
    /// The secret in the address is not one of this site.
    BadPath,
    /// A secret of the site cannot be read here.
    NoSecret,
    /// The body is no JSON object in UTF-8.
    NotJson,
    /// The body was made too long ago, or in the future.
    TooOld,
    /// The body is too large.
    TooLarge,
    /// The body is compressed.
    Encoded,
    /// The site sends more than it may.
    OverBudget,
    /// The database does not answer.
    Unavailable,
}

impl Refusal {
    /// Its name in metrics, in the log and in the database; one of `labels::WEBHOOK_REFUSALS`.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::UnknownSite => "unknown_site",
            Self::Unsigned => "unsigned",
            Self::BadSignature => "bad_signature",
            Self::BadToken => "bad_token",
            Self::BadPath => "bad_path",
            Self::NoSecret => "no_secret",
            Self::NotJson => "not_json",
            Self::TooOld => "too_old",
            Self::TooLarge => "too_large",
            Self::Encoded => "encoded",
            Self::OverBudget => "over_budget",
            Self::Unavailable => "unavailable",
        }
    }

    /// What is wrong and what to do, for the log.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::UnknownSite => "a webhook names a site that takes none: `syncline site webhook add SITE`",
            Self::Unsigned => "a webhook bears no proof: enter the secret in Jira, or use the address with the secret",
            Self::BadSignature => "a webhook has the signature of another secret: compare the secret in Jira",
            Self::BadToken => "a webhook bears a token of another app, or one that is over",
            Self::BadPath => "a webhook has another secret in its address: compare the address in Jira",
            Self::NoSecret => {
                "a secret of the site cannot be read in this process: see `syncline site webhook list SITE`"
            }
            Self::NotJson => "the body of a webhook is no JSON object",
            Self::TooOld => "a webhook is older than 24 hours, or of the future: compare the clocks",
            Self::TooLarge => "the body of a webhook is larger than 1 MiB: let Jira leave out the body",
            Self::Encoded => "the body of a webhook is compressed: let the proxy pass it on as it is",
            Self::OverBudget => "a site sends more webhooks than are taken: Jira sends them again later",
            Self::Unavailable => "the database did not take a webhook: Jira sends it again later",
        }
    }
}

/// Refusals to be told of.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub site_id: Option<Uuid>,
    pub site: String,
    pub refusal: Refusal,
    pub count: i64,
}

#[derive(Debug)]
struct Counted {
    site_id: Option<Uuid>,
    told_at: Option<Instant>,
    count: i64,
}

/// Counts and budgets of a process. Sites are those that are known, so that nobody fills it.
#[derive(Debug, Default)]
pub(super) struct Guard {
    refusals: Mutex<HashMap<(String, Refusal), Counted>>,
    budgets: Mutex<HashMap<Uuid, (f64, Instant)>>,
}

impl Guard {
    /// Whether the site may send one more now.
    pub fn admits(&self, site_id: Uuid, now: Instant) -> bool {
        let mut budgets = self.budgets.lock().unwrap_or_else(PoisonError::into_inner);
        let (left, since) = budgets.entry(site_id).or_insert((AT_ONCE, now));
        *left = (*left + now.saturating_duration_since(*since).as_secs_f64() * PER_SECOND).min(AT_ONCE);
        *since = now;
        let admits = *left >= 1.0;
        if admits {
            *left -= 1.0;
        }
        admits
    }

    /// Counts a refusal; answers those that are to be told of now: the first of a kind at once, later ones once a minute.
    pub fn note(&self, site_id: Option<Uuid>, site: &str, refusal: Refusal, now: Instant) -> Vec<Due> {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        let one = refusals.entry((site.to_owned(), refusal)).or_insert(Counted { site_id, told_at: None, count: 0 });
        one.site_id = site_id;
        one.count += 1;
        let is_due =
            |one: &Counted| one.count > 0 && one.told_at.is_none_or(|at| now.saturating_duration_since(at) >= EVERY);
        let due = refusals.iter_mut().filter(|(_, one)| is_due(one)).map(|((site, refusal), one)| {
            one.told_at = Some(now);
            Due { site_id: one.site_id, site: site.clone(), refusal: *refusal, count: std::mem::take(&mut one.count) }
        });
        due.collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_once_a_minute_with_their_number() {
        let (guard, start) = (Guard::default(), Instant::now());
        let told = |seconds: u64| {
            let due = guard.note(None, "sim", Refusal::Unsigned, start + Duration::from_secs(seconds));
            due.iter().map(|one| one.count).collect::<Vec<_>>()
        };
        assert_eq!(told(0), [1], "the first at once");
        assert_eq!((told(1), told(59)), (vec![], vec![]));
        assert_eq!(told(61), [3]);
        assert_eq!(told(62), [0_i64; 0]);
    }

    #[test]
    fn a_site_sends_no_more_than_its_budget() {
        let (guard, start, site) = (Guard::default(), Instant::now(), Uuid::nil());
        let admitted = |at: Instant| (0..10_000).filter(|_| guard.admits(site, at)).count();
        assert_eq!(admitted(start), 4_000);
        assert_eq!(admitted(start + Duration::from_secs(1)), 2_000);
        assert!(guard.admits(Uuid::max(), start), "the budget of another site is another one");
    }

    #[test]
    fn every_refusal_has_its_label() {
        let all = [
            Refusal::UnknownSite,
            Refusal::Unsigned,
            Refusal::BadSignature,
            Refusal::BadToken,
            Refusal::BadPath,
            Refusal::NoSecret,
            Refusal::NotJson,
            Refusal::TooOld,
            Refusal::TooLarge,
            Refusal::Encoded,
            Refusal::OverBudget,
            Refusal::Unavailable,
        ];
        assert_eq!(all.map(Refusal::reason).as_slice(), crate::observe::labels::WEBHOOK_REFUSALS);
    }
}

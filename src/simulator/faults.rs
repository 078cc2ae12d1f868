//! What goes wrong, and when.
//!
//! Faults come by rate, decided by the seed and the request's number, or by schedule: after so many requests, for so many.
//! Either way the same requests in the same order meet the same faults.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::seed::{Dice, Purpose};

macro_rules! kinds {
    ($($(#[$doc:meta])+ $variant:ident => $name:literal,)+) => {
        /// A way in which a request fails.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum FaultKind { $($(#[$doc])+ $variant,)+ }

        impl FaultKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name on the command line and in the admin interface.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

kinds! {
    /// 429 of one endpoint's burst limit, with Retry-After and all headers.
    RateLimit => "rate-limit",
    /// 429 of the tenant's hourly quota, with Retry-After: the whole site must wait.
    Quota => "quota",
    /// 429 with no header that says how long.
    RateLimitBare => "rate-limit-bare",
    /// 429 from a gateway, in HTML.
    RateLimitHtml => "rate-limit-html",
    /// 503 with Retry-After.
    Maintenance => "maintenance",
    /// 503 without Retry-After.
    Unavailable => "unavailable",
    /// 500 in Jira's error shape.
    ServerError => "server-error",
    /// 500 as RFC 7807 problem details.
    Problem => "problem",
    /// 502 from a gateway, in HTML.
    BadGateway => "bad-gateway",
    /// 504 from a gateway, in HTML.
    GatewayTimeout => "gateway-timeout",
    /// 404 `Site temporarily unavailable`: nothing has been deleted.
    SiteUnavailable => "site-unavailable",
    /// 200 with the HTML of a sign-in page.
    SignInPage => "sign-in-page",
    /// 401 in Jira's shape.
    Unauthorized => "unauthorized",
    /// 401 in plain text.
    UnauthorizedText => "unauthorized-text",
    /// 401 that asks for a CAPTCHA: trying on would lock the account.
    Captcha => "captcha",
    /// The credentials are ignored, as when a token was lost: search answers 200 with no issues.
    Anonymous => "anonymous",
    /// 402: the site is not paid for.
    PaymentRequired => "payment-required",
    /// 403 in Jira's shape.
    Forbidden => "forbidden",
    /// 403 of a site that is not paid for.
    ForbiddenUnpaid => "forbidden-unpaid",
    /// 410: the endpoint is gone.
    Gone => "gone",
    /// The connection is reset before an answer.
    Reset => "reset",
    /// The connection is reset in the middle of the body.
    Truncated => "truncated",
    /// The answer comes 5 seconds late.
    Slow => "slow",
    /// The answer never comes (10 minutes).
    Hang => "hang",
    /// 200 whose JSON has none of the properties it must have.
    WrongShape => "wrong-shape",
    /// 200 whose JSON ends too early, on a sound connection.
    BrokenJson => "broken-json",
    /// A search page carries the token that it was asked with.
    RepeatedToken => "repeated-token",
    /// A search page has no issues but a token; the walk goes on from where it was.
    EmptyPage => "empty-page",
    /// Issues come without the fields `comment` and `worklog`: their end points still give them.
    OmitLists => "omit-lists",
    /// Issues come without labels, components, versions, links, attachments and custom fields.
    OmitValues => "omit-values",
    /// The first comment and the first worklog of each list come twice, once as they were before an edit.
    Doubled => "doubled",
    /// Two neighbours show one and the same comment: the first of each once more, under an id that both have.
    Shared => "shared",
    /// Each history lacks its last entry, and does not count it.
    ShortHistory => "short-history",
    /// Look-ups by id find nothing: 404 for one, an empty list for many.
    BlindLookUp => "blind-look-up",
    /// Search does not show one in three issues.
    BlindSearch => "blind-search",
}

impl FaultKind {
    /// What makes an answer poorer than the site without its being wrong in form.
    pub const POORER: &'static [Self] = &[
        Self::OmitLists,
        Self::OmitValues,
        Self::Doubled,
        Self::Shared,
        Self::ShortHistory,
        Self::BlindLookUp,
        Self::BlindSearch,
    ];
}

impl FaultKind {
    /// What happens to healthy sites now and then, and passes: the kinds drawn by rate unless others are named.
    pub const TRANSIENT: &'static [Self] = &[
        Self::RateLimit,
        Self::RateLimitBare,
        Self::RateLimitHtml,
        Self::Maintenance,
        Self::Unavailable,
        Self::ServerError,
        Self::BadGateway,
        Self::GatewayTimeout,
        Self::Reset,
        Self::Truncated,
    ];
}

impl FromStr for FaultKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.iter().find(|kind| kind.name() == text).copied().ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|kind| kind.name()).collect();
            format!("'{text}' is not a fault; there are: {}", names.join(", "))
        })
    }
}

/// A fault by schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// What happens.
    pub kind: FaultKind,
    /// Requests that pass first, counted from when the rule was set.
    #[serde(default)]
    pub after: u64,
    /// Requests that then fail; without it, all.
    #[serde(default)]
    pub requests: Option<u64>,
    /// Only requests whose path contains this count.
    #[serde(default)]
    pub path: Option<String>,
    /// Retry-After of this fault, seconds; [`FaultPlan::retry_after_seconds`] otherwise.
    #[serde(default)]
    pub retry_after_seconds: Option<u64>,
}

impl FaultRule {
    /// `kind` for the next `requests` requests.
    pub fn next(kind: FaultKind, requests: u64) -> Self {
        Self { kind, after: 0, requests: Some(requests), path: None, retry_after_seconds: None }
    }
}

impl FromStr for FaultRule {
    type Err = String;

    /// `kind`, `kind@AFTER` or `kind@AFTERxREQUESTS`, such as `reset@10x3`; then perhaps `/part of the path`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (head, path) = text.split_once('/').map_or((text, None), |(head, path)| (head, Some(format!("/{path}"))));
        let (kind, schedule) = head.split_once('@').unwrap_or((head, "0"));
        let (after, requests) = schedule.split_once('x').map_or((schedule, None), |(after, n)| (after, Some(n)));
        let number = |text: &str| text.parse::<u64>().map_err(|_| format!("'{text}' is not a number of requests"));
        let requests = requests.map(number).transpose()?;
        Ok(Self { kind: kind.parse()?, after: number(after)?, requests, path, retry_after_seconds: None })
    }
}

/// All that goes wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FaultPlan {
    /// Share of requests (0–1) that meet one of `kinds`.
    pub rate: f64,
    /// Drawn from by rate; [`FaultKind::TRANSIENT`] when empty.
    pub kinds: Vec<FaultKind>,
    /// Faults by schedule; the first that applies wins, and wins over the rate.
    pub rules: Vec<FaultRule>,
    /// Value of Retry-After where a fault carries one, seconds.
    pub retry_after_seconds: u64,
}

impl Default for FaultPlan {
    fn default() -> Self {
        Self { rate: 0.0, kinds: Vec::new(), rules: Vec::new(), retry_after_seconds: 1 }
    }
}

/// A fault that is to happen to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) kind: FaultKind,
    pub(super) retry_after_seconds: u64,
}

/// A plan and how far its rules have come.
#[derive(Debug)]
pub(super) struct Faults {
    seed: u64,
    plan: FaultPlan,
    seen: Vec<u64>,
}

impl Faults {
    pub(super) fn new(seed: u64, plan: FaultPlan) -> Self {
        let seen = vec![0; plan.rules.len()];
        Self { seed, plan, seen }
    }

    pub(super) fn plan(&self) -> &FaultPlan {
        &self.plan
    }

    pub(super) fn add(&mut self, rule: FaultRule) {
        self.plan.rules.push(rule);
        self.seen.push(0);
    }

    /// What happens to request `number` for `path`.
    pub(super) fn decide(&mut self, number: u64, path: &str) -> Option<Fault> {
        let mut chosen = None;
        for (rule, seen) in self.plan.rules.iter().zip(&mut self.seen) {
            if rule.path.as_ref().is_some_and(|part| !path.contains(part.as_str())) {
                continue;
            }
            *seen += 1;
            let active = *seen > rule.after && rule.requests.is_none_or(|requests| *seen - rule.after <= requests);
            if active && chosen.is_none() {
                let retry_after_seconds = rule.retry_after_seconds.unwrap_or(self.plan.retry_after_seconds);
                chosen = Some(Fault { kind: rule.kind, retry_after_seconds });
            }
        }
        chosen.or_else(|| {
            let mut dice = Dice::new(self.seed, Purpose::Fault, number, 0);
            let kinds = if self.plan.kinds.is_empty() { FaultKind::TRANSIENT } else { &self.plan.kinds };
            let retry_after_seconds = self.plan.retry_after_seconds;
            dice.chance(self.plan.rate).then(|| Fault { kind: *dice.pick(kinds), retry_after_seconds })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decisions(seed: u64, plan: FaultPlan) -> Vec<Option<FaultKind>> {
        let mut faults = Faults::new(seed, plan);
        (1..=2_000).map(|number| faults.decide(number, "/rest/api/3/search/jql").map(|fault| fault.kind)).collect()
    }

    #[test]
    fn faults_by_rate_are_the_same_for_the_same_seed_and_request() {
        let plan = FaultPlan { rate: 0.1, ..FaultPlan::default() };
        let first = decisions(5, plan.clone());
        assert_eq!(first, decisions(5, plan.clone()));
        assert_ne!(first, decisions(6, plan));
        let count = first.iter().flatten().count();
        assert!((120..280).contains(&count), "{count} of 2000 at a rate of 0.1");
    }

    #[test]
    fn a_scheduled_fault_starts_after_its_requests_and_ends() {
        let plan = FaultPlan { rules: vec!["reset@2x3".parse().unwrap()], ..FaultPlan::default() };
        let got = decisions(1, plan);
        let reset = Some(FaultKind::Reset);
        assert_eq!(got[..6], [None, None, reset, reset, reset, None]);
    }

    #[test]
    fn a_rule_for_a_path_leaves_others_alone() {
        let rule: FaultRule = "quota@0x1/comment".parse().unwrap();
        let mut faults = Faults::new(1, FaultPlan { rules: vec![rule], ..FaultPlan::default() });
        assert_eq!(faults.decide(1, "/rest/api/3/myself"), None);
        assert_eq!(faults.decide(2, "/rest/api/3/issue/1/comment").map(|fault| fault.kind), Some(FaultKind::Quota));
    }

    #[test]
    fn every_kind_has_one_name_for_the_command_line_and_for_json() {
        for kind in FaultKind::ALL {
            assert_eq!(kind.name().parse(), Ok(*kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }
}

//! The running site: the world, who may call it, what goes wrong, and what has been counted.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio::sync::watch;

use super::auth::{Accounts, Caller};
use super::catalogue::Catalogue;
use super::faults::{FaultKind, Faults};
use super::language::Language;
use super::limits::{LimitStats, Limiter};
use super::links::link;
use super::oauth::{self, OAuth, OAuthStats};
use super::options::{Kind, Options};
use super::personal_tokens::PersonalToken;
use super::reply::Reply;
use super::seed::{Dice, Purpose};
use super::webhook;
use super::world::World;

/// Shared by all requests.
pub(super) struct Site {
    pub(super) seed: u64,
    pub(super) kind: Kind,
    /// Version that a Data Center site reports.
    pub(super) version: String,
    pub(super) context_path: String,
    /// Comments and worklogs that search returns inline.
    pub(super) inline_limits: (usize, usize),
    /// What the feeds of worklogs leave out.
    pub(super) feed_delay_ms: i64,
    /// Longer queries are refused.
    pub(super) jql_limit: Option<usize>,
    /// While true, the site's front door answers that it is not there.
    pub(super) suspended: AtomicBool,
    /// While true, credentials count for nothing.
    pub(super) anonymous: AtomicBool,
    pub(super) language: Language,
    pub(super) limiter: Limiter,
    pub(super) oauth: OAuth,
    pub(super) personal_tokens: Vec<PersonalToken>,
    pub(super) started: DateTime<Utc>,
    /// By which api.atlassian.com knows the site.
    pub(super) cloud_id: String,
    pub(super) world: World,
    pub(super) accounts: Accounts,
    pub(super) faults: Mutex<Faults>,
    /// Microseconds added to every answer, and the most that chance adds to them.
    pub(super) latency_micros: AtomicU64,
    pub(super) jitter_micros: AtomicU64,
    /// While true, requests wait.
    pub(super) paused: watch::Sender<bool>,
    pub(super) mutations_per_second: watch::Sender<f64>,
    /// True when the site is being stopped: what waits on purpose gives up.
    pub(super) closing: watch::Sender<bool>,
    pub(super) omit_is_last: AtomicBool,
    pub(super) token_lifetime_ms: i64,
    pub(super) burst_limit: Option<u32>,
    bursts: Mutex<HashMap<&'static str, (i64, u32)>>,
    pub(super) requests: AtomicU64,
    /// Issues that were made up by a fault.
    pub(super) invented: AtomicU64,
    in_flight: AtomicU64,
    counts: Mutex<Counts>,
    /// Sends webhooks, where somebody wants them.
    pub(super) webhooks: Mutex<Option<webhook::Sender>>,
}

#[derive(Default)]
struct Counts {
    in_flight_peak: u64,
    by_endpoint: BTreeMap<&'static str, u64>,
    by_status: BTreeMap<u16, u64>,
    faults: BTreeMap<FaultKind, u64>,
    issues_served: u64,
}

/// What has happened on the site since it started.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Stats {
    /// Requests to the REST interface.
    pub requests: u64,
    /// The same by endpoint template, such as `/issue/{}/comment`.
    pub by_endpoint: BTreeMap<&'static str, u64>,
    /// Answers by status.
    pub by_status: BTreeMap<u16, u64>,
    /// Faults that happened.
    pub faults: BTreeMap<FaultKind, u64>,
    /// Issues in answers of search and bulk fetch.
    pub issues_served: u64,
    /// Requests being answered now.
    pub in_flight: u64,
    /// The most that were ever answered at once.
    pub in_flight_peak: u64,
    /// Issues that exist, by project key.
    pub issues: BTreeMap<String, u64>,
    /// Comments of all issues.
    pub comments: u64,
    /// Worklogs of all issues.
    pub worklogs: u64,
    /// Mutations so far.
    pub mutations: u64,
    /// Token buckets by method and endpoint, such as `POST /search/jql`; `all` on Data Center.
    pub limits: BTreeMap<String, LimitStats>,
    /// Points used in the hour of the site's clock.
    pub points_used: u64,
    /// Requests that were refused because the hour had no points left.
    pub points_limited: u64,
    /// The token endpoint of OAuth.
    pub oauth: OAuthStats,
}

/// What exists of a project, as written and whatever an account may see: what a replica of it must hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Issues.
    pub issues: u64,
    /// Comments of those.
    pub comments: u64,
    /// Worklogs of those.
    pub worklogs: u64,
    /// Entries of their changelogs.
    pub changelog_entries: u64,
    /// Changed fields in all of these entries.
    pub changelog_items: u64,
    /// Issues that are linked with another one that exists.
    pub linked_issues: u64,
}

fn cloud_id(seed: u64) -> String {
    let mut dice = Dice::new(seed, Purpose::Token, 0, 0);
    let (high, low) = (dice.next(), dice.next());
    format!(
        "{:08x}-{:04x}-4{:03x}-9{:03x}-{:012x}",
        high >> 32,
        high & 0xFFFF,
        low & 0xFFF,
        low >> 12 & 0xFFF,
        low >> 16
    )
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Site {
    pub(super) fn new(options: &Options, base_url: String) -> Self {
        let world = World::new(options, base_url);
        Self {
            seed: options.seed,
            kind: options.kind,
            version: options.version.clone(),
            context_path: options.context_path.clone(),
            inline_limits: options
                .inline_limit
                .map_or(options.kind.inline_limits(), |most| (usize::from(most), usize::from(most))),
            feed_delay_ms: i64::try_from(options.feed_delay.as_millis()).unwrap_or(i64::MAX / 2),
            jql_limit: options.jql_limit,
            language: options.language,
            limiter: Limiter::new(options.kind, options.limits.clone()),
            oauth: OAuth::new(options.seed, options.oauth.clone()),
            cloud_id: cloud_id(options.seed),
            personal_tokens: options.personal_tokens.clone(),
            started: options.clock.now(),
            suspended: AtomicBool::new(false),
            anonymous: AtomicBool::new(false),
            accounts: Accounts::new(&options.accounts, options.captcha_after, &world.catalogue()),
            world,
            faults: Mutex::new(Faults::new(options.seed, options.faults.clone())),
            latency_micros: AtomicU64::new(micros(options.latency)),
            jitter_micros: AtomicU64::new(micros(options.latency_jitter)),
            paused: watch::Sender::new(false),
            closing: watch::Sender::new(false),
            mutations_per_second: watch::Sender::new(options.mutations_per_second),
            omit_is_last: AtomicBool::new(options.omit_is_last),
            token_lifetime_ms: i64::try_from(options.token_lifetime.as_millis()).unwrap_or(i64::MAX),
            burst_limit: options.burst_limit_per_second,
            bursts: Mutex::default(),
            requests: AtomicU64::new(0),
            invented: AtomicU64::new(0),
            in_flight: AtomicU64::new(0),
            webhooks: Mutex::default(),
            counts: Mutex::default(),
        }
    }

    /// Who calls at api.atlassian.com: with an access token of OAuth, as the first account, or with an API token.
    pub(super) fn gateway_caller(&self, headers: &HeaderMap, catalogue: Arc<Catalogue>) -> Result<Caller, Box<Reply>> {
        let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let Some(token) = given.strip_prefix("Bearer ") else { return self.accounts.identify(headers, catalogue) };
        let person = match self.oauth.is_valid(token, self.world.now_ms()) {
            true => Some(0),
            // The tokens of service accounts are sent in the same way.
            false => self.accounts.person_of_token(token),
        };
        let viewer = person.and_then(|person| self.accounts.viewer(person, catalogue));
        viewer.map(Caller::Known).ok_or_else(|| Box::new(oauth::unauthorized()))
    }

    /// Counts a request in this second; the number of requests left, `None` when there are too many.
    pub(super) fn burst(&self, endpoint: &'static str, limit: u32) -> Option<u32> {
        let second = self.world.now_ms() / 1_000;
        let mut bursts = lock(&self.bursts);
        let (since, count) = bursts.entry(endpoint).or_insert((second, 0));
        if *since != second {
            (*since, *count) = (second, 0);
        }
        *count = count.saturating_add(1);
        limit.checked_sub(*count)
    }

    /// Counts a request in; it is counted out when the guard is dropped, also when the client gives up.
    pub(super) fn enter(&self, endpoint: &'static str) -> InFlight<'_> {
        let now = self.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        let mut counts = lock(&self.counts);
        counts.in_flight_peak = counts.in_flight_peak.max(now);
        *counts.by_endpoint.entry(endpoint).or_default() += 1;
        InFlight(self)
    }

    pub(super) fn count_status(&self, status: u16) {
        *lock(&self.counts).by_status.entry(status).or_default() += 1;
    }

    pub(super) fn count_fault(&self, kind: FaultKind) {
        *lock(&self.counts).faults.entry(kind).or_default() += 1;
    }

    pub(super) fn count_issues(&self, issues: usize) {
        lock(&self.counts).issues_served += issues as u64;
    }

    /// What exists of a project; O(issues of the site).
    pub(super) fn totals(&self, project: u16) -> Totals {
        let catalogue = self.world.catalogue();
        let store = self.world.read();
        let mut totals = Totals::default();
        for issue in store.all_live().filter(|issue| issue.project == project) {
            let history = issue.history(&catalogue);
            let linked = link(self.seed, issue.id).is_some_and(|link| store.live(link.other).is_some());
            totals.issues += 1;
            totals.comments += issue.comment_count() as u64;
            totals.worklogs += issue.worklog_count() as u64;
            totals.changelog_entries += history.len() as u64;
            totals.changelog_items += history.iter().map(|event| event.items.len() as u64).sum::<u64>();
            totals.linked_issues += u64::from(linked);
        }
        totals
    }

    pub(super) fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        {
            let catalogue = self.world.catalogue();
            let store = self.world.read();
            for issue in store.all_live() {
                let key = &catalogue.projects[usize::from(issue.project)].key;
                match stats.issues.get_mut(key) {
                    Some(count) => *count += 1,
                    None => drop(stats.issues.insert(key.clone(), 1)),
                }
                stats.comments += issue.comment_count() as u64;
                stats.worklogs += issue.worklog_count() as u64;
            }
            stats.mutations = store.mutations;
        }
        let (limits, points_used, points_limited) = self.limiter.stats(self.world.now_ms());
        let counts = lock(&self.counts);
        Stats {
            limits,
            points_used,
            points_limited,
            oauth: self.oauth.stats(),
            requests: self.requests.load(Ordering::Relaxed),
            by_endpoint: counts.by_endpoint.clone(),
            by_status: counts.by_status.clone(),
            faults: counts.faults.clone(),
            issues_served: counts.issues_served,
            in_flight: self.in_flight.load(Ordering::Relaxed),
            in_flight_peak: counts.in_flight_peak,
            ..stats
        }
    }
}

/// A request that is being answered.
pub(super) struct InFlight<'a>(&'a Site);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

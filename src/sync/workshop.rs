//! What the steps share in a process: Jira clients by site, runs that are being worked on, pages that were just fetched.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use url::Url;
use uuid::Uuid;

use super::pace::Fleet;
use super::page_cache::PageCache;
use super::settings;
use super::tokens::SiteTokens;
use crate::clock::Clock;
use crate::config::{SecretsConfig, secret};
use crate::domain::failure::{Failure, FailureCode};
use crate::domain::setting::Settings;
use crate::domain::site_kind::SiteKind;
use crate::engine::{StepContext, StepError};
use crate::jira::site_clock::SiteClock;
use crate::jira::{Auth, FieldMap, HttpPool, JiraClient, SiteAccess};
use crate::store::Connections;
use crate::store::work::{self, Work};

/// How runs are carried out.
#[derive(Clone, Debug)]
pub struct Options {
    /// Issues asked for in one page, 1 to 5000; Jira gives at most 100 with fields.
    pub page_size: u32,
    /// How far an incremental window reaches back before its cursor: Jira's search is seconds to minutes behind its writes.
    pub overlap: TimeDelta,
    /// How many fetched pages of a partition may wait to be written.
    pub pages_in_flight: i32,
    /// A full run of more issues than this is divided; each part should hold about as many.
    pub partition_target_issues: u64,
    /// For one HTTP attempt.
    pub request_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            page_size: 100,
            overlap: TimeDelta::seconds(300),
            pages_in_flight: 4,
            partition_target_issues: 500,
            request_timeout: Duration::from_secs(30),
        }
    }
}

/// Shared by all steps of a process.
pub struct Workshop {
    options: Options,
    pub(super) pages: PageCache,
    http: HttpPool,
    fleet: Fleet,
    secrets: SecretsConfig,
    connections: Connections,
    jobs: Mutex<HashMap<Uuid, Arc<Job>>>,
    /// Of sites that are read by OAuth: kept, so that their tokens are asked for once.
    tokens: Mutex<HashMap<Uuid, Arc<SiteTokens>>>,
    /// What time it is on each site.
    clocks: Mutex<HashMap<Uuid, Arc<SiteClock>>>,
}

/// A run that is being worked on, with its site's client.
pub(super) struct Job {
    pub work: Work,
    pub jira: JiraClient,
    pub fields: FieldMap,
    /// How this run is carried out: the process' options, and what is set for the project over them.
    pub options: Options,
    limit: settings::Limit,
}

/// Runs that are kept in memory; more are loaded again when they are needed.
const MAX_JOBS: usize = 256;

impl Workshop {
    /// A workshop over the process' connections to Jira and to the database; `fleet` keeps the sites' limits.
    pub fn new(
        options: Options,
        http: HttpPool,
        fleet: Fleet,
        secrets: SecretsConfig,
        connections: Connections,
    ) -> Arc<Self> {
        Arc::new(Self {
            options,
            pages: PageCache::default(),
            http,
            fleet,
            secrets,
            connections,
            jobs: Mutex::default(),
            tokens: Mutex::default(),
            clocks: Mutex::default(),
        })
    }

    /// The run of a step.
    pub(super) async fn job(&self, context: &StepContext) -> Result<Arc<Job>, StepError> {
        let run_id = run_id(context)?;
        if let Some(job) = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).get(&run_id) {
            job.limit.check()?;
            return Ok(Arc::clone(job));
        }
        let work = context.hear(work::load(&context.pool, run_id)).await?;
        let work = work.ok_or_else(|| Failure::new(FailureCode::Internal, format!("run {run_id} does not exist")))?;
        let job = Arc::new(self.prepare(work, &context.clock)?);
        job.limit.check()?;
        // plan_run learns the project's id and the site's fields, here or in another process: nothing is kept before.
        if job.work.planned {
            let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
            if jobs.len() >= MAX_JOBS {
                jobs.clear();
            }
            jobs.insert(run_id, Arc::clone(&job));
        }
        Ok(job)
    }

    /// A step's run with its project, without the need of a usable site.
    pub(super) async fn work_of(&self, context: &StepContext) -> Result<Work, StepError> {
        let run_id = run_id(context)?;
        let work = context.hear(work::load(&context.pool, run_id)).await?;
        Ok(work.ok_or_else(|| Failure::new(FailureCode::Internal, format!("run {run_id} does not exist")))?)
    }

    /// Forgets a run: it ended, was planned anew, or its credentials were refused.
    pub(super) fn forget(&self, run_id: Uuid) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).remove(&run_id);
    }

    fn clock_of(&self, site_id: Uuid) -> Arc<SiteClock> {
        let mut clocks = self.clocks.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(clocks.entry(site_id).or_default())
    }

    pub(super) fn http(&self) -> &HttpPool {
        &self.http
    }

    pub(super) fn tokens_of(&self, work: &Work, clock: &Clock) -> Arc<SiteTokens> {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || {
            let site = (work.site_id, work.site_name.as_str());
            SiteTokens::new(site, self.connections.clone(), self.http.clone(), self.secrets.clone(), clock.clone())
        };
        Arc::clone(tokens.entry(work.site_id).or_insert_with(make))
    }

    fn prepare(&self, work: Work, clock: &Clock) -> Result<Job, Failure> {
        let set = Settings::new(&work.settings);
        let options = settings::over(&self.options, &set);
        let base_url = Url::parse(&work.base_url).map_err(|error| {
            Failure::new(FailureCode::Config, format!("site {}: its URL cannot be used: {error}", work.site_name))
        })?;
        let token = || {
            secret::resolve(&work.credential, &work.site_name, &self.secrets)
                .map_err(|error| Failure::new(FailureCode::Config, format!("site {}: {error}", work.site_name)))
        };
        let auth = match work.site_auth.as_str() {
            "oauth" => Auth::OAuth(self.tokens_of(&work, clock)),
            "bearer" => Auth::Bearer { token: token()? },
            _ => Auth::Basic { user: work.account_email.clone(), token: token()? },
        };
        let access = SiteAccess {
            name: work.site_name.clone(),
            base_url,
            kind: SiteKind::parse(&work.site_kind).unwrap_or_default(),
            auth,
            request_timeout: options.request_timeout,
        };
        let jira = JiraClient::new(&self.http, access)?
            .paced(self.fleet.site(work.site_id))
            .reading(self.clock_of(work.site_id));
        let fields = work.field_map.as_ref().map(field_map).unwrap_or_default();
        let fields = fields.with_story_points(work.story_points_field.as_deref());
        let limit = settings::Limit::new(&set, work.running_seconds);
        Ok(Job { work, jira, fields, options, limit })
    }
}

/// The custom fields as they are stored with the site.
pub(super) fn field_map(stored: &serde_json::Value) -> FieldMap {
    serde::Deserialize::deserialize(stored).unwrap_or_default()
}

/// The same, to be stored.
pub(super) fn stored_field_map(fields: &FieldMap) -> serde_json::Value {
    serde_json::to_value(fields).unwrap_or_default()
}

/// The run of a step; sync steps never stand alone.
pub(super) fn run_id(context: &StepContext) -> Result<Uuid, Failure> {
    context
        .step
        .run_id
        .ok_or_else(|| Failure::new(FailureCode::Internal, format!("step {} has no run", context.step.kind)))
}

impl Job {
    /// The gates of requests to one endpoint of the site: the site's, then the endpoint's.
    pub fn gates(&self, endpoint: &str) -> Vec<String> {
        let site = format!("site:{}", self.work.site_id);
        let endpoint = format!("{site}/{endpoint}");
        vec![site, endpoint]
    }
}

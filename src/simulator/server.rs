//! Starting, steering and stopping a simulated site.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::connection::{Connection, Resettable};
use super::faults::{FaultPlan, FaultRule, Faults};
use super::mutation::{self, Change, Mutation};
use super::options::Options;
use super::routes::router;
use super::site::{Site, Stats, Totals, lock, micros};
use super::webhook::{self, WebhookStats, Webhooks};
use super::webhook_body;

/// Why a site could not be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The options contradict each other.
    #[error("{0}")]
    Options(String),
    /// The address is taken or not ours.
    #[error("the simulated Jira cannot listen on {address}: choose another address, or port 0 for any free one")]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// What the system answered.
        source: std::io::Error,
    },
}

/// A Jira site in this process.
#[derive(Debug)]
pub struct Simulator;

impl Simulator {
    /// Makes the site and serves it on `address` (port 0 for any free one) until the handle is stopped or dropped.
    pub async fn start(options: Options, address: SocketAddr) -> Result<Handle, Error> {
        options.check().map_err(Error::Options)?;
        let failed = |source| Error::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let base_url = format!("http://{address}{}", options.context_path);
        let control = Control(Arc::new(Site::new(&options, base_url.clone())));
        let service = router(control.clone()).into_make_service_with_connect_info::<Connection>();
        let (stop, stopped) = watch::channel(false);
        let mut wanted = stopped.clone();
        let server = axum::serve(Resettable(listener), service).with_graceful_shutdown(async move {
            // A dropped handle stops the site as well.
            let _ = wanted.wait_for(|stop| *stop).await;
        });
        let server =
            tokio::spawn(async move { server.await.map_err(|error| tracing::warn!(%error, "simulator ended")) });
        let mutator = tokio::spawn(mutate_steadily(control.clone(), stopped));
        Ok(Handle { base_url, control, stop, server, mutator })
    }
}

/// A running site.
#[derive(Debug)]
pub struct Handle {
    base_url: String,
    control: Control,
    stop: watch::Sender<bool>,
    server: JoinHandle<Result<(), ()>>,
    mutator: JoinHandle<()>,
}

impl Handle {
    /// Where the site is, such as `http://127.0.0.1:41234`.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The hands on the site.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Stops accepting and lets requests finish, for up to two seconds; those held by a fault end at once.
    pub async fn stop(mut self) {
        const GRACE: Duration = Duration::from_secs(2);
        self.control.set_paused(false);
        self.control.0.closing.send_replace(true);
        self.stop.send_replace(true);
        // A task whose end was already waited for must not be waited for again.
        if !self.server.is_finished() && tokio::time::timeout(GRACE, &mut self.server).await.is_err() {
            self.server.abort();
        }
        if !self.mutator.is_finished() {
            let _ = (&mut self.mutator).await;
        }
    }

    /// Waits until the server ends, which it does only when it is stopped or its socket fails.
    pub async fn wait(&mut self) {
        if self.server.is_finished() {
            return;
        }
        let _ = (&mut self.server).await;
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.server.abort();
        self.mutator.abort();
    }
}

/// Changes a site while it runs. Cheap to clone; the admin endpoints do the same over HTTP.
#[derive(Clone)]
pub struct Control(pub(super) Arc<Site>);

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").field("base_url", &self.0.world.catalogue().base_url).finish_non_exhaustive()
    }
}

impl Control {
    /// A site that is not served yet; `base_url` stands in the links of its answers.
    pub fn new(options: &Options, base_url: impl Into<String>) -> Self {
        Self(Arc::new(Site::new(options, base_url.into())))
    }

    /// Carries out the next `count` mutations of the seeded history; fewer when the site has hardly any issues.
    pub fn mutate(&self, count: usize) -> Vec<Change> {
        let changes = self.0.world.mutate(count);
        self.announce(&changes);
        changes
    }

    /// Carries out one mutation.
    pub fn apply(&self, mutation: Mutation) -> Result<Change, mutation::Error> {
        let change = self.0.world.apply(mutation)?;
        self.announce(std::slice::from_ref(&change));
        Ok(change)
    }

    fn announce(&self, changes: &[Change]) {
        if let Some(sender) = lock(&self.0.webhooks).as_ref() {
            let world = &self.0.world;
            let touched = world.write().touched.as_mut().map(std::mem::take).unwrap_or_default();
            let named = |id: &u64| changes.iter().any(|change| change.issue_id == *id);
            let said = changes.iter().filter_map(|change| webhook_body::of(world, change));
            said.for_each(|body| sender.announce(&body));
            // The other end of a link, children: they change with what was done, and Jira tells of them too.
            let others = touched.into_iter().filter(|id| !named(id));
            others.filter_map(|id| webhook_body::of_touched(world, id)).for_each(|body| sender.announce(&body));
        }
    }

    /// Sends a webhook for each change from now on; none where nothing is given. Needs a runtime.
    pub fn set_webhooks(&self, how: Option<Webhooks>) {
        self.0.world.write().touched = how.is_some().then(Vec::new);
        *lock(&self.0.webhooks) = how.map(|how| webhook::Sender::start(self.0.seed, how));
    }

    /// What became of the webhooks since they were asked for.
    pub fn webhooks(&self) -> WebhookStats {
        lock(&self.0.webhooks).as_ref().map(webhook::Sender::stats).unwrap_or_default()
    }

    /// Random mutations per second from now on; 0 for none.
    pub fn set_mutations_per_second(&self, rate: f64) {
        self.0.mutations_per_second.send_replace(if rate.is_finite() { rate.clamp(0.0, 100_000.0) } else { 0.0 });
    }

    /// Replaces what goes wrong; counting for scheduled faults starts anew.
    pub fn set_faults(&self, plan: FaultPlan) {
        *lock(&self.0.faults) = Faults::new(self.0.seed, plan);
    }

    /// Adds one scheduled fault to the others.
    pub fn add_fault(&self, rule: FaultRule) {
        lock(&self.0.faults).add(rule);
    }

    /// What goes wrong now.
    pub fn faults(&self) -> FaultPlan {
        lock(&self.0.faults).plan().clone()
    }

    /// Holds every request until it is called with false.
    pub fn set_paused(&self, paused: bool) {
        self.0.paused.send_replace(paused);
    }

    /// Time added to every answer, and the most that chance adds to it.
    pub fn set_latency(&self, latency: Duration, jitter: Duration) {
        self.0.latency_micros.store(micros(latency), Ordering::Relaxed);
        self.0.jitter_micros.store(micros(jitter), Ordering::Relaxed);
    }

    /// Suspends the site: its front door answers 404 to everything, and nothing has been deleted.
    pub fn set_suspended(&self, suspended: bool) {
        self.0.suspended.store(suspended, Ordering::Relaxed);
    }

    /// Ignores all credentials, as after a token was lost: search answers 200 with nothing.
    pub fn set_anonymous(&self, anonymous: bool) {
        self.0.anonymous.store(anonymous, Ordering::Relaxed);
    }

    /// Ends all OAuth access tokens now, as their lifetime would.
    pub fn expire_access_tokens(&self) {
        self.0.oauth.expire();
    }

    /// Withdraws the OAuth consent: refresh tokens no longer count either.
    pub fn revoke_consent(&self) {
        self.0.oauth.revoke();
    }

    /// By which `/ex/jira/{cloudId}` knows the site.
    pub fn cloud_id(&self) -> &str {
        &self.0.cloud_id
    }

    /// How far search is behind writes that are made from now on.
    pub fn set_search_lag(&self, lag: Duration) {
        self.0.world.set_search_lag_ms(i64::try_from(lag.as_millis()).unwrap_or(i64::MAX / 2));
    }

    /// Puts the clocks of the site's nodes so many seconds off; requests and changes go to the nodes in turn.
    pub fn set_clock_offsets(&self, seconds: &[i64]) {
        let offsets: Vec<i64> = seconds.iter().map(|seconds| seconds.saturating_mul(1_000)).collect();
        self.0.world.set_offsets_ms(&offsets);
    }

    /// Leaves `isLast` out of search pages.
    pub fn set_omit_is_last(&self, omit: bool) {
        self.0.omit_is_last.store(omit, Ordering::Relaxed);
    }

    /// What has happened so far. Counts comments of all issues: O(issues).
    pub fn stats(&self) -> Stats {
        self.0.stats()
    }

    /// What exists of a project; all zeros when there is no such project. O(issues of the site).
    pub fn totals(&self, project_key: &str) -> Totals {
        let project = self.0.world.catalogue().project(project_key);
        project.map_or(Totals::default(), |project| self.0.totals(project))
    }

    /// Ids of the issues that exist in a project, ascending; empty when there is no such project.
    pub fn issue_ids(&self, project_key: &str) -> Vec<u64> {
        let Some(project) = self.0.world.catalogue().project(project_key) else { return Vec::new() };
        let store = self.0.world.read();
        store.all_live().filter(|issue| issue.project == project).map(|issue| issue.id).collect()
    }
}

async fn mutate_steadily(control: Control, mut stopped: watch::Receiver<bool>) {
    const TICK: Duration = Duration::from_millis(20);
    let mut rates = control.0.mutations_per_second.subscribe();
    let mut owed = 0.0;
    let mut since = Instant::now();
    loop {
        let rate = *rates.borrow_and_update();
        let ticking = rate > 0.0;
        tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => return,
            _ = rates.changed() => {}
            () = tokio::time::sleep(TICK), if ticking => {}
        }
        let elapsed = since.elapsed().as_secs_f64();
        since = Instant::now();
        owed += if ticking { elapsed * rate } else { 0.0 };
        let due = owed.floor();
        owed -= due;
        control.mutate(due as usize);
    }
}

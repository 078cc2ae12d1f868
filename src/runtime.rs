//! The composition root: what a worker process is made of, how it starts, and how it stops.
//!
//! What must hold: a worker that is asked to stop claims nothing more, finishes or hands back its steps within the grace
//! period, and spends no attempt; it ends soon after that period, whatever hangs; a second signal ends it at once. Every loop
//! has a heartbeat, so that `/healthz` names the one that hangs.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use futures::FutureExt;
use futures::future::BoxFuture;
use secrecy::ExposeSecret;
use sqlx::PgPool;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::alert::template::Templates;
use crate::api;
use crate::cli::{self, Parts, Served};
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::episode::Timings;
use crate::domain::setting::{self, Settings};
use crate::engine::{Engine, EngineOptions, RetryOptions, Tuning};
use crate::http::admin;
use crate::jira::HttpPool;
use crate::observe::health::{ALLOWED_SILENCE, Heartbeat, Heartbeats, Readiness, State};
use crate::observe::{events, metrics};
use crate::queue::{self, Heard, QueueOptions};
use crate::scheduler;
use crate::store;
use crate::store::Connections;
use crate::store::patience::{ANSWER, again};
use crate::sync::pace::Fleet;
use crate::sync::{self, Workshop};
use crate::telemetry::{self, AnalyseRun, Channels, DeliverAlert, Keeper};
use crate::tls;

mod serve;
mod sources;
mod start;

use serve::{Api, serve};
use sources::{gauge_options, sources};
pub use start::stop_signal;
use start::warn_of_newer_schema;

/// How long threads that wait for the system (a name that is looked up) may keep a process that has ended.
const LEFT_BEHIND: Duration = Duration::from_millis(200);

/// The program: parse, run, exit code. Here and not in `main.rs`, because a future is compiled by the crate that awaits it.
pub fn main() -> ExitCode {
    tls::install();
    if cli::complete() {
        return ExitCode::SUCCESS;
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(problem) => {
            let problem = cli::Error::failure(format!("no threads can be started: {problem}"));
            problem.print();
            return problem.exit.into();
        }
    };
    let exit = runtime.block_on(async {
        match cli::parse() {
            Ok(asked) => cli::main(asked, work).await,
            Err(exit) => exit,
        }
    });
    runtime.shutdown_timeout(LEFT_BEHIND);
    exit.into()
}

/// A worker process that is running.
pub struct Worker {
    /// Where probes and metrics are served.
    pub admin: Option<SocketAddr>,
    connections: Connections,
    stop: CancellationToken,
    limit: Duration,
    tasks: JoinSet<()>,
    server: Option<admin::Server>,
}

/// How long after the grace period a worker may still be there: time enough to hand back its steps and leave the fleet.
const AFTER_GRACE: Duration = Duration::from_secs(8);

impl Worker {
    /// Checks the schema's version and starts everything: admin server, queue workers, scheduler.
    pub async fn start(config: &Config, pool: PgPool, clock: Clock) -> anyhow::Result<Self> {
        warn_of_newer_schema(store::check_version(&pool).await?);
        // Before anything is decided: this machine's clock may be wrong.
        again(|| store::within(ANSWER, store::clock::follow(&pool, &clock))).await?;
        let connections = Connections::from(pool);
        let readiness = Readiness::default();
        let heartbeats = Heartbeats::default();
        let server = match config.http.address {
            Some(address) => {
                let sources = sources(gauge_options(config), &connections, &readiness, &heartbeats)?;
                Some(admin::serve(address, config.http.may_move, sources).await?)
            }
            None => None,
        };
        let fleet = Fleet::new(connections.clone(), clock.clone());
        let http = HttpPool::new(clock.clone())?.with_answer_limit(config.sync.answer_limit_bytes());
        let workshop = Workshop::new(sync_options(config), http, fleet, config.secrets.clone(), connections.clone());
        let rules = config.telemetry.rules();
        let channels = Channels::new(config.secrets.clone(), clock.clone());
        let mut steps = sync::steps(&workshop);
        steps.push(Arc::new(AnalyseRun(Arc::new(rules.clone()))));
        steps.push(Arc::new(DeliverAlert::new(channels.clone())));
        let engine = Engine::new(connections.clone(), clock.clone(), steps, engine_options(config));
        let stop = CancellationToken::new();
        let heard = Heard::default();
        let mut tasks = JoinSet::new();
        let options = queue_options(config, &heartbeats);
        tasks.spawn(queue::run(engine.clone(), options, heard.clone(), stop.clone()));
        let beats = |name| heartbeats.register(name, ALLOWED_SILENCE);
        let beat = beats("scheduler");
        tasks.spawn(scheduler::run(connections.clone(), clock.clone(), heard.schedules, beat, stop.clone()));
        tasks.spawn(scheduler::hints::run(connections.clone(), beats("hints"), stop.clone()));
        let (time, beat) = (clock.clone(), beats("clock"));
        tasks.spawn(scheduler::keep_time(engine.clone(), connections.clone(), time, beat, stop.clone()));
        tasks.spawn(telemetry::watch(connections.clone(), clock.clone(), rules, beats("watch"), stop.clone()));
        tasks.spawn(telemetry::probe(connections.clone(), clock.clone(), channels, beats("probe"), stop.clone()));
        let keeper = Keeper::new(connections.clone(), clock.clone(), timings(config), templates(config));
        tasks.spawn(telemetry::keep(keeper, heard.alerts, beats("keeper"), stop.clone()));
        let (set, beat) = (Arc::new(Notify::new()), beats("janitor"));
        tasks.spawn(scheduler::janitor::run(connections.clone(), clock, Arc::clone(&set), beat, stop.clone()));
        let settings = follow_settings(engine.clone(), connections.clone(), config.clone(), set, beats("settings"));
        tasks.spawn(stop.clone().run_until_cancelled_owned(settings).map(drop));
        tasks.spawn(watch(engine, readiness, stop.clone()));
        let limit = Duration::from_secs(u64::from(config.queue.grace_seconds)) + AFTER_GRACE;
        Ok(Self { admin: server.as_ref().map(admin::Server::address), connections, stop, limit, tasks, server })
    }

    /// Runs until SIGTERM or SIGINT, then stops gracefully; a second signal gives up waiting.
    pub async fn run_until_signal(self) -> anyhow::Result<()> {
        stop_signal().await?;
        tokio::select! {
            () = self.stop() => Ok(()),
            second = stop_signal() => {
                second?;
                anyhow::bail!("stopped at once by a second signal; other workers take over the steps when the lease \
                    expires")
            }
        }
    }

    /// Stops gracefully, and in time: what still hangs after the grace period is left behind.
    pub async fn stop(self) {
        self.stop.cancel();
        if tokio::time::timeout(self.limit, self.tasks.join_all()).await.is_err() {
            tracing::error!(
                event = events::WORKER_STOPPED,
                "something hangs; exiting anyway, other workers take over the steps"
            );
        }
        if let Some(server) = self.server {
            server.stop().await;
        }
    }
}

/// `syncline worker` and `syncline up`: a worker until SIGTERM or SIGINT. `announce` hears where probes and metrics are
/// served once it works.
pub fn work<'a>(
    context: &'a cli::Context,
    parts: Parts,
    announce: cli::Announce<'a>,
) -> BoxFuture<'a, anyhow::Result<()>> {
    Box::pin(async move {
        if matches!(parts, Parts::Api | Parts::Webhooks) {
            let server = Api::start(context, parts).await?;
            announce(Served {
                admin: server.admin.as_ref().map(admin::Server::address),
                api: Some(server.api.address()),
            });
            return server.run_until_signal().await;
        }
        let worker = Worker::start(&context.config, context.pool.clone(), context.clock.clone()).await?;
        let api = match parts {
            Parts::All => Some(serve(&context.config, worker.connections.clone(), context.clock.clone()).await?),
            Parts::Worker | Parts::Api | Parts::Webhooks => None,
        };
        announce(Served { admin: worker.admin, api: api.as_ref().map(api::Server::address) });
        scheduler::say_outlook(&context.pool).await;
        let outcome = worker.run_until_signal().await;
        if let Some(api) = api {
            api.stop().await;
        }
        outcome
    })
}

/// Keeps the readiness true to what the process can do.
async fn watch(engine: Engine, readiness: Readiness, stop: CancellationToken) {
    readiness.set(State::Ready);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
        readiness.set(if engine.database_lost() { State::DatabaseLost } else { State::Ready });
        engine.report_slots();
        report_pool(&engine.pool());
    }
    readiness.set(State::Draining);
}

fn report_pool(pool: &PgPool) {
    let count = |connections: u32| usize::try_from(connections).unwrap_or(usize::MAX);
    let (open, idle, limit) = (count(pool.size()), pool.num_idle(), count(pool.options().get_max_connections()));
    metrics::db_pool(idle, open.saturating_sub(idle), limit.saturating_sub(open));
}

/// How often settings for all are looked for.
const SETTINGS_EVERY: Duration = Duration::from_secs(5);

/// Keeps the engine as the settings for all say; what is taken back is as configured again.
async fn follow_settings(
    engine: Engine,
    connections: Connections,
    config: Config,
    changed: Arc<Notify>,
    heartbeat: Heartbeat,
) {
    let mut followed = Settings::default();
    let mut is_first = true;
    loop {
        // A database that is away is told of elsewhere: what was set stays in force.
        if let Ok(set) = store::within(ANSWER, store::setting::in_force(&connections.now(), None, None)).await
            && set != followed
        {
            let options = tuned(engine_options(&config), &set);
            let tuning = Tuning { retry: options.retry, max_attempts: options.max_attempts };
            engine.tune(tuning, options.concurrency);
            let most = set.whole(&setting::CONNECTION_POOL).unwrap_or(config.database.max_connections);
            connections.allow(most);
            tracing::info!(
                event = events::SETTINGS_CHANGED,
                workers = options.concurrency[0],
                max_attempts = options.max_attempts,
                backoff_base_seconds = options.retry.base.as_secs_f64(),
                backoff_factor = options.retry.factor,
                backoff_max_seconds = options.retry.cap.as_secs_f64(),
                rate_pause_seconds = options.retry.rate_pause.as_secs_f64(),
                connection_pool = most,
            );
            followed = set;
            if !is_first {
                changed.notify_one();
            }
        }
        is_first = false;
        heartbeat.rest(tokio::time::sleep(SETTINGS_EVERY)).await;
    }
}

/// `options` with what is set for all over them.
fn tuned(mut options: EngineOptions, set: &Settings) -> EngineOptions {
    let seconds =
        |key, configured| set.whole(key).map_or(configured, |seconds| Duration::from_secs(u64::from(seconds)));
    let retry = &mut options.retry;
    retry.base = seconds(&setting::BACKOFF_BASE, retry.base);
    // One of the two may have been set without a look at the other.
    retry.cap = seconds(&setting::BACKOFF_MAX, retry.cap).max(retry.base);
    retry.factor = set.number(&setting::BACKOFF_FACTOR).unwrap_or(retry.factor);
    retry.rate_pause = seconds(&setting::RATE_PAUSE, retry.rate_pause);
    if let Some(workers) = set.whole(&setting::WORKERS) {
        options.concurrency[0] = workers as usize;
    }
    if let Some(attempts) = set.whole(&setting::MAX_ATTEMPTS).and_then(|attempts| i16::try_from(attempts).ok()) {
        options.max_attempts = attempts;
    }
    options
}

/// How the engine is told to work.
pub fn engine_options(config: &Config) -> EngineOptions {
    let queue = &config.queue;
    EngineOptions {
        concurrency: [queue.workers, queue.store_concurrency, queue.control_concurrency].map(|n| n as usize),
        retry: RetryOptions {
            base: Duration::from_secs(u64::from(queue.backoff_base_seconds)),
            cap: Duration::from_secs(u64::from(queue.backoff_max_seconds)),
            ..RetryOptions::default()
        },
        max_attempts: i16::try_from(queue.max_attempts).unwrap_or(i16::MAX),
        ..EngineOptions::default()
    }
}

/// How runs are told to work.
pub fn sync_options(config: &Config) -> sync::Options {
    let options = &config.sync;
    sync::Options {
        page_size: options.page_size,
        overlap: TimeDelta::seconds(i64::from(options.overlap_seconds)),
        pages_in_flight: i32::try_from(options.pages_in_flight).unwrap_or(i32::MAX),
        partition_target_issues: u64::from(options.partition_target_issues),
        request_timeout: Duration::from_secs(u64::from(options.request_timeout_seconds)),
    }
}

/// When people hear of alerts.
pub fn timings(config: &Config) -> Timings {
    let alerts = &config.alerts;
    let seconds = |n: u32| TimeDelta::seconds(i64::from(n));
    Timings {
        group_wait: seconds(alerts.group_wait_seconds),
        reminder: seconds(alerts.reminder_seconds),
        flap_window: seconds(alerts.flap_window_seconds),
        resolve_wait: seconds(alerts.resolve_wait_seconds),
        ..Timings::default()
    }
}

/// The templates of messages; those of the configured folder that cannot be used are named in the log.
fn templates(config: &Config) -> Templates {
    let pages = config.alerts.pages().into();
    let Some(folder) = &config.alerts.templates else { return Templates::built_in().linking(pages) };
    let (templates, problems) = Templates::with_folder(folder);
    for problem in problems {
        tracing::warn!(event = events::TEMPLATE_FAILED, %problem, "a built-in template is used instead");
    }
    templates.linking(pages)
}

fn queue_options(config: &Config, heartbeats: &Heartbeats) -> QueueOptions {
    let queue = &config.queue;
    let seconds = |n: u32| Duration::from_secs(u64::from(n));
    QueueOptions {
        lease: seconds(queue.lease_seconds),
        pulse: seconds(queue.pulse_seconds),
        grace: seconds(queue.grace_seconds),
        direct_url: config.database.direct_url.as_ref().map(|url| url.expose_secret().to_owned()),
        host: host_name(),
        heartbeats: heartbeats.clone(),
    }
}

/// The name of this machine, for operators; never an identity.
fn host_name() -> String {
    std::env::var("HOSTNAME")
        .ok()
        .or_else(|| std::fs::read_to_string("/etc/hostname").ok())
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "unknown".to_owned())
}

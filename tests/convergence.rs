//! After any seeded history of changes and faults, the replica is what Jira shows.
//!
//! A seed decides a small Jira and what happens to it: changes while syncs run, faults of every kind that passes, lag of
//! search behind writes, lost credentials, workers that are killed. Then everything is calm for one more sync, and `verify`
//! must find nothing but issues that are gone, and nothing at all after its repair.
//!
//! Some sites have clocks that are wrong, or nodes whose clocks differ, some issues are dated ahead or back, and some workers
//! run on machines whose clocks are off by hours or by years.
//!
//! One in four plays on a Data Center, and in one in five answers are poorer than the site: they leave lists and values out, show
//! records twice, or show by one way of asking what another does not. `SYNCLINE_SEEDS=1000` tries more seeds than the usual 72, `SYNCLINE_SEED=42` a single
//! one, `SYNCLINE_KIND=data-center` (or `cloud`) has all of them play there, `SYNCLINE_REPEAT=60` plays each so often side by
//! side, for what a busy machine's timing brings out.

use std::collections::BTreeSet;
use std::io::Write;
use std::ops::Range;
use std::sync::Mutex;
use std::time::Duration;

use chrono::TimeDelta;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use sqlx::PgPool;
use syncline::clock::Clock;
use syncline::config::Config;
use syncline::domain::site_kind::SiteKind;
use syncline::jira::{Auth, HttpPool, JiraClient, SiteAccess};
use syncline::runtime::Worker;
use syncline::simulator::{
    self, Amount, FaultKind, FaultPlan, FaultRule, Handle, Kind, Mutation, Options, ProjectSpec, Simulator, Term,
};
use syncline::store::{self, PoolOptions};
use syncline::verify::{self, Reason, Report, Scope};
use uuid::Uuid;

use crate::support::{TestDb, ended, enqueue};

/// Seeds that are tried when nobody asks for another number.
const SEEDS: u64 = 72;
/// Tests that share them, so that one that fails is not all of them.
const SHARES: u64 = 4;
/// Histories of one share that run at once: they wait out pauses most of their time, so that twelve keep two cores busy.
const LANES: usize = 12;
/// How far search may be behind writes; less than the overlap of windows.
const LONGEST_LAG: Duration = Duration::from_millis(700);
const OVERLAP_SECONDS: u32 = 2;

macro_rules! shares {
    ($($name:ident => $share:literal,)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                converge($share).await;
            }
        )+
    };
}

shares! {
    replicas_converge_0 => 0,
    replicas_converge_1 => 1,
    replicas_converge_2 => 2,
    replicas_converge_3 => 3,
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

fn seeds(share: u64) -> Range<u64> {
    if let Some(seed) = number("SYNCLINE_SEED") {
        return if share == 0 { seed..seed + 1 } else { 0..0 };
    }
    let all = number("SYNCLINE_SEEDS").unwrap_or(SEEDS);
    all * share / SHARES..all * (share + 1) / SHARES
}

async fn converge(share: u64) {
    let times = number("SYNCLINE_REPEAT").unwrap_or(1);
    let seeds = Mutex::new(seeds(share).flat_map(|seed| (0..times).map(move |_| seed)));
    let next = || seeds.lock().unwrap().next();
    // Each lane has a database of its own.
    let lanes = (0..LANES).map(async |_| {
        let mut seed = next()?;
        let db = TestDb::new().await;
        loop {
            let history = History::new(&db, seed).await;
            // A history that hangs must say which one it is.
            let outcome = tokio::time::timeout(Duration::from_secs(480), history.run()).await;
            outcome.unwrap_or_else(|_| panic!("seed {seed} took too long"));
            seed = match next() {
                Some(seed) => seed,
                None => break,
            };
        }
        let locked_crosswise: i64 =
            sqlx::query_scalar("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
                .fetch_one(db.pool())
                .await
                .unwrap();
        assert_eq!(locked_crosswise, 0, "deadlocks up to seed {seed}: the server's log names the statements");
        Some(db)
    });
    // Dropping a database holds this thread up, and waits for sessions that are just being opened by lanes which are held up
    // with it: none is dropped before all have ended.
    drop(futures::future::join_all(lanes).await);
}

struct History<'a> {
    db: &'a TestDb,
    seed: u64,
    dice: SmallRng,
    /// Decides about clocks; apart from the rest, so that a history is what it was before there were any.
    clocks: SmallRng,
    /// Issues were dated back: only a run that looks at all of them sees that.
    dated_back: bool,
    jira: Handle,
    kind: SiteKind,
    site: String,
    site_id: Uuid,
    token: tempfile::NamedTempFile,
    config: Config,
    /// With a pool each, as processes have.
    workers: Vec<(Worker, PgPool)>,
    /// Answers are poorer than the site now and then: what they leave out, or show twice, or one way only.
    poorer: bool,
}

const PROJECTS: [&str; 2] = ["ONE", "TWO"];

impl<'a> History<'a> {
    async fn new(db: &'a TestDb, seed: u64) -> Self {
        let mut dice = SmallRng::seed_from_u64(seed);
        let mut options = Options::new(Clock::system());
        options.seed = seed;
        let kind = match std::env::var("SYNCLINE_KIND").as_deref() {
            Ok("data-center") => SiteKind::DataCenter,
            Ok("cloud") => SiteKind::Cloud,
            Ok(other) => panic!("SYNCLINE_KIND={other} is neither cloud nor data-center"),
            Err(_) if seed % 4 == 2 => SiteKind::DataCenter,
            Err(_) => SiteKind::Cloud,
        };
        if kind == SiteKind::DataCenter {
            options.kind = Kind::DataCenter;
        }
        options.projects =
            PROJECTS.map(|key| ProjectSpec { key: key.to_owned(), name: key.to_owned(), issues: None }).to_vec();
        options.issues = dice.random_range(60..=150);
        options.people = 8;
        options.comments = Amount::About(dice.random_range(0.5..4.0));
        options.worklogs = Amount::About(dice.random_range(0.5..3.0));
        options.long_threads = 0.04;
        options.omit_is_last = dice.random_bool(0.3);
        options.latency = Duration::from_millis(dice.random_range(0..6));
        options.latency_jitter = Duration::from_millis(dice.random_range(0..6));
        let jira = Simulator::start(options, ([127, 0, 0, 1], 0).into()).await.unwrap();
        let mut clocks = SmallRng::seed_from_u64(seed ^ 0x00C1_0C45);
        if clocks.random_bool(0.4) {
            const OFFSETS: [&[i64]; 5] = [&[480], &[-480], &[0, 480], &[0, -480], &[-30, 0, 30]];
            jira.control().set_clock_offsets(OFFSETS[clocks.random_range(0..OFFSETS.len())]);
        }

        let mut token = tempfile::NamedTempFile::new().unwrap();
        token.write_all(simulator::DEFAULT_TOKEN.as_bytes()).unwrap();
        let site_id = Clock::system().new_id();
        let site = format!("seed-{seed}-{}", site_id.simple());
        sqlx::query(
            "INSERT INTO syncline.site (id, name, base_url, account_email, credential, kind, max_concurrency)
             VALUES ($1, $2, $3, $4, $5, $6, 4)",
        )
        .bind(site_id)
        .bind(&site)
        .bind(jira.base_url())
        .bind(simulator::DEFAULT_EMAIL)
        .bind(format!("file:{}", token.path().display()))
        .bind(kind.as_str())
        .execute(db.pool())
        .await
        .unwrap();
        sqlx::query(
            "INSERT INTO syncline.project (id, site_id, key) SELECT syncline.new_id(), $1, k FROM unnest($2::text[]) k",
        )
        .bind(site_id)
        .bind(PROJECTS.map(str::to_owned))
        .execute(db.pool())
        .await
        .unwrap();

        let mut config = Config::default();
        config.http.address = None;
        config.queue.backoff_base_seconds = 1;
        config.queue.backoff_max_seconds = 1;
        config.queue.grace_seconds = 1;
        config.sync.page_size = dice.random_range(4..=12);
        config.sync.pages_in_flight = dice.random_range(1..=3);
        config.sync.partition_target_issues = dice.random_range(8..=20);
        config.sync.overlap_seconds = OVERLAP_SECONDS;
        config.sync.request_timeout_seconds = 1;
        let poorer = seed % 5 == 3;
        let (dated_back, workers) = (false, Vec::new());
        Self { db, seed, dice, clocks, dated_back, jira, kind, site, site_id, token, config, workers, poorer }
    }

    async fn run(mut self) {
        self.start_worker().await;
        for round in 0..self.dice.random_range(2..=4) {
            self.trouble(round).await;
        }
        self.calm().await;
        self.sync_until_it_succeeds().await;
        self.judge().await;
        for (worker, pool) in self.workers {
            worker.stop().await;
            pool.close().await;
        }
        self.jira.stop().await;
    }

    /// One that does not come up is started again, as an orchestrator does with a pod.
    async fn start_worker(&mut self) {
        let options = PoolOptions { max_connections: 6, ..PoolOptions::default() };
        const OFF_HOURS: [i64; 4] = [2, -2, 400 * 24, -400 * 24];
        let off_hours = if self.clocks.random_bool(0.3) { OFF_HOURS[self.clocks.random_range(0..4)] } else { 0 };
        for last in [false, false, false, true] {
            let started = async {
                let pool = store::connect(&self.db.secret_url(), &options).await?;
                let clock = Clock::off_by(TimeDelta::hours(off_hours));
                let worker = Worker::start(&self.config, pool.clone(), clock).await?;
                Ok::<_, anyhow::Error>((worker, pool))
            };
            match started.await {
                Ok(worker) => return self.workers.push(worker),
                Err(problem) if last => panic!("no worker comes up: {problem:#}"),
                Err(_) => {}
            }
        }
    }

    /// Nothing is finished and nothing is handed back.
    async fn kill_worker(&mut self) {
        let (worker, pool) = self.workers.remove(0);
        drop(worker);
        pool.close().await;
    }

    fn project(&self, key: &str) -> String {
        format!("{}/{key}", self.site)
    }

    /// Syncs both projects while Jira changes and fails.
    async fn trouble(&mut self, round: usize) {
        let control = self.jira.control().clone();
        control.set_faults(self.faults());
        let lag = if self.dice.random_bool(0.5) {
            self.dice.random_range(Duration::ZERO..LONGEST_LAG)
        } else {
            Duration::ZERO
        };
        control.set_search_lag(lag);
        let expired = self.dice.random_bool(0.15);
        if expired {
            std::fs::write(self.token.path(), "expired").unwrap();
        }
        let kind = if round == 0 || self.dice.random_bool(0.25) { "full" } else { "incremental" };
        let mut runs = Vec::new();
        for key in PROJECTS {
            runs.push(enqueue(self.db.pool(), &self.project(key), kind).await);
        }
        control.set_mutations_per_second(self.dice.random_range(20.0..400.0));
        tokio::time::sleep(Duration::from_millis(self.dice.random_range(5..250))).await;
        self.date_some();
        if self.dice.random_bool(0.5) {
            self.rename(round);
        }
        if expired {
            std::fs::write(self.token.path(), simulator::DEFAULT_TOKEN).unwrap();
        }
        if self.dice.random_bool(0.35) {
            self.kill_worker().await;
            for _ in self.workers.len()..self.dice.random_range(1..=2) {
                self.start_worker().await;
            }
        } else if self.dice.random_bool(0.15) {
            let run = runs[self.dice.random_range(0..runs.len())];
            sqlx::query("SELECT syncline.cancel_run($1)").bind(run).execute(self.db.pool()).await.unwrap();
        }
        if self.dice.random_bool(0.3) {
            runs.push(enqueue(self.db.pool(), &self.project(PROJECTS[0]), "incremental").await);
        }
        if self.poorer && round > 0 {
            // What one way shows is not to be marked as gone.
            let asked = sqlx::query_scalar("SELECT syncline.request_reconcile($1, requested_by => 'test')")
                .bind(self.project(PROJECTS[1]))
                .fetch_one(self.db.pool());
            runs.push(asked.await.unwrap());
        }
        tokio::time::sleep(Duration::from_millis(self.dice.random_range(0..150))).await;
        control.set_mutations_per_second(0.0);
        for run in runs {
            ended(self.db.pool(), run).await;
        }
    }

    /// Dates issues by a clock that is wrong; rarely back, as a restore does.
    fn date_some(&mut self) {
        const AHEAD: [i64; 4] = [5, 480, 86_400, 5 * 365 * 86_400];
        for _ in 0..self.clocks.random_range(0..3) {
            let ids = self.jira.control().issue_ids(PROJECTS[self.clocks.random_range(0..PROJECTS.len())]);
            if ids.is_empty() {
                continue;
            }
            let issue = ids[self.clocks.random_range(0..ids.len())].to_string();
            let back = self.clocks.random_bool(0.15);
            let seconds = AHEAD[self.clocks.random_range(0..AHEAD.len())] * if back { -1 } else { 1 };
            self.dated_back |= back;
            // It may have been deleted meanwhile.
            let _ = self.jira.control().apply(Mutation::DateIssue { issue, seconds });
        }
    }

    /// An administrator gives something another name: no `updated` moves.
    fn rename(&mut self, round: usize) {
        const ODD: [&str; 5] = ["Doing ", "a,goal=b", "x, id=7,state=CLOSED", "Größe \"L\"", "done"];
        let name = format!("{} {round}", ODD[self.dice.random_range(0..ODD.len())]);
        let one_of = |dice: &mut SmallRng, ids: &[&str]| ids[dice.random_range(0..ids.len())].to_owned();
        let mutation = match self.dice.random_range(0..9) {
            0 | 1 => {
                let term = one_of(&mut self.dice, &["10000", "10001", "10003"]);
                Mutation::RenameTerm { kind: Term::Status, term, name }
            }
            2 => {
                let term = one_of(&mut self.dice, &["1", "3", "5"]);
                Mutation::RenameTerm { kind: Term::Priority, term, name }
            }
            3 => Mutation::RenameTerm { kind: Term::Resolution, term: "10000".to_owned(), name },
            4 => {
                let term = one_of(&mut self.dice, &["10000", "10002", "10004"]);
                Mutation::RenameTerm { kind: Term::IssueType, term, name }
            }
            5 => Mutation::RenameSprint { sprint: self.dice.random_range(1..=10), name },
            6 => Mutation::RenameVersion { version: 10_100 + self.dice.random_range(0..4), name },
            7 => Mutation::RenameComponent { component: 10_000 + self.dice.random_range(0..6), name },
            _ => {
                let category = one_of(&mut self.dice, &["new", "indeterminate", "done"]);
                Mutation::RecategoriseStatus { status: "10002".to_owned(), category }
            }
        };
        self.jira.control().apply(mutation).unwrap();
    }

    fn faults(&mut self) -> FaultPlan {
        use FaultKind as F;
        const PASSING: &[F] = &[
            F::RateLimit,
            F::RateLimitBare,
            F::RateLimitHtml,
            F::Maintenance,
            F::Unavailable,
            F::ServerError,
            F::Problem,
            F::BadGateway,
            F::GatewayTimeout,
            F::Reset,
            F::Truncated,
            F::BrokenJson,
            F::ByteOrderMark,
            F::Twice,
            F::SignInPage,
            F::WrongShape,
            F::Unauthorized,
            F::Hang,
            F::EmptyPage,
            F::RepeatedToken,
            F::SiteUnavailable,
            F::Forbidden,
        ];
        // Most histories meet what heals; some meet what fails a run.
        let kinds = if self.dice.random_bool(0.7) { F::TRANSIENT } else { PASSING };
        let rate = if self.dice.random_bool(0.6) { self.dice.random_range(0.0..0.06) } else { 0.0 };
        let rules = (0..self.dice.random_range(0..3))
            .map(|_| FaultRule {
                after: self.dice.random_range(0..40),
                retry_after_seconds: Some(self.dice.random_range(0..=1)),
                ..FaultRule::next(kinds[self.dice.random_range(0..kinds.len())], self.dice.random_range(1..4))
            })
            .collect();
        let mut plan =
            FaultPlan { rate, kinds: kinds.to_vec(), rules, retry_after_seconds: self.dice.random_range(0..=1) };
        if self.poorer {
            let kind = F::POORER[self.dice.random_range(0..F::POORER.len())];
            // Where every answer leaves values out, nobody knows them.
            let path = (kind == F::OmitValues).then(|| "/search".to_owned());
            let requests = self.dice.random_bool(0.5).then(|| self.dice.random_range(5..60));
            plan.rules.push(FaultRule {
                after: self.dice.random_range(0..30),
                requests,
                path,
                ..FaultRule::next(kind, 0)
            });
        }
        plan
    }

    /// No faults, no changes, and search shows what was written.
    async fn calm(&self) {
        let control = self.jira.control();
        control.set_faults(FaultPlan::default());
        tokio::time::sleep(LONGEST_LAG).await;
        control.set_search_lag(Duration::ZERO);
        // What was refused is asked for again the sooner the shorter it was refused; nobody waits for that here.
        sqlx::query(
            "UPDATE syncline.site_capability SET checked_at = checked_at - interval '2 days', since = since - interval '2 days'",
        )
        .execute(self.db.pool())
        .await
        .unwrap();
        // Nor for what was renamed: lists are read some minutes after they were read before.
        sqlx::query("UPDATE syncline.site SET names_asked_at = NULL, names_doubted_at = NULL WHERE id = $1")
            .bind(self.site_id)
            .execute(self.db.pool())
            .await
            .unwrap();
    }

    async fn sync_until_it_succeeds(&self) {
        for key in PROJECTS {
            // What search did not show, what was shown once only and what was dated back is for a run that looks at everything.
            let kind = if self.poorer || self.dated_back { "full" } else { "incremental" };
            for attempt in 1.. {
                let run = enqueue(self.db.pool(), &self.project(key), kind).await;
                if ended(self.db.pool(), run).await == "succeeded" {
                    break;
                }
                let why = self.why(run).await;
                assert!(attempt < 3, "seed {}: {key} fails although nothing goes wrong: {why:?}", self.seed);
            }
        }
    }

    /// Why a run failed.
    async fn why(&self, run: Uuid) -> Option<String> {
        sqlx::query_scalar("SELECT error_code || ': ' || error_message FROM syncline.sync_run WHERE id = $1")
            .bind(run)
            .fetch_one(self.db.pool())
            .await
            .unwrap()
    }

    async fn judge(&self) {
        let mut repairs = Vec::new();
        for scope in self.scopes().await {
            let report = self.verify(&scope).await;
            let there: BTreeSet<u64> = self.jira.control().issue_ids(&scope.project).into_iter().collect();
            let right = report.missing.is_empty()
                && report.stale.is_empty()
                && report.unreadable.is_empty()
                && report.extra.iter().all(|extra| extra.reason == Reason::Gone && !there.contains(&(extra.id as u64)));
            assert!(right, "seed {}: the replica is wrong after a calm sync: {report:#?}", self.seed);
            assert_eq!(report.checked_issues, there.len() as u64, "seed {}: verify saw less than there is", self.seed);
            repairs.extend(verify::repair(self.db.pool(), &scope, &report, "test").await.unwrap());
        }
        for run in repairs {
            let state = ended(self.db.pool(), run).await;
            let why = self.why(run).await;
            assert_eq!(state, "succeeded", "seed {}: the repair: {why:?}", self.seed);
        }
        for scope in self.scopes().await {
            let report = self.verify(&scope).await;
            assert!(report.is_clean(), "seed {}: the replica is wrong after its repair: {report:#?}", self.seed);
        }
    }

    async fn scopes(&self) -> Vec<Scope> {
        let all = verify::scopes(self.db.pool(), None).await.unwrap();
        all.into_iter().filter(|scope| scope.site_id == self.site_id).collect()
    }

    async fn verify(&self, scope: &Scope) -> Report {
        let clock = Clock::system();
        let access = SiteAccess {
            name: "sim".to_owned(),
            base_url: self.jira.base_url().parse().unwrap(),
            kind: self.kind,
            auth: Auth::Basic {
                user: simulator::DEFAULT_EMAIL.to_owned(),
                token: simulator::DEFAULT_TOKEN.to_owned().into(),
            },
            request_timeout: Duration::from_secs(10),
        };
        let client = JiraClient::new(&HttpPool::new(clock.clone()).unwrap(), access).unwrap();
        let options = verify::Options { page_size: 20, ..verify::Options::default() };
        verify::verify(self.db.pool(), &client, scope, &options, &clock, &|_| {}).await.unwrap()
    }
}

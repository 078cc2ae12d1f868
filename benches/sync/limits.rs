//! Four worker processes under a site's limit: how much of what it allows they use, and how often they are refused.

use std::process::Child;
use std::time::{Duration, Instant};

use syncline::clock::Clock;
use syncline::simulator::{Amount, Bucket, Handle, Limits, Options, ProjectSpec, Simulator};

use crate::stack::{self, Database};

const WORKERS: i64 = 4;
const PROJECTS: u32 = 8;
const ISSUES_PER_PROJECT: u32 = 1_500;
/// Small pages, so that requests are what is scarce.
const PAGE_SIZE: &str = "4";
/// In which the limit is found; not measured.
const WARM_UP: Duration = Duration::from_secs(60);
const MEASURED: Duration = Duration::from_secs(120);
/// The bucket that is short: of the simulated site's, the one of searches.
const SEARCH: &str = "POST /search/jql";

pub async fn measure() -> Vec<(&'static str, f64)> {
    let hundred = at(100).await;
    let forty = at(40).await;
    vec![
        ("rate_limit_utilisation", hundred.utilisation),
        ("rate_limit_429_share", hundred.refused),
        ("rate_limit_first_minute_429_share", hundred.refused_at_first),
        ("rate_limit_utilisation_at_40", forty.utilisation),
        ("rate_limit_429_share_at_40", forty.refused),
        ("rate_gate_statements_per_second_and_worker", hundred.statements),
    ]
}

struct Figures {
    utilisation: f64,
    refused: f64,
    refused_at_first: f64,
    statements: f64,
}

/// Requests to the endpoint that is limited, and those of them that were refused.
#[derive(Clone, Copy)]
struct Count {
    asked: f64,
    refused: f64,
}

impl Count {
    fn of(jira: &Handle) -> Self {
        let stats = jira.control().stats().limits.get(SEARCH).copied().unwrap_or_default();
        Self { asked: (stats.allowed + stats.limited) as f64, refused: stats.limited as f64 }
    }
}

async fn at(per_second: u32) -> Figures {
    let mut options = Options::new(Clock::system());
    options.projects = (0..PROJECTS)
        .map(|n| ProjectSpec { key: format!("RATE{n}"), name: format!("Rate {n}"), issues: Some(ISSUES_PER_PROJECT) })
        .collect();
    (options.comments, options.worklogs, options.long_threads) = (Amount::Exactly(0), Amount::Exactly(0), 0.0);
    options.latency = Duration::from_millis(20);
    let bucket = Bucket { rate_per_second: f64::from(per_second), burst: per_second };
    options.limits = Limits { bucket: Some(bucket), ..Limits::default() };
    let projects = options.projects.clone();
    let jira = Simulator::start(options, ([127, 0, 0, 1], 0).into()).await.unwrap();
    let database = Database::new().await;
    database.register(&jira, &projects).await;
    sqlx::raw_sql("UPDATE syncline.site SET max_concurrency = 32").execute(&database.pool).await.unwrap();
    let settings = [
        ("SYNCLINE__SYNC__PAGE_SIZE", PAGE_SIZE),
        ("SYNCLINE__SYNC__PARTITION_TARGET_ISSUES", "100"),
        // Enough of them that the site's limit is what is short, not the machine's time for writing.
        ("SYNCLINE__QUEUE__WORKERS", "24"),
    ];
    let workers: Vec<Child> = (0..WORKERS).map(|_| stack::worker_process_with(&database.url, settings)).collect();
    stack::alive(&database, WORKERS).await;
    let began = Count::of(&jira);
    demand(&database, &projects, WARM_UP).await;
    let (warm, takes) = (Count::of(&jira), takes(&database).await);
    let started = Instant::now();
    demand(&database, &projects, MEASURED).await;
    let (end, seconds) = (Count::of(&jira), started.elapsed().as_secs_f64());
    let statements = (self::takes(&database).await - takes) / seconds / WORKERS as f64;
    for mut worker in workers {
        worker.kill().unwrap();
        worker.wait().unwrap();
    }
    jira.stop().await;
    let (asked, refused) = (end.asked - warm.asked, end.refused - warm.refused);
    Figures {
        utilisation: (asked - refused) / (f64::from(per_second) * seconds),
        refused: refused / asked,
        refused_at_first: (warm.refused - began.refused) / (warm.asked - began.asked),
        statements,
    }
}

/// Keeps every project in a full run, so that there is always more to ask than is allowed.
async fn demand(database: &Database, projects: &[ProjectSpec], time: Duration) {
    let until = Instant::now() + time;
    while Instant::now() < until {
        for project in projects {
            database.enqueue(&project.key, "full").await;
        }
        tokio::time::sleep(Duration::from_secs(5).min(until - Instant::now())).await;
    }
}

/// How often turns were taken from buckets.
async fn takes(database: &Database) -> f64 {
    let sql = "SELECT (n_tup_upd + n_tup_ins)::int8 FROM pg_stat_user_tables WHERE relname = 'rate_bucket'";
    database.number(sql).await as f64
}

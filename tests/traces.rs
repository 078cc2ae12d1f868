//! A run is one trace, whatever happened to the processes that worked on it.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{Connection, PgConnection};
use syncline::clock::Clock;
use syncline::simulator::{FaultKind, FaultRule, Options, ProjectSpec};
use uuid::Uuid;

use crate::support::collector::{Collector, Span};
use crate::support::{Rig, WorkerProcess, eventually, program};

const ISSUES: u32 = 300;

async fn rig() -> Rig {
    let project = ProjectSpec { key: "ACME".into(), name: "Acme shop".into(), issues: None };
    Rig::new(Options { projects: vec![project], issues: ISSUES, ..Options::new(Clock::system()) }).await
}

/// A worker that sends its spans to `endpoint` soon, and has the settings besides.
async fn worker(rig: &Rig, endpoint: &str, settings: &[(&str, &str)]) -> WorkerProcess {
    let mut all = vec![
        ("SYNCLINE__SYNC__PAGE_SIZE", "60"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
    ];
    all.extend_from_slice(settings);
    WorkerProcess::start(rig.db.url(), &all).await
}

async fn trace_of(rig: &Rig, run: Uuid) -> String {
    sqlx::query_scalar("SELECT split_part(trace_context, '-', 2) FROM syncline.sync_run WHERE id = $1")
        .bind(run)
        .fetch_one(rig.db.pool())
        .await
        .unwrap()
}

fn is_root(span: &Span) -> bool {
    span.parent.is_empty()
}

/// The spans of a run that has ended, and of the analysis that follows it; the worker is stopped for it, which sends what is
/// left.
async fn whole_trace(rig: &Rig, collector: &Collector, run: Uuid, mut worker: WorkerProcess) -> Vec<Span> {
    eventually("the analysis of the run", async || {
        rig.count("SELECT count(*) FROM syncline.sync_step WHERE kind = 'analyse_run' AND state = 'done'").await > 0
    })
    .await;
    worker.terminate();
    assert!(worker.ended().await.success());
    let trace = trace_of(rig, run).await;
    collector.spans().into_iter().filter(|span| span.trace == trace).collect()
}

/// One root, every other span's parent is there, no id twice, and nobody ends before they begin.
fn is_one_tree(spans: &[Span]) {
    let ids: BTreeSet<&str> = spans.iter().map(|span| span.id.as_str()).collect();
    assert_eq!(ids.len(), spans.len(), "an id was sent twice: {}", outline(spans));
    let roots: Vec<&Span> = spans.iter().filter(|span| is_root(span)).collect();
    assert_eq!(roots.len(), 1, "{}", outline(spans));
    for span in spans {
        assert!(is_root(span) || ids.contains(span.parent.as_str()), "no parent of {span:?}: {}", outline(spans));
        assert!(span.start_nanos <= span.end_nanos, "{span:?}");
        assert!(span.links.iter().all(|link| ids.contains(link.as_str())), "a link into nothing: {span:?}");
    }
}

/// The tree as lines, for messages.
fn outline(spans: &[Span]) -> String {
    let line = |span: &Span| {
        format!(
            "\n{} below {:16} {} {} of {}",
            span.id,
            span.parent,
            span.name,
            span.attribute("syncline.outcome"),
            span.process()
        )
    };
    spans.iter().map(line).collect()
}

/// No span tells what was asked for or what was read.
fn holds_nothing_private(spans: &[Span]) {
    for (key, value) in spans.iter().flat_map(|span| &span.attributes) {
        assert!(!value.contains('?') && !value.contains("jql=") && !value.contains("ACME-"), "{key}: {value}");
    }
}

fn named<'a>(spans: &'a [Span], name: &str) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.name == name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_with_a_killed_worker_is_one_trace_with_the_attempt() {
    killed_before_insert_into("sync_page", "fetch_page", "POST /rest/api/3/search/jql").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_between_batches_leaves_no_gap() {
    killed_before_insert_into("comment", "upsert_batch", "INSERT syncline.issue").await;
}

/// Kills a worker that waits to write to `table` in `step`, once the span `sent` of that attempt has arrived.
async fn killed_before_insert_into(table: &str, step: &str, sent: &str) {
    const HELD: i64 = 73;
    let rig = rig().await;
    let collector = Collector::http().await;
    // The victim waits in its transaction: what it did before is sent, its step will never be.
    let mut lock = PgConnection::connect(rig.db.url()).await.unwrap();
    let trap = format!(
        "CREATE FUNCTION public.wait() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN PERFORM pg_advisory_xact_lock_shared({HELD}); RETURN NEW; END $$;
         CREATE TRIGGER wait BEFORE INSERT ON syncline.{table} FOR EACH STATEMENT EXECUTE FUNCTION public.wait();
         SELECT pg_advisory_lock({HELD})"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(trap)).execute(&mut lock).await.unwrap();
    let mut victim = worker(&rig, &collector.endpoint, &[]).await;
    let run = rig.enqueue("ACME", "full").await;
    eventually("a span of the lost attempt", async || !named(&collector.spans(), sent).is_empty()).await;
    // What ended just before the kill would be lost with it: only the run and what is under way may be without a span.
    eventually("the spans of what has ended", async || {
        let spans = collector.spans();
        let ids: BTreeSet<&str> = spans.iter().map(|span| span.id.as_str()).collect();
        let unsent: BTreeSet<&str> =
            spans.iter().map(|span| span.parent.as_str()).filter(|parent| !ids.contains(parent)).collect();
        let running = rig.count("SELECT count(*) FROM syncline.sync_step WHERE state = 'running'").await;
        i64::try_from(unsent.len()).unwrap() <= 1 + running
    })
    .await;
    victim.kill();
    lock.close().await.unwrap();
    let successor = worker(&rig, &collector.endpoint, &[]).await;
    assert_eq!(rig.ended(run).await, "succeeded");
    let log = successor.log();
    let spans = whole_trace(&rig, &collector, run, successor).await;

    is_one_tree(&spans);
    holds_nothing_private(&spans);
    let processes: BTreeSet<&str> = spans.iter().map(Span::process).collect();
    assert_eq!(processes.len(), 2, "both processes sent spans: {}", outline(&spans));
    let root = spans.iter().find(|span| is_root(span)).unwrap();
    assert_eq!((root.name.as_str(), root.attribute("syncline.project")), ("sync full", "sim/ACME"));
    let lost: Vec<&Span> = spans.iter().filter(|span| span.attribute("syncline.outcome") == "lost").collect();
    // Other steps may have been under way in the same process.
    let rescues = lost.len().to_string();
    assert_eq!(
        (root.attribute("syncline.outcome"), root.attribute("syncline.rescues")),
        ("succeeded", rescues.as_str())
    );
    assert!(lost.iter().all(|span| span.failed && span.parent == root.id), "{lost:?}");
    let below = |lost: &Span| named(&spans, sent).into_iter().find(|span| span.parent == lost.id);
    let with_child = lost.into_iter().find_map(|lost| Some((lost, below(lost)?)));
    let (lost, asked) = with_child.expect("what the lost attempt had sent is below it");
    assert_eq!(lost.name, step);
    assert_ne!(asked.process(), lost.process(), "the victim sent the one, its successor the other");
    let again = spans.iter().find(|span| span.links.contains(&lost.id)).expect("the next attempt links to it");
    assert_eq!((again.name.as_str(), again.attribute("attempt")), (step, "2"));
    let rescued = log.lines().find(|line| line.contains("step_rescued")).unwrap_or_default();
    assert!(rescued.contains(&root.trace) && rescued.contains(&run.to_string()), "{rescued}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_has_steps_requests_commits_and_its_log_lines() {
    let rig = rig().await;
    let collector = Collector::http().await;
    rig.jira.control().add_fault(FaultRule::next(FaultKind::ServerError, 1));
    let worker = worker(&rig, &collector.endpoint, &[]).await;
    let run = rig.enqueue("ACME", "full").await;
    assert_eq!(rig.ended(run).await, "succeeded");
    // It is written just after the commit that ends the run.
    eventually("the run's last line", async || worker.log().contains("run_finished")).await;
    let log = worker.log();
    let spans = whole_trace(&rig, &collector, run, worker).await;
    is_one_tree(&spans);
    holds_nothing_private(&spans);
    let root = spans.iter().find(|span| is_root(span)).unwrap();
    let by_id: BTreeMap<&str, &Span> = spans.iter().map(|span| (span.id.as_str(), span)).collect();
    for step in ["plan_run", "fetch_page", "upsert_batch", "finalize_run", "analyse_run"] {
        let found = named(&spans, step);
        assert!(!found.is_empty(), "{step}: {}", outline(&spans));
        assert!(
            found.iter().all(|span| span.parent == root.id && !span.attribute("syncline.waited_seconds").is_empty())
        );
    }
    let claims = named(&spans, "claim jira");
    assert!(!claims.is_empty(), "{}", outline(&spans));
    for claim in claims {
        assert_eq!((claim.parent.as_str(), claim.attribute("messaging.destination.name")), (root.id.as_str(), "jira"));
        let step = claim.attribute("messaging.message.id");
        assert!(spans.iter().any(|span| span.attribute("step_id") == step), "{claim:?}: {}", outline(&spans));
    }
    let mut failed_requests = 0;
    for request in spans.iter().filter(|span| !span.attribute("http.request.method").is_empty()) {
        let step = by_id[request.parent.as_str()];
        assert!(!step.attribute("step").is_empty(), "{request:?} is below {step:?}");
        assert!(request.attribute("url.template").starts_with("/rest/"), "{request:?}");
        assert_eq!(request.attribute("server.address"), "127.0.0.1");
        let expected = if request.failed { "SERVER_ERROR" } else { "" };
        assert_eq!(request.attribute("error.type"), expected);
        failed_requests += usize::from(request.failed);
    }
    assert_eq!(failed_requests, 1, "{}", outline(&spans));
    for batch in ["INSERT syncline.issue", "INSERT syncline.comment", "INSERT syncline.worklog"] {
        for span in named(&spans, batch) {
            assert_eq!(span.attribute("db.system.name"), "postgresql", "{batch}");
            assert!(!by_id[span.parent.as_str()].attribute("step").is_empty(), "{batch}");
        }
    }
    let rows = |span: &&Span| span.attribute("db.operation.batch.size").parse::<u32>().unwrap_or(1);
    assert_eq!(named(&spans, "INSERT syncline.issue").iter().map(rows).sum::<u32>(), ISSUES);
    let shown = std::process::Command::new(program())
        .args(["run", "show", &run.to_string()])
        .env_clear()
        .env("DATABASE_URL", rig.db.url())
        .output()
        .unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains(&root.trace), "{shown}");
    let finished = log.lines().find(|line| line.contains("run_finished")).expect("the run's last line");
    let finished: serde_json::Value = serde_json::from_str(finished).unwrap();
    assert_eq!(finished["span"]["trace_id"], root.trace, "the step is the line's span: {finished}");
    assert_eq!(finished["span"]["step"], "finalize_run");
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_carry_the_names_and_headers_of_the_environment() {
    let rig = rig().await;
    let collector = Collector::http().await;
    let settings = [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=acme"),
        ("OTEL_SERVICE_NAME", "replica"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
    ];
    let worker = worker(&rig, &collector.endpoint, &settings).await;
    let run = rig.enqueue("ACME", "full").await;
    assert_eq!(rig.ended(run).await, "succeeded");
    let spans = whole_trace(&rig, &collector, run, worker).await;
    is_one_tree(&spans);
    let sender = &spans[0].resource;
    assert_eq!((sender["service.name"].as_str(), sender["deployment.environment.name"].as_str()), ("replica", "test"));
    assert!(!sender["service.instance.id"].is_empty() && !sender["service.version"].is_empty(), "{sender:?}");
    assert!(collector.headers().iter().all(|headers| headers["x-tenant"] == "acme"));
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_go_to_a_collector_whose_authority_is_trusted_only() {
    let rig = rig().await;
    let folder = tempfile::tempdir().unwrap();
    let (collector, certificate) = Collector::https(folder.path()).await;
    let trust = certificate.display().to_string();
    let stranger = worker(&rig, &collector.endpoint, &[("OTEL_BSP_SCHEDULE_DELAY", "20")]).await;
    assert_eq!(rig.sync("ACME", "incremental").await, "succeeded");
    eventually("the warning", async || stranger.log().contains("trace_export_failed")).await;
    assert!(collector.spans().is_empty());
    drop(stranger);
    let worker = worker(&rig, &collector.endpoint, &[("SSL_CERT_FILE", &trust)]).await;
    let run = rig.enqueue("ACME", "full").await;
    assert_eq!(rig.ended(run).await, "succeeded");
    is_one_tree(&whole_trace(&rig, &collector, run, worker).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_not_there_costs_one_warning() {
    let rig = rig().await;
    let worker = worker(&rig, "http://127.0.0.1:1", &[("OTEL_BSP_SCHEDULE_DELAY", "20")]).await;
    for _ in 0..2 {
        assert_eq!(rig.sync("ACME", "full").await, "succeeded");
    }
    eventually("the warning", async || worker.log().contains("trace_export_failed")).await;
    let mut worker = worker;
    worker.terminate();
    assert!(worker.ended().await.success());
    let log = worker.log();
    let loud: Vec<&str> = log.lines().filter(|line| line.contains("\"WARN\"") || line.contains("\"ERROR\"")).collect();
    assert!(loud.len() == 1 && loud[0].contains("trace_export_failed"), "{loud:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_sdk_and_a_sampler_that_takes_nothing_send_nothing() {
    let rig = rig().await;
    let collector = Collector::http().await;
    for (index, setting) in [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_SAMPLER", "always_off")].iter().enumerate() {
        let mut worker = worker(&rig, &collector.endpoint, &[*setting]).await;
        assert_eq!(rig.sync("ACME", if index == 0 { "full" } else { "incremental" }).await, "succeeded");
        worker.terminate();
        assert!(worker.ended().await.success());
        assert!(collector.spans().is_empty(), "{setting:?}: {}", outline(&collector.spans()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_logs_is_changed_while_it_runs() {
    let rig = rig().await;
    let worker = WorkerProcess::start(rig.db.url(), &[]).await;
    let details = |log: &str| log.lines().filter(|line| line.contains("\"DEBUG\"")).count();
    assert_eq!(worker.put("/log-level", "syncline=loud").await.0, 400);
    let (status, answer) = worker.put("/log-level", "debug").await;
    assert!(status == 200 && answer.contains("syncline=debug"), "{status} {answer}");
    assert!(worker.get("/log-level").await.unwrap().1.contains("syncline=debug"));
    assert_eq!(details(&worker.log()), 0, "nothing of that level has happened yet");
    // A request that is sent again is a detail.
    rig.jira.control().add_fault(FaultRule::next(FaultKind::ServerError, 1));
    assert_eq!(rig.sync("ACME", "full").await, "succeeded");
    assert!(details(&worker.log()) > 0, "{}", worker.log());
    eventually("the end of the run", async || worker.log().contains("run_finished")).await;
    let end = worker.log();
    let end = end.lines().find(|line| line.contains("run_finished")).unwrap_or_default();
    assert!(end.contains("\"trace_id\""), "a line still carries its step's span: {end}");
    assert_eq!(worker.put("/log-level", "warn").await.0, 200);
    let before = worker.log();
    assert!(before.contains("log_level_changed"), "{before}");
    assert_eq!(rig.sync("ACME", "incremental").await, "succeeded");
    assert_eq!(worker.log(), before, "a run that goes well is no warning");
}

//! Pages: fetched ahead of writing, bounded, never twice, and no cursor passes one that is not written.

use std::time::Duration;

use sqlx::{Connection, PgConnection};
use syncline::clock::Clock;
use syncline::domain::cursor;
use syncline::domain::site_kind::SiteKind;
use syncline::jira::{Auth, FieldMap, HttpPool, JiraClient, SearchRequest, SiteAccess, jql, normalise};
use syncline::simulator::{self, Amount, Kind, Options};

use crate::support::Rig;

/// One project, walked by one walk of six pages of ten.
async fn rig() -> Rig {
    let mut options = Options::new(Clock::system());
    options.issues = 60;
    options.projects.truncate(1);
    options.comments = Amount::Exactly(1);
    options.long_threads = 0.0;
    let mut rig = Rig::new(options).await;
    rig.config.sync.page_size = 10;
    rig.config.sync.pages_in_flight = 3;
    rig
}

/// Keeps everybody from writing issues until it is dropped.
async fn nobody_writes(rig: &Rig) -> PgConnection {
    let mut connection = PgConnection::connect(rig.db.url()).await.unwrap();
    sqlx::raw_sql("BEGIN; LOCK TABLE syncline.issue IN EXCLUSIVE MODE").execute(&mut connection).await.unwrap();
    connection
}

async fn until(rig: &Rig, what: &'static str) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while rig.count(what).await == 0 {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

const STALLED: &str = "SELECT count(*) FROM syncline.sync_partition WHERE stalled";

fn searches(rig: &Rig) -> u64 {
    rig.jira.control().stats().by_endpoint.get("/search/jql").copied().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_fetched_ahead_of_writing_up_to_the_limit() {
    let rig = rig().await;
    let held = nobody_writes(&rig).await;
    let worker = rig.worker().await;
    let run = rig.enqueue(&rig.projects[0], "full").await;
    until(&rig, STALLED).await;
    assert_eq!(searches(&rig), 3, "as many pages as may be in flight");
    assert_eq!(rig.count("SELECT count(*) FROM syncline.sync_page WHERE NOT applied").await, 3);
    assert_eq!(
        rig.count(
            "SELECT count(*) FROM syncline.sync_step WHERE kind = 'fetch_page' AND state IN ('ready', 'later', 'running')"
        )
        .await,
        0
    );
    held.close().await.unwrap();
    assert_eq!(rig.ended(run).await, "succeeded");
    assert_eq!(rig.count("SELECT count(*) FROM syncline.issue").await, 60);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issue_on_two_pages_of_a_first_run_is_new_and_not_changed() {
    let mut options = Options::new(Clock::system());
    options.kind = Kind::DataCenter;
    options.issues = 60;
    options.projects.truncate(1);
    let mut rig = Rig::new(options).await;
    rig.config.sync.page_size = 25;
    rig.config.sync.pages_in_flight = 3;
    // All pages wait to be written, and are written at once: each holds rows of the one before.
    let held = nobody_writes(&rig).await;
    let worker = rig.worker().await;
    let run = rig.enqueue(&rig.projects[0], "full").await;
    until(&rig, STALLED).await;
    held.close().await.unwrap();
    assert_eq!(rig.ended(run).await, "succeeded");
    let counts: (i64, i64) = sqlx::query_as("SELECT issues_created, issues_updated FROM syncline.sync_run")
        .fetch_one(rig.db.pool())
        .await
        .unwrap();
    assert_eq!(counts, (60, 0));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_after_a_fetch_costs_no_second_fetch() {
    let rig = rig().await;
    let held = nobody_writes(&rig).await;
    let worker = rig.worker().await;
    let run = rig.enqueue(&rig.projects[0], "full").await;
    until(&rig, STALLED).await;
    drop(worker);
    held.close().await.unwrap();
    let worker = rig.worker().await;
    assert_eq!(rig.ended(run).await, "succeeded");
    assert_eq!(rig.count("SELECT count(*) FROM syncline.issue").await, 60);
    let pages = rig.count("SELECT pages::int8 FROM syncline.sync_run").await;
    assert_eq!(searches(&rig), u64::try_from(pages).unwrap());
    worker.stop().await;
}

/// Invariant 5.
#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_never_passes_what_was_not_applied() {
    let mut options = Options::new(Clock::system());
    options.issues = 240;
    options.projects.truncate(1);
    options.latency = Duration::from_millis(3);
    options.latency_jitter = Duration::from_millis(6);
    let mut rig = Rig::new(options).await;
    rig.config.sync.page_size = 5;
    rig.config.sync.partition_target_issues = 40;
    let clock = Clock::system();
    let access = SiteAccess {
        name: "sim".to_owned(),
        base_url: rig.jira.base_url().parse().unwrap(),
        kind: SiteKind::Cloud,
        auth: Auth::Basic { user: simulator::DEFAULT_EMAIL.into(), token: simulator::DEFAULT_TOKEN.to_owned().into() },
        request_timeout: Duration::from_secs(10),
    };
    let jira = JiraClient::new(&HttpPool::new(clock).unwrap(), access).unwrap();
    let mut run = rig.enqueue(&rig.projects[0], "full").await;
    let mut moved = 0;
    let mut before = None;
    for round in 0u64.. {
        let worker = rig.worker().await;
        tokio::time::sleep(Duration::from_millis(60 + round * 97 % 1_000)).await;
        drop(worker); // killed between pages, or in the middle of one
        let (at, state): (Option<chrono::DateTime<chrono::Utc>>, String) = sqlx::query_as(
            "SELECT (SELECT cursor_at FROM syncline.sync_state WHERE entity = 'issue'), state FROM syncline.sync_run WHERE id = $1",
        )
        .bind(run)
        .fetch_one(rig.db.pool())
        .await
        .unwrap();
        assert!(at >= before, "a cursor went back from {before:?} to {at:?}");
        if at > before {
            moved += 1;
            before = at;
            assert_applied(&rig, &jira, at).await;
        }
        match state.as_str() {
            "succeeded" => break,
            // A step that loses its process too often is held responsible; the next run goes on from the cursor.
            "failed" => run = rig.enqueue(&rig.projects[0], "incremental").await,
            _ => assert!(round < 200, "the run is still {state}"),
        }
    }
    assert!(moved > 0, "the cursor was never seen to move");
    assert_eq!(cursor::advance(before, before.unwrap()), before);
}

/// Every issue that Jira shows as updated before the cursor is in the replica, in that version.
async fn assert_applied(rig: &Rig, jira: &JiraClient, cursor: Option<chrono::DateTime<chrono::Utc>>) {
    let query = jql::window(&rig.projects[0], None, cursor);
    let fields = syncline::jira::search_fields(&FieldMap::default());
    let mut token = None;
    loop {
        let request = SearchRequest { jql: &query, fields: &fields, page_size: 100, next_page_token: token };
        let raw = jira.search(&request).await.unwrap();
        let page = normalise::parse_page(&raw.body, &FieldMap::default()).unwrap();
        let (ids, updated): (Vec<_>, Vec<_>) =
            page.issues.iter().map(|issue| (issue.issue.id, issue.issue.updated_at)).unzip();
        let missing: Vec<i64> = sqlx::query_scalar(
            "SELECT n.id FROM unnest($1::int8[], $2::timestamptz[]) AS n (id, updated_at)
              WHERE NOT EXISTS (SELECT 1 FROM syncline.issue i WHERE i.id = n.id AND i.updated_at >= n.updated_at)",
        )
        .bind(&ids)
        .bind(&updated)
        .fetch_all(rig.db.pool())
        .await
        .unwrap();
        assert!(missing.is_empty(), "the cursor says {cursor:?}, and these are not applied: {missing:?}");
        token = raw.head().unwrap().next_page_token;
        if token.is_none() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issue_updated_in_the_cursors_millisecond_is_read() {
    let mut rig = rig().await;
    rig.config.sync.overlap_seconds = 0;
    let worker = rig.worker().await;
    assert_eq!(rig.sync(&rig.projects[0], "full").await, "succeeded");
    // As if the newest issue's neighbour had been updated in the same millisecond, after the page was read.
    let newest: i64 = sqlx::query_scalar("SELECT id FROM syncline.issue ORDER BY updated_at DESC, id DESC LIMIT 1")
        .fetch_one(rig.db.pool())
        .await
        .unwrap();
    sqlx::query("DELETE FROM syncline.issue WHERE id = $1").bind(newest).execute(rig.db.pool()).await.unwrap();
    assert_eq!(rig.sync(&rig.projects[0], "incremental").await, "succeeded");
    assert_eq!(rig.count("SELECT count(*) FROM syncline.issue").await, 60);
    worker.stop().await;
}

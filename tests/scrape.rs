//! What a scrape reads from the database: bounded, true, the same for everybody.

use std::time::Duration;

use syncline::observe::metrics::DbGauges;
use syncline::store::gauges::{self, GaugeOptions};

use crate::support::TestDb;

const OPTIONS: GaugeOptions = GaugeOptions { project_limit: 200, freshness_objective: Duration::from_secs(3600) };

async fn execute(db: &TestDb, sql: &'static str) {
    sqlx::raw_sql(sql).execute(db.pool()).await.unwrap();
}

async fn read(db: &TestDb, options: &GaugeOptions) -> DbGauges {
    gauges::read(db.pool(), options).await.unwrap()
}

/// Projects P1, P2, … of two sites with a schedule every 15 minutes; the last success of Pn was n minutes ago.
const PROJECTS: &str = "
    INSERT INTO syncline.site (id, name, base_url, account_email, credential)
    SELECT syncline.new_id(), s, 'http://x', 'x@example.com', 'env:X' FROM unnest(ARRAY['east', 'west']) s;
    INSERT INTO syncline.project (id, site_id, key) SELECT syncline.new_id(), s.id, 'P' || n FROM syncline.site s, generate_series(1, 5000) n;
    INSERT INTO syncline.schedule (project_id, cron, next_slot_at, next_run_at, last_slot_at)
    SELECT id, '*/15 * * * *', now() + interval '15 minutes', now() + interval '15 minutes', now() FROM syncline.project;
    INSERT INTO syncline.sync_state (project_id, entity, cursor_at, last_sync_time)
    SELECT p.id, e, now() - make_interval(mins => substr(p.key, 2)::int + 5), now() - make_interval(mins => substr(p.key, 2)::int)
      FROM syncline.project p, unnest(ARRAY['issue', 'comment', 'worklog']) e;";

#[tokio::test]
async fn ten_thousand_projects_name_only_the_worst_and_count_all() {
    let db = TestDb::new().await;
    execute(&db, PROJECTS).await;
    let gauges = read(&db, &OPTIONS).await;
    assert_eq!(gauges.projects.len(), 201);
    let other = gauges.projects.iter().find(|project| project.project == "other").unwrap();
    let worst = gauges.projects.iter().find(|project| project.project == "east/P5000").unwrap();
    let named = gauges.projects.iter().filter(|project| project.project != "other");
    assert!(named.into_iter().all(|project| project.fresh_until <= other.fresh_until), "the worst are named");
    assert!(
        gauges.projects.iter().any(|project| project.project == "west/P5000"),
        "one key on two sites is two series"
    );
    assert!(worst.watermark < worst.last_success && worst.last_success < worst.fresh_until);
    let text = gauges.expose();
    assert!(text.len() < 200_000, "{} bytes", text.len());
    // Fresh within an hour: P1 to P59, of two sites (P60 is on the edge).
    let count = |name: &str| gauges.freshness.iter().find(|(found, _)| *found == name).unwrap().1;
    assert!((116..=120).contains(&count("fresh")), "{:?}", gauges.freshness);
    assert_eq!(count("fresh") + count("stale"), 10_000);

    let few = read(&db, &GaugeOptions { project_limit: 0, ..OPTIONS }).await;
    assert_eq!(few.projects.iter().map(|project| project.project.as_str()).collect::<Vec<_>>(), ["other"]);
    assert_eq!(few.projects[0].last_success, worst.last_success, "the rest show the worst of them");
}

#[tokio::test]
async fn a_project_is_stale_only_by_its_own_schedule() {
    let db = TestDb::new().await;
    execute(
        &db,
        "INSERT INTO syncline.site (id, name, base_url, account_email, credential) VALUES (syncline.new_id(), 's', 'http://x', 'x@example.com', 'env:X');
         INSERT INTO syncline.project (id, site_id, key, state, created_at)
         SELECT syncline.new_id(), s.id, k, CASE k WHEN 'PAUSED' THEN 'paused' ELSE 'active' END, now() - interval '2 hours'
           FROM syncline.site s, unnest(ARRAY['NIGHTLY', 'HOURLY', 'NEVER', 'PAUSED', 'MANUAL']) k;
         INSERT INTO syncline.schedule (project_id, cron, next_slot_at, next_run_at, last_slot_at)
         SELECT id, '0 2 * * *', now() + i, now() + i, CASE WHEN key <> 'NEVER' THEN now() END
           FROM syncline.project, LATERAL (SELECT CASE key WHEN 'NIGHTLY' THEN interval '1 day' ELSE interval '30 minutes' END AS i) x
          WHERE key <> 'MANUAL';
         INSERT INTO syncline.sync_state (project_id, entity, cursor_at, last_sync_time)
         SELECT id, 'issue', now(), now() - interval '90 minutes' FROM syncline.project WHERE key <> 'NEVER'",
    )
    .await;
    let gauges = read(&db, &OPTIONS).await;
    assert_eq!(gauges.freshness, [("fresh", 1), ("stale", 2), ("unscheduled", 1), ("paused", 1)]);
    let mut named: Vec<&str> = gauges.projects.iter().map(|project| project.project.as_str()).collect();
    named.sort_unstable();
    assert_eq!(named, ["s/HOURLY", "s/MANUAL", "s/NEVER", "s/NIGHTLY"], "a paused project is nobody's worry");
    let never = gauges.projects.iter().find(|project| project.project == "s/NEVER").unwrap();
    assert!(never.last_success.is_none() && never.fresh_until.is_some(), "it is told that it never succeeded");
}

#[tokio::test]
async fn the_queue_is_counted_and_its_oldest_step_found() {
    let db = TestDb::new().await;
    execute(
        &db,
        "INSERT INTO syncline.sync_step (id, queue, kind, key, state, priority, ready_at)
         SELECT syncline.new_id(), q, 'x', n::text, s, n % 3 * 10, now() - make_interval(secs => n)
           FROM (VALUES ('jira', 'ready', 40), ('jira', 'later', 3), ('store', 'running', 2), ('control', 'dead', 1), ('store', 'done', 9)) v (q, s, c),
                generate_series(1, c) n",
    )
    .await;
    let gauges = read(&db, &OPTIONS).await;
    let count = |queue: &str, state: &str| {
        gauges.queue_jobs.iter().find(|depth| depth.queue == queue && depth.state == state).unwrap().count
    };
    assert_eq!(gauges.queue_jobs.len(), 12, "every queue and state is there, also at 0");
    assert_eq!(
        [count("jira", "ready"), count("jira", "later"), count("store", "running"), count("control", "dead")],
        [40, 3, 2, 1]
    );
    let oldest = |queue: &str| gauges.oldest_ready.iter().find(|oldest| oldest.queue == queue).unwrap().seconds;
    // The step of 40 seconds ago has not the highest priority.
    assert!((40.0..60.0).contains(&oldest("jira")), "{}", oldest("jira"));
    assert_eq!(oldest("store"), 0.0);
    assert!(gauges.tables.iter().any(|table| table.table == "sync_step" && table.size_bytes > 0));
    assert!(gauges.db_size_bytes > Some(0) && gauges.workers == Some(0));
}

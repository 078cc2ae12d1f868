//! What the views compute, on rows whose answers were worked out by hand.

use sqlx::PgPool;
use syncline::clock::Clock;
use uuid::Uuid;

use crate::support::TestDb;

/// One site, one project, one board's sprints, three statuses, and two issues:
/// * 1 was created on Monday 08:00, started 10:00, done 12:00, opened again 13:00, done 15:00 and closed (still done) 18:00;
/// * 2 was created on Monday 08:00 and never touched.
async fn hand_made() -> (TestDb, Uuid) {
    let db = TestDb::new().await;
    let site = Clock::system().new_id();
    let project = Clock::system().new_id();
    run(db.pool(), "INSERT INTO syncline.site (id, name, base_url, account_email, credential) VALUES ($1, 's', 'http://s', 'a@example.com', 'env:T')", &[site]).await;
    run(
        db.pool(),
        "INSERT INTO syncline.project (id, site_id, key, name) VALUES ($2, $1, 'ACME', 'Acme')",
        &[site, project],
    )
    .await;
    run(
        db.pool(),
        "INSERT INTO syncline.status (site_id, id, name, category) VALUES
            ($1, 1, 'Open', 'new'), ($1, 2, 'Doing', 'indeterminate'), ($1, 3, 'Done', 'done'), ($1, 4, 'Closed', 'done')",
        &[site],
    )
    .await;
    run(
        db.pool(),
        "INSERT INTO syncline.sprint (site_id, id, name, state, started_at) VALUES
            ($1, 11, 'One', 'closed', '2026-03-02T09:00Z'), ($1, 12, 'Two', 'active', '2026-03-03T09:00Z')",
        &[site],
    )
    .await;
    run(
        db.pool(),
        "INSERT INTO syncline.issue (site_id, id, project_id, key, summary, issue_type, status, status_category, status_id,
                created_at, updated_at, resolved_at, content_hash, synced_at, sprint_ids, assignee_account_id, fields)
         VALUES ($1, 1, $2, 'ACME-1', 'Mend it', 'Bug', 'Closed', 'done', 4, '2026-03-02T08:00Z', '2026-03-02T18:00Z', '2026-03-02T15:00Z', '', now(), '{12}', 'anna', '{\"customfield_1\": 5}'),
                ($1, 2, $2, 'ACME-2', 'Wait', 'Bug', 'Open', 'new', 1, '2026-03-02T08:00Z', '2026-03-02T08:00Z', NULL, '', now(), '{}', NULL, '{}')",
        &[site, project],
    )
    .await;
    run(
        db.pool(),
        "INSERT INTO syncline.changelog (site_id, id, item, issue_id, created_at, field, field_id, from_value, from_text, to_value, to_text) VALUES
            ($1, 100, 0, 1, '2026-03-02T10:00Z', 'status', 'status', '1', 'Open', '2', 'Doing'),
            ($1, 101, 0, 1, '2026-03-02T12:00Z', 'status', 'status', '2', 'Doing', '3', 'Done'),
            ($1, 102, 0, 1, '2026-03-02T13:00Z', 'status', 'status', '3', 'Done', '2', 'Doing'),
            ($1, 103, 0, 1, '2026-03-02T15:00Z', 'status', 'status', '2', 'Doing', '3', 'Done'),
            ($1, 103, 1, 1, '2026-03-02T15:00Z', 'resolution', 'resolution', NULL, NULL, '1', 'Fixed'),
            ($1, 104, 0, 1, '2026-03-02T18:00Z', 'status', 'status', '3', 'Done', '4', 'Closed'),
            ($1, 105, 0, 1, '2026-03-02T09:30Z', 'Sprint', 'customfield_2', '', '', '11', 'One'),
            ($1, 106, 0, 1, '2026-03-02T17:00Z', 'Sprint', 'customfield_2', '11', 'One', '12', 'Two')",
        &[site],
    )
    .await;
    run(db.pool(), "INSERT INTO syncline.jira_user (site_id, account_id, display_name, active) VALUES ($1, 'anna', 'anna.k', true)", &[site]).await;
    run(db.pool(), "INSERT INTO syncline.member (id, name, team) VALUES ($1, 'Anna Keller', 'Core')", &[site]).await;
    run(db.pool(), "INSERT INTO syncline.member_link (site_id, account_id, member_id, matched_by, linked_by) VALUES ($1, 'anna', $1, 'manual', 'test')", &[site]).await;
    run(
        db.pool(),
        "INSERT INTO syncline.worklog (site_id, id, issue_id, author_account_id, started_at, time_spent_seconds, created_at, updated_at, content_hash)
         VALUES ($1, 7, 1, 'anna', '2026-03-02T10:00Z', 5400, '2026-03-02T10:00Z', '2026-03-02T10:00Z', ''),
                ($1, 8, 1, 'bert', '2026-03-02T11:00Z', 1800, '2026-03-02T10:00Z', '2026-03-02T10:00Z', '')",
        &[site],
    )
    .await;
    (db, site)
}

async fn run(pool: &PgPool, sql: &'static str, ids: &[Uuid]) {
    let mut query = sqlx::query(sql);
    for id in ids {
        query = query.bind(id);
    }
    query.execute(pool).await.unwrap();
}

/// The answer of a query as text, one row a line.
async fn lines(pool: &PgPool, sql: &'static str) -> Vec<String> {
    sqlx::query_scalar(sql).fetch_all(pool).await.unwrap()
}

#[tokio::test]
async fn time_in_status_sums_periods_and_counts_the_open_one() {
    let (db, _) = hand_made().await;
    assert_eq!(
        lines(
            db.pool(),
            "SELECT format('%s %s %s %s %s', issue_key, status, category, stays, CASE WHEN is_current THEN 'now' ELSE round(hours::numeric, 2)::text END)
               FROM syncline.issue_time_in_status WHERE project_key = 'ACME' ORDER BY issue_id, first_entered_at",
        )
        .await,
        [
            "ACME-1 Open new 1 2.00",
            "ACME-1 Doing indeterminate 2 4.00",
            "ACME-1 Done done 2 4.00",
            "ACME-1 Closed done 1 now",
            "ACME-2 Open new 1 now",
        ]
    );
    assert_eq!(
        lines(db.pool(), "SELECT (abs(hours - extract(epoch FROM now() - '2026-03-02T18:00Z') / 3600) < 0.01)::text FROM syncline.issue_time_in_status WHERE status = 'Closed'").await,
        ["true"]
    );
    assert_eq!(
        lines(
            db.pool(),
            "SELECT format('%s>%s', from_category, to_category) FROM syncline.issue_status_change ORDER BY change_id"
        )
        .await,
        ["new>indeterminate", "indeterminate>done", "done>indeterminate", "indeterminate>done", "done>done"]
    );
}

#[tokio::test]
async fn cycle_time_runs_from_the_first_start_to_the_last_completion() {
    let (db, _) = hand_made().await;
    assert_eq!(
        lines(
            db.pool(),
            "SELECT format('%s %s %s %s', issue_key, done_at AT TIME ZONE 'UTC', cycle_hours, lead_hours) FROM syncline.issue_cycle_time ORDER BY issue_id",
        )
        .await,
        ["ACME-1 2026-03-02 15:00:00 5 7", "ACME-2   "]
    );
    // Opened again, it is not done.
    sqlx::query("UPDATE syncline.issue SET status_category = 'indeterminate' WHERE id = 1")
        .execute(db.pool())
        .await
        .unwrap();
    assert_eq!(
        lines(db.pool(), "SELECT (cycle_hours IS NULL)::text FROM syncline.issue_cycle_time WHERE issue_id = 1").await,
        ["true"]
    );
}

#[tokio::test]
async fn sprints_come_from_the_history_and_the_field_together() {
    let (db, _) = hand_made().await;
    assert_eq!(
        lines(
            db.pool(),
            "SELECT format('%s %s %s %s', sprint_name, to_char(added_at AT TIME ZONE 'UTC', 'HH24:MI'), coalesce(to_char(removed_at AT TIME ZONE 'UTC', 'HH24:MI'), '-'), added_after_start)
               FROM syncline.issue_sprint WHERE issue_id = 1 ORDER BY sprint_id",
        )
        .await,
        ["One 09:30 17:00 t", "Two 17:00 - f"]
    );
    assert_eq!(
        lines(db.pool(), "SELECT issue_key || ' ' || sprint_name FROM syncline.issue_current_sprint").await,
        ["ACME-1 Two"]
    );
}

#[tokio::test]
async fn the_flat_view_names_people_and_sprints_once_per_issue() {
    let (db, _) = hand_made().await;
    assert_eq!(
        lines(
            db.pool(),
            "SELECT format('%s %s %s %s %s', issue_key, assignee, assignee_team, sprint_name, cycle_hours) FROM syncline.issue_flat ORDER BY issue_id",
        )
        .await,
        ["ACME-1 Anna Keller Core Two 5", "ACME-2    "]
    );
    assert_eq!(
        lines(db.pool(), "SELECT format('%s %s %s', author_account_id, member_name, hours) FROM syncline.worklog_by_member ORDER BY worklog_id").await,
        ["anna Anna Keller 1.5", "bert  0.5"]
    );
    sqlx::query("UPDATE syncline.issue SET deleted_at = now(), deleted_reason = 'deleted' WHERE id = 1")
        .execute(db.pool())
        .await
        .unwrap();
    assert_eq!(lines(db.pool(), "SELECT issue_key FROM syncline.issue_flat").await, ["ACME-2"]);
    assert_eq!(lines(db.pool(), "SELECT member_name FROM syncline.worklog_by_member").await, Vec::<String>::new());
}

#[tokio::test]
async fn a_view_of_one_project_reads_only_its_issues() {
    let (db, _) = hand_made().await;
    sqlx::raw_sql(
        "INSERT INTO syncline.project (id, site_id, key) SELECT syncline.new_id(), id, 'P' || n FROM syncline.site, generate_series(1, 99) n;
         INSERT INTO syncline.issue (site_id, id, project_id, key, summary, issue_type, status, status_category, status_id, created_at, updated_at, content_hash, synced_at)
         SELECT p.site_id, 1000 + 1000 * row_number() OVER (ORDER BY p.key, n), p.id, p.key || '-' || n, 'x', 'Bug', 'Open', 'new', 1, now(), now(), '', now()
           FROM syncline.project p, generate_series(1, 1000) n;
         INSERT INTO syncline.changelog (site_id, id, item, issue_id, created_at, field, field_id, from_value, to_value)
         SELECT site_id, 1000000 + id, 0, id, now(), 'status', 'status', '1', '2' FROM syncline.issue WHERE id > 2;
         ANALYZE syncline.issue; ANALYZE syncline.changelog; ANALYZE syncline.project; ANALYZE syncline.status;",
    )
    .execute(db.pool())
    .await
    .unwrap();
    for (view, sql) in [
        ("issue_status_change", "EXPLAIN SELECT * FROM syncline.issue_status_change WHERE project_key = 'P7'"),
        ("issue_time_in_status", "EXPLAIN SELECT * FROM syncline.issue_time_in_status WHERE project_key = 'P7'"),
        ("issue_cycle_time", "EXPLAIN SELECT * FROM syncline.issue_cycle_time WHERE project_key = 'P7'"),
        ("issue_sprint", "EXPLAIN SELECT * FROM syncline.issue_sprint WHERE project_key = 'P7'"),
        ("issue_current_sprint", "EXPLAIN SELECT * FROM syncline.issue_current_sprint WHERE project_key = 'P7'"),
        ("worklog_by_member", "EXPLAIN SELECT * FROM syncline.worklog_by_member WHERE project_key = 'P7'"),
        ("issue_flat", "EXPLAIN SELECT * FROM syncline.issue_flat WHERE project_key = 'P7'"),
    ] {
        let plan = lines(db.pool(), sql).await.join("\n");
        assert!(!plan.contains("Seq Scan on issue"), "{view} reads every issue:\n{plan}");
        assert!(!plan.contains("Seq Scan on changelog"), "{view} reads every history:\n{plan}");
    }
}

#[tokio::test]
async fn every_view_and_every_column_of_one_says_what_it_is_for() {
    let db = TestDb::new().await;
    let silent: Vec<String> = lines(
        db.pool(),
        "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE n.nspname = 'syncline' AND c.relkind = 'v' AND obj_description(c.oid) IS NULL",
    )
    .await;
    assert_eq!(silent, Vec::<String>::new());
    let silent: Vec<String> = lines(
        db.pool(),
        "SELECT c.relname || '.' || a.attname FROM pg_class c
           JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
           LEFT JOIN pg_description d ON d.objoid = c.oid AND d.classoid = 'pg_class'::regclass AND d.objsubid = a.attnum
          WHERE c.relnamespace = 'syncline'::regnamespace AND c.relkind = 'v' AND d.description IS NULL
          ORDER BY 1",
    )
    .await;
    assert_eq!(silent, Vec::<String>::new());
}

//! How the views are computed: what they read for what is asked, and that what they need of histories is kept right.

use sqlx::PgPool;

use crate::support::TestDb;

/// 2,000 issues of 20 projects with two to four changes of status each, some sprints, and 4,000 other changes.
async fn some_thousand_issues() -> TestDb {
    let db = TestDb::new().await;
    sqlx::raw_sql(include_str!("support/analyst.sql")).execute(db.pool()).await.unwrap();
    db
}

async fn lines(pool: &PgPool, sql: &'static str) -> Vec<String> {
    sqlx::query_scalar(sql).fetch_all(pool).await.unwrap()
}

/// Places and ends that are not what the history says.
const MISPLACED: &str = "
    SELECT c.id::text || ' ' || coalesce(c.status_place::text, '-') FROM syncline.changelog c
      LEFT JOIN (SELECT site_id, id, item, row_number() OVER w AS place, lead(created_at) OVER w AS until
                   FROM syncline.changelog WHERE field = 'status' OR field_id = 'status'
                 WINDOW w AS (PARTITION BY site_id, issue_id ORDER BY created_at, id, item)) n
        ON n.site_id = c.site_id AND n.id = c.id AND n.item = c.item
     WHERE (c.status_place, c.status_until) IS DISTINCT FROM (n.place::int, n.until)";

#[tokio::test]
async fn changes_of_status_have_their_places_however_they_come() {
    let db = some_thousand_issues().await;
    assert_eq!(lines(db.pool(), MISPLACED).await, Vec::<String>::new());
    for sql in [
        // One before all others, one that is corrected, one that was of another issue, one that was of another field.
        "INSERT INTO syncline.changelog (site_id, id, item, issue_id, created_at, field, field_id, from_value, to_value)
         SELECT site_id, 900000, 0, 1, '2020-01-01Z', 'status', 'status', '3', '1' FROM syncline.issue WHERE id = 1",
        "UPDATE syncline.changelog SET created_at = created_at + interval '90 days' WHERE id = 900000",
        "UPDATE syncline.changelog SET issue_id = 2 WHERE id = 900000",
        "UPDATE syncline.changelog SET field = 'labels', field_id = 'labels' WHERE id = 900000",
        "UPDATE syncline.changelog SET field = 'status', field_id = NULL WHERE id = 900000",
    ] {
        sqlx::query(sql).execute(db.pool()).await.unwrap();
        assert_eq!(lines(db.pool(), MISPLACED).await, Vec::<String>::new(), "{sql}");
    }
    let ids = "SELECT format('%s %s', from_status_id, to_status_id) FROM syncline.changelog WHERE id = 900000";
    assert_eq!(lines(db.pool(), ids).await, ["3 1"]);
}

#[tokio::test]
async fn views_read_each_history_table_once_and_not_by_issue() {
    let db = some_thousand_issues().await;
    for (view, sql) in [
        ("issue_status_change", "EXPLAIN (ANALYZE, FORMAT JSON) SELECT * FROM syncline.issue_status_change"),
        ("issue_status_period", "EXPLAIN (ANALYZE, FORMAT JSON) SELECT * FROM syncline.issue_status_period"),
        ("issue_time_in_status", "EXPLAIN (ANALYZE, FORMAT JSON) SELECT * FROM syncline.issue_time_in_status"),
        ("issue_cycle_time", "EXPLAIN (ANALYZE, FORMAT JSON) SELECT * FROM syncline.issue_cycle_time"),
        ("issue_sprint", "EXPLAIN (ANALYZE, FORMAT JSON) SELECT * FROM syncline.issue_sprint"),
    ] {
        let plan: serde_json::Value = sqlx::query_scalar(sql).fetch_one(db.pool()).await.unwrap();
        let mut scans = Vec::new();
        scans_of(&plan, &mut scans);
        let worst =
            scans.iter().filter(|(name, _)| name == "changelog" || name == "issue").map(|(_, loops)| *loops).max();
        assert!(scans.iter().any(|(name, _)| name == "changelog"), "{view}: {plan:#}");
        assert!(worst <= Some(8), "{view} looks at a history {worst:?} times:\n{plan:#}");
    }
}

/// The relations that a plan scans, and how often each scan is begun.
fn scans_of(plan: &serde_json::Value, found: &mut Vec<(String, u64)>) {
    match plan {
        serde_json::Value::Array(parts) => parts.iter().for_each(|part| scans_of(part, found)),
        serde_json::Value::Object(members) => {
            if let (Some(name), Some(loops)) = (plan["Relation Name"].as_str(), plan["Actual Loops"].as_u64()) {
                found.push((name.to_owned(), loops));
            }
            members.values().for_each(|member| scans_of(member, found));
        }
        _ => {}
    }
}

#[tokio::test]
async fn the_flat_view_reads_only_what_a_query_selects() {
    let db = some_thousand_issues().await;
    let sql =
        "EXPLAIN SELECT status, count(*) FROM syncline.issue_flat WHERE status_category <> 'done' GROUP BY status";
    let plan = lines(db.pool(), sql).await.join("\n");
    for other in ["changelog", "sprint", "jira_user", "member", "version", "component", "project", "site"] {
        assert!(!plan.contains(other), "the plan reads {other}:\n{plan}");
    }
}

#[tokio::test]
async fn no_view_tells_of_an_issue_that_is_gone() {
    let db = some_thousand_issues().await;
    sqlx::raw_sql(
        "INSERT INTO syncline.worklog (site_id, id, issue_id, started_at, time_spent_seconds, created_at, updated_at, content_hash)
         SELECT site_id, 1, 3, now(), 60, now(), now(), '' FROM syncline.issue WHERE id = 3;
         UPDATE syncline.issue SET sprint_ids = '{2}' WHERE id = 3",
    )
    .execute(db.pool())
    .await
    .unwrap();
    let views: Vec<String> = lines(
        db.pool(),
        "SELECT c.relname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'issue_id'
          WHERE c.relnamespace = 'syncline'::regnamespace AND c.relkind = 'v' ORDER BY 1",
    )
    .await;
    assert!(views.len() >= 8, "{views:?}");
    let count = async |view: &str| -> i64 {
        let sql = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM syncline.{view} WHERE issue_id = 3"));
        sqlx::query_scalar(sql).fetch_one(db.pool()).await.unwrap()
    };
    for view in &views {
        assert!(count(view).await > 0, "{view} does not show the issue while it is there");
    }
    sqlx::query("UPDATE syncline.issue SET deleted_at = now() WHERE id = 3").execute(db.pool()).await.unwrap();
    for view in &views {
        assert_eq!(count(view).await, 0, "{view} shows an issue that is gone");
    }
}

#[tokio::test]
async fn every_view_of_issues_names_site_project_and_page() {
    let db = some_thousand_issues().await;
    let lacking = lines(
        db.pool(),
        "SELECT format('%s %s', c.relname, n.name) FROM pg_class c
           JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'issue_id'
          CROSS JOIN (VALUES ('site_name'), ('project_key'), ('issue_key'), ('issue_url')) AS n (name)
          WHERE c.relnamespace = 'syncline'::regnamespace AND c.relkind = 'v'
            AND NOT EXISTS (SELECT FROM pg_attribute o WHERE o.attrelid = c.oid AND o.attname = n.name)",
    )
    .await;
    assert_eq!(lacking, Vec::<String>::new());
    let url = "SELECT site_name || ' ' || issue_url FROM syncline.issue_flat WHERE issue_id = 1";
    assert_eq!(lines(db.pool(), url).await, ["big https://big.example/browse/P1-1"]);
}

//! The schema `jira`: what it shows, to whom, and that it says what everything is; the page `docs/schema.md`; the examples.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, PgPool};

use crate::support::TestDb;

async fn some_thousand_issues() -> TestDb {
    let db = TestDb::new().await;
    sqlx::raw_sql(include_str!("support/analyst.sql")).execute(db.pool()).await.unwrap();
    db
}

async fn lines(pool: &PgPool, sql: &'static str) -> Vec<String> {
    sqlx::query_scalar(sql).fetch_all(pool).await.unwrap()
}

async fn run(pool: &PgPool, sql: &'static str) {
    sqlx::raw_sql(sql).execute(pool).await.unwrap();
}

const PUBLISH: &str = "SELECT syncline.publish_fields(id) FROM syncline.site";

#[tokio::test]
async fn custom_fields_have_typed_columns_whatever_their_names() {
    let db = some_thousand_issues().await;
    run(
        db.pool(),
        r#"INSERT INTO syncline.field (site_id, id, name, custom, value_type)
           SELECT s.id, x.id, x.name, true, x.kind FROM syncline.site s CROSS JOIN (VALUES
               ('customfield_1', 'Team"); DROP TABLE syncline.issue; --', 'string'), ('customfield_2', repeat('ü', 60), 'number'),
               ('customfield_3', repeat('ü', 60), 'date'), ('customfield_4', 'issue_key', 'datetime'), ('customfield_5', '   ', 'array'),
               ('customfield_6', 'Größe 尺寸', 'option'), ('customfield_7', '1st', 'user'), ('odd''id"', 'order', 'option-with-child'),
               ('customfield_8', 'issue_key', 'number')
             ) AS x (id, name, kind);
           UPDATE syncline.issue SET fields = '{"customfield_1": "x", "customfield_2": 4.5, "customfield_3": "2024-02-29",
               "customfield_4": "2024-05-01T10:00:00.000+0200", "customfield_5": [{"value": "b"}, {"name": "a"}], "customfield_6": {"value": "L"},
               "customfield_7": {"name": "ana", "displayName": "Ana"}, "odd''id\"": {"value": "p", "child": {"value": "c"}}}' WHERE id = 1;
           -- What is not of the field's kind is no value, and fails no query.
           UPDATE syncline.issue SET fields = '{"customfield_2": "many", "customfield_3": "2023-02-29", "customfield_4": "soon", "customfield_5": 5}' WHERE id = 2"#,
    )
    .await;
    run(db.pool(), PUBLISH).await;
    let columns = lines(
        db.pool(),
        "SELECT a.attname || ' ' || format_type(a.atttypid, NULL) FROM pg_attribute a
          WHERE a.attrelid = 'jira.issue_fields_big'::regclass AND a.attnum > 10 ORDER BY a.attnum",
    )
    .await;
    assert_eq!(
        columns,
        [
            "order text".to_owned(),
            "team_drop_table_syncline_issue text".to_owned(),
            format!("{} numeric", "ü".repeat(31)),
            format!("{}_3 date", "ü".repeat(30)),
            "issue_key_4 timestamp with time zone".to_owned(),
            "field_customfield_5 text[]".to_owned(),
            "größe_尺寸 text".to_owned(),
            "_1st text".to_owned(),
            "issue_key_8 numeric".to_owned(),
        ]
    );
    let row = "SELECT to_jsonb(v)::text FROM jira.issue_fields_big v WHERE issue_id = 1";
    let row: serde_json::Value = serde_json::from_str(&lines(db.pool(), row).await[0]).unwrap();
    assert_eq!(row["issue_key"], "P1-1");
    assert_eq!(row["team_drop_table_syncline_issue"], "x");
    assert_eq!(row["ü".repeat(31)], 4.5);
    assert_eq!(row[format!("{}_3", "ü".repeat(30))], "2024-02-29");
    assert!(row["issue_key_4"].as_str().unwrap().starts_with("2024-05-01T08:00:00"), "{row}");
    assert_eq!(row["field_customfield_5"], serde_json::json!(["b", "a"]));
    assert_eq!((&row["größe_尺寸"], &row["_1st"]), (&"L".into(), &"Ana".into()));
    assert_eq!(row["order"], "p / c");
    let wrong = "SELECT count(*)::text FROM jira.issue_fields_big v WHERE issue_id = 2 AND issue_key_4 IS NULL AND field_customfield_5 IS NULL";
    assert_eq!(lines(db.pool(), wrong).await, ["1"]);
    assert_eq!(
        lines(db.pool(), "SELECT count(*)::text FROM (SELECT * FROM jira.issue_fields_big OFFSET 0) x").await,
        ["2000"]
    );
}

#[tokio::test]
async fn a_view_of_fields_follows_the_list_and_fails_nothing() {
    let db = some_thousand_issues().await;
    let columns = "SELECT a.attname::text FROM pg_attribute a
                    WHERE a.attrelid = 'jira.issue_fields_big'::regclass AND a.attnum > 10 ORDER BY a.attnum";
    run(
        db.pool(),
        "INSERT INTO syncline.field (site_id, id, name, custom, value_type) SELECT id, 'customfield_1', 'Team', true, 'string' FROM syncline.site",
    )
    .await;
    run(db.pool(), PUBLISH).await;
    run(db.pool(), "CREATE SCHEMA mine; CREATE VIEW mine.teams AS SELECT team FROM jira.issue_fields_big").await;
    // What is added does not touch what is built upon it.
    run(
        db.pool(),
        "INSERT INTO syncline.field (site_id, id, name, custom, value_type) SELECT id, 'customfield_2', 'Size', true, 'number' FROM syncline.site",
    )
    .await;
    run(db.pool(), PUBLISH).await;
    assert_eq!(lines(db.pool(), columns).await, ["team", "size"]);
    // What takes away would: it is noted, and done once nothing stands upon it.
    run(db.pool(), "UPDATE syncline.field SET name = 'Squad' WHERE id = 'customfield_1'").await;
    run(db.pool(), PUBLISH).await;
    assert_eq!(lines(db.pool(), columns).await, ["team", "size"]);
    let problem = lines(db.pool(), "SELECT coalesce(problem, '-') FROM syncline.field_view").await;
    assert!(problem[0].contains("other objects depend on it"), "{problem:?}");
    run(db.pool(), "DROP SCHEMA mine CASCADE").await;
    run(db.pool(), PUBLISH).await;
    assert_eq!(lines(db.pool(), columns).await, ["squad", "size"]);
    assert_eq!(lines(db.pool(), "SELECT coalesce(problem, '-') FROM syncline.field_view").await, ["-"]);
    let meaning = "SELECT col_description(a.attrelid, a.attnum) FROM pg_attribute a
                    WHERE a.attrelid = 'jira.issue_fields_big'::regclass AND a.attname = 'squad'";
    assert_eq!(lines(db.pool(), meaning).await, ["Squad (customfield_1): text."]);
    run(db.pool(), "DELETE FROM syncline.field_view").await;
    assert_eq!(lines(db.pool(), "SELECT coalesce(to_regclass('jira.issue_fields_big')::text, 'gone')").await, ["gone"]);
}

#[tokio::test]
async fn who_reads_jira_needs_no_right_to_a_table() {
    let db = some_thousand_issues().await;
    run(db.pool(), PUBLISH).await;
    let name = format!("syncline_analyst_{}", std::process::id());
    let grants = format!(
        "CREATE ROLE {name} LOGIN PASSWORD 'secret'; GRANT USAGE ON SCHEMA jira TO {name}; GRANT SELECT ON ALL TABLES IN SCHEMA jira TO {name}"
    );
    sqlx::raw_sql(AssertSqlSafe(grants)).execute(db.pool()).await.unwrap();
    let mut url = url::Url::parse(db.url()).unwrap();
    url.set_username(&name).unwrap();
    url.set_password(Some("secret")).unwrap();
    let mut user = PgConnection::connect(url.as_str()).await.unwrap();
    let views = lines(
        db.pool(),
        "SELECT relname::text FROM pg_class WHERE relnamespace = 'jira'::regnamespace AND relkind = 'v'",
    )
    .await;
    assert!(views.len() > 30, "{views:?}");
    let mut refused = Vec::new();
    for view in &views {
        let sql = AssertSqlSafe(format!("SELECT * FROM jira.{view} LIMIT 1"));
        refused.extend(user.execute(sql).await.err().map(|error| format!("{view}: {error}")));
    }
    let table = user.execute("SELECT 1 FROM syncline.issue").await;
    user.close().await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(format!("DROP OWNED BY {name}; DROP ROLE {name}"))).execute(db.pool()).await.unwrap();
    assert_eq!(refused, Vec::<String>::new());
    assert!(table.is_err(), "the tables are not for analysts");
    let secrets = lines(
        db.pool(),
        "SELECT attrelid::regclass::text || '.' || attname FROM pg_attribute
          WHERE attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'jira'::regnamespace) AND attname ~ '(credential|secret|password|token)'",
    )
    .await;
    assert_eq!(secrets, Vec::<String>::new());
}

#[tokio::test]
async fn jira_shows_every_column_of_the_replica_with_its_meaning() {
    let db = TestDb::new().await;
    let lacking = lines(
        db.pool(),
        "SELECT c.relname || '.' || a.attname FROM pg_class c
           JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> 'content_hash'
          WHERE c.relnamespace = 'syncline'::regnamespace AND c.relkind IN ('r', 'v') AND c.relname NOT IN ('site', 'project')
            AND to_regclass(format('jira.%I', c.relname)) IS NOT NULL
            AND NOT EXISTS (SELECT FROM pg_attribute o WHERE o.attrelid = to_regclass(format('jira.%I', c.relname)) AND o.attname = a.attname)",
    )
    .await;
    assert_eq!(lacking, Vec::<String>::new(), "call syncline.publish_replica() in the migration");
    let silent = lines(
        db.pool(),
        "SELECT c.oid::regclass::text || coalesce('.' || a.attname, '') FROM pg_class c
           LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
          WHERE (c.relnamespace = 'jira'::regnamespace
                 OR c.relnamespace = 'syncline'::regnamespace AND c.relkind IN ('r', 'v') AND to_regclass(format('jira.%I', c.relname)) IS NOT NULL
                    AND c.relname NOT IN ('site', 'project'))
            AND c.relkind IN ('r', 'v') AND (obj_description(c.oid) IS NULL OR a.attname IS NOT NULL AND col_description(c.oid, a.attnum) IS NULL)",
    )
    .await;
    assert_eq!(silent, Vec::<String>::new(), "say what they hold: COMMENT ON");
}

/// One project, one sprint of a week in January, three issues: 1 was in it and done on its third day; 2 came in on the second day and is
/// not done; 3 was taken out on the fourth day. 2 and 4 points, and 1.
async fn a_sprint() -> TestDb {
    let db = TestDb::new().await;
    run(db.pool(), include_str!("support/sprint.sql")).await;
    db
}

#[tokio::test]
async fn sprints_are_counted_by_day_and_as_a_whole() {
    let db = a_sprint().await;
    let velocity = "SELECT format('%s %s|%s %s|%s %s|%s %s', committed_issues, committed_points, added_issues, added_points,
                           removed_issues, removed_points, completed_issues, completed_points) FROM jira.sprint_velocity";
    assert_eq!(lines(db.pool(), velocity).await, ["2 3|1 4|1 1|1 2"]);
    let days = "SELECT format('%s: %s %s, %s done, %s left', day, scope_issues, scope_points, done_points, remaining_points) FROM jira.sprint_day ORDER BY day";
    assert_eq!(
        lines(db.pool(), days).await,
        [
            "2026-01-05: 2 3, 0 done, 3 left",
            "2026-01-06: 3 7, 0 done, 7 left",
            "2026-01-07: 3 7, 2 done, 5 left",
            "2026-01-08: 2 6, 2 done, 4 left",
            "2026-01-09: 2 6, 2 done, 4 left",
        ]
    );
}

#[tokio::test]
async fn weeks_flow_and_first_answers_are_counted() {
    let db = a_sprint().await;
    let flow = "SELECT format('%s %s', category, issues) FROM jira.cumulative_flow WHERE day = '2026-01-07' AND issues > 0 ORDER BY 1";
    assert_eq!(lines(db.pool(), flow).await, ["done 1", "new 2"]);
    let today = "SELECT sum(issues)::text FROM jira.cumulative_flow WHERE day = (now() AT TIME ZONE 'UTC')::date";
    assert_eq!(lines(db.pool(), today).await, ["3"]);
    let week = "SELECT format('%s %s %s', week, done_issues, done_points) FROM jira.throughput_week";
    assert_eq!(lines(db.pool(), week).await, ["2026-01-05 1 2"]);
    let hours = "SELECT format('%s %s %s %s', person, week, hours, worklogs) FROM jira.hours_week";
    assert_eq!(lines(db.pool(), hours).await, ["Ana 2026-01-05 3 2"]);
    // The reporter's own comment, and one that customers do not see, are no answer.
    let answer = "SELECT format('%s %s', issue_key, response_hours) FROM jira.issue_first_response WHERE response_hours IS NOT NULL";
    assert_eq!(lines(db.pool(), answer).await, ["ACME-1 6"]);
    let sla = "SELECT format('%s %s %s %s', issue_key, sla, breached, goal_hours) FROM jira.issue_sla";
    assert_eq!(lines(db.pool(), sla).await, ["ACME-2 Time to resolution t 4"]);
    let backlog = "SELECT count(*)::text FROM jira.backlog_age WHERE age_days > 1";
    assert_eq!(lines(db.pool(), backlog).await, ["2"]);
    let done = "SELECT issue_key FROM jira.issue_done WHERE done_at IS NOT NULL";
    assert_eq!(lines(db.pool(), done).await, ["ACME-1"]);
}

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[tokio::test]
async fn every_example_runs() {
    let db = a_sprint().await;
    run(db.pool(), PUBLISH).await;
    let mut ran = 0;
    for folder in ["examples/sql", "examples/metabase", "examples/grafana"] {
        for entry in std::fs::read_dir(root(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "sql") {
                continue;
            }
            // What the tools fill in.
            let sql = std::fs::read_to_string(&path)
                .unwrap()
                .replace("$__timeFilter(", "now() > (")
                .replace("{{project}}", "'ACME'")
                .replace("${project:sqlstring}", "'ACME'");
            let rows = db.pool().fetch_all(AssertSqlSafe(sql)).await;
            assert!(rows.as_ref().is_ok_and(|rows| !rows.is_empty()), "{}: {rows:?}", path.display());
            ran += 1;
        }
    }
    assert!(ran >= 10, "{ran}");
    let notebook = std::fs::read_to_string(root("examples/notebook/jira.ipynb")).unwrap();
    let notebook: serde_json::Value = serde_json::from_str(&notebook).unwrap();
    let mut queries = 0;
    for cell in notebook["cells"].as_array().unwrap() {
        let source: String = cell["source"].as_array().unwrap().iter().filter_map(|line| line.as_str()).collect();
        for sql in source.split("\"\"\"").skip(1).step_by(2) {
            let rows = db.pool().fetch_all(AssertSqlSafe(sql.to_owned())).await;
            assert!(rows.is_ok(), "{sql}: {rows:?}");
            queries += 1;
        }
    }
    assert!(queries >= 3, "{queries}");
    let sources = std::fs::read_to_string(root("examples/dbt/sources.yml")).unwrap();
    let tables: Vec<&str> = sources.lines().filter_map(|line| line.strip_prefix("      - name: ")).collect();
    assert!(tables.len() > 20, "{tables:?}");
    for table in tables {
        let rows = db.pool().execute(AssertSqlSafe(format!("SELECT * FROM jira.{table} LIMIT 0"))).await;
        assert!(rows.is_ok(), "{table}: {rows:?}");
    }
}

#[tokio::test]
async fn the_page_of_the_schema_is_current() {
    let db = TestDb::new().await;
    let mut page = String::from(
        "# The schema `jira`\n\n\
         What analysts read: the views of the schema `jira`, with all their columns. This page is written from the comments in the\n\
         database (`\\d+ jira.issue_flat`): after a change run `UPDATE_DOCS=1 cargo nextest run --test promises page_of_the_schema`.\n\n\
         Each site also has a view `issue_fields_SITE` with its custom fields by name ([replica](replica.md#custom-fields)).\n\n\
         ## How they belong together\n\n```mermaid\nerDiagram\n",
    );
    for (one, how, many, by) in RELATED {
        writeln!(page, "    {one} {how} {many} : \"{by}\"").unwrap();
    }
    page.push_str("```\n");
    let rows: Vec<(String, String, String, String, String)> = sqlx::query_as(
        "SELECT c.relname::text, obj_description(c.oid), a.attname::text, format_type(a.atttypid, a.atttypmod), col_description(c.oid, a.attnum)
           FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
          WHERE c.relnamespace = 'jira'::regnamespace AND c.relkind = 'v' ORDER BY c.relname COLLATE \"C\", a.attnum",
    )
    .fetch_all(db.pool())
    .await
    .unwrap();
    let mut columns: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut last = "";
    for (view, meaning, column, kind, holds) in &rows {
        if view != last {
            write!(page, "\n## {view}\n\n{meaning}\n\n| column | type | holds |\n|---|---|---|\n").unwrap();
            last = view;
        }
        writeln!(page, "| `{column}` | {kind} | {} |", holds.replace('|', "\\|")).unwrap();
        columns.entry(view).or_default().push(column);
    }
    for (one, _, many, by) in RELATED {
        assert!(columns.contains_key(one) && columns[many].contains(by), "{many}.{by} leads nowhere");
    }
    let path = root("docs/schema.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/schema.md is old: UPDATE_DOCS=1 cargo nextest run --test promises page_of_the_schema"
    );
}

/// What belongs to what: the replica's tables have no foreign keys, because rows come in the order in which Jira gives them.
const RELATED: &[(&str, &str, &str, &str)] = &[
    ("site", "||--o{", "project", "site_id"),
    ("project", "||--o{", "issue", "project_id"),
    ("issue", "||--o{", "issue", "parent_id"),
    ("issue", "||--o{", "comment", "issue_id"),
    ("issue", "||--o{", "worklog", "issue_id"),
    ("issue", "||--o{", "changelog", "issue_id"),
    ("issue", "||--o{", "issue_link", "issue_id"),
    ("issue", "||--o{", "attachment", "issue_id"),
    ("status", "||--o{", "issue", "status_id"),
    ("sprint", "}o--o{", "issue", "sprint_ids"),
    ("version", "}o--o{", "issue", "fix_version_ids"),
    ("component", "}o--o{", "issue", "component_ids"),
    ("board", "|o--o{", "sprint", "board_id"),
    ("jira_user", "|o--o{", "issue", "assignee_account_id"),
    ("jira_user", "|o--o{", "worklog", "author_account_id"),
    ("jira_user", "||--o|", "member_link", "account_id"),
    ("member", "||--o{", "member_link", "member_id"),
];

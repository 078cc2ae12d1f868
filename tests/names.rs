//! What Jira changes behind `updated`: names of statuses and the like, keys at the other end of links and of parents, names of
//! sprints and people; and what it counts on while nobody touches an issue.

use sqlx::PgPool;
use syncline::clock::Clock;
use syncline::simulator::{FaultKind, FaultPlan, FaultRule, Kind, Mutation, Options, Term};
use syncline::store::names;
use syncline::store::replica::{self, Look};
use syncline::verify;

use crate::support::Rig;

fn options(issues: u32) -> Options {
    let mut options = Options::new(Clock::system());
    options.issues = issues;
    options.projects.truncate(2);
    options.long_threads = 0.0;
    options
}

async fn all(pool: &PgPool, sql: &'static str) -> Vec<String> {
    sqlx::query_scalar(sql).fetch_all(pool).await.unwrap()
}

async fn none(rig: &Rig, sql: &'static str) {
    assert_eq!(all(rig.db.pool(), sql).await, Vec::<String>::new(), "{sql}");
}

async fn equal(rig: &Rig) {
    for project in &rig.projects {
        let report = rig.verify(project, &verify::Options::default()).await.unwrap();
        assert!(report.is_clean(), "{report:#?}");
    }
}

fn rename(rig: &Rig, kind: Term, term: &str, name: &str) {
    let control = rig.jira.control();
    control.apply(Mutation::RenameTerm { kind, term: term.to_owned(), name: name.to_owned() }).unwrap();
}

/// Old names that are still anywhere.
const OLD_NAMES: &str = "
    SELECT 'issue ' || id FROM syncline.issue
     WHERE status = 'In Progress' OR priority = 'High' OR resolution = 'Done' OR issue_type = 'Bug' OR status_id = 10001 AND status_category <> 'done'
    UNION ALL SELECT 'flat ' || issue_id FROM syncline.issue_flat WHERE status = 'In Progress' OR priority = 'High' OR issue_type = 'Bug'
    UNION ALL SELECT 'change ' || issue_id FROM syncline.issue_status_change WHERE 'In Progress' IN (from_status, to_status)
    UNION ALL SELECT 'stay ' || issue_id FROM syncline.issue_time_in_status WHERE status = 'In Progress'
    UNION ALL SELECT 'list' FROM syncline.status WHERE name = 'In Progress'";

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_term_has_one_name_everywhere_after_one_run() {
    let rig = Rig::new(options(400)).await;
    let worker = rig.worker().await;
    for project in ["ACME", "BETA"] {
        assert_eq!(rig.sync(project, "full").await, "succeeded");
    }
    rename(&rig, Term::Status, "10001", "Doing \"it\" ");
    rename(&rig, Term::Priority, "High", "Urgent");
    rename(&rig, Term::Resolution, "10000", "Fixed");
    rename(&rig, Term::IssueType, "10003", "Defect");
    let to_done = Mutation::RecategoriseStatus { status: "10001".to_owned(), category: "done".to_owned() };
    rig.jira.control().apply(to_done).unwrap();
    // One project's nightly run is enough for the whole site: its issues show names that the lists lack.
    assert_eq!(rig.reconcile("ACME", "incremental").await, "succeeded");
    none(&rig, OLD_NAMES).await;
    let names = "SELECT DISTINCT status FROM syncline.issue WHERE status_id = 10001";
    assert_eq!(all(rig.db.pool(), names).await, ["Doing \"it\" "]);
    equal(&rig).await;
    assert_eq!(rig.sync("BETA", "full").await, "succeeded");
    equal(&rig).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rename_is_found_by_the_next_run_that_asks_for_names() {
    let rig = Rig::new(options(40)).await;
    let worker = rig.worker().await;
    assert_eq!(rig.sync("ACME", "full").await, "succeeded");
    let asked = || rig.jira.control().stats().by_endpoint.get("/status").copied().unwrap_or(0);
    let before = asked();
    assert_eq!(rig.sync("ACME", "incremental").await, "succeeded");
    assert_eq!(asked(), before, "the lists were read a moment ago");
    rename(&rig, Term::Status, "In Progress", "Doing");
    sqlx::query("UPDATE syncline.site SET names_asked_at = names_asked_at - interval '31 seconds'")
        .execute(rig.db.pool())
        .await
        .unwrap();
    assert_eq!(rig.sync("ACME", "incremental").await, "succeeded");
    assert_eq!(asked(), before + 1);
    none(&rig, "SELECT key FROM syncline.issue WHERE status = 'In Progress'").await;
    assert!(rig.count("SELECT count(*) FROM syncline.issue WHERE status = 'Doing'").await > 0);
    assert_eq!(rig.count("SELECT names_version - names_applied FROM syncline.site").await, 0);
    worker.stop().await;
}

#[tokio::test]
async fn a_page_older_than_a_rename_brings_no_old_name_back() {
    let rig = Rig::new(options(1)).await;
    let pool = rig.db.pool();
    let project: uuid::Uuid =
        sqlx::query_scalar("SELECT id FROM syncline.project LIMIT 1").fetch_one(pool).await.unwrap();
    sqlx::query("INSERT INTO syncline.status (site_id, id, name, category) SELECT id, 3, 'Doing', 'indeterminate' FROM syncline.site")
        .execute(pool)
        .await
        .unwrap();
    let mut issue = crate::sync_guard::record("as it was read", chrono::DateTime::UNIX_EPOCH);
    (issue.status, issue.details.status_id) = ("In Progress".to_owned(), Some(3));
    let mut tx = pool.begin().await.unwrap();
    names::hold(&mut tx, rig.site_id).await.unwrap();
    let look = Look { asked_at: chrono::DateTime::UNIX_EPOCH, by_id: false };
    replica::upsert_issues(&mut tx, rig.site_id, project, &[&issue.sealed()], look).await.unwrap();
    // A change of names waits until the page is written, and then finds its issues.
    let (site, mut other) = (rig.site_id, pool.begin().await.unwrap());
    let change = tokio::spawn(async move {
        names::hold_alone(&mut other, site).await.unwrap();
        let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM syncline.issue").fetch_one(&mut *other).await.unwrap();
        rows
    });
    tokio::task::yield_now().await;
    tx.commit().await.unwrap();
    assert_eq!(change.await.unwrap(), 1);
    assert_eq!(all(pool, "SELECT status || ' ' || status_category FROM syncline.issue").await, ["Doing indeterminate"]);
}

#[tokio::test]
async fn names_are_written_in_batches_over_the_whole_site() {
    let rig = Rig::new(options(1)).await;
    let pool = rig.db.pool();
    sqlx::raw_sql(
        "INSERT INTO syncline.status (site_id, id, name, category) SELECT id, 3, 'Doing', 'indeterminate' FROM syncline.site;
         INSERT INTO syncline.term (site_id, kind, id, name) SELECT id, 'priority', 2, 'Urgent' FROM syncline.site;
         INSERT INTO syncline.issue (site_id, id, project_id, key, summary, issue_type, status, status_category, status_id, priority, priority_id,
                created_at, updated_at, content_hash, synced_at)
         SELECT p.site_id, n, p.id, 'ACME-' || n, 's', 'Bug', CASE WHEN n % 2 = 0 THEN 'In Progress' ELSE 'Doing' END, 'indeterminate', 3,
                CASE WHEN n % 3 = 0 THEN NULL ELSE 'High' END, CASE WHEN n % 3 = 0 THEN NULL ELSE 2 END, now(), now(), 'x', now()
           FROM syncline.project p, generate_series(1, 250) n WHERE p.key = 'ACME'",
    )
    .execute(pool)
    .await
    .unwrap();
    let mut conn = pool.acquire().await.unwrap();
    let (mut after, mut written, mut steps) = (i64::MIN, 0, 0);
    loop {
        let (last, rows) = names::apply(&mut conn, rig.site_id, after, 100).await.unwrap();
        (written, steps) = (written + rows, steps + 1);
        let Some(last) = last else { break };
        after = last;
    }
    assert_eq!((steps, written), (3, 208), "only what is called otherwise is written");
    none(&rig, "SELECT key FROM syncline.issue WHERE status <> 'Doing' OR priority <> 'Urgent' OR issue_type <> 'Bug'")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_list_holds_is_called_as_issues_last_called_it() {
    let rig = Rig::new(options(60)).await;
    let rules = ["/rest/api/3/status", "/rest/api/3/priority"].map(|path| FaultRule {
        path: Some(path.to_owned()),
        requests: None,
        ..FaultRule::next(FaultKind::Forbidden, 1)
    });
    rig.jira.control().set_faults(FaultPlan { rules: rules.to_vec(), ..FaultPlan::default() });
    let worker = rig.worker().await;
    assert_eq!(rig.sync("ACME", "full").await, "succeeded");
    assert_eq!(rig.count("SELECT count(*) FROM syncline.status WHERE deleted_at IS NULL").await, 0, "no list");
    rename(&rig, Term::Status, "10001", "Doing");
    rename(&rig, Term::Priority, "3", "Normal");
    for issue in all(
        rig.db.pool(),
        "(SELECT key FROM syncline.issue WHERE status_id = 10001 LIMIT 1) UNION (SELECT key FROM syncline.issue WHERE priority_id = 3 LIMIT 1)",
    )
    .await
    {
        rig.jira.control().apply(Mutation::Assign { issue }).unwrap();
    }
    assert_eq!(rig.sync("ACME", "incremental").await, "succeeded");
    none(&rig, "SELECT key FROM syncline.issue WHERE status = 'In Progress' OR priority = 'Medium'").await;
    assert!(rig.count("SELECT count(*) FROM syncline.issue WHERE status = 'Doing'").await > 1);
    worker.stop().await;
}

/// Where a key differs from that of the issue beside whose id it stands.
const OLD_KEYS: &str = "
    SELECT l.other_key FROM syncline.issue_link l JOIN syncline.issue o ON o.site_id = l.site_id AND o.id = l.other_issue_id WHERE o.key <> l.other_key
    UNION ALL
    SELECT c.parent_key FROM syncline.issue c JOIN syncline.issue o ON o.site_id = c.site_id AND o.id = c.parent_id WHERE o.key <> c.parent_key";

async fn moved_alone(kind: Kind) {
    let mut options = options(160);
    options.kind = kind;
    let rig = Rig::new(options).await;
    let worker = rig.worker().await;
    for project in ["ACME", "BETA"] {
        assert_eq!(rig.sync(project, "full").await, "succeeded");
    }
    let moving = all(
        rig.db.pool(),
        "(SELECT DISTINCT i.key FROM syncline.issue i JOIN syncline.issue_link l ON l.other_issue_id = i.id WHERE i.key LIKE 'ACME-%' LIMIT 6)
         UNION (SELECT DISTINCT c.parent_key FROM syncline.issue c WHERE c.parent_key LIKE 'ACME-%' AND NOT c.is_subtask LIMIT 4)",
    )
    .await;
    assert!(moving.len() > 6, "{moving:?}");
    for issue in &moving {
        let project = "BETA".to_owned();
        rig.jira.control().apply(Mutation::MoveIssueAlone { issue: issue.clone(), project }).unwrap();
    }
    // Only where they went: what is linked with them, and below them, is not read.
    assert_eq!(rig.sync("BETA", "incremental").await, "succeeded");
    none(&rig, OLD_KEYS).await;
    let copies: Vec<String> =
        sqlx::query_scalar("SELECT other_key FROM syncline.issue_link UNION SELECT parent_key FROM syncline.issue")
            .fetch_all(rig.db.pool())
            .await
            .map(|keys: Vec<Option<String>>| keys.into_iter().flatten().collect())
            .unwrap();
    assert!(moving.iter().all(|key| !copies.contains(key)), "{moving:?} are left in {copies:?}");
    assert_eq!(rig.sync("ACME", "incremental").await, "succeeded");
    equal(&rig).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moved_issue_is_called_by_its_new_key_wherever_it_stands() {
    moved_alone(Kind::Cloud).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moved_epic_of_data_center_is_called_by_its_new_key() {
    moved_alone(Kind::DataCenter).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn links_to_a_renamed_project_have_its_new_key() {
    let rig = Rig::new(options(200)).await;
    let worker = rig.worker().await;
    for project in ["ACME", "BETA"] {
        assert_eq!(rig.sync(project, "full").await, "succeeded");
    }
    let old = "SELECT l.other_key FROM syncline.issue_link l JOIN syncline.issue i ON i.id = l.issue_id WHERE i.key LIKE 'BETA-%' AND l.other_key LIKE 'ACME-%'";
    let before = all(rig.db.pool(), old).await;
    assert!(!before.is_empty());
    let name = "Renamed".to_owned();
    rig.jira.control().apply(Mutation::RenameProject { project: "ACME".into(), key: "NEW".into(), name }).unwrap();
    // A night of the other project alone: the renamed one has not been read yet.
    assert_eq!(rig.reconcile("BETA", "incremental").await, "succeeded");
    none(&rig, old).await;
    assert_eq!(rig.sync("ACME", "incremental").await, "succeeded");
    none(&rig, old).await;
    none(&rig, OLD_KEYS).await;
    let report = rig.verify("BETA", &verify::Options::default()).await.unwrap();
    assert!(report.is_clean(), "{report:#?}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_is_kept_and_one_that_runs_on_changes_no_issue() {
    let rig = Rig::new(options(150)).await;
    let worker = rig.worker().await;
    assert_eq!(rig.sync("ACME", "full").await, "succeeded");
    for field in [
        "workratio",
        "progress",
        "aggregateprogress",
        "aggregatetimespent",
        "aggregatetimeestimate",
        "aggregatetimeoriginalestimate",
        "subtasks",
        "statusCategory",
        "customfield_10019",
        "customfield_10039",
        "customfield_10040",
    ] {
        let sql = "SELECT count(*) FROM syncline.issue WHERE fields ? $1";
        let rows: i64 = sqlx::query_scalar(sql).bind(field).fetch_one(rig.db.pool()).await.unwrap();
        assert!(rows > 0, "{field}");
    }
    let left = "SELECT sum((fields #>> '{customfield_10039,ongoingCycle,remainingTime,millis}')::int8)::int8 FROM syncline.issue";
    let before = rig.count(left).await;
    assert_eq!(rig.sync("ACME", "full").await, "succeeded");
    let changed = "SELECT issues_created + issues_updated FROM syncline.sync_run ORDER BY created_at DESC LIMIT 1";
    assert_eq!(rig.count(changed).await, 0, "time alone changes no issue");
    assert!(rig.count(left).await < before, "and a full run has it as it is");
    equal_in(&rig, "ACME").await;
    worker.stop().await;
}

async fn equal_in(rig: &Rig, project: &str) {
    let report = rig.verify(project, &verify::Options::default()).await.unwrap();
    assert!(report.is_clean(), "{report:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_project_has_the_estimates_of_the_field_that_it_uses() {
    let rig = Rig::new(options(200)).await;
    let worker = rig.worker().await;
    let by_project = "SELECT p.key || ' ' || (count(story_points) > 20)::text FROM syncline.issue i JOIN syncline.project p ON p.id = i.project_id GROUP BY p.key ORDER BY 1";
    for named in [None, Some("customfield_10016"), Some("customfield_10038"), Some("customfield_10031")] {
        sqlx::query("UPDATE syncline.site SET story_points_field = $1")
            .bind(named)
            .execute(rig.db.pool())
            .await
            .unwrap();
        for project in ["ACME", "BETA"] {
            assert_eq!(rig.sync(project, "full").await, "succeeded");
        }
        assert_eq!(all(rig.db.pool(), by_project).await, ["ACME true", "BETA true"], "{named:?}");
        equal(&rig).await;
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_keep_the_blanks_that_people_leave_behind() {
    for kind in [Kind::Cloud, Kind::DataCenter] {
        let mut options = options(120);
        options.kind = kind;
        let rig = Rig::new(options).await;
        let worker = rig.worker().await;
        assert_eq!(rig.sync("ACME", "full").await, "succeeded");
        for (table, column) in [("issue", "description"), ("comment", "body"), ("worklog", "comment")] {
            let sql = format!("SELECT count(*) FROM syncline.{table} WHERE {column} ~ '\\s$'");
            let rows: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(rig.db.pool()).await.unwrap();
            assert!(rows > 0, "{table}.{column} of {kind:?}");
        }
        equal_in(&rig, "ACME").await;
        // Rows that an older program has written without them are put right.
        sqlx::raw_sql("UPDATE syncline.issue SET description = rtrim(description), content_hash = 'old'")
            .execute(rig.db.pool())
            .await
            .unwrap();
        assert_eq!(rig.sync("ACME", "full").await, "succeeded");
        equal_in(&rig, "ACME").await;
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sprint_of_any_name_is_read_from_data_center() {
    let mut options = options(120);
    options.kind = Kind::DataCenter;
    let rig = Rig::new(options).await;
    for (sprint, name) in [(8, "a,goal=b"), (9, "x, id=7,state=CLOSED"), (10, "plan,colour=red]"), (7, "<null>, or so")]
    {
        rig.jira.control().apply(Mutation::RenameSprint { sprint, name: name.to_owned() }).unwrap();
    }
    let worker = rig.worker().await;
    assert_eq!(rig.sync("ACME", "full").await, "succeeded");
    assert_eq!(
        all(rig.db.pool(), "SELECT name || '|' || state FROM syncline.sprint WHERE id BETWEEN 7 AND 10 ORDER BY id")
            .await,
        ["<null>, or so|closed", "a,goal=b|closed", "x, id=7,state=CLOSED|active", "plan,colour=red]|future"]
    );
    assert_eq!(rig.count("SELECT count(*) FROM syncline.schema_drift WHERE field = 'customfield_10020'").await, 0);
    equal_in(&rig, "ACME").await;
    worker.stop().await;
}

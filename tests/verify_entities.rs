//! `verify` compares every entity by its content, by all of it or by a sample, in a form that stays.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use syncline::clock::Clock;
use syncline::runtime::Worker;
use syncline::simulator::{Amount, Options};
use syncline::store::gauges::{self, GaugeOptions};
use syncline::verify::{self, Report};

use crate::support::Rig;
use crate::support::command::{ask, words};

async fn synced() -> (Rig, Worker) {
    let mut options = Options::new(Clock::system());
    options.issues = 60;
    options.projects.truncate(1);
    options.comments = Amount::Exactly(2);
    options.worklogs = Amount::Exactly(2);
    options.long_threads = 0.1;
    let rig = Rig::new(options).await;
    let worker = rig.worker().await;
    assert_eq!(rig.sync(&rig.projects[0], "full").await, "succeeded");
    (rig, worker)
}

async fn report(rig: &Rig) -> Report {
    rig.verify(&rig.projects[0], &verify::Options::default()).await.unwrap()
}

/// Alters one row behind the replica's back: its hash knows nothing of it.
async fn tamper(rig: &Rig, table: &str, change: &str, which: &str) {
    let sql = format!(
        "UPDATE syncline.{table} SET {change} WHERE ctid = (SELECT ctid FROM syncline.{table} WHERE {which} ORDER BY ctid DESC LIMIT 1)"
    );
    let done = sqlx::query(sqlx::AssertSqlSafe(sql.clone())).execute(rig.db.pool()).await.unwrap();
    assert_eq!(done.rows_affected(), 1, "{sql}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_entity_is_compared_by_its_content_and_mended() {
    let (rig, worker) = synced().await;
    let clean = report(&rig).await;
    assert!(clean.is_clean(), "{clean:#?}");
    for (table, change, which) in [
        ("issue", "fields = fields || '{\"customfield_99\": 1}'", "true"),
        ("comment", "body = 'altered'", "true"),
        ("worklog", "time_spent_seconds = time_spent_seconds + 60", "true"),
        ("changelog", "to_text = 'altered'", "true"),
        ("issue_link", "relation = 'altered'", "true"),
        ("attachment", "size_bytes = size_bytes + 1", "true"),
        ("version", "release_date = coalesce(release_date, '2020-01-01') + 1", "true"),
        ("component", "lead_account_id = 'altered'", "true"),
        ("board", "board_type = 'altered'", "true"),
        ("sprint", "goal = 'altered'", "true"),
        ("status", "category = 'altered'", "true"),
        ("term", "name = 'altered'", "kind = 'issue_type'"),
        ("term", "position = position + 9", "kind = 'priority'"),
        ("term", "description = 'altered'", "kind = 'resolution'"),
        ("field", "value_type = 'altered'", "custom"),
        ("jira_user", "display_name = 'altered'", "account_id IN (SELECT assignee_account_id FROM syncline.issue)"),
    ] {
        tamper(&rig, table, change, which).await;
    }
    let found = report(&rig).await;
    let stale = |has: fn(&verify::Stale) -> bool| found.stale.iter().filter(|stale| has(stale)).count();
    assert_eq!(stale(|stale| stale.fields == ["fields"]), 1, "{found:#?}");
    assert_eq!(stale(|stale| stale.comments.len() == 1), 1);
    assert_eq!(stale(|stale| stale.worklogs.len() == 1), 1);
    assert_eq!(stale(|stale| stale.changes.len() == 1), 1);
    assert_eq!(stale(|stale| stale.links.len() == 1), 1);
    assert_eq!(stale(|stale| stale.attachments.len() == 1), 1);
    let mut entries: Vec<String> = found
        .catalogue
        .iter()
        .map(|entry| format!("{} {}: {}", entry.problem, entry.entity, entry.fields.join(",")))
        .collect();
    entries.sort();
    assert_eq!(
        entries,
        [
            "stale board: board_type",
            "stale component: lead",
            "stale field: value_type",
            "stale issue_type: name",
            "stale priority: position",
            "stale resolution: description",
            "stale sprint: goal",
            "stale status: category",
            "stale version: release_date",
        ]
    );
    assert_eq!(
        found.users.iter().map(|person| (person.problem, person.fields.clone())).collect::<Vec<_>>(),
        [("stale", vec!["display_name"])]
    );

    let scope = verify::scopes(rig.db.pool(), Some(&rig.projects[0])).await.unwrap().remove(0);
    let run = verify::repair(rig.db.pool(), &scope, &found, "test").await.unwrap().unwrap();
    assert_eq!(rig.ended(run).await, "succeeded");
    let after = report(&rig).await;
    assert!(after.is_clean(), "{after:#?}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sample_compares_the_given_number_and_is_stored_as_one() {
    let (rig, worker) = synced().await;
    sqlx::query("UPDATE syncline.issue SET summary = 'altered'").execute(rig.db.pool()).await.unwrap();
    let before = rig.jira.control().stats().issues_served;
    let options = verify::Options { sample: Some(7), ..verify::Options::default() };
    let found = rig.verify(&rig.projects[0], &options).await.unwrap();
    assert!(found.sample);
    assert_eq!((found.checked_issues, found.stale.len(), found.differences()), (7, 7, 7));
    // Once each, and once more directly: nothing is reported that was not seen twice.
    assert_eq!(rig.jira.control().stats().issues_served - before, 14);
    let kept: (String, i64, i64) = sqlx::query_as("SELECT mode, compared, differences FROM syncline.verification")
        .fetch_one(rig.db.pool())
        .await
        .unwrap();
    assert_eq!(kept, ("sample".to_owned(), 7, 7));
    // The last result of each project is a metric.
    let options = GaugeOptions { project_limit: 10, freshness_objective: Duration::from_secs(3_600) };
    let gauges = gauges::read(rig.db.pool(), &options).await.unwrap();
    assert_eq!(gauges.projects[0].verify_differences, Some(7));
    assert!(gauges.projects[0].verified.is_some());
    assert!(gauges.expose().contains("syncline_verify_differences{project=\"sim/ACME\"} 7"));
    worker.stop().await;
}

fn members(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_is_a_table_and_json_whose_members_stay() {
    let (rig, worker) = synced().await;
    sqlx::query("UPDATE syncline.sprint SET name = 'altered' WHERE id = (SELECT min(id) FROM syncline.sprint)")
        .execute(rig.db.pool())
        .await
        .unwrap();
    tamper(&rig, "comment", "body = 'altered'", "true").await;
    let output = ask(&rig.db, &["verify", "--settle", "0", "-o", "json"]);
    assert_eq!(output.status.code(), Some(1), "{}", words(&output));
    let verdicts: Value = serde_json::from_slice(&output.stdout).unwrap();
    let verdict = &verdicts[0];
    assert_eq!(
        members(verdict),
        BTreeSet::from([
            "site",
            "project",
            "sample",
            "differences",
            "error",
            "missing",
            "stale",
            "extra",
            "unreadable",
            "catalogue",
            "users",
            "one_way",
            "left_out",
            "changes_only_here",
            "doubled",
            "checked_issues",
            "checked_comments",
            "checked_worklogs",
            "checked_changes",
            "checked_links",
            "checked_attachments",
            "checked_users",
            "checked_catalogue",
            "checked_entries",
        ])
    );
    assert_eq!(
        members(&verdict["stale"][0]),
        BTreeSet::from(["id", "key", "fields", "comments", "worklogs", "changes", "links", "attachments"])
    );
    assert_eq!(members(&verdict["catalogue"][0]), BTreeSet::from(["entity", "id", "problem", "fields"]));
    assert!(verdict["catalogue"][0]["id"].is_i64(), "{verdict}");
    assert_eq!(
        members(&verdict["checked_entries"]),
        BTreeSet::from([
            "version",
            "component",
            "board",
            "sprint",
            "status",
            "issue_type",
            "priority",
            "resolution",
            "field",
        ])
    );
    let by_entity: Value =
        sqlx::query_scalar("SELECT by_entity FROM syncline.verification").fetch_one(rig.db.pool()).await.unwrap();
    assert_eq!(
        members(&by_entity),
        BTreeSet::from([
            "issue",
            "comment",
            "worklog",
            "changelog",
            "link",
            "attachment",
            "user",
            "catalogue",
            "version",
            "component",
            "board",
            "sprint",
            "status",
            "issue_type",
            "priority",
            "resolution",
            "field",
        ])
    );
    for entity in by_entity.as_object().unwrap().values() {
        assert_eq!(members(entity), BTreeSet::from(["compared", "missing", "stale", "extra"]));
        assert!(entity["compared"].as_u64().unwrap() > 0, "{by_entity}");
    }
    let table = words(&ask(&rig.db, &["verify", "--settle", "0"]));
    for word in ["PROJECT", "2 differences", "stale   sprint", ": name", "comment"] {
        assert!(table.contains(word), "{word} is not in\n{table}");
    }
    worker.stop().await;
}

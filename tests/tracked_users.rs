//! A project that is read for listed users holds what concerns them, and nothing else.

use syncline::clock::Clock;
use syncline::runtime::Worker;
use syncline::simulator::{Amount, Kind, Mutation, Options};

use crate::support::Rig;
use crate::support::command::succeeds;

/// The users who are assigned to the most issues of the first project, after everything was read once.
async fn listed(count: i64) -> (Rig, Worker, Vec<String>) {
    listed_on(Kind::Cloud, count).await
}

async fn listed_on(kind: Kind, count: i64) -> (Rig, Worker, Vec<String>) {
    let mut options = Options::new(Clock::system());
    options.kind = kind;
    if count > 40 {
        options.people = 400;
    }
    options.issues = 120;
    options.projects.truncate(1);
    options.comments = Amount::Exactly(0);
    options.worklogs = Amount::Exactly(1);
    options.long_threads = 0.0;
    options.jql_limit = Some(8_000);
    let rig = Rig::new(options).await;
    let worker = rig.worker().await;
    assert_eq!(rig.sync(&rig.projects[0], "full").await, "succeeded");
    let users: Vec<String> = sqlx::query_scalar(
        "SELECT assignee_account_id FROM syncline.issue WHERE assignee_account_id IS NOT NULL GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT $1",
    )
    .bind(count)
    .fetch_all(rig.db.pool())
    .await
    .unwrap();
    (rig, worker, users)
}

/// Forgets what was read, and reads for listed users from now on.
async fn start_over(rig: &Rig) {
    sqlx::raw_sql(
        "UPDATE syncline.project SET tracking = 'listed';
         CREATE TABLE public.expected AS
             SELECT i.id, ARRAY[i.assignee_account_id, i.reporter_account_id]
                 || ARRAY(SELECT w.author_account_id FROM syncline.worklog w WHERE w.issue_id = i.id) AS people
               FROM syncline.issue i;
         DELETE FROM syncline.issue; DELETE FROM syncline.worklog; DELETE FROM syncline.changelog; DELETE FROM syncline.sync_state;",
    )
    .execute(rig.db.pool())
    .await
    .unwrap();
}

async fn list(rig: &Rig, account: &str) {
    sqlx::query("INSERT INTO syncline.tracked_user (project_id, account_id, added_by) SELECT id, $1, 'test' FROM syncline.project")
        .bind(account)
        .execute(rig.db.pool())
        .await
        .unwrap();
}

/// Issues that are there and should not be, or the other way round.
async fn wrong(rig: &Rig) -> i64 {
    rig.count(
        "SELECT count(*) FROM public.expected e FULL JOIN syncline.issue i ON i.id = e.id
          WHERE (e.people && ARRAY(SELECT account_id FROM syncline.tracked_user)) IS DISTINCT FROM (i.id IS NOT NULL)",
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_added_user_brings_history_and_a_removed_one_leaves_it() {
    let (rig, worker, users) = listed(3).await;
    start_over(&rig).await;
    let project = &rig.projects[0];

    assert_eq!(rig.sync(project, "incremental").await, "succeeded", "nobody is listed: nothing is asked");
    assert_eq!(rig.count("SELECT count(*) FROM syncline.issue").await, 0);
    assert_eq!(rig.count("SELECT count(*) FROM syncline.sync_log WHERE event = 'nobody_tracked'").await, 1);

    list(&rig, &users[0]).await;
    assert_eq!(rig.sync(project, "incremental").await, "succeeded");
    assert_eq!(wrong(&rig).await, 0);
    let first = rig.count("SELECT count(*) FROM syncline.issue").await;
    assert!(first > 0 && first < 120);

    list(&rig, &users[1]).await;
    assert_eq!(rig.count("SELECT count(*) FROM syncline.tracked_user WHERE backfilled_at IS NULL").await, 1);
    assert_eq!(rig.sync(project, "incremental").await, "succeeded");
    assert_eq!(wrong(&rig).await, 0);
    assert_eq!(rig.count("SELECT count(*) FROM syncline.tracked_user WHERE backfilled_at IS NULL").await, 0);
    assert_eq!(rig.count("SELECT count(*) FROM syncline.sync_state WHERE cursor_at IS NULL").await, 0);

    let held = rig.count("SELECT count(*) FROM syncline.issue").await;
    sqlx::query("DELETE FROM syncline.tracked_user WHERE account_id = $1")
        .bind(&users[0])
        .execute(rig.db.pool())
        .await
        .unwrap();
    assert_eq!(rig.reconcile(project, "full").await, "succeeded");
    assert_eq!(rig.count("SELECT count(*) FROM syncline.issue WHERE deleted_at IS NULL").await, held, "history stays");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_set_back_to_all_issues_is_read_from_the_start() {
    let (rig, worker, users) = listed(1).await;
    start_over(&rig).await;
    list(&rig, &users[0]).await;
    assert_eq!(rig.sync(&rig.projects[0], "incremental").await, "succeeded");
    sqlx::query("UPDATE syncline.project SET tracking = 'all'").execute(rig.db.pool()).await.unwrap();
    assert_eq!(rig.sync(&rig.projects[0], "incremental").await, "succeeded");
    assert_eq!(rig.count("SELECT count(*) FROM syncline.issue").await, 120);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn data_center_users_are_listed_by_name_key_or_address() {
    let (rig, worker, users) = listed_on(Kind::DataCenter, 3).await;
    start_over(&rig).await;
    let known: Vec<(String, String, Option<String>)> = sqlx::query_as(
        "SELECT account_id, username, email FROM syncline.jira_user WHERE account_id = ANY ($1) ORDER BY account_id",
    )
    .bind(&users)
    .fetch_all(rig.db.pool())
    .await
    .unwrap();
    assert!(known.iter().any(|(key, name, _)| key != name), "{known:?}");
    let project = rig.projects[0].clone();
    let given = [&known[0].0, &known[1].1, known[2].2.as_ref().unwrap()].map(String::as_str);
    succeeds(&rig.db, &[&["project", "track", &project, "add"], &given[..]].concat());
    // Somebody whom the replica does not know yet is looked for on the site.
    let fourth: (String, String) = sqlx::query_as(
        "DELETE FROM syncline.jira_user WHERE account_id = (
             SELECT account_id FROM syncline.jira_user WHERE account_id <> username AND account_id <> ALL ($1) ORDER BY 1 LIMIT 1)
         RETURNING account_id, username",
    )
    .bind(&users)
    .fetch_one(rig.db.pool())
    .await
    .unwrap();
    succeeds(&rig.db, &["project", "track", &project, "add", &fourth.1]);
    assert_eq!(rig.sync(&project, "incremental").await, "succeeded");
    assert_eq!(wrong(&rig).await, 0);
    assert_eq!(rig.count("SELECT count(*) FROM syncline.tracked_user WHERE backfilled_at IS NOT NULL").await, 4);
    succeeds(&rig.db, &["project", "track", &project, "remove", &known[1].1]);
    assert_eq!(rig.count("SELECT count(*) FROM syncline.tracked_user").await, 3);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_listed_user_is_reported_and_skipped() {
    for kind in [Kind::Cloud, Kind::DataCenter] {
        let (rig, worker, users) = listed_on(kind, 3).await;
        start_over(&rig).await;
        let project = rig.projects[0].clone();
        for user in [&users[0], "gone-1", &users[1], "gone-2", &users[2]] {
            list(&rig, user).await;
        }
        assert_eq!(rig.sync(&project, "incremental").await, "succeeded", "{kind:?}");
        assert_eq!(wrong(&rig).await, 0, "{kind:?}");
        let told: Vec<String> =
            sqlx::query_scalar("SELECT message FROM syncline.sync_log WHERE event = 'tracked_user_unknown'")
                .fetch_all(rig.db.pool())
                .await
                .unwrap();
        assert!(!told.is_empty() && told[0].contains("gone-1") && told[0].contains("gone-2"), "{told:?}");
        let unknown = "SELECT count(*) FROM syncline.tracked_user WHERE unknown_since IS NOT NULL";
        assert_eq!(rig.count(unknown).await, 2);
        let listed = succeeds(&rig.db, &["project", "track", &project, "list"]);
        assert_eq!(listed.matches("unknown to Jira since").count(), 2, "{listed}");

        // They are not asked for any more, and nobody is told again.
        let asked = "SELECT sum(requests)::int8 FROM syncline.sync_run";
        let before = rig.count(asked).await;
        assert_eq!(rig.sync(&project, "incremental").await, "succeeded");
        assert!(rig.count(asked).await - before <= 5, "{kind:?}");

        // A full run asks again; where all are unknown it holds nothing, and does not fail.
        sqlx::query("UPDATE syncline.tracked_user SET account_id = 'gone-' || added_at WHERE unknown_since IS NULL")
            .execute(rig.db.pool())
            .await
            .unwrap();
        assert_eq!(rig.sync(&project, "full").await, "succeeded", "{kind:?}");
        assert_eq!(rig.count(unknown).await, 5);
        sqlx::query("UPDATE syncline.tracked_user SET account_id = $1 WHERE account_id = 'gone-1'")
            .bind(&users[0])
            .execute(rig.db.pool())
            .await
            .unwrap();
        assert_eq!(rig.sync(&project, "full").await, "succeeded", "{kind:?}");
        assert_eq!(rig.count(unknown).await, 4, "one who is back is asked for again");
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn four_hundred_listed_users_fit_into_short_queries() {
    for kind in [Kind::Cloud, Kind::DataCenter] {
        let (rig, worker, _) = listed_on(kind, 400).await;
        start_over(&rig).await;
        let listed = sqlx::query(
            "INSERT INTO syncline.tracked_user (project_id, account_id, added_by)
             SELECT p.id, u.account_id, 'test' FROM syncline.project p, syncline.jira_user u ORDER BY u.account_id LIMIT 399",
        );
        assert_eq!(listed.execute(rig.db.pool()).await.unwrap().rows_affected(), 399);
        assert_eq!(rig.sync(&rig.projects[0], "incremental").await, "succeeded");
        assert_eq!(wrong(&rig).await, 0, "{kind:?}");
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_users_are_asked_for_in_several_queries() {
    let (rig, worker, users) = listed(2).await;
    start_over(&rig).await;
    sqlx::query(
        "INSERT INTO syncline.tracked_user (project_id, account_id, added_by)
         SELECT p.id, u.account_id, 'test' FROM syncline.project p, syncline.jira_user u
         WHERE u.account_id <> ALL ($1) OR u.account_id = ANY ($1)",
    )
    .bind(&users)
    .execute(rig.db.pool())
    .await
    .unwrap();
    assert_eq!(rig.sync(&rig.projects[0], "incremental").await, "succeeded");
    assert_eq!(wrong(&rig).await, 0);
    let id = rig.jira.control().issue_ids(&rig.projects[0])[0];
    rig.jira.control().apply(Mutation::EditIssue { issue: id.to_string() }).unwrap();
    assert_eq!(rig.sync(&rig.projects[0], "incremental").await, "succeeded");
    assert_eq!(rig.count("SELECT max(issues_updated) FROM syncline.sync_run WHERE window_from IS NOT NULL").await, 1);
    worker.stop().await;
}

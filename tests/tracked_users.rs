//! A project that is read for listed users holds what concerns them, and nothing else.

use syncline::clock::Clock;
use syncline::runtime::Worker;
use syncline::simulator::{Amount, Mutation, Options};

use crate::support::Rig;

/// The users who are assigned to the most issues of the first project, after everything was read once.
async fn listed(count: i64) -> (Rig, Worker, Vec<String>) {
    let mut options = Options::new(Clock::system());
    options.issues = 120;
    options.projects.truncate(1);
    options.comments = Amount::Exactly(0);
    options.worklogs = Amount::Exactly(1);
    options.long_threads = 0.0;
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
async fn a_user_who_is_added_brings_their_history_and_one_who_is_removed_leaves_it() {
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
async fn a_project_that_is_read_whole_again_is_read_from_the_beginning() {
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

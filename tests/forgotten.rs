//! A person who is forgotten, or whose account Jira has closed, is named nowhere, and comes back with no sync.

use syncline::clock::Clock;
use syncline::runtime::Worker;
use syncline::simulator::{Amount, Kind, Mutation, Options};
use syncline::verify;

use crate::support::Rig;
use crate::support::command::{acts, ask, json, refuses, succeeds, words};

/// A person of a site that was read whole.
struct Person {
    account_id: String,
    name: String,
    email: String,
    username: Option<String>,
}

/// A site that was read, and its person whom most texts mention. Comments and worklogs come inlined and by lists of their own.
async fn read(kind: Kind) -> (Rig, Worker, Person) {
    let mut options = Options::new(Clock::system());
    options.kind = kind;
    options.issues = 120;
    options.people = 6;
    options.projects.truncate(1);
    options.comments = Amount::Exactly(3);
    options.worklogs = Amount::Exactly(2);
    let rig = Rig::new(options).await;
    let worker = rig.worker().await;
    assert_eq!(rig.sync(&rig.projects[0], "full").await, "succeeded");
    let (account_id, name, email, username): (String, String, Option<String>, Option<String>) = sqlx::query_as(
        "SELECT u.account_id, u.display_name, u.email, u.username FROM syncline.jira_user u
          WHERE u.account_type IS DISTINCT FROM 'app' AND u.email IS DISTINCT FROM $1
            AND u.username IS DISTINCT FROM u.account_id
          ORDER BY u.email IS NULL,
                (SELECT count(*) FROM syncline.comment c
                  WHERE strpos(c.body, '@' || u.display_name) > 0 OR strpos(c.body, '[~' || u.username || ']') > 0) DESC LIMIT 1",
    )
    .bind(syncline::simulator::DEFAULT_EMAIL)
    .fetch_one(rig.db.pool())
    .await
    .unwrap();
    let email = email.expect("somebody shows an address");
    (rig, worker, Person { account_id, name, email, username })
}

/// Where the database names the person: table, column and how many rows, of every column of every table.
async fn traces(rig: &Rig, person: &Person) -> Vec<String> {
    let columns: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT c.table_schema::text, c.table_name::text, c.column_name::text FROM information_schema.columns c
           JOIN information_schema.tables t USING (table_schema, table_name)
          WHERE t.table_type = 'BASE TABLE' AND c.table_schema NOT IN ('pg_catalog', 'information_schema')
            AND (c.data_type IN ('text', 'json', 'jsonb', 'character varying', 'ARRAY') OR c.udt_name = 'citext')",
    )
    .fetch_all(rig.db.pool())
    .await
    .unwrap();
    assert!(columns.len() > 100);
    let username = person.username.as_ref().map(|name| format!("[~{name}]"));
    let quoted = serde_json::Value::from(person.name.as_str()).to_string();
    let escaped = quoted[1..quoted.len() - 1].to_owned();
    let words: Vec<String> = [Some(person.name.clone()), Some(escaped), Some(person.email.clone()), username]
        .into_iter()
        .flatten()
        .collect();
    let mut found = Vec::new();
    for (schema, table, column) in columns {
        let count: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
            "SELECT count(*) FROM \"{schema}\".\"{table}\"
              WHERE EXISTS (SELECT 1 FROM unnest($1::text[]) w WHERE strpos(lower(\"{column}\"::text), lower(w)) > 0)"
        )))
        .bind(&words)
        .fetch_one(rig.db.pool())
        .await
        .unwrap();
        if count > 0 {
            found.push(format!("{table}.{column} {count}"));
        }
    }
    found.sort();
    found
}

/// The sums that must stay: who did how much, by account.
async fn sums(rig: &Rig, person: &Person) -> (i64, i64, i64) {
    sqlx::query_as(
        "SELECT (SELECT count(*) FROM syncline.issue WHERE $1 IN (assignee_account_id, reporter_account_id)),
                (SELECT count(*) FROM syncline.comment WHERE author_account_id = $1),
                (SELECT coalesce(sum(time_spent_seconds), 0) FROM syncline.worklog WHERE author_account_id = $1)",
    )
    .bind(&person.account_id)
    .fetch_one(rig.db.pool())
    .await
    .unwrap()
}

/// Names the person in places that no sync of the simulator fills.
async fn name_everywhere(rig: &Rig, person: &Person) {
    let Person { account_id, name, email, .. } = person;
    succeeds(&rig.db, &["member", "add", name, "--email", email]);
    succeeds(&rig.db, &["user", "link", "sim", account_id, email]);
    succeeds(&rig.db, &["project", "track", &rig.projects[0], "add", email]);
    let user = serde_json::json!({
        "accountId": account_id, "displayName": name, "emailAddress": email, "timeZone": "Europe/Madrid",
        "avatarUrls": { "48x48": "https://avatars.example.com/ana.png" }, "active": true,
    });
    sqlx::query(
        "UPDATE syncline.issue SET fields = fields || jsonb_build_object('customfield_19001', $1::jsonb, 'customfield_19002', jsonb_build_array($1::jsonb))
          WHERE id IN (SELECT id FROM syncline.issue ORDER BY id LIMIT 5)",
    )
    .bind(&user)
    .execute(rig.db.pool())
    .await
    .unwrap();
    sqlx::query(
        "INSERT INTO syncline.sync_log (level, event, message, details) VALUES ('warn', 'test', $1 || ' (' || $2 || ') is unknown', jsonb_build_object('who', $1))",
    )
    .bind(name)
    .bind(email)
    .execute(rig.db.pool())
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_person_is_named_nowhere() {
    for kind in [Kind::Cloud, Kind::DataCenter] {
        let (rig, worker, person) = read(kind).await;
        worker.stop().await;
        name_everywhere(&rig, &person).await;
        let before = traces(&rig, &person).await;
        for place in [
            "audit.details",
            "changelog.from_text",
            "comment.body",
            "issue.fields",
            "jira_user.display_name",
            "member.email",
            "sync_log.message",
        ] {
            assert!(before.iter().any(|found| found.starts_with(place)), "{place} is not tried: {before:?}");
        }
        let kept = sums(&rig, &person).await;

        // Without --yes, and without a terminal, it only counts.
        let told = json(&rig.db, &["people", "forget", &person.email]);
        assert_eq!(told["applied"], false);
        let counts = &told["accounts"][0];
        for what in ["issues", "comments", "changes", "tracked_in", "members", "log_entries", "audit_entries"] {
            assert!(counts[what].as_i64().unwrap() > 0, "{what}: {told}");
        }
        assert_eq!(traces(&rig, &person).await, before);

        let told = json(&rig.db, &["people", "forget", &person.email, "--yes"]);
        assert_eq!(
            (&told["applied"], &told["accounts"][0]["account_id"]),
            (&true.into(), &person.account_id.as_str().into())
        );
        assert_eq!(traces(&rig, &person).await, Vec::<String>::new());
        assert_eq!(sums(&rig, &person).await, kept);
        let user: (String, Option<String>, bool, bool) = sqlx::query_as(
            "SELECT display_name, email, forgotten_at IS NOT NULL, erased_at IS NOT NULL FROM syncline.jira_user WHERE account_id = $1",
        )
        .bind(&person.account_id)
        .fetch_one(rig.db.pool())
        .await
        .unwrap();
        assert_eq!(user, ("Former user".to_owned(), None, true, true));
        assert_eq!(rig.count("SELECT count(*) FROM syncline.member").await, 0);
        assert_eq!(rig.count("SELECT count(*) FROM syncline.tracked_user").await, 0);
        let act = format!("people.forget sim/{}", person.account_id);
        assert_eq!(acts(&rig.db).await.last(), Some(&act), "the audit names the account");
        refuses(
            &rig.db,
            &["people", "forget", &person.email, "--yes"],
            1,
            &["no user has the account id", "user list"],
        );
        // Of an account that is forgotten there is nothing more to be changed.
        let again = json(&rig.db, &["people", "forget", &person.account_id, "--dry-run"]);
        for what in ["issues", "comments", "worklogs", "changes", "members"] {
            assert_eq!(again["accounts"][0][what], 0, "{again}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_does_not_bring_a_forgotten_name_back() {
    for kind in [Kind::Cloud, Kind::DataCenter] {
        let (rig, worker, person) = read(kind).await;
        let project = rig.projects[0].clone();
        succeeds(&rig.db, &["people", "forget", &person.account_id, "--yes"]);
        assert_eq!(traces(&rig, &person).await, Vec::<String>::new());

        // What is stored agrees with Jira, but for the person.
        let report = rig.verify(&project, &verify::Options::default()).await.unwrap();
        assert_eq!(report.differences(), 0, "{report:?}");

        // Everything is read again: pages, lists, histories and the users of the site.
        sqlx::raw_sql("UPDATE syncline.site SET users_synced_at = NULL").execute(rig.db.pool()).await.unwrap();
        rig.jira.control().mutate(60);
        assert_eq!(rig.sync(&project, "incremental").await, "succeeded");
        assert_eq!(traces(&rig, &person).await, Vec::<String>::new());
        assert_eq!(rig.sync(&project, "full").await, "succeeded");
        assert_eq!(traces(&rig, &person).await, Vec::<String>::new());
        let ids: Vec<i64> = sqlx::query_scalar("SELECT id FROM syncline.issue ORDER BY id LIMIT 50")
            .fetch_all(rig.db.pool())
            .await
            .unwrap();
        assert_eq!(rig.repair(&project, &ids).await, "succeeded");
        assert_eq!(traces(&rig, &person).await, Vec::<String>::new());

        // Whatever writes the row, an older program too.
        sqlx::query("UPDATE syncline.jira_user SET display_name = $2, email = $3 WHERE account_id = $1")
            .bind(&person.account_id)
            .bind(&person.name)
            .bind(&person.email)
            .execute(rig.db.pool())
            .await
            .unwrap();
        assert_eq!(traces(&rig, &person).await, Vec::<String>::new());
        let report = rig.verify(&project, &verify::Options::default()).await.unwrap();
        assert_eq!(report.differences(), 0, "{report:?}");
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_account_is_anonymised() {
    for kind in [Kind::Cloud, Kind::DataCenter] {
        let (rig, worker, person) = read(kind).await;
        let project = rig.projects[0].clone();
        let close = Mutation::CloseUser { user: person.account_id.clone() };
        rig.jira.control().apply(close).unwrap();
        sqlx::raw_sql("UPDATE syncline.site SET users_synced_at = NULL").execute(rig.db.pool()).await.unwrap();
        assert!(!traces(&rig, &person).await.is_empty());
        assert_eq!(rig.sync(&project, "incremental").await, "succeeded");
        assert_eq!(traces(&rig, &person).await, Vec::<String>::new());
        let closed = "SELECT count(*) FROM syncline.jira_user WHERE closed_at IS NOT NULL AND erased_at IS NOT NULL AND display_name = 'Former user'";
        assert_eq!(rig.count(closed).await, 1);
        assert_eq!(
            rig.count("SELECT count(*) FROM syncline.audit WHERE action = 'people.forget' AND actor = 'syncline'")
                .await,
            1
        );
        let report = rig.verify(&project, &verify::Options::default()).await.unwrap();
        assert_eq!(report.differences(), 0, "{kind:?}: {report:?}");
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_about_a_person_is_exported() {
    let (rig, worker, person) = read(Kind::Cloud).await;
    name_everywhere(&rig, &person).await;
    let output = ask(&rig.db, &["people", "export", &person.email]);
    assert!(output.status.success(), "{}", words(&output));
    let exported: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let own = &exported[0];
    assert_eq!(
        (&own["user"]["email"], &own["member"]["name"]),
        (&person.email.as_str().into(), &person.name.as_str().into())
    );
    assert_eq!(own["tracked_in"][0]["project"], rig.projects[0].as_str());
    let (_, comments, _) = sums(&rig, &person).await;
    assert!(own["comments"].as_array().unwrap().len() as i64 >= comments && comments > 0);
    assert!(!own["issues"].as_array().unwrap().is_empty() && !own["changes"].as_array().unwrap().is_empty());
    let in_fields = |issue: &serde_json::Value| !issue["fields"].as_array().unwrap().is_empty();
    assert!(own["issues"].as_array().unwrap().iter().any(in_fields));
    refuses(&rig.db, &["people", "export", "nobody@example.com"], 1, &["no user has the account id"]);
    worker.stop().await;
}

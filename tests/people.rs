//! Members come by file, command or SQL, and are matched to users of Jira where that is certain, and only there.

use std::path::{Path, PathBuf};

use crate::support::TestDb;
use crate::support::command::{acts, json, refuses, succeeds};

async fn execute(db: &TestDb, sql: &'static str) {
    sqlx::raw_sql(sql).execute(db.pool()).await.unwrap();
}

fn file(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("people.csv");
    std::fs::write(&path, text).unwrap();
    path
}

async fn members(db: &TestDb) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT concat_ws('|', name, email, team, external_id, active) FROM syncline.member ORDER BY external_id, name",
    )
    .fetch_all(db.pool())
    .await
    .unwrap()
}

#[tokio::test]
async fn importing_twice_changes_nothing_and_a_new_file_applies() {
    let (db, folder) = (TestDb::new().await, tempfile::tempdir().unwrap());
    execute(&db, "INSERT INTO syncline.member (name, email) VALUES ('Ana', 'ANA@example.com')").await;
    let first = "\u{feff}email;name;team;external_id;active\r\nana@example.com;Ana Ruiz;Blue;e1;true\r\n\
                 ben@example.com;\"Roy; Ben\";Red;e2;false\r\n";
    let path = file(folder.path(), first);
    let path = path.to_str().unwrap();
    let tried = json(&db, &["member", "import", path, "--dry-run"]);
    assert_eq!((&tried["created"], &tried["updated"], &tried["applied"]), (&1.into(), &1.into(), &false.into()));
    assert_eq!(members(&db).await, ["Ana|ANA@example.com|t"]);
    assert_eq!(json(&db, &["member", "import", path])["applied"], true);
    let kept = ["Ana Ruiz|ana@example.com|Blue|e1|t", "Roy; Ben|ben@example.com|Red|e2|f"];
    assert_eq!(members(&db).await, kept);
    let again = json(&db, &["member", "import", path]);
    assert_eq!((&again["unchanged"], &again["updated"], &again["created"]), (&2.into(), &0.into(), &0.into()));
    // The two exchange their addresses; the file says nothing of teams.
    file(folder.path(), "external_id,email,name\ne1,ben@example.com,Ana Ruiz\ne2,ana@example.com,Ben Roy\n");
    succeeds(&db, &["member", "import", path]);
    let exchanged = ["Ana Ruiz|ben@example.com|Blue|e1|t", "Ben Roy|ana@example.com|Red|e2|f"];
    assert_eq!(members(&db).await, exchanged);
    assert_eq!(acts(&db).await, ["member.import people.csv", "member.import people.csv"]);
}

#[tokio::test]
async fn a_bad_line_is_named_and_stops_the_import_by_default() {
    let (db, folder) = (TestDb::new().await, tempfile::tempdir().unwrap());
    execute(&db, "INSERT INTO syncline.member (name, email, external_id) VALUES ('Zoe', 'zoe@example.com', 'z')").await;
    let text = "external_id,email,name\na,ana@example.com,Ana\nb,nonsense,Ben\nc,zoe@example.com,Cem\n";
    let path = file(folder.path(), text);
    let path = path.to_str().unwrap();
    let problems =
        ["line 3 email is \"nonsense\"", "line 4 has the e-mail address of the member with external_id \"z\""];
    refuses(&db, &["member", "import", path], 1, &[&problems[..], &["nothing was imported", "--skip-bad"]].concat());
    assert_eq!(members(&db).await.len(), 1);
    let report = json(&db, &["member", "import", path, "--skip-bad"]);
    assert_eq!((&report["created"], &report["refused"][1]["line"]), (&1.into(), &4.into()));
    assert_eq!(members(&db).await, ["Ana|ana@example.com|a|t", "Zoe|zoe@example.com|z|t"]);
    file(folder.path(), "name,phone\n");
    refuses(&db, &["member", "import", path], 2, &["\"phone\"", "email,name,team,external_id,active"]);
    refuses(&db, &["member", "import", "/no/such.csv"], 1, &["/no/such.csv"]);
}

/// A site with users of every kind of trouble, and members.
async fn staged() -> TestDb {
    let db = TestDb::new().await;
    execute(
        &db,
        "INSERT INTO syncline.site (id, name, base_url, account_email, credential) VALUES
           ('00000000-0000-7000-8000-000000000001', 'acme', 'https://acme.example.com', 'bot@example.com', 'env:TOKEN');
         INSERT INTO syncline.jira_user (site_id, account_id, display_name, email, active, account_type)
         SELECT '00000000-0000-7000-8000-000000000001', a, d, e, true, t FROM (VALUES
           ('a1', 'Ana Ruiz', 'Ana@Example.com', 'atlassian'),
           ('b1', 'Ben Roy', NULL, 'atlassian'),
           ('c1', 'Cem Kaya', NULL, 'atlassian'), ('c2', 'Cem Kaya', NULL, NULL),
           ('d1', 'Di Lane', 'di@other.test', 'atlassian'),
           ('e1', 'Eve Moss', NULL, 'atlassian'),
           ('f1', 'Nobody Known', 'nobody@example.com', 'atlassian'),
           ('x1', 'Robot', NULL, 'app')) AS u (a, d, e, t);
         INSERT INTO syncline.member (external_id, name, email) VALUES
           ('a', 'Ana Ruiz', 'ana@example.com'), ('b', 'Ben Roy', 'ben@example.com'), ('c', 'Cem Kaya', NULL),
           ('d', 'Di Lane', 'di@example.com'), ('e', 'Eve Moss', 'eve@example.com'), ('e2', 'Eve Moss', 'eve2@example.com')",
    )
    .await;
    db
}

fn outcomes(report: &serde_json::Value) -> Vec<String> {
    let mut rows: Vec<String> = report["users"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| {
            let text = |name: &str| user[name].as_str().unwrap_or("-").to_owned();
            format!("{} {} {}", text("account_id"), text("outcome"), text("reason"))
        })
        .collect();
    rows.sort();
    rows
}

async fn links(db: &TestDb) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT l.account_id || ' ' || m.external_id || ' ' || l.matched_by
           FROM syncline.member_link l JOIN syncline.member m ON m.id = l.member_id ORDER BY 1",
    )
    .fetch_all(db.pool())
    .await
    .unwrap()
}

#[tokio::test]
async fn only_certain_users_match_and_hidden_addresses_are_counted() {
    let db = staged().await;
    let report = json(&db, &["user", "match", "acme"]);
    let expected = [
        "a1 email -",
        "b1 unmatched names_not_allowed",
        "c1 ambiguous several_users",
        "c2 ambiguous several_users",
        "d1 ambiguous other_email",
        "e1 ambiguous several_members",
        "f1 unmatched no_member",
    ];
    assert_eq!(outcomes(&report), expected);
    assert_eq!(report["summary"]["hidden_email_addresses"], 4);
    assert!(links(&db).await.is_empty(), "without --apply nothing is changed");
    succeeds(&db, &["user", "match", "--apply"]);
    assert_eq!(links(&db).await, ["a1 a email"]);
    succeeds(&db, &["site", "update", "acme", "--match-by-name", "on"]);
    let text = succeeds(&db, &["user", "match", "--apply"]);
    assert_eq!(links(&db).await, ["a1 a email", "b1 b name"]);
    for word in ["2 of 7 users matched", "hides the e-mail addresses of 4 users", "user link acme c1 MEMBER", "hidden"]
    {
        assert!(text.contains(word), "{text} lacks {word}");
    }
    assert!(!text.contains("Robot"), "apps are nobody: {text}");
}

#[tokio::test]
async fn a_link_made_by_hand_stays_whatever_matching_finds() {
    let db = staged().await;
    succeeds(&db, &["user", "link", "acme", "a1", "ben@example.com"]);
    succeeds(&db, &["user", "match", "--apply"]);
    assert_eq!(links(&db).await, ["a1 b manual"]);
    refuses(
        &db,
        &["user", "link", "acme", "nope", "a"],
        1,
        &["no user with the account id \"nope\"", "user list acme"],
    );
    refuses(&db, &["user", "link", "acme", "a1", "nope"], 1, &["unknown member", "member list"]);
    refuses(&db, &["user", "unlink", "acme", "c1"], 1, &["has no link"]);
    succeeds(&db, &["user", "unlink", "acme", "a1"]);
    succeeds(&db, &["user", "match", "--apply"]);
    assert_eq!(links(&db).await, ["a1 a email"]);
    let expected = ["user.link acme/a1", "user.unlink acme/a1", "user.match acme"];
    assert_eq!(acts(&db).await, expected);
}

#[tokio::test]
async fn a_match_survives_a_hidden_address_but_not_a_wrong_one() {
    let db = staged().await;
    succeeds(&db, &["user", "match", "--apply"]);
    execute(&db, "UPDATE syncline.jira_user SET email = NULL WHERE account_id = 'a1'").await;
    succeeds(&db, &["user", "match", "--apply"]);
    assert_eq!(links(&db).await, ["a1 a email"]);
    execute(&db, "UPDATE syncline.jira_user SET email = 'else@example.com' WHERE account_id = 'a1'").await;
    let text = succeeds(&db, &["user", "match", "--apply"]);
    assert!(links(&db).await.is_empty() && text.contains("1 removed"), "{text}");
}

#[tokio::test]
async fn members_are_listed_added_and_removed() {
    let db = staged().await;
    succeeds(&db, &["member", "add", "Gus Hall", "--email", "gus@example.com", "--team", "Blue"]);
    refuses(&db, &["member", "add", "Gus", "--email", "GUS@example.com"], 1, &["already"]);
    refuses(&db, &["member", "remove", "gus@example.com"], 2, &["--yes"]);
    assert!(succeeds(&db, &["member", "list"]).contains("Gus Hall"));
    succeeds(&db, &["user", "match", "--apply"]);
    succeeds(&db, &["member", "remove", "ana@example.com", "--yes"]);
    assert!(links(&db).await.is_empty());
    assert!(
        !succeeds(&db, &["user", "list", "acme"]).contains("ana@example.com"),
        "the address is Jira's: Ana@Example.com"
    );
}

//! `site add` and `site update` ask the site before they store anything, and find it where people say that it is.

use syncline::clock::Clock;
use syncline::simulator::{self, FaultKind, FaultPlan, FaultRule, Kind, Options, ProjectSpec};

use crate::support::answering::{Answering, Reply};
use crate::support::command::{ask, json, refuses, succeeds, words};
use crate::support::{Rig, TestDb};

async fn rig(kind: Kind, context_path: &str) -> Rig {
    let mut options = Options::new(Clock::system());
    (options.issues, options.kind, options.context_path) = (5, kind, context_path.to_owned());
    Rig::new(options).await
}

/// A command that adds the site `u`, without an address.
fn add<'a>(rig: &Rig, url: &'a str, credential: &'a str) -> Vec<&'a str> {
    let account: &[&str] = match rig.jira.base_url().ends_with("/jira") {
        true => &["--auth", "bearer"],
        false => &["--email", simulator::DEFAULT_EMAIL],
    };
    [&["site", "add", "u", "--url", url, "--credential", credential][..], account].concat()
}

/// Removes the site `u`; the address that was stored.
async fn forget(rig: &Rig) -> String {
    let removed = sqlx::query_scalar("DELETE FROM syncline.site WHERE name = 'u' RETURNING base_url");
    removed.fetch_one(rig.db.pool()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // Jira answers while a command is waited for
async fn a_pasted_address_leads_to_the_site() {
    let cloud = rig(Kind::Cloud, "").await;
    let base = cloud.jira.base_url().to_owned();
    let credential = format!("file:{}", cloud.token_path().display());
    for (page, told) in [
        ("", ""),
        ("/", ""),
        ("/browse/AA-1", "/browse/AA-1 is a page"),
        ("/secure/Dashboard.jspa", "/secure/Dashboard.jspa is a page"),
        ("/jira/software/projects/AA/boards/1?a=b", "is a page"),
        ("/issues/?jql=project%20%3D%20AA", "is a page"),
        ("/rest/api/3", "/rest/api/3 is a page"),
        ("/jira", "there is no Jira at"),
        ("/jira/projects", "there is no Jira at"),
        ("/no/such/place", "there is no Jira at"),
    ] {
        let text = succeeds(&cloud.db, &add(&cloud, &format!("{base}{page}"), &credential));
        assert!(text.contains(told) && !text.contains("upgrade Syncline"), "{page}: {text}");
        assert!(text.contains("Jira accepts"), "{page}: {text}");
        assert_eq!(forget(&cloud).await, base, "{page}");
    }
    let plant = rig(Kind::DataCenter, "/jira").await;
    let base = plant.jira.base_url().to_owned();
    let host = base.strip_suffix("/jira").unwrap();
    let credential = format!("file:{}", plant.token_path().display());
    for (address, told) in [
        (format!("{base}/browse/AA-1"), "is a page"),
        (host.to_owned(), "it is at"),
        (format!("{host}/browse/AA-1"), "it is at"),
        (format!("{base}/some/where"), "it is at"),
    ] {
        let text = succeeds(&plant.db, &add(&plant, &address, &credential));
        assert!(text.contains(told), "{address}: {text}");
        assert_eq!(forget(&plant).await, base, "{address}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // Jira answers while a command is waited for
async fn nothing_is_stored_before_the_site_has_let_the_account_in() {
    let rig = rig(Kind::Cloud, "").await;
    let base = rig.jira.base_url().to_owned();
    let refused = |arguments: &[&str], code: i32, expected: &[&str]| {
        refuses(&rig.db, arguments, code, expected);
        refuses(&rig.db, &["site", "show", "u"], 1, &["unknown site"]);
    };
    // `TOKEN` is of nobody; `OTHER` is not set.
    refused(&add(&rig, &base, "env:TOKEN"), 1, &["AUTH_INVALID", "nothing was stored", "--offline"]);
    refused(&add(&rig, &base, "env:OTHER"), 1, &["OTHER is not set", "--offline"]);
    let credential = format!("file:{}", rig.token_path().display());
    refused(
        &[&add(&rig, &base, &credential)[..], &["--kind", "data-center"]].concat(),
        2,
        &["reports that it is cloud"],
    );
    refused(&add(&rig, "http://127.0.0.1:1", &credential), 1, &["NETWORK_GLITCH", "--offline"]);
    refused(&add(&rig, "jira.example.com/browse/AA-1", &credential), 2, &["write https://jira.example.com"]);
    let page = (200, vec![("content-type", "text/html".to_owned())], "<html>shop</html>".to_owned());
    let shop = Answering::start(vec![page; 40]).await;
    refused(&add(&rig, &shop.url(), &credential), 1, &["there is no Jira at", "open it in a browser"]);
    // Whoever is asked besides the named place is sent no credentials.
    assert!(
        shop.asked().iter().all(|asked| asked.path.starts_with("/rest/") || asked.header("authorization").is_empty())
    );

    succeeds(&rig.db, &[&add(&rig, "http://127.0.0.1:1/browse/A-1", "env:OTHER")[..], &["--offline"]].concat());
    assert_eq!(json(&rig.db, &["site", "show", "u"])["base_url"], "http://127.0.0.1:1");
    // Changing asks as adding does.
    let update = |rest: &[&'static str]| [&["site", "update", "sim"][..], rest].concat();
    refuses(&rig.db, &update(&["--credential", "env:TOKEN"]), 1, &["AUTH_INVALID", "--offline"]);
    refuses(&rig.db, &update(&["--email", "nobody@example.com"]), 1, &["AUTH_INVALID"]);
    refuses(&rig.db, &update(&["--url", "http://127.0.0.1:1"]), 1, &["NETWORK_GLITCH"]);
    let page = format!("{base}/browse/AA-1");
    assert!(succeeds(&rig.db, &["site", "update", "sim", "--url", &page]).contains("Jira accepts"));
    let kept = json(&rig.db, &["site", "show", "sim"]);
    assert_eq!((&kept["base_url"], &kept["account_email"]), (&base.into(), &simulator::DEFAULT_EMAIL.into()));
    // What is not about access needs no Jira.
    rig.jira.control().set_suspended(true);
    succeeds(&rig.db, &update(&["--max-concurrency", "3"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // Jira answers while a command is waited for
async fn a_redirect_to_https_is_told_as_one() {
    let rig = rig(Kind::Cloud, "").await;
    let to: Reply =
        (301, vec![("location", "https://127.0.0.1:1/jira/secure/Dashboard.jspa".to_owned())], String::new());
    let plain = Answering::start(vec![to; 90]).await;
    let credential = format!("file:{}", rig.token_path().display());
    let told = ["needs https://", "help: write https://127.0.0.1:1/jira"];
    refuses(&rig.db, &add(&rig, &plain.url(), &credential), 1, &told);
    succeeds(&rig.db, &[&add(&rig, &plain.url(), &credential)[..], &["--offline"]].concat());
    let advice = "syncline site update u --url https://127.0.0.1:1/jira";
    refuses(&rig.db, &["site", "check", "u"], 3, &["needs https://", advice]);
    let mended = "write https://127.0.0.1:1 as the site's address";
    refuses(&rig.db, &["project", "add", "u", "AA"], 1, &["CONFIG: 127.0.0.1 needs https://", mended]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // Jira answers while a command is waited for
async fn a_check_of_a_stored_page_says_where_the_site_is() {
    let rig = rig(Kind::Cloud, "").await;
    for page in ["/browse/AA-1", "/secure/Dashboard.jspa", "/rest/api/3", "/jira"] {
        sqlx::query("UPDATE syncline.site SET base_url = $1")
            .bind(format!("{}{page}", rig.jira.base_url()))
            .execute(rig.db.pool())
            .await
            .unwrap();
        let right = format!("syncline site update sim --url {}", rig.jira.base_url());
        let output = ask(&rig.db, &["site", "check", "sim"]);
        let text = words(&output);
        assert_eq!(output.status.code(), Some(3), "{text}");
        assert!(text.contains(&right) && !text.contains("upgrade Syncline"), "{page}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // Jira answers while a command is waited for
async fn a_token_file_with_a_byte_order_mark_lets_in() {
    let rig = rig(Kind::Cloud, "").await;
    let wide = format!("\u{feff}{}\r\n", simulator::DEFAULT_TOKEN).encode_utf16().flat_map(u16::to_le_bytes).collect();
    for text in [format!("\u{feff}{}\r\n", simulator::DEFAULT_TOKEN).into_bytes(), wide] {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let credential = format!("file:{}", file.path().display());
        succeeds(&rig.db, &add(&rig, rig.jira.base_url(), &credential));
        assert_eq!(forget(&rig).await, rig.jira.base_url());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)] // Jira answers while a command is waited for
async fn of_many_projects_one_that_is_refused_keeps_no_other_out() {
    let mut options = Options::new(Clock::system());
    options.issues = 5;
    let project = |key: &str| ProjectSpec { key: key.into(), name: format!("Project {key}"), issues: None };
    options.projects = ["AA", "BB", "CC", "DD"].map(project).into();
    let rig = Rig::new(options).await;
    sqlx::query("DELETE FROM syncline.project").execute(rig.db.pool()).await.unwrap();
    let faults = |path: &str, kind, count| {
        let rule = FaultRule { path: Some(path.into()), ..FaultRule::next(kind, count) };
        let plan = FaultPlan { rules: vec![rule], retry_after_seconds: 1, ..FaultPlan::default() };
        rig.jira.control().set_faults(plan);
    };
    // One pause is waited for and told.
    faults("/project/BB", FaultKind::RateLimit, 1);
    let text = succeeds(&rig.db, &["project", "add", "sim", "AA", "BB"]);
    assert!(text.contains("in 1 s") && text.matches("added").count() == 2, "{text}");
    // What lasts fails that key alone.
    faults("/project/CC", FaultKind::ServerError, 1_000);
    let output = ask(&rig.db, &["project", "add", "sim", "AA", "CC", "DD", "NOPE"]);
    let text = words(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for word in ["2 of 4 projects were not added", "CC (SERVER_ERROR", "NOPE (Jira does not know it", "sim CC NOPE"] {
        assert!(text.contains(word), "{text} lacks {word}");
    }
    let stored: Vec<String> =
        sqlx::query_scalar("SELECT key FROM syncline.project ORDER BY key").fetch_all(rig.db.pool()).await.unwrap();
    assert_eq!(stored, ["AA", "BB", "DD"]);
    // Credentials that were refused are tried once.
    faults("/project/", FaultKind::Unauthorized, 1_000);
    let before = rig.jira.control().stats().requests;
    refuses(&rig.db, &["project", "add", "sim", "CC", "DD", "EE"], 1, &["3 of 3 projects were not added"]);
    assert_eq!(rig.jira.control().stats().requests - before, 1);
}

#[tokio::test]
async fn a_site_that_is_added_offline_is_asked_nothing() {
    let db = TestDb::new().await;
    let add = ["site", "add", "u", "--url", "https://jira.example.com/browse/A-1", "--email", "b@example.com"];
    let text = succeeds(&db, &[&add[..], &["--credential", "env:NONE", "--offline"]].concat());
    assert!(text.contains("Jira Cloud is assumed") && text.contains("NONE is not set"), "{text}");
    assert_eq!(json(&db, &["site", "show", "u"])["base_url"], "https://jira.example.com");
}

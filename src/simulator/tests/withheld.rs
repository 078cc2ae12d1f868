//! What a site withholds: permissions that change, projects that go, credentials that are lost.

use super::super::Mutation;
use super::*;

fn as_public(options: &mut Options) {
    options.secured = 0.3;
    options.accounts.push("public@example.com:public:::public".parse().unwrap());
}

#[tokio::test]
async fn a_security_level_hides_issues_from_other_accounts() {
    let mut site = Rehearsal::new(as_public);
    let all = site.walk("project = ACME", 100).await.len();
    site.authorization = basic("public@example.com", "public");
    let open = site.walk("project = ACME ORDER BY id ASC", 100).await;
    assert!(open.len() < all && open.len() > all / 2, "{} of {all}", open.len());
    site.apply(Mutation::HideIssue { issue: open[0].clone() });
    assert_eq!(site.get(&format!("/issue/{}", open[0])).await.0, StatusCode::NOT_FOUND);
    assert_eq!(site.walk("project = ACME", 100).await.len(), open.len() - 1);
    site.apply(Mutation::ShowIssue { issue: open[0].clone() });
    assert_eq!(site.get(&format!("/issue/{}", open[0])).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_project_that_is_taken_away_looks_as_if_it_were_not_there() {
    let site = Rehearsal::new(|_| {});
    let revoke = Mutation::RevokeAccess { account: DEFAULT_EMAIL.into(), project: "BETA".into() };
    site.apply(revoke);
    assert_eq!(site.get("/project/BETA").await.0, StatusCode::NOT_FOUND);
    assert_eq!(site.post("/search/jql", json!({"jql": "project = BETA"})).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(site.get("/issue/BETA-1").await.0, StatusCode::NOT_FOUND);
    assert_eq!(site.get("/project/search").await.1["total"], 2);
    site.apply(Mutation::GrantAccess { account: DEFAULT_EMAIL.into(), project: "BETA".into() });
    assert_eq!(site.walk("project = BETA", 100).await.len(), 200);
}

#[tokio::test]
async fn archived_and_deleted_projects_are_listed_only_on_request() {
    let site = Rehearsal::new(|_| {});
    site.apply(Mutation::ArchiveProject { project: "BETA".into() });
    site.apply(Mutation::DeleteProject { project: "GAMMA".into() });
    let listed = async |status: &str| {
        let (_, page) = site.get(&format!("/project/search?status={status}&expand=lead,insight")).await;
        page["values"].as_array().unwrap().iter().map(|project| text(&project["key"]).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(listed("live").await, ["ACME"]);
    assert_eq!(listed("archived").await, ["BETA"]);
    assert_eq!(listed("live,archived,deleted").await, ["ACME", "BETA", "GAMMA"]);
    let (_, page) = site.get("/project/search?expand=lead,insight&query=acm").await;
    assert_eq!(page["values"][0]["insight"]["totalIssueCount"], 200);
    assert!(page["values"][0]["lead"]["accountId"].is_string());
    assert_eq!(site.post("/search/jql", json!({"jql": "project = BETA"})).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(site.get("/issue/BETA-1").await.0, StatusCode::OK, "an archive can be read");
    assert_eq!(site.get("/issue/GAMMA-1").await.0, StatusCode::NOT_FOUND, "a trash can not");
    site.apply(Mutation::RestoreProject { project: "GAMMA".into() });
    assert_eq!(site.walk("project = GAMMA", 100).await.len(), 200);
}

#[tokio::test]
async fn a_renamed_project_has_both_keys_and_its_issues_the_new_one() {
    let site = Rehearsal::new(|_| {});
    let rename = |key: &str| Mutation::RenameProject { project: "ACME".into(), key: key.into(), name: "Apex".into() };
    assert!(site.control.apply(rename("BETA")).is_err());
    site.apply(rename("APEX"));
    let (_, project) = site.get("/project/ACME").await;
    assert_eq!((&project["key"], &project["name"]), (&json!("APEX"), &json!("Apex")));
    assert_eq!(site.get("/issue/ACME-3").await.1["key"], "APEX-3");
    assert_eq!(site.walk("project = APEX", 100).await.len(), 200);
    assert_eq!(site.walk("project = ACME", 100).await.len(), 200);
}

#[tokio::test]
async fn a_suspended_site_and_lost_credentials_have_deleted_nothing() {
    let site = Rehearsal::new(|_| {});
    site.control.set_suspended(true);
    let (status, body) = site.get("/issue/ACME-1").await;
    assert_eq!((status, &body["errorMessage"]), (StatusCode::NOT_FOUND, &json!("Site temporarily unavailable")));
    site.control.set_suspended(false);
    site.control.set_anonymous(true);
    assert_eq!(site.search(json!({"jql": "project = ACME"})).await, json!({"issues": [], "isLast": true}));
    assert_eq!(site.get("/project/search").await.1["total"], 0);
    assert_eq!(site.get("/myself").await.0, StatusCode::UNAUTHORIZED);
    site.control.set_anonymous(false);
    assert_eq!(site.get("/issue/ACME-1").await.0, StatusCode::OK);
}

#[tokio::test]
async fn errors_come_in_the_language_of_the_site() {
    let german = Rehearsal::new(|options| options.language = super::super::Language::German);
    let (status, body) = german.post("/search/jql", json!({"jql": "project = NOPE"})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(body["errorMessages"][0], "Der Wert 'NOPE' existiert nicht für das Feld 'project'.");
    let japanese = Rehearsal::new(|options| options.language = super::super::Language::Japanese);
    let (status, body) = japanese.get("/issue/ACME-99999").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(!text(&body["errorMessages"][0]).is_ascii());
}

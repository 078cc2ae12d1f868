//! What a site that stands still answers.

use std::collections::HashSet;

use super::*;

#[tokio::test]
async fn the_seed_determines_the_site() {
    let query = json!({"jql": "project = ACME ORDER BY updated ASC", "fields": ["*all"], "maxResults": 100});
    let site = |seed| Rehearsal::new(move |options| options.seed = seed);
    let first = site(3).search(query.clone()).await;
    assert_eq!(first["issues"].as_array().unwrap().len(), 100);
    assert_eq!(first, site(3).search(query.clone()).await);
    assert_ne!(first, site(4).search(query).await);
}

#[tokio::test]
async fn only_the_fields_asked_for_are_given_and_ids_alone_by_default() {
    let site = Rehearsal::new(|_| {});
    let page = site.search(json!({"jql": "project = ACME", "maxResults": 1})).await;
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<HashSet<_>>();
    assert_eq!(names(&page["issues"][0]), HashSet::from(["id".to_owned()]));
    let page = site.search(json!({"jql": "project = ACME", "fields": ["summary", "updated"], "maxResults": 1})).await;
    assert_eq!(names(&page["issues"][0]["fields"]), HashSet::from(["summary".to_owned(), "updated".to_owned()]));
    assert!(page.get("total").is_none());
}

#[tokio::test]
async fn page_sizes_depend_on_what_is_asked_for() {
    let site = Rehearsal::new(|options| options.issues = 900);
    let count = async |body| site.search(body).await["issues"].as_array().unwrap().len();
    assert_eq!(count(json!({"jql": "project in (ACME, BETA)"})).await, 50);
    assert_eq!(count(json!({"jql": "project in (ACME, BETA)", "maxResults": 5000})).await, 600);
    assert_eq!(count(json!({"jql": "project in (ACME, BETA)", "maxResults": 5000, "fields": ["key"]})).await, 600);
    assert_eq!(count(json!({"jql": "project in (ACME, BETA)", "maxResults": 5000, "fields": ["summary"]})).await, 100);
    for wrong in [0, 5001] {
        let (status, _) = site.post("/search/jql", json!({"jql": "project = ACME", "maxResults": wrong})).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn long_collections_are_cut_inline_and_whole_on_their_own() {
    let site = Rehearsal::new(exactly(130, 27));
    let page = site.search(json!({"jql": "project = ACME", "fields": ["comment", "worklog"], "maxResults": 1})).await;
    let issue = &page["issues"][0];
    let length = |value: &Value| value.as_array().unwrap().len();
    assert_eq!(
        (length(&issue["fields"]["comment"]["comments"]), &issue["fields"]["comment"]["total"]),
        (20, &json!(130))
    );
    assert_eq!(
        (length(&issue["fields"]["worklog"]["worklogs"]), &issue["fields"]["worklog"]["total"]),
        (20, &json!(27))
    );
    let id = issue["id"].as_str().unwrap();
    let (_, first) = site.get(&format!("/issue/{id}/comment?maxResults=5000")).await;
    let (_, second) = site.get(&format!("/issue/{id}/comment?startAt=100")).await;
    assert_eq!((length(&first["comments"]), length(&second["comments"])), (100, 30));
    assert_eq!(first["comments"][0], issue["fields"]["comment"]["comments"][0]);
    let (_, worklogs) = site.get(&format!("/issue/{id}/worklog")).await;
    assert_eq!((length(&worklogs["worklogs"]), &worklogs["total"]), (27, &json!(27)));
}

#[tokio::test]
async fn some_issues_run_past_the_inline_limit_when_amounts_are_means() {
    let site = Rehearsal::new(|options| options.long_threads = 0.05);
    let page = site.search(json!({"jql": "project = ACME", "fields": ["comment"], "maxResults": 100})).await;
    let totals: Vec<_> =
        page["issues"].as_array().unwrap().iter().map(|issue| issue["fields"]["comment"]["total"].as_u64()).collect();
    assert!(totals.iter().any(|total| *total > Some(20)) && totals.contains(&Some(0)), "{totals:?}");
}

#[tokio::test]
async fn wrong_queries_are_refused_in_jiras_shape() {
    let site = Rehearsal::new(|_| {});
    for (body, part) in [
        (json!({"jql": ""}), "Unbounded"),
        (json!({"jql": "ORDER BY updated"}), "Unbounded"),
        (json!({"jql": "colour = red"}), "Field 'colour' does not exist"),
        (json!({"jql": "project = NOPE"}), "The value 'NOPE' does not exist for the field 'project'."),
        (json!({"jql": "project = ACME AND updated > \"1767614430000\""}), "Date value"),
        (json!({"jql": "project = ACME", "startAt": 0}), "Invalid request payload"),
        (json!({"jql": "project = ACME", "nextPageToken": "made up"}), "next page token is invalid"),
        (json!({"jql": "project = ACME ORDER BY id, id, id, id, id, id, id, id"}), "sort fields"),
    ] {
        let (status, answer) = site.post("/search/jql", body.clone()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        assert!(answer["errorMessages"][0].as_str().unwrap().contains(part), "{body}: {answer}");
        assert!(answer["errors"].is_object());
    }
    assert_eq!(site.get("/search?jql=project%3DACME").await.0, StatusCode::GONE);
}

#[tokio::test]
async fn only_quoted_dates_use_the_callers_time_zone() {
    let mut site = Rehearsal::new(|_| {});
    site.hands.set(DateTime::from_timestamp_millis(NOW_MS).unwrap());
    site.control.apply(super::super::Mutation::EditIssue { issue: "ACME-1".into() }).unwrap();
    let found = async |site: &Rehearsal, jql: &str| site.walk(jql, 50).await.len();
    // Now is 12:00:30 UTC, 21:00:30 in Tokyo: a minute is all that a quoted date can say.
    assert_eq!(found(&site, "updated >= \"2026-01-05 12:00\"").await, 1);
    assert_eq!(found(&site, "updated >= '2026/01/05 12:01'").await, 0);
    assert_eq!(found(&site, &format!("updated >= {NOW_MS}")).await, 1);
    assert_eq!(found(&site, &format!("updated > {NOW_MS}")).await, 0);
    assert_eq!(found(&site, "updated >= -1m AND project = ACME").await, 1);
    site.authorization = basic("limited@example.com", "limited");
    assert_eq!(found(&site, "updated >= \"2026-01-05 21:00\"").await, 1);
    assert_eq!(found(&site, "updated >= \"2026-01-05 21:01\"").await, 0);
    let page = site.search(json!({"jql": "key = ACME-1", "fields": ["updated"]})).await;
    assert_eq!(page["issues"][0]["fields"]["updated"], "2026-01-05T21:00:30.000+0900");
}

#[tokio::test]
async fn queries_by_person_select_what_they_say() {
    let site = Rehearsal::new(|_| {});
    let page = site.search(json!({"jql": "assignee IS NOT EMPTY", "fields": ["assignee"], "maxResults": 1})).await;
    let someone = page["issues"][0]["fields"]["assignee"]["accountId"].as_str().unwrap().to_owned();
    let count = async |jql: String| {
        let (status, answer) = site.post("/search/approximate-count", json!({"jql": jql})).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer["count"].as_u64().unwrap()
    };
    let all = count("project in (ACME, BETA, GAMMA)".into()).await;
    let (mine, empty) = (count(format!("assignee = \"{someone}\"")).await, count("assignee = EMPTY".into()).await);
    let others = count(format!("assignee != \"{someone}\"")).await;
    assert_eq!(all, 600);
    assert!(mine > 0 && empty > 0);
    assert_eq!(mine + empty + others, all, "a negation leaves out the empty ones");
    assert_eq!(count(format!("assignee in (\"{someone}\", EMPTY)")).await, mine + empty);
    assert_eq!(count("reporter = currentUser()".into()).await, 0);
}

#[tokio::test]
async fn credentials_decide_what_is_seen() {
    let mut site = Rehearsal::new(|_| {});
    site.authorization = basic("limited@example.com", "limited");
    assert_eq!(site.get("/project/BETA").await.0, StatusCode::NOT_FOUND);
    assert_eq!(site.get("/issue/BETA-1").await.0, StatusCode::NOT_FOUND);
    assert_eq!(site.get("/users/search").await.0, StatusCode::FORBIDDEN);
    assert_eq!(site.post("/search/jql", json!({"jql": "project = BETA"})).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(
        site.walk("created > '2000-01-01'", 50).await.len(),
        200,
        "only those of the project that it may browse"
    );
    assert_eq!(site.get("/project/search").await.1["total"], 1);
}

#[tokio::test]
async fn lost_credentials_look_like_no_changes_and_wrong_ones_do_not() {
    let mut site = Rehearsal::new(|_| {});
    site.authorization = None;
    assert_eq!(site.search(json!({"jql": "project = ACME"})).await, json!({"issues": [], "isLast": true}));
    assert_eq!(site.get("/myself").await.0, StatusCode::UNAUTHORIZED);
    site.authorization = basic(DEFAULT_EMAIL, "guess");
    assert_eq!(site.post("/search/jql", json!({"jql": "project = ACME"})).await.0, StatusCode::UNAUTHORIZED);
    site.authorization = Some("Bearer abc".into());
    assert_eq!(site.get("/myself").await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn the_catalogue_endpoints_answer_as_jira_does() {
    let site = Rehearsal::new(|_| {});
    let (_, me) = site.get("/myself").await;
    assert_eq!((&me["emailAddress"], &me["timeZone"]), (&json!(DEFAULT_EMAIL), &json!("UTC")));
    let (_, info) = site.get("/serverInfo").await;
    assert_eq!(info["deploymentType"], "Cloud");
    let (_, projects) = site.get("/project/search?maxResults=2").await;
    assert_eq!((&projects["total"], &projects["isLast"]), (&json!(3), &json!(false)));
    assert_eq!(site.get("/project/10002").await.1["key"], "BETA");
    let (_, fields) = site.get("/field").await;
    let points = fields.as_array().unwrap().iter().find(|field| field["id"] == "customfield_10016").unwrap();
    assert_eq!(points["schema"]["custom"], "com.pyxis.greenhopper.jira:jsw-story-points");
    let (_, users) = site.get("/users/search?startAt=1&maxResults=1000").await;
    assert_eq!(users.as_array().unwrap().len(), 41);
    assert!(users.as_array().unwrap().iter().any(|user| user.get("emailAddress").is_none()));
}

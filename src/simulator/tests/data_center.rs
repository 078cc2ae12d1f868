//! What Data Center does differently.

use super::super::{Kind, Mutation};
use super::*;

fn site(adjust: impl FnOnce(&mut Options)) -> Rehearsal {
    Rehearsal::new(|options| {
        options.kind = Kind::DataCenter;
        adjust(options);
    })
}

#[tokio::test]
async fn it_says_what_it_is_and_lives_under_its_context_path() {
    let site = site(|options| {
        options.context_path = "/jira".into();
        options.version = "8.20.0".into();
    });
    let (_, info) = site.get("/serverInfo").await;
    assert_eq!((&info["deploymentType"], &info["version"]), (&json!("Server"), &json!("8.20.0")));
    assert_eq!(info["versionNumbers"], json!([8, 20, 0]));
    assert_eq!(info["baseUrl"], "http://jira.test/jira");
    let (_, issue) = site.get("/issue/ACME-1").await;
    assert!(text(&issue["self"]).starts_with("http://jira.test/jira/rest/api/2/issue/"));
    assert_eq!(site.send(Method::GET, "/rest/api/2/myself", None).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn search_pages_by_start_and_tells_a_total() {
    let site = site(|_| {});
    let body =
        json!({"jql": "project = ACME ORDER BY updated ASC", "startAt": 150, "maxResults": 80, "fields": ["updated"]});
    let (status, page) = site.post("/search", body).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    assert_eq!((length(&page["issues"]), &page["total"], &page["startAt"]), (50, &json!(200), &json!(150)));
    let path = "/search?jql=project%3DACME%20ORDER%20BY%20id&maxResults=5000&fields=summary";
    let (_, all) = site.get(path).await;
    assert_eq!((length(&all["issues"]), &all["maxResults"]), (200, &json!(1_000)));
    assert_eq!(site.post("/search", json!({"jql": "", "maxResults": 1})).await.1["total"], 600, "unbounded is allowed");
    assert_eq!(
        site.post("/search", json!({"jql": "project = ACME", "nextPageToken": "x"})).await.0,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn paging_by_start_skips_rows_while_issues_change() {
    let site = site(|_| {});
    let page = async |start: usize| {
        let body = json!({"jql": "project = ACME ORDER BY updated ASC", "startAt": start, "maxResults": 100, "fields": ["updated"]});
        let (_, page) = site.post("/search", body).await;
        page["issues"].as_array().unwrap().iter().map(|issue| text(&issue["id"]).to_owned()).collect::<Vec<_>>()
    };
    let first = page(0).await;
    site.apply(Mutation::EditIssue { issue: first[0].clone() });
    let (all, second) = (page(0).await, page(100).await);
    let skipped = all.iter().filter(|id| !first.contains(id)).count();
    assert_eq!((skipped, second.len()), (1, 100), "one issue slid into the page that was read already");
}

#[tokio::test]
async fn users_texts_and_sprints_have_their_old_shapes() {
    let site = site(|_| {});
    let (_, page) = site
        .post(
            "/search",
            json!({"jql": "project = ACME", "fields": ["*all"], "expand": ["changelog"], "maxResults": 100}),
        )
        .await;
    let mut sprints = 0;
    for issue in page["issues"].as_array().unwrap() {
        let fields = &issue["fields"];
        assert!(fields["reporter"].get("accountId").is_none());
        assert!(fields["reporter"]["name"].is_string() && fields["reporter"]["key"].is_string());
        assert!(fields["description"].is_string() || fields["description"].is_null());
        assert_eq!(length(&fields["comment"]["comments"]) as u64, fields["comment"]["total"].as_u64().unwrap());
        let changelog = &issue["changelog"];
        assert_eq!(length(&changelog["histories"]) as u64, changelog["total"].as_u64().unwrap());
        for sprint in fields["customfield_10020"].as_array().into_iter().flatten() {
            assert!(text(sprint).contains("rapidViewId=1,state="), "{sprint}");
            sprints += 1;
        }
        for absent in ["statusCategory", "statuscategorychangedate"] {
            assert!(fields.get(absent).is_none());
        }
    }
    assert!(sprints > 20);
}

#[tokio::test]
async fn what_only_cloud_has_is_not_there() {
    let site = site(|_| {});
    for path in ["/project/search", "/users/search", "/issue/ACME-1/changelog", "/search/jql"] {
        assert_eq!(site.get(path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    for path in ["/issue/bulkfetch", "/search/approximate-count", "/changelog/bulkfetch", "/search/jql"] {
        let status = site.post(path, json!({})).await.0;
        assert!([StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED].contains(&status), "{path}: {status}");
    }
    assert_eq!(length(&site.get("/project").await.1), 3);
    let (_, everybody) = site.get("/user/search?username=.&maxResults=1000").await;
    assert_eq!(length(&everybody), 42);
    assert!(site.get("/field").await.1.as_array().unwrap().iter().any(|field| field["name"] == "Story Points"));
}

#[tokio::test]
async fn queries_know_whole_seconds_and_insist_on_ids() {
    let site = site(|_| {});
    site.hands.set(DateTime::from_timestamp_millis(NOW_MS + 700).unwrap());
    site.apply(Mutation::EditIssue { issue: "ACME-1".into() });
    let total = async |jql: String| site.post("/search", json!({"jql": jql, "maxResults": 0})).await.1["total"].clone();
    assert_eq!(total(format!("updated >= {}", NOW_MS + 900)).await, 1, "both are the same second");
    assert_eq!(total(format!("updated > {NOW_MS}")).await, 0);
    assert_eq!(total(format!("updated <= {NOW_MS} AND key = ACME-1")).await, 1);
    let (status, body) = site.post("/search", json!({"jql": "id in (10001, 99999999)"})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(text(&body["errorMessages"][0]).contains("99999999"));
    assert_eq!(total("id in (10001, 10002)".into()).await, 2);
}

#[tokio::test]
async fn tokens_and_user_names_open_it_and_failures_lock_it() {
    let mut site = site(|options| options.captcha_after = Some(2));
    site.authorization = Some(format!("Bearer {DEFAULT_TOKEN}"));
    assert_eq!(site.get("/myself").await.1["name"], "sync");
    site.authorization = Some("Bearer nonsense".into());
    let (status, headers, page) = site.reply(Method::GET, "/rest/api/2/myself", None).await;
    assert_eq!(
        (status, headers["content-type"].to_str().unwrap()),
        (StatusCode::UNAUTHORIZED, "text/html;charset=UTF-8")
    );
    assert!(!page.is_empty());
    site.authorization = basic("sync", "wrong");
    for _ in 0..2 {
        assert_eq!(site.get("/myself").await.0, StatusCode::UNAUTHORIZED);
    }
    site.authorization = basic("sync", DEFAULT_TOKEN);
    let (status, headers, _) = site.reply(Method::GET, "/rest/api/2/myself", None).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "the right password is too late");
    assert_eq!(headers["x-seraph-loginreason"], "AUTHENTICATION_DENIED");
    assert!(headers["x-authentication-denied-reason"].to_str().unwrap().starts_with("CAPTCHA_CHALLENGE"));
}

#[tokio::test]
async fn people_are_found_by_name_and_not_by_key() {
    let site = site(|_| {});
    let (_, page) =
        site.post("/search", json!({"jql": "assignee is not EMPTY", "fields": ["assignee"], "maxResults": 200})).await;
    let all: Vec<&Value> =
        page["issues"].as_array().unwrap().iter().map(|issue| &issue["fields"]["assignee"]).collect();
    let modern = all.iter().find(|person| text(&person["key"]).starts_with("JIRAUSER")).unwrap();
    let (status, found) =
        site.post("/search", json!({"jql": format!("assignee in ({})", text(&modern["name"]))})).await;
    assert_eq!(status, StatusCode::OK);
    assert!(found["total"].as_u64() > Some(0));
    let by_key = json!({"jql": format!("assignee in ({})", text(&modern["key"]))});
    assert_eq!(site.post("/search", by_key).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn threads_can_be_cut_by_option() {
    let site = site(|options| {
        exactly(30, 30)(options);
        options.inline_limit = Some(5);
    });
    let (_, issue) = site.get("/issue/ACME-1?fields=comment,worklog").await;
    assert_eq!(
        (length(&issue["fields"]["comment"]["comments"]), &issue["fields"]["comment"]["total"]),
        (5, &json!(30))
    );
    assert_eq!(length(&site.get("/issue/ACME-1/comment").await.1["comments"]), 30);
    assert_eq!(length(&site.get("/issue/ACME-1/worklog").await.1["worklogs"]), 30);
}

//! What real sites take from other clients, and show in their lists: the simulator is neither stricter nor poorer.

use super::super::Kind;
use super::*;

fn site(kind: Kind) -> Rehearsal {
    Rehearsal::new(|options| {
        options.kind = kind;
        options.issues = 90;
    })
}

/// How many issues a query finds.
async fn found(site: &Rehearsal, jql: &str) -> u64 {
    let (status, page) = match site.api.contains("/3") {
        true => site.post("/search/approximate-count", json!({"jql": jql})).await,
        false => site.post("/search", json!({"jql": jql, "maxResults": 0})).await,
    };
    assert_eq!(status, StatusCode::OK, "{jql}: {page}");
    page["count"].as_u64().or_else(|| page["total"].as_u64()).unwrap()
}

#[tokio::test]
async fn queries_that_jira_takes_are_taken() {
    for kind in [Kind::Cloud, Kind::DataCenter] {
        let site = site(kind);
        let (_, issue) = site.get("/issue/ACME-1").await;
        let id = text(&issue["id"]);
        for (jql, issues) in [
            ("id != null".to_owned(), 90),
            ("key is not EMPTY".to_owned(), 90),
            ("id is EMPTY OR project = null".to_owned(), 0),
            ("updated > 0".to_owned(), 90),
            ("updated > -1 AND created >= 1".to_owned(), 90),
            ("updated is not EMPTY AND created != null".to_owned(), 90),
            (format!("id = {id}"), 1),
            (format!("issuekey = {id}"), 1),
            (format!("key in ({id}, ACME-2)"), 2),
            (format!("issue in ({id})"), 1),
            ("project = 10001 AND id != null".to_owned(), 30),
        ] {
            assert_eq!(found(&site, &jql).await, issues, "{kind:?}: {jql}");
        }
        let open = found(&site, "resolution = Unresolved").await;
        assert_eq!(found(&site, "resolution is EMPTY").await, open);
        assert_eq!(open + found(&site, "resolution is not EMPTY").await, 90);
        assert_eq!(found(&site, "sprint is EMPTY").await + found(&site, "sprint is not EMPTY").await, 90);
    }
}

#[tokio::test]
async fn an_issue_is_found_by_its_number_in_every_form() {
    let site = site(Kind::Cloud);
    let (_, issue) = site.get("/issue/ACME-1").await;
    let id: u64 = text(&issue["id"]).parse().unwrap();
    assert_eq!(site.get(&format!("/issue/{id}")).await.1["key"], "ACME-1");
    for ids in [json!([id]), json!([id.to_string()]), json!(["ACME-1"])] {
        let (status, page) = site.post("/issue/bulkfetch", json!({"issueIdsOrKeys": ids, "fields": ["summary"]})).await;
        assert_eq!((status, length(&page["issues"])), (StatusCode::OK, 1), "{ids}");
        let (status, _) = site.post("/changelog/bulkfetch", json!({"issueIdsOrKeys": ids})).await;
        assert_eq!(status, StatusCode::OK, "{ids}");
    }
    for ids in [json!([1]), json!(["1"])] {
        assert_eq!(site.post("/worklog/list", json!({"ids": ids})).await.0, StatusCode::OK);
    }
    assert_eq!(site.post("/worklog/list", json!({"ids": ["x"]})).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn version_2_of_cloud_writes_wiki_mark_up() {
    let site = site(Kind::Cloud);
    let at =
        async |version: u8, path: &str| site.send(Method::GET, &format!("/rest/api/{version}{path}"), None).await.1;
    let query = "/search/jql?jql=project%3DACME&fields=description,comment&maxResults=20";
    let texts = |page: &Value| -> Vec<Value> {
        let issues = page["issues"].as_array().unwrap();
        issues.iter().map(|issue| issue["fields"]["description"].clone()).filter(|text| !text.is_null()).collect()
    };
    let (two, three) = (texts(&at(2, query).await), texts(&at(3, query).await));
    assert!(!two.is_empty() && two.len() == three.len());
    assert!(two.iter().all(Value::is_string) && three.iter().all(Value::is_object));
    let gone = site.send(Method::GET, "/rest/api/2/search?jql=project%3DACME", None).await.0;
    assert_eq!(gone, StatusCode::GONE, "the old search is gone in either version");
}

#[tokio::test]
async fn an_issue_tells_where_it_may_go() {
    for kind in [Kind::Cloud, Kind::DataCenter] {
        let site = site(kind);
        let (status, answer) = site.get("/issue/ACME-1/transitions").await;
        assert_eq!((status, length(&answer["transitions"])), (StatusCode::OK, 5));
        assert!(answer["transitions"][0]["to"]["statusCategory"]["key"].is_string());
        assert_eq!(site.get("/issue/ACME-99999/transitions").await.0, StatusCode::NOT_FOUND);
        let (_, issue) = site.get("/issue/ACME-1?expand=transitions").await;
        assert_eq!(length(&issue["transitions"]), 5);
    }
}

#[tokio::test]
async fn lists_of_cloud_tell_scope_and_the_name_before_translation() {
    let cloud = site(Kind::Cloud);
    for list in ["/status", "/issuetype", "/field"] {
        let (_, entries) = cloud.get(list).await;
        let of_team: Vec<&Value> =
            entries.as_array().unwrap().iter().filter(|entry| entry["scope"]["type"] == "PROJECT").collect();
        assert_eq!(of_team.len(), 1, "{list}");
        assert_eq!(of_team[0]["untranslatedName"], of_team[0]["name"], "{list}");
        let (_, entries) = site(Kind::DataCenter).get(list).await;
        let told = entries.as_array().unwrap().iter().any(|entry| entry.get("untranslatedName").is_some());
        assert!(!told, "{list} of Data Center");
    }
}

#[tokio::test]
async fn a_data_center_puts_all_comments_and_twenty_worklogs_inline() {
    let site = Rehearsal::new(|options| {
        options.kind = Kind::DataCenter;
        exactly(30, 30)(options);
    });
    let (_, page) = site.post("/search", json!({"jql": "key = ACME-1", "fields": ["comment", "worklog"]})).await;
    let fields = &page["issues"][0]["fields"];
    assert_eq!((length(&fields["comment"]["comments"]), length(&fields["worklog"]["worklogs"])), (30, 20));
    assert_eq!((&fields["worklog"]["total"], &fields["worklog"]["maxResults"]), (&json!(30), &json!(20)));
    assert_eq!(length(&site.get("/issue/ACME-1/worklog").await.1["worklogs"]), 30);
}

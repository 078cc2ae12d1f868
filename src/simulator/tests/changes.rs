//! What a site answers while it changes.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use chrono::TimeDelta;

use super::super::Mutation;
use super::*;

/// `updated` of every issue of two projects.
async fn versions(site: &Rehearsal) -> HashMap<String, String> {
    let mut found = HashMap::new();
    let mut body = json!({"jql": "project in (ACME, BETA) ORDER BY id ASC", "fields": ["updated"], "maxResults": 100});
    loop {
        let page = site.search(body.clone()).await;
        for issue in page["issues"].as_array().unwrap() {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            found.insert(text(&issue["id"]), text(&issue["fields"]["updated"]));
        }
        body["nextPageToken"] = page["nextPageToken"].clone();
        if body["nextPageToken"].is_null() {
            return found;
        }
    }
}

#[tokio::test]
async fn a_walk_sees_each_unchanged_issue_once_while_others_change() {
    for (order, size) in [
        ("updated ASC", 7),
        ("updated DESC", 50),
        ("created DESC", 13),
        ("key ASC", 9),
        ("id DESC", 31),
        ("updated ASC, key DESC", 11),
    ] {
        let site = Rehearsal::new(|_| {});
        let before = versions(&site).await;
        let jql = format!("project in (ACME, BETA) ORDER BY {order}");
        let mut seen = HashMap::<String, u32>::new();
        let mut token = Value::Null;
        loop {
            let page = site.search(json!({"jql": jql, "maxResults": size, "nextPageToken": token})).await;
            for issue in page["issues"].as_array().unwrap() {
                *seen.entry(issue["id"].as_str().unwrap().to_owned()).or_default() += 1;
            }
            token = page["nextPageToken"].clone();
            if token.is_null() {
                break;
            }
            site.hands.advance(TimeDelta::milliseconds(3));
            site.control.mutate(3);
        }
        let after = versions(&site).await;
        let untouched: Vec<_> = before.iter().filter(|(id, updated)| after.get(*id) == Some(updated)).collect();
        assert!(untouched.len() > 100 && untouched.len() < before.len());
        for (id, _) in untouched {
            assert_eq!(seen.get(id), Some(&1), "{order}: issue {id}");
        }
    }
}

#[tokio::test]
async fn a_walk_follows_the_order_that_was_asked_for_through_ties() {
    let site = Rehearsal::new(|options| options.issues = 3_000);
    let page = |token| json!({"jql": "project = ACME ORDER BY updated ASC, key DESC", "fields": ["updated"], "maxResults": 17, "nextPageToken": token});
    let (mut rows, mut token) = (Vec::new(), Value::Null);
    loop {
        let answer = site.search(page(token)).await;
        for issue in answer["issues"].as_array().unwrap() {
            let number: i64 = issue["key"].as_str().unwrap()[5..].parse().unwrap();
            rows.push((issue["fields"]["updated"].as_str().unwrap().to_owned(), -number));
        }
        token = answer["nextPageToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(rows.len(), 1_000);
    assert!(rows.is_sorted());
    assert!(rows.windows(2).any(|pair| pair[0].0 == pair[1].0), "the generated history must hold ties");
}

#[tokio::test]
async fn every_mutation_moves_updated_forward_and_is_reproducible() {
    let (site, twin) = (Rehearsal::new(|_| {}), Rehearsal::new(|_| {}));
    let changes = site.control.mutate(400);
    assert_eq!(changes, twin.control.mutate(400));
    let kinds: BTreeSet<_> =
        changes.iter().map(|change| serde_json::to_value(&change.mutation).unwrap()["action"].to_string()).collect();
    assert_eq!(kinds.len(), 14, "{kinds:?}");
    let last = site.control.apply(Mutation::AddComment { issue: "ACME-1".into() });
    let id = last.unwrap_or_else(|_| site.control.mutate(1).remove(0)).issue_id;
    let updated = async || {
        site.get(&format!("/issue/{id}?fields=updated")).await.1["fields"]["updated"].as_str().unwrap().to_owned()
    };
    let mut previous = updated().await;
    for _ in 0..3 {
        // Time stands still, `updated` does not.
        site.control.apply(Mutation::Assign { issue: id.to_string() }).unwrap();
        let next = updated().await;
        assert!(next > previous, "{next} after {previous}");
        previous = next;
    }
}

#[tokio::test]
async fn a_moved_issue_keeps_its_id_and_answers_to_its_old_key() {
    let site = Rehearsal::new(|_| {});
    let (_, before) = site.get("/issue/ACME-7").await;
    let moved = site.control.apply(Mutation::MoveIssue { issue: "ACME-7".into(), project: "BETA".into() }).unwrap();
    assert_eq!(moved.issue_id.to_string(), before["id"].as_str().unwrap());
    assert!(moved.key.starts_with("BETA-"));
    assert_eq!(site.get("/issue/ACME-7").await.1["key"], moved.key.as_str());
    let bulk = json!({"issueIdsOrKeys": ["ACME-7", "ACME-2", "ACME-999999"], "fields": ["summary"]});
    let (_, bulk) = site.post("/issue/bulkfetch", bulk).await;
    let keys: Vec<_> = bulk["issues"].as_array().unwrap().iter().map(|issue| issue["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["ACME-2", moved.key.as_str()], "ascending by id, the unknown left out");
}

#[tokio::test]
async fn a_deleted_issue_is_gone_everywhere_and_leaves_no_parent() {
    let site = Rehearsal::new(|_| {});
    let page = site.search(json!({"jql": "parent IS NOT EMPTY", "fields": ["parent"], "maxResults": 1})).await;
    let (child, parent) = (&page["issues"][0]["id"], &page["issues"][0]["fields"]["parent"]["id"]);
    let (child, parent) = (child.as_str().unwrap(), parent.as_str().unwrap());
    site.control.apply(Mutation::DeleteIssue { issue: parent.into() }).unwrap();
    assert_eq!(site.get(&format!("/issue/{parent}")).await.0, StatusCode::NOT_FOUND);
    assert!(site.walk(&format!("id = {parent}"), 50).await.is_empty());
    let (_, orphan) = site.get(&format!("/issue/{child}?fields=parent,updated")).await;
    assert!(orphan["fields"].get("parent").is_none());
    assert_eq!(orphan["fields"]["updated"], "2026-01-05T12:00:30.000+0000");
}

#[tokio::test]
async fn search_is_behind_writes_and_direct_reads_are_not() {
    let site = Rehearsal::new(|options| options.search_lag = Duration::from_secs(5));
    let created = site.control.apply(Mutation::CreateIssue { project: "ACME".into() }).unwrap();
    site.control.apply(Mutation::AddComment { issue: created.key.clone() }).unwrap();
    let jql = format!("id = {}", created.issue_id);
    assert_eq!(site.get(&format!("/issue/{}/comment", created.key)).await.1["total"], 1);
    assert!(site.walk(&jql, 50).await.is_empty());
    site.hands.advance(TimeDelta::seconds(4));
    assert!(site.walk(&jql, 50).await.is_empty());
    site.hands.advance(TimeDelta::seconds(1));
    assert_eq!(site.walk(&jql, 50).await, [created.issue_id.to_string()]);
    site.control.apply(Mutation::DeleteIssue { issue: created.key.clone() }).unwrap();
    assert_eq!(site.walk(&jql, 50).await.len(), 1, "a deleted issue is still found for a while");
    site.hands.advance(TimeDelta::seconds(5));
    assert!(site.walk(&jql, 50).await.is_empty());
}

#[tokio::test]
async fn a_page_token_ends_with_its_lifetime() {
    let site = Rehearsal::new(|_| {});
    let mut body = json!({"jql": "project = ACME", "maxResults": 10});
    body["nextPageToken"] = site.search(body.clone()).await["nextPageToken"].clone();
    site.search(body.clone()).await;
    site.hands.advance(TimeDelta::days(8));
    let (status, answer) = site.post("/search/jql", body).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(answer["errorMessages"][0].as_str().unwrap().contains("expired"));
}

#[tokio::test]
async fn what_search_shows_agrees_with_the_store_after_any_history() {
    for seed in 0..5 {
        let site = Rehearsal::new(move |options| options.seed = seed);
        site.control.mutate(500);
        for key in ["ACME", "BETA", "GAMMA"] {
            let expected: BTreeSet<_> = site.control.issue_ids(key).into_iter().map(|id| id.to_string()).collect();
            for order in ["updated ASC", "key DESC", "created ASC"] {
                let found = site.walk(&format!("project = {key} ORDER BY {order}"), 100).await;
                assert_eq!(found.len(), expected.len(), "{order}");
                assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected, "{order}");
            }
        }
    }
}

#[tokio::test]
async fn clocks_may_be_off_and_dates_may_go_back() {
    let site = Rehearsal::new(exactly(1, 1));
    let updated = async |key: &str| {
        let (_, issue) = site.get(&format!("/issue/{key}?fields=updated,summary,comment")).await;
        let of = |value: &Value| text(value).to_owned();
        (of(&issue["fields"]["updated"]), of(&issue["fields"]["comment"]["comments"][0]["updated"]))
    };
    let dated = |seconds| Mutation::DateIssue { issue: "ACME-7".to_owned(), seconds };
    let edit = || Mutation::EditIssue { issue: "ACME-7".to_owned() };
    site.apply(dated(86_400));
    assert_eq!(updated("ACME-7").await.0, "2026-01-06T12:00:30.000+0000");
    site.apply(edit());
    assert_eq!(updated("ACME-7").await.0, "2026-01-05T12:00:30.000+0000", "an edit dates it anew");
    site.apply(dated(-86_400 * 365));
    let long_ago = "2025-01-05T12:00:30.000+0000".to_owned();
    assert_eq!(updated("ACME-7").await, (long_ago.clone(), long_ago), "with its comment");

    // Two nodes, the second eight minutes behind: in turn they answer, and date what is changed.
    let body = json!({"clock_offset_seconds": [0, -480]});
    assert_eq!(site.send(Method::POST, "/__sim/settings", Some(body)).await.0, StatusCode::OK);
    let mut dates = BTreeSet::new();
    for _ in 0..2 {
        let (_, headers, _) = site.reply(Method::GET, "/rest/api/3/myself", None).await;
        dates.insert(headers["date"].to_str().unwrap().to_owned());
    }
    let both = ["Mon, 05 Jan 2026 11:52:30 GMT", "Mon, 05 Jan 2026 12:00:30 GMT"];
    assert_eq!(dates.iter().map(String::as_str).collect::<Vec<_>>(), both);
    let mut stamps = BTreeSet::new();
    for issue in ["ACME-8", "ACME-9"] {
        site.apply(Mutation::EditIssue { issue: issue.to_owned() });
        stamps.insert(updated(issue).await.0);
    }
    assert_eq!(stamps.len(), 2, "{stamps:?}");
}

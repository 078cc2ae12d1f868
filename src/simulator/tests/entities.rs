//! Everything besides issues, comments and worklogs, on Cloud.

use std::collections::{BTreeSet, HashMap};

use chrono::TimeDelta;

use super::super::Mutation;
use super::*;

/// All entries of an issue's changelog, oldest first.
async fn history(site: &Rehearsal, issue: &str) -> Vec<Value> {
    let mut all = Vec::new();
    loop {
        let (status, page) = site.get(&format!("/issue/{issue}/changelog?startAt={}", all.len())).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        all.extend(page["values"].as_array().unwrap().iter().cloned());
        if page["isLast"] == true {
            assert_eq!(all.len(), page["total"].as_u64().unwrap() as usize);
            return all;
        }
        assert!(text(&page["nextPage"]).contains("startAt="));
    }
}

/// What the last entry of a field leads to.
fn outcome(history: &[Value], field: &str) -> Option<Value> {
    let mut items = history.iter().flat_map(|entry| entry["items"].as_array().unwrap());
    items.rfind(|item| item["field"] == field).map(|item| item["to"].clone())
}

async fn agrees_with_its_history(site: &Rehearsal, issue: &Value) {
    let (id, fields) = (text(&issue["id"]), &issue["fields"]);
    let history = history(site, id).await;
    let status = outcome(&history, "status").unwrap_or(json!("10000"));
    assert_eq!(status, fields["status"]["id"], "{id}: {history:?}");
    let assignee = outcome(&history, "assignee").unwrap_or(Value::Null);
    assert_eq!(assignee, fields["assignee"].get("accountId").cloned().unwrap_or(Value::Null), "{id}");
    let resolution = outcome(&history, "resolution").unwrap_or(Value::Null);
    assert_eq!(resolution, fields["resolution"].get("id").cloned().unwrap_or(Value::Null), "{id}");
    let sprints: Vec<String> = match fields["customfield_10020"].as_array() {
        Some(sprints) => sprints.iter().map(|sprint| sprint["id"].to_string()).collect(),
        None => Vec::new(),
    };
    assert_eq!(outcome(&history, "Sprint").unwrap_or(json!("")), sprints.join(", "), "{id}");
    let times: Vec<&str> = history.iter().map(|entry| text(&entry["created"])).collect();
    assert!(times.is_sorted() && times.last().is_none_or(|last| *last <= text(&fields["updated"])), "{id}");
}

#[tokio::test]
async fn a_history_leads_to_the_present_before_and_after_changes() {
    let site = Rehearsal::new(|_| {});
    let query = json!({"jql": "project = ACME ORDER BY id ASC", "fields": ["*all"], "maxResults": 60});
    for issue in site.search(query.clone()).await["issues"].as_array().unwrap() {
        agrees_with_its_history(&site, issue).await;
    }
    site.hands.advance(TimeDelta::minutes(1));
    site.control.mutate(800);
    for issue in site.search(query).await["issues"].as_array().unwrap() {
        agrees_with_its_history(&site, issue).await;
    }
}

#[tokio::test]
async fn totals_agree_with_what_is_served() {
    let site = Rehearsal::new(|_| {});
    site.control.mutate(200);
    let totals = site.control.totals("ACME");
    let query = json!({"jql": "project = ACME", "fields": ["issuelinks"], "maxResults": 100});
    let (mut entries, mut items, mut linked, mut body) = (0, 0, 0, query);
    loop {
        let page = site.search(body.clone()).await;
        for issue in page["issues"].as_array().unwrap() {
            let history = history(&site, text(&issue["id"])).await;
            entries += history.len() as u64;
            items += history.iter().map(|entry| length(&entry["items"]) as u64).sum::<u64>();
            linked += length(&issue["fields"]["issuelinks"]) as u64;
        }
        body["nextPageToken"] = page["nextPageToken"].clone();
        if body["nextPageToken"].is_null() {
            break;
        }
    }
    assert_eq!((totals.changelog_entries, totals.changelog_items, totals.linked_issues), (entries, items, linked));
    assert_eq!(totals.issues, site.control.issue_ids("ACME").len() as u64);
}

#[tokio::test]
async fn history_is_never_rewritten() {
    let site = Rehearsal::new(|_| {});
    let before = history(&site, "ACME-5").await;
    for action in ["transition", "assign", "edit_issue", "add_worklog", "hide_issue"] {
        site.apply(serde_json::from_value(json!({"action": action, "issue": "ACME-5"})).unwrap());
    }
    let after = history(&site, "ACME-5").await;
    assert_eq!(after[..before.len()], before);
    let fields: BTreeSet<&str> = after[before.len()..]
        .iter()
        .flat_map(|entry| entry["items"].as_array().unwrap().iter().map(|item| text(&item["field"])))
        .collect();
    assert!(fields.is_superset(&BTreeSet::from(["status", "summary", "timespent", "security"])), "{fields:?}");
    let ids: BTreeSet<&str> = after.iter().map(|entry| text(&entry["id"])).collect();
    assert_eq!(ids.len(), after.len());
}

#[tokio::test]
async fn an_inline_changelog_has_the_newest_forty_and_the_total() {
    let site = Rehearsal::new(|options| options.long_threads = 1.0);
    let page = site
        .search(json!({"jql": "project = ACME", "fields": ["summary"], "expand": "changelog", "maxResults": 5}))
        .await;
    for issue in page["issues"].as_array().unwrap() {
        let (inline, whole) = (&issue["changelog"], history(&site, text(&issue["id"])).await);
        assert!(whole.len() > 40);
        assert_eq!((length(&inline["histories"]), inline["total"].as_u64()), (40, Some(whole.len() as u64)));
        assert_eq!(inline["histories"][0], whole[whole.len() - 1], "the newest first");
        assert_eq!(inline["histories"][39], whole[whole.len() - 40]);
    }
}

#[tokio::test]
async fn changelogs_in_bulk_hold_every_entry_once() {
    let site = Rehearsal::new(|options| options.long_threads = 0.2);
    let ids = site.walk("project = ACME", 100).await;
    let (mut body, mut found) = (json!({"issueIdsOrKeys": ids, "maxResults": 700}), HashMap::<String, usize>::new());
    loop {
        let (status, page) = site.post("/changelog/bulkfetch", body.clone()).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        for issue in page["issueChangeLogs"].as_array().unwrap() {
            *found.entry(text(&issue["issueId"]).to_owned()).or_default() += length(&issue["changeHistories"]);
            assert!(issue["changeHistories"][0]["created"].is_i64(), "epoch milliseconds");
        }
        body["nextPageToken"] = page["nextPageToken"].clone();
        if body["nextPageToken"].is_null() {
            break;
        }
    }
    for id in &ids {
        assert_eq!(found.get(id).copied().unwrap_or(0), history(&site, id).await.len(), "issue {id}");
    }
    let many: Vec<String> = (0..1_001).map(|id| id.to_string()).collect();
    for wrong in [json!({"issueIdsOrKeys": many}), json!({"issueIdsOrKeys": ["1"], "maxResults": 10_001})] {
        assert_eq!(site.post("/changelog/bulkfetch", wrong).await.0, StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn the_worklog_feeds_leave_out_the_last_minute() {
    let site = Rehearsal::new(exactly(0, 3));
    let (mut since, mut told) = (0, BTreeSet::new());
    loop {
        let (_, page) = site.get(&format!("/worklog/updated?since={since}")).await;
        let values = page["values"].as_array().unwrap();
        assert!(values.len() <= 1_000 && values.is_sorted_by_key(|value| value["updatedTime"].as_i64()));
        told.extend(values.iter().map(|value| value["worklogId"].as_u64().unwrap()));
        if page["lastPage"] == true {
            assert!(page.get("nextPage").is_none());
            break;
        }
        assert!(text(&page["nextPage"]).ends_with(&format!("since={}", page["until"])));
        since = page["until"].as_i64().unwrap();
    }
    assert_eq!(told.len(), 1_800);
    site.apply(Mutation::EditWorklog { issue: "ACME-1".into() });
    site.apply(Mutation::DeleteWorklog { issue: "ACME-2".into() });
    let feed = async |name: &str| site.get(&format!("/worklog/{name}?since={}", NOW_MS - 1)).await.1;
    assert_eq!((length(&feed("updated").await["values"]), length(&feed("deleted").await["values"])), (0, 0));
    site.hands.advance(TimeDelta::seconds(61));
    let (updated, deleted) = (feed("updated").await, feed("deleted").await);
    assert_eq!((length(&updated["values"]), length(&deleted["values"])), (1, 1));
    let ids = [&updated["values"][0]["worklogId"], &deleted["values"][0]["worklogId"], &json!(1)];
    let (_, list) = site.post("/worklog/list", json!({"ids": ids})).await;
    assert_eq!(length(&list), 1, "what is gone is left out");
    assert_eq!(text(&list[0]["id"]), ids[0].to_string());
}

#[tokio::test]
async fn boards_have_sprints_and_kanban_boards_refuse() {
    let site = Rehearsal::new(|_| {});
    let agile = async |path: &str| site.send(Method::GET, &format!("/rest/agile/1.0{path}"), None).await;
    let (_, boards) = agile("/board?projectKeyOrId=GAMMA").await;
    let kinds: Vec<&str> = boards["values"].as_array().unwrap().iter().map(|board| text(&board["type"])).collect();
    assert_eq!(kinds, ["scrum", "kanban"]);
    assert_eq!(agile(&format!("/board/{}/sprint", boards["values"][1]["id"])).await.0, StatusCode::BAD_REQUEST);
    let board = &boards["values"][0]["id"];
    let (_, sprints) = agile(&format!("/board/{board}/sprint?maxResults=50")).await;
    assert_eq!(length(&sprints["values"]), 10);
    let (_, active) = agile(&format!("/board/{board}/sprint?state=active")).await;
    assert_eq!(length(&active["values"]), 1);
    let (status, one) = agile(&format!("/sprint/{}", active["values"][0]["id"])).await;
    assert_eq!((status, &one), (StatusCode::OK, &active["values"][0]));
    assert!(text(&one["startDate"]).ends_with('Z') && one.get("completeDate").is_none());
    assert_eq!(agile("/board/7777").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn closing_a_sprint_carries_over_what_is_not_done() {
    let site = Rehearsal::new(|_| {});
    site.hands.advance(TimeDelta::hours(1));
    let active =
        json!({"jql": "sprint = 9 AND statusCategory != Done", "fields": ["customfield_10020"], "maxResults": 100});
    let open = site.search(active.clone()).await;
    assert!(length(&open["issues"]) > 0);
    site.apply(Mutation::CloseSprint { sprint: 9 });
    let moved = site.search(active).await;
    assert_eq!(length(&moved["issues"]), length(&open["issues"]), "the closed sprint stays in the list");
    for issue in moved["issues"].as_array().unwrap() {
        let sprints = issue["fields"]["customfield_10020"].as_array().unwrap();
        let last = &sprints[sprints.len() - 1];
        assert_eq!((&last["id"], &last["state"]), (&json!(10), &json!("future")));
        let history = history(&site, text(&issue["id"])).await;
        assert!(text(&outcome(&history, "Sprint").unwrap()).ends_with("9, 10"));
    }
    let (_, closed) = site.send(Method::GET, "/rest/agile/1.0/sprint/9", None).await;
    assert_eq!((&closed["state"], closed.get("completeDate").is_some()), (&json!("closed"), true));
    site.apply(Mutation::StartSprint { sprint: 10 });
    assert!(site.control.apply(Mutation::CloseSprint { sprint: 9 }).is_err());
}

#[tokio::test]
async fn a_link_is_seen_from_both_ends_and_goes_with_either() {
    let site = Rehearsal::new(|_| {});
    let query = json!({"jql": "project in (ACME, BETA, GAMMA)", "fields": ["issuelinks"], "maxResults": 100});
    let page = site.search(query).await;
    let linked: Vec<&Value> =
        page["issues"].as_array().unwrap().iter().filter(|issue| length(&issue["fields"]["issuelinks"]) > 0).collect();
    assert!(linked.len() > 10);
    let ends = |link: &Value| match link.get("outwardIssue") {
        Some(other) => (true, other.clone()),
        None => (false, link["inwardIssue"].clone()),
    };
    let link = &linked[0]["fields"]["issuelinks"][0];
    let (outward, other) = ends(link);
    let (_, far) = site.get(&format!("/issue/{}?fields=issuelinks", text(&other["id"]))).await;
    let back = &far["fields"]["issuelinks"][0];
    assert_eq!((&back["id"], ends(back).0), (&link["id"], !outward));
    assert_eq!(ends(back).1["key"], linked[0]["key"]);
    site.apply(Mutation::DeleteIssue { issue: text(&linked[0]["id"]).to_owned() });
    let (_, alone) = site.get(&format!("/issue/{}?fields=issuelinks", text(&other["id"]))).await;
    assert_eq!(length(&alone["fields"]["issuelinks"]), 0);
}

#[tokio::test]
async fn every_kind_of_field_occurs_and_the_catalogue_names_it() {
    let site = Rehearsal::new(|options| options.secured = 0.1);
    let (_, catalogue) = site.get("/field").await;
    let schemas: HashMap<&str, &Value> =
        catalogue.as_array().unwrap().iter().map(|field| (text(&field["id"]), &field["schema"])).collect();
    let page = site.search(json!({"jql": "project = ACME", "fields": ["*all"], "maxResults": 100})).await;
    let mut filled = BTreeSet::new();
    for issue in page["issues"].as_array().unwrap() {
        for (name, value) in issue["fields"].as_object().unwrap() {
            assert!(schemas.contains_key(name.as_str()), "{name} is not in the catalogue");
            if !value.is_null() {
                filled.insert(name.clone());
            }
        }
    }
    for field in [
        "security",
        "attachment",
        "versions",
        "subtasks",
        "environment",
        "customfield_10014",
        "customfield_10036",
        "customfield_10037",
    ] {
        assert!(filled.contains(field), "{field} is never filled");
    }
    assert_eq!(schemas["customfield_10020"]["custom"], "com.pyxis.greenhopper.jira:gh-sprint");
    assert_eq!(
        schemas["customfield_10033"],
        &json!({"type": "array", "items": "option", "custom": "com.atlassian.jira.plugin.system.customfieldtypes:multiselect", "customId": 10033})
    );
}

#[tokio::test]
async fn issues_name_versions_and_components_of_their_project() {
    let site = Rehearsal::new(|_| {});
    let ids = async |path: &str| -> BTreeSet<String> {
        site.get(path).await.1.as_array().unwrap().iter().map(|part| text(&part["id"]).to_owned()).collect()
    };
    let (acme, beta) = (ids("/project/ACME/versions").await, ids("/project/BETA/versions").await);
    assert!(acme.is_disjoint(&beta) && acme.len() == 4);
    let components = ids("/project/BETA/components").await;
    let page = site
        .search(
            json!({"jql": "project = BETA", "fields": ["fixVersions", "versions", "components"], "maxResults": 100}),
        )
        .await;
    for issue in page["issues"].as_array().unwrap() {
        for (field, known) in [("fixVersions", &beta), ("versions", &beta), ("components", &components)] {
            for part in issue["fields"][field].as_array().unwrap() {
                assert!(known.contains(text(&part["id"])));
            }
        }
    }
}

#[tokio::test]
async fn the_small_catalogues_hold_what_issues_name() {
    let site = Rehearsal::new(|_| {});
    // One status and one type more, of a team-managed project.
    for (path, count) in [("/status", 6), ("/priority", 5), ("/issuetype", 6), ("/resolution", 3)] {
        let (status, list) = site.get(path).await;
        assert_eq!((status, length(&list)), (StatusCode::OK, count), "{path}");
    }
    assert_eq!(
        site.get("/mypermissions?permissions=BROWSE_PROJECTS").await.1["permissions"]["BROWSE_PROJECTS"]["havePermission"],
        true
    );
    assert_eq!(site.get("/mypermissions").await.0, StatusCode::BAD_REQUEST);
    let (_, me) = site.get("/myself").await;
    let first_name = text(&me["displayName"]).split(' ').next().unwrap();
    let (_, found) = site.get(&format!("/user/search?query={first_name}")).await;
    assert!(found.as_array().unwrap().iter().any(|person| person["accountId"] == me["accountId"]));
}

#[tokio::test]
async fn queries_find_who_logged_work_and_combine() {
    let site = Rehearsal::new(exactly(0, 1));
    let page = site.search(json!({"jql": "project = ACME", "fields": ["worklog"], "maxResults": 1})).await;
    let author = text(&page["issues"][0]["fields"]["worklog"]["worklogs"][0]["author"]["accountId"]).to_owned();
    let by_log = site.walk(&format!("project = ACME AND worklogAuthor in (\"{author}\")"), 50).await;
    assert!(by_log.contains(&text(&page["issues"][0]["id"]).to_owned()));
    let any = site
        .walk(&format!("project = ACME AND (assignee in (\"{author}\") OR reporter in (\"{author}\") OR worklogAuthor in (\"{author}\"))"), 50)
        .await;
    assert!(any.len() > by_log.len() && by_log.iter().all(|id| any.contains(id)));
}

#[tokio::test]
async fn an_over_long_query_is_refused() {
    let site = Rehearsal::new(|options| options.jql_limit = Some(200));
    let long = format!("project = ACME AND id in ({})", vec!["10001"; 100].join(","));
    assert_eq!(site.post("/search/jql", json!({"jql": long})).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(site.post("/search/jql", json!({"jql": "project = ACME"})).await.0, StatusCode::OK);
}

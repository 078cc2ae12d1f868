//! The promises of [`super::details`] and of histories, from pages as Cloud and Data Center write them.

use serde_json::{Value, json};

use super::*;
use crate::domain::entity::LinkDirection;
use crate::jira::fields::PointsField;

const TIME: &str = "2024-05-01T10:11:12.000+0000";

fn issue(fields: Value) -> Value {
    let mut all = json!({
        "summary": "S", "issuetype": {"id": "10004", "name": "Bug", "subtask": true},
        "status": {"id": "3", "name": "Open", "statusCategory": {"key": "new"}},
        "project": {"id": "10001", "key": "ACME"}, "created": TIME, "updated": TIME,
    });
    all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    json!({"id": "1", "key": "ACME-1", "fields": all})
}

fn read_with(fields: Value, map: &FieldMap) -> ParsedPage {
    parse_page(json!({"issues": [issue(fields)]}).to_string().as_bytes(), map).unwrap()
}

fn read(fields: Value) -> ParsedPage {
    let page = read_with(fields, &FieldMap::default());
    assert_eq!((page.rejected.as_slice(), page.drifts.as_slice()), (&[][..], &[][..]));
    page
}

#[test]
fn places_in_catalogues_and_amounts_are_read() {
    let page = read(json!({
        "priority": {"id": "2", "name": "High"}, "resolution": {"id": "10000", "name": "Done"},
        "security": {"id": "10100", "name": "Staff"}, "environment": "h2. Linux\r\n * 6.1",
        "components": [{"id": "30", "name": "B"}, {"id": "20", "name": "A"}],
        "fixVersions": [{"id": "9", "name": "2.0", "released": false, "archived": false, "releaseDate": "2024-07-01"}],
        "versions": [{"id": "8", "name": "1.0", "released": true, "archived": false}],
        "timeoriginalestimate": 7200, "timeestimate": null, "timespent": 3600,
        "timetracking": {"originalEstimateSeconds": 7200, "remainingEstimateSeconds": 600},
        "votes": {"votes": 2, "hasVoted": false}, "watches": {"watchCount": 5, "isWatching": true},
        "statuscategorychangedate": TIME,
    }));
    let details = &page.issues[0].issue.details;
    assert_eq!((details.issue_type_id, details.is_subtask, details.status_id), (Some(10_004), true, Some(3)));
    assert_eq!((details.priority_id, details.resolution_id), (Some(2), Some(10_000)));
    assert_eq!(
        (details.security_level.as_deref(), details.environment.as_deref()),
        (Some("Staff"), Some("h2. Linux\r\n * 6.1"))
    );
    assert_eq!((details.component_ids.as_slice(), details.fix_version_ids.as_slice()), (&[20, 30][..], &[9][..]));
    assert_eq!(details.affects_version_ids, [8]);
    let seconds = (details.original_estimate_seconds, details.remaining_estimate_seconds, details.time_spent_seconds);
    assert_eq!(seconds, (Some(7200), Some(600), Some(3600)));
    assert_eq!((details.votes, details.watchers), (Some(2), Some(5)));
    assert!(details.status_category_changed_at.is_some() && details.fields.is_empty());
    assert_eq!((page.versions.len(), page.components.len()), (2, 2));
}

#[test]
fn every_field_without_a_column_is_kept_unless_it_is_empty() {
    let odd = json!({"a": [1, {"b": "\u{0}"}], "self": "x"});
    let page = read(json!({
        "customfield_1": "text", "customfield_2": 0, "customfield_3": odd, "customfield_4": false,
        "customfield_5": null, "customfield_6": "", "customfield_7": [], "customfield_8": {},
        "flavourOfTomorrow": ["x"],
    }));
    let fields = &page.issues[0].issue.details.fields;
    let ids: Vec<_> = fields.keys().map(String::as_str).collect();
    assert_eq!(ids, ["customfield_1", "customfield_2", "customfield_3", "customfield_4", "flavourOfTomorrow"]);
    assert_eq!(fields["customfield_3"], json!({"a": [1, {"b": "\u{FFFD}"}], "self": "x"}));
}

#[test]
fn what_moves_by_itself_is_kept_and_makes_no_issue_another_one() {
    let map = FieldMap { volatile: ["customfield_1".to_owned()].into(), ..FieldMap::default() };
    let read = |rank: &str, seen: &str| {
        let fields = json!({
            "customfield_1": rank, "customfield_2": "x", "lastViewed": seen, "workratio": -1, "aggregatetimespent": 5,
            "subtasks": [{"id": "2"}], "thumbnail": null, "progress": {"total": 5}, "aggregateprogress": {"total": 5},
            "aggregatetimeestimate": 1, "aggregatetimeoriginalestimate": 2, "statusCategory": {"id": 4},
        });
        read_with(fields, &map).issues.remove(0).issue
    };
    let (one, two) = (read("0|i0:", TIME), read("0|i1:\u{0}", "2024-06-01T10:11:12.000+0000"));
    let kept: Vec<_> = two.details.beside.keys().map(String::as_str).collect();
    assert_eq!(
        kept,
        [
            "aggregateprogress",
            "aggregatetimeestimate",
            "aggregatetimeoriginalestimate",
            "aggregatetimespent",
            "customfield_1",
            "lastViewed",
            "progress",
            "statusCategory",
            "subtasks",
            "workratio"
        ]
    );
    assert_eq!((&two.details.beside["customfield_1"], two.details.fields.len()), (&json!("0|i1:\u{FFFD}"), 1));
    assert_eq!(one.content_hash, two.content_hash);
}

#[test]
fn the_estimate_comes_from_the_field_with_a_value() {
    let point = |id: &str, team_managed| PointsField { id: id.to_owned(), team_managed, project: None };
    let points = vec![point("customfield_16", true), point("customfield_30", false), point("customfield_31", false)];
    let map = FieldMap { story_points: Some("customfield_16".into()), points, ..FieldMap::default() };
    let read = |fields: Value, map: &FieldMap| {
        let issue = read_with(fields, map).issues.remove(0).issue;
        (issue.story_points, issue.details.fields.into_iter().map(|(id, _)| id).collect::<Vec<_>>().join(" "))
    };
    let style = |simplified: Value| json!({"id": "10001", "key": "ACME", "simplified": simplified});
    let both = |simplified: Value| json!({"customfield_16": 3.0, "customfield_30": 5.0, "project": style(simplified)});
    let found = |points: f64, kept: &str| (Some(points), kept.to_owned());
    for simplified in [json!(true), json!(false), Value::Null] {
        assert_eq!(
            read(json!({"customfield_30": 5.0, "customfield_16": null, "project": style(simplified.clone())}), &map),
            found(5.0, "")
        );
        assert_eq!(read(json!({"customfield_16": 3.0, "project": style(simplified)}), &map), found(3.0, ""));
    }
    assert_eq!(read(both(json!(true)), &map), found(3.0, "customfield_30"), "team-managed");
    assert_eq!(read(both(json!(false)), &map), found(5.0, "customfield_16"), "company-managed");
    assert_eq!(read(both(Value::Null), &map), found(3.0, "customfield_30"), "not told, as on Data Center");
    assert_eq!(read(json!({"customfield_31": 0, "customfield_30": "many"}), &map), found(0.0, "customfield_30"));
    let named = map.with_story_points(Some("customfield_31"));
    assert_eq!(
        read(json!({"customfield_31": {"value": "8"}, "customfield_16": 3}), &named),
        found(8.0, "customfield_16")
    );
    assert_eq!(
        read(json!({"customfield_16": 3}), &named),
        found(3.0, ""),
        "a project that does not use the named field"
    );
}

#[test]
fn a_field_that_no_program_can_hold_does_not_cost_the_issue() {
    let deep = format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000));
    for raw in [r#"{"a":[1e400]}"#, r#"["\ud800"]"#, &deep] {
        let body = json!({"issues": [issue(json!({"customfield_1": "HERE"}))]}).to_string().replace("\"HERE\"", raw);
        let page = parse_page(body.as_bytes(), &FieldMap::default()).unwrap();
        assert_eq!((page.issues.len(), page.rejected.len()), (1, 0), "{raw:.40}");
        assert!(page.issues[0].issue.details.fields.contains_key("customfield_1"));
    }
}

#[test]
fn sprints_are_read_from_the_fields_of_the_agile_interface() {
    let sprint = |id: i64, state: &str| json!({"id": id, "name": "S", "state": state, "originBoardId": 4, "endDate": "2024-05-15T10:00:00.000Z"});
    let page =
        read(json!({"sprint": sprint(9, "active"), "closedSprints": [sprint(7, "closed"), sprint(8, "closed")]}));
    let mut ids = page.issues[0].issue.details.sprint_ids.clone();
    ids.sort_unstable();
    assert_eq!((ids.as_slice(), page.sprints.len()), (&[7, 8, 9][..], 3));
    assert!(page.sprints.iter().all(|sprint| sprint.board_id == Some(4)) && page.drifts.is_empty());
    // A field of that name that holds something else is kept as it came.
    let page = read(json!({"sprint": "soon", "closedSprints": [5]}));
    assert_eq!(page.issues[0].issue.details.fields["sprint"], "soon");
    assert!(page.issues[0].issue.details.sprint_ids.is_empty() && page.drifts.is_empty());
}

#[test]
fn sprints_are_read_from_both_kinds_of_sites() {
    let java = "com.atlassian.greenhopper.service.sprint.Sprint@1f[id=7,rapidViewId=3,state=ACTIVE,name=A, b,startDate=<null>,\
                endDate=<null>,completeDate=<null>,sequence=7,goal=]";
    let object = json!({"id": 7, "name": "A, b", "state": "active", "boardId": 3, "goal": ""});
    let known = FieldMap { sprint: Some("customfield_10020".into()), ..FieldMap::default() };
    for (map, value) in [
        (&known, json!([java])),
        (&FieldMap::default(), json!([java])),
        (&known, json!([object.clone()])),
        (&FieldMap::default(), json!([object])),
    ] {
        let page = read_with(json!({"customfield_10020": value}), map);
        assert_eq!(page.drifts, []);
        assert_eq!((page.issues[0].issue.details.sprint_ids.as_slice(), page.sprints.len()), (&[7][..], 1));
        assert_eq!((page.sprints[0].name.as_str(), page.sprints[0].state.as_str()), ("A, b", "active"));
        assert!(page.issues[0].issue.details.fields.is_empty());
    }
    let page = read_with(json!({"customfield_10020": "Sprint 1"}), &known);
    assert_eq!((page.drifts.len(), &page.issues[0].issue.details.fields["customfield_10020"]), (1, &json!("Sprint 1")));
}

#[test]
fn an_epic_link_stands_in_for_a_parent() {
    let map = FieldMap { epic_link: Some("customfield_10014".into()), ..FieldMap::default() };
    let page = read_with(json!({"customfield_10014": "ACME-5"}), &map);
    let issue = &page.issues[0].issue;
    assert_eq!((issue.parent_key.as_deref(), issue.parent_id, issue.details.fields.len()), (Some("ACME-5"), None, 0));
    let both = json!({"customfield_10014": "ACME-5", "parent": {"id": "6", "key": "ACME-6"}});
    let issue = &read_with(both, &map).issues[0].issue;
    assert_eq!((issue.parent_key.as_deref(), issue.details.fields.len()), (Some("ACME-6"), 1));
}

#[test]
fn links_and_attachments_are_read_from_this_end() {
    let page = read(json!({
        "issuelinks": [
            {"id": "70", "type": {"name": "Blocks", "inward": "is blocked by", "outward": "blocks"}, "outwardIssue": {"id": "2", "key": "ACME-2"}},
            {"id": "71", "type": {"name": "Blocks", "inward": "is blocked by", "outward": "blocks"}, "inwardIssue": {"id": "3", "key": "X-3"}},
        ],
        "attachment": [{"id": "90", "filename": "a\u{0}.png", "author": {"name": "bo", "key": "bo"}, "created": TIME, "size": 12, "mimeType": "image/png"}],
    }));
    let links = &page.issues[0].links;
    assert_eq!(
        (links[0].direction, links[0].relation.as_str(), links[0].other_issue_id),
        (LinkDirection::Outward, "blocks", 2)
    );
    assert_eq!(
        (links[1].direction, links[1].relation.as_str(), links[1].other_key.as_str()),
        (LinkDirection::Inward, "is blocked by", "X-3")
    );
    let file = &page.issues[0].attachments[0];
    assert_eq!((file.file_name.as_str(), file.size_bytes, file.author.as_deref()), ("a\u{FFFD}.png", 12, Some("bo")));
    let odd = json!({"issuelinks": [{"id": "70"}, 5], "attachment": [{"id": "90"}]});
    let page = read_with(odd, &FieldMap::default());
    assert_eq!((page.issues.len(), page.rejected.len()), (1, 3));
}

#[test]
fn a_person_of_data_center_is_named_by_key() {
    let page = read(json!({
        "assignee": {"name": "ana", "key": "JIRAUSER10100", "emailAddress": "ana@example.com", "displayName": "Ana", "active": true},
        "reporter": {"name": "bo", "displayName": "Bo"}, "description": "*wiki* {code}x{code}",
    }));
    let issue = &page.issues[0].issue;
    assert_eq!((issue.assignee.as_deref(), issue.reporter.as_deref()), (Some("JIRAUSER10100"), Some("bo")));
    assert_eq!(issue.description.as_deref(), Some("*wiki* {code}x{code}"));
    assert_eq!(page.users[0].email.as_deref(), Some("ana@example.com"));
}

#[test]
fn a_number_of_points_written_as_text_counts_and_is_noted() {
    let map = FieldMap { story_points: Some("customfield_3".into()), ..FieldMap::default() };
    let page = read_with(json!({"customfield_3": "2.5"}), &map);
    assert_eq!((page.issues[0].issue.story_points, page.drifts.len()), (Some(2.5), 1));
}

fn history(total: i64, entries: Value) -> Value {
    json!({"startAt": 0, "maxResults": 40, "total": total, "histories": entries})
}

fn entry(id: i64) -> Value {
    json!({"id": id.to_string(), "author": {"accountId": "a1", "displayName": "Ana"}, "created": TIME, "items": [
        {"field": "status", "fieldtype": "jira", "fieldId": "status", "from": "1", "fromString": "Open", "to": "3", "toString": "Done"},
        {"field": "Sprint", "fieldtype": "custom", "from": "", "fromString": "", "to": 7, "toString": "S7"},
    ]})
}

#[test]
fn a_history_that_is_inlined_short_says_so() {
    let page = |changelog: Value| {
        let mut issue = issue(json!({}));
        issue["changelog"] = changelog;
        parse_page(json!({"issues": [issue]}).to_string().as_bytes(), &FieldMap::default()).unwrap()
    };
    let whole = page(history(3, json!([entry(9), entry(8), {"id": "7", "created": TIME, "items": []}])));
    let parsed = &whole.issues[0];
    assert_eq!((parsed.changes.len(), parsed.changes_total), (4, Some(2)));
    let change = &parsed.changes[1];
    assert_eq!(
        (change.id, change.item, change.to_value.as_deref(), change.field_id.as_deref()),
        (9, 1, Some("7"), None)
    );
    assert_eq!((parsed.changes[0].to_text.as_deref(), whole.users.len()), (Some("Done"), 1));
    assert_eq!(page(history(41, json!([entry(9)]))).issues[0].changes_total, Some(41));
    let unreadable = page(history(1, json!([{"id": "9", "created": "?"}])));
    assert_eq!((unreadable.issues[0].changes_total, unreadable.rejected.len()), (Some(1), 1));
    assert_eq!(page(Value::Null).issues[0].changes_total, None);
}

#[test]
fn a_change_is_the_same_inlined_paged_and_in_bulk() {
    let mut whole = issue(json!({}));
    whole["changelog"] = history(1, json!([entry(9)]));
    let inlined = parse_single(whole.to_string().as_bytes(), &FieldMap::default()).unwrap();
    let expected = &inlined.issues[0].changes;
    let paged = json!({"startAt": 0, "maxResults": 100, "total": 1, "isLast": true, "values": [entry(9)]});
    assert_eq!(&parse_changelog(paged.to_string().as_bytes(), 1).unwrap().records, expected);
    assert_eq!(&parse_issue_changelog(whole.to_string().as_bytes(), 1).unwrap().records, expected);
    let mut in_bulk = entry(9);
    in_bulk["created"] = json!(1_714_558_272_000_i64);
    let body = json!({"issueChangeLogs": [{"issueId": "1", "changeHistories": [in_bulk]}], "nextPageToken": "t"});
    let bulk = parse_changelog_bulk(body.to_string().as_bytes()).unwrap();
    assert_eq!((&bulk.records, bulk.next_page_token.as_deref(), bulk.received), (expected, Some("t"), 1));
}

#[test]
fn a_missing_requested_history_counts_as_hidden() {
    let refused = parse_issue_changelog(br#"{"id": "1", "fields": {}}"#, 1).unwrap_err();
    assert_eq!(refused.code, crate::domain::failure::FailureCode::ApiRemoved);
}

#[test]
fn worklogs_by_id_name_their_issues() {
    let worklog = |issue: Value| json!({"id": "5", "issueId": issue, "timeSpentSeconds": 60, "started": TIME, "created": TIME, "updated": TIME});
    let body = json!([worklog(json!("4")), worklog(Value::Null), 7]).to_string();
    let read = parse_worklog_list(body.as_bytes()).unwrap();
    assert_eq!((read.records.len(), read.records[0].issue_id, read.rejected.len(), read.received), (1, 4, 2, 3));
}

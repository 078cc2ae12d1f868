//! The promises of [`super`].

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::*;

fn map() -> FieldMap {
    FieldMap {
        story_points: Some("customfield_10016".into()),
        sprint: Some("customfield_10020".into()),
        ..FieldMap::default()
    }
}

fn user(id: &str) -> Value {
    json!({"self": "x", "accountId": id, "displayName": format!("Name of {id}"), "active": true, "timeZone": "Europe/Berlin",
           "accountType": "atlassian", "avatarUrls": {"48x48": "https://example.com/a.png"}})
}

fn adf(words: &str) -> Value {
    json!({"version": 1, "type": "doc", "content": [{"type": "paragraph", "content": [{"type": "text", "text": words}]}]})
}

fn issue(id: i64) -> Value {
    let time = "2024-05-01T10:11:12.345+0200";
    json!({
        "expand": "x", "id": id.to_string(), "self": "x", "key": format!("ACME-{id}"),
        "fields": {
            "summary": "A \"quoted\" summary", "description": adf("Words"), "issuetype": {"name": "Bug", "subtask": false},
            "status": {"name": "Erledigt", "statusCategory": {"id": 3, "key": "done", "name": "Fertig"}},
            "priority": {"name": "High"}, "resolution": {"name": "Fixed"}, "assignee": user("a1"), "reporter": user("a2"),
            "creator": user("a1"), "project": {"id": "10001", "key": "ACME", "name": "Acme"},
            "parent": {"id": "77", "key": "ACME-77", "fields": {"summary": "Epic"}}, "labels": ["b", "a"],
            "created": time, "updated": "2024-05-02T00:00:00.000+0000", "votes": {"votes": 3}, "resolutiondate": time, "duedate": "2024-06-01",
            "customfield_10016": 5.0, "customfield_10020": [{"id": 1, "name": "S1", "state": "active", "boardId": 3}],
            "comment": {"comments": [{"id": "501", "author": user("a3"), "updateAuthor": user("a3"), "body": adf("Hello"),
                                      "created": time, "updated": time, "jsdPublic": true}], "total": 1, "maxResults": 1, "startAt": 0},
            "worklog": {"worklogs": [{"id": "601", "issueId": id.to_string(), "author": user("a1"), "updateAuthor": user("a1"),
                                      "comment": adf("Dug"), "started": time, "timeSpent": "1h", "timeSpentSeconds": 3600,
                                      "created": time, "updated": time}], "total": 30, "maxResults": 20, "startAt": 0},
        }
    })
}

fn page(issues: &[Value]) -> ParsedPage {
    parse_page(json!({"issues": issues, "isLast": true}).to_string().as_bytes(), &map()).unwrap()
}

/// An issue with the value at `pointer` replaced.
fn with(pointer: &str, value: Value) -> Value {
    let mut issue = issue(1);
    *issue.pointer_mut(pointer).unwrap() = value;
    issue
}

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

#[test]
fn an_issue_is_read_with_its_comments_and_worklogs() {
    let page = page(&[issue(1)]);
    assert_eq!((page.rejected.as_slice(), page.drifts.as_slice()), (&[][..], &[][..]));
    let parsed = &page.issues[0];
    let read = &parsed.issue;
    assert_eq!((read.id, read.key.as_str(), read.project_id, read.project_key.as_str()), (1, "ACME-1", 10_001, "ACME"));
    assert_eq!((read.summary.as_str(), read.description.as_deref()), ("A \"quoted\" summary", Some("Words")));
    assert_eq!(
        (read.issue_type.as_str(), read.status.as_str(), read.status_category.as_str()),
        ("Bug", "Erledigt", "done")
    );
    assert_eq!((read.priority.as_deref(), read.resolution.as_deref()), (Some("High"), Some("Fixed")));
    assert_eq!(
        (read.assignee.as_deref(), read.reporter.as_deref(), read.creator.as_deref()),
        (Some("a1"), Some("a2"), Some("a1"))
    );
    assert_eq!((read.parent_id, read.parent_key.as_deref()), (Some(77), Some("ACME-77")));
    assert_eq!((read.labels.as_slice(), read.story_points), (&["a".to_owned(), "b".to_owned()][..], Some(5.0)));
    assert_eq!((read.created_at, read.updated_at), (time("2024-05-01T08:11:12.345Z"), time("2024-05-02T00:00:00Z")));
    assert_eq!((read.resolved_at, read.due_date), (Some(read.created_at), "2024-06-01".parse().ok()));
    assert_eq!((parsed.comments_total, parsed.worklogs_total), (1, 30));
    let comment = &parsed.comments[0];
    assert_eq!(
        (comment.id, comment.issue_id, comment.body.as_str(), comment.author.as_deref()),
        (501, 1, "Hello", Some("a3"))
    );
    let worklog = &parsed.worklogs[0];
    assert_eq!((worklog.id, worklog.time_spent_seconds, worklog.comment.as_deref()), (601, 3600, Some("Dug")));
    let users: Vec<_> = page.users.iter().map(|user| user.account_id.as_str()).collect();
    assert_eq!(users, ["a1", "a2", "a3"]);
    assert_eq!(page.users[0].time_zone.as_deref(), Some("Europe/Berlin"));
}

#[test]
fn texts_are_kept_byte_for_byte() {
    let mut issue = issue(1);
    let fields = &mut issue["fields"];
    for (name, text) in [("summary", json!(" S \t")), ("description", json!("a\r\n b \n")), ("environment", adf(" e "))]
    {
        fields[name] = text;
    }
    fields["comment"]["comments"][0]["body"] = adf("Hello  ");
    fields["worklog"]["worklogs"][0]["comment"] = json!("Dug\n\n");
    fields["status"]["name"] = json!("Open ");
    let page = page(&[issue]);
    let read = &page.issues[0];
    assert_eq!((read.issue.summary.as_str(), read.issue.status.as_str()), (" S \t", "Open "));
    assert_eq!(read.issue.description.as_deref(), Some("a\r\n b \n"));
    assert_eq!(read.issue.details.environment.as_deref(), Some(" e "));
    assert_eq!((read.comments[0].body.as_str(), read.worklogs[0].comment.as_deref()), ("Hello  ", Some("Dug\n\n")));
}

#[test]
fn one_malformed_issue_costs_that_issue_only() {
    for (pointer, value, field) in [
        ("/id", Value::Null, "id"),
        ("/key", json!(7), "key"),
        ("/fields", json!([]), "fields"),
        ("/fields/updated", json!("yesterday"), "updated"),
        ("/fields/created", json!({"at": 1}), "created"),
        ("/fields/project/id", json!("ten"), "project.id"),
    ] {
        let page = page(&[issue(2), with(pointer, value), issue(3)]);
        let ids: Vec<_> = page.issues.iter().map(|parsed| parsed.issue.id).collect();
        assert_eq!(ids, [2, 3], "{pointer}");
        assert_eq!(page.rejected.len(), 1, "{pointer}");
        assert_eq!(page.rejected[0].field, field);
        assert_eq!(page.rejected[0].issue_id, (field != "id").then_some(1));
        assert_eq!(page.rejected[0].key.is_some(), field != "key");
    }
    for odd in [Value::Null, json!(1), json!("x"), json!([])] {
        let page = page(&[odd, issue(3)]);
        assert_eq!((page.issues.len(), page.rejected.len()), (1, 1));
    }
}

#[test]
fn an_optional_field_of_a_wrong_type_is_drift_and_absent() {
    let odd = with("/fields/priority", json!("High"));
    let read = page(&[odd.clone(), odd]);
    assert_eq!(read.issues[0].issue.priority, None);
    assert_eq!(
        read.drifts,
        [Drift { entity: "issue", field: "priority".into(), expected: "object with a name", found: "text" }]
    );
    for (pointer, value) in [
        ("/fields/summary", json!(["x"])),
        ("/fields/summary", Value::Null),
        ("/fields/status", json!("Open")),
        ("/fields/status/statusCategory/key", json!("someday")),
        ("/fields/issuetype", Value::Null),
        ("/fields/description", json!(5)),
        ("/fields/labels", json!("a")),
        ("/fields/labels/0", json!(1)),
        ("/fields/duedate", json!("soon")),
        ("/fields/customfield_10016", json!("five")),
        ("/fields/assignee", json!("ana")),
        ("/fields/assignee/displayName", json!({})),
        ("/fields/parent/id", json!(true)),
        ("/fields/status/statusCategory", json!(3)),
    ] {
        let page = page(&[with(pointer, value)]);
        assert_eq!((page.issues.len(), page.drifts.len()), (1, 1), "{pointer}: {:?}", page.drifts);
    }
}

#[test]
fn a_malformed_comment_or_worklog_costs_itself_only() {
    let read = page(&[with("/fields/comment/comments/0/created", Value::Null)]);
    assert!(read.issues[0].comments.is_empty() && read.issues[0].comments_total == 1);
    assert_eq!(read.rejected[0].field, "comment.created");
    assert_eq!(read.rejected[0].problem, "comment 501: missing");
    let read = page(&[with("/fields/comment/comments/0/updated", Value::Null)]);
    let comment = &read.issues[0].comments[0];
    assert_eq!((comment.updated_at, read.drifts.len()), (comment.created_at, 1));
    let read = page(&[with("/fields/worklog/worklogs/0/timeSpentSeconds", json!(1_i64 << 40))]);
    assert!(read.issues[0].worklogs.is_empty());
    assert_eq!(read.rejected[0].field, "worklog.timeSpentSeconds");
    let read = page(&[with("/fields/worklog/worklogs/0", json!("x"))]);
    assert_eq!(read.rejected[0].field, "worklog");
}

#[test]
fn an_unreadable_collection_never_counts_as_empty() {
    for (pointer, value) in [
        ("/fields/comment", json!([])),
        ("/fields/comment/comments", json!({})),
        ("/fields/comment/comments", Value::Null),
        ("/fields/comment/total", json!("many")),
        ("/fields/comment/total", Value::Null),
    ] {
        let read = page(&[with(pointer, value)]);
        let parsed = &read.issues[0];
        assert!(parsed.comments_total > parsed.comments.len() as i64, "{pointer}");
    }
    for list in ["comment", "worklog"] {
        let mut hidden = issue(1);
        hidden["fields"].as_object_mut().unwrap().remove(list);
        let read = page(&[hidden.clone()]);
        let parsed = &read.issues[0];
        assert!(!parsed.left_out.shows(list), "{list}");
        let total = if list == "comment" { parsed.comments_total } else { parsed.worklogs_total };
        assert_eq!(total, 1, "what is left out is unknown, and asked for: {list}");
        let map = FieldMap { tracks_no_time: true, ..map() };
        let body = json!({"issues": [hidden]}).to_string();
        let parsed = &parse_page(body.as_bytes(), &map).unwrap().issues[0];
        assert_eq!(
            parsed.worklogs_total,
            if list == "comment" { 30 } else { 0 },
            "a site that tracks no time has none"
        );
    }
    let read = page(&[with("/fields/comment/total", json!(0))]);
    assert_eq!(read.issues[0].comments_total, 2, "a list that is longer than it says is asked for");
}

#[test]
fn half_an_emoji_and_a_nul_do_not_cost_the_issue() {
    let json = json!({"issues": [issue(1)]}).to_string();
    let json =
        json.replace("A \\\"quoted\\\" summary", r"\\ud83d cut \ud83d and \ude00, whole \ud83d\ude00, nul \u0000");
    let page = parse_page(json.as_bytes(), &map()).unwrap();
    assert_eq!(page.issues[0].issue.summary, "\\ud83d cut \u{FFFD} and \u{FFFD}, whole 😀, nul \u{FFFD}");
    let mut bytes = json!({"issues": [issue(1)]}).to_string().into_bytes();
    let at = bytes.windows(5).position(|word| word == b"Words").unwrap();
    bytes[at] = 0xFF;
    assert_eq!(parse_page(&bytes, &map()).unwrap().issues[0].issue.description.as_deref(), Some("\u{FFFD}ords"));
}

#[test]
fn a_number_beyond_all_bounds_is_kept_as_text_and_noted() {
    let json = json!({"issues": [issue(1), issue(2)]}).to_string().replacen("5.0", "1e999", 1);
    let page = parse_page(json.as_bytes(), &map()).unwrap();
    assert_eq!((page.issues.len(), page.rejected.len()), (2, 0));
    let issue = &page.issues[0].issue;
    assert_eq!((issue.story_points, &issue.details.fields["customfield_10016"]), (None, &json!("1e999")));
    assert!(page.drifts.iter().any(|drift| drift.field == "customfield_10016"), "{:?}", page.drifts);
    let json =
        json!({"issues": [with("/fields/votes", json!({"votes": 77_000}))]}).to_string().replace("77000", "-1e999");
    let page = parse_page(json.as_bytes(), &map()).unwrap();
    assert_eq!((page.issues.len(), page.drifts.len(), page.drifts[0].field.as_ref()), (1, 1, "votes"));
}

#[test]
fn a_page_without_issues_is_a_changed_schema() {
    for body in [&b"{}"[..], b"[]", b"", br#"{"issues":5}"#] {
        assert_eq!(parse_page(body, &map()).unwrap_err().code, FailureCode::SchemaChanged);
        assert_eq!(parse_comments(body, 1).unwrap_err().code, FailureCode::SchemaChanged);
    }
}

#[test]
fn a_page_with_a_new_member_is_read_and_the_member_recorded() {
    let body = json!({"issues": [issue(1)], "isLast": true, "cursor": {"next": "x"}}).to_string();
    let page = parse_page(body.as_bytes(), &map()).unwrap();
    assert_eq!((page.issues.len(), page.drifts.len(), page.drifts[0].field.as_ref()), (1, 1, "cursor"));
}

#[test]
fn a_page_of_a_collection_says_where_the_next_one_starts() {
    let comments = issue(1)["fields"]["comment"]["comments"].clone();
    let body = json!({"startAt": 100, "maxResults": 100, "total": 250, "comments": [comments[0], "odd"]}).to_string();
    let read = parse_comments(body.as_bytes(), 9).unwrap();
    assert_eq!((read.start_at, read.received, read.total), (100, 2, 250));
    assert_eq!((read.records.len(), read.records[0].issue_id, read.rejected.len(), read.users.len()), (1, 9, 1, 1));
    let worklogs = issue(1)["fields"]["worklog"].to_string();
    let read = parse_worklogs(worklogs.as_bytes(), 1).unwrap();
    assert_eq!((read.records[0].id, read.total, read.received), (601, 30, 1));
}

#[test]
fn the_same_comment_is_the_same_record_inline_and_fetched() {
    let inline = page(&[issue(1)]);
    let fetched = parse_comments(issue(1)["fields"]["comment"].to_string().as_bytes(), 1).unwrap();
    assert_eq!(inline.issues[0].comments, fetched.records);
}

#[test]
fn a_single_issue_is_a_page_of_one() {
    let single = parse_single(issue(1).to_string().as_bytes(), &map()).unwrap();
    assert_eq!(single, page(&[issue(1)]));
}

proptest::proptest! {
    #[test]
    fn no_value_in_any_place_ends_the_page(
        place in 0usize..40,
        value in proptest::sample::select(vec!["null", "1", "-0.5", "true", "\"x\"", "[]", "{}", "[[{}]]", "{\"id\":[]}"]),
    ) {
        let mut odd = issue(1);
        let fields = odd["fields"].as_object_mut().unwrap();
        let name = fields.keys().nth(place % fields.len()).unwrap().clone();
        fields.insert(name, serde_json::from_str(value).unwrap());
        let page = page(&[odd, issue(2)]);
        proptest::prop_assert_eq!(page.issues.last().unwrap().issue.id, 2);
        proptest::prop_assert_eq!(page.issues.len() + page.rejected.iter().filter(|r| !r.field.contains("comment") && !r.field.contains("worklog")).count(), 2);
    }
}

#[test]
fn an_unreadable_comment_restriction_still_restricts() {
    let shown = |visibility: Value, public: Value| {
        let mut issue = issue(1);
        let comment = issue.pointer_mut("/fields/comment/comments/0").unwrap();
        comment["visibility"] = visibility;
        comment["jsdPublic"] = public;
        let mut page = page(&[issue]);
        let comment = page.issues[0].comments.remove(0);
        (
            comment.restriction.map(|restriction| [restriction.kind, restriction.name]),
            comment.internal,
            page.drifts.len(),
        )
    };
    let restriction = |kind: &str, name: &str| Some([kind.to_owned(), name.to_owned()]);
    assert_eq!(shown(json!(null), json!(true)), (None, false, 0));
    assert_eq!(shown(json!(null), json!(false)), (None, true, 0));
    let role = json!({"type": "role", "value": "Administrators", "identifier": "Administrators"});
    assert_eq!(shown(role, json!(null)), (restriction("role", "Administrators"), false, 0));
    let nameless = json!({"type": "GROUP", "value": null, "identifier": "276f"});
    assert_eq!(shown(nameless, json!(true)), (restriction("group", "276f"), false, 0));
    assert_eq!(shown(json!({"type": "team", "value": "Blue"}), json!(true)), (restriction("team", "Blue"), false, 1));
    assert_eq!(shown(json!("admins only"), json!(true)), (restriction("unknown", ""), false, 1));
}

#[test]
fn what_is_left_out_is_kept_and_what_is_null_is_not() {
    let stored = IssueRecord { project_id: 0, project_key: String::new(), ..page(&[issue(1)]).issues[0].issue.clone() };
    let kept_of = |change: &dyn Fn(&mut serde_json::Map<String, Value>), same_project: bool| {
        let mut changed = issue(1);
        change(changed["fields"].as_object_mut().unwrap());
        let read = page(&[changed]);
        let mut record = read.issues[0].issue.clone();
        let kept = read.issues[0].left_out.keep(&mut record, &stored, same_project, &map(), |_| true);
        (kept, record)
    };
    let (kept, record) = kept_of(&|fields| drop(fields.remove("labels")), false);
    assert_eq!((kept, &record.labels), (1, &stored.labels));
    for empty in [Value::Null, json!([])] {
        let (kept, record) = kept_of(&|fields| drop(fields.insert("labels".into(), empty.clone())), true);
        assert_eq!((kept, record.labels.len()), (0, 0));
    }
    // Another field, where it is of use.
    let (kept, record) = kept_of(&|fields| drop(fields.remove("customfield_10016")), true);
    assert_eq!((kept, record.story_points), (1, Some(5.0)));
    let (kept, record) = kept_of(&|fields| drop(fields.remove("customfield_10016")), false);
    assert_eq!((kept, record.story_points), (0, None), "the issue is in another project now");
    // A parent is left out where there is none.
    let (kept, record) = kept_of(&|fields| drop(fields.remove("parent")), true);
    assert_eq!((kept, record.parent_id), (0, None));
    // What is kept beside an issue stays with it, and is none of the values that count.
    let mut viewed = stored.clone();
    viewed.details.fields.insert("lastViewed".into(), json!("then"));
    let read = page(&[issue(1)]);
    let mut record = read.issues[0].issue.clone();
    assert_eq!(read.issues[0].left_out.keep(&mut record, &viewed, true, &map(), |_| true), 0);
    assert_eq!(record.details.beside["lastViewed"], json!("then"));
    // A value in a form that tells nothing is no value.
    let (kept, record) = kept_of(&|fields| drop(fields.insert("priority".into(), json!(3))), true);
    assert_eq!((kept > 0, record.priority), (true, stored.priority.clone()));
}

//! The sprint field of an issue, whose values come as objects on Cloud and as the text of a Java object on Data Center:
//! `com.atlassian.greenhopper.service.sprint.Sprint@1a2b[id=7,rapidViewId=3,state=CLOSED,name=Sprint 7,…]`.
//!
//! What must hold: a name or a goal may hold commas, brackets and equals signs, and the words that Jira uses itself; a
//! member that nobody knows costs nothing (see [`java`]).

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::domain::entity::SprintRecord;
use java::Members;

mod java;

/// How the text of a sprint begins on Data Center.
const JAVA_CLASS: &str = "com.atlassian.greenhopper.service.sprint.Sprint@";
/// The fields in which the agile interface names an issue's sprints, the present one and those that are over. Servers that
/// keep what they once got from it give these instead of the site's own field.
pub(super) const AGILE_FIELDS: [&str; 2] = ["sprint", "closedSprints"];
/// The states that are known.
pub(super) const STATES: [&str; 3] = ["future", "active", "closed"];

/// Whether the raw JSON of a field looks like a sprint field: for sites whose fields are not known yet.
pub(super) fn looks_like_sprints(raw: &str) -> bool {
    let Some(first) = raw.strip_prefix('[').map(str::trim_start) else { return false };
    if let Some(text) = first.strip_prefix('"') {
        return text.starts_with(JAVA_CLASS);
    }
    first.starts_with('{') && first.contains("\"boardId\"") && first.contains("\"state\"") && first.contains("\"name\"")
}

/// The sprints of a field's value; `None` where it holds something else.
pub(super) fn read(value: &Value) -> Option<Vec<SprintRecord>> {
    match value {
        Value::Null => Some(Vec::new()),
        Value::Array(elements) => elements.iter().filter(|element| !element.is_null()).map(one).collect(),
        single => one(single).map(|sprint| vec![sprint]),
    }
}

fn one(value: &Value) -> Option<SprintRecord> {
    match value {
        Value::Object(members) => of_object(members),
        Value::String(text) => of_text(text),
        _ => None,
    }
}

/// A sprint as an object: of a field on Cloud, and of the agile interface everywhere.
pub(super) fn of_object(members: &Map<String, Value>) -> Option<SprintRecord> {
    let text = |name: &str| members.get(name).and_then(Value::as_str).map(clean).filter(|text| !text.is_empty());
    let number = |name: &str| members.get(name).and_then(whole);
    let moment =
        |name: &str| members.get(name).and_then(Value::as_str).and_then(|text| super::time::instant(text).at());
    Some(SprintRecord {
        id: number("id")?,
        name: text("name").unwrap_or_default(),
        state: text("state")?.to_lowercase(),
        board_id: number("boardId").or_else(|| number("originBoardId")).or_else(|| number("rapidViewId")),
        goal: text("goal"),
        started_at: moment("startDate"),
        ends_at: moment("endDate"),
        completed_at: moment("completeDate"),
        uncertain: false,
    })
}

fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}

fn clean(text: &str) -> String {
    text.replace('\0', "\u{FFFD}")
}

fn of_text(text: &str) -> Option<SprintRecord> {
    let (_, inside) = text.strip_prefix(JAVA_CLASS)?.split_once('[')?;
    let inside = inside.strip_suffix(']').unwrap_or(inside);
    let read = Members::read(inside);
    let known = |name: &str| read.value(name).filter(|value| *value != "<null>" && !value.is_empty());
    let moment = |name: &str| -> Option<DateTime<Utc>> { super::time::instant(known(name)?).at() };
    Some(SprintRecord {
        id: known("id")?.parse().ok()?,
        name: known("name").map(clean).unwrap_or_default(),
        state: known("state")?.to_lowercase(),
        board_id: known("rapidViewId").and_then(|id| id.parse().ok()),
        goal: known("goal").map(clean),
        started_at: moment("startDate"),
        ends_at: moment("endDate"),
        completed_at: moment("completeDate"),
        uncertain: read.uncertain,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn text(inside: &str) -> SprintRecord {
        of_text(&format!("{JAVA_CLASS}1a2b3c[{inside}]")).unwrap()
    }

    #[test]
    fn a_sprint_is_the_same_from_an_object_and_from_java() {
        let java = text(
            "id=37,rapidViewId=12,state=CLOSED,name=Sprint 7,startDate=2024-05-01T08:00:00.000Z,\
             endDate=2024-05-15T10:00:00.000+02:00,completeDate=2024-05-15T09:30:00.000Z,activatedDate=<null>,sequence=37,\
             goal=Ship it,autoStartStop=false,synced=false",
        );
        let object = json!([{"id": 37, "boardId": 12, "state": "closed", "name": "Sprint 7", "goal": "Ship it",
            "startDate": "2024-05-01T08:00:00.000Z", "endDate": "2024-05-15T08:00:00.000Z",
            "completeDate": "2024-05-15T09:30:00.000Z"}]);
        assert_eq!(read(&object).unwrap(), std::slice::from_ref(&java));
        assert_eq!((java.id, java.board_id, java.state.as_str()), (37, Some(12), "closed"));
    }

    #[test]
    fn a_name_may_hold_commas_brackets_and_equals_signs() {
        let odd = "Q1, plan [v=2], id=x, state=, startDate=soon";
        let sprint = text(&format!(
            "id=4,rapidViewId=<null>,state=FUTURE,name={odd},goal=a]b, c=d,startDate=<null>,endDate=<null>,\
             completeDate=<null>,sequence=4"
        ));
        assert_eq!((sprint.name.as_str(), sprint.goal.as_deref()), (odd, Some("a]b, c=d")));
        assert_eq!((sprint.board_id, sprint.started_at, sprint.state.as_str()), (None, None, "future"));
    }

    #[test]
    fn a_name_may_hold_the_words_that_jira_uses_itself() {
        let tail = "startDate=2024-05-01T08:00:00.000Z,endDate=2024-05-15T10:00:00.000Z,completeDate=<null>,activatedDate=<null>,sequence=9";
        for name in
            ["a,goal=b", "x,name=y", "a,goal=b,startDate=<null>", "s,state=CLOSED,id=7", "[a],goal=]", "a\nb,goal=c"]
        {
            for goal in ["<null>", "", "c", "win, c=d", "see ,name=z", "a]b"] {
                let expected = Some(goal).filter(|goal| !matches!(*goal, "<null>" | ""));
                for layout in [
                    format!("id=4,rapidViewId=2,state=ACTIVE,name={name},{tail},goal={goal}"),
                    format!(
                        "id=4,rapidViewId=2,state=ACTIVE,name={name},{tail},goal={goal},autoStartStop=false,synced=false"
                    ),
                    format!(
                        "autoStartStop=false,completeDate=<null>,endDate=<null>,goal={goal},id=4,incompleteIssuesDestinationId=<null>,name={name},rapidViewId=2,sequence=9,startDate=2024-05-01T08:00:00.000Z,state=ACTIVE,synced=false"
                    ),
                ] {
                    let sprint = text(&layout);
                    assert_eq!((sprint.id, sprint.board_id, sprint.state.as_str()), (4, Some(2), "active"), "{layout}");
                    assert_eq!((sprint.name.as_str(), sprint.goal.as_deref()), (name, expected), "{layout}");
                    assert_eq!(sprint.started_at.map(|at| at.timestamp()), Some(1_714_550_400), "{layout}");
                }
            }
        }
    }

    #[test]
    fn a_member_that_nobody_knows_costs_nothing() {
        let members = [
            "id=4",
            "rapidViewId=2",
            "state=ACTIVE",
            "name=S",
            "goal=G",
            "startDate=2024-05-01T08:00:00.000Z",
            "endDate=<null>",
            "completeDate=<null>",
            "sequence=9",
        ];
        for unknown in
            ["colour=<null>", "estimate=5", "isGoalSet=true", "movedAt=2024-05-01T08:00:00.000Z", "kind=TEAM"]
        {
            for at in 0..=members.len() {
                let mut members = members.to_vec();
                members.insert(at, unknown);
                let sprint = text(&members.join(","));
                assert_eq!((sprint.id, sprint.board_id, sprint.state.as_str()), (4, Some(2), "active"), "{members:?}");
                assert_eq!((sprint.name.as_str(), sprint.goal.as_deref()), ("S", Some("G")), "{members:?}");
                assert!(sprint.started_at.is_some(), "{members:?}");
                assert_eq!(sprint.uncertain, matches!(at, 4 | 5), "only behind a name or a goal: {members:?}");
            }
        }
        // Free text behind a name is its own: it cannot be told from a member, and says so.
        let sprint = text("id=4,state=ACTIVE,name=plan,colour=dark red,startDate=<null>,sequence=9,goal=b,c=d");
        assert_eq!(
            (sprint.name.as_str(), sprint.goal.as_deref(), sprint.uncertain),
            ("plan,colour=dark red", Some("b,c=d"), true)
        );
        let sprint = text("id=4,colour=dark red, or so,state=ACTIVE,name=plan, colour=x,sequence=9");
        assert_eq!((sprint.name.as_str(), sprint.uncertain), ("plan, colour=x", false));
        assert!(of_text(&format!("{JAVA_CLASS}1[{}]", ",name=a,goal=b".repeat(2_000))).is_none(), "without an id");
    }

    #[test]
    fn a_sprint_field_is_known_by_its_shape() {
        assert!(looks_like_sprints(&json!([format!("{JAVA_CLASS}1[id=1]")]).to_string()));
        assert!(looks_like_sprints(r#"[{"id":1,"name":"S","state":"active","boardId":2}]"#));
        for other in [r#"[{"id":"1","value":"x"}]"#, r#"["a"]"#, "[]", "5", r#"[{"name":"S","state":"active"}]"#] {
            assert!(!looks_like_sprints(other), "{other}");
        }
        assert_eq!(read(&json!(["x"])), None);
        assert_eq!(read(&json!([null])), Some(Vec::new()));
    }
}

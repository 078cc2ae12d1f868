//! The sprint field of an issue, whose values come as objects on Cloud and as the text of a Java object on Data Center:
//! `com.atlassian.greenhopper.service.sprint.Sprint@1a2b[id=7,rapidViewId=3,state=CLOSED,name=Sprint 7,…]`.
//!
//! What must hold: a name or a goal may hold commas, brackets and equals signs. A `,word=` inside one is taken for the
//! next member only where the word is one of Jira's and what follows fits it.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::time::Told;
use crate::domain::entity::SprintRecord;

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
    })
}

fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}

fn clean(text: &str) -> String {
    text.replace('\0', "\u{FFFD}")
}

/// What the value of a member looks like.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Number,
    Word,
    Time,
    Free,
}

/// The members of the text, in no fixed order: it changed between versions.
const MEMBERS: [(&str, Form); 14] = [
    ("id", Form::Number),
    ("rapidViewId", Form::Number),
    ("sequence", Form::Number),
    ("incompleteIssuesDestinationId", Form::Number),
    ("state", Form::Word),
    ("autoStartStop", Form::Word),
    ("autoStart", Form::Word),
    ("synced", Form::Word),
    ("startDate", Form::Time),
    ("endDate", Form::Time),
    ("completeDate", Form::Time),
    ("activatedDate", Form::Time),
    ("name", Form::Free),
    ("goal", Form::Free),
];

fn of_text(text: &str) -> Option<SprintRecord> {
    let (_, inside) = text.strip_prefix(JAVA_CLASS)?.split_once('[')?;
    let inside = inside.strip_suffix(']').unwrap_or(inside);
    let members = members(inside);
    let value = |name: &str| members.iter().find(|(member, _)| *member == name).map(|(_, value)| *value);
    let known = |name: &str| value(name).filter(|value| *value != "<null>" && !value.is_empty());
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
    })
}

/// The members with their values, each once: the first that fits.
fn members(inside: &str) -> Vec<(&'static str, &str)> {
    // Where the value of each member starts, and where the text before it ends.
    let mut starts: Vec<(&'static str, usize, usize)> = Vec::with_capacity(MEMBERS.len());
    let candidates = std::iter::once(0).chain(inside.match_indices(',').map(|(at, _)| at + 1));
    for at in candidates {
        let rest = &inside[at..];
        let found = MEMBERS.iter().find_map(|(name, form)| {
            let value = rest.strip_prefix(name)?.strip_prefix('=')?;
            (fits(*form, value) && starts.iter().all(|(known, ..)| known != name)).then_some((*name, name.len() + 1))
        });
        if let Some((name, length)) = found {
            starts.push((name, at.saturating_sub(1), at + length));
        }
    }
    let ends = starts.iter().skip(1).map(|(_, end, _)| *end).chain([inside.len()]);
    starts.iter().zip(ends).map(|((name, _, start), end)| (*name, &inside[*start..end])).collect()
}

/// Whether what stands at the beginning of `value`, up to the next comma, is of the form.
fn fits(form: Form, value: &str) -> bool {
    let head = value.split(',').next().unwrap_or_default();
    let head = head.strip_suffix(']').unwrap_or(head);
    match form {
        _ if head == "<null>" || form == Form::Free => true,
        Form::Number => !head.is_empty() && head.bytes().all(|byte| byte.is_ascii_digit()),
        Form::Word => !head.is_empty() && head.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_'),
        Form::Time => super::time::instant(head) != Told::Nothing,
        Form::Free => true,
    }
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

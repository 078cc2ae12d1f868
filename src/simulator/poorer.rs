//! Answers that tell less than the site knows, or the same twice: sound in form, so that only a careful reader notices.
//!
//! What must hold: the site itself does not change; the same answer is spoilt in the same way.

use serde_json::{Map, Value};

use super::faults::FaultKind;

/// The fields that `omit-values` leaves out, besides those that begin with `customfield_`.
const VALUES: [&str; 6] = ["labels", "components", "fixVersions", "versions", "issuelinks", "attachment"];
/// Above the ids of all comments.
const FIRST_SHARED: u64 = 1_000_000_000;
/// One in so many issues is not shown by a search that is blind.
const UNSEEN: u64 = 3;

/// The answer of an endpoint as the fault leaves it; `None` where it has nothing to spoil.
pub(super) fn spoil(kind: FaultKind, endpoint: &str, body: &[u8]) -> Option<Vec<u8>> {
    let mut answer: Value = serde_json::from_slice(body).ok()?;
    match kind {
        FaultKind::OmitLists => each_issue(&mut answer, &mut |fields| {
            fields.remove("comment");
            fields.remove("worklog");
        }),
        FaultKind::OmitValues => each_issue(&mut answer, &mut |fields| {
            fields.retain(|name, _| !VALUES.contains(&name.as_str()) && !name.starts_with("customfield_"));
        }),
        FaultKind::Doubled => {
            double(&mut answer);
            each_issue(&mut answer, &mut |fields| {
                fields.get_mut("comment").into_iter().for_each(double);
                fields.get_mut("worklog").into_iter().for_each(double);
            });
        }
        FaultKind::Shared => {
            share(&mut answer);
            each_issue(&mut answer, &mut |fields| fields.get_mut("comment").into_iter().for_each(share));
        }
        FaultKind::ShortHistory => shorten(&mut answer),
        FaultKind::BlindLookUp if endpoint.ends_with("/bulkfetch") && endpoint.contains("issue") => {
            answer["issues"] = Value::Array(Vec::new());
        }
        FaultKind::BlindSearch if endpoint.starts_with("/search") => {
            let id = |issue: &Value| issue["id"].as_str().and_then(|id| id.parse::<u64>().ok());
            answer["issues"].as_array_mut()?.retain(|issue| id(issue).is_none_or(|id| id % UNSEEN != 0));
        }
        _ => return None,
    }
    serde_json::to_vec(&answer).ok()
}

/// The fields of each issue in an answer about many, or of the one that it is about.
fn each_issue(answer: &mut Value, change: &mut dyn FnMut(&mut Map<String, Value>)) {
    match answer.get_mut("issues").and_then(Value::as_array_mut) {
        Some(issues) => issues.iter_mut().for_each(|issue| each_issue(issue, change)),
        None => answer.get_mut("fields").and_then(Value::as_object_mut).into_iter().for_each(change),
    }
}

/// The first of a list of comments or worklogs a second time, as it was when it was created.
fn double(list: &mut Value) {
    for (name, text) in [("comments", "body"), ("worklogs", "comment")] {
        let Some(elements) = list.get_mut(name).and_then(Value::as_array_mut) else { continue };
        let Some(mut older) = elements.first().cloned() else { continue };
        older["updated"] = older["created"].clone();
        older[text] = Value::Null;
        elements.insert(0, older);
        if let Some(total) = list["total"].as_u64() {
            list["total"] = (total + 1).into();
        }
    }
}

/// The first of a list of comments once more, under an id that the issue with the next, or the former, id has as well.
fn share(list: &mut Value) {
    let Some(elements) = list.get_mut("comments").and_then(Value::as_array_mut) else { return };
    let Some(mut shared) = elements.first().cloned() else { return };
    let issue = shared["self"].as_str().and_then(|own| own.split('/').rev().nth(2)?.parse::<u64>().ok());
    let Some(issue) = issue else { return };
    shared["id"] = (FIRST_SHARED + issue / 2).to_string().into();
    elements.insert(0, shared);
    if let Some(total) = list["total"].as_u64() {
        list["total"] = (total + 1).into();
    }
}

/// Each history without its last entry.
fn shorten(answer: &mut Value) {
    if let Some(issues) = answer.get_mut("issues").and_then(Value::as_array_mut) {
        issues.iter_mut().for_each(shorten);
    }
    if let Some(histories) = answer.get_mut("issueChangeLogs").and_then(Value::as_array_mut) {
        histories.iter_mut().for_each(|history| drop_last(history, "changeHistories"));
    }
    if let Some(inlined) = answer.get_mut("changelog") {
        drop_last(inlined, "histories");
    }
    if answer.get("values").is_some() {
        drop_last(answer, "values");
    }
}

fn drop_last(history: &mut Value, list: &str) {
    if history.get_mut(list).and_then(Value::as_array_mut).and_then(Vec::pop).is_some()
        && let Some(total) = history["total"].as_u64()
    {
        history["total"] = (total - 1).into();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spoilt(kind: FaultKind, endpoint: &str, answer: &Value) -> Value {
        serde_json::from_slice(&spoil(kind, endpoint, answer.to_string().as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn a_poorer_answer_lacks_what_its_fault_names() {
        let comment = json!({"id": "1", "created": "a", "updated": "b", "body": "x"});
        let list = json!({"total": 1, "comments": [comment]});
        let fields = json!({"comment": list, "worklog": {}, "labels": [], "customfield_1": 2, "summary": "s"});
        let page = json!({"issues": [{"id": "3", "fields": fields}, {"id": "4"}]});
        let of = |kind| spoilt(kind, "/search/jql", &page);
        assert_eq!(of(FaultKind::OmitLists)["issues"][0]["fields"].as_object().unwrap().len(), 3);
        assert_eq!(of(FaultKind::OmitValues)["issues"][0]["fields"].as_object().unwrap().len(), 3);
        assert_eq!(of(FaultKind::BlindSearch)["issues"], json!([{"id": "4"}]));
        let doubled = &of(FaultKind::Doubled)["issues"][0]["fields"]["comment"];
        assert_eq!((&doubled["total"], &doubled["comments"][0]["updated"]), (&json!(2), &json!("a")));
        assert_eq!(doubled["comments"][1], comment);
        assert_eq!(spoilt(FaultKind::BlindLookUp, "/issue/bulkfetch", &page)["issues"], json!([]));
        assert_eq!(spoil(FaultKind::BlindLookUp, "/search/jql", b"{}"), None);
        let history = json!({"changelog": {"total": 2, "histories": [1, 2]}});
        assert_eq!(spoilt(FaultKind::ShortHistory, "/issue/{}", &history)["changelog"]["total"], 1);
    }
}

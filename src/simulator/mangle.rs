//! Faults of one value: an answer that is as it should be but for a character, a number, a name or a date.
//!
//! Seen from Jira and from what stands before it: raw control characters in texts, numbers that JSON does not have from apps'
//! fields, a byte order mark from a proxy, issues without `updated`, due dates beyond the year 9999.

use serde_json::Value;

use super::faults::FaultKind;

/// The first text of an answer begins after the first of these.
const TEXTS: [&str; 5] = ["\"summary\":\"", "\"displayName\":\"", "\"name\":\"", "\"text\":\"", "\"body\":\""];

/// More than the least limit for answers that can be set.
const OVERSIZE_BYTES: usize = (1 << 20) + 1;

/// The answer with a value mangled; as it is, where it has nothing of the kind.
pub(super) fn mangle(kind: FaultKind, body: &[u8]) -> Vec<u8> {
    match kind {
        FaultKind::ControlCharacter => within_text(body, b"line\nbreak\x0B "),
        FaultKind::BadEscape => within_text(body, br"bad \x41 escape "),
        FaultKind::Nan => before(body, "\"summary\":", br#""customfield_19500":NaN,"#),
        FaultKind::ByteOrderMark => [b"\xEF\xBB\xBF", body].concat(),
        FaultKind::Twice => before(body, "\"displayName\":", br#""displayName":"A","#),
        FaultKind::MissingUpdated => first_issue(body, |fields| drop(fields.remove("updated"))),
        FaultKind::OddDates => first_issue(body, |fields| {
            fields.insert("duedate".to_owned(), "12024-05-01".into());
            fields.insert("resolutiondate".to_owned(), "292278994-08-17T07:12:55.807+0000".into());
        }),
        FaultKind::Oversize => match body.split_last() {
            Some((end, rest)) => [rest, " ".repeat(OVERSIZE_BYTES).as_bytes(), &[*end]].concat(),
            None => Vec::new(),
        },
        _ => body.to_vec(),
    }
}

fn position(body: &[u8], of: &str) -> Option<usize> {
    body.windows(of.len()).position(|window| window == of.as_bytes())
}

fn put(body: &[u8], at: usize, what: &[u8]) -> Vec<u8> {
    [&body[..at], what, &body[at..]].concat()
}

fn within_text(body: &[u8], what: &[u8]) -> Vec<u8> {
    let at = TEXTS.iter().find_map(|text| position(body, text).map(|at| at + text.len()));
    at.map_or_else(|| body.to_vec(), |at| put(body, at, what))
}

fn before(body: &[u8], name: &str, what: &[u8]) -> Vec<u8> {
    position(body, name).map_or_else(|| body.to_vec(), |at| put(body, at, what))
}

fn first_issue(body: &[u8], change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> Vec<u8> {
    let Ok(mut answer) = serde_json::from_slice::<Value>(body) else { return body.to_vec() };
    let Some(fields) = answer.pointer_mut("/issues/0/fields").and_then(Value::as_object_mut) else {
        return body.to_vec();
    };
    change(fields);
    answer.to_string().into_bytes()
}

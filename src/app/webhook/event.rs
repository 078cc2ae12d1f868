//! What a webhook says: read with care, since it may be of any shape. Only names, ids and times are taken.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::guard::Refusal;
use crate::store::webhook::Arrival;

/// What was made longer ago is refused.
pub(super) const OLDEST: TimeDelta = TimeDelta::hours(24);

/// Reads a body.
///
/// # Errors
/// When it is no JSON object in UTF-8.
pub(super) fn read(body: &[u8], now: DateTime<Utc>) -> Result<Arrival, Refusal> {
    let said: Value = serde_json::from_slice(body).map_err(|_| Refusal::NotJson)?;
    if !said.is_object() {
        return Err(Refusal::NotJson);
    }
    let kind = name(said["webhookEvent"].as_str().unwrap_or("unknown"));
    let sent_at = said["timestamp"].as_i64().and_then(DateTime::from_timestamp_millis);
    let mut arrival = Arrival { kind, sent_at, ..Arrival::default() };
    let issue = &said["issue"];
    let issues = [
        id(&issue["id"]),
        id(&said["worklog"]["issueId"]),
        id(&said["issueLink"]["sourceIssueId"]),
        id(&said["issueLink"]["destinationIssueId"]),
    ];
    for issue in issues.into_iter().flatten() {
        if !arrival.issues.contains(&issue) {
            arrival.issues.push(issue);
        }
    }
    if !arrival.issues.is_empty() {
        arrival.issue_key = issue["key"].as_str().map(name);
        let project = &issue["fields"]["project"];
        arrival.project = id(&project["id"]);
        arrival.project_key = project["key"].as_str().map(name);
        // A time of the far future would let the issue be read in vain; Jira's clock may be a little ahead.
        arrival.changed_at = match arrival.kind.as_str() {
            // An issue that is shown as it was before its end is read again.
            "jira:issue_deleted" => sent_at,
            _ => issue["fields"]["updated"].as_str().and_then(time),
        }
        .filter(|at| *at < now + OLDEST);
        return Ok(arrival);
    }
    // What is about no issue is read by a run of its project: names, versions, the project's key and state.
    let project = &said["project"];
    arrival.project = id(&project["id"]).or_else(|| id(&said["version"]["projectId"]));
    arrival.project_key = project["key"].as_str().map(name);
    arrival.board = id(&said["sprint"]["originBoardId"]).or_else(|| id(&said["board"]["id"]));
    let kinds = ["project_", "jira:version_", "sprint_", "board_"];
    let is_of_project = kinds.iter().any(|kind| arrival.kind.starts_with(kind));
    let is_named = arrival.project.is_some() || arrival.project_key.is_some() || arrival.board.is_some();
    match (is_of_project, is_named) {
        (true, true) => arrival.is_whole = true,
        (true, false) => arrival.ignored = Some("no_issue"),
        (false, _) => {
            let is_known = ["jira:", "comment_", "worklog_", "issuelink_", "attachment_"]
                .iter()
                .any(|known| arrival.kind.starts_with(known));
            arrival.ignored = Some(if is_known { "no_issue" } else { "unknown_event" });
        }
    }
    Ok(arrival)
}

/// What Jira calls the delivery, or what the body is.
pub(super) fn delivery(identifier: Option<&str>, body: &[u8]) -> String {
    match identifier {
        Some(named) if (1..=200).contains(&named.len()) && named.bytes().all(|byte| byte.is_ascii_graphic()) => {
            named.to_owned()
        }
        _ => format!("sha256:{}", Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
    }
}

/// An id, as a number or as digits.
fn id(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok()).filter(|id| *id > 0)
}

/// A short text without control characters.
fn name(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(100).collect()
}

/// A time as Jira writes it.
fn time(text: &str) -> Option<DateTime<Utc>> {
    let read = DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z").or_else(|_| DateTime::parse_from_rfc3339(text));
    read.ok().map(|at| at.to_utc())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_json(body: &Value) -> Arrival {
        read(&serde_json::to_vec(body).unwrap(), DateTime::from_timestamp(1_800_000_000, 0).unwrap()).unwrap()
    }

    #[test]
    fn every_kind_of_event_names_its_issues() {
        let updated = json!({ "webhookEvent": "jira:issue_updated", "timestamp": 1_799_999_999_000_i64, "issue": {
            "id": "10001", "key": "OPS-1", "fields": { "updated": "2026-11-28T10:00:00.123+0000", "project": { "id": "77", "key": "OPS" } } } });
        let it = read_json(&updated);
        assert_eq!(
            (it.issues.as_slice(), it.project, it.issue_key.as_deref()),
            (&[10_001][..], Some(77), Some("OPS-1"))
        );
        assert_eq!(it.changed_at.unwrap().timestamp_millis() % 1000, 123);
        let worklog = read_json(&json!({ "webhookEvent": "worklog_created", "worklog": { "issueId": "5" } }));
        assert_eq!((worklog.issues.as_slice(), worklog.changed_at), (&[5][..], None));
        let link = json!({ "webhookEvent": "issuelink_created", "issueLink": { "sourceIssueId": 5, "destinationIssueId": 6 } });
        assert_eq!(read_json(&link).issues, [5, 6]);
        let version = read_json(&json!({ "webhookEvent": "jira:version_released", "version": { "projectId": 77 } }));
        assert!(version.is_whole && version.project == Some(77) && version.ignored.is_none());
        let sprint = read_json(&json!({ "webhookEvent": "sprint_started", "sprint": { "id": 4, "originBoardId": 3 } }));
        assert!(sprint.is_whole && sprint.board == Some(3));
        let deleted = read_json(
            &json!({ "webhookEvent": "jira:issue_deleted", "timestamp": 1_799_999_999_000_i64, "issue": { "id": "7" } }),
        );
        assert_eq!(deleted.changed_at.unwrap().timestamp(), 1_799_999_999);
    }

    #[test]
    fn what_has_no_issue_or_another_shape_is_ignored() {
        assert_eq!(
            read_json(&json!({ "webhookEvent": "sprint_started", "sprint": { "id": 4 } })).ignored,
            Some("no_issue")
        );
        assert_eq!(read_json(&json!({ "webhookEvent": "coffee_ready" })).ignored, Some("unknown_event"));
        let odd = read_json(&json!({ "webhookEvent": 7, "issue": { "id": -1, "fields": [] }, "timestamp": "now" }));
        assert_eq!((odd.ignored, odd.sent_at), (Some("unknown_event"), None));
        for body in [&b"[]"[..], b"null", b"{", b"{\"a\":\"\xff\"}", b""] {
            assert!(matches!(read(body, DateTime::UNIX_EPOCH), Err(Refusal::NotJson)));
        }
    }
}

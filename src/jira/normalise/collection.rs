//! Comments, worklogs and the entries of histories, inside an issue or from an endpoint of their own.

use std::cell::OnceCell;

use serde::Deserialize;

use super::report::Report;
use super::{ParsedCollection, Reject, known_id, need};
use crate::domain::entity::ChangeRecord;
use crate::domain::failure::{Failure, FailureCode};
use crate::domain::record::{CommentRecord, IssueRecord, Restriction, WorklogRecord};
use crate::jira::envelope;
use crate::jira::loose::{FromJson, List, Loose, Scalar, Whole};
use crate::jira::repair::{self, unreadable};
use crate::jira::wire;

/// The members of a page of a collection, of either flavour.
const COLLECTION: &[&str] =
    &["comments", "worklogs", "histories", "values", "total", "startAt", "maxResults", "isLast", "nextPage", "self"];

/// Why one element cannot be kept, with its id where that is known.
pub(super) type ElementReject = (Option<i64>, Reject);

/// Reads a page of `/issue/{id}/comment`.
///
/// # Errors
/// `SCHEMA_CHANGED` where the body is not an object with an array `comments`.
pub fn parse_comments(body: &[u8], issue_id: i64) -> Result<ParsedCollection<CommentRecord>, Failure> {
    collection(&repair::text(body), &OnceCell::new(), issue_id, "comment", |report, element| {
        comment(report, issue_id, element)
    })
}

/// Reads a page of `/issue/{id}/worklog`.
///
/// # Errors
/// `SCHEMA_CHANGED` where the body is not an object with an array `worklogs`.
pub fn parse_worklogs(body: &[u8], issue_id: i64) -> Result<ParsedCollection<WorklogRecord>, Failure> {
    collection(&repair::text(body), &OnceCell::new(), issue_id, "worklog", |report, element| {
        worklog(report, issue_id, element)
    })
}

/// Reads a page of `/issue/{id}/changelog`. `received` counts entries, of which each may change several fields.
///
/// # Errors
/// `SCHEMA_CHANGED` where the body is not an object with an array `values` (or `histories`).
pub fn parse_changelog(body: &[u8], issue_id: i64) -> Result<ParsedCollection<ChangeRecord>, Failure> {
    let (text, mended) = (repair::text(body), OnceCell::new());
    let read = collection(&text, &mended, issue_id, "changelog", |report, element| entry(report, issue_id, element))?;
    let ParsedCollection { records, rejected, drifts, users, mentions, total, start_at, received } = read;
    let records = records.into_iter().flatten().collect();
    Ok(ParsedCollection { records, rejected, drifts, users, mentions, total, start_at, received })
}

/// Reads the history inside the answer of `/issue/{id}?expand=changelog`, which is complete on Data Center.
///
/// # Errors
/// `SCHEMA_CHANGED` where the body is not an object with an object `changelog`.
pub fn parse_issue_changelog(body: &[u8], issue_id: i64) -> Result<ParsedCollection<ChangeRecord>, Failure> {
    #[derive(Deserialize)]
    struct Issue<'a> {
        #[serde(borrow)]
        changelog: Option<&'a serde_json::value::RawValue>,
    }
    let (text, mended) = (repair::text(body), OnceCell::new());
    let issue: Issue<'_> =
        repair::read(&text, &mended).map_err(|error| unreadable("an issue with its history", body, &error))?;
    // A server that does not know `expand` answers the issue without it: the site withholds its history.
    let absent = || Failure::new(FailureCode::ApiRemoved, "the issue came without the requested history");
    parse_changelog(issue.changelog.ok_or_else(absent)?.get().as_bytes(), issue_id)
}

fn collection<'a, W: FromJson<'a>, T>(
    text: &'a str,
    mended: &'a OnceCell<String>,
    issue_id: i64,
    entity: &'static str,
    record: impl FnMut(&mut Report, W) -> Result<T, ElementReject>,
) -> Result<ParsedCollection<T>, Failure> {
    let collection: wire::Collection<W> = repair::read(text, mended)
        .map_err(|error| unreadable(&format!("a page of {entity}s"), text.as_bytes(), &error))?;
    let incomplete = |Reject { field, problem, .. }: Reject| {
        Failure::new(FailureCode::SchemaChanged, format!("a page of {entity}s of issue {issue_id}: {field}: {problem}"))
    };
    let elements = need(collection.elements, entity).map_err(incomplete)?.0;
    let received = count(elements.len());
    let mut report = Report::default();
    for member in envelope::unknown(mended.get().map_or(text, String::as_str), COLLECTION) {
        report.drift("page", format!("{entity}.{member}"), "nothing", "a new member");
    }
    let start_at = report.optional(entity, "startAt", collection.start_at).map_or(0, |Whole(start)| start);
    // A list that does not tell how long it is goes on until a page is empty.
    let unknown = start_at + received + i64::from(received > 0);
    let total = report.expected(entity, "total", collection.total).map_or(unknown, |Whole(total)| total);
    let records = elements_of(&mut report, (issue_id, None), entity, elements, record);
    if received == 0 && total > start_at {
        // The end of the list, before the end that it told.
        report.drift(entity, "total", "as many rows as it tells", "fewer rows");
    }
    let Report { rejected, drifts, users, mentions, .. } = report;
    let mentions = mentions.into_iter().collect();
    Ok(ParsedCollection { records, rejected, drifts, users, mentions, total, start_at, received })
}

/// The part of a collection that stands inside an issue, and the size of the whole. A collection that is left out, or does
/// not agree with its own size, is not an empty one: it counts as longer than what is shown.
pub(super) fn inlined<'a, W: FromJson<'a>, T>(
    report: &mut Report,
    issue: &IssueRecord,
    field: &'static str,
    collection: Loose<wire::Collection<W>>,
    record: impl FnMut(&mut Report, W) -> Result<T, ElementReject>,
) -> (Vec<T>, i64) {
    let unknown = |records: Vec<T>| {
        let more = count(records.len()) + 1;
        (records, more)
    };
    let Some(collection) = report.optional("issue", field, collection) else { return unknown(Vec::new()) };
    let Some(elements) = report.optional("issue", field, collection.elements) else { return unknown(Vec::new()) };
    let names = (issue.id, Some(issue.key.as_str()));
    let records = elements_of(report, names, field, elements.0, record);
    match report.optional("issue", field, collection.total) {
        Some(Whole(total)) if total >= count(records.len()) => (records, total),
        Some(_) | None => unknown(records),
    }
}

/// The history that stands inside an issue, and how many entries it has in all: as many as it shows where it is complete,
/// more where it is not, `None` where it was not asked for.
pub(super) fn inlined_history(
    report: &mut Report,
    issue: &IssueRecord,
    history: Loose<wire::Collection<wire::Entry<'_>>>,
) -> (Vec<ChangeRecord>, Option<i64>) {
    if matches!(history, Loose::Absent) {
        return (Vec::new(), None);
    }
    let (mut shown, mut kept) = (0, 0);
    let (entries, total) = inlined(report, issue, "changelog", history, |report, element| {
        let changes = entry(report, issue.id, element)?;
        shown += 1;
        kept += i64::from(!changes.is_empty());
        Ok(changes)
    });
    let changes = entries.into_iter().flatten().collect();
    // An entry that changed nothing has no rows, and is not missed.
    (changes, Some(if shown >= total { kept } else { total.max(kept + 1) }))
}

/// Reads the elements of a collection; each that cannot be kept is rejected by itself.
pub(super) fn elements_of<W, T>(
    report: &mut Report,
    (issue_id, key): (i64, Option<&str>),
    entity: &'static str,
    elements: Vec<Loose<W>>,
    mut record: impl FnMut(&mut Report, W) -> Result<T, ElementReject>,
) -> Vec<T> {
    let mut records = Vec::with_capacity(elements.len());
    for element in elements {
        let (id, Reject { field, problem, expected, found }) = match element {
            Loose::Good(element) => match record(report, element) {
                Ok(record) => {
                    records.push(record);
                    continue;
                }
                Err(reject) => reject,
            },
            Loose::Absent => (None, Reject::new("", "null instead of an object".to_owned(), "object", "nothing")),
            Loose::Wrong(found) => (None, Reject::new("", format!("{found} instead of an object"), "object", found)),
        };
        let known = if field.is_empty() { "element" } else { field };
        report.drift(if entity == "issuelinks" { "link" } else { entity }, known, expected, found);
        let field = if field.is_empty() { entity.to_owned() } else { format!("{entity}.{field}") };
        let problem = id.map_or_else(|| problem.clone(), |id| format!("{entity} {id}: {problem}"));
        report.reject_part((Some(issue_id), id), key.map(str::to_owned), field, problem);
    }
    records
}

/// Who sees it. What cannot be read restricts all the same: a new way of saying so may be one that hides more.
fn restriction(
    report: &mut Report,
    entity: &'static str,
    visibility: Loose<wire::Visibility<'_>>,
) -> Option<Restriction> {
    let unreadable = matches!(visibility, Loose::Wrong(_));
    let Some(visibility) = report.optional(entity, "visibility", visibility) else {
        return unreadable.then(|| Restriction { kind: "unknown".to_owned(), name: String::new() });
    };
    let kind = report.text(entity, "visibility.type", visibility.kind);
    let kind = kind.map_or_else(|| "unknown".to_owned(), |kind| kind.to_ascii_lowercase());
    if !matches!(kind.as_str(), "role" | "group") {
        report.drift(entity, "visibility.type", "role or group", "another value");
    }
    let name = report.text(entity, "visibility.value", visibility.value);
    // Groups may have no name for everyone, and an id for all.
    let name = name.or_else(|| report.text(entity, "visibility.identifier", visibility.identifier));
    Some(Restriction { kind, name: name.unwrap_or_default() })
}

pub(super) fn comment(
    report: &mut Report,
    issue_id: i64,
    wire: wire::Comment<'_>,
) -> Result<CommentRecord, ElementReject> {
    let id = known_id(&wire.id);
    let restriction = restriction(report, "comment", wire.visibility);
    let internal = report.optional("comment", "jsdPublic", wire.jsd_public).is_some_and(|public| !public.0);
    let author = report.user("comment", "author", wire.author);
    let update_author = report.user("comment", "updateAuthor", wire.update_author);
    let body = report.optional("comment", "body", wire.body);
    let body = body.map(|body| report.document(&body)).unwrap_or_default();
    let read = || {
        let created_at = need(wire.created, "created")?.0;
        Ok(CommentRecord {
            id: need(wire.id, "id")?.0,
            issue_id,
            author,
            update_author,
            body,
            created_at,
            updated_at: report.expected("comment", "updated", wire.updated).map_or(created_at, |at| at.0),
            restriction,
            internal,
            content_hash: [0; 16],
        })
    };
    read().map(CommentRecord::sealed).map_err(|reject| (id, reject))
}

pub(super) fn worklog(
    report: &mut Report,
    issue_id: i64,
    wire: wire::Worklog<'_>,
) -> Result<WorklogRecord, ElementReject> {
    let id = known_id(&wire.id);
    let restriction = restriction(report, "worklog", wire.visibility);
    let author = report.user("worklog", "author", wire.author);
    let update_author = report.user("worklog", "updateAuthor", wire.update_author);
    let comment = report.optional("worklog", "comment", wire.comment);
    let comment = comment.map(|comment| report.document(&comment));
    let read = || {
        let Whole(seconds) = need(wire.time_spent_seconds, "timeSpentSeconds")?;
        let out_of_range = || {
            let problem = format!("{seconds} does not fit into 32 bits");
            Reject::new("timeSpentSeconds", problem, "seconds of a work", "a number beyond all bounds")
        };
        let created_at = need(wire.created, "created")?.0;
        Ok(WorklogRecord {
            id: need(wire.id, "id")?.0,
            issue_id,
            author,
            update_author,
            comment: comment.filter(|text| !text.is_empty()),
            started_at: need(wire.started, "started")?.0,
            time_spent_seconds: i32::try_from(seconds).map_err(|_| out_of_range())?,
            created_at,
            updated_at: report.expected("worklog", "updated", wire.updated).map_or(created_at, |at| at.0),
            restriction,
            content_hash: [0; 16],
        })
    };
    read().map(WorklogRecord::sealed).map_err(|reject| (id, reject))
}

/// The changes of one entry of a history, in its order.
pub(super) fn entry(
    report: &mut Report,
    issue_id: i64,
    wire: wire::Entry<'_>,
) -> Result<Vec<ChangeRecord>, ElementReject> {
    let entry_id = known_id(&wire.id);
    let author = report.user("changelog", "author", wire.author);
    let id = need(wire.id, "id").map_err(|reject| (entry_id, reject))?.0;
    let created_at = need(wire.created, "created").map_err(|reject| (entry_id, reject))?.0;
    let items = report.expected("changelog", "items", wire.items).map_or_else(Vec::new, |List(items)| items);
    let mut changes = Vec::with_capacity(items.len());
    for (item, wire) in (0..).zip(items) {
        let Some(wire) = report.expected("changelog", "items", wire) else { continue };
        let field_id = report.text("changelog", "fieldId", wire.field_id);
        let mut value = |field, value| report.optional("changelog", field, value).map(|Scalar(text)| clean(&text));
        let from_value = value("from", wire.from);
        let from_text = value("fromString", wire.from_string);
        let to_value = value("to", wire.to);
        let to_text = value("toString", wire.to_string);
        changes.push(ChangeRecord {
            id,
            item,
            issue_id,
            author: author.clone(),
            created_at,
            field: report.text("changelog", "field", wire.field).or_else(|| field_id.clone()).unwrap_or_default(),
            field_id,
            field_type: report.text("changelog", "fieldtype", wire.field_type),
            from_value,
            from_text,
            to_value,
            to_text,
        });
    }
    Ok(changes)
}

fn clean(text: &str) -> String {
    text.replace('\0', "\u{FFFD}")
}

pub(super) fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

//! Jira's pages made records: typed, in UTC, as plain text, with a hash of their content.
//!
//! What must hold: one malformed issue costs that issue, one malformed comment that comment, and both are counted; a
//! value of an unexpected type in an optional field is a [`Drift`] and absent; only a page that has no list of issues at
//! all fails. Nothing is guessed: an issue without `updated` is rejected, since no cursor may pass over it unseen.
//!
//! A page of 100 issues is read in one pass over borrowed text; see [`super::loose`] for how it stays tolerant.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::fields::FieldMap;
use super::loose::{FromJson, Id, Loose, Number, Text, Whole, repair_surrogates};
use super::wire;
use crate::domain::entity::{
    AttachmentRecord, ChangeRecord, ComponentRecord, IssueDetails, LinkRecord, SprintRecord, VersionRecord,
};
use crate::domain::failure::{Failure, FailureCode, sanitise};
use crate::domain::record::{CommentRecord, IssueRecord, UserRecord, WorklogRecord};

mod report;

use report::Report;
pub use report::{Drift, RecordError};

/// A page of issues, read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ParsedPage {
    /// In the page's order.
    pub issues: Vec<ParsedIssue>,
    /// What could not be read: issues, and single comments and worklogs.
    pub rejected: Vec<RecordError>,
    /// Unexpected types of optional fields, each kind once.
    pub drifts: Vec<Drift>,
    /// Everybody who is named on the page, each once.
    pub users: Vec<UserRecord>,
    /// The sprints that the issues' sprint fields describe, each once.
    pub sprints: Vec<SprintRecord>,
    /// The versions that the issues name, each once.
    pub versions: Vec<VersionRecord>,
    /// The components that the issues name, each once.
    pub components: Vec<ComponentRecord>,
}

/// One issue with what Jira inlined.
#[derive(Clone, Debug, PartialEq)]
pub struct ParsedIssue {
    /// The issue itself.
    pub issue: IssueRecord,
    /// The comments that Jira inlined.
    pub comments: Vec<CommentRecord>,
    /// How many there are in all. More than `comments.len()` means that the collection must be fetched: Jira inlined
    /// a part of it, or a part could not be read. Where Jira gives no readable number, it is one more than was inlined.
    pub comments_total: i64,
    /// The worklogs that Jira inlined.
    pub worklogs: Vec<WorklogRecord>,
    /// As `comments_total`. Zero where the site tracks no time.
    pub worklogs_total: i64,
    /// The history that Jira inlined.
    pub changes: Vec<ChangeRecord>,
    /// How many entries the history has in all, which may be more than `changes` shows; `None` where it was not inlined
    /// at all and must be asked for.
    pub changes_total: Option<i64>,
    /// All of the issue's links, one from each end.
    pub links: Vec<LinkRecord>,
    /// All of the issue's attachments.
    pub attachments: Vec<AttachmentRecord>,
}

/// A page of one issue's comments or worklogs, read.
#[derive(Clone, Debug, PartialEq)]
pub struct ParsedCollection<T> {
    /// In the page's order.
    pub records: Vec<T>,
    /// What could not be read.
    pub rejected: Vec<RecordError>,
    /// Unexpected types of optional fields, each kind once.
    pub drifts: Vec<Drift>,
    /// Everybody who is named on the page, each once.
    pub users: Vec<UserRecord>,
    /// How many there are in all.
    pub total: i64,
    /// The index of the first.
    pub start_at: i64,
    /// How many the page holds, with the rejected ones: the next page starts at `start_at + received`.
    pub received: i64,
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    issues: Vec<&'a RawValue>,
}

/// Reads a page of `/search/jql` or of `/issue/bulkfetch`.
///
/// # Errors
/// `SCHEMA_CHANGED` where the body is not an object with an array `issues`.
pub fn parse_page(body: &[u8], fields: &FieldMap) -> Result<ParsedPage, Failure> {
    let text = String::from_utf8_lossy(body);
    let page: Page<'_> = serde_json::from_str(&text).map_err(|error| unreadable("a page of issues", body, &error))?;
    Ok(parse_issues(page.issues.iter().map(|raw| raw.get()), fields))
}

/// Reads the answer of `/issue/{id}`: a page of one.
///
/// # Errors
/// `SCHEMA_CHANGED` where the body is not JSON.
pub fn parse_single(body: &[u8], fields: &FieldMap) -> Result<ParsedPage, Failure> {
    let text = String::from_utf8_lossy(body);
    let raw: &RawValue = serde_json::from_str(&text).map_err(|error| unreadable("an issue", body, &error))?;
    Ok(parse_issues(std::iter::once(raw.get()), fields))
}

/// Reads a page of `/issue/{id}/comment`.
///
/// # Errors
/// `SCHEMA_CHANGED` where the body is not an object with an array `comments` and a `total`.
pub fn parse_comments(body: &[u8], issue_id: i64) -> Result<ParsedCollection<CommentRecord>, Failure> {
    let text = String::from_utf8_lossy(body);
    collection(&repair_surrogates(&text), issue_id, "comment", |report, element| comment(report, issue_id, element))
}

/// Reads a page of `/issue/{id}/worklog`.
///
/// # Errors
/// `SCHEMA_CHANGED` where the body is not an object with an array `worklogs` and a `total`.
pub fn parse_worklogs(body: &[u8], issue_id: i64) -> Result<ParsedCollection<WorklogRecord>, Failure> {
    let text = String::from_utf8_lossy(body);
    collection(&repair_surrogates(&text), issue_id, "worklog", |report, element| worklog(report, issue_id, element))
}

fn unreadable(what: &str, body: &[u8], error: &serde_json::Error) -> Failure {
    Failure::new(FailureCode::SchemaChanged, format!("{what} of {} bytes cannot be read: {error}", body.len()))
}

fn collection<'a, W: FromJson<'a>, T>(
    text: &'a str,
    issue_id: i64,
    entity: &'static str,
    record: impl FnMut(&mut Report, W) -> Result<T, (Option<i64>, Reject)>,
) -> Result<ParsedCollection<T>, Failure> {
    let collection: wire::Collection<W> = serde_json::from_str(text)
        .map_err(|error| unreadable(&format!("a page of {entity}s"), text.as_bytes(), &error))?;
    let incomplete = |(field, problem): Reject| {
        Failure::new(FailureCode::SchemaChanged, format!("a page of {entity}s of issue {issue_id}: {field}: {problem}"))
    };
    let elements = need(collection.elements, entity).map_err(incomplete)?.0;
    let total = need(collection.total, "total").map_err(incomplete)?.0;
    let received = count(elements.len());
    let mut report = Report::default();
    let start_at = report.optional(entity, "startAt", collection.start_at).map_or(0, |Whole(start)| start);
    let records = elements_of(&mut report, (issue_id, None), entity, elements, record);
    let Report { rejected, drifts, users, .. } = report;
    Ok(ParsedCollection { records, rejected, drifts, users, total, start_at, received })
}

/// Why one record cannot be kept: the field and the problem.
type Reject = (&'static str, String);

fn parse_issues<'a>(issues: impl Iterator<Item = &'a str>, fields: &FieldMap) -> ParsedPage {
    let mut report = Report::default();
    let mut parsed = Vec::with_capacity(issues.size_hint().0);
    for raw in issues {
        // A text that cannot be held is rare: only then is the issue read a second time, with the text repaired.
        let repaired;
        let read = match serde_json::from_str::<Loose<wire::Issue<'_>>>(raw) {
            Ok(read) => Ok(read),
            Err(_) => {
                repaired = repair_surrogates(raw);
                serde_json::from_str(&repaired)
            }
        };
        match read {
            Ok(Loose::Good(wire)) => {
                let (id, key) = (known_id(&wire.id), known_text(&wire.key));
                match issue(&mut report, wire, fields) {
                    Ok(issue) => parsed.push(issue),
                    Err((field, problem)) => report.reject(id, key, field, problem),
                }
            }
            Ok(Loose::Absent) => report.reject(None, None, "issue", "null instead of an object".to_owned()),
            Ok(Loose::Wrong(found)) => report.reject(None, None, "issue", format!("{found} instead of an object")),
            Err(error) => {
                let head = serde_json::from_str::<Head<'_>>(raw).unwrap_or_default();
                report.reject(known_id(&head.id), known_text(&head.key), "issue", sanitise(&error.to_string()));
            }
        }
    }
    let Report { rejected, drifts, users, .. } = report;
    ParsedPage { issues: parsed, rejected, drifts, users, ..ParsedPage::default() }
}

/// What names an issue of which the rest cannot be read.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Head<'a> {
    id: Loose<Id>,
    #[serde(borrow)]
    key: Loose<Text<'a>>,
}

fn known_id(id: &Loose<Id>) -> Option<i64> {
    if let Loose::Good(Id(id)) = id { Some(*id) } else { None }
}

fn known_text(text: &Loose<Text<'_>>) -> Option<String> {
    if let Loose::Good(Text(text)) = text { Some(sanitise(text)) } else { None }
}

fn issue(report: &mut Report, wire: wire::Issue<'_>, map: &FieldMap) -> Result<ParsedIssue, Reject> {
    let id = need(wire.id, "id")?.0;
    let key = need(wire.key, "key")?.into_string();
    let fields = need(wire.fields, "fields")?;
    let project = need(fields.project, "project")?;
    let status = need(fields.status, "status")?;
    let category = report.optional("issue", "status.statusCategory", status.status_category);
    let category = category.and_then(|category| report.text("issue", "status.statusCategory.key", category.key));
    let parent = report.optional("issue", "parent", fields.parent).unwrap_or_default();
    let story_points = map.story_points.as_ref().and_then(|wanted| {
        let (_, value) = fields.custom.into_iter().find(|(id, _)| id == wanted)?;
        report.optional("issue", "story_points", value).map(|Number(points)| points)
    });
    let description = report.optional("issue", "description", fields.description);
    let record = IssueRecord {
        id,
        key,
        project_id: need(project.id, "project.id")?.0,
        project_key: need(project.key, "project.key")?.into_string(),
        summary: need(fields.summary, "summary")?.into_string(),
        description: description.map(|document| document.to_text()).filter(|text| !text.is_empty()),
        issue_type: need(need(fields.issue_type, "issuetype")?.name, "issuetype.name")?.into_string(),
        status: need(status.name, "status.name")?.into_string(),
        status_category: category.unwrap_or_else(|| "undefined".to_owned()),
        priority: report.name("priority", fields.priority),
        resolution: report.name("resolution", fields.resolution),
        assignee: report.user("issue", "assignee", fields.assignee),
        reporter: report.user("issue", "reporter", fields.reporter),
        creator: report.user("issue", "creator", fields.creator),
        parent_id: report.optional("issue", "parent.id", parent.id).map(|Id(id)| id),
        parent_key: report.text("issue", "parent.key", parent.key),
        labels: report.labels(fields.labels),
        story_points,
        created_at: need(fields.created, "created")?.0,
        updated_at: need(fields.updated, "updated")?.0,
        resolved_at: report.moment("resolutiondate", fields.resolution_date),
        due_date: report.optional("issue", "duedate", fields.due_date).map(|day| day.0),
        details: IssueDetails::default(),
        content_hash: [0; 16],
    };
    let record = record.sealed();
    let (comments, comments_total) =
        inlined(report, &record, "comment", fields.comment, |report, element| comment(report, id, element));
    let (worklogs, worklogs_total) =
        inlined(report, &record, "worklog", fields.worklog, |report, element| worklog(report, id, element));
    Ok(ParsedIssue {
        issue: record,
        comments,
        comments_total,
        worklogs,
        worklogs_total,
        changes: Vec::new(),
        changes_total: None,
        links: Vec::new(),
        attachments: Vec::new(),
    })
}

/// The part of a collection that stands inside an issue, and the size of the whole.
fn inlined<'a, W: FromJson<'a>, T>(
    report: &mut Report,
    issue: &IssueRecord,
    field: &'static str,
    collection: Loose<wire::Collection<W>>,
    record: impl FnMut(&mut Report, W) -> Result<T, (Option<i64>, Reject)>,
) -> (Vec<T>, i64) {
    if matches!(collection, Loose::Absent) {
        // The field is hidden, as the worklogs of a site that tracks no time: there is nothing to be seen.
        return (Vec::new(), 0);
    }
    let unknown = |records: Vec<T>| {
        let more = count(records.len()) + 1;
        (records, more)
    };
    let Some(collection) = report.optional("issue", field, collection) else { return unknown(Vec::new()) };
    let Some(elements) = report.optional("issue", field, collection.elements) else { return unknown(Vec::new()) };
    let names = (issue.id, Some(issue.key.as_str()));
    let records = elements_of(report, names, field, elements.0, record);
    match report.optional("issue", field, collection.total) {
        Some(Whole(total)) => (records, total),
        None => unknown(records),
    }
}

/// Reads the elements of a collection; each that cannot be kept is rejected by itself.
fn elements_of<W, T>(
    report: &mut Report,
    (issue_id, key): (i64, Option<&str>),
    entity: &'static str,
    elements: Vec<Loose<W>>,
    mut record: impl FnMut(&mut Report, W) -> Result<T, (Option<i64>, Reject)>,
) -> Vec<T> {
    let mut records = Vec::with_capacity(elements.len());
    for element in elements {
        let (id, (field, problem)) = match element {
            Loose::Good(element) => match record(report, element) {
                Ok(record) => {
                    records.push(record);
                    continue;
                }
                Err(reject) => reject,
            },
            Loose::Absent => (None, ("", "null instead of an object".to_owned())),
            Loose::Wrong(found) => (None, ("", format!("{found} instead of an object"))),
        };
        let field = if field.is_empty() { entity.to_owned() } else { format!("{entity}.{field}") };
        let problem = id.map_or_else(|| problem.clone(), |id| format!("{entity} {id}: {problem}"));
        report.reject(Some(issue_id), key.map(str::to_owned), field, problem);
    }
    records
}

fn comment(
    report: &mut Report,
    issue_id: i64,
    wire: wire::Comment<'_>,
) -> Result<CommentRecord, (Option<i64>, Reject)> {
    let id = known_id(&wire.id);
    let author = report.user("comment", "author", wire.author);
    let update_author = report.user("comment", "updateAuthor", wire.update_author);
    let body = report.optional("comment", "body", wire.body).map(|body| body.to_text()).unwrap_or_default();
    let read = || {
        Ok(CommentRecord {
            id: need(wire.id, "id")?.0,
            issue_id,
            author,
            update_author,
            body,
            created_at: need(wire.created, "created")?.0,
            updated_at: need(wire.updated, "updated")?.0,
            content_hash: [0; 16],
        })
    };
    read().map(CommentRecord::sealed).map_err(|reject| (id, reject))
}

fn worklog(
    report: &mut Report,
    issue_id: i64,
    wire: wire::Worklog<'_>,
) -> Result<WorklogRecord, (Option<i64>, Reject)> {
    let id = known_id(&wire.id);
    let author = report.user("worklog", "author", wire.author);
    let update_author = report.user("worklog", "updateAuthor", wire.update_author);
    let comment = report.optional("worklog", "comment", wire.comment).map(|comment| comment.to_text());
    let read = || {
        let Whole(seconds) = need(wire.time_spent_seconds, "timeSpentSeconds")?;
        let out_of_range = || ("timeSpentSeconds", format!("{seconds} does not fit into 32 bits"));
        Ok(WorklogRecord {
            id: need(wire.id, "id")?.0,
            issue_id,
            author,
            update_author,
            comment: comment.filter(|text| !text.is_empty()),
            started_at: need(wire.started, "started")?.0,
            time_spent_seconds: i32::try_from(seconds).map_err(|_| out_of_range())?,
            created_at: need(wire.created, "created")?.0,
            updated_at: need(wire.updated, "updated")?.0,
            content_hash: [0; 16],
        })
    };
    read().map(WorklogRecord::sealed).map_err(|reject| (id, reject))
}

/// A value without which there is no record.
fn need<'a, T: FromJson<'a>>(value: Loose<T>, field: &'static str) -> Result<T, Reject> {
    match value {
        Loose::Good(value) => Ok(value),
        Loose::Absent => Err((field, "missing".to_owned())),
        Loose::Wrong(found) => Err((field, format!("{} expected, {found} found", T::EXPECTED))),
    }
}

fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "normalise/tests.rs"]
mod tests;

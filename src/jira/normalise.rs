//! Jira's pages made records: typed, in UTC, as plain text, with a hash of their content.
//!
//! What must hold: one malformed issue costs that issue, one malformed comment that comment, and both are counted; a
//! value of an unexpected type in an optional field is a [`Drift`] and absent; only a page that has no list of issues at
//! all fails. An issue without `updated` has that of its creation (see [`dated`]).
//! A field without a column of its own is kept as it came (see [`details`]), so that nothing is lost by not being known.
//!
//! A page of 100 issues is read in one pass over borrowed text; see [`super::loose`] for how it stays tolerant.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;
use std::marker::PhantomData;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::fields::{FieldMap, OfProject};
use super::loose::{Flag, FromJson, Id, Key, Loose, Moment, Text};
use super::repair::{self, unreadable};
use super::wire;
use crate::domain::entity::{AttachmentRecord, ChangeRecord, ComponentRecord, LinkRecord, SprintRecord, VersionRecord};
use crate::domain::failure::{Failure, FailureCode, sanitise};
use crate::domain::record::{CommentRecord, IssueRecord, UserRecord, WorklogRecord};

mod bulk;
mod collection;
mod dated;
mod details;
mod forget;
mod left_out;
mod report;

pub use bulk::{ParsedBulk, parse_changelog_bulk, parse_worklog_list};
use collection::{comment, inlined, inlined_history, worklog};
pub use collection::{parse_changelog, parse_comments, parse_issue_changelog, parse_worklogs};
use dated::{Dated, Times};
use details::Details;
pub(super) use details::kind_of;
pub use left_out::LeftOut;
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
    /// Who is mentioned in texts: account id, and as what.
    pub mentions: Vec<(String, String)>,
    /// The sprints that the issues' sprint fields describe, each once.
    pub sprints: Vec<SprintRecord>,
    /// The versions that the issues name, each once.
    pub versions: Vec<VersionRecord>,
    /// The components that the issues name, each once.
    pub components: Vec<ComponentRecord>,
}

impl ParsedPage {
    /// Adds what another page holds.
    pub fn append(&mut self, other: Self) {
        let Self { issues, rejected, drifts, users, mentions, sprints, versions, components } = other;
        self.issues.extend(issues);
        self.rejected.extend(rejected);
        self.drifts.extend(drifts);
        self.users.extend(users);
        self.mentions.extend(mentions);
        self.sprints.extend(sprints);
        self.versions.extend(versions);
        self.components.extend(components);
    }
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
    /// As `comments_total`. Zero where the site tracks no time and shows none.
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
    /// What the answer does not tell of the issue.
    pub left_out: LeftOut,
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
    /// Who is mentioned in texts: account id, and as what.
    pub mentions: Vec<(String, String)>,
    /// How many there are in all.
    pub total: i64,
    /// The index of the first.
    pub start_at: i64,
    /// How many the page holds, with the rejected ones: the next page starts at `start_at + received`.
    pub received: i64,
}

/// Where the issues of a page are, and what it holds that no page held when this was written.
#[derive(Default)]
struct Page<'a> {
    issues: Option<Vec<&'a RawValue>>,
    unknown: Vec<String>,
}

/// The members of a page of either flavour, and of `/issue/bulkfetch`.
const ENVELOPE: [&str; 12] = [
    "issues",
    "nextPageToken",
    "isLast",
    "expand",
    "startAt",
    "maxResults",
    "total",
    "warningMessages",
    "names",
    "schema",
    "issueErrors",
    "self",
];
/// More unknown members than this are not worth naming.
const MAX_UNKNOWN: usize = 5;

impl<'de: 'a, 'a> Deserialize<'de> for Page<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PageVisitor<'a>(PhantomData<Page<'a>>);
        impl<'de: 'a, 'a> Visitor<'de> for PageVisitor<'a> {
            type Value = Page<'a>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object with an array of issues")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Page<'a>, A::Error> {
                let mut page = Page::default();
                while let Some(Key(key)) = map.next_key::<Key<'de>>()? {
                    if key == "issues" {
                        page.issues = Some(map.next_value()?);
                        continue;
                    }
                    if !ENVELOPE.contains(&key.as_ref()) && page.unknown.len() < MAX_UNKNOWN {
                        page.unknown.push(sanitise(&key));
                    }
                    map.next_value::<IgnoredAny>()?;
                }
                Ok(page)
            }
        }
        deserializer.deserialize_map(PageVisitor(PhantomData))
    }
}

/// Reads a page of `/search/jql` or of `/issue/bulkfetch`.
///
/// # Errors
/// `SCHEMA_CHANGED` where the body is not an object with an array `issues`.
pub fn parse_page(body: &[u8], fields: &FieldMap) -> Result<ParsedPage, Failure> {
    let (text, mended) = (repair::text(body), OnceCell::new());
    let page: Page<'_> = repair::read(&text, &mended).map_err(|error| unreadable("a page of issues", body, &error))?;
    let issues = page.issues.ok_or_else(|| {
        let problem = format!("a page of issues of {} bytes cannot be read: it has no issues", body.len());
        Failure::new(FailureCode::SchemaChanged, problem)
    })?;
    let mut parsed = parse_issues(issues.iter().map(|raw| raw.get()), fields);
    let drift =
        |member| Drift { entity: "page", field: Cow::Owned(member), expected: "nothing", found: "a new member" };
    parsed.drifts.extend(page.unknown.into_iter().map(drift));
    Ok(parsed)
}

/// When the issues of a page were updated, in its order; those that do not say it are left out, and so is a page that is none.
pub fn updated_times(body: &[u8]) -> Vec<DateTime<Utc>> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Fields {
        updated: Loose<Moment>,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Issue {
        fields: Fields,
    }
    let (text, mended) = (repair::text(body), OnceCell::new());
    let page: Page<'_> = repair::read(&text, &mended).unwrap_or_default();
    let updated = |raw: &&RawValue| match repair::read_owned::<Issue>(raw.get().as_bytes()) {
        Ok(Issue { fields: Fields { updated: Loose::Good(Moment(at)) } }) => Some(at),
        _ => None,
    };
    page.issues.unwrap_or_default().iter().filter_map(updated).collect()
}

/// Reads the answer of `/issue/{id}`: a page of one.
///
/// # Errors
/// `SCHEMA_CHANGED` where the body is not JSON.
pub fn parse_single(body: &[u8], fields: &FieldMap) -> Result<ParsedPage, Failure> {
    let (text, mended) = (repair::text(body), OnceCell::new());
    let raw: &RawValue = repair::read(&text, &mended).map_err(|error| unreadable("an issue", body, &error))?;
    Ok(parse_issues(std::iter::once(raw.get()), fields))
}

/// Why one record cannot be kept.
struct Reject {
    field: &'static str,
    /// For the log; it never holds the value.
    problem: String,
    /// For the list of drifts.
    expected: &'static str,
    found: &'static str,
}

impl Reject {
    /// For a reason of another kind than [`need`]'s.
    fn new(field: &'static str, problem: String, expected: &'static str, found: &'static str) -> Self {
        Self { field, problem, expected, found }
    }
}

fn parse_issues<'a>(issues: impl Iterator<Item = &'a str>, fields: &FieldMap) -> ParsedPage {
    let mut report = Report::default();
    let mut parsed = Vec::with_capacity(issues.size_hint().0);
    for raw in issues {
        // What cannot be held is rare: only then is the issue read a second time, mended.
        let mended = OnceCell::new();
        match repair::read::<Loose<wire::Issue<'_>>>(raw, &mended) {
            Ok(Loose::Good(wire)) => {
                let (id, key) = (known_id(&wire.id), known_text(&wire.key));
                match issue(&mut report, wire, fields) {
                    Ok(issue) => parsed.push(issue),
                    Err(reject) => {
                        report.drift("issue", reject.field, reject.expected, reject.found);
                        report.reject(id, key, reject.field, reject.problem);
                    }
                }
            }
            Ok(Loose::Absent) => {
                report.drift("page", "issues", "object", "nothing");
                report.reject(None, None, "issue", "null instead of an object".to_owned());
            }
            Ok(Loose::Wrong(found)) => {
                report.drift("page", "issues", "object", found);
                // An object in which nothing follows from what has become text.
                let source = serde_json::from_str::<String>(raw).unwrap_or_default();
                let (id, key) = repair::names_within(&source);
                report.reject(id, key, "issue", format!("{found} instead of an object"));
            }
            Err(error) => {
                let (id, key) = repair::names_within(raw);
                report.drift("page", "issues", "an issue that can be read", "one that cannot");
                report.reject(id, key, "issue", sanitise(&error.to_string()));
            }
        }
    }
    let Report { rejected, drifts, users, mentions, sprints, versions, components, .. } = report;
    let mentions = mentions.into_iter().collect();
    ParsedPage { issues: parsed, rejected, drifts, users, mentions, sprints, versions, components }
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
    if let Loose::Good(Text(why)) = &wire.left_out {
        return Err(Reject::new("issue", why.to_string(), "an issue that can be read", "one that is too large"));
    }
    let mut fields = need(wire.fields, "fields")?;
    let project = need(std::mem::take(&mut fields.project), "project")?;
    let project_id = need(project.id, "project.id")?.0;
    let team_managed = report.optional("issue", "project.simplified", project.simplified).map(|Flag(it)| it);
    let project_key = need(project.key, "project.key")?.into_string();
    let mut left_out = fields.left_out();
    let Times { created_at, updated_at } = Times::take(report, &mut fields.rest)?;
    let dated = Dated::take(report, &mut fields.rest);
    let (resolved_at, due_date) = (dated.resolved_at, dated.due_date);
    // A list that is null, or an object without its array, tells as little.
    if !matches!(&fields.comment, Loose::Good(list) if matches!(list.elements, Loose::Good(_))) {
        left_out.insert("comment");
    }
    if !matches!(&fields.worklog, Loose::Good(list) if matches!(list.elements, Loose::Good(_))) {
        left_out.insert("worklog");
    }
    let of = OfProject { id: project_id, team_managed };
    let read = Details::read(report, (id, &key), of, &mut fields, dated, map);
    let mut left_out = LeftOut { fields: left_out, ..read.left_out };
    left_out.named.extend(wire::DATED.into_iter().filter(|name| !left_out.fields.contains(name)).map(str::to_owned));
    let parent = report.optional("issue", "parent", fields.parent).unwrap_or_default();
    let summary = report.expected("issue", "summary", fields.summary).map(Text::into_string).unwrap_or_default();
    let description = report.optional("issue", "description", fields.description);
    let record = IssueRecord {
        id,
        key,
        project_id,
        project_key,
        summary,
        description: description.map(|text| report.document(&text)).filter(|text| !text.is_empty()),
        issue_type: read.issue_type,
        status: read.status,
        status_category: read.status_category,
        priority: read.priority,
        resolution: read.resolution,
        assignee: report.user("issue", "assignee", fields.assignee),
        reporter: report.user("issue", "reporter", fields.reporter),
        creator: report.user("issue", "creator", fields.creator),
        parent_id: report.optional("issue", "parent.id", parent.id).map(|Id(id)| id),
        parent_key: report.text("issue", "parent.key", parent.key).or(read.epic_key),
        labels: report.labels(fields.labels),
        story_points: read.story_points,
        created_at,
        updated_at,
        resolved_at,
        due_date,
        details: read.details,
        content_hash: [0; 16],
    };
    let record = record.sealed();
    let (comments, comments_total) =
        inlined(report, &record, "comment", fields.comment, |report, element| comment(report, id, element));
    let (worklogs, worklogs_total) = match &fields.worklog {
        // There are none to be seen.
        Loose::Absent if map.tracks_no_time => (Vec::new(), 0),
        _ => inlined(report, &record, "worklog", fields.worklog, |report, element| worklog(report, id, element)),
    };
    let (changes, changes_total) = inlined_history(report, &record, wire.changelog);
    Ok(ParsedIssue {
        issue: record,
        comments,
        comments_total,
        worklogs,
        worklogs_total,
        changes,
        changes_total,
        links: read.links,
        attachments: read.attachments,
        left_out,
    })
}

/// A value without which there is no record.
fn need<'a, T: FromJson<'a>>(value: Loose<T>, field: &'static str) -> Result<T, Reject> {
    match value {
        Loose::Good(value) => Ok(value),
        Loose::Absent => Err(Reject::new(field, "missing".to_owned(), T::EXPECTED, "nothing")),
        Loose::Wrong(found) => {
            Err(Reject::new(field, format!("{} expected, {found} found", T::EXPECTED), T::EXPECTED, found))
        }
    }
}

#[cfg(test)]
#[path = "normalise/tests.rs"]
mod tests;

#[cfg(test)]
#[path = "normalise/details_tests.rs"]
mod details_tests;

//! Answers about many issues at once: the bulk changelog, and worklogs by their ids.

use std::cell::OnceCell;

use serde::Deserialize;
use serde::de::MapAccess;
use serde::de::value::MapAccessDeserializer;

use super::collection::{count, elements_of, entry, worklog};
use super::report::Report;
use super::{Drift, RecordError};
use crate::domain::entity::ChangeRecord;
use crate::domain::failure::Failure;
use crate::domain::record::{UserRecord, WorklogRecord};
use crate::jira::envelope;
use crate::jira::loose::{FromJson, Id, List, Loose, Text};
use crate::jira::repair::{self, unreadable};
use crate::jira::wire;

/// A page about many issues, read.
#[derive(Clone, Debug, PartialEq)]
pub struct ParsedBulk<T> {
    /// In the page's order.
    pub records: Vec<T>,
    /// What could not be read.
    pub rejected: Vec<RecordError>,
    /// What is not as documented, each kind once.
    pub drifts: Vec<Drift>,
    /// Everybody who is named on the page, each once.
    pub users: Vec<UserRecord>,
    /// Who is mentioned in texts: account id, and as what.
    pub mentions: Vec<(String, String)>,
    /// What to send for the next page; absent on the last.
    pub next_page_token: Option<String>,
    /// How many elements the page holds, with the rejected ones.
    pub received: i64,
}

impl<T> ParsedBulk<T> {
    /// Adds what another page holds, which comes in the place of this one's successor.
    pub fn append(&mut self, other: Self) {
        self.records.extend(other.records);
        self.rejected.extend(other.rejected);
        self.drifts.extend(other.drifts);
        self.users.extend(other.users);
        self.mentions.extend(other.mentions);
        self.next_page_token = other.next_page_token;
        self.received += other.received;
    }

    fn new(report: Report, records: Vec<T>, received: usize, next_page_token: Option<String>) -> Self {
        let Report { rejected, drifts, users, mentions, .. } = report;
        let mentions = mentions.into_iter().collect();
        Self { records, rejected, drifts, users, mentions, next_page_token, received: count(received) }
    }
}

/// Reads a page of `/changelog/bulkfetch`: histories by issue; one issue's may go on in the next page.
///
/// # Errors
/// `SCHEMA_CHANGED` where the body is not an object with an array `issueChangeLogs`.
pub fn parse_changelog_bulk(body: &[u8]) -> Result<ParsedBulk<ChangeRecord>, Failure> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Page<'a> {
        #[serde(borrow)]
        issue_change_logs: Vec<Loose<OfIssue<'a>>>,
        #[serde(borrow, default)]
        next_page_token: Loose<Text<'a>>,
    }
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct OfIssue<'a> {
        #[serde(default)]
        issue_id: Loose<Id>,
        #[serde(borrow, alias = "histories", default)]
        change_histories: Loose<List<wire::Entry<'a>>>,
    }
    impl<'de: 'a, 'a> FromJson<'de> for OfIssue<'a> {
        const EXPECTED: &'static str = "history of an issue";
        fn map<A: MapAccess<'de>>(map: A) -> Result<Option<Self>, A::Error> {
            Self::deserialize(MapAccessDeserializer::new(map)).map(Some)
        }
    }
    let (text, mended) = (repair::text(body), OnceCell::new());
    let page: Page<'_> =
        repair::read(&text, &mended).map_err(|error| unreadable("a page of histories", body, &error))?;
    let mut report = Report::default();
    for member in envelope::unknown(mended.get().map_or(&*text, String::as_str), &["issueChangeLogs", "nextPageToken"])
    {
        report.drift("page", format!("changelog.{member}"), "nothing", "a new member");
    }
    let (mut records, mut received) = (Vec::new(), 0);
    for of_issue in page.issue_change_logs {
        let of_issue = match of_issue {
            Loose::Good(of_issue) => of_issue,
            Loose::Absent | Loose::Wrong(_) => {
                report.drift("changelog", "issueChangeLogs", "object", "another value");
                report.reject(None, None, "changelog", "no object: a history of an unknown issue".to_owned());
                continue;
            }
        };
        let entries = report.expected("changelog", "changeHistories", of_issue.change_histories);
        let Some(List(entries)) = entries else { continue };
        received += entries.len();
        let Some(Id(issue_id)) = report.expected("changelog", "issueId", of_issue.issue_id) else {
            report.reject(None, None, "changelog.issueId", "missing: a history of an unknown issue".to_owned());
            continue;
        };
        let read = elements_of(&mut report, (issue_id, None), "changelog", entries, |report, wire| {
            entry(report, issue_id, wire)
        });
        records.extend(read.into_iter().flatten());
    }
    let next = report.text("changelog", "nextPageToken", page.next_page_token).filter(|token| !token.is_empty());
    Ok(ParsedBulk::new(report, records, received, next))
}

/// Reads the answer of `/worklog/list`: an array of worklogs, each with the id of its issue.
///
/// # Errors
/// `SCHEMA_CHANGED` where the body is no array.
pub fn parse_worklog_list(body: &[u8]) -> Result<ParsedBulk<WorklogRecord>, Failure> {
    let (text, mended) = (repair::text(body), OnceCell::new());
    let worklogs: Vec<Loose<wire::Worklog<'_>>> =
        repair::read(&text, &mended).map_err(|error| unreadable("a list of worklogs", body, &error))?;
    let mut report = Report::default();
    let received = worklogs.len();
    let mut records = Vec::with_capacity(received);
    for wire in worklogs {
        let issue_id = match &wire {
            Loose::Good(wire::Worklog { issue_id: Loose::Good(Id(id)), .. }) => *id,
            _ => {
                report.drift("worklog", "issueId", "numeric id", "nothing");
                report.reject(None, None, "worklog.issueId", "missing: a worklog of an unknown issue".to_owned());
                continue;
            }
        };
        let names = (issue_id, None);
        let read =
            elements_of(&mut report, names, "worklog", vec![wire], |report, wire| worklog(report, issue_id, wire));
        records.extend(read);
    }
    Ok(ParsedBulk::new(report, records, received, None))
}

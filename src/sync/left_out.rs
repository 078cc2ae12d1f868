//! What a page leaves out of its issues: kept, noted, and asked for in another way.
//!
//! What must hold: a value that Jira does not tell is not taken for an empty one; whoever looks at the run, the site or the
//! log learns that it was left out; what can be had elsewhere is asked for there.

use std::collections::{BTreeMap, HashMap};

use serde_json::json;
use sqlx::PgConnection;

use super::workshop::Job;
use crate::domain::record::IssueRecord;
use crate::engine::StepError;
use crate::jira::normalise::ParsedIssue;
use crate::store::step::{Entry, Level, journal_once};
use crate::store::{capability, verify as rows};

/// The lists that stand in an issue and have an end point of their own, and what they are called among the site's
/// capabilities.
const IN_SEARCH: [(&str, &str); 2] = [("comment", "comments_in_search"), ("worklog", "worklogs_in_search")];

/// What it is called that look-ups by id show of an issue what search leaves out.
const BY_ID: &str = "values_by_id";

/// The issues of a page with what is stored in the place of what the page leaves out, and how many values that were.
#[derive(Default)]
pub(super) struct Kept {
    pub records: HashMap<i64, IssueRecord>,
    pub values: usize,
}

/// Reads what is stored of the issues that seem to have changed, and keeps what the page does not tell.
pub(super) async fn keep(conn: &mut PgConnection, job: &Job, issues: &[&ParsedIssue]) -> Result<Kept, StepError> {
    let hashes: Vec<_> = issues.iter().map(|issue| (issue.issue.id, issue.issue.content_hash)).collect();
    let stored = rows::differing(conn, job.work.site_id, &hashes).await?;
    let mut kept = Kept::default();
    if stored.is_empty() {
        return Ok(kept);
    }
    let fields = rows::field_ids(&mut *conn, job.work.site_id).await?;
    let is_field = |id: &str| fields.is_empty() || fields.contains(id);
    let by_id: HashMap<i64, &ParsedIssue> = issues.iter().map(|issue| (issue.issue.id, *issue)).collect();
    for stored in &stored {
        let Some(issue) = by_id.get(&stored.record.id) else { continue };
        let same_project = stored.project_id == job.work.project_id;
        let mut record = issue.issue.clone();
        let values = issue.left_out.keep(&mut record, &stored.record, same_project, &job.fields, is_field);
        kept.values += values;
        if record != issue.issue {
            kept.records.insert(record.id, record.sealed());
        }
    }
    Ok(kept)
}

/// Tells of a page what it leaves out: in the run's log once, and among what the site withholds. That nothing is left out any
/// more is noted of the `first` page of a walk.
pub(super) async fn note(
    conn: &mut PgConnection,
    job: &Job,
    kind: &str,
    issues: &[ParsedIssue],
    kept: usize,
    first: bool,
) -> Result<(), StepError> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (field, feature) in IN_SEARCH {
        let lacking = issues.iter().filter(|issue| !issue.left_out.shows(field)).count();
        let none_to_be_seen = field == "worklog" && job.fields.tracks_no_time;
        if lacking > 0 && !none_to_be_seen {
            counts.insert(field, lacking);
            let reason = format!("Jira leaves out the field {field}: the {field}s are read issue by issue");
            capability::note(conn, job.work.site_id, feature, "absent", &reason).await?;
        } else if first && !issues.is_empty() {
            capability::is_back(conn, job.work.site_id, feature).await?;
        }
    }
    if !counts.is_empty() {
        let named: Vec<String> = counts.iter().map(|(field, count)| format!("{field} of {count} issues")).collect();
        let entry = Entry {
            level: Level::Warn,
            event: "lists_left_out",
            code: None,
            message: format!("a page of search leaves out {}: they are read issue by issue", named.join(", ")),
            advice: Some(
                "Each changed issue costs an additional request. Check whether a proxy or the account's field \
                    permissions cut the answers.",
            ),
            details: Some(json!(counts)),
        };
        journal_once(conn, job.work.run_id, kind, &entry).await?;
    }
    if kept > 0 {
        let mut fields: Vec<&str> = issues.iter().flat_map(|issue| issue.left_out.fields.iter().copied()).collect();
        fields.sort_unstable();
        fields.dedup();
        let entry = Entry {
            level: Level::Warn,
            event: "values_left_out",
            code: None,
            message: format!("Jira leaves out {kept} values of a page that are stored: the stored values stay"),
            advice: Some("`syncline verify` counts the issues with incomplete answers."),
            details: Some(json!({"values": kept, "fields_left_out": fields})),
        };
        journal_once(conn, job.work.run_id, kind, &entry).await?;
    }
    Ok(())
}

/// Of the issues that a page wrote, those to be read by id, because the page leaves out lists that every issue has. On a site
/// whose look-ups by id leave them out too, as where they are hidden from everyone, none, but for now and then.
pub(super) async fn to_look_up(
    conn: &mut PgConnection,
    job: &Job,
    written: &[&ParsedIssue],
) -> Result<Vec<i64>, StepError> {
    let ids: Vec<i64> =
        written.iter().filter(|issue| issue.left_out.lacks_lists()).map(|issue| issue.issue.id).collect();
    if ids.is_empty() || capability::is_withheld(&mut *conn, job.work.site_id, BY_ID).await? {
        return Ok(Vec::new());
    }
    Ok(ids)
}

/// Notes whether look-ups by id show what search left out.
pub(super) async fn looked_up(conn: &mut PgConnection, job: &Job, issues: &[ParsedIssue]) -> Result<(), StepError> {
    let found = match issues.iter().all(|issue| issue.left_out.lacks_lists()) {
        true => (BY_ID, "absent", Some("look-ups by id leave out the same lists as search: no request returns them")),
        false => (BY_ID, "available", None),
    };
    capability::set(conn, job.work.site_id, &[found]).await?;
    Ok(())
}

//! What an answer leaves out of an issue, and how it is kept.
//!
//! What must hold: a field that is left out is unknown, not empty. Null and an empty list say that there is nothing; that a
//! field is not named says that this answer does not tell. Two fields are left out by Jira itself where there is nothing:
//! `parent`, and fields that are of no use in the issue's project or for its type.

use std::collections::BTreeSet;

use crate::domain::record::IssueRecord;
use crate::jira::fields::FieldMap;

/// The fields that an answer left out of an issue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Of those that have a column or a table of their own, by their names in Jira.
    pub fields: BTreeSet<&'static str>,
    /// The sprints.
    pub sprints: bool,
    /// The estimate.
    pub story_points: bool,
    /// The fields without a column of their own that were named: all others are left out.
    pub(super) named: BTreeSet<String>,
}

/// Fields that stand in an issue as lists, and that every issue shows where it shows everything.
const LISTS: [&str; 6] = ["attachment", "issuelinks", "labels", "components", "fixVersions", "versions"];

impl LeftOut {
    /// Whether the answer names a field.
    pub fn shows(&self, field: &str) -> bool {
        !self.fields.contains(field)
    }

    /// The fields without a column of their own that the answer names, by id.
    pub fn named(&self) -> &BTreeSet<String> {
        &self.named
    }

    /// Whether one of the lists that an issue carries is left out, so that another way of asking may show more.
    pub fn lacks_lists(&self) -> bool {
        LISTS.iter().any(|list| !self.shows(list))
    }

    /// Puts what is stored into the place of what was left out; answers how many values that were. `same_project`: the issue
    /// is in the project in which it is stored; in another one, or with another type, other fields are of use. `is_field`
    /// says which fields the site has. What is kept beside the issue stays too, and does not count.
    pub fn keep(
        &self,
        issue: &mut IssueRecord,
        stored: &IssueRecord,
        same_project: bool,
        map: &FieldMap,
        is_field: impl Fn(&str) -> bool,
    ) -> usize {
        let mut kept = 0;
        macro_rules! keep {
            ($left_out:expr => $($column:ident).+) => {
                if $left_out && issue.$($column).+ != stored.$($column).+ {
                    issue.$($column).+.clone_from(&stored.$($column).+);
                    kept += 1;
                }
            };
        }
        let lacks = |field: &str| !self.shows(field);
        keep!(lacks("summary") => summary);
        keep!(lacks("description") => description);
        keep!(lacks("environment") => details.environment);
        keep!(lacks("issuetype") => issue_type);
        keep!(lacks("issuetype") => details.issue_type_id);
        keep!(lacks("issuetype") => details.is_subtask);
        keep!(lacks("status") => status);
        keep!(lacks("status") => status_category);
        keep!(lacks("status") => details.status_id);
        keep!(lacks("statuscategorychangedate") => details.status_category_changed_at);
        keep!(lacks("priority") => priority);
        keep!(lacks("priority") => details.priority_id);
        keep!(lacks("resolution") => resolution);
        keep!(lacks("resolution") => details.resolution_id);
        keep!(lacks("resolutiondate") => resolved_at);
        keep!(lacks("security") => details.security_level);
        keep!(lacks("assignee") => assignee);
        keep!(lacks("reporter") => reporter);
        keep!(lacks("creator") => creator);
        keep!(lacks("labels") => labels);
        keep!(lacks("duedate") => due_date);
        let untracked = lacks("timetracking");
        keep!(untracked && lacks("timeoriginalestimate") => details.original_estimate_seconds);
        keep!(untracked && lacks("timeestimate") => details.remaining_estimate_seconds);
        keep!(untracked && lacks("timespent") => details.time_spent_seconds);
        keep!(lacks("votes") => details.votes);
        keep!(lacks("watches") => details.watchers);
        if !same_project || issue.details.issue_type_id != stored.details.issue_type_id {
            return kept;
        }
        keep!(lacks("components") => details.component_ids);
        keep!(lacks("fixVersions") => details.fix_version_ids);
        keep!(lacks("versions") => details.affects_version_ids);
        keep!(self.sprints => details.sprint_ids);
        keep!(self.story_points => story_points);
        for (id, value) in &stored.details.fields {
            if self.named.contains(id) || !is_field(id) {
                continue;
            }
            if map.is_beside(id) {
                issue.details.beside.insert(id.clone(), value.clone());
            } else {
                issue.details.fields.insert(id.clone(), value.clone());
                kept += 1;
            }
        }
        kept
    }
}

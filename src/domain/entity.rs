//! What the replica keeps of Jira besides issues, comments, worklogs and users: one flat record each.
//!
//! What must hold: these are free of Jira's wire shapes and the same for Cloud and Data Center. Users are named by account
//! id on Cloud and by user key on Data Center. Ids are Jira's own and unique within one site.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The parts of an issue that are not needed to find it: estimates, places in catalogues, and fields without a column.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IssueDetails {
    /// Id of the type.
    pub issue_type_id: Option<i64>,
    /// Whether the type is one of sub-tasks.
    pub is_subtask: bool,
    /// Id of the status.
    pub status_id: Option<i64>,
    /// Id of the priority.
    pub priority_id: Option<i64>,
    /// Id of the resolution.
    pub resolution_id: Option<i64>,
    /// Plain text.
    pub environment: Option<String>,
    /// Name of the security level; an issue that has one may be hidden from an account that sees its project.
    pub security_level: Option<String>,
    /// When the category of the status changed last.
    pub status_category_changed_at: Option<DateTime<Utc>>,
    /// As estimated at first.
    pub original_estimate_seconds: Option<i64>,
    /// Still to be done.
    pub remaining_estimate_seconds: Option<i64>,
    /// Logged on the issue itself, without its sub-tasks.
    pub time_spent_seconds: Option<i64>,
    /// Sorted, each once; so are the lists below.
    pub component_ids: Vec<i64>,
    /// The versions in which it is to be fixed.
    pub fix_version_ids: Vec<i64>,
    /// The versions that have it.
    pub affects_version_ids: Vec<i64>,
    /// The sprints that it is or was in, as its sprint field says.
    pub sprint_ids: Vec<i64>,
    /// Every field without a column of its own that is not empty, by field id: a JSON object.
    pub fields: serde_json::Map<String, serde_json::Value>,
    /// The same of fields that change while the issue's `updated` stays: ranks, times that run on, sums over other issues.
    /// Stored with `fields`; not part of the content hash, as the votes.
    pub beside: serde_json::Map<String, serde_json::Value>,
    /// Not part of the content hash: votes do not move the issue's `updated`.
    pub votes: Option<i32>,
    /// Not part of the content hash, as the votes.
    pub watchers: Option<i32>,
}

/// One changed field of one entry of an issue's history. History is never edited: a row that is stored stays as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeRecord {
    /// Id of the entry; together with `item` unique in a site.
    pub id: i64,
    /// Place within the entry, from 0.
    pub item: i16,
    /// Jira's id of the issue.
    pub issue_id: i64,
    /// Account id.
    pub author: Option<String>,
    /// When it happened.
    pub created_at: DateTime<Utc>,
    /// The field's name as the history shows it, e.g. `status`, `Sprint`.
    pub field: String,
    /// The field's id, where Jira tells.
    pub field_id: Option<String>,
    /// `jira` for a system field, `custom` for a custom one.
    pub field_type: Option<String>,
    /// The value before, as an id where the field has ids.
    pub from_value: Option<String>,
    /// The value before, as shown.
    pub from_text: Option<String>,
    /// The value after, as an id.
    pub to_value: Option<String>,
    /// The value after, as shown.
    pub to_text: Option<String>,
}

/// A link between two issues, seen from the one on which it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkRecord {
    /// Jira's id: the same from both ends.
    pub id: i64,
    /// The issue on which it was read.
    pub issue_id: i64,
    /// The name of the kind, e.g. `Blocks`.
    pub link_type: String,
    /// How it reads from this end, e.g. `is blocked by`.
    pub relation: String,
    /// `outward` or `inward`.
    pub direction: LinkDirection,
    /// The issue at the other end.
    pub other_issue_id: i64,
    /// Its key when it was read.
    pub other_key: String,
}

/// Which end of a link is looked from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkDirection {
    /// This issue does it to the other one.
    Outward,
    /// The other issue does it to this one.
    Inward,
}

impl LinkDirection {
    /// As stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Outward => "outward",
            Self::Inward => "inward",
        }
    }
}

/// What is known of an attached file; the file itself is not fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachmentRecord {
    /// Jira's id.
    pub id: i64,
    /// Jira's id of the issue.
    pub issue_id: i64,
    /// As it was uploaded.
    pub file_name: String,
    /// Account id.
    pub author: Option<String>,
    /// When it was uploaded.
    pub created_at: DateTime<Utc>,
    /// Its length.
    pub size_bytes: i64,
    /// As Jira guessed it.
    pub mime_type: Option<String>,
}

/// A sprint, from an issue's field or from the agile interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SprintRecord {
    /// Jira's id.
    pub id: i64,
    /// The name shown.
    pub name: String,
    /// `future`, `active` or `closed`, in small letters.
    pub state: String,
    /// The board on which it was made.
    pub board_id: Option<i64>,
    /// What it is for.
    pub goal: Option<String>,
    /// Planned, or real once it began.
    pub started_at: Option<DateTime<Utc>>,
    /// The planned end.
    pub ends_at: Option<DateTime<Utc>>,
    /// When it was closed.
    pub completed_at: Option<DateTime<Utc>>,
    /// Name and goal were read from a text that can be read in several ways: what a list told of them stays. Not stored.
    pub uncertain: bool,
}

/// A board of the agile interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoardRecord {
    /// Jira's id.
    pub id: i64,
    /// The name shown.
    pub name: String,
    /// `scrum`, `kanban` or `simple`.
    pub board_type: String,
    /// Jira's id of the project that it belongs to, where Jira tells.
    pub project_id: Option<i64>,
}

/// A version of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionRecord {
    /// Jira's id.
    pub id: i64,
    /// Jira's id of the project; absent where it is read from an issue.
    pub project_id: Option<i64>,
    /// The name shown.
    pub name: String,
    /// What is said of it.
    pub description: Option<String>,
    /// Out of use.
    pub archived: bool,
    /// Out in the world.
    pub released: bool,
    /// When work on it begins.
    pub start_date: Option<chrono::NaiveDate>,
    /// When it is or was released.
    pub release_date: Option<chrono::NaiveDate>,
}

/// A component of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentRecord {
    /// Jira's id.
    pub id: i64,
    /// Jira's id of the project; absent where it is read from an issue.
    pub project_id: Option<i64>,
    /// The name shown.
    pub name: String,
    /// What is said of it.
    pub description: Option<String>,
    /// Account id.
    pub lead: Option<String>,
}

/// One field of the site, as its catalogue describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldRecord {
    /// What a search asks for, e.g. `summary` or `customfield_10016`.
    pub id: String,
    /// The name shown.
    pub name: String,
    /// The names that it has besides, untranslated and in queries. Not stored.
    pub other_names: Vec<String>,
    /// Jira's id of the only project that has it; none where it is the site's. Not stored.
    pub project_id: Option<i64>,
    /// Made by the site, not by Jira.
    pub custom: bool,
    /// The type of its values, e.g. `number`, `array`.
    pub value_type: Option<String>,
    /// The type of the elements of an array.
    pub items: Option<String>,
    /// The kind of a custom field, e.g. `com.pyxis.greenhopper.jira:gh-sprint`.
    pub custom_kind: Option<String>,
    /// The name of a system field inside Jira.
    pub system: Option<String>,
}

/// A status of the site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusRecord {
    /// Jira's id.
    pub id: i64,
    /// The name shown.
    pub name: String,
    /// `new`, `indeterminate`, `done` or `undefined`: the same in every language.
    pub category: String,
    /// What is said of it.
    pub description: Option<String>,
}

/// An entry of a simple catalogue: an issue type, a priority, a resolution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TermRecord {
    /// Which catalogue.
    pub kind: TermKind,
    /// Jira's id.
    pub id: i64,
    /// The name shown.
    pub name: String,
    /// What is said of it.
    pub description: Option<String>,
    /// Of an issue type: whether it is one of sub-tasks.
    pub is_subtask: bool,
    /// Place in the order in which Jira lists them, from 0: priorities come the most urgent first.
    pub position: i32,
}

/// The simple catalogues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // what Jira calls them
pub enum TermKind {
    IssueType,
    Priority,
    Resolution,
}

impl TermKind {
    /// As stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IssueType => "issue_type",
            Self::Priority => "priority",
            Self::Resolution => "resolution",
        }
    }
}

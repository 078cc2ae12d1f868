//! What the replica keeps of an issue, a comment, a worklog and a user: one flat record each, free of Jira's wire shapes.
//!
//! What must hold: a record that was sealed can be stored as it is. Its texts hold no NUL character (PostgreSQL refuses
//! it in `text`), and its `content_hash` is a function of every stored field and of nothing else, so that two records
//! are equal exactly when their hashes are (short of a collision), in this process, in another, and next year.
//!
//! # The hash
//! The first 16 bytes of BLAKE3 over an encoding that cannot be read in two ways: the record's kind and encoding version,
//! then every field in the order of its struct. Integers are 8 bytes, little-endian; times are milliseconds since 1970;
//! dates are days since 0001-01-01; floats are their IEEE 754 bits; texts and lists are preceded by their length in 8 bytes; an optional field
//! is preceded by `0` or `1`; JSON values are their shortest text with the names of objects in order. Changing this changes every stored hash: raise the version in the kind, and expect one full
//! sync to report every row as updated.

use chrono::{DateTime, Datelike, NaiveDate, Utc};

use super::entity::IssueDetails;

/// The 16 bytes that tell whether a stored row is what Jira shows.
pub type ContentHash = [u8; 16];

/// One issue, as stored in `syncline.issue`.
#[derive(Clone, Debug, PartialEq)]
pub struct IssueRecord {
    /// Jira's id: it never changes, also when the issue moves to another project.
    pub id: i64,
    /// The key, e.g. `ACME-42`: it changes when the issue moves.
    pub key: String,
    /// Jira's id of the project.
    pub project_id: i64,
    /// The project's key at the time of the answer.
    pub project_key: String,
    /// One line.
    pub summary: String,
    /// Plain text.
    pub description: Option<String>,
    /// The name of the type, e.g. `Bug`.
    pub issue_type: String,
    /// The name of the status, e.g. `In Progress`.
    pub status: String,
    /// The key of the status' category, the same in every language: `new`, `indeterminate`, `done` or `undefined`.
    pub status_category: String,
    /// The name of the priority.
    pub priority: Option<String>,
    /// The name of the resolution; absent while unresolved.
    pub resolution: Option<String>,
    /// Account id.
    pub assignee: Option<String>,
    /// Account id.
    pub reporter: Option<String>,
    /// Account id.
    pub creator: Option<String>,
    /// Jira's id of the parent (an epic, or the issue of a sub-task).
    pub parent_id: Option<i64>,
    /// The parent's key.
    pub parent_key: Option<String>,
    /// Sorted, each once.
    pub labels: Vec<String>,
    /// The estimate, where the site has such a field.
    pub story_points: Option<f64>,
    /// Millisecond resolution, as all times here.
    pub created_at: DateTime<Utc>,
    /// Moves with every change of the issue, its comments and its worklogs.
    pub updated_at: DateTime<Utc>,
    /// When the resolution was set.
    pub resolved_at: Option<DateTime<Utc>>,
    /// A day without time zone.
    pub due_date: Option<NaiveDate>,
    /// The rest of it.
    pub details: IssueDetails,
    /// Of all the fields above but votes, watchers and what is kept beside; zeros until [`IssueRecord::sealed`].
    pub content_hash: ContentHash,
}

/// Who sees a comment or a worklog, where that is not everyone who sees the issue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restriction {
    /// `role` or `group`, in lower case; another word where Jira uses one.
    pub kind: String,
    /// The name of the role or the group.
    pub name: String,
}

/// One comment, as stored in `syncline.comment`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommentRecord {
    /// Jira's id.
    pub id: i64,
    /// Jira's id of the issue.
    pub issue_id: i64,
    /// Account id; absent for an anonymous author.
    pub author: Option<String>,
    /// Account id of who edited it last.
    pub update_author: Option<String>,
    /// Plain text.
    pub body: String,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// When it was edited last.
    pub updated_at: DateTime<Utc>,
    /// Who sees it.
    pub restriction: Option<Restriction>,
    /// The customers of a service project do not see it.
    pub internal: bool,
    /// Of all the fields above; zeros until [`CommentRecord::sealed`].
    pub content_hash: ContentHash,
}

/// One worklog, as stored in `syncline.worklog`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorklogRecord {
    /// Jira's id.
    pub id: i64,
    /// Jira's id of the issue.
    pub issue_id: i64,
    /// Account id.
    pub author: Option<String>,
    /// Account id of who edited it last.
    pub update_author: Option<String>,
    /// Plain text.
    pub comment: Option<String>,
    /// When the work began.
    pub started_at: DateTime<Utc>,
    /// How long it took.
    pub time_spent_seconds: i32,
    /// When it was logged.
    pub created_at: DateTime<Utc>,
    /// When it was edited last.
    pub updated_at: DateTime<Utc>,
    /// Who sees it.
    pub restriction: Option<Restriction>,
    /// Of all the fields above; zeros until [`WorklogRecord::sealed`].
    pub content_hash: ContentHash,
}

/// One user, as Jira shows it inside other answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRecord {
    /// Atlassian's account id: opaque, at most 128 characters.
    pub account_id: String,
    /// The user name of Data Center, by which its queries know the user; absent on Cloud.
    pub username: Option<String>,
    /// The name shown; the account id where Jira gave none.
    pub display_name: String,
    /// Absent where the user's privacy settings hide it.
    pub email: Option<String>,
    /// Whether the account may still log in.
    pub active: bool,
    /// An IANA name, e.g. `Europe/Berlin`.
    pub time_zone: Option<String>,
    /// `atlassian`, `app` or `customer`.
    pub account_type: Option<String>,
    /// Jira shows the account as closed, deleted or anonymised; see [`super::forgotten::is_anonymised`].
    pub closed: bool,
}

impl IssueRecord {
    /// The record made fit for storing: texts without NUL, labels sorted and each once, the hash set.
    pub fn sealed(mut self) -> Self {
        let texts = [
            &mut self.key,
            &mut self.project_key,
            &mut self.summary,
            &mut self.issue_type,
            &mut self.status,
            &mut self.status_category,
        ];
        texts.into_iter().chain(&mut self.labels).for_each(replace_nul);
        let optional = [
            &mut self.description,
            &mut self.priority,
            &mut self.resolution,
            &mut self.assignee,
            &mut self.reporter,
            &mut self.creator,
            &mut self.parent_key,
        ];
        optional.into_iter().flatten().for_each(replace_nul);
        self.labels.sort_unstable();
        self.labels.dedup();
        self.details.seal();
        self.content_hash = self.hash();
        self
    }

    fn hash(&self) -> ContentHash {
        let mut e = Encoder::new("issue/2", 512 + self.description.as_ref().map_or(0, String::len));
        e.int(self.id).text(&self.key).int(self.project_id).text(&self.project_key).text(&self.summary);
        e.optional_text(&self.description).text(&self.issue_type).text(&self.status).text(&self.status_category);
        e.optional_text(&self.priority).optional_text(&self.resolution).optional_text(&self.assignee);
        e.optional_text(&self.reporter).optional_text(&self.creator);
        e.optional_int(self.parent_id).optional_text(&self.parent_key);
        e.length(self.labels.len());
        for label in &self.labels {
            e.text(label);
        }
        // -0.0 and 0.0 are one estimate.
        e.optional_int(self.story_points.map(|points| i64::from_le_bytes((points + 0.0).to_le_bytes())));
        e.time(self.created_at).time(self.updated_at);
        e.optional_int(self.resolved_at.map(|at| at.timestamp_millis()));
        e.optional_int(self.due_date.map(|day| i64::from(day.num_days_from_ce())));
        self.details.encode(&mut e);
        e.finish()
    }
}

impl IssueDetails {
    fn seal(&mut self) {
        [&mut self.environment, &mut self.security_level].into_iter().flatten().for_each(replace_nul);
        for ids in
            [&mut self.component_ids, &mut self.fix_version_ids, &mut self.affects_version_ids, &mut self.sprint_ids]
        {
            ids.sort_unstable();
            ids.dedup();
        }
        for fields in [&mut self.fields, &mut self.beside] {
            *fields = std::mem::take(fields)
                .into_iter()
                .map(|(mut id, mut value)| {
                    replace_nul(&mut id);
                    replace_nul_within(&mut value);
                    (id, value)
                })
                .collect();
        }
    }

    fn encode(&self, e: &mut Encoder) {
        e.optional_int(self.issue_type_id).int(i64::from(self.is_subtask)).optional_int(self.status_id);
        e.optional_int(self.priority_id).optional_int(self.resolution_id);
        e.optional_text(&self.environment).optional_text(&self.security_level);
        e.optional_int(self.status_category_changed_at.map(|at| at.timestamp_millis()));
        e.optional_int(self.original_estimate_seconds).optional_int(self.remaining_estimate_seconds);
        e.optional_int(self.time_spent_seconds);
        for ids in [&self.component_ids, &self.fix_version_ids, &self.affects_version_ids, &self.sprint_ids] {
            e.length(ids.len());
            for &id in ids {
                e.int(id);
            }
        }
        // The map is sorted by field id, and so is every object inside: one value has one text.
        e.length(self.fields.len());
        for (id, value) in &self.fields {
            e.text(id).text(&value.to_string());
        }
    }
}

impl Restriction {
    fn seal(&mut self) {
        [&mut self.kind, &mut self.name].into_iter().for_each(replace_nul);
    }
}

impl CommentRecord {
    /// The record made fit for storing: texts without NUL, the hash set.
    pub fn sealed(mut self) -> Self {
        replace_nul(&mut self.body);
        [&mut self.author, &mut self.update_author].into_iter().flatten().for_each(replace_nul);
        self.restriction.iter_mut().for_each(Restriction::seal);
        self.content_hash = self.hash();
        self
    }

    fn hash(&self) -> ContentHash {
        let mut e = Encoder::new("comment/1", 128 + self.body.len());
        e.int(self.id).int(self.issue_id).optional_text(&self.author).optional_text(&self.update_author);
        e.text(&self.body).time(self.created_at).time(self.updated_at);
        e.restriction(self.restriction.as_ref());
        if self.internal {
            e.0.push(2);
        }
        e.finish()
    }
}

impl WorklogRecord {
    /// The record made fit for storing: texts without NUL, the hash set.
    pub fn sealed(mut self) -> Self {
        [&mut self.author, &mut self.update_author, &mut self.comment].into_iter().flatten().for_each(replace_nul);
        self.restriction.iter_mut().for_each(Restriction::seal);
        self.content_hash = self.hash();
        self
    }

    fn hash(&self) -> ContentHash {
        let mut e = Encoder::new("worklog/1", 256);
        e.int(self.id).int(self.issue_id).optional_text(&self.author).optional_text(&self.update_author);
        e.optional_text(&self.comment).time(self.started_at).int(i64::from(self.time_spent_seconds));
        e.time(self.created_at).time(self.updated_at);
        e.restriction(self.restriction.as_ref());
        e.finish()
    }
}

impl UserRecord {
    /// The record made fit for storing: texts without NUL, a name in any case.
    pub fn sealed(mut self) -> Self {
        [&mut self.account_id, &mut self.display_name].into_iter().for_each(replace_nul);
        let optional = [&mut self.username, &mut self.email, &mut self.time_zone, &mut self.account_type];
        optional.into_iter().flatten().for_each(replace_nul);
        if self.display_name.is_empty() {
            self.display_name.clone_from(&self.account_id);
        }
        self
    }
}

/// Puts U+FFFD in the place of each NUL character.
fn replace_nul(text: &mut String) {
    if text.as_bytes().contains(&0) {
        *text = text.replace('\0', "\u{FFFD}");
    }
}

/// The same in every text and name of a JSON value.
fn replace_nul_within(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::String(text) => replace_nul(text),
        serde_json::Value::Array(elements) => elements.iter_mut().for_each(replace_nul_within),
        serde_json::Value::Object(members) => {
            if members.keys().any(|name| name.contains('\0')) {
                *members = std::mem::take(members)
                    .into_iter()
                    .map(|(name, value)| (name.replace('\0', "\u{FFFD}"), value))
                    .collect();
            }
            members.values_mut().for_each(replace_nul_within);
        }
        _ => {}
    }
}

/// Writes the encoding that is hashed; see the module's doc.
struct Encoder(Vec<u8>);

impl Encoder {
    fn new(kind: &str, capacity: usize) -> Self {
        let mut encoder = Self(Vec::with_capacity(capacity));
        encoder.text(kind);
        encoder
    }

    fn int(&mut self, value: i64) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    fn length(&mut self, length: usize) -> &mut Self {
        self.0.extend_from_slice(&(length as u64).to_le_bytes());
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.length(text.len());
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    fn time(&mut self, time: DateTime<Utc>) -> &mut Self {
        self.int(time.timestamp_millis())
    }

    fn optional_int(&mut self, value: Option<i64>) -> &mut Self {
        self.0.push(u8::from(value.is_some()));
        match value {
            Some(value) => self.int(value),
            None => self,
        }
    }

    fn optional_text(&mut self, text: &Option<String>) -> &mut Self {
        self.0.push(u8::from(text.is_some()));
        match text {
            Some(text) => self.text(text),
            None => self,
        }
    }

    /// Nothing where there is none: most rows have none, and those that were stored before it was kept stay as they are.
    fn restriction(&mut self, restriction: Option<&Restriction>) {
        if let Some(Restriction { kind, name }) = restriction {
            self.0.push(1);
            self.text(kind).text(name);
        }
    }

    fn finish(&self) -> ContentHash {
        let mut short = [0; 16];
        short.copy_from_slice(&blake3::hash(&self.0).as_bytes()[..16]);
        short
    }
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;

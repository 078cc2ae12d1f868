//! The parts of an issue besides its text, people and times: places in catalogues, estimates, links, attachments, and
//! every field that has no column of its own.
//!
//! What must hold: a field that is not known is kept by its id as it came, unless it is empty; one that is known and
//! cannot be read is kept there too, and noted as a drift.

use std::borrow::Cow;

use serde_json::Value;

use super::Reject;
use super::collection::{ElementReject, elements_of};
use super::dated::Dated;
use super::left_out::LeftOut;
use super::report::Report;
use super::{known_id, need};
use crate::domain::entity::{
    AttachmentRecord, ComponentRecord, IssueDetails, LinkDirection, LinkRecord, VersionRecord,
};
use crate::jira::fields::{FieldMap, OfProject};
use crate::jira::loose::{Flag, Id, List, Loose, Whole};
use crate::jira::repair;
use crate::jira::{sprint, wire};

/// A whole number of more digits loses some when it is held as a number.
const MOST_DIGITS: usize = 19;
/// The keys of status categories, the same in every language.
const CATEGORIES: [&str; 4] = ["new", "indeterminate", "done", "undefined"];

/// What was read.
#[derive(Default)]
pub(super) struct Details {
    pub issue_type: String,
    pub status: String,
    pub status_category: String,
    pub priority: Option<String>,
    pub resolution: Option<String>,
    /// The epic's key, of issues that name their epic in a field of its own.
    pub epic_key: Option<String>,
    pub story_points: Option<f64>,
    pub details: IssueDetails,
    pub links: Vec<LinkRecord>,
    pub attachments: Vec<AttachmentRecord>,
    /// What the answer leaves out of the fields whose names are the site's own.
    pub left_out: LeftOut,
}

impl Details {
    /// Takes these parts out of `fields`.
    pub(super) fn read(
        report: &mut Report,
        (issue_id, key): (i64, &str),
        project: OfProject,
        fields: &mut wire::Fields<'_>,
        dated: Dated,
        map: &FieldMap,
    ) -> Self {
        let mut read = Self::default();
        read.terms(report, fields);
        read.amounts(report, fields, dated);
        let details = &mut read.details;
        let components = report.list("components", std::mem::take(&mut fields.components));
        details.component_ids =
            components.into_iter().filter_map(|component| component_id(report, component)).collect();
        let versions = report.list("fixVersions", std::mem::take(&mut fields.fix_versions));
        details.fix_version_ids = versions.into_iter().filter_map(|version| version_id(report, version)).collect();
        let versions = report.list("versions", std::mem::take(&mut fields.affects_versions));
        details.affects_version_ids = versions.into_iter().filter_map(|version| version_id(report, version)).collect();
        let names = (issue_id, Some(key));
        let links = report.optional("issue", "issuelinks", std::mem::take(&mut fields.links));
        let links = links.map_or_else(Vec::new, |List(links)| links);
        read.links = elements_of(report, names, "issuelinks", links, |report, element| link(report, issue_id, element));
        let files = report.optional("issue", "attachment", std::mem::take(&mut fields.attachments));
        let files = files.map_or_else(Vec::new, |List(files)| files);
        read.attachments =
            elements_of(report, names, "attachment", files, |report, element| attachment(report, issue_id, element));
        read.rest(report, project, fields, map);
        read
    }

    /// What names an entry of one of the site's catalogues.
    fn terms(&mut self, report: &mut Report, fields: &mut wire::Fields<'_>) {
        let kind = report.expected("issue", "issuetype", std::mem::take(&mut fields.issue_type)).unwrap_or_default();
        self.details.issue_type_id = report.optional("issue", "issuetype.id", kind.id).map(|Id(id)| id);
        self.details.is_subtask =
            report.optional("issue", "issuetype.subtask", kind.subtask).is_some_and(|Flag(subtask)| subtask);
        self.issue_type = report.text("issue", "issuetype.name", kind.name).unwrap_or_default();

        let status = report.expected("issue", "status", std::mem::take(&mut fields.status)).unwrap_or_default();
        self.details.status_id = report.optional("issue", "status.id", status.id).map(|Id(id)| id);
        self.status = report.text("issue", "status.name", status.name).unwrap_or_default();
        let category = report.optional("issue", "status.statusCategory", status.status_category);
        let category = category.and_then(|category| report.text("issue", "status.statusCategory.key", category.key));
        if category.as_deref().is_some_and(|category| !CATEGORIES.contains(&category)) {
            report.drift(
                "issue",
                "status.statusCategory.key",
                "new, indeterminate, done or undefined",
                "another value",
            );
        }
        self.status_category = category.unwrap_or_else(|| "undefined".to_owned());

        let mut named = |field, value| {
            let named: wire::Named<'_> = report.optional("issue", field, value).unwrap_or_default();
            (report.optional("issue", field, named.id).map(|Id(id)| id), report.text("issue", field, named.name))
        };
        (self.details.priority_id, self.priority) = named("priority", std::mem::take(&mut fields.priority));
        (self.details.resolution_id, self.resolution) = named("resolution", std::mem::take(&mut fields.resolution));
        (_, self.details.security_level) = named("security", std::mem::take(&mut fields.security));
    }

    /// Estimates, counts, and what else stands alone.
    fn amounts(&mut self, report: &mut Report, fields: &mut wire::Fields<'_>, dated: Dated) {
        let environment = report.optional("issue", "environment", std::mem::take(&mut fields.environment));
        self.details.environment = environment.map(|text| report.document(&text)).filter(|text| !text.is_empty());
        self.details.status_category_changed_at = dated.status_category_changed_at;

        let tracking = report.optional("issue", "timetracking", std::mem::take(&mut fields.time_tracking));
        let tracking = tracking.unwrap_or_default();
        let mut seconds = |own: Option<i64>, tracked: Loose<Whole>| {
            own.or_else(|| report.optional("issue", "timetracking", tracked).map(|Whole(seconds)| seconds))
        };
        self.details.original_estimate_seconds = seconds(dated.original_estimate, tracking.original_estimate_seconds);
        self.details.remaining_estimate_seconds =
            seconds(dated.remaining_estimate, tracking.remaining_estimate_seconds);
        self.details.time_spent_seconds = seconds(dated.time_spent, tracking.time_spent_seconds);

        let votes = report.optional("issue", "votes", std::mem::take(&mut fields.votes)).unwrap_or_default();
        self.details.votes = report.small("votes", votes.votes);
        let watches = report.optional("issue", "watches", std::mem::take(&mut fields.watches)).unwrap_or_default();
        self.details.watchers = report.small("watches", watches.watch_count);
    }

    /// The fields whose names are the site's own.
    fn rest(&mut self, report: &mut Report, project: OfProject, fields: &mut wire::Fields<'_>, map: &FieldMap) {
        let has_parent = matches!(fields.parent, Loose::Good(_));
        self.left_out.sprints = is_untold(fields, map.sprint.iter().chain(&map.sprints), |id| map.is_sprint(id));
        let estimates = map.story_points.iter().chain(map.points.iter().map(|field| &field.id));
        self.left_out.story_points = is_untold(fields, estimates, |id| map.points_place(id, project).is_some());
        // The best estimate so far, with the place and the id of its field.
        let mut best: Option<((u8, usize), Cow<'_, str>, Value)> = None;
        for (id, raw) in std::mem::take(&mut fields.rest) {
            let raw = raw.get();
            self.left_out.named.insert(id.to_string());
            if matches!(raw, "null" | "\"\"" | "[]" | "{}") {
                continue;
            }
            let value = readable(report, &id, raw);
            if map.is_beside(&id) {
                if !is_empty(&value) {
                    self.details.beside.insert(id.into_owned(), value);
                }
                continue;
            }
            if let Some(place) = map.points_place(&id, project) {
                if let Some(points) = points(report, &value) {
                    let (mut id, mut value) = (id, value);
                    match &mut best {
                        Some(known) if place > known.0 => {}
                        known => {
                            self.story_points = Some(points);
                            let Some((_, other, kept)) = known.replace((place, id, value)) else { continue };
                            (id, value) = (other, kept);
                        }
                    }
                    // An estimate that another field goes before is a field like any other.
                    self.details.fields.insert(id.into_owned(), value);
                    continue;
                }
            } else if map.is_sprint(&id) || (map.sprint.is_none() && sprint::looks_like_sprints(raw)) {
                match sprint::read(&value) {
                    Some(sprints) => {
                        self.details.sprint_ids.extend(report.sprints(sprints));
                        continue;
                    }
                    None => report.drift("issue", id.to_string(), "list of sprints", kind_of(&value)),
                }
            } else if sprint::AGILE_FIELDS.contains(&id.as_ref())
                && let Some(sprints) = sprint::read(&value)
            {
                self.details.sprint_ids.extend(report.sprints(sprints));
                continue;
            } else if map.is_epic_link(&id) && !has_parent && self.epic_key.is_none() {
                if let Value::String(key) = value {
                    self.epic_key = Some(key);
                    continue;
                }
                report.drift("issue", id.to_string(), "key of an epic", kind_of(&value));
            }
            if !is_empty(&value) {
                self.details.fields.insert(id.into_owned(), value);
            }
        }
    }
}

/// Whether the answer says nothing of a role: there are fields that may have it, and none of them is named.
fn is_untold<'a>(
    fields: &wire::Fields<'_>,
    mut known: impl Iterator<Item = &'a String>,
    has_role: impl Fn(&str) -> bool,
) -> bool {
    known.any(|id| has_role(id)) && !fields.rest.iter().any(|(id, _)| has_role(id))
}

/// Any value, whatever it holds; what no number or text can be is mended and noted. A whole number of more digits than can be
/// held is its digits as a text.
fn readable(report: &mut Report, id: &str, raw: &str) -> Value {
    let digits = raw.strip_prefix('-').unwrap_or(raw);
    if digits.len() > MOST_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        report.drift("issue", id.to_owned(), "number", "number of too many digits");
        return Value::String(raw.to_owned());
    }
    serde_json::from_str(raw).unwrap_or_else(|_| {
        let mended = repair::mend(raw).unwrap_or(Cow::Borrowed(raw));
        if matches!(mended, Cow::Owned(_)) && !raw.contains("\\ud") && !raw.contains("\\uD") {
            report.drift("issue", id.to_owned(), "number", "number beyond all bounds");
        }
        // What no mending helps is kept as its text.
        serde_json::from_str(&mended).unwrap_or_else(|_| Value::String(raw.to_owned()))
    })
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(elements) => elements.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn points(report: &mut Report, value: &Value) -> Option<f64> {
    let points = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => number_in(text),
        // Where it is a list to choose from.
        Value::Object(option) => option.get("value").and_then(Value::as_str).and_then(number_in),
        _ => None,
    };
    if !value.is_number() {
        report.drift("issue", "story_points", "number", kind_of(value));
    }
    points
}

fn number_in(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|points: &f64| points.is_finite())
}

pub(in crate::jira) const fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn component_id(report: &mut Report, wire: wire::Component<'_>) -> Option<i64> {
    let id = report.expected("component", "id", wire.id)?.0;
    if report.components.iter().all(|known| known.id != id) {
        let component = ComponentRecord {
            id,
            project_id: report.optional("component", "projectId", wire.project_id).map(|Id(id)| id),
            name: report.text("component", "name", wire.name).unwrap_or_default(),
            description: report.text("component", "description", wire.description).filter(|text| !text.is_empty()),
            lead: report.user("component", "lead", wire.lead),
        };
        report.components.push(component);
    }
    Some(id)
}

fn version_id(report: &mut Report, wire: wire::Version<'_>) -> Option<i64> {
    let id = report.expected("version", "id", wire.id)?.0;
    if report.versions.iter().all(|known| known.id != id) {
        let flag =
            |report: &mut Report, field, flag| report.optional("version", field, flag).is_some_and(|Flag(flag)| flag);
        let version = VersionRecord {
            id,
            project_id: report.optional("version", "projectId", wire.project_id).map(|Id(id)| id),
            name: report.text("version", "name", wire.name).unwrap_or_default(),
            description: report.text("version", "description", wire.description).filter(|text| !text.is_empty()),
            archived: flag(report, "archived", wire.archived),
            released: flag(report, "released", wire.released),
            start_date: report.optional("version", "startDate", wire.start_date).map(|day| day.0),
            release_date: report.optional("version", "releaseDate", wire.release_date).map(|day| day.0),
        };
        report.versions.push(version);
    }
    Some(id)
}

fn link(report: &mut Report, issue_id: i64, wire: wire::Link<'_>) -> Result<LinkRecord, ElementReject> {
    let id = known_id(&wire.id);
    let kind = report.expected("link", "type", wire.kind).unwrap_or_default();
    let outward = report.optional("link", "outwardIssue", wire.outward_issue);
    let inward = report.optional("link", "inwardIssue", wire.inward_issue);
    let (direction, other, relation) = match (outward, inward) {
        (Some(other), _) => (LinkDirection::Outward, other, kind.outward),
        (None, Some(other)) => (LinkDirection::Inward, other, kind.inward),
        (None, None) => {
            let problem = "neither end is given".to_owned();
            let reject = Reject::new("direction", problem, "outwardIssue or inwardIssue", "another value");
            return Err((id, reject));
        }
    };
    let read = || -> Result<LinkRecord, Reject> {
        Ok(LinkRecord {
            id: need(wire.id, "id")?.0,
            issue_id,
            link_type: report.text("link", "type.name", kind.name).unwrap_or_default(),
            relation: report.text("link", "type.outward", relation).unwrap_or_default(),
            direction,
            other_issue_id: need(other.id, "issue.id")?.0,
            other_key: report.text("link", "issue.key", other.key).unwrap_or_default(),
        })
    };
    read().map_err(|reject| (id, reject))
}

fn attachment(
    report: &mut Report,
    issue_id: i64,
    wire: wire::Attachment<'_>,
) -> Result<AttachmentRecord, ElementReject> {
    let id = known_id(&wire.id);
    let read = || -> Result<AttachmentRecord, Reject> {
        Ok(AttachmentRecord {
            id: need(wire.id, "id")?.0,
            issue_id,
            file_name: report.text("attachment", "filename", wire.filename).unwrap_or_default(),
            author: report.user("attachment", "author", wire.author),
            created_at: need(wire.created, "created")?.0,
            size_bytes: report.optional("attachment", "size", wire.size).map_or(0, |Whole(bytes)| bytes),
            mime_type: report.text("attachment", "mimeType", wire.mime_type),
        })
    };
    read().map_err(|reject| (id, reject))
}

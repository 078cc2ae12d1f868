//! Issues as Jira writes them.

use std::sync::Arc;

use chrono_tz::Tz;

use super::catalogue::{CATEGORIES, Catalogue, kind};
use super::fields::Fields;
use super::issue::Issue;
use super::json::Json;
use super::seed::{Dice, Purpose};
use super::text::{self, Mention};
use super::threads;

/// How many comments or worklogs an issue carries inline; the rest needs requests of its own.
pub(super) const INLINE_LIMIT: usize = 20;

/// An issue with the parent that its `parent` field describes.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) issue: Arc<Issue>,
    pub(super) parent: Option<Arc<Issue>>,
}

/// What rendering needs besides the issue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Renderer<'a> {
    pub(super) catalogue: &'a Catalogue,
    /// Time zone of the reader, in which Jira writes all times.
    pub(super) zone: Tz,
}

impl Renderer<'_> {
    /// Writes the issue object with the fields asked for.
    pub(super) fn issue(&self, json: &mut Json, shown: &Shown, fields: Fields) {
        let issue = &*shown.issue;
        json.item()
            .open('{')
            .text("expand", "renderedFields,names,schema,operations,editmeta,changelog,versionedRepresentations");
        json.id("id", issue.id);
        self.link_and_key(json, issue);
        if !fields.is_empty() {
            json.key("fields").open('{');
            let free = self.free_fields(issue);
            for name in fields.iter() {
                self.field(json, shown, &free, name);
            }
            json.close('}');
        }
        json.close('}');
    }

    /// Writes the issue object of a search that asked for ids and keys only.
    pub(super) fn reference(&self, json: &mut Json, issue: &Issue, with_key: bool) {
        json.item().open('{').id("id", issue.id);
        if with_key {
            self.link_and_key(json, issue);
        }
        json.close('}');
    }

    fn link_and_key(&self, json: &mut Json, issue: &Issue) {
        json.key("self")
            .raw("\"")
            .raw(&self.catalogue.base_url)
            .raw("/rest/api/3/issue/")
            .int(issue.id as i64)
            .raw("\"");
        json.key("key").raw("\"").raw(&self.catalogue.projects[usize::from(issue.project)].key);
        json.raw("-").int(i64::from(issue.number)).raw("\"");
    }

    fn field(&self, json: &mut Json, shown: &Shown, free: &Free, name: &'static str) {
        let (issue, catalogue) = (&*shown.issue, self.catalogue);
        let user = |index: u16| catalogue.people[usize::from(index)].json.as_str();
        match name {
            "summary" => self.summary(json.key(name), issue),
            "description" if free.no_description => drop(json.member(name, "null")),
            "description" => {
                let mut dice = Dice::new(catalogue.seed, Purpose::Description, issue.id, u64::from(issue.edits));
                text::long_document(json.key(name), &mut dice, self.mention(issue.reporter));
            }
            "issuetype" => drop(json.member(name, &catalogue.types[usize::from(issue.kind)].json)),
            "project" => drop(json.member(name, &catalogue.projects[usize::from(issue.project)].json)),
            "status" => drop(json.member(name, &catalogue.statuses[usize::from(issue.status)].json)),
            "statusCategory" => {
                let (id, key, label) = CATEGORIES[usize::from(issue.status)];
                json.key(name).open('{').member("id", id).text("key", key).text("name", label).close('}');
            }
            "priority" => drop(json.member(name, &catalogue.priorities[usize::from(issue.priority)].json)),
            "resolution" => {
                let which = usize::from(issue.status).saturating_sub(3);
                let resolution = issue.resolved_ms.and(catalogue.resolutions.get(which));
                json.member(name, resolution.map_or("null", |resolution| &resolution.json));
            }
            "resolutiondate" => optional_time(json, name, issue.resolved_ms, self.zone),
            "assignee" => drop(json.member(name, issue.assignee.map_or("null", user))),
            "reporter" | "creator" => drop(json.member(name, user(issue.reporter))),
            "labels" => free.labels(json.key(name)),
            "parent" => {
                // Jira leaves the field out of an issue without a parent.
                if let Some(parent) = &shown.parent {
                    self.parent(json.key(name), parent);
                }
            }
            "components" => free.components(json.key(name), &catalogue.base_url),
            "fixVersions" => free.versions(json.key(name), &catalogue.base_url),
            "customfield_10016" => free.story_points(json.key(name), issue.kind),
            "customfield_10020" => free.sprint(json.key(name), issue.project),
            "created" => drop(json.time(name, issue.created_ms, self.zone)),
            "updated" => drop(json.time(name, issue.updated_ms, self.zone)),
            "duedate" => match free.due_in_days {
                Some(days) => drop(json.date(name, issue.created_ms + days * 86_400_000)),
                None => drop(json.member(name, "null")),
            },
            "timespent" | "timeoriginalestimate" | "timetracking" => {
                threads::time_fields(self, json, issue, free, name)
            }
            "environment" => drop(json.member(name, "null")),
            "votes" => drop(json.member(name, r#"{"votes":0,"hasVoted":false}"#)),
            "comment" => threads::inline_comments(self, json.key(name), issue),
            "worklog" => threads::inline_worklogs(self, json.key(name), issue),
            _ => {}
        }
    }

    fn summary(&self, json: &mut Json, issue: &Issue) {
        let mut dice = Dice::new(self.catalogue.seed, Purpose::Summary, issue.id, u64::from(issue.edits));
        text::summary(json, &mut dice);
    }

    fn parent(&self, json: &mut Json, parent: &Issue) {
        json.open('{').id("id", parent.id);
        self.link_and_key(json, parent);
        json.key("fields").open('{');
        self.summary(json.key("summary"), parent);
        json.member("status", &self.catalogue.statuses[usize::from(parent.status)].json);
        json.member("priority", &self.catalogue.priorities[usize::from(parent.priority)].json);
        json.member("issuetype", &self.catalogue.types[usize::from(parent.kind)].json).close('}').close('}');
    }

    /// Somebody for a text to mention.
    pub(super) fn mention(&self, index: u16) -> Mention<'_> {
        let person = &self.catalogue.people[usize::from(index)];
        Mention { account_id: &person.account_id, display_name: &person.display_name }
    }

    fn free_fields(&self, issue: &Issue) -> Free {
        let mut dice = Dice::new(self.catalogue.seed, Purpose::Attributes, issue.id, u64::from(issue.edits));
        Free {
            no_description: dice.chance(0.1),
            due_in_days: dice.chance(0.3).then(|| 3 + dice.below(60) as i64),
            estimate_seconds: dice.chance(0.5).then(|| 1_800 * (1 + dice.below(40) as i64)),
            bits: dice.next(),
        }
    }
}

fn optional_time(json: &mut Json, name: &str, epoch_ms: Option<i64>, zone: Tz) {
    match epoch_ms {
        Some(epoch_ms) => json.time(name, epoch_ms, zone),
        None => json.member(name, "null"),
    };
}

const LABELS: [&str; 12] = [
    "backend",
    "frontend",
    "regression",
    "customer",
    "security",
    "performance",
    "tech-debt",
    "ux",
    "größe",
    "q3",
    "infra",
    "docs",
];
const COMPONENTS: [&str; 6] = ["API", "Web", "Mobile", "Billing", "Search", "Operations"];

/// The fields that nobody searches by and that change with every edit.
#[derive(Debug)]
pub(super) struct Free {
    no_description: bool,
    due_in_days: Option<i64>,
    pub(super) estimate_seconds: Option<i64>,
    bits: u64,
}

impl Free {
    fn labels(&self, json: &mut Json) {
        json.open('[');
        for (at, label) in LABELS.iter().enumerate() {
            // Three bits each, all set: a label has a chance of one in eight.
            if self.bits >> (3 * at) & 7 == 7 {
                json.item().string(label);
            }
        }
        json.close(']');
    }

    fn components(&self, json: &mut Json, base_url: &str) {
        json.open('[');
        if let Some(name) = COMPONENTS.get((self.bits >> 36 & 7) as usize) {
            let id = 10_000 + (self.bits >> 36 & 7);
            json.item()
                .open('{')
                .key("self")
                .raw("\"")
                .raw(base_url)
                .raw("/rest/api/3/component/")
                .int(id as i64)
                .raw("\"");
            json.id("id", id).text("name", name).close('}');
        }
        json.close(']');
    }

    fn versions(&self, json: &mut Json, base_url: &str) {
        json.open('[');
        let minor = (self.bits >> 39 & 7) as i64;
        if minor < 4 {
            json.item()
                .open('{')
                .key("self")
                .raw("\"")
                .raw(base_url)
                .raw("/rest/api/3/version/")
                .int(10_100 + minor)
                .raw("\"");
            json.id("id", 10_100 + minor as u64).key("name").raw("\"2.").int(minor).raw("\"");
            json.member("archived", "false").member("released", if minor < 2 { "true" } else { "false" }).close('}');
        }
        json.close(']');
    }

    fn story_points(&self, json: &mut Json, issue_kind: u8) {
        const POINTS: [&str; 8] = ["null", "null", "0.5", "1.0", "2.0", "3.0", "5.0", "8.0"];
        json.raw(if issue_kind == kind::SUBTASK { "null" } else { POINTS[(self.bits >> 42 & 7) as usize] });
    }

    fn sprint(&self, json: &mut Json, project: u16) {
        let number = (self.bits >> 45 & 15) as i64;
        if number > 9 {
            json.raw("null");
            return;
        }
        let state = ["closed", "active", "future"][usize::from(number > 7) + usize::from(number > 8)];
        json.open('[').open('{').number("id", i64::from(project) * 100 + number + 1);
        json.key("name").raw("\"Sprint ").int(number + 1).raw("\"").text("state", state);
        json.number("boardId", i64::from(project) + 1).text("goal", "").close('}').close(']');
    }
}

//! Issues as Jira writes them.

use std::sync::Arc;

use chrono_tz::Tz;

use super::attributes::Attributes;
use super::auth::Viewer;
use super::catalogue::{CATEGORIES, Catalogue, kind};
use super::fields::{Fields, SPRINT};
use super::issue::Issue;
use super::json::Json;
use super::links::{self, Linked};
use super::options::Kind;
use super::seed::{Dice, Purpose};
use super::site::Site;
use super::text::{self, Mention};
use super::{changelog, custom, threads, wiki};

/// An issue with the others that its fields describe.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) issue: Arc<Issue>,
    pub(super) parent: Option<Arc<Issue>>,
    pub(super) subtasks: Vec<Arc<Issue>>,
    pub(super) linked: Option<Linked>,
}

/// What rendering needs besides the issue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Renderer<'a> {
    pub(super) catalogue: &'a Catalogue,
    /// Time zone of the reader, in which Jira writes all times.
    pub(super) zone: Tz,
    /// How many comments and worklogs an issue carries inline; the rest needs requests of its own.
    pub(super) inline_limits: (usize, usize),
    /// Whether the changelog was asked for.
    pub(super) with_changelog: bool,
    /// Whether the transitions were.
    with_transitions: bool,
    /// Texts are wiki mark-up.
    wiki: bool,
    /// What time it is, for what runs on.
    pub(super) now_ms: i64,
}

impl<'a> Renderer<'a> {
    pub(super) fn new(site: &Site, viewer: &'a Viewer) -> Self {
        Self {
            catalogue: &viewer.catalogue,
            zone: viewer.zone,
            inline_limits: site.inline_limits,
            with_changelog: false,
            with_transitions: false,
            wiki: viewer.reads_wiki,
            now_ms: site.world.now_ms(),
        }
    }

    /// The same, with what `expand` asks for.
    pub(super) fn expanding(self, expand: Option<&str>) -> Self {
        let asks = |what: &str| expand.is_some_and(|expand| expand.split(',').any(|part| part.trim() == what));
        Self { with_changelog: asks("changelog"), with_transitions: asks("transitions"), ..self }
    }

    /// Writes the issue object with the fields asked for.
    pub(super) fn issue(&self, json: &mut Json, shown: &Shown, fields: Fields) {
        let issue = &*shown.issue;
        json.item()
            .open('{')
            .text("expand", "renderedFields,names,schema,operations,editmeta,changelog,versionedRepresentations");
        json.id("id", issue.id);
        self.link_and_key(json, issue);
        if self.with_changelog {
            changelog::inline(self, json.key("changelog"), issue);
        }
        if self.with_transitions {
            self.transitions(json.key("transitions"));
        }
        if !fields.is_empty() {
            json.key("fields").open('{');
            let attributes = Attributes::of(self.catalogue.seed, issue.id, issue.edits);
            for name in fields.iter() {
                self.field(json, shown, &attributes, name);
            }
            json.close('}');
        }
        json.close('}');
    }

    /// Writes where an issue may go from here: anywhere.
    pub(super) fn transitions(&self, json: &mut Json) {
        json.open('[');
        for (id, status) in (1..).zip(&self.catalogue.statuses) {
            json.item().open('{').id("id", id * 10 + 1).text("name", &status.name).member("to", &status.json);
            if self.catalogue.kind == Kind::Cloud {
                json.member("hasScreen", "false").member("isGlobal", "true").member("isInitial", "false");
                json.member("isAvailable", "true").member("isConditional", "false").member("isLooped", "false");
            }
            json.close('}');
        }
        json.close(']');
    }

    /// Writes the issue object of a search that asked for ids and keys only.
    pub(super) fn reference(&self, json: &mut Json, issue: &Issue, with_key: bool) {
        json.item().open('{').id("id", issue.id);
        if with_key {
            self.link_and_key(json, issue);
        }
        if self.with_changelog {
            changelog::inline(self, json.key("changelog"), issue);
        }
        json.close('}');
    }

    fn link_and_key(&self, json: &mut Json, issue: &Issue) {
        json.key("self").raw("\"").raw(&self.catalogue.api).raw("/issue/").int(issue.id as i64).raw("\"");
        json.key("key").raw("\"").raw(&self.catalogue.projects[usize::from(issue.project)].key);
        json.raw("-").int(i64::from(issue.number)).raw("\"");
    }

    /// The user object of a person.
    pub(super) fn user(&self, person: u16) -> &'a str {
        &self.catalogue.people[usize::from(person)].json
    }

    fn field(&self, json: &mut Json, shown: &Shown, attributes: &Attributes, name: &'static str) {
        let (issue, catalogue) = (&*shown.issue, self.catalogue);
        let project = &catalogue.projects[usize::from(issue.project)];
        match name {
            "summary" => self.summary(json.key(name), issue.id, issue.edits),
            "description" if attributes.no_description => drop(json.member(name, "null")),
            "description" => self.description(json.key(name), issue),
            "issuetype" => drop(json.member(name, &catalogue.types[usize::from(issue.kind)].json)),
            "project" => drop(json.member(name, &project.json)),
            "status" => drop(json.member(name, &catalogue.statuses[usize::from(issue.status)].json)),
            "statusCategory" if catalogue.kind == Kind::Cloud => {
                let (id, key, label) = CATEGORIES[usize::from(issue.status)];
                json.key(name).open('{').member("id", id).text("key", key).text("name", label).close('}');
            }
            "priority" => drop(json.member(name, &catalogue.priorities[usize::from(issue.priority)].json)),
            "resolution" => {
                let resolution = issue.resolution().and_then(|at| catalogue.resolutions.get(usize::from(at)));
                json.member(name, resolution.map_or("null", |resolution| &resolution.json));
            }
            "resolutiondate" => self.optional_time(json, name, issue.resolved_ms),
            "assignee" => drop(json.member(name, issue.assignee.map_or("null", |person| self.user(person)))),
            "reporter" | "creator" => drop(json.member(name, self.user(issue.reporter))),
            "labels" => {
                json.key(name).open('[');
                for label in attributes.labels() {
                    json.item().string(label);
                }
                json.close(']');
            }
            // Jira leaves the field out of an issue without a parent. Data Center's epics are no parents.
            "parent" => match &shown.parent {
                Some(parent) if catalogue.kind == Kind::Cloud || issue.kind == kind::SUBTASK => {
                    self.brief(json.key(name), parent);
                }
                _ => {}
            },
            "subtasks" => {
                json.key(name).open('[');
                shown.subtasks.iter().for_each(|subtask| self.brief(json.item(), subtask));
                json.close(']');
            }
            "issuelinks" => {
                json.key(name).open('[');
                if let Some(Linked { link, other }) = &shown.linked {
                    links::write_link(self, json, *link, other);
                }
                json.close(']');
            }
            "attachment" => links::write_attachments(self, json.key(name), issue),
            "components" => {
                json.key(name).open('[');
                attributes.component().into_iter().for_each(|at| catalogue.write_component(json, project, at, false));
                json.close(']');
            }
            "fixVersions" | "versions" => {
                let of = if name == "versions" { attributes.affected_version() } else { attributes.fix_version() };
                json.key(name).open('[');
                of.into_iter().for_each(|at| catalogue.write_version(json, project, at, false));
                json.close(']');
            }
            "security" if issue.secured => {
                json.key(name).open('{').key("self").raw("\"").raw(&catalogue.api).raw("/securitylevel/10000\"");
                json.text("id", "10000").text("name", "Confidential").text("description", "").close('}');
            }
            "created" => drop(json.time(name, issue.created_ms, self.zone)),
            "updated" => drop(json.time(name, issue.updated_ms, self.zone)),
            "statuscategorychangedate" if catalogue.kind == Kind::Cloud => {
                json.time(name, issue.category_changed_ms(catalogue), self.zone);
            }
            "duedate" => match attributes.due_in_days {
                Some(days) => drop(json.date(name, issue.created_ms + days * 86_400_000)),
                None => drop(json.member(name, "null")),
            },
            "timespent" | "timeoriginalestimate" | "timeestimate" | "timetracking" | "workratio" | "progress" => {
                threads::time_fields(self, json, issue, attributes, name);
            }
            "aggregatetimespent" | "aggregateprogress" | "aggregatetimeestimate" | "aggregatetimeoriginalestimate" => {
                threads::sums(self, json, shown, name);
            }
            "environment" if attributes.more & 31 == 0 => {
                let mut dice = Dice::new(catalogue.seed, Purpose::Description, issue.id, u64::MAX);
                self.short_text(json.key(name), &mut dice, 4, issue.reporter);
            }
            "environment" | "lastViewed" | "security" => drop(json.member(name, "null")),
            "votes" => {
                json.key(name).open('{').number("votes", (attributes.more >> 5 & 3) as i64 / 2);
                json.member("hasVoted", "false").close('}');
            }
            "watches" => {
                json.key(name).open('{').number("watchCount", (attributes.more >> 7 & 7) as i64);
                json.member("isWatching", "false").close('}');
            }
            "comment" => threads::inline_comments(self, json.key(name), issue),
            "worklog" => threads::inline_worklogs(self, json.key(name), issue),
            SPRINT => self.sprints(json.key(name), issue),
            name => custom::write(self, json, shown, attributes, name),
        }
    }

    fn sprints(&self, json: &mut Json, issue: &Issue) {
        if issue.sprints[0] == 0 {
            json.raw("null");
            return;
        }
        json.open('[');
        for number in issue.sprints.iter().filter(|number| **number > 0) {
            let sprint = self.catalogue.sprint(issue.project, number - 1);
            match self.catalogue.kind {
                Kind::Cloud => sprint.write(json, self.catalogue, false),
                Kind::DataCenter => sprint.write_string(json, self.catalogue),
            }
        }
        json.close(']');
    }

    fn optional_time(&self, json: &mut Json, name: &str, epoch_ms: Option<i64>) {
        match epoch_ms {
            Some(epoch_ms) => json.time(name, epoch_ms, self.zone),
            None => json.member(name, "null"),
        };
    }

    /// Writes the summary that an issue has after `edits` edits.
    pub(super) fn summary(&self, json: &mut Json, id: u64, edits: u32) {
        text::summary(json, &mut Dice::new(self.catalogue.seed, Purpose::Summary, id, u64::from(edits)));
    }

    fn description(&self, json: &mut Json, issue: &Issue) {
        let mut dice = Dice::new(self.catalogue.seed, Purpose::Description, issue.id, u64::from(issue.edits));
        let mention = self.mention(issue.reporter);
        match self.wiki {
            false => text::long_document(json, &mut dice, mention),
            true => wiki::long(json, &mut dice, mention),
        }
    }

    /// Writes a short rich text that may mention somebody.
    pub(super) fn short_text(&self, json: &mut Json, dice: &mut Dice, at_least: u64, mentioned: u16) {
        let mention = self.mention(mentioned);
        match self.wiki {
            false => text::short_document(json, dice, at_least, mention),
            true => wiki::short(json, dice, at_least, mention),
        }
    }

    /// Writes another issue as parents, sub-tasks and links are shown.
    pub(super) fn brief(&self, json: &mut Json, other: &Issue) {
        json.open('{').id("id", other.id);
        self.link_and_key(json, other);
        json.key("fields").open('{');
        self.summary(json.key("summary"), other.id, other.edits);
        json.member("status", &self.catalogue.statuses[usize::from(other.status)].json);
        json.member("priority", &self.catalogue.priorities[usize::from(other.priority)].json);
        json.member("issuetype", &self.catalogue.types[usize::from(other.kind)].json).close('}').close('}');
    }

    fn mention(&self, index: u16) -> Mention<'a> {
        let person = &self.catalogue.people[usize::from(index)];
        Mention { account_id: &person.account_id, name: &person.name, display_name: &person.first_name }
    }
}

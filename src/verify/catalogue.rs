//! The lists of a project and of its site against their rows: versions, components, boards and the sprints of its own
//! boards; statuses, issue types, priorities, resolutions and fields.
//!
//! Runs read these lists every six hours: what was changed in Jira since then differs, and `--repair` reads them anew.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::patience::patiently;
use super::report::{Entry, EntryId, Report};
use super::{Error, Look};
use crate::domain::entity::{SprintRecord, TermKind, TermRecord, VersionRecord};
use crate::domain::failure::{Failure, RetryPolicy};
use crate::jira::answers::Offered;
use crate::jira::catalogue::Listed;
use crate::store::catalogue as rows;
use crate::store::patience::LONGEST;
use crate::store::within;

/// What Jira lists, by kind and id; the kinds that it shows.
#[derive(Default)]
struct Shown {
    entries: BTreeMap<(&'static str, String), Value>,
    kinds: BTreeSet<&'static str>,
}

impl Shown {
    fn add<T>(&mut self, kind: &'static str, list: &[T], read: impl Fn(&T) -> (String, Value)) {
        self.kinds.insert(kind);
        self.entries.extend(list.iter().map(|record| {
            let (id, shape) = read(record);
            ((kind, id), shape)
        }));
    }

    /// The same of a list of the site, of which an empty one is none: a site without statuses is one that was not shown.
    fn add_of_site<T>(&mut self, kind: &'static str, list: Option<Vec<T>>, read: impl Fn(&T) -> (String, Value)) {
        if let Some(list) = list.filter(|list| !list.is_empty()) {
            self.add(kind, &list, read);
        }
    }
}

impl Look<'_> {
    /// Compares the lists; one that the site withholds is left out.
    pub(super) async fn compare_catalogue(&self, report: &mut Report) -> Result<(), Error> {
        let mut shown = Shown::default();
        self.lists_of_project(&mut shown).await?;
        self.lists_of_site(&mut shown).await?;
        let stored = within(LONGEST, rows::entries(self.pool, self.scope.site_id, self.project.id)).await?;
        for kind in &shown.kinds {
            let count = shown.entries.keys().filter(|(of, _)| of == kind).count();
            report.checked_entries.insert(kind, u64::try_from(count).unwrap_or(0));
        }
        report.checked_catalogue = report.checked_entries.values().sum();
        report.catalogue = differences(&shown, &stored);
        Ok(())
    }

    async fn lists_of_project(&self, shown: &mut Shown) -> Result<(), Error> {
        let (jira, project) = (self.jira, self.project.id);
        if let Some(versions) = list(patiently(|| jira.versions(project)).await)? {
            shown.add("version", &versions, version);
        }
        if let Some(components) = list(patiently(|| jira.components(project)).await)? {
            shown.add("component", &components, |it| {
                (it.id.to_string(), json!({"name": it.name, "description": it.description, "lead": it.lead}))
            });
        }
        let Some(boards) = list(patiently(|| jira.boards(project)).await)? else { return Ok(()) };
        let own: Vec<_> = boards.into_iter().filter(|board| board.project_id.is_none_or(|id| id == project)).collect();
        shown.add("board", &own, |board| {
            (board.id.to_string(), json!({"name": board.name, "board_type": board.board_type}))
        });
        let mut sprints = Vec::new();
        for board in own.iter().filter(|board| board.board_type != "kanban") {
            let Some(of_board) = list(patiently(|| jira.sprints(board.id)).await)? else { return Ok(()) };
            sprints.extend(of_board.into_iter().filter(|it| it.board_id.is_none_or(|id| id == board.id)));
        }
        shown.add("sprint", &sprints, sprint);
        Ok(())
    }

    async fn lists_of_site(&self, shown: &mut Shown) -> Result<(), Error> {
        let jira = self.jira;
        shown.add_of_site("status", list(patiently(|| jira.statuses()).await)?, |it| {
            (it.id.to_string(), json!({"name": it.name, "description": it.description, "category": it.category}))
        });
        for kind in [TermKind::IssueType, TermKind::Priority, TermKind::Resolution] {
            shown.add_of_site(kind.as_str(), list(patiently(|| jira.terms(kind)).await)?, term);
        }
        shown.add_of_site("field", list(patiently(|| jira.field_catalogue()).await)?, |it| {
            let shape = json!({"name": it.name, "custom": it.custom, "value_type": it.value_type, "items": it.items,
                               "custom_kind": it.custom_kind, "system": it.system});
            (it.id.clone(), shape)
        });
        Ok(())
    }
}

fn version(it: &VersionRecord) -> (String, Value) {
    let shape = json!({"name": it.name, "description": it.description, "archived": it.archived, "released": it.released,
                       "start_date": it.start_date, "release_date": it.release_date});
    (it.id.to_string(), shape)
}

fn sprint(it: &SprintRecord) -> (String, Value) {
    let millis = |at: Option<DateTime<Utc>>| at.map(|at| at.timestamp_millis());
    let shape = json!({"name": it.name, "state": it.state, "goal": it.goal, "started_at": millis(it.started_at),
                       "ends_at": millis(it.ends_at), "completed_at": millis(it.completed_at)});
    (it.id.to_string(), shape)
}

fn term(it: &TermRecord) -> (String, Value) {
    let shape = json!({"name": it.name, "description": it.description, "is_subtask": it.is_subtask,
                       "position": it.position});
    (it.id.to_string(), shape)
}

fn differences(shown: &Shown, stored: &[rows::Entry]) -> Vec<Entry> {
    let mut differences = Vec::new();
    let mut rest: BTreeMap<&(&'static str, String), &Value> = shown.entries.iter().collect();
    let entry = |entity, id: &str, problem, fields| Entry { entity, id: EntryId::of(id), problem, fields };
    for row in stored {
        let Some(&entity) = shown.kinds.iter().find(|kind| **kind == row.entity) else { continue };
        match rest.remove(&(entity, row.id.clone())) {
            Some(shape) if *shape == row.shape => {}
            Some(shape) => differences.push(entry(entity, &row.id, "stale", differing(shape, &row.shape))),
            None => differences.push(entry(entity, &row.id, "extra", Vec::new())),
        }
    }
    differences.extend(rest.into_keys().map(|(entity, id)| {
        let fields = Vec::new();
        Entry { entity, id: EntryId::of(id), problem: "missing", fields }
    }));
    differences.sort_by(|a, b| (a.entity, &a.id).cmp(&(b.entity, &b.id)));
    differences
}

/// The names of the columns that differ.
fn differing(shown: &Value, stored: &Value) -> Vec<String> {
    let members = shown.as_object().into_iter().flatten();
    members.filter(|(name, value)| stored.get(name.as_str()) != Some(value)).map(|(name, _)| name.clone()).collect()
}

/// The records of a list; none where it is withheld or cannot be asked for.
fn list<T>(answer: Result<Offered<Listed<T>>, Failure>) -> Result<Option<Vec<T>>, Failure> {
    match answer {
        Ok(offered) => Ok(offered.available().map(|listed| listed.records)),
        Err(failure) if failure.code.policy() == RetryPolicy::FailRun => Ok(None),
        Err(failure) => Err(failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_named_by_how() {
        let mut shown = Shown::default();
        shown.add("version", &[(1, "a"), (2, "b"), (3, "c")], |(id, name)| (id.to_string(), json!({"name": name})));
        let row = |entity: &str, id: &str, name: &str| rows::Entry {
            entity: entity.into(),
            id: id.into(),
            shape: json!({"name": name}),
        };
        let stored =
            [row("version", "1", "a"), row("version", "2", "x"), row("version", "4", "d"), row("board", "9", "z")];
        let found: Vec<_> =
            differences(&shown, &stored).into_iter().map(|it| (it.id, it.problem, it.fields.join(","))).collect();
        let told = |id, problem, fields: &str| (EntryId::Number(id), problem, fields.to_owned());
        assert_eq!(
            found,
            [told(2, "stale", "name"), told(3, "missing", ""), told(4, "extra", "")],
            "a list that was not shown is not compared"
        );
    }
}

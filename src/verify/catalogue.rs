//! The lists of a project against their rows: versions, components, boards and the sprints of its own boards.

use std::collections::BTreeMap;

use super::patience::patiently;
use super::report::{Entry, Report};
use super::{Error, Look};
use crate::domain::failure::{Failure, RetryPolicy};
use crate::jira::answers::Offered;
use crate::jira::catalogue::Listed;
use crate::store::catalogue as rows;

/// What Jira lists, by kind and id; the kinds that it shows.
#[derive(Default)]
struct Shown {
    entries: BTreeMap<(&'static str, i64), String>,
    kinds: Vec<&'static str>,
}

impl Shown {
    fn add<T>(&mut self, kind: &'static str, list: &[T], read: impl Fn(&T) -> (i64, String)) {
        self.kinds.push(kind);
        self.entries.extend(list.iter().map(|record| {
            let (id, shape) = read(record);
            ((kind, id), shape)
        }));
    }
}

impl Look<'_> {
    /// Compares the lists; one that the site withholds is left out.
    pub(super) async fn compare_catalogue(&self, report: &mut Report) -> Result<(), Error> {
        let (jira, project) = (self.jira, self.project.id);
        let mut shown = Shown::default();
        if let Some(versions) = list(patiently(|| jira.versions(project)).await)? {
            shown.add("version", &versions, |version| {
                let released = if version.released { "released" } else { "" };
                let archived = if version.archived { " archived" } else { "" };
                (version.id, format!("{} {released}{archived}", version.name))
            });
        }
        if let Some(components) = list(patiently(|| jira.components(project)).await)? {
            shown.add("component", &components, |component| (component.id, component.name.clone()));
        }
        if let Some(boards) = list(patiently(|| jira.boards(project)).await)? {
            let own: Vec<_> =
                boards.into_iter().filter(|board| board.project_id.is_none_or(|id| id == project)).collect();
            shown.add("board", &own, |board| (board.id, board.name.clone()));
            let mut sprints = Vec::new();
            let mut whole = true;
            for board in own.iter().filter(|board| board.board_type != "kanban") {
                match list(patiently(|| jira.sprints(board.id)).await)? {
                    Some(of_board) => {
                        sprints.extend(of_board.into_iter().filter(|it| it.board_id.is_none_or(|id| id == board.id)))
                    }
                    None => whole = false,
                }
            }
            if whole {
                shown.add("sprint", &sprints, |sprint| (sprint.id, format!("{} {}", sprint.name, sprint.state)));
            }
        }
        let stored = rows::entries(self.pool, self.scope.site_id, project).await?;
        report.checked_catalogue = u64::try_from(shown.entries.len()).unwrap_or(0);
        report.catalogue = differences(&shown, &stored);
        Ok(())
    }
}

fn differences(shown: &Shown, stored: &[rows::Entry]) -> Vec<Entry> {
    let mut differences = Vec::new();
    let mut rest = shown.entries.clone();
    for row in stored {
        let Some(&entity) = shown.kinds.iter().find(|kind| **kind == row.entity) else { continue };
        match rest.remove(&(entity, row.id)) {
            Some(shape) if shape == row.shape => {}
            Some(_) => differences.push(Entry { entity, id: row.id, problem: "stale" }),
            None => differences.push(Entry { entity, id: row.id, problem: "extra" }),
        }
    }
    differences.extend(rest.into_keys().map(|(entity, id)| Entry { entity, id, problem: "missing" }));
    differences.sort_by_key(|entry| (entry.entity, entry.id));
    differences
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
        shown.add("version", &[(1, "a"), (2, "b"), (3, "c")], |(id, shape)| (*id, (*shape).to_owned()));
        let row = |entity: &str, id, shape: &str| rows::Entry { entity: entity.into(), id, shape: shape.into() };
        let stored = [row("version", 1, "a"), row("version", 2, "x"), row("version", 4, "d"), row("board", 9, "z")];
        let found: Vec<_> = differences(&shown, &stored).into_iter().map(|it| (it.id, it.problem)).collect();
        assert_eq!(found, [(2, "stale"), (3, "missing"), (4, "extra")], "a list that was not shown is not compared");
    }
}

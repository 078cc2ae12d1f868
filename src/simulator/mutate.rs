//! What people do to issues while a sync runs.
//!
//! What must hold: a mutation moves the `updated` of every issue that it touches strictly forward, but for the one that dates
//! an issue otherwise and for issues that are dated ahead of the clock, and the same seed and the same calls give the same history.

use super::catalogue::{Catalogue, FIRST_DONE, SprintState, kind};
use super::history::{Event, Item, difference};
use super::issue::{Entry, Issue, writer};
use super::links::link;
use super::mutation::{Change, Error, Mutation};
use super::seed::{Dice, Purpose};
use super::store::Store;
use super::threads::total_seconds;
use super::world::World;

/// A lead that comes from another clock, and not from changes within one millisecond.
const AHEAD_MS: i64 = 1_000;

impl World {
    /// Carries out one mutation.
    pub(super) fn apply(&self, mutation: Mutation) -> Result<Change, Error> {
        let mut store = self.write();
        store.mutations += 1;
        let mut dice = Dice::new(self.catalogue().seed, Purpose::Mutation, store.mutations, 1);
        self.apply_to(&mut store, mutation, &mut dice)
    }

    /// Carries out the next `count` mutations of the site's seeded history.
    pub(super) fn mutate(&self, count: usize) -> Vec<Change> {
        (0..count).filter_map(|_| self.mutate_once()).collect()
    }

    fn mutate_once(&self) -> Option<Change> {
        let mut store = self.write();
        store.mutations += 1;
        let mut dice = Dice::new(self.catalogue().seed, Purpose::Mutation, store.mutations, 0);
        // A few draws may hit deleted issues, or issues without comments to edit.
        (0..50).find_map(|_| {
            let mutation = self.draw(&store, &mut dice)?;
            self.apply_to(&mut store, mutation, &mut dice).ok()
        })
    }

    fn draw(&self, store: &Store, dice: &mut Dice) -> Option<Mutation> {
        let roll = dice.below(100);
        let catalogue = self.catalogue();
        let mut project = || catalogue.projects.get(dice.index(catalogue.projects.len()));
        if roll < 8 {
            return Some(Mutation::CreateIssue { project: project()?.key.clone() });
        }
        let target = project()?.key.clone();
        let roll_sprint = dice.below(3);
        let chosen = super::generate::FIRST_ISSUE_ID + dice.below(store.ids_given() as u64);
        let found = store.live(chosen)?;
        let issue = chosen.to_string();
        Some(match roll {
            8..26 => Mutation::EditIssue { issue },
            26..30 => {
                // The active sprint or the one to come, or none.
                let open = (0..catalogue.sprint_count(found.project)).map(|at| catalogue.sprint(found.project, at));
                let mut open = open.filter(|sprint| sprint.state != SprintState::Closed).map(|sprint| sprint.id());
                Mutation::SetSprint { issue, sprint: open.nth(roll_sprint as usize) }
            }
            30..45 => Mutation::Transition { issue },
            45..53 => Mutation::Assign { issue },
            53..70 => Mutation::AddComment { issue },
            70..76 => Mutation::EditComment { issue },
            76..80 => Mutation::DeleteComment { issue },
            80..88 => Mutation::AddWorklog { issue },
            88..91 => Mutation::EditWorklog { issue },
            91..94 => Mutation::DeleteWorklog { issue },
            94 | 95 => Mutation::MoveIssueAlone { issue, project: target },
            96 => Mutation::MoveIssue { issue, project: target },
            _ => Mutation::DeleteIssue { issue },
        })
    }

    fn apply_to(&self, store: &mut Store, mutation: Mutation, dice: &mut Dice) -> Result<Change, Error> {
        use Mutation as M;
        let catalogue = &*self.catalogue();
        let issue = match &mutation {
            M::CreateIssue { project } => self.create(store, project, dice)?,
            M::DeleteIssue { issue } => self.delete(store, issue)?,
            M::MoveIssue { issue, project } => self.relocate(store, issue, project, true)?,
            M::MoveIssueAlone { issue, project } => self.relocate(store, issue, project, false)?,
            M::EditIssue { issue } => self.change(store, issue, |issue, _, _| {
                issue.edits += 1;
                issue.priority = dice.below(5) as u8;
                true
            })?,
            M::DateIssue { issue, seconds } => self.date(store, issue, *seconds, dice)?,
            M::Transition { issue } => self.change(store, issue, |issue, _, now_ms| {
                issue.status = (issue.status + 1 + dice.below(4) as u8) % 5;
                issue.resolved_ms = (issue.status >= FIRST_DONE).then_some(now_ms);
                true
            })?,
            M::Assign { issue } => self.change(store, issue, |issue, _, _| {
                issue.assignee = dice.chance(0.85).then(|| writer(catalogue, dice));
                true
            })?,
            M::AddComment { issue } => self.change(store, issue, |issue, store, now_ms| {
                let entry = new_entry(store.next_comment, writer(catalogue, dice), now_ms);
                store.next_comment += 1;
                issue.threads_mut(catalogue).comments.push(entry);
                true
            })?,
            M::AddWorklog { issue } => self.change(store, issue, |issue, store, now_ms| {
                let entry = new_entry(store.next_worklog, writer(catalogue, dice), now_ms);
                store.next_worklog += 1;
                issue.threads_mut(catalogue).worklogs.push(entry);
                true
            })?,
            M::EditComment { issue } => self.change(store, issue, |issue, _, now_ms| {
                let by = writer(catalogue, dice);
                edit_one(&mut issue.threads_mut(catalogue).comments, by, now_ms, dice)
            })?,
            M::EditWorklog { issue } => self.change(store, issue, |issue, _, now_ms| {
                let by = writer(catalogue, dice);
                edit_one(&mut issue.threads_mut(catalogue).worklogs, by, now_ms, dice)
            })?,
            M::DeleteComment { issue } => self.change(store, issue, |issue, _, _| {
                delete_one(&mut issue.threads_mut(catalogue).comments, dice).is_some()
            })?,
            M::DeleteWorklog { issue } => self.change(store, issue, |issue, store, now_ms| {
                let gone = delete_one(&mut issue.threads_mut(catalogue).worklogs, dice);
                store.deleted_worklogs.extend(gone.map(|id| (now_ms, id)));
                gone.is_some()
            })?,
            M::HideIssue { issue } | M::ShowIssue { issue } => self.change(store, issue, |issue, _, _| {
                issue.secured = matches!(mutation, M::HideIssue { .. });
                true
            })?,
            M::SetSprint { issue, sprint } => self.set_sprint(store, issue, *sprint)?,
            rare => return self.apply_to_site(store, rare.clone()),
        };
        let key = catalogue.key(issue.project, issue.number);
        Ok(Change { mutation, issue_id: issue.id, key })
    }

    fn existing(&self, store: &Store, named: &str) -> Result<Issue, Error> {
        self.find(store, named).map(|issue| (*issue).clone()).ok_or_else(|| Error::NoIssue(named.to_owned()))
    }

    /// Changes one issue; `change` answers false when there was nothing to change.
    pub(super) fn change(
        &self,
        store: &mut Store,
        named: &str,
        change: impl FnOnce(&mut Issue, &mut Store, i64) -> bool,
    ) -> Result<Issue, Error> {
        self.change_with(store, named, Vec::new(), change)
    }

    /// The same, with more to tell in the changelog than the difference.
    fn change_with(
        &self,
        store: &mut Store,
        named: &str,
        mut items: Vec<Item>,
        change: impl FnOnce(&mut Issue, &mut Store, i64) -> bool,
    ) -> Result<Issue, Error> {
        let catalogue = self.catalogue();
        let mut issue = self.existing(store, named)?;
        let before = issue.clone();
        // What was generated so far is written down before it could come out differently.
        issue.threads_mut(&catalogue);
        let node_ms = self.now_of_node_ms(store.mutations);
        // What another clock has dated ahead is dated by this one now, and so goes back.
        let is_ahead = issue.updated_ms > node_ms + AHEAD_MS;
        issue.updated_ms = if is_ahead { node_ms } else { node_ms.max(issue.updated_ms + 1) };
        let now_ms = issue.updated_ms;
        if !change(&mut issue, store, now_ms) {
            return Err(Error::NothingThere(named.to_owned()));
        }
        items.extend(difference(&catalogue, &before, &issue));
        let (spent, now_spent) = (total_seconds(&catalogue, &before), total_seconds(&catalogue, &issue));
        if spent != now_spent {
            items.push(Item::TimeSpent(spent, now_spent));
        }
        self.record(store, &catalogue, &mut issue, items);
        store.write(issue.clone(), self.search_due_ms());
        Ok(issue)
    }

    /// Edits an issue and what belongs to it, and dates that `seconds` off the site's clock.
    fn date(&self, store: &mut Store, named: &str, seconds: i64, dice: &mut Dice) -> Result<Issue, Error> {
        let catalogue = self.catalogue();
        let mut issue = self.existing(store, named)?;
        let before = issue.clone();
        let at_ms = self.now_ms().saturating_add(seconds.saturating_mul(1_000));
        let by = writer(&catalogue, dice);
        let threads = issue.threads_mut(&catalogue);
        edit_one(&mut threads.comments, by, at_ms, dice);
        edit_one(&mut threads.worklogs, by, at_ms, dice);
        issue.edits += 1;
        issue.updated_ms = at_ms;
        let items = difference(&catalogue, &before, &issue);
        self.record(store, &catalogue, &mut issue, items);
        store.write(issue.clone(), self.search_due_ms());
        Ok(issue)
    }

    fn record(&self, store: &mut Store, catalogue: &Catalogue, issue: &mut Issue, items: Vec<Item>) {
        if items.is_empty() {
            return;
        }
        let id = store.next_event;
        store.next_event += 1;
        let author = writer(catalogue, &mut Dice::new(catalogue.seed, Purpose::History, id, 1));
        let created_ms = issue.updated_ms;
        issue.threads_mut(catalogue).history.push(Event { id, author, created_ms, items });
    }

    pub(super) fn project_named(&self, named: &str) -> Result<u16, Error> {
        self.catalogue().project(named).ok_or_else(|| Error::NoProject(named.to_owned()))
    }

    fn create(&self, store: &mut Store, project: &str, dice: &mut Dice) -> Result<Issue, Error> {
        let project = self.project_named(project)?;
        let catalogue = &*self.catalogue();
        let id = store.next_id();
        let now_ms = self.now_ms().max(store.last_created_ms());
        let issue = Issue {
            id,
            project,
            number: store.give_number(project, id),
            kind: *dice.pick(&[kind::STORY, kind::TASK, kind::BUG]),
            status: 0,
            priority: dice.below(5) as u8,
            assignee: dice.chance(0.5).then(|| writer(catalogue, dice)),
            reporter: writer(catalogue, dice),
            parent: None,
            created_ms: now_ms,
            updated_ms: now_ms,
            resolved_ms: None,
            edits: 0,
            history_updated_ms: now_ms,
            first_comment: 0,
            first_worklog: 0,
            comments: 0,
            worklogs: 0,
            changed: None,
            sprints: [0; 3],
            secured: false,
            noise: 0,
        };
        store.write(issue.clone(), self.search_due_ms());
        // Links follow from ids: an older issue may have got one by this.
        let other = link(catalogue.seed, id).filter(|link| store.live(link.other).is_some());
        if let Some(link) = other {
            self.change(store, &link.other.to_string(), |_, _, _| true)?;
        }
        Ok(issue)
    }

    fn delete(&self, store: &mut Store, named: &str) -> Result<Issue, Error> {
        let issue = self.existing(store, named)?;
        for child in store.children(issue.id).to_vec() {
            self.change(store, &child.to_string(), |child, _, _| {
                child.parent = None;
                true
            })?;
        }
        let other = link(self.catalogue().seed, issue.id).filter(|link| store.live(link.other).is_some());
        if let Some(link) = other {
            self.change_with(store, &link.other.to_string(), vec![Item::Unlinked(issue.id)], |_, _, _| true)?;
        }
        store.delete(issue.id, self.search_due_ms());
        Ok(issue)
    }

    fn relocate(&self, store: &mut Store, named: &str, project: &str, touching: bool) -> Result<Issue, Error> {
        let target = self.project_named(project)?;
        let issue = self.change(store, named, |issue, store, _| {
            if issue.project == target {
                return false;
            }
            issue.project = target;
            issue.number = store.give_number(target, issue.id);
            // Sprints belong to the project's board.
            issue.sprints = [0; 3];
            true
        })?;
        if !touching {
            return Ok(issue);
        }
        let other = link(self.catalogue().seed, issue.id).map(|link| link.other);
        let other = other.filter(|other| store.live(*other).is_some());
        for touched in store.children(issue.id).to_vec().into_iter().chain(other) {
            self.change(store, &touched.to_string(), |_, _, _| true)?;
        }
        Ok(issue)
    }
}

fn new_entry(id: u64, author: u16, now_ms: i64) -> Entry {
    Entry { id, author, update_author: author, created_ms: now_ms, updated_ms: now_ms, edits: 0 }
}

fn edit_one(entries: &mut [Entry], by: u16, now_ms: i64, dice: &mut Dice) -> bool {
    let chosen = dice.index(entries.len());
    let Some(entry) = entries.get_mut(chosen) else { return false };
    entry.edits += 1;
    entry.update_author = by;
    entry.updated_ms = now_ms;
    true
}

/// Answers the id of what was deleted.
fn delete_one(entries: &mut Vec<Entry>, dice: &mut Dice) -> Option<u64> {
    (!entries.is_empty()).then(|| entries.remove(dice.index(entries.len())).id)
}

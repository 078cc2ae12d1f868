//! The issues in memory, as written and as search shows them.
//!
//! Two views exist because Jira has two: a direct read sees the last write, search sees an index that is behind by the
//! configured lag. What must hold: every issue that search shows stands in each index exactly once, under the values of the
//! version that is shown.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use super::catalogue::Catalogue;
use super::generate::{FIRST_ISSUE_ID, Generated};
use super::history::first_free_id;
use super::issue::Issue;

/// A set of issues ordered by one number, ties by id.
pub(super) type Index = BTreeSet<(i64, u64)>;

struct Slot {
    /// Kept after deletion: never falls from one slot to the next, which makes the slots an index by creation.
    created_ms: i64,
    live: Option<Arc<Issue>>,
    shown: Option<Arc<Issue>>,
}

#[derive(Default)]
struct ProjectIndex {
    by_updated: Index,
    by_number: Index,
}

/// A write that search does not show yet.
struct Pending {
    due_ms: i64,
    id: u64,
    version: Option<Arc<Issue>>,
}

/// Worklogs of all issues, made when a feed is asked for the first time.
#[derive(Default)]
struct WorklogIndex {
    /// `updated`, id, issue.
    by_updated: BTreeSet<(i64, u64, u64)>,
    /// `updated` and issue by id.
    known: HashMap<u64, (i64, u64)>,
}

/// All issues of a site.
pub(super) struct Store {
    slots: Vec<Slot>,
    /// Every key that was ever given; a moved issue keeps answering to its old one.
    numbers: HashMap<(u16, u32), u64>,
    children: HashMap<u64, Vec<u64>>,
    by_updated: Index,
    projects: Vec<ProjectIndex>,
    pending: VecDeque<Pending>,
    next_number: Vec<u32>,
    pub(super) next_comment: u64,
    pub(super) next_worklog: u64,
    /// The next entry of a changelog.
    pub(super) next_event: u64,
    /// When and which, in that order; those of deleted issues are not told.
    pub(super) deleted_worklogs: Vec<(i64, u64)>,
    worklogs: Option<Box<WorklogIndex>>,
    /// Random mutations so far: the next one's place in the seeded history.
    pub(super) mutations: u64,
    /// Issues that were written since somebody looked, where somebody does.
    pub(super) touched: Option<Vec<u64>>,
}

impl Store {
    pub(super) fn new(made: Generated) -> Self {
        let mut projects: Vec<ProjectIndex> = made.next_number.iter().map(|_| ProjectIndex::default()).collect();
        let mut children: HashMap<u64, Vec<u64>> = HashMap::new();
        for issue in &made.issues {
            if let Some(parent) = issue.parent {
                children.entry(parent).or_default().push(issue.id);
            }
        }
        for (project, index) in (0u16..).zip(&mut projects) {
            let own = || made.issues.iter().filter(|issue| issue.project == project);
            // One pass per project is dear when there are thousands of them; they are filled below instead.
            if made.next_number.len() <= 16 {
                index.by_updated = own().map(|issue| (issue.updated_ms, issue.id)).collect();
                index.by_number = own().map(|issue| (i64::from(issue.number), issue.id)).collect();
            }
        }
        if projects.len() > 16 {
            for issue in &made.issues {
                let index = &mut projects[usize::from(issue.project)];
                index.by_updated.insert((issue.updated_ms, issue.id));
                index.by_number.insert((i64::from(issue.number), issue.id));
            }
        }
        Self {
            next_event: first_free_id(FIRST_ISSUE_ID, made.issues.len()),
            deleted_worklogs: Vec::new(),
            touched: None,
            worklogs: None,
            numbers: made.issues.iter().map(|issue| ((issue.project, issue.number), issue.id)).collect(),
            by_updated: made.issues.iter().map(|issue| (issue.updated_ms, issue.id)).collect(),
            slots: made
                .issues
                .into_iter()
                .map(|issue| Slot { created_ms: issue.created_ms, live: Some(issue.clone()), shown: Some(issue) })
                .collect(),
            children,
            projects,
            pending: VecDeque::new(),
            next_number: made.next_number,
            next_comment: made.next_comment,
            next_worklog: made.next_worklog,
            mutations: 0,
        }
    }

    pub(super) fn has_worklog_index(&self) -> bool {
        self.worklogs.is_some()
    }

    /// Makes the index of all worklogs; O(worklogs).
    pub(super) fn index_worklogs(&mut self, catalogue: &Catalogue) {
        let mut index = WorklogIndex::default();
        for issue in self.slots.iter().filter_map(|slot| slot.live.as_ref()) {
            for entry in (0..issue.worklog_count()).map(|at| issue.worklog(catalogue, at)) {
                index.by_updated.insert((entry.updated_ms, entry.id, issue.id));
                index.known.insert(entry.id, (entry.updated_ms, issue.id));
            }
        }
        self.worklogs = Some(Box::new(index));
    }

    /// Moves an issue's worklogs in the index from one version to the next; `None` for no version.
    fn reindex_worklogs(&mut self, before: Option<&Issue>, after: Option<&Issue>) {
        let Some(index) = &mut self.worklogs else { return };
        let ids: Vec<u64> = match before {
            None => Vec::new(),
            Some(Issue { changed: Some(changed), .. }) => changed.worklogs.iter().map(|entry| entry.id).collect(),
            Some(issue) => (issue.first_worklog..issue.first_worklog + u64::from(issue.worklogs)).collect(),
        };
        for id in ids {
            if let Some((updated_ms, issue)) = index.known.remove(&id) {
                index.by_updated.remove(&(updated_ms, id, issue));
            }
        }
        // A version that is stored is a changed one, or a new issue without worklogs.
        let Some((issue, changed)) = after.and_then(|issue| Some((issue.id, issue.changed.as_ref()?))) else { return };
        for entry in &changed.worklogs {
            index.by_updated.insert((entry.updated_ms, entry.id, issue));
            index.known.insert(entry.id, (entry.updated_ms, issue));
        }
    }

    /// Worklogs that were updated from `since` to `until`: when, id, issue.
    pub(super) fn worklogs_since(&self, since: i64, until: i64) -> impl Iterator<Item = (i64, u64, u64)> {
        let range = (since, 0, 0)..=(until.max(since), u64::MAX, u64::MAX);
        self.worklogs.iter().flat_map(move |index| index.by_updated.range(range.clone()).copied())
    }

    /// The issue of a worklog that exists.
    pub(super) fn issue_of_worklog(&self, id: u64) -> Option<u64> {
        self.worklogs.as_ref()?.known.get(&id).map(|(_, issue)| *issue)
    }

    fn at(id: u64) -> usize {
        usize::try_from(id.wrapping_sub(FIRST_ISSUE_ID)).unwrap_or(usize::MAX)
    }

    /// The issue as last written.
    pub(super) fn live(&self, id: u64) -> Option<&Arc<Issue>> {
        self.slots.get(Self::at(id))?.live.as_ref()
    }

    /// The issue as search shows it.
    pub(super) fn shown(&self, id: u64) -> Option<&Arc<Issue>> {
        self.slots.get(Self::at(id))?.shown.as_ref()
    }

    /// The id behind a present or former key.
    pub(super) fn id_of(&self, key: (u16, u32)) -> Option<u64> {
        self.numbers.get(&key).copied()
    }

    /// Issues that hang under `parent`.
    pub(super) fn children(&self, parent: u64) -> &[u64] {
        self.children.get(&parent).map_or(&[], Vec::as_slice)
    }

    /// Number of ids ever given, deleted ones included.
    pub(super) fn ids_given(&self) -> usize {
        self.slots.len()
    }

    /// The id that the next new issue gets.
    pub(super) fn next_id(&self) -> u64 {
        FIRST_ISSUE_ID + self.slots.len() as u64
    }

    /// When the newest issue was created.
    pub(super) fn last_created_ms(&self) -> i64 {
        self.slots.last().map_or(0, |slot| slot.created_ms)
    }

    /// A fresh number in `project`, leading to the issue `id`.
    pub(super) fn give_number(&mut self, project: u16, id: u64) -> u32 {
        let next = &mut self.next_number[usize::from(project)];
        let number = *next;
        *next += 1;
        self.numbers.insert((project, number), id);
        number
    }

    /// Stores a new version; search shows it from `due_ms` on.
    pub(super) fn write(&mut self, issue: Issue, due_ms: Option<i64>) {
        let (id, created_ms) = (issue.id, issue.created_ms);
        let at = Self::at(id);
        if at == self.slots.len() {
            self.slots.push(Slot { created_ms, live: None, shown: None });
            if let Some(parent) = issue.parent {
                self.children.entry(parent).or_default().push(id);
            }
        }
        if let Some(touched) = &mut self.touched {
            touched.push(id);
        }
        let issue = Arc::new(issue);
        let before = self.slots[at].live.replace(issue.clone());
        self.reindex_worklogs(before.as_deref(), Some(&issue));
        self.publish(id, Some(issue), due_ms);
    }

    /// Deletes an issue; search stops showing it at `due_ms`.
    pub(super) fn delete(&mut self, id: u64, due_ms: Option<i64>) {
        if let Some(issue) = self.slots[Self::at(id)].live.take() {
            if let Some(siblings) = issue.parent.and_then(|parent| self.children.get_mut(&parent)) {
                siblings.retain(|child| *child != id);
            }
            self.children.remove(&id);
            self.reindex_worklogs(Some(&issue), None);
            self.publish(id, None, due_ms);
        }
    }

    fn publish(&mut self, id: u64, version: Option<Arc<Issue>>, due_ms: Option<i64>) {
        match (due_ms, self.pending.back()) {
            (None, None) => self.show(id, version),
            // Versions become visible in the order in which they were written, also when the lag was shortened meanwhile.
            (due_ms, back) => {
                let due_ms = due_ms.unwrap_or(0).max(back.map_or(0, |back| back.due_ms));
                self.pending.push_back(Pending { due_ms, id, version });
            }
        }
    }

    /// True when [`Self::settle`] would change what search shows.
    pub(super) fn unsettled(&self, now_ms: i64) -> bool {
        self.pending.front().is_some_and(|first| first.due_ms <= now_ms)
    }

    /// Lets search show what is due.
    pub(super) fn settle(&mut self, now_ms: i64) {
        while self.unsettled(now_ms) {
            if let Some(Pending { id, version, .. }) = self.pending.pop_front() {
                self.show(id, version);
            }
        }
    }

    fn show(&mut self, id: u64, version: Option<Arc<Issue>>) {
        let slot = &mut self.slots[Self::at(id)];
        if let Some(old) = slot.shown.take() {
            let index = &mut self.projects[usize::from(old.project)];
            index.by_updated.remove(&(old.updated_ms, id));
            index.by_number.remove(&(i64::from(old.number), id));
            self.by_updated.remove(&(old.updated_ms, id));
        }
        if let Some(new) = &version {
            let index = &mut self.projects[usize::from(new.project)];
            index.by_updated.insert((new.updated_ms, id));
            index.by_number.insert((i64::from(new.number), id));
            self.by_updated.insert((new.updated_ms, id));
        }
        slot.shown = version;
    }

    /// Issues that search shows by `updated`, of one project or of all.
    pub(super) fn by_updated(&self, project: Option<u16>) -> &Index {
        project.map_or(&self.by_updated, |project| &self.projects[usize::from(project)].by_updated)
    }

    /// Issues that search shows of one project, by the number in their key.
    pub(super) fn by_number(&self, project: u16) -> &Index {
        &self.projects[usize::from(project)].by_number
    }

    /// Issues that exist, in the order of their ids.
    pub(super) fn all_live(&self) -> impl Iterator<Item = &Arc<Issue>> {
        self.slots.iter().filter_map(|slot| slot.live.as_ref())
    }

    /// Issues that search shows with ids from `first` to `last`, which is the order of their creation.
    pub(super) fn between_ids(&self, first: u64, last: u64) -> impl DoubleEndedIterator<Item = &Arc<Issue>> {
        let end = if last < FIRST_ISSUE_ID { 0 } else { Self::at(last).saturating_add(1).min(self.slots.len()) };
        let start = Self::at(first.max(FIRST_ISSUE_ID)).min(end);
        self.slots[start..end].iter().filter_map(|slot| slot.shown.as_ref())
    }

    pub(super) fn project_count(&self) -> u16 {
        self.projects.len() as u16
    }

    /// The first id created at or after `created_ms`.
    pub(super) fn first_id_created(&self, created_ms: i64) -> u64 {
        FIRST_ISSUE_ID + self.slots.partition_point(|slot| slot.created_ms < created_ms) as u64
    }
}

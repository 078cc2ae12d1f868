//! The state of one issue: what queries look at is kept, everything else is made again from the seed when asked for.

use super::catalogue::Catalogue;
use super::history::Event;
use super::seed::{Dice, Purpose};

/// One issue, about 130 bytes. A changed issue is a new value; pages that are being rendered keep the old one.
#[derive(Clone, Debug)]
pub(super) struct Issue {
    pub(super) id: u64,
    /// Index in [`Catalogue::projects`].
    pub(super) project: u16,
    pub(super) number: u32,
    /// Index in [`Catalogue::types`].
    pub(super) kind: u8,
    /// Index in [`Catalogue::statuses`].
    pub(super) status: u8,
    /// Index in [`Catalogue::priorities`].
    pub(super) priority: u8,
    /// Index in [`Catalogue::people`].
    pub(super) assignee: Option<u16>,
    pub(super) reporter: u16,
    /// Id of the parent.
    pub(super) parent: Option<u64>,
    pub(super) created_ms: i64,
    pub(super) updated_ms: i64,
    pub(super) resolved_ms: Option<i64>,
    /// Version of summary, description and the other free fields.
    pub(super) edits: u32,
    /// `updated_ms` at the end of the generated history, by which generated comments and worklogs are spread.
    pub(super) history_updated_ms: i64,
    pub(super) first_comment: u64,
    pub(super) first_worklog: u64,
    pub(super) comments: u16,
    pub(super) worklogs: u16,
    /// Comments, worklogs and changelog once the issue differs from the generated one.
    pub(super) changed: Option<Box<Threads>>,
    /// The sprints that it is or was in, by number plus one, oldest first; zeros at the end.
    pub(super) sprints: [u8; 3],
    /// Has a security level: hidden from accounts that may not see such issues.
    pub(super) secured: bool,
    /// Generated entries of the changelog that tell nothing.
    pub(super) noise: u8,
}

/// Comments and worklogs of one issue, and its changelog; oldest first.
#[derive(Clone, Debug)]
pub(super) struct Threads {
    pub(super) comments: Vec<Entry>,
    pub(super) worklogs: Vec<Entry>,
    pub(super) history: Vec<Event>,
}

/// A comment or a worklog; its text follows from id and edits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) id: u64,
    pub(super) author: u16,
    pub(super) update_author: u16,
    pub(super) created_ms: i64,
    pub(super) updated_ms: i64,
    pub(super) edits: u32,
}

impl Issue {
    /// How many comments there are.
    pub(super) fn comment_count(&self) -> usize {
        self.changed.as_ref().map_or(usize::from(self.comments), |threads| threads.comments.len())
    }

    /// How many worklogs there are.
    pub(super) fn worklog_count(&self) -> usize {
        self.changed.as_ref().map_or(usize::from(self.worklogs), |threads| threads.worklogs.len())
    }

    /// The comment at position `at`, oldest first; `at` is below [`Self::comment_count`].
    pub(super) fn comment(&self, catalogue: &Catalogue, at: usize) -> Entry {
        match &self.changed {
            Some(threads) => threads.comments[at],
            None => self.generated(catalogue, Purpose::Comment, self.first_comment, usize::from(self.comments), at),
        }
    }

    /// The worklog at position `at`, oldest first; `at` is below [`Self::worklog_count`].
    pub(super) fn worklog(&self, catalogue: &Catalogue, at: usize) -> Entry {
        match &self.changed {
            Some(threads) => threads.worklogs[at],
            None => self.generated(catalogue, Purpose::Worklog, self.first_worklog, usize::from(self.worklogs), at),
        }
    }

    /// The comments and worklogs in a form that can be changed.
    pub(super) fn threads_mut(&mut self, catalogue: &Catalogue) -> &mut Threads {
        let threads = match self.changed.take() {
            Some(threads) => threads,
            None => Box::new(Threads {
                comments: (0..self.comment_count()).map(|at| self.comment(catalogue, at)).collect(),
                worklogs: (0..self.worklog_count()).map(|at| self.worklog(catalogue, at)).collect(),
                history: self.history(catalogue),
            }),
        };
        self.changed.insert(threads)
    }

    fn generated(&self, catalogue: &Catalogue, purpose: Purpose, first: u64, count: usize, at: usize) -> Entry {
        let id = first + at as u64;
        let mut dice = Dice::new(catalogue.seed, purpose, id, u64::MAX);
        let span = self.history_updated_ms - self.created_ms;
        let created_ms = self.created_ms + span * (at as i64 + 1) / (count as i64 + 1);
        let author = writer(catalogue, &mut dice);
        let edited = dice.chance(0.1);
        Entry {
            id,
            author,
            update_author: if edited { writer(catalogue, &mut dice) } else { author },
            created_ms,
            updated_ms: if edited { (created_ms + self.history_updated_ms) / 2 } else { created_ms },
            edits: 0,
        }
    }
}

/// Somebody who writes: not one of the API accounts.
pub(super) fn writer(catalogue: &Catalogue, dice: &mut Dice) -> u16 {
    let first = usize::from(catalogue.first_writer);
    (first + dice.index(catalogue.people.len() - first)) as u16
}

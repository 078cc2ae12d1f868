//! The history with which a site begins.
//!
//! Issues are numbered in the order in which they were created, over all projects; some share one `updated` to the
//! millisecond, as after a bulk edit, which is where cursors go wrong.

use std::sync::Arc;

use super::attributes::Attributes;
use super::catalogue::{Catalogue, FIRST_DONE, kind};
use super::history::noise;
use super::issue::{Issue, writer};
use super::options::{Amount, Options};
use super::seed::{Dice, Purpose};

/// Id of the first issue of a site.
pub(super) const FIRST_ISSUE_ID: u64 = 10_000;
const FIRST_THREAD_ID: u64 = 20_000;

/// What generation leaves behind.
pub(super) struct Generated {
    pub(super) issues: Vec<Arc<Issue>>,
    /// Next free number of each project.
    pub(super) next_number: Vec<u32>,
    pub(super) next_comment: u64,
    pub(super) next_worklog: u64,
}

/// Makes all issues; O(n log n) in their number.
pub(super) fn generate(options: &Options, catalogue: &Catalogue, end_ms: i64) -> Generated {
    let order = interleave(&quotas(options));
    let total = order.len() as i64;
    let span_ms = i64::from(options.history_days.max(1)) * 86_400_000;
    let mut made = Generated {
        issues: Vec::with_capacity(order.len()),
        next_number: vec![1; catalogue.projects.len()],
        next_comment: FIRST_THREAD_ID,
        next_worklog: FIRST_THREAD_ID,
    };
    let mut parents = vec![Parents::default(); catalogue.projects.len()];
    for (at, project) in order.into_iter().enumerate() {
        let id = FIRST_ISSUE_ID + at as u64;
        let mut dice = Dice::new(options.seed, Purpose::Issue, id, 0);
        let created_ms = end_ms - span_ms + span_ms * at as i64 / total + dice.below((span_ms / total) as u64) as i64;
        let updated_ms = last_change(&mut dice, created_ms, end_ms);
        let number = made.next_number[usize::from(project)];
        made.next_number[usize::from(project)] += 1;
        let comments = amount(options, options.comments, &mut dice);
        let worklogs = amount(options, options.worklogs, &mut dice);
        let (kind, parent) = parents[usize::from(project)].place(&mut dice, id);
        let status = *dice.pick(&[0, 0, 1, 2, 3, 3, 3, 4]);
        // A stream of its own: what is added here later changes nothing else.
        let mut own = Dice::new(options.seed, Purpose::Security, id, 0);
        made.issues.push(Arc::new(Issue {
            id,
            project,
            number,
            kind,
            status,
            priority: *dice.pick(&[0, 1, 2, 2, 2, 2, 3, 4]),
            assignee: dice.chance(0.8).then(|| writer(catalogue, &mut dice)),
            reporter: writer(catalogue, &mut dice),
            parent,
            created_ms,
            updated_ms,
            resolved_ms: (status >= FIRST_DONE).then_some(updated_ms - (updated_ms - created_ms) / 8),
            edits: 0,
            history_updated_ms: updated_ms,
            first_comment: made.next_comment,
            first_worklog: made.next_worklog,
            comments,
            worklogs,
            changed: None,
            sprints: Attributes::of(options.seed, id, 0).sprints(),
            secured: own.chance(options.secured),
            noise: noise(own.chance(options.long_threads), &mut own),
        }));
        made.next_comment += u64::from(comments);
        made.next_worklog += u64::from(worklogs);
    }
    made
}

/// Issues that later ones may hang under.
#[derive(Clone, Default)]
struct Parents {
    epic: Option<u64>,
    standard: Option<u64>,
}

impl Parents {
    fn place(&mut self, dice: &mut Dice, id: u64) -> (u8, Option<u64>) {
        match dice.below(20) {
            0 => {
                self.epic = Some(id);
                (kind::EPIC, None)
            }
            1..=3 if self.standard.is_some() => (kind::SUBTASK, self.standard),
            roll => {
                self.standard = Some(id);
                let kind = [kind::STORY, kind::TASK, kind::BUG][(roll % 3) as usize];
                (kind, self.epic.filter(|_| roll % 2 == 0))
            }
        }
    }
}

/// Number of issues of each project.
fn quotas(options: &Options) -> Vec<u32> {
    let sharing = options.projects.iter().filter(|spec| spec.issues.is_none()).count() as u32;
    let mut nth = 0;
    let mut share = || {
        nth += 1;
        options.issues / sharing + u32::from(nth <= options.issues % sharing)
    };
    options.projects.iter().map(|spec| spec.issues.unwrap_or_else(&mut share)).collect()
}

/// The project of each issue in order of creation, every project growing at its own steady pace.
fn interleave(quotas: &[u32]) -> Vec<u16> {
    let mut slots: Vec<(u64, u16)> = Vec::with_capacity(quotas.iter().map(|quota| *quota as usize).sum());
    for (project, &quota) in (0u16..).zip(quotas) {
        slots.extend((0..u64::from(quota)).map(|nth| (((2 * nth + 1) << 32) / u64::from(quota), project)));
    }
    slots.sort_unstable();
    slots.into_iter().map(|(_, project)| project).collect()
}

fn last_change(dice: &mut Dice, created_ms: i64, end_ms: i64) -> i64 {
    const BULK_EVERY_MS: i64 = 45 * 86_400_000;
    let bulk_ms = (created_ms / BULK_EVERY_MS + 1) * BULK_EVERY_MS;
    if bulk_ms <= end_ms && dice.chance(0.05) {
        return bulk_ms;
    }
    let share = dice.fraction();
    created_ms + ((end_ms - created_ms) as f64 * share * share) as i64
}

fn amount(options: &Options, amount: Amount, dice: &mut Dice) -> u16 {
    if dice.chance(options.long_threads) {
        return 25 + dice.below(126) as u16;
    }
    match amount {
        Amount::Exactly(count) => count,
        // An exponential distribution has the shape of real threads: mostly few, sometimes many.
        Amount::About(mean) => (-mean * (1.0 - dice.fraction()).ln()).round().min(400.0) as u16,
    }
}

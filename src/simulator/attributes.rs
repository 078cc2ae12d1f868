//! The fields that nobody searches by: made from the seed, new with every edit.

use super::catalogue::{COMPONENTS, VERSIONS, kind};
use super::seed::{Dice, Purpose};

#[rustfmt::skip] // a table
const LABELS: [&str; 12] = [
    "backend", "frontend", "regression", "customer", "security", "performance", "tech-debt", "ux", "größe", "q3",
    "infra", "docs",
];
const POINTS: [&str; 8] = ["", "", "0.5", "1.0", "2.0", "3.0", "5.0", "8.0"];

/// Such fields of one version of an issue.
#[derive(Clone, Debug)]
pub(super) struct Attributes {
    pub(super) no_description: bool,
    pub(super) due_in_days: Option<i64>,
    pub(super) estimate_seconds: Option<i64>,
    bits: u64,
    /// For the custom fields.
    pub(super) more: u64,
}

impl Attributes {
    /// The fields of the issue `id` after `edits` edits.
    pub(super) fn of(seed: u64, id: u64, edits: u32) -> Self {
        let mut dice = Dice::new(seed, Purpose::Attributes, id, u64::from(edits));
        Self {
            no_description: dice.chance(0.1),
            due_in_days: dice.chance(0.3).then(|| 3 + dice.below(60) as i64),
            estimate_seconds: dice.chance(0.5).then(|| 1_800 * (1 + dice.below(40) as i64)),
            bits: dice.next(),
            more: dice.next(),
        }
    }

    pub(super) fn labels(&self) -> impl Iterator<Item = &'static str> {
        // Three bits each, all set: a label has a chance of one in eight.
        let bits = self.bits;
        LABELS.iter().enumerate().filter(move |(at, _)| bits >> (3 * at) & 7 == 7).map(|(_, label)| *label)
    }

    /// Place in [`COMPONENTS`].
    pub(super) fn component(&self) -> Option<usize> {
        Some((self.bits >> 36 & 7) as usize).filter(|at| *at < COMPONENTS.len())
    }

    /// Place in [`VERSIONS`] of the version in which the issue is to be fixed.
    pub(super) fn fix_version(&self) -> Option<usize> {
        Some((self.bits >> 39 & 7) as usize).filter(|at| *at < VERSIONS.len())
    }

    /// Place in [`VERSIONS`] of the version that has it.
    pub(super) fn affected_version(&self) -> Option<usize> {
        Some((self.bits >> 52 & 15) as usize).filter(|at| *at < VERSIONS.len())
    }

    /// The estimate as a JSON number; nothing for sub-tasks.
    pub(super) fn points(&self, issue_kind: u8) -> Option<&'static str> {
        let points = POINTS[(self.bits >> 42 & 7) as usize];
        Some(points).filter(|points| issue_kind != kind::SUBTASK && !points.is_empty())
    }

    /// The sprints of a generated issue, by number plus one, oldest first; zeros for none.
    pub(super) fn sprints(&self) -> [u8; 3] {
        match (self.bits >> 45 & 15) as u8 {
            10.. => [0; 3],
            // Work that was not finished in one sprint is taken into the next.
            number @ 1..=8 if self.bits >> 49 & 7 < 2 => [number, number + 1, 0],
            number => [number + 1, 0, 0],
        }
    }
}

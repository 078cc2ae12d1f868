//! Windows of time: which of Jira's updates a run looks at, and how a large one is divided.
//!
//! What must hold: windows are half-open, `from <= updated < to`, in whole milliseconds (Jira's resolution), so that
//! neighbours share a bound and no issue falls between them or into both.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// A half-open range of `updated`, without bound where it is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The first instant inside; `None` reaches back to the beginning.
    pub from: Option<DateTime<Utc>>,
    /// The first instant outside; `None` is open: updates that happen meanwhile are inside.
    pub to: Option<DateTime<Utc>>,
}

impl Window {
    /// Everything.
    pub const FULL: Self = Self { from: None, to: None };

    /// Whether an issue updated at `instant` is inside.
    pub fn contains(&self, instant: DateTime<Utc>) -> bool {
        self.from.is_none_or(|from| from <= instant) && self.to.is_none_or(|to| instant < to)
    }

    /// Whether every issue is inside.
    pub fn is_full(&self) -> bool {
        *self == Self::FULL
    }
}

/// The window of an incremental run: from the oldest cursor of the entities, less `overlap`, which covers updates that
/// Jira's index showed late. An entity that was never synchronised, or no entity at all, makes the window full.
pub fn incremental(cursors: &[Option<DateTime<Utc>>], overlap: TimeDelta) -> Window {
    let oldest = cursors.iter().copied().min().flatten(); // `None` sorts before every time
    Window { from: oldest.map(|oldest| floor_millis(oldest - overlap.max(TimeDelta::zero()))), to: None }
}

/// Divides everything into at most `partitions` windows that hold about the same number of issues each.
///
/// `counts` are the estimated numbers of issues in the parts of `oldest..newest` that [`part_start`] makes, in order. Within
/// a part issues are taken to be spread evenly, so the bounds lie inside parts too. The first window is open to the left and
/// the last to the right: the estimate may miss an issue, the windows must not.
pub fn split(oldest: DateTime<Utc>, newest: DateTime<Utc>, counts: &[u64], partitions: usize) -> Vec<Window> {
    let total: u128 = counts.iter().copied().map(u128::from).sum();
    let shares = partitions.max(1) as u128;
    let mut bounds: Vec<DateTime<Utc>> = Vec::new();
    let (mut part, mut before) = (0, 0u128); // the issues left of `part`
    for share in 1..shares.min(total.max(1)) {
        // Multiplied by the number of shares, so that nothing is rounded.
        let wanted = share * total;
        while let Some(count) = counts.get(part).copied().map(u128::from)
            && (before + count) * shares < wanted
        {
            before += count;
            part += 1;
        }
        let Some(count) = counts.get(part).copied().filter(|count| *count > 0) else { break };
        let (start, end) =
            (part_start(oldest, newest, part, counts.len()), part_start(oldest, newest, part + 1, counts.len()));
        let inside = (wanted - before * shares) as f64 / (shares * u128::from(count)) as f64;
        let bound = start + TimeDelta::milliseconds(((end - start).num_milliseconds() as f64 * inside) as i64);
        if bound > oldest && bound < newest && bounds.last().is_none_or(|&last| last < bound) {
            bounds.push(bound);
        }
    }
    let froms = std::iter::once(None).chain(bounds.iter().copied().map(Some));
    let tos = bounds.iter().copied().map(Some).chain(std::iter::once(None));
    froms.zip(tos).map(|(from, to)| Window { from, to }).collect()
}

/// Where part `index` of `parts` parts of `oldest..newest` starts; count the issues of a part between two of these. Parts
/// are shorter towards the end, since most issues were last changed lately: they hold the same number where it grows evenly.
pub fn part_start(oldest: DateTime<Utc>, newest: DateTime<Utc>, index: usize, parts: usize) -> DateTime<Utc> {
    let span = (newest - oldest).num_milliseconds().max(0);
    let share = (index as f64 / parts.max(1) as f64).sqrt();
    floor_millis(oldest) + TimeDelta::milliseconds(((span as f64 * share) as i64).min(span))
}

/// Jira keeps and compares times in milliseconds; finer digits would make a bound miss its own issue.
fn floor_millis(instant: DateTime<Utc>) -> DateTime<Utc> {
    instant.trunc_subsecs(3)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(millis).unwrap()
    }

    #[test]
    fn an_incremental_window_starts_before_the_oldest_cursor() {
        let cursors = [Some(at(900_000)), Some(at(600_000)), Some(at(700_000))];
        let window = incremental(&cursors, TimeDelta::minutes(5));
        assert_eq!(window, Window { from: Some(at(300_000)), to: None });
    }

    #[test]
    fn an_entity_without_a_cursor_makes_the_window_full() {
        assert!(incremental(&[Some(at(900_000)), None], TimeDelta::minutes(5)).is_full());
        assert!(incremental(&[], TimeDelta::minutes(5)).is_full());
    }

    #[test]
    fn a_bound_has_whole_milliseconds() {
        let cursor = at(900_000) + TimeDelta::nanoseconds(999_999);
        assert_eq!(incremental(&[Some(cursor)], TimeDelta::zero()).from, Some(at(900_000)));
    }

    #[test]
    fn a_dense_end_of_the_history_is_divided_more_finely() {
        let froms = |counts: &[u64], partitions| -> Vec<_> {
            split(at(0), at(8_000), counts, partitions).iter().map(|window| window.from).collect()
        };
        let part = |index| Some(part_start(at(0), at(8_000), index, 8));
        assert_eq!(froms(&[0, 0, 0, 0, 10, 10, 10, 10], 4), [None, part(5), part(6), part(7)]);
        // The last of two parts begins at 8,000 / √2.
        assert_eq!(froms(&[0, 40], 4), [None, Some(at(6_242)), Some(at(6_828)), Some(at(7_414))], "and within a part");
    }

    #[test]
    fn an_empty_or_instant_history_is_one_full_window() {
        assert_eq!(split(at(0), at(8_000), &[], 4), [Window::FULL]);
        assert_eq!(split(at(0), at(8_000), &[0, 0], 4), [Window::FULL]);
        assert_eq!(split(at(5), at(5), &[7, 7], 4), [Window::FULL]);
        assert_eq!(split(at(0), at(8_000), &[7, 7], 0), [Window::FULL]);
    }

    proptest! {
        #[test]
        fn windows_cover_every_instant_exactly_once(
            oldest in 0i64..2_000_000_000_000,
            span in 0i64..400_000_000_000,
            counts in prop::collection::vec(0u64..5_000, 0..64),
            partitions in 0usize..20,
            probes in prop::collection::vec(-10_000i64..400_000_010_000, 20),
        ) {
            let windows = split(at(oldest), at(oldest + span), &counts, partitions);
            prop_assert!(!windows.is_empty() && windows.len() <= partitions.max(1));
            prop_assert_eq!(windows[0].from, None);
            prop_assert_eq!(windows[windows.len() - 1].to, None);
            for pair in windows.windows(2) {
                prop_assert!(pair[0].to.is_some() && pair[0].to == pair[1].from);
                prop_assert!(pair[1].to.is_none_or(|to| Some(to) > pair[1].from));
            }
            let bounds = windows.iter().filter_map(|window| window.from).map(|from| from.timestamp_millis() - oldest);
            for probe in bounds.flat_map(|bound| [bound - 1, bound]).chain(probes) {
                let inside = windows.iter().filter(|window| window.contains(at(oldest + probe))).count();
                prop_assert_eq!(inside, 1, "at {}", probe);
            }
        }

        #[test]
        fn no_window_exceeds_an_even_share_of_evenly_spread_issues(
            counts in prop::collection::vec(0u64..5_000, 1..64),
            partitions in 1usize..20,
        ) {
            let (oldest, newest) = (at(0), at(1_000_000_000_000));
            let total: u64 = counts.iter().sum();
            let millis = |at: DateTime<Utc>| at.timestamp_millis() as f64;
            for window in split(oldest, newest, &counts, partitions) {
                let (from, to) = (millis(window.from.unwrap_or(oldest)), millis(window.to.unwrap_or(newest)));
                let overlap = |part: usize| {
                    let start = millis(part_start(oldest, newest, part, counts.len()));
                    let end = millis(part_start(oldest, newest, part + 1, counts.len()));
                    (end.min(to) - start.max(from)).max(0.0) / (end - start)
                };
                let held: f64 = (0..counts.len()).map(|part| overlap(part) * counts[part] as f64).sum();
                prop_assert!(held <= total as f64 / partitions.min(total.max(1) as usize) as f64 + 0.1, "{} of {}", held, total);
            }
        }
    }
}

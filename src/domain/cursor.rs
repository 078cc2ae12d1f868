//! Cursors: through which time an entity of a project has been applied.
//!
//! What must hold (invariant 5): a cursor moves forward only, over applied pages only. When it says T, every issue that
//! Jira showed as updated before T has been applied. T itself may belong to an issue on the next page, which is why windows
//! include their lower bound. Times have whole milliseconds, as Jira's do.
//!
//! What Jira dates is not trusted: an issue may be dated ahead of every clock. No cursor passes the time at which a page was
//! asked for by the word of that page, since nobody knows yet what will be updated after it.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

/// A site whose clock seems to be further behind than this has no clock: something between it and us writes odd dates.
const NO_CLOCK: TimeDelta = TimeDelta::days(1);

/// How far a cursor may come by the word of an answer that was asked for at `asked_at`, by the database's clock, when it was
/// `theirs` on the site: the earlier of both, since either may be ahead of the clock that dates the issues.
pub fn bound(asked_at: DateTime<Utc>, theirs: Option<DateTime<Utc>>) -> DateTime<Utc> {
    theirs.filter(|theirs| asked_at - theirs < NO_CLOCK).map_or(asked_at, |theirs| theirs.min(asked_at))
}

/// The cursor after `candidate` was reached: the later of both.
pub fn advance<T: Ord>(current: Option<T>, candidate: T) -> Option<T> {
    Some(match current {
        Some(current) => current.max(candidate),
        None => candidate,
    })
}

/// A page of a partition, as far as cursors care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Whether its issues are in the replica.
    pub applied: bool,
    /// The latest `updated` on it; `None` when it held no issue.
    pub newest: Option<DateTime<Utc>>,
    /// When it was asked for.
    pub bound: DateTime<Utc>,
}

impl Page {
    /// Whether it holds an issue that is dated after the page was asked for.
    fn is_ahead(&self) -> bool {
        self.newest.is_some_and(|newest| newest > self.bound)
    }
}

/// A partition of a run's window: its pages so far, in the order of `updated`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// The pages that have been fetched.
    pub pages: Vec<Page>,
    /// Whether the last of them is the partition's last.
    pub complete: bool,
}

/// The time through which everything is applied; `None` when not even the first page is, or nothing was found.
///
/// `partitions` are in the order of time. The prefix ends at the first page that is not applied, and at the end of a
/// partition that has further pages: later partitions may be done already, yet there is a hole before them. It ends as well
/// where issues are dated ahead, at the time at which the first page of them was asked for: what was updated while the pages
/// after it were read sorts before them and is on none.
pub fn applied_prefix(partitions: &[Partition]) -> Option<DateTime<Utc>> {
    let mut through = None;
    for partition in partitions {
        for page in &partition.pages {
            if !page.applied {
                return through;
            }
            if page.is_ahead() {
                return advance(through, page.bound.trunc_subsecs(3));
            }
            if let Some(newest) = page.newest {
                through = advance(through, newest.trunc_subsecs(3));
            }
        }
        if !partition.complete {
            return through;
        }
    }
    through
}

/// Partitions that follow each other in time; a run that looks for the issues of many users walks several such chains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// In the order of time.
    pub partitions: Vec<Partition>,
    /// When its last page was asked for.
    pub last_asked: Option<DateTime<Utc>>,
}

impl Chain {
    fn is_applied(&self) -> bool {
        self.partitions.iter().all(|partition| partition.complete && partition.pages.iter().all(|page| page.applied))
    }

    fn is_ahead(&self) -> bool {
        self.partitions.iter().flat_map(|partition| &partition.pages).any(Page::is_ahead)
    }
}

/// The time through which every one of `chains` is applied. A chain that was walked to its end has no issue that was
/// updated before its last page was asked for and is not applied, so it lets the cursor pass to there, whatever its newest
/// issue is; a chain that is under way holds it where its prefix ends.
pub fn applied_by_all(chains: &[Chain]) -> Option<DateTime<Utc>> {
    let mut newest = None;
    let mut bound: Option<DateTime<Utc>> = None;
    for chain in chains {
        let through = applied_prefix(&chain.partitions);
        let reached = match chain.is_applied() && !chain.is_ahead() {
            true => through.max(chain.last_asked),
            false => through,
        };
        let reached = reached?;
        bound = Some(bound.map_or(reached, |bound| bound.min(reached)));
        newest = newest.max(through);
    }
    newest.min(bound)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(millis).unwrap()
    }

    /// Later than everything in these tests that is not to be ahead.
    fn late() -> DateTime<Utc> {
        at(1_000_000)
    }

    fn page(applied: bool, millis: i64) -> Page {
        Page { applied, newest: Some(at(millis)), bound: late() }
    }

    #[test]
    fn an_issue_dated_ahead_takes_the_cursor_to_its_pages_time() {
        let of = |newest: i64, bound: i64| Page { applied: true, newest: Some(at(newest)), bound: at(bound) };
        let whole = |pages: &[Page]| Partition { pages: pages.to_vec(), complete: true };
        assert_eq!(applied_prefix(&[whole(&[of(10, 50), of(90_000, 60)])]), Some(at(60)));
        assert_eq!(applied_prefix(&[whole(&[of(60, 60)])]), Some(at(60)), "as new as can be, and not ahead");
        // While the third page was asked for, something was updated at 65: it sorts before the second and was not seen.
        assert_eq!(applied_prefix(&[whole(&[of(10, 50), of(90_000, 60), of(95_000, 70)])]), Some(at(60)));
        assert_eq!(applied_prefix(&[whole(&[of(10, 50), of(90_000, 60)]), whole(&[of(99_000, 80)])]), Some(at(60)));
        // A clock that was put back between two pages takes nothing back.
        assert_eq!(applied_prefix(&[whole(&[of(40, 50), of(90_000, 30)])]), Some(at(40)));
        let unapplied = Page { applied: false, ..of(90_000, 60) };
        assert_eq!(applied_prefix(&[whole(&[of(10, 50), unapplied])]), Some(at(10)));
    }

    #[test]
    fn a_page_counts_up_to_when_it_was_asked_for() {
        let now = at(86_400_000 * 3);
        let minutes = TimeDelta::minutes(8);
        assert_eq!(bound(now, None), now);
        assert_eq!(bound(now, Some(now + minutes)), now, "a site that is ahead");
        assert_eq!(bound(now, Some(now - minutes)), now - minutes, "a site that is behind");
        assert_eq!(bound(now, Some(at(0))), now, "no clock at all");
    }

    #[test]
    fn no_chain_passes_the_first_page_that_is_ahead() {
        let chain = |pages: Vec<Page>, asked| Chain {
            partitions: vec![Partition { pages, complete: true }],
            last_asked: Some(at(asked)),
        };
        let of = |newest: i64, bound: i64| Page { applied: true, newest: Some(at(newest)), bound: at(bound) };
        assert_eq!(applied_by_all(&[chain(vec![of(10, 50), of(90_000, 60), of(95_000, 70)], 70)]), Some(at(60)));
        let calm = chain(vec![of(65, 80)], 80);
        assert_eq!(applied_by_all(&[chain(vec![of(90_000, 60), of(95_000, 70)], 70), calm]), Some(at(60)));
    }

    #[test]
    fn only_a_finished_chain_lets_the_cursor_pass() {
        let chain = |newest: &[i64], complete, fetched| Chain {
            partitions: vec![Partition { pages: newest.iter().map(|at| page(true, *at)).collect(), complete }],
            last_asked: Some(at(fetched)),
        };
        assert_eq!(applied_by_all(&[chain(&[10, 20], true, 100)]), Some(at(20)), "one chain: its newest issue");
        assert_eq!(applied_by_all(&[chain(&[10], true, 100), chain(&[70], true, 90)]), Some(at(70)));
        assert_eq!(
            applied_by_all(&[chain(&[10], true, 50), chain(&[70], true, 90)]),
            Some(at(50)),
            "asked for too early"
        );
        assert_eq!(applied_by_all(&[chain(&[10], false, 100), chain(&[70], true, 90)]), Some(at(10)));
        let empty = Chain { partitions: vec![Partition { pages: vec![], complete: true }], last_asked: Some(at(80)) };
        assert_eq!(applied_by_all(&[empty.clone(), chain(&[70], true, 90)]), Some(at(70)));
        assert_eq!(applied_by_all(&[empty]), None, "nothing was found at all");
        assert_eq!(applied_by_all(&[]), None);
    }

    #[test]
    fn a_hole_in_an_early_partition_holds_the_cursor_back() {
        let early = Partition { pages: vec![page(true, 10), page(false, 20), page(true, 30)], complete: true };
        let late = Partition { pages: vec![page(true, 40)], complete: true };
        assert_eq!(applied_prefix(&[early, late]), Some(at(10)));
    }

    #[test]
    fn a_partition_with_further_pages_ends_the_prefix() {
        let early = Partition { pages: vec![page(true, 10)], complete: false };
        let late = Partition { pages: vec![page(true, 40)], complete: true };
        assert_eq!(applied_prefix(&[early.clone(), late.clone()]), Some(at(10)));
        assert_eq!(applied_prefix(&[Partition { complete: true, ..early }, late]), Some(at(40)));
    }

    #[test]
    fn an_empty_partition_is_passed_but_not_an_unapplied_start() {
        let empty = Partition { pages: vec![Page { applied: true, newest: None, bound: late() }], complete: true };
        let done = Partition { pages: vec![page(true, 5)], complete: true };
        assert_eq!(applied_prefix(&[empty.clone(), done]), Some(at(5)));
        assert_eq!(applied_prefix(&[empty]), None);
        assert_eq!(applied_prefix(&[Partition { pages: vec![page(false, 5)], complete: true }]), None);
    }

    #[test]
    fn a_cursor_has_whole_milliseconds() {
        let newest = Some(at(5) + chrono::TimeDelta::nanoseconds(999_999));
        let partition = Partition { pages: vec![Page { applied: true, newest, bound: late() }], complete: true };
        assert_eq!(applied_prefix(&[partition]), Some(at(5)));
    }

    /// A page: whether it was applied, and when its issues were updated.
    type Dealt = (bool, Vec<i64>);

    /// Issues in the order of time, dealt out to pages and partitions (pages, whether complete); some pages applied.
    fn history() -> impl Strategy<Value = Vec<(Vec<Dealt>, bool)>> {
        let page = (prop::bool::weighted(0.8), prop::collection::vec(0i64..50, 0..4));
        let partition = (prop::collection::vec(page, 0..5), prop::bool::weighted(0.8));
        prop::collection::vec(partition, 0..4).prop_map(|mut partitions| {
            let mut now = 0;
            for (pages, _) in &mut partitions {
                for step in pages.iter_mut().flat_map(|(_, issues)| issues.iter_mut()) {
                    now += *step;
                    *step = now;
                }
            }
            partitions
        })
    }

    proptest! {
        #[test]
        fn every_issue_before_the_cursor_has_been_applied(history in history()) {
            let partitions: Vec<Partition> = history.iter().map(|(pages, complete)| Partition {
                pages: pages
                    .iter()
                    .map(|(applied, issues)| Page { applied: *applied, newest: issues.last().map(|&n| at(n)), bound: late() })
                    .collect(),
                complete: *complete,
            }).collect();
            let cursor = applied_prefix(&partitions);

            // The naive model: list the issues; cut the list at the first hole; the cursor is the last that is left.
            let mut listed: Vec<Option<i64>> = Vec::new(); // None marks a hole
            for (pages, complete) in &history {
                for (applied, issues) in pages {
                    if !applied {
                        listed.push(None);
                    }
                    listed.extend(issues.iter().copied().map(Some));
                }
                if !complete {
                    listed.push(None);
                }
            }
            let expected = listed.iter().map_while(|issue| *issue).last().map(at);
            prop_assert_eq!(cursor, expected);

            let unapplied = history.iter().flat_map(|(pages, _)| pages).filter(|(applied, _)| !applied);
            for issue in unapplied.flat_map(|(_, issues)| issues) {
                prop_assert!(cursor.is_none_or(|cursor| at(*issue) >= cursor));
            }
        }

        #[test]
        fn a_cursor_never_moves_back(candidates in prop::collection::vec(0u32..100, 1..50)) {
            let mut cursor = None;
            for candidate in candidates {
                let next = advance(cursor, candidate);
                prop_assert!(next >= cursor && next >= Some(candidate));
                cursor = next;
            }
        }
    }
}

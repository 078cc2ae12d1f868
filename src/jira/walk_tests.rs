//! The promises of [`super`].

use std::collections::BTreeSet;

use super::*;

/// Walks over what `rows` gives for a beginning and answers the ids met; ends after so many requests in any case.
fn walk(most_requests: usize, rows: impl FnMut(u64) -> Rows) -> Result<BTreeSet<i64>, Failure> {
    walk_to_end(most_requests, rows).map(|(met, _)| met)
}

/// The same with how many rows are missing.
fn walk_to_end(most_requests: usize, mut rows: impl FnMut(u64) -> Rows) -> Result<(BTreeSet<i64>, u64), Failure> {
    let (mut met, mut place) = (BTreeSet::new(), Place::default());
    let mut begin = 0;
    for _ in 0..most_requests {
        let page = rows(begin);
        match place.judge(begin, &page)? {
            Verdict::StepBack(to) => {
                assert!(to < begin, "a step back goes back");
                begin = to;
            }
            Verdict::Take(head) => {
                met.extend(page.ids);
                let Some(token) = head.next_page_token else { return Ok((met, head.missing)) };
                place = Place::parse(&token).unwrap();
                begin = place.begin;
            }
        }
    }
    panic!("the walk did not end after {most_requests} requests: {place:?}");
}

fn cut(all: &[i64], begin: u64, size: usize, total: bool) -> Rows {
    let begin = usize::try_from(begin).unwrap().min(all.len());
    let ids = all[begin..(begin + size).min(all.len())].to_vec();
    let total = total.then_some(all.len() as u64);
    Rows { ids, limit: size as u64, total, ..Rows::default() }
}

#[test]
fn every_row_is_read_for_any_page_size_without_a_total() {
    let all: Vec<i64> = (1..=157).collect();
    for size in [1, 2, 3, 7, 19, 20, 50, 157, 500] {
        for total in [true, false] {
            let met = walk(400, |begin| cut(&all, begin, size, total)).unwrap();
            assert_eq!(met.len(), 157, "pages of {size}, total {total}");
        }
    }
    assert!(walk(2, |begin| cut(&[], begin, 50, true)).unwrap().is_empty());
}

#[test]
fn no_row_is_skipped_while_issues_move_to_the_end() {
    for (moved_per_request, size) in [(1, 20), (9, 20), (15, 20), (30, 50), (49, 50)] {
        let mut all: Vec<i64> = (1..=600).collect();
        let (mut requests, mut seed) = (0, 7_usize);
        let met = walk(3_000, |begin| {
            requests += 1;
            let page = cut(&all, begin, size, requests % 2 == 0);
            // Changes fall on rows anywhere; they come to an end, as the changes inside a window do.
            for _ in 0..(if requests < 60 { moved_per_request } else { 0 }) {
                seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
                let row = all.remove(seed % all.len());
                all.push(row);
            }
            page
        });
        assert_eq!(met.unwrap().len(), 600, "{moved_per_request} moved per request, pages of {size}");
    }
}

#[test]
fn no_change_is_skipped_when_many_rows_move_between_pages() {
    for (size, pause, changes) in [(4, 3, 400), (8, 2, 150), (12, 5, 1_000), (12, 1, 30), (20, 4, 60)] {
        let mut ended = 0;
        for first_seed in 1..60_usize {
            let mut all: Vec<(i64, u32)> = (1..=240).map(|id| (id, 1)).collect();
            let (mut requests, mut seed, mut newest) = (0, first_seed, BTreeSet::<(i64, u32)>::new());
            let outcome = walk(3_000, |begin| {
                requests += 1;
                // The walker rests, and much happens: each change puts its row at the end.
                if requests % pause == 0 && requests < 20 {
                    for _ in 0..changes {
                        seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
                        let (id, version) = all.remove(seed / 1_024 % all.len());
                        all.push((id, version + 1));
                    }
                }
                let begin = usize::try_from(begin).unwrap().min(all.len());
                let page = &all[begin..(begin + size).min(all.len())];
                newest.extend(page);
                let (ids, versions) = page.iter().copied().unzip();
                Rows { ids, versions, limit: size as u64, total: Some(all.len() as u64), is_last: None }
            });
            // A walk that cannot be followed fails, and is tried again; one that ends has met everything as it is.
            if outcome.is_ok() {
                ended += 1;
                let skipped: Vec<_> = all.iter().filter(|row| !newest.contains(row)).collect();
                assert!(skipped.is_empty(), "pages of {size}, seed {first_seed}: {skipped:?}");
            }
        }
        assert!(ended > 30, "pages of {size}: {ended} of 59 walks came to an end");
    }
}

#[test]
fn rows_that_leave_the_window_hide_no_others() {
    let mut all: Vec<i64> = (1..=300).collect();
    let stay: BTreeSet<i64> = (1..=300).filter(|id| id % 3 != 0).collect();
    let met = walk(200, |begin| {
        let page = cut(&all, begin, 20, true);
        if let Some(at) = all.iter().position(|id| id % 3 == 0) {
            all.drain(at..=at);
        }
        page
    });
    assert!(met.unwrap().is_superset(&stay));
}

#[test]
fn a_server_that_repeats_one_full_page_fails() {
    let all: Vec<i64> = (1..=1_000).collect();
    let failure = walk(3, |_| cut(&all, 0, 50, true)).unwrap_err();
    assert_eq!(failure.code, FailureCode::SchemaChanged);
    assert!(failure.message.contains("50 issues") && failure.message.contains("1000"), "{failure}");
    // One that tells no total, or has no more, ends well.
    assert_eq!(walk_to_end(3, |_| cut(&all, 0, 50, false)).unwrap().1, 0);
    assert_eq!(walk_to_end(3, |_| cut(&all[..50], 0, 50, true)).unwrap().1, 0);
}

#[test]
fn a_repeated_partial_page_means_missing_rows_not_failure() {
    let page = |_| Rows { ids: vec![1, 2], limit: 50, total: Some(70), ..Rows::default() };
    let (met, missing) = walk_to_end(3, page).unwrap();
    assert_eq!((met.len(), missing), (2, 68));
}

#[test]
fn a_total_with_hidden_rows_ends_the_walk_and_counts_them() {
    let all: Vec<i64> = (1..=30).collect();
    for size in [7, 20, 30, 50] {
        let page = |begin| Rows { total: Some(500), ..cut(&all, begin, size, true) };
        let (met, missing) = walk_to_end(40, page).unwrap();
        assert_eq!((met.len(), missing), (30, 470), "pages of {size}");
    }
    assert_eq!(walk_to_end(2, |_| Rows { total: Some(5), ..Rows::default() }).unwrap(), (BTreeSet::new(), 5));
    let honest = walk_to_end(40, |begin| cut(&all, begin, 7, true)).unwrap();
    assert_eq!((honest.0.len(), honest.1), (30, 0));
}

#[test]
fn a_server_that_shuffles_its_rows_ends_the_walk() {
    let mut turn = 0;
    let outcome = walk(200, |_| {
        turn += 1;
        Rows { ids: (turn * 100..turn * 100 + 50).collect(), limit: 50, total: Some(1_000_000), ..Rows::default() }
    });
    assert_eq!(outcome.unwrap_err().code, FailureCode::ServerError);
}

#[test]
fn a_token_of_jiras_is_not_taken_for_one_of_ours() {
    for token in [
        "",
        "CAEaAggB",
        "rows-from:",
        "rows-from:1/2/x/0/1/1:1",
        "rows-from:1/2/f/0/1/a:1",
        "rows-from:1/2/f/0/1/1",
        "rows-from:1/2/f/0/1",
    ] {
        assert_eq!(Place::parse(token), None, "{token}");
    }
    let place = Place { begin: 90, rows: 100, digest: 0xAF, restarts: 1, pages: 3, last: vec![(5, 0), (6, 0xFE)] };
    assert_eq!(Place::parse(&place.token()), Some(place));
}

#[test]
fn a_walk_whose_end_goes_on_moving_away_is_given_up() {
    let mut all: Vec<i64> = (1..=130).collect();
    let outcome = walk(400, |begin| {
        let page = cut(&all, begin, 30, true);
        // As many as a page brings are changed meanwhile, all over the walk: the rows behind them move up.
        for nth in 0..25 {
            let changed = all.remove(nth * 4);
            all.push(changed);
        }
        page
    });
    assert_eq!(outcome.map(|met| met.len()).unwrap_err().code, FailureCode::ServerError);
}

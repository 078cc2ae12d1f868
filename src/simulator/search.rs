//! A page of search results, found by key set.
//!
//! What must hold: a walk over pages sees every issue that matches throughout, exactly once, however much changes meanwhile.
//! The place of the last issue of a page is its sort values and id, so nothing that moves can shift what comes after.

use std::sync::Arc;

use super::issue::Issue;
use super::jql::{Bounds, Order, Query, Sort};
use super::store::Store;
use super::token::{Place, WIDTH};

/// The issues of a page, and where the next one begins.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) issues: Vec<Arc<Issue>>,
    /// Place of the last issue, when more follow.
    pub(super) next: Option<Place>,
}

/// Finds up to `limit` issues after `after`; O(log n + page) when the first sort field is bounded or paged by.
pub(super) fn page(
    store: &Store,
    query: &Query,
    visible: &dyn Fn(&Issue) -> bool,
    after: Option<Place>,
    limit: usize,
) -> Page {
    let matches = |issue: &Issue| query.matches(issue) && visible(issue);
    let mut found = Found { after, limit, sort: &query.order, ready: Vec::new(), tied: Vec::new() };
    if let Some(ids) = &query.ids {
        for issue in ids.iter().filter_map(|id| store.shown(*id)).filter(|issue| matches(issue)) {
            found.tied.extend(found.placed(issue));
        }
        found.flush();
    } else {
        for issue in walk(store, query, after.map(|place| place[0])) {
            if matches(issue) && found.is_full_after(issue) {
                break;
            }
        }
        found.flush();
    }
    let next = (found.ready.len() > limit).then(|| found.ready.get(limit.saturating_sub(1)).map(|(place, _)| *place));
    found.ready.truncate(limit);
    Page { issues: found.ready.into_iter().map(|(_, issue)| issue.clone()).collect(), next: next.flatten() }
}

/// How many issues match.
pub(super) fn count(store: &Store, query: &Query, visible: &dyn Fn(&Issue) -> bool) -> usize {
    let matches = |issue: &&Arc<Issue>| query.matches(issue) && visible(issue);
    match &query.ids {
        Some(ids) => ids.iter().filter_map(|id| store.shown(*id)).filter(matches).count(),
        None => walk(store, query, None).filter(matches).count(),
    }
}

/// Collects issues in the order of the first sort field; those that tie in it are sorted by the rest.
struct Found<'a> {
    after: Option<Place>,
    limit: usize,
    sort: &'a [Sort],
    ready: Vec<(Place, &'a Arc<Issue>)>,
    tied: Vec<(Place, &'a Arc<Issue>)>,
}

impl<'a> Found<'a> {
    fn placed(&self, issue: &'a Arc<Issue>) -> Option<(Place, &'a Arc<Issue>)> {
        let place = place(self.sort, issue);
        (self.after.is_none_or(|after| place > after)).then_some((place, issue))
    }

    fn is_full_after(&mut self, issue: &'a Arc<Issue>) -> bool {
        let Some(placed) = self.placed(issue) else { return false };
        if self.tied.first().is_some_and(|(first, _)| first[0] != placed.0[0]) {
            self.flush();
        }
        self.tied.push(placed);
        self.ready.len() > self.limit
    }

    fn flush(&mut self) {
        self.tied.sort_unstable_by_key(|(place, _)| *place);
        self.ready.append(&mut self.tied);
    }
}

/// The sort values of an issue, descending ones negated, and its id: a total order.
fn place(sort: &[Sort], issue: &Issue) -> Place {
    let mut place = [0; WIDTH];
    for (slot, sort) in place.iter_mut().zip(sort) {
        let value = sort.value(issue);
        *slot = if sort.descending { -value } else { value };
    }
    place[WIDTH - 1] = issue.id as i64;
    place
}

type Walk<'a> = Box<dyn Iterator<Item = &'a Arc<Issue>> + 'a>;

/// Issues in the order of the first sort field, from `from` (as it stands in a [`Place`]) within the query's bounds.
fn walk<'a>(store: &'a Store, query: &Query, from: Option<i64>) -> Walk<'a> {
    let Some(Sort { by, descending, coarse }) = query.order.first().copied() else {
        return Box::new(std::iter::empty());
    };
    let mut bounds = query.bounds(by);
    match from {
        // A coarse place stands for all of its second.
        Some(from) if descending => {
            bounds.most = bounds.most.min(from.saturating_neg().saturating_add(if coarse { 999 } else { 0 }));
        }
        Some(from) => bounds.least = bounds.least.max(from),
        None => {}
    }
    if bounds.least > bounds.most {
        return Box::new(std::iter::empty());
    }
    match by {
        Order::Updated => {
            let range = (bounds.least, 0)..=(bounds.most, u64::MAX);
            let ids = store.by_updated(query.project).range(range).map(|(_, id)| *id);
            directed(ids.filter_map(|id| store.shown(id)), descending)
        }
        Order::Key => by_key(store, query.project, bounds, descending),
        Order::Created | Order::Id => by_creation(store, by, bounds, descending),
    }
}

fn directed<'a>(issues: impl DoubleEndedIterator<Item = &'a Arc<Issue>> + 'a, descending: bool) -> Walk<'a> {
    if descending { Box::new(issues.rev()) } else { Box::new(issues) }
}

fn by_key<'a>(store: &'a Store, only: Option<u16>, bounds: Bounds, descending: bool) -> Walk<'a> {
    let projects = only.map_or(0..store.project_count(), |project| project..project + 1);
    let issues =
        projects.flat_map(move |project| store.by_number(project).iter().filter_map(|(_, id)| store.shown(*id)));
    let within = issues.filter(move |issue| (bounds.least..=bounds.most).contains(&Order::Key.value(issue)));
    directed(within, descending)
}

fn by_creation<'a>(store: &'a Store, by: Order, bounds: Bounds, descending: bool) -> Walk<'a> {
    let clamp = |id: i64| u64::try_from(id).unwrap_or(0);
    let (first, last) = match by {
        Order::Created => {
            let beyond = store.first_id_created(bounds.most.saturating_add(1));
            (store.first_id_created(bounds.least), beyond.saturating_sub(1))
        }
        _ => (clamp(bounds.least), clamp(bounds.most)),
    };
    directed(store.between_ids(first, last), descending)
}

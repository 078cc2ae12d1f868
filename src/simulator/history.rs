//! What has happened to an issue: its changelog.
//!
//! What must hold: the entries lead to the issue's present state (the last status entry ends in its status), and the
//! generated ones are the same whenever they are asked for. The first change of an issue freezes what was generated; from
//! then on entries are kept.

use super::attributes::Attributes;
use super::catalogue::{CATEGORIES, Catalogue, FIRST_DONE, Project};
use super::issue::{Issue, writer};
use super::seed::{Dice, Purpose};

/// One entry: who changed what at once.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) id: u64,
    pub(super) author: u16,
    pub(super) created_ms: i64,
    pub(super) items: Vec<Item>,
}

/// One changed field, before and after.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Item {
    Status(u8, u8),
    Resolution(Option<u8>, Option<u8>),
    Assignee(Option<u16>, Option<u16>),
    Priority(u8, u8),
    /// Numbers plus one, as in [`Issue::sprints`], of a project.
    Sprint(u16, [u8; 3], [u8; 3]),
    /// The free fields of two versions.
    Summary(u32, u32),
    Description(u32, u32),
    Labels(u32, u32),
    Points(u32, u32),
    /// Of the project in which the issue was then: history is not written anew when an issue moves.
    Component(u16, u32, u32),
    FixVersion(u16, u32, u32),
    DueDate(u32, u32),
    /// Projects and numbers.
    Key((u16, u32), (u16, u32)),
    Parent(Option<u64>, Option<u64>),
    /// Seconds.
    TimeSpent(i64, i64),
    /// The other issue of a link that came or went.
    Unlinked(u64),
    Security(bool),
    RankedHigher,
}

/// Entries of one issue that can be generated; their ids follow from the issue's.
const IDS_PER_ISSUE: u64 = 1 << 12;

/// The first id that no generated entry of the first `issues` ids has.
pub(super) fn first_free_id(first_issue: u64, issues: usize) -> u64 {
    (first_issue + issues as u64) * IDS_PER_ISSUE
}

/// How many entries of an issue are mere noise.
pub(super) fn noise(long: bool, dice: &mut Dice) -> u8 {
    if long { 45 + dice.below(90) as u8 } else { dice.below(3) as u8 }
}

impl Issue {
    /// Entries, oldest first.
    pub(super) fn history(&self, catalogue: &Catalogue) -> Vec<Event> {
        match &self.changed {
            Some(changed) => changed.history.clone(),
            None => generated(self, catalogue),
        }
    }

    /// When the category of the status changed last.
    pub(super) fn category_changed_ms(&self, catalogue: &Catalogue) -> i64 {
        let crosses = |item: &Item| matches!(item, Item::Status(from, to) if CATEGORIES[usize::from(*from)] != CATEGORIES[usize::from(*to)]);
        let history = self.history(catalogue);
        let last = history.iter().rev().find(|event| event.items.iter().any(crosses));
        last.map_or(self.created_ms, |event| event.created_ms)
    }

    /// Place of the resolution.
    pub(super) fn resolution(&self) -> Option<u8> {
        self.resolved_ms.and(self.status.checked_sub(FIRST_DONE))
    }
}

fn generated(issue: &Issue, catalogue: &Catalogue) -> Vec<Event> {
    if issue.history_updated_ms <= issue.created_ms {
        return Vec::new();
    }
    let mut dice = Dice::new(catalogue.seed, Purpose::History, issue.id, 0);
    let span = issue.history_updated_ms - issue.created_ms;
    let at = |share: f64| issue.created_ms + (span as f64 * share) as i64;
    let mut found: Vec<(i64, Vec<Item>)> = Vec::new();

    let path: &[u8] = match issue.status {
        0 if dice.chance(0.2) => &[0, 1, 0],
        0 => &[0],
        1 => &[0, 1],
        2 => &[0, 1, 2],
        3 if dice.chance(0.2) => &[0, 1, 2, 1, 2, 3],
        3 => &[0, 1, 2, 3],
        _ => &[0, 4],
    };
    let last_ms = issue.resolved_ms.unwrap_or_else(|| at(0.75));
    let steps = path.len() as i64 - 1;
    for (step, pair) in (1..).zip(path.windows(2)) {
        let when = issue.created_ms + (last_ms - issue.created_ms) * step / steps;
        let mut items = vec![Item::Status(pair[0], pair[1])];
        if step == steps && issue.resolution().is_some() {
            items.push(Item::Resolution(None, issue.resolution()));
        }
        found.push((when, items));
    }
    if let Some(assignee) = issue.assignee {
        let first = if dice.chance(0.3) { writer(catalogue, &mut dice) } else { assignee };
        found.push((at(0.02), vec![Item::Assignee(None, Some(first))]));
        if first != assignee {
            found.push((at(0.3), vec![Item::Assignee(Some(first), Some(assignee))]));
        }
    }
    let mut sprints = [0; 3];
    for (nth, number) in issue.sprints.iter().take_while(|number| **number > 0).enumerate() {
        let before = sprints;
        sprints[nth] = *number;
        found.push((at(0.1 + 0.3 * nth as f64), vec![Item::Sprint(issue.project, before, sprints)]));
    }
    if issue.priority != 2 && dice.chance(0.5) {
        found.push((at(0.15), vec![Item::Priority(2, issue.priority)]));
    }
    found.extend((0..issue.noise).map(|_| (at(dice.fraction()), vec![Item::RankedHigher])));
    found.sort_by_key(|(when, _)| *when);
    let first_id = issue.id * IDS_PER_ISSUE;
    (first_id..)
        .zip(found)
        .map(|(id, (created_ms, items))| Event { id, author: writer(catalogue, &mut dice), created_ms, items })
        .collect()
}

/// What differs between two versions of an issue, as the changelog tells it.
pub(super) fn difference(catalogue: &Catalogue, before: &Issue, after: &Issue) -> Vec<Item> {
    let mut items = Vec::new();
    let mut push = |differs: bool, item: Item| {
        if differs {
            items.push(item);
        }
    };
    push(before.status != after.status, Item::Status(before.status, after.status));
    let (resolved, now) = (before.resolution(), after.resolution());
    push(resolved != now, Item::Resolution(resolved, now));
    push(before.assignee != after.assignee, Item::Assignee(before.assignee, after.assignee));
    push(before.priority != after.priority, Item::Priority(before.priority, after.priority));
    push(before.sprints != after.sprints, Item::Sprint(before.project, before.sprints, after.sprints));
    let keys = ((before.project, before.number), (after.project, after.number));
    push(keys.0 != keys.1, Item::Key(keys.0, keys.1));
    push(before.parent != after.parent, Item::Parent(before.parent, after.parent));
    push(before.secured != after.secured, Item::Security(after.secured));
    if before.edits != after.edits {
        let (from, to) = (before.edits, after.edits);
        let (old, new) =
            (Attributes::of(catalogue.seed, before.id, from), Attributes::of(catalogue.seed, after.id, to));
        push(true, Item::Summary(from, to));
        push(!(old.no_description && new.no_description), Item::Description(from, to));
        push(!old.labels().eq(new.labels()), Item::Labels(from, to));
        push(old.points(before.kind) != new.points(after.kind), Item::Points(from, to));
        push(old.component() != new.component(), Item::Component(before.project, from, to));
        push(old.fix_version() != new.fix_version(), Item::FixVersion(before.project, from, to));
        push(old.due_in_days != new.due_in_days, Item::DueDate(from, to));
    }
    items
}

/// The comma list of a Sprint entry: ids and names.
pub(super) fn sprint_list(catalogue: &Catalogue, project: u16, sprints: [u8; 3]) -> (String, String) {
    let all: Vec<_> =
        sprints.iter().filter(|number| **number > 0).map(|number| catalogue.sprint(project, number - 1)).collect();
    let join = |texts: Vec<String>| texts.join(", ");
    (
        join(all.iter().map(|sprint| sprint.id().to_string()).collect()),
        join(all.iter().map(super::catalogue::Sprint::name).collect()),
    )
}

/// A component or version of a project by place: id and name.
pub(super) fn part(
    project: &Project,
    place: Option<usize>,
    id: fn(&Project, usize) -> u64,
    names: &[&'static str],
) -> Option<(String, String)> {
    place.map(|at| (id(project, at).to_string(), names[at].to_owned()))
}

//! Queries with every name resolved, ready to test issues.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::simulator::catalogue::Catalogue;
use crate::simulator::issue::Issue;

/// A query that can be run.
pub(in crate::simulator) struct Query {
    pub(super) test: Test,
    /// At least one, and an implicit id at the end.
    pub(in crate::simulator) order: Vec<Sort>,
    /// The only project that can match.
    pub(in crate::simulator) project: Option<u16>,
    /// The only ids that can match.
    pub(in crate::simulator) ids: Option<Vec<u64>>,
    pub(super) catalogue: Arc<Catalogue>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::simulator) enum Order {
    Updated,
    Created,
    Id,
    Key,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::simulator) struct Sort {
    pub(in crate::simulator) by: Order,
    pub(in crate::simulator) descending: bool,
    /// Times count in whole seconds.
    pub(in crate::simulator) coarse: bool,
}

impl Sort {
    /// The number by which issues are put in this order, ascending.
    pub(in crate::simulator) fn value(self, issue: &Issue) -> i64 {
        let value = self.by.value(issue);
        match self.by {
            Order::Updated | Order::Created if self.coarse => value.div_euclid(1_000) * 1_000,
            _ => value,
        }
    }
}

/// A condition on issues.
#[derive(Debug)]
pub(super) enum Test {
    All(Vec<Test>),
    Any(Vec<Test>),
    Not(Box<Test>),
    Project(Vec<u16>),
    Id(Vec<u64>),
    IdIs(Comparison, u64),
    Time(Order, Comparison, i64),
    Assignee(Vec<Option<u16>>),
    Reporter(Vec<u16>),
    WorklogAuthor(Vec<u16>),
    /// Projects and numbers plus one.
    Sprint(Vec<(u16, u8)>),
    Kind(Vec<u8>),
    Status(Vec<u8>),
    Priority(Vec<u8>),
    Resolution(Vec<Option<u8>>),
    Parent(Vec<Option<u64>>),
    /// Negations of people and parents leave out the empty ones, as Jira does.
    Present(Presence),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    Assignee,
    Parent,
    Sprint,
    /// Nothing is left out.
    Always,
}

/// Stands among sprints for none.
pub(super) const NO_SPRINT: (u16, u8) = (u16::MAX, 0);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
}

impl Comparison {
    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterEqual => ordering.is_ge(),
            Self::Less => ordering.is_lt(),
            Self::LessEqual => ordering.is_le(),
        }
    }
}

impl Test {
    fn holds(&self, issue: &Issue, catalogue: &Catalogue) -> bool {
        match self {
            Self::All(tests) => tests.iter().all(|test| test.holds(issue, catalogue)),
            Self::Any(tests) => tests.iter().any(|test| test.holds(issue, catalogue)),
            Self::Not(test) => !test.holds(issue, catalogue),
            Self::Project(projects) => projects.contains(&issue.project),
            Self::Id(ids) => ids.binary_search(&issue.id).is_ok(),
            Self::IdIs(comparison, id) => comparison.holds(issue.id.cmp(id)),
            Self::Time(field, comparison, at_ms) => comparison.holds(field.value(issue).cmp(at_ms)),
            Self::Assignee(people) => people.contains(&issue.assignee),
            Self::Reporter(people) => people.contains(&issue.reporter),
            Self::WorklogAuthor(people) => {
                (0..issue.worklog_count()).any(|at| people.contains(&issue.worklog(catalogue, at).author))
            }
            Self::Sprint(sprints) => sprints.iter().any(|(project, number)| match (*project, *number) {
                NO_SPRINT => issue.sprints[0] == 0,
                (project, number) => project == issue.project && issue.sprints.contains(&number),
            }),
            Self::Kind(kinds) => kinds.contains(&issue.kind),
            Self::Status(statuses) => statuses.contains(&issue.status),
            Self::Priority(priorities) => priorities.contains(&issue.priority),
            Self::Resolution(resolutions) => resolutions.contains(&issue.resolution()),
            Self::Parent(parents) => parents.contains(&issue.parent),
            Self::Present(Presence::Assignee) => issue.assignee.is_some(),
            Self::Present(Presence::Parent) => issue.parent.is_some(),
            Self::Present(Presence::Sprint) => issue.sprints[0] != 0,
            Self::Present(Presence::Always) => true,
        }
    }
}

impl Order {
    /// The number by which issues are put in this order.
    pub(in crate::simulator) fn value(self, issue: &Issue) -> i64 {
        match self {
            Self::Updated => issue.updated_ms,
            Self::Created => issue.created_ms,
            Self::Id => issue.id as i64,
            Self::Key => i64::from(issue.project) << 40 | i64::from(issue.number),
        }
    }
}

/// An inclusive range outside of which nothing can match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::simulator) struct Bounds {
    pub(in crate::simulator) least: i64,
    pub(in crate::simulator) most: i64,
}

impl Query {
    /// True when the issue matches.
    pub(in crate::simulator) fn matches(&self, issue: &Issue) -> bool {
        self.test.holds(issue, &self.catalogue)
    }

    /// The range of the first sort field in which matches can lie.
    pub(in crate::simulator) fn bounds(&self, order: Order) -> Bounds {
        let mut bounds = Bounds { least: i64::MIN, most: i64::MAX };
        narrow(&self.test, order, &mut bounds);
        bounds
    }
}

fn narrow(test: &Test, order: Order, bounds: &mut Bounds) {
    match test {
        Test::All(tests) => tests.iter().for_each(|test| narrow(test, order, bounds)),
        Test::Time(field, comparison, at_ms) if *field == order => bounds.narrow(*comparison, *at_ms),
        Test::IdIs(comparison, id) if order == Order::Id => bounds.narrow(*comparison, *id as i64),
        _ => {}
    }
}

impl Bounds {
    fn narrow(&mut self, comparison: Comparison, at: i64) {
        let (least, most) = match comparison {
            Comparison::Equal => (at, at),
            Comparison::Greater => (at.saturating_add(1), i64::MAX),
            Comparison::GreaterEqual => (at, i64::MAX),
            Comparison::Less => (i64::MIN, at.saturating_sub(1)),
            Comparison::LessEqual => (i64::MIN, at),
        };
        self.least = self.least.max(least);
        self.most = self.most.min(most);
    }
}

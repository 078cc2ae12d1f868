//! Scopes: what a token allows.
//!
//! What must hold: a wider scope includes the narrower ones, but for restricted comments and worklogs, which are always named.

/// A part of what can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Read runs, projects, schedules, health, settings.
    Read,
    /// Read the replica: issues, comments, worklogs.
    Replica,
    /// Read comments and worklogs that Jira shows to some people only.
    ReplicaRestricted,
    /// Start, cancel and retry runs; pause and resume projects.
    Operate,
    /// Change what is synchronised, by whom, and how.
    Admin,
}

impl Scope {
    /// All of them, narrow ones first.
    pub const ALL: [Self; 5] = [Self::Read, Self::Replica, Self::ReplicaRestricted, Self::Operate, Self::Admin];

    /// As it is written and stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Replica => "replica",
            Self::ReplicaRestricted => "replica:restricted",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }

    /// Reads it as it is written.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text)
    }
}

/// A set of scopes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// Everything.
    pub fn all() -> Self {
        Self(Scope::ALL.to_vec())
    }

    /// These, each once.
    pub fn of(scopes: impl IntoIterator<Item = Scope>) -> Self {
        let mut scopes: Vec<Scope> = scopes.into_iter().collect();
        scopes.sort();
        scopes.dedup();
        Self(scopes)
    }

    /// As they are stored.
    pub fn texts(&self) -> Vec<String> {
        self.0.iter().map(|scope| scope.as_str().to_owned()).collect()
    }

    /// What these and `others` both include.
    pub(super) fn both(&self, others: &Self) -> Self {
        Self::of(Scope::ALL.into_iter().filter(|scope| self.grant(*scope) && others.grant(*scope)))
    }

    /// The first of these that `others` do not include.
    pub(super) fn beyond(&self, others: &Self) -> Option<Scope> {
        self.0.iter().copied().find(|scope| !others.grant(*scope))
    }

    /// Whether these include `wanted`: `admin` includes `operate`, and both include `read`; `admin` includes `replica`.
    pub fn grant(&self, wanted: Scope) -> bool {
        self.0.iter().any(|held| match (held, wanted) {
            (held, wanted) if *held == wanted => true,
            (Scope::Admin, Scope::Read | Scope::Operate | Scope::Replica) => true,
            (Scope::Operate | Scope::Replica | Scope::ReplicaRestricted, Scope::Read) => true,
            (Scope::ReplicaRestricted, Scope::Replica) => true,
            _ => false,
        })
    }
}

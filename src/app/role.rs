//! Roles of accounts, and the scopes that each stands for.
//!
//! What must hold: a role includes the ones before it; no role includes restricted comments and worklogs, which an account is
//! allowed by name.

use super::{Scope, Scopes};

/// What somebody who signs in is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads runs and the replica.
    Viewer,
    /// Also starts, cancels and pauses.
    Operator,
    /// Does everything.
    Administrator,
}

impl Role {
    /// All of them, narrow ones first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Administrator];

    /// As it is written and stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Administrator => "administrator",
        }
    }

    /// Reads it as it is written.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }

    /// The widest role that allows no more than these scopes; viewer where there is none.
    pub fn of(scopes: &Scopes) -> Self {
        let is_within = |role: &Self| role.scopes(false).beyond(scopes).is_none();
        Self::ALL.into_iter().rev().find(is_within).unwrap_or(Self::Viewer)
    }

    /// What it allows; with what Jira restricts, if `restricted`.
    pub fn scopes(self, restricted: bool) -> Scopes {
        let own: &[Scope] = match self {
            Self::Viewer => &[Scope::Read, Scope::Replica],
            Self::Operator => &[Scope::Read, Scope::Replica, Scope::Operate],
            Self::Administrator => &[Scope::Read, Scope::Replica, Scope::Operate, Scope::Admin],
        };
        Scopes::of(own.iter().copied().chain(restricted.then_some(Scope::ReplicaRestricted)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::app::{Actor, Verb};

    #[test]
    fn the_table_of_roles_is_up_to_date() {
        let mut table = String::from("| verb | viewer | operator | administrator |\n|---|---|---|---|\n");
        for verb in Verb::ALL {
            let _ = write!(table, "| {} |", verb.describe());
            for role in Role::ALL {
                let actor = Actor { scopes: role.scopes(false), ..Actor::cli("somebody") };
                let _ = write!(table, " {} |", if actor.may(verb).is_ok() { "yes" } else { "" });
            }
            table.push('\n');
        }
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/access.md")).unwrap();
        assert!(page.contains(&table), "docs/access.md holds another table than:\n{table}");
    }

    #[test]
    fn no_role_includes_what_jira_restricts() {
        for role in Role::ALL {
            assert!(!role.scopes(false).grant(Scope::ReplicaRestricted), "{role:?}");
            assert!(role.scopes(true).grant(Scope::ReplicaRestricted), "{role:?}");
            assert_eq!((Role::of(&role.scopes(true)), Role::parse(role.as_str())), (role, Some(role)));
        }
    }
}

//! Who asks, by which way, and what they may do.
//!
//! What must hold: every verb names the scope that it needs, in one table ([`Verb::scope`]), which `docs/access.md` prints.

use uuid::Uuid;

use super::{Error, Result, Scope, Scopes};
use crate::store::audit::Who;

/// By which way somebody came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The command line.
    Cli,
    /// A token of the API.
    Token,
    /// A browser that is signed in.
    Session,
    /// The API on this machine's own address, where no token is asked for.
    Local,
}

impl Way {
    /// As the audit keeps it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cli => "cli",
            Self::Token => "token",
            Self::Session => "session",
            Self::Local => "local",
        }
    }
}

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names say it, and `describe` says it in words
pub enum Verb {
    ReadRuns,
    ReadLogs,
    ReadStatistics,
    StartRun,
    CancelRun,
    RetryRun,
    DeleteRun,
    ReadProjects,
    PauseProject,
    ResumeProject,
    ReadQueue,
    RequeueSteps,
    DiscardSteps,
    ReadSites,
    LimitSite,
    ReadAudit,
    ReadTokens,
    CreateToken,
    RevokeToken,
    ReadAlerts,
    AcknowledgeAlert,
    SilenceAlert,
    ResolveAlert,
    ReadSettings,
    ChangeSettings,
    RescheduleProject,
    TrackProject,
    TrackUser,
    ReadIssues,
    ReadAccounts,
    CreateAccount,
    ChangeAccount,
    RemoveAccount,
    ReadSessions,
    EndSessions,
    ReadWebhooks,
    ManageWebhooks,
}

impl Verb {
    /// All of them, in the order of `docs/access.md`.
    pub const ALL: [Self; 37] = [
        Self::ReadRuns,
        Self::ReadLogs,
        Self::ReadStatistics,
        Self::StartRun,
        Self::CancelRun,
        Self::RetryRun,
        Self::DeleteRun,
        Self::ReadProjects,
        Self::PauseProject,
        Self::ResumeProject,
        Self::ReadQueue,
        Self::RequeueSteps,
        Self::DiscardSteps,
        Self::ReadSites,
        Self::LimitSite,
        Self::ReadAudit,
        Self::ReadTokens,
        Self::CreateToken,
        Self::RevokeToken,
        Self::ReadAlerts,
        Self::AcknowledgeAlert,
        Self::SilenceAlert,
        Self::ResolveAlert,
        Self::ReadSettings,
        Self::ChangeSettings,
        Self::RescheduleProject,
        Self::TrackProject,
        Self::TrackUser,
        Self::ReadIssues,
        Self::ReadAccounts,
        Self::CreateAccount,
        Self::ChangeAccount,
        Self::RemoveAccount,
        Self::ReadSessions,
        Self::EndSessions,
        Self::ReadWebhooks,
        Self::ManageWebhooks,
    ];

    /// The scope that it needs.
    pub const fn scope(self) -> Scope {
        match self {
            Self::ReadRuns
            | Self::ReadLogs
            | Self::ReadStatistics
            | Self::ReadProjects
            | Self::ReadAlerts
            | Self::ReadSettings
            | Self::ReadQueue
            | Self::ReadSites
            | Self::ReadWebhooks => Scope::Read,
            Self::ReadIssues => Scope::Replica,
            Self::StartRun
            | Self::CancelRun
            | Self::RetryRun
            | Self::PauseProject
            | Self::ResumeProject
            | Self::AcknowledgeAlert
            | Self::SilenceAlert
            | Self::ResolveAlert
            | Self::RequeueSteps
            | Self::DiscardSteps => Scope::Operate,
            Self::DeleteRun
            | Self::LimitSite
            | Self::ReadAudit
            | Self::ReadTokens
            | Self::CreateToken
            | Self::RevokeToken
            | Self::ChangeSettings
            | Self::RescheduleProject
            | Self::TrackProject
            | Self::TrackUser
            | Self::ReadAccounts
            | Self::CreateAccount
            | Self::ChangeAccount
            | Self::RemoveAccount
            | Self::ReadSessions
            | Self::EndSessions
            | Self::ManageWebhooks => Scope::Admin,
        }
    }

    /// What it does, after "may not".
    pub const fn describe(self) -> &'static str {
        match self {
            Self::ReadRuns => "read runs",
            Self::ReadLogs => "read the logs of runs",
            Self::ReadStatistics => "read statistics",
            Self::StartRun => "start runs",
            Self::CancelRun => "cancel runs",
            Self::RetryRun => "retry runs",
            Self::DeleteRun => "delete runs from the history",
            Self::ReadProjects => "read projects",
            Self::PauseProject => "pause projects",
            Self::ResumeProject => "resume projects",
            Self::ReadQueue => "read the queue",
            Self::RequeueSteps => "requeue dead steps",
            Self::DiscardSteps => "discard dead steps",
            Self::ReadSites => "read sites",
            Self::LimitSite => "limit the requests to a site",
            Self::ReadAudit => "read the audit",
            Self::ReadTokens => "list tokens",
            Self::CreateToken => "create tokens",
            Self::RevokeToken => "revoke tokens",
            Self::ReadAlerts => "read alerts",
            Self::AcknowledgeAlert => "acknowledge alerts",
            Self::SilenceAlert => "silence alerts",
            Self::ResolveAlert => "resolve alerts",
            Self::ReadSettings => "read settings",
            Self::ChangeSettings => "change settings",
            Self::RescheduleProject => "reschedule projects",
            Self::TrackProject => "choose which projects are synchronised",
            Self::TrackUser => "choose whose issues are synchronised",
            Self::ReadIssues => "read issues, comments and worklogs",
            Self::ReadAccounts => "list accounts",
            Self::CreateAccount => "create accounts",
            Self::ChangeAccount => "change accounts",
            Self::RemoveAccount => "remove accounts",
            Self::ReadSessions => "list sessions of others",
            Self::EndSessions => "end sessions of others",
            Self::ReadWebhooks => "read the webhooks that came",
            Self::ManageWebhooks => "make and remove secrets of webhooks",
        }
    }
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct Actor {
    /// Their name, as the audit keeps it.
    pub name: String,
    /// The way in.
    pub way: Way,
    /// The address that the request came from.
    pub address: Option<String>,
    /// What they may do.
    pub scopes: Scopes,
    /// The only projects that they reach; none for all.
    pub projects: Option<Vec<Uuid>>,
    /// The account that they signed in with, or whose token they bear.
    pub account: Option<Uuid>,
    /// The session that they are signed in by.
    pub session: Option<Uuid>,
}

impl Actor {
    /// Somebody at the command line: whoever has the database's password may do everything.
    pub fn cli(name: impl Into<String>) -> Self {
        Self { scopes: Scopes::all(), ..Self::nobody(name, Way::Cli) }
    }

    /// Somebody who may do nothing yet.
    pub fn nobody(name: impl Into<String>, way: Way) -> Self {
        let (name, scopes) = (name.into(), Scopes::of([]));
        Self { name, way, address: None, scopes, projects: None, account: None, session: None }
    }

    /// As the audit keeps it.
    pub(crate) fn who(&self) -> Who<'_> {
        Who { name: &self.name, way: self.way.as_str(), address: self.address.as_deref() }
    }

    /// Lets the actor go on, if it may.
    ///
    /// # Errors
    /// Without the scope that the verb needs.
    pub fn may(&self, verb: Verb) -> Result<()> {
        match self.scopes.grant(verb.scope()) {
            true => Ok(()),
            false => {
                Err(Error::forbidden(format!("{} may not {}", self.name, verb.describe()))
                    .help(self.needs(verb.scope())))
            }
        }
    }

    fn needs(&self, scope: Scope) -> String {
        match self.way {
            Way::Session => format!("an administrator can give you a role with the scope {}", scope.as_str()),
            _ => format!("use a token with the scope {}", scope.as_str()),
        }
    }

    /// Lets the actor go on, if it may and is limited to no projects: what it asks for is not of one project.
    ///
    /// # Errors
    /// Without the scope that the verb needs, or with a limit to projects.
    pub fn may_everywhere(&self, verb: Verb) -> Result<()> {
        self.may(verb)?;
        match self.projects {
            None => Ok(()),
            Some(_) => {
                Err(Error::forbidden(format!("{} is limited to projects and may not {}", self.name, verb.describe()))
                    .help("use a token or an account that is not limited to projects"))
            }
        }
    }

    /// Whether a project is within reach.
    pub fn reaches(&self, project: Uuid) -> bool {
        self.projects.as_ref().is_none_or(|projects| projects.contains(&project))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn actor(scopes: impl IntoIterator<Item = Scope>) -> Actor {
        Actor { scopes: Scopes::of(scopes), ..Actor::cli("somebody") }
    }

    #[test]
    fn every_verb_needs_its_scope() {
        for verb in Verb::ALL {
            assert!(actor([]).may(verb).is_err(), "{verb:?}");
            assert!(actor([verb.scope()]).may(verb).is_ok(), "{verb:?}");
            assert!(actor([Scope::Admin]).may(verb).is_ok(), "{verb:?}");
        }
        let reads = |verb: &Verb| verb.scope() == Scope::Read;
        for verb in Verb::ALL {
            assert_eq!(actor([Scope::Read]).may(verb).is_ok(), reads(&verb), "{verb:?}");
            let operates = matches!(verb.scope(), Scope::Read | Scope::Operate);
            assert_eq!(actor([Scope::Operate]).may(verb).is_ok(), operates, "{verb:?}");
        }
    }

    #[test]
    fn restricted_comments_are_named_even_for_administrators() {
        assert!(!Scopes::of([Scope::Admin, Scope::Operate, Scope::Replica]).grant(Scope::ReplicaRestricted));
        assert!(Scopes::of([Scope::ReplicaRestricted]).grant(Scope::Replica));
    }

    #[test]
    fn the_table_of_access_is_up_to_date() {
        let mut table = String::from("| verb | read | replica | operate | admin |\n|---|---|---|---|---|\n");
        for verb in Verb::ALL {
            let _ = write!(table, "| {} |", verb.describe());
            for scope in [Scope::Read, Scope::Replica, Scope::Operate, Scope::Admin] {
                let _ = write!(table, " {} |", if actor([scope]).may(verb).is_ok() { "yes" } else { "" });
            }
            table.push('\n');
        }
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/access.md")).unwrap();
        assert!(page.contains(&table), "docs/access.md holds another table than:\n{table}");
    }
}

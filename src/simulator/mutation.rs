//! The things that can happen to a site, by name.

use serde::{Deserialize, Serialize};

/// One thing that happens to the site. Issues are named by id or key, projects by key or id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
#[allow(missing_docs)] // the variants say it
pub enum Mutation {
    CreateIssue {
        project: String,
    },
    /// New summary, description, labels, estimates and priority.
    EditIssue {
        issue: String,
    },
    /// An edit, also of a comment and a worklog where there are any, that is dated so many seconds off the site's clock, ahead
    /// or (negative) behind: by a wrong clock, a restore, an import. `updated` may move back.
    DateIssue {
        issue: String,
        seconds: i64,
    },
    /// Another status; into and out of the resolved ones.
    Transition {
        issue: String,
    },
    Assign {
        issue: String,
    },
    AddComment {
        issue: String,
    },
    /// Changes one of the comments, chosen by the seed.
    EditComment {
        issue: String,
    },
    DeleteComment {
        issue: String,
    },
    AddWorklog {
        issue: String,
    },
    EditWorklog {
        issue: String,
    },
    DeleteWorklog {
        issue: String,
    },
    /// The id stays, the key changes; children are touched, because they name their parent's key.
    MoveIssue {
        issue: String,
        project: String,
    },
    /// The same as on a real site: what names the issue by its key (children, the other ends of links) shows the new one, and
    /// its `updated` does not move.
    MoveIssueAlone {
        issue: String,
        project: String,
    },
    /// Children lose their parent, and what is linked with it its link.
    DeleteIssue {
        issue: String,
    },
    /// Gives the issue a security level, which hides it from accounts that may not see such issues.
    HideIssue {
        issue: String,
    },
    ShowIssue {
        issue: String,
    },
    /// Puts the issue into a sprint of its project, by id, or takes it out of those that are not closed.
    SetSprint {
        issue: String,
        sprint: Option<u32>,
    },
    /// Starts a sprint that is to come.
    StartSprint {
        sprint: u32,
    },
    /// Closes an active sprint; what is not done in it goes on to the next.
    CloseSprint {
        sprint: u32,
    },
    ArchiveProject {
        project: String,
    },
    /// Into the trash.
    DeleteProject {
        project: String,
    },
    /// Out of the archive or the trash.
    RestoreProject {
        project: String,
    },
    /// Another key and name. Keys of its issues change with it; `updated` does not move, as on a real site.
    RenameProject {
        project: String,
        key: String,
        name: String,
    },
    /// Another name for a status, a priority, a resolution or a type, which `term` names by id or by its name; no `updated`
    /// moves.
    RenameTerm {
        kind: Term,
        term: String,
        name: String,
    },
    /// Another category, by key, for a status, by id or name.
    RecategoriseStatus {
        status: String,
        category: String,
    },
    RenameSprint {
        sprint: u32,
        name: String,
    },
    /// By id.
    RenameVersion {
        version: u64,
        name: String,
    },
    /// By id.
    RenameComponent {
        component: u64,
        name: String,
    },
    /// Another name for a person, who is named by account id, key, user name or name.
    RenameUser {
        user: String,
        name: String,
    },
    /// Jira closes the account of a person, who is named as above: the name and the address go; texts and histories stay. Data
    /// Center calls it anonymising.
    CloseUser {
        user: String,
    },
    /// Takes a project away from an account, by e-mail address or user name.
    RevokeAccess {
        account: String,
        project: String,
    },
    GrantAccess {
        account: String,
        project: String,
    },
}

/// The lists whose entries issues name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // what Jira calls them
pub enum Term {
    Status,
    Priority,
    Resolution,
    IssueType,
}

/// What a mutation did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The mutation that was carried out.
    pub mutation: Mutation,
    /// Id of the issue; 0 when it was none.
    pub issue_id: u64,
    /// Its key afterwards; before, when it was deleted. The project's key when it was no issue.
    pub key: String,
}

/// Why a mutation was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No issue with this id or key.
    #[error("no issue '{0}' on the simulated site: name a present id or key")]
    NoIssue(String),
    /// No project with this key or id.
    #[error("no project '{0}' on the simulated site: name one of its keys")]
    NoProject(String),
    /// The issue has nothing that could be edited or deleted.
    #[error("issue '{0}' has no such comment or worklog: add one first")]
    NothingThere(String),
    /// No sprint with this id, or not one that can be started, closed or joined by this issue.
    #[error("sprint {0} does not exist, or its state or project does not allow that: see /rest/agile/1.0/board")]
    NoSprint(u32),
    /// No account with this e-mail address or user name.
    #[error("no account '{0}' on the simulated site: name the e-mail address of one that may sign in")]
    NoAccount(String),
    /// No status, priority, resolution, type or category of this id or name.
    #[error(
        "no '{0}' among the site's statuses, priorities, resolutions, types or categories: name a present id or name"
    )]
    NoTerm(String),
    /// The key leads to another project.
    #[error("the key '{0}' is taken: choose one that no project has or had")]
    KeyTaken(String),
}

//! The types of the schema, one file per noun. What each field is stands in the schema itself.

mod alert;
mod insight;
mod issue;
mod list;
mod page;
mod project;
mod run;
mod user;

pub use alert::{Alert, AlertConnection, AuditConnection, AuditEntry, Viewer};
pub use insight::{Anomaly, Health, Recommendation, Trend};
pub use issue::{Issue, IssueConnection};
pub use list::{IssueFilter, RunFilter, issues, runs, target};
pub use page::{Count, PageInfo};
pub use project::{
    JiraProjectOption, JiraProjectUserOption, Project, Setting, SettingInput, SyncJob, SyncLog, SyncState, SyncStatus,
    states,
};
pub use run::{Progress, Run, RunConnection, RunStatus, history as run_history, one as one_run};

use std::sync::Arc;

use async_graphql::{Context, ID};
use uuid::Uuid;

use super::asker::Asker;
use super::loaders::Loaders;
use crate::app::{self, Result};

/// Who asks.
pub fn asker<'a>(context: &Context<'a>) -> &'a Arc<Asker> {
    context.data_unchecked()
}

/// The loaders of this request.
pub fn loaders<'a>(context: &Context<'a>) -> &'a Loaders {
    context.data_unchecked()
}

/// Reads an id of ours.
pub fn uuid(field: &'static str, id: &ID) -> Result<Uuid> {
    app::id(field, id.as_str())
}

//! The replica: issues and what belongs to them, people, catalogues; one statement per table and batch.
//!
//! What must hold: the answer to a question that was asked earlier never overwrites that to a later one, whatever times Jira
//! puts on them; a row that is as it was is not written; rows are locked in the order of their ids, so that batches do not
//! deadlock.
//!
//! Questions are dated by the database's clock ([`Look`], `observed_at`). A time that this clock has not reached was written
//! before it was put back, and says nothing.

mod catalogue;
mod collection;
mod history;
mod issue;
mod part;
mod people;
mod planning;
mod worklog_feed;

pub use catalogue::{upsert_fields, upsert_statuses, upsert_terms};
pub use collection::{Applied, Version, apply_comments, apply_worklogs};
pub use history::insert_changes;
pub use issue::{Look, UpsertedIssues, distrust, lock_if_current, mark_deleted, refresh_beside, upsert_issues};
pub use part::{apply_attachments, apply_links};
pub use people::{record_drifts, upsert_users};
pub use planning::{Source, upsert_boards, upsert_components, upsert_sprints, upsert_versions};
pub use worklog_feed::{remove_worklogs, worklogs_not_counting};

use sqlx::PgConnection;

use crate::store::Result;

/// Lets PostgreSQL plan this transaction's statements for the tables as they are. A plan that was kept from when the replica
/// was empty reads whole tables, page after page of a first sync.
pub async fn plan_afresh(conn: &mut PgConnection) -> Result<()> {
    sqlx::query!("SET LOCAL plan_cache_mode = force_custom_plan").execute(conn).await?;
    Ok(())
}

//! The replica: issues, comments, worklogs, people; one statement per table and batch.
//!
//! What must hold: an older version never overwrites a newer one; a row that is as it was is not written; rows are locked
//! in the order of their ids, so that batches do not deadlock.

mod collection;
mod issue;
mod people;

pub use collection::{Applied, Version, apply_comments, apply_worklogs};
pub use issue::{UpsertedIssues, distrust, lock_if_current, mark_deleted, upsert_issues};
pub use people::{record_drifts, upsert_users};

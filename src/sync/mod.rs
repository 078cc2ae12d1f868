//! The steps of a run, one file each: plan, fetch, write, advance, finish.
//!
//! ```text
//! plan_run ─▶ fetch_page (per partition) ─▶ upsert_batch ─▶ advance_cursor
//!                 └─▶ fetch_page (next)        ├─▶ fetch_collection (comments, worklogs that Jira inlined short)
//!                                              └─▶ fetch_changes (history, for the issues of several pages)
//!          ├─▶ sweep_ids ─▶ mark_gone (a reconciliation)
//!          └─▶ fetch_catalogue ─▶ apply_names (names that have changed); mend_keys (keys that a page has changed)
//!                                └─▶ forget_people (accounts that Jira has closed)
//!                                  … and finalize_run when nothing else is open
//! ```
//! What must hold: a step asks Jira before its transaction and never inside it; a page is written from what was staged, so
//! that a crash after a fetch costs no second fetch.

mod advance_cursor;
mod apply_names;
mod asked;
mod by_id;
mod catalogue;
mod fetch_catalogue;
mod fetch_changes;
mod fetch_collection;
mod fetch_page;
mod fetch_worklogs;
mod finalize_run;
mod forget_people;
mod left_out;
mod mark_gone;
mod mend_keys;
pub mod pace;
mod page_cache;
mod plan_run;
mod ranges;
mod repair_batch;
mod report;
mod report_accounts;
mod settings;
mod sweep_ids;
pub mod tokens;
mod tracked;
mod unknown_shape;
mod unknown_users;
mod upsert_batch;
mod workshop;

use std::sync::Arc;

pub use by_id::{RepairBatch, repair_steps};
use unknown_shape::Watched;
pub use workshop::{Options, Workshop};

use crate::engine::Step;

/// Every kind of step that a run is made of.
pub fn steps(workshop: &Arc<Workshop>) -> Vec<Arc<dyn Step>> {
    let steps: Vec<Arc<dyn Step>> = vec![
        Arc::new(plan_run::PlanRun(Arc::clone(workshop))),
        Arc::new(fetch_page::FetchPage(Arc::clone(workshop))),
        Arc::new(upsert_batch::UpsertBatch(Arc::clone(workshop))),
        Arc::new(fetch_collection::FetchCollection(Arc::clone(workshop))),
        Arc::new(fetch_worklogs::FetchWorklogs(Arc::clone(workshop))),
        Arc::new(fetch_catalogue::FetchCatalogue(Arc::clone(workshop))),
        Arc::new(apply_names::ApplyNames(Arc::clone(workshop))),
        Arc::new(forget_people::ForgetPeople(Arc::clone(workshop))),
        Arc::new(report_accounts::ReportAccounts(Arc::clone(workshop))),
        Arc::new(mend_keys::MendKeys(Arc::clone(workshop))),
        Arc::new(fetch_changes::FetchChanges(Arc::clone(workshop))),
        Arc::new(advance_cursor::AdvanceCursor(Arc::clone(workshop))),
        Arc::new(sweep_ids::SweepIds(Arc::clone(workshop))),
        Arc::new(mark_gone::MarkGone(Arc::clone(workshop))),
        Arc::new(repair_batch::Repair(Arc::clone(workshop))),
        Arc::new(finalize_run::FinalizeRun(Arc::clone(workshop))),
    ];
    let watched = |step| -> Arc<dyn Step> { Arc::new(Watched { step, workshop: Arc::clone(workshop) }) };
    steps.into_iter().map(watched).collect()
}

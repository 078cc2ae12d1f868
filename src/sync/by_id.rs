//! Issues that are read again by id: which ones, and the steps that do so (see [`super::repair_batch`]).

use serde::{Deserialize, Serialize};

use crate::domain::queue::Queue;
use crate::engine::NewStep;
use crate::jira::client::BULK_FETCH_LIMIT;
use crate::store::page::PageId;

pub(super) const KIND: &str = "repair_batch";

/// The issues of one step.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RepairBatch {
    /// Jira's ids, at most 100.
    pub ids: Vec<i64>,
    /// The stored hashes are believed: only what differs from them is written.
    #[serde(default)]
    pub compare: bool,
    /// They are read because search left something out of them.
    #[serde(default)]
    pub left_out: bool,
}

/// The steps that repair `ids` on a site.
pub fn repair_steps(site_id: uuid::Uuid, ids: &[i64]) -> Vec<NewStep> {
    repair_steps_named(site_id, "asked", ids)
}

/// The same; `cause` keeps the steps of one cause apart from those of another.
pub(super) fn repair_steps_named(site_id: uuid::Uuid, cause: &str, ids: &[i64]) -> Vec<NewStep> {
    steps(site_id, cause, ids, RepairBatch::default())
}

/// The steps that read `ids` and write those whose content is another than is stored; `cause` keeps them apart from others.
pub(super) fn compare_steps(site_id: uuid::Uuid, cause: &str, ids: &[i64]) -> Vec<NewStep> {
    steps(site_id, cause, ids, RepairBatch { compare: true, ..RepairBatch::default() })
}

/// The steps that read `ids` by id, because the search of a page left something out of them.
pub(super) fn left_out_steps(site_id: uuid::Uuid, page: PageId, ids: &[i64]) -> Vec<NewStep> {
    let cause = format!("left-out/{}.{}", page.partition, page.seq);
    steps(site_id, &cause, ids, RepairBatch { compare: true, left_out: true, ..RepairBatch::default() })
}

fn steps(site_id: uuid::Uuid, cause: &str, ids: &[i64], how: RepairBatch) -> Vec<NewStep> {
    let gates = [format!("site:{site_id}"), format!("site:{site_id}/bulkfetch")];
    ids.chunks(BULK_FETCH_LIMIT)
        .map(|ids| {
            let first = ids.first().copied().unwrap_or_default();
            NewStep::new(Queue::Jira, KIND, format!("{cause}/{first}"))
                .with(&RepairBatch { ids: ids.to_vec(), ..how.clone() })
                .behind(&gates)
                .priority(if how.compare { 0 } else { 10 })
        })
        .collect()
}

//! Compares a run with its like.

use crate::domain::baseline::{self, Spread};
use crate::domain::health::{End, RunEnd};
use crate::store::health::Unread;

/// The end of a run, judged: far longer than runs of its kind and size, or with far fewer issues per second.
pub(super) fn judged(run: &Unread) -> RunEnd {
    let seconds = (run.finished_at - run.started_at).as_seconds_f64().max(0.001);
    let succeeded = run.end == End::Succeeded;
    let slow = Spread::of(&run.like_seconds).map(|usual| seconds > baseline::slow_above(&usual));
    let rate = |issues: i64| i32::try_from(issues).map_or(f64::MAX, f64::from) / seconds;
    let sluggish = Spread::of(&run.like_rates)
        .and_then(|usual| baseline::sluggish_below(&usual, run.issues))
        .map(|bound| rate(run.issues) < bound);
    RunEnd {
        run_id: run.run_id,
        started_at: run.started_at,
        finished_at: run.finished_at,
        end: run.end.clone(),
        slow: slow.filter(|_| succeeded),
        sluggish: sluggish.filter(|_| succeeded),
        reconciled: run.reconcile,
        full: run.full,
        manual: run.manual,
        rejected: run.rejected.clone(),
    }
}

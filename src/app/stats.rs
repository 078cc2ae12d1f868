//! What the runs of some days add up to.

use super::run::bounded;
use super::{Actor, App, Result, Verb};
use crate::store::patience::{LONGEST, again};
use crate::store::{statistics, within};

pub use crate::store::statistics::Sum;

/// The runs of some days.
#[derive(Clone, Debug)]
pub struct Summary {
    /// How many days.
    pub days: i64,
    /// In all.
    pub all: Sum,
    /// Day by day, the oldest first; days without a run are left out.
    pub by_day: Vec<Sum>,
}

impl Summary {
    /// The share of runs that succeeded, of those that ended well or badly; none where none did.
    pub fn success_share(&self) -> Option<f64> {
        let ended = self.all.succeeded + self.all.failed;
        #[allow(clippy::cast_precision_loss)] // counts of runs
        (ended > 0).then(|| self.all.succeeded as f64 / ended as f64)
    }
}

/// What the runs of the last `days` days add up to: 7 unless said.
///
/// # Errors
/// Where the actor may not, or the number of days is out of bounds.
pub async fn summary(app: &App, actor: &Actor, days: Option<i64>) -> Result<Summary> {
    actor.may(Verb::ReadStatistics)?;
    let days = bounded("days", days, 7, 1, 90)?;
    let pool = app.pool();
    let asked = i32::try_from(days).unwrap_or(7);
    let read = || statistics::summary(&pool, asked, actor.projects.as_deref());
    let mut sums = again(|| within(LONGEST, read())).await?;
    // The sum of nothing is a row too.
    let all = sums.pop().unwrap_or(Sum {
        day: None,
        runs: 0,
        succeeded: 0,
        failed: 0,
        cancelled: 0,
        active: 0,
        issues: 0,
        issues_changed: 0,
        requests: 0,
        average_seconds: None,
        projects: 0,
    });
    Ok(Summary { days, all, by_day: sums })
}

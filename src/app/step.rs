//! The steps of a run, one by one.

use uuid::Uuid;

use super::{Actor, App, Result, Verb, run};
use crate::store::patience::{LONGEST, again};
use crate::store::{run_details, within};

pub use crate::store::run_details::Step;

/// The most steps that are told of one run.
pub const MOST: i64 = 200;

/// The first steps of a run, in the order in which they were made, at most [`MOST`].
///
/// # Errors
/// Where the actor may not, or there is no such run within reach.
pub async fn of_run(app: &App, actor: &Actor, id: Uuid) -> Result<Vec<Step>> {
    actor.may(Verb::ReadRuns)?;
    run::get(app, actor, id).await?;
    let pool = app.pool();
    Ok(again(|| within(LONGEST, run_details::each(&pool, id, MOST))).await?)
}

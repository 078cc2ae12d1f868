//! The queue: what waits, who works, and what becomes of steps that nobody tries any more.

use uuid::Uuid;

use super::run::bounded;
use super::{Actor, App, Result, Verb};
use crate::store::patience::{LONGEST, again, undisturbed};
use crate::store::{queue_view, within};

pub use crate::store::queue_view::{DeadCause, DeadStep, Discarded, QueueStats, Requeued, ShutGate, Which, Worker};

/// The queue as a whole.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Queue {
    /// Every queue, counted.
    pub queues: Vec<QueueStats>,
    /// Workers that are alive.
    pub workers: Vec<Worker>,
    /// Parts of sites that are left alone for now.
    pub pauses: Vec<ShutGate>,
}

/// What waits, who works, and what is left alone.
///
/// # Errors
/// Where the actor may not.
pub async fn stats(app: &App, actor: &Actor) -> Result<Queue> {
    actor.may_everywhere(Verb::ReadQueue)?;
    let pool = app.pool();
    let queues = again(|| within(LONGEST, queue_view::stats(&pool))).await?;
    let workers = workers(app, actor).await?;
    let pauses = again(|| within(LONGEST, queue_view::shut_gates(&pool))).await?;
    Ok(Queue { queues, workers, pauses })
}

/// Workers that are alive.
///
/// # Errors
/// Where the actor may not.
pub async fn workers(app: &App, actor: &Actor) -> Result<Vec<Worker>> {
    actor.may_everywhere(Verb::ReadQueue)?;
    let pool = app.pool();
    Ok(again(|| within(LONGEST, queue_view::workers(&pool))).await?)
}

/// How many steps nobody tries any more.
///
/// # Errors
/// Where the actor may not.
pub async fn dead_count(app: &App, actor: &Actor) -> Result<i64> {
    actor.may_everywhere(Verb::ReadQueue)?;
    let pool = app.pool();
    Ok(within(LONGEST, queue_view::count_dead(&pool)).await?)
}

/// Dead steps, newest first; of one failure code, if it is given.
///
/// # Errors
/// Where the actor may not, or the limit is out of bounds.
pub async fn dead(app: &App, actor: &Actor, code: Option<&str>, limit: Option<i64>) -> Result<Vec<DeadStep>> {
    actor.may_everywhere(Verb::ReadQueue)?;
    let limit = bounded("limit", limit, 50, 1, 10_000)?;
    let pool = app.pool();
    Ok(again(|| within(LONGEST, queue_view::dead(&pool, code, limit))).await?)
}

/// Why steps are dead, the most frequent cause first.
///
/// # Errors
/// Where the actor may not.
pub async fn causes(app: &App, actor: &Actor) -> Result<Vec<DeadCause>> {
    actor.may_everywhere(Verb::ReadQueue)?;
    let pool = app.pool();
    Ok(again(|| within(LONGEST, queue_view::dead_causes(&pool))).await?)
}

/// Brings dead steps back. A step of a run starts a new run in place of its run.
///
/// # Errors
/// Where the actor may not.
pub async fn requeue(app: &App, actor: &Actor, which: &Which) -> Result<Requeued> {
    actor.may_everywhere(Verb::RequeueSteps)?;
    let (pool, who) = (app.pool(), actor.who());
    Ok(undisturbed(|| queue_view::requeue(&pool, which, &who)).await?)
}

/// Gives dead steps up: they count no more, and nobody tries them.
///
/// # Errors
/// Where the actor may not.
pub async fn discard(app: &App, actor: &Actor, which: &Which) -> Result<Discarded> {
    actor.may_everywhere(Verb::DiscardSteps)?;
    let (pool, who) = (app.pool(), actor.who());
    Ok(undisturbed(|| queue_view::discard(&pool, which, &who)).await?)
}

/// Dead steps by their ids.
pub fn these(ids: Vec<Uuid>) -> Which {
    Which { ids: Some(ids), code: None }
}

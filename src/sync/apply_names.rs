//! `apply_names`: what the site's lists call statuses, priorities, resolutions and issue types is written into all its issues.
//!
//! A batch of issues per step, by id, until there are no more; a run that does not get to the end leaves it to the next that
//! reads the lists.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use super::workshop::Workshop;
use crate::domain::queue::Queue;
use crate::engine::{Commit, NewStep, Step, StepContext, StepError};
use crate::store::names;
use crate::store::replica;

pub(super) struct ApplyNames(pub Arc<Workshop>);

const KIND: &str = "apply_names";
/// Issues that one step looks at.
const BATCH: i64 = 5_000;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Walk {
    /// What found that names have changed: steps of one run that do so keep apart.
    cause: String,
    version: i64,
    /// Issues up to this id are done.
    after: i64,
}

/// The first step, where names have changed that are not in all issues yet.
pub(super) async fn first(conn: &mut PgConnection, site_id: Uuid, cause: &str) -> Result<Option<NewStep>, StepError> {
    let due = names::due(conn, site_id).await?;
    Ok(due.map(|version| step(&Walk { cause: cause.to_owned(), version, after: i64::MIN })))
}

fn step(walk: &Walk) -> NewStep {
    NewStep::new(Queue::Store, KIND, format!("{}/{}/{}", walk.cause, walk.version, walk.after)).with(walk).priority(5)
}

impl Step for ApplyNames {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn run<'a>(&'a self, context: &'a StepContext) -> BoxFuture<'a, Result<Commit, StepError>> {
        Box::pin(async move {
            let walk: Walk = context.payload()?;
            let site_id = self.0.job(context).await?.work.site_id;
            Ok(Commit::effects(move |conn| {
                Box::pin(async move {
                    replica::plan_afresh(conn).await?;
                    let (last, _) = names::apply(conn, site_id, walk.after, BATCH).await?;
                    let Some(after) = last else {
                        names::applied(conn, site_id, walk.version).await?;
                        return Ok(Vec::new());
                    };
                    Ok(vec![step(&Walk { after, ..walk })])
                })
            }))
        })
    }
}

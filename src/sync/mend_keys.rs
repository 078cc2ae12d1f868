//! `mend_keys`: issues whose key has changed are called by it wherever they stand, in links and as parents.
//!
//! A step of its own, so that the page which brought the key holds no lock on issues of other pages.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::workshop::Workshop;
use crate::domain::queue::Queue;
use crate::engine::{Commit, NewStep, Step, StepContext, StepError};
use crate::store::{keys, names, replica};

pub(super) struct MendKeys(pub Arc<Workshop>);

const KIND: &str = "mend_keys";

/// The issues of one step.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Renamed {
    /// Issues with a key that links may not have yet.
    pub ids: Vec<i64>,
    /// Issues with the key that they had before.
    pub former: Vec<(i64, String)>,
}

/// The step; `cause` keeps those of one run apart.
pub(super) fn step(cause: &str, renamed: &Renamed) -> NewStep {
    NewStep::new(Queue::Store, KIND, cause).with(renamed).priority(5)
}

impl Step for MendKeys {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn run<'a>(&'a self, context: &'a StepContext) -> BoxFuture<'a, Result<Commit, StepError>> {
        Box::pin(async move {
            let Renamed { ids, former } = context.payload()?;
            let job = self.0.job(context).await?;
            let site_id = job.work.site_id;
            let epic_links: Vec<String> = job.fields.epic_link.iter().chain(&job.fields.epic_links).cloned().collect();
            Ok(Commit::effects(move |conn| {
                Box::pin(async move {
                    names::hold_alone(conn, site_id).await?;
                    replica::plan_afresh(conn).await?;
                    keys::mend(conn, site_id, &ids, &former, &epic_links).await?;
                    Ok(Vec::new())
                })
            }))
        })
    }
}

//! An answer whose frame cannot be read: it ends the step, and is noted among the drifts as well, once per site and step.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::workshop::Workshop;
use crate::domain::failure::{Failure, FailureCode};
use crate::engine::{Commit, Step, StepContext, StepError};
use crate::observe::metrics;
use crate::store::replica;

/// A step whose answers are watched.
pub(super) struct Watched {
    pub step: Arc<dyn Step>,
    pub workshop: Arc<Workshop>,
}

impl Step for Watched {
    fn kind(&self) -> &'static str {
        self.step.kind()
    }

    fn run<'a>(&'a self, context: &'a StepContext) -> BoxFuture<'a, Result<Commit, StepError>> {
        Box::pin(async move {
            let outcome = self.step.run(context).await;
            if let Err(StepError::Failed(failure)) = &outcome
                && failure.code == FailureCode::SchemaChanged
            {
                self.note(context, failure).await;
            }
            outcome
        })
    }
}

impl Watched {
    /// Notes it by itself: the step's own transaction will not be.
    async fn note(&self, context: &StepContext, failure: &Failure) {
        metrics::schema_drift("answer", 1);
        let drift = ["answer", self.kind(), "a shape that is known", "another shape"];
        let noted = async {
            let job = self.workshop.job(context).await?;
            let mut connection = crate::store::acquire(&context.pool).await?;
            replica::record_drifts(&mut connection, job.work.site_id, &[drift]).await?;
            connection.give_back();
            Ok::<_, StepError>(())
        };
        if let Err(error) = context.hear(noted).await {
            tracing::debug!(%error, %failure, "a drift could not be recorded");
        }
    }
}

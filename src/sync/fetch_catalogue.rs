//! `fetch_catalogue`: what a site and a project list besides issues.
//!
//! Each list is asked for beside the others. One that the site does not have, or does not show to the account, is noted in
//! `site_capability` and left as it is; it fails nothing, since the issues themselves can be read.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::catalogue::{self, Lists};
use super::report;
use super::workshop::{Job, Workshop};
use crate::domain::queue::Queue;
use crate::engine::{Commit, NewStep, Step, StepContext, StepError};
use crate::store::capability;
use crate::store::catalogue::Due;
use crate::store::people;
use crate::store::replica;
use crate::store::site::TOKEN_ENDS_SOON;
use crate::store::step::{Entry, Level, journal};

pub(super) struct FetchCatalogue(pub Arc<Workshop>);

const KIND: &str = "fetch_catalogue";

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct What {
    /// Jira's id of the project.
    pub project: i64,
    pub due: Due,
    /// The site's fields are among what is due: the plan of the run has not read them already.
    pub fields: bool,
}

/// The step that reads what is due; none where nothing is.
pub(super) fn step(job: &Job, what: What, priority: i16) -> Option<NewStep> {
    (!what.due.is_nothing())
        .then(|| NewStep::new(Queue::Jira, KIND, "").with(&what).behind(&job.gates("catalogue")).priority(priority))
}

impl Step for FetchCatalogue {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn run<'a>(&'a self, context: &'a StepContext) -> BoxFuture<'a, Result<Commit, StepError>> {
        Box::pin(self.fetch(context))
    }
}

impl FetchCatalogue {
    async fn fetch(&self, context: &StepContext) -> Result<Commit, StepError> {
        let what: What = context.payload()?;
        let job = self.0.job(context).await?;
        let lists = catalogue::fetch(&job, what, context.step.failures).await?;
        let now = context.clock.now();
        Ok(Commit::effects(move |conn| {
            Box::pin(async move {
                let Lists { rejected, drifts, users, found, .. } = &lists;
                replica::plan_afresh(conn).await?;
                replica::upsert_users(conn, job.work.site_id, users).await?;
                lists.write(conn, job.work.site_id, what.project).await?;
                if what.due.users {
                    // Whose addresses are shown, and who is there at all, may have changed.
                    people::match_site(conn, job.work.site_id, "syncline").await?;
                }
                let found: Vec<_> =
                    found.iter().map(|(feature, state, reason)| (*feature, *state, reason.as_deref())).collect();
                capability::set(conn, job.work.site_id, &found).await?;
                report::records(conn, &job, KIND, rejected, drifts).await?;
                if let Some(ends) = lists.token.as_ref().and_then(|token| token.ends_at)
                    && ends - now < TOKEN_ENDS_SOON
                {
                    journal(&mut *conn, Some(job.work.run_id), KIND, &[token_ends(&job, ends)]).await?;
                }
                Ok(Vec::new())
            })
        }))
    }
}

/// Told once a day, with the users, until the token is renewed.
fn token_ends(job: &Job, ends: DateTime<Utc>) -> Entry {
    Entry {
        level: Level::Warn,
        event: "token_ends_soon",
        code: None,
        message: format!("the token of site {} ends at {}", job.work.site_name, ends.format("%Y-%m-%d %H:%M UTC")),
        advice: Some("Store a new one with `syncline site update SITE --token-stdin`."),
        details: None,
    }
}

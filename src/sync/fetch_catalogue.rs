//! `fetch_catalogue`: what a site and a project list besides issues.
//!
//! Each list is asked for beside the others. One that the site does not have, or does not show to the account, is noted in
//! `site_capability` and left as it is; it fails nothing, since the issues themselves can be read.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::apply_names;
use super::catalogue::{self, Lists};
use super::forget_people;
use super::report;
use super::report_accounts;
use super::workshop::{Job, Workshop};
use crate::domain::queue::Queue;
use crate::engine::{Commit, NewStep, Step, StepContext, StepError};
use crate::store::capability;
use crate::store::catalogue::Due;
use crate::store::names;
use crate::store::people;
use crate::store::replica;
use crate::store::site::TOKEN_ENDS_SOON;
use crate::store::step::{Entry, Level, journal};

pub(super) struct FetchCatalogue(pub Arc<Workshop>);

const KIND: &str = "fetch_catalogue";

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct What {
    /// Jira's id of the project.
    pub project: i64,
    pub due: Due,
    /// The site's fields are among what is due: the plan of the run has not read them already.
    pub fields: bool,
    /// An issue shows another name than the lists: they are read, unless somebody has just done so.
    pub doubted: bool,
}

/// The step that reads what is due; none where nothing is.
pub(super) fn step(job: &Job, what: What, priority: i16) -> Option<NewStep> {
    (!what.due.is_nothing())
        .then(|| NewStep::new(Queue::Jira, KIND, "").with(&what).behind(&job.gates("catalogue")).priority(priority))
}

/// The step that reads names, because the page that is named by `cause` shows others.
pub(super) fn doubt(job: &Job, cause: &str, priority: i16) -> NewStep {
    let what = What { doubted: true, ..What::default() };
    NewStep::new(Queue::Jira, KIND, format!("names/{cause}"))
        .with(&what)
        .behind(&job.gates("catalogue"))
        .priority(priority)
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
        let mut what: What = context.payload()?;
        let job = self.0.job(context).await?;
        if what.doubted {
            what.due.names = names::claim_in_doubt(&context.pool, job.work.site_id).await?;
            if what.due.is_nothing() {
                return Ok(Commit::nothing());
            }
        }
        let lists = catalogue::fetch(&job, what, context.step.failures).await?;
        let now = context.clock.now();
        let cause = context.step.key.clone();
        Ok(Commit::effects(move |conn| {
            Box::pin(async move {
                if lists.has_names() {
                    names::hold_alone(conn, job.work.site_id).await?;
                }
                let Lists { rejected, drifts, users, found, .. } = &lists;
                replica::plan_afresh(conn).await?;
                replica::upsert_users(conn, job.work.site_id, users).await?;
                lists.write(conn, job.work.site_id, what).await?;
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
                let forget = match what.due.users {
                    true => forget_people::first(conn, job.work.site_id, &cause).await?,
                    false => None,
                };
                let report = match what.due.users {
                    true => report_accounts::first(conn, &job, &cause, now).await?,
                    false => None,
                };
                let next = if lists.has_names() {
                    apply_names::first(conn, job.work.site_id, &cause).await?
                } else {
                    names::note(conn, job.work.site_id, false, what.doubted).await?;
                    None
                };
                Ok(next.into_iter().chain(forget).chain(report).collect())
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
        message: format!("the token of site {} expires at {}", job.work.site_name, ends.format("%Y-%m-%d %H:%M UTC")),
        advice: Some("Store a new one with `syncline site update SITE --token-stdin`."),
        details: None,
    }
}

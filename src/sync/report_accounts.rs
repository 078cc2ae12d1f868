//! `report_accounts`: once per cycle Atlassian hears of which accounts an OAuth site's personal data are stored here, and says
//! which of them were closed. Ninety accounts per step; those that were closed are then anonymised.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use url::Url;

use super::forget_people;
use super::workshop::{Job, Workshop};
use crate::domain::failure::{Failure, FailureCode};
use crate::domain::queue::Queue;
use crate::engine::{Commit, NewStep, Step, StepContext, StepError};
use crate::jira::TokenSource;
use crate::jira::report_accounts::{REPORT_LIMIT, Reported, report};
use crate::store::{capability, oauth, people};

pub(super) struct ReportAccounts(pub Arc<Workshop>);

const KIND: &str = "report_accounts";
/// What reporting is called among the site's capabilities.
const FEATURE: &str = "personal_data_reporting";
/// Until Atlassian says otherwise.
const CYCLE: TimeDelta = TimeDelta::days(7);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Walk {
    /// What began it: walks of one run keep apart.
    cause: String,
    /// Accounts up to this one are reported.
    after: String,
    number: u32,
    /// The longest cycle that an answer named.
    cycle_days: Option<i64>,
}

/// The first step, where a report is due.
pub(super) async fn first(
    conn: &mut PgConnection,
    job: &Job,
    cause: &str,
    now: DateTime<Utc>,
) -> Result<Option<NewStep>, StepError> {
    let due = people::claim_report(conn, job.work.site_id, now, CYCLE).await?;
    Ok(due.then(|| step(job, &Walk { cause: cause.to_owned(), ..Walk::default() })))
}

fn step(job: &Job, walk: &Walk) -> NewStep {
    let key = format!("{}/{}", walk.cause, walk.number);
    NewStep::new(Queue::Jira, KIND, key).with(walk).behind(&job.gates("report-accounts"))
}

impl Step for ReportAccounts {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn run<'a>(&'a self, context: &'a StepContext) -> BoxFuture<'a, Result<Commit, StepError>> {
        Box::pin(self.report(context))
    }
}

impl ReportAccounts {
    async fn report(&self, context: &StepContext) -> Result<Commit, StepError> {
        let walk: Walk = context.payload()?;
        let job = self.0.job(context).await?;
        let site_id = job.work.site_id;
        let limit = i64::try_from(REPORT_LIMIT).unwrap_or(i64::MAX);
        let accounts = context.hear(people::reportable(&context.pool, site_id, &walk.after, limit)).await?;
        let reported = match accounts.is_empty() {
            true => Reported::default(),
            false => self.ask(context, &job, &accounts).await?,
        };
        let last = accounts.last().filter(|_| accounts.len() == REPORT_LIMIT && reported.withheld.is_none());
        let cycle_days = walk.cycle_days.max(reported.cycle_days);
        let next = last.map(|(id, _)| {
            let (cause, number) = (walk.cause.clone(), walk.number.saturating_add(1));
            step(&job, &Walk { cause, after: id.clone(), number, cycle_days })
        });
        let (now, cause) = (context.clock.now(), format!("reported/{}", walk.cause));
        Ok(Commit::effects(move |conn| {
            Box::pin(async move {
                people::note_reported(conn, site_id, &reported.closed, &reported.updated).await?;
                if let Some(reason) = &reported.withheld {
                    capability::set(conn, site_id, &[(FEATURE, "forbidden", Some(reason.as_str()))]).await?;
                    return Ok(Vec::new());
                }
                if let Some(next) = next {
                    return Ok(vec![next]);
                }
                capability::set(conn, site_id, &[(FEATURE, "available", None)]).await?;
                let cycle = cycle_days.map_or(CYCLE, |days| TimeDelta::days(days.clamp(1, 90)));
                people::reported(conn, site_id, now, now + cycle).await?;
                Ok(forget_people::first(conn, site_id, &cause).await?.into_iter().collect())
            })
        }))
    }

    /// Asks with a token, and once more with another where that is refused.
    async fn ask(
        &self,
        context: &StepContext,
        job: &Job,
        accounts: &[(String, DateTime<Utc>)],
    ) -> Result<Reported, StepError> {
        let stored = context.hear(oauth::load(&context.pool, job.work.site_id)).await?;
        let stored = stored.ok_or_else(|| Failure::new(FailureCode::AuthExpired, "nobody has authorized the site"))?;
        let api_url = Url::parse(&stored.api_url).map_err(|error| {
            Failure::new(FailureCode::Config, format!("site_oauth.api_url cannot be used: {error}"))
        })?;
        let tokens = self.0.tokens_of(&job.work, &context.clock);
        let token = tokens.token(None).await?;
        let reported = report(self.0.http(), &api_url, &token, accounts, REQUEST_TIMEOUT).await?;
        if !reported.token_refused {
            return Ok(reported);
        }
        let token = tokens.token(Some(token)).await?;
        Ok(report(self.0.http(), &api_url, &token, accounts, REQUEST_TIMEOUT).await?)
    }
}

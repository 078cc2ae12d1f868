//! Listed users whom Jira does not know any more.
//!
//! Jira refuses a whole query for one name that it does not know, so that one account that was removed would end the sync of
//! a project. Who it is cannot be read from the refusal, whose words depend on the site's language: it is found by asking,
//! half by half. From then on the others are read for, and the operator is told.
//!
//! What must hold: nobody is left out unless a query fails with that user and goes through without; a query that fails for
//! another reason stays a failure.

use sqlx::PgConnection;

use super::tracked;
use super::workshop::Job;
use crate::domain::failure::{Failure, FailureCode};
use crate::engine::StepError;
use crate::jira::jql;
use crate::store::page::{PageId, QueriedUser};
use crate::store::step::{Entry, Level, journal};
use crate::store::tracking;

/// Which of these users make Jira refuse a query.
pub(super) async fn find(job: &Job, users: &[QueriedUser]) -> Result<Vec<String>, Failure> {
    let mut unknown = Vec::new();
    if is_refused(job, &[]).await? {
        return Ok(unknown); // for whomever
    }
    let mut groups = vec![users];
    while let Some(group) = groups.pop() {
        if !group.is_empty() && is_refused(job, group).await? {
            match group {
                [user] => unknown.push(user.account_id.clone()),
                _ => groups.extend(<[_; 2]>::from(group.split_at(group.len() / 2))),
            }
        }
    }
    Ok(unknown)
}

async fn is_refused(job: &Job, users: &[QueriedUser]) -> Result<bool, Failure> {
    let clause = if users.is_empty() { String::new() } else { tracked::clause(users) };
    let query = format!("{}{clause}", jql::clauses(&job.work.project_key, None, None));
    match job.jira.approximate_count(&query).await {
        Ok(_) => Ok(false),
        Err(failure) if failure.code == FailureCode::BadQuery => Ok(true),
        Err(failure) => Err(failure),
    }
}

/// Leaves them out, of this run's queries, too.
pub(super) async fn leave_out(
    conn: &mut PgConnection,
    job: &Job,
    page: PageId,
    kind: &str,
    unknown: &[String],
) -> Result<(), StepError> {
    tracking::leave_out(conn, job.work.project_id, page.run_id, unknown).await?;
    let names = unknown.join(", ");
    let entry = Entry {
        level: Level::Warn,
        event: "tracked_user_unknown",
        code: None,
        message: format!("Jira no longer knows these listed users: {names}; the issues of the others are read"),
        advice: Some("Remove them with `syncline project track PROJECT remove USER`. A full run tries them again."),
        details: None,
    };
    journal(conn, Some(job.work.run_id), kind, &[entry]).await?;
    Ok(())
}

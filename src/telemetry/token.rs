//! Tokens that will end: told while there is time to store another one, and again, more severely, when there is little left.
//!
//! When a token ends is told by Data Center, or by its owner (`--token-expires`). What must hold: nothing is observed that is
//! told already, so that looking costs one query.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use super::words;
use crate::domain::alert::{Details, Observation, Scope, Signal, class};
use crate::domain::failure::{FailureCode, Severity};
use crate::store::site::{self, EndingToken, TOKEN_ENDS_SOON};
use crate::store::{Result, alert};

/// With less time than this it is an error.
const VERY_SOON: TimeDelta = TimeDelta::days(3);

/// Observes tokens that have come to end soon, or no longer do; answers how many.
pub async fn observe_tokens(conn: &mut PgConnection, now: DateTime<Utc>) -> Result<usize> {
    let tokens = site::ending_tokens(conn, now + TOKEN_ENDS_SOON).await?;
    let observations: Vec<Observation> = tokens.iter().filter_map(|token| observation(token, now)).collect();
    alert::observe(conn, now, &observations).await?;
    Ok(observations.len())
}

fn observation(token: &EndingToken, now: DateTime<Utc>) -> Option<Observation> {
    let ends = token.ends_at.filter(|ends| *ends < now + TOKEN_ENDS_SOON);
    let severity = ends.map(|ends| if ends < now + VERY_SOON { Severity::Error } else { Severity::Warning });
    if severity.map(Severity::as_str) == token.told.as_deref() {
        return None;
    }
    let signal = match (ends, severity) {
        (Some(ends), Some(severity)) => Signal::Firing(Box::new(details(token, ends, severity, now))),
        _ => Signal::Cleared(now),
    };
    Some(Observation { scope: Scope::Site { site_id: token.site_id }, class: class::TOKEN_ENDS.to_owned(), signal })
}

fn details(token: &EndingToken, ends: DateTime<Utc>, severity: Severity, now: DateTime<Utc>) -> Details {
    let left = match (ends - now).to_std() {
        Ok(left) => format!("ends in {}", words::span(left)),
        Err(_) => "has ended".to_owned(),
    };
    Details {
        severity,
        category: FailureCode::AuthInvalid.category().as_str().to_owned(),
        since: now,
        count: 1,
        summary: format!("Site {}: its token {left}", token.site),
        advice: format!(
            "Without a new token, the runs of all its projects will fail: create one in Jira and store it with \
                `syncline site update {} --token-stdin`.",
            token.site
        ),
        last_error: None,
        run_id: None,
        rung: 0,
        next_try_at: None,
        projects: Vec::new(),
        facts: vec![("Token ends".to_owned(), ends.format("%Y-%m-%d %H:%M UTC").to_string())],
    }
}

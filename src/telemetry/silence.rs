//! The dead man's switch: a project of which nothing good was heard for too long, whether a run was tried or not. What else
//! comes with time alone is looked for in the same round.
//!
//! Any number of processes may run this; each silent project is locked by whoever looks first.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{PgConnection, PgPool};
use tokio_util::sync::CancellationToken;

use super::ahead::observe_ahead;
use super::token::observe_tokens;
use super::words;
use crate::clock::Clock;
use crate::domain::alert::{Details, Observation, Scope, Signal, category, class};
use crate::domain::cron::Schedule;
use crate::domain::failure::{Severity, sanitise};
use crate::domain::health::Rules;
use crate::observe::events;
use crate::observe::health::Heartbeat;
use crate::store::health::{self, Silent};
use crate::store::patience::Patience;
use crate::store::session::BEGIN;
use crate::store::{Connections, Result, alert};

const EVERY: Duration = Duration::from_secs(30);

/// Looks for silent projects, for tokens that will end, and for what is ahead of the clock, until `stop`.
pub async fn watch(
    connections: Connections,
    clock: Clock,
    rules: Rules,
    heartbeat: Heartbeat,
    stop: CancellationToken,
) {
    let look_on = async {
        let mut patience = Patience::default();
        loop {
            heartbeat.rest(tokio::time::sleep(EVERY)).await;
            if let Err(error) = patience.wait(look(&connections.now(), clock.now(), &rules)).await {
                tracing::warn!(event = events::WATCH_FAILED, error = %sanitise(&error.to_string()), "checking again \
                    in 30 s");
            }
        }
    };
    let _: Option<()> = stop.run_until_cancelled(look_on).await;
}

async fn look(pool: &PgPool, now: DateTime<Utc>, rules: &Rules) -> Result<()> {
    let mut transaction = pool.begin_with(BEGIN).await?;
    observe_silence(&mut transaction, now, rules).await?;
    observe_tokens(&mut transaction, now).await?;
    observe_ahead(&mut transaction, now).await?;
    transaction.commit().await?;
    Ok(())
}

/// Observes the projects that have come to be silent; answers how many.
pub async fn observe_silence(conn: &mut PgConnection, now: DateTime<Utc>, rules: &Rules) -> Result<usize> {
    let limit = TimeDelta::from_std(rules.no_success_after).unwrap_or(TimeDelta::MAX);
    let silent = health::silent(conn, now, limit).await?;
    let silent: Vec<_> = silent.into_iter().filter(|one| now - one.quiet_since > own_limit(one, now, rules)).collect();
    let observations: Vec<_> = silent.iter().map(|one| observation(one, now)).collect();
    let projects: Vec<_> = silent.iter().map(|one| one.project_id).collect();
    health::mark_silent(conn, &projects, class::NO_RECENT_SUCCESS).await?;
    alert::observe(conn, now, &observations).await?;
    Ok(silent.len())
}

/// A project that runs once a day is not silent after six hours.
fn own_limit(silent: &Silent, now: DateTime<Utc>, rules: &Rules) -> TimeDelta {
    let base = Schedule::parse(&silent.cron, &silent.time_zone).map_or(Duration::ZERO, |cron| cron.interval_at(now));
    TimeDelta::from_std(rules.silence_limit(base)).unwrap_or(TimeDelta::MAX)
}

fn observation(silent: &Silent, now: DateTime<Utc>) -> Observation {
    let quiet = words::span((now - silent.quiet_since).to_std().unwrap_or_default());
    let details = Details {
        severity: Severity::Error,
        category: category::FRESHNESS.to_owned(),
        since: silent.quiet_since,
        count: 1,
        summary: format!("Project {}: no run has succeeded for {quiet}", silent.name),
        advice: "An operator should check whether workers are alive (`syncline doctor`), which steps wait (`syncline \
            queue stats`) and when the next run starts (`syncline schedule show`)."
            .to_owned(),
        last_error: None,
        run_id: None,
        rung: 0,
        next_try_at: None,
        projects: vec![silent.name.clone()],
        facts: vec![(
            "Last success".to_owned(),
            silent
                .last_success_at
                .map_or_else(|| "never".to_owned(), |at| at.format("%Y-%m-%d %H:%M:%S UTC").to_string()),
        )],
    };
    Observation {
        scope: Scope::Project { site_id: silent.site_id, project_id: silent.project_id },
        class: class::NO_RECENT_SUCCESS.to_owned(),
        signal: Signal::Firing(Box::new(details)),
    }
}

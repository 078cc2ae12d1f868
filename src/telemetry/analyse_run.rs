//! `analyse_run`: reads how the runs of a project ended.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use serde::Deserialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::conditions;
use super::judge::judged;
use super::pace::{self, Pace};
use crate::clock::Clock;
use crate::domain::alert::{Observation, class};
use crate::domain::failure::FailureCode;
use crate::domain::health::{End, Health, Rules};
use crate::domain::site_cause::{Change, SiteHealth, Unsteady};
use crate::engine::{Commit, Step, StepContext, StepError};
use crate::observe::events;
use crate::store::health::{self, ANALYSIS_STEP, HoldKind, Subject};
use crate::store::{Result, alert};

/// The step.
pub struct AnalyseRun(pub Arc<Rules>);

#[derive(Deserialize)]
struct Payload {
    project_id: Uuid,
}

impl Step for AnalyseRun {
    fn kind(&self) -> &'static str {
        ANALYSIS_STEP
    }

    fn run<'a>(&'a self, context: &'a StepContext) -> BoxFuture<'a, std::result::Result<Commit, StepError>> {
        Box::pin(async move {
            let Payload { project_id } = context.payload()?;
            let (rules, clock) = (Arc::clone(&self.0), context.clock.clone());
            Ok(Commit::effects(move |conn| {
                Box::pin(async move {
                    analyse(conn, &clock, project_id, &rules).await?;
                    Ok(Vec::new())
                })
            }))
        })
    }
}

/// Reads every end of the project's runs that was not read yet, decides its pace, and observes what came to be wrong or
/// right. Answers how many runs were read.
pub async fn analyse(conn: &mut PgConnection, clock: &Clock, project_id: Uuid, rules: &Rules) -> Result<usize> {
    let Some(subject) = health::subject(&mut *conn, project_id).await? else { return Ok(0) };
    let (site, unsteady) = health::lock_site(conn, subject.site_id).await?;
    let mut reading = Reading {
        now: clock.now(),
        chance: clock.jitter(),
        rules,
        site,
        unsteady,
        health: health::load(conn, project_id).await?,
        pace: Pace::of(None, clock.now()),
        next_try_at: None,
        subject,
        observations: Vec::new(),
    };
    let runs = health::unread(conn, project_id).await?;
    if runs.is_empty() {
        return Ok(0);
    }
    let site_before = reading.site.clone();
    let site_id = reading.subject.site_id;
    reading.pace = Pace::of(health::schedules_of_site(conn, site_id, Some(project_id)).await?.pop(), reading.now);
    let mut slow = Vec::with_capacity(runs.len());
    for run in &runs {
        let run = judged(run);
        slow.push(run.slow == Some(true));
        let held = reading.pace.hold().is_some();
        if !reading.health.read(&run, reading.pace.base, held, rules) {
            continue;
        }
        match &run.end {
            End::Failed { code, message, retry_at } => {
                reading.failed(conn, (*code, message, *retry_at), run.started_at, run.finished_at).await?;
            }
            _ => reading.succeeded(conn, run.started_at).await?,
        }
    }
    let ailing = conditions::neighbours(&reading, conn).await?;
    conditions::of_project(&mut reading, &ailing);
    if reading.unsteady != unsteady {
        health::save_unsteady(conn, site_id, reading.unsteady).await?;
    }
    if reading.site != site_before {
        health::save_site(conn, site_id, &reading.site, reading.now).await?;
    }
    health::save(conn, project_id, &reading.health).await?;
    let ids: Vec<Uuid> = runs.iter().map(|run| run.run_id).collect();
    health::mark_read(&mut *conn, &ids, &slow, reading.now).await?;
    alert::observe(conn, reading.now, &reading.observations).await?;
    Ok(runs.len())
}

/// What is at hand while the ends of a project's runs are read.
pub(super) struct Reading<'a> {
    pub now: DateTime<Utc>,
    chance: f64,
    pub rules: &'a Rules,
    pub subject: Subject,
    pub site: SiteHealth,
    pub unsteady: Option<Unsteady>,
    pub health: Health,
    pub pace: Pace,
    pub next_try_at: Option<DateTime<Utc>>,
    pub observations: Vec<Observation>,
}

impl Reading<'_> {
    async fn failed(
        &mut self,
        conn: &mut PgConnection,
        (code, message, named): (FailureCode, &str, Option<DateTime<Utc>>),
        started_at: DateTime<Utc>,
        finished_at: DateTime<Utc>,
    ) -> Result<()> {
        let rules = self.rules;
        let ladder = &rules.ladder;
        let active = usize::try_from(self.subject.active_projects).unwrap_or(0);
        let change = self.site.on_failure(self.subject.project_id, code, message, finished_at, active);
        let told = self.site.told.unwrap_or(code);
        let tried_again = match change {
            Change::Opened => {
                self.site.rung = ladder.above(told, 0);
                true
            }
            // Runs that were under way when the site's trouble was recognised are no tries of their own.
            Change::Continues | Change::Turned(_)
                if self.site.incident_since.is_some_and(|since| started_at > since) =>
            {
                self.site.rung = ladder.above(told, self.site.rung);
                true
            }
            Change::Turned(_) => true,
            _ => false,
        };
        if tried_again {
            self.hold_site(conn, told, named).await?;
            conditions::of_site(self, conn, change, told).await?;
        } else if self.site.incident_since.is_none() {
            let rung = ladder.rung(code, self.health.class_streak, self.health.failure_streak, self.pace.rung());
            let kind = if named.is_some_and(|named| named > self.now) { HoldKind::Until } else { HoldKind::Ladder };
            if rung > 0 || kind == HoldKind::Until {
                let wait = ladder.wait(rung, self.pace.base, self.chance);
                let until = self.pace.hold_back(conn, self.now, (kind, code.as_str(), rung), wait, named).await?;
                self.next_try_at = Some(until);
                tracing::warn!(
                    event = events::PROJECT_BACKED_OFF, project = %self.subject.name(), code = %code, rung,
                    failures = self.health.failure_streak, next_try = %until, "runs less often while it fails"
                );
            }
        }
        Ok(())
    }

    /// One project is tried for the whole site; the others wait behind it.
    async fn hold_site(
        &mut self,
        conn: &mut PgConnection,
        told: FailureCode,
        named: Option<DateTime<Utc>>,
    ) -> Result<()> {
        let wait = self.rules.ladder.wait(self.site.rung, self.pace.base, self.chance);
        let why = (HoldKind::Site, told.as_str(), self.site.rung);
        let until = self.pace.hold_back(conn, self.now, why, wait, named).await?;
        let probe = self.subject.project_id;
        self.site.probe = Some(probe);
        self.site.next_probe_at = Some(until);
        let (code, seconds) = (told.as_str(), wait.as_secs_f64());
        health::hold_site(conn, self.subject.site_id, probe, code, self.now, until, seconds).await?;
        tracing::warn!(
            event = events::SITE_BACKED_OFF, site = %self.subject.site, code = %told, rung = self.site.rung,
            probe = %self.subject.name(), next_try = %until, "one project is the probe for all"
        );
        Ok(())
    }

    async fn succeeded(&mut self, conn: &mut PgConnection, started_at: DateTime<Utc>) -> Result<()> {
        let change = self.site.on_success(started_at);
        if let Change::Resolved(told) = change {
            let schedules = health::schedules_of_site(conn, self.subject.site_id, None).await?;
            pace::restore(conn, schedules.iter().filter(|paced| pace::held_by(paced, told)), self.now).await?;
            tracing::info!(event = events::SITE_RESTORED, site = %self.subject.site, code = %told, "base cadences restored");
            conditions::of_site(self, conn, change, told).await?;
            return Ok(());
        }
        let slow = self.health.slow_classes(self.rules).iter().any(|(_, _, over)| *over);
        let held = self.pace.hold();
        if slow && self.site.incident_since.is_none() {
            // Every other slot: what is slow is not made slower by being asked again at once.
            let wait = self.pace.base * 2;
            let class = class::SLOW_RUNS;
            self.next_try_at = Some(self.pace.hold_back(conn, self.now, (HoldKind::Slow, class, 0), wait, None).await?);
        } else if held.is_some_and(|held| held != HoldKind::Site || self.site.incident_since.is_none()) {
            self.pace.restore(conn, self.now).await?;
            tracing::info!(event = events::PROJECT_RESTORED, project = %self.subject.name(), "base cadence restored");
        }
        Ok(())
    }
}

//! How often a project is tried from now on: holds schedules back and releases them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::domain::cron::Schedule;
use crate::domain::failure::FailureCode;
use crate::domain::ladder::next_try;
use crate::domain::site_cause::Cause;
use crate::domain::spread;
use crate::store::Result;
use crate::store::health::{self, Held, HoldKind, Paced};

/// The cadence of a schedule that cannot be read: what projects have by default.
const USUAL: Duration = Duration::from_secs(900);

/// A project's pace: its base cadence, and what it is held back by.
pub(super) struct Pace {
    /// Its schedule; `None` when it has none.
    pub paced: Option<Paced>,
    /// Its base cadence, at this time.
    pub base: Duration,
}

impl Pace {
    pub fn of(paced: Option<Paced>, now: DateTime<Utc>) -> Self {
        let schedule = paced.as_ref().and_then(|paced| Schedule::parse(&paced.cron, &paced.time_zone).ok());
        let base = schedule.map_or(USUAL, |schedule| schedule.interval_at(now));
        Self { paced, base }
    }

    /// Why it is held back.
    pub fn hold(&self) -> Option<HoldKind> {
        self.paced.as_ref()?.hold
    }

    /// The rung of its own ladder.
    pub fn rung(&self) -> u32 {
        self.paced.as_ref().filter(|paced| paced.hold == Some(HoldKind::Ladder)).map_or(0, |paced| paced.rung)
    }

    /// Holds the project back; answers when it is tried next.
    pub async fn hold_back(
        &self,
        conn: &mut PgConnection,
        now: DateTime<Utc>,
        why: (HoldKind, &str, u32),
        wait: Duration,
        named: Option<DateTime<Utc>>,
    ) -> Result<DateTime<Utc>> {
        let until = next_try(now, wait, named);
        if let Some(paced) = &self.paced {
            let (kind, code, rung) = why;
            let seconds = wait.as_secs_f64();
            let held =
                Held { project_id: paced.project_id, kind, code: code.to_owned(), rung, since: now, until, seconds };
            health::hold(conn, &held).await?;
        }
        Ok(until)
    }

    /// Restores the base cadence.
    pub async fn restore(&self, conn: &mut PgConnection, now: DateTime<Utc>) -> Result<()> {
        restore(conn, self.paced.iter(), now).await
    }
}

/// Restores base cadences. A schedule that cannot be read is left to the scheduler, which pauses it with a reason.
pub(super) async fn restore(
    conn: &mut PgConnection,
    schedules: impl Iterator<Item = &Paced>,
    now: DateTime<Utc>,
) -> Result<()> {
    let next: Vec<_> = schedules
        .filter_map(|paced| {
            let schedule = Schedule::parse(&paced.cron, &paced.time_zone).ok()?;
            let (slot_at, run_at) = spread::next_start(&schedule, paced.project_id, now)?;
            Some((paced.project_id, slot_at, run_at))
        })
        .collect();
    if next.is_empty() { Ok(()) } else { health::release(conn, &next).await }
}

/// Whether a schedule was held back by what a site suffered from.
pub(super) fn held_by(paced: &Paced, told: FailureCode) -> bool {
    let code = paced.hold_code.as_deref().and_then(FailureCode::parse);
    match paced.hold {
        Some(HoldKind::Site) => true,
        Some(HoldKind::Ladder | HoldKind::Until) => code.and_then(Cause::of) == Cause::of(told),
        _ => false,
    }
}

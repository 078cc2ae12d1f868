//! Schedules that are held back, and released.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::store::Result;
use crate::store::schedule_admin;

/// Why a base cadence is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldKind {
    /// The project fails.
    Ladder,
    /// The other side named a time.
    Until,
    /// The site is in trouble, and one project is the probe for all.
    Site,
    /// Runs take too long.
    Slow,
}

impl HoldKind {
    /// The kind as stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ladder => "ladder",
            Self::Until => "until",
            Self::Site => "site",
            Self::Slow => "slow",
        }
    }

    /// The kind stored as `text`.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Ladder, Self::Until, Self::Site, Self::Slow].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A schedule with what telemetry needs of it.
#[derive(Clone, Debug)]
pub struct Paced {
    /// The project.
    pub project_id: Uuid,
    /// `SITE/KEY`.
    pub name: String,
    /// The base cadence.
    pub cron: String,
    /// Its zone.
    pub time_zone: String,
    /// Why it is held back.
    pub hold: Option<HoldKind>,
    /// For which failure.
    pub hold_code: Option<String>,
    /// The rung it is on.
    pub rung: u32,
}

/// A schedule to be held back.
#[derive(Clone, Debug)]
pub struct Held {
    /// The project.
    pub project_id: Uuid,
    /// Why.
    pub kind: HoldKind,
    /// The failure's code, or the condition's class.
    pub code: String,
    /// The rung.
    pub rung: u32,
    /// Since when.
    pub since: DateTime<Utc>,
    /// When it is tried next.
    pub until: DateTime<Utc>,
    /// How long the start after that is put off until its end was read.
    pub seconds: f64,
}

/// The schedules of a site's projects that are not removed; or of one project.
pub async fn schedules_of_site(conn: &mut PgConnection, site_id: Uuid, project_id: Option<Uuid>) -> Result<Vec<Paced>> {
    let rows = sqlx::query!(
        r#"SELECT s.project_id, t.name || '/' || p.key AS "name!", s.cron, s.time_zone, s.hold, s.hold_code, s.rung
             FROM syncline.schedule s JOIN syncline.project p ON p.id = s.project_id JOIN syncline.site t ON t.id = p.site_id
            WHERE p.site_id = $1 AND p.state <> 'removed' AND ($2::uuid IS NULL OR p.id = $2)
            ORDER BY s.project_id"#,
        site_id,
        project_id
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Paced {
            project_id: row.project_id,
            name: row.name,
            cron: row.cron,
            time_zone: row.time_zone,
            hold: row.hold.as_deref().and_then(HoldKind::parse),
            hold_code: row.hold_code,
            rung: u32::try_from(row.rung).unwrap_or(0),
        })
        .collect())
}

/// Holds one schedule back.
pub async fn hold(conn: &mut PgConnection, held: &Held) -> Result<()> {
    sqlx::query!(
        r#"UPDATE syncline.schedule
              SET hold = $2, hold_code = $3, rung = $4, held_since = CASE WHEN hold IS NULL THEN $5 ELSE held_since END,
                  hold_until = $6, next_run_at = $6, next_slot_at = $6, hold_seconds = $7
            WHERE project_id = $1"#,
        held.project_id,
        held.kind.as_str(),
        held.code,
        i16::try_from(held.rung).unwrap_or(i16::MAX),
        held.since,
        held.until,
        held.seconds,
    )
    .execute(&mut *conn)
    .await?;
    schedule_admin::wake_scheduler(conn).await
}

/// Holds every active schedule of a site back behind its probe: each would start some time after the probe's next but one
/// try, should there be no probe any more; each probe that fails puts them off again.
pub async fn hold_site(
    conn: &mut PgConnection,
    site_id: Uuid,
    probe: Uuid,
    code: &str,
    now: DateTime<Utc>,
    from: DateTime<Utc>,
    seconds: f64,
) -> Result<u64> {
    let done = sqlx::query!(
        r#"UPDATE syncline.schedule s
              SET hold = 'site', hold_code = $3, rung = 0, held_since = CASE WHEN s.hold IS NULL THEN $4 ELSE s.held_since END,
                  hold_until = n.at, next_run_at = n.at, next_slot_at = n.at, hold_seconds = $6::float8
             FROM (SELECT p.id, $5::timestamptz + make_interval(secs => $6::float8 * (1 + (hashtextextended(p.id::text, 0) & 1023) / 1024.0)) AS at
                     FROM syncline.project p WHERE p.site_id = $1 AND p.state <> 'removed' AND p.id <> $2) n
            WHERE s.project_id = n.id"#,
        site_id,
        probe,
        code,
        now,
        from,
        seconds,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Restores base cadences: project, slot, start.
pub async fn release(conn: &mut PgConnection, next: &[(Uuid, DateTime<Utc>, DateTime<Utc>)]) -> Result<()> {
    let projects: Vec<Uuid> = next.iter().map(|n| n.0).collect();
    let slots: Vec<DateTime<Utc>> = next.iter().map(|n| n.1).collect();
    let starts: Vec<DateTime<Utc>> = next.iter().map(|n| n.2).collect();
    sqlx::query!(
        r#"UPDATE syncline.schedule s
              SET hold = NULL, hold_code = NULL, rung = 0, held_since = NULL, hold_until = NULL, hold_seconds = 0,
                  next_slot_at = n.slot_at, next_run_at = n.run_at
             FROM unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[]) AS n (project_id, slot_at, run_at)
            WHERE s.project_id = n.project_id"#,
        &projects,
        &slots,
        &starts,
    )
    .execute(&mut *conn)
    .await?;
    schedule_admin::wake_scheduler(conn).await
}

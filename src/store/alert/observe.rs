//! Observations become episodes.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;

use super::keep::{self, NewEvent};
use super::row::{self, AlertRow, Change};
use crate::domain::alert::{Details, Observation, Scope, Signal};
use crate::domain::episode::Episode;
use crate::store::{Error, Result};

/// Takes note of conditions that hold or have ended, in the caller's transaction. Sends nothing: it keeps the episodes true
/// and says when to look at them. The last of several observations of one scope and class counts.
///
/// # Errors
/// When the database refuses; then the caller's transaction must be rolled back.
pub async fn observe(conn: &mut PgConnection, now: DateTime<Utc>, observations: &[Observation]) -> Result<()> {
    let latest: BTreeMap<String, &Observation> = observations.iter().map(|one| (key(one), one)).collect();
    if latest.is_empty() {
        return Ok(());
    }
    let all: Vec<String> = latest.keys().cloned().collect();
    let mut known = lock(conn, &all, now).await?;
    let seen: HashSet<String> = known.iter().map(|row| row.key.clone()).collect();
    let fresh: Vec<(&String, &Scope, &str, &Details)> = latest
        .iter()
        .filter(|(key, _)| !seen.contains(*key))
        .filter_map(|(key, one)| match &one.signal {
            Signal::Firing(details) => Some((key, &one.scope, one.class.as_str(), details.as_ref())),
            Signal::Cleared(_) | Signal::Absorbed(_) => None,
        })
        .collect();
    if !fresh.is_empty() {
        let opened = open(conn, now, &fresh).await?;
        // Somebody else has opened the same in this very moment, and has committed by now.
        let taken: Vec<String> =
            fresh.iter().map(|(key, ..)| (*key).clone()).filter(|key| !opened.contains(key)).collect();
        if !taken.is_empty() {
            known.extend(lock(conn, &taken, now).await?);
        }
    }
    // Open ones come first; a second row of a key can only be one that a clock set back has made young again.
    let mut done = HashSet::with_capacity(known.len());
    let (mut changes, mut absorbed) = (Vec::with_capacity(known.len()), Vec::new());
    for stored in known {
        if !done.insert(stored.key.clone()) {
            continue;
        }
        let Some(observation) = latest.get(&stored.key) else { continue };
        let change = apply(stored, &observation.signal, now)?;
        if let (Some(change), Signal::Absorbed(_)) = (&change, &observation.signal) {
            absorbed.push(NewEvent {
                alert_id: change.row.id,
                seq: change.row.last_seq,
                event: "absorbed".to_owned(),
                reason: "a wider alert has absorbed it".to_owned(),
                severity: change.row.severity.clone(),
                withheld: false,
            });
        }
        changes.extend(change);
    }
    row::write(conn, &changes, Some(now)).await?;
    if absorbed.is_empty() { Ok(()) } else { keep::insert_events(conn, now, &absorbed).await }
}

/// `site:UUID/SUSPENDED_PAYMENT`.
fn key(observation: &Observation) -> String {
    format!("{}/{}", observation.scope.key(), observation.class)
}

/// What an observation changes of an episode, if anything.
fn apply(stored: AlertRow, signal: &Signal, now: DateTime<Utc>) -> Result<Option<Change>> {
    let before = stored.episode()?;
    let mut episode = before;
    match signal {
        Signal::Firing(details) => {
            episode.fire(details.severity, details.rung, now);
            let change = Change {
                row: stored.with(&episode),
                details: Some(document(details)?),
                category: Some(details.category.clone()),
                seen_at: Some(now),
            };
            Ok(Some(change))
        }
        Signal::Cleared(at) => {
            episode.clear(*at, now);
            Ok((episode != before).then(|| stored.with(&episode).into()))
        }
        Signal::Absorbed(at) => {
            let ended = episode.absorb(*at, now);
            let mut row = stored.with(&episode);
            row.last_seq += 1;
            Ok(ended.then(|| row.into()))
        }
    }
}

fn document(details: &Details) -> Result<Value> {
    serde_json::to_value(details).map_err(|error| Error::Database(sqlx::Error::Encode(error.into())))
}

/// The episodes of these keys that are open, or that a return would belong to.
async fn lock(conn: &mut PgConnection, keys: &[String], now: DateTime<Utc>) -> Result<Vec<AlertRow>> {
    let rows = sqlx::query_as!(
        AlertRow,
        r#"SELECT id, key, state, severity, coalesce((details->>'rung')::int2, 0::int2) AS "rung!", held_since, cleared_at,
                  resolved_at, damped_until, flaps, told_open, told_at, told_opened_at, told_severity, told_rung,
                  told_age_seconds, acknowledged_at, last_seq, next_action_at
             FROM syncline.alert
            WHERE key = ANY ($1) AND (state <> 'resolved' OR damped_until > $2)
            ORDER BY key, state = 'resolved', opened_at DESC FOR UPDATE"#,
        keys,
        now
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

/// Opens episodes; answers the keys of those that nobody else has opened.
async fn open(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    fresh: &[(&String, &Scope, &str, &Details)],
) -> Result<HashSet<String>> {
    let mut rows = Vec::with_capacity(fresh.len());
    for (key, scope, class, details) in fresh {
        let episode = Episode::begin(details.severity, details.rung, now);
        let (kind, site_id, project_id) = match scope {
            Scope::Site { site_id } => ("site", Some(*site_id), None),
            Scope::Project { site_id, project_id } => ("project", Some(*site_id), Some(*project_id)),
            Scope::Channel { .. } => ("channel", None, None),
            Scope::System => ("system", None, None),
        };
        rows.push(serde_json::json!({
            "key": key, "scope": scope, "scope_kind": kind, "site_id": site_id, "project_id": project_id,
            "class": class, "category": details.category, "severity": details.severity, "state": episode.phase.as_str(),
            "details": document(details)?, "next_action_at": episode.next_action_at,
        }));
    }
    let opened = sqlx::query_scalar!(
        r#"
        WITH opened AS (
            INSERT INTO syncline.alert (id, key, scope, scope_kind, site_id, project_id, class, category, severity, state,
                                        details, opened_at, held_since, seen_at, next_action_at)
            SELECT syncline.new_id(), n.key, n.scope, n.scope_kind, n.site_id, n.project_id, n.class, n.category,
                   n.severity, n.state, n.details, $2, $2, $2, n.next_action_at
              FROM jsonb_to_recordset($1::jsonb) AS n (
                       key text, scope jsonb, scope_kind text, site_id uuid, project_id uuid, class text, category text,
                       severity text, state text, details jsonb, next_action_at timestamptz)
             ORDER BY n.key
            ON CONFLICT (key) WHERE state <> 'resolved' DO NOTHING
            RETURNING key
        ), woken AS (
            SELECT pg_notify('syncline_alert', '') FROM (SELECT 1 FROM opened LIMIT 1) AS any_opened
        )
        SELECT key FROM opened WHERE (SELECT count(*) FROM woken) >= 0
        "#,
        Value::Array(rows),
        now,
    )
    .fetch_all(conn)
    .await?;
    Ok(opened.into_iter().collect())
}

//! Channels, as operators configure them.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgPool;

use super::delivery::StoredChannel;
use crate::store::{Result, audit};

/// A configured channel with its health.
#[derive(Clone, Debug, Serialize)]
pub struct ChannelView {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// What its kind needs.
    pub settings: Value,
    /// Where its secret is: a reference, or `encrypted`.
    pub credential: Option<String>,
    /// Routes that name it.
    pub routes: i64,
    /// Messages that it did not take, in a row.
    pub failures: i32,
    /// Since when.
    pub failing_since: Option<DateTime<Utc>>,
    /// Why it did not take the last one.
    pub reason: Option<String>,
    /// What was wrong when it was asked last whether it would take a message.
    pub probe_problem: Option<String>,
    /// What is stored: a reference or a sealed secret.
    #[serde(skip)]
    pub stored_credential: Option<String>,
}

/// All channels, or the one of that name.
pub async fn list(pool: &PgPool, name: Option<&str>) -> Result<Vec<ChannelView>> {
    let channels = sqlx::query_as!(
        ChannelView,
        r#"SELECT c.name, c.kind, c.settings,
                  CASE WHEN c.credential LIKE 'enc:%' THEN 'encrypted' ELSE c.credential END AS credential,
                  (SELECT count(*) FROM syncline.alert_route r WHERE r.channel = c.name) AS "routes!",
                  c.failures, c.failing_since, c.reason_code || ': ' || c.reason AS reason,
                  c.probe_problem, c.credential AS stored_credential
             FROM syncline.alert_channel c
            WHERE $1::text IS NULL OR c.name = $1
            ORDER BY c.name"#,
        name
    )
    .fetch_all(pool)
    .await?;
    Ok(channels)
}

/// Channels that nobody has asked for so long whether they would take a message; they are the caller's to ask now.
pub async fn claim_probes(pool: &PgPool, now: DateTime<Utc>, every: TimeDelta) -> Result<Vec<(String, StoredChannel)>> {
    let rows = sqlx::query!(
        r#"UPDATE syncline.alert_channel SET probed_at = $1
            WHERE name IN (SELECT name FROM syncline.alert_channel
                            WHERE kind <> 'log' AND (probed_at IS NULL OR probed_at <= $2 OR probed_at < updated_at)
                            FOR UPDATE SKIP LOCKED)
           RETURNING name, kind, settings, credential, updated_at"#,
        now,
        now - every
    )
    .fetch_all(pool)
    .await?;
    let stored = |kind, settings, credential, updated_at| StoredChannel { kind, settings, credential, updated_at };
    Ok(rows.into_iter().map(|r| (r.name, stored(r.kind, r.settings, r.credential, r.updated_at))).collect())
}

/// Records what was wrong with a channel when it was asked; nothing when it would take a message.
pub async fn record_probe(pool: &PgPool, name: &str, problem: Option<&str>) -> Result<()> {
    sqlx::query!(
        r#"UPDATE syncline.alert_channel SET probe_problem = $2 WHERE name = $1 AND probe_problem IS DISTINCT FROM $2"#,
        name,
        problem
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// A channel to be stored.
#[derive(Clone, Debug)]
pub struct NewChannel {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// What its kind needs.
    pub settings: Value,
    /// A reference to its secret, or the sealed secret.
    pub credential: Option<String>,
}

/// Adds a channel, or changes one when `update`; false when it exists already, or does not.
pub async fn save(pool: &PgPool, now: DateTime<Utc>, new: &NewChannel, update: bool, actor: &str) -> Result<bool> {
    let mut tx = pool.begin().await?;
    let saved = if update {
        sqlx::query!(
            r#"UPDATE syncline.alert_channel
                  SET kind = $2, settings = $3, credential = $4, failures = 0, failing_since = NULL, reason_code = NULL, reason = NULL,
                      -- Definitions are kept in memory by this time: it must change even within one tick of the clock.
                      updated_at = greatest($5, updated_at + interval '1 microsecond')
                WHERE name = $1"#,
            new.name,
            new.kind,
            new.settings,
            new.credential,
            now
        )
        .execute(&mut *tx)
        .await?
    } else {
        sqlx::query!(
            r#"INSERT INTO syncline.alert_channel (name, kind, settings, credential, created_at, updated_at)
               VALUES ($1, $2, $3, $4, $5, $5) ON CONFLICT (name) DO NOTHING"#,
            new.name,
            new.kind,
            new.settings,
            new.credential,
            now
        )
        .execute(&mut *tx)
        .await?
    };
    if saved.rows_affected() > 0 {
        let action = if update { "alert.channel.update" } else { "alert.channel.add" };
        audit::record(&mut *tx, actor, action, std::slice::from_ref(&new.name)).await?;
    }
    tx.commit().await?;
    Ok(saved.rows_affected() > 0)
}

/// Removes a channel that no route names; false when there is none of that name.
pub async fn remove(pool: &PgPool, name: &str, actor: &str) -> Result<bool> {
    let mut tx = pool.begin().await?;
    let removed = sqlx::query!("DELETE FROM syncline.alert_channel WHERE name = $1 AND name <> 'log'", name)
        .execute(&mut *tx)
        .await?;
    if removed.rows_affected() > 0 {
        audit::record(&mut *tx, actor, "alert.channel.remove", &[name.to_owned()]).await?;
    }
    tx.commit().await?;
    Ok(removed.rows_affected() > 0)
}

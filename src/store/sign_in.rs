//! Sessions of people who have signed in, and how often somebody tried. The store knows fingerprints only.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use sqlx::PgPool;
use utoipa::ToSchema;
use uuid::Uuid;

use super::audit::{self, Who};
use crate::store::Result;

/// How long a session lives without being used, and at most, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Life {
    /// Without being used.
    pub idle: f64,
    /// At most.
    pub whole: f64,
}

/// A session as people see it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Session {
    /// Names it.
    pub id: Uuid,
    /// Who is signed in.
    pub account: String,
    /// When they signed in.
    pub created_at: DateTime<Utc>,
    /// When it was last used, to the minute.
    pub last_seen_at: DateTime<Utc>,
    /// When it ends, however much it is used.
    pub ends_at: DateTime<Utc>,
    /// The address that they signed in from.
    pub address: Option<String>,
    /// What the browser says it is.
    pub user_agent: Option<String>,
    /// Whether it is the one that asks.
    pub current: bool,
}

/// A session to be made.
#[derive(Clone, Debug)]
pub struct NewSession<'a> {
    /// Its id.
    pub id: Uuid,
    /// The SHA-256 of what the browser keeps.
    pub fingerprint: [u8; 32],
    /// What the browser says it is.
    pub user_agent: Option<&'a str>,
}

/// Who is signed in, as they are now.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// The session.
    pub id: Uuid,
    /// The account.
    pub account_id: Uuid,
    /// What it is called.
    pub name: String,
    /// Its role.
    pub role: String,
    /// Whether it reads what is restricted.
    pub restricted: bool,
    /// The only projects that it reaches.
    pub projects: Option<Vec<Uuid>>,
    /// When the session ends.
    pub ends_at: DateTime<Utc>,
}

/// Counts a try for each key, and answers how many there were since counting began, and how many seconds of `window` are left. What
/// is older than the window counts no more and is deleted. Keys are always given in the same order, so that nobody waits in a circle.
pub async fn count_try(pool: &PgPool, keys: &[String], window: f64) -> Result<Vec<(String, i32, f64)>> {
    sqlx::query!(
        "DELETE FROM syncline.sign_in_attempt WHERE key = ANY (ARRAY(
             SELECT key FROM syncline.sign_in_attempt
              WHERE since < clock_timestamp() - make_interval(secs => $1) ORDER BY since LIMIT 1000 FOR UPDATE SKIP LOCKED))",
        window
    )
    .execute(pool)
    .await?;
    let rows = sqlx::query!(
        r#"INSERT INTO syncline.sign_in_attempt AS a (key, tries, since)
           SELECT key, 1, clock_timestamp() FROM unnest($1::text[]) WITH ORDINALITY AS k (key, n) ORDER BY n
           ON CONFLICT (key) DO UPDATE
              SET tries = CASE WHEN a.since < clock_timestamp() - make_interval(secs => $2) THEN 1 ELSE a.tries + 1 END,
                  since = CASE WHEN a.since < clock_timestamp() - make_interval(secs => $2) THEN clock_timestamp() ELSE a.since END
           RETURNING key, tries,
                     extract(epoch FROM since + make_interval(secs => $2) - clock_timestamp())::float8 AS "left!""#,
        keys,
        window
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.key, row.tries, row.left)).collect())
}

/// Forgets the tries of these keys.
pub async fn forget_tries(pool: &PgPool, keys: &[String]) -> Result<()> {
    sqlx::query!("DELETE FROM syncline.sign_in_attempt WHERE key = ANY ($1)", keys).execute(pool).await?;
    Ok(())
}

/// Writes into the audit that a limit was reached.
pub async fn note_limit(pool: &PgPool, who: &Who<'_>, key: &str) -> Result<()> {
    audit::record_by(pool, who, "session.limit", key, &json!({})).await
}

/// Signs an account in: begins a session, forgets its failed tries, and says so in the audit. What has ended is deleted. False when
/// the account does not exist any more or was disabled meanwhile.
pub async fn begin(
    pool: &PgPool,
    account: Uuid,
    new: &NewSession<'_>,
    life: Life,
    tries: &[String],
    who: &Who<'_>,
) -> Result<bool> {
    let mut transaction = pool.begin().await?;
    let name = sqlx::query_scalar!(
        "UPDATE syncline.account SET last_sign_in_at = clock_timestamp() WHERE id = $1 AND disabled_at IS NULL RETURNING name",
        account
    )
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(name) = name else { return Ok(false) };
    sqlx::query!(
        "DELETE FROM syncline.session WHERE id = ANY (ARRAY(
             SELECT id FROM syncline.session
              WHERE last_seen_at < clock_timestamp() - make_interval(secs => $1) OR ends_at < clock_timestamp()
              LIMIT 1000 FOR UPDATE SKIP LOCKED))",
        life.idle
    )
    .execute(&mut *transaction)
    .await?;
    sqlx::query!(
        "INSERT INTO syncline.session (id, fingerprint, account_id, ends_at, address, user_agent)
         VALUES ($1, $2, $3, clock_timestamp() + make_interval(secs => $4), $5, $6)",
        new.id,
        &new.fingerprint[..],
        account,
        life.whole,
        who.address,
        new.user_agent
    )
    .execute(&mut *transaction)
    .await?;
    sqlx::query!("DELETE FROM syncline.sign_in_attempt WHERE key = ANY ($1)", tries).execute(&mut *transaction).await?;
    let who = Who { name: &name, ..*who };
    audit::record_by(&mut *transaction, &who, "session.begin", &name, &json!({ "session": new.id })).await?;
    transaction.commit().await?;
    Ok(true)
}

/// The session with that fingerprint, if it works now; notes that it was used, at most once a minute.
pub async fn used(pool: &PgPool, fingerprint: &[u8; 32], idle: f64) -> Result<Option<SignedIn>> {
    let found = sqlx::query!(
        r#"SELECT s.id, s.account_id, a.name, a.role, a.restricted, a.projects, s.ends_at,
                  s.last_seen_at < clock_timestamp() - interval '1 minute' AS "is_stale!"
             FROM syncline.session s JOIN syncline.account a ON a.id = s.account_id
            WHERE s.fingerprint = $1 AND a.disabled_at IS NULL AND s.ends_at > clock_timestamp()
              AND s.last_seen_at > clock_timestamp() - make_interval(secs => $2)"#,
        &fingerprint[..],
        idle
    )
    .fetch_optional(pool)
    .await?;
    let Some(row) = found else { return Ok(None) };
    if row.is_stale {
        sqlx::query!("UPDATE syncline.session SET last_seen_at = clock_timestamp() WHERE id = $1", row.id)
            .execute(pool)
            .await?;
    }
    Ok(Some(SignedIn {
        id: row.id,
        account_id: row.account_id,
        name: row.name,
        role: row.role,
        restricted: row.restricted,
        projects: row.projects,
        ends_at: row.ends_at,
    }))
}

/// Sessions that work, newest first: of one account, or of all. `current` is the one that asks.
pub async fn list(pool: &PgPool, account: Option<Uuid>, current: Option<Uuid>, idle: f64) -> Result<Vec<Session>> {
    let sessions = sqlx::query_as!(
        Session,
        r#"SELECT s.id, a.name AS account, s.created_at, s.last_seen_at, s.ends_at, s.address, s.user_agent,
                  coalesce(s.id = $2::uuid, false) AS "current!"
             FROM syncline.session s JOIN syncline.account a ON a.id = s.account_id
            WHERE ($1::uuid IS NULL OR s.account_id = $1) AND a.disabled_at IS NULL AND s.ends_at > clock_timestamp()
              AND s.last_seen_at > clock_timestamp() - make_interval(secs => $3)
            ORDER BY s.created_at DESC, s.id LIMIT 1000"#,
        account,
        current,
        idle
    )
    .fetch_all(pool)
    .await?;
    Ok(sessions)
}

/// Ends sessions, and says so in the audit: the one of this id, or all of an account. Answers how many.
pub async fn end(pool: &PgPool, session: Option<Uuid>, account: Option<Uuid>, who: &Who<'_>) -> Result<usize> {
    let mut transaction = pool.begin().await?;
    let ended = sqlx::query!(
        "DELETE FROM syncline.session s USING syncline.account a
          WHERE a.id = s.account_id AND (s.id = $1 OR $1::uuid IS NULL AND $2::uuid IS NOT NULL)
            AND ($2::uuid IS NULL OR s.account_id = $2)
          RETURNING s.id, a.name",
        session,
        account
    )
    .fetch_all(&mut *transaction)
    .await?;
    if let Some(first) = ended.first() {
        let ids: Vec<Uuid> = ended.iter().map(|one| one.id).collect();
        audit::record_by(&mut *transaction, who, "session.end", &first.name, &json!({ "sessions": ids })).await?;
        transaction.commit().await?;
    }
    Ok(ended.len())
}

//! What proves that a webhook comes from a site.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::store::Result;
use crate::store::audit::{self, Who};

/// A secret as people see it: without the secret.
#[derive(Clone, Debug, Serialize)]
pub struct Secret {
    /// Names it.
    pub id: Uuid,
    /// `hmac`, `jwt` or `path`.
    pub kind: String,
    /// Where it is kept: a reference, `encrypted`, `fingerprint`, or `oauth` for the secret of the site's app.
    pub kept: String,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it stops counting; null for never.
    pub ends_at: Option<DateTime<Utc>>,
    /// When a webhook was last proven by it, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// A secret to be kept.
#[derive(Clone)]
pub struct NewSecret {
    /// Names it.
    pub id: Uuid,
    /// `hmac`, `jwt` or `path`.
    pub kind: &'static str,
    /// A reference, or the sealed secret.
    pub credential: Option<String>,
    /// The SHA-256 of a secret that stands in the address.
    pub fingerprint: Option<[u8; 32]>,
}

/// Who may send: a site with its secrets that count now.
#[derive(Clone, Debug)]
pub struct Sender {
    /// The site.
    pub site_id: Uuid,
    /// Its name.
    pub site: String,
    /// What proves it.
    pub proofs: Vec<Proof>,
}

/// One of them as it is stored.
#[derive(Clone)]
pub struct Proof {
    /// Names it.
    pub id: Uuid,
    /// `hmac`, `jwt` or `path`.
    pub kind: String,
    /// A reference, or the sealed secret.
    pub credential: Option<String>,
    /// The SHA-256 of a secret that stands in the address.
    pub fingerprint: Option<Vec<u8>>,
    /// The client id of the site's OAuth app, where its secret counts.
    pub issuer: Option<String>,
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proof").field("id", &self.id).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Every site that has a secret which counts now.
pub async fn senders(pool: &PgPool) -> Result<Vec<Sender>> {
    let rows = sqlx::query!(
        r#"SELECT s.id AS site_id, s.name, w.id, w.kind, w.fingerprint,
                  CASE WHEN w.kind = 'jwt' THEN coalesce(w.credential, o.client_secret) ELSE w.credential END AS credential,
                  CASE WHEN w.kind = 'jwt' AND w.credential IS NULL THEN o.client_id END AS issuer
             FROM syncline.webhook_secret w
             JOIN syncline.site s ON s.id = w.site_id
             LEFT JOIN syncline.site_oauth o ON o.site_id = s.id
            WHERE w.ends_at IS NULL OR w.ends_at > clock_timestamp()
            ORDER BY s.name, w.created_at DESC, w.id"#
    )
    .fetch_all(pool)
    .await?;
    let mut senders: Vec<Sender> = Vec::new();
    for row in rows {
        let proof = Proof {
            id: row.id,
            kind: row.kind,
            credential: row.credential,
            fingerprint: row.fingerprint,
            issuer: row.issuer,
        };
        match senders.last_mut().filter(|last| last.site_id == row.site_id) {
            Some(last) => last.proofs.push(proof),
            None => senders.push(Sender { site_id: row.site_id, site: row.name, proofs: vec![proof] }),
        }
    }
    Ok(senders)
}

/// The secrets of a site, newest first; those that have ended too.
pub async fn secrets(pool: &PgPool, site_id: Uuid) -> Result<Vec<Secret>> {
    let secrets = sqlx::query_as!(
        Secret,
        r#"SELECT id, kind,
                  CASE WHEN kind = 'path' THEN 'fingerprint' WHEN credential IS NULL THEN 'oauth'
                       WHEN credential LIKE 'enc:%' THEN 'encrypted' ELSE credential END AS "kept!",
                  created_by, created_at, ends_at, last_used_at
             FROM syncline.webhook_secret WHERE site_id = $1 ORDER BY created_at DESC, id"#,
        site_id
    )
    .fetch_all(pool)
    .await?;
    Ok(secrets)
}

async fn insert(conn: &mut PgConnection, site_id: Uuid, secret: &NewSecret, who: &Who<'_>) -> Result<()> {
    sqlx::query!(
        r#"INSERT INTO syncline.webhook_secret (id, site_id, kind, credential, fingerprint, created_by)
           VALUES ($1, $2, $3, $4, $5, $6)"#,
        secret.id,
        site_id,
        secret.kind,
        secret.credential,
        secret.fingerprint.as_ref().map(<[u8; 32]>::as_slice),
        who.name
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Keeps a secret beside those that count.
pub async fn add(pool: &PgPool, site: (Uuid, &str), secret: &NewSecret, who: &Who<'_>) -> Result<()> {
    let mut transaction = pool.begin().await?;
    insert(&mut transaction, site.0, secret, who).await?;
    let details = json!({ "secret": secret.id, "kind": secret.kind });
    audit::record_by(&mut *transaction, who, "webhook.add", site.1, &details).await?;
    transaction.commit().await?;
    Ok(())
}

/// Keeps a secret, and lets those of its kind end in so many seconds; answers how many those are.
pub async fn rotate(pool: &PgPool, site: (Uuid, &str), secret: &NewSecret, seconds: f64, who: &Who<'_>) -> Result<u64> {
    let mut transaction = pool.begin().await?;
    let ending = sqlx::query!(
        r#"UPDATE syncline.webhook_secret
              SET ends_at = least(coalesce(ends_at, 'infinity'), clock_timestamp() + make_interval(secs => $3))
            WHERE site_id = $1 AND kind = $2 AND (ends_at IS NULL OR ends_at > clock_timestamp())"#,
        site.0,
        secret.kind,
        seconds
    )
    .execute(&mut *transaction)
    .await?
    .rows_affected();
    insert(&mut transaction, site.0, secret, who).await?;
    let details = json!({ "secret": secret.id, "kind": secret.kind, "ending": ending, "seconds": seconds });
    audit::record_by(&mut *transaction, who, "webhook.rotate", site.1, &details).await?;
    transaction.commit().await?;
    Ok(ending)
}

/// Removes one secret of a site, or all of them; answers how many.
pub async fn remove(pool: &PgPool, site: (Uuid, &str), id: Option<Uuid>, who: &Who<'_>) -> Result<u64> {
    let mut transaction = pool.begin().await?;
    let removed = sqlx::query!(
        "DELETE FROM syncline.webhook_secret WHERE site_id = $1 AND ($2::uuid IS NULL OR id = $2)",
        site.0,
        id
    )
    .execute(&mut *transaction)
    .await?
    .rows_affected();
    if removed > 0 {
        audit::record_by(
            &mut *transaction,
            who,
            "webhook.remove",
            site.1,
            &json!({ "secret": id, "removed": removed }),
        )
        .await?;
    }
    transaction.commit().await?;
    Ok(removed)
}

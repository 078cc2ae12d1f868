//! Where Jira's answers differ from what is documented.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgPool;
use uuid::Uuid;

use crate::store::Result;

/// A place that was met with another shape than expected.
#[derive(Clone, Debug, Serialize)]
pub struct Drift {
    /// The name of the site.
    pub site: String,
    /// `issue`, `comment`, or the name of a catalogue.
    pub entity: String,
    /// The field.
    pub field: String,
    /// The field's name in Jira, where the catalogue has it.
    pub field_name: Option<String>,
    /// What was expected.
    pub expected: String,
    /// What was found.
    pub found: String,
    /// How often.
    pub occurrences: i64,
    /// First.
    pub first_seen_at: DateTime<Utc>,
    /// Last.
    pub last_seen_at: DateTime<Utc>,
}

/// All of them, of one site or of all, what was seen last first.
pub async fn list(pool: &PgPool, site_id: Option<Uuid>) -> Result<Vec<Drift>> {
    let drifts = sqlx::query_as!(
        Drift,
        r#"SELECT s.name AS site, d.entity, d.field, f.name AS "field_name?", d.expected, d.found, d.occurrences,
                  d.first_seen_at, d.last_seen_at
             FROM syncline.schema_drift d
             JOIN syncline.site s ON s.id = d.site_id
             LEFT JOIN syncline.field f ON f.site_id = d.site_id AND f.id = d.field
            WHERE $1::uuid IS NULL OR d.site_id = $1
            ORDER BY d.last_seen_at DESC, s.name, d.entity, d.field"#,
        site_id
    )
    .fetch_all(pool)
    .await?;
    Ok(drifts)
}

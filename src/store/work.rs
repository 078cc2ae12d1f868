//! What a step needs to know of its run: the project and the site.

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use crate::store::Result;

/// A run with its project and site, as its steps need them.
#[derive(Clone)]
pub struct Work {
    /// The run.
    pub run_id: Uuid,
    /// `incremental` or `full`.
    pub kind: String,
    /// What asked for it; `repair` looks at single issues only.
    pub trigger: String,
    /// The ids of all issues are compared too, and what is gone is marked.
    pub reconcile: bool,
    /// The plan is written: what is known of the site and the project is fresh.
    pub planned: bool,
    /// The project.
    pub project_id: Uuid,
    /// Its key when it was last seen.
    pub project_key: String,
    /// Jira's id of the project, once it is known.
    pub jira_project_id: Option<i64>,
    /// Only issues that concern listed users are read.
    pub listed: bool,
    /// The site.
    pub site_id: Uuid,
    /// Its name here.
    pub site_name: String,
    /// `cloud` or `data_center`.
    pub site_kind: String,
    /// `basic`, `bearer` or `oauth`.
    pub site_auth: String,
    /// The field that holds story points, where an operator named it.
    pub story_points_field: Option<String>,
    /// Its URL.
    pub base_url: String,
    /// The account.
    pub account_email: String,
    /// A reference to the credential, or the encrypted credential; never plain.
    pub credential: String,
    /// How many requests may be under way at once.
    pub max_concurrency: i32,
    /// Collections of issues that are as they were are fetched from here on; known once the run is planned.
    pub collections_from: Option<DateTime<Utc>>,
    /// The custom fields of the site, as far as they are known: `{"story_points": "customfield_10016"}`.
    pub field_map: Option<serde_json::Value>,
    /// What is set for the project, its site or all, as [`Settings`](crate::domain::setting::Settings) reads it.
    pub settings: serde_json::Value,
    /// How long the run has been under way; none before it was planned.
    pub running_seconds: Option<f64>,
}

/// Loads it; `None` when the run no longer exists.
pub async fn load(pool: &PgPool, run_id: Uuid) -> Result<Option<Work>> {
    let work = sqlx::query_as!(
        Work,
        r#"SELECT r.id AS run_id, r.kind, r.trigger, r.reconcile, r.started_at IS NOT NULL AS "planned!", p.id AS project_id, p.key AS project_key, p.jira_id AS jira_project_id, p.tracking = 'listed' AS "listed!",
                  s.id AS site_id, s.name AS site_name, s.kind AS site_kind, s.auth AS site_auth, s.story_points_field, s.account_email, s.credential, s.max_concurrency, r.collections_from, s.field_map,
                  coalesce((SELECT o.site_url FROM syncline.site_oauth o WHERE o.site_id = s.id AND s.auth = 'oauth'), s.base_url) AS "base_url!",
                  syncline.effective_settings(s.id, p.id) AS "settings!",
                  extract(epoch FROM clock_timestamp() - r.started_at)::float8 AS running_seconds
             FROM syncline.sync_run r
             JOIN syncline.project p ON p.id = r.project_id
             JOIN syncline.site s ON s.id = p.site_id
            WHERE r.id = $1"#,
        run_id
    )
    .fetch_optional(pool)
    .await?;
    Ok(work)
}

//! Issues, by Jira's id: a move keeps the row.

use std::collections::{BTreeSet, HashSet};

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use serde::{Serialize, Serializer};
use serde_json::json;
use sqlx::PgConnection;
use tracing::Instrument;
use uuid::Uuid;

use crate::domain::entity::IssueDetails;
use crate::domain::record::IssueRecord;
use crate::observe::trace;
use crate::store::Result;

/// What a batch did.
#[derive(Clone, Debug, Default)]
pub struct UpsertedIssues {
    /// New rows.
    pub created: i64,
    /// Changed rows.
    pub updated: i64,
    /// Rows that were as Jira shows them, or were asked for later.
    pub unchanged: i64,
    /// The issues of which nothing was stored that was asked for later: only theirs are the comments and worklogs to be applied.
    pub current: HashSet<i64>,
    /// Those of them that were written, and so are locked until the transaction ends.
    pub written: HashSet<i64>,
    /// Those of them that are new, or were marked as gone.
    pub created_ids: HashSet<i64>,
    /// Issues that were not written because two signs of their age contradict each other: the time that Jira puts on them and
    /// the time at which a search showed them. A direct read decides.
    pub doubtful: Vec<i64>,
    /// Those that were written and have got another key, with the one that they had.
    pub former_keys: Vec<(i64, String)>,
}

/// How Jira was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// When it was asked, by the database's clock; before the request was sent.
    pub asked_at: DateTime<Utc>,
    /// Issues were asked for by id: the answer is what Jira holds. A search may show an older version than one that was read
    /// by id before, since its index is behind.
    pub by_id: bool,
}

/// Writes issues of one project. The batch must not hold an id twice.
///
/// What was asked for later wins, so that a row whose `updated` went back (a restore, an import, a clock that was corrected)
/// becomes what Jira shows. A search that shows an issue as older than it is stored is not believed: it is [doubtful].
///
/// [doubtful]: UpsertedIssues::doubtful
pub async fn upsert_issues(
    conn: &mut PgConnection,
    site_id: Uuid,
    project_id: Uuid,
    issues: &[&IssueRecord],
    look: Look,
) -> Result<UpsertedIssues> {
    let mut sorted: Vec<&IssueRecord> = issues.to_vec();
    sorted.sort_unstable_by_key(|issue| issue.id);
    let column = |f: fn(&IssueRecord) -> String| sorted.iter().map(|i| f(i)).collect::<Vec<String>>();
    let optional = |f: fn(&IssueRecord) -> Option<String>| sorted.iter().map(|i| f(i)).collect::<Vec<Option<String>>>();
    let ids: Vec<i64> = sorted.iter().map(|i| i.id).collect();
    let parent_ids: Vec<Option<i64>> = sorted.iter().map(|i| i.parent_id).collect();
    let points: Vec<Option<f64>> = sorted.iter().map(|i| i.story_points).collect();
    let created: Vec<DateTime<Utc>> = sorted.iter().map(|i| i.created_at).collect();
    let updated: Vec<DateTime<Utc>> = sorted.iter().map(|i| i.updated_at).collect();
    let resolved: Vec<Option<DateTime<Utc>>> = sorted.iter().map(|i| i.resolved_at).collect();
    let due: Vec<Option<NaiveDate>> = sorted.iter().map(|i| i.due_date).collect();
    let hashes: Vec<Vec<u8>> = sorted.iter().map(|i| i.content_hash.to_vec()).collect();
    let details: Vec<String> = sorted.iter().map(|i| details(&i.details)).collect();
    let rows = sqlx::query!(
        r#"
        WITH input AS MATERIALIZED (
            SELECT * FROM unnest($3::int8[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[],
                                 $11::text[], $12::text[], $13::text[], $14::text[], $15::int8[], $16::text[], $17::text[],
                                 $18::float8[], $19::timestamptz[], $20::timestamptz[], $21::timestamptz[], $22::date[], $23::bytea[],
                                 $24::text[])
                AS n (id, key, summary, description, issue_type, status, status_category, priority, resolution, assignee,
                      reporter, creator, parent_id, parent_key, labels, story_points, created_at, updated_at, resolved_at,
                      due_date, content_hash, details)
        ), known AS MATERIALIZED (
            -- One look-up by key for each, whatever the statistics: before the first ANALYZE a join reads the whole site.
            SELECT n.id, nullif(i.key, n.key) AS former_key,
                   i.content_hash = n.content_hash AND i.deleted_at IS NULL AND i.project_id = $2 AS same
              FROM input n
             CROSS JOIN LATERAL (SELECT i.content_hash, i.deleted_at, i.project_id, i.key FROM syncline.issue i
                                  WHERE i.site_id = $1 AND i.id = n.id LIMIT 1) i
        ), same AS (
            -- Rows that are as Jira shows them are neither written nor locked.
            SELECT id FROM known WHERE same
        ), written AS (
            INSERT INTO syncline.issue AS i (site_id, id, project_id, key, summary, description, issue_type, status, status_category,
                   priority, resolution, assignee_account_id, reporter_account_id, creator_account_id, parent_id, parent_key,
                   labels, story_points, created_at, updated_at, resolved_at, due_date, content_hash, synced_at,
                   issue_type_id, is_subtask, status_id, priority_id, resolution_id, environment, security_level,
                   status_category_changed_at, original_estimate_seconds, remaining_estimate_seconds, time_spent_seconds,
                   component_ids, fix_version_ids, affects_version_ids, sprint_ids, fields, votes, watchers, observed_at)
            -- What has an id is called as the site's lists call it, not as a page that may be older did: see store::names.
            SELECT $1, n.id, $2, n.key, n.summary, n.description, coalesce(nullif(lt.name, ''), n.issue_type),
                   coalesce(nullif(ls.name, ''), n.status), coalesce(nullif(ls.category, 'undefined'), n.status_category),
                   coalesce(nullif(lp.name, ''), n.priority), coalesce(nullif(lr.name, ''), n.resolution),
                   n.assignee, n.reporter, n.creator, n.parent_id, n.parent_key, ARRAY(SELECT jsonb_array_elements_text(n.labels::jsonb)),
                   n.story_points, n.created_at, n.updated_at, n.resolved_at, n.due_date, n.content_hash, clock_timestamp(),
                   d.issue_type_id, d.is_subtask, d.status_id, d.priority_id, d.resolution_id, d.environment, d.security_level,
                   d.status_category_changed_at, d.original_estimate_seconds, d.remaining_estimate_seconds, d.time_spent_seconds,
                   d.component_ids, d.fix_version_ids, d.affects_version_ids, d.sprint_ids, d.fields, d.votes, d.watchers, $25::timestamptz
              FROM input n
             CROSS JOIN LATERAL jsonb_to_record(n.details::jsonb) AS d (
                   issue_type_id int8, is_subtask bool, status_id int8, priority_id int8, resolution_id int8, environment text,
                   security_level text, status_category_changed_at timestamptz, original_estimate_seconds int8,
                   remaining_estimate_seconds int8, time_spent_seconds int8, component_ids int8[], fix_version_ids int8[],
                   affects_version_ids int8[], sprint_ids int8[], fields jsonb, votes int4, watchers int4)
              LEFT JOIN syncline.status ls ON ls.site_id = $1 AND ls.id = d.status_id
              LEFT JOIN syncline.term lt ON lt.site_id = $1 AND lt.kind = 'issue_type' AND lt.id = d.issue_type_id
              LEFT JOIN syncline.term lp ON lp.site_id = $1 AND lp.kind = 'priority' AND lp.id = d.priority_id
              LEFT JOIN syncline.term lr ON lr.site_id = $1 AND lr.kind = 'resolution' AND lr.id = d.resolution_id
             WHERE n.id NOT IN (SELECT id FROM same)
             ORDER BY n.id
            ON CONFLICT (site_id, id) DO UPDATE
               SET project_id = excluded.project_id, key = excluded.key, summary = excluded.summary,
                   description = excluded.description, issue_type = excluded.issue_type, status = excluded.status,
                   status_category = excluded.status_category, priority = excluded.priority, resolution = excluded.resolution,
                   assignee_account_id = excluded.assignee_account_id, reporter_account_id = excluded.reporter_account_id,
                   creator_account_id = excluded.creator_account_id, parent_id = excluded.parent_id,
                   parent_key = excluded.parent_key, labels = excluded.labels, story_points = excluded.story_points,
                   created_at = excluded.created_at, updated_at = excluded.updated_at, resolved_at = excluded.resolved_at,
                   due_date = excluded.due_date, content_hash = excluded.content_hash, synced_at = excluded.synced_at,
                   deleted_at = NULL, deleted_reason = NULL,
                   issue_type_id = excluded.issue_type_id, is_subtask = excluded.is_subtask, status_id = excluded.status_id,
                   priority_id = excluded.priority_id, resolution_id = excluded.resolution_id,
                   environment = excluded.environment, security_level = excluded.security_level,
                   status_category_changed_at = excluded.status_category_changed_at,
                   original_estimate_seconds = excluded.original_estimate_seconds,
                   remaining_estimate_seconds = excluded.remaining_estimate_seconds,
                   time_spent_seconds = excluded.time_spent_seconds, component_ids = excluded.component_ids,
                   fix_version_ids = excluded.fix_version_ids, affects_version_ids = excluded.affects_version_ids,
                   sprint_ids = excluded.sprint_ids, fields = excluded.fields, votes = excluded.votes,
                   watchers = excluded.watchers, observed_at = excluded.observed_at
             WHERE (i.observed_at IS NULL OR i.observed_at <= excluded.observed_at OR i.observed_at > clock_timestamp())
               AND ($26 OR i.updated_at <= excluded.updated_at)
               -- A page that holds the same rows may have written them since: pages of Data Center overlap.
               AND (i.content_hash <> excluded.content_hash OR i.deleted_at IS NOT NULL OR i.project_id <> excluded.project_id)
            RETURNING i.id, i.xmax = 0 AS created
        )
        SELECT w.id AS "id!", w.created AS "created?", k.former_key AS "former_key?" FROM written w LEFT JOIN known k ON k.id = w.id
        UNION ALL
        SELECT id, NULL, NULL FROM same
        "#,
        site_id,
        project_id,
        &ids,
        &column(|i| i.key.clone()),
        &column(|i| i.summary.clone()),
        &optional(|i| i.description.clone()) as &[Option<String>],
        &column(|i| i.issue_type.clone()),
        &column(|i| i.status.clone()),
        &column(|i| i.status_category.clone()),
        &optional(|i| i.priority.clone()) as &[Option<String>],
        &optional(|i| i.resolution.clone()) as &[Option<String>],
        &optional(|i| i.assignee.clone()) as &[Option<String>],
        &optional(|i| i.reporter.clone()) as &[Option<String>],
        &optional(|i| i.creator.clone()) as &[Option<String>],
        &parent_ids as &[Option<i64>],
        &optional(|i| i.parent_key.clone()) as &[Option<String>],
        &column(|i| serde_json::json!(i.labels).to_string()),
        &points as &[Option<f64>],
        &created,
        &updated,
        &resolved as &[Option<DateTime<Utc>>],
        &due as &[Option<NaiveDate>],
        &hashes,
        &details,
        look.asked_at,
        look.by_id,
    )
    .fetch_all(&mut *conn)
    .instrument(trace::batch("INSERT", "syncline.issue", issues.len()))
    .await?;
    let mut result = UpsertedIssues::default();
    for row in rows {
        match row.created {
            Some(true) => {
                result.created += 1;
                result.created_ids.insert(row.id);
            }
            Some(false) => result.updated += 1,
            None => {}
        }
        if row.created.is_some() {
            result.written.insert(row.id);
            result.former_keys.extend(row.former_key.map(|key| (row.id, key)));
        }
        result.current.insert(row.id);
    }
    result.unchanged = i64::try_from(issues.len()).unwrap_or(0) - result.created - result.updated;
    let passed_over: Vec<&IssueRecord> =
        sorted.into_iter().filter(|issue| !look.by_id && !result.current.contains(&issue.id)).collect();
    if !passed_over.is_empty() {
        result.doubtful = doubtful(conn, site_id, &passed_over, look.asked_at).await?;
    }
    Ok(result)
}

/// Of issues that were not written, those that one sign calls older than what is stored and the other newer.
async fn doubtful(
    conn: &mut PgConnection,
    site_id: Uuid,
    issues: &[&IssueRecord],
    asked_at: DateTime<Utc>,
) -> Result<Vec<i64>> {
    let (ids, updated): (Vec<i64>, Vec<DateTime<Utc>>) =
        issues.iter().map(|issue| (issue.id, issue.updated_at)).unzip();
    let ids = sqlx::query_scalar!(
        r#"SELECT n.id AS "id!" FROM unnest($2::int8[], $3::timestamptz[]) AS n (id, updated_at)
             JOIN syncline.issue i ON i.site_id = $1 AND i.id = n.id
            WHERE (i.updated_at <= n.updated_at)
                  <> (i.observed_at IS NULL OR i.observed_at <= $4 OR i.observed_at > clock_timestamp())"#,
        site_id,
        &ids,
        &updated,
        asked_at,
    )
    .fetch_all(conn)
    .await?;
    Ok(ids)
}

/// The columns of `details` as one JSON object: an array of arrays could not travel as a column, and the names keep eighteen
/// columns from being mixed up.
fn details(details: &IssueDetails) -> String {
    let members = json!({
        "issue_type_id": details.issue_type_id,
        "is_subtask": details.is_subtask,
        "status_id": details.status_id,
        "priority_id": details.priority_id,
        "resolution_id": details.resolution_id,
        "environment": details.environment,
        "security_level": details.security_level,
        "status_category_changed_at": details.status_category_changed_at.map(written),
        "original_estimate_seconds": details.original_estimate_seconds,
        "remaining_estimate_seconds": details.remaining_estimate_seconds,
        "time_spent_seconds": details.time_spent_seconds,
        "component_ids": details.component_ids,
        "fix_version_ids": details.fix_version_ids,
        "affects_version_ids": details.affects_version_ids,
        "sprint_ids": details.sprint_ids,
        "votes": details.votes,
        "watchers": details.watchers,
    });
    let mut text = members.to_string();
    text.pop();
    text.push_str(",\"fields\":");
    text.push_str(&fields(details));
    text.push('}');
    text
}

/// All fields without a column, as one JSON object.
fn fields(details: &IssueDetails) -> String {
    struct All<'a>(&'a IssueDetails);
    impl Serialize for All<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
            serializer.collect_map(self.0.fields.iter().chain(&self.0.beside))
        }
    }
    serde_json::to_string(&All(details)).unwrap_or_else(|_| "{}".to_owned())
}

/// Writes what does not count as a change of an issue, where the rest of it is as it is stored: votes, watchers, and the
/// fields that are kept beside. Each issue comes with the fields that its answer named: others stay as they are stored, unless
/// the site has them no more. A row that another transaction is writing is left to it, and so is one that was asked for after
/// `asked_at`.
pub async fn refresh_beside(
    conn: &mut PgConnection,
    site_id: Uuid,
    issues: &[(&IssueRecord, &BTreeSet<String>)],
    asked_at: DateTime<Utc>,
) -> Result<()> {
    let ids: Vec<i64> = issues.iter().map(|(i, _)| i.id).collect();
    let hashes: Vec<Vec<u8>> = issues.iter().map(|(i, _)| i.content_hash.to_vec()).collect();
    let all: Vec<String> = issues.iter().map(|(i, _)| fields(&i.details)).collect();
    let named = |named: &BTreeSet<String>| named.iter().map(|id| id.replace('\0', "\u{FFFD}")).collect::<Vec<String>>();
    let named: Vec<String> = issues.iter().map(|(_, ids)| json!(named(ids)).to_string()).collect();
    let votes: Vec<Option<i32>> = issues.iter().map(|(i, _)| i.details.votes).collect();
    let watchers: Vec<Option<i32>> = issues.iter().map(|(i, _)| i.details.watchers).collect();
    sqlx::query!(
        r#"
        WITH input AS MATERIALIZED (
            SELECT n.id, n.content_hash, n.fields::jsonb AS fields, n.named::jsonb AS named, n.votes, n.watchers
              FROM unnest($2::int8[], $3::bytea[], $4::text[], $5::text[], $6::int4[], $7::int4[])
                AS n (id, content_hash, fields, named, votes, watchers)
        ), other AS MATERIALIZED (
            SELECT n.id, n.content_hash, m.fields, n.votes, n.watchers FROM input n
             CROSS JOIN LATERAL (SELECT i.content_hash, i.fields, i.votes, i.watchers, i.observed_at FROM syncline.issue i
                                  WHERE i.site_id = $1 AND i.id = n.id LIMIT 1) i
             CROSS JOIN LATERAL (SELECT coalesce(jsonb_object_agg(f.id, f.value), '{}'::jsonb) || n.fields AS fields
                                   FROM jsonb_each(i.fields) AS f (id, value)
                                  WHERE NOT (n.named ? f.id)
                                    AND NOT EXISTS (SELECT 1 FROM syncline.field d
                                                     WHERE d.site_id = $1 AND d.id = f.id AND d.deleted_at IS NOT NULL)) m
             WHERE i.content_hash = n.content_hash
               AND (i.observed_at IS NULL OR i.observed_at <= $8 OR i.observed_at > clock_timestamp())
               AND (i.fields, i.votes, i.watchers) IS DISTINCT FROM (m.fields, coalesce(n.votes, i.votes), coalesce(n.watchers, i.watchers))
        ), locked AS MATERIALIZED (
            SELECT i.id FROM syncline.issue i WHERE i.site_id = $1 AND i.id = ANY (ARRAY(SELECT id FROM other)) ORDER BY i.id
               FOR NO KEY UPDATE SKIP LOCKED
        )
        UPDATE syncline.issue i SET fields = n.fields, votes = coalesce(n.votes, i.votes), watchers = coalesce(n.watchers, i.watchers)
          FROM other n
         WHERE i.site_id = $1 AND i.id = ANY (ARRAY(SELECT id FROM locked)) AND n.id = i.id AND i.content_hash = n.content_hash
        "#,
        site_id,
        &ids,
        &hashes,
        &all,
        &named,
        &votes as &[Option<i32>],
        &watchers as &[Option<i32>],
        asked_at,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A time as PostgreSQL reads it from a text: years beyond 9999 have no sign.
fn written(at: DateTime<Utc>) -> String {
    format!("{:04}{}", at.year(), at.format("-%m-%dT%H:%M:%S%.3fZ"))
}

/// Locks an issue until the transaction ends, if what is stored was not asked for after `asked_at`.
pub async fn lock_if_current(
    conn: &mut PgConnection,
    site_id: Uuid,
    issue_id: i64,
    asked_at: DateTime<Utc>,
) -> Result<bool> {
    let found = sqlx::query_scalar!(
        r#"SELECT 1 AS "one!" FROM syncline.issue i
            WHERE i.site_id = $1 AND i.id = $2
              AND (i.observed_at IS NULL OR i.observed_at <= $3 OR i.observed_at > clock_timestamp())
              FOR NO KEY UPDATE"#,
        site_id,
        issue_id,
        asked_at
    )
    .fetch_optional(conn)
    .await?;
    Ok(found.is_some())
}

/// Makes rows count as changed, whatever they hold: a repair must also mend what was altered behind the replica's back.
pub async fn distrust(conn: &mut PgConnection, site_id: Uuid, ids: &[i64]) -> Result<()> {
    sqlx::query!(
        r#"
        WITH issues AS (UPDATE syncline.issue SET content_hash = '' WHERE site_id = $1 AND id = ANY ($2)),
        comments AS (UPDATE syncline.comment SET content_hash = '' WHERE site_id = $1 AND issue_id = ANY ($2))
        UPDATE syncline.worklog SET content_hash = '' WHERE site_id = $1 AND issue_id = ANY ($2)
        "#,
        site_id,
        ids
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Marks issues that Jira no longer shows in this project, with the reason. Their rows stay, and with them comments,
/// worklogs and history: what was there is not forgotten. One that somebody who asked after `asked_at` was shown stays.
pub async fn mark_deleted(
    conn: &mut PgConnection,
    site_id: Uuid,
    project_id: Uuid,
    ids: &[i64],
    reasons: &[&str],
    asked_at: DateTime<Utc>,
) -> Result<i64> {
    let marked = sqlx::query!(
        r#"
        UPDATE syncline.issue i SET deleted_at = clock_timestamp(), deleted_reason = n.reason, observed_at = $5
          FROM unnest($2::int8[], $4::text[]) AS n (id, reason)
         WHERE i.site_id = $1 AND i.id = n.id AND i.project_id = $3 AND i.deleted_at IS NULL
           AND (i.observed_at IS NULL OR i.observed_at <= $5 OR i.observed_at > clock_timestamp())
        "#,
        site_id,
        ids,
        project_id,
        reasons as &[&str],
        asked_at,
    )
    .execute(conn)
    .await?;
    Ok(i64::try_from(marked.rows_affected()).unwrap_or(i64::MAX))
}

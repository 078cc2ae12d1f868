//! The plan of a run: how far the project has been applied, and which ranges are walked.
//!
//! What must hold: the plan is written once, in the transaction that enqueues its fetches.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::ahead::PutBack;
use super::work::Work;
use crate::domain::window::Window;
use crate::store::Result;

/// The entities that have a cursor, in the order used everywhere.
pub const ENTITIES: [&str; 4] = ["issue", "comment", "worklog", "changelog"];

/// How far a project has been applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// For each of [`ENTITIES`].
    pub cursors: [Option<DateTime<Utc>>; 4],
    /// The last run succeeded: nothing that it began is unfinished.
    pub settled: bool,
    /// What Jira withheld of issues updated from here on is due to be asked for again.
    pub owed_from: Option<DateTime<Utc>>,
}

impl Progress {
    /// The same with the cursors that were ahead where they were put.
    pub fn put_back(mut self, it: &PutBack) -> Self {
        for cursor in &mut self.cursors {
            *cursor = if *cursor > Some(it.limit) { it.to } else { *cursor };
        }
        self
    }

    /// The same, reaching back to `to` at least; where it is not known, by as much as the site may be `behind`.
    pub fn back_to(mut self, to: Option<DateTime<Utc>>, behind: chrono::TimeDelta) -> Self {
        for cursor in self.cursors.iter_mut().flatten() {
            *cursor = to.map_or(*cursor - behind, |to| to.min(*cursor));
        }
        self
    }

    /// Collections of an issue that is as it was need to be fetched only if it was updated at or after this instant: a run
    /// that did not end well may have written the issue and not its collections. It may have done so within the overlap of
    /// its window too: an issue that Jira's search showed late lies before the cursor.
    pub fn collections_from(&self, overlap: chrono::TimeDelta) -> DateTime<Utc> {
        let oldest = self.cursors.iter().copied().min().flatten().unwrap_or(DateTime::UNIX_EPOCH);
        let same = self.cursors.iter().all(|cursor| *cursor == self.cursors[0]);
        let from = if self.settled && same && self.cursors[0].is_some() {
            oldest + chrono::TimeDelta::milliseconds(1)
        } else {
            oldest.checked_sub_signed(overlap).unwrap_or(DateTime::UNIX_EPOCH)
        };
        self.owed_from.map_or(from, |owed| from.min(owed))
    }
}

/// How far each of [`ENTITIES`] has been applied.
pub async fn progress(pool: &PgPool, project_id: Uuid) -> Result<Progress> {
    let rows = sqlx::query!(
        r#"SELECT s.entity, s.cursor_at, s.status,
                  CASE WHEN s.owed_from IS NOT NULL AND syncline.is_due_again(p.site_id,
                            CASE s.entity WHEN 'comment' THEN 'comments' WHEN 'worklog' THEN 'worklogs' ELSE s.entity END)
                       THEN s.owed_from END AS owed_from
             FROM syncline.sync_state s JOIN syncline.project p ON p.id = s.project_id
            WHERE s.project_id = $1"#,
        project_id
    )
    .fetch_all(pool)
    .await?;
    let row = |entity: &str| rows.iter().find(|row| row.entity == entity);
    Ok(Progress {
        cursors: ENTITIES.map(|entity| row(entity).and_then(|row| row.cursor_at)),
        settled: ENTITIES.iter().all(|entity| row(entity).is_some_and(|row| row.status == "succeeded")),
        owed_from: rows.iter().filter_map(|row| row.owed_from).min(),
    })
}

/// The issues that a run is to read again by id.
pub async fn repair_ids(pool: &PgPool, run_id: Uuid) -> Result<Vec<i64>> {
    let ids = sqlx::query_scalar!("SELECT repair_ids FROM syncline.sync_run WHERE id = $1", run_id)
        .fetch_optional(pool)
        .await?;
    Ok(ids.unwrap_or_default())
}

/// A user whose issues a project brings.
#[derive(Clone, Debug)]
pub struct ListedUser {
    /// The account id.
    pub account_id: String,
    /// What queries call the user: the user name on Data Center.
    pub name: String,
    /// Whether the history was read.
    pub backfilled: bool,
}

/// The listed users of a project; those whom Jira did not know when it was last asked only where `all` are wanted.
pub async fn listed_users(pool: &PgPool, project_id: Uuid, all: bool) -> Result<Vec<ListedUser>> {
    let users = sqlx::query_as!(
        ListedUser,
        r#"SELECT t.account_id, coalesce(u.username, t.account_id) AS "name!", t.backfilled_at IS NOT NULL AS "backfilled!"
             FROM syncline.tracked_user t
             JOIN syncline.project p ON p.id = t.project_id
             LEFT JOIN syncline.jira_user u ON u.site_id = p.site_id AND u.account_id = t.account_id
            WHERE t.project_id = $1 AND ($2 OR t.unknown_since IS NULL) ORDER BY t.added_at, t.account_id"#,
        project_id,
        all
    )
    .fetch_all(pool)
    .await?;
    Ok(users)
}

/// Joins what travels as one text; account ids are of letters, digits and few signs.
const SEPARATOR: &str = "\u{1f}";

/// A range of `updated` that is walked page by page.
#[derive(Clone, Debug, Default)]
pub struct Part {
    /// The range.
    pub window: Window,
    /// How many issues to expect.
    pub estimated_issues: Option<i64>,
    /// Parts of one chain follow each other in time; [`BACKFILL`] moves no cursor.
    pub chain: i32,
    /// Only issues that concern these accounts; all where it is `None`.
    pub accounts: Option<Vec<String>>,
}

/// The chain of parts that read the whole history of users who were just listed.
pub const BACKFILL: i32 = -1;

/// What was planned for a run.
pub struct Plan<'a> {
    /// The whole of it.
    pub window: Window,
    /// How many issues to expect.
    pub estimated_issues: Option<i64>,
    /// Ranges that are walked side by side.
    pub partitions: &'a [Part],
    /// The run compares the ids of all issues.
    pub reconcile: bool,
    /// See [`Progress::collections_from`].
    pub collections_from: DateTime<Utc>,
    /// The site's custom fields.
    pub field_map: &'a serde_json::Value,
    /// When it was planned, by the clock of schedules.
    pub now: DateTime<Utc>,
}

/// Writes the plan: the run has started.
pub async fn write_plan(conn: &mut PgConnection, work: &Work, plan: &Plan<'_>) -> Result<()> {
    let numbers: Vec<i32> = (0..).take(plan.partitions.len()).collect();
    let froms: Vec<Option<DateTime<Utc>>> = plan.partitions.iter().map(|part| part.window.from).collect();
    let tos: Vec<Option<DateTime<Utc>>> = plan.partitions.iter().map(|part| part.window.to).collect();
    let estimates: Vec<Option<i64>> = plan.partitions.iter().map(|part| part.estimated_issues).collect();
    let chains: Vec<i32> = plan.partitions.iter().map(|part| part.chain).collect();
    // An array of arrays must be rectangular: the accounts of a part travel as one text.
    let accounts: Vec<Option<String>> =
        plan.partitions.iter().map(|part| part.accounts.as_ref().map(|a| a.join(SEPARATOR))).collect();
    sqlx::query!(
        r#"
        WITH run AS (
            UPDATE syncline.sync_run
               SET started_at = coalesce(started_at, clock_timestamp()), window_from = $2, window_to = $3, estimated_issues = $4,
                   collections_from = $14, reconcile = $9
             WHERE id = $1
        ), site AS (
            UPDATE syncline.site SET field_map = $12 WHERE id = $11 AND field_map IS DISTINCT FROM $12
        ), project AS (
            UPDATE syncline.project SET reconcile_tried_at = $17 WHERE id = $8 AND $9
        ), state AS (
            -- A repair looks at some issues only and says nothing of the rest: what a run left unfinished stays so.
            INSERT INTO syncline.sync_state (project_id, entity, status, last_run_id)
            SELECT $8, e, CASE WHEN $18 THEN 'never' ELSE 'running' END, $1
              FROM unnest(ARRAY['issue', 'comment', 'worklog', 'changelog']) AS e
            ON CONFLICT (project_id, entity) DO UPDATE SET status = 'running', last_run_id = $1 WHERE NOT $18
        )
        INSERT INTO syncline.sync_partition (run_id, number, window_from, window_to, estimated_issues, chain, account_ids)
        SELECT $1, n.number, n.window_from, n.window_to, n.estimated, n.chain, string_to_array(n.accounts, $16)
          FROM unnest($5::int[], $6::timestamptz[], $7::timestamptz[], $13::int8[], $10::int[], $15::text[])
               AS n (number, window_from, window_to, estimated, chain, accounts)
        "#,
        work.run_id,
        plan.window.from,
        plan.window.to,
        plan.estimated_issues,
        &numbers,
        &froms as &[Option<DateTime<Utc>>],
        &tos as &[Option<DateTime<Utc>>],
        work.project_id,
        plan.reconcile,
        &chains,
        work.site_id,
        plan.field_map,
        &estimates as &[Option<i64>],
        plan.collections_from,
        &accounts as &[Option<String>],
        SEPARATOR,
        plan.now,
        work.trigger == "repair",
    )
    .execute(conn)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn the_overlap_of_a_failed_run_is_requested_again() {
        let at = |millis| DateTime::from_timestamp_millis(millis);
        let overlap = TimeDelta::seconds(5);
        let progress = |cursors, settled| {
            Progress { cursors, settled, owed_from: None }.collections_from(overlap).timestamp_millis()
        };
        assert_eq!(progress([at(10_000); 4], true), 10_001, "everything up to the cursor is there");
        assert_eq!(progress([at(10_000); 4], false), 5_000);
        assert_eq!(progress([at(20_000), at(10_000), at(20_000), at(20_000)], true), 5_000, "one entity is behind");
        assert!(progress([at(20_000), None, None, None], true) <= 0, "never read: everything");
        let owed = Progress { cursors: [at(10_000); 4], settled: true, owed_from: at(3_000) };
        assert_eq!(owed.collections_from(overlap).timestamp_millis(), 3_000, "what was withheld is asked for again");
    }
}

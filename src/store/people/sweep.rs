//! The walk through the replica that replaces what names a person who is forgotten.
//!
//! One batch of rows by key at a time: which of them may name somebody is decided in the database, what is replaced by the
//! rules of [`crate::domain::forgotten`]. What must hold: a batch is short; a row that was written meanwhile is left to
//! whoever wrote it, who knows the rules too.

use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use super::forget::Counts;
use crate::domain::entity::ChangeRecord;
use crate::domain::forgotten::Forgotten;
use crate::store::Result;

/// Rows that one transaction looks at.
pub const BATCH: i64 = 2_000;

/// What is walked, in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stage {
    #[default]
    Issues,
    Comments,
    Worklogs,
    Changes,
}

/// How far the walk has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    stage: Stage,
    after: i64,
    item: i16,
}

impl Default for Position {
    fn default() -> Self {
        Self::at(Stage::Issues)
    }
}

impl Position {
    const fn at(stage: Stage) -> Self {
        Self { stage, after: i64::MIN, item: i16::MIN }
    }

    fn following(self) -> Option<Self> {
        match self.stage {
            Stage::Issues => Some(Self::at(Stage::Comments)),
            Stage::Comments => Some(Self::at(Stage::Worklogs)),
            Stage::Worklogs => Some(Self::at(Stage::Changes)),
            Stage::Changes => None,
        }
    }
}

/// Cleans the next batch; answers where the next one begins, none after the last, and how many rows named somebody. Counts
/// only where it is not to `write`.
pub async fn sweep(
    conn: &mut PgConnection,
    site_id: Uuid,
    people: &Forgotten,
    accounts: &[String],
    position: Position,
    write: bool,
) -> Result<(Option<Position>, Counts)> {
    let batch = Batch { site_id, people, accounts, after: position.after, write };
    let mut counts = Counts::default();
    let last = match position.stage {
        Stage::Issues => batch.issues(conn, &mut counts.issues).await?,
        Stage::Comments => batch.comments(conn, &mut counts.comments).await?,
        Stage::Worklogs => batch.worklogs(conn, &mut counts.worklogs).await?,
        Stage::Changes => {
            let last = batch.changes(conn, position.item, &mut counts.changes).await?;
            return Ok((last.map(|(after, item)| Position { after, item, ..position }), counts));
        }
    };
    Ok((last.map_or_else(|| position.following(), |after| Some(Position { after, ..position })), counts))
}

struct Batch<'a> {
    site_id: Uuid,
    people: &'a Forgotten,
    accounts: &'a [String],
    after: i64,
    write: bool,
}

impl Batch<'_> {
    async fn issues(&self, conn: &mut PgConnection, count: &mut i64) -> Result<Option<i64>> {
        let last = sqlx::query_scalar!(
            r#"SELECT max(id) FROM (SELECT id FROM syncline.issue WHERE site_id = $1 AND id > $2 ORDER BY id LIMIT $3) b"#,
            self.site_id,
            self.after,
            BATCH
        )
        .fetch_one(&mut *conn)
        .await?;
        let Some(last) = last else { return Ok(None) };
        let rows = sqlx::query!(
            r#"SELECT i.id, i.xmin::text AS "version!", i.summary, i.description, i.environment, i.fields
                 FROM syncline.issue i
                CROSS JOIN LATERAL (SELECT concat_ws(' ', i.summary, i.description, i.environment, i.fields::text) AS words) w
                WHERE i.site_id = $1 AND i.id > $2 AND i.id <= $3
                  AND (w.words ~ '@|\[~' OR EXISTS (SELECT 1 FROM unnest($4::text[]) AS a WHERE strpos(w.words, a) > 0))
                ORDER BY i.id"#,
            self.site_id,
            self.after,
            last,
            self.accounts
        )
        .fetch_all(&mut *conn)
        .await?;
        let (mut ids, mut versions, mut summaries) = (Vec::new(), Vec::new(), Vec::new());
        let (mut descriptions, mut environments, mut fields) = (Vec::new(), Vec::new(), Vec::new());
        for mut row in rows {
            let mut changed = self.people.value(&mut row.fields);
            for text in
                [Some(&mut row.summary), row.description.as_mut(), row.environment.as_mut()].into_iter().flatten()
            {
                changed |= self.people.text(text).map(|clean| *text = clean).is_some();
            }
            if changed {
                ids.push(row.id);
                versions.push(row.version);
                summaries.push(row.summary);
                descriptions.push(row.description);
                environments.push(row.environment);
                fields.push(row.fields);
            }
        }
        *count = i64::try_from(ids.len()).unwrap_or(i64::MAX);
        if self.write && !ids.is_empty() {
            sqlx::query!(
                r#"WITH locked AS MATERIALIZED (
                       SELECT i.id, i.xmin::text AS version FROM syncline.issue i
                        WHERE i.site_id = $1 AND i.id = ANY ($2) ORDER BY i.id FOR NO KEY UPDATE
                   )
                   UPDATE syncline.issue i
                      SET summary = n.summary, description = n.description, environment = n.environment, fields = n.fields
                     FROM unnest($2::int8[], $3::text[], $4::text[], $5::text[], $6::text[], $7::jsonb[])
                          AS n (id, version, summary, description, environment, fields)
                     JOIN locked l ON l.id = n.id AND l.version = n.version
                    WHERE i.site_id = $1 AND i.id = n.id"#,
                self.site_id,
                &ids,
                &versions,
                &summaries,
                &descriptions as &[Option<String>],
                &environments as &[Option<String>],
                &fields
            )
            .execute(conn)
            .await?;
        }
        Ok(Some(last))
    }

    async fn comments(&self, conn: &mut PgConnection, count: &mut i64) -> Result<Option<i64>> {
        let last = sqlx::query_scalar!(
            r#"SELECT max(id) FROM (SELECT id FROM syncline.comment WHERE site_id = $1 AND id > $2 ORDER BY id LIMIT $3) b"#,
            self.site_id,
            self.after,
            BATCH
        )
        .fetch_one(&mut *conn)
        .await?;
        let Some(last) = last else { return Ok(None) };
        let rows = sqlx::query!(
            r#"SELECT c.id, c.body FROM syncline.comment c
                WHERE c.site_id = $1 AND c.id > $2 AND c.id <= $3 AND c.body ~ '@|\[~' ORDER BY c.id"#,
            self.site_id,
            self.after,
            last
        )
        .fetch_all(&mut *conn)
        .await?;
        let named = rows.into_iter().filter_map(|row| Some((row.id, self.people.text(&row.body)?, row.body)));
        let (mut ids, mut clean, mut before) = (Vec::new(), Vec::new(), Vec::new());
        for (id, text, old) in named {
            ids.push(id);
            clean.push(text);
            before.push(old);
        }
        *count = i64::try_from(ids.len()).unwrap_or(i64::MAX);
        if self.write && !ids.is_empty() {
            sqlx::query!(
                r#"WITH locked AS MATERIALIZED (
                       SELECT c.id FROM syncline.comment c WHERE c.site_id = $1 AND c.id = ANY ($2) ORDER BY c.id FOR NO KEY UPDATE
                   )
                   UPDATE syncline.comment c SET body = n.body
                     FROM unnest($2::int8[], $3::text[], $4::text[]) AS n (id, body, before) JOIN locked l ON l.id = n.id
                    WHERE c.site_id = $1 AND c.id = n.id AND c.body = n.before"#,
                self.site_id,
                &ids,
                &clean,
                &before
            )
            .execute(conn)
            .await?;
        }
        Ok(Some(last))
    }

    async fn worklogs(&self, conn: &mut PgConnection, count: &mut i64) -> Result<Option<i64>> {
        let last = sqlx::query_scalar!(
            r#"SELECT max(id) FROM (SELECT id FROM syncline.worklog WHERE site_id = $1 AND id > $2 ORDER BY id LIMIT $3) b"#,
            self.site_id,
            self.after,
            BATCH
        )
        .fetch_one(&mut *conn)
        .await?;
        let Some(last) = last else { return Ok(None) };
        let rows = sqlx::query!(
            r#"SELECT w.id, w.comment AS "comment!" FROM syncline.worklog w
                WHERE w.site_id = $1 AND w.id > $2 AND w.id <= $3 AND w.comment ~ '@|\[~' ORDER BY w.id"#,
            self.site_id,
            self.after,
            last
        )
        .fetch_all(&mut *conn)
        .await?;
        let named = rows.into_iter().filter_map(|row| Some((row.id, self.people.text(&row.comment)?, row.comment)));
        let (mut ids, mut clean, mut before) = (Vec::new(), Vec::new(), Vec::new());
        for (id, text, old) in named {
            ids.push(id);
            clean.push(text);
            before.push(old);
        }
        *count = i64::try_from(ids.len()).unwrap_or(i64::MAX);
        if self.write && !ids.is_empty() {
            sqlx::query!(
                r#"WITH locked AS MATERIALIZED (
                       SELECT w.id FROM syncline.worklog w WHERE w.site_id = $1 AND w.id = ANY ($2) ORDER BY w.id FOR NO KEY UPDATE
                   )
                   UPDATE syncline.worklog w SET comment = n.body
                     FROM unnest($2::int8[], $3::text[], $4::text[]) AS n (id, body, before) JOIN locked l ON l.id = n.id
                    WHERE w.site_id = $1 AND w.id = n.id AND w.comment = n.before"#,
                self.site_id,
                &ids,
                &clean,
                &before
            )
            .execute(conn)
            .await?;
        }
        Ok(Some(last))
    }

    /// History has no name where its value is no user, but for texts that mention one and for users without an id.
    async fn changes(&self, conn: &mut PgConnection, item: i16, count: &mut i64) -> Result<Option<(i64, i16)>> {
        let last = sqlx::query!(
            r#"SELECT id, item FROM (SELECT id, item FROM syncline.changelog
                                      WHERE site_id = $1 AND (id, item) > ($2, $3) ORDER BY id, item LIMIT $4) b
                ORDER BY id DESC, item DESC LIMIT 1"#,
            self.site_id,
            self.after,
            item,
            BATCH
        )
        .fetch_optional(&mut *conn)
        .await?;
        let Some(last) = last else { return Ok(None) };
        let rows = sqlx::query_as!(
            ChangeRecord,
            r#"SELECT c.id, c.item, c.issue_id, c.author_account_id AS author, c.created_at, c.field, c.field_id, c.field_type,
                      c.from_value, c.from_text, c.to_value, c.to_text
                 FROM syncline.changelog c
                CROSS JOIN LATERAL (SELECT concat_ws(' ', c.from_value, c.from_text, c.to_value, c.to_text) AS words) w
                WHERE c.site_id = $1 AND (c.id, c.item) > ($2, $3) AND (c.id, c.item) <= ($4, $5)
                  AND (w.words ~ '@|\[~' OR EXISTS (SELECT 1 FROM unnest($6::text[]) AS a WHERE strpos(w.words, a) > 0)
                       OR (coalesce(c.from_value, '') = '' AND length(c.from_text) BETWEEN 1 AND 160)
                       OR (coalesce(c.to_value, '') = '' AND length(c.to_text) BETWEEN 1 AND 160)
                       OR c.field_id IN ('assignee', 'reporter', 'creator') OR c.field IN ('assignee', 'reporter'))
                ORDER BY c.id, c.item"#,
            self.site_id,
            self.after,
            item,
            last.id,
            last.item,
            self.accounts
        )
        .fetch_all(&mut *conn)
        .await?;
        let named: Vec<ChangeRecord> =
            rows.into_iter().filter_map(|mut row| self.people.change(&mut row).then_some(row)).collect();
        *count = i64::try_from(named.len()).unwrap_or(i64::MAX);
        if self.write && !named.is_empty() {
            let ids: Vec<i64> = named.iter().map(|c| c.id).collect();
            let items: Vec<i16> = named.iter().map(|c| c.item).collect();
            let text = |f: fn(&ChangeRecord) -> Option<&str>| named.iter().map(f).collect::<Vec<Option<&str>>>();
            sqlx::query!(
                r#"UPDATE syncline.changelog c
                      SET from_value = n.from_value, from_text = n.from_text, to_value = n.to_value, to_text = n.to_text
                     FROM unnest($2::int8[], $3::int2[], $4::text[], $5::text[], $6::text[], $7::text[])
                          AS n (id, item, from_value, from_text, to_value, to_text)
                    WHERE c.site_id = $1 AND c.id = n.id AND c.item = n.item"#,
                self.site_id,
                &ids,
                &items,
                &text(|c| c.from_value.as_deref()) as &[Option<&str>],
                &text(|c| c.from_text.as_deref()) as &[Option<&str>],
                &text(|c| c.to_value.as_deref()) as &[Option<&str>],
                &text(|c| c.to_text.as_deref()) as &[Option<&str>],
            )
            .execute(conn)
            .await?;
        }
        Ok(Some((last.id, last.item)))
    }
}

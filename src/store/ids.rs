//! Ids as people write them: by their first digits, or as the newest.

use sqlx::PgPool;
use uuid::Uuid;

use crate::store::Result;

/// Candidates that are told when a prefix fits several.
pub const MOST: i64 = 6;

/// Something whose id was meant, with enough to recognise it by.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its id.
    pub id: Uuid,
    /// What it is: project, kind, state.
    pub about: String,
}

/// The smallest and the largest id that begin with `prefix`; none where it is not the beginning of an id.
pub fn range(prefix: &str) -> Option<(Uuid, Uuid)> {
    let digits: String = prefix.trim().chars().filter(|c| *c != '-').collect();
    if digits.is_empty() || digits.len() > 32 || !digits.chars().all(|c| c.is_ascii_hexdigit()) {
        return None;
    }
    let filled = |with: &str| Uuid::try_parse(&format!("{digits}{}", with.repeat(32 - digits.len()))).ok();
    filled("0").zip(filled("f"))
}

/// Runs whose ids lie in a range, newest first.
pub async fn runs(pool: &PgPool, (low, high): (Uuid, Uuid)) -> Result<Vec<Candidate>> {
    let found = sqlx::query_as!(
        Candidate,
        r#"SELECT r.id, s.name || '/' || p.key || ', ' || r.kind || ', ' || r.state AS "about!"
             FROM syncline.sync_run r
             JOIN syncline.project p ON p.id = r.project_id
             JOIN syncline.site s ON s.id = p.site_id
            WHERE r.id BETWEEN $1 AND $2 ORDER BY r.id DESC LIMIT $3"#,
        low,
        high,
        MOST
    )
    .fetch_all(pool)
    .await?;
    Ok(found)
}

/// Dead steps whose ids lie in a range, newest first.
pub async fn dead_steps(pool: &PgPool, (low, high): (Uuid, Uuid)) -> Result<Vec<Candidate>> {
    let found = sqlx::query_as!(
        Candidate,
        r#"SELECT t.id, concat_ws(', ', s.name || '/' || p.key, t.kind, t.error_code) AS "about!"
             FROM syncline.sync_step t
             LEFT JOIN syncline.sync_run r ON r.id = t.run_id
             LEFT JOIN syncline.project p ON p.id = r.project_id
             LEFT JOIN syncline.site s ON s.id = p.site_id
            WHERE t.id BETWEEN $1 AND $2 AND t.state = 'dead' ORDER BY t.id DESC LIMIT $3"#,
        low,
        high,
        MOST
    )
    .fetch_all(pool)
    .await?;
    Ok(found)
}

/// The newest run, of all projects or of one.
pub async fn latest_run(pool: &PgPool, project_id: Option<Uuid>) -> Result<Option<Uuid>> {
    let run = sqlx::query_scalar!(
        r#"SELECT id FROM syncline.sync_run WHERE $1::uuid IS NULL OR project_id = $1 ORDER BY created_at DESC, id DESC LIMIT 1"#,
        project_id
    )
    .fetch_optional(pool)
    .await?;
    Ok(run)
}

/// The step that died last, of all projects or of one.
pub async fn latest_dead_step(pool: &PgPool, project_id: Option<Uuid>) -> Result<Option<Uuid>> {
    let step = sqlx::query_scalar!(
        r#"SELECT t.id FROM syncline.sync_step t LEFT JOIN syncline.sync_run r ON r.id = t.run_id
            WHERE t.state = 'dead' AND ($1::uuid IS NULL OR r.project_id = $1)
            ORDER BY t.finished_at DESC, t.id DESC LIMIT 1"#,
        project_id
    )
    .fetch_optional(pool)
    .await?;
    Ok(step)
}

/// The alert that was opened last, of all projects or of one; an open one before one that is over.
pub async fn latest_alert(pool: &PgPool, project_id: Option<Uuid>) -> Result<Option<Uuid>> {
    let alert = sqlx::query_scalar!(
        r#"SELECT id FROM syncline.alert WHERE $1::uuid IS NULL OR project_id = $1
            ORDER BY state = 'resolved', opened_at DESC, id DESC LIMIT 1"#,
        project_id
    )
    .fetch_optional(pool)
    .await?;
    Ok(alert)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_spans_the_ids_that_begin_with_it() {
        let (low, high) = range("0197-C2").unwrap();
        assert!(low.to_string().starts_with("0197c200-0000") && high.to_string().starts_with("0197c2ff-ffff"));
        let whole = "0197c2aa-0000-7000-8000-000000000022";
        assert_eq!(range(whole).map(|(low, high)| (low.to_string(), low == high)), Some((whole.to_owned(), true)));
        for bad in ["", "-", "xyz", "WEB", &"0".repeat(33)] {
            assert_eq!(range(bad), None, "{bad}");
        }
    }
}

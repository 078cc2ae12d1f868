//! What is told where the ways of asking for an issue contradict each other.
//!
//! What must hold: an issue that one way shows is not marked as gone; that another way leaves it out is in the run's log and
//! among what is known of the site, since nobody would look for it.

use std::collections::BTreeSet;

use serde_json::json;
use sqlx::PgConnection;

use super::workshop::Job;
use crate::engine::StepError;
use crate::jira::every_way::Shown;
use crate::store::capability;
use crate::store::step::{Entry, Level, journal};

/// What the site's look-ups by id are called among its capabilities.
const LOOK_UPS: &str = "look_up_by_id";
/// Ids that an entry names; of more it says how many there are.
const NAMED: usize = 50;

/// Issues that one way shows and another does not.
#[derive(Clone, Debug, Default)]
pub(super) struct OneWay {
    /// Shown by search, and by no look-up by id.
    pub by_search: BTreeSet<i64>,
    /// Shown by a look-up by id, and not by search or not by the answer about many.
    pub by_id: BTreeSet<i64>,
    /// Of these a way did not answer, and the others show nothing.
    pub unanswered: BTreeSet<i64>,
    /// Whether look-ups by id showed something.
    pub look_ups_answer: bool,
}

impl OneWay {
    /// Of one answer.
    pub(super) fn of(shown: &Shown) -> Self {
        Self {
            by_search: shown.by_search.clone(),
            by_id: shown.alone.clone(),
            unanswered: shown.unanswered.clone(),
            look_ups_answer: shown.page.issues.iter().any(|issue| !shown.by_search.contains(&issue.issue.id)),
        }
    }

    /// Takes over what another answer showed.
    pub(super) fn add(&mut self, other: Self) {
        self.by_search.extend(other.by_search);
        self.by_id.extend(other.by_id);
        self.unanswered.extend(other.unanswered);
        self.look_ups_answer |= other.look_ups_answer;
    }
}

/// Tells of it.
pub(super) async fn tell(conn: &mut PgConnection, job: &Job, kind: &str, one_way: &OneWay) -> Result<(), StepError> {
    let mut entries = Vec::new();
    let mut say = |ids: &BTreeSet<i64>, what: &str| {
        if ids.is_empty() {
            return;
        }
        let named: Vec<i64> = ids.iter().copied().take(NAMED).collect();
        entries.push(Entry {
            level: Level::Warn,
            event: "ways_contradict",
            code: None,
            message: format!("{} issues {what}: none of them was marked as gone", ids.len()),
            advice: Some(
                "Open one of them in Jira. To fix it, rebuild Jira's index or check a proxy between Syncline and \
                    Jira; `syncline verify` counts these issues.",
            ),
            details: Some(json!({"issues": ids.len(), "ids": named})),
        });
    };
    say(&one_way.by_search, "are shown by search but not by look-ups by id");
    say(&one_way.by_id, "are shown by a look-up of one id but not by search or a look-up of many");
    say(&one_way.unanswered, "could not be looked up by id and are not shown by search");
    journal(&mut *conn, Some(job.work.run_id), kind, &entries).await?;
    let site_id = job.work.site_id;
    let left_out = one_way.by_search.len() + one_way.unanswered.len();
    if left_out > 0 {
        let reason = format!("look-ups by id leave out, or fail for, {left_out} issues that may exist");
        capability::set(conn, site_id, &[(LOOK_UPS, "absent", Some(&reason))]).await?;
    } else if one_way.look_ups_answer {
        capability::is_back(conn, site_id, LOOK_UPS).await?;
    }
    Ok(())
}

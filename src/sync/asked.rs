//! Issues that are asked for by id, and what Jira says of those that it leaves out.
//!
//! What must hold: that an issue is left out is believed only of an answer about issues, never of one about an index. Data
//! Center has no such answer for many issues at once: those that its query leaves out are asked for one by one.

use std::collections::HashSet;

use futures::{StreamExt, TryStreamExt, stream};

use super::workshop::Job;
use crate::engine::StepError;
use crate::jira::normalise::{self, ParsedPage};
use crate::jira::presence::Presence;

/// Single issues that are asked for at once.
const SINGLE_READS: usize = 4;

/// What Jira answered.
pub(super) struct Asked {
    /// The issues that it shows.
    pub page: ParsedPage,
    /// Those that are there and hidden from the account, where the site tells.
    pub hidden: HashSet<i64>,
}

/// Asks for up to [`crate::jira::client::BULK_FETCH_LIMIT`] issues.
pub(super) async fn ask(job: &Job, ids: &[i64], fields: &[String]) -> Result<Asked, StepError> {
    let raw = job.jira.bulk_fetch(ids, fields).await?;
    let mut asked = Asked { page: normalise::parse_page(&raw.body, &job.fields)?, hidden: HashSet::new() };
    if !job.jira.tells_hidden() {
        return Ok(asked);
    }
    let met: HashSet<i64> = met(&asked.page).collect();
    let left_out: Vec<i64> = ids.iter().copied().filter(|id| !met.contains(id)).collect();
    let answers: Vec<(i64, Presence)> = stream::iter(left_out)
        .map(|id| async move { job.jira.presence(id, fields).await.map(|presence| (id, presence)) })
        .buffered(SINGLE_READS)
        .try_collect()
        .await?;
    for (id, presence) in answers {
        match presence {
            Presence::There(raw) => asked.page.append(normalise::parse_single(&raw.body, &job.fields)?),
            Presence::Hidden => drop(asked.hidden.insert(id)),
            Presence::Gone => {}
        }
    }
    Ok(asked)
}

/// The issues that a page shows, also those that cannot be read.
pub(super) fn met(page: &ParsedPage) -> impl Iterator<Item = i64> {
    let rejected = page.rejected.iter().filter_map(|error| error.issue_id);
    page.issues.iter().map(|issue| issue.issue.id).chain(rejected)
}

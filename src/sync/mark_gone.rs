//! `mark_gone`: what the replica shows and the sweep did not meet is asked for by id, and marked if it is gone.
//!
//! What must hold: nothing is marked on the word of one way of asking. The credentials count before and after; the project is
//! there, live, and may be browsed; each issue was met by no sweep, was asked for by id, with others and alone, and was left
//! out each time; and no more than a share of the project is marked by one run. Else the run fails, marks nothing, and an operator is told. Rows, and what belongs to them,
//! stay: `deleted_at` and `deleted_reason` say what is known.
//!
//! The ids of all issues are compared in each reconciliation, their contents in turn: a twenty-eighth of the project is read
//! by id, and what has another hash than is stored is written. A change that moved no `updated` is found so within weeks.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use super::asked::{self, OneWay};
use super::by_id::{compare_steps, repair_steps_named};
use super::workshop::{Job, Workshop};
use crate::domain::failure::{Failure, FailureCode};
use crate::domain::queue::Queue;
use crate::engine::{Commit, NewStep, Step, StepContext, StepError};
use crate::jira::client::BULK_FETCH_LIMIT;
use crate::jira::every_way::Shown;
use crate::store::clock;
use crate::store::reconcile::{self, Sum, Unmet};
use crate::store::replica;

pub(super) struct MarkGone(pub Arc<Workshop>);

const KIND: &str = "mark_gone";
/// Jira's name of the permission to see a project's issues.
const BROWSE: &str = "BROWSE_PROJECTS";
/// Issues that one step asks for.
const ISSUES_PER_STEP: usize = 1_000;
/// So few issues are always let go of.
const ALWAYS_ALLOWED: i64 = 20;
/// The contents of all issues are compared once in so many reconciliations, and of at least so many issues in each.
const NIGHTS_PER_ROUND: i64 = 28;
const LEAST_CONTENTS: i64 = 1_000;
/// Requests of one step that are under way at once.
const REQUESTS_AT_ONCE: usize = 4;

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Place {
    /// Jira's id of the project.
    project: i64,
    began: DateTime<Utc>,
    stage: Stage,
    /// Issues up to this id are done.
    after: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stage {
    /// Issues that the sweep did not meet.
    Unmet,
    /// Issues that it met and the replica lacks.
    Missing,
}

/// The first step after a sweep that began at `began`.
pub(super) fn first(job: &Job, project: i64, began: DateTime<Utc>, priority: i16) -> NewStep {
    step(job, Place { project, began, stage: Stage::Unmet, after: i64::MIN }, priority)
}

fn step(job: &Job, place: Place, priority: i16) -> NewStep {
    let stage = match place.stage {
        Stage::Unmet => "unmet",
        Stage::Missing => "missing",
    };
    NewStep::new(Queue::Jira, KIND, format!("{stage}/{}", place.after))
        .with(&place)
        .behind(&job.gates("bulkfetch"))
        .priority(priority)
}

impl Step for MarkGone {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn run<'a>(&'a self, context: &'a StepContext) -> BoxFuture<'a, Result<Commit, StepError>> {
        Box::pin(async move {
            let place: Place = context.payload()?;
            let job = self.0.job(context).await?;
            match place.stage {
                Stage::Unmet => mark(context, &job, place).await,
                Stage::Missing => fetch_missing(context, &job, place).await,
            }
        })
    }
}

/// One batch of issues that the sweep did not meet.
async fn mark(context: &StepContext, job: &Arc<Job>, place: Place) -> Result<Commit, StepError> {
    let (run_id, project_id) = (job.work.run_id, job.work.project_id);
    if place.after == i64::MIN {
        guard(&context.hear(reconcile::sum(&context.pool, run_id, project_id, place.began)).await?)?;
    }
    let limit = i64::try_from(ISSUES_PER_STEP).unwrap_or(i64::MAX);
    let unmet =
        context.hear(reconcile::unmet(&context.pool, run_id, project_id, place.began, place.after, limit)).await?;
    let following =
        unmet.last().filter(|_| unmet.len() == ISSUES_PER_STEP).map(|last| Place { after: last.id, ..place });
    let following = following.unwrap_or(Place { stage: Stage::Missing, after: i64::MIN, ..place });
    let asked_at = context.hear(clock::now(&context.pool)).await?;
    let mut asked = if unmet.is_empty() { Asked::default() } else { ask(context, job, place, &unmet).await? };
    asked.there = context.hear(reconcile::not_asked_for(&context.pool, run_id, &asked.there)).await?;
    let (job, priority) = (Arc::clone(job), context.step.priority);
    Ok(Commit::effects(move |conn| {
        Box::pin(async move {
            let (ids, reasons): (Vec<i64>, Vec<&str>) = asked.gone.into_iter().unzip();
            let marked = replica::mark_deleted(conn, job.work.site_id, project_id, &ids, &reasons, asked_at).await?;
            reconcile::marked(conn, run_id, marked).await?;
            asked::tell(conn, &job, KIND, &asked.one_way).await?;
            let mut next = repair_steps_named(job.work.site_id, "there", &asked.there);
            next.push(step(&job, following, priority));
            Ok(next)
        })
    }))
}

/// What Jira said of issues that the sweep did not meet.
#[derive(Default)]
struct Asked {
    /// Gone, with the reason.
    gone: Vec<(i64, &'static str)>,
    /// Still there: the search was behind, or they came meanwhile.
    there: Vec<i64>,
    /// What one way shows and another does not.
    one_way: OneWay,
}

async fn ask(context: &StepContext, job: &Job, place: Place, unmet: &[Unmet]) -> Result<Asked, StepError> {
    job.jira.myself().await?;
    let project = job.jira.project(&place.project.to_string()).await?;
    if project.archived || project.deleted {
        let message = format!("project {} was archived or deleted while its issues were compared", project.key);
        return Err(Failure::new(FailureCode::NotFoundProject, message).into());
    }
    let sees_all = may_browse(job, &project.key).await?;
    let fields = &crate::jira::search_fields(&job.fields);
    let chunks: Vec<Vec<i64>> =
        unmet.chunks(BULK_FETCH_LIMIT).map(|chunk| chunk.iter().map(|issue| issue.id).collect()).collect();
    // Search has just been walked: it is not asked again.
    let answers: Vec<Shown> = stream::iter(chunks)
        .map(|ids| async move { job.jira.by_every_way(&ids, fields, &job.fields, None).await })
        .buffered(REQUESTS_AT_ONCE)
        .try_collect()
        .await?;
    let mut found: HashMap<i64, Option<i64>> = HashMap::new();
    let mut one_way = OneWay::default();
    for shown in &answers {
        one_way.add(OneWay::of(shown));
        let page = &shown.page;
        found.extend(page.rejected.iter().filter_map(|error| Some((error.issue_id?, None))));
        found.extend(page.issues.iter().map(|issue| (issue.issue.id, Some(issue.issue.project_id))));
    }
    let hidden: HashSet<i64> = answers.iter().flat_map(|shown| shown.hidden.iter().copied()).collect();
    let tells_hidden = job.jira.tells_hidden();
    let leaves_out = unmet.iter().any(|issue| !found.contains_key(&issue.id));
    // Nobody is told of an issue that was hidden since it was read: where issues can be hidden, it may have been.
    let hides = leaves_out && !tells_hidden && sees_all && hides_issues(context, job, place).await?;
    // An answer without issues is worth nothing from an account that has just been shut out.
    job.jira.myself().await?;
    let elsewhere: Vec<i64> = found.values().flatten().copied().filter(|id| *id != place.project).collect();
    let tracked = context.hear(reconcile::tracked(&context.pool, job.work.site_id, &elsewhere)).await?;
    let mut asked = Asked::default();
    for issue in unmet {
        match found.get(&issue.id) {
            None if one_way.unanswered.contains(&issue.id) => {}
            None if hidden.contains(&issue.id) => asked.gone.push((issue.id, "not_visible")),
            None if tells_hidden || sees_all && !hides => asked.gone.push((issue.id, "deleted")),
            None => asked.gone.push((issue.id, "not_visible")),
            Some(Some(project)) if *project != place.project => {
                // The sync of a project that is synchronised too takes the issue over, with its history.
                if !tracked.contains(project) {
                    asked.gone.push((issue.id, "moved"));
                }
            }
            Some(_) => asked.there.push(issue.id),
        }
    }
    one_way.by_id = asked.there.iter().copied().collect();
    asked.one_way = one_way;
    Ok(asked)
}

/// Whether single issues of the project may be hidden from an account that browses it.
async fn hides_issues(context: &StepContext, job: &Job, place: Place) -> Result<bool, StepError> {
    let known = context.hear(reconcile::has_levels(&context.pool, job.work.project_id)).await?;
    Ok(known || job.jira.hides_issues(place.project).await?)
}

/// Whether the account sees every issue of the project but those with a security level; a site that does not tell leaves it
/// open.
async fn may_browse(job: &Job, project_key: &str) -> Result<bool, StepError> {
    let offered = job.jira.my_permissions(project_key, &[BROWSE]).await?;
    match offered.available().and_then(|permissions| permissions.get(BROWSE).copied()) {
        Some(true) => Ok(true),
        None => Ok(false),
        Some(false) => {
            let message = format!("the account no longer has the permission {BROWSE} in project {project_key}");
            Err(Failure::new(FailureCode::Permission, message).into())
        }
    }
}

/// Refuses to go on when more is gone than anyone would delete.
fn guard(sum: &Sum) -> Result<(), Failure> {
    let share = sum.max_share.clamp(0.0, 1.0);
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // counts of issues
    let allowed = ALWAYS_ALLOWED.max((sum.shown as f64 * share) as i64);
    let blind = sum.met == 0 && sum.unmet > 0 && share < 1.0;
    if sum.unmet <= allowed && !blind {
        return Ok(());
    }
    let message = format!(
        "Jira shows {} issues of the project, the replica {}: {} would be marked as gone, but only {allowed} are \
            allowed (reconcile_max_share {share}); nothing was marked",
        sum.met, sum.shown, sum.unmet
    );
    Err(Failure::new(FailureCode::ReconcileGuard, message))
}

/// One batch of issues that Jira shows and the replica lacks; the last one ends the reconciliation, but for the contents.
async fn fetch_missing(context: &StepContext, job: &Arc<Job>, place: Place) -> Result<Commit, StepError> {
    let (run_id, project_id) = (job.work.run_id, job.work.project_id);
    let limit = i64::try_from(ISSUES_PER_STEP).unwrap_or(i64::MAX);
    let missing = match job.work.listed {
        // Nobody can say by id alone whom an issue concerns.
        true => Vec::new(),
        false => context.hear(reconcile::missing(&context.pool, run_id, project_id, place.after, limit)).await?,
    };
    let last = missing.last().copied().filter(|_| missing.len() == ISSUES_PER_STEP);
    let contents = match last {
        Some(_) => Vec::new(),
        None => {
            context
                .hear(reconcile::contents(&context.pool, run_id, project_id, LEAST_CONTENTS, NIGHTS_PER_ROUND))
                .await?
        }
    };
    let contents: Vec<i64> = contents.into_iter().filter(|id| !missing.contains(id)).collect();
    let unasked = context.hear(reconcile::not_asked_for(&context.pool, run_id, &missing)).await?;
    let (job, priority, now) = (Arc::clone(job), context.step.priority, context.clock.now());
    Ok(Commit::effects(move |conn| {
        Box::pin(async move {
            reconcile::forget(conn, run_id, &missing).await?;
            let mut next = repair_steps_named(job.work.site_id, "missing", &unasked);
            match last {
                Some(after) => next.push(step(&job, Place { after, ..place }, priority)),
                None => {
                    next.extend(compare_steps(job.work.site_id, "content", &contents));
                    reconcile::done(conn, run_id, project_id, contents.last().copied(), now).await?;
                }
            }
            Ok(next)
        })
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(shown: i64, unmet: i64, met: i64) -> Sum {
        Sum { shown, unmet, met, max_share: 0.2 }
    }

    #[test]
    fn a_share_may_go_and_twenty_always() {
        assert!(guard(&sum(1_000, 200, 800)).is_ok());
        assert_eq!(guard(&sum(1_000, 201, 799)).unwrap_err().code, FailureCode::ReconcileGuard);
        assert!(guard(&sum(25, 20, 5)).is_ok());
        assert!(guard(&sum(0, 0, 0)).is_ok());
    }

    #[test]
    fn a_project_that_shows_nothing_at_all_is_not_believed() {
        assert!(guard(&sum(5, 5, 0)).is_err());
        assert!(guard(&Sum { max_share: 1.0, ..sum(5, 5, 0) }).is_ok(), "unless an operator says so");
    }
}

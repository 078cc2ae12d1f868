//! Runs: the history, one run, and what is asked of runs.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Actor, App, COUNTED, Error, Page, Result, Verb, cursor, project};
use crate::store::patience::{LONGEST, again, undisturbed};
use crate::store::run_view::{self, RunFilter};
use crate::store::within;

pub use crate::store::run_view::Run;

/// How far a list may be passed over; further on a cursor leads.
pub const DEEPEST: i64 = 10_000;
/// The longest part of a list.
pub const LONGEST_PAGE: i64 = 500;

/// Which runs of the history; `None` leaves a condition out.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// In one of these states, by either vocabulary.
    pub states: Option<Vec<String>>,
    /// Of these projects, each as KEY or SITE/KEY.
    pub projects: Option<Vec<String>>,
    /// Of this site.
    pub site: Option<String>,
    /// `incremental` or `full`.
    pub kind: Option<String>,
    /// `schedule`, `manual`, `retry` or `repair`; also `scheduled`.
    pub trigger: Option<String>,
    /// Asked for by this person.
    pub user: Option<String>,
    /// That failed with one of these codes.
    pub codes: Option<Vec<String>>,
    /// Of projects with this text in site, key or name.
    pub text: Option<String>,
    /// Asked for at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Asked for before this time.
    pub to: Option<DateTime<Utc>>,
    /// At most so many.
    pub limit: Option<i64>,
    /// So many are passed over.
    pub offset: Option<i64>,
    /// Where to go on.
    pub cursor: Option<String>,
}

/// The states by all their names: ours, and those of the documents that asked for the API.
const STATES: &[(&str, &str)] = &[
    ("queued", "queued"),
    ("pending", "queued"),
    ("running", "running"),
    ("in_progress", "running"),
    ("succeeded", "succeeded"),
    ("completed", "succeeded"),
    ("failed", "failed"),
    ("cancelled", "cancelled"),
    ("stopped", "cancelled"),
];

fn states(names: &[String]) -> Result<Vec<String>> {
    let known = |name: &String| {
        STATES.iter().find(|(other, _)| other == name).map(|(_, state)| (*state).to_owned()).ok_or_else(|| {
            let all: Vec<_> = STATES.iter().map(|(name, _)| *name).collect();
            Error::invalid("status", format!("status knows no {name:?}")).help(format!("one of {}", all.join(", ")))
        })
    };
    names.iter().map(known).collect()
}

fn one_of(field: &'static str, value: Option<&String>, known: &[(&str, &str)]) -> Result<Option<String>> {
    let Some(value) = value else { return Ok(None) };
    match known.iter().find(|(name, _)| name == value) {
        Some((_, stored)) => Ok(Some((*stored).to_owned())),
        None => {
            let all: Vec<_> = known.iter().map(|(name, _)| *name).collect();
            Err(Error::invalid(field, format!("{field} knows no {value:?}")).help(format!("one of {}", all.join(", "))))
        }
    }
}

/// A number within its bounds.
///
/// # Errors
/// Outside of them, naming the field.
pub fn bounded(field: &'static str, value: Option<i64>, default: i64, least: i64, most: i64) -> Result<i64> {
    match value {
        None => Ok(default),
        Some(value) if (least..=most).contains(&value) => Ok(value),
        Some(value) => Err(Error::invalid(field, format!("{field} is {value}"))
            .help(format!("a whole number from {least} to {most}; {default} if it is left out"))),
    }
}

/// The history, newest first.
///
/// # Errors
/// Where the actor may not, or something was asked wrongly.
pub async fn history(app: &App, actor: &Actor, asked: &History) -> Result<Page<Run>> {
    let (items, next_cursor, filter) = read(app, actor, asked).await?;
    let pool = app.pool();
    let total = again(|| within(LONGEST, run_view::count(&pool, &filter, COUNTED))).await?;
    Ok(Page { items, next_cursor, total })
}

/// The same, not counted: the runs, and where to go on.
///
/// # Errors
/// Where the actor may not, or something was asked wrongly.
pub async fn part(app: &App, actor: &Actor, asked: &History) -> Result<(Vec<Run>, Option<String>)> {
    let (items, next_cursor, _) = read(app, actor, asked).await?;
    Ok((items, next_cursor))
}

async fn read(app: &App, actor: &Actor, asked: &History) -> Result<(Vec<Run>, Option<String>, RunFilter)> {
    actor.may(Verb::ReadRuns)?;
    let limit = bounded("limit", asked.limit, 50, 1, LONGEST_PAGE)?;
    let question = format!("{:?}", History { limit: None, offset: None, cursor: None, ..asked.clone() });
    let filter = RunFilter { limit: limit + 1, ..filter(app, actor, asked, &question).await? };
    let pool = app.pool();
    let mut items = again(|| within(LONGEST, run_view::list(&pool, &filter))).await?;
    let has_more = items.len() > usize::try_from(limit).unwrap_or(usize::MAX);
    if has_more {
        items.pop();
    }
    let next_cursor =
        items.last().filter(|_| has_more).map(|last| cursor::encode(&question, (last.created_at, last.id)));
    Ok((items, next_cursor, filter))
}

/// The newest runs that match, as many as are asked for and not counted.
///
/// # Errors
/// Where the actor may not, or something was asked wrongly.
pub async fn newest(app: &App, actor: &Actor, asked: &History) -> Result<Vec<Run>> {
    actor.may(Verb::ReadRuns)?;
    let filter = RunFilter { limit: asked.limit.unwrap_or(50), ..filter(app, actor, asked, "").await? };
    let pool = app.pool();
    Ok(again(|| within(LONGEST, run_view::list(&pool, &filter))).await?)
}

/// The filter that was asked for, checked.
async fn filter(app: &App, actor: &Actor, asked: &History, question: &str) -> Result<RunFilter> {
    let offset = bounded("offset", asked.offset, 0, 0, DEEPEST)?;
    if let (Some(from), Some(to)) = (asked.from, asked.to)
        && from >= to
    {
        return Err(Error::invalid("from", "from is not before to").help("leave one of them out, or swap them"));
    }
    if asked.cursor.is_some() && offset > 0 {
        return Err(Error::invalid("offset", "offset and cursor exclude each other").help("leave one of them out"));
    }
    Ok(RunFilter {
        states: asked.states.as_deref().map(states).transpose()?,
        projects: project::reach(app, actor, asked.projects.as_deref(), asked.site.as_deref(), asked.text.as_deref())
            .await?,
        kind: one_of("kind", asked.kind.as_ref(), &[("incremental", "incremental"), ("full", "full")])?,
        triggers: one_of(
            "trigger",
            asked.trigger.as_ref(),
            &[
                ("schedule", "schedule"),
                ("scheduled", "schedule"),
                ("manual", "manual"),
                ("retry", "retry"),
                ("repair", "repair"),
            ],
        )?
        .map(|one| vec![one]),
        requested_by: asked.user.clone(),
        error_codes: asked.codes.clone(),
        from: asked.from,
        to: asked.to,
        after: asked.cursor.as_deref().map(|text| cursor::decode(question, text)).transpose()?,
        offset,
        limit: 0,
        ids: None,
    })
}

/// One run.
///
/// # Errors
/// Where the actor may not, or there is no such run within reach.
pub async fn get(app: &App, actor: &Actor, id: Uuid) -> Result<Run> {
    actor.may(Verb::ReadRuns)?;
    find(app, actor, id).await
}

pub(super) async fn find(app: &App, actor: &Actor, id: Uuid) -> Result<Run> {
    let pool = app.pool();
    let filter = RunFilter { ids: Some(vec![id]), limit: 1, ..RunFilter::default() };
    let found = again(|| within(LONGEST, run_view::list(&pool, &filter))).await?.pop();
    found.filter(|run| actor.reaches(run.project_id)).ok_or_else(|| unknown(id))
}

pub(super) fn unknown(id: Uuid) -> Error {
    Error::not_found(format!("unknown run {id}")).help("list runs with `syncline run list`")
}

/// The newest run of each project within reach.
///
/// # Errors
/// Where the actor may not.
pub async fn newest_of(app: &App, actor: &Actor, projects: &[Uuid]) -> Result<Vec<Run>> {
    actor.may(Verb::ReadRuns)?;
    let (pool, projects) = (app.pool(), project::within_reach(actor, projects));
    let ids = again(|| within(LONGEST, run_view::newest_of(&pool, &projects))).await?;
    let limit = i64::try_from(ids.len()).unwrap_or(i64::MAX);
    let filter = RunFilter { ids: Some(ids), limit, ..RunFilter::default() };
    Ok(again(|| within(LONGEST, run_view::list(&pool, &filter))).await?)
}

/// What to start.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// KEY or SITE/KEY.
    pub project: String,
    /// Read everything again, not only what has changed.
    pub full: bool,
    /// Compare the ids of all issues too.
    pub reconcile: bool,
}

/// Requests a run; answers its id. A request that meets an active run is kept and runs next.
///
/// # Errors
/// Where the actor may not, the project is unknown, or it is paused.
pub async fn start(app: &App, actor: &Actor, asked: &Start) -> Result<Uuid> {
    actor.may(Verb::StartRun)?;
    // By its whole name: a key alone may be another site's too, which this actor does not reach.
    let project = project::name(&project::find(app, actor, &asked.project, false).await?);
    let (pool, kind) = (app.pool(), if asked.full { "full" } else { "incremental" });
    let who = actor.who();
    let request = || run_view::request(&pool, &project, kind, asked.reconcile, &who);
    // Asked twice at worst, when an answer was lost: the second run follows the first, and reads what is new since.
    Ok(again(|| within(LONGEST, request())).await?)
}

/// How a request to stop was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// It had not begun: it is cancelled.
    AtOnce,
    /// It stops at the end of the steps that are being executed.
    AtStepEnd,
}

/// Asks a run to stop.
///
/// # Errors
/// Where the actor may not, there is no such run within reach, or it is over.
pub async fn cancel(app: &App, actor: &Actor, id: Uuid) -> Result<Cancelled> {
    actor.may(Verb::CancelRun)?;
    let before = find(app, actor, id).await?;
    let over = |state: &str| {
        Error::conflict(format!("run {id} is over already: it {}", ended(state)))
            .help("list runs that go on with `syncline run list --state running`")
    };
    if is_over(&before.state) {
        return Err(over(&before.state));
    }
    let pool = app.pool();
    let who = actor.who();
    let state = undisturbed(|| run_view::cancel(&pool, id, &before.project, &who)).await?;
    match state.as_str() {
        "cancelled" => Ok(Cancelled::AtOnce),
        "cancelling" => Ok(Cancelled::AtStepEnd),
        state => Err(over(state)),
    }
}

fn is_over(state: &str) -> bool {
    matches!(state, "succeeded" | "failed" | "cancelled")
}

/// How a run that is over ended, in a sentence.
fn ended(state: &str) -> &'static str {
    match state {
        "succeeded" => "has succeeded",
        "failed" => "has failed",
        _ => "was cancelled",
    }
}

/// Requests a run with the parameters of one that has ended; it goes on from the project's cursor.
///
/// # Errors
/// Where the actor may not, there is no such run within reach, it goes on, or its project is not active.
pub async fn retry(app: &App, actor: &Actor, id: Uuid) -> Result<Uuid> {
    actor.may(Verb::RetryRun)?;
    let old = find(app, actor, id).await?;
    let pool = app.pool();
    let who = actor.who();
    if let Some(new) = undisturbed(|| run_view::retry(&pool, id, &old.project, &who)).await? {
        return Ok(new);
    }
    let help = match is_over(&old.state) {
        false => format!("watch it with `syncline run watch {id}`"),
        true => format!("its project is paused or removed: `syncline project show {}`", old.project),
    };
    Err(Error::conflict(format!("run {id} ({}, {}) cannot be retried", old.project, old.state)).help(help))
}

/// Deletes a run that is over from the history, with its steps and its log.
///
/// # Errors
/// Where the actor may not, there is no such run within reach, or it goes on.
pub async fn delete(app: &App, actor: &Actor, id: Uuid) -> Result<()> {
    actor.may(Verb::DeleteRun)?;
    let run = find(app, actor, id).await?;
    if !is_over(&run.state) {
        return Err(Error::conflict(format!("run {id} goes on: it is {}", run.state))
            .help(format!("cancel it first: `syncline run cancel {id}`")));
    }
    let (pool, who) = (app.pool(), actor.who());
    let details = serde_json::json!({ "project": run.project, "state": run.state, "created_at": run.created_at });
    match undisturbed(|| run_view::delete(&pool, id, &details, &who)).await? {
        true => Ok(()),
        false => Err(unknown(id)),
    }
}

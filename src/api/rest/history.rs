//! `/api/sync/history`: the runs, and what each of them did.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::super::access::Caller;
use super::super::etag;
use super::super::extract::{Params, list as parts, time};
use super::super::problem::Problem;
use super::super::shared::Shared;
use crate::app::follow::{self, StepCount, Waited};
use crate::app::run::{self, History, Run};
use crate::app::{self, Result};

/// Which runs.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct HistoryParams {
    /// At most so many: 1 to 500, 50 unless said.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<i64>,
    /// So many are passed over: 0 to 10,000. Further on `cursor` leads.
    #[param(minimum = 0, maximum = 10000)]
    offset: Option<i64>,
    /// Goes on where an answer ended: its `next_cursor`. With the same filter only.
    cursor: Option<String>,
    /// In these states, between commas: queued or pending, running or in_progress, succeeded or completed, failed, cancelled
    /// or stopped.
    status: Option<String>,
    /// Asked for at this time or later: RFC 3339, or a day (from midnight UTC).
    from: Option<String>,
    /// Asked for before this time.
    to: Option<String>,
    /// Of these projects, between commas, each as KEY or SITE/KEY.
    project: Option<String>,
    /// Of this site.
    site: Option<String>,
    /// incremental or full.
    kind: Option<String>,
    /// schedule (or scheduled), manual, retry or repair.
    trigger: Option<String>,
    /// Asked for by this person.
    user: Option<String>,
    /// That failed with this code.
    code: Option<String>,
    /// Of projects with this text in site, key or name.
    q: Option<String>,
}

/// A run, in both vocabularies.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Entry {
    /// The same as `id`.
    sync_id: Uuid,
    /// pending, running, completed, failed or stopped; `state` says it in Syncline's words.
    status: &'static str,
    /// The same as `finished_at`.
    completed_at: Option<DateTime<Utc>>,
    /// From the first step to the end.
    duration_seconds: Option<f64>,
    /// Projects of this run.
    total_projects: i64,
    /// Of those, synchronised.
    successful_projects: i64,
    /// Of those, failed.
    failed_projects: i64,
    /// The same as `issues_seen`.
    total_issues: i64,
    /// scheduled or manual.
    initiated_by: &'static str,
    #[serde(flatten)]
    run: Run,
}

impl From<Run> for Entry {
    fn from(run: Run) -> Self {
        #[allow(clippy::cast_precision_loss)] // milliseconds of a run
        let seconds = |from: DateTime<Utc>, to: DateTime<Utc>| (to - from).num_milliseconds() as f64 / 1_000.0;
        Self {
            sync_id: run.id,
            status: match run.state.as_str() {
                "queued" => "pending",
                "succeeded" => "completed",
                "failed" => "failed",
                "cancelled" => "stopped",
                _ => "running",
            },
            completed_at: run.finished_at,
            duration_seconds: run.started_at.zip(run.finished_at).map(|(from, to)| seconds(from, to)),
            total_projects: 1,
            successful_projects: i64::from(run.state == "succeeded"),
            failed_projects: i64::from(run.state == "failed"),
            total_issues: run.issues_seen,
            initiated_by: if run.trigger == "schedule" { "scheduled" } else { "manual" },
            run,
        }
    }
}

/// Part of the history.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HistoryPage {
    /// The runs, newest first.
    items: Vec<Entry>,
    /// Leads to the next part; null at the end.
    next_cursor: Option<String>,
    /// How many match, counted up to 10,001.
    total: i64,
    /// Whether `total` is the number; false where counting stopped.
    total_is_exact: bool,
}

/// The history of runs, newest first.
#[utoipa::path(get, path = "/api/sync/history", tag = "history", params(HistoryParams),
    responses((status = 200, body = HistoryPage), (status = 304, description = "Nothing changed"),
              (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn list(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    headers: HeaderMap,
    Params(params): Params<HistoryParams>,
) -> Result<Response> {
    let asked = History {
        states: parts(params.status.as_deref()),
        projects: parts(params.project.as_deref()),
        site: params.site,
        kind: params.kind,
        trigger: params.trigger,
        user: params.user,
        codes: params.code.map(|code| vec![code]),
        text: params.q,
        from: time("from", params.from.as_deref())?,
        to: time("to", params.to.as_deref())?,
        limit: params.limit,
        offset: params.offset,
        cursor: params.cursor,
    };
    let page = run::history(&shared.app, &actor, &asked).await?;
    let total_is_exact = page.total_is_exact();
    let items = page.items.into_iter().map(Entry::from).collect();
    Ok(etag::json(&headers, &HistoryPage { items, next_cursor: page.next_cursor, total: page.total, total_is_exact }))
}

/// A run with its steps and waits.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Whole {
    #[serde(flatten)]
    entry: Entry,
    /// Its steps by kind.
    steps_by_kind: Vec<StepCount>,
    /// What it waited for, longest first.
    waits: Vec<Waited>,
}

/// One run with its steps by kind and its waits.
#[utoipa::path(get, path = "/api/sync/history/{id}", tag = "history", params(("id" = String, Path, description = "The run's id")),
    responses((status = 200, body = Whole), (status = 304, description = "Nothing changed"),
              (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn show(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response> {
    let id = app::id("id", &id)?;
    let run = run::get(&shared.app, &actor, id).await?;
    let details = follow::details(&shared.app, &actor, id).await?;
    let whole = Whole { entry: run.into(), steps_by_kind: details.steps, waits: details.waits };
    Ok(etag::json(&headers, &whole))
}

/// Delete a run that is over, with its steps and its log. The audit keeps that it was there.
#[utoipa::path(delete, path = "/api/sync/history/{id}", tag = "history", params(("id" = String, Path, description = "The run's id")),
    responses((status = 204, description = "Deleted"), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn delete(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    run::delete(&shared.app, &actor, app::id("id", &id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A project of a run.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProjectOfRun {
    /// Its key.
    project_key: String,
    /// The site that it is of.
    instance: String,
    /// When its first step ran.
    started_at: Option<DateTime<Utc>>,
    /// When it ended.
    completed_at: Option<DateTime<Utc>>,
    /// From the first step to the end.
    duration_seconds: Option<f64>,
    /// Issues read.
    issues_processed: i64,
    /// Of those, new.
    issues_created: i64,
    /// Of those, changed.
    issues_updated: i64,
    /// pending, running, completed, failed or stopped.
    status: &'static str,
    /// Why it failed.
    error_message: Option<String>,
}

/// The projects of a run, and how each went.
#[utoipa::path(get, path = "/api/sync/history/{id}/projects", tag = "history", params(("id" = String, Path, description = "The run's id")),
    responses((status = 200, body = Vec<ProjectOfRun>), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn projects(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response> {
    let run = run::get(&shared.app, &actor, app::id("id", &id)?).await?;
    let (instance, project_key) = run.project.split_once('/').unwrap_or(("", &run.project));
    let (instance, project_key) = (instance.to_owned(), project_key.to_owned());
    let entry = Entry::from(run);
    let project = ProjectOfRun {
        project_key,
        instance,
        started_at: entry.run.started_at,
        completed_at: entry.completed_at,
        duration_seconds: entry.duration_seconds,
        issues_processed: entry.run.issues_seen,
        issues_created: entry.run.issues_created,
        issues_updated: entry.run.issues_updated,
        status: entry.status,
        error_message: entry.run.error_message,
    };
    Ok(etag::json(&headers, &[project]))
}

/// How fast a run was.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Metrics {
    /// From the first step to the end, or until now.
    elapsed_seconds: f64,
    /// Issues read in a second.
    issues_per_second: Option<f64>,
    /// Requests to Jira.
    requests: i64,
    /// Steps that were tried again.
    retries: i32,
    /// Steps that were taken over from a worker that fell silent.
    rescues: i32,
    /// Steps by kind, with the time that they took. They are kept for as long as `retention_steps_hours` says.
    steps_by_kind: Vec<StepCount>,
    /// What it waited for, longest first.
    waits: Vec<Waited>,
}

/// How fast a run was: steps, requests and waits.
#[utoipa::path(get, path = "/api/sync/history/{id}/metrics", tag = "history", params(("id" = String, Path, description = "The run's id")),
    responses((status = 200, body = Metrics), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn metrics(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response> {
    let id = app::id("id", &id)?;
    let run = run::get(&shared.app, &actor, id).await?;
    let progress = follow::progress(&shared.app, &actor, id).await?;
    let details = follow::details(&shared.app, &actor, id).await?;
    let elapsed = progress.elapsed_seconds;
    #[allow(clippy::cast_precision_loss)] // issues of a run
    let metrics = Metrics {
        elapsed_seconds: elapsed,
        issues_per_second: (elapsed > 0.0).then(|| progress.issues_done as f64 / elapsed),
        requests: run.requests,
        retries: run.retries,
        rescues: run.rescues,
        steps_by_kind: details.steps,
        waits: details.waits,
    };
    Ok(etag::json(&headers, &metrics))
}

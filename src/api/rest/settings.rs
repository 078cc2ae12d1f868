//! `/api/settings` and schedules: what can be changed while workers run.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::super::access::Caller;
use super::super::etag;
use super::super::extract::{Body, Params};
use super::super::problem::Problem;
use super::super::shared::Shared;
use crate::app::schedule::{self, When};
use crate::app::setting::{self, Change, Effect, InForce, Target};
use crate::app::{Error, Result, project};

/// For whom; for all where both are left out.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct TargetParams {
    /// For the projects of this site.
    site: Option<String>,
    /// For this project: KEY or SITE/KEY.
    project: Option<String>,
}

impl TargetParams {
    fn target(self) -> Result<Target> {
        match (self.site, self.project) {
            (None, None) => Ok(Target::All),
            (Some(site), None) => Ok(Target::Site(site)),
            (None, Some(project)) => Ok(Target::Project(project)),
            (Some(_), Some(_)) => Err(Error::invalid("site", "site and project exclude each other")
                .help("name the project as SITE/KEY, and leave the site out")),
        }
    }
}

/// A setting in force.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SettingBody {
    /// Its name.
    key: &'static str,
    /// Its value, in its unit.
    value: f64,
    /// What it counts.
    unit: &'static str,
    /// The smallest value.
    min: f64,
    /// The largest value.
    max: f64,
    /// Where the value comes from: `project`, `site`, `all`, `configuration` or `default`.
    source: &'static str,
    /// What it does.
    meaning: &'static str,
    /// From when a change counts: `next_run` or `soon`.
    effect: &'static str,
}

impl From<InForce> for SettingBody {
    fn from(InForce { key, value, source }: InForce) -> Self {
        let effect = match key.effect {
            Effect::NextRun => "next_run",
            Effect::Soon => "soon",
        };
        let (unit, min, max, meaning) = (key.unit, key.min, key.max, key.meaning);
        Self { key: key.name, value, unit, min, max, source, meaning, effect }
    }
}

/// The settings in force for all, for a site or for a project.
#[utoipa::path(get, path = "/api/settings", tag = "settings", params(TargetParams),
    responses((status = 200, body = Vec<SettingBody>), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn list(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    headers: HeaderMap,
    Params(params): Params<TargetParams>,
) -> Result<Response> {
    let found = setting::list(&shared.app, &actor, &params.target()?).await?;
    let found: Vec<SettingBody> = found.into_iter().map(SettingBody::from).collect();
    Ok(etag::json(&headers, &found))
}

/// A change of a setting.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeBody {
    /// Its name.
    key: String,
    /// The value; null removes what is set, so that the next wider setting applies.
    value: Option<f64>,
}

/// Change settings in one go; answers those in force afterwards. Where one change is refused, none is made.
#[utoipa::path(patch, path = "/api/settings", tag = "settings", params(TargetParams), request_body = Vec<ChangeBody>,
    responses((status = 200, body = Vec<SettingBody>), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn change(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Params(params): Params<TargetParams>,
    Body(changes): Body<Vec<ChangeBody>>,
) -> Result<Json<Vec<SettingBody>>> {
    let changes: Vec<Change> = changes.into_iter().map(|ChangeBody { key, value }| Change { key, value }).collect();
    let found = setting::change(&shared.app, &actor, &params.target()?, &changes).await?;
    Ok(Json(found.into_iter().map(SettingBody::from).collect()))
}

/// When a project runs; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ScheduleBody {
    /// Minute, hour, day of month, month, day of week.
    cron: Option<String>,
    /// The zone in which it is read, such as Europe/Berlin.
    time_zone: Option<String>,
}

/// A schedule that was changed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Rescheduled {
    /// SITE/KEY.
    project: String,
    /// The cron expression from now on.
    cron: String,
    /// Its time zone.
    time_zone: String,
    /// When it runs next by itself; null while it is paused.
    next_run_at: Option<DateTime<Utc>>,
}

/// Give a project another schedule.
#[utoipa::path(put, path = "/api/projects/{site}/{key}/schedule", tag = "projects", request_body = ScheduleBody,
    params(("site" = String, Path, description = "The site's name"), ("key" = String, Path, description = "The project's key")),
    responses((status = 200, body = Rescheduled), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn reschedule(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Path((site, key)): Path<(String, String)>,
    Body(asked): Body<ScheduleBody>,
) -> Result<Json<Rescheduled>> {
    let when = When { cron: asked.cron, time_zone: asked.time_zone };
    let done = schedule::reschedule(&shared.app, &actor, &format!("{site}/{key}"), &when).await?;
    Ok(Json(Rescheduled {
        project: project::name(&done.project),
        cron: done.cron,
        time_zone: done.time_zone,
        next_run_at: done.next_run_at,
    }))
}

/// A cron expression.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PreviewParams {
    /// Minute, hour, day of month, month, day of week.
    cron: String,
    /// The zone in which it is read; UTC unless said.
    time_zone: Option<String>,
    /// How many times: 1 to 100, 5 unless said.
    #[param(minimum = 1, maximum = 100)]
    count: Option<i64>,
}

/// The next times that a cron expression names.
#[utoipa::path(get, path = "/api/schedule/preview", tag = "projects", params(PreviewParams),
    responses((status = 200, body = Vec<DateTime<Utc>>), (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn preview(
    State(shared): State<Shared>,
    Caller(_): Caller,
    Params(params): Params<PreviewParams>,
) -> Result<Json<Vec<DateTime<Utc>>>> {
    let zone = params.time_zone.as_deref().unwrap_or("UTC");
    Ok(Json(schedule::preview(&shared.app, &params.cron, zone, params.count.unwrap_or(5))?))
}

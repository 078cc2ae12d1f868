//! `/api/exports`: everything that matches, as a file that is written while it is read.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::access::Caller;
use super::super::extract::{Params, list as parts, time};
use super::super::problem::Problem;
use super::super::shared::Shared;
use crate::app::export::{self, Format, Runs};
use crate::app::run::History;
use crate::app::{Error, Result};

/// Which runs, and how.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RunExport {
    /// csv (unless said) or jsonl.
    format: Option<String>,
    /// In these states, between commas.
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
    /// That failed with one of these codes, between commas.
    code: Option<String>,
}

/// All runs that match, the newest first, of any number.
#[utoipa::path(get, path = "/api/exports/runs", tag = "exports", params(RunExport),
    responses((status = 200, content((String = "text/csv"), (String = "application/x-ndjson"))),
              (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn runs(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Params(params): Params<RunExport>,
) -> Result<Response> {
    let format = Format::parse(params.format.as_deref())?;
    let asked = History {
        states: parts(params.status.as_deref()),
        projects: parts(params.project.as_deref()),
        site: params.site,
        kind: params.kind,
        codes: parts(params.code.as_deref()),
        from: time("from", params.from.as_deref())?,
        to: time("to", params.to.as_deref())?,
        ..History::default()
    };
    let mut runs = export::runs(shared.app.clone(), actor, asked, format);
    // What was asked wrongly is refused before anything is sent.
    let first = runs.next().await?;
    let rest = futures::stream::try_unfold(runs, async |mut runs: Runs| {
        let lines = runs.next().await?;
        Ok::<_, Error>(lines.map(|lines| (lines, runs)))
    });
    let parts = futures::StreamExt::chain(futures::stream::iter(first.map(Ok)), rest);
    let body = Body::from_stream(futures::TryStreamExt::map_ok(parts, move |lines| written(&lines, format)));
    Ok(file(body, format, "runs"))
}

/// Which days, and how.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DayExport {
    /// csv (unless said) or jsonl.
    format: Option<String>,
    /// The last so many days: 1 to 3650, 28 unless said.
    #[param(minimum = 1, maximum = 3650)]
    days: Option<i64>,
}

/// What the runs of each day add up to, the newest day first; more than 10,000 rows are refused.
#[utoipa::path(get, path = "/api/exports/days", tag = "exports", params(DayExport),
    responses((status = 200, content((String = "text/csv"), (String = "application/x-ndjson"))),
              (status = "4XX", body = Problem), (status = "5XX", body = Problem)))]
pub(super) async fn days(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Params(params): Params<DayExport>,
) -> Result<Response> {
    let format = Format::parse(params.format.as_deref())?;
    let lines = export::days(&shared.app, &actor, params.days, format).await?;
    Ok(file(Body::from(written(&lines, format)), format, "days"))
}

fn written(lines: &[String], format: Format) -> Bytes {
    let end = format.line_end();
    Bytes::from(lines.iter().flat_map(|line| [line.as_str(), end]).collect::<String>())
}

fn file(body: Body, format: Format, name: &str) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    let ending = if format == Format::Csv { "csv" } else { "jsonl" };
    if let Ok(named) = HeaderValue::from_str(&format!("attachment; filename=\"{name}.{ending}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, named);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    response
}

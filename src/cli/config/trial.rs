//! `syncline config test`: what other settings would cost.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::super::output::{span, time};
use super::super::{Context, Error, Format, Row, project, site};
use crate::domain::estimate::{Cost, Parameters, Past};
use crate::domain::setting::{self, Key, PROJECT_TIMEOUT, Settings};
use crate::store::setting::{self as stored, History};

/// One kind of run, before and after.
#[derive(Serialize)]
struct Estimated {
    kind: String,
    before: Cost,
    after: Cost,
    /// How many runs it is based on.
    runs: i64,
    since: DateTime<Utc>,
    until: DateTime<Utc>,
}

#[derive(Serialize)]
struct Report<'a> {
    project: &'a str,
    estimates: &'a [Estimated],
    notes: &'a [String],
}

/// The settings whose cost can be told from past runs.
const ESTIMATED: [&Key; 3] = [&setting::PAGE_SIZE, &setting::OVERLAP, &setting::PARTITION_TARGET];
/// What a run of an earlier release asked for besides its pages: it did not count them.
const UNCOUNTED_REQUESTS: f64 = 4.0;

pub(super) async fn run(values: &[(&'static Key, f64)], text: &str, context: &Context) -> Result<(), Error> {
    let project = project::find(context, text, false).await?;
    let site = site::find(context, &project.site).await?;
    let name = project::name(&project);
    let history = stored::history(&context.pool, project.id, &ESTIMATED.map(|key| key.name)).await?;
    if history.is_empty() {
        return Err(Error::failure(format!("no history: no run of {name} that read a page has succeeded yet"))
            .help(format!("start a run with `syncline sync start {name} --wait`, then test again")));
    }
    let set = stored::in_force(&context.pool, Some(site.id), Some(project.id)).await?;
    let proposed = values.iter().fold(set.clone(), |set, (key, value)| set.with(key, *value));
    let (now, then) = (parameters(&set, &site, context), parameters(&proposed, &site, context));
    let notes = notes(values, &history);
    let estimates: Vec<Estimated> = history.iter().map(|history| estimate(history, &now, &then)).collect();
    if context.output.format() == Format::Json {
        return context.output.result("", &Report { project: &name, estimates: &estimates, notes: &notes });
    }
    context.output.rows(&estimates, "")?;
    notes.iter().for_each(|note| context.output.note(note));
    Ok(())
}

fn parameters(set: &Settings, site: &crate::store::site::Site, context: &Context) -> Parameters {
    let configured = &context.config.sync;
    let number = |key, configured: u32| set.number(key).unwrap_or_else(|| f64::from(configured));
    Parameters {
        page_size: number(&setting::PAGE_SIZE, configured.page_size),
        overlap_seconds: number(&setting::OVERLAP, configured.overlap_seconds),
        partition_target_issues: number(&setting::PARTITION_TARGET, configured.partition_target_issues),
        lanes: set.number(&setting::MAX_CONCURRENCY).unwrap_or_else(|| f64::from(site.max_concurrency)),
    }
}

fn estimate(history: &History, now: &Parameters, then: &Parameters) -> Estimated {
    let past = Past {
        issues: history.issues,
        pages: history.pages,
        requests: history.requests.max(history.pages + UNCOUNTED_REQUESTS),
        seconds: history.seconds,
        window_seconds: history.window_seconds,
    };
    let (kind, runs, since, until) = (history.kind.clone(), history.runs, history.since, history.until);
    Estimated { kind, before: past.cost(), after: past.with(now, then), runs, since, until }
}

/// What the numbers do not say.
fn notes(values: &[(&'static Key, f64)], history: &[History]) -> Vec<String> {
    let mut notes = Vec::new();
    for (key, value) in values {
        if key.name == PROJECT_TIMEOUT.name && *value > 0.0 {
            let longest = history.iter().map(|history| history.longest_seconds).fold(0.0, f64::max);
            notes.push(if longest > *value {
                format!("{key}={value} would have stopped runs: the longest took {longest:.0} s")
            } else {
                format!("{key}={value} would have stopped none of these runs: the longest took {longest:.0} s")
            });
        } else if !ESTIMATED.iter().any(|known| known.name == key.name) && key.name != setting::MAX_CONCURRENCY.name {
            notes.push(format!("{key} does not change the cost of a run unless something fails"));
        }
    }
    if history.iter().any(|history| history.requests == 0.0) {
        notes.push(format!(
            "these runs did not count their requests: estimated as their pages and {UNCOUNTED_REQUESTS} more"
        ));
    }
    notes.push("an estimate: it assumes the same time per request, and one point per request and per issue".into());
    notes
}

impl Row for Estimated {
    const HEADERS: &'static [&'static str] = &["RUN", "ISSUES", "REQUESTS", "DURATION", "POINTS", "BASED ON"];

    fn cells(&self) -> Vec<String> {
        let change = |before: f64, after: f64| format!("{before:.0} -> {after:.0}");
        #[allow(clippy::cast_possible_truncation)] // seconds of a run
        let seconds = |seconds: f64| if seconds < 60.0 { format!("{seconds:.1}s") } else { span(seconds as i64) };
        vec![
            self.kind.clone(),
            change(self.before.issues, self.after.issues),
            change(self.before.requests, self.after.requests),
            format!("{} -> {}", seconds(self.before.seconds), seconds(self.after.seconds)),
            change(self.before.points, self.after.points),
            format!("{} runs, {} to {}", self.runs, time(self.since), time(self.until)),
        ]
    }
}

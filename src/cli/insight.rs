//! `syncline insight`: what the history of runs teaches.

use chrono::{DateTime, Utc};
use clap::Subcommand;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::output::time;
use super::{Context, Error, Fields, Row, project};
use crate::app::insight::{self, Advice, Daily, Forecast, Found, Grown, Pattern, Scored, WhatIf};
use crate::app::project::name;

/// Show what the history of runs teaches: scores, unusual runs, forecasts, advice
#[derive(Debug, clap::Args)]
pub struct InsightArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show how well projects are, 0 to 100, and why
    Health(OfProject),
    /// List what was unusual: slow runs, and days with few or many changes
    Anomalies {
        #[command(flatten)]
        of: OfProject,
        /// Since this time (RFC 3339); a week ago unless given
        #[arg(long)]
        since: Option<DateTime<Utc>>,
    },
    /// Show what the next run of a project is expected to take
    Forecast {
        /// The project, as KEY or SITE/KEY
        #[arg(add = super::completing::projects())]
        project: String,
        /// incremental, full or reconcile
        #[arg(long, default_value = "incremental")]
        kind: String,
        /// When it begins (RFC 3339); now unless given
        #[arg(long)]
        at: Option<DateTime<Utc>>,
    },
    /// List failures that go together with an hour, a weekday, a site or a setting that was changed
    Patterns,
    /// List what to change, and why
    Recommend(OfProject),
    /// Do what a recommendation says
    Apply {
        /// The recommendation's id, from `syncline insight recommend`
        id: String,
    },
    /// List what the runs of each day add up to, also after they were removed
    Daily {
        #[command(flatten)]
        of: OfProject,
        /// The last so many days
        #[arg(long, default_value_t = 28, value_parser = clap::value_parser!(i64).range(1..=3650))]
        days: i64,
    },
    /// List how large the tables are and become
    Growth,
    /// Show what more projects like one would cost a day
    WhatIf {
        /// The project, as KEY or SITE/KEY
        #[arg(add = super::completing::projects())]
        project: String,
        /// How many more
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(i64).range(1..=100_000))]
        count: i64,
    },
}

#[derive(Debug, clap::Args)]
struct OfProject {
    /// Only this one, as KEY or SITE/KEY
    #[arg(add = super::completing::projects())]
    project: Option<String>,
}

impl OfProject {
    async fn id(&self, context: &Context) -> Result<Option<Uuid>, Error> {
        match &self.project {
            Some(text) => Ok(Some(project::find(context, text, false).await?.id)),
            None => Ok(None),
        }
    }
}

pub(super) async fn run(args: InsightArgs, context: &Context) -> Result<(), Error> {
    let (app, actor) = (context.app(), context.acting());
    let output = &context.output;
    match args.verb {
        Verb::Health(of) => {
            let health = insight::health(&app, &actor, of.id(context).await?).await?;
            let rows: Vec<ScoreRow> = health.projects.into_iter().map(ScoreRow::from).collect();
            output.rows(&rows, "no project yet: add one with `syncline project add SITE KEY`")?;
            if let Some(score) = health.score.filter(|_| rows.len() > 1) {
                output.note(&format!("all together: {score:.0}"));
            }
        }
        Verb::Anomalies { of, since } => {
            let found = insight::anomalies(&app, &actor, of.id(context).await?, since).await?;
            let rows: Vec<AnomalyRow> = found.into_iter().map(AnomalyRow::from).collect();
            output.rows(&rows, "nothing was unusual, or too little is known yet (20 runs, or 3 weeks)")?;
        }
        Verb::Forecast { project, kind, at } => {
            match insight::forecast(&app, &actor, &project, Some(&kind), at).await? {
                Some(forecast) => output.fields(&ForecastRow::from(forecast))?,
                None => {
                    output.result(
                        "too little is known yet: 20 runs of this kind that succeeded are needed",
                        &Value::Null,
                    )?;
                }
            }
        }
        Verb::Patterns => {
            let found = insight::patterns(&app, &actor).await?;
            let rows: Vec<PatternRow> = found.into_iter().map(PatternRow::from).collect();
            output.rows(&rows, "no failures go together with an hour, a weekday, a site or a setting")?;
        }
        Verb::Recommend(of) => {
            let found = insight::recommendations(&app, &actor, of.id(context).await?).await?;
            let rows: Vec<AdviceRow> = found.into_iter().map(AdviceRow::from).collect();
            output.rows(&rows, "nothing to recommend, or too little is known yet")?;
        }
        Verb::Apply { id } => {
            let done = insight::apply(&app, &actor, &id).await?;
            let applied = Applied { project: name(&done.project), cron: done.cron, time_zone: done.time_zone };
            output.result(
                &format!("{} runs by {:?} ({}) now", applied.project, applied.cron, applied.time_zone),
                &applied,
            )?;
        }
        Verb::Daily { of, days } => {
            let rows = insight::daily(&app, &actor, of.id(context).await?, Some(days)).await?;
            output.rows(&rows, "no run has ended in these days")?;
        }
        Verb::Growth => {
            let rows: Vec<GrowthRow> = insight::sizes(&app, &actor).await?.into_iter().map(GrowthRow::from).collect();
            output.rows(&rows, "no sizes yet: a scheduler takes them once it runs")?;
        }
        Verb::WhatIf { project, count } => match insight::what_if(&app, &actor, &project, count).await? {
            Some(found) => output.fields(&WhatIfRow::from(found))?,
            None => output.result("the project has no history yet", &Value::Null)?,
        },
    }
    Ok(())
}

#[derive(Serialize)]
struct ScoreRow {
    project: String,
    score: Option<f64>,
    reasons: Vec<String>,
}

impl From<Scored> for ScoreRow {
    fn from(scored: Scored) -> Self {
        let (score, reasons) = scored.score.map_or((None, Vec::new()), |score| (Some(score.score), score.reasons));
        Self { project: scored.project, score, reasons }
    }
}

impl Row for ScoreRow {
    const HEADERS: &'static [&'static str] = &["PROJECT", "SCORE", "WHY"];

    fn cells(&self) -> Vec<String> {
        let score = self.score.map_or_else(|| "-".to_owned(), |score| format!("{score:.0}"));
        vec![self.project.clone(), score, self.reasons.join("; ")]
    }
}

#[derive(Serialize)]
struct AnomalyRow {
    at: DateTime<Utc>,
    project: String,
    run: Uuid,
    metric: &'static str,
    value: f64,
    usual: f64,
    low: f64,
    high: f64,
    score: f64,
    text: String,
}

impl From<Found> for AnomalyRow {
    fn from(found: Found) -> Self {
        let text = found.anomaly.words();
        let insight::Anomaly { run, at, metric, value, usual, low, high, score } = found.anomaly;
        Self { at, project: found.project, run, metric: metric.as_str(), value, usual, low, high, score, text }
    }
}

impl Row for AnomalyRow {
    const HEADERS: &'static [&'static str] = &["WHEN", "PROJECT", "WHAT", "RUN"];
    const SPARE: &'static [&'static str] = &["RUN"];

    fn cells(&self) -> Vec<String> {
        vec![time(self.at), self.project.clone(), self.text.clone(), self.run.to_string()]
    }
}

#[derive(Serialize)]
struct ForecastRow {
    seconds: f64,
    low: f64,
    high: f64,
    coverage: f64,
    requests: f64,
    points: f64,
    based_on_runs: usize,
}

impl From<Forecast> for ForecastRow {
    fn from(forecast: Forecast) -> Self {
        let points = forecast.points();
        let Forecast { seconds, low, high, requests, based_on, .. } = forecast;
        Self { seconds, low, high, coverage: insight::COVERAGE, requests, points, based_on_runs: based_on }
    }
}

impl Fields for ForecastRow {
    fn fields(&self) -> Vec<(&'static str, String)> {
        vec![
            ("expected", format!("{:.1} s", self.seconds)),
            ("nine of ten", format!("{:.1} to {:.1} s", self.low, self.high)),
            ("requests", format!("{:.0}", self.requests)),
            ("points", format!("{:.0}", self.points)),
            ("based on", format!("{} runs", self.based_on_runs)),
        ]
    }
}

#[derive(Serialize)]
struct PatternRow {
    code: String,
    condition: String,
    troubles: u64,
    hours: u64,
    troubles_in_all: u64,
    hours_in_all: u64,
    by_chance: f64,
    text: String,
}

impl From<Pattern> for PatternRow {
    fn from(pattern: Pattern) -> Self {
        let (condition, text) = (pattern.condition.words(), pattern.words());
        let Pattern { code, hits, hours, all_hits, all_hours, chance, .. } = pattern;
        Self {
            code,
            condition,
            troubles: hits,
            hours,
            troubles_in_all: all_hits,
            hours_in_all: all_hours,
            by_chance: chance,
            text,
        }
    }
}

impl Row for PatternRow {
    const HEADERS: &'static [&'static str] = &["CODE", "PATTERN", "BY CHANCE"];

    fn cells(&self) -> Vec<String> {
        vec![self.code.clone(), self.text.clone(), format!("{:.1e}", self.by_chance)]
    }
}

#[derive(Serialize)]
struct AdviceRow {
    id: String,
    project: Option<String>,
    text: String,
    gain: String,
    evidence: Value,
    changes: Value,
}

impl From<Advice> for AdviceRow {
    fn from(advice: Advice) -> Self {
        let changes = advice.change.as_ref().map_or_else(|| serde_json::json!([]), insight::Change::json);
        let Advice { id, project, text, evidence, gain, .. } = advice;
        Self { id, project, text, gain, evidence, changes }
    }
}

impl Row for AdviceRow {
    const HEADERS: &'static [&'static str] = &["ADVICE", "GAIN", "APPLY WITH"];

    fn cells(&self) -> Vec<String> {
        let changes = self.changes.as_array().is_some_and(|changes| !changes.is_empty());
        let apply = if changes { self.id.clone() } else { "-".to_owned() };
        vec![self.text.clone(), self.gain.clone(), apply]
    }
}

#[derive(Serialize)]
struct Applied {
    project: String,
    cron: String,
    time_zone: String,
}

impl Row for Daily {
    const HEADERS: &'static [&'static str] =
        &["DAY", "PROJECT", "KIND", "STATE", "RUNS", "ISSUES", "CHANGED", "REQUESTS", "SECONDS", "LONGEST"];
    const SPARE: &'static [&'static str] = &["LONGEST", "REQUESTS"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.day.to_string(),
            self.project.clone(),
            self.work.clone(),
            self.state.clone(),
            self.runs.to_string(),
            self.issues.to_string(),
            self.issues_changed.to_string(),
            self.requests.to_string(),
            format!("{:.1}", self.seconds),
            format!("{:.1}", self.longest_seconds),
        ]
    }
}

#[derive(Serialize)]
struct GrowthRow {
    name: String,
    bytes: i64,
    per_day: Option<f64>,
    in_30_days: Option<f64>,
    in_90_days: Option<f64>,
}

impl From<Grown> for GrowthRow {
    fn from(grown: Grown) -> Self {
        let per_day = grown.ahead.map(|[month, _]| month.per_day);
        let [month, quarter] = grown.ahead.map_or([None, None], |ahead| ahead.map(|growth| Some(growth.expected)));
        Self { name: grown.name, bytes: grown.bytes, per_day, in_30_days: month, in_90_days: quarter }
    }
}

impl Row for GrowthRow {
    const HEADERS: &'static [&'static str] = &["NAME", "MIB", "MIB A DAY", "IN 30 DAYS", "IN 90 DAYS"];

    fn cells(&self) -> Vec<String> {
        #[allow(clippy::cast_precision_loss)] // bytes
        let bytes = self.bytes as f64;
        let mib =
            |bytes: Option<f64>| bytes.map_or_else(|| "-".to_owned(), |bytes| format!("{:.1}", bytes / 1_048_576.0));
        vec![self.name.clone(), mib(Some(bytes)), mib(self.per_day), mib(self.in_30_days), mib(self.in_90_days)]
    }
}

#[derive(Serialize)]
struct WhatIfRow {
    projects: i64,
    days: i64,
    runs: f64,
    requests: f64,
    points: f64,
    at_once: f64,
    issues_changed: f64,
}

impl From<WhatIf> for WhatIfRow {
    fn from(found: WhatIf) -> Self {
        let WhatIf { projects, days, runs, requests, points, at_once, issues_changed } = found;
        Self { projects, days, runs, requests, points, at_once, issues_changed }
    }
}

impl Fields for WhatIfRow {
    fn fields(&self) -> Vec<(&'static str, String)> {
        vec![
            ("projects more", self.projects.to_string()),
            ("runs a day", format!("{:.0}", self.runs)),
            ("requests a day", format!("{:.0}", self.requests)),
            ("points a day", format!("{:.0}", self.points)),
            ("runs at once", format!("{:.2} on average", self.at_once)),
            ("issues changed a day", format!("{:.0}", self.issues_changed)),
            ("based on", format!("{} days", self.days)),
        ]
    }
}

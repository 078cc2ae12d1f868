//! One run: how far it is, what it wrote, its steps, its log, why it failed, and what can be done about it.

use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::super::chart::{self, Bar};
use super::super::fields::{Fields, Query};
use super::super::parts::{self, Html, State};
use super::super::shell::Shell;
use super::super::visitor::{Visitor, page};
use crate::app::follow::{self, Details, LogEntry, Logs, RunProgress, Step};
use crate::app::run::{self, Cancelled, Run};
use crate::app::{self, Actor, App, Error, Result};

/// Entries of the log on a page.
const ENTRIES: i64 = 100;
const TABS: [(&str, &str); 4] = [("", "Overview"), ("steps", "Steps"), ("logs", "Logs"), ("errors", "Errors")];

#[derive(Template)]
#[template(path = "run.html", config = ".askama.toml")]
struct Page {
    shell: Shell,
    run: Run,
    tab: &'static str,
    progress: RunProgress,
    details: Details,
    steps: Vec<Lane>,
    axis: Vec<String>,
    logs: Vec<LogEntry>,
    level: String,
    text: String,
    older: Option<i64>,
}

/// A row of the timeline.
struct Lane {
    step: Step,
    state: State,
    lane: Html,
    time: String,
}

impl Page {
    fn state(&self) -> State {
        parts::run_state(&self.run.state, self.run.issues_rejected)
    }

    fn is_over(&self) -> bool {
        self.progress.has_ended()
    }

    /// How much is done, from 0 to 100.
    #[allow(clippy::cast_precision_loss)] // issues of a run
    fn percent(&self) -> Option<f64> {
        let all = self.progress.issues_total_estimate.filter(|all| *all > 0)?;
        Some((self.progress.issues_done as f64 / all as f64).min(1.0) * 100.0)
    }

    /// How long it takes still.
    fn remaining(&self) -> Option<String> {
        let percent = self.percent().filter(|percent| *percent > 0.0 && !self.is_over())?;
        Some(parts::duration(self.progress.elapsed_seconds * (100.0 - percent) / percent))
    }

    fn per_second(&self) -> String {
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // issues of a run
        let rate = self.progress.issues_done as f64 / self.progress.elapsed_seconds.max(0.001);
        #[allow(clippy::cast_possible_truncation)]
        parts::number(rate.round() as i64)
    }

    /// What happened, in one paragraph.
    fn story(&self) -> String {
        let run = &self.run;
        let window = match (&run.window_from, run.kind.as_str()) {
            (_, "full") | (None, _) => "everything".to_owned(),
            (Some(from), _) => format!("what changed since {}", from.format("%-d %b %H:%M UTC")),
        };
        let how = match run.state.as_str() {
            "queued" => return format!("It waits for a worker, and will read {window} of {}.", run.project),
            "running" | "cancelling" => format!("It reads {window} of {}.", run.project),
            "succeeded" => format!("It read {window} of {}.", run.project),
            "failed" => format!("It was to read {window} of {}, and failed.", run.project),
            _ => format!("It was to read {window} of {}, and was cancelled.", run.project),
        };
        let mut story = format!(
            "{how} {} read: {} new, {} changed, {} as they were.",
            parts::plural(run.issues_seen, "issue"),
            parts::number(run.issues_created),
            parts::number(run.issues_updated),
            parts::number(run.issues_unchanged)
        );
        if run.retries > 0 || run.rescues > 0 {
            story.push_str(&format!(
                " {} tried again, {} taken over from a worker that fell silent.",
                parts::plural(i64::from(run.retries), "step"),
                run.rescues
            ));
        }
        story
    }

    /// What a retry will do.
    fn will_retry(&self) -> String {
        match self.run.kind.as_str() {
            "full" => format!("A retry reads everything of {} again, page by page.", self.run.project),
            _ => format!(
                "A retry reads what changed in {} since its cursor; what is written already is not written twice.",
                self.run.project
            ),
        }
    }
}

/// The most steps that a page draws.
const STEPS: i64 = 200;

async fn steps(app: &App, actor: &Actor, id: Uuid) -> Result<Vec<Step>> {
    Ok(follow::steps(app, actor, id, Some(STEPS), None).await?.items)
}

/// The page.
pub(crate) async fn show(visitor: Visitor, Path(id): Path<String>, Query(query): Query) -> Response {
    let drawn = draw(&visitor, &id, &query).await;
    visitor.answer(drawn).await
}

async fn draw(visitor: &Visitor, id: &str, query: &Fields) -> Result<Response> {
    let (app, actor, id) = (visitor.app(), &visitor.actor, app::id("id", id)?);
    let tab = TABS.iter().map(|(tab, _)| *tab).find(|tab| *tab == query.or_empty("tab")).unwrap_or("");
    let run = run::get(app, actor, id).await?;
    let progress = follow::progress(app, actor, id).await?;
    let details = follow::details(app, actor, id).await?;
    let end = run.finished_at.unwrap_or(visitor.now);
    let (steps, axis) = match tab {
        "steps" => timeline(steps(app, actor, id).await?, run.created_at, end, visitor.now),
        "errors" => {
            let failed = steps(app, actor, id).await?.into_iter().filter(|step| step.error_code.is_some()).collect();
            timeline(failed, run.created_at, end, visitor.now)
        }
        _ => (Vec::new(), Vec::new()),
    };
    let level = match tab {
        "errors" => Some("warn".to_owned()),
        _ => query.text("level"),
    };
    let asked = Logs {
        level: level.clone(),
        text: query.text("q"),
        before: query.number("before")?,
        limit: Some(ENTRIES),
        ..Logs::default()
    };
    let logs = match tab {
        "logs" | "errors" => follow::logs(app, actor, id, &asked).await?,
        _ => Vec::new(),
    };
    let (site, key) = run.project.split_once('/').unwrap_or(("", &run.project));
    let shell = Shell::of(visitor, "history", id.to_string()).await;
    let shell = shell.below(&[("/history", "History"), (&format!("/projects/{site}/{key}"), key)]);
    page(&Page {
        older: logs
            .first()
            .map(|entry| entry.id)
            .filter(|_| logs.len() >= usize::try_from(ENTRIES).unwrap_or(usize::MAX)),
        logs: logs.into_iter().rev().collect(),
        shell,
        run,
        tab,
        progress,
        details,
        steps,
        axis,
        level: query.or_empty("level").to_owned(),
        text: query.or_empty("q").to_owned(),
    })
}

/// Steps as lanes between the beginning and the end, and the words below the axis.
fn timeline(
    steps: Vec<Step>,
    begin: DateTime<Utc>,
    end: DateTime<Utc>,
    now: DateTime<Utc>,
) -> (Vec<Lane>, Vec<String>) {
    let end = steps.iter().filter_map(|step| step.finished_at).fold(end, DateTime::max);
    let whole = end.signed_duration_since(begin).as_seconds_f64().max(0.001);
    let at = |time: DateTime<Utc>| (time.signed_duration_since(begin).as_seconds_f64() / whole).clamp(0.0, 1.0);
    let axis = [0.0, 0.25, 0.5, 0.75, 1.0]
        .iter()
        .map(|share| if *share == 0.0 { "0 s".to_owned() } else { parts::duration(whole * share) });
    let lanes = steps.into_iter().map(|step| {
        let mut bars = Vec::new();
        let until = step.finished_at.unwrap_or(now);
        let began = step.claimed_at.unwrap_or(until);
        if began > step.created_at {
            let why = step
                .error_code
                .as_deref()
                .map_or("waits for a free place, or for its time".to_owned(), |code| format!("waited: {code}"));
            bars.push(Bar { from: at(step.created_at), to: at(began), class: "l dash wait", title: why });
        }
        if let Some(claimed) = step.claimed_at {
            let class = match step.state.as_str() {
                "done" => "f ok",
                "running" => "f run",
                "dead" => "hole bad",
                _ => "f off",
            };
            bars.push(Bar { from: at(claimed), to: at(until), class, title: parts::between(claimed, until) });
        }
        let time = step.claimed_at.map_or("–".to_owned(), |claimed| parts::between(claimed, until));
        Lane { state: parts::step_state(&step.state), lane: chart::lane(&bars, None), time, step }
    });
    (lanes.collect(), axis.collect())
}

#[derive(Template)]
#[template(path = "ask.html", config = ".askama.toml")]
struct Ask {
    shell: Shell,
    title: String,
    will: String,
    verb: &'static str,
    is_danger: bool,
    action: String,
    back: String,
}

/// Asks before something is done to a run.
pub(crate) async fn ask(visitor: Visitor, Path((id, act)): Path<(String, String)>) -> Response {
    let drawn = question(&visitor, &id, &act).await;
    visitor.answer(drawn).await
}

async fn question(visitor: &Visitor, id: &str, act: &str) -> Result<Response> {
    let run = run::get(visitor.app(), &visitor.actor, app::id("id", id)?).await?;
    let name = &run.project;
    let (title, will, verb) = match act {
        "cancel" => (
            format!("Cancel the run of {name}?"),
            format!(
                "{} written and stay. The steps that are under way end within seconds; the schedule goes on.",
                parts::plural(run.issues_seen, "issue") + " are"
            ),
            "Cancel run",
        ),
        "delete" => (
            format!("Delete this run of {name} from the history?"),
            "Its steps and its log go with it. The replica stays as it is, and the audit keeps that it was there."
                .to_owned(),
            "Delete run",
        ),
        "retry" => (
            format!("Retry the run of {name}?"),
            "A new run with the same parameters is asked for; it goes on from the project's cursor.".to_owned(),
            "Retry run",
        ),
        _ => return Err(Error::not_found("there is no page at this address")),
    };
    let here = format!("/runs/{}", run.id);
    let shell = Shell::of(visitor, "history", verb).await.below(&[("/history", "History"), (&here, name)]);
    page(&Ask { shell, title, will, verb, is_danger: act != "retry", action: format!("{here}/{act}"), back: here })
}

/// Does something to a run.
pub(crate) async fn act(visitor: Visitor, Path((id, act)): Path<(String, String)>) -> Response {
    let done = async {
        let (app, actor) = (visitor.app(), &visitor.actor);
        let id: Uuid = app::id("id", &id)?;
        let here = format!("/runs/{id}");
        Ok(match act.as_str() {
            "cancel" => match run::cancel(app, actor, id).await? {
                Cancelled::AtOnce => visitor.go(&here, "cancelled"),
                Cancelled::AtStepEnd => visitor.go(&here, "cancelling"),
            },
            "retry" => {
                let new = run::retry(app, actor, id).await?;
                visitor.go(&format!("/runs/{new}"), "retried")
            }
            "delete" => {
                run::delete(app, actor, id).await?;
                visitor.go("/history", "deleted")
            }
            _ => return Err(Error::not_found("there is no page at this address")),
        })
    };
    visitor.answer(done.await).await
}

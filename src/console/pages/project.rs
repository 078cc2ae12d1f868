//! One project: how it is and why, its schedule, its last runs, and what can be done.

use askama::Template;
use axum::extract::Path;
use axum::response::Response;

use super::super::chart;
use super::super::fields::{Form, encoded};
use super::super::parts::{self, Html};
use super::super::shell::Shell;
use super::super::visitor::{Visitor, page};
use super::projects::Line;
use crate::app::insight::{self, Forecast};
use crate::app::run::{self, History, Run};
use crate::app::{Error, Result, health, project, schedule};

#[derive(Template)]
#[template(path = "project.html", config = ".askama.toml")]
struct Page {
    shell: Shell,
    line: Line,
    why: String,
    runs: Vec<Run>,
    strip: Html,
    ladder: Vec<Rung>,
    /// What the next run takes, in words; none where too little is known.
    expected: Option<String>,
}

/// A rung of the back-off ladder.
struct Rung {
    at: i16,
    class: &'static str,
}

/// The page.
pub(crate) async fn show(visitor: Visitor, Path((site, key)): Path<(String, String)>) -> Response {
    let drawn = draw(&visitor, &site, &key).await;
    visitor.answer(drawn).await
}

async fn draw(visitor: &Visitor, site: &str, key: &str) -> Result<Response> {
    let (app, actor) = (visitor.app(), &visitor.actor);
    let project = project::find(app, actor, &format!("{site}/{key}"), true).await?;
    let health = match project.state.as_str() {
        "removed" => None,
        _ => health::list(app, actor, Some(project.id)).await?.pop(),
    };
    let asked = History { projects: Some(vec![project::name(&project)]), limit: Some(14), ..History::default() };
    let runs = run::newest(app, actor, &asked).await?;
    let rung = health.as_ref().map_or(0, |health| health.row.rung);
    let ladder = (0..=6).map(|at| Rung { at, class: if at < rung { "past" } else { "" } }).collect();
    let strip: Vec<(String, bool)> =
        runs.iter().rev().map(|run| (run.state.clone(), run.issues_rejected > 0)).collect();
    let shell = Shell::of(visitor, "projects", project.key.clone()).await.below(&[("/projects", "Projects")]);
    let view = schedule::list(app, actor, Some(project.id)).await?.pop();
    let why = match &view {
        Some(view) => sentence(&schedule::why(view, visitor.now)),
        None => "It was removed: nothing is read any more.".to_owned(),
    };
    let name = project::name(&project);
    let expected = match view {
        Some(_) => insight::forecast(app, actor, &name, None, None).await?.map(words),
        None => None,
    };
    page(&Page { shell, line: Line { project, health }, why, strip: chart::strip(&strip), runs, ladder, expected })
}

fn words(expected: Forecast) -> String {
    let Forecast { seconds, low, high, requests, .. } = expected;
    format!("{seconds:.1} s, in nine of ten cases {low:.1} to {high:.1} s; {requests:.0} requests")
}

/// With a capital and a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first: String = letters.next().map(|first| first.to_uppercase().collect()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

impl Page {
    fn rung(&self) -> i16 {
        self.line.health.as_ref().map_or(0, |health| health.row.rung)
    }
}

/// Pauses, resumes, or starts a run.
pub(crate) async fn act(
    visitor: Visitor,
    Path((site, key, act)): Path<(String, String, String)>,
    Form(form): Form,
) -> Response {
    let named = format!("{site}/{key}");
    let here = format!("/projects/{}/{}", encoded(&site), encoded(&key));
    let done = async {
        let (app, actor, sync) = (visitor.app(), &visitor.actor, &visitor.shared.sync);
        Ok(match act.as_str() {
            "pause" => match project::pause(app, actor, &named).await?.changed {
                true => visitor.go(&here, "paused"),
                false => visitor.go(&here, "nothing"),
            },
            "resume" => {
                let defaults = (sync.default_cron.as_str(), sync.time_zone.as_str());
                match project::resume(app, actor, &named, defaults).await?.changed {
                    true => visitor.go(&here, "resumed"),
                    false => visitor.go(&here, "nothing"),
                }
            }
            "start" => {
                let asked = run::Start {
                    project: named.clone(),
                    full: form.get("kind") == Some("full"),
                    reconcile: form.get("reconcile").is_some(),
                };
                let id = run::start(app, actor, &asked).await?;
                visitor.go(&format!("/runs/{id}"), "started")
            }
            other => return Err(Error::not_found(format!("there is no act {other:?}"))),
        })
    };
    visitor.answer(done.await).await
}

//! The history: every run, found by filters that stand in the address, and acts on several at once.

use askama::Template;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use super::super::fields::{Fields, Form, Query};
use super::super::parts;
use super::super::shell::Shell;
use super::super::visitor::{Visitor, page};
use crate::app::export::{self, Format};
use crate::app::project::{self, Project};
use crate::app::run::{self, History, Run};
use crate::app::{self, Error, Kind, Result};

/// Runs on a page.
const PAGE: i64 = 50;
/// The most runs that one act touches.
const MOST: usize = 100;
/// The most rows of an export.
const EXPORTED: usize = 10_000;
const FILTERS: [&str; 10] = ["q", "status", "project", "site", "kind", "trigger", "user", "code", "from", "to"];

#[derive(Template)]
#[template(path = "history.html", config = ".askama.toml")]
struct Page {
    shell: Shell,
    runs: Vec<Run>,
    total: i64,
    fields: Fields,
    chips: Vec<Chip>,
    projects: Vec<Project>,
    next: Option<String>,
    is_first: bool,
    here: String,
    problem: Option<Error>,
}

/// A filter in force.
struct Chip {
    text: String,
    without: String,
}

impl Page {
    fn is(&self, name: &str, value: &str) -> bool {
        self.fields.or_empty(name) == value
    }
}

fn asked(fields: &Fields) -> Result<History> {
    Ok(History {
        states: fields.get("status").map(|state| state.split(',').map(str::to_owned).collect()),
        projects: fields.get("project").map(|one| vec![one.to_owned()]),
        site: fields.text("site"),
        kind: fields.text("kind"),
        trigger: fields.text("trigger"),
        user: fields.text("user"),
        codes: fields.text("code").map(|code| vec![code]),
        text: fields.text("q"),
        from: fields.day("from", false)?,
        to: fields.day("to", true)?,
        limit: Some(PAGE),
        offset: None,
        cursor: fields.text("cursor"),
    })
}

/// The page.
pub(crate) async fn show(visitor: Visitor, Query(fields): Query) -> Response {
    let drawn = draw(&visitor, fields).await;
    visitor.answer(drawn).await
}

async fn draw(visitor: &Visitor, fields: Fields) -> Result<Response> {
    let (app, actor) = (visitor.app(), &visitor.actor);
    let found = match asked(&fields) {
        Ok(asked) => run::history(app, actor, &asked).await,
        Err(problem) => Err(problem),
    };
    // What was asked wrongly stays in its fields, with the reason above them.
    let (runs, total, next, problem) = match found {
        Ok(page) => (page.items, page.total, page.next_cursor, None),
        Err(problem) if matches!(problem.kind, Kind::Invalid | Kind::NotFound) => (Vec::new(), 0, None, Some(problem)),
        Err(problem) => return Err(problem),
    };
    let chips = FILTERS.iter().filter_map(|name| {
        let value = fields.get(name)?;
        let text = if *name == "q" { format!("“{value}”") } else { format!("{name}: {value}") };
        Some(Chip { text, without: fields.query(&[name, "cursor", "said"], &[]) })
    });
    page(&Page {
        shell: Shell::of(visitor, "history", "History").await,
        runs,
        total,
        chips: chips.collect(),
        projects: project::list(app, actor, false).await?,
        next: next.map(|cursor| fields.query(&["cursor", "said"], &[("cursor", &cursor)])),
        is_first: fields.get("cursor").is_none(),
        here: fields.query(&["said"], &[]),
        fields,
        problem,
    })
}

/// What is shown, as CSV: the first 10,000 runs that match.
pub(crate) async fn export(visitor: Visitor, Query(fields): Query) -> Response {
    let written = write(&visitor, &fields).await;
    visitor.answer(written).await
}

async fn write(visitor: &Visitor, fields: &Fields) -> Result<Response> {
    let mut runs = export::runs(visitor.app().clone(), visitor.actor.clone(), asked(fields)?, Format::Csv);
    let (mut text, mut rows) = (String::new(), 0);
    while let Some(lines) = runs.next().await? {
        rows += lines.len();
        text.extend(lines.iter().flat_map(|line| [line.as_str(), Format::Csv.line_end()]));
        if rows > EXPORTED {
            break;
        }
    }
    let mut response = text.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(Format::Csv.media_type()));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"runs.csv\""));
    Ok(response)
}

#[derive(Template)]
#[template(path = "bulk.html", config = ".askama.toml")]
struct Bulk {
    shell: Shell,
    act: String,
    fits: Vec<Run>,
    left: usize,
    is_more: bool,
    back: String,
}

impl Bulk {
    /// What will happen.
    fn will(&self) -> &'static str {
        match self.act.as_str() {
            "retry" => {
                "For each, a new run with the same parameters is asked for; it goes on from its project's cursor."
            }
            "cancel" => "Each ends with the steps that are under way. What is written stays; the schedules go on.",
            _ => {
                "Each goes from the history with its steps and its log. The replica stays as it is, and the audit keeps that they were there."
            }
        }
    }

    fn verb(&self) -> &'static str {
        match self.act.as_str() {
            "retry" => "Retry",
            "cancel" => "Cancel",
            _ => "Delete",
        }
    }
}

fn fits(act: &str, state: &str) -> bool {
    let is_over = matches!(state, "succeeded" | "failed" | "cancelled");
    if act == "cancel" { !is_over && state != "cancelling" } else { is_over }
}

/// Acts on several runs: first says which, then does it.
pub(crate) async fn bulk(visitor: Visitor, Form(form): Form) -> Response {
    let done = several(&visitor, &form).await;
    visitor.answer(done).await
}

async fn several(visitor: &Visitor, form: &Fields) -> Result<Response> {
    let (app, actor) = (visitor.app(), &visitor.actor);
    let act = form.or_empty("bulk").to_owned();
    if !matches!(act.as_str(), "retry" | "cancel" | "delete") {
        return Err(Error::invalid("bulk", format!("there is no act {act:?}")));
    }
    // Only a path of this console, so that nobody is led elsewhere.
    let back = form.text("back").unwrap_or_default();
    let mut runs = Vec::new();
    let mut is_more = false;
    if form.get("all").is_some() {
        let filter = Fields::of_query(&back);
        let part =
            run::history(app, actor, &History { limit: Some(MOST as i64), cursor: None, ..asked(&filter)? }).await?;
        is_more = part.next_cursor.is_some();
        runs = part.items;
    } else {
        for id in form.all("id").iter().take(MOST) {
            runs.push(run::get(app, actor, app::id("id", id)?).await?);
        }
    }
    if runs.is_empty() {
        return Err(Error::invalid("id", "no run was chosen").help("go back, and tick runs at the left of their rows"));
    }
    let all = runs.len();
    let chosen: Vec<Run> = runs.into_iter().filter(|run| fits(&act, &run.state)).collect();
    if form.get("sure").is_none() {
        let shell = Shell::of(visitor, "history", "Several runs").await.below(&[("/history", "History")]);
        return page(&Bulk { shell, act, left: all - chosen.len(), fits: chosen, is_more, back });
    }
    let ids: Vec<Uuid> = chosen.iter().map(|run| run.id).collect();
    for id in ids {
        let outcome = match act.as_str() {
            "retry" => run::retry(app, actor, id).await.map(drop),
            "cancel" => run::cancel(app, actor, id).await.map(drop),
            _ => run::delete(app, actor, id).await,
        };
        match outcome {
            // One that changed meanwhile keeps the others from nothing.
            Err(problem) if matches!(problem.kind, Kind::Conflict | Kind::NotFound) => {}
            outcome => outcome?,
        }
    }
    Ok(visitor.go(&format!("/history?{back}"), "bulk"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acts_fit_states() {
        assert!(fits("cancel", "running") && !fits("cancel", "failed"));
        assert!(fits("retry", "failed") && !fits("retry", "queued") && fits("delete", "cancelled"));
    }
}

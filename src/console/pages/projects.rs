//! The projects: how each is, how fresh, when it runs next.

use std::borrow::Borrow;

use askama::Template;
use axum::response::Response;
use chrono::{DateTime, Utc};

use super::super::fields::{Query, encoded};
use super::super::parts::{self, Html, State};
use super::super::shell::Shell;
use super::super::visitor::{Visitor, page};
use crate::app::Result;
use crate::app::health::{self, Health};
use crate::app::project::{self, Project};

/// A project with its health.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// The project.
    pub project: Project,
    /// How it is; none for one that was removed.
    pub health: Option<Health>,
}

impl Line {
    /// SITE/KEY.
    pub(super) fn name(&self) -> String {
        project::name(&self.project)
    }

    /// Its address below the base.
    pub(super) fn path(&self) -> String {
        format!("/projects/{}/{}", encoded(&self.project.site), encoded(&self.project.key))
    }

    /// Its state, as pages show it.
    pub(super) fn state(&self) -> State {
        let health = self.health.as_ref().map_or("removed", |health| health.state);
        let is_held = self.health.as_ref().is_some_and(|health| health.row.hold.is_some());
        parts::project_state(match health {
            "failing" if is_held => "held",
            _ if self.project.active_run.is_some() && matches!(health, "well" | "never") => "running",
            health => health,
        })
    }

    pub(super) fn is_trouble(&self) -> bool {
        self.health.as_ref().is_some_and(|health| matches!(health.state, "failing" | "site failing" | "ailing"))
    }

    pub(super) fn is_fresh(&self) -> bool {
        self.health.as_ref().is_some_and(|health| health.state == "well")
    }

    /// What is wrong, in one sentence.
    pub(super) fn trouble(&self) -> String {
        let Some(health) = &self.health else { return String::new() };
        let code = health.row.code.as_deref().unwrap_or("");
        match health.state {
            "site failing" => format!("its site is in trouble: {}", health.row.site_cause.as_deref().unwrap_or(code)),
            "failing" => format!(
                "{} failed in a row, the last with {code}",
                parts::plural(i64::from(health.row.failure_streak), "run")
            ),
            "ailing" if !health.row.alerting.is_empty() => format!("it is told of: {}", health.row.alerting.join(", ")),
            "ailing" => "records were set aside".to_owned(),
            "paused" => "it is paused".to_owned(),
            _ => String::new(),
        }
    }

    /// What to do.
    pub(super) fn advice(&self) -> Option<&'static str> {
        self.health.as_ref().filter(|_| self.is_trouble()).and_then(|health| health.advice)
    }

    /// Since when.
    pub(super) fn since(&self) -> Option<DateTime<Utc>> {
        self.health.as_ref().and_then(|health| health.row.site_since.or(health.row.failing_since))
    }

    /// How its last runs went.
    pub(super) fn streak(&self) -> String {
        match self.health.as_ref().map(|health| (health.row.failure_streak, health.row.success_streak)) {
            Some((failed, _)) if failed > 0 => format!("{failed} failed"),
            Some((_, succeeded)) if succeeded > 0 => format!("{succeeded} succeeded"),
            _ => "–".to_owned(),
        }
    }

    /// When it runs next.
    pub(super) fn next(&self, now: impl Borrow<DateTime<Utc>>) -> Html {
        match (self.project.state.as_str(), self.project.active_run) {
            ("paused", _) => Html("paused".to_owned()),
            (_, Some(_)) => Html("running".to_owned()),
            _ => parts::relative_or(self.project.next_run_at, now, "–"),
        }
    }
}

/// The projects within reach, the sick ones first; with this text, if it is given.
pub(super) async fn lines(visitor: &Visitor, text: Option<&str>) -> Result<Vec<Line>> {
    let projects = project::list(visitor.app(), &visitor.actor, false).await?;
    let health = health::list(visitor.app(), &visitor.actor, None).await?;
    let text = text.map(str::to_lowercase);
    let mut found: Vec<Line> = projects
        .into_iter()
        .filter(|one| {
            text.as_deref()
                .is_none_or(|text| format!("{} {}", project::name(one), one.name).to_lowercase().contains(text))
        })
        .map(|project| Line { health: health.iter().find(|one| one.row.project_id == project.id).cloned(), project })
        .collect();
    found.sort_by_key(|line| (!line.is_trouble(), line.project.state == "paused"));
    Ok(found)
}

#[derive(Template)]
#[template(path = "projects.html", config = ".askama.toml")]
struct Projects {
    shell: Shell,
    projects: Vec<Line>,
    text: String,
    fresh: usize,
    trouble: usize,
}

/// The page.
pub(crate) async fn show(visitor: Visitor, Query(query): Query) -> Response {
    let drawn = async {
        let projects = lines(&visitor, query.get("q")).await?;
        page(&Projects {
            shell: Shell::of(&visitor, "projects", "Projects").await,
            fresh: projects.iter().filter(|line| line.is_fresh()).count(),
            trouble: projects.iter().filter(|line| line.is_trouble()).count(),
            projects,
            text: query.or_empty("q").to_owned(),
        })
    };
    visitor.answer(drawn.await).await
}

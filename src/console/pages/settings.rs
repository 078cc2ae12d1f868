//! Performance: the settings of a sync, for all, a site or a project. They take effect while workers run.

use askama::Template;
use axum::response::Response;

use super::super::fields::{Fields, Form, Query};
use super::super::parts;
use super::super::shell::Shell;
use super::super::visitor::{Visitor, page};
use crate::app::project::{self, Project};
use crate::app::setting::{self, Change, InForce, Key, Scope, Target};
use crate::app::site::{self, Site};
use crate::app::{Error, Kind, Result};

#[derive(Template)]
#[template(path = "settings.html", config = ".askama.toml")]
struct Page {
    shell: Shell,
    settings: Vec<InForce>,
    sites: Vec<Site>,
    projects: Vec<Project>,
    scope: String,
    typed: Fields,
    problem: Option<Error>,
}

impl Page {
    /// What stands in a field: what was typed, or what is in force.
    fn value(&self, one: &InForce) -> String {
        self.typed.get(one.key.name).map_or_else(|| one.value.to_string(), str::to_owned)
    }

    /// Whether it may be set here.
    fn is_here(&self, key: &Key) -> bool {
        let wanted = match self.scope.split_once('/') {
            _ if self.scope.is_empty() => Scope::All,
            Some(_) => Scope::Project,
            None => Scope::Site,
        };
        key.scopes.contains(&wanted)
    }

    fn step(key: &Key) -> &'static str {
        if key.whole { "1" } else { "any" }
    }
}

fn target(scope: &str) -> Target {
    match scope {
        "" => Target::All,
        scope if scope.contains('/') => Target::Project(scope.to_owned()),
        scope => Target::Site(scope.to_owned()),
    }
}

/// The page.
pub(crate) async fn show(visitor: Visitor, Query(query): Query) -> Response {
    let drawn = draw(&visitor, query.or_empty("scope").to_owned(), Fields::default(), None).await;
    visitor.answer(drawn).await
}

async fn draw(visitor: &Visitor, scope: String, typed: Fields, problem: Option<Error>) -> Result<Response> {
    let (app, actor) = (visitor.app(), &visitor.actor);
    page(&Page {
        shell: Shell::of(visitor, "settings", "Performance").await,
        settings: setting::list(app, actor, &target(&scope)).await?,
        // Who is limited to projects sees no sites.
        sites: site::list(app, actor).await.unwrap_or_default(),
        projects: project::list(app, actor, false).await?,
        scope,
        typed,
        problem,
    })
}

/// Changes what differs from what is in force; what was typed stays where it is refused.
pub(crate) async fn change(visitor: Visitor, Form(form): Form) -> Response {
    let scope = form.or_empty("scope").to_owned();
    let done = async {
        let (app, actor, target) = (visitor.app(), &visitor.actor, target(&scope));
        let mut changes = Vec::new();
        for one in setting::list(app, actor, &target).await? {
            let Some(text) = form.get(one.key.name) else { continue };
            let value: f64 = text.parse().map_err(|_| {
                Error::invalid(one.key.name, format!("{} is no number", one.key.name)).help("write a number, such as 8")
            })?;
            if (value - one.value).abs() > f64::EPSILON {
                changes.push(Change { key: one.key.name.to_owned(), value: Some(value) });
            }
        }
        if let Some(name) = form.get("unset") {
            changes = vec![Change { key: name.to_owned(), value: None }];
        }
        if changes.is_empty() {
            return Ok::<_, Error>("nothing");
        }
        setting::change(app, actor, &target, &changes).await?;
        Ok("saved")
    };
    let drawn = match done.await {
        Ok(said) => Ok(visitor.go(&format!("/settings?{}", Fields::default().query(&[], &[("scope", &scope)])), said)),
        Err(problem) if matches!(problem.kind, Kind::Invalid) => draw(&visitor, scope, form, Some(problem)).await,
        Err(problem) => Err(problem),
    };
    visitor.answer(drawn).await
}

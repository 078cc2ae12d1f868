//! Starting a run: of which project, and what it reads.

use askama::Template;
use axum::response::Response;

use super::super::fields::{Form, Query};
use super::super::parts;
use super::super::shell::Shell;
use super::super::visitor::{Visitor, page};
use crate::app::project::{self, Project};
use crate::app::run;

#[derive(Template)]
#[template(path = "start.html", config = ".askama.toml")]
struct Page {
    shell: Shell,
    projects: Vec<Project>,
    chosen: String,
}

/// The form.
pub(crate) async fn ask(visitor: Visitor, Query(query): Query) -> Response {
    let drawn = async {
        let projects = project::list(visitor.app(), &visitor.actor, false).await?;
        let shell = Shell::of(&visitor, "history", "Start a sync").await.below(&[("/history", "History")]);
        page(&Page { shell, projects, chosen: query.or_empty("project").to_owned() })
    };
    visitor.answer(drawn.await).await
}

/// Starts it.
pub(crate) async fn act(visitor: Visitor, Form(form): Form) -> Response {
    let done = async {
        let asked = run::Start {
            project: form.or_empty("project").to_owned(),
            full: form.get("kind") == Some("full"),
            reconcile: form.get("kind") == Some("reconcile"),
        };
        let id = run::start(visitor.app(), &visitor.actor, &asked).await?;
        Ok(visitor.go(&format!("/runs/{id}"), "started"))
    };
    visitor.answer(done.await).await
}

//! Access: accounts, their sessions, and tokens of the API. A new one is shown once, on the page that answers its making.

use askama::Template;
use axum::response::Response;
use secrecy::ExposeSecret;
use uuid::Uuid;

use super::super::fields::{Fields, Form};
use super::super::parts;
use super::super::shell::Shell;
use super::super::visitor::{Visitor, page};
use crate::app::account::{self, Account};
use crate::app::project::{self, Project};
use crate::app::session::{self, Session};
use crate::app::token::{self, NewOne, Token};
use crate::app::{self, Error, Kind, Result, Scope};

#[derive(Template)]
#[template(path = "access.html", config = ".askama.toml")]
struct Page {
    shell: Shell,
    tokens: Vec<Token>,
    accounts: Vec<Account>,
    sessions: Vec<Session>,
    projects: Vec<Project>,
    scopes: [Scope; 5],
    fields: Fields,
    problem: Option<Error>,
    made: Option<String>,
}

impl Page {
    fn has(&self, name: &str, value: &str) -> bool {
        self.fields.all(name).iter().any(|one| one == value)
    }

    fn scope_of(&self, token: &Token) -> String {
        token.scopes.join(", ")
    }

    fn reach_of(&self, ids: &Option<Vec<Uuid>>) -> String {
        let Some(ids) = ids else { return "all projects".to_owned() };
        let names = ids
            .iter()
            .map(|id| self.projects.iter().find(|one| one.id == *id).map_or("(removed)".to_owned(), project::name));
        names.collect::<Vec<_>>().join(", ")
    }
}

/// The page.
pub(crate) async fn show(visitor: Visitor) -> Response {
    let drawn = draw(&visitor, Fields::default(), None, None).await;
    visitor.answer(drawn).await
}

async fn draw(visitor: &Visitor, fields: Fields, problem: Option<Error>, made: Option<String>) -> Result<Response> {
    let (app, actor) = (visitor.app(), &visitor.actor);
    page(&Page {
        shell: Shell::of(visitor, "access", "Access").await,
        tokens: token::list(app, actor, false).await?,
        accounts: account::list(app, actor).await?,
        sessions: session::list(app, actor, None).await?,
        projects: project::list(app, actor, false).await?,
        scopes: Scope::ALL,
        fields,
        problem,
        made,
    })
}

/// Makes a token. It is shown in the answer and never again; what was typed stays where it was refused.
pub(crate) async fn create(visitor: Visitor, Form(form): Form) -> Response {
    let done = async {
        let asked = NewOne {
            name: form.or_empty("name").to_owned(),
            scopes: form.all("scope"),
            projects: form.all("project"),
            days: form.number("days")?,
        };
        token::create(visitor.app(), &visitor.actor, &asked).await
    };
    let drawn = match done.await {
        Ok(secret) => draw(&visitor, Fields::default(), None, Some(secret.expose_secret().to_owned())).await,
        Err(problem) if matches!(problem.kind, Kind::Invalid | Kind::Conflict | Kind::NotFound) => {
            draw(&visitor, form, Some(problem), None).await
        }
        Err(problem) => Err(problem),
    };
    visitor.answer(drawn).await
}

/// Revokes a token.
pub(crate) async fn revoke(visitor: Visitor, Form(form): Form) -> Response {
    let done = async {
        token::revoke(visitor.app(), &visitor.actor, form.or_empty("id")).await?;
        Ok(visitor.go("/access", "revoked"))
    };
    visitor.answer(done.await).await
}

/// Ends a session.
pub(crate) async fn end(visitor: Visitor, Form(form): Form) -> Response {
    let done = async {
        session::end(visitor.app(), &visitor.actor, app::id("id", form.or_empty("id"))?).await?;
        Ok(visitor.go("/access", "ended"))
    };
    visitor.answer(done.await).await
}

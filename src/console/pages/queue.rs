//! The queue and its workers: what waits, who works, and steps that nobody tries any more.

use askama::Template;
use axum::response::Response;
use uuid::Uuid;

use super::super::fields::{Fields, Form, Query};
use super::super::parts;
use super::super::shell::Shell;
use super::super::visitor::{Visitor, page};
use crate::app::queue::{self, DeadCause, DeadStep, Queue, Which};
use crate::app::{Error, Result, id};

/// Dead steps on the page.
const SHOWN: i64 = 100;

#[derive(Template)]
#[template(path = "queue.html", config = ".askama.toml")]
struct Page {
    shell: Shell,
    queue: Queue,
    causes: Vec<DeadCause>,
    dead: Vec<DeadStep>,
    code: Option<String>,
}

impl Page {
    /// How many dead steps there are of what is shown.
    fn count(&self) -> i64 {
        let meant = |cause: &&DeadCause| self.code.as_ref().is_none_or(|code| *code == cause.code);
        self.causes.iter().filter(meant).map(|cause| cause.steps).sum()
    }
}

/// The page.
pub(crate) async fn show(visitor: Visitor, Query(query): Query) -> Response {
    let drawn = async {
        let (app, actor) = (visitor.app(), &visitor.actor);
        page(&Page {
            shell: Shell::of(&visitor, "queue", "Queue and workers").await,
            queue: queue::stats(app, actor).await?,
            causes: queue::causes(app, actor).await?,
            dead: queue::dead(app, actor, query.get("code"), Some(SHOWN)).await?,
            code: query.text("code"),
        })
    };
    visitor.answer(drawn.await).await
}

/// Which steps a form means: those ticked, or all of what is shown.
fn which(form: &Fields) -> Result<Which> {
    if form.get("all").is_some() {
        return Ok(Which { ids: None, code: form.text("code") });
    }
    let ids = form.all("id").iter().map(|text| id("id", text)).collect::<Result<Vec<Uuid>>>()?;
    match ids.is_empty() {
        true => {
            Err(Error::invalid("id", "no step was chosen").help("go back, and tick steps at the left of their rows"))
        }
        false => Ok(queue::these(ids)),
    }
}

/// Brings steps back.
pub(crate) async fn requeue(visitor: Visitor, Form(form): Form) -> Response {
    let done = async {
        let brought = queue::requeue(visitor.app(), &visitor.actor, &which(&form)?).await?;
        Ok(match brought.ready.len() + brought.runs.len() {
            0 => visitor.go("/queue#dead", "nothing"),
            _ => visitor.go("/queue#dead", "requeued"),
        })
    };
    visitor.answer(done.await).await
}

/// Gives steps up.
pub(crate) async fn discard(visitor: Visitor, Form(form): Form) -> Response {
    let done = async {
        let given_up = queue::discard(visitor.app(), &visitor.actor, &which(&form)?).await?;
        Ok(visitor.go("/queue#dead", if given_up.steps.is_empty() { "nothing" } else { "discarded" }))
    };
    visitor.answer(done.await).await
}

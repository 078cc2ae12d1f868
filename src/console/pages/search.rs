//! Going somewhere by its name, and the list of keys.

use askama::Template;
use axum::response::Response;
use uuid::Uuid;

use super::super::fields::Query;
use super::super::parts;
use super::super::shell::Shell;
use super::super::visitor::{Visitor, page, redirect};
use super::projects::{Line, lines};
use crate::app::run;

#[derive(Template)]
#[template(path = "go.html", config = ".askama.toml")]
struct Go {
    shell: Shell,
    text: String,
    projects: Vec<Line>,
}

#[derive(Template)]
#[template(path = "keys.html", config = ".askama.toml")]
struct Keys {
    shell: Shell,
}

/// Projects whose name holds a text; the id of a run leads to it at once.
pub(crate) async fn go(visitor: Visitor, Query(query): Query) -> Response {
    let drawn = async {
        let text = query.or_empty("q").to_owned();
        if let Ok(id) = text.parse::<Uuid>()
            && run::get(visitor.app(), &visitor.actor, id).await.is_ok()
        {
            return Ok(redirect(&format!("{}/runs/{id}", visitor.base())));
        }
        let projects = if text.is_empty() { Vec::new() } else { lines(&visitor, Some(&text)).await? };
        page(&Go { shell: Shell::of(&visitor, "", "Go to").await, text, projects })
    };
    visitor.answer(drawn.await).await
}

/// The keys.
pub(crate) async fn keys(visitor: Visitor) -> Response {
    let drawn = page(&Keys { shell: Shell::of(&visitor, "", "Keys").await });
    visitor.answer(drawn).await
}

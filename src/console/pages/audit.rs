//! The audit: who changed what.

use askama::Template;
use axum::response::Response;

use super::super::fields::{Fields, Query};
use super::super::parts;
use super::super::shell::Shell;
use super::super::visitor::{Visitor, page};
use crate::app::audit::{self, Entry, Filter};

/// Entries on a page.
const PAGE: i64 = 50;

#[derive(Template)]
#[template(path = "audit.html", config = ".askama.toml")]
struct Page {
    shell: Shell,
    entries: Vec<Entry>,
    fields: Fields,
    next: Option<String>,
}

/// The page.
pub(crate) async fn show(visitor: Visitor, Query(fields): Query) -> Response {
    let drawn = async {
        let asked = Filter {
            before: fields.number("before")?,
            actor: fields.text("actor"),
            action: fields.text("action"),
            subject: fields.text("subject"),
            limit: Some(PAGE),
        };
        let entries = audit::list(visitor.app(), &visitor.actor, &asked).await?;
        let last = entries.last().filter(|_| entries.len() >= usize::try_from(PAGE).unwrap_or(0));
        page(&Page {
            shell: Shell::of(&visitor, "audit", "Audit").await,
            next: last.map(|entry| fields.query(&["before", "said"], &[("before", &entry.id.to_string())])),
            entries,
            fields,
        })
    };
    visitor.answer(drawn.await).await
}

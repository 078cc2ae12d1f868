//! The webhooks of a site: how they stand, which came, what became of them.

use askama::Template;
use axum::extract::Path;
use axum::response::Response;

use super::super::fields::{Fields, Query};
use super::super::parts::{self, State};
use super::super::shell::Shell;
use super::super::visitor::{Visitor, page};
use crate::app::Result;
use crate::app::webhook::{self, Check, Event, OUTCOMES, Which};

/// Webhooks on a page.
const PAGE: i64 = 100;

#[derive(Template)]
#[template(path = "webhooks.html", config = ".askama.toml")]
struct Page {
    shell: Shell,
    site: String,
    check: Check,
    events: Vec<Event>,
    issue: String,
    outcome: String,
    /// Leads to older ones.
    older: Option<String>,
}

impl Page {
    fn state(event: &Event) -> State {
        match event.outcome.as_str() {
            "read" => parts::good("Read"),
            "hinted" => parts::waiting("Waits to be read"),
            "run" => parts::under_way("Asked for a run"),
            _ => parts::off("Ignored"),
        }
    }

    /// Seconds as people say them; a dash where nothing is known.
    fn seconds(value: &Option<f64>) -> String {
        value.map_or_else(|| "–".to_owned(), |seconds| format!("{seconds:.1} s"))
    }

    fn is_asked(&self, outcome: &str) -> bool {
        self.outcome == outcome
    }
}

/// The page.
pub(crate) async fn show(visitor: Visitor, Path(site): Path<String>, Query(query): Query) -> Response {
    let drawn = draw(&visitor, site, &query).await;
    visitor.answer(drawn).await
}

async fn draw(visitor: &Visitor, site: String, query: &Fields) -> Result<Response> {
    let (app, actor) = (visitor.app(), &visitor.actor);
    let which = Which {
        issue: query.text("issue"),
        outcome: query.text("outcome"),
        before: query.number("before")?,
        limit: Some(PAGE),
    };
    let events = webhook::log(app, actor, &site, &which).await?;
    let is_full = i64::try_from(events.len()).is_ok_and(|found| found == PAGE);
    let last = events.last().filter(|_| is_full).map(|last| last.id.to_string());
    page(&Page {
        shell: Shell::of(visitor, "sites", "Webhooks").await.below(&[("/sites", "Sites")]),
        check: webhook::check(app, actor, &site).await?,
        site,
        events,
        issue: query.or_empty("issue").to_owned(),
        outcome: query.or_empty("outcome").to_owned(),
        older: last.map(|before| query.query(&["before", "said"], &[("before", &before)])),
    })
}

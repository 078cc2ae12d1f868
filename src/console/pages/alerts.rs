//! Alerts: what is wrong and known, its story, and taking it on.

use askama::Template;
use axum::extract::Path;
use axum::response::Response;

use super::super::fields::{Form, Query};
use super::super::parts;
use super::super::shell::Shell;
use super::super::visitor::{Visitor, page};
use crate::app::alert::{self, Alert, Asked, Details, Story};
use crate::app::{self, Error, Result};

#[derive(Template)]
#[template(path = "alerts.html", config = ".askama.toml")]
struct List {
    shell: Shell,
    alerts: Vec<Line>,
    all: bool,
    next: Option<String>,
}

/// An alert with what it says.
struct Line {
    alert: Alert,
    details: Option<Details>,
}

impl Line {
    fn of(alert: Alert) -> Self {
        Self { details: alert::details(&alert), alert }
    }

    fn summary(&self) -> String {
        self.details
            .as_ref()
            .map_or_else(|| format!("{} of {}", self.alert.class, self.alert.about), |details| details.summary.clone())
    }

    fn state(&self) -> parts::State {
        match self.alert.state.as_str() {
            "resolved" => parts::good("Resolved"),
            _ if self.alert.silenced_until.is_some() => parts::silenced(),
            _ => parts::severity(&self.alert.severity),
        }
    }
}

/// The list.
pub(crate) async fn show(visitor: Visitor, Query(query): Query) -> Response {
    let drawn = async {
        let all = query.get("state") == Some("all");
        let asked = Asked { all, cursor: query.text("cursor"), limit: Some(50) };
        let found = alert::list(visitor.app(), &visitor.actor, &asked).await?;
        page(&List {
            shell: Shell::of(&visitor, "alerts", "Alerts").await,
            alerts: found.items.into_iter().map(Line::of).collect(),
            all,
            next: found.next_cursor.map(|cursor| query.query(&["cursor", "said"], &[("cursor", &cursor)])),
        })
    };
    visitor.answer(drawn.await).await
}

#[derive(Template)]
#[template(path = "episode.html", config = ".askama.toml")]
struct Page {
    shell: Shell,
    line: Line,
    story: Story,
}

/// One alert.
pub(crate) async fn one(visitor: Visitor, Path(id): Path<String>) -> Response {
    let drawn = async {
        let mut story = alert::story(visitor.app(), &visitor.actor, app::id("id", &id)?).await?;
        story.events.reverse();
        let shell = Shell::of(&visitor, "alerts", id.clone()).await.below(&[("/alerts", "Alerts")]);
        page(&Page { shell, line: Line::of(story.alert.clone()), story })
    };
    visitor.answer(drawn.await).await
}

/// Takes it on, keeps it quiet, or ends it.
pub(crate) async fn act(visitor: Visitor, Path((id, act)): Path<(String, String)>, Form(form): Form) -> Response {
    let done = async {
        let (app, actor) = (visitor.app(), &visitor.actor);
        let (here, id) = (format!("/alerts/{id}"), app::id("id", &id)?);
        let result: Result<Response> = match act.as_str() {
            "acknowledge" => {
                let is_new = alert::acknowledge(app, actor, id, form.or_empty("note")).await?;
                Ok(visitor.go(&here, if is_new { "acknowledged" } else { "nothing" }))
            }
            "silence" => {
                let seconds = form.number("seconds")?.unwrap_or(3_600);
                alert::silence(app, actor, id, seconds, form.or_empty("note")).await?;
                Ok(visitor.go(&here, "silenced"))
            }
            "unsilence" => {
                let is_new = alert::unsilence(app, actor, id).await?;
                Ok(visitor.go(&here, if is_new { "unsilenced" } else { "nothing" }))
            }
            "resolve" => {
                alert::resolve(app, actor, id).await?;
                Ok(visitor.go(&here, "resolved"))
            }
            _ => Err(Error::not_found("there is no page at this address")),
        };
        result
    };
    visitor.answer(done.await).await
}

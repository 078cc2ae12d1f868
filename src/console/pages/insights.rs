//! Insights: how well projects are, what was unusual, what goes together, what to change.

use askama::Template;
use axum::response::Response;

use super::super::fields::{Fields, Form, Query};
use super::super::parts;
use super::super::shell::Shell;
use super::super::visitor::{Visitor, page};
use crate::app::insight::{self, Advice, Found, Grown, Health, Part, Pattern, Score, Scored};
use crate::app::{Error, Kind, Result, project};

#[derive(Template)]
#[template(path = "insights.html", config = ".askama.toml")]
struct Page {
    shell: Shell,
    health: Health,
    /// The project that is looked at; empty for all.
    of: String,
    /// What cannot be told of so many projects at once, and why.
    too_many: Option<Error>,
    found: Vec<Found>,
    patterns: Vec<Pattern>,
    advice: Vec<Advice>,
    sizes: Vec<Grown>,
}

impl Page {
    /// The whole number that a page shows.
    #[allow(clippy::trivially_copy_pass_by_ref)] // templates pass references
    fn points(score: &f64) -> String {
        format!("{score:.0}")
    }

    /// The scores of sites, where there are several.
    fn by_site(&self) -> String {
        let sites = self.health.sites.iter().filter(|_| self.health.sites.len() > 1);
        sites.map(|(site, score)| format!(" · {site} {score:.0}")).collect()
    }

    fn parts_of(score: &Score) -> String {
        let part = |part: &Part| {
            format!("{} {:.0} of 100 (counts {:.0} %)", part.name, part.value * 100.0, part.weight * 100.0)
        };
        score.parts.iter().map(part).collect::<Vec<_>>().join(" · ")
    }

    fn deviations(found: &Found) -> String {
        format!("{:.0} standard deviations from what is usual", found.anomaly.score.abs())
    }

    fn state(scored: &Scored) -> parts::State {
        match scored.score.as_ref().map(|score| score.score) {
            None => parts::off("No score"),
            Some(score) if score >= 90.0 => parts::good("Well"),
            Some(score) if score >= 60.0 => parts::doubtful("Ailing"),
            Some(_) => parts::severity("error"),
        }
    }

    fn mib(bytes: f64) -> String {
        format!("{:.1} MiB", bytes / 1_048_576.0)
    }

    #[allow(clippy::cast_precision_loss)] // bytes
    fn size(grown: &Grown) -> String {
        Self::mib(grown.bytes as f64)
    }

    fn ahead(grown: &Grown, place: usize) -> String {
        let ahead = grown.ahead.as_ref().and_then(|ahead| ahead.get(place));
        ahead.map_or_else(|| "not known yet".to_owned(), |growth| Self::mib(growth.expected))
    }
}

/// What is known of all projects, or of one.
pub(crate) async fn show(visitor: Visitor, Query(query): Query) -> Response {
    let drawn = drawn(&visitor, &query).await;
    visitor.answer(drawn).await
}

async fn drawn(visitor: &Visitor, query: &Fields) -> Result<Response> {
    let (app, actor) = (visitor.app(), &visitor.actor);
    let of = query.text("project").unwrap_or_default();
    let only = match of.is_empty() {
        true => None,
        false => Some(project::find(app, actor, &of, false).await?.id),
    };
    let health = insight::health(app, actor, only).await?;
    // That there are too many projects is told beside what can be told; any other trouble is the page's.
    let (found, advice, too_many) = match insight::anomalies(app, actor, only, None).await {
        Ok(found) => (found, insight::recommendations(app, actor, only).await?, None),
        Err(problem) if problem.kind == Kind::Invalid => (Vec::new(), Vec::new(), Some(problem)),
        Err(problem) => return Err(problem),
    };
    let patterns = if only.is_none() { insight::patterns(app, actor).await? } else { Vec::new() };
    // Sizes are those of all projects: nothing for those who reach a few.
    let reaches_all = only.is_none() && actor.projects.is_none();
    let mut sizes = if reaches_all { insight::sizes(app, actor).await? } else { Vec::new() };
    sizes.truncate(8);
    page(&Page {
        shell: Shell::of(visitor, "insights", "Insights").await,
        health,
        of,
        too_many,
        found,
        patterns,
        advice: advice.into_iter().filter(|advice| !advice.id.starts_with("pattern:")).collect(),
        sizes,
    })
}

/// Does what a recommendation says.
pub(crate) async fn apply(visitor: Visitor, Form(form): Form) -> Response {
    let id = form.text("id").unwrap_or_default();
    let done = insight::apply(visitor.app(), &visitor.actor, &id).await;
    visitor.answer(done.map(|_| visitor.go("/insights", "applied"))).await
}

//! The sites: where they are, whether they let us in, what they withhold, and how hard they are asked.

use askama::Template;
use axum::response::Response;
use chrono::TimeDelta;

use super::super::fields::Form;
use super::super::parts::{self, State};
use super::super::shell::Shell;
use super::super::visitor::{Visitor, page};
use crate::app::site::{self, Capability, MOST_AT_ONCE, Site};
use crate::app::{Error, Result};

/// A token that ends sooner is warned of.
const SOON: TimeDelta = TimeDelta::days(14);

#[derive(Template)]
#[template(path = "sites.html", config = ".askama.toml")]
struct Page {
    shell: Shell,
    sites: Vec<Card>,
    most: i32,
}

/// A site with what it withholds.
struct Card {
    site: Site,
    withheld: Vec<Capability>,
    state: State,
    token: State,
}

/// The page.
pub(crate) async fn show(visitor: Visitor) -> Response {
    let drawn = draw(&visitor).await;
    visitor.answer(drawn).await
}

async fn draw(visitor: &Visitor) -> Result<Response> {
    let (app, actor) = (visitor.app(), &visitor.actor);
    let mut sites = Vec::new();
    for site in site::list(app, actor).await? {
        let mut withheld = site::capabilities(app, actor, &site).await?;
        withheld.retain(|one| one.state != "available");
        let state = if site.paused_until.is_some() { parts::waiting("Left alone") } else { parts::good("Asked") };
        let token = match site.token_expires_at {
            None => parts::off("End not known"),
            Some(at) if at <= visitor.now => parts::severity("error"),
            Some(at) if at <= visitor.now + SOON => parts::doubtful("Ends soon"),
            Some(_) => parts::good("Works"),
        };
        sites.push(Card { site, withheld, state, token });
    }
    page(&Page { shell: Shell::of(visitor, "sites", "Sites").await, sites, most: MOST_AT_ONCE })
}

/// Changes how hard a site is asked.
pub(crate) async fn limit(visitor: Visitor, Form(form): Form) -> Response {
    let done = async {
        let wanted = form
            .number("max_concurrency")?
            .ok_or_else(|| Error::invalid("max_concurrency", "max_concurrency is empty"))?;
        let wanted = i32::try_from(wanted).unwrap_or(i32::MAX);
        site::limit(visitor.app(), &visitor.actor, form.or_empty("site"), wanted).await?;
        Ok(visitor.go("/sites", "saved"))
    };
    visitor.answer(done.await).await
}

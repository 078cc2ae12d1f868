//! The console: pages for people, on the listener of the API.
//!
//! Pages are drawn here and complete without a script: links and forms do everything, `assets/console.js` adds comfort
//! (local times, keys, what goes on now). A page asks use cases of [`crate::app`] with the [`Actor`](crate::app::Actor) that asked for it, and holds no
//! rule of its own. How it looks: `assets/README.md`; how it is used: `docs/console.md`.
//!
//! What must hold: nothing that came from outside reaches a page unescaped; no page has a style or script within itself, so
//! that the content security policy is strict; every change is a POST that answers with a redirect.

mod assets;
mod chart;
mod fields;
mod pages;
mod parts;
mod shell;
mod visitor;

use axum::Router;
use axum::http::{Method, Uri};
use axum::response::Response;
use axum::routing::{get, post};

use crate::api::{self, Server, Shared};
use crate::app::{App, Error};
use crate::config::{ServeConfig, SyncConfig};
use crate::http::listen;
use pages::{
    access, alerts, audit, history, insights, issues, overview, project, projects, queue, run, search, settings,
    sign_in, sites, start, webhooks,
};
use visitor::Visitor;

/// Listens where the configuration says, and serves API and console until [`Server::stop`].
///
/// # Errors
/// When the address is taken or cannot be used.
pub async fn serve(app: App, config: &ServeConfig, sync: &SyncConfig) -> Result<Server, listen::Error> {
    api::serve_with(app, config, sync, router()).await
}

fn router() -> Router<Shared> {
    Router::new()
        .route("/", get(overview::show))
        .route("/assets/{name}", get(assets::serve))
        .route("/start", get(start::ask).post(start::act))
        .route("/history", get(history::show))
        .route("/history/export.csv", get(history::export))
        .route("/history/bulk", post(history::bulk))
        .route("/runs/{id}", get(run::show))
        .route("/runs/{id}/{act}", get(run::ask).post(run::act))
        .route("/projects", get(projects::show))
        .route("/projects/{site}/{key}", get(project::show))
        .route("/projects/{site}/{key}/{act}", post(project::act))
        .route("/alerts", get(alerts::show))
        .route("/insights", get(insights::show))
        .route("/insights/apply", post(insights::apply))
        .route("/alerts/{id}", get(alerts::one))
        .route("/alerts/{id}/{act}", post(alerts::act))
        .route("/issues", get(issues::show))
        .route("/issues/{site}/{key}", get(issues::one))
        .route("/settings", get(settings::show).post(settings::change))
        .route("/queue", get(queue::show))
        .route("/queue/requeue", post(queue::requeue))
        .route("/queue/discard", post(queue::discard))
        .route("/sites", get(sites::show).post(sites::limit))
        .route("/sites/{site}/webhooks", get(webhooks::show))
        .route("/audit", get(audit::show))
        .route("/access", get(access::show).post(access::create))
        .route("/access/revoke", post(access::revoke))
        .route("/access/end", post(access::end))
        .route("/go", get(search::go))
        .route("/keys", get(search::keys))
        .route("/sign-in", get(sign_in::show).post(sign_in::enter))
        .route("/sign-out", post(sign_in::leave))
        .method_not_allowed_fallback(other_method)
        .fallback(lost)
}

/// No page has this address; what stands below the API's is answered as the API does.
async fn lost(uri: Uri, visitor: Result<Visitor, Response>) -> Response {
    if uri.path().contains("/api/") || uri.path().contains("/graphql") {
        return api::no_such_path(uri).await;
    }
    match visitor {
        Ok(visitor) => {
            let error = Error::not_found("there is no page at this address")
                .help("go on at the overview, or search with Ctrl K");
            visitor.refuse(&error).await
        }
        Err(elsewhere) => elsewhere,
    }
}

/// The address is one to post to.
async fn other_method(method: Method, visitor: Result<Visitor, Response>) -> Response {
    match visitor {
        Ok(visitor) => {
            visitor
                .refuse(
                    &Error::not_found(format!("this address does not take {method}"))
                        .help("go back to the page that led here"),
                )
                .await
        }
        Err(elsewhere) => elsewhere,
    }
}

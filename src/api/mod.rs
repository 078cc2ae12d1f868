//! The API: what people and programs ask over HTTP.
//!
//! One listener of its own ([`ServeConfig`]), beside the admin port. Routes read a request, call one use case of [`crate::app`]
//! and write its answer; they hold no rule of their own. `docs/api.md` shows how it is used, `/api/openapi.json` describes all
//! of it.
//!
//! What must hold: nobody gets in without a token or a session, except on this machine's own address where `serve.auth` is `none`; every
//! refusal is a problem (RFC 9457) with a code and advice, and never a stack trace; a request has a bounded body and bounded
//! time.

pub(crate) mod access;
pub(crate) mod client;
pub(crate) mod cookie;
mod cors;
mod etag;
mod extract;
mod graphql;
mod hooks;
mod oidc;
mod origin;
mod problem;
mod rest;
pub(crate) mod shared;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderValue, header};
use axum::middleware;
use axum::response::Response;
use axum::routing::get;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::app::feed::Feed;
use crate::app::live::Live;
use crate::app::oidc::Oidc;
use crate::app::webhook::Receiver;
use crate::app::{self, App};
use crate::config::{ServeConfig, SyncConfig};
use crate::http::connections::{self, Limits};
use crate::http::listen;
use crate::observe::events;

pub(crate) use access::Caller;
pub use graphql::sdl;
pub(crate) use problem::no_such_path;
pub use rest::document;
pub(crate) use shared::Shared;

/// The body of a request, in bytes.
const BODY_BYTES: usize = 64 * 1024;
/// Connections at once; those that follow runs stay open.
const CONNECTIONS: usize = 1_024;
/// How long open connections may take to end when the server stops.
const STOP_LIMIT: Duration = Duration::from_secs(2);

/// A running server; it stops when dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Listens where the configuration says, and serves the API until [`Server::stop`].
///
/// # Errors
/// When the address is taken or cannot be used.
pub async fn serve(app: App, config: &ServeConfig, sync: &SyncConfig) -> Result<Server, listen::Error> {
    serve_with(app, config, sync, Router::new().fallback(problem::no_such_path)).await
}

/// The same with pages beside the API; they answer what no route has.
pub(crate) async fn serve_with(
    app: App,
    config: &ServeConfig,
    sync: &SyncConfig,
    pages: Router<Shared>,
) -> Result<Server, listen::Error> {
    open(app, config, sync, |shared| router(shared, pages)).await
}

/// Takes what Jira sends, and serves nothing else: for a place that the internet reaches.
///
/// # Errors
/// When the address is taken or cannot be used.
pub async fn serve_webhooks(app: App, config: &ServeConfig, sync: &SyncConfig) -> Result<Server, listen::Error> {
    let alone = |shared: Shared| {
        let routes = hooks::router()
            .fallback(async || app::Error::not_found("nothing but webhooks is served here"))
            .layer(middleware::map_response(headers));
        based(&shared.config.base_path.clone(), routes.with_state(shared))
    };
    open(app, config, sync, alone).await
}

async fn open(
    app: App,
    config: &ServeConfig,
    sync: &SyncConfig,
    routes: impl FnOnce(Shared) -> Router,
) -> Result<Server, listen::Error> {
    let wanted = config.address;
    let (listener, address) = listen::open("API", wanted, config.may_move).await?;
    if address != wanted && wanted.port() != 0 {
        tracing::warn!(event = events::API_MOVED, %wanted, %address, "the API's address is taken: the next free port serves");
    }
    let stop = CancellationToken::new();
    let shared = Shared {
        app,
        live: Live::default(),
        feed: Feed::default(),
        schema: graphql::schema(),
        config: Arc::new(config.clone()),
        sync: Arc::new(sync.clone()),
        oidc: Oidc::new(config),
        hooks: Receiver::default(),
        stop: stop.clone(),
    };
    let limits = Limits { most: CONNECTIONS, request: Duration::from_secs(70), ..Limits::default() };
    let task = tokio::spawn(connections::serve(listener, routes(shared), limits, stop.clone()));
    tracing::info!(event = events::API_LISTENING, %address, "the API is served");
    Ok(Server { address, stop, task })
}

fn router(shared: Shared, pages: Router<Shared>) -> Router {
    let base = shared.config.base_path.clone();
    let routes = rest::router()
        .route("/graphql", axum::routing::post(graphql::post))
        .route("/auth/oidc", get(oidc::begin))
        .route("/auth/oidc/callback", get(oidc::end))
        .method_not_allowed_fallback(problem::no_such_method)
        .merge(pages)
        .layer(middleware::from_fn_with_state(shared.clone(), origin::check))
        .layer(middleware::from_fn_with_state(shared.clone(), cors::allow))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        // Behind what asks browsers where they come from: Jira is none, and each webhook proves itself.
        .merge(hooks::router())
        .layer(middleware::map_response(headers))
        .with_state(shared);
    based(&base, routes)
}

/// The routes below the path under which a proxy serves them.
fn based(base: &str, routes: Router) -> Router {
    match base {
        "" => routes,
        // As a service, so that the path with a slash at its end is the first page, too.
        base => Router::new().nest_service(base, routes).fallback(problem::no_such_path),
    }
}

/// What every answer says to a browser.
async fn headers(mut response: Response) -> Response {
    let said = response.headers_mut();
    said.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    said.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    said.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    said.entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    response
}

impl Server {
    /// Where it listens: the real port when 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers what has been asked, then ends; for at most two seconds.
    pub async fn stop(mut self) {
        self.stop.cancel();
        let _ = timeout(STOP_LIMIT, &mut self.task).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
        self.task.abort();
    }
}

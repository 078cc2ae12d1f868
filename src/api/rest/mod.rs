//! REST: one file per noun; what each route takes and answers is described beside it and in `/api/openapi.json`.

mod accounts;
mod alerts;
mod audit;
mod exports;
mod growth;
mod history;
mod insights;
mod projects;
mod run;
mod session;
mod settings;
mod sites;
mod stats;
mod sync;
mod tokens;
mod unusual;

use axum::{Json, Router};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::shared::Shared;

/// What the document says of the API as a whole.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Syncline",
        description = "Follow and steer what keeps the replica of Jira fresh. Send a token as `Authorization: Bearer TOKEN`; \
                       `syncline token create NAME` makes one. Refusals are problems as RFC 9457 has them.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    modifiers(&Bearer),
    security(("token" = []))
)]
struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let parts = document.components.get_or_insert_with(Default::default);
        parts.add_security_scheme("token", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    }
}

fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(history::list))
        .routes(routes!(history::show, history::delete))
        .routes(routes!(history::projects))
        .routes(routes!(history::metrics))
        .routes(routes!(run::logs))
        .routes(routes!(run::progress))
        .routes(routes!(run::events))
        .routes(routes!(run::cancel))
        .routes(routes!(run::retry))
        .routes(routes!(sync::start))
        .routes(routes!(stats::summary))
        .routes(routes!(insights::health_score))
        .routes(routes!(insights::trends))
        .routes(routes!(insights::recommendations))
        .routes(routes!(insights::apply))
        .routes(routes!(unusual::anomalies))
        .routes(routes!(unusual::patterns))
        .routes(routes!(unusual::forecast))
        .routes(routes!(unusual::daily))
        .routes(routes!(exports::runs))
        .routes(routes!(exports::days))
        .routes(routes!(growth::growth))
        .routes(routes!(growth::what_if))
        .routes(routes!(projects::list))
        .routes(routes!(projects::pause))
        .routes(routes!(projects::resume))
        .routes(routes!(settings::reschedule))
        .routes(routes!(settings::preview))
        .routes(routes!(settings::list, settings::change))
        .routes(routes!(alerts::list))
        .routes(routes!(alerts::show))
        .routes(routes!(alerts::acknowledge))
        .routes(routes!(alerts::silence))
        .routes(routes!(alerts::unsilence))
        .routes(routes!(alerts::resolve))
        .routes(routes!(sites::webhook_events))
        .routes(routes!(audit::list))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::revoke))
        .routes(routes!(session::sign_in, session::show, session::sign_out))
        .routes(routes!(session::change_password))
        .routes(routes!(session::list))
        .routes(routes!(session::end))
        .routes(routes!(accounts::list, accounts::create))
        .routes(routes!(accounts::change, accounts::remove))
}

/// The routes of the API, and the document that describes them.
pub(super) fn router() -> Router<Shared> {
    let (router, document) = routes().split_for_parts();
    router.route("/api/openapi.json", axum::routing::get(move || async move { Json(document) }))
}

/// The description of the API as OpenAPI 3.1 has it.
pub fn document() -> utoipa::openapi::OpenApi {
    routes().split_for_parts().1
}

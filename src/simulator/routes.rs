//! Which addresses a site answers, by its kind.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use super::options::Kind;
use super::server::Control;
use super::site::Site;
use super::{admin, agile, dc_search, endpoints, feeds, gate, lists, oauth, personal_tokens, projects_api, search_api};

/// The site's routes, for serving it in another way than [`super::Simulator::start`] (connection faults need that one).
pub fn router(control: Control) -> Router {
    let site = control.0.clone();
    let context = site.context_path.clone();
    let whole = match site.kind {
        Kind::Cloud => Router::new()
            .nest("/rest/api/3", cloud())
            .nest("/rest/api/2", cloud())
            .nest("/rest/api/latest", cloud())
            .nest(&format!("/ex/jira/{}/rest/api/3", site.cloud_id), cloud())
            .nest(&format!("/ex/jira/{}/rest/agile/1.0", site.cloud_id), agile()),
        Kind::DataCenter => Router::new()
            .nest(&format!("{context}/rest/api/2"), data_center())
            .nest(&format!("{context}/rest/api/latest"), data_center())
            .route(&format!("{context}/rest/pat/latest/tokens"), get(personal_tokens::list)),
    };
    whole
        .nest(&format!("{context}/rest/agile/1.0"), agile())
        // Outside of the nest, where the path is still whole; what is added after it is not gated.
        .layer(from_fn_with_state(site, gate::gate))
        .nest("/__sim", admin::router(control.clone()))
        .route("/authorize", get(oauth::authorize))
        .route("/oauth/token", post(oauth::token))
        .route("/oauth/token/accessible-resources", get(oauth::resources))
        .route("/app/report-accounts/", post(oauth::report_accounts))
        .fallback(endpoints::nothing_here)
        .with_state(control.0)
}

/// What both kinds have.
fn common() -> Router<Arc<Site>> {
    Router::new()
        .route("/myself", get(endpoints::myself))
        .route("/mypermissions", get(endpoints::my_permissions))
        .route("/serverInfo", get(endpoints::server_info))
        .route("/issue/{issue}", get(endpoints::issue))
        .route("/issue/{issue}/transitions", get(endpoints::transitions))
        .route("/issue/{issue}/comment", get(endpoints::comments))
        .route("/issue/{issue}/worklog", get(endpoints::worklogs))
        .route("/worklog/updated", get(feeds::updated_worklogs))
        .route("/worklog/deleted", get(feeds::deleted_worklogs))
        .route("/worklog/list", post(feeds::list_worklogs))
        .route("/project/{project}", get(projects_api::one))
        .route("/project/{project}/versions", get(projects_api::versions))
        .route("/project/{project}/components", get(projects_api::components))
        .route("/project/{project}/issuesecuritylevelscheme", get(projects_api::security_scheme))
        .route("/project/{project}/securitylevel", get(projects_api::security_levels))
        .route("/field", get(lists::fields))
        .route("/status", get(lists::statuses))
        .route("/priority", get(lists::priorities))
        .route("/issuetype", get(lists::issue_types))
        .route("/resolution", get(lists::resolutions))
        .route("/user/search", get(lists::find_users))
        .fallback(endpoints::nothing_here)
}

fn cloud() -> Router<Arc<Site>> {
    common()
        .route("/search/jql", get(search_api::search_get).post(search_api::search_post))
        .route("/search/approximate-count", post(search_api::approximate_count))
        .route("/search", get(endpoints::old_search).post(endpoints::old_search))
        .route("/issue/bulkfetch", post(search_api::bulk_fetch))
        .route("/issue/{issue}/changelog", get(endpoints::history))
        .route("/changelog/bulkfetch", post(feeds::changelogs))
        .route("/project/search", get(projects_api::search))
        .route("/project/{project}/version", get(projects_api::version_page))
        .route("/project/{project}/component", get(projects_api::component_page))
        .route("/users/search", get(lists::users))
}

fn data_center() -> Router<Arc<Site>> {
    common()
        .route("/project", get(projects_api::all))
        .route("/search", get(dc_search::search_get).post(dc_search::search_post))
        .route("/user", get(dc_search::user))
}

fn agile() -> Router<Arc<Site>> {
    Router::new()
        .route("/board", get(agile::boards))
        .route("/board/{board}", get(agile::board))
        .route("/board/{board}/sprint", get(agile::sprints))
        .route("/sprint/{sprint}", get(agile::sprint))
        .fallback(endpoints::nothing_here)
}

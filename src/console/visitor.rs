//! Who looks at a page: the actor, and how they want to see it.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};

use crate::api::Shared;
use crate::app::{Actor, App, Error, Result};

/// Pages may load what this listener serves, and nothing else; nothing within a page runs or colours.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);
/// The cookie that keeps the theme.
const THEME: &str = "syncline_theme";

/// Who asks for a page.
#[derive(Clone)]
pub(super) struct Visitor {
    /// Who it is.
    pub actor: Actor,
    /// What every route works with.
    pub shared: Shared,
    /// `light`, `dark`, or nothing for the system's.
    pub theme: &'static str,
    /// What to say of what was just done: a key of [`super::shell::said`].
    pub said: Option<String>,
    /// Now, by the process's clock.
    pub now: DateTime<Utc>,
}

/// The value of a cookie.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|text| text.split(';')).find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

/// The theme that the reader chose.
pub(super) fn theme(headers: &HeaderMap) -> &'static str {
    match cookie(headers, THEME) {
        Some("light") => "light",
        Some("dark") => "dark",
        _ => "",
    }
}

impl Visitor {
    /// The use cases.
    pub(super) fn app(&self) -> &App {
        &self.shared.app
    }

    /// The path below which everything stands.
    pub(super) fn base(&self) -> &str {
        &self.shared.config.base_path
    }

    /// Goes to another page, which says what was done.
    pub(super) fn go(&self, path: &str, said: &str) -> Response {
        let (path, anchor) =
            path.split_once('#').map_or((path, String::new()), |(path, anchor)| (path, format!("#{anchor}")));
        let joint = if path.contains('?') { '&' } else { '?' };
        redirect(&format!("{}{path}{joint}said={said}{anchor}", self.base()))
    }
}

/// Sends the browser to another page, by GET.
pub(super) fn redirect(to: &str) -> Response {
    match HeaderValue::from_str(to) {
        Ok(to) => (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response(),
        Err(_) => StatusCode::BAD_REQUEST.into_response(),
    }
}

/// A page.
pub(super) fn page<T: askama::Template>(template: &T) -> Result<Response> {
    of_status(StatusCode::OK, template)
}

/// A page with a status of its own.
pub(super) fn of_status<T: askama::Template>(status: StatusCode, template: &T) -> Result<Response> {
    let text = template.render().map_err(|problem| Error::conflict(format!("the page cannot be drawn: {problem}")))?;
    let mut response = (status, text).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(header::VARY, HeaderValue::from_static("Cookie"));
    Ok(response)
}

//! What the endpoints share: query strings, windows of collections, who may go on.

use std::sync::Arc;

use super::auth::{Caller, Viewer, unauthenticated};
use super::issue::Issue;
use super::json::Json;
use super::options::Kind;
use super::reply::{self, Reply};
use super::site::Site;
use super::store::Store;

/// The query string of a collection.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(query: Option<String>) -> Self {
        Self(url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Every value of a parameter that may be repeated or hold a comma list.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(found, _)| found == name).flat_map(|(_, value)| value.split(','))
    }

    /// True when the comma list `name` holds `value`.
    pub(super) fn lists(&self, name: &str, value: &str) -> bool {
        self.all(name).any(|part| part.trim() == value)
    }

    /// A number, or `default` when it is not given.
    pub(super) fn number<T: std::str::FromStr>(&self, name: &str, default: T) -> Result<T, Box<Reply>> {
        match self.get(name) {
            None => Ok(default),
            Some(text) => text
                .parse()
                .map_err(|_| Box::new(reply::bad_request(&format!("{name} must be a number, not '{text}'.")))),
        }
    }

    /// `startAt` and `maxResults`; more than `most` is cut down, as Jira does in collections.
    pub(super) fn window(&self, default: usize, most: usize) -> Result<(usize, usize), Box<Reply>> {
        Ok((self.number("startAt", 0)?, self.number("maxResults", default)?.min(most)))
    }
}

/// Ids or keys of a body: Jira takes numbers for texts.
pub(super) fn texts<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Either {
        Text(String),
        Number(u64),
    }
    let given: Vec<Either> = serde::Deserialize::deserialize(deserializer)?;
    let text = |either| match either {
        Either::Text(text) => text,
        Either::Number(number) => number.to_string(),
    };
    Ok(given.into_iter().map(text).collect())
}

/// The same of ids that are numbers: Jira takes texts for them.
pub(super) fn numbers<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<u64>, D::Error> {
    let texts = texts(deserializer)?;
    texts.iter().map(|text| text.parse().map_err(serde::de::Error::custom)).collect()
}

/// The account that calls, or 401.
pub(super) fn known(caller: &Caller) -> Result<&Viewer, Box<Reply>> {
    match caller {
        Caller::Known(viewer) => Ok(viewer),
        Caller::Anonymous(catalogue) => Err(Box::new(unauthenticated(catalogue.kind, "OUT"))),
    }
}

/// Either way it is an answer.
pub(super) fn either(result: Result<Reply, Box<Reply>>) -> Reply {
    result.unwrap_or_else(|refusal| *refusal)
}

/// The issue as last written, when the caller may see it.
pub(super) fn visible<'a>(
    site: &Site,
    store: &Store,
    caller: &'a Caller,
    named: &str,
) -> Result<(&'a Viewer, Arc<Issue>), Box<Reply>> {
    let Caller::Known(viewer) = caller else { return Err(Box::new(reply::no_issue())) };
    match site.world.find(store, named) {
        Some(issue) if viewer.may_see(&issue) => Ok((viewer, issue)),
        // Data Center tells those who are signed in that there is something.
        Some(_) if site.kind == Kind::DataCenter => Err(Box::new(reply::hidden_issue())),
        _ => Err(Box::new(reply::no_issue())),
    }
}

/// A page of Cloud's collections: `startAt`, `maxResults`, `total`, `isLast`, `values`.
pub(super) fn values<T>(
    own: Option<&str>,
    (start_at, max_results): (usize, usize),
    all: &[T],
    mut write: impl FnMut(&mut Json, &T),
) -> Reply {
    let page = all.iter().skip(start_at).take(max_results);
    let mut json = Json::with_capacity(page.len() * 400 + 256);
    json.open('{');
    if let Some(own) = own {
        json.text("self", own);
    }
    json.number("maxResults", max_results as i64).number("startAt", start_at as i64);
    json.number("total", all.len() as i64);
    json.member("isLast", if start_at + page.len() >= all.len() { "true" } else { "false" });
    json.key("values").open('[');
    page.for_each(|value| write(&mut json, value));
    json.close(']').close('}');
    reply::ok(json.into_bytes())
}

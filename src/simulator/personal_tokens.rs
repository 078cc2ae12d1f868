//! Personal access tokens of Data Center: the account's own, as `/rest/pat/latest/tokens` lists them since 8.14.
//!
//! What must hold: the list never holds a token, nor says which one a request came with.

use std::str::FromStr;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};

use super::auth::Caller;
use super::query::{either, known};
use super::reply::{self, Reply};
use super::site::Site;

/// A token that the accounts of the site have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonalToken {
    /// The name that its owner gave it.
    pub name: String,
    /// How long it lives from the start of the simulator on, days; for ever where there is none.
    pub days: Option<u16>,
}

impl FromStr for PersonalToken {
    type Err = String;

    /// `sync` or `sync=90`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, days) = match text.split_once('=') {
            None => (text, None),
            Some((name, days)) => {
                let days = days.parse().map_err(|_| format!("'{days}' in '{text}' is not a number of days"))?;
                (name, Some(days))
            }
        };
        if name.is_empty() {
            return Err(format!("'{text}' names no token: write NAME or NAME=DAYS"));
        }
        Ok(Self { name: name.to_owned(), days })
    }
}

/// Whether a server of this version lists them.
fn is_known_to(version: &str) -> bool {
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (8, 14)
}

/// `/rest/pat/latest/tokens`.
pub(super) async fn list(State(site): State<Arc<Site>>, Extension(caller): Extension<Caller>) -> Reply {
    if !is_known_to(&site.version) {
        return reply::html(StatusCode::NOT_FOUND, "Oops, you've found a dead link");
    }
    either(known(&caller).map(|_| {
        let written = |at: DateTime<Utc>| at.format("%Y-%m-%dT%H:%M:%S%.3f+0000").to_string();
        let started = site.started;
        let now = DateTime::from_timestamp_millis(site.world.now_ms()).unwrap_or(started);
        let tokens: Vec<_> = (1..)
            .zip(&site.personal_tokens)
            .map(|(id, token)| {
                serde_json::json!({
                    "id": id,
                    "name": token.name,
                    "createdAt": written(started - TimeDelta::days(1)),
                    "expiringAt": token.days.map(|days| written(started + TimeDelta::days(days.into()))),
                    "lastAccessedAt": written(now),
                })
            })
            .collect();
        reply::ok(serde_json::Value::Array(tokens).to_string().into_bytes())
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_lives_for_ever_or_for_days() {
        assert_eq!("sync=90".parse(), Ok(PersonalToken { name: "sync".into(), days: Some(90) }));
        assert_eq!("sync".parse(), Ok(PersonalToken { name: "sync".into(), days: None }));
        assert!("=3".parse::<PersonalToken>().is_err() && "sync=soon".parse::<PersonalToken>().is_err());
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        for (version, known) in
            [("8.13.9", false), ("8.14.0", true), ("8.20.30", true), ("9.4.0", true), ("10.3.0", true)]
        {
            assert_eq!(is_known_to(version), known, "{version}");
        }
    }
}

//! What a form or an address says: names with values, a name as often as it occurs.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use url::form_urlencoded;

use crate::app::{Error, Result};

/// Names and values, in their order.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    fn read(text: &[u8]) -> Self {
        Self(form_urlencoded::parse(text).map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    /// Those of an address, behind its question mark.
    pub(super) fn of_query(query: &str) -> Self {
        Self::read(query.as_bytes())
    }

    /// The first value of that name that is not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, value)| other == name && !value.trim().is_empty()).map(|(_, value)| value.trim())
    }

    /// The same, owned.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    /// The same, or nothing.
    pub(super) fn or_empty(&self, name: &str) -> &str {
        self.get(name).unwrap_or("")
    }

    /// The first value of that name as it was typed, for passwords.
    pub(super) fn raw(&self, name: &str) -> String {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone()).unwrap_or_default()
    }

    /// All values of that name.
    pub(super) fn all(&self, name: &str) -> Vec<String> {
        self.0
            .iter()
            .filter(|(other, value)| other == name && !value.is_empty())
            .map(|(_, value)| value.clone())
            .collect()
    }

    /// A whole number.
    pub(super) fn number(&self, name: &'static str) -> Result<Option<i64>> {
        self.get(name)
            .map(|text| {
                text.parse()
                    .map_err(|_| Error::invalid(name, format!("{name} is not a whole number")).help("such as 20"))
            })
            .transpose()
    }

    /// The beginning of a day in UTC; with `after`, of the day that follows.
    pub(super) fn day(&self, name: &'static str, after: bool) -> Result<Option<DateTime<Utc>>> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let day = text.parse::<NaiveDate>().ok().and_then(|day| day.and_hms_opt(0, 0, 0)).map(|day| day.and_utc());
        match day {
            Some(day) => Ok(Some(if after { day + TimeDelta::days(1) } else { day })),
            None => Err(Error::invalid(name, format!("{name} is not a day")).help("such as 2026-11-28")),
        }
    }

    /// As the query of an address: these without the names in `without`, and with `more`.
    pub(super) fn query(&self, without: &[&str], more: &[(&str, &str)]) -> String {
        let mut text = form_urlencoded::Serializer::new(String::new());
        for (name, value) in
            self.0.iter().filter(|(name, value)| !value.is_empty() && !without.contains(&name.as_str()))
        {
            text.append_pair(name, value);
        }
        for (name, value) in more {
            text.append_pair(name, value);
        }
        text.finish()
    }
}

/// What the address says behind its question mark.
#[derive(Clone, Debug, Default)]
pub(super) struct Query(pub(super) Fields);

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> std::result::Result<Self, Self::Rejection> {
        Ok(Self(Fields::read(parts.uri.query().unwrap_or("").as_bytes())))
    }
}

/// What a form sent.
#[derive(Clone, Debug, Default)]
pub(super) struct Form(pub(super) Fields);

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> std::result::Result<Self, Response> {
        let body = Bytes::from_request(request, state).await.map_err(IntoResponse::into_response)?;
        Ok(Self(Fields::read(&body)))
    }
}

/// Part of an address, so that it stays one part.
pub(super) fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

//! Who asks: the bearer of a token, a browser that is signed in, or whoever is on this machine where nobody is asked who they are.

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use secrecy::ExposeSecret as _;

use super::client::Client;
use super::cookie;
use super::shared::Shared;
use crate::app::{Actor, Error, Scope, Scopes, Way, session, token};
use crate::config::ServeAuth;

/// The actor of a request.
#[derive(Debug)]
pub(crate) struct Caller(pub Actor);

impl FromRequestParts<Shared> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Error> {
        Ok(Self(actor(parts, shared).await?))
    }
}

/// Who asks. A token counts before a session, and a session before this machine.
///
/// # Errors
/// When nobody knows who it is.
pub(crate) async fn actor(parts: &Parts, shared: &Shared) -> Result<Actor, Error> {
    let client = Client::of(&parts.headers, &parts.extensions, &shared.config);
    if let Some(header) = parts.headers.get(header::AUTHORIZATION) {
        let token = header
            .to_str()
            .ok()
            .and_then(|text| text.split_once(' '))
            .and_then(|(scheme, token)| scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()));
        return match token {
            Some(text) => token::actor(&shared.app, text, client.address).await,
            None => Err(Error::unauthenticated("the header Authorization holds no bearer token")
                .help("send the header `Authorization: Bearer TOKEN`")),
        };
    }
    if let Some(kept) = cookie::sent(&client, &parts.headers) {
        match session::actor(&shared.app, kept.expose_secret(), client.address.clone()).await {
            // Where nobody is asked who they are, a session that is over takes nothing away.
            Err(problem) if shared.config.auth == ServeAuth::None => drop(problem),
            answer => return answer,
        }
    }
    match shared.config.auth {
        ServeAuth::None => Ok(local(client.address)),
        ServeAuth::Token => Err(Error::unauthenticated("the request bears no token, and nobody is signed in")
            .help("send the header `Authorization: Bearer TOKEN`; `syncline token create NAME` makes a token")),
    }
}

fn local(address: Option<String>) -> Actor {
    let scopes = Scopes::of(Scope::ALL.into_iter().filter(|scope| *scope != Scope::ReplicaRestricted));
    Actor { address, scopes, ..Actor::nobody("local", Way::Local) }
}

//! Who asks: the bearer of a token, or whoever is on this machine where no token is asked for.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::header;
use axum::http::request::Parts;

use super::shared::Shared;
use crate::app::{Actor, Error, Scope, Scopes, Way, token};
use crate::config::ServeAuth;

/// The actor of a request.
#[derive(Debug)]
pub(crate) struct Caller(pub Actor);

impl FromRequestParts<Shared> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Error> {
        let address = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip().to_string());
        let Some(header) = parts.headers.get(header::AUTHORIZATION) else {
            return match shared.config.auth {
                ServeAuth::None => Ok(Self(local(address))),
                ServeAuth::Token => Err(Error::unauthenticated("the request bears no token")
                    .help("send the header `Authorization: Bearer TOKEN`; `syncline token create NAME` makes a token")),
            };
        };
        let token = header
            .to_str()
            .ok()
            .and_then(|text| text.split_once(' '))
            .and_then(|(scheme, token)| scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()));
        match token {
            Some(text) => Ok(Self(token::actor(&shared.app, text, address).await?)),
            None => Err(Error::unauthenticated("the header Authorization holds no bearer token")
                .help("send the header `Authorization: Bearer TOKEN`")),
        }
    }
}

fn local(address: Option<String>) -> Actor {
    let scopes = Scopes::of(Scope::ALL.into_iter().filter(|scope| *scope != Scope::ReplicaRestricted));
    Actor { name: "local".to_owned(), way: Way::Local, address, scopes, projects: None }
}

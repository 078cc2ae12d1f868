//! How a client is let in: what its `Authorization` header says.
//!
//! What must hold: a secret is in that header, marked sensitive, and in no `Debug`.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::future::BoxFuture;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

use crate::domain::failure::{Failure, FailureCode, Means};
use crate::domain::site_kind::SiteKind;

/// The credentials of an account.
#[derive(Clone)]
pub enum Auth {
    /// E-mail address and API token on Cloud; user name and password on Data Center.
    Basic {
        /// The e-mail address or the user name.
        user: String,
        /// The API token or the password.
        token: SecretString,
    },
    /// A personal access token (Data Center), or the token of a service account.
    Bearer {
        /// The token.
        token: SecretString,
    },
    /// An access token of OAuth 2.0, which lives for an hour.
    OAuth(Arc<dyn TokenSource>),
    /// Nobody: for the one question that needs no account, what a site is.
    Anonymous,
}

/// Where the access tokens of OAuth 2.0 come from. An implementation makes one refresh of many askers, over all processes,
/// and stores the new pair before anyone gets it.
pub trait TokenSource: Send + Sync {
    /// A token that counts now. `refused` is one that was given before and that Jira does not take: then another one.
    ///
    /// # Errors
    /// `AUTH_EXPIRED` where only a person can mend it.
    fn token(&self, refused: Option<SecretString>) -> BoxFuture<'_, Result<SecretString, Failure>>;
}

impl Auth {
    /// What advice about refused credentials depends on.
    pub(super) const fn means(&self, kind: SiteKind) -> Means {
        match (self, kind) {
            (Self::Basic { .. }, SiteKind::Cloud) => Means::ApiToken,
            (Self::Basic { .. }, SiteKind::DataCenter) => Means::Password,
            (Self::Bearer { .. }, _) => Means::PersonalToken,
            (Self::OAuth(_), _) => Means::OAuth,
            (Self::Anonymous, _) => Means::Unknown,
        }
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Basic { .. } => "Basic",
            Self::Bearer { .. } => "Bearer",
            Self::OAuth(_) => "OAuth",
            Self::Anonymous => "Anonymous",
        })
    }
}

/// The header, or where it comes from.
#[derive(Clone)]
pub(super) enum Authorization {
    Nobody,
    Fixed(HeaderValue),
    Source(Arc<dyn TokenSource>),
}

/// One header, and the token in it where it can be replaced.
pub(super) struct Ticket {
    pub header: Option<HeaderValue>,
    pub token: Option<SecretString>,
}

impl Authorization {
    /// Checks the credentials' form.
    pub(super) fn new(auth: Auth) -> Result<Self, Failure> {
        match auth {
            Auth::Basic { user, .. } if user.is_empty() || user.contains(':') => {
                Err(refuse("the site's e-mail address or user name is empty or holds a colon"))
            }
            Auth::Basic { user, token } => {
                let pair = format!("{user}:{}", token.expose_secret().trim());
                header(&format!("Basic {}", STANDARD.encode(pair))).map(Self::Fixed)
            }
            Auth::Bearer { token } => bearer(&token).map(Self::Fixed),
            Auth::OAuth(source) => Ok(Self::Source(source)),
            Auth::Anonymous => Ok(Self::Nobody),
        }
    }

    /// The header for a request; after `refused`, another one, or `None` where there is no other.
    pub(super) async fn ticket(&self, refused: Option<SecretString>) -> Result<Option<Ticket>, Failure> {
        match self {
            Self::Fixed(_) | Self::Nobody if refused.is_some() => Ok(None),
            Self::Fixed(header) => Ok(Some(Ticket { header: Some(header.clone()), token: None })),
            Self::Nobody => Ok(Some(Ticket { header: None, token: None })),
            Self::Source(source) => {
                let before = refused.clone();
                let token = source.token(refused).await?;
                if before.is_some_and(|before| before.expose_secret() == token.expose_secret()) {
                    return Ok(None);
                }
                Ok(Some(Ticket { header: Some(bearer(&token)?), token: Some(token) }))
            }
        }
    }
}

fn bearer(token: &SecretString) -> Result<HeaderValue, Failure> {
    match token.expose_secret().trim() {
        "" => Err(refuse("the site's token is empty")),
        token => header(&format!("Bearer {token}")),
    }
}

fn header(text: &str) -> Result<HeaderValue, Failure> {
    let mut header = HeaderValue::from_str(text).map_err(|_| refuse("the site's token cannot be put into a header"))?;
    header.set_sensitive(true);
    Ok(header)
}

fn refuse(problem: &str) -> Failure {
    Failure::new(FailureCode::Config, problem)
}

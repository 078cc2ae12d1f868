//! What a request carries that must not come back in an error.
//!
//! What must hold: whatever a server repeats of a request, its credentials are in no failure, log or trace: the secrets
//! are taken out where the answer becomes a failure, and nowhere else is a refusal's body read.

use reqwest::Request;
use reqwest::header::{AUTHORIZATION, HeaderValue};

use super::endpoint::Endpoint;
use crate::domain::scrub::Secrets;

/// The secrets of a request, as they were sent: cheap to keep, since few requests fail.
pub(super) struct Carried {
    authorization: Option<HeaderValue>,
    /// Of a token endpoint: its secrets are in its form.
    form: Vec<u8>,
}

impl Carried {
    pub fn by(request: &Request, endpoint: Endpoint) -> Self {
        let form = request.body().and_then(reqwest::Body::as_bytes).filter(|_| endpoint == Endpoint::OAuthToken);
        Self { authorization: request.headers().get(AUTHORIZATION).cloned(), form: form.unwrap_or_default().to_vec() }
    }

    /// In every form in which they may come back.
    pub fn secrets(&self) -> Secrets {
        let mut secrets = super::oauth::secrets_of(&self.form);
        if let Some(value) = self.authorization.as_ref().and_then(|value| value.to_str().ok()) {
            secrets.add_authorization(value);
        }
        secrets
    }
}

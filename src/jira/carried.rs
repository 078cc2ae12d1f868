//! What of a request is still needed when its answer has come: above all what must not come back in an error.
//!
//! What must hold: whatever a server repeats of a request, its credentials are in no failure, log or trace: the secrets
//! are taken out where the answer becomes a failure, and nowhere else is a refusal's body read.

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Request, StatusCode};
use url::Url;

use super::endpoint::Endpoint;
use crate::domain::failure::{Failure, FailureCode};
use crate::domain::scrub::Secrets;

/// The secrets of a request, as they were sent: cheap to keep, since few requests fail.
pub(super) struct Carried {
    authorization: Option<HeaderValue>,
    /// Of a token endpoint: its secrets are in its form.
    form: Vec<u8>,
    /// Where it was sent, if in the open.
    plain_host: Option<String>,
}

impl Carried {
    pub fn by(request: &Request, endpoint: Endpoint) -> Self {
        let form = request.body().and_then(reqwest::Body::as_bytes).filter(|_| endpoint == Endpoint::OAuthToken);
        let plain_host = request.url().host_str().filter(|_| request.url().scheme() == "http");
        Self {
            authorization: request.headers().get(AUTHORIZATION).cloned(),
            form: form.unwrap_or_default().to_vec(),
            plain_host: plain_host.map(str::to_owned),
        }
    }

    /// The server's word that it is reached under https:// only: no gateway's mistake, and waiting does not help.
    pub fn sent_on(&self, status: StatusCode, headers: &HeaderMap) -> Option<Failure> {
        let to = headers.get(LOCATION).filter(|_| status.is_redirection())?;
        let to = Url::parse(to.to_str().ok()?).ok().filter(|to| to.scheme() == "https")?;
        let host = self.plain_host.as_deref().filter(|host| to.host_str() == Some(host))?;
        let port = to.port().map(|port| format!(":{port}")).unwrap_or_default();
        let message = format!(
            "{host} needs https://: write https://{host}{port} as the site's address (syncline site update SITE --url)"
        );
        Some(Failure::new(FailureCode::Config, message))
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

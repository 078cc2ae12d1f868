//! Signing in by an OpenID provider, such as Keycloak, Okta, Entra ID or Google.
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `SYNCLINE__OIDC__ISSUER` | | the provider, as its discovery document names itself; nobody signs in by one without it |
//! | `SYNCLINE__OIDC__CLIENT_ID` | | what the provider calls this program |
//! | `SYNCLINE__OIDC__CLIENT_SECRET` or `SYNCLINE__OIDC__CLIENT_SECRET_FILE` | | how this program proves to be it |
//! | `SYNCLINE__OIDC__SCOPES` | `openid profile email` | what the provider is asked for, with spaces between |
//! | `SYNCLINE__OIDC__GROUPS_CLAIM` | `groups` | the claim that holds a person's groups |
//! | `SYNCLINE__OIDC__GROUPS` | | which role each group has: `jira-admins=administrator,everyone=viewer`; the highest counts, `*` is everybody |

use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

use super::key::{Key, Kind, not_empty};

/// Signing in by an OpenID provider.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OidcConfig {
    /// The provider.
    pub issuer: Option<String>,
    /// What it calls this program.
    pub client_id: Option<String>,
    /// How this program proves to be it.
    pub client_secret: Option<SecretString>,
    /// What it is asked for.
    pub scopes: String,
    /// The claim that holds a person's groups.
    pub groups_claim: String,
    /// Which role each group has.
    pub groups: String,
}

impl Default for OidcConfig {
    fn default() -> Self {
        Self {
            issuer: None,
            client_id: None,
            client_secret: None,
            scopes: "openid profile email".to_owned(),
            groups_claim: "groups".to_owned(),
            groups: String::new(),
        }
    }
}

impl OidcConfig {
    /// Groups and the role of each, as they were written.
    pub fn roles(&self) -> impl Iterator<Item = (&str, &str)> {
        pairs(&self.groups).filter_map(Result::ok)
    }

    /// What is missing, where a provider is named.
    ///
    /// # Errors
    /// The first key that is needed and not set.
    pub(super) fn check(&self, public_url: Option<&str>) -> Result<(), String> {
        if self.issuer.is_none() {
            return Ok(());
        }
        let needed = [
            ("oidc.client_id", self.client_id.is_some()),
            ("oidc.client_secret", self.client_secret.is_some()),
            ("oidc.groups", self.roles().next().is_some()),
            ("serve.public_url", public_url.is_some()),
        ];
        match needed.into_iter().find(|(_, is_there)| !is_there) {
            Some((key, _)) => Err(format!("oidc.issuer is set, and {key} is not: signing in by a provider needs both")),
            None => Ok(()),
        }
    }
}

pub(super) const KEYS: &[Key] = &[
    Key {
        path: "oidc.issuer",
        default: "",
        kind: Kind::Text(issuer),
        expects: "an address that begins with https:// (http:// on this machine),",
    },
    Key {
        path: "oidc.client_id",
        default: "",
        kind: Kind::Text(not_empty),
        expects: "what the provider calls this program",
    },
    Key {
        path: "oidc.client_secret",
        default: "",
        kind: Kind::Secret(not_empty),
        expects: "the secret that the provider gave",
    },
    Key {
        path: "oidc.scopes",
        default: "openid profile email",
        kind: Kind::Text(scopes),
        expects: "scopes with spaces between, openid among them,",
    },
    Key { path: "oidc.groups_claim", default: "groups", kind: Kind::Text(not_empty), expects: "the name of a claim" },
    Key {
        path: "oidc.groups",
        default: "",
        kind: Kind::Text(groups),
        expects: "pairs such as jira-admins=administrator, with commas between,",
    },
];

fn issuer(text: &str) -> Result<(), String> {
    let url = Url::parse(text).map_err(|problem| format!("is no address: {problem}"))?;
    let is_here = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    match url.scheme() {
        _ if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() => {
            Err("holds something else than scheme, host, port and path".to_owned())
        }
        "https" => Ok(()),
        "http" if is_here => Ok(()),
        scheme => Err(format!("is an address with {scheme}, where everybody on the way could say who somebody is")),
    }
}

fn scopes(text: &str) -> Result<(), String> {
    match text.split_whitespace().any(|scope| scope == "openid") {
        true => Ok(()),
        false => Err("does not hold openid".to_owned()),
    }
}

fn pairs(text: &str) -> impl Iterator<Item = Result<(&str, &str), String>> {
    text.split(',').map(str::trim).filter(|pair| !pair.is_empty()).map(|pair| {
        // A group may hold the sign itself (LDAP); a role does not.
        let (group, role) = pair.rsplit_once('=').ok_or_else(|| format!("holds {pair:?}, which is no GROUP=ROLE"))?;
        match (group.trim(), role.trim()) {
            ("", _) => Err(format!("holds {pair:?}, which names no group")),
            (group, role @ ("viewer" | "operator" | "administrator")) => Ok((group, role)),
            (_, role) => Err(format!("knows no role {role:?}: viewer, operator or administrator")),
        }
    })
}

fn groups(text: &str) -> Result<(), String> {
    pairs(text).find_map(Result::err).map_or(Ok(()), Err)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_read_with_their_roles() {
        let config = OidcConfig { groups: "cn=admins=administrator, *=viewer,".into(), ..OidcConfig::default() };
        assert_eq!(config.roles().collect::<Vec<_>>(), [("cn=admins", "administrator"), ("*", "viewer")]);
        for wrong in ["admins", "=viewer", "admins=king"] {
            assert!(groups(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_provider_is_asked_over_https_alone() {
        assert!(issuer("https://id.example.com/realms/a").is_ok() && issuer("http://127.0.0.1:4000").is_ok());
        for wrong in
            ["http://id.example.com", "id.example.com", "https://a:b@id.example.com", "https://id.example.com?a=b"]
        {
            assert!(issuer(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_a_provider_needs_is_named() {
        let config = OidcConfig { issuer: Some("https://id.example.com".into()), ..OidcConfig::default() };
        assert!(config.check(Some("https://a")).unwrap_err().contains("oidc.client_id"));
        assert!(OidcConfig::default().check(None).is_ok());
    }
}

//! The API.
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `SYNCLINE__SERVE__ADDRESS` | `127.0.0.1:8080` | the address of the API. If the default port is in use, the next free port is taken; a configured address is fixed |
//! | `SYNCLINE__SERVE__BASE_PATH` | | the path under which a reverse proxy serves the API, such as `/syncline` |
//! | `SYNCLINE__SERVE__AUTH` | `token` | `token`: callers sign in or send a token; `none`: callers on this machine need neither |
//! | `SYNCLINE__SERVE__PUBLIC_URL` | | the address in people's browsers, if there is a reverse proxy |
//! | `SYNCLINE__SERVE__TRUSTED_PROXIES` | | networks of reverse proxies, separated by commas; Syncline trusts their headers about the browser |
//! | `SYNCLINE__SERVE__FORWARDED_BY` | `x-forwarded` | the headers of the trusted proxies: `X-Forwarded-For`, `-Proto` and `-Host`, or `Forwarded` |
//! | `SYNCLINE__SERVE__CORS_ORIGINS` | | origins of other sites whose pages may send requests with a token, separated by commas |

use std::net::{IpAddr, SocketAddr};

use serde::Deserialize;

use url::Url;

use super::key::{Key, Kind};
use super::network::Network;
use super::oidc::OidcConfig;

/// Who gets in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServeAuth {
    /// Who signs in or bears a token.
    #[default]
    Token,
    /// Whoever is on this machine; the address must be this machine's own.
    None,
}

/// Which headers trusted proxies write. Only these are believed: a proxy passes the others on as a stranger wrote them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedBy {
    /// `X-Forwarded-For`, `X-Forwarded-Proto`, `X-Forwarded-Host`.
    #[default]
    XForwarded,
    /// `Forwarded`, as RFC 7239 has it.
    Forwarded,
}

/// The API.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServeConfig {
    /// Where it listens. Port 0 takes a free one.
    pub address: SocketAddr,
    /// Whether the next free port may be taken instead: nobody has asked for this one.
    #[serde(skip)]
    pub may_move: bool,
    /// The path below which it is served: empty, or `/` and more.
    pub base_path: String,
    /// Who gets in.
    pub auth: ServeAuth,
    /// The address that people write into their browser.
    pub public_url: Option<String>,
    /// Networks of proxies that are believed.
    pub trusted_proxies: String,
    /// Which headers they write.
    pub forwarded_by: ForwardedBy,
    /// Origins of other sites whose pages may ask with a token.
    pub cors_origins: String,
    /// Signing in by an OpenID provider: the section of its own.
    #[serde(skip)]
    pub oidc: OidcConfig,
}

impl ServeConfig {
    /// Refuses to serve everybody without a token, and what does not fit together.
    ///
    /// # Errors
    /// What is wrong, with the keys and what to do.
    pub fn check(&self) -> Result<(), String> {
        if self.auth == ServeAuth::None && !self.address.ip().is_loopback() {
            return Err(format!(
                "serve.auth is none and serve.address is {}, which other machines can reach: use a local address \
                 such as 127.0.0.1:8080, or set serve.auth to token",
                self.address
            ));
        }
        if let Some(path) = self.public().map(|public| public.path().trim_end_matches('/').to_owned())
            && path != self.base_path
        {
            return Err(format!(
                "serve.public_url has the path {path:?} and serve.base_path is {:?}: make them equal",
                self.base_path
            ));
        }
        self.oidc.check(self.public_url.as_deref())
    }

    /// The address that people write into their browser. What is no address was refused when the configuration was read.
    pub fn public(&self) -> Option<Url> {
        self.public_url.as_deref().and_then(|text| Url::parse(text).ok())
    }

    /// Whether what this address says of those behind it is believed.
    pub fn trusts(&self, address: IpAddr) -> bool {
        parts(&self.trusted_proxies).filter_map(|text| text.parse::<Network>().ok()).any(|one| one.holds(address))
    }

    /// Whether pages of this origin may ask with a token.
    pub fn allows_origin(&self, origin: &str) -> bool {
        parts(&self.cors_origins).any(|one| one == origin)
    }
}

impl Default for ServeConfig {
    fn default() -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], 8080));
        Self {
            address,
            may_move: true,
            base_path: String::new(),
            auth: ServeAuth::Token,
            public_url: None,
            trusted_proxies: String::new(),
            forwarded_by: ForwardedBy::XForwarded,
            cors_origins: String::new(),
            oidc: OidcConfig::default(),
        }
    }
}

pub(super) const KEYS: &[Key] = &[
    Key {
        path: "serve.address",
        default: "127.0.0.1:8080",
        kind: Kind::Text(address),
        expects: "an IP address with a port",
    },
    Key {
        path: "serve.base_path",
        default: "",
        kind: Kind::Text(path),
        expects: "a path such as /syncline, or nothing,",
    },
    Key { path: "serve.auth", default: "token", kind: Kind::Choice(&["token", "none"]), expects: "who gets in" },
    Key {
        path: "serve.public_url",
        default: "",
        kind: Kind::Text(public_url),
        expects: "an address such as https://syncline.example.com, with the base path and nothing else behind it,",
    },
    Key {
        path: "serve.trusted_proxies",
        default: "",
        kind: Kind::Text(networks),
        expects: "networks such as 10.0.0.0/8 or 192.0.2.7, with commas between,",
    },
    Key {
        path: "serve.forwarded_by",
        default: "x-forwarded",
        kind: Kind::Choice(&["x-forwarded", "forwarded"]),
        expects: "which headers the proxies write",
    },
    Key {
        path: "serve.cors_origins",
        default: "",
        kind: Kind::Text(origins),
        expects: "origins such as https://wiki.example.com, with commas between,",
    },
];

fn parts(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|part| !part.is_empty())
}

fn networks(text: &str) -> Result<(), String> {
    match parts(text).find(|part| part.parse::<Network>().is_err()) {
        Some(wrong) => Err(format!("holds {wrong:?}, which is no network")),
        None => Ok(()),
    }
}

/// An address of a web page without credentials, query or fragment.
fn web(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|problem| format!("holds {text:?}, which is no address: {problem}"))?;
    let is_plain = matches!(url.scheme(), "http" | "https")
        && url.host_str().is_some()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    // What may be a password is not repeated.
    if is_plain { Ok(url) } else { Err("holds something else than scheme, host, port and path".to_owned()) }
}

fn public_url(text: &str) -> Result<(), String> {
    match text {
        "" => Ok(()),
        text => web(text).map(drop),
    }
}

fn origins(text: &str) -> Result<(), String> {
    for part in parts(text) {
        if web(part)?.origin().ascii_serialization() != part {
            return Err(format!(
                "holds {part:?}, which is no origin: scheme, host and port, in lower case, without a slash at the end"
            ));
        }
    }
    Ok(())
}

fn address(text: &str) -> Result<(), String> {
    let parsed = text.parse::<SocketAddr>();
    parsed.map(drop).map_err(|_| format!("is {text:?}, which is not an IP address with a port"))
}

fn path(text: &str) -> Result<(), String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '~');
    let good = text.is_empty()
        || (text.starts_with('/') && !text.ends_with('/') && !text.contains("//") && text.chars().all(is_plain));
    if good { Ok(()) } else { Err(format!("is {text:?}, which is not a path such as /syncline")) }
}

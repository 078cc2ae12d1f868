//! What a browser keeps while somebody is signed in.
//!
//! What must hold: scripts do not read it; other sites' pages do not send it with what changes something; over HTTPS it belongs to
//! this host alone (`__Host-`), and over plain HTTP it exists on this machine only.

use axum::http::{HeaderMap, HeaderValue, header};
use secrecy::{ExposeSecret as _, SecretString};

use super::client::Client;
use crate::app::oidc::FLOW_SECONDS;
use crate::app::session::WHOLE_SECONDS;
use crate::app::{Error, Result};

/// A cookie by its names: over HTTPS, and over plain HTTP.
type Names = (&'static str, &'static str);

const SESSION: Names = ("__Host-syncline", "syncline_session");
const OIDC: Names = ("__Host-syncline_oidc", "syncline_oidc");

fn name(client: &Client, names: Names) -> &'static str {
    if client.is_https { names.0 } else { names.1 }
}

fn written(client: &Client, base_path: &str, names: Names, value: &str, seconds: u32) -> Result<HeaderValue> {
    // `__Host-` belongs to the whole host, or browsers do not take it.
    let (path, secure) = match (client.is_https, base_path) {
        (true, _) => ("/", "; Secure"),
        (false, "") => ("/", ""),
        (false, base_path) => (base_path, ""),
    };
    let text =
        format!("{}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}", name(client, names));
    let mut cookie = HeaderValue::from_str(&text).map_err(|_| Error::conflict("the cookie cannot be written"))?;
    cookie.set_sensitive(true);
    Ok(cookie)
}

/// What the browser is to keep.
///
/// # Errors
/// Over plain HTTP from another machine, where everybody on the way could read it.
pub(crate) fn kept(client: &Client, base_path: &str, session: &SecretString) -> Result<HeaderValue> {
    check(client)?;
    written(client, base_path, SESSION, session.expose_secret(), WHOLE_SECONDS)
}

/// Refuses plain HTTP from another machine.
///
/// # Errors
/// Where everybody on the way could read what is sent.
pub(crate) fn check(client: &Client) -> Result<()> {
    match client.is_https || client.is_local() {
        true => Ok(()),
        false => Err(Error::forbidden("signing in needs HTTPS")
            .help("ask at the HTTPS address; behind a reverse proxy set serve.public_url, or serve.trusted_proxies")),
    }
}

/// Makes the browser forget it.
///
/// # Errors
/// Never, in practice.
pub(crate) fn forgotten(client: &Client, base_path: &str) -> Result<HeaderValue> {
    written(client, base_path, SESSION, "", 0)
}

/// What the browser is to keep until an OpenID provider answers.
///
/// # Errors
/// Over plain HTTP from another machine.
pub(super) fn asked(client: &Client, base_path: &str, question: &SecretString) -> Result<HeaderValue> {
    check(client)?;
    written(client, base_path, OIDC, question.expose_secret(), FLOW_SECONDS)
}

/// Makes the browser forget what was asked.
///
/// # Errors
/// Never, in practice.
pub(super) fn answered(client: &Client, base_path: &str) -> Result<HeaderValue> {
    written(client, base_path, OIDC, "", 0)
}

/// What was asked of an OpenID provider, if the browser sends it.
pub(super) fn was_asked(client: &Client, headers: &HeaderMap) -> Option<SecretString> {
    read(client, headers, OIDC)
}

/// What the browser keeps, if it sends it.
pub(crate) fn sent(client: &Client, headers: &HeaderMap) -> Option<SecretString> {
    read(client, headers, SESSION)
}

fn read(client: &Client, headers: &HeaderMap, names: Names) -> Option<SecretString> {
    let texts = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name(client, names)).map(|(_, value)| SecretString::from(value))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn client(is_https: bool, host: &str) -> Client {
        Client { address: None, is_https, host: host.to_owned() }
    }

    #[test]
    fn a_cookie_is_out_of_reach_of_scripts_and_other_hosts() {
        let session = SecretString::from("abc");
        let https = kept(&client(true, "syncline.example.com"), "/jira", &session).unwrap();
        assert_eq!(https, "__Host-syncline=abc; Path=/; Max-Age=604800; HttpOnly; SameSite=Lax; Secure");
        let local = kept(&client(false, "127.0.0.1:8080"), "/jira", &session).unwrap();
        assert_eq!(local, "syncline_session=abc; Path=/jira; Max-Age=604800; HttpOnly; SameSite=Lax");
        assert!(!format!("{local:?}").contains("abc"));
        assert!(kept(&client(false, "syncline.example.com"), "", &session).is_err());
    }

    #[test]
    fn only_the_cookie_of_the_same_way_is_read() {
        let mut headers = HeaderMap::new();
        headers.append("cookie", "theme=dark; syncline_session=plain".parse().unwrap());
        headers.append("cookie", "__Host-syncline=safe".parse().unwrap());
        let read = |is_https| sent(&client(is_https, "a"), &headers).unwrap().expose_secret().to_owned();
        assert_eq!((read(true).as_str(), read(false).as_str()), ("safe", "plain"));
    }
}

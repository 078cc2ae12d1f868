//! What proves that a webhook comes from a site: a signature of the body, a token of an OAuth app, or a secret in the address.
//!
//! What must hold: secrets are compared in constant time; a proof that is wrong is not made good by another one.

use std::fmt;

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::guard::Refusal;
use crate::config::{SecretsConfig, secret};
use crate::store::webhook::Sender;

/// A webhook as it came.
pub struct Post<'a> {
    /// The site that the address names.
    pub site: &'a str,
    /// The secret in the address.
    pub secret: Option<&'a SecretString>,
    /// The header `X-Hub-Signature`.
    pub signature: Option<&'a str>,
    /// The header `Authorization`.
    pub authorization: Option<&'a str>,
    /// The header `X-Atlassian-Webhook-Identifier`.
    pub identifier: Option<&'a str>,
    /// The body as it was sent.
    pub body: &'a [u8],
}

/// A site that may send, with its secrets.
pub(super) struct Known {
    pub site_id: Uuid,
    pub site: String,
    secrets: Vec<(Uuid, Secret)>,
    /// Kinds of which a secret cannot be read in this process.
    unreadable: Vec<String>,
}

enum Secret {
    Hmac(SecretString),
    Jwt { secret: SecretString, issuer: Option<String> },
    Path(Vec<u8>),
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known").field("site", &self.site).finish_non_exhaustive()
    }
}

/// Who sent a webhook, and how that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Proven {
    pub site_id: Uuid,
    pub secret: Uuid,
    pub way: &'static str,
}

impl Known {
    /// Opens the secrets of a site.
    pub fn of(sender: Sender, secrets: &SecretsConfig) -> Self {
        let mut known =
            Self { site_id: sender.site_id, site: sender.site, secrets: Vec::new(), unreadable: Vec::new() };
        for proof in sender.proofs {
            let opened = match (proof.kind.as_str(), &proof.credential, proof.fingerprint) {
                ("path", _, Some(fingerprint)) => Some(Secret::Path(fingerprint)),
                (kind, Some(credential), _) => secret::resolve(credential, &known.site, secrets).ok().map(|secret| {
                    if kind == "jwt" { Secret::Jwt { secret, issuer: proof.issuer } } else { Secret::Hmac(secret) }
                }),
                _ => None,
            };
            match opened {
                Some(secret) => known.secrets.push((proof.id, secret)),
                None => known.unreadable.push(proof.kind),
            }
        }
        known
    }

    /// How many secrets can be read here, and how many cannot.
    pub fn counts(&self) -> (usize, usize) {
        (self.secrets.len(), self.unreadable.len())
    }

    fn has(&self, kind: &str) -> bool {
        let is_of = |secret: &Secret| match secret {
            Secret::Hmac(_) => kind == "hmac",
            Secret::Jwt { .. } => kind == "jwt",
            Secret::Path(_) => kind == "path",
        };
        self.secrets.iter().any(|(_, secret)| is_of(secret))
    }

    /// Why a proof of this kind does not count.
    fn refusal(&self, kind: &str, otherwise: Refusal) -> Refusal {
        match self.unreadable.iter().any(|unreadable| unreadable == kind) {
            true => Refusal::NoSecret,
            false => otherwise,
        }
    }
}

/// Who sent it.
///
/// # Errors
/// When nothing proves it, or what should does not.
pub(super) fn prove(known: &[Known], post: &Post<'_>, now: DateTime<Utc>) -> Result<Proven, Refusal> {
    let site = known.iter().find(|known| known.site == post.site).ok_or(Refusal::UnknownSite)?;
    let found = |found: Option<Uuid>, way: &'static str, otherwise: Refusal| match found {
        Some(secret) => Ok(Proven { site_id: site.site_id, secret, way }),
        None => Err(site.refusal(way, otherwise)),
    };
    // A signature counts before all else where one can be checked: it covers the body.
    if let Some(signature) = post.signature
        && (site.has("hmac") || post.secret.is_none())
    {
        let by = site.secrets.iter().find(|(_, secret)| match secret {
            Secret::Hmac(secret) => is_signed(secret, signature, post.body),
            _ => false,
        });
        return found(by.map(|(id, _)| *id), "hmac", Refusal::BadSignature);
    }
    if let Some(authorization) = post.authorization
        && (site.has("jwt") || post.secret.is_none())
    {
        let token = authorization.split_once(' ').map_or(authorization, |(_, token)| token).trim();
        let by = site.secrets.iter().find(|(_, secret)| match secret {
            Secret::Jwt { secret, issuer } => is_token(secret, issuer.as_deref(), token, now),
            _ => false,
        });
        return found(by.map(|(id, _)| *id), "jwt", Refusal::BadToken);
    }
    let Some(given) = post.secret else { return Err(Refusal::Unsigned) };
    let mark = Sha256::digest(given.expose_secret().as_bytes());
    let by = site.secrets.iter().find(|(_, secret)| match secret {
        Secret::Path(fingerprint) => is_same(&mark, fingerprint),
        _ => false,
    });
    found(by.map(|(id, _)| *id), "path", Refusal::BadPath)
}

/// Whether two digests are the same, in a time that does not tell where they differ.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |differing, (a, b)| differing | (a ^ b)) == 0
}

/// Whether `signature` (`sha256=HEX`) is the HMAC-SHA256 of the body.
fn is_signed(secret: &SecretString, signature: &str, body: &[u8]) -> bool {
    let Some(given) = signature.trim().strip_prefix("sha256=").and_then(bytes_of) else { return false };
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()) else { return false };
    mac.update(body);
    mac.verify_slice(&given).is_ok()
}

fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()).collect()
}

/// Clocks may be this far apart, in seconds.
const LEEWAY: f64 = 60.0;

/// Whether `token` was signed with the app's secret, and counts now.
fn is_token(secret: &SecretString, issuer: Option<&str>, token: &str, now: DateTime<Utc>) -> bool {
    let mut rules = Validation::new(Algorithm::HS256);
    rules.set_required_spec_claims(&["exp"]);
    rules.validate_aud = false;
    // By the clock that everything goes by, below.
    rules.validate_exp = false;
    let Ok(key) = DecodingKey::from_secret(secret.expose_secret().as_bytes()) else { return false };
    let Ok(decoded) = jsonwebtoken::decode::<Map<String, Value>>(token, &key, &rules) else { return false };
    let claims = decoded.claims;
    let number = |name: &str| claims.get(name).and_then(Value::as_f64);
    #[allow(clippy::cast_precision_loss)] // seconds since 1970
    let now = now.timestamp() as f64;
    let is_in_time = number("exp").is_some_and(|until| until + LEEWAY >= now)
        && ["nbf", "iat"].into_iter().filter_map(number).all(|from| from - LEEWAY <= now);
    let said = claims.get("iss").and_then(Value::as_str);
    is_in_time && (issuer.is_none() || said.is_none() || said == issuer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_of_the_documentation_is_known() {
        let secret = SecretString::from("It's a Secret to Everybody");
        let signature = "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9";
        assert!(is_signed(&secret, signature, b"Hello World!"));
        assert!(!is_signed(&secret, signature, b"Hello World?"));
        assert!(!is_signed(&SecretString::from("another"), signature, b"Hello World!"));
        for odd in ["", "sha256=", "sha1=a4771c39", &signature[..70], &signature[7..], "sha256=zz", "sha256=éé"] {
            assert!(!is_signed(&secret, odd, b"Hello World!"), "{odd}");
        }
    }
}

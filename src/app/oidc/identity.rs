//! What an ID token says, once it is believed.
//!
//! What must hold: it is signed by a key of the provider with one of [`ALGORITHMS`], which are all asymmetric; it is of this provider,
//! for this program, for this question, and not over by the clock that everything goes by.

use jsonwebtoken::jwk::{Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::app::{Error, Result};

const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];
/// How far clocks may be apart, in seconds.
const LEEWAY: i64 = 60;
const LONGEST_NAME: usize = 100;

/// Somebody, as the provider knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// What never changes there.
    pub subject: String,
    /// What they are called.
    pub name: String,
    /// Their address.
    pub email: Option<String>,
    /// Whether the provider has seen that it is theirs.
    pub is_email_verified: bool,
    /// Their groups.
    pub groups: Vec<String>,
}

/// What a token must say.
pub(super) struct Expected<'a> {
    pub issuer: &'a str,
    pub client_id: &'a str,
    pub nonce: &'a str,
    pub now: i64,
}

/// What it says.
#[derive(Debug, Deserialize)]
pub(super) struct Claims {
    sub: String,
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

fn disbelieved(problem: &str) -> Error {
    Error::unauthenticated(format!("the ID token of the OpenID provider is not believed: {problem}")).help(
        "sign in again; if it stays so, compare `oidc.issuer` and `oidc.client_id` with the provider's, and the clocks",
    )
}

/// The head of a token, if its algorithm is one of ours.
///
/// # Errors
/// When it is no token, or of another algorithm.
pub(super) fn header(token: &SecretString) -> Result<Header> {
    let header = jsonwebtoken::decode_header(token.expose_secret()).map_err(|_| disbelieved("it cannot be read"))?;
    match ALGORITHMS.contains(&header.alg) {
        true => Ok(header),
        false => Err(disbelieved("its algorithm is not allowed")),
    }
}

/// The key that a head names; the only one that fits where it names none.
pub(super) fn key<'a>(keys: &'a [Jwk], header: &Header) -> Option<&'a Jwk> {
    let fits = |key: &&Jwk| {
        !matches!(key.common.public_key_use, Some(PublicKeyUse::Encryption))
            && key.common.key_algorithm.is_none_or(|named| named == KeyAlgorithm::from(header.alg))
    };
    match &header.kid {
        Some(kid) => keys.iter().filter(fits).find(|key| key.common.key_id.as_deref() == Some(kid)),
        None => match keys.iter().filter(fits).collect::<Vec<_>>().as_slice() {
            [only] => Some(only),
            _ => None,
        },
    }
}

/// What a token says, if it is to be believed.
///
/// # Errors
/// What is wrong with it, and none of it.
pub(super) fn verify(token: &SecretString, header: &Header, keys: &[Jwk], expected: &Expected<'_>) -> Result<Claims> {
    let key = key(keys, header).ok_or_else(|| disbelieved("its key is not one of the provider's"))?;
    let key = DecodingKey::from_jwk(key).map_err(|_| disbelieved("its key cannot be used"))?;
    let mut rules = Validation::new(header.alg);
    rules.set_issuer(&[expected.issuer]);
    rules.set_audience(&[expected.client_id]);
    rules.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    // By the clock that everything goes by, below.
    rules.validate_exp = false;
    let decoded = jsonwebtoken::decode::<Claims>(token.expose_secret(), &key, &rules);
    let claims = decoded.map_err(|problem| disbelieved(&problem.to_string()))?.claims;
    claims.check(expected)?;
    Ok(claims)
}

impl Claims {
    fn check(&self, expected: &Expected<'_>) -> Result<()> {
        let number = |name: &str| self.other.get(name).and_then(Value::as_f64);
        #[allow(clippy::cast_precision_loss)] // seconds since 1970
        let (now, leeway) = (expected.now as f64, LEEWAY as f64);
        if number("exp").is_none_or(|until| until + leeway < now) {
            return Err(disbelieved("it is over"));
        }
        if [number("nbf"), number("iat")].into_iter().flatten().any(|from| from - leeway > now) {
            return Err(disbelieved("it is of the future"));
        }
        if self.text("nonce") != Some(expected.nonce) {
            return Err(disbelieved("it answers another question"));
        }
        let is_of_many = self.other.get("aud").and_then(Value::as_array).is_some_and(|list| list.len() > 1);
        match self.text("azp") {
            Some(party) if party != expected.client_id => Err(disbelieved("it was made for another program")),
            None if is_of_many => Err(disbelieved("it was made for several programs")),
            _ if self.sub.is_empty() || self.sub.len() > 255 => Err(disbelieved("it names nobody")),
            _ => Ok(()),
        }
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.other.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// Takes what the provider tells besides.
    ///
    /// # Errors
    /// When it tells of somebody else.
    pub fn complete(&mut self, told: Self) -> Result<()> {
        if told.sub != self.sub {
            return Err(disbelieved("the provider tells of somebody else"));
        }
        for (name, value) in told.other {
            self.other.entry(name).or_insert(value);
        }
        Ok(())
    }

    /// Who it is.
    pub fn identity(&self, groups_claim: &str) -> Identity {
        let email = self.text("email").filter(|email| email.len() <= 254 && email.contains('@'));
        let name: String = self
            .text("preferred_username")
            .or(email)
            .unwrap_or(&self.sub)
            .chars()
            .map(|c| if c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '@' | '+') { c } else { '_' })
            .take(LONGEST_NAME)
            .collect();
        let groups = match self.other.get(groups_claim) {
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            Some(Value::String(one)) => vec![one.clone()],
            _ => Vec::new(),
        };
        Identity {
            subject: self.sub.clone(),
            name,
            email: email.map(str::to_owned),
            is_email_verified: matches!(self.other.get("email_verified"), Some(Value::Bool(true))),
            groups,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use jsonwebtoken::{EncodingKey, encode};
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn expected() -> Expected<'static> {
        Expected { issuer: "https://id.example.com", client_id: "syncline", nonce: "n", now: NOW }
    }

    fn good() -> Value {
        json!({ "iss": "https://id.example.com", "aud": "syncline", "sub": "7", "nonce": "n", "exp": NOW + 300, "iat": NOW })
    }

    fn checked(change: Value) -> Result<()> {
        let mut claims = good();
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        serde_json::from_value::<Claims>(claims).unwrap().check(&expected())
    }

    #[test]
    fn a_token_that_is_over_or_of_another_question_is_not_believed() {
        assert!(checked(json!({})).is_ok());
        assert!(checked(json!({ "exp": NOW - 59 })).is_ok(), "clocks may be a minute apart");
        for wrong in [
            json!({ "exp": NOW - 61 }),
            json!({ "exp": "never" }),
            json!({ "iat": NOW + 3_600 }),
            json!({ "nonce": "m" }),
            json!({ "nonce": null }),
            json!({ "azp": "another" }),
            json!({ "aud": ["syncline", "another"] }),
            json!({ "sub": "" }),
        ] {
            assert!(checked(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_token_signed_with_a_shared_secret_or_none_is_refused() {
        let signed =
            encode(&Header::new(Algorithm::HS256), &good(), &EncodingKey::from_secret(b"secret").unwrap()).unwrap();
        assert!(header(&SecretString::from(signed)).is_err());
        for odd in ["eyJhbGciOiJub25lIn0.e30.", "a.b.c", ""] {
            assert!(header(&SecretString::from(odd)).is_err(), "{odd}");
        }
    }

    #[test]
    fn names_and_groups_are_read_as_providers_write_them() {
        let read = |claims: Value| serde_json::from_value::<Claims>(claims).unwrap().identity("groups");
        let ana =
            read(json!({ "sub": "7", "preferred_username": "ana silva", "email": "a@b.c", "email_verified": true,
                               "groups": ["one", 2, "three"] }));
        assert_eq!((ana.name.as_str(), ana.groups), ("ana_silva", vec!["one".to_owned(), "three".to_owned()]));
        assert!(ana.is_email_verified);
        let bo = read(json!({ "sub": "auth0|8", "email": "bo@b.c", "email_verified": "true", "groups": "one" }));
        assert_eq!((bo.name.as_str(), bo.groups.as_slice()), ("bo@b.c", &["one".to_owned()][..]));
        assert!(!bo.is_email_verified);
        assert_eq!(read(json!({ "sub": "auth0|9" })).name, "auth0_9");
    }
}

//! The signature of a webhook's body: it proves who sent it and when, so that an old one cannot be played again.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// The header's value: `t=SECONDS,v1=HEX`, where the hex digits are the HMAC-SHA256 of `SECONDS.BODY`.
pub(super) fn sign(secret: &SecretString, at_seconds: i64, body: &[u8]) -> String {
    let timestamp = at_seconds.to_string();
    // A key of any length is one: HMAC hashes a long one and fills up a short one.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()) else {
        return String::new();
    };
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    let digest = mac.finalize().into_bytes();
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={timestamp},v1={hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_any_hmac_gives() {
        // printf '1790000000.{"a":1}' | openssl dgst -sha256 -hmac secret
        let signature = sign(&SecretString::from("secret"), 1_790_000_000, br#"{"a":1}"#);
        assert_eq!(signature, "t=1790000000,v1=da8fe498621aaab99d5b11c51346b13d1a2bf2914b865b8d3edd3531cab25a3e");
        assert_ne!(signature, sign(&SecretString::from("other"), 1_790_000_000, br#"{"a":1}"#));
        assert_ne!(signature, sign(&SecretString::from("secret"), 1_790_000_001, br#"{"a":1}"#));
    }
}

//! The key that protects credentials stored in the database.
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `SYNCLINE__SECRETS__KEY` or `SYNCLINE__SECRETS__KEY_FILE` | – | 32 bytes in base64: `head -c 32 /dev/urandom \| base64` |
//!
//! Needed only where a credential is stored encrypted (`site add --token-stdin`); references (`env:`, `file:`) do
//! without. All workers of a database need the same key.

use secrecy::SecretString;
use serde::Deserialize;

use super::key::{Key, Kind};
use super::secret;

/// The key that protects stored credentials.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SecretsConfig {
    /// 32 bytes in base64.
    pub key: Option<SecretString>,
}

pub(super) const KEYS: &[Key] = &[Key {
    path: "secrets.key",
    default: "",
    kind: Kind::Secret(|text| secret::decode_key(text).map(drop)),
    expects: "32 bytes in base64, as `head -c 32 /dev/urandom | base64` prints them,",
}];

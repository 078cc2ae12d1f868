//! Credentials of sites: references to a secret, or the secret encrypted.
//!
//! | form | meaning |
//! |---|---|
//! | `env:NAME` | the environment variable NAME of the process that uses it |
//! | `file:PATH` | the file PATH, a byte order mark and its last line break left out |
//! | `enc:v1:…` | AES-256-GCM under `secrets.key`: base64 of a 12-byte nonce, the ciphertext and its tag |
//!
//! What must hold: a plain secret is never stored; an encrypted one is bound to the name of its site (as associated
//! data), so that a row copied to another site does not open; no error repeats a secret or a part of one.

use std::path::Path;

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};

use super::{SecretsConfig, written};

const PREFIX: &str = "enc:v1:";
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

/// A credential that cannot be used. `Display` says what is wrong, [`Error::help`] what to do.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the messages say it
pub enum Error {
    #[error("a credential is neither env:NAME nor file:PATH nor encrypted ({characters} characters)")]
    Form { characters: usize },
    #[error("the environment variable {name} is not set in this process")]
    NoVariable { name: String },
    #[error("cannot read the credential's file {path}: {source}")]
    NoFile { path: String, source: std::io::Error },
    #[error("the credential from {reference} is empty")]
    Empty { reference: String },
    #[error("no key is configured, so that a credential cannot be encrypted or decrypted")]
    NoKey,
    #[error("secrets.key {problem}")]
    BadKey { problem: String },
    #[error("the stored credential of site {site} is damaged: {problem}")]
    Damaged { site: String, problem: String },
    #[error("the stored credential of site {site} cannot be decrypted with the configured key")]
    WrongKey { site: String },
}

impl Error {
    /// What to do about it: one sentence for an operator.
    pub fn help(&self) -> String {
        match self {
            Self::Form { .. } => {
                "give a reference to the secret: --credential env:JIRA_TOKEN or --credential file:/run/secrets/jira, \
                    or pipe it to --token-stdin"
                    .into()
            }
            Self::NoVariable { name } => format!("set {name} for this process and for every worker"),
            Self::NoFile { path, .. } => format!("check that {path} exists here and that this user may read it"),
            Self::Empty { reference } => format!("put the API token into {reference}"),
            Self::NoKey => {
                "set SYNCLINE__SECRETS__KEY (or …_FILE) to 32 bytes in base64: head -c 32 /dev/urandom | base64".into()
            }
            Self::BadKey { .. } => "write 32 bytes in base64: head -c 32 /dev/urandom | base64".into(),
            Self::Damaged { site, .. } => {
                format!("store it again: syncline site update {site} --token-stdin")
            }
            Self::WrongKey { site } => format!(
                "configure the key with which it was encrypted (secrets.key), or store the token again: syncline \
                    site update {site} --token-stdin"
            ),
        }
    }
}

/// Checks the form of a reference that somebody typed, without looking behind it.
///
/// # Errors
/// [`Error::Form`] when it is neither `env:NAME` nor `file:PATH`.
pub fn check_reference(reference: &str) -> Result<(), Error> {
    let named = |rest: &str| !rest.is_empty() && !rest.chars().any(char::is_control);
    match reference.split_once(':') {
        Some(("env", name)) if named(name) && !name.contains([' ', '=']) => Ok(()),
        Some(("file", path)) if named(path) => Ok(()),
        _ => Err(Error::Form { characters: reference.chars().count() }),
    }
}

/// The secret that the stored `credential` of `site` stands for.
///
/// # Errors
/// When it is missing, empty, damaged, or encrypted with another key.
pub fn resolve(credential: &str, site: &str, secrets: &SecretsConfig) -> Result<SecretString, Error> {
    let text = if let Some(name) = credential.strip_prefix("env:") {
        std::env::var(name).map_err(|_| Error::NoVariable { name: name.to_owned() })?
    } else if let Some(path) = credential.strip_prefix("file:") {
        written::read(Path::new(path)).map_err(|source| Error::NoFile { path: path.to_owned(), source })?
    } else if let Some(encoded) = credential.strip_prefix(PREFIX) {
        return decrypt(encoded, site, secrets);
    } else {
        return Err(Error::Form { characters: credential.chars().count() });
    };
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(Error::Empty { reference: credential.to_owned() });
    }
    Ok(SecretString::from(text))
}

/// Encrypts the `token` of `site` for storage. `fill_random` fills the nonce: hand in the clock's generator.
///
/// # Errors
/// When no key is configured or it is not one.
pub fn encrypt(
    token: &SecretString,
    site: &str,
    secrets: &SecretsConfig,
    fill_random: impl FnOnce(&mut [u8]),
) -> Result<String, Error> {
    let cipher = cipher(secrets)?;
    let mut sealed = vec![0u8; NONCE_BYTES];
    fill_random(&mut sealed);
    let payload = Payload { msg: token.expose_secret().as_bytes(), aad: site.as_bytes() };
    // The library refuses only texts of many gigabytes.
    let ciphertext = cipher
        .encrypt(Nonce::from_slice(&sealed), payload)
        .map_err(|_| Error::Damaged { site: site.to_owned(), problem: "it is too long".into() })?;
    sealed.extend_from_slice(&ciphertext);
    Ok(format!("{PREFIX}{}", STANDARD.encode(sealed)))
}

fn decrypt(encoded: &str, site: &str, secrets: &SecretsConfig) -> Result<SecretString, Error> {
    let damaged = |problem: &str| Error::Damaged { site: site.to_owned(), problem: problem.to_owned() };
    let sealed = STANDARD.decode(encoded).map_err(|_| damaged("it is not base64"))?;
    if sealed.len() <= NONCE_BYTES + TAG_BYTES {
        return Err(damaged("it is too short"));
    }
    let (nonce, ciphertext) = sealed.split_at(NONCE_BYTES);
    let plain = cipher(secrets)?
        .decrypt(Nonce::from_slice(nonce), Payload { msg: ciphertext, aad: site.as_bytes() })
        .map_err(|_| Error::WrongKey { site: site.to_owned() })?;
    String::from_utf8(plain).map(SecretString::from).map_err(|_| damaged("it is not text"))
}

fn cipher(secrets: &SecretsConfig) -> Result<Aes256Gcm, Error> {
    let key = secrets.key.as_ref().ok_or(Error::NoKey)?;
    let bytes = decode_key(key.expose_secret()).map_err(|problem| Error::BadKey { problem })?;
    Ok(Aes256Gcm::new(&bytes.into()))
}

/// The bytes of a configured key, or what is wrong with it.
pub(super) fn decode_key(text: &str) -> Result<[u8; 32], String> {
    let characters = text.chars().count();
    let bytes = STANDARD.decode(text.trim()).map_err(|_| format!("is {characters} characters that are not base64"))?;
    let length = bytes.len();
    <[u8; 32]>::try_from(bytes).map_err(|_| format!("is base64 of {length} bytes instead of 32"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> SecretsConfig {
        SecretsConfig { key: Some(SecretString::from(STANDARD.encode([byte; 32]))) }
    }

    fn sealed(site: &str) -> String {
        let token = SecretString::from("a-token-of-nobody");
        encrypt(&token, site, &key(1), |nonce| nonce.fill(7)).unwrap()
    }

    #[test]
    fn an_encrypted_token_opens_with_its_key_and_its_site_only() {
        let stored = sealed("acme");
        assert!(stored.starts_with("enc:v1:") && !stored.contains("nobody"));
        assert_eq!(resolve(&stored, "acme", &key(1)).unwrap().expose_secret(), "a-token-of-nobody");
        assert!(matches!(resolve(&stored, "acme", &key(2)), Err(Error::WrongKey { .. })));
        assert!(matches!(resolve(&stored, "other", &key(1)), Err(Error::WrongKey { .. })));
        assert!(matches!(resolve(&stored, "acme", &SecretsConfig::default()), Err(Error::NoKey)));
    }

    #[test]
    fn a_truncated_or_altered_text_is_refused() {
        let stored = sealed("acme");
        for length in PREFIX.len()..stored.len() {
            assert!(resolve(&stored[..length], "acme", &key(1)).is_err(), "{length} characters opened");
        }
        assert!(matches!(resolve("enc:v1:AAAA", "acme", &key(1)), Err(Error::Damaged { .. })));
    }

    #[test]
    fn a_missing_variable_or_file_is_named() {
        let none = SecretsConfig::default();
        let problem = resolve("env:SYNCLINE_NO_SUCH_VARIABLE", "acme", &none).unwrap_err();
        assert!(problem.to_string().contains("SYNCLINE_NO_SUCH_VARIABLE"), "{problem}");
        let problem = resolve("file:/no/such/file", "acme", &none).unwrap_err();
        assert!(problem.to_string().contains("/no/such/file"), "{problem}");
    }

    #[test]
    fn a_file_gives_its_text_without_the_last_line_break() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "from-a-file\n").unwrap();
        let reference = format!("file:{}", path.display());
        let secret = resolve(&reference, "acme", &SecretsConfig::default()).unwrap();
        assert_eq!(secret.expose_secret(), "from-a-file");
        std::fs::write(&path, "\u{feff}from-a-file\r\n").unwrap();
        assert_eq!(resolve(&reference, "acme", &SecretsConfig::default()).unwrap().expose_secret(), "from-a-file");
        std::fs::write(&path, "\n").unwrap();
        assert!(matches!(resolve(&reference, "acme", &SecretsConfig::default()), Err(Error::Empty { .. })));
    }

    #[test]
    fn a_plain_token_is_not_taken_for_a_reference_and_not_repeated() {
        for plain in ["hunter2", "ATATT3xFfGF0", "env:", "file:", "enc:v1:abc", "env:A B"] {
            let problem = check_reference(plain).unwrap_err();
            assert!(!problem.to_string().contains("hunter2") && !problem.to_string().contains("ATATT"), "{problem}");
        }
        assert!(check_reference("env:JIRA_TOKEN").is_ok() && check_reference("file:/run/secrets/jira").is_ok());
    }
}

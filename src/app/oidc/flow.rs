//! What was asked of a provider, kept in the browser that asked until the answer comes.
//!
//! What must hold: it is sealed (AES-256-GCM under a key made from the client's secret), so that nobody changes it and every process
//! opens it; it ends after ten minutes; where it leads to is a path of this host.

use aes_gcm::aead::{Aead as _, KeyInit as _};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::app::{Error, Result};
use crate::clock::Clock;

/// How long an answer is waited for, in seconds.
pub const FLOW_SECONDS: u32 = 600;
const NONCE_BYTES: usize = 12;
const LONGEST_NEXT: usize = 1_000;

/// One question.
#[derive(Serialize, Deserialize)]
pub(super) struct Flow {
    /// Names the question; comes back with the answer.
    pub state: String,
    /// Stands in the ID token.
    pub nonce: String,
    /// Proves that whoever takes the code is who asked for it.
    pub verifier: String,
    /// Where the browser goes then.
    pub next: String,
    until: i64,
}

impl std::fmt::Debug for Flow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flow").field("next", &self.next).finish_non_exhaustive()
    }
}

impl Flow {
    /// A question that leads to `next`, or to the beginning where that is no path of this host.
    pub fn new(clock: &Clock, next: &str) -> Self {
        let chance = || {
            let mut bytes = [0; 32];
            clock.fill_random(&mut bytes);
            URL_SAFE_NO_PAD.encode(bytes)
        };
        let next = if is_path(next) { next } else { "" }.to_owned();
        let until = clock.now().timestamp() + i64::from(FLOW_SECONDS);
        Self { state: chance(), nonce: chance(), verifier: chance(), next, until }
    }

    /// The SHA-256 of the verifier.
    pub fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.verifier.as_bytes()))
    }
}

/// Whether it is a path of this host: browsers read `//` and a backslash as another host.
fn is_path(text: &str) -> bool {
    text.starts_with('/')
        && !text.starts_with("//")
        && text.len() <= LONGEST_NEXT
        && !text.contains(|c: char| c == '\\' || c.is_control() || !c.is_ascii())
}

/// Seals questions.
pub(super) struct Seal(Aes256Gcm);

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal")
    }
}

impl Seal {
    /// With a key that is made from the client's secret.
    pub fn of(secret: &SecretString) -> Self {
        let mut digest = Sha256::new();
        digest.update(b"syncline: what was asked of an OpenID provider\0");
        digest.update(secret.expose_secret().as_bytes());
        let key: [u8; 32] = digest.finalize().into();
        Self(Aes256Gcm::new(&key.into()))
    }

    /// Seals a question.
    ///
    /// # Errors
    /// Never, in practice.
    pub fn close(&self, clock: &Clock, flow: &Flow) -> Result<SecretString> {
        let failed = || Error::conflict("the sign-in cannot be begun");
        let mut sealed = vec![0; NONCE_BYTES];
        clock.fill_random(&mut sealed);
        let text = serde_json::to_vec(flow).map_err(|_| failed())?;
        let nonce: [u8; NONCE_BYTES] = sealed.as_slice().try_into().map_err(|_| failed())?;
        sealed.extend(self.0.encrypt(&Nonce::from(nonce), text.as_slice()).map_err(|_| failed())?);
        Ok(SecretString::from(URL_SAFE_NO_PAD.encode(sealed)))
    }

    /// Opens it again, if it is ours and not over.
    pub fn open(&self, clock: &Clock, kept: &SecretString) -> Option<Flow> {
        let sealed = URL_SAFE_NO_PAD.decode(kept.expose_secret()).ok()?;
        let (nonce, text) = sealed.split_at_checked(NONCE_BYTES)?;
        let nonce: [u8; NONCE_BYTES] = nonce.try_into().ok()?;
        let text = self.0.decrypt(&Nonce::from(nonce), text).ok()?;
        let flow: Flow = serde_json::from_slice(&text).ok()?;
        (clock.now().timestamp() <= flow.until).then_some(flow)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::*;

    #[test]
    fn a_sealed_question_is_opened_in_time_by_its_key_alone() {
        let (clock, hands) = Clock::virtual_at(DateTime::UNIX_EPOCH + TimeDelta::days(20_000), 7);
        let (seal, other) = (Seal::of(&SecretString::from("one")), Seal::of(&SecretString::from("two")));
        let flow = Flow::new(&clock, "/runs?state=failed");
        assert!(!format!("{flow:?}").contains(&flow.verifier));
        let kept = seal.close(&clock, &flow).unwrap();
        let opened = seal.open(&clock, &kept).unwrap();
        assert_eq!((opened.state, opened.next.as_str()), (flow.state, "/runs?state=failed"));
        assert!(other.open(&clock, &kept).is_none());
        let mut changed = kept.expose_secret().to_owned();
        changed.replace_range(30..31, if &changed[30..31] == "A" { "B" } else { "A" });
        assert!(seal.open(&clock, &SecretString::from(changed)).is_none());
        for odd in ["", "A", "not base64!"] {
            assert!(seal.open(&clock, &SecretString::from(odd)).is_none());
        }
        hands.advance(TimeDelta::seconds(601));
        assert!(seal.open(&clock, &kept).is_none());
    }

    #[test]
    fn a_sign_in_leads_to_a_path_of_this_host_alone() {
        let (clock, _) = Clock::virtual_at(DateTime::UNIX_EPOCH, 7);
        let next = |text: &str| Flow::new(&clock, text).next;
        for path in ["/", "/runs?state=failed&q=a%20b", "/jira/console"] {
            assert_eq!(next(path), path);
        }
        for foreign in [
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil",
            "/a\nb",
            "javascript:alert(1)",
            "",
        ] {
            assert_eq!(next(foreign), "", "{foreign}");
        }
    }
}

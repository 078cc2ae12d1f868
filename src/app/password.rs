//! Passwords: argon2id, 19 MiB each, off the threads that serve requests.
//!
//! What must hold: no more than [`AT_ONCE`] are worked on at once, so that many sign-ins take time and not all memory; comparing
//! takes as long where there is nothing to compare with; a password is in no error and no log line.

use std::sync::OnceLock;
use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{App, Error, Result};

/// The shortest that is taken, in characters.
const SHORTEST: usize = 12;
/// The longest that is taken, in bytes.
const LONGEST: usize = 1_024;
/// How many are worked on at once in a process.
const AT_ONCE: usize = 4;
/// How long a turn is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

static TURNS: Semaphore = Semaphore::const_new(AT_ONCE);

async fn turn() -> Result<SemaphorePermit<'static>> {
    match tokio::time::timeout(PATIENCE, TURNS.acquire()).await {
        Ok(Ok(turn)) => Ok(turn),
        _ => Err(Error::unavailable("too many people sign in at once").help("try again in a minute")),
    }
}

/// Refuses a password that is easily guessed.
///
/// # Errors
/// When it is too short or too long, or is the name.
pub(super) fn check(field: &'static str, password: &SecretString, name: &str) -> Result<()> {
    let text = password.expose_secret();
    let wrong = |problem: &str| {
        Err(Error::invalid(field, format!("the password {problem}"))
            .help(format!("at least {SHORTEST} characters, at most {LONGEST} bytes, and not the name")))
    };
    if text.chars().count() < SHORTEST {
        return wrong("is too short");
    }
    if text.len() > LONGEST {
        return wrong("is too long");
    }
    if text.to_lowercase().contains(&name.to_lowercase()) && text.chars().count() < name.chars().count() + SHORTEST {
        return wrong("is little more than the name");
    }
    Ok(())
}

/// The hash of a password, in the PHC form.
///
/// # Errors
/// When too many are worked on, or it cannot be made.
pub(super) async fn hash(app: &App, password: &SecretString) -> Result<SecretString> {
    let mut salt = [0; 16];
    app.clock.fill_random(&mut salt);
    let (_turn, password) = (turn().await?, password.clone());
    let made = tokio::task::spawn_blocking(move || hashed(password.expose_secret().as_bytes(), &salt)).await;
    made.ok().flatten().ok_or_else(|| Error::conflict("the password cannot be hashed"))
}

fn hashed(password: &[u8], salt: &[u8]) -> Option<SecretString> {
    let hash = Argon2::default().hash_password_with_salt(password, salt).ok()?;
    Some(SecretString::from(hash.to_string()))
}

/// Whether it is the password of that hash. Without a hash it is not, and it takes as long to say so.
///
/// # Errors
/// When too many are worked on.
pub(super) async fn is(password: &SecretString, hash: Option<SecretString>) -> Result<bool> {
    // Longer ones were never taken; the work must not grow with what strangers send.
    if password.expose_secret().len() > LONGEST {
        return Ok(false);
    }
    let (_turn, password) = (turn().await?, password.clone());
    let compared = tokio::task::spawn_blocking(move || {
        static OF_NOBODY: OnceLock<Option<SecretString>> = OnceLock::new();
        let other = OF_NOBODY.get_or_init(|| hashed(b"the password of nobody", &[0x5a; 16]));
        let is_known = hash.is_some();
        let Some(hash) = hash.as_ref().or(other.as_ref()) else { return false };
        let is_same =
            Argon2::default().verify_password(password.expose_secret().as_bytes(), hash.expose_secret()).is_ok();
        is_known && is_same
    });
    Ok(compared.await.unwrap_or(false))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[tokio::test]
    async fn a_password_is_known_by_its_hash_alone() {
        let mut salt = [0; 16];
        Clock::system().fill_random(&mut salt);
        let hash = hashed(b"correct horse battery", &salt).unwrap();
        assert!(hash.expose_secret().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        let right = SecretString::from("correct horse battery");
        assert!(is(&right, Some(hash.clone())).await.unwrap());
        assert!(!is(&SecretString::from("correct horse batterx"), Some(hash)).await.unwrap());
        assert!(!is(&right, None).await.unwrap());
        assert!(!is(&SecretString::from("the password of nobody"), None).await.unwrap());
    }

    #[test]
    fn passwords_that_are_easily_guessed_are_refused() {
        for (password, name) in [("short", "ana"), ("", "ana"), ("administrator1", "administrator")] {
            assert!(check("password", &SecretString::from(password), name).is_err(), "{password}");
        }
        assert!(check("password", &SecretString::from("x".repeat(1_025)), "ana").is_err());
        assert!(check("password", &SecretString::from("correct horse battery"), "ana").is_ok());
    }
}

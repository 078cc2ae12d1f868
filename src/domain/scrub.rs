//! Takes the secrets that a request carried out of whatever came back.
//!
//! A server may repeat what it was sent: a token endpoint its form, a mail server the line with the password, a gateway
//! the header. What must hold: wherever an answer becomes an error, its text passes [`Secrets::scrub`] with the secrets of
//! the request; each of them is found as it is, percent-encoded, in base64, escaped as in JSON and HTML, and in part.

use std::collections::HashSet;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// What stands in a secret's place.
const HIDDEN: &str = "[hidden]";
/// A secret that is shorter than this is a part of too many words.
const SHORTEST: usize = 4;
/// So many characters of a secret in a row are a part of it that must not be shown.
const PART: usize = 8;
/// As much of a text as is looked at, in characters; the rest is dropped. Messages that are kept are shorter.
const LONGEST_TEXT: usize = 4_000;

/// The secrets that a request carries, in every form in which they may come back.
#[derive(Clone, Default)]
pub struct Secrets {
    /// In lower case: a secret in another case is one too.
    forms: Vec<Vec<char>>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({} forms)", self.forms.len())
    }
}

impl Secrets {
    /// Adds a secret; one that is too short to be told from a word is left out.
    pub fn add(&mut self, secret: &str) {
        let secret = secret.trim();
        if secret.chars().count() < SHORTEST {
            return;
        }
        self.add_form(secret);
        let percent: String = secret.bytes().map(percent_encoded).collect();
        self.add_form(&percent);
        self.add_form(&percent.replace("%20", "+"));
        self.add_form(&secret.replace('\\', "\\\\").replace('"', "\\\""));
        self.add_form(&secret.replace('/', "\\/"));
        self.add_form(&secret.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;"));
        // Behind other bytes base64 looks otherwise: there are three ways to stand, and their edges depend on neighbours.
        for before in 0..3_usize {
            let mut bytes = vec![0; before];
            bytes.extend_from_slice(secret.as_bytes());
            for encoded in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
                let head = [0, 2, 3][before];
                let tail = encoded.len() - usize::from(!bytes.len().is_multiple_of(3));
                if let Some(inner) = encoded.get(head..tail).filter(|inner| inner.len() >= SHORTEST) {
                    self.add_form(inner);
                }
            }
        }
    }

    /// Adds what an `Authorization` header carries: its credentials, and the password in them.
    pub fn add_authorization(&mut self, value: &str) {
        let credentials = value.split_once(' ').map_or(value, |(_, credentials)| credentials.trim());
        self.add(credentials);
        let pair = STANDARD.decode(credentials).ok();
        if let Some((_, password)) = pair.as_deref().and_then(|pair| std::str::from_utf8(pair).ok()?.split_once(':')) {
            self.add(password);
        }
    }

    fn add_form(&mut self, form: &str) {
        let form: Vec<char> = form.chars().map(|c| c.to_ascii_lowercase()).collect();
        if !self.forms.contains(&form) {
            self.forms.push(form);
        }
    }

    /// The text without any of the secrets, and without parts of them.
    pub fn scrub(&self, text: &str) -> String {
        let text: Vec<char> = text.chars().take(LONGEST_TEXT).collect();
        let lower: Vec<char> = text.iter().map(char::to_ascii_lowercase).collect();
        let mut hidden = vec![false; text.len()];
        for form in &self.forms {
            let least = form.len().min(PART);
            let parts: HashSet<&[char]> = form.windows(least).collect();
            for (at, window) in lower.windows(least).enumerate() {
                if parts.contains(window) {
                    hidden[at..at + least].fill(true);
                }
            }
        }
        let mut out = String::with_capacity(text.len());
        for (at, c) in text.iter().enumerate() {
            match hidden[at] {
                false => out.push(*c),
                true if at == 0 || !hidden[at - 1] => out.push_str(HIDDEN),
                true => {}
            }
        }
        out
    }
}

fn percent_encoded(byte: u8) -> String {
    match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::URL_SAFE;

    use super::*;

    const SECRET: &str = "p/Ss w+rd&\"1?é<9>";

    fn scrubbed(text: &str) -> String {
        let mut secrets = Secrets::default();
        secrets.add(SECRET);
        secrets.scrub(text)
    }

    #[test]
    fn a_secret_is_found_in_every_form_in_which_it_may_come_back() {
        let percent = url::form_urlencoded::byte_serialize(SECRET.as_bytes()).collect::<String>();
        for echoed in [
            SECRET.to_owned(),
            SECRET.to_uppercase(),
            percent.clone(),
            percent.to_lowercase(),
            percent.replace('+', "%20"),
            STANDARD.encode(SECRET),
            URL_SAFE.encode(SECRET),
            STANDARD.encode(format!("u:{SECRET}")),
            STANDARD.encode(format!("\0user\0{SECRET}")),
            STANDARD.encode(format!("client:{SECRET} and more")),
            serde_json::to_string(SECRET).unwrap(),
            SECRET.replace('/', "\\/"),
            SECRET.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;"),
        ] {
            let text = scrubbed(&format!("refused: client_secret={echoed}, sorry"));
            assert!(
                text.contains("refused") && text.contains("sorry") && text.contains("[hidden]"),
                "{echoed}: {text}"
            );
            // What is left of it at its edges tells nothing.
            assert!(text.chars().count() < 75, "{echoed}: {text}");
        }
    }

    #[test]
    fn a_part_of_a_secret_is_hidden_too_and_other_words_stay() {
        let mut secrets = Secrets::default();
        secrets.add("ATATT3xFfGF0T4nQ9zZyXwVu");
        secrets.add("abc");
        assert_eq!(secrets.scrub("token ATATT3xFfGF0… is wrong"), "token [hidden]… is wrong");
        assert_eq!(secrets.scrub("…0T4nQ9zZyXwVu is wrong, abc"), "…[hidden] is wrong, abc");
        assert_eq!(secrets.scrub("ATATT is how tokens begin"), "ATATT is how tokens begin");
        assert!(secrets.scrub(&"x".repeat(1 << 20)).len() <= LONGEST_TEXT);
    }

    #[test]
    fn the_password_of_a_header_is_hidden_and_its_user_is_not() {
        let mut secrets = Secrets::default();
        secrets.add_authorization(&format!("Basic {}", STANDARD.encode("bot@example.com:hunter22")));
        let text = secrets.scrub(&format!("bot@example.com hunter22 {}", STANDARD.encode("bot@example.com:hunter22")));
        assert_eq!(text, "bot@example.com [hidden] [hidden]");
        assert!(!format!("{secrets:?}").contains("hunter"));
    }
}

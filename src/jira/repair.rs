//! Mends JSON that is slightly wrong in one value, so that a fault of a value costs that value and not the page: raw
//! control characters, bad escapes, `NaN`, halves of surrogate pairs, numbers beyond all bounds, names that come twice.
//!
//! What must hold:
//! * what can be read is never touched: [`read`] mends only what a strict reader has refused, so that good answers cost
//!   nothing, and JSON that is as it should be is given back as it is;
//! * the same text is always mended to the same text: a staged page is mended again when it is written;
//! * what was cut off is not mended ([`mend`] gives `None`): the rest of it is to be asked for again, not guessed.
//!
//! What becomes of a fault: a control character is kept, as an escape. An escape that JSON does not have stays as the
//! characters that it is written with; half a surrogate pair becomes U+FFFD. A number or word that JSON does not have becomes
//! its own text, so that a reader meets another type and says so. Of names that come twice in an object the last one counts.
//! An object in which nothing follows from what, and what is nested deeper than can be read, becomes its own text too: whoever
//! expects an object there rejects that one record.

use std::borrow::Cow;
use std::cell::OnceCell;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::domain::failure::{Failure, FailureCode};

mod mender;
pub(super) use mender::mend;

/// How a text in UTF-8 may begin.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Reads JSON, and where that fails reads it mended; `mended` keeps what is borrowed from then.
///
/// # Errors
/// The strict reader's, where mending does not help.
pub(super) fn read<'a, T: Deserialize<'a>>(json: &'a str, mended: &'a OnceCell<String>) -> serde_json::Result<T> {
    let strict = match serde_json::from_str(json) {
        Ok(read) => return Ok(read),
        Err(error) => error,
    };
    let Some(Cow::Owned(text)) = mend(json) else { return Err(strict) };
    serde_json::from_str(mended.get_or_init(|| text)).map_err(|_| strict)
}

/// The same of bytes, for what borrows nothing. What is no UTF-8 becomes U+FFFD.
pub(super) fn read_owned<T: DeserializeOwned>(body: &[u8]) -> serde_json::Result<T> {
    read(&text(body), &OnceCell::new())
}

/// What it means that `what` cannot be read: what ends too early was cut off on the way and is asked for again.
pub(super) fn unreadable(what: &str, body: &[u8], error: &serde_json::Error) -> Failure {
    let (code, problem) = match error.is_eof() && !body.is_empty() {
        true => (FailureCode::NetworkGlitch, "was cut off"),
        false => (FailureCode::SchemaChanged, "cannot be read"),
    };
    Failure::new(code, format!("{what} of {} bytes {problem}: {error}", body.len()))
}

/// Whether an object or an array ends before its end. One look at the last byte tells for nearly all.
pub(super) fn is_cut_off(body: &[u8]) -> bool {
    let text = body.trim_ascii();
    let closing = match text.first() {
        Some(b'{') => b'}',
        Some(b'[') => b']',
        _ => return false,
    };
    text.last() != Some(&closing) && serde_json::from_slice::<IgnoredAny>(text).is_err_and(|error| error.is_eof())
}

/// Whether no mending makes JSON of it.
pub(super) fn is_broken(body: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(body).is_err() && mend(&text(body)).is_none()
}

/// A body as text: without a byte order mark, with U+FFFD for what is no UTF-8.
pub(super) fn text(body: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body))
}

/// The first values of the members `id` and `key` in the source of an issue that cannot be read: its names, as far as they
/// look like some.
pub(super) fn names_within(source: &str) -> (Option<i64>, Option<String>) {
    let value = |name: &str| -> Option<&str> {
        let quoted = format!("\"{name}\"");
        let after = source.split_once(quoted.as_str())?.1.trim_start().strip_prefix(':')?.trim_start();
        let after = after.strip_prefix('"').unwrap_or(after);
        let looks = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
        Some(&after[..after.find(|c| !looks(c)).unwrap_or(after.len())])
    };
    let key = value("key").filter(|key| {
        key.len() <= 255
            && key.split_once('-').is_some_and(|(project, number)| {
                !project.is_empty() && !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit())
            })
    });
    (value("id").and_then(|id| id.parse().ok()), key.map(str::to_owned))
}

#[cfg(test)]
#[path = "repair_tests.rs"]
mod tests;

//! Where a list goes on: a time and an id, with a mark of what was asked, so that a cursor of another question is refused.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Error, Result};

/// A version, so that another form can be told from this one.
const VERSION: u8 = 2;
/// Version, mark of the question, time, id, number.
const BYTES: usize = 1 + 8 + 8 + 16 + 8;

/// Where the next part begins: after the row with this time and id.
pub type Position = (DateTime<Utc>, Uuid);

/// Where the next part begins, where an id is unique only within another one.
pub type Numbered = (DateTime<Utc>, Uuid, i64);

/// The text of a cursor. `question` is what was asked, whatever its form: the same question gives the same text.
pub fn encode(question: &str, (at, id): Position) -> String {
    encode_numbered(question, (at, id, 0))
}

/// The same with a number.
pub fn encode_numbered(question: &str, (at, id, number): Numbered) -> String {
    let mut bytes = Vec::with_capacity(BYTES);
    bytes.push(VERSION);
    bytes.extend_from_slice(&mark(question));
    bytes.extend_from_slice(&at.timestamp_micros().to_be_bytes());
    bytes.extend_from_slice(id.as_bytes());
    bytes.extend_from_slice(&number.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads a cursor.
///
/// # Errors
/// When it is none of ours, or belongs to another question.
pub fn decode(question: &str, text: &str) -> Result<Position> {
    decode_numbered(question, text).map(|(at, id, _)| (at, id))
}

/// The same with a number.
///
/// # Errors
/// As [`decode`].
pub fn decode_numbered(question: &str, text: &str) -> Result<Numbered> {
    let wrong = |message: &str| {
        Error::invalid("cursor", format!("cursor {message}"))
            .help("leave it out to begin anew, or repeat the request that it came from")
    };
    let bytes = URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
    let Ok(bytes) = <[u8; BYTES]>::try_from(bytes) else { return Err(wrong("is not one that this API gave")) };
    let (head, rest) = bytes.split_at(9);
    if head[0] != VERSION {
        return Err(wrong("is of another version"));
    }
    if head[1..] != mark(question) {
        return Err(wrong("belongs to another filter or order"));
    }
    let (at, rest) = rest.split_at(8);
    let (id, number) = rest.split_at(16);
    let micros = i64::from_be_bytes(at.try_into().unwrap_or_default());
    let at = DateTime::from_timestamp_micros(micros).ok_or_else(|| wrong("is not one that this API gave"))?;
    let number = i64::from_be_bytes(number.try_into().unwrap_or_default());
    Ok((at, Uuid::from_slice(id).unwrap_or_default(), number))
}

fn mark(question: &str) -> [u8; 8] {
    let mut mark = [0; 8];
    mark.copy_from_slice(&blake3::hash(question.as_bytes()).as_bytes()[..8]);
    mark
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_back_and_only_to_its_own_question() {
        let position = (DateTime::from_timestamp_micros(1_790_000_000_123_456).unwrap(), Uuid::from_u128(7));
        let text = encode("state=failed", position);
        assert_eq!(decode("state=failed", &text).unwrap(), position);
        for (question, text) in [("state=running", text.as_str()), ("state=failed", "x"), ("state=failed", "")] {
            let error = decode(question, text).unwrap_err();
            assert_eq!(error.field.as_deref(), Some("cursor"), "{error}");
        }
    }
}

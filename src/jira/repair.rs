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
use std::collections::HashSet;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::domain::failure::{Failure, FailureCode};

/// Brackets that are nested deeper become text; serde_json reads 128.
const MAX_DEPTH: usize = 100;
/// More brackets than this are open in no answer; each costs memory.
const MAX_BRACKETS: usize = 10_000;
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

/// `json` in a form that can be read; borrowed where nothing was to be mended, `None` where it was cut off, or brackets do not
/// match.
pub(super) fn mend(json: &str) -> Option<Cow<'_, str>> {
    let mut mender = Mender::new(json);
    mender.run()?;
    Some(if mender.changed { Cow::Owned(mender.out) } else { Cow::Borrowed(json) })
}

/// What may come next in a bracket.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// A name of an object's member.
    Name,
    Colon,
    Value,
    /// A comma or the end.
    Comma,
}

/// An object or an array that is open.
struct Bracket {
    object: bool,
    /// Where it begins in the source and in what is written.
    from: usize,
    out: usize,
    next: Next,
    /// Nothing follows from what: it becomes text when it is closed.
    broken: bool,
    /// Of an object: where each member begins, its name ends, and it ends, in what is written.
    members: Vec<(usize, usize, usize)>,
    /// Whether an element was written.
    filled: bool,
}

struct Mender<'a> {
    json: &'a str,
    at: usize,
    out: String,
    changed: bool,
    open: Vec<Bracket>,
    /// Whether the outermost value has ended.
    done: bool,
}

impl<'a> Mender<'a> {
    fn new(json: &'a str) -> Self {
        Self { json, at: 0, out: String::with_capacity(json.len() + 64), changed: false, open: Vec::new(), done: false }
    }

    fn byte(&self) -> Option<u8> {
        self.json.as_bytes().get(self.at).copied()
    }

    /// `None` where it cannot be mended.
    fn run(&mut self) -> Option<()> {
        while let Some(byte) = self.byte() {
            if self.done && !byte.is_ascii_whitespace() {
                return None;
            }
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                // White space elsewhere, not in JSON.
                b'\x0C' => {
                    self.changed = true;
                    self.at += 1;
                }
                b'{' | b'[' => self.enter(byte == b'{')?,
                b'}' | b']' => self.leave(byte == b'}')?,
                b',' => self.comma(),
                b':' => self.colon(),
                b'"' => {
                    self.before_value(true);
                    self.string()?;
                    self.after_value();
                }
                _ => {
                    self.before_value(true);
                    self.word();
                    self.after_value();
                }
            }
        }
        (self.done && self.open.is_empty()).then_some(())
    }

    fn enter(&mut self, object: bool) -> Option<()> {
        if self.open.len() > MAX_BRACKETS {
            return None;
        }
        self.before_value(false);
        self.open.push(Bracket {
            object,
            from: self.at,
            out: self.out.len(),
            next: if object { Next::Name } else { Next::Value },
            broken: false,
            members: Vec::new(),
            filled: false,
        });
        self.out.push(if object { '{' } else { '[' });
        self.at += 1;
        Some(())
    }

    fn leave(&mut self, object: bool) -> Option<()> {
        let mut bracket = self.open.pop().filter(|bracket| bracket.object == object)?;
        let ends_well = match bracket.next {
            Next::Comma => true,
            // After a comma that nothing follows, or in an empty one.
            Next::Name | Next::Value if !bracket.object || bracket.next == Next::Name => {
                self.changed |= bracket.filled;
                true
            }
            _ => false,
        };
        self.at += 1;
        let depth = self.open.len();
        if depth > MAX_DEPTH {
            // It becomes text together with what it stands in.
            self.after_value();
            return Some(());
        }
        if (bracket.broken || !ends_well) && self.open.is_empty() {
            return None;
        }
        if bracket.broken || !ends_well || depth == MAX_DEPTH {
            let source = &self.json[bracket.from..self.at];
            self.out.truncate(bracket.out);
            self.out.push_str(&serde_json::Value::from(source).to_string());
            self.changed = true;
        } else {
            if bracket.object {
                if let Some(member) = bracket.members.last_mut() {
                    member.2 = self.out.len();
                }
                self.last_of_each(&bracket);
            }
            self.out.push(if object { '}' } else { ']' });
        }
        self.after_value();
        Some(())
    }

    /// Of members with one name, the last one stays.
    fn last_of_each(&mut self, bracket: &Bracket) {
        let mut met = HashSet::with_capacity(bracket.members.len());
        let mut kept: Vec<&(usize, usize, usize)> = Vec::with_capacity(bracket.members.len());
        for member in bracket.members.iter().rev() {
            let written = &self.out[member.0..member.1];
            // A name may be written with escapes and without.
            let name: Cow<'_, str> = match written.contains('\\') {
                true => serde_json::from_str::<String>(written).unwrap_or_default().into(),
                false => written.trim_matches('"').into(),
            };
            if met.insert(name.into_owned()) {
                kept.push(member);
            }
        }
        if kept.len() == bracket.members.len() {
            return;
        }
        let texts: Vec<&str> = kept.iter().rev().map(|member| &self.out[member.0..member.2]).collect();
        let members = texts.join(",");
        self.out.truncate(bracket.out + 1);
        self.out.push_str(&members);
        self.changed = true;
    }

    fn comma(&mut self) {
        self.at += 1;
        let Some(bracket) = self.open.last_mut() else {
            self.changed = true;
            return;
        };
        match bracket.next {
            Next::Comma => bracket.next = if bracket.object { Next::Name } else { Next::Value },
            // One too many.
            Next::Name => self.changed = true,
            Next::Value if !bracket.object => self.changed = true,
            Next::Colon | Next::Value => bracket.broken = true,
        }
    }

    fn colon(&mut self) {
        self.at += 1;
        match self.open.last_mut() {
            Some(bracket) if bracket.object && bracket.next == Next::Colon => {
                bracket.next = Next::Value;
                self.out.push(':');
            }
            Some(bracket) => bracket.broken = true,
            None => self.changed = true,
        }
    }

    /// Writes what stands between the value before and this one; notes what it is.
    fn before_value(&mut self, may_be_name: bool) {
        let at = self.out.len();
        let Some(bracket) = self.open.last_mut() else { return };
        let missing_comma = bracket.next == Next::Comma;
        if missing_comma {
            self.changed = true;
            bracket.next = if bracket.object { Next::Name } else { Next::Value };
        }
        match bracket.next {
            Next::Name if may_be_name => {
                if let Some(member) = bracket.members.last_mut() {
                    member.2 = at;
                }
                if bracket.filled {
                    self.out.push(',');
                }
                bracket.filled = true;
                let at = self.out.len();
                bracket.members.push((at, at, at));
            }
            Next::Value if bracket.object => {}
            Next::Value => {
                if bracket.filled {
                    self.out.push(',');
                }
                bracket.filled = true;
            }
            Next::Name | Next::Colon | Next::Comma => bracket.broken = true,
        }
    }

    fn after_value(&mut self) {
        let end = self.out.len();
        let Some(bracket) = self.open.last_mut() else {
            self.done = true;
            return;
        };
        bracket.next = match bracket.next {
            Next::Name => {
                if let Some(member) = bracket.members.last_mut() {
                    member.1 = end;
                }
                Next::Colon
            }
            _ => Next::Comma,
        };
    }

    /// Copies a text, mending its characters.
    fn string(&mut self) -> Option<()> {
        let bytes = self.json.as_bytes();
        let mut copied = self.at;
        self.at += 1;
        loop {
            match self.byte()? {
                b'"' => {
                    self.at += 1;
                    self.out.push_str(&self.json[copied..self.at]);
                    return Some(());
                }
                b'\\' => {
                    let (length, put) = self.escape()?;
                    if let Some(put) = put {
                        self.out.push_str(&self.json[copied..self.at]);
                        self.out.push_str(put);
                        copied = self.at + length;
                        self.changed = true;
                    }
                    self.at += length;
                }
                control @ 0..=0x1F => {
                    self.out.push_str(&self.json[copied..self.at]);
                    self.out.push_str(&format!("\\u{control:04x}"));
                    self.at += 1;
                    copied = self.at;
                    self.changed = true;
                }
                _ => {
                    let plain = |byte: &u8| !matches!(byte, b'"' | b'\\' | 0..=0x1F);
                    self.at += bytes.get(self.at..)?.iter().take_while(|byte| plain(byte)).count();
                }
            }
        }
    }

    /// The length of the escape here, and what is to stand in its place.
    fn escape(&self) -> Option<(usize, Option<&'static str>)> {
        let code = |at: usize| -> Option<u32> {
            let digits = self.json.get(at..at + 6)?.strip_prefix("\\u")?;
            digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
        };
        let next = *self.json.as_bytes().get(self.at + 1)?;
        Some(match (next, code(self.at)) {
            (b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', _) => (2, None),
            (_, Some(0xD800..=0xDBFF)) if matches!(code(self.at + 6), Some(0xDC00..=0xDFFF)) => (12, None),
            (_, Some(0xD800..=0xDFFF)) => (6, Some("\\ufffd")),
            (_, Some(_)) => (6, None),
            // The backslash stands for itself, and what follows it for itself too.
            (_, None) => (1, Some("\\\\")),
        })
    }

    /// A number, one of the three words of JSON, or something else, which becomes text. A name is text in any case.
    fn word(&mut self) {
        let ends = |c: char| matches!(c, '{' | '}' | '[' | ']' | ',' | ':' | '"') || c.is_ascii_whitespace();
        let rest = &self.json[self.at..];
        let word = &rest[..rest.find(ends).unwrap_or(rest.len())];
        let is_name = self.open.last().is_some_and(|bracket| bracket.next == Next::Name);
        if !is_name && (matches!(word, "true" | "false" | "null") || is_number(word)) {
            self.out.push_str(word);
        } else {
            self.out.push_str(&serde_json::Value::from(word).to_string());
            self.changed = true;
        }
        self.at += word.len();
    }
}

/// Whether it is a number of JSON that can be held.
fn is_number(word: &str) -> bool {
    word.starts_with(|c: char| c == '-' || c.is_ascii_digit()) && serde_json::from_str::<f64>(word).is_ok()
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

//! The mender: one pass over the text, with a stack of the brackets that are open.
//!
//! What must hold: memory and time stay in proportion to the text, whatever it holds; text that is JSON is given back as it is.

use std::borrow::Cow;
use std::collections::HashSet;

/// Brackets that are nested deeper become text; serde_json reads 128.
const MAX_DEPTH: usize = 100;
/// More brackets than this are open in no answer; each costs memory.
const MAX_BRACKETS: usize = 10_000;
/// `json` in a form that can be read; borrowed where nothing was to be mended, `None` where it was cut off, or brackets do not
/// match.
pub(in crate::jira) fn mend(json: &str) -> Option<Cow<'_, str>> {
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

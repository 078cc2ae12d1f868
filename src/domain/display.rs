//! Text from outside made fit to be shown: on a terminal, in a mail, in a chat, in a log.
//!
//! A name, a summary or an error of Jira's may hold what a terminal obeys (escape sequences that clear the screen or fill
//! the clipboard) and what an eye does not see (marks that turn the order of letters around, letters of no width, tags).
//! Such a character is shown as its code, `\u{202e}`, so that it is seen and does nothing.
//!
//! What must hold: every text that goes to a terminal, a channel or a log in words passes one of these functions; data for
//! machines keep their value and only their spelling changes ([`json`]).

use std::borrow::Cow;
use std::fmt::Write;

/// A text of several lines: line feeds and tabs stay, and a carriage return before a line feed is left out.
pub fn block(text: &str) -> Cow<'_, str> {
    shown(text, |c| matches!(c, '\n' | '\t'), push_code)
}

/// A text of one line, as in a cell of a table: line feeds and tabs are shown as `\n` and `\t`.
pub fn line(text: &str) -> Cow<'_, str> {
    shown(text, |_| false, push_code)
}

/// A JSON document with such characters as JSON's own escapes: the value is the same. Line feeds between its parts stay.
pub fn json(document: &str) -> Cow<'_, str> {
    shown(
        document,
        |c| matches!(c, '\n' | '\t' | '\r'),
        |out, c| {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        },
    )
}

/// One line of a terminal that may be coloured by the program itself: sequences that choose a colour or a weight stay.
pub fn coloured_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\x1b[") {
        let (before, sequence) = rest.split_at(at);
        out.push_str(&line(before));
        let end = sequence.find('m').filter(|end| is_plain_style(&sequence[2..*end]));
        let length = end.map_or(1, |end| end + 1);
        match end {
            Some(_) => out.push_str(&sequence[..length]),
            None => out.push_str("\\u{1b}"),
        }
        rest = &sequence[length..];
    }
    out.push_str(&line(rest));
    out
}

/// Reset, bold, dim, italic, and the eight colours of letters: nothing that hides a text.
fn is_plain_style(codes: &str) -> bool {
    codes.split(';').all(|code| matches!(code, "" | "0" | "1" | "2" | "3" | "22" | "23" | "39") || is_colour(code))
}

fn is_colour(code: &str) -> bool {
    code.len() == 2 && (code.starts_with('3') || code.starts_with('9')) && matches!(code.as_bytes()[1], b'1'..=b'7')
}

fn shown(text: &str, stays: impl Fn(char) -> bool, push: impl Fn(&mut String, char)) -> Cow<'_, str> {
    if text.chars().all(|c| stays(c) || !is_unseen(c)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut before = ' ';
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        let next = characters.peek().copied().unwrap_or(' ');
        let ends_line = c == '\r' && next == '\n' && stays('\n');
        if stays(c) || !is_unseen(c) || joins(before, c, next) {
            out.push(c);
        } else if !ends_line {
            push(&mut out, c);
        }
        before = c;
    }
    Cow::Owned(out)
}

fn push_code(out: &mut String, c: char) {
    match c {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        _ => {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        }
    }
}

/// Joiners have their place between letters of scripts that join them, and between the parts of a picture; they are
/// nothing there that could hide in a word of Latin letters.
fn joins(before: char, c: char, next: char) -> bool {
    let joined = |c: char| !c.is_ascii() && !is_unseen(c);
    matches!(c, '\u{200c}' | '\u{200d}') && joined(before) && joined(next)
}

/// Whether a character is obeyed or not seen, instead of being seen.
pub fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            // Of no width, and marks of direction.
            | '\u{200b}'..='\u{200f}'
            // Separators of lines and paragraphs; embeddings and overrides of direction.
            | '\u{2028}'..='\u{202e}'
            // Word joiner, invisible operators, isolates of direction, deprecated format characters.
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            // Tags, and further selectors of variants.
            | '\u{e0000}'..='\u{e0fff}')
        || u32::from(c) & 0xfffe == 0xfffe
        || matches!(c, '\u{fdd0}'..='\u{fdef}')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Clipboard, screen, an 8-bit control sequence, direction, no width, tags, separators.
    const HOSTILE: &str =
        "a\u{1b}]52;c;aGk=\u{7}b\u{1b}[2Jc\u{9b}31md\u{202e}e\u{200b}f\u{e0041}g\u{2028}h\u{feff}i\u{7f}j\r";

    #[test]
    fn what_is_obeyed_or_not_seen_is_shown_as_its_code() {
        let shown = line(HOSTILE);
        assert_eq!(
            shown,
            "a\\u{1b}]52;c;aGk=\\u{7}b\\u{1b}[2Jc\\u{9b}31md\\u{202e}e\\u{200b}f\\u{e0041}g\\u{2028}h\\u{feff}i\\u{7f}j\\r"
        );
        assert_eq!(line(&shown), shown, "a second time changes nothing");
        assert_eq!(line("a\nb\tc"), "a\\nb\\tc");
        assert_eq!(block("a\nb\tc\r\nd\r"), "a\nb\tc\nd\\r");
    }

    #[test]
    fn letters_of_every_script_and_pictures_stay() {
        for text in [
            "Ärger über Größe – „so“",
            "日本語 한국어 العربية עברית हिन्दी",
            "👩\u{200d}💻 ❤\u{fe0f} 🇩🇪",
            "می\u{200c}خواهم",
            "e\u{301}",
            "C:\\u{1b}",
        ] {
            assert!(matches!(line(text), Cow::Borrowed(_)) || line(text) == text, "{text}");
        }
        assert_eq!(line("pay\u{200d}pal"), "pay\\u{200d}pal");
    }

    #[test]
    fn a_document_for_machines_keeps_its_value() {
        let value = serde_json::json!({ "summary": HOSTILE, "list": [HOSTILE, 1] });
        for document in [serde_json::to_string(&value).unwrap(), serde_json::to_string_pretty(&value).unwrap()] {
            let shown = json(&document);
            assert!(!shown.chars().any(|c| is_unseen(c) && c != '\n'), "{shown}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
        }
    }

    #[test]
    fn the_programs_own_colours_stay_and_no_other_sequence() {
        assert_eq!(
            coloured_line("\u{1b}[2m12:00\u{1b}[0m \u{1b}[32m INFO\u{1b}[0m x"),
            "\u{1b}[2m12:00\u{1b}[0m \u{1b}[32m INFO\u{1b}[0m x"
        );
        for hidden in [
            "\u{1b}[8m",
            "\u{1b}[2J",
            "\u{1b}[38;5;0m",
            "\u{1b}[30m",
            "\u{1b}]0;t\u{7}",
            "\u{1b}",
            "\u{1b}[",
            "\u{1b}[1",
        ] {
            assert!(!coloured_line(&format!("a{hidden}b")).contains('\u{1b}'), "{hidden:?}");
        }
    }
}

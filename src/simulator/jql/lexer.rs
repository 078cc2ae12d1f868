//! Words, quoted strings and signs of a JQL text.

use super::Error;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A bare word or number, such as `updated`, `ACME-1` or `-15m`.
    Word(String),
    /// A quoted string, without its quotes.
    Quoted(String),
    /// One of `= != > >= < <= ~ !~`.
    Sign(&'static str),
    Open,
    Close,
    Comma,
}

const SIGNS: [&str; 8] = [">=", "<=", "!=", "!~", "=", ">", "<", "~"];

/// Splits `text` into tokens, each with the position (from 1) at which it starts.
pub(super) fn tokens(text: &str) -> Result<Vec<(Token, usize)>, Error> {
    let mut found = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let at = text.len() - rest.len() + 1;
        let Some(first) = rest.chars().next() else { return Ok(found) };
        let (token, length) = match first {
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            ',' => (Token::Comma, 1),
            '"' | '\'' => quoted(rest, first, at)?,
            _ => match SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
                Some(sign) => (Token::Sign(sign), sign.len()),
                None => {
                    let ends = |c: char| c.is_whitespace() || "()\"',=!<>~".contains(c);
                    let length = rest.find(ends).unwrap_or(rest.len());
                    if length == 0 {
                        return Err(Error(format!(
                            "Error in the JQL Query: The character '{first}' is a reserved JQL character. You must enclose it in a string or use the escape. (line 1, character {at})"
                        )));
                    }
                    (Token::Word(rest[..length].to_owned()), length)
                }
            },
        };
        found.push((token, at));
        rest = &rest[length..];
    }
}

fn quoted(text: &str, quote: char, at: usize) -> Result<(Token, usize), Error> {
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((index, c)) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some((_, escaped)) => value.push(escaped),
                None => break,
            },
            c if c == quote => return Ok((Token::Quoted(value), index + 1)),
            c => value.push(c),
        }
    }
    Err(Error(format!(
        "Error in the JQL Query: The quoted string '{value}' has not been completed. (line 1, character {at})"
    )))
}

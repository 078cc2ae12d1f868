//! The members of a sprint's text, `id=7,state=CLOSED,name=Sprint 7,goal=<null>,…`, whose values are not quoted.
//!
//! Versions of Jira write other members in another order, and a name or a goal may hold anything, `,goal=` too. So each way
//! of reading is tried: where the name begins and ends, and where the goal does. What must hold: of the ways in which no
//! member of Jira's stands twice, the one counts that makes sense of the most members, and then the one whose name is
//! shorter. Behind a name or a goal, a word that is none of Jira's may be a member of tomorrow or a part of the text: it is a
//! member where its value is one that a program writes, and either way the reading says that it is uncertain.

use crate::jira::time::{self, Told};

/// What the value of a member looks like.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Number,
    Word,
    Time,
}

/// The members but name and goal, in no fixed order: it changed between versions.
const MEMBERS: [(&str, Form); 12] = [
    ("id", Form::Number),
    ("rapidViewId", Form::Number),
    ("sequence", Form::Number),
    ("incompleteIssuesDestinationId", Form::Number),
    ("state", Form::Word),
    ("autoStartStop", Form::Word),
    ("autoStart", Form::Word),
    ("synced", Form::Word),
    ("startDate", Form::Time),
    ("endDate", Form::Time),
    ("completeDate", Form::Time),
    ("activatedDate", Form::Time),
];
/// The members that are free text.
const FREE: [&str; 2] = ["name", "goal"];
/// More places at which a name or a goal might begin are not tried: no text needs them, and the ways grow with their square.
const MOST_PLACES: usize = 12;

/// The members of one text.
#[derive(Clone, Debug, Default)]
pub(super) struct Members<'a> {
    values: Vec<(&'a str, &'a str)>,
    /// Name and goal may hold more or less than was read.
    pub uncertain: bool,
}

/// What stands between two commas, or from the beginning of a free text to the next comma.
#[derive(Clone, Copy)]
struct Token<'a> {
    /// Where it begins in the text.
    at: usize,
    /// Where the comma is that ends it.
    end: usize,
    /// The word before the first equals sign, where it is one that a program would write.
    word: Option<&'a str>,
    value: &'a str,
}

impl Token<'_> {
    /// Whether it is a member of Jira's.
    fn is_known(&self) -> bool {
        self.word.and_then(form_of).is_some_and(|form| fits(form, self.value))
    }
}

impl<'a> Members<'a> {
    pub(super) fn value(&self, name: &str) -> Option<&'a str> {
        self.values.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// Reads the text between the brackets.
    pub(super) fn read(inside: &'a str) -> Self {
        let tokens = tokens(inside);
        let places = |name: &str| {
            let found = (0..tokens.len()).filter(|at| tokens[*at].word == Some(name));
            found.take(MOST_PLACES).map(Some).collect::<Vec<Option<usize>>>()
        };
        let (names, goals) = (places("name"), places("goal"));
        let mut best: Option<(usize, Self)> = None;
        for name in names.iter().copied().chain([None]) {
            for goal in goals.iter().copied().chain([None]) {
                let Some(read) = read_so(inside, &tokens, name, goal) else { continue };
                let better = best.as_ref().is_none_or(|(known, kept)| {
                    let shorter = read.name_length() < kept.name_length();
                    read.values.len() > *known || read.values.len() == *known && shorter
                });
                if better {
                    best = Some((read.values.len(), read));
                }
            }
        }
        best.map(|(_, read)| read).unwrap_or_default()
    }

    fn name_length(&self) -> usize {
        self.value("name").map_or(0, str::len)
    }
}

fn tokens(inside: &str) -> Vec<Token<'_>> {
    let mut at = 0;
    let parts = inside.split(',').map(|part| {
        let token = Token { at, end: at + part.len(), word: None, value: part };
        at = token.end + 1;
        match part.split_once('=') {
            Some((word, value)) if is_word(word) => Token { word: Some(word), value, ..token },
            _ => token,
        }
    });
    parts.collect()
}

fn is_word(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_lowercase()) && word.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Reads the text with the name and the goal at these tokens; `None` where it does not come out even.
fn read_so<'a>(inside: &'a str, tokens: &[Token<'a>], name: Option<usize>, goal: Option<usize>) -> Option<Members<'a>> {
    let mut read = Members::default();
    let starts = |at: usize| (Some(at) == name).then_some("name").or_else(|| (Some(at) == goal).then_some("goal"));
    let mut at = 0;
    while at < tokens.len() {
        let token = &tokens[at];
        if let Some(free) = starts(at) {
            // Up to the next free text, or the end of all; then back over the members that stand before that.
            let until = (at + 1..tokens.len()).find(|next| starts(*next).is_some()).unwrap_or(tokens.len());
            let end = free_end(tokens, at, until, &mut read)?;
            read.values.push((free, &inside[token.at + free.len() + 1..tokens[end - 1].end]));
            for token in &tokens[end..until] {
                read.structured(token)?;
            }
            at = until;
            continue;
        }
        read.structured(token)?;
        at += 1;
    }
    Some(read)
}

/// Where the free text that begins at the token `at` ends: before the members that stand between it and `until`.
fn free_end(tokens: &[Token<'_>], at: usize, until: usize, read: &mut Members<'_>) -> Option<usize> {
    let mut end = until;
    let mut met: Vec<&str> = Vec::new();
    while end > at + 1 {
        let token = &tokens[end - 1];
        let Some(word) = token.word else { break };
        match form_of(word) {
            Some(form) if fits(form, token.value) && !met.contains(&word) && read.value(word).is_none() => {
                met.push(word);
            }
            Some(_) => break,
            None if FREE.contains(&word) => break,
            // Not one of Jira's: behind one of its members it is a member, else by what it holds.
            None if is_written_by_a_program(token.value) => {}
            None if end > at + 2 && tokens[end - 2].is_known() => {}
            None => break,
        }
        end -= 1;
    }
    // What is left of the text may still end in a member that nobody knows, and what was taken from it may be its own.
    let doubtful = |token: &Token<'_>| token.word.is_some_and(|word| form_of(word).is_none() && !FREE.contains(&word));
    let first = tokens[end..until].first().is_some_and(doubtful);
    read.uncertain |= first || tokens[at + 1..end].iter().any(doubtful);
    Some(end)
}

impl<'a> Members<'a> {
    /// Takes over a member that is no free text; `None` where it cannot be one.
    fn structured(&mut self, token: &Token<'a>) -> Option<()> {
        // A comma inside the value of a member that nobody knows.
        let Some(word) = token.word else { return Some(()) };
        if FREE.contains(&word) {
            return None;
        }
        if let Some(form) = form_of(word) {
            if self.value(word).is_some() || !fits(form, token.value) {
                return None;
            }
            self.values.push((word, token.value));
        }
        Some(())
    }
}

fn form_of(word: &str) -> Option<Form> {
    MEMBERS.iter().find(|(name, _)| *name == word).map(|(_, form)| *form)
}

/// Whether a value is of the form.
fn fits(form: Form, value: &str) -> bool {
    match form {
        _ if value == "<null>" => true,
        Form::Number => !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()),
        Form::Word => !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_'),
        Form::Time => time::instant(value) != Told::Nothing,
    }
}

/// Nothing, a number, a time, true or false, or a word in capital letters.
fn is_written_by_a_program(value: &str) -> bool {
    let capitals = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    matches!(value, "<null>" | "true" | "false")
        || capitals
        || fits(Form::Number, value)
        || time::instant(value) != Told::Nothing
}

//! Each command that is named anywhere, in an advice, a help, a run book, a page or an alert, is one that exists.
//!
//! What must hold: a command with arguments is taken by the program as it stands; one that is only named by its words is
//! one of its commands.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser};
use syncline::cli::Cli;

/// Where commands are named: folders and files, and how their texts are written.
const PLACES: [&str; 8] =
    ["src", "docs", "README.md", "CHANGELOG.md", "dashboards", "migrations", "deploy", "examples"];
const KINDS: [&str; 10] = ["rs", "md", "sql", "yaml", "yml", "txt", "json", "toml", "sh", "service"];

fn files() -> Vec<PathBuf> {
    fn walk(path: &Path, found: &mut Vec<PathBuf>) {
        if path.is_dir() {
            for entry in std::fs::read_dir(path).unwrap() {
                walk(&entry.unwrap().path(), found);
            }
        } else if path.ends_with("docs/cli.md") {
            // Written from the definitions themselves, with usages in the place of commands.
        } else if path.extension().is_some_and(|kind| KINDS.iter().any(|known| kind == *known)) {
            found.push(path.to_owned());
        }
    }
    let mut found = Vec::new();
    for place in PLACES {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(place);
        if path.exists() {
            walk(&path, &mut found);
        }
    }
    found.sort();
    found
}

/// A source without its tests and with each text on one line, as it is read.
fn as_read(path: &Path, text: &str) -> String {
    if path.extension().is_some_and(|kind| kind == "rs") {
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        let lines: Vec<&str> = text.lines().map(|line| line.trim_start().trim_start_matches("/// ")).collect();
        // A backslash at the end of a line of a text goes on with the next; two are one that is printed.
        return lines.join("\n").replace(" \\\\\n", " ").replace("\\\n", "").replace("\\\"", "\"");
    }
    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    lines.join("\n").replace(" \\\n", " ")
}

/// Commands between marks: `syncline …`, "syncline …", and lines that begin with it.
fn commands(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for mark in ['`', '"'] {
        for part in text.split(mark).skip(1) {
            // Behind two spaces stands what the command is for.
            let command = part.strip_prefix("syncline ").map(|rest| rest.split("  ").next().unwrap_or_default());
            let is_one = |command: &&str| command.starts_with(|c: char| c.is_ascii_lowercase() || c == '-');
            if let Some(command) = command.filter(is_one) {
                found.insert(command.split_whitespace().collect::<Vec<_>>().join(" "));
            }
        }
    }
    for line in text.lines() {
        let line = line.trim().trim_start_matches("$ ");
        let begins = line
            .strip_prefix("syncline ")
            .filter(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '-'));
        if let Some(rest) = begins.filter(|_| !line.contains('`')) {
            // The end of a text in a source.
            let rest = rest.split("  ").next().unwrap_or_default();
            found.insert(rest.split("\")]").next().unwrap_or_default().to_owned());
        }
    }
    found
}

/// The words of a command line, as a shell makes them; ends where another command begins.
fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut quote, mut any) = (String::new(), None, false);
    for letter in line.chars() {
        match (quote, letter) {
            (Some(mark), letter) if letter == mark => quote = None,
            (Some(_), letter) => word.push(letter),
            (None, '\'' | '"') => (quote, any) = (Some(letter), true),
            (None, '|' | '>' | '<' | ';' | '&' | '#' | ')') => break,
            (None, letter) if letter.is_whitespace() => {
                if any || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                any = false;
            }
            (None, letter) => word.push(letter),
        }
    }
    if any || !word.is_empty() {
        words.push(word);
    }
    words
}

/// A value in the place of what a text leaves open: `{id}`, `…`.
fn filled(line: &str) -> String {
    let mut out = String::new();
    let mut depth = 0;
    for letter in line.chars() {
        match letter {
            '{' => {
                if depth == 0 {
                    out.push('1');
                }
                depth += 1;
            }
            '}' if depth > 0 => depth -= 1,
            _ if depth > 0 => {}
            letter => out.push(letter),
        }
    }
    out.replace('…', "1").replace("...", "1")
}

/// Whether these words are a command's name and nothing else.
fn is_name(words: &[String]) -> bool {
    let mut at = Cli::command();
    for word in words {
        match at.find_subcommand(word).cloned() {
            Some(next) => at = next,
            None => return false,
        }
    }
    true
}

/// What is wrong with a command, if anything.
fn problem(line: &str) -> Option<String> {
    let words = split(&filled(line));
    let all = std::iter::once("syncline".to_owned()).chain(words.iter().cloned());
    match Cli::try_parse_from(all) {
        Ok(_) => None,
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => None,
            // `syncline site` and `syncline site add` name commands, and are not to be typed so.
            ErrorKind::MissingRequiredArgument
            | ErrorKind::MissingSubcommand
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
                if is_name(&words) =>
            {
                None
            }
            // A word that says what to write there (`DAY`), or was left open.
            ErrorKind::InvalidValue | ErrorKind::ValueValidation if stands_for_a_value(&error) => None,
            kind => Some(format!("{kind:?}: {}", error.to_string().lines().next().unwrap_or_default())),
        },
    }
}

fn stands_for_a_value(error: &clap::Error) -> bool {
    match error.get(ContextKind::InvalidValue) {
        Some(ContextValue::String(value)) => {
            value == "1" || !value.is_empty() && value.chars().all(|c| c.is_ascii_uppercase() || c == '_')
        }
        _ => false,
    }
}

#[test]
fn every_command_that_is_named_anywhere_exists() {
    let (mut checked, mut dead) = (BTreeSet::new(), Vec::new());
    for path in files() {
        let text = std::fs::read_to_string(&path).unwrap();
        let shown = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().display().to_string();
        for command in commands(&as_read(&path, &text)) {
            if let Some(problem) = problem(&command) {
                dead.push(format!("{shown}: syncline {command}\n    {problem}"));
            }
            checked.insert(command);
        }
    }
    println!("messages_with_dead_advice {} of {} commands", dead.len(), checked.len());
    assert!(dead.is_empty(), "{} of {}:\n{}", dead.len(), checked.len(), dead.join("\n"));
    assert!(checked.len() > 150, "the search finds {} only", checked.len());
}

#[test]
fn a_command_that_does_not_exist_is_found_out() {
    for dead in ["site add --update", "projekt list", "run show", "project list --no-such-flag"] {
        let is_only_named = dead == "run show";
        assert_eq!(problem(dead).is_none(), is_only_named, "{dead}");
    }
    let found = commands("a `syncline run show {id}` b \"syncline site list\" c\n  syncline up      the whole\n");
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["run show {id}", "site list", "up"]);
}

//! Reads the command line.
//!
//! What must hold: a command line that is not understood is told with the words that were not; a secret among them (a
//! token behind `--token-stdin`, a URL with a password) is not repeated, since what a terminal shows ends up in logs.

use clap::Parser;

use super::{Cli, Exit, completing, output};
use crate::domain::failure::looks_secret;
use crate::domain::scrub::Secrets;

/// Flags whose value, or the word that somebody put behind them by mistake, may be a secret.
const SECRET_FLAGS: [&str; 8] = [
    "--token-stdin",
    "--credential-stdin",
    "--credential",
    "--client-secret",
    "--password-stdin",
    "--password",
    "--database-url",
    "--set",
];

/// Answers a shell that asks what fits (`completions`), and says whether one did. Before there is a runtime: it makes one.
pub fn complete() -> bool {
    completing::answer()
}

/// The command line of this process.
///
/// # Errors
/// How the process ends when there is nothing to be done: help was asked for, or the words were not understood. It has
/// been said by then.
pub fn parse() -> Result<Cli, Exit> {
    Cli::try_parse().map_err(|problem| {
        let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
        match without_secrets(&problem.render().to_string(), &words) {
            Some(text) if problem.use_stderr() => output::say(text.trim_end()),
            // As the library says it, with its colours.
            _ => drop(problem.print()),
        }
        if problem.use_stderr() { Exit::Usage } else { Exit::Ok }
    })
}

/// The text with the secrets among `words` hidden; none where it holds none.
fn without_secrets(text: &str, words: &[String]) -> Option<String> {
    let mut secrets = Secrets::default();
    let mut after_flag = false;
    for word in words {
        let (flag, value) = word.split_once('=').map_or((word.as_str(), None), |(flag, value)| (flag, Some(value)));
        let is_secret = after_flag && !word.starts_with('-') || looks_secret(&word.to_ascii_lowercase());
        if is_secret {
            secrets.add(word);
        }
        after_flag = SECRET_FLAGS.contains(&flag) && value.is_none();
        if let Some(value) = value.filter(|_| SECRET_FLAGS.contains(&flag)) {
            secrets.add(value);
        }
    }
    let scrubbed = secrets.scrub(text);
    (scrubbed != text).then_some(scrubbed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_may_be_a_secret_is_not_repeated() {
        for words in [
            &["site", "add", "acme", "--token-stdin", "hunter2hunter2"][..],
            &["site", "add", "acme", "--token-stdin=hunter2hunter2"],
            &["site", "add", "acme", "ATATT3xFfGF0hunter2"],
            &["run", "list", "--database-url", "postgres://u:hunter2@h/db", "more"],
            &["run", "list", "postgres://u:hunter2@h/db"],
        ] {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            let said = format!("error: unexpected argument '{}' found", words.last().unwrap());
            let told = without_secrets(&said, &words);
            let shown = told.unwrap_or(said);
            assert!(!shown.contains("hunter2"), "{shown}");
        }
        let words = ["site".to_owned(), "ad".to_owned()];
        assert_eq!(without_secrets("error: unrecognized subcommand 'ad'", &words), None);
    }
}

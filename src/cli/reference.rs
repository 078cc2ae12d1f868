//! The page `docs/cli.md`: every command with its flags, from the same description as `--help`.

use clap::{Arg, ArgAction, Command, CommandFactory};

use super::Cli;

/// The page.
fn document() -> String {
    let mut root = Cli::command();
    root.build();
    let mut page = String::from(
        "# Commands\n\n\
         Every command with its arguments, as in `--help`. This page is generated from `src/cli`: after a change run\n\
         `UPDATE_DOCS=1 cargo test --lib cli::reference`. How commands are put to use: [README.md](README.md).\n\n\
         Data go to standard output, everything else to standard error. Exit codes: 0 ok, 1 failure, 2 usage or configuration,\n\
         3 something is unhealthy.\n\n",
    );
    let mut leaves = Vec::new();
    collect(&root, &mut leaves);
    page.push_str("| command | does |\n|---|---|\n");
    for leaf in &leaves {
        let anchor = title(leaf).to_lowercase().replace(' ', "-");
        page.push_str(&format!("| [{}](#{anchor}) | {} |\n", title(leaf), cell(&about(leaf))));
    }
    page.push_str("\n## Flags of every command\n\n");
    for arg in root.get_arguments().filter(|arg| arg.is_global_set() && !arg.is_hide_set()) {
        page.push_str(&line(arg));
    }
    for leaf in &mut leaves {
        page.push_str(&section(leaf));
    }
    page
}

/// The commands that do something, by the order of `--help`.
fn collect(command: &Command, leaves: &mut Vec<Command>) {
    let verbs: Vec<_> =
        command.get_subcommands().filter(|verb| !verb.is_hide_set() && verb.get_name() != "help").collect();
    if verbs.is_empty() {
        leaves.push(command.clone());
    }
    for verb in verbs {
        collect(verb, leaves);
    }
}

/// `syncline site add`.
fn title(command: &Command) -> String {
    command.get_bin_name().unwrap_or(command.get_name()).to_owned()
}

fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

fn section(command: &mut Command) -> String {
    let usage = command.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").trim();
    let long = command.get_long_about().map_or_else(|| about(command), ToString::to_string);
    let mut text = format!("\n## {}\n\n{}\n\n```text\n{usage}\n```\n\n", title(command), escaped(long.trim()));
    for arg in command.get_arguments().filter(|arg| !arg.is_global_set() && !arg.is_hide_set() && own(arg)) {
        text.push_str(&line(arg));
    }
    format!("{}\n", text.trim_end())
}

fn own(arg: &Arg) -> bool {
    !matches!(arg.get_action(), ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version)
}

/// One argument as an entry of a list.
fn line(arg: &Arg) -> String {
    let takes = arg.get_action().takes_values();
    let names: Vec<String> = arg.get_value_names().unwrap_or_default().iter().map(|name| format!(" {name}")).collect();
    let value = if takes { names.concat() } else { String::new() };
    let called = match (arg.get_short(), arg.get_long()) {
        (Some(short), Some(long)) => format!("-{short}, --{long}{value}"),
        (Some(short), None) => format!("-{short}{value}"),
        (None, Some(long)) => format!("--{long}{value}"),
        (None, None) => value.trim().to_owned(),
    };
    let help = arg.get_long_help().or_else(|| arg.get_help()).map(ToString::to_string).unwrap_or_default();
    let mut text = format!("- `{called}`: {}", escaped(&help.split_whitespace().collect::<Vec<_>>().join(" ")));
    if takes {
        let shown = |value: &clap::builder::PossibleValue| !value.is_hide_set();
        let choices: Vec<String> = arg
            .get_possible_values()
            .iter()
            .filter(|value| shown(value))
            .map(|v| format!("`{}`", v.get_name()))
            .collect();
        if !choices.is_empty() {
            text.push_str(&format!(". One of {}", choices.join(", ")));
        }
        let defaults: Vec<String> =
            arg.get_default_values().iter().map(|value| format!("`{}`", value.to_string_lossy())).collect();
        if !defaults.is_empty() && !arg.is_hide_default_value_set() {
            text.push_str(&format!(". Default: {}", defaults.join(", ")));
        }
        if let Some(variable) = arg.get_env().filter(|_| !arg.is_hide_env_set()) {
            text.push_str(&format!(". Variable: `{}`", variable.to_string_lossy()));
        }
    }
    if arg.is_required_set() {
        text.push_str(". Required");
    }
    format!("{text}\n")
}

/// What Markdown would take for a tag stands as it is written; lines keep no blanks at their ends.
fn escaped(text: &str) -> String {
    let mut code = false;
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        code ^= letter == '`';
        if letter == '<' && !code {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

fn cell(text: &str) -> String {
    escaped(text).replace('|', "\\|")
}

#[test]
fn the_reference_of_commands_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/cli.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, document()).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(written == document(), "docs/cli.md is old: run UPDATE_DOCS=1 cargo test --lib cli::reference");
}

#[test]
fn every_command_has_a_page_in_the_manual() {
    let folder = tempfile::tempdir().unwrap();
    super::manual::run(&super::manual::ManPagesArgs { folder: folder.path().to_owned() }).unwrap();
    let mut root = Cli::command();
    root.build();
    let mut leaves = Vec::new();
    collect(&root, &mut leaves);
    assert!(leaves.len() > 60, "{}", leaves.len());
    for leaf in leaves {
        let page = folder.path().join(format!("{}.1", title(&leaf).replace(' ', "-")));
        let text = std::fs::read_to_string(&page).unwrap_or_else(|problem| panic!("{}: {problem}", page.display()));
        assert!(text.contains(".SH SYNOPSIS"), "{text}");
    }
    assert!(!folder.path().join("syncline-keep-private-server.1").exists(), "what is hidden has no page");
}

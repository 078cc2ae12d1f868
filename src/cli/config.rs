//! `syncline config`: what this process is told, and by whom.

use clap::Subcommand;

use super::{Error, Output, Row};
use crate::config::{Loaded, Setting};

/// Show the effective configuration
#[derive(Debug, clap::Args)]
pub struct ConfigArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List every key with its value and where the value came from; secrets are hidden
    Show,
}

impl Row for Setting {
    const HEADERS: &'static [&'static str] = &["KEY", "VALUE", "FROM"];

    fn cells(&self) -> Vec<String> {
        let value = if self.value.is_empty() { "-".to_owned() } else { self.value.clone() };
        vec![self.key.to_owned(), value, self.origin.clone()]
    }
}

pub(super) fn run(args: &ConfigArgs, loaded: &Loaded, output: Output) -> Result<(), Error> {
    match args.verb {
        Verb::Show => output.rows(&loaded.settings, ""),
    }
}

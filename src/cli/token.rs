//! `syncline token`: who may use the API.

use clap::Subcommand;
use secrecy::ExposeSecret as _;
use serde::Serialize;

use super::output::time_or_dash;
use super::{Context, Error, Row, completing};
use crate::app::token::{self, NewOne, Token};

/// Create, list or revoke tokens of the API
#[derive(Debug, clap::Args)]
pub struct TokenArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Create a token and print it; it is shown this once
    Create {
        /// What to call it, such as the program that uses it
        name: String,
        /// What its bearer may do: read, replica, replica:restricted, operate, admin [default: read]
        #[arg(long = "scope", value_name = "SCOPE", value_delimiter = ',', hide_possible_values = true,
              value_parser = ["read", "replica", "replica:restricted", "operate", "admin"])]
        scopes: Vec<String>,
        /// The only projects that it reaches, each as KEY or SITE/KEY [default: all]
        #[arg(long = "project", value_name = "PROJECT", add = completing::projects())]
        projects: Vec<String>,
        /// How many days it works [default: until it is revoked]
        #[arg(long, value_parser = clap::value_parser!(i64).range(1..=3_650))]
        days: Option<i64>,
    },
    /// List tokens, newest first
    List {
        /// List those that were revoked too
        #[arg(long)]
        revoked: bool,
    },
    /// Revoke a token; it stops working at once
    Revoke {
        /// Its name or its id
        name: String,
    },
}

/// A token that was made.
#[derive(Serialize)]
struct Made<'a> {
    name: &'a str,
    token: &'a str,
}

/// A token that was revoked.
#[derive(Serialize)]
struct Revoked<'a> {
    name: &'a str,
    revoked: bool,
}

impl Row for Token {
    const HEADERS: &'static [&'static str] =
        &["TOKEN", "SCOPES", "PROJECTS", "CREATED", "EXPIRES", "LAST USED", "REVOKED"];
    const SPARE: &'static [&'static str] = &["REVOKED", "PROJECTS"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            self.scopes.join(","),
            self.projects.as_ref().map_or_else(|| "all".to_owned(), |ids| ids.len().to_string()),
            time_or_dash(Some(self.created_at)),
            time_or_dash(self.expires_at),
            time_or_dash(self.last_used_at),
            time_or_dash(self.revoked_at),
        ]
    }
}

pub(super) async fn run(args: TokenArgs, context: &Context) -> Result<(), Error> {
    let (app, actor) = (context.app(), context.acting());
    match args.verb {
        Verb::Create { name, scopes, projects, days } => {
            let asked = NewOne { name, scopes, projects, days };
            let made = token::create(&app, &actor, &asked).await?;
            context.output.note(&format!("created the token {}; it is shown only now", asked.name));
            let made = made.expose_secret();
            context.output.result(made, &Made { name: &asked.name, token: made })
        }
        Verb::List { revoked } => {
            let tokens = token::list(&app, &actor, revoked).await?;
            context.output.rows(&tokens, "there are no tokens: create one with `syncline token create NAME`")
        }
        Verb::Revoke { name } => {
            let name = token::revoke(&app, &actor, &name).await?;
            context.output.result(&format!("revoked {name}"), &Revoked { name: &name, revoked: true })
        }
    }
}

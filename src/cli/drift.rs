//! `syncline drift`: where Jira's answers differ from what is documented.

use clap::Subcommand;
use serde::Serialize;

use super::output::time;
use super::{Context, Error, Row, site};
use crate::store::drift::{self, Drift};

/// Show where Jira's answers differ from what is documented
#[derive(Debug, clap::Args)]
pub struct DriftArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List fields whose form differs from Jira's documentation, and what happened to their values
    List {
        /// The site's name [default: all sites]
        #[arg(add = super::completing::sites())]
        site: Option<String>,
    },
}

/// A drift with what it means.
#[derive(Serialize)]
struct Explained {
    #[serde(flatten)]
    drift: Drift,
    meaning: String,
}

pub(super) async fn run(args: DriftArgs, context: &Context) -> Result<(), Error> {
    let Verb::List { site: name } = args.verb;
    let site_id = match name {
        Some(name) => Some(site::find(context, &name).await?.id),
        None => None,
    };
    let drifts = drift::list(&context.pool, site_id).await?;
    let rows: Vec<Explained> = drifts.into_iter().map(|drift| Explained { meaning: meaning(&drift), drift }).collect();
    context.output.rows(&rows, "no drift: every answer was as documented")
}

/// What it means for the replica, and who has to do what.
fn meaning(drift: &Drift) -> String {
    if drift.entity == "answer" {
        return "an answer that could not be read at all: what it would have told is as it was; upgrade Syncline, or report it"
            .into();
    }
    if drift.found == "a new member" {
        return "a part of the frame around a list that is not known yet: it is not read; upgrade Syncline, or report it"
            .into();
    }
    if drift.found == "missing" || drift.found == "nothing" {
        return "a field that should be there is not: the rows have no value in it, or are skipped where they cannot do without; if it stays so, report it"
            .into();
    }
    if drift.found == "fewer rows" {
        return "the site counts more than it shows: rows that the account may not see, or a fault of the site; the replica has what was shown".into();
    }
    if drift.found == "another value" {
        return "a value that is not known yet: it is kept as it came; upgrade Syncline, or report it".into();
    }
    if drift.field.starts_with("customfield_") {
        return "the field changed its type: its values are kept as JSON in issue.fields; check what reads them".into();
    }
    "the value could not be put into its column and is left out of it; upgrade Syncline, or report it".into()
}

impl Row for Explained {
    const HEADERS: &'static [&'static str] =
        &["SITE", "ENTITY", "FIELD", "EXPECTED", "FOUND", "TIMES", "LAST SEEN", "MEANING"];

    fn cells(&self) -> Vec<String> {
        let drift = &self.drift;
        let field = match &drift.field_name {
            Some(name) => format!("{} ({name})", drift.field),
            None => drift.field.clone(),
        };
        vec![
            drift.site.clone(),
            drift.entity.clone(),
            field,
            drift.expected.clone(),
            drift.found.clone(),
            drift.occurrences.to_string(),
            time(drift.last_seen_at),
            self.meaning.clone(),
        ]
    }
}

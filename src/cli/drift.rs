//! `syncline drift`: where Jira's answers differ from what is documented.

use clap::Subcommand;
use serde::Serialize;

use super::output::time;
use super::{Context, Error, Row, site};
use crate::store::drift::{self, Drift};

/// Show differences between Jira's answers and its documentation
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
    context.output.rows(&rows, "no drift: every answer matched Jira's documentation")
}

/// What it means for the replica, and who has to do what.
fn meaning(drift: &Drift) -> String {
    if drift.entity == "answer" {
        return "an unreadable answer: the rows that it concerns are unchanged; upgrade Syncline, or report it".into();
    }
    if drift.found == "a new member" {
        return "an unknown member of the object around a list: it is ignored; upgrade Syncline, or report it".into();
    }
    if drift.found == "missing" || drift.found == "nothing" {
        return "a missing field: the rows have no value in it, or are skipped if it is required; if this persists, \
            report it"
            .into();
    }
    if drift.found == "fewer rows" {
        return "the site's total is higher than the number of rows it returned: the account may not see some rows, \
            or the site has a fault; the replica holds the returned rows"
            .into();
    }
    if drift.found == "another value" {
        return "an unknown value: it is stored unchanged; upgrade Syncline, or report it".into();
    }
    if drift.field.starts_with("customfield_") {
        return "the field changed its type: its values are stored as JSON in issue.fields; check the queries that \
            read them"
            .into();
    }
    "the value does not fit its column, which is empty; upgrade Syncline, or report it".into()
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

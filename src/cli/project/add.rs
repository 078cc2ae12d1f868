//! `syncline project add`.
//!
//! What must hold: of many keys, one that Jira does not know, or does not tell of just now, keeps no other out; what was
//! added stays, and what was not is told with its reason and the exit code. The first sync of what was added starts now,
//! whatever its schedule says.

use serde::Serialize;

use uuid::Uuid;

use super::super::patience::Patience;
use super::super::{Context, Error, Row, completing, site, sync};
use super::schedule;
use crate::domain::cron::Schedule;
use crate::domain::failure::{Failure, FailureCode, RetryPolicy};
use crate::jira::JiraClient;
use crate::store::project::{self, Added, NewProject};
use crate::store::site::Site;

#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Examples:
  syncline project add acme WEB APP
  syncline project add acme WEB --watch
  syncline project add acme WEB --cron '0 6-20 * * MON-FRI' --time-zone Europe/Berlin")]
pub(super) struct AddArgs {
    /// The site's name
    #[arg(add = completing::sites())]
    site: String,
    /// The projects' keys in Jira
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<String>,
    /// Schedule: minute, hour, day of month, month, day of week [default: sync.default_cron]
    #[arg(long, value_name = "EXPRESSION")]
    cron: Option<String>,
    /// Time zone of the schedule, e.g. Europe/Berlin [default: sync.time_zone]
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// Do not check in Jira that the keys exist
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    first: FirstSync,
}

/// What becomes of the first sync.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct FirstSync {
    /// Do not start the first sync now; wait for the schedule
    #[arg(long)]
    no_first_sync: bool,
    /// Wait until the first sync has ended; exit code 1 if it failed
    #[arg(long, conflicts_with = "no_first_sync")]
    wait: bool,
    /// Wait, and show progress
    #[arg(long, conflicts_with_all = ["no_first_sync", "wait"])]
    watch: bool,
}

impl FirstSync {
    /// Whether it starts now.
    pub fn is_wanted(self) -> bool {
        !self.no_first_sync
    }

    /// Tells of the first syncs of projects of a site, and waits for them where that was asked for.
    pub async fn follow(self, site: &str, added: &[Added], context: &Context) -> Result<(), Error> {
        let Some(first) = added.first() else { return Ok(()) };
        let runs: Vec<Uuid> = added.iter().filter_map(|one| one.run_id).collect();
        if self.wait || self.watch {
            return sync::follow(context, &runs, self.watch).await;
        }
        let name = format!("{site}/{}", first.key);
        match runs.as_slice() {
            [] => context.output.note(&format!(
                "the schedule starts the first sync; start it now with `syncline sync start {name} --watch`"
            )),
            [run] => {
                context.output.note(&format!("the first sync starts now: follow it with `syncline run watch {run}`"))
            }
            several => context.output.note(&format!(
                "{} first syncs start now: follow one with `syncline run watch {name}@latest`",
                several.len()
            )),
        }
        if !runs.is_empty() {
            sync::tell_without_worker(context, runs.first().copied()).await?;
        }
        Ok(())
    }
}

/// A project to be synchronised.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// Its key.
    pub key: String,
    /// Jira's id, if Jira was asked.
    pub jira_id: Option<i64>,
    /// Its name, if Jira was asked.
    pub name: String,
}

/// What became of one key.
#[derive(Serialize)]
struct Outcome {
    project: String,
    name: String,
    outcome: &'static str,
    /// Its first run, where it was added and the run was asked for.
    run_id: Option<Uuid>,
    /// Why it was not added.
    problem: Option<String>,
}

impl Row for Outcome {
    const HEADERS: &'static [&'static str] = &["PROJECT", "NAME", "OUTCOME", "FIRST RUN"];

    fn cells(&self) -> Vec<String> {
        let run = self.run_id.map_or_else(|| "-".into(), |run| run.to_string());
        vec![self.project.clone(), self.name.clone(), self.outcome.to_owned(), run]
    }
}

pub(super) async fn run(args: AddArgs, context: &Context) -> Result<(), Error> {
    let mut keys: Vec<String> = args.keys.iter().map(|key| key.to_ascii_uppercase()).collect();
    keys.sort();
    keys.dedup();
    if let Some(bad) = keys.iter().find(|key| !is_key(key)) {
        return Err(Error::usage(format!("{bad:?} is not a valid project key"))
            .help("a key is letters, digits and underscores, beginning with a letter, e.g. WEB; give the site first"));
    }
    let site = site::find(context, &args.site).await?;
    let asked = keys.len();
    let Known { mut wanted, refused } = match args.offline {
        true => Known::untold(keys),
        false => Known::ask(&site::client(context, &site)?, keys, context).await,
    };
    if let ([(key, failure)], 1) = (refused.as_slice(), asked) {
        return Err(alone(key, failure, &site));
    }
    wanted.dedup_by(|a, b| a.key == b.key);
    let new = wanted.clone();
    let added = match wanted.is_empty() {
        true => Vec::new(),
        false => {
            let when = (args.cron.as_deref(), args.time_zone.as_deref());
            register(context, &site, wanted, when, args.first.is_wanted()).await?
        }
    };
    let known = new.into_iter().map(|project| {
        let one = added.iter().find(|added| added.key == project.key);
        Outcome {
            outcome: if one.is_some() { "added" } else { "exists" },
            project: format!("{}/{}", site.name, project.key),
            name: project.name,
            run_id: one.and_then(|added| added.run_id),
            problem: None,
        }
    });
    let unknown = refused.iter().map(|(key, failure)| Outcome {
        outcome: "failed",
        project: format!("{}/{key}", site.name),
        name: String::new(),
        run_id: None,
        problem: Some(failure.to_string()),
    });
    let outcomes: Vec<Outcome> = known.chain(unknown).collect();
    context.output.rows(&outcomes, "")?;
    // What was not added is told last, where it is seen, and after what was added is under way.
    let followed = args.first.follow(&site.name, &added, context).await;
    if refused.is_empty() { followed } else { Err(left_out(&refused, asked, &site)) }
}

/// What Jira told of keys.
struct Known {
    wanted: Vec<Wanted>,
    refused: Vec<(String, Failure)>,
}

impl Known {
    /// Nothing: it was not asked.
    fn untold(keys: Vec<String>) -> Self {
        let wanted = keys.into_iter().map(|key| Wanted { key, jira_id: None, name: String::new() });
        Self { wanted: wanted.collect(), refused: Vec::new() }
    }

    /// Asks for each, and waits where Jira asks for a pause. Credentials that were refused once are not tried again, nor is
    /// a site that asked for a longer pause than a command can wait for.
    async fn ask(client: &JiraClient, keys: Vec<String>, context: &Context) -> Self {
        let mut known = Self { wanted: Vec::with_capacity(keys.len()), refused: Vec::new() };
        let mut patience = Patience::new(context);
        let mut locked_out: Option<Failure> = None;
        for key in keys {
            let answer = match &locked_out {
                Some(failure) => Err(failure.clone()),
                None => patience.ask("Jira", || client.project(&key)).await,
            };
            match answer {
                // A project that was renamed answers under its old key too.
                Ok(project) => {
                    known.wanted.push(Wanted { key: project.key, jira_id: Some(project.id), name: project.name });
                }
                Err(failure) => {
                    if matches!(failure.code.policy(), RetryPolicy::StopSite | RetryPolicy::WaitForScope) {
                        locked_out = Some(failure.clone());
                    }
                    known.refused.push((key, failure));
                }
            }
        }
        known
    }
}

/// Why the one project that was asked for was not added.
fn alone(key: &str, failure: &Failure, site: &Site) -> Error {
    match failure.code {
        FailureCode::NotFoundProject => {
            Error::failure(format!("Jira does not know project {key} on site {}, or hides it", site.name))
                .help("check the key in Jira and the account's permission to browse the project; nothing was added")
        }
        _ => failure.clone().into(),
    }
}

/// Which projects of several were not added, and why.
fn left_out(refused: &[(String, Failure)], asked: usize, site: &Site) -> Error {
    let reason = |failure: &Failure| match failure.code {
        FailureCode::NotFoundProject => "Jira does not know it, or hides it".to_owned(),
        _ => failure.to_string(),
    };
    let reasons: Vec<String> = refused.iter().map(|(key, failure)| format!("{key} ({})", reason(failure))).collect();
    let keys: Vec<&str> = refused.iter().map(|(key, _)| key.as_str()).collect();
    let advice = refused.first().map_or("", |(_, failure)| failure.advice());
    Error::failure(format!("{} of {asked} projects were not added: {}", refused.len(), reasons.join("; ")))
        .help(format!("{advice} Then: syncline project add {} {}", site.name, keys.join(" ")))
}

/// Registers projects with their schedules; answers those that were not there.
pub(super) async fn register(
    context: &Context,
    site: &Site,
    wanted: Vec<Wanted>,
    (cron, time_zone): (Option<&str>, Option<&str>),
    first_sync: bool,
) -> Result<Vec<Added>, Error> {
    let defaults = &context.config.sync;
    let schedule = Schedule::parse(cron.unwrap_or(&defaults.default_cron), time_zone.unwrap_or(&defaults.time_zone))?;
    let mut new = Vec::with_capacity(wanted.len());
    for project in wanted {
        let id = context.clock.new_id();
        let next = schedule::next_slot(&schedule, id, context.clock.now())?;
        new.push(NewProject {
            id,
            key: project.key,
            jira_id: project.jira_id,
            name: project.name,
            next_slot_at: next.slot_at,
            next_run_at: next.run_at,
        });
    }
    let zone = schedule.time_zone().name();
    let when = (schedule.expression(), zone);
    Ok(project::add(&context.pool, site.id, &new, when, first_sync, &context.actor()).await?)
}

/// The same rule as the table's.
fn is_key(key: &str) -> bool {
    key.starts_with(|c: char| c.is_ascii_uppercase())
        && key.len() <= 255
        && key.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

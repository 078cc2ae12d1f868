//! `syncline database upgrade`: the private server's data to a newer major version of PostgreSQL.
//!
//! What must hold: it neither starts nor joins the server as other commands do, which would be a use of what must be unused.

use std::time::Instant;

use serde::Serialize;

use super::confirm::confirm;
use super::{Error, Format, Output};
use crate::clock::Clock;
use crate::config::Config;
use crate::postgres::{self, Plan, Stage, UpgradeOptions};

#[derive(Debug, clap::Args)]
pub(super) struct UpgradeArgs {
    /// Remove the old data of earlier upgrades, and upgrade nothing
    #[arg(long)]
    remove_old: bool,
    /// Remove old data without asking
    #[arg(long, requires = "remove_old")]
    yes: bool,
}

/// What was done.
#[derive(Default, Serialize)]
struct Done {
    /// `upgraded`, `unchanged` or `removed`.
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<u32>,
    /// The version of now.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tables: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
    /// Where old data are, or were.
    old_data: Vec<String>,
}

/// Executes the command.
///
/// # Errors
/// When the database is not private, is in use, or a program of PostgreSQL fails: the data are as they were.
pub(super) async fn run(args: &UpgradeArgs, config: &Config, output: Output) -> Result<(), Error> {
    if config.database.url.is_some() {
        return Err(Error::usage("the database is not Syncline's private server: DATABASE_URL names another server").help(
            "upgrade that server with its own tools; `syncline database backup` and `restore` move the data to another server",
        ));
    }
    let options = UpgradeOptions { data_dir: config.database.private_folder(), target: None };
    if args.remove_old {
        return remove_old(args, &options, output);
    }
    let clock = Clock::system();
    let began = Instant::now();
    // Also where there is nothing newer: an upgrade that was interrupted is put right by the next start.
    match postgres::plan_upgrade(&options)? {
        Plan::NoData => {
            let folder = options.data_dir.display();
            let done = Done { outcome: "unchanged", ..Done::default() };
            return output.done(&format!("nothing to do: {folder} holds no data yet"), &done);
        }
        Plan::Newest { major } => {
            let text = format!(
                "nothing to do: PostgreSQL {major} runs the data, and no newer one is installed. To move them, install a \
                 newer one beside it first (Debian, Ubuntu: postgresql-{}; macOS: postgresql@{})",
                major + 1,
                major + 1
            );
            return output.done(&text, &Done { outcome: "unchanged", to: Some(major), ..Done::default() });
        }
        Plan::Newer { old, new } => {
            output.note(&format!("from PostgreSQL {} to {} in {}", old.major, new.major, new.folder.display()));
        }
    }
    let tell = |stage| {
        if output.format() == Format::Table {
            output.note(words(stage));
        }
    };
    let Some(upgraded) = postgres::upgrade(&options, &clock, tell).await? else {
        return output.done("nothing to do", &Done { outcome: "unchanged", ..Done::default() });
    };
    let seconds = began.elapsed().as_secs_f64();
    let text = format!(
        "the data now belong to PostgreSQL {}: {} rows of {} tables in {} databases, in {seconds:.0} s. The old data \
            are in {}; remove them with `syncline database upgrade --remove-old`",
        upgraded.to,
        upgraded.rows,
        upgraded.tables,
        upgraded.databases,
        upgraded.kept.display()
    );
    let done = Done {
        outcome: "upgraded",
        from: Some(upgraded.from),
        to: Some(upgraded.to),
        tables: Some(upgraded.tables),
        rows: Some(upgraded.rows),
        seconds: Some(seconds),
        old_data: vec![upgraded.kept.display().to_string()],
    };
    output.done(&text, &done)
}

fn words(stage: Stage) -> &'static str {
    match stage {
        Stage::Alone => "the server is stopped and locked against a start",
        Stage::Made => "created an empty cluster of the newer version; copying",
        Stage::Copied => "copied; comparing",
        Stage::Ready => "both hold the same data; swapping the folders",
        Stage::Moved => "the old data stay in their folder",
    }
}

fn remove_old(args: &UpgradeArgs, options: &UpgradeOptions, output: Output) -> Result<(), Error> {
    let kept = postgres::kept_data(&options.data_dir)?;
    let names: Vec<String> = kept.iter().map(|(path, _)| path.display().to_string()).collect();
    if kept.is_empty() {
        let text = format!("nothing to do: no old data are in {}", options.data_dir.display());
        return output.done(&text, &Done { outcome: "unchanged", ..Done::default() });
    }
    let bytes: u64 = kept.iter().map(|(_, bytes)| bytes).sum();
    let what = format!("{} ({:.0} MB)", names.join(", "), bytes as f64 / 1e6);
    confirm(&format!("remove the old data in {what}"), args.yes)?;
    for (path, _) in &kept {
        postgres::remove_kept(path)?;
    }
    output.done(&format!("removed {what}"), &Done { outcome: "removed", old_data: names, ..Done::default() })
}

//! `syncline member`: the people of the organisation.

mod file;

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::confirm::confirm;
use super::site::is_email;
use super::{Context, Error, Format, Row};
use crate::store::people::{self, ImportOptions, Member, NewMember};

/// More is no list of people.
const FILE_LIMIT_BYTES: u64 = 64 * 1024 * 1024;

/// Import, add, list or remove members of the organisation
#[derive(Debug, clap::Args)]
pub struct MemberArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Import members from a CSV file: all lines, or none
    #[command(after_long_help = "\
The header names the columns: email,name,team,external_id,active, in any order; name and one of email and
external_id are required. A line updates the member with its external_id, else the one with its email, else it adds
a member: importing the same file again changes nothing. Members that are not in the file stay unchanged.

Examples:
  syncline member import people.csv --dry-run
  syncline member import people.csv")]
    Import {
        /// CSV in UTF-8, with `,` or `;` between the cells
        file: PathBuf,
        /// Show what would change, and change nothing
        #[arg(long)]
        dry_run: bool,
        /// Import the valid lines even if others are invalid
        #[arg(long)]
        skip_bad: bool,
    },
    /// Add one member
    Add {
        /// The full name, as Jira shows it
        name: String,
        /// The e-mail address
        #[arg(long)]
        email: Option<String>,
        /// The team
        #[arg(long)]
        team: Option<String>,
        /// The id in another system
        #[arg(long, value_name = "ID")]
        external_id: Option<String>,
    },
    /// List all members
    List,
    /// Remove a member and its links to users of Jira
    Remove {
        /// E-mail address, external id or id
        member: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

pub(super) async fn run(args: MemberArgs, context: &Context) -> Result<(), Error> {
    match args.verb {
        Verb::Import { file, dry_run, skip_bad } => import(context, &file, dry_run, skip_bad).await,
        Verb::Add { name, email, team, external_id } => {
            let new = NewMember {
                id: context.clock.new_id(),
                email: email.as_deref(),
                name: name.trim(),
                team: team.as_deref(),
                external_id: external_id.as_deref(),
            };
            add(context, &new).await
        }
        Verb::List => {
            let members = people::list(&context.pool).await?;
            context.output.rows(&members, "no member yet: import them with `syncline member import FILE`")
        }
        Verb::Remove { member, yes } => {
            let member = find(context, &member).await?;
            confirm(&format!("remove {} and its {} links to users of Jira", member.name, member.users), yes)?;
            people::remove(&context.pool, &member, &context.actor()).await?;
            let done = serde_json::json!({"member": member.name, "outcome": "removed"});
            context.output.done(&format!("removed {}", member.name), &done)
        }
    }
}

/// The member that an e-mail address, an external id or an id names.
pub(super) async fn find(context: &Context, text: &str) -> Result<Member, Error> {
    let mut found = people::find(&context.pool, text).await?;
    let help = "list the members with `syncline member list`, and name one by its id";
    match (found.pop(), found.is_empty()) {
        (Some(member), true) => Ok(member),
        (Some(_), false) => Err(Error::usage(format!("{text:?} names several members")).help(help)),
        (None, _) => Err(Error::failure(format!("unknown member {text:?}")).help(help)),
    }
}

async fn add(context: &Context, new: &NewMember<'_>) -> Result<(), Error> {
    if new.name.is_empty() {
        return Err(Error::usage("the name is empty").help("write the full name, as Jira shows it"));
    }
    if let Some(wrong) = new.email.filter(|email| !is_email(email)) {
        return Err(Error::usage(format!("--email is {wrong:?}, which is not an e-mail address")));
    }
    if !people::add(&context.pool, new, &context.actor()).await? {
        return Err(Error::failure("a member with that e-mail address or external id already exists")
            .help("find it with `syncline member list`"));
    }
    let text = format!("added {}; match users of Jira with `syncline user match --apply`", new.name);
    context.output.done(&text, &serde_json::json!({"member": new.name, "outcome": "added"}))
}

async fn import(context: &Context, path: &Path, dry_run: bool, skip_bad: bool) -> Result<(), Error> {
    let name = path.display();
    let bytes = read(path).map_err(|problem| Error::failure(format!("cannot read {name}: {problem}")))?;
    if bytes.len() as u64 > FILE_LIMIT_BYTES {
        return Err(Error::usage(format!("{name} is larger than 64 MiB")).help("split it"));
    }
    let file =
        file::read(&bytes, || context.clock.new_id()).map_err(|problem| Error::usage(format!("{name}: {problem}")))?;
    // What is wrong with the lines by themselves is told together with what the table has against the others.
    let any_bad = !file.refused.is_empty() && !skip_bad;
    let options = ImportOptions { columns: file.columns, dry_run: dry_run || any_bad, skip_bad };
    let source = path.file_name().map_or_else(|| name.to_string(), |name| name.to_string_lossy().into_owned());
    let mut report = people::import(&context.pool, &file.members, options, &source, &context.actor()).await?;
    report.refused.extend(file.refused);
    report.refused.sort_by_key(|refusal| refusal.line);
    for refusal in &report.refused {
        context.output.warn(&format!("line {} {}", refusal.line, refusal.problem));
    }
    let bad = report.refused.len();
    if bad > 0 && !skip_bad {
        if context.output.format() != Format::Table {
            context.output.result("", &report)?;
        }
        return Err(Error::failure(format!("{bad} lines of {name} are invalid; nothing was imported"))
            .help("correct them, or import the valid lines with --skip-bad"));
    }
    let what = if dry_run { "would import" } else { "imported" };
    let text = format!(
        "{what} {}: {} new, {} changed, {} unchanged, {bad} skipped",
        name, report.created, report.updated, report.unchanged
    );
    context.output.result(&text, &report)?;
    if report.applied && report.created + report.updated > 0 {
        context.output.note("match users of Jira with `syncline user match --apply`");
    }
    Ok(())
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(FILE_LIMIT_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl Row for Member {
    const HEADERS: &'static [&'static str] = &["NAME", "EMAIL", "TEAM", "EXTERNAL ID", "ACTIVE", "USERS"];

    fn cells(&self) -> Vec<String> {
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".into());
        vec![
            self.name.clone(),
            text(&self.email),
            text(&self.team),
            text(&self.external_id),
            if self.active { "yes" } else { "no" }.into(),
            self.users.to_string(),
        ]
    }
}

//! `syncline people`: what is stored about a person, and forgetting it.

use std::io::{self, IsTerminal};

use clap::Subcommand;
use serde::Serialize;

use super::confirm::confirm;
use super::{Context, Error, Format, Row, site};
use crate::store::people::{self, Account, Counts, Position};

/// Export a person's data, or forget the person
#[derive(Debug, clap::Args)]
pub struct PeopleArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Erase a person's names; the account id stays as a pseudonym, so that sums stay correct
    #[command(after_long_help = "\
First counts the data that identify the person. On a terminal it then asks; without one and without --yes it changes
nothing. No later sync brings the name back, and you cannot undo it. Data outside of this database (backups, replicas,
sent e-mails, Jira itself) do not change: see docs/data-protection.md.

Examples:
  syncline people forget ana@example.com --dry-run
  syncline people forget 712020:5b10ac8d --site acme --yes")]
    Forget {
        /// Account id, user name or e-mail address
        person: String,
        /// Only on this site [default: all sites]
        #[arg(long)]
        site: Option<String>,
        /// Show what would change, and change nothing
        #[arg(long, conflicts_with = "yes")]
        dry_run: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Print all data about a person as JSON
    Export {
        /// Account id, user name or e-mail address
        person: String,
        /// Only from this site [default: all sites]
        #[arg(long)]
        site: Option<String>,
    },
}

pub(super) async fn run(args: PeopleArgs, context: &Context) -> Result<(), Error> {
    match args.verb {
        Verb::Forget { person, site, dry_run, yes } => forget(context, &person, site.as_deref(), dry_run, yes).await,
        Verb::Export { person, site } => {
            let accounts = find(context, &person, site.as_deref()).await?;
            let mut documents = Vec::with_capacity(accounts.len());
            for account in &accounts {
                documents.push(people::export(&context.pool, account).await?);
            }
            context.output.json(&documents)
        }
    }
}

/// What names an account.
#[derive(Serialize)]
struct Named {
    site: String,
    account_id: String,
    display_name: String,
    #[serde(flatten)]
    counts: Counts,
}

#[derive(Serialize)]
struct Report<'a> {
    applied: bool,
    accounts: &'a [Named],
}

async fn find(context: &Context, person: &str, site_name: Option<&str>) -> Result<Vec<Account>, Error> {
    let site_id = match site_name {
        Some(name) => Some(site::find(context, name).await?.id),
        None => None,
    };
    let accounts = people::find_accounts(&context.pool, person, site_id).await?;
    if accounts.is_empty() {
        return Err(Error::failure(format!("no user has the account id, user name or e-mail address {person:?}"))
            .help("list the users with `syncline user list`; a forgotten person has only an account id"));
    }
    Ok(accounts)
}

async fn forget(
    context: &Context,
    person: &str,
    site_name: Option<&str>,
    dry_run: bool,
    yes: bool,
) -> Result<(), Error> {
    let accounts = find(context, person, site_name).await?;
    let mut named = Vec::with_capacity(accounts.len());
    for account in &accounts {
        named.push(Named {
            site: account.site.clone(),
            account_id: account.account_id.clone(),
            display_name: account.display_name.clone(),
            counts: count(context, account).await?,
        });
    }
    let asks = io::stdin().is_terminal() && io::stderr().is_terminal();
    let acts = !dry_run && (yes || asks);
    let is_json = context.output.format() == Format::Json;
    if !is_json {
        context.output.rows(&named, "")?;
    }
    if acts {
        let users =
            if accounts.len() == 1 { "this user".to_owned() } else { format!("these {} users", accounts.len()) };
        confirm(&format!("permanently erase the names of {users}"), yes)?;
        for account in &accounts {
            apply(context, account).await?;
        }
    }
    if is_json {
        return context.output.result("", &Report { applied: acts, accounts: &named });
    }
    context.output.note(match acts {
        true => {
            "erased from this database. Backups, replicas of this database, sent e-mails and Jira itself remain \
            your task"
        }
        false => "nothing was changed: repeat the command with --yes",
    });
    Ok(())
}

/// What would be changed.
async fn count(context: &Context, account: &Account) -> Result<Counts, Error> {
    let mut transaction = context.pool.begin().await.map_err(crate::store::Error::from)?;
    let mut counts = people::erase_records(&mut transaction, account, false).await?;
    counts.add(people::unlink_person(&mut transaction, account, true, false).await?);
    let marks = people::marks_of(&mut transaction, account).await?;
    transaction.rollback().await.map_err(crate::store::Error::from)?;
    let mut alone = people::alone(account, &marks);
    if account.forgotten_at.is_some() {
        alone = people::forgotten(&context.pool, account.site_id).await?;
    }
    let own = std::slice::from_ref(&account.account_id);
    let mut position = Some(Position::default());
    while let Some(at) = position {
        let mut conn = crate::store::acquire(&context.pool).await?;
        let (next, found) = people::sweep(&mut conn, account.site_id, &alone, own, at, false).await?;
        conn.give_back();
        counts.add(found);
        position = next;
    }
    Ok(counts)
}

/// Changes it: what this program wrote and the user's row at once, then the replica in small transactions. What is
/// interrupted is gone on with by the next reading of the site's users.
async fn apply(context: &Context, account: &Account) -> Result<(), Error> {
    let failed = crate::store::Error::from;
    let mut transaction = context.pool.begin().await.map_err(failed)?;
    people::erase_records(&mut transaction, account, true).await?;
    let marks = people::marks_of(&mut transaction, account).await?;
    people::mark(&mut transaction, account, &marks, true, &context.actor()).await?;
    transaction.commit().await.map_err(failed)?;
    let forgotten = people::forgotten(&context.pool, account.site_id).await?;
    let own = std::slice::from_ref(&account.account_id);
    let mut position = Some(Position::default());
    while let Some(at) = position {
        let mut transaction = context.pool.begin().await.map_err(failed)?;
        let (next, _) = people::sweep(&mut transaction, account.site_id, &forgotten, own, at, true).await?;
        if next.is_none() {
            people::erased(&mut transaction, account.site_id, &account.account_id).await?;
        }
        transaction.commit().await.map_err(failed)?;
        position = next;
    }
    Ok(())
}

impl Row for Named {
    const HEADERS: &'static [&'static str] = &[
        "SITE",
        "ACCOUNT",
        "USER",
        "ISSUES",
        "COMMENTS",
        "WORKLOGS",
        "CHANGES",
        "LISTED IN",
        "MEMBERS",
        "LOG",
        "AUDIT",
    ];

    fn cells(&self) -> Vec<String> {
        let Counts { issues, comments, worklogs, changes, tracked_in, members, log_entries, audit_entries, .. } =
            self.counts;
        let counts = [issues, comments, worklogs, changes, tracked_in, members, log_entries, audit_entries];
        let texts = [&self.site, &self.account_id, &self.display_name].map(String::clone);
        texts.into_iter().chain(counts.map(|count| count.to_string())).collect()
    }
}

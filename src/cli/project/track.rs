//! `syncline project track`: whose issues a project brings.

use serde::Serialize;

use super::super::output::time;
use super::super::{Context, Error, Format, Row, completing, site};
use super::{find, name};
use crate::store::project::Project;
use crate::store::tracking::{self, Subject, Tracked, TrackedUser};

#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
An issue concerns a user who is its assignee or reporter, or logged work on it. Adding a user reads the whole
history of that user; removing one keeps what the replica has.

Examples:
  syncline project track acme/WEB add ana@example.com 5b10a2844c20165700ede21g
  syncline project track acme/WEB list
  syncline project track acme/WEB all")]
pub(super) struct TrackArgs {
    /// KEY or SITE/KEY
    #[arg(add = completing::projects())]
    project: String,
    /// What to do
    #[arg(value_enum)]
    act: Act,
    /// Users, by account id or e-mail address; on Data Center by user name, too
    #[arg(value_name = "USER")]
    users: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Act {
    /// Bring every issue; a full run reads what was left out
    All,
    /// Bring only issues that concern listed users
    Listed,
    /// List users: only issues that concern listed users are brought
    Add,
    /// Take users off the list
    Remove,
    /// Show whose issues are brought
    List,
}

/// Whose issues are brought.
#[derive(Serialize)]
struct Shown {
    project: String,
    tracking: String,
    users: Vec<TrackedUser>,
}

pub(super) async fn run(args: TrackArgs, context: &Context) -> Result<(), Error> {
    let project = find(context, &args.project, false).await?;
    let takes_users = matches!(args.act, Act::Add | Act::Remove);
    if takes_users == args.users.is_empty() {
        let problem = if takes_users { "no USER is given" } else { "a USER makes no sense here" };
        return Err(Error::usage(problem).help("write e.g. `syncline project track WEB add ana@example.com`"));
    }
    let (full_name, actor) = (name(&project), context.actor());
    let subject = Subject { project_id: project.id, name: &full_name, actor: &actor };
    match args.act {
        Act::List => list(&project, context).await,
        Act::All => {
            let done = tracking::set_mode(&context.pool, subject, "all").await?;
            say(&format!("{full_name} brings every issue"), &done, &project, context)
        }
        Act::Listed => {
            if tracking::list(&context.pool, project.id).await?.is_empty() {
                return Err(Error::failure(format!("{full_name} lists no user: it would bring nothing"))
                    .help(format!("add users, e.g. syncline project track {full_name} add ana@example.com")));
            }
            let done = tracking::set_mode(&context.pool, subject, "listed").await?;
            say(&format!("{full_name} brings only issues that concern listed users"), &done, &project, context)
        }
        Act::Add => {
            let was = tracking::mode(&context.pool, project.id).await?;
            let accounts = accounts(&args.users, &project, context).await?;
            let done = tracking::add(&context.pool, subject, &accounts).await?;
            say(&format!("added {} of {} users", done.changed.len(), accounts.len()), &done, &project, context)?;
            if was == "all" {
                context.output.note(&format!(
                    "from now on {full_name} brings only issues that concern listed users; what the replica has stays. \
                     Back to every issue: syncline project track {full_name} all"
                ));
            }
            Ok(())
        }
        Act::Remove => {
            let accounts = listed(&args.users, &project, context).await?;
            let done = tracking::remove(&context.pool, subject, &accounts).await?;
            say(&format!("removed {} users; their history stays", done.changed.len()), &done, &project, context)?;
            if tracking::list(&context.pool, project.id).await?.is_empty() {
                context.output.warn(&format!(
                    "{full_name} lists nobody now, and brings nothing: add users, or syncline project track {full_name} all"
                ));
            }
            Ok(())
        }
    }
}

async fn list(project: &Project, context: &Context) -> Result<(), Error> {
    let tracking = tracking::mode(&context.pool, project.id).await?;
    let users = tracking::list(&context.pool, project.id).await?;
    if context.output.format() == Format::Json {
        return context.output.result("", &Shown { project: name(project), tracking, users });
    }
    context.output.rows(&users, "no user is listed")?;
    context.output.note(match tracking.as_str() {
        "listed" => "only issues that concern these users are brought",
        _ => "every issue is brought",
    });
    Ok(())
}

fn say(text: &str, done: &Tracked, project: &Project, context: &Context) -> Result<(), Error> {
    context.output.result(text, done)?;
    match done.run_id {
        Some(run) => context.output.note(&format!("run {run} reads what is wanted now")),
        None if project.state == "paused" => {
            context.output.note(&format!("{} is paused: it counts once it is resumed", name(project)));
        }
        None => {}
    }
    Ok(())
}

/// The account ids that texts name on the list of a project.
async fn listed(texts: &[String], project: &Project, context: &Context) -> Result<Vec<String>, Error> {
    let users = tracking::list(&context.pool, project.id).await?;
    let is = |user: &TrackedUser, text: &str| {
        let is_named = user.username.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(text));
        user.account_id == text || is_named || user.email.as_ref().is_some_and(|email| email.eq_ignore_ascii_case(text))
    };
    texts
        .iter()
        .map(|text| {
            let found = users.iter().find(|user| is(user, text)).map(|user| user.account_id.clone());
            found.ok_or_else(|| {
                Error::failure(format!("{text:?} is not on the list of {}", name(project)))
                    .help(format!("see the list with `syncline project track {} list`", name(project)))
            })
        })
        .collect()
}

/// The account ids of texts: as the replica knows them, else as Jira does.
async fn accounts(texts: &[String], project: &Project, context: &Context) -> Result<Vec<String>, Error> {
    let site = site::find(context, &project.site).await?;
    let known = tracking::look_up(&context.pool, site.id, texts).await?;
    let mut accounts = Vec::with_capacity(texts.len());
    for text in texts {
        let mut found: Vec<String> =
            known.iter().filter(|(asked, _)| asked == text).map(|(_, account)| account.clone()).collect();
        if found.is_empty() {
            found = super::who::ask(text, &site, context).await?;
        }
        match found.as_slice() {
            [account] => accounts.push(account.clone()),
            [] => return Err(unknown(text, &site.name)),
            several => {
                return Err(Error::failure(format!("{text:?} is {} users: {}", several.len(), several.join(", ")))
                    .help("name the one that you mean by its account id"));
            }
        }
    }
    Ok(accounts)
}

fn unknown(text: &str, site: &str) -> Error {
    if text.contains('@') {
        return Error::failure(format!("no user of site {site} shows the e-mail address {text:?}")).help(
            "Jira hides addresses that their owners do not show: name the user by account id, the last part of the \
             address of their profile page",
        );
    }
    Error::failure(format!("site {site} has no user with the account id {text:?}"))
        .help(format!("list the users with `syncline user list {site}`"))
}

impl Row for TrackedUser {
    const HEADERS: &'static [&'static str] = &["USER", "ACCOUNT", "EMAIL", "HISTORY READ", "ADDED BY", "ADDED"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.display_name.clone().unwrap_or_else(|| "-".into()),
            self.account_id.clone(),
            self.email.clone().unwrap_or_else(|| "hidden".into()),
            match (self.unknown_since, self.backfilled_at) {
                (Some(since), _) => format!("unknown to Jira since {}", time(since)),
                (None, Some(at)) => time(at),
                (None, None) => "not yet".into(),
            },
            self.added_by.clone(),
            time(self.added_at),
        ]
    }
}

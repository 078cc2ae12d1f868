//! `syncline account`: people who sign in.

use clap::Subcommand;
use serde::Serialize;

use super::output::{time, time_or_dash};
use super::secret_input::PasswordFrom;
use super::{Context, Error, Row, completing, confirm};
use crate::app::account::{self, Account, Change, NewOne};
use crate::app::session::{self, Session};

/// Create, change or remove accounts of people who sign in
#[derive(Debug, clap::Args)]
pub struct AccountArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Create an account
    #[command(after_help = "\
Examples:
  syncline account add ana --role administrator
  syncline account add bo --role operator --project OPS --password-file /run/secrets/bo")]
    Add {
        /// What they sign in with
        name: String,
        /// What they may do: viewer, operator, administrator
        #[arg(long, default_value = "viewer", hide_possible_values = true, value_parser = ["viewer", "operator", "administrator"])]
        role: String,
        /// Their address
        #[arg(long)]
        email: Option<String>,
        /// The only projects that they reach, each as KEY or SITE/KEY [default: all]
        #[arg(long = "project", value_name = "PROJECT", add = completing::projects())]
        projects: Vec<String>,
        /// Let them read comments and worklogs that Jira shows to some people only
        #[arg(long)]
        restricted: bool,
        /// Give them no password: an OpenID provider says who they are
        #[arg(long, conflicts_with_all = ["password_stdin", "password_file"])]
        no_password: bool,
        #[command(flatten)]
        password: PasswordFrom,
    },
    /// List accounts
    List {},
    /// Give an account another role; open sessions follow at once
    Role {
        /// The account
        name: String,
        /// viewer, operator or administrator
        #[arg(hide_possible_values = true, value_parser = ["viewer", "operator", "administrator"])]
        role: String,
        /// Whether they read comments and worklogs that Jira shows to some people only [default: as before]
        #[arg(long, value_name = "true|false")]
        restricted: Option<bool>,
    },
    /// Say which projects an account reaches
    Projects {
        /// The account
        name: String,
        /// The only projects, each as KEY or SITE/KEY
        #[arg(required_unless_present = "all", conflicts_with = "all", add = completing::projects())]
        projects: Vec<String>,
        /// All projects
        #[arg(long)]
        all: bool,
    },
    /// Set another password; the account's sessions end
    Password {
        /// The account
        name: String,
        #[command(flatten)]
        password: PasswordFrom,
    },
    /// Disable an account: its sessions end, and its tokens do nothing meanwhile
    Disable {
        /// The account
        name: String,
    },
    /// Let a disabled account sign in again
    Enable {
        /// The account
        name: String,
    },
    /// Remove an account: its sessions end, and its tokens are revoked
    Remove {
        /// The account
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// List sessions, newest first
    Sessions {
        /// Those of this account [default: all]
        name: Option<String>,
    },
    /// End sessions: all of an account, or one
    SignOut {
        /// The account
        #[arg(required_unless_present = "session")]
        name: Option<String>,
        /// This one
        #[arg(long, value_name = "ID", conflicts_with = "name")]
        session: Option<String>,
    },
}

impl AccountArgs {
    /// Whether somebody is asked for something meanwhile.
    pub(super) fn asks(&self) -> bool {
        matches!(self.verb, Verb::Add { .. } | Verb::Password { .. } | Verb::Remove { .. })
    }
}

impl Row for Account {
    const HEADERS: &'static [&'static str] =
        &["ACCOUNT", "ROLE", "RESTRICTED", "PROJECTS", "EMAIL", "BY", "CREATED", "LAST SIGN-IN", "DISABLED"];
    const SPARE: &'static [&'static str] = &["BY", "EMAIL", "CREATED", "RESTRICTED"];

    fn cells(&self) -> Vec<String> {
        let by = match (&self.provider, self.has_password) {
            (Some(_), _) => "provider",
            (None, true) => "password",
            (None, false) => "-",
        };
        vec![
            self.name.clone(),
            self.role.clone(),
            if self.restricted { "yes" } else { "no" }.to_owned(),
            self.projects.as_ref().map_or_else(|| "all".to_owned(), |ids| ids.len().to_string()),
            self.email.clone().unwrap_or_else(|| "-".to_owned()),
            by.to_owned(),
            time(self.created_at),
            time_or_dash(self.last_sign_in_at),
            time_or_dash(self.disabled_at),
        ]
    }
}

impl Row for Session {
    const HEADERS: &'static [&'static str] = &["SESSION", "ACCOUNT", "BEGAN", "LAST SEEN", "ENDS", "FROM", "BROWSER"];
    const SPARE: &'static [&'static str] = &["BROWSER", "ENDS", "FROM"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.account.clone(),
            time(self.created_at),
            time(self.last_seen_at),
            time(self.ends_at),
            self.address.clone().unwrap_or_else(|| "-".to_owned()),
            self.user_agent.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    }
}

/// Sessions that were ended.
#[derive(Serialize)]
struct Ended {
    ended: usize,
}

pub(super) async fn run(args: AccountArgs, context: &Context) -> Result<(), Error> {
    let (app, actor, output) = (context.app(), context.acting(), context.output);
    let (name, change, done) = match args.verb {
        Verb::Add { name, role, email, projects, restricted, no_password, password } => {
            let password = if no_password { None } else { Some(password.read(output)?) };
            let asked = NewOne { name, email, role: Some(role), restricted, projects, password };
            let made = account::create(&app, &actor, &asked).await?;
            return output.result(&format!("made the account {}, {}", made.name, made.role), &made);
        }
        Verb::List {} => {
            let accounts = account::list(&app, &actor).await?;
            return output.rows(&accounts, "nobody can sign in: make an account with `syncline account add NAME`");
        }
        Verb::Remove { name, yes } => {
            account::find(&app, &actor, &name).await?;
            confirm::confirm(&format!("remove the account {name}, end its sessions and revoke its tokens"), yes)?;
            let removed = account::remove(&app, &actor, &name).await?;
            return output.result(&format!("removed {}", removed.name), &removed);
        }
        Verb::Sessions { name } => {
            let sessions = session::list(&app, &actor, name.as_deref()).await?;
            return output.rows(&sessions, "nobody is signed in");
        }
        Verb::SignOut { name, session } => {
            let ended = match (name, session) {
                (Some(name), _) => session::end_all(&app, &actor, &name).await?,
                (None, Some(id)) => session::end(&app, &actor, crate::app::id("session", &id)?).await.map(|()| 1)?,
                (None, None) => 0,
            };
            return output.result(&format!("ended {ended} sessions"), &Ended { ended });
        }
        Verb::Role { name, role, restricted } => {
            (name, Change { role: Some(role), restricted, ..Change::default() }, "changed the role of")
        }
        Verb::Projects { name, projects, all: _ } => {
            (name, Change { projects: Some(projects), ..Change::default() }, "changed the projects of")
        }
        Verb::Password { name, password } => {
            account::find(&app, &actor, &name).await?;
            let password = Some(password.read(output)?);
            (name, Change { password, ..Change::default() }, "changed the password of")
        }
        Verb::Disable { name } => (name, Change { disabled: Some(true), ..Change::default() }, "disabled"),
        Verb::Enable { name } => (name, Change { disabled: Some(false), ..Change::default() }, "enabled"),
    };
    let changed = account::change(&app, &actor, &name, &change).await?;
    output.result(&format!("{done} {}", changed.name), &changed)
}

//! `syncline role`: roles of least rights in the database.

use clap::{Args, Subcommand};

use super::{Context, Error, Row};
use crate::store;
use crate::store::role::{self, Named, Part, State};

/// PostgreSQL cuts longer names short.
const NAME_LIMIT_BYTES: usize = 63;

/// Create database roles with least privileges: owner, worker, enqueuer, reader
#[derive(Debug, Args)]
pub struct RoleArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Create missing roles and grant their privileges; repeating the command changes nothing
    #[command(after_long_help = "\
The roles do not log in: make your users members of them, e.g. GRANT syncline_reader TO grafana. The user that
owns the schema now becomes a member of the owner and goes on as before. Who may not make roles prints the
statements for somebody who may:

  syncline role create --sql | psql postgres://postgres@db/syncline")]
    Create {
        #[command(flatten)]
        names: Names,
        /// Print the statements and change nothing
        #[arg(long)]
        sql: bool,
    },
    /// Grant the roles their stated privileges and revoke others; `syncline migrate` does this too
    Grant {
        /// Print the statements and change nothing
        #[arg(long)]
        sql: bool,
    },
    /// Show the roles, their members, and privileges that differ from the stated ones
    Show,
}

#[derive(Debug, Args)]
struct Names {
    /// Owns the schema and migrates it [default: as recorded, else syncline_owner]
    #[arg(long, value_name = "ROLE")]
    owner: Option<String>,
    /// Used by workers and the command line [default: as recorded, else syncline_worker]
    #[arg(long, value_name = "ROLE")]
    worker: Option<String>,
    /// Requests runs, and reads nothing [default: as recorded, else syncline_enqueuer]
    #[arg(long, value_name = "ROLE")]
    enqueuer: Option<String>,
    /// Reads the replica, but no credentials [default: as recorded, else syncline_reader]
    #[arg(long, value_name = "ROLE")]
    reader: Option<String>,
}

pub(super) async fn run(args: RoleArgs, context: &Context) -> Result<(), Error> {
    let mut conn = context.pool.acquire().await.map_err(store::Error::from)?;
    let statements = match &args.verb {
        Verb::Create { names, .. } => {
            let names = chosen(names, &role::recorded(&mut conn).await?)?;
            role::creation(&mut conn, &names).await?
        }
        Verb::Grant { .. } if role::recorded(&mut conn).await?.is_empty() => return Err(none_yet()),
        Verb::Grant { .. } => {
            role::act_as_owner(&mut conn).await?;
            role::regrant(&mut conn).await?
        }
        Verb::Show => {
            drop(conn);
            let roles = role::report(&context.pool).await?;
            return context.output.rows(&roles, "there are no roles yet: create them with `syncline role create`");
        }
    };
    if let Verb::Create { sql: true, .. } | Verb::Grant { sql: true } = args.verb {
        return print(context, &statements);
    }
    role::execute(&mut conn, &statements, Some(&context.actor())).await.map_err(explain)?;
    context.output.note(&match statements.len() {
        0 => "nothing to do: every role has its privileges".to_owned(),
        n => format!("{n} statements were executed; make your users members, e.g. GRANT syncline_reader TO grafana"),
    });
    Ok(())
}

/// The names to use, in the order of their parts.
fn chosen(given: &Names, recorded: &[Named]) -> Result<Vec<Named>, Error> {
    let mut names: Vec<Named> = Vec::new();
    for part in Part::ALL {
        let given = match part {
            Part::Owner => &given.owner,
            Part::Worker => &given.worker,
            Part::Enqueuer => &given.enqueuer,
            Part::Reader => &given.reader,
        };
        let before = recorded.iter().find(|(known, _)| *known == part).map(|(_, name)| name);
        let name = given.as_ref().or(before).cloned().unwrap_or_else(|| format!("syncline_{}", part.as_str()));
        let problem = match name.as_str() {
            "" => "is empty".to_owned(),
            text if text.len() > NAME_LIMIT_BYTES => format!("has {} bytes, more than 63", text.len()),
            text if text.starts_with("pg_") => "begins with pg_, which PostgreSQL reserves".to_owned(),
            text if text.eq_ignore_ascii_case("public") || text.eq_ignore_ascii_case("none") => {
                format!("is {text:?}, which PostgreSQL reserves")
            }
            text if text.chars().any(char::is_control) => "holds control characters".to_owned(),
            text if names.iter().any(|(_, other)| other == text) => format!("is {text:?}, like that of another part"),
            _ => {
                names.push((part, name));
                continue;
            }
        };
        return Err(Error::usage(format!("--{} {problem}", part.as_str())).help("write four different names of roles"));
    }
    Ok(names)
}

fn print(context: &Context, statements: &[String]) -> Result<(), Error> {
    if statements.is_empty() {
        context.output.note("nothing to do: every role has its privileges");
        return Ok(());
    }
    context.output.print("BEGIN;")?;
    statements.iter().try_for_each(|statement| context.output.print(&format!("{statement};")))?;
    context.output.print("COMMIT;")
}

fn explain(problem: store::Error) -> Error {
    match problem.sqlstate().as_deref() {
        // insufficient_privilege
        Some("42501") => Error::from(problem).help(
            "this user may not create roles or change the schema's owner: let an authorised user run the output of \
                `syncline role create --sql` (or `role grant --sql`)",
        ),
        _ => problem.into(),
    }
}

fn none_yet() -> Error {
    Error::failure("this database has no roles yet").help("create them with `syncline role create`")
}

impl Row for State {
    const HEADERS: &'static [&'static str] = &["PART", "ROLE", "STATE", "MEMBERS", "WHAT DIFFERS"];

    fn cells(&self) -> Vec<String> {
        let state = match (self.exists, self.differences.is_empty()) {
            (false, _) => "missing",
            (true, true) => "as stated",
            (true, false) => "differs",
        };
        let differences = match self.differences.as_slice() {
            [] => "-".to_owned(),
            [one] => one.clone(),
            [first, rest @ ..] => format!("{first} and {} more: syncline role grant --sql", rest.len()),
        };
        let members = if self.members.is_empty() { "-".to_owned() } else { self.members.join(", ") };
        vec![self.part.as_str().to_owned(), self.name.clone(), state.to_owned(), members, differences]
    }
}

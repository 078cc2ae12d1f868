//! The command line: `syncline NOUN VERB`.
//!
//! Data go to standard output, everything else to standard error; exit codes are those of [`Exit`]. One file per noun;
//! each has its arguments and what they do. What is destructive asks, or takes `--yes`.
//!
//! What must hold: a failure is one `error:` line that says what is wrong and, where something can be done, one `help:`
//! line; a command holds no SQL and no knowledge of Jira's shapes.

mod account;
mod alert;
mod arguments;
mod audit;
mod completing;
mod completions;
mod config;
mod confirm;
mod context;
mod database;
mod demo;
mod doctor;
mod drift;
mod error;
mod export;
mod health;
mod healthcheck;
mod ids;
mod insight;
mod keeper;
mod log;
mod manual;
mod member;
pub mod migrate;
mod output;
mod patience;
mod people;
mod progress;
mod project;
mod psql;
mod queue;
#[cfg(test)]
mod reference;
mod role;
mod run;
mod schedule;
mod secret_input;
mod selection;
mod serve;
pub mod simulate;
mod site;
mod sync;
mod table;
mod token;
mod up;
mod upgrade;
mod user;
mod verify;
mod worker;

pub use arguments::{complete, parse};
pub use context::{Context, Globals, Usage};
pub use error::{Error, Exit};
pub use output::{Fields, Format, Output, Row};
pub use progress::{ProgressView, watch};

use std::net::SocketAddr;

use clap::{Parser, Subcommand};
use futures::future::BoxFuture;

use crate::store;

/// What a process that stays does: composed by the runtime, which stands above the commands.
pub type Work = for<'a> fn(&'a Context, Parts, Announce<'a>) -> BoxFuture<'a, anyhow::Result<()>>;

/// What such a process is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parts {
    /// `syncline worker`: executes steps and follows schedules.
    Worker,
    /// `syncline serve`: serves the API.
    Api,
    /// `syncline serve --only webhooks`: takes webhooks and serves nothing else.
    Webhooks,
    /// `syncline up`: both.
    All,
}

/// Hears where a process serves, once it works.
pub type Announce<'a> = Box<dyn FnOnce(Served) + Send + 'a>;

/// Where a process serves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Served {
    /// Probes and metrics; none when they are turned off.
    pub admin: Option<SocketAddr>,
    /// The API; none where it is not part of the process.
    pub api: Option<SocketAddr>,
}

/// Keeps a PostgreSQL replica of Jira fresh and provably right.
#[derive(Debug, Parser)]
#[command(name = "syncline", version, max_term_width = 100, after_help = AFTER_HELP)]
pub struct Cli {
    /// Flags of every command.
    #[command(flatten)]
    pub globals: Globals,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const AFTER_HELP: &str = "\
Exit codes: 0 ok, 1 failure, 2 usage or configuration, 3 something is unhealthy.
Configuration: defaults < file < SYNCLINE__SECTION__KEY < flags; see `syncline config show`.

First steps:
  syncline demo                                      see it work, with a simulated Jira
  syncline up                                        migrate and run a worker, in one process
  syncline site add acme --url https://acme.atlassian.net \\
      --email bot@example.com --credential env:JIRA_TOKEN
  syncline project add acme KEY                      synchronise a project
  syncline psql                                      query the replica with SQL";

/// Every command.
#[derive(Debug, Subcommand)]
#[allow(missing_docs)] // the variants' texts are those of their arguments
pub enum Command {
    Up(up::UpArgs),
    Migrate(migrate::MigrateArgs),
    Worker(worker::WorkerArgs),
    Serve(serve::ServeArgs),
    Site(site::SiteArgs),
    Project(project::ProjectArgs),
    Member(member::MemberArgs),
    User(user::UserArgs),
    People(people::PeopleArgs),
    Sync(sync::SyncArgs),
    Run(run::RunArgs),
    Log(log::LogArgs),
    Queue(queue::QueueArgs),
    Schedule(schedule::ScheduleArgs),
    Health(health::HealthArgs),
    Insight(insight::InsightArgs),
    Export(export::ExportArgs),
    Alert(alert::AlertArgs),
    Verify(verify::VerifyArgs),
    Drift(drift::DriftArgs),
    Account(account::AccountArgs),
    Token(token::TokenArgs),
    Audit(audit::AuditArgs),
    Role(role::RoleArgs),
    Doctor(doctor::DoctorArgs),
    Psql(psql::PsqlArgs),
    Database(database::DatabaseArgs),
    Healthcheck(healthcheck::HealthcheckArgs),
    Simulate(simulate::SimulateArgs),
    Demo(demo::DemoArgs),
    Config(config::ConfigArgs),
    Completions(completions::CompletionsArgs),
    #[command(hide = true)]
    KeepPrivateServer(keeper::KeeperArgs),
    #[command(hide = true)]
    ManPages(manual::ManPagesArgs),
}

/// Executes a command and says how the process ends; a failure has been printed by then.
pub async fn main(cli: Cli, work: Work) -> Exit {
    match execute(cli, work).await {
        Ok(()) => Exit::Ok,
        Err(problem) => {
            problem.print();
            problem.exit
        }
    }
}

async fn execute(cli: Cli, work: Work) -> Result<(), Error> {
    let Cli { globals, command } = cli;
    let output = globals.output();
    if let Command::Completions(args) = command {
        return completions::run(&args, output);
    }
    if let Command::ManPages(args) = command {
        return manual::run(&args);
    }
    if let Command::KeepPrivateServer(args) = command {
        return keeper::run(&args, output).await;
    }
    let loaded = globals.load_config()?;
    let is_service = matches!(
        command,
        Command::Up(_) | Command::Worker(_) | Command::Serve(_) | Command::Simulate(_) | Command::Demo(_)
    );
    let guard = globals.start_logs(&loaded.config, is_service)?;
    let outcome = match command {
        Command::Config(args) if args.is_offline() => config::show(&loaded, output),
        Command::Simulate(args) => simulate::run(args).await.map_err(Error::from),
        Command::Demo(args) => demo::run(args, loaded.config, output).await,
        Command::Doctor(args) => doctor::run(args, loaded.config, output).await,
        Command::Healthcheck(args) => healthcheck::run(args, &loaded.config, output).await,
        Command::Database(args) => match args.upgrade() {
            Ok(args) => upgrade::run(&args, &loaded.config, output).await,
            Err(args) => with_database(Command::Database(args), loaded, output, work).await,
        },
        command => with_database(command, loaded, output, work).await,
    };
    guard.flush().await;
    outcome
}

async fn with_database(
    command: Command,
    loaded: crate::config::Loaded,
    output: Output,
    work: Work,
) -> Result<(), Error> {
    let is_service = matches!(command, Command::Up(_) | Command::Worker(_) | Command::Serve(_));
    let usage = if is_service { Usage::Service } else { Usage::Command };
    let context = Context::connect(loaded.config, output, usage).await?;
    let outcome = match answers_at_once(&command) {
        true => store::within(store::patience::LONGEST, dispatch(command, &loaded.settings, &context, work)).await,
        false => dispatch(command, &loaded.settings, &context, work).await,
    };
    if is_service {
        context.stop().await
    } else {
        context.close().await
    }
    outcome
}

/// Whether a command only asks the database, a few statements long: it need not be waited for when nothing is heard. The
/// others wait for Jira, for a run or for a schema, and limit what they ask by themselves.
fn answers_at_once(command: &Command) -> bool {
    match command {
        Command::Queue(_)
        | Command::Schedule(_)
        | Command::Health(_)
        | Command::Insight(_)
        | Command::Drift(_)
        | Command::Token(_)
        | Command::Audit(_) => true,
        Command::Account(args) => !args.asks(),
        Command::Log(args) => !args.waits(),
        Command::Run(args) => !args.waits(),
        Command::Sync(args) => !args.waits(),
        _ => false,
    }
}

/// Migrating holds a lock of its session, which a pooler in transaction mode cannot. Answers what was done, a line each.
async fn migrate_by_the_direct_way(args: &migrate::MigrateArgs, context: &Context) -> (Result<(), Error>, String) {
    let mut said = Vec::new();
    let outcome = match &context.config.database.direct_url {
        None => migrate::run(args, &context.pool, &mut said).await,
        Some(url) => {
            let options = crate::store::PoolOptions { max_connections: 2, ..crate::store::PoolOptions::default() };
            match crate::store::connect(url, &options).await {
                Ok(direct) => {
                    let outcome = migrate::run(args, &direct, &mut said).await;
                    direct.close().await;
                    outcome
                }
                Err(problem) => Err(problem.into()),
            }
        }
    };
    (outcome.map_err(Error::from), String::from_utf8_lossy(&said).trim_end().to_owned())
}

async fn dispatch(
    command: Command,
    configured: &[crate::config::Setting],
    context: &Context,
    work: Work,
) -> Result<(), Error> {
    match command {
        Command::Migrate(args) => {
            let (outcome, said) = migrate_by_the_direct_way(&args, context).await;
            if !said.is_empty() {
                context.output.print(&said)?;
            }
            return outcome;
        }
        Command::Up(args) => return up::run(&args, context, work).await,
        Command::Psql(args) => return psql::run(&args, context).await,
        Command::Database(args) => return database::run(args, context).await,
        _ => {}
    }
    context.check_schema().await?;
    match command {
        Command::Worker(_) => Ok(work(context, Parts::Worker, Box::new(|_| {})).await?),
        Command::Serve(args) => serve::run(&args, context, work).await,
        Command::Site(args) => site::run(args, context).await,
        Command::Project(args) => project::run(args, context).await,
        Command::Member(args) => member::run(args, context).await,
        Command::User(args) => user::run(args, context).await,
        Command::People(args) => people::run(args, context).await,
        Command::Sync(args) => sync::run(args, context).await,
        Command::Run(args) => run::run(args, context).await,
        Command::Log(args) => log::run(args, context).await,
        Command::Queue(args) => queue::run(args, context).await,
        Command::Schedule(args) => schedule::run(args, context).await,
        Command::Health(args) => health::run(args, context).await,
        Command::Insight(args) => insight::run(args, context).await,
        Command::Export(args) => export::run(args, context).await,
        Command::Alert(args) => alert::run(args, context).await,
        Command::Verify(args) => verify::run(args, context).await,
        Command::Drift(args) => drift::run(args, context).await,
        Command::Account(args) => account::run(args, context).await,
        Command::Token(args) => token::run(args, context).await,
        Command::Audit(args) => audit::run(args, context).await,
        Command::Role(args) => role::run(args, context).await,
        Command::Config(args) => config::run(args, configured, context).await,
        // These have been handled before a database was needed.
        Command::Migrate(_)
        | Command::Up(_)
        | Command::Psql(_)
        | Command::Database(_)
        | Command::KeepPrivateServer(_)
        | Command::Doctor(_)
        | Command::Healthcheck(_)
        | Command::Simulate(_)
        | Command::Demo(_)
        | Command::Completions(_)
        | Command::ManPages(_) => Ok(()),
    }
}

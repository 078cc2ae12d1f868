//! What a command works with: the configuration, the database, the clock, the output.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use sqlx::PgPool;

use super::Error;
use super::output::{Format, Output};
use crate::app::{Actor, App};
use crate::clock::Clock;
use crate::config::{self, Config, LogFormat};
use crate::observe::{self, logs};
use crate::postgres::{Cluster, ClusterOptions};
use crate::store::{self, Connections};

/// How long connections may take to be given back at the end.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// How a command uses the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// Somebody waits for its end.
    Command,
    /// It is started with the machine, maybe before the database is, and works as long as it lives.
    Service,
}

impl Usage {
    /// How long the first connection is waited for.
    fn first_timeout(self) -> Duration {
        Duration::from_secs(if self == Self::Service { 60 } else { 10 })
    }

    /// How long a session of this process may do nothing inside a transaction: one that was frozen (a stopped job, a machine
    /// that is moved) would keep its locks from everybody for as long.
    fn idle_in_transaction(self) -> Duration {
        Duration::from_secs(if self == Self::Service { 3 } else { 10 })
    }
}

/// Flags of every command.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct Globals {
    /// Configuration file [default: $SYNCLINE_CONFIG, else syncline.toml if it exists]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// PostgreSQL server [default: $DATABASE_URL, else a private server that starts when it is needed]
    #[arg(long, global = true, value_name = "URL")]
    pub database_url: Option<String>,
    /// How data are printed [default: table]
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        value_name = "FORMAT",
        hide_possible_values = true,
        long_help = "Output format: table, json, or jsonl [default: table]"
    )]
    pub output: Option<Format>,
    /// Print every column of a table, even on a narrow terminal
    #[arg(long, global = true)]
    pub wide: bool,
    /// Print without colours, like the environment variable NO_COLOR
    #[arg(long, global = true)]
    pub no_color: bool,
    /// Print only data and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Log more: -v for events, -vv for details
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

impl Globals {
    /// The configuration that these flags, the environment and the file make.
    ///
    /// # Errors
    /// What is wrong with it: exit code 2.
    pub fn load_config(&self) -> Result<config::Loaded, Error> {
        let mut sources = config::Sources { file: self.config.clone(), ..config::Sources::of_process() };
        if let Some(url) = &self.database_url {
            sources.flags.push(("--database-url", "database.url", url.clone()));
        }
        Ok(config::load(&sources)?)
    }

    /// The streams that these flags ask for.
    pub fn output(&self) -> Output {
        Output::new(self.output.unwrap_or_default(), self.no_color, self.quiet).wide(self.wide)
    }

    /// Starts logs. `is_service` commands (worker, simulate, demo) log as configured, the others warnings only; `-q` and
    /// `-v` win over both.
    ///
    /// # Errors
    /// When the filter or the trace collector's description cannot be read.
    pub fn start_logs(&self, config: &Config, is_service: bool) -> Result<observe::Guard, Error> {
        let filter = match (self.quiet, self.verbose) {
            (true, _) => "error",
            (_, 0) if is_service => &config.log.level,
            (_, 0) => "warn",
            (_, 1) => "info",
            (_, _) => "debug",
        };
        let format = match config.log.format {
            LogFormat::Auto => logs::LogFormat::Auto,
            LogFormat::Text => logs::LogFormat::Text,
            LogFormat::Json => logs::LogFormat::Json,
        };
        Ok(observe::init(&logs::LogOptions { format, filter: filter.to_owned() })?)
    }
}

/// What a command works with. Close or stop it at the end.
pub struct Context {
    /// The configuration.
    pub config: Config,
    /// The database.
    pub pool: PgPool,
    /// The database's URL, for connections outside the pool (LISTEN).
    pub database_url: SecretString,
    /// Time and chance.
    pub clock: Clock,
    /// Where words go.
    pub output: Output,
    cluster: Option<Cluster>,
}

impl Context {
    /// Connects to the configured database, or starts (or joins) the private server. The schema is not looked at.
    ///
    /// # Errors
    /// When the server cannot be reached or started.
    pub async fn connect(config: Config, output: Output, usage: Usage) -> Result<Self, Error> {
        let clock = Clock::system();
        let cluster = match &config.database.url {
            Some(_) => None,
            None => {
                let cluster = private_server(&config, output).await?;
                Some(cluster)
            }
        };
        let database_url = match (&config.database.url, &cluster) {
            (Some(url), _) => url.clone(),
            (None, Some(cluster)) => cluster.url().clone(),
            (None, None) => return Err(Error::failure("no database is configured")),
        };
        let options = store::PoolOptions {
            max_connections: config.database.max_connections,
            first_timeout: usage.first_timeout(),
            idle_in_transaction: usage.idle_in_transaction(),
            // Whoever waits for a command's end is told its answer, not how the database came by it.
            slow_statement: config.log.slow_statement().filter(|_| usage == Usage::Service),
            ..store::PoolOptions::default()
        };
        let pool = match store::connect(&database_url, &options).await {
            Ok(pool) => pool,
            Err(problem) => return Err(problem.into()),
        };
        // Commands decide by the database's clock as workers do; one that cannot be read is told by what comes next.
        let _ = store::within(store::patience::ANSWER, store::clock::follow(&pool, &clock)).await;
        Ok(Self { config, pool, database_url, clock, output, cluster })
    }

    /// Refuses a schema that this program does not fit.
    ///
    /// # Errors
    /// When it is too old, too new, or half migrated.
    pub async fn check_schema(&self) -> Result<(), Error> {
        store::check_version(&self.pool).await?;
        Ok(())
    }

    /// Lets go of the database. A private server that nobody else uses ends a few seconds later.
    pub async fn close(self) {
        self.leave().await;
    }

    /// Lets go of the database, and waits for the end of a private server that nobody else uses: a service leaves nothing
    /// behind that its container or its machine would have to end.
    pub async fn stop(self) {
        if let Some(cluster) = self.leave().await {
            cluster.stop().await;
        }
    }

    async fn leave(self) -> Option<Cluster> {
        // A statement that waits for a lock holds its connection: a process that was told to end now does not wait with it.
        let _ = tokio::time::timeout(CLOSE_LIMIT, self.pool.close()).await;
        self.cluster
    }

    /// Whether the database is the private server's.
    pub fn is_private(&self) -> bool {
        self.cluster.is_some()
    }

    /// The use cases on this database.
    pub fn app(&self) -> App {
        App::new(Connections::from(self.pool.clone()), self.clock.clone())
    }

    /// Who asks of the use cases.
    pub fn acting(&self) -> Actor {
        Actor::cli(self.actor())
    }

    /// Who asks, for the record: the user of the session.
    pub fn actor(&self) -> String {
        ["USER", "LOGNAME", "USERNAME"]
            .into_iter()
            .find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()))
            .unwrap_or_else(|| "cli".into())
    }
}

/// Starts or joins the private server; says where it is when it was made just now.
///
/// # Errors
/// When it cannot be started.
pub(super) async fn private_server(config: &Config, output: Output) -> Result<Cluster, Error> {
    let folder = config.database.private_folder();
    let cluster = Cluster::start_or_join(&ClusterOptions::new(&folder)).await?;
    if let Some(made) = cluster.made() {
        output.note(&format!(
            "created a private PostgreSQL server in {} (DATABASE_URL is not set); every command of this account uses \
                it",
            made.display()
        ));
    }
    Ok(cluster)
}

//! What the demo runs: PostgreSQL, two simulated sites (a Jira Cloud and a small Data Center), and worker processes.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::PgPool;
use tokio::time::Instant;
use url::Url;
use uuid::Uuid;

use super::{outage, stage::Stage};
use crate::cli::{Error, context};
use crate::clock::Clock;
use crate::config::Config;
use crate::postgres::Cluster;
use crate::simulator::{self, Amount, Handle, Kind, Options, Simulator};
use crate::store::audit::Who;
use crate::store::{self, run_view, totals};

/// Who asks for runs here.
const DEMO: Who<'_> = Who { name: "demo", way: "cli", address: None };
const DATABASE: &str = "syncline_demo";
const SITE: &str = "demo";
const PLANT: &str = "plant";
const PLANT_KEY: &str = "MAINT";
const TOKEN_VARIABLE: &str = "SYNCLINE_DEMO_TOKEN";
/// Issues of the Data Center: enough to see, few enough to cost no time.
const PLANT_ISSUES: u32 = 300;
pub(super) const LOG_FOLDER: &str = ".syncline/demo";
/// How long anything may take before the demo gives up on it.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Stack {
    pub pool: PgPool,
    /// The Cloud site, with which most of it is played.
    pub jira: Handle,
    /// The Data Center site.
    pub plant: Handle,
    url: SecretString,
    program: PathBuf,
    /// As SITE/KEY.
    projects: Vec<String>,
    workers: Vec<Worker>,
    cluster: Option<Cluster>,
}

struct Worker {
    number: usize,
    process: Child,
    address: SocketAddr,
}

impl Drop for Worker {
    fn drop(&mut self) {
        // A demo that ends early leaves no process behind; one that has ended already is no error.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Stack {
    pub async fn start(config: &Config, issues: u32, stage: &Stage) -> Result<Self, Error> {
        stage.act("PostgreSQL and two simulated sites");
        let clock = Clock::system();
        let cluster = match &config.database.url {
            Some(_) => None,
            None => Some(context::private_server(config, stage.output()).await?),
        };
        let server = match (&config.database.url, &cluster) {
            (Some(url), _) => url.clone(),
            (None, Some(cluster)) => cluster.url().clone(),
            (None, None) => return Err(Error::failure("no database is configured")),
        };
        let admin = store::connect(&server, &store::PoolOptions { max_connections: 1, ..Default::default() }).await?;
        totals::recreate_database(&admin, DATABASE).await?;
        admin.close().await;
        let url = named(&server, DATABASE)?;
        let pool = store::connect(&url, &store::PoolOptions { max_connections: 4, ..Default::default() }).await?;
        let place = if cluster.is_some() { "private server" } else { "your server" };
        stage.say(&format!("PostgreSQL: database {DATABASE} on {place}"));

        let mut options = Options::new(clock.clone());
        options.issues = issues;
        options.comments = Amount::About(2.5);
        options.worklogs = Amount::About(1.5);
        let keys: Vec<String> = options.projects.iter().map(|project| project.key.clone()).collect();
        let jira = Simulator::start(options, ([127, 0, 0, 1], 0).into()).await.map_err(anyhow::Error::from)?;
        stage.say(&format!("Jira Cloud: {} with {issues} issues in {}", jira.base_url(), keys.join(", ")));
        let plant = Simulator::start(plant(clock), ([127, 0, 0, 1], 0).into()).await.map_err(anyhow::Error::from)?;
        stage.say(&format!("Jira Data Center: {} with {PLANT_ISSUES} issues in {PLANT_KEY}", plant.base_url()));
        let program = std::env::current_exe()?;
        let of_cloud = keys.iter().map(|key| format!("{SITE}/{key}"));
        let projects = of_cloud.chain([format!("{PLANT}/{PLANT_KEY}")]).collect();
        Ok(Self { pool, jira, plant, url, program, projects, workers: Vec::new(), cluster })
    }

    /// Creates the schema, the sites and their projects, by the commands that anybody would use.
    pub fn register(&self, stage: &Stage) -> Result<(), Error> {
        let url = self.jira.base_url().to_owned();
        let credential = format!("env:{TOKEN_VARIABLE}");
        let site =
            ["site", "add", SITE, "--url", &url, "--email", simulator::DEFAULT_EMAIL, "--credential", &credential];
        let plant_url = self.plant.base_url().to_owned();
        let plant = ["site", "add", PLANT, "--url", &plant_url, "--auth", "bearer", "--credential", &credential];
        // The demo starts the syncs itself, with its workers.
        let mut add = vec!["project", "add", SITE, "--no-first-sync"];
        add.extend(self.projects.iter().filter_map(|project| project.strip_prefix(SITE)?.strip_prefix('/')));
        let discover = ["project", "discover", PLANT, "--track", PLANT_KEY, "--no-first-sync"];
        for (arguments, shown) in
            [(&["migrate"][..], false), (&site, false), (&add, false), (&plant, false), (&discover, true)]
        {
            if !self.command(arguments, stage, shown)? {
                return Err(Error::failure(format!("`syncline {}` failed (see above)", arguments.join(" "))));
            }
        }
        Ok(())
    }

    /// Runs a command of this program against the demo's database; whether it succeeded.
    pub fn command(&self, arguments: &[&str], stage: &Stage, shown: bool) -> Result<bool, Error> {
        stage.say(&format!("$ syncline {}", arguments.join(" ")));
        let stdout = if shown { Stdio::inherit() } else { Stdio::null() };
        let status = self.prepared(arguments).stdin(Stdio::null()).stdout(stdout).status()?;
        Ok(status.success())
    }

    fn prepared(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .env("DATABASE_URL", self.url.expose_secret())
            .env(TOKEN_VARIABLE, simulator::DEFAULT_TOKEN);
        command
    }

    pub async fn start_workers(&mut self, count: usize, stage: &Stage) -> Result<(), Error> {
        std::fs::create_dir_all(LOG_FOLDER)?;
        for number in 1..=count {
            let address = free_address()?;
            let log = File::create(PathBuf::from(LOG_FOLDER).join(format!("worker-{number}.log")))?;
            let process = self
                .prepared(&["worker"])
                .env("SYNCLINE__HTTP__ADDRESS", address.to_string())
                .envs(outage::REHEARSAL)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log)
                .spawn()?;
            stage.say(&format!("$ syncline worker   # process {}, http://{address}/metrics", process.id()));
            self.workers.push(Worker { number, process, address });
        }
        let deadline = Instant::now() + PATIENCE;
        while totals::living_workers(&self.pool).await? < i64::try_from(count).unwrap_or(i64::MAX) {
            for worker in &mut self.workers {
                if let Some(status) = worker.process.try_wait()? {
                    return Err(Error::failure(format!("worker {} ended with {status}", worker.number))
                        .help(format!("its log is {LOG_FOLDER}/worker-{}.log", worker.number)));
                }
            }
            give_up_after(deadline, "the workers did not come up")?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Requests a run of each project, by the SQL that any client may use.
    pub async fn enqueue_all(&self, kind: &str, stage: &Stage) -> Result<Vec<Uuid>, Error> {
        let mut runs = Vec::with_capacity(self.projects.len());
        for project in &self.projects {
            stage.say(&format!("SELECT syncline.enqueue_sync('{project}', kind => '{kind}', requested_by => 'demo')"));
            runs.push(run_view::request(&self.pool, project, kind, false, &DEMO).await?);
        }
        Ok(runs)
    }

    /// Where the first worker that lives serves its metrics.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.workers.first().map(|worker| worker.address)
    }

    /// Waits until the scheduler has started a run of each project.
    pub async fn await_scheduled(&self) -> Result<Vec<Uuid>, Error> {
        let wanted = self.projects.len();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let runs = totals::scheduled_runs(&self.pool, i64::try_from(wanted).unwrap_or(i64::MAX)).await?;
            if runs.len() == wanted {
                return Ok(runs);
            }
            give_up_after(deadline, "the scheduler started no runs")?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until a third of the work is done and a worker is executing several steps, and kills it.
    pub async fn kill_one_at_work(&mut self, runs: &[Uuid], stage: &Stage) -> Result<(), Error> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            give_up_after(deadline, "no worker was executing steps")?;
            tokio::time::sleep(Duration::from_millis(10)).await;
            let (mut done, mut total) = (0, 0);
            for run in runs {
                if let Some(progress) = run_view::progress(&self.pool, *run).await? {
                    done += progress.issues_done;
                    total += progress.issues_total_estimate.unwrap_or(i64::MAX / 16);
                }
            }
            if done * 3 < total {
                continue;
            }
            let held = totals::held_steps(&self.pool).await?;
            let busy = |worker: &Worker| {
                let pid = i32::try_from(worker.process.id()).unwrap_or(0);
                held.iter().filter(|(owner, _)| *owner == pid).count()
            };
            if let Some(at) = self.workers.iter().position(|worker| busy(worker) >= 2) {
                let steps = busy(&self.workers[at]);
                let mut victim = self.workers.swap_remove(at);
                victim.process.kill()?;
                victim.process.wait()?;
                stage.say(&format!(
                    "$ kill -9 {}   # worker {}, in the middle of {steps} steps",
                    victim.process.id(),
                    victim.number
                ));
                return Ok(());
            }
        }
    }

    pub fn print_addresses(&self, stage: &Stage) {
        stage.say(&format!(
            "Jira Cloud   {}  (user {}, token {})",
            self.jira.base_url(),
            simulator::DEFAULT_EMAIL,
            simulator::DEFAULT_TOKEN
        ));
        stage.say(&format!("Data Center  {}  (token {})", self.plant.base_url(), simulator::DEFAULT_TOKEN));
        for worker in &self.workers {
            stage.say(&format!(
                "worker {}     http://{}/metrics  (log: {LOG_FOLDER}/worker-{}.log)",
                worker.number, worker.address, worker.number
            ));
        }
        // Whoever may read this terminal may use this database: it is the demo's own.
        stage.say(&format!("PostgreSQL   {}", self.url.expose_secret()));
        stage.say(&format!(
            "try          export DATABASE_URL='{}' {TOKEN_VARIABLE}={}",
            self.url.expose_secret(),
            simulator::DEFAULT_TOKEN
        ));
        stage.say("             syncline run list; syncline sync start ACME --watch; syncline verify");
    }

    pub async fn stop(self) {
        let Self { pool, jira, plant, workers, cluster, .. } = self;
        for worker in &workers {
            // Gracefully: it hands back what it holds. `kill` is on every system that this program runs on.
            let _ = Command::new("kill").args(["-TERM", &worker.process.id().to_string()]).status();
        }
        let deadline = Instant::now() + Duration::from_secs(5);
        for mut worker in workers {
            while Instant::now() < deadline && matches!(worker.process.try_wait(), Ok(None)) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        pool.close().await;
        jira.stop().await;
        plant.stop().await;
        if let Some(cluster) = cluster {
            cluster.stop().await;
        }
    }
}

/// A small site that its organisation runs by itself.
fn plant(clock: Clock) -> Options {
    let mut options = Options::new(clock);
    options.kind = Kind::DataCenter;
    options.context_path = "/jira".into();
    options.seed = 2;
    options.issues = PLANT_ISSUES;
    options.projects.truncate(1);
    for project in &mut options.projects {
        (project.key, project.name) = (PLANT_KEY.into(), "Plant maintenance".into());
    }
    options
}

/// The URL of another database on the same server.
fn named(server: &SecretString, database: &str) -> Result<SecretString, Error> {
    let mut url = Url::parse(server.expose_secret()).map_err(|_| Error::failure("the database URL cannot be read"))?;
    url.set_path(database);
    Ok(String::from(url).into())
}

/// A port that is free now.
pub(super) fn free_address() -> Result<SocketAddr, Error> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

pub(super) fn give_up_after(deadline: Instant, problem: &str) -> Result<(), Error> {
    if Instant::now() < deadline {
        return Ok(());
    }
    Err(Error::failure(format!("{problem} within {} s", PATIENCE.as_secs()))
        .help(format!("the workers' logs are in {LOG_FOLDER}")))
}

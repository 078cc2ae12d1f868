//! `syncline worker` as a process of its own: started, asked by HTTP, signalled, killed.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::program;

/// Longer than anything takes that is waited for here.
const DEADLINE: Duration = Duration::from_secs(60);

/// A worker; it is killed when dropped.
pub struct WorkerProcess {
    child: Child,
    log: tempfile::NamedTempFile,
    address: String,
}

impl WorkerProcess {
    /// Starts a worker of the database and waits until it takes work. `settings` are environment variables.
    pub async fn start(url: &str, settings: &[(&str, &str)]) -> Self {
        let worker = Self::launch(url, settings).await;
        eventually("a worker that is ready", async || worker.get("/readyz").await.is_ok_and(|(code, _)| code == 200))
            .await;
        worker
    }

    /// The same without waiting until it is ready; it serves probes by then.
    pub async fn launch(url: &str, settings: &[(&str, &str)]) -> Self {
        let log = tempfile::NamedTempFile::new().unwrap();
        let child = Command::new(program())
            .arg("worker")
            .env_clear()
            .env("DATABASE_URL", url)
            .env("SYNCLINE__HTTP__ADDRESS", "127.0.0.1:0")
            .env("SYNCLINE__LOG__FORMAT", "json")
            .env("SYNCLINE__QUEUE__BACKOFF_BASE_SECONDS", "1")
            .env("SYNCLINE__QUEUE__BACKOFF_MAX_SECONDS", "1")
            .envs(settings.iter().copied())
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(log.path()).unwrap())
            .spawn()
            .unwrap();
        let mut worker = Self { child, log, address: String::new() };
        let started = Instant::now();
        while worker.address.is_empty() {
            let ended = worker.child.try_wait().unwrap();
            assert!(ended.is_none() && started.elapsed() < DEADLINE, "no worker: {ended:?}\n{}", worker.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
            worker.address = announced_address(&worker.log()).unwrap_or_default();
        }
        worker
    }

    /// Where it serves probes and metrics.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap_or_default()
    }

    /// Status and body of a request to its admin address.
    pub async fn get(&self, path: &str) -> Result<(u16, String), reqwest::Error> {
        let answer = super::http_get(format!("http://{}{path}", self.address)).await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    /// The same with a body, by PUT.
    pub async fn put(&self, path: &str, body: &'static str) -> (u16, String) {
        let request = syncline::tls::client().build().unwrap().put(format!("http://{}{path}", self.address)).body(body);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// SIGKILL: no word of farewell, no lease returned.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(started.elapsed() < DEADLINE, "the worker does not end:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The path of its log, for messages.
    pub fn log_path(&self) -> &Path {
        self.log.path()
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            eprintln!("the worker's log:\n{}", self.log());
        }
    }
}

fn announced_address(log: &str) -> Option<String> {
    let events = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut announced = events.filter(|event| event["event"] == "admin_listening");
    Some(announced.next()?["address"].as_str()?.to_owned())
}

/// Waits until something is so.
pub async fn eventually(what: &str, happened: impl AsyncFn() -> bool) {
    let started = Instant::now();
    while !happened().await {
        assert!(started.elapsed() < DEADLINE, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

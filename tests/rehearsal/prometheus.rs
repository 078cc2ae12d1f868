//! A real Prometheus: started on a folder of its own, told its targets, asked.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{eventually, http_get};

/// A Prometheus that scrapes and evaluates every second; it is killed when dropped.
pub struct Prometheus {
    child: Child,
    folder: tempfile::TempDir,
    base: String,
}

/// One series of an answer: its values over time.
#[derive(Debug)]
pub struct Series {
    pub values: Vec<f64>,
}

impl Prometheus {
    /// Starts it with the given rules and waits until it is ready.
    pub async fn start(rules: &[&Path]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = json!({
            "global": { "scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s" },
            "rule_files": rules,
            "scrape_configs": [{
                "job_name": "syncline",
                "file_sd_configs": [{ "files": [folder.path().join("targets.json")], "refresh_interval": "1s" }],
            }],
        });
        // JSON is YAML too.
        std::fs::write(folder.path().join("prometheus.yml"), config.to_string()).unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", folder.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--log.level=error")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("prometheus can be started: `make test-deps` installs it");
        let mut prometheus = Self { child, folder, base: format!("http://127.0.0.1:{port}") };
        let ready = format!("{}/-/ready", prometheus.base);
        while !http_get(&ready).await.is_ok_and(|answer| answer.status().is_success()) {
            assert!(prometheus.child.try_wait().unwrap().is_none(), "Prometheus has ended by itself");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        prometheus
    }

    /// Host and port.
    pub fn address(&self) -> &str {
        self.base.trim_start_matches("http://")
    }

    /// What it scrapes from now on.
    pub fn scrape(&self, addresses: &[&str]) {
        let path = self.folder.path().join("targets.json");
        let fresh = path.with_extension("fresh");
        std::fs::write(&fresh, json!([{ "targets": addresses }]).to_string()).unwrap();
        std::fs::rename(fresh, path).unwrap();
    }

    /// The data of an answer, or what it says is wrong.
    pub async fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value, String> {
        let url = url::Url::parse_with_params(&format!("{}/api/v1/{path}", self.base), parameters).unwrap();
        let answer = http_get(url).await.map_err(|error| error.to_string())?;
        let mut answer: Value = answer.json().await.map_err(|error| error.to_string())?;
        if answer["status"] == "success" { Ok(answer["data"].take()) } else { Err(answer["error"].to_string()) }
    }

    /// An expression at one moment.
    pub async fn instant(&self, expression: &str, at: f64) -> Result<Vec<Series>, String> {
        let data = self.get("query", &[("query", expression), ("time", &at.to_string())]).await?;
        Ok(series(&data))
    }

    /// An expression over a range, every second.
    pub async fn range(&self, expression: &str, from: f64, to: f64) -> Result<Vec<Series>, String> {
        let (from, to) = (from.to_string(), to.to_string());
        let parameters = [("query", expression), ("start", &from), ("end", &to), ("step", "1")];
        Ok(series(&self.get("query_range", &parameters).await?))
    }

    /// Waits until an expression has a value.
    pub async fn until(&self, expression: &str) {
        eventually(expression, async || {
            tokio::time::sleep(Duration::from_millis(100)).await;
            self.get("query", &[("query", expression)]).await.is_ok_and(|data| !series(&data).is_empty())
        })
        .await;
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Series of a vector, a matrix or a scalar; those without any number are left out.
fn series(data: &Value) -> Vec<Series> {
    let number = |pair: &Value| pair[1].as_str().and_then(|text| text.parse::<f64>().ok()).filter(|n| !n.is_nan());
    if data["resultType"] == "scalar" {
        return vec![Series { values: number(&data["result"]).into_iter().collect() }];
    }
    let found = data["result"].as_array().into_iter().flatten().map(|one| {
        let values = match one["values"].as_array() {
            Some(values) => values.iter().filter_map(number).collect(),
            None => number(&one["value"]).into_iter().collect(),
        };
        Series { values }
    });
    found.filter(|one| !one.values.is_empty()).collect()
}

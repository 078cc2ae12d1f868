//! Does what the run books say: their statements, expressions and commands.

use std::process::Stdio;

use tokio::process::Command;

use super::Day;
use super::boards::{files, selectors};
use super::check::{Report, is_pending};
use crate::support::program;

impl Day {
    /// Runs the blocks of every run book. What names pods, hosts or another program is left to the reader.
    pub async fn check_runbooks(&self, report: &mut Report) {
        let mut commands = std::collections::BTreeSet::new();
        for path in files("docs/runbooks", ".md") {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            for (language, block) in blocks(&text) {
                let of = format!("run book {name}");
                match language {
                    "sql" => {
                        let outcome = self.ask_sql(block).await.map(drop);
                        report.note(&of, outcome.map_err(|error| format!("{error} in {block}")));
                    }
                    "promql" => {
                        for expression in block.lines() {
                            self.check_expression(&of, expression, report).await;
                        }
                    }
                    _ => commands.extend(
                        block
                            .lines()
                            .filter(|line| ["syncline ", "curl ", "psql "].iter().any(|name| line.starts_with(name)))
                            .map(|line| (line.to_owned(), of.clone())),
                    ),
                }
            }
        }
        let mut done = std::collections::BTreeSet::new();
        for (line, of) in commands {
            if done.insert(line.clone()) {
                report.note(&of, self.run_command(&line).await);
            }
        }
    }

    async fn check_expression(&self, of: &str, expression: &str, report: &mut Report) {
        if is_pending(expression) {
            return report.pending.push(of.to_owned());
        }
        let outcome = match self.prometheus.instant(expression, self.ended).await {
            Ok(_) if selectors(expression).is_empty() => Ok(()),
            Ok(_) => self.exist(expression).await,
            Err(error) => Err(format!("{error} in {expression}")),
        };
        report.note(of, outcome);
    }

    /// 0 is fine, and 3 says that something is unhealthy, which is what the reader looks for; a verification that finds
    /// differences says 1, and people work in Jira meanwhile.
    async fn run_command(&self, line: &str) -> Result<(), String> {
        if !line.starts_with("syncline ") {
            return self.run_in_shell(line).await;
        }
        let line = line.replace("PROJECT", "sim/ACME").replace("SITE", "sim").replace("RUN", &self.run.to_string());
        let arguments: Vec<&str> = line.split_whitespace().skip(1).collect();
        let output = Command::new(program())
            .args(&arguments)
            .env_clear()
            .env("DATABASE_URL", self.rig.db.url())
            .current_dir("/")
            .stdin(Stdio::null())
            .output()
            .await
            .map_err(|error| error.to_string())?;
        match output.status.code() {
            Some(0 | 3) => Ok(()),
            Some(1) if arguments.first() == Some(&"verify") => Ok(()),
            code => Err(format!("`{line}` ended with {code:?}: {}", String::from_utf8_lossy(&output.stderr))),
        }
    }

    /// What another program says: it must not fail, and must say something.
    async fn run_in_shell(&self, line: &str) -> Result<(), String> {
        let instance = self.workers[0].address().trim_start_matches("http://");
        let prometheus = self.prometheus.address();
        let line = line.replace("PROMETHEUS:9090", prometheus).replace("INSTANCE", instance);
        let output = Command::new("bash")
            .args(["-o", "pipefail", "-c", &line.replace("curl -s", "curl -sS")])
            .env("DATABASE_URL", self.rig.db.url())
            .stdin(Stdio::null())
            .output()
            .await
            .map_err(|error| error.to_string())?;
        if output.status.success() && !output.stdout.is_empty() {
            return Ok(());
        }
        Err(format!("`{line}` ended with {:?}: {}", output.status.code(), String::from_utf8_lossy(&output.stderr)))
    }
}

/// The fenced blocks of a page: language and content.
fn blocks(page: &str) -> Vec<(&str, &str)> {
    let fenced = page.split("```").skip(1).step_by(2);
    fenced.filter_map(|block| block.split_once('\n')).map(|(language, text)| (language, text.trim_end())).collect()
}

#[test]
fn what_run_books_name_on_a_cluster_is_what_the_chart_makes() {
    let made = std::fs::read_to_string(super::boards::root("deploy/kubernetes/2-workers.yaml")).unwrap();
    for path in files("docs/runbooks", ".md") {
        let text = std::fs::read_to_string(&path).unwrap();
        for line in text.lines().filter(|line| line.starts_with("kubectl ")) {
            for word in line.split_whitespace() {
                let expected = match word.split_once('/') {
                    Some(("deployment", name)) => format!("kind: Deployment\nmetadata:\n  name: {name}\n"),
                    _ => match word.split_once('=') {
                        Some((label, value)) if label.contains('/') => format!("{label}: {value}\n"),
                        _ => continue,
                    },
                };
                assert!(made.contains(&expected), "{}: {line}: the chart makes no {word}", path.display());
            }
        }
    }
}

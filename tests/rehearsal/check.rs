//! Asks everything that dashboards and rules ask, of the Prometheus and the database of a rehearsed day.
//!
//! What must hold: nothing is an error, every series that is named exists, no panel is empty.

use sqlx::{AssertSqlSafe, Executor};

use super::boards::{Board, Question, boards, selectors, substitute};
use super::{Day, project_id};

/// Series of features that are not in this version yet; what names one of them is not asked.
pub const PENDING: &[&str] = &[];

/// What happened on the day, as it must be seen: each expression has a value at some time.
const TRUTHS: &[(&str, &str)] = &[
    ("sum(syncline_sync_records_total{entity=\"issue\", operation=\"created\"}) >= 600", "every issue was read"),
    ("max(syncline_workers) == 2", "both workers live"),
    (
        "sum(syncline_jira_requests_total{status=\"5xx\"}) > 5 and sum(syncline_jira_requests_total{status=\"error\"}) > 0",
        "the outage",
    ),
    ("sum(syncline_runs_total{outcome=\"failed\"}) >= 3", "the failed runs"),
    ("sum(syncline_step_retries_total) > 0 and sum(syncline_steps_dead_total) >= 3", "attempts again, and given up"),
    ("sum(syncline_jira_rate_limited_total{site=\"sim\", reason=\"burst\"}) > 0", "the limit of one endpoint"),
    ("sum(syncline_jira_rate_limited_total{site=\"sim\", reason=~\"quota_.*\"}) > 0", "the quota of the site"),
    ("sum(syncline_jira_rate_limit_wait_seconds_total{site=\"sim\"}) >= 3", "the pauses asked for"),
    ("sum(syncline_steps_dead_total{class=\"AUTH_INVALID\"}) == 2", "the refused credentials"),
    ("max(syncline_sync_projects{freshness=\"stale\"}) == 1", "the project that never succeeded"),
    (
        "histogram_quantile(0.5, sum by (le) (rate(syncline_jira_request_duration_seconds_bucket[5s]))) > 0.25",
        "the slow site",
    ),
    ("count(up == 0) or count(up == 1) < 2", "the killed worker"),
    ("sum(syncline_steps_rescued_total{step=\"fetch_page\"}) >= 1", "its rescued step"),
    ("sum(syncline_schedule_missed_total) >= 5", "the missed slots"),
    ("sum by (version) (syncline_build_info) == 2", "what runs"),
    ("ALERTS{alertname=\"SynclineStepsDead\", alertstate=\"firing\"}", "the alert for dead steps"),
    (
        "ALERTS{alertname=\"SynclineAuthenticationFailing\", class=\"AUTH_INVALID\", alertstate=\"firing\"}",
        "the alert for credentials",
    ),
    ("ALERTS{alertname=\"SynclineSchedulesMissed\", alertstate=\"firing\"}", "the alert for missed slots"),
];

/// What was asked, and what came of it.
#[derive(Default)]
pub struct Report {
    /// Expressions and statements of panels, variables, annotations, rules and run books.
    pub checked: usize,
    /// What was an error or named a series that does not exist.
    pub failed: Vec<String>,
    /// Panels of which some question had no answer.
    pub empty: Vec<String>,
    /// What names a pending series.
    pub pending: Vec<String>,
}

impl Report {
    /// Notes an outcome.
    pub fn note(&mut self, of: &str, outcome: Result<(), String>) {
        self.checked += 1;
        if let Err(problem) = outcome {
            self.failed.push(format!("{of}: {problem}"));
        }
    }
}

impl Day {
    /// Asks everything.
    pub async fn check(&self) -> Report {
        let mut report = Report::default();
        for board in boards() {
            self.check_variables(&board, &mut report).await;
            for question in board.questions() {
                self.check_question(&question, &mut report).await;
            }
            for annotation in board.annotations() {
                let of = format!("{}: annotation {}", board.name, annotation["name"]);
                let text = annotation["expr"].as_str().unwrap_or_default().to_owned();
                self.check_question(&Question { of, text, is_sql: false, instant: false }, &mut report).await;
            }
        }
        self.check_rules(&mut report).await;
        for (expression, what) in TRUTHS {
            let seen = self.prometheus.range(expression, self.began, self.ended).await;
            let seen =
                seen.and_then(|series| if series.is_empty() { Err(format!("not seen: {expression}")) } else { Ok(()) });
            report.note(&format!("truth: {what}"), seen);
        }
        self.check_runbooks(&mut report).await;
        report
    }

    /// Values of the dashboards' variables on this day.
    fn values(&self) -> Vec<(&'static str, String)> {
        let all = || ".+".to_owned();
        let range = format!("{:.0}s", self.ended - self.began);
        let mut values =
            vec![("job", "syncline".to_owned()), ("__rate_interval", "10s".to_owned()), ("__range", range)];
        values.extend(["instance", "step", "project", "endpoint", "site"].map(|name| (name, all())));
        values
    }

    pub(super) fn substituted(&self, text: &str) -> Result<String, String> {
        let values = self.values();
        let values: Vec<(&str, &str)> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
        substitute(text, &values)
    }

    async fn check_question(&self, question: &Question, report: &mut Report) {
        if is_pending(&question.text) {
            return report.pending.push(question.of.clone());
        }
        let answers = if question.is_sql { self.ask_sql(&question.text).await } else { self.ask(question).await };
        if answers == Ok(0) {
            report.empty.push(format!("{}: {}", question.of, question.text));
        }
        report.note(&question.of, answers.map(drop));
    }

    /// How many series an expression gives.
    async fn ask(&self, question: &Question) -> Result<usize, String> {
        let expression = self.substituted(&question.text)?;
        self.exist(&expression).await?;
        let series = if question.instant {
            self.prometheus.instant(&expression, self.ended).await?
        } else {
            self.prometheus.range(&expression, self.began, self.ended).await?
        };
        Ok(series.len())
    }

    /// Whether every series that an expression names was there at some time of the day.
    pub async fn exist(&self, expression: &str) -> Result<(), String> {
        let range = format!("{:.0}s", self.ended - self.began + 10.0);
        for selector in selectors(expression) {
            let there = format!("count(last_over_time({selector}[{range}]))");
            if self.prometheus.instant(&there, self.ended).await?.is_empty() {
                return Err(format!("no series is {selector}"));
            }
        }
        Ok(())
    }

    /// How many rows a statement gives, for the project and run of the day.
    pub async fn ask_sql(&self, text: &str) -> Result<usize, String> {
        let (project, run) = (project_id(&self.rig).await.to_string(), self.run.to_string());
        let sql = substitute(text, &[("project", &project), ("run", &run)])?;
        let rows = self.rig.db.pool().fetch_all(sqlx::raw_sql(AssertSqlSafe(sql))).await;
        rows.map(|rows| rows.len()).map_err(|error| error.to_string())
    }

    async fn check_variables(&self, board: &Board, report: &mut Report) {
        for variable in board.variables().filter(|variable| variable["type"] == "query") {
            let of = format!("{}: variable {}", board.name, variable["name"]);
            let outcome = match variable["query"].as_str() {
                Some(sql) => self.ask_sql(sql).await,
                None => self.label_values(variable["query"]["query"].as_str().unwrap_or_default()).await,
            };
            report.note(&of, outcome.and_then(|found| if found == 0 { Err("no value".to_owned()) } else { Ok(()) }));
        }
    }

    /// How many values `label_values(SELECTOR, LABEL)` has.
    async fn label_values(&self, query: &str) -> Result<usize, String> {
        let inner = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
        let (selector, label) = inner.and_then(|inner| inner.rsplit_once(", ")).ok_or("not a label_values query")?;
        let selector = self.substituted(selector)?;
        let values = self.prometheus.get(&format!("label/{label}/values"), &[("match[]", &selector)]).await?;
        Ok(values.as_array().map_or(0, Vec::len))
    }

    /// Every rule is evaluated without an error, and what it names exists.
    async fn check_rules(&self, report: &mut Report) {
        let groups = self.prometheus.get("rules", &[]).await.unwrap();
        for rule in
            groups["groups"].as_array().into_iter().flatten().flat_map(|group| group["rules"].as_array()).flatten()
        {
            let name = rule["name"].as_str().unwrap_or_default();
            let expression = rule["query"].as_str().unwrap_or_default();
            let of = format!("rule {name}");
            if rule["health"] != "ok" {
                report.note(&of, Err(format!("{} {}", rule["health"], rule["lastError"])));
            } else if is_pending(expression) {
                report.pending.push(of);
            } else {
                report.note(&of, self.exist(expression).await);
            }
        }
    }
}

/// Whether a text names a series that is not there yet.
pub fn is_pending(text: &str) -> bool {
    PENDING.iter().any(|name| text.contains(name))
}

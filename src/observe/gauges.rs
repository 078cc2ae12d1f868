//! Gauges that are read from the database, written straight into the exposition.
//!
//! They do not pass through the recorder: a recorder keeps every label set it has seen, and a queue that is empty or a
//! project that was removed must disappear.
//!
//! What must hold: no more samples than queues, states, tables and named projects: how many projects are named is the
//! reader's business.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};

use super::catalog::{self, Metric};

/// What a caller reads from the database for one scrape.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DbGauges {
    /// Steps by queue and state.
    pub queue_jobs: Vec<QueueDepth>,
    /// How long the oldest step that could run has waited, by queue.
    pub oldest_ready: Vec<OldestReady>,
    /// Worker processes whose lease is alive.
    pub workers: Option<u64>,
    /// The active projects to name, and one entry for the rest.
    pub projects: Vec<ProjectGauges>,
    /// How many projects are fresh, stale, paused, unscheduled: name and number.
    pub freshness: Vec<(&'static str, u64)>,
    /// The names of configured sites, so that their series can be created.
    pub sites: Vec<String>,
    /// Episodes that are not over, by severity and category.
    pub alerts: Vec<AlertsFiring>,
    /// The configured alert channels.
    pub channels: Vec<ChannelUp>,
    /// The size of the database.
    pub db_size_bytes: Option<u64>,
    /// The tables of the schema.
    pub tables: Vec<TableGauges>,
    /// Kinds of rows that are removed when they are old, and for how many seconds each is behind.
    pub upkeep: Vec<(String, f64)>,
}

/// A number of steps.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueDepth {
    /// The queue's name.
    pub queue: String,
    /// The steps' state.
    pub state: String,
    /// How many there are.
    pub count: u64,
}

/// The age of the oldest step that is ready.
#[derive(Clone, Debug, PartialEq)]
pub struct OldestReady {
    /// The queue's name.
    pub queue: String,
    /// Its age, 0 when none is ready.
    pub seconds: f64,
}

/// A number of episodes.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertsFiring {
    /// Their severity.
    pub severity: String,
    /// Their category.
    pub category: String,
    /// How many there are.
    pub count: u64,
}

/// The health of a channel.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelUp {
    /// Its name, as configured.
    pub channel: String,
    /// Whether it took the last message.
    pub up: bool,
}

/// How fresh and how healthy a project is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProjectGauges {
    /// The project, as `SITE/KEY`, or `other` for all that are not named.
    pub project: String,
    /// Through when its replica is complete.
    pub watermark: Option<DateTime<Utc>>,
    /// When its last successful run ended.
    pub last_success: Option<DateTime<Utc>>,
    /// When it becomes stale unless a run succeeds.
    pub fresh_until: Option<DateTime<Utc>>,
    /// The rung of the back-off ladder.
    pub backoff_rung: u32,
    /// Failed runs since the last success.
    pub failure_streak: u32,
    /// When it was compared with Jira last.
    pub verified: Option<DateTime<Utc>>,
    /// What differed then.
    pub verify_differences: Option<u64>,
}

/// What a table takes.
#[derive(Clone, Debug, PartialEq)]
pub struct TableGauges {
    /// Its name.
    pub table: String,
    /// On disk, with its indexes.
    pub size_bytes: u64,
    /// Rows that vacuum has not removed yet.
    pub dead_rows: u64,
}

impl DbGauges {
    /// The gauges in Prometheus' text format.
    pub fn expose(&self) -> String {
        let mut out = String::new();
        let plain = |value: Option<u64>| value.into_iter().map(|value| (Vec::new(), value as f64));
        let jobs = self
            .queue_jobs
            .iter()
            .map(|depth| (vec![("queue", depth.queue.as_str()), ("state", depth.state.as_str())], depth.count as f64));
        family(&mut out, &catalog::QUEUE_JOBS, jobs);
        let oldest = self.oldest_ready.iter().map(|oldest| (vec![("queue", oldest.queue.as_str())], oldest.seconds));
        family(&mut out, &catalog::QUEUE_OLDEST_READY_AGE, oldest);
        family(&mut out, &catalog::WORKERS, plain(self.workers));
        let mut each = |metric, value: fn(&ProjectGauges) -> Option<f64>| {
            let samples = self
                .projects
                .iter()
                .filter_map(|project| Some((vec![("project", project.project.as_str())], value(project)?)));
            family(&mut out, metric, samples);
        };
        each(&catalog::SYNC_WATERMARK, |project| project.watermark.map(unix_seconds));
        each(&catalog::SYNC_LAST_SUCCESS, |project| project.last_success.map(unix_seconds));
        each(&catalog::SYNC_FRESH_UNTIL, |project| project.fresh_until.map(unix_seconds));
        each(&catalog::SYNC_BACKOFF_RUNG, |project| Some(f64::from(project.backoff_rung)));
        each(&catalog::SYNC_FAILURE_STREAK, |project| Some(f64::from(project.failure_streak)));
        each(&catalog::VERIFY_LAST, |project| project.verified.map(unix_seconds));
        each(&catalog::VERIFY_DIFFERENCES, |project| project.verify_differences.map(|count| count as f64));
        let freshness = self.freshness.iter().map(|&(name, count)| (vec![("freshness", name)], count as f64));
        family(&mut out, &catalog::SYNC_PROJECTS, freshness);
        family(
            &mut out,
            &catalog::ALERTS_FIRING,
            self.alerts.iter().map(|alerts| {
                let labels = vec![("severity", alerts.severity.as_str()), ("category", alerts.category.as_str())];
                (labels, alerts.count as f64)
            }),
        );
        let channels = self.channels.iter();
        family(
            &mut out,
            &catalog::ALERT_CHANNEL_UP,
            channels.map(|one| (vec![("channel", one.channel.as_str())], f64::from(u8::from(one.up)))),
        );
        family(&mut out, &catalog::DB_SIZE, plain(self.db_size_bytes));
        let mut each = |metric, value: fn(&TableGauges) -> u64| {
            let samples = self.tables.iter().map(|table| (vec![("table", table.table.as_str())], value(table) as f64));
            family(&mut out, metric, samples);
        };
        each(&catalog::DB_TABLE_SIZE, |table| table.size_bytes);
        each(&catalog::DB_TABLE_DEAD_ROWS, |table| table.dead_rows);
        let upkeep = self.upkeep.iter().map(|(kind, seconds)| (vec![("kind", kind.as_str())], *seconds));
        family(&mut out, &catalog::UPKEEP_LAG, upkeep);
        out
    }
}

fn unix_seconds(instant: DateTime<Utc>) -> f64 {
    instant.timestamp_millis() as f64 / 1000.0
}

/// Writes one metric with its samples; nothing when there are none.
fn family<'a>(out: &mut String, metric: &Metric, samples: impl Iterator<Item = (Vec<(&'static str, &'a str)>, f64)>) {
    let mut samples = samples.peekable();
    if samples.peek().is_none() {
        return;
    }
    // Writing to a string cannot fail.
    let _ = writeln!(out, "# HELP {} {}\n# TYPE {} gauge", metric.name, metric.help, metric.name);
    for (labels, value) in samples {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(out, "{}{labels} {value}", metric.name);
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gauges_are_written_in_the_text_format() {
        let gauges = DbGauges {
            queue_jobs: vec![QueueDepth { queue: "jira".into(), state: "ready".into(), count: 3 }],
            oldest_ready: vec![OldestReady { queue: "jira".into(), seconds: 1.5 }],
            workers: Some(2),
            projects: vec![ProjectGauges {
                project: "main/AC\"ME".into(),
                watermark: DateTime::from_timestamp_millis(1_760_000_000_500),
                ..ProjectGauges::default()
            }],
            freshness: vec![("fresh", 7)],
            alerts: vec![AlertsFiring { severity: "critical".into(), category: "billing".into(), count: 2 }],
            channels: vec![ChannelUp { channel: "mail".into(), up: false }],
            db_size_bytes: Some(42),
            upkeep: vec![("steps".into(), 90.0)],
            tables: vec![TableGauges { table: "issue".into(), size_bytes: 8192, dead_rows: 5 }],
            ..DbGauges::default()
        };
        let text = gauges.expose();
        for line in [
            "# TYPE syncline_queue_jobs gauge",
            "syncline_queue_jobs{queue=\"jira\",state=\"ready\"} 3",
            "syncline_queue_oldest_ready_age_seconds{queue=\"jira\"} 1.5",
            "syncline_workers 2",
            "syncline_sync_watermark_timestamp_seconds{project=\"main/AC\\\"ME\"} 1760000000.5",
            "syncline_sync_failure_streak{project=\"main/AC\\\"ME\"} 0",
            "syncline_sync_projects{freshness=\"fresh\"} 7",
            "syncline_alerts_firing{severity=\"critical\",category=\"billing\"} 2",
            "syncline_alert_channel_up{channel=\"mail\"} 0",
            "syncline_db_size_bytes 42",
            "syncline_db_table_size_bytes{table=\"issue\"} 8192",
            "syncline_db_table_dead_rows{table=\"issue\"} 5",
            "syncline_upkeep_lag_seconds{kind=\"steps\"} 90",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("last_success"), "a project that never succeeded has no time of success");
    }
}

//! The recorder behind the metrics of this process, and the text that a scrape gets.

#![allow(clippy::disallowed_macros)] // with `metrics`, the one place that may

use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use super::catalog::{self, Kind, Metric};
use super::gauges::DbGauges;
use super::labels;
use crate::domain::failure::FailureCode;

/// Why metrics cannot be recorded.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The buckets of a histogram were refused.
    #[error("the buckets of a metric are not valid")]
    Buckets(#[source] BuildError),
    /// Something else records already: `install` was called twice.
    #[error("a metrics recorder is installed already in this process")]
    Twice(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Starts recording for the whole process, every known series at 0.
///
/// # Errors
/// When it was called before in this process.
pub fn install() -> Result<PrometheusHandle, InstallError> {
    let recorder = recorder()?;
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|error| InstallError::Twice(error.to_string().into()))?;
    describe();
    create_known_series();
    Ok(handle)
}

/// The scrape: what this process recorded, then what the database says, when it could be asked.
pub fn render(handle: &PrometheusHandle, gauges: Option<&DbGauges>) -> String {
    let mut text = handle.render();
    if let Some(gauges) = gauges {
        text.push_str(&gauges.expose());
    }
    text
}

/// Folds recorded samples into their buckets every few seconds, for ever: without scrapes they would pile up.
pub async fn upkeep(handle: PrometheusHandle) {
    let mut tick = tokio::time::interval(Duration::from_secs(5));
    loop {
        tick.tick().await;
        handle.run_upkeep();
    }
}

fn recorder() -> Result<PrometheusRecorder, InstallError> {
    let mut builder = PrometheusBuilder::new();
    for metric in catalog::ALL {
        if let Kind::Histogram(bounds) = metric.kind {
            builder = builder
                .set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), bounds)
                .map_err(InstallError::Buckets)?;
        }
    }
    Ok(builder.build_recorder())
}

fn describe() {
    for Metric { name, kind, unit, help, .. } in catalog::ALL {
        let unit = match *unit {
            "seconds" => Unit::Seconds,
            "bytes" => Unit::Bytes,
            _ => Unit::Count,
        };
        match kind {
            Kind::Counter => describe_counter!(*name, unit, *help),
            Kind::Gauge => describe_gauge!(*name, unit, *help),
            Kind::Histogram(_) => describe_histogram!(*name, unit, *help),
            Kind::DatabaseGauge => {}
        }
    }
}

/// Creates each label set that is known before anything happens; see [`labels`].
fn create_known_series() {
    // Taking a handle to a histogram creates its series without a sample.
    let version = env!("CARGO_PKG_VERSION");
    gauge!(catalog::BUILD_INFO.name, "version" => version, "revision" => env!("SYNCLINE_REVISION")).set(1.0);
    for &queue in labels::QUEUES {
        super::metrics::worker_slots(queue, 0, 0);
        let _ = histogram!(catalog::STEP_CLAIM.name, "queue" => queue);
    }
    for &step in labels::STEPS {
        create_step(step);
    }
    let _ = histogram!(catalog::CHECKPOINT_COMMIT.name);
    for &kind in labels::RUN_KINDS {
        for &outcome in labels::RUN_OUTCOMES {
            let _ = histogram!(catalog::RUN_DURATION.name, "kind" => kind, "outcome" => outcome);
            for &trigger in labels::TRIGGERS {
                counter!(catalog::RUNS.name, "kind" => kind, "trigger" => trigger, "outcome" => outcome).absolute(0);
            }
        }
    }
    gauge!(catalog::SCHEDULER_LAG.name).set(0.0);
    counter!(catalog::SCHEDULE_MISSED.name).absolute(0);
    for &entity in labels::ENTITIES {
        counter!(catalog::SYNC_RECORD_ERRORS.name, "entity" => entity).absolute(0);
        counter!(catalog::SCHEMA_DRIFT.name, "entity" => entity).absolute(0);
    }
    for &kind in labels::CHANNEL_KINDS {
        let _ = histogram!(catalog::ALERT_DELIVERY.name, "channel" => kind);
        for &result in labels::DELIVERY_RESULTS {
            counter!(catalog::ALERT_DELIVERIES.name, "channel" => kind, "result" => result).absolute(0);
        }
    }
    for &(entity, operations) in labels::OPERATIONS {
        for &operation in operations {
            counter!(catalog::SYNC_RECORDS.name, "entity" => entity, "operation" => operation).absolute(0);
        }
    }
    for &endpoint in labels::ENDPOINTS {
        for &status in labels::STATUS_CLASSES {
            counter!(catalog::JIRA_REQUESTS.name, "endpoint" => endpoint, "status" => status).absolute(0);
        }
    }
    for &kind in labels::UPKEEP_KINDS {
        counter!(catalog::UPKEEP_REMOVED.name, "kind" => kind).absolute(0);
    }
    for &reason in labels::WEBHOOK_REFUSALS {
        counter!(catalog::WEBHOOKS_REFUSED.name, "site" => "unknown", "reason" => reason).absolute(0);
    }
    let _ = histogram!(catalog::WEBHOOK_TAKE.name);
    super::metrics::db_pool(0, 0, 0);
    let _ = histogram!(catalog::DB_POOL_ACQUIRE.name);
}

fn create_step(step: &'static str) {
    counter!(catalog::STEP_ATTEMPTS.name, "step" => step).absolute(0);
    counter!(catalog::STEPS_RESCUED.name, "step" => step).absolute(0);
    counter!(catalog::STEPS_REPLAYED.name, "step" => step).absolute(0);
    let _ = histogram!(catalog::STEP_WAIT.name, "step" => step);
    for &outcome in labels::STEP_OUTCOMES {
        let _ = histogram!(catalog::STEP_DURATION.name, "step" => step, "outcome" => outcome);
    }
    for code in FailureCode::ALL {
        counter!(catalog::STEP_RETRIES.name, "step" => step, "class" => code.as_str()).absolute(0);
        counter!(catalog::STEPS_DEAD.name, "step" => step, "class" => code.as_str()).absolute(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::metrics as record;

    /// What `f` leaves in a recorder of its own.
    fn exposed(f: impl FnOnce()) -> String {
        let recorder = recorder().unwrap();
        metrics::with_local_recorder(&recorder, || {
            describe();
            create_known_series();
            f();
        });
        render(&recorder.handle(), None)
    }

    #[test]
    fn every_histogram_has_buckets_and_none_is_a_summary() {
        let text = exposed(|| {
            record::jira_request("/myself", "2xx", 0.2);
            record::db_pool_acquired(Duration::from_millis(3));
            record::rate_gate_waited("bucket", Duration::from_millis(3));
            record::webhook_taken("main", "hinted", Duration::from_millis(3));
        });
        assert!(!text.contains(" summary"), "{text}");
        for metric in catalog::ALL.iter().filter(|metric| matches!(metric.kind, Kind::Histogram(_))) {
            assert!(text.contains(&format!("# TYPE {} histogram", metric.name)), "{} is missing", metric.name);
        }
        assert!(
            text.contains(
                r#"syncline_jira_request_duration_seconds_bucket{endpoint="/myself",status="2xx",le="0.25"} 1"#
            )
        );
    }

    #[test]
    fn known_series_exist_at_zero_before_anything_happens() {
        let text = exposed(|| {});
        for line in [
            r#"syncline_steps_dead_total{step="fetch_page",class="AUTH_INVALID"} 0"#,
            r#"syncline_runs_total{kind="full",trigger="schedule",outcome="failed"} 0"#,
            r#"syncline_sync_records_total{entity="issue",operation="created"} 0"#,
            r#"syncline_sync_records_total{entity="comment",operation="removed"} 0"#,
            r#"syncline_jira_requests_total{endpoint="/rest/api/3/search/jql",status="5xx"} 0"#,
            r#"syncline_step_wait_seconds_count{step="plan_run"} 0"#,
            "syncline_schedule_missed_total 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing");
        }
    }

    #[test]
    fn every_metric_can_be_recorded_with_its_documented_labels() {
        let second = Duration::from_secs(1);
        let text = exposed(|| {
            record::step_claimed("plan_run", second);
            record::step_finished("plan_run", "succeeded", second);
            record::claim_took("jira", second);
            record::step_retried("plan_run", FailureCode::Timeout);
            record::step_dead("plan_run", FailureCode::Internal);
            record::step_rescued("plan_run");
            record::step_replayed("plan_run");
            record::checkpoint_committed(second);
            record::worker_slots("jira", 1, 3);
            record::run_finished("full", "manual", "succeeded", second);
            record::scheduler_lag(second);
            record::clock_ahead(0.5);
            record::schedule_missed(2);
            record::records("issue", "created", 5);
            record::record_errors("issue", 1);
            record::schema_drift("issue", 1);
            record::jira_request("/myself", "2xx", 0.2);
            record::site_known("main");
            record::jira_rate_limited("main", "burst", Duration::from_millis(1500));
            record::jira_concurrency_limit("main", 8);
            record::rate_gate_waited("bucket", second);
            record::webhook_taken("main", "hinted", second);
            record::webhook_refused("main", "unsigned");
            record::db_pool(3, 1, 16);
            record::db_pool_acquired(second);
        });
        for metric in catalog::ALL.iter().filter(|metric| metric.kind != Kind::DatabaseGauge) {
            let sample = text.lines().find(|line| {
                let rest = line.strip_prefix(metric.name);
                rest.is_some_and(|rest| rest.starts_with(['{', ' ', '_']))
            });
            let sample = sample.unwrap_or_else(|| unreachable!("{} has no sample", metric.name));
            for label in metric.labels {
                assert!(sample.contains(&format!("{label}=\"")), "{sample} lacks {label}");
            }
        }
        assert!(
            text.contains(r#"syncline_jira_rate_limit_wait_seconds_total{site="main",reason="burst"} 2"#),
            "{text}"
        );
    }
}

//! `target/bench/summary.json`: one flat object, one number per name, units in the names.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Goals: name, whether at least or at most, and the number.
const GOALS: &[(&str, &str, f64)] = &[
    ("full_sync_issues_per_second", "≥", 3000.0),
    ("full_sync_ratio_to_bare", "≥", 0.75),
    ("full_sync_120ms_5000_issues_seconds", "≤", 2.0),
    ("noop_steps_per_second", "≥", 1500.0),
    ("noop_steps_ratio_to_stock_apalis_postgres", "≥", 3.0),
    ("commits_per_step", "≤", 1.5),
    ("trigger_to_first_request_p50_ms", "≤", 5.0),
    ("trigger_to_first_request_p99_ms", "≤", 20.0),
    ("rescue_after_sigkill_p99_seconds", "≤", 5.0),
    ("fairness_first_step_delay_p99_seconds", "≤", 1.0),
    ("second_site_delay_p99_seconds", "≤", 1.0),
    ("claim_milliseconds", "", 0.0),
    ("claim_under_old_snapshot_milliseconds", "", 0.0),
    ("janitor_rows_per_second", "≥", 5000.0),
    ("janitor_effect_on_claims_p99_ratio", "≤", 0.1),
    ("janitor_claim_p99_alone_ms", "", 0.0),
    ("janitor_claim_p99_beside_ms", "", 0.0),
    ("silent_connection_recovery_seconds", "≤", 15.0),
    ("idle_worker_transactions_per_second", "≤", 2.0),
    ("idle_worker_cpu_percent", "≤", 1.0),
    ("worker_peak_rss_mebibytes", "≤", 100.0),
    ("alert_year_messages_total", "", 0.0),
    ("alert_year_messages_naive", "", 0.0),
    ("alert_year_messages_ratio", "≤", 0.02),
    ("alert_year_missed_outages", "≤", 0.0),
    ("alert_year_false_alerts_ratio", "≤", 0.01),
    ("backoff_requests_saved_ratio", "≥", 0.9),
    ("alert_detection_p50_seconds_after_threshold", "", 0.0),
    ("alert_detection_p99_seconds_after_threshold", "≤", 5.0),
    ("restore_after_first_success_seconds", "≤", 1.0),
    ("metrics_scrape_10000_projects_ms", "≤", 50.0),
    ("metrics_scrape_10000_projects_kibibytes", "≤", 512.0),
    ("analyst_open_by_status_seconds", "≤", 0.3),
    ("analyst_cycle_time_seconds", "≤", 1.0),
    ("analyst_time_in_status_seconds", "≤", 1.0),
    ("analyst_velocity_seconds", "≤", 0.5),
    ("analyst_extract_seconds", "≤", 3.0),
    ("analyst_one_project_seconds", "≤", 0.3),
    ("dashboard_expressions_checked", "≥", 200.0),
    ("dashboard_expressions_failed", "≤", 0.0),
    ("dashboard_panels_empty", "≤", 0.0),
    ("alert_rules", "≥", 20.0),
    ("alert_rules_with_tests", "≥", 24.0),
    ("requests_per_1000_issues_full_sync", "≤", 60.0),
    ("full_sync_120ms_1000_issues_all_entities_seconds", "≤", 2.5),
    ("incremental_sync_nothing_changed_requests", "≤", 4.0),
    ("reconcile_1m_ids_peak_rss_mebibytes", "≤", 120.0),
    ("rate_limit_utilisation", "≥", 0.95),
    ("rate_limit_429_share", "≤", 0.005),
    ("rate_limit_first_minute_429_share", "", 0.0),
    ("rate_limit_utilisation_at_40", "≥", 0.95),
    ("rate_limit_429_share_at_40", "≤", 0.005),
    ("rate_gate_statements_per_second_and_worker", "", 0.0),
    ("tracing_overhead_ratio", "≥", 0.95),
    ("scheduler_100k_projects_slot_lag_p99_seconds", "≤", 2.0),
    ("scheduler_100k_projects_runs_per_second", "", 0.0),
    ("scheduler_100k_projects_ended_p99_seconds", "", 0.0),
    ("wal_bytes_per_step", "", 0.0),
    ("claim_10_of_1m_waiting_p50_ms", "", 0.0),
    ("claim_10_of_1m_waiting_p99_ms", "", 0.0),
    ("bare_sync_issues_per_second", "", 0.0),
    ("stock_apalis_postgres_steps_per_second", "", 0.0),
    ("traced_sync_issues_per_second", "", 0.0),
    ("memory_sync_issues_per_second", "", 0.0),
];

pub struct Summary(BTreeMap<String, f64>);

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/bench/summary.json")
}

impl Summary {
    /// Figures of an earlier, partial run are kept until they are measured again.
    pub fn load() -> Self {
        let text = std::fs::read_to_string(path()).unwrap_or_default();
        Self(serde_json::from_str(&text).unwrap_or_default())
    }

    pub fn put(&mut self, name: &str, value: f64) {
        eprintln!("  {name} = {value:.3}");
        self.0.insert(name.to_owned(), (value * 1000.0).round() / 1000.0);
    }

    pub fn save(&self) {
        std::fs::create_dir_all(path().parent().unwrap()).unwrap();
        std::fs::write(path(), serde_json::to_string_pretty(&self.0).unwrap() + "\n").unwrap();
    }

    pub fn print(&self) {
        let mut table = comfy_table::Table::new();
        table.set_header(["figure", "measured", "goal", ""]);
        for &(name, sign, goal) in GOALS {
            let Some(value) = self.0.get(name) else { continue };
            let met = match sign {
                "≥" => *value >= goal,
                "≤" => *value <= goal,
                _ => true,
            };
            let goal = if sign.is_empty() { "baseline".to_owned() } else { format!("{sign} {goal}") };
            table.add_row([name.to_owned(), format!("{value:.3}"), goal, (if met { "" } else { "missed" }).to_owned()]);
        }
        println!("{table}");
        println!("written to {}", path().display());
    }
}

/// The middle of several rounds.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The value below which `share` of the values lie.
pub fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (values.len() as f64 * share).ceil() as usize;
    values[at.clamp(1, values.len()) - 1]
}

//! How much of the dashboards and rules was checked against a real Prometheus on a rehearsed day, and what came of it.

use crate::rehearsal::{Day, boards, rules};

pub async fn measure() -> Vec<(&'static str, f64)> {
    let day = Day::rehearse().await;
    let report = day.check().await;
    for problem in report.failed.iter().chain(&report.empty) {
        eprintln!("  {problem}");
    }
    let (alerts, cases) = (rules::alerts(), rules::cases());
    let tested = alerts.keys().filter(|name| cases.get(*name).is_some_and(|(firing, _)| *firing > 0)).count();
    vec![
        ("dashboard_expressions_checked", report.checked as f64),
        ("dashboard_expressions_failed", report.failed.len() as f64),
        ("dashboard_panels_empty", report.empty.len() as f64),
        ("alert_rules", alerts.len() as f64),
        ("alert_rules_with_tests", tested as f64),
    ]
}

/// Draws the dashboards of a rehearsed day into `docs/pictures`; measures nothing.
pub async fn pictures() -> Vec<(&'static str, f64)> {
    let day = Day::rehearse().await;
    let folder = boards::root("docs/pictures");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, picture) in day.pictures().await {
        std::fs::write(folder.join(format!("{name}.svg")), picture).unwrap();
    }
    Vec::new()
}

//! Every alert is checked by promtool, has cases in which it fires and in which it does not, and has a run book.

use std::process::Command;

use crate::rehearsal::boards::{files, root};
use crate::rehearsal::rules::{alerts, cases};

/// The alert that fires always: there is no case in which it does not.
const WATCHDOG: &str = "SynclineWatchdog";

fn promtool(arguments: &[&str], paths: Vec<std::path::PathBuf>) {
    let output = Command::new("promtool").args(arguments).args(paths).output();
    let output = output.expect("promtool can be run: `make test-deps` installs it");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn the_rules_are_valid() {
    promtool(&["check", "rules"], files("dashboards/prometheus", ".yml"));
}

#[test]
fn alerts_fire_and_stay_silent_as_their_cases_say() {
    promtool(&["test", "rules"], files("dashboards/prometheus/tests", ".test.yml"));
}

#[test]
fn every_alert_has_a_case_for_firing_and_one_for_not_firing() {
    let (alerts, cases) = (alerts(), cases());
    assert!(alerts.len() >= 20, "{}", alerts.len());
    for name in alerts.keys() {
        let (firing, silent) = cases.get(name).copied().unwrap_or_default();
        assert!(firing > 0, "{name} has no case in which it fires");
        assert!(silent > 0 || name == WATCHDOG, "{name} has no case in which it does not fire");
    }
    for name in cases.keys() {
        assert!(alerts.contains_key(name), "{name} has cases and no rule");
    }
}

#[test]
fn every_alert_has_severity_description_and_run_book() {
    for (name, rule) in alerts() {
        assert!(name.starts_with("Syncline"), "{name}");
        let severity = rule.split_once("severity: ").map(|(_, rest)| rest.lines().next().unwrap_or_default());
        assert!(
            severity.is_some_and(|word| ["critical", "warning", "info", "none"].contains(&word)),
            "{name}: {severity:?}"
        );
        for annotation in ["summary: ", "description: "] {
            assert!(rule.contains(annotation), "{name} has no {annotation}");
        }
        assert!(rule.contains(&format!("docs/runbooks/{name}.md\n")), "{name} names another run book than its own");
    }
}

#[test]
fn every_alert_has_a_run_book_and_every_run_book_an_alert() {
    let alerts = alerts();
    for name in alerts.keys() {
        let page = std::fs::read_to_string(root(&format!("docs/runbooks/{name}.md")));
        let page = page.unwrap_or_else(|_| panic!("docs/runbooks/{name}.md is missing"));
        assert!(page.starts_with(&format!("# {name}\n")), "{name}: its title");
        let parts = ["## Meaning", "## Impact", "## Diagnosis", "## Mitigation"];
        let places: Vec<_> = parts.iter().map(|part| page.find(part)).collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{name}: it needs {parts:?}");
        let diagnosis = page.split("## Diagnosis").nth(1).unwrap().split("## Mitigation").next().unwrap();
        assert!(
            ["```sh", "```sql", "```promql"].iter().any(|fence| diagnosis.contains(fence)),
            "{name}: nothing to run"
        );
    }
    for path in files("docs/runbooks", ".md") {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(name == "README" || alerts.contains_key(&name), "{name} is no alert");
        let page = std::fs::read_to_string(&path).unwrap();
        for link in page.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let there = link.starts_with("http") || path.parent().unwrap().join(link).exists();
            assert!(there, "{name}: {link} leads nowhere");
        }
    }
}

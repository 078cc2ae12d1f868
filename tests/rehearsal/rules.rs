//! The alerts, and the cases that `promtool test rules` has for them.

use std::collections::BTreeMap;

use super::boards::{files, root};

/// What each alert of `alerts.yml` is: name and the lines of its rule.
pub fn alerts() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(root("dashboards/prometheus/alerts.yml")).unwrap();
    let rules = text.split("- alert: ").skip(1);
    rules
        .filter_map(|rule| rule.split_once('\n'))
        .map(|(name, body)| (name.trim().to_owned(), body.to_owned()))
        .collect()
}

/// How often each alert is expected to fire and not to fire.
pub fn cases() -> BTreeMap<String, (usize, usize)> {
    let mut cases = BTreeMap::<String, (usize, usize)>::new();
    for path in files("dashboards/prometheus/tests", ".test.yml") {
        let text = std::fs::read_to_string(path).unwrap();
        for case in text.split("alertname: ").skip(1) {
            let name = case.split([',', '\n']).next().unwrap_or_default().trim().to_owned();
            let quiet = case.split("exp_alerts:").nth(1).is_some_and(|rest| rest.trim_start().starts_with("[]"));
            let count = cases.entry(name).or_default();
            if quiet { count.1 += 1 } else { count.0 += 1 }
        }
    }
    cases
}

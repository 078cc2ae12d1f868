//! The chart and this program agree on the settings there are. The rest of `deploy/` is checked by `tests/deploy/run.sh`.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::program;

/// Settings that the chart does not take under `config`, because it makes them itself, from Secrets and values of other
/// names, or because a cluster has no use for them.
const ELSEWHERE: &[&str] = &[
    "database.url",
    "database.direct_url",
    "database.data_dir",
    "http.address",
    "serve.address",
    "oidc.client_secret",
    "secrets.key",
    "alerts.templates",
];

fn json(path: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn the_chart_offers_every_setting_and_no_other() {
    let output =
        Command::new(program()).args(["config", "show", "-o", "json"]).env_clear().current_dir("/").output().unwrap();
    let settings: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let known: BTreeSet<String> = settings
        .iter()
        .filter_map(|setting| setting["key"].as_str())
        .filter(|key| !ELSEWHERE.contains(key))
        .map(str::to_owned)
        .collect();
    let schema = json("deploy/helm/syncline/values.schema.json");
    let sections = schema["properties"]["config"]["properties"].as_object().unwrap();
    let offered: BTreeSet<String> = sections
        .iter()
        .flat_map(|(section, schema)| {
            schema["properties"].as_object().unwrap().keys().map(move |key| format!("{section}.{key}"))
        })
        .collect();
    assert_eq!(offered, known, "put the difference into the chart's values.schema.json, or into ELSEWHERE");
}

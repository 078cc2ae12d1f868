#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;

#[test]
fn names_are_unique_and_defaults_within_bounds() {
    for (place, key) in KEYS.iter().enumerate() {
        assert!(key.takes(key.default), "{key}");
        assert!(!key.meaning.is_empty() && !key.unit.is_empty(), "{key}");
        assert_eq!(KEYS.iter().position(|other| other.name == key.name), Some(place), "{key}");
    }
}

#[test]
fn a_refusal_names_the_key_the_shape_and_what_to_write() {
    let problem = PAGE_SIZE.parse("hundred").unwrap_err();
    assert_eq!(problem.to_string(), "page_size is 7 characters that are not a number");
    assert_eq!(problem.remedy, "write a whole number of issues from 1 to 5000");
    for text in ["0", "5001", "1.5", "-1", "NaN", "inf", ""] {
        assert!(PAGE_SIZE.parse(text).is_err(), "{text}");
    }
    assert!(BACKOFF_FACTOR.parse("1.5").is_ok() && RECONCILE_MAX_SHARE.parse("0").is_ok());
}

#[test]
fn a_stored_value_that_is_none_counts_as_absent() {
    let settings = Settings::new(&json!({ "page_size": [80, "50", 0], "workers": [0], "overlap_seconds": [30, 60] }));
    assert_eq!(settings.whole(&PAGE_SIZE), Some(80), "what is wider counts instead");
    assert_eq!(settings.whole(&WORKERS), None);
    assert_eq!(settings.whole(&OVERLAP), Some(60));
    assert_eq!(Settings::new(&json!([1])), Settings::default());
}

#[test]
fn whole_numbers_are_stored_without_a_fraction() {
    assert_eq!(PAGE_SIZE.stored(50.0), json!(50));
    assert_eq!(BACKOFF_FACTOR.stored(1.5), json!(1.5));
}

const DOCUMENT: &str = "docs/settings.md";

fn document() -> String {
    let mut text = String::from(
        "# Settings\n\n\
         You can change these settings of a sync while workers run, for all, for a site, or for a project. They are stored in \
         `syncline.setting`; `syncline.audit` records each change with actor, time, old and new value.\n\n\
         This page is generated from `src/domain/setting.rs`: after a change run `UPDATE_DOCS=1 cargo test --lib domain::setting`.\n\n\
         ```sh\n\
         syncline config set page_size=50 --project acme/WEB\n\
         syncline config get page_size --project acme/WEB      # the effective value and its source\n\
         syncline config test page_size=50 --project acme/WEB  # requests, time and points before and after, from past runs\n\
         syncline config unset page_size --project acme/WEB\n\
         syncline config list\n\
         ```\n\n\
         `set` and `unset` accept several places: you can repeat `--project` and `--site`; `--all` and `--filter TEXT` apply to \
         each project separately (with `--site`, to those of the site). The command counts the projects first, and asks for \
         confirmation unless you named each one (`--yes` in scripts).\n\n\
         **Order.** The narrowest scope wins: `--project`, `--site`, all; then the configuration of the process (a flag, the \
         environment, the file, the default). A stored value that is out of bounds is ignored.\n\n\
         **When.** *next run*: for runs that start afterwards, on every worker. *soon*: in every process within five seconds.\n\n\
         | key | unit | default | bounds | scopes | takes effect | overrides | meaning |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for key in KEYS {
        let scopes: Vec<_> = key.scopes.iter().map(|scope| scope.as_str()).collect();
        let effect = match key.effect {
            Effect::NextRun => "next run",
            Effect::Soon => "soon",
        };
        let configured = key.configured.map_or_else(|| "–".to_owned(), |path| format!("`{path}`"));
        let bounds = format!("{} to {}", key.min, key.max);
        let scopes = scopes.join(", ");
        text += &format!(
            "| `{}` | {} | {} | {bounds} | {scopes} | {effect} | {configured} | {} |\n",
            key.name, key.unit, key.default, key.meaning
        );
    }
    text
}

#[test]
fn the_page_of_settings_is_that_of_the_table() {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(DOCUMENT, document()).unwrap();
    }
    let written = std::fs::read_to_string(DOCUMENT).unwrap_or_default();
    assert!(written == document(), "docs/settings.md is old: run UPDATE_DOCS=1 cargo test --lib domain::setting");
}

//! The dashboards keep their conventions, and show something true on a rehearsed day.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::rehearsal::Day;
use crate::rehearsal::boards::{Board, boards, files, selectors, substitute};
use crate::rehearsal::check::PENDING;
use crate::rehearsal::picture;
use crate::rehearsal::picture::panel::{colour, key_rows};

#[tokio::test(flavor = "multi_thread")]
async fn panels_rules_and_run_books_work_on_a_rehearsed_day() {
    let day = Day::rehearse().await;
    let report = day.check().await;
    eprintln!(
        "{:.0} s rehearsed; {} checked, {} failed, {} empty; not asked, for what is pending: {:?}",
        day.ended - day.began,
        report.checked,
        report.failed.len(),
        report.empty.len(),
        report.pending
    );
    assert!(report.failed.is_empty(), "failed:\n{}", report.failed.join("\n"));
    assert!(report.empty.is_empty(), "empty:\n{}", report.empty.join("\n"));
    assert!(report.checked > 200, "only {} were found", report.checked);
}

#[test]
fn the_dashboards_that_operators_expect_are_there() {
    let names: Vec<String> = boards().into_iter().map(|board| board.name).collect();
    assert_eq!(names, ["alerts", "freshness", "jira-api", "overview", "postgres", "queue-and-workers", "run"]);
}

#[test]
fn every_dashboard_keeps_the_conventions() {
    let mut problems = Vec::new();
    let mut uids = BTreeSet::new();
    for board in boards() {
        let uid = board.json["uid"].as_str().unwrap_or_default().to_owned();
        problems.extend(problems_of(&board).into_iter().map(|problem| format!("{}: {problem}", board.name)));
        if !uids.insert(uid.clone()) {
            problems.push(format!("{}: its uid {uid} is another's too", board.name));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn a_dashboard_without_the_conventions_is_caught() {
    let good = boards().into_iter().find(|board| board.name == "overview").unwrap().json;
    assert_eq!(problems_of(&Board { name: "good".into(), json: good.clone() }), Vec::<String>::new());
    let panel = |json: &mut Value, key: &str, value: Value| json["panels"][1][key] = value;
    let bad: Vec<fn(&mut Value)> = vec![
        |json| json["uid"] = "x1f9".into(),
        |json| json["templating"]["list"] = Value::Array(vec![]),
        |json| json["annotations"]["list"] = Value::Array(vec![]),
        |json| json["links"] = Value::Array(vec![]),
        |json| json["panels"][2]["id"] = 2.into(),
        |json| json["panels"][2]["gridPos"] = json["panels"][1]["gridPos"].clone(),
        |json| json["panels"][1]["fieldConfig"]["defaults"]["unit"] = Value::Null,
        |json| json["panels"][1]["targets"][0]["expr"] = "rate(syncline_runs_total{job=~\"$job\"}[5m])".into(),
        |json| json["panels"][1]["targets"][0]["expr"] = "syncline_queue_jobs{job=~\"$job\"}".into(),
        |json| {
            json["panels"][1]["targets"][0]["expr"] = "sum(syncline_worker_slots{instance=\"10.0.0.1:9464\"})".into()
        },
        |json| json["panels"][1]["targets"][0]["expr"] = "sum(syncline_worker_slots)".into(),
        |json| json["panels"][1]["links"][0]["url"] = "https://example.com/docs/runbooks/None.md".into(),
    ];
    for (number, damage) in bad.iter().enumerate() {
        let mut json = good.clone();
        damage(&mut json);
        assert_ne!(problems_of(&Board { name: "bad".into(), json }), Vec::<String>::new(), "damage {number}");
    }
    for (key, value) in [("description", "".into()), ("datasource", Value::from("Prometheus"))] {
        let mut json = good.clone();
        panel(&mut json, key, value);
        assert_ne!(problems_of(&Board { name: "bad".into(), json }), Vec::<String>::new(), "{key}");
    }
}

/// What is not as the conventions want it.
fn problems_of(board: &Board) -> Vec<String> {
    let json = &board.json;
    let mut problems = Vec::new();
    let mut must = |holds: bool, problem: String| {
        if !holds {
            problems.push(problem);
        }
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    must(text(&json["uid"]).starts_with("syncline-"), "its uid must begin with syncline-, and never change".into());
    must(!text(&json["description"]).is_empty(), "it has no description".into());
    must(json["id"].is_null(), "an id belongs to one Grafana: leave it out".into());
    must(json["tags"].as_array().is_some_and(|tags| tags.contains(&"syncline".into())), "it lacks the tag".into());
    let links = json["links"].to_string();
    must(
        links.contains("docs/runbooks/") && links.contains("dashboards"),
        "it links neither run books nor its kin".into(),
    );
    let names: Vec<String> = board.variables().map(|variable| text(&variable["name"])).collect();
    let from_database = names.contains(&"database".to_owned());
    if from_database {
        must(names.contains(&"run".to_owned()), "it has no variable for the run".into());
    } else {
        must(
            names.starts_with(&["datasource".into(), "job".into()]),
            "its first variables must be datasource and job".into(),
        );
        let annotations: Vec<String> = board.annotations().map(|annotation| text(&annotation["name"])).collect();
        must(annotations == ["Deploys", "Alerts"], "it must show deploys and alerts as annotations".into());
    }
    let source = if from_database { "${database}" } else { "${datasource}" };
    let mut ids = BTreeSet::new();
    let mut taken: Vec<[i64; 4]> = Vec::new();
    for panel in json["panels"].as_array().into_iter().flatten() {
        let title = text(&panel["title"]);
        must(!title.is_empty(), format!("panel {} has no title", panel["id"]));
        must(ids.insert(panel["id"].to_string()), format!("{title}: its id is another's too"));
        let place = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_i64().unwrap_or(-1));
        let [x, y, w, h] = place;
        must(x >= 0 && w > 0 && h > 0 && x + w <= 24, format!("{title}: it is not on the grid"));
        let apart = |[a, b, c, d]: &[i64; 4]| x + w <= *a || a + c <= x || y + h <= *b || b + d <= y;
        must(taken.iter().all(apart), format!("{title}: it covers another panel"));
        taken.push(place);
    }
    for panel in board.panels() {
        let title = text(&panel["title"]);
        must(text(&panel["description"]).len() > 5, format!("{title}: no description"));
        must(panel["datasource"]["uid"] == source, format!("{title}: its data source must be {source}"));
        must(!text(&panel["fieldConfig"]["defaults"]["unit"]).is_empty(), format!("{title}: no unit"));
        for link in panel["links"].as_array().into_iter().flatten() {
            let url = text(&link["url"]);
            let book = url.split_once("docs/runbooks/").map(|(_, book)| format!("docs/runbooks/{book}"));
            let there = book.is_some_and(|book| crate::rehearsal::boards::root(&book).is_file());
            must(there, format!("{title}: {url} leads to no run book"));
        }
    }
    for question in board.questions().iter().filter(|question| !question.is_sql) {
        for problem in problems_of_expression(&question.text, &names) {
            must(false, format!("{}: {problem}", question.of));
        }
    }
    problems
}

fn problems_of_expression(expression: &str, variables: &[String]) -> Vec<String> {
    let mut problems = Vec::new();
    let known: Vec<&str> = variables.iter().map(String::as_str).chain(["__rate_interval", "__range"]).collect();
    let values: Vec<(&str, &str)> = known.iter().map(|name| (*name, "1")).collect();
    problems.extend(substitute(expression, &values).err());
    let selectors = selectors(expression);
    if selectors.is_empty() {
        problems.push(format!("it names no series of ours: {expression}"));
    }
    for selector in &selectors {
        if !selector.starts_with("ALERTS") && !selector.contains("job=~\"$job\"") {
            problems.push(format!("{selector} does not choose by $job"));
        }
        if selector.contains("instance=\"") || selector.contains("pod=\"") {
            problems.push(format!("{selector} names one instance"));
        }
    }
    for function in ["rate(", "increase("] {
        for (at, _) in expression.match_indices(function) {
            let window = expression[at..].split_once('[').map_or("", |(_, rest)| rest);
            if !window.starts_with("$__rate_interval]") && !window.starts_with("$__range]") {
                problems.push(format!("its window must be $__rate_interval: {expression}"));
            }
        }
    }
    // A gauge of the database is the same on every pod: adding it up would count it once for each.
    let of_database: Vec<&str> = syncline::observe::catalog::ALL
        .iter()
        .filter(|metric| metric.kind == syncline::observe::catalog::Kind::DatabaseGauge)
        .map(|metric| metric.name)
        .collect();
    let mut rest = expression;
    for selector in &selectors {
        let Some(at) = rest.find(selector.as_str()) else { break };
        let (before, name) = (rest[..at].trim_end(), selector.split('{').next().unwrap_or_default());
        let once = ["max without (instance, pod) (", "max(", "min("].iter().any(|start| before.ends_with(start))
            || before.ends_with('(')
                && before.rsplit_once("max by (").is_some_and(|(_, by)| by.matches('(').count() == 1);
        if of_database.contains(&name) && !once {
            problems.push(format!("{selector} is the same on every pod: take the maximum over pods"));
        }
        rest = &rest[at + selector.len()..];
    }
    problems
}

#[test]
fn provisioning_names_the_data_sources_that_dashboards_ask_for() {
    let text: String = files("dashboards/grafana/provisioning/datasources", ".yaml")
        .into_iter()
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    for board in boards() {
        for variable in board.variables().filter(|variable| variable["type"] == "datasource") {
            let kind = variable["query"].as_str().unwrap();
            assert!(text.contains(&format!("type: {kind}")), "{}: no data source of type {kind}", board.name);
        }
    }
}

#[test]
fn nothing_is_called_pending_that_this_version_exports() {
    let exported: Vec<&str> = syncline::observe::catalog::ALL.iter().map(|metric| metric.name).collect();
    let there: Vec<_> = PENDING.iter().filter(|name| exported.contains(name)).collect();
    assert!(there.is_empty(), "take {there:?} off the list in tests/rehearsal/check.rs: they can be asked now");
}

#[test]
fn states_have_the_colours_of_their_names() {
    use syncline::observe::labels;
    let known: &[(&str, &[&str])] = &[
        ("outcome", labels::RUN_OUTCOMES),
        ("freshness", &["fresh", "stale", "unscheduled", "paused"]),
        ("status", labels::STATUS_CLASSES),
        ("result", labels::DELIVERY_RESULTS),
    ];
    let green = "#73bf69";
    let mut seen = 0;
    for board in boards() {
        for panel in board.panels().filter(|panel| panel["type"] == "timeseries") {
            let legends = panel["targets"].to_string();
            for (label, values) in known.iter().filter(|(label, _)| legends.contains(&format!("{{{{{label}}}}}"))) {
                for value in *values {
                    seen += 1;
                    // Another place in the palette, which must not matter.
                    let [first, second] = [0, 1].map(|at| colour(panel, value, at));
                    let of = format!("{}: {}: {label} {value} is {first}", board.name, panel["title"]);
                    assert_eq!(first, second, "{of}, by its place alone");
                    let good = ["succeeded", "fresh", "2xx", "delivered"].contains(value);
                    let bad = ["failed", "stale", "5xx"].contains(value);
                    assert_eq!(first == green, good, "{of}");
                    assert_eq!(first == "#f2495c", bad, "{of}");
                }
            }
        }
    }
    assert!(seen > 20, "{seen}");
}

#[test]
fn every_panel_says_why_it_is_empty() {
    for board in boards() {
        for panel in board.panels() {
            let why = panel["fieldConfig"]["defaults"]["noValue"].as_str().unwrap_or_default();
            assert!(why.split(' ').count() > 3, "{}: {}: {why:?}", board.name, panel["title"]);
        }
    }
}

#[test]
fn no_panel_shows_a_time_below_zero() {
    for board in boards() {
        for question in board.questions() {
            let text = &question.text;
            let differs = text.contains("time() -") || text.contains("- time()");
            assert!(!differs || text.contains("clamp_min("), "{}: clocks differ: {text}", question.of);
            let lasted = text.contains("extract(epoch FROM");
            assert!(
                !lasted || text.matches("greatest(0, extract(").count() == text.matches("extract(").count(),
                "{text}"
            );
        }
    }
}

#[tokio::test]
async fn columns_of_tables_are_plain_words() {
    use sqlx::{AssertSqlSafe, Column, Executor, SqlSafeStr};
    let db = crate::support::TestDb::new().await;
    let nobody = "00000000-0000-0000-0000-000000000000";
    for board in boards() {
        for panel in board.panels().filter(|panel| panel["type"] == "table") {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let Some(sql) = target["rawSql"].as_str() else {
                    let renamed = panel["transformations"].to_string();
                    assert!(renamed.contains("renameByName"), "{}: {}", board.name, panel["title"]);
                    continue;
                };
                let sql = substitute(sql, &[("project", nobody), ("run", nobody)]).unwrap();
                let described = db.pool().describe(AssertSqlSafe(sql).into_sql_str()).await.unwrap();
                let code: Vec<_> =
                    described.columns().iter().map(Column::name).filter(|name| name.contains('_')).collect();
                assert!(code.is_empty(), "{}: {}: {code:?}", board.name, panel["title"]);
            }
        }
    }
}

#[test]
fn pictures_keep_every_letter_and_every_name() {
    let text = |value: &str| picture::text(&Value::from(value));
    assert_eq!(text("TIMEOUT: The site gave no answer"), "TIMEOUT: The site gave no answer");
    assert_eq!(text("2025-06-01T10:00:00.123+00:00"), "2025-06-01 10:00:00");
    let names: Vec<String> = (0..40).map(|number| format!("/rest/api/3/endpoint/{number}")).collect();
    let entries: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "red")).collect();
    let rows = key_rows(&entries, 440.0);
    assert_eq!(rows.iter().map(Vec::len).sum::<usize>(), names.len(), "no name is cut off");
    assert!(rows.iter().flatten().all(|(x, name, _)| x + 18.0 + name.len() as f64 * 6.6 <= 440.0 || *x == 0.0));
}

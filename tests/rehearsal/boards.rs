//! The dashboards, as files: their panels, variables and annotations, and what their expressions name.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// A dashboard and where it was read from.
pub struct Board {
    pub name: String,
    pub json: Value,
}

/// One thing that is asked: an expression or a statement, and whose it is.
#[derive(Clone, Debug)]
pub struct Question {
    /// `overview: Fresh projects`.
    pub of: String,
    pub text: String,
    pub is_sql: bool,
    /// Asked for one moment rather than over the range.
    pub instant: bool,
}

/// A folder of the repository.
pub fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Files of a folder with this ending, in order.
pub fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root(folder)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.to_string_lossy().ends_with(ending)).collect();
    files.sort();
    files
}

/// Every dashboard.
pub fn boards() -> Vec<Board> {
    let read = |path: PathBuf| Board {
        name: path.file_stem().unwrap().to_string_lossy().into_owned(),
        json: serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap(),
    };
    files("dashboards/grafana", ".json").into_iter().map(read).collect()
}

impl Board {
    /// The panels that show something.
    pub fn panels(&self) -> impl Iterator<Item = &Value> {
        self.json["panels"].as_array().into_iter().flatten().filter(|panel| panel["type"] != "row")
    }

    /// The variables.
    pub fn variables(&self) -> impl Iterator<Item = &Value> {
        self.json["templating"]["list"].as_array().into_iter().flatten()
    }

    /// The annotations.
    pub fn annotations(&self) -> impl Iterator<Item = &Value> {
        self.json["annotations"]["list"].as_array().into_iter().flatten()
    }

    /// What the panels ask.
    pub fn questions(&self) -> Vec<Question> {
        let of_panel = |panel: &Value| {
            let of = format!("{}: {}", self.name, panel["title"].as_str().unwrap_or_default());
            let ask = |target: &Value| Question {
                of: of.clone(),
                text: target["expr"].as_str().or(target["rawSql"].as_str()).unwrap_or_default().to_owned(),
                is_sql: target["rawSql"].is_string(),
                instant: target["instant"] == true,
            };
            panel["targets"].as_array().into_iter().flatten().map(ask).collect::<Vec<_>>()
        };
        self.panels().flat_map(of_panel).collect()
    }
}

/// Replaces `$name` and `${name}`; what stays unknown is an error of the dashboard.
pub fn substitute(text: &str, values: &[(&str, &str)]) -> Result<String, String> {
    let mut text = text.to_owned();
    // Longer names first: `$__range` begins like `$__range_s`.
    let mut values = values.to_vec();
    values.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    for (name, value) in values {
        text = text.replace(&format!("${{{name}}}"), value).replace(&format!("${name}"), value);
    }
    if text.contains('$') { Err(format!("an unknown variable is left in {text}")) } else { Ok(text) }
}

/// The selectors of series that an expression names: `syncline_…{…}`, `syncline:…{…}`, `up{…}`, `ALERTS{…}`.
pub fn selectors(expression: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(at) = rest.find(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '"' | '\'')) {
        rest = &rest[at..];
        if rest.starts_with(['"', '\'']) {
            let quote = rest.as_bytes()[0] as char;
            let end = rest[1..].find(quote).map_or(rest.len(), |end| end + 2);
            rest = &rest[end..];
            continue;
        }
        let length = rest.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | ':')).unwrap_or(rest.len());
        let (word, after) = rest.split_at(length);
        rest = after;
        if word.starts_with("syncline_") || word.starts_with("syncline:") || matches!(word, "up" | "ALERTS") {
            let labels = if after.starts_with('{') { closing(after) } else { 0 };
            found.push(format!("{word}{}", &after[..labels]));
            rest = &after[labels..];
        }
    }
    found
}

/// Behind the brace that closes the one at the start; braces within quotes do not count.
fn closing(text: &str) -> usize {
    let mut quoted = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '}' if !quoted => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[test]
fn selectors_are_found_whatever_stands_around_them() {
    let expression =
        r#"sum by (syncline) (rate(syncline_a_total{x="}up"}[5m])) / on (job) syncline:b:max unless up == 1"#;
    assert_eq!(selectors(expression), [r#"syncline_a_total{x="}up"}"#, "syncline:b:max", "up"]);
    assert_eq!(selectors(r#"ALERTS{alertname=~"syncline_x"} or vector(0)"#), [r#"ALERTS{alertname=~"syncline_x"}"#]);
}

#[test]
fn variables_are_replaced_or_missed() {
    assert_eq!(substitute("$a ${ab} $ab", &[("a", "1"), ("ab", "2")]).unwrap(), "1 2 2");
    assert!(substitute("$c", &[("a", "1")]).is_err());
}

//! The page `docs/configuration.md`: every key with its variable, default, range and meaning.
//!
//! Keys, defaults and ranges are those that values are judged by; what a key means is said once, in its module.

use super::key::{Key, Kind};
use super::keys;

/// The modules of the sections, in the order of [`keys`]: each says in its head what its keys mean.
const SECTIONS: &[(&str, &str)] = &[
    ("database", include_str!("database.rs")),
    ("sync", include_str!("sync.rs")),
    ("queue", include_str!("queue.rs")),
    ("telemetry", include_str!("telemetry.rs")),
    ("http", include_str!("http.rs")),
    ("serve", include_str!("serve.rs")),
    ("oidc", include_str!("oidc.rs")),
    ("log", include_str!("log.rs")),
    ("alerts", include_str!("alerts.rs")),
    ("secrets", include_str!("secrets.rs")),
];

const HEAD: &str = "# Configuration\n\n\
What a process is told before it starts. What a sync does, for all, a site or a project, is changed while everything runs:\n\
[settings.md](settings.md). This page is written from `src/config`: after a change run\n\
`UPDATE_DOCS=1 cargo test --lib config::reference`.\n\n\
Later wins:\n\n\
1. the defaults below;\n\
2. a TOML file: `--config FILE`, else `SYNCLINE_CONFIG`, else `syncline.toml` in the working directory, if it is there;\n\
3. environment variables; an empty one counts as not set;\n\
4. flags (`--database-url`, `--log-level`, …).\n\n\
`syncline config show` prints every value and where it came from. A key that nobody reads is refused, with the nearest name; a value\n\
that cannot be used is refused before anything starts. A secret may come from a file: the variable with `_FILE` at its end names it.\n\n\
```toml\n[database]\nurl = \"postgres://syncline@db.example.com/syncline\"\n\n[queue]\nworkers = 16\n```\n";

const TAIL: &str = "\n## Variables of others\n\n\
| variable | read by | meaning |\n|---|---|---|\n\
| `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY` | requests to Jira, traces | the proxy, and who is asked without it; [which parts obey](operations.md#proxies-and-certificates) |\n\
| `SSL_CERT_FILE`, `SSL_CERT_DIR` | Jira, channels, traces | root certificates instead of the machine's |\n\
| `PGSSLROOTCERT`, `PGSSLMODE`, `PGPASSWORD` and others of libpq | connections to PostgreSQL | what the database URL leaves out |\n\
| `OTEL_EXPORTER_OTLP_ENDPOINT` and other `OTEL_*` | traces | where they go; nowhere without it: [traces.md](traces.md) |\n\
| `NO_COLOR` | commands | no colours |\n\
| `XDG_DATA_HOME`, `HOME` | the private server | where its folder is: [private-server.md](private-server.md) |\n";

/// What the head of a module says of a variable: the third cell of its row.
fn meaning(source: &str, variable: &str) -> Option<String> {
    let row = source.lines().find(|line| line.starts_with("//! | ") && line.contains(&format!("`{variable}`")))?;
    // A bar inside of a cell is escaped.
    let cells: Vec<String> = row.replace("\\|", "\u{1}").split('|').map(|cell| cell.replace('\u{1}', "\\|")).collect();
    Some(cells.get(3)?.trim().to_owned())
}

fn row(key: &Key, source: &str) -> String {
    let variable = key.variable();
    let meaning =
        meaning(source, &variable).unwrap_or_else(|| panic!("no row for {variable} in the head of its module"));
    let default = match (key.path, key.default) {
        ("database.data_dir", _) => "of the account".to_owned(),
        (_, "") => "–".to_owned(),
        (_, default) => format!("`{default}`"),
    };
    let takes = match key.kind {
        Kind::Integer(min, max) => format!("{min} to {max}"),
        Kind::Choice(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        Kind::Text(_) => key.expects.to_owned(),
        Kind::Secret(_) => format!("{}; secret", key.expects),
    };
    let name = key.path.split_once('.').map_or(key.path, |(_, name)| name);
    format!("| `{name}` | `{variable}` | {default} | {} | {meaning} |\n", takes.replace('|', "\\|"))
}

/// The page.
fn document() -> String {
    let mut page = HEAD.to_owned();
    for (section, source) in SECTIONS {
        let about = source.lines().next().unwrap_or_default().trim_start_matches("//! ");
        page.push_str(&format!(
            "\n## {section}\n\n{about}\n\n| key | variable | default | takes | meaning |\n|---|---|---|---|---|\n"
        ));
        let prefix = format!("{section}.");
        for key in keys().filter(|key| key.path.starts_with(&prefix)) {
            page.push_str(&row(key, source));
        }
    }
    page.push_str(TAIL);
    page
}

#[test]
fn the_reference_of_the_configuration_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, document()).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == document(),
        "docs/configuration.md is old: run UPDATE_DOCS=1 cargo test --lib config::reference"
    );
}

#[test]
fn every_key_is_in_the_reference() {
    let page = document();
    for key in keys() {
        assert!(page.contains(&format!("`{}`", key.variable())), "{}: its section is not in SECTIONS", key.path);
    }
}

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
The configuration of a process, which it reads at start. You change the settings of a sync (for all, a site or a \
project) at run time:\n\
[settings.md](settings.md). This page is generated from `src/config`: after a change run\n\
`UPDATE_DOCS=1 cargo test --lib config::reference`.\n\n\
Later sources take precedence:\n\n\
1. the defaults below;\n\
2. a TOML file: `--config FILE`, else `SYNCLINE_CONFIG`, else `syncline.toml` in the working directory, if it exists;\n\
3. environment variables; an empty one counts as not set;\n\
4. flags (`--database-url`, `--log-level`, …).\n\n\
`syncline config show` prints every value and its source. An unknown key is refused, with the nearest name; an \
invalid value\n\
is refused before anything starts. A secret can come from a file: append `_FILE` to the name of its variable, and \
set it to the path.\n\n\
```toml\n[database]\nurl = \"postgres://syncline@db.example.com/syncline\"\n\n[queue]\nworkers = 16\n```\n";

const TAIL: &str = "\n## Variables of other programs\n\n\
| variable | read by | meaning |\n|---|---|---|\n\
| `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY` | requests to Jira, traces | the proxy, and hosts that bypass it; [which \
connections use it](operations.md#proxies-and-certificates) |\n\
| `SSL_CERT_FILE`, `SSL_CERT_DIR` | Jira, channels, traces | root certificates that replace the machine's |\n\
| `PGSSLROOTCERT`, `PGSSLMODE`, `PGPASSWORD` and others of libpq | connections to PostgreSQL | defaults for the \
database URL |\n\
| `OTEL_EXPORTER_OTLP_ENDPOINT` and other `OTEL_*` | traces | their destination; without it none are sent: \
[traces.md](traces.md) |\n\
| `NO_COLOR` | commands | no colours |\n\
| `XDG_DATA_HOME`, `HOME` | the private server | the location of its folder: [private-server.md](private-server.md) \
|\n";

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

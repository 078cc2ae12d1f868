//! The shape of the source: dependencies between modules run one way, and some things have one place.
//!
//! Reads the text of `src`, so that no compiler plug-in is needed: whole files, without comments, texts and items below
//! `#[cfg(test)]`.

mod circles;
mod source;

use std::collections::BTreeSet;

use source::{Source, sources, src};

/// Modules from the bottom to the top: a module may import those of the lines above its own, not those of its own line.
const LAYERS: &[&[&str]] = &[
    &["clock", "domain", "tls"],
    &["config", "observe"],
    &["store", "jira", "postgres", "simulator"],
    &["engine", "alert"],
    &["queue"],
    &["sync", "scheduler", "telemetry", "verify", "http"],
    &["app"],
    &["api", "cli"],
    // Pages come in by the door of the API: who asks and from where is decided there alone.
    &["console"],
    &["runtime"],
];

/// Arrows that the layers would allow and that must not be.
const FORBIDDEN: &[(&str, &str)] = &[
    ("engine", "jira"),
    ("engine", "simulator"),
    ("alert", "jira"),
    ("queue", "jira"),
    // Doors call use cases: what one door may do, every door may do. `runtime` puts the parts together and is no door.
    ("api", "store"),
    ("api", "jira"),
    ("console", "store"),
    ("console", "jira"),
    ("console", "cli"),
];

/// What the doors above `app` must not import, and the files of the command line that still do. The list may only shrink: what
/// such a file does becomes a use case of `app`.
const BELOW_APP: [&str; 2] = ["store", "jira"];
#[rustfmt::skip]
const STILL_BELOW_APP: &[&str] = &[
    "cli/alert/act.rs",
    "cli/alert/channel.rs",
    "cli/alert/maintenance.rs",
    "cli/alert/route.rs",
    "cli/alert/show.rs",
    "cli/alert/trial.rs",
    "cli/completing.rs",
    "cli/config/mod.rs",
    "cli/config/places.rs",
    "cli/config/set.rs",
    "cli/config/trial.rs",
    "cli/context.rs",
    "cli/database.rs",
    "cli/demo/mod.rs",
    "cli/demo/outage.rs",
    "cli/demo/stack.rs",
    "cli/demo/stage.rs",
    "cli/doctor/alerts.rs",
    "cli/doctor/database.rs",
    "cli/doctor/mod.rs",
    "cli/doctor/sites.rs",
    "cli/doctor/work.rs",
    "cli/drift.rs",
    "cli/error.rs",
    "cli/ids.rs",
    "cli/log.rs",
    "cli/member/file.rs",
    "cli/member/mod.rs",
    "cli/migrate.rs",
    "cli/mod.rs",
    "cli/people.rs",
    "cli/progress.rs",
    "cli/project/act.rs",
    "cli/project/add.rs",
    "cli/project/discover.rs",
    "cli/project/mod.rs",
    "cli/project/track.rs",
    "cli/project/who.rs",
    "cli/role.rs",
    "cli/run/mod.rs",
    "cli/run/show.rs",
    "cli/selection.rs",
    "cli/site/add.rs",
    "cli/site/authorize.rs",
    "cli/site/check.rs",
    "cli/site/find.rs",
    "cli/site/given.rs",
    "cli/site/mod.rs",
    "cli/site/view.rs",
    "cli/sync.rs",
    "cli/user.rs",
    "cli/verify.rs",
];

#[test]
fn dependencies_run_one_way() {
    let wrong: Vec<_> = sources().iter().flat_map(wrong_arrows).collect();
    assert!(wrong.is_empty(), "arrows the wrong way:\n{}", wrong.join("\n"));
}

#[test]
fn commands_call_use_cases() {
    let below =
        |source: &&Source| source.room() == "cli" && imports(&source.code).iter().any(|to| BELOW_APP.contains(&&**to));
    let found: BTreeSet<String> = sources().iter().filter(below).map(|source| source.path.clone()).collect();
    let known: BTreeSet<String> = STILL_BELOW_APP.iter().map(|path| (*path).to_owned()).collect();
    let new: Vec<_> = found.difference(&known).collect();
    assert!(new.is_empty(), "commands go through src/app, not to {BELOW_APP:?}: {new:#?}");
    let gone: Vec<_> = known.difference(&found).collect();
    assert!(gone.is_empty(), "these do no more: remove them from STILL_BELOW_APP: {gone:#?}");
}

#[test]
fn a_wrong_arrow_is_caught() {
    let source = Source::of;
    for (path, code) in [
        ("domain/window.rs", "use crate::store::Error;"),
        ("store/run.rs", "use crate::{domain::failure, engine::Step};"),
        ("store/run.rs", "fn f() { crate::sync::plan() }"),
        ("jira/client.rs", "use crate::store;"),
        ("engine/commit.rs", "use crate::{\n    domain::Id,\n    jira::{Client, Page},\n};"),
        ("http/mod.rs", "pub(crate) use crate::runtime::Runtime;"),
        ("unheard_of/mod.rs", "fn f() {}"),
        ("api/rest/runs.rs", "use crate::store::run_view;"),
        ("app/run.rs", "use crate::api::Problem;"),
        ("domain/window.rs", "#[cfg(test)]\nmod tests;\nuse crate::store::Error;"),
    ] {
        assert!(!wrong_arrows(&source(path, code)).is_empty(), "{path}: {code}");
    }
    for (path, code) in [
        ("engine/commit.rs", "use crate::{domain::Id, store::step};"),
        ("engine/commit.rs", "use crate::engine::claim;"),
        ("api/rest/runs.rs", "use crate::app::run;"),
        ("domain/window.rs", "const TEXT: &str = \"crate::store\";"),
        ("domain/window.rs", "// use crate::store::Error;\n/// [`crate::store`]\nfn f() {}"),
        ("domain/window.rs", "fn f() {}\n#[cfg(test)]\nmod tests {\n    use crate::store::Error;\n}"),
    ] {
        assert_eq!(wrong_arrows(&source(path, code)), Vec::<String>::new(), "{path}: {code}");
    }
}

#[test]
fn sql_lives_in_the_store() {
    only_in("store", &["sqlx::query", "sqlx::raw_sql", "query!(", "query_as!(", "query_scalar!(", "QueryBuilder"]);
}

#[test]
fn apalis_is_named_by_the_queue_alone() {
    only_in("queue", &["apalis::", "apalis_core::", "apalis_codec::", "use apalis"]);
}

#[test]
fn text_for_people_leaves_by_one_door() {
    let doors = ["cli/output.rs", "observe/logs.rs"];
    let asks = ["io::stdout().is_terminal()", "io::stderr().is_terminal()"];
    let writes = ["println!", "print!(", "eprint", "io::stdout", "io::stderr", "dbg!("];
    let others: Vec<_> = sources()
        .iter()
        .filter(|source| !doors.contains(&source.path.as_str()))
        .filter_map(|source| {
            let code = asks.iter().fold(source.code.clone(), |code, ask| code.replace(ask, ""));
            writes.iter().find(|name| code.contains(**name)).map(|name| format!("{} names {name}", source.path))
        })
        .collect();
    assert!(others.is_empty(), "only {doors:?} may write to the standard streams:\n{}", others.join("\n"));
}

#[test]
fn files_tell_one_story() {
    let long: Vec<_> = sources().iter().filter(|s| s.lines > 400).map(|s| format!("{}: {}", s.path, s.lines)).collect();
    assert!(long.is_empty(), "files of more than 400 lines:\n{}", long.join("\n"));
}

#[test]
fn every_module_says_what_it_is_for() {
    let root = src();
    let silent: Vec<_> = sources()
        .into_iter()
        .filter(|source| !source.path.ends_with("tests.rs"))
        .filter(|source| !std::fs::read_to_string(root.join(&source.path)).unwrap().starts_with("//!"))
        .map(|source| source.path)
        .collect();
    assert!(silent.is_empty(), "files without a //! doc: {silent:?}");
}

fn only_in(module: &str, names: &[&str]) {
    let strangers: Vec<_> = sources()
        .iter()
        .filter(|source| source.room() != module)
        .filter_map(|source| names.iter().find(|name| source.code.contains(**name)).map(|n| (source.path.clone(), *n)))
        .map(|(path, name)| format!("{path} names {name}"))
        .collect();
    assert!(strangers.is_empty(), "only src/{module} may:\n{}", strangers.join("\n"));
}

fn wrong_arrows(source: &Source) -> Vec<String> {
    let from = source.room();
    if matches!(from, "lib" | "main") {
        return Vec::new();
    }
    let Some(level) = level(from) else {
        return vec![format!("{}: module {from} is in no layer of tests/architecture.rs", source.path)];
    };
    imports(&source.code)
        .into_iter()
        .filter(|to| to != from)
        .filter(|to| match self::level(to) {
            Some(other) => other >= level || FORBIDDEN.contains(&(from, to)),
            None => false, // an item of the crate's root
        })
        .map(|to| format!("{}: {from} → {to}", source.path))
        .collect()
}

fn level(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// First segments after `crate::`, in paths and in `use crate::{…}` lists.
fn imports(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        if code[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(list) => found.extend(list_heads(list)),
            None => found.extend(head(rest)),
        }
    }
    found
}

/// The first segment of each member of a `use` list; `list` begins behind its opening brace.
fn list_heads(list: &str) -> Vec<String> {
    let (mut depth, mut expect, mut heads) = (0_usize, true, Vec::new());
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => expect = true,
            c if expect && !c.is_whitespace() => {
                heads.extend(head(&list[at..]));
                expect = false;
            }
            _ => {}
        }
    }
    heads
}

fn head(path: &str) -> Option<String> {
    let name: String = path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!name.is_empty()).then_some(name)
}

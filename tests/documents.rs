//! What the pages for people say of the project is so: names of files, links, the index of decisions, the Rust version.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every page for people, relative to the root.
fn pages() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"].map(PathBuf::from).into();
    let mut folders = ["docs", "dashboards", "examples", "migrations"].map(PathBuf::from).to_vec();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path.strip_prefix(root()).unwrap().to_owned());
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    assert!(found.len() > 50, "{}", found.len());
    found
}

/// Files and folders that a text names between backticks.
fn named(text: &str) -> BTreeSet<String> {
    let folders =
        ["src/", "tests/", "docs/", "migrations/", "benches/", "dashboards/", "deploy/", "examples/", ".github/"];
    let is_path =
        |name: &&str| folders.iter().any(|folder| name.starts_with(folder)) && !name.contains([' ', '*', '…']);
    text.split('`').skip(1).step_by(2).filter(is_path).map(str::to_owned).collect()
}

/// The files that a text names and that do not exist.
fn missing(text: &str) -> Vec<String> {
    named(text).into_iter().filter(|name| !root().join(name).exists()).collect()
}

#[test]
fn the_architecture_names_files_that_exist() {
    let page = read("docs/architecture.md");
    // Blocks are drawings.
    let text: String = page.split("```").step_by(2).collect();
    assert!(named(&text).len() > 60, "{}", named(&text).len());
    assert_eq!(missing(&text), Vec::<String>::new());
    assert_eq!(missing("in `src/lib.rs` and `src/no_such_file.rs`"), ["src/no_such_file.rs"]);
}

#[test]
fn the_architecture_maps_every_module() {
    let page = read("docs/architecture.md");
    for entry in std::fs::read_dir(root().join("src")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name == "lib.rs" || page.contains(&format!("| `src/{name}` |")), "src/{name} is not on the map");
    }
}

#[test]
fn the_architecture_says_where_each_change_goes() {
    let page = read("docs/architecture.md");
    for change in ["step", "alert channel", "REST route", "setting", "Jira field with a column", "metric"] {
        assert!(page.contains(&format!("### A new {change}\n")), "a new {change}");
    }
}

#[test]
fn links_between_pages_lead_somewhere() {
    let mut wrong = Vec::new();
    for page in pages() {
        let text = read(page.to_str().unwrap());
        let text: String = text.split("```").step_by(2).collect();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap_or_default();
            if link.contains(':') || file.is_empty() {
                continue;
            }
            if !root().join(&page).parent().unwrap().join(file).exists() {
                wrong.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_decision_is_indexed_with_its_state() {
    let index = read("docs/decisions/README.md");
    let mut numbers = BTreeSet::new();
    for entry in std::fs::read_dir(root().join("docs/decisions")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some((number, _)) = name.split_once('-') else { continue };
        let number: u32 = number.parse().unwrap();
        assert!(numbers.insert(number), "two decisions have the number {number}");
        let link = format!("| [{number}]({name}) |");
        let line =
            index.lines().find(|line| line.starts_with(&link)).unwrap_or_else(|| panic!("{name} is not indexed"));
        let state = line.split('|').nth(3).unwrap_or_default();
        assert!(state.contains("accepted") || state.contains("superseded"), "{name}: {state}");
        let title = line.split('|').nth(2).unwrap_or_default().trim();
        let page = read(&format!("docs/decisions/{name}"));
        assert!(page.starts_with(&format!("# {number}. {title}\n")), "{name}: its title is not that of the index");
    }
    assert!(numbers.len() > 40, "{}", numbers.len());
}

#[test]
fn one_rust_version_is_stated() {
    let manifest = read("Cargo.toml");
    let version = manifest.lines().find_map(|line| line.strip_prefix("rust-version = \"")?.strip_suffix('"')).unwrap();
    assert!(read("deploy/docker/Dockerfile").contains(&format!("FROM rust:{version}-")), "the image's compiler");
    for page in ["README.md", "CONTRIBUTING.md", "docs/install.md"] {
        assert!(read(page).contains(&format!("Rust {version} or newer")), "{page}");
    }
    for workflow in ["ci.yml", "release.yml"] {
        assert!(read(&format!(".github/workflows/{workflow}")).contains("rust-version"), "{workflow}");
    }
    assert!(read(".github/workflows/ci.yml").contains("run: .ci/run"));
}

#[test]
fn the_glossary_has_one_row_per_word() {
    let page = read("docs/glossary.md");
    let words: Vec<&str> =
        page.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next()).skip(1).collect();
    assert!(words.len() >= 20, "{}", words.len());
    assert!(words.is_sorted(), "{words:?}");
    assert_eq!(words.iter().collect::<BTreeSet<_>>().len(), words.len());
}

//! The page of messages quotes what the program says, word for word: a message that changes takes the page along.

use std::path::Path;

fn page() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/troubleshooting.md")).unwrap()
}

/// The messages of the tables: the first cell of each row, in code.
fn quoted(page: &str) -> Vec<String> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    rows.map(|(message, _)| message.to_owned()).collect()
}

/// The source with texts that go over several lines put together, and what is filled in named by dots.
fn said() -> String {
    let mut text = String::new();
    for source in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        let mut lines = source.lines();
        while let Some(line) = lines.next() {
            let mut whole = line.to_owned();
            while whole.ends_with('\\') {
                whole.pop();
                whole.push_str(lines.next().unwrap_or_default().trim_start());
            }
            text.push_str(&whole.replace("\\\"", "\""));
            text.push('\n');
        }
    }
    text
}

fn sources(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => sources(&path),
            false => vec![std::fs::read_to_string(path).unwrap()],
        })
        .collect()
}

#[test]
fn every_quoted_message_is_said_by_the_program() {
    let (messages, said) = (quoted(&page()), said());
    assert!(messages.len() > 20, "{messages:?}");
    let strange: Vec<_> = messages
        .iter()
        .filter(|message| {
            // Between the dots the words stand in the source, one after another, in one line.
            let parts: Vec<&str> = message.split('…').map(str::trim).filter(|part| !part.is_empty()).collect();
            !said.lines().any(|line| {
                let mut rest = line;
                parts.iter().all(|part| {
                    let found = rest.find(part);
                    rest = found.map_or("", |at| &rest[at + part.len()..]);
                    found.is_some()
                })
            })
        })
        .collect();
    assert!(strange.is_empty(), "nothing says: {strange:#?}");
}

//! The files of `src` as the tests of the architecture read them: whole, without comments, texts and test code.

use std::path::{Path, PathBuf};

/// One file.
pub struct Source {
    /// Relative to `src`.
    pub path: String,
    /// Without comments, without the contents of string and character literals, without items below `#[cfg(test)]`.
    pub code: String,
    pub lines: usize,
}

impl Source {
    pub fn of(path: &str, text: &str) -> Self {
        // Test modules may have a file of their own: tests.rs, cron_tests.rs, tests/….rs.
        let is_test = path.ends_with("tests.rs") || path.contains("/tests/");
        let code = if is_test { String::new() } else { without_tests(&blanked(text)) };
        Self { path: path.to_owned(), code, lines: text.lines().count() }
    }

    /// The first folder below `src`, or the file's own name.
    pub fn room(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or(&self.path);
        first.strip_suffix(".rs").unwrap_or(first)
    }
}

pub fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every file of `src`, in the order of their paths.
pub fn sources() -> Vec<Source> {
    let root = src();
    let mut folders = vec![root.clone()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let path = path.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
                sources.push(Source::of(&path, &text));
            }
        }
    }
    assert!(sources.len() > 10, "src was not found");
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

/// The text without comments and without what stands inside literals; lines stay lines.
fn blanked(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = literal_or_comment(&chars, at);
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            let is_comment = chars[at] == '/';
            if !is_comment {
                out.push_str("\"\"");
            }
            out.extend(chars[at..end].iter().filter(|c| **c == '\n'));
            at = end;
        }
    }
    out
}

/// Where the comment or literal that begins `at` ends; `at` itself where none begins.
fn literal_or_comment(chars: &[char], at: usize) -> usize {
    let next = chars.get(at + 1).copied();
    let is_word = |c: &char| c.is_alphanumeric() || *c == '_';
    let after_word = at > 0 && is_word(&chars[at - 1]);
    match chars[at] {
        '/' if next == Some('/') => until(chars, at, |rest| rest[0] == '\n', 0),
        '/' if next == Some('*') => {
            let (mut depth, mut here) = (0_usize, at);
            while here < chars.len() {
                match (chars[here], chars.get(here + 1)) {
                    ('/', Some('*')) => (depth, here) = (depth + 1, here + 2),
                    ('*', Some('/')) => (depth, here) = (depth - 1, here + 2),
                    _ => here += 1,
                }
                if depth == 0 {
                    break;
                }
            }
            here
        }
        '"' => text_end(chars, at + 1),
        'b' if !after_word && next == Some('"') => text_end(chars, at + 2),
        'r' | 'b' if !after_word => raw_end(chars, at).unwrap_or(at),
        '\'' => match (next, chars.get(at + 2)) {
            (Some('\\'), _) => until(chars, at + 3, |rest| rest[0] == '\'', 1),
            (Some(_), Some('\'')) => at + 3,
            _ => at, // a lifetime
        },
        _ => at,
    }
}

fn until(chars: &[char], from: usize, found: impl Fn(&[char]) -> bool, more: usize) -> usize {
    (from..chars.len()).find(|&here| found(&chars[here..])).map_or(chars.len(), |here| here + more)
}

fn text_end(chars: &[char], from: usize) -> usize {
    let mut here = from;
    while here < chars.len() && chars[here] != '"' {
        here += if chars[here] == '\\' { 2 } else { 1 };
    }
    (here + 1).min(chars.len())
}

/// `r"…"`, `r#"…"#`, `br#"…"#`.
fn raw_end(chars: &[char], at: usize) -> Option<usize> {
    let from = at + if chars[at] == 'b' { 2 } else { 1 };
    if chars[at] == 'b' && chars.get(at + 1) != Some(&'r') {
        return None;
    }
    let hashes = chars.get(from..)?.iter().take_while(|c| **c == '#').count();
    if chars.get(from + hashes) != Some(&'"') {
        return None;
    }
    let closes = |rest: &[char]| rest[0] == '"' && rest.len() > hashes && rest[1..=hashes].iter().all(|c| *c == '#');
    Some(until(chars, from + hashes + 1, closes, hashes + 1).min(chars.len()))
}

/// The code without the items that only tests have. What stands below them stays.
fn without_tests(code: &str) -> String {
    let mut left = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find("#[cfg(test)]") {
        left.push_str(&rest[..at]);
        rest = &rest[at..];
        // Further attributes of the item, then the item up to its `;` or its closing brace.
        let (mut depth, mut in_attribute) = (0_usize, 0_usize);
        let end = rest.char_indices().find_map(|(here, c)| {
            match c {
                '[' => in_attribute += 1,
                ']' => in_attribute = in_attribute.saturating_sub(1),
                '{' | '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                '}' => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return Some(here + 1);
                    }
                }
                ';' if depth == 0 && in_attribute == 0 => return Some(here + 1),
                _ => {}
            }
            None
        });
        rest = &rest[end.unwrap_or(rest.len())..];
    }
    left.push_str(rest);
    left
}

#[test]
fn files_are_read_to_their_end() {
    let code = |text: &str| Source::of("a/b.rs", text).code;
    let below = "#[cfg(test)]\nmod test_server;\nmod rest { use crate::store; }";
    assert!(code(below).contains("crate::store") && !code(below).contains("test_server"));
    let between = "fn a() {}\n#[cfg(test)]\n#[path = \"x.rs\"]\nmod tests { fn f() { if x { y() } } use crate::jira; }\nfn b() {}";
    assert!(code(between).contains("fn b()") && !code(between).contains("jira"));
    let texts = "let a = \"crate::store // {\"; let b = r#\"crate::jira \"\"#; let c = '{'; fn f<'a>(x: &'a str) {}";
    assert!(!code(texts).contains("store") && !code(texts).contains("jira") && code(texts).contains("fn f<'a>"));
    assert!(!code("/* crate::store /* nested */ */ fn f() {}").contains("store"));
    assert!(code("/* one */ fn f() {}").contains("fn f()"));
}

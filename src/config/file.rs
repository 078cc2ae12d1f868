//! The configuration's file: TOML, as text that a person wrote.
//!
//! What must hold: an error names the line, the column and the key, and shows nothing of what stands there, since a
//! password is a likely thing to be mistyped.

use std::path::{Path, PathBuf};

use figment::value::{Dict, Map, Value};
use figment::{Metadata, Profile, Provider};

use super::key::{FORMER, nearest};
use super::{Error, Sources, keys, written};

/// The file to read, and who named it.
pub(super) fn of(sources: &Sources) -> Option<(PathBuf, String)> {
    if let Some(path) = &sources.file {
        return Some((path.clone(), "--config".into()));
    }
    if let Some(path) = sources.environment.get("SYNCLINE_CONFIG").filter(|path| !path.is_empty()) {
        return Some((PathBuf::from(path), "SYNCLINE_CONFIG".into()));
    }
    let path = sources.working_dir.join("syncline.toml");
    path.exists().then_some((path, "the working directory".into()))
}

/// What the file at `path` sets, all of it known; `origin` named it.
pub(super) fn layer(path: &Path, origin: &str) -> Result<FileLayer, Error> {
    let text =
        written::read(path).map_err(|source| Error::Unreadable { path: path.into(), origin: origin.into(), source })?;
    let mut dict = parse(path, &text)?;
    rename_former(&mut dict);
    for (section, value) in &dict {
        let inner = match value {
            Value::Dict(_, inner) => inner.keys().map(|key| format!("{section}.{key}")).collect(),
            _ => vec![section.clone()],
        };
        for name in inner {
            if !keys().any(|key| key.path == name) {
                let nearest = nearest(&name, keys().map(|key| key.path)).map(str::to_owned);
                return Err(Error::UnknownKey { key: name, origin: path.display().to_string(), nearest });
            }
        }
    }
    Ok(FileLayer { path: path.into(), dict })
}

/// Takes former names for the ones that count; where both are written, the one that counts does.
fn rename_former(dict: &mut Dict) {
    for (former, path) in FORMER {
        let (Some((section, old)), Some((_, new))) = (former.split_once('.'), path.split_once('.')) else { continue };
        if let Some(Value::Dict(_, keys)) = dict.get_mut(section)
            && let Some(value) = keys.remove(old)
        {
            keys.entry(new.to_owned()).or_insert(value);
        }
    }
}

fn parse(path: &Path, text: &str) -> Result<Dict, Error> {
    let wrong = |at: usize, problem: &str| {
        let before = text.get(..at).unwrap_or(text);
        Error::Syntax {
            path: path.into(),
            line: before.matches('\n').count() + 1,
            column: before.rsplit('\n').next().unwrap_or_default().chars().count() + 1,
            key: key_at(text, before.rfind('\n').map_or(0, |at| at + 1)),
            problem: problem.to_owned(),
        }
    };
    let table: toml::Table = toml::from_str(text)
        .map_err(|problem| wrong(problem.span().map_or(0, |span| span.start), problem.message()))?;
    match Value::serialize(table) {
        Ok(Value::Dict(_, dict)) => Ok(dict),
        _ => Err(wrong(0, "it cannot be read")),
    }
}

/// The known key that the line at `start` sets, by the section above it.
fn key_at(text: &str, start: usize) -> Option<&'static str> {
    let (above, line) = text.split_at_checked(start)?;
    let named = line.lines().next()?.split('=').next()?.trim();
    let section = above.lines().rev().find_map(|line| line.trim().strip_prefix('[')?.split(']').next());
    let path = section.map_or_else(|| named.to_owned(), |section| format!("{}.{named}", section.trim()));
    keys().map(|key| key.path).find(|known| *known == path)
}

/// A layer that knows its file.
pub(super) struct FileLayer {
    path: PathBuf,
    dict: Dict,
}

impl Provider for FileLayer {
    fn metadata(&self) -> Metadata {
        Metadata::from("TOML file", self.path.as_path())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.dict.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        parse(Path::new("syncline.toml"), text).unwrap_err().to_string()
    }

    #[test]
    fn a_wrong_line_is_named_and_not_shown() {
        for (text, line, key) in [
            ("[database]\nurl = \"postgres://u:hunter2@h/db\n", "line 2, column ", "(database.url)"),
            ("[database]\nurl = postgres://u:hunter2@h/db\n", "line 2, column 7 ", "(database.url)"),
            ("database.url = 'hunter2\n", "line 1, column ", "(database.url)"),
            ("[secrets]\n# why\nkey = \"hunter2\" hunter2\n", "line 3, column ", "(secrets.key)"),
            ("[secrets]\nkey = \"\\hunter2\"\n", "line 2, column ", "(secrets.key)"),
            ("[secrets]\nkey = 12hunter2\n", "line 2, column ", "(secrets.key)"),
            ("[secrets]\nkey = \"a\"\nkey = \"hunter2\"\n", "line 3, column ", ""),
            ("[secrets]\nhunter2\n", "line ", ""),
            ("[sec\nkey = \"hunter2\"\n", "line 1, column ", ""),
            ("[secrets]\nkey = [ \"hunter2\", \"hunter2\"\n", "line ", ""),
            ("[secrets]\nkey = \"\"\"hunter2\n", "line ", ""),
            ("\"hunter2\" = 1\n\"hunter2\" = 2\n", "line ", ""),
        ] {
            let problem = wrong(text);
            assert!(problem.contains(line) && problem.contains(key), "{text:?}: {problem}");
            assert!(!problem.contains("hunter2"), "{text:?}: {problem}");
        }
    }

    #[test]
    fn a_former_name_is_taken_for_the_one_that_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("syncline.toml");
        for (text, workers) in [("jira_concurrency = 3", 3), ("workers = 4\njira_concurrency = 3", 4)] {
            std::fs::write(&path, format!("[queue]\n{text}\n")).unwrap();
            let read = layer(&path, "--config").unwrap().dict;
            let Some(Value::Dict(_, queue)) = read.get("queue") else { panic!("{read:?}") };
            assert_eq!(queue.get("workers").and_then(Value::to_i128), Some(workers));
            assert!(!queue.contains_key("jira_concurrency"));
        }
    }

    #[test]
    fn a_file_with_a_byte_order_mark_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("syncline.toml");
        std::fs::write(&path, "\u{feff}[sync]\r\npage_size = 7\r\n").unwrap();
        assert!(layer(&path, "--config").unwrap().dict.contains_key("sync"));
    }
}

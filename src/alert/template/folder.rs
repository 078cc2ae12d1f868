//! Templates of a folder, rendered by an interpreter.
//!
//! What must hold: a template that cannot be read, parsed or rendered, that names an unknown value, that never ends or that
//! gives nothing is reported and not used; no file outside the folder is read.

use std::io;
use std::path::Path;

use minijinja::value::Serde;
use minijinja::{Environment, Error, UndefinedBehavior};

use super::view::View;
use crate::alert::channel::Problem;
use crate::config::written;

pub(super) const SUBJECT: &str = "subject.txt";
pub(super) const TEXT: &str = "alert.txt";
pub(super) const HTML: &str = "alert.html";

/// Instructions that one rendering may take; the built-in templates take a few thousand.
const FUEL: u64 = 500_000;
/// The largest template, in bytes.
const FILE_LIMIT_BYTES: u64 = 1 << 20;

/// The templates that a folder holds and that can be parsed.
#[derive(Debug)]
pub(super) struct Folder {
    templates: Environment<'static>,
}

impl Folder {
    pub fn read(path: &Path) -> (Self, Vec<Problem>) {
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        templates.set_fuel(Some(FUEL));
        // So that the built-in templates, which are compiled as Rust, can be copied as they are.
        templates.set_unknown_method_callback(|_, value, method, _| match (method, value.len()) {
            ("len", Some(length)) => Ok(length.into()),
            _ => Err(Error::from(minijinja::ErrorKind::UnknownMethod)),
        });
        let mut problems = Vec::new();
        if !path.is_dir() {
            let problem = "is not a readable folder: the built-in templates are used";
            problems.push(Problem::new(path.display().to_string(), problem, "create it, or unset it"));
        }
        for name in [SUBJECT, TEXT, HTML] {
            let file = path.join(name);
            let remedy = "correct it, or remove it to use the built-in one";
            let source = match read(&file) {
                Ok(source) => source,
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                    continue;
                }
                Err(error) => {
                    let problem = format!("cannot be read: {error}");
                    problems.push(Problem::new(file.display().to_string(), problem, remedy));
                    continue;
                }
            };
            if let Err(error) = templates.add_template_owned(name.to_owned(), source) {
                problems.push(Problem::new(file.display().to_string(), told(&error), remedy));
            }
        }
        (Self { templates }, problems)
    }

    /// The text of a template; without one, nothing, and why it failed if it did.
    pub fn render(&self, name: &str, view: &View) -> Result<String, Option<String>> {
        let template = self.templates.get_template(name).map_err(|_| None)?;
        let text = template.render(Serde(view)).map_err(|error| Some(format!("{name} {}", told(&error))))?;
        if text.trim().is_empty() { Err(Some(format!("{name} produces an empty text"))) } else { Ok(text) }
    }
}

fn read(path: &Path) -> io::Result<String> {
    if std::fs::metadata(path)?.len() > FILE_LIMIT_BYTES {
        return Err(io::Error::other(format!("it is larger than {FILE_LIMIT_BYTES} bytes")));
    }
    written::read(path)
}

fn told(error: &Error) -> String {
    let line = error.line().map(|line| format!(" in line {line}")).unwrap_or_default();
    let detail = error.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
    format!("is not a valid template{line}: {}{detail}", error.kind())
}

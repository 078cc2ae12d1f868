//! Reads the layers, refuses what is unknown or wrong, and remembers where each value came from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider, Source};
use serde::Serialize;

use super::key::{FORMER, Key, Kind, nearest};
use super::{Config, DatabaseConfig, Error, file, keys, written};

/// Everything a configuration is made from, handed in so that tests need not touch the process.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `--config`.
    pub file: Option<PathBuf>,
    /// Where `syncline.toml` is looked for when no file is named.
    pub working_dir: PathBuf,
    /// The environment variables.
    pub environment: BTreeMap<String, String>,
    /// Flags, as (flag, key, value), e.g. `("--database-url", "database.url", "postgres://…")`.
    pub flags: Vec<(&'static str, &'static str, String)>,
}

impl Sources {
    /// The process's own environment and working directory. Variables that are not UTF-8 are left out.
    pub fn of_process() -> Self {
        let text = |name: std::ffi::OsString, value: std::ffi::OsString| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self {
            environment: std::env::vars_os().filter_map(|(name, value)| text(name, value)).collect(),
            ..Self::default()
        }
    }
}

/// Where a value came from, e.g. `default`, `syncline.toml`, `SYNCLINE__SYNC__PAGE_SIZE`, `--database-url`.
pub type Origin = String;

/// A checked configuration, and how it came to be.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// One per key, in the order of the sections.
    pub settings: Vec<Setting>,
}

/// One effective setting, for `syncline config show`.
#[derive(Clone, Debug, Serialize)]
pub struct Setting {
    /// `section.key`.
    pub key: &'static str,
    /// The value; a secret is replaced by `(hidden)`, a missing value is empty.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// Reads and checks the configuration.
///
/// # Errors
/// The first thing that is unknown, unreadable or wrong; see [`Error::help`].
pub fn load(sources: &Sources) -> Result<Loaded, Error> {
    let mut figment = Figment::new();
    if let Some((path, origin)) = file::of(sources) {
        figment = figment.merge(file::layer(&path, &origin)?);
    }
    for assigned in environment_layers(&sources.environment)? {
        figment = figment.merge(assigned);
    }
    for (flag, path, value) in &sources.flags {
        let key = keys().find(|key| key.path == *path);
        figment = figment.merge(Assigned { path, value: typed(key, value), origin: (*flag).to_owned() });
    }
    let settings = keys().map(|key| setting(&figment, key)).collect::<Result<Vec<_>, _>>()?;
    let mut config: Config = figment.extract().map_err(|problem| {
        let path = problem.path.join(".");
        // The kind repeats what was found.
        let is_shown = keys().any(|key| key.path == path && !key.is_secret());
        Error::Invalid {
            problem: if is_shown { format!("cannot be read: {}", problem.kind) } else { "cannot be read".into() },
            key: path,
            origin: problem.metadata.as_ref().map_or_else(|| "default".into(), origin_name),
            remedy: "see `syncline config show` for every key with its value".into(),
        }
    })?;
    let is_default = |key: &str| settings.iter().any(|set| set.key == key && set.origin == "default");
    config.http.may_move = is_default("http.address");
    config.serve.may_move = is_default("serve.address");
    config.serve.oidc = config.oidc.clone();
    if let Some((key, problem, remedy)) = config.queue.contradiction() {
        let origin = settings.iter().find(|setting| setting.key == key).map(|setting| setting.origin.clone());
        return Err(Error::Invalid { key: key.into(), origin: origin.unwrap_or_default(), problem, remedy });
    }
    Ok(Loaded { config, settings })
}

fn environment_layers(environment: &BTreeMap<String, String>) -> Result<Vec<Assigned>, Error> {
    let mut layers = Vec::new();
    let mut known: Vec<String> = Vec::new();
    // Former names first, so that the one that counts wins where both are set.
    for (former, path) in FORMER {
        let variable = format!("SYNCLINE__{}", former.to_ascii_uppercase().replace('.', "__"));
        if let Some((value, _)) = variable_or_file(environment, &variable, false)? {
            let key = keys().find(|key| key.path == path);
            let origin = format!("{variable} (former name of {path})");
            layers.push(Assigned { path, value: typed(key, &value), origin });
        }
        known.push(variable);
    }
    for key in keys() {
        // The general name comes first, so that the program's own wins.
        let general = (key.path == "database.url").then(|| "DATABASE_URL".to_owned());
        for variable in general.into_iter().chain([key.variable()]) {
            if let Some((value, origin)) = variable_or_file(environment, &variable, key.is_secret())? {
                layers.push(Assigned { path: key.path, value: typed(Some(key), &value), origin });
            }
            if key.is_secret() {
                known.push(format!("{variable}_FILE"));
            }
            known.push(variable);
        }
    }
    // Only the double underscore is this program's: Kubernetes invents SYNCLINE_SERVICE_HOST and its like.
    for name in environment.keys().filter(|name| name.to_ascii_uppercase().starts_with("SYNCLINE__")) {
        if !known.contains(name) {
            let nearest = nearest(name, known.iter().map(String::as_str)).map(str::to_owned);
            return Err(Error::UnknownKey { key: name.clone(), origin: "the environment".into(), nearest });
        }
    }
    Ok(layers)
}

/// The value of `variable`, or of the file that `variable_FILE` names. An empty variable counts as not set.
fn variable_or_file(
    environment: &BTreeMap<String, String>,
    variable: &str,
    may_be_file: bool,
) -> Result<Option<(String, Origin)>, Error> {
    let set = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    let file_variable = format!("{variable}_FILE");
    let file = if may_be_file { set(&file_variable) } else { None };
    match (set(variable), file) {
        (Some(_), Some(_)) => Err(Error::TwoSources { variable: variable.to_owned() }),
        (Some(value), None) => Ok(Some((value.clone(), variable.to_owned()))),
        (None, Some(path)) => {
            let text = written::read(Path::new(path)).map_err(|source| Error::Unreadable {
                path: PathBuf::from(path),
                origin: file_variable.clone(),
                source,
            })?;
            Ok(Some((text.trim_end_matches(['\r', '\n']).to_owned(), file_variable)))
        }
        (None, None) => Ok(None),
    }
}

/// A variable is text; only keys that take numbers read it as one.
fn typed(key: Option<&Key>, text: &str) -> Value {
    match (key.map(|key| &key.kind), text.trim().parse::<i64>()) {
        (Some(Kind::Integer(..)), Ok(number)) => Value::from(number),
        _ => Value::from(text),
    }
}

/// Checks one key's value, and describes it.
fn setting(figment: &Figment, key: &'static Key) -> Result<Setting, Error> {
    let Ok(value) = figment.find_value(key.path) else {
        let origin = "default".to_owned();
        let value = match key.path {
            // What it is depends on who asks.
            "database.data_dir" => DatabaseConfig::default().private_folder().display().to_string(),
            _ => key.default.to_owned(),
        };
        return Ok(Setting { key: key.path, value, origin });
    };
    let origin = figment.find_metadata(key.path).map_or_else(|| "default".into(), origin_name);
    let problem = match (&key.kind, &value) {
        (Kind::Integer(min, max), Value::Num(_, number)) => match number.to_i128() {
            Some(number) if (i128::from(*min)..=i128::from(*max)).contains(&number) => None,
            Some(number) => Some(format!("is {number}, out of range")),
            None => Some("is a fraction instead of a whole number".into()),
        },
        (Kind::Integer(..), Value::String(_, text)) => Some(format!("is {text:?} instead of a whole number")),
        (Kind::Choice(words), Value::String(_, text)) if !words.contains(&text.as_str()) => {
            let hint = nearest(text, words.iter().copied()).map(|word| format!(" (did you mean {word}?)"));
            Some(format!("is {text:?}, which is unknown{}", hint.unwrap_or_default()))
        }
        (Kind::Text(check) | Kind::Secret(check), Value::String(_, text)) => check(text).err(),
        (Kind::Choice(_), Value::String(..)) => None,
        (Kind::Integer(..), other) => Some(format!("is {} instead of a whole number", shape(other))),
        (_, other) => Some(format!("is {} instead of text in quotes", shape(other))),
    };
    if let Some(problem) = problem {
        return Err(Error::Invalid { key: key.path.into(), origin, problem, remedy: key.remedy() });
    }
    let shown = match value {
        _ if key.is_secret() => "(hidden)".to_owned(),
        Value::String(_, text) => text,
        Value::Num(_, number) => number.to_i128().map(|number| number.to_string()).unwrap_or_default(),
        _ => String::new(),
    };
    Ok(Setting { key: key.path, value: shown, origin })
}

fn shape(value: &Value) -> &'static str {
    match value {
        Value::String(..) => "text",
        Value::Char(..) => "a character",
        Value::Bool(..) => "true or false",
        Value::Num(..) => "a number",
        Value::Empty(..) => "nothing",
        Value::Dict(..) => "a table",
        Value::Array(..) => "a list",
    }
}

fn origin_name(metadata: &Metadata) -> Origin {
    match &metadata.source {
        Some(Source::File(path)) => path.display().to_string(),
        _ => metadata.name.clone().into_owned(),
    }
}

/// One key set by one variable or flag: a layer of its own, so that the origin names it.
struct Assigned {
    path: &'static str,
    value: Value,
    origin: Origin,
}

impl Provider for Assigned {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let nested = figment::util::nest(self.path, self.value.clone());
        Ok(Profile::Default.collect(nested.into_dict().unwrap_or_default()))
    }
}

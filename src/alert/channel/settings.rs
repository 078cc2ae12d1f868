//! Reads a channel's settings, and says what is wrong with them as the configuration does: field, shape, remedy.
//!
//! What must hold: a setting that nobody reads is refused, with the nearest known name; no value is repeated in a problem,
//! because somebody may have written a secret into the wrong field.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::{Map, Value};
use url::Url;

/// Something that cannot be used. `Display` says what is wrong, [`Problem::help`] what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub struct Problem {
    /// The setting, recipient or file.
    pub field: String,
    /// What was found and why it does not do; never a secret.
    pub problem: String,
    /// What to write instead.
    pub remedy: String,
}

impl Problem {
    pub(crate) fn new(field: impl Into<String>, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into(), remedy: remedy.into() }
    }

    /// What to do about it: one sentence for an operator.
    pub fn help(&self) -> &str {
        &self.remedy
    }
}

/// The settings of one channel, while they are being read.
pub(super) struct Settings<'a> {
    values: &'a Map<String, Value>,
    known: Vec<&'static str>,
}

impl<'a> Settings<'a> {
    pub fn new(settings: &'a Value) -> Result<Self, Problem> {
        static NONE: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
        match settings {
            Value::Object(values) => Ok(Self { values, known: Vec::new() }),
            Value::Null => Ok(Self { values: &NONE, known: Vec::new() }),
            other => Err(Problem::new(
                "settings",
                format!("is {} instead of an object", shape(other)),
                "write the settings as names and values, e.g. {\"host\": \"smtp.example.com\"}",
            )),
        }
    }

    fn value(&mut self, field: &'static str) -> Option<&'a Value> {
        self.known.push(field);
        self.values.get(field).filter(|value| !value.is_null())
    }

    /// Text that must be there; `expects` completes the sentence "write …".
    pub fn text(&mut self, field: &'static str, expects: &str) -> Result<&'a str, Problem> {
        let Some(text) = self.optional_text(field, expects)? else {
            return Err(Problem::new(field, "is missing", format!("write {expects}")));
        };
        Ok(text)
    }

    pub fn optional_text(&mut self, field: &'static str, expects: &str) -> Result<Option<&'a str>, Problem> {
        match self.value(field) {
            None => Ok(None),
            Some(Value::String(text)) if !text.trim().is_empty() => Ok(Some(text.trim())),
            Some(Value::String(_)) => Err(Problem::new(field, "is empty", format!("write {expects}"))),
            Some(other) => {
                Err(Problem::new(field, format!("is {} instead of text", shape(other)), format!("write {expects}")))
            }
        }
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&mut self, field: &'static str, words: &[(&str, T)], default: T) -> Result<T, Problem> {
        let expects = format!("one of {}", words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", "));
        let Some(text) = self.optional_text(field, &expects)? else { return Ok(default) };
        words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
            Problem::new(
                field,
                format!("is an unknown word ({} characters)", text.chars().count()),
                format!("write {expects}"),
            )
        })
    }

    pub fn integer(&mut self, field: &'static str, range: RangeInclusive<u64>, default: u64) -> Result<u64, Problem> {
        let expects = format!("a whole number from {} to {}", range.start(), range.end());
        match self.value(field) {
            None => Ok(default),
            Some(Value::Number(number)) => match number.as_u64() {
                Some(number) if range.contains(&number) => Ok(number),
                _ => Err(Problem::new(field, format!("is {number}, out of range"), format!("write {expects}"))),
            },
            Some(other) => {
                Err(Problem::new(field, format!("is {} instead of a number", shape(other)), format!("write {expects}")))
            }
        }
    }

    pub fn flag(&mut self, field: &'static str) -> Result<bool, Problem> {
        match self.value(field) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(Problem::new(
                field,
                format!("is {} instead of true or false", shape(other)),
                "write true or false, without quotes",
            )),
        }
    }

    /// A list of texts, or nothing.
    pub fn list(&mut self, field: &'static str, expects: &str) -> Result<Option<Vec<&'a str>>, Problem> {
        let wrong = |found: &Value| {
            Problem::new(field, format!("is {} instead of a list of texts", shape(found)), format!("write {expects}"))
        };
        match self.value(field) {
            None => Ok(None),
            Some(Value::Array(items)) => {
                items.iter().map(|item| item.as_str().ok_or_else(|| wrong(item))).collect::<Result<_, _>>().map(Some)
            }
            Some(other) => Err(wrong(other)),
        }
    }

    /// `timeout_seconds`: how long any one answer is waited for.
    pub fn timeout(&mut self, default_seconds: u64) -> Result<Duration, Problem> {
        self.integer("timeout_seconds", 1..=600, default_seconds).map(Duration::from_secs)
    }

    /// `base_url`: where the service is; its own address unless a stand-in is named.
    pub fn base_url(&mut self, default: &str) -> Result<String, Problem> {
        let text = self.optional_text("base_url", "the service's https:// address")?.unwrap_or(default);
        Ok(service_url("base_url", text)?.as_str().trim_end_matches('/').to_owned())
    }

    /// Refuses settings that nobody has read.
    pub fn finish(self) -> Result<(), Problem> {
        for field in self.values.keys() {
            if !self.known.contains(&field.as_str()) {
                let nearest = self
                    .known
                    .iter()
                    .map(|known| (strsim::jaro_winkler(&field.to_ascii_lowercase(), known), *known))
                    .filter(|(likeness, _)| *likeness > 0.8)
                    .max_by(|a, b| a.0.total_cmp(&b.0));
                let remedy = match nearest {
                    Some((_, known)) => format!("did you mean {known}?"),
                    None => format!("the settings of this kind are {}", self.known.join(", ")),
                };
                return Err(Problem::new(field.clone(), "is not a setting of this kind of channel", remedy));
            }
        }
        Ok(())
    }
}

/// An address that credentials may be sent to: encrypted, or on this machine.
pub(super) fn service_url(field: &str, text: &str) -> Result<Url, Problem> {
    let url = http_url(field, text)?;
    if url.scheme() == "http" && !is_this_machine(&url) {
        return Err(Problem::new(field, "is not encrypted: it begins with http://", "write an https:// address"));
    }
    Ok(url)
}

pub(super) fn http_url(field: &str, text: &str) -> Result<Url, Problem> {
    let remedy = "write an address such as https://alerts.example.com/hook";
    let url = Url::parse(text).map_err(|problem| Problem::new(field, format!("is not a URL: {problem}"), remedy))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(Problem::new(field, "does not begin with https:// and a host name", remedy));
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(Problem::new(field, "contains a user name, a password or a fragment", remedy));
    }
    Ok(url)
}

fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => is_loopback_name(name),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

pub(super) fn is_loopback_name(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn shape(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_unknown_setting_is_refused_with_the_nearest_name() {
        let value = json!({"host": "smtp.example.com", "timeout_second": "hunter2"});
        let mut settings = Settings::new(&value).unwrap();
        settings.text("host", "a host").unwrap();
        settings.timeout(30).unwrap();
        let problem = settings.finish().unwrap_err();
        assert_eq!(problem.field, "timeout_second");
        assert!(problem.help().contains("timeout_seconds"));
        assert!(!format!("{problem} {}", problem.help()).contains("hunter2"));
    }

    #[test]
    fn a_value_of_the_wrong_shape_is_refused_with_both_shapes() {
        let value = json!({"host": 5, "port": "high", "flag": "yes", "words": [1]});
        let mut settings = Settings::new(&value).unwrap();
        assert_eq!(settings.text("host", "a host").unwrap_err().to_string(), "host is a number instead of text");
        assert_eq!(settings.integer("port", 1..=9, 5).unwrap_err().to_string(), "port is text instead of a number");
        assert!(settings.flag("flag").is_err() && settings.list("words", "words").is_err());
        assert_eq!(settings.text("absent", "a word").unwrap_err().to_string(), "absent is missing");
        assert!(Settings::new(&json!([1])).is_err());
    }

    #[test]
    fn a_credential_is_sent_over_encryption_or_not_off_this_machine() {
        assert!(service_url("base_url", "http://slack.example.com/api").is_err());
        assert!(service_url("base_url", "http://127.0.0.1:8080/api").is_ok());
        assert!(service_url("base_url", "https://slack.example.com/api").is_ok());
        for wrong in ["slack", "ftp://example.com", "https://user:pass@example.com", "https://example.com/#x"] {
            assert!(http_url("url", wrong).is_err(), "{wrong}");
        }
    }
}

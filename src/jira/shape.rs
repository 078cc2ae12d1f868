//! The shape of a body that is not the answer hoped for: JSON of one of Jira's several error formats, HTML, text, nothing.
//!
//! What must hold: a shape is told by its keys and its machine codes. Texts for people come in the account's language and
//! are carried along for the message only.

use serde_json::Value;

use super::repair;

/// What a body is, told from its first bytes.
#[derive(Debug)]
pub(super) enum Shape {
    /// A JSON object or array; of one that was cut, no keys are known.
    Json(Refusal),
    /// A page for people: a gateway's, a sign-in form, or one of Jira's own.
    Html,
    /// Anything else that is not empty.
    Text(String),
    /// Nothing at all.
    Empty,
}

/// What a JSON body says, as far as it tells failures apart.
#[derive(Debug, Default)]
pub(super) struct Refusal {
    /// Jira itself answered, in its usual form: `{errorMessages, errors}`.
    pub usual: bool,
    /// The site's front door answered: `{errorMessage, errorCode}`, for a site that is suspended or missing.
    pub front_door: bool,
    /// A lone `error`, as for a bearer token that was sent to a site's own URL.
    pub lone_error: bool,
    /// Atlassian's gateway says that the token is good and its scopes do not cover what was asked. The only text that
    /// decides: the gateway has no other sign, and no language but English.
    pub scope_mismatch: bool,
    /// The machine codes found in `errorCode`, `code`, `error`, `type` and `reason`, in upper case.
    pub codes: Vec<String>,
    /// The first text for people.
    pub message: Option<String>,
}

impl Shape {
    /// Reads the first bytes of a body; `content_type` decides where they do not.
    pub(super) fn of(body: &[u8], content_type: &str) -> Self {
        let text = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body).trim_ascii_start();
        match text.first() {
            None => Self::Empty,
            Some(b'{' | b'[') => Self::Json(refusal(&repair::read_owned(text).unwrap_or(Value::Null))),
            Some(b'<') => Self::Html,
            Some(_) if content_type.trim_start().to_ascii_lowercase().starts_with("text/html") => Self::Html,
            Some(_) => Self::Text(String::from_utf8_lossy(text).into_owned()),
        }
    }

    /// The first text for people, for a message.
    pub(super) fn message(&self) -> Option<&str> {
        match self {
            Self::Json(refusal) => refusal.message.as_deref(),
            Self::Text(text) => text.lines().next(),
            Self::Html | Self::Empty => None,
        }
    }

    /// Whether one of the machine codes contains one of `words`.
    pub(super) fn has_code(&self, words: &[&str]) -> bool {
        match self {
            Self::Json(refusal) => refusal.codes.iter().any(|code| words.iter().any(|word| code.contains(word))),
            _ => false,
        }
    }

    /// A word for messages.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Json(_) => "JSON",
            Self::Html => "an HTML page",
            Self::Text(_) => "plain text",
            Self::Empty => "an empty body",
        }
    }
}

fn refusal(body: &Value) -> Refusal {
    let has = |key: &str| body.get(key).is_some();
    let usual = has("errorMessages") || body.get("errors").is_some_and(Value::is_object);
    let codes = ["errorCode", "code", "error", "type", "reason"]
        .iter()
        .filter_map(|key| body.get(key)?.as_str())
        .filter(|code| code.len() <= 200 && !code.contains(char::is_whitespace))
        .map(str::to_ascii_uppercase)
        .collect();
    Refusal {
        usual,
        front_door: has("errorCode"),
        lone_error: body.get("error").is_some_and(Value::is_string)
            && !["message", "errorCode", "error_description", "status", "path"].into_iter().any(has)
            && !usual,
        scope_mismatch: body.get("code").and_then(Value::as_i64) == Some(401)
            && body.get("message").and_then(Value::as_str).is_some_and(|text| text.contains("scope")),
        codes,
        message: first_message(body),
    }
}

fn first_message(body: &Value) -> Option<String> {
    let text = |value: &Value| value.as_str().filter(|text| !text.trim().is_empty()).map(str::to_owned);
    let of_list = body.get("errorMessages").and_then(Value::as_array).and_then(|list| list.iter().find_map(text));
    let of_fields = || {
        let fields = body.get("errors")?.as_object()?;
        fields.iter().find_map(|(field, problem)| Some(format!("{field}: {}", text(problem)?)))
    };
    let of_keys = || {
        ["errorMessage", "message", "detail", "title", "error_description", "error"]
            .iter()
            .find_map(|key| body.get(key).and_then(text))
    };
    of_list.or_else(of_fields).or_else(of_keys)
}

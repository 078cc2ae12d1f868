//! WhatsApp Cloud API: approved templates, because a message that nobody has asked for must be one.
//!
//! What must hold: one request per recipient, with the delivery id as callback data, so that a status that comes later
//! can be told apart; the template's parameters are one line each and never empty, as the API demands.

mod answers;

use std::fmt;

use futures::future::BoxFuture;
use reqwest::{Client, RequestBuilder};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::http;
use super::reason::gather;
use super::settings::{Problem, Settings};
use super::{Channel, Delivered, Kind, Reason, Undelivered, required};
use crate::alert::Message;
use crate::alert::template::words;
use crate::clock::Clock;

const API: &str = "https://graph.facebook.com/v23.0";
/// A template's body holds 1,024 characters with its parameters: each gets its share, with room for the fixed text.
const PARAMETERS_LIMIT: usize = 700;

/// A business telephone number.
pub(super) struct Whatsapp {
    client: Client,
    clock: Clock,
    token: SecretString,
    /// `…/PHONE_NUMBER_ID`
    url: String,
    template: String,
    language: String,
    parameters: Vec<Parameter>,
}

/// What fills a placeholder of the template.
#[derive(Clone, Copy, Debug)]
enum Parameter {
    Event,
    Severity,
    About,
    Summary,
    Advice,
    Class,
    Since,
    Subject,
}

const PARAMETERS: [(&str, Parameter); 8] = [
    ("event", Parameter::Event),
    ("severity", Parameter::Severity),
    ("about", Parameter::About),
    ("summary", Parameter::Summary),
    ("advice", Parameter::Advice),
    ("class", Parameter::Class),
    ("since", Parameter::Since),
    ("subject", Parameter::Subject),
];

impl fmt::Debug for Whatsapp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Whatsapp").field("url", &self.url).field("template", &self.template).finish_non_exhaustive()
    }
}

impl Whatsapp {
    pub fn open(mut settings: Settings<'_>, credential: Option<SecretString>, clock: &Clock) -> Result<Self, Problem> {
        let number = settings.text("phone_number_id", "the number's id as WhatsApp Manager shows it (digits)")?;
        if !number.chars().all(|c| c.is_ascii_digit()) {
            return Err(Problem::new(
                "phone_number_id",
                "contains characters other than digits",
                "write the number's id, not the telephone number itself",
            ));
        }
        let template = settings.text("template", "the name of an approved template")?.to_owned();
        let language = settings.optional_text("language", "the template's language, e.g. en_US")?.unwrap_or("en");
        let parameters = parameters(settings.list("parameters", "a list of the values that fill the template")?)?;
        let url = format!("{}/{number}", settings.base_url(API)?);
        let (language, timeout) = (language.to_owned(), settings.timeout(15)?);
        settings.finish()?;
        let token = required(credential, "the access token of a system user")?;
        let client = http::build(http::builder(timeout))?;
        Ok(Self { client, clock: clock.clone(), token, url, template, language, parameters })
    }

    async fn deliver(&self, message: &Message) -> Result<Delivered, Undelivered> {
        let mut outcomes = Vec::new();
        for to in &message.to {
            let request = self.client.post(format!("{}/messages", self.url)).json(&self.body(to, message));
            outcomes.push((to.clone(), self.call(request).await.map(|answer| message_id(&answer))));
        }
        gather(outcomes)
    }

    fn body(&self, to: &str, message: &Message) -> Value {
        let share = PARAMETERS_LIMIT / self.parameters.len().max(1);
        let values: Vec<Value> = self
            .parameters
            .iter()
            .map(|parameter| json!({"type": "text", "text": one_line(&parameter.value(message), share)}))
            .collect();
        let components = if values.is_empty() { json!([]) } else { json!([{"type": "body", "parameters": values}]) };
        json!({
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": to.trim_start_matches('+'),
            "type": "template",
            "template": {
                "name": self.template,
                "language": {"code": self.language},
                "components": components,
            },
            "biz_opaque_callback_data": message.metadata.delivery_id.to_string(),
        })
    }

    async fn call(&self, request: RequestBuilder) -> Result<Value, Undelivered> {
        let answer = http::ask(request.bearer_auth(self.token.expose_secret()), &self.clock).await?;
        answers::read(&answer)
    }
}

fn message_id(answer: &Value) -> String {
    answer.pointer("/messages/0/id").and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn parameters(names: Option<Vec<&str>>) -> Result<Vec<Parameter>, Problem> {
    let names = names.unwrap_or_else(|| vec!["event", "about", "summary", "advice"]);
    names
        .into_iter()
        .map(|name| {
            PARAMETERS.iter().find(|(known, _)| *known == name).map(|(_, parameter)| *parameter).ok_or_else(|| {
                let known: Vec<_> = PARAMETERS.iter().map(|(known, _)| *known).collect();
                Problem::new("parameters", "names an unknown value", format!("use {}", known.join(", ")))
            })
        })
        .collect()
}

impl Parameter {
    fn value(self, message: &Message) -> String {
        let about = &message.metadata;
        match self {
            Self::Event => words::event(about.event).to_owned(),
            Self::Severity => words::severity(about.severity).to_owned(),
            Self::About => about.about.clone(),
            Self::Summary => about.summary.clone(),
            Self::Advice => about.advice.clone(),
            Self::Class => words::class(&about.class),
            Self::Since => words::time(about.since),
            Self::Subject => message.subject.clone(),
        }
    }
}

/// No line breaks, tabs or runs of spaces: a parameter that holds any is refused (132000). And never empty.
fn one_line(text: &str, limit: usize) -> String {
    let folded = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let folded = folded.collect::<Vec<_>>().join(" ");
    match folded.chars().count() {
        0 => "-".to_owned(),
        length if length <= limit => folded,
        _ => folded.chars().take(limit - 1).collect::<String>() + "…",
    }
}

impl Channel for Whatsapp {
    fn kind(&self) -> Kind {
        Kind::Whatsapp
    }

    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<Delivered, Undelivered>> {
        Box::pin(self.deliver(message))
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), Reason>> {
        Box::pin(async move {
            let request = self.client.get(format!("{}?fields=id", self.url));
            self.call(request).await.map(drop).map_err(Undelivered::into_reason)
        })
    }
}

/// Telephone numbers as E.164 has them.
pub(super) fn check_recipients(to: &[String]) -> Result<(), Problem> {
    let remedy = "write only the number with its country code: +4915112345678";
    if to.is_empty() {
        return Err(Problem::new("to", "names no recipient", remedy));
    }
    let is_number = |text: &str| {
        text.strip_prefix('+').is_some_and(|digits| {
            (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0')
        })
    };
    match to.iter().position(|text| !is_number(text)) {
        None => Ok(()),
        Some(at) => Err(Problem::new(format!("to[{at}]"), "is not a telephone number with a country code", remedy)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_one_line_and_never_empty() {
        assert_eq!(one_line("a\nb\t c     d", 20), "a b c d");
        assert_eq!(one_line(" \n ", 20), "-");
        assert_eq!(one_line(&"x".repeat(50), 20).chars().count(), 20);
    }
}

//! A message in Slack's Block Kit, within its documented limits, and as plain text.
//!
//! What must hold: whatever the lengths and contents of a message, no limit is passed and nothing in it is taken for
//! markup, a link or a mention.

use serde_json::{Value, json};

use crate::alert::Message;
use crate::alert::template::words;
use crate::domain::alert::Event;

/// Characters of a header's plain text.
const HEADER_LIMIT: usize = 150;
/// Characters of a section's text.
const SECTION_LIMIT: usize = 3000;
/// Characters of one field of a section.
const FIELD_LIMIT: usize = 2000;
/// Fields of a section.
const FIELDS_LIMIT: usize = 10;
/// Blocks of a message.
const BLOCKS_LIMIT: usize = 50;
/// Characters of a message's text; Slack recommends 4,000 and cuts at 40,000.
const TEXT_LIMIT: usize = 4000;
/// What a long message is cut to before its footer: the rest is in `alert show`.
const BODY_BLOCKS: usize = BLOCKS_LIMIT - 1;

/// The body of a request: blocks, and text for notifications and for whatever shows no blocks.
pub(super) fn body(message: &Message) -> Value {
    let about = &message.metadata;
    let heading = format!("{} {}", sign(message), words::heading(about));
    let mut blocks = vec![
        json!({"type": "header", "text": {"type": "plain_text", "text": cut(&heading, HEADER_LIMIT), "emoji": true}}),
        section(&format!("*{}*\n{}", escape(&words::title(about)), escape(&words::sentence(about)))),
    ];
    if about.event != Event::Resolved && !about.advice.is_empty() {
        blocks.push(section(&format!("*What to do*\n{}", escape(&about.advice))));
    }
    let fields: Vec<Value> = words::facts(about)
        .iter()
        .map(|(name, value)| mrkdwn(&format!("*{}*\n{}", escape(name), escape(value)), FIELD_LIMIT))
        .collect();
    blocks.extend(fields.chunks(FIELDS_LIMIT).map(|fields| json!({"type": "section", "fields": fields})));
    for (purpose, command) in &about.commands {
        // A back-tick would end the code.
        let command = escape(&command.replace('`', "'"));
        blocks.push(section(&format!("{}\n```{}```", escape(purpose), cut(&command, SECTION_LIMIT - 500))));
    }
    blocks.truncate(BODY_BLOCKS);
    let footer = format!("Syncline · alert {} · {}", about.alert_id, words::time(about.at));
    blocks.push(json!({"type": "context", "elements": [mrkdwn(&footer, FIELD_LIMIT)]}));
    json!({"text": fallback(message), "blocks": blocks, "unfurl_links": false, "unfurl_media": false})
}

/// The same as text alone.
pub(super) fn plain(message: &Message) -> Value {
    let text = cut(&escape(&format!("{}\n{}", message.subject, message.text)), TEXT_LIMIT);
    json!({"text": text, "unfurl_links": false, "unfurl_media": false})
}

fn fallback(message: &Message) -> String {
    let about = &message.metadata;
    cut(&escape(&format!("{}: {}", message.subject, about.summary)), TEXT_LIMIT)
}

/// Colour that is read at a glance; words say the same beside it.
fn sign(message: &Message) -> &'static str {
    use crate::domain::failure::Severity;
    match (message.metadata.event, message.metadata.severity) {
        (Event::Resolved, _) => ":large_green_circle:",
        (Event::Test, _) => ":white_circle:",
        (_, Severity::Critical) => ":red_circle:",
        (_, Severity::Error) => ":large_orange_circle:",
        (_, Severity::Warning) => ":large_yellow_circle:",
        (_, Severity::Info) => ":large_blue_circle:",
    }
}

fn section(text: &str) -> Value {
    json!({"type": "section", "text": mrkdwn(text, SECTION_LIMIT)})
}

fn mrkdwn(text: &str, limit: usize) -> Value {
    json!({"type": "mrkdwn", "text": cut(text, limit), "verbatim": true})
}

/// Slack's three characters of control.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// At most `limit` characters, and no half of an escaped one at the end.
fn cut(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let mut kept: String = text.chars().take(limit - 1).collect();
    if let Some(at) = kept.rfind('&')
        && !kept[at..].contains(';')
    {
        kept.truncate(at);
    }
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::template::sample;

    fn texts(value: &Value, out: &mut Vec<String>) {
        match value {
            Value::String(text) => out.push(text.clone()),
            Value::Array(items) => items.iter().for_each(|item| texts(item, out)),
            Value::Object(fields) => fields.values().for_each(|field| texts(field, out)),
            _ => {}
        }
    }

    #[test]
    fn no_message_passes_the_limits_of_block_kit() {
        let mut message = sample::message(Event::Opened);
        message.metadata.summary = "&<>".repeat(5000);
        message.metadata.advice = "word ".repeat(5000);
        message.metadata.about = "x".repeat(500);
        message.metadata.facts = (0..200).map(|n| (format!("Fact {n}"), "&".repeat(4000))).collect();
        message.metadata.commands = (0..200).map(|n| (format!("To {n}"), "`&".repeat(4000))).collect();
        let body = body(&message);
        let blocks = body["blocks"].as_array().unwrap();
        assert!(blocks.len() <= 50, "{} blocks", blocks.len());
        for block in blocks {
            let count = |value: &Value| value["text"].as_str().unwrap().chars().count();
            match block["type"].as_str().unwrap() {
                "header" => assert!(count(&block["text"]) <= 150),
                "section" if block.get("fields").is_some() => {
                    let fields = block["fields"].as_array().unwrap();
                    assert!(fields.len() <= 10 && fields.iter().all(|field| count(field) <= 2000));
                }
                "section" => assert!(count(&block["text"]) <= 3000),
                "context" => assert!(block["elements"].as_array().unwrap().len() <= 10),
                other => panic!("{other}"),
            }
        }
        assert!(body["text"].as_str().unwrap().chars().count() <= 4000);
    }

    #[test]
    fn nothing_in_a_message_becomes_markup_or_a_mention() {
        let mut message = sample::message(Event::Opened);
        message.subject = "<!channel> & more".into();
        message.metadata.summary = "<!everyone> <https://evil.example.com|click>".into();
        message.metadata.facts = vec![("<@U1>".into(), "a & b".into())];
        let (mut all, body) = (Vec::new(), body(&message));
        texts(&body, &mut all);
        assert!(all.iter().all(|text| !text.contains('<')), "{all:?}");
        assert!(all.iter().any(|text| text.contains("a &amp; b")));
    }

    #[test]
    fn an_escaped_character_is_never_cut_in_half() {
        for limit in 5..20 {
            let cut = cut(&escape("abc<def>ghi&jkl"), limit);
            let rest = cut.replace("&lt;", "").replace("&gt;", "").replace("&amp;", "");
            assert!(!rest.contains('&') && cut.chars().count() <= limit, "{limit}: {cut}");
        }
    }
}

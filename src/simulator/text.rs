//! Words: summaries, and rich text in the Atlassian Document Format (ADF, version 1).
//!
//! Everything in the tables below is safe inside a JSON string as it stands, so that text is copied and never escaped.

use super::json::Json;
use super::seed::Dice;

#[rustfmt::skip] // a table
const WORDS: [&str; 128] = [
    "the", "a", "queue", "retry", "after", "invoice", "export", "when", "customer", "sees", "timeout", "on", "page",
    "of", "report", "cache", "we", "should", "keep", "order", "until", "token", "expires", "and", "log", "every",
    "second", "request", "from", "mobile", "client", "with", "old", "version", "breaks", "because", "schema",
    "changed", "in", "migration", "please", "check", "again", "before", "release", "team", "agreed", "to", "move",
    "this", "into", "next", "sprint", "since", "search", "index", "grows", "too", "fast", "for", "nightly", "job",
    "is", "slow", "at", "peak", "hours", "index", "rebuild", "took", "four", "minutes", "alert", "fired", "twice",
    "but", "nobody", "noticed", "dashboard", "shows", "stale", "numbers", "billing", "webhook", "arrives", "late",
    "under", "load", "payment", "provider", "answers", "slowly", "so", "orders", "pile", "up", "rollback", "fixed",
    "it", "yesterday", "staging", "works", "production", "differs", "by", "one", "flag", "feature", "toggle", "needs",
    "owner", "design", "review", "done", "tests", "added", "docs", "missing", "backup", "restored", "without", "loss",
    "worker", "memory", "stays", "flat", "now", "today",
];

#[rustfmt::skip] // a table
const VERBS: [&str; 16] = [
    "Fix", "Add", "Remove", "Speed up", "Document", "Investigate", "Migrate", "Replace", "Monitor", "Refactor",
    "Test", "Harden", "Localise", "Simplify", "Upgrade", "Review",
];

#[rustfmt::skip] // a table
const OBJECTS: [&str; 16] = [
    "invoice export", "login page", "search index", "payment webhook", "nightly report", "mobile client",
    "order queue", "audit log", "user import", "rate limiter", "billing dashboard", "cache warm-up", "PDF renderer",
    "session store", "release pipeline", "e-mail templates",
];

#[rustfmt::skip] // a table
const CONTEXTS: [&str; 12] = [
    "for large customers", "under load", "after the last release", "in the EU region", "on slow networks",
    "for guests", "before the audit", "in dark mode", "with expired tokens", "for leap years", "across time zones",
    "without downtime",
];

/// What real people paste into Jira and what breaks careless readers: quotes, controls, other scripts, emoji beyond the
/// basic plane, right-to-left marks, mark-up, and the NUL that PostgreSQL refuses. Already escaped for JSON.
pub(super) const AWKWARD: [&str; 10] = [
    r#"said \"never again\""#,
    r"C:\\temp\\new",
    "größer als erwartet",
    "日本語の件名",
    "🚀 shipped 👩‍💻",
    r"tab\there and two blanks  ",
    r"\u202bעברית\u202c mixed",
    r"<script>alert(1)<\/script>",
    r"nul\u0000inside",
    "naïve – “quoted” … done",
];

pub(super) const CODE: [&str; 4] = [
    r#"SELECT count(*)\nFROM orders\nWHERE state = 'open';"#,
    r#"let total = lines.iter().sum::<u64>();"#,
    r#"{\n  \"retries\": 3,\n  \"backoff\": \"2s\"\n}"#,
    r#"kubectl get pods -n billing"#,
];

/// Writes a quoted summary.
pub(super) fn summary(json: &mut Json, dice: &mut Dice) {
    let roll = dice.next();
    json.raw("\"").raw(VERBS[(roll & 15) as usize]).raw(" ").raw(OBJECTS[(roll >> 4 & 15) as usize]);
    json.raw(" ").raw(CONTEXTS[((roll >> 8) % 12) as usize]);
    if roll >> 20 & 31 == 0 {
        json.raw(": ").raw(AWKWARD[dice.index(AWKWARD.len())]);
    }
    json.raw("\"");
}

/// Writes `count` words, bare.
pub(super) fn words(json: &mut Json, dice: &mut Dice, count: u64) {
    let mut bits = 0;
    for at in 0..count {
        if at % 9 == 0 {
            bits = dice.next();
        }
        if at > 0 {
            json.raw(" ");
        }
        json.raw(WORDS[(bits & 127) as usize]);
        bits >>= 7;
    }
}

fn text_node(json: &mut Json, dice: &mut Dice, at_least: u64) {
    let count = at_least + dice.below(at_least);
    json.item().raw(r#"{"type":"text","text":""#);
    words(json, dice, count);
    // People leave blanks behind.
    json.raw(if count.is_multiple_of(7) { ". \"}" } else { ".\"}" });
}

fn paragraph(json: &mut Json, dice: &mut Dice, at_least: u64, mention: &Mention<'_>) {
    json.item().raw(r#"{"type":"paragraph","content":["#);
    text_node(json, dice, at_least);
    match dice.below(24) {
        0 => {
            json.item().raw(r#"{"type":"text","text":" "}"#).item().raw(r#"{"type":"mention","attrs":{"id":"#);
            json.string(mention.account_id).raw(r#","text":"#).string(&format!("@{}", mention.display_name));
            json.raw(r#","accessLevel":""}}"#);
        }
        1 => {
            json.item().raw(r#"{"type":"hardBreak"}"#).item().raw(r#"{"type":"text","text":""#);
            json.raw(AWKWARD[dice.index(AWKWARD.len())]).raw(r#"","marks":[{"type":"strong"}]}"#);
        }
        2 => {
            json.item().raw(r#"{"type":"text","text":" see the run book","marks":[{"type":"link","attrs":"#);
            json.raw(r#"{"href":"https://wiki.example.com/runbook"}}]}"#);
        }
        3 => {
            json.item().raw(r#"{"type":"emoji","attrs":{"shortName":":tada:","id":"1f389","text":"🎉"}}"#);
        }
        _ => {}
    }
    json.raw("]}");
}

/// Who a generated text mentions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mention<'a> {
    pub(super) account_id: &'a str,
    /// User name on Data Center.
    pub(super) name: &'a str,
    pub(super) display_name: &'a str,
}

const OPEN: &str = r#"{"type":"doc","version":1,"content":["#;

/// Writes a short document: a comment or the note of a worklog.
pub(super) fn short_document(json: &mut Json, dice: &mut Dice, at_least: u64, mention: Mention<'_>) {
    json.raw(OPEN);
    paragraph(json, dice, at_least, &mention);
    json.raw("]}");
}

/// Writes a description: paragraphs, and now and then a heading with a list, code, a table or a panel.
pub(super) fn long_document(json: &mut Json, dice: &mut Dice, mention: Mention<'_>) {
    json.raw(OPEN);
    paragraph(json, dice, 20, &mention);
    match dice.below(10) {
        0 | 1 => {
            json.item().raw(r#"{"type":"heading","attrs":{"level":3},"content":["#);
            text_node(json, dice, 3);
            json.raw("]}").item().raw(r#"{"type":"bulletList","content":["#);
            for _ in 0..3 {
                json.item().raw(r#"{"type":"listItem","content":["#);
                paragraph(json, dice, 5, &mention);
                json.raw("]}");
            }
            json.raw("]}");
        }
        2 => {
            json.item().raw(r#"{"type":"codeBlock","attrs":{"language":"text"},"content":[{"type":"text","text":""#);
            json.raw(CODE[dice.index(CODE.len())]).raw("\"}]}");
        }
        3 => {
            json.item()
                .raw(r#"{"type":"table","attrs":{"layout":"default"},"content":[{"type":"tableRow","content":["#);
            for cell in ["tableHeader", "tableCell"] {
                json.item().raw(r#"{"type":""#).raw(cell).raw(r#"","attrs":{},"content":["#);
                paragraph(json, dice, 3, &mention);
                json.raw("]}");
            }
            json.raw("]}]}");
        }
        4 => {
            json.item().raw(r#"{"type":"panel","attrs":{"panelType":"info"},"content":["#);
            paragraph(json, dice, 8, &mention);
            json.raw("]}");
        }
        _ => paragraph(json, dice, 15, &mention),
    }
    json.raw("]}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::seed::Purpose;

    #[test]
    fn every_generated_text_is_valid_json() {
        let mention = Mention { account_id: "a1", name: "ada", display_name: "Ada \"Q\"" };
        for n in 0..3_000 {
            let mut dice = Dice::new(1, Purpose::Description, n, 0);
            let mut json = Json::default();
            json.open('[').item();
            summary(&mut json, &mut dice);
            json.item();
            long_document(&mut json, &mut dice, mention);
            json.item();
            short_document(&mut json, &mut dice, 6, mention);
            json.close(']');
            let value: serde_json::Value = serde_json::from_slice(&json.into_bytes()).unwrap();
            assert_eq!(value[1]["type"], "doc");
        }
    }
}

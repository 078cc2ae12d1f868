//! Rich text as Data Center has it: wiki mark-up in a string.
//!
//! The same words and the same awkward pieces as in [`super::text`]; everything is safe inside a JSON string as it stands.

use super::json::Json;
use super::seed::Dice;
use super::text::{AWKWARD, CODE, Mention, words};

/// Writes a short text: a comment or the note of a worklog.
pub(super) fn short(json: &mut Json, dice: &mut Dice, at_least: u64, mention: Mention<'_>) {
    json.raw("\"");
    paragraph(json, dice, at_least, mention);
    json.raw("\"");
}

/// Writes a description.
pub(super) fn long(json: &mut Json, dice: &mut Dice, mention: Mention<'_>) {
    json.raw("\"");
    paragraph(json, dice, 20, mention);
    json.raw("\\r\\n\\r\\n");
    match dice.below(10) {
        0 | 1 => {
            json.raw("h3. ");
            words(json, dice, 3);
            for _ in 0..3 {
                json.raw("\\r\\n* ");
                words(json, dice, 6);
            }
        }
        2 => {
            json.raw("{code:sql}\\r\\n").raw(CODE[dice.index(CODE.len())]).raw("\\r\\n{code}");
        }
        3 => {
            json.raw("||state||count||\\r\\n|open|12|\\r\\n|done|3|");
        }
        4 => {
            json.raw("{panel:title=Note}");
            words(json, dice, 8);
            json.raw("{panel}");
        }
        _ => paragraph(json, dice, 15, mention),
    }
    json.raw("\"");
}

fn paragraph(json: &mut Json, dice: &mut Dice, at_least: u64, mention: Mention<'_>) {
    let count = at_least + dice.below(at_least);
    words(json, dice, count);
    // People leave blanks and empty lines behind.
    json.raw(if count.is_multiple_of(7) { ". \\r\\n" } else { "." });
    match dice.below(24) {
        0 if mention.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_+".contains(&byte)) => {
            json.raw(" [~").raw(mention.name).raw("]");
        }
        1 => {
            json.raw("\\r\\n*").raw(AWKWARD[dice.index(AWKWARD.len())]).raw("*");
        }
        2 => {
            json.raw(" [see the run book|https://wiki.example.com/runbook]");
        }
        3 => {
            json.raw(" (/) 🎉");
        }
        _ => {}
    }
}

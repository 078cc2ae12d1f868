//! The promises of [`super`].

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn text(document: &Value) -> String {
    let json = document.to_string();
    serde_json::from_str::<Document<'_>>(&json).unwrap().to_text()
}

fn words(words: &str) -> Value {
    json!({"type": "text", "text": words})
}

fn paragraph(content: &[Value]) -> Value {
    json!({"type": "paragraph", "content": content})
}

fn doc(content: &[Value]) -> Value {
    json!({"version": 1, "type": "doc", "content": content})
}

#[test]
fn blocks_become_lines() {
    let document = doc(&[
        json!({"type": "heading", "attrs": {"level": 2}, "content": [words("Steps")]}),
        paragraph(&[
            words("First "),
            json!({"type": "text", "text": "bold", "marks": [{"type": "strong"}]}),
            words(" line"),
        ]),
        paragraph(&[words("a"), json!({"type": "hardBreak"}), words("b")]),
        json!({"type": "codeBlock", "attrs": {"language": "rust"}, "content": [words("let a = 1;\nlet b = 2;")]}),
        json!({"type": "rule"}),
        json!({"type": "panel", "attrs": {"panelType": "info"}, "content": [paragraph(&[words("Mind the gap")])]}),
        json!({"type": "expand", "attrs": {"title": "More"}, "content": [paragraph(&[words("inside")])]}),
    ]);
    assert_eq!(
        text(&document),
        "Steps\nFirst bold line\na\nb\nlet a = 1;\nlet b = 2;\n---\nMind the gap\nMore\ninside"
    );
}

#[test]
fn lists_are_marked_and_indented() {
    let item = |content: &[Value]| json!({"type": "listItem", "content": content});
    let document = doc(&[
        json!({"type": "bulletList", "content": [
            item(&[paragraph(&[words("one")]), json!({"type": "orderedList", "attrs": {"order": 3}, "content": [
                item(&[paragraph(&[words("three")])]), item(&[paragraph(&[words("four")]), paragraph(&[words("more")])]),
            ]})]),
            item(&[paragraph(&[words("two")])]),
        ]}),
        json!({"type": "taskList", "content": [
            {"type": "taskItem", "attrs": {"state": "DONE"}, "content": [words("done")]},
            {"type": "taskItem", "attrs": {"state": "TODO"}, "content": [words("to do")]},
        ]}),
        paragraph(&[words("after")]),
    ]);
    assert_eq!(text(&document), "- one\n  3. three\n  4. four\n    more\n- two\n- [x] done\n- to do\nafter");
}

#[test]
fn a_table_row_is_one_line() {
    let cell = |kind: &str, content: &str| json!({"type": kind, "content": [paragraph(&[words(content)])]});
    let row = |cells: &[Value]| json!({"type": "tableRow", "content": cells});
    let document = doc(&[json!({"type": "table", "content": [
        row(&[cell("tableHeader", "Name"), cell("tableHeader", "Count")]),
        row(&[cell("tableCell", "apples\nand pears"), cell("tableCell", "3")]),
    ]})]);
    assert_eq!(text(&document), "Name | Count\napples and pears | 3");
}

#[test]
fn white_space_is_kept_at_the_ends_and_inside() {
    let two = doc(&[paragraph(&[words("  a  b ")]), paragraph(&[words("c\r\nd \t")])]);
    assert_eq!(text(&two), "  a  b \nc\r\nd \t");
    let item = json!({"type": "listItem", "content": [paragraph(&[words("one ")])]});
    assert_eq!(text(&doc(&[json!({"type": "bulletList", "content": [item]})])), "- one ");
    assert_eq!(text(&doc(&[paragraph(&[words("a"), json!({"type": "hardBreak"})])])), "a\n");
    let cell = |content: &str| json!({"type": "tableCell", "content": [paragraph(&[words(content)])]});
    let row = json!({"type": "tableRow", "content": [cell(" x  y "), cell("z ")]});
    assert_eq!(text(&doc(&[json!({"type": "table", "content": [row]})])), " x  y  | z ");
    assert_eq!(text(&json!("wiki \r\n")), "wiki \r\n");
}

#[test]
fn inline_nodes_are_written_as_what_they_show() {
    let document = doc(&[
        paragraph(&[
            json!({"type": "mention", "attrs": {"id": "5b10", "text": "@Ana"}}),
            words(" "),
            json!({"attrs": {"id": "5b11"}, "type": "mention"}),
            words(" "),
            json!({"type": "emoji", "attrs": {"shortName": ":smile:", "text": "😄"}}),
            json!({"type": "emoji", "attrs": {"shortName": ":party:"}}),
            words(" "),
            json!({"type": "inlineCard", "attrs": {"url": "https://example.com/a"}}),
            words(" "),
            json!({"type": "date", "attrs": {"timestamp": "1714521600000"}}),
            words(" "),
            json!({"type": "status", "attrs": {"text": "DONE", "color": "green"}}),
        ]),
        json!({"type": "mediaSingle", "content": [{"type": "media", "attrs": {"id": "x", "alt": "plan.png"}}]}),
        json!({"type": "mediaSingle", "content": [{"type": "media", "attrs": {"id": "x"}}]}),
    ]);
    assert_eq!(text(&document), "@Ana @5b11 😄:party: https://example.com/a 2024-05-01 DONE\nplan.png\n[attachment]");
}

#[test]
fn a_node_of_an_unknown_type_keeps_its_words() {
    let hologram = json!({"type": "hologram", "content": [paragraph(&[words("still here")])]});
    assert_eq!(text(&doc(&[hologram])), "still here");
    assert_eq!(text(&json!("wiki *markup*")), "wiki *markup*");
    assert_eq!(text(&json!({"content": [words("type comes last")], "type": "paragraph"})), "type comes last");
}

#[test]
fn what_is_nested_too_deep_is_cut_and_not_fatal() {
    let (mut json, mut end) = (String::new(), String::new());
    for _ in 0..100_000 {
        json.push_str(r#"{"type":"blockquote","content":["#);
        end.push_str("]}");
    }
    let json = json + r#"{"type":"text","text":"treasure"}"# + &end;
    let read = serde_json::from_str::<Document<'_>>(&json).unwrap().to_text();
    assert_eq!(read, "…");
}

fn any_json() -> impl Strategy<Value = Value> {
    let names = prop::sample::select(vec![
        "doc",
        "paragraph",
        "bulletList",
        "orderedList",
        "listItem",
        "tableRow",
        "tableCell",
        "media",
        "date",
        "mention",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        names.prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    let keys = prop::sample::select(vec!["type", "content", "text", "attrs", "order", "timestamp", "state", "other"]);
    leaf.prop_recursive(8, 128, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(keys.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_is_read_without_error(value in any_json()) {
        text(&value);
    }

    #[test]
    fn a_text_is_kept_byte_for_byte(words in "[a \t\r\n]{0,12}") {
        prop_assert_eq!(text(&json!(words)), words.as_str());
        prop_assert_eq!(text(&doc(&[paragraph(&[self::words(&words)])])), words.as_str());
    }

    #[test]
    fn no_word_is_lost(words in prop::collection::vec("[a-z]{1,8}", 1..20)) {
        let paragraphs: Vec<Value> = words.iter().map(|word| paragraph(&[self::words(word)])).collect();
        prop_assert_eq!(text(&doc(&paragraphs)), words.join("\n"));
    }
}

//! The nodes of a document, read from JSON of any shape.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::jira::loose::{FromJson, Key, Loose, Number, Text};

/// The depth of nodes that is read. Each takes two levels of JSON, of which serde_json reads 128.
pub const MAX_DEPTH: usize = 48;

#[derive(Debug, Default)]
pub(super) struct Node<'a> {
    pub kind: Kind,
    pub text: Option<Cow<'a, str>>,
    /// What an inline node or a block's head shows: text, title, alternative text, URL, short name.
    pub label: Option<Cow<'a, str>>,
    /// Whom a mention is of.
    pub account_id: Option<Cow<'a, str>>,
    /// The first number of an ordered list.
    pub order: Option<f64>,
    pub content: Vec<Node<'a>>,
}

impl<'a> Node<'a> {
    pub(super) fn of_text(text: Cow<'a, str>) -> Self {
        Self { text: Some(text), ..Self::default() }
    }
}

/// What matters of a node's type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text, whatever shows its label, and the types of tomorrow.
    #[default]
    Inline,
    /// Starts and ends a line.
    Block,
    BulletList,
    OrderedList,
    ListItem,
    DoneTask,
    TableRow,
    TableCell,
    HardBreak,
    Rule,
    Mention,
    Media,
    Date,
    /// What was nested too deep.
    Cut,
}

impl Kind {
    fn of(name: &str) -> Self {
        match name {
            "doc" | "paragraph" | "heading" | "codeBlock" | "blockquote" | "panel" | "table" | "expand"
            | "nestedExpand" | "mediaSingle" | "mediaGroup" | "layoutSection" | "layoutColumn" | "blockCard"
            | "embedCard" | "caption" | "bodiedExtension" => Self::Block,
            "bulletList" | "taskList" | "decisionList" => Self::BulletList,
            "orderedList" => Self::OrderedList,
            "listItem" | "taskItem" | "decisionItem" => Self::ListItem,
            "tableRow" => Self::TableRow,
            "tableCell" | "tableHeader" => Self::TableCell,
            "hardBreak" => Self::HardBreak,
            "rule" => Self::Rule,
            "mention" => Self::Mention,
            "media" | "mediaInline" => Self::Media,
            "date" => Self::Date,
            _ => Self::Inline,
        }
    }
}

/// Reads a node; what has another type than expected is skipped. A node's type may come after its content.
pub(super) fn read<'de, A: MapAccess<'de>>(mut map: A, depth: usize) -> Result<Node<'de>, A::Error> {
    let mut node = Node::default();
    let mut attributes = Attributes::default();
    while let Some(key) = map.next_key::<Key<'de>>()? {
        match key.0.as_ref() {
            "type" => {
                if let Loose::Good(Text(name)) = map.next_value()? {
                    node.kind = Kind::of(&name);
                }
            }
            "text" => {
                if let Loose::Good(Text(text)) = map.next_value()? {
                    node.text = Some(text);
                }
            }
            "content" => map.next_value_seed(Nodes { depth, into: &mut node.content })?,
            "attrs" => {
                if let Loose::Good(read) = map.next_value()? {
                    attributes = read;
                }
            }
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
    }
    node.order = attributes.order;
    node.label = attributes.label;
    match node.kind {
        Kind::ListItem if attributes.done => node.kind = Kind::DoneTask,
        Kind::Mention if node.label.is_none() => node.label = attributes.id.map(|id| Cow::Owned(format!("@{id}"))),
        Kind::Mention => node.account_id = attributes.id,
        _ => {}
    }
    Ok(node)
}

/// Reads any value: an array is its elements, an object one node, a text its words, and anything else nothing.
struct Nodes<'n, 'a> {
    depth: usize,
    into: &'n mut Vec<Node<'a>>,
}

impl<'de> DeserializeSeed<'de> for Nodes<'_, 'de> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.depth >= MAX_DEPTH {
            self.into.push(Node { kind: Kind::Cut, ..Node::default() });
            return IgnoredAny::deserialize(deserializer).map(drop);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Nodes<'_, 'de> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("nodes")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Nodes { depth: self.depth + 1, into: self.into })?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let node = read(map, self.depth)?;
        self.into.push(node);
        Ok(())
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<(), E> {
        self.into.push(Node::of_text(Cow::Borrowed(text)));
        Ok(())
    }
    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.into.push(Node::of_text(Cow::Owned(text.to_owned())));
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
}

#[derive(Debug, Default)]
struct Attributes<'a> {
    label: Option<Cow<'a, str>>,
    id: Option<Cow<'a, str>>,
    order: Option<f64>,
    done: bool,
}

/// The attributes that can be shown; of several, the first here.
const LABELS: [&str; 7] = ["text", "title", "alt", "url", "timestamp", "shortName", "fallback"];

impl<'de: 'a, 'a> FromJson<'de> for Attributes<'a> {
    const EXPECTED: &'static str = "attributes";
    fn map<A: MapAccess<'de>>(mut map: A) -> Result<Option<Self>, A::Error> {
        let mut attributes = Self::default();
        let mut best = LABELS.len();
        while let Some(key) = map.next_key::<Key<'de>>()? {
            match key.0.as_ref() {
                "order" => {
                    if let Loose::Good(Number(order)) = map.next_value()? {
                        attributes.order = Some(order);
                    }
                }
                "state" => attributes.done = matches!(map.next_value()?, Loose::Good(Text(state)) if state == "DONE"),
                "id" => {
                    if let Loose::Good(Text(id)) = map.next_value()? {
                        attributes.id = Some(id);
                    }
                }
                label => match (LABELS.iter().position(|known| *known == label), map.next_value()?) {
                    (Some(rank), Loose::Good(Text(text))) if rank < best && !text.is_empty() => {
                        best = rank;
                        attributes.label = Some(text);
                    }
                    _ => {}
                },
            }
        }
        Ok(Some(attributes))
    }
}

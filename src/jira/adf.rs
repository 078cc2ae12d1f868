//! Atlassian Document Format, the JSON of descriptions and comments, as plain text.
//!
//! Blocks become lines, list items get a dash or a number, the cells of a table row stand on one line, and what has a
//! text of its own (a mention, an emoji, a link card, a date, a status) is written as that. A node of an unknown type is
//! written as the text inside it, so that a new type costs its shape and not its words.
//!
//! What must hold: any JSON is read without an error of its own and without deep recursion. What is nested deeper than
//! [`MAX_DEPTH`] is left out and marked with `…`; Jira's editor stops far before.

use std::borrow::Cow;
use std::fmt;

use chrono::DateTime;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::loose::{FromJson, Key, Loose, Number, Text};

/// The depth of nodes that is read. Each takes two levels of JSON, of which serde_json reads 128.
pub const MAX_DEPTH: usize = 48;

/// One document; see [`Document::to_text`].
#[derive(Debug)]
pub struct Document<'a>(Node<'a>);

impl Document<'_> {
    /// The document as plain text, without white space at its end.
    pub fn to_text(&self) -> String {
        let mut writer = Writer::default();
        writer.node(&self.0, &mut Position::default());
        let kept = writer.out.trim_end().len();
        writer.out.truncate(kept);
        writer.out
    }
}

impl<'de: 'a, 'a> FromJson<'de> for Document<'a> {
    const EXPECTED: &'static str = "document";
    /// API version 2 and some apps give text instead of a document.
    fn text(text: Cow<'de, str>) -> Option<Self> {
        Some(Self(Node { text: Some(text), ..Node::default() }))
    }
    fn map<A: MapAccess<'de>>(map: A) -> Result<Option<Self>, A::Error> {
        read_node(map, 0).map(|node| Some(Self(node)))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Document<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let node = match Loose::<Self>::deserialize(deserializer)? {
            Loose::Good(document) => return Ok(document),
            Loose::Absent | Loose::Wrong(_) => Node::default(),
        };
        Ok(Self(node))
    }
}

#[derive(Debug, Default)]
struct Node<'a> {
    kind: Kind,
    text: Option<Cow<'a, str>>,
    /// What an inline node or a block's head shows: text, short name, URL, alternative text, title.
    label: Option<Cow<'a, str>>,
    order: Option<f64>,
    content: Vec<Node<'a>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Unknown,
    /// Starts and ends a line.
    Block,
    BulletList,
    OrderedList,
    ListItem,
    TableRow,
    TableCell,
    HardBreak,
    Rule,
    Mention,
    Media,
    Date,
    DoneTask,
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
            _ => Self::Unknown,
        }
    }
}

/// Reads a node; what has another type than expected is skipped.
fn read_node<'de, A: MapAccess<'de>>(mut map: A, depth: usize) -> Result<Node<'de>, A::Error> {
    let mut node = Node::default();
    let mut done = false;
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
            "content" => node.content = map.next_value_seed(Content(depth))?,
            "attrs" => {
                if let Loose::Good(attributes) = map.next_value::<Loose<Attributes<'de>>>()? {
                    node.label = attributes.label;
                    node.order = attributes.order;
                    done = attributes.done;
                }
            }
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
    }
    if done && node.kind == Kind::ListItem {
        node.kind = Kind::DoneTask;
    }
    Ok(node)
}

/// The children of a node at a depth.
struct Content(usize);

impl<'de> DeserializeSeed<'de> for Content {
    type Value = Vec<Node<'de>>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        if self.0 >= MAX_DEPTH {
            IgnoredAny::deserialize(deserializer)?;
            return Ok(vec![Node { kind: Kind::Cut, ..Node::default() }]);
        }
        deserializer.deserialize_any(Children(self.0))
    }
}

/// Accepts any value: an array is a list of nodes, anything else is one node or none.
struct Children(usize);

impl<'de> Visitor<'de> for Children {
    type Value = Vec<Node<'de>>;
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("nodes")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut nodes = Vec::new();
        while let Some(found) = seq.next_element_seed(Child(self.0 + 1))? {
            nodes.extend(found);
        }
        Ok(nodes)
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Ok(vec![read_node(map, self.0 + 1)?])
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(vec![Node { text: Some(Cow::Borrowed(text)), ..Node::default() }])
    }
    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(vec![Node { text: Some(Cow::Owned(text.to_owned())), ..Node::default() }])
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }
    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }
    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }
    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }
    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }
}

/// One element of a content array.
struct Child(usize);

impl<'de> DeserializeSeed<'de> for Child {
    type Value = Option<Node<'de>>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        struct One(usize);
        impl<'de> Visitor<'de> for One {
            type Value = Option<Node<'de>>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a node")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                read_node(map, self.0).map(Some)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(None)
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Some(Node { text: Some(Cow::Owned(text.to_owned())), ..Node::default() }))
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(None)
            }
            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(None)
            }
            fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
                Ok(None)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
                Ok(None)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
                Ok(None)
            }
        }
        deserializer.deserialize_any(One(self.0))
    }
}

#[derive(Debug, Default)]
struct Attributes<'a> {
    label: Option<Cow<'a, str>>,
    order: Option<f64>,
    done: bool,
}

impl<'de> FromJson<'de> for Attributes<'de> {
    const EXPECTED: &'static str = "attributes";
    fn map<A: MapAccess<'de>>(mut map: A) -> Result<Option<Self>, A::Error> {
        let mut attributes = Self::default();
        // Of several, the one that reads best: `text` before a short name, before an id.
        let mut best = usize::MAX;
        const LABELS: [&str; 8] = ["text", "title", "alt", "url", "timestamp", "shortName", "fallback", "id"];
        while let Some(key) = map.next_key::<Key<'de>>()? {
            match (key.0.as_ref(), LABELS.iter().position(|label| *label == key.0)) {
                (_, Some(rank)) => match map.next_value()? {
                    Loose::Good(Text(text)) if rank < best && !text.is_empty() => {
                        best = rank;
                        attributes.label = if LABELS[rank] == "id" { None } else { Some(text) };
                    }
                    _ => {}
                },
                ("order", None) => {
                    if let Loose::Good(Number(order)) = map.next_value()? {
                        attributes.order = Some(order);
                    }
                }
                ("state", None) => {
                    attributes.done = matches!(map.next_value()?, Loose::Good(Text(state)) if state == "DONE");
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Some(attributes))
    }
}

/// Where a node stands: which list it is in, and which number is next.
#[derive(Default)]
struct Position {
    /// The number of the next item; a dash where there is none.
    number: Option<u64>,
    cells_before: usize,
}

#[derive(Default)]
struct Writer {
    out: String,
    /// How many lists the node is in.
    lists: usize,
    /// What the next text of a list item begins with.
    marker: String,
}

impl Writer {
    fn node(&mut self, node: &Node<'_>, position: &mut Position) {
        match node.kind {
            Kind::Unknown => self.inside(node),
            Kind::Block => self.block(node),
            Kind::BulletList | Kind::OrderedList => self.list(node),
            Kind::ListItem | Kind::DoneTask => {
                let number = position.number.map(|number| format!("{number}. "));
                let dash = if node.kind == Kind::DoneTask { "- [x] " } else { "- " };
                self.new_line();
                self.marker = number.unwrap_or_else(|| dash.to_owned());
                position.number = position.number.map(|number| number.saturating_add(1));
                self.inside(node);
                self.marker.clear();
                self.new_line();
            }
            Kind::TableRow => {
                self.new_line();
                self.inside(node);
                self.new_line();
            }
            Kind::TableCell => self.cell(node, position),
            Kind::HardBreak => self.out.push('\n'),
            Kind::Rule => {
                self.new_line();
                self.text("---\n");
            }
            Kind::Mention => self.text(node.label.as_deref().or(node.text.as_deref()).unwrap_or("@unknown")),
            Kind::Media => self.text(node.label.as_deref().unwrap_or("[attachment]")),
            Kind::Date => {
                let date =
                    node.label.as_deref().and_then(|millis| DateTime::from_timestamp_millis(millis.parse().ok()?));
                match date {
                    Some(date) => self.text(&date.format("%Y-%m-%d").to_string()),
                    None => self.inside(node),
                }
            }
            Kind::Cut => self.text("…"),
        }
    }

    /// The node's own words, then its children.
    fn inside(&mut self, node: &Node<'_>) {
        if let Some(text) = node.text.as_deref().or(node.label.as_deref()) {
            self.text(text);
        }
        let mut position = Position::default();
        for child in &node.content {
            self.node(child, &mut position);
        }
    }

    fn block(&mut self, node: &Node<'_>) {
        self.new_line();
        if let Some(title) = &node.label {
            self.text(title);
            self.new_line();
        }
        self.inside(&Node { label: None, text: node.text.clone(), ..Node::default() });
        let mut position = Position::default();
        for child in &node.content {
            self.node(child, &mut position);
        }
        self.new_line();
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // saturates, and is bounded before
    fn list(&mut self, node: &Node<'_>) {
        self.new_line();
        let first = node.order.unwrap_or(1.0).clamp(0.0, 1e9) as u64;
        let mut position = Position { number: (node.kind == Kind::OrderedList).then_some(first), cells_before: 0 };
        self.lists += 1;
        for child in &node.content {
            self.node(child, &mut position);
        }
        self.lists -= 1;
        self.new_line();
    }

    /// The blocks of a cell are written apart and folded into one line.
    fn cell(&mut self, node: &Node<'_>, position: &mut Position) {
        let mut cell = Self::default();
        cell.inside(node);
        if position.cells_before > 0 {
            self.text(" | ");
        }
        position.cells_before += 1;
        for (index, word) in cell.out.split_whitespace().enumerate() {
            if index > 0 {
                self.out.push(' ');
            }
            self.text(word);
        }
    }

    fn text(&mut self, text: &str) {
        if self.lists > 0 && (self.out.is_empty() || self.out.ends_with('\n')) {
            let indent = if self.marker.is_empty() { self.lists } else { self.lists - 1 };
            self.out.extend(std::iter::repeat_n("  ", indent));
            self.out.push_str(&self.marker);
            self.marker.clear();
        }
        self.out.push_str(text);
    }

    fn new_line(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with('\n') {
            self.out.push('\n');
        }
    }
}

//! Atlassian Document Format, the JSON of descriptions and comments, as plain text.
//!
//! Blocks become lines, list items get a dash or a number, the cells of a table row stand on one line, and what has a
//! text of its own (a mention, an emoji, a link card, a date, a status) is written as that. A node of an unknown type is
//! written as the text inside it, so that a new type costs its shape and not its words.
//!
//! What must hold: any JSON is read without an error of its own and without deep recursion. What is nested deeper than
//! [`MAX_DEPTH`] is left out and marked with `…`; Jira's editor stops far before.

use std::borrow::Cow;

use chrono::DateTime;
use serde::de::{Deserialize, Deserializer, MapAccess};

use super::loose::{FromJson, Loose};
use node::{Kind, Node};

mod node;
pub use node::MAX_DEPTH;

/// One document; see [`Document::to_text`].
#[derive(Debug)]
pub struct Document<'a>(Node<'a>);

impl Document<'_> {
    /// The document as plain text. White space is as it was written, at the ends too; the end of the last block adds none.
    pub fn to_text(&self) -> String {
        self.to_text_with_mentions().0
    }

    /// The same, and who is mentioned in it: account id, and as what.
    pub fn to_text_with_mentions(&self) -> (String, Vec<(String, String)>) {
        let mut writer = Writer::default();
        writer.node(&self.0, &mut Position::default());
        (writer.out, writer.mentions)
    }
}

impl<'de: 'a, 'a> FromJson<'de> for Document<'a> {
    const EXPECTED: &'static str = "document";
    /// API version 2 and some apps give text instead of a document.
    fn text(text: Cow<'de, str>) -> Option<Self> {
        Some(Self(Node::of_text(text)))
    }
    fn map<A: MapAccess<'de>>(map: A) -> Result<Option<Self>, A::Error> {
        node::read(map, 0).map(|node| Some(Self(node)))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Document<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Loose::<Self>::deserialize(deserializer)? {
            Loose::Good(document) => Ok(document),
            Loose::Absent | Loose::Wrong(_) => Ok(Self(Node::default())),
        }
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
    /// A line has ended, and the next text begins another one.
    line_ended: bool,
    /// How many lists the node is in.
    lists: usize,
    /// What the next text of a list item begins with.
    marker: String,
    mentions: Vec<(String, String)>,
}

impl Writer {
    fn node(&mut self, node: &Node<'_>, position: &mut Position) {
        match node.kind {
            Kind::Inline => self.inside(node),
            Kind::Mention => {
                if let (Some(id), Some(label)) = (&node.account_id, &node.label) {
                    self.mentions.push((id.as_ref().to_owned(), label.as_ref().to_owned()));
                }
                self.inside(node);
            }
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
            Kind::HardBreak => {
                self.end_line();
                self.out.push('\n');
            }
            Kind::Rule => {
                self.new_line();
                self.text("---");
                self.new_line();
            }
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
        self.children(node);
    }

    fn children(&mut self, node: &Node<'_>) {
        let mut position = Position::default();
        for child in &node.content {
            self.node(child, &mut position);
        }
    }

    fn block(&mut self, node: &Node<'_>) {
        for words in [&node.label, &node.text].into_iter().flatten() {
            self.new_line();
            self.text(words);
        }
        self.new_line();
        self.children(node);
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
        self.mentions.append(&mut cell.mentions);
        if position.cells_before > 0 {
            self.text(" | ");
        }
        position.cells_before += 1;
        self.text(&cell.out.replace("\r\n", " ").replace('\n', " "));
    }

    fn text(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        self.end_line();
        if self.lists > 0 && (self.out.is_empty() || self.out.ends_with('\n')) {
            let indent = if self.marker.is_empty() { self.lists } else { self.lists - 1 };
            self.out.extend(std::iter::repeat_n("  ", indent));
            self.out.push_str(&self.marker);
            self.marker.clear();
        }
        self.out.push_str(text);
    }

    fn new_line(&mut self) {
        self.line_ended = true;
    }

    fn end_line(&mut self) {
        if std::mem::take(&mut self.line_ended) && !self.out.is_empty() && !self.out.ends_with('\n') {
            self.out.push('\n');
        }
    }
}

#[cfg(test)]
mod tests;

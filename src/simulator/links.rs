//! Links between issues and attached files: both follow from ids alone.

use std::sync::Arc;

use super::catalogue::Catalogue;
use super::issue::{Issue, writer};
use super::json::Json;
use super::render::Renderer;
use super::seed::{Dice, Purpose};

/// Ids stand in blocks of this many, within which some are linked: either end finds the other without a table.
const BLOCK: u64 = 8;
/// Places of linked issues in their block; the first of each does it to the second.
const PAIRS: [(u64, u64); 2] = [(1, 6), (3, 4)];
/// Id, name, and how it reads from either end.
const TYPES: [(&str, &str, &str, &str); 3] = [
    ("10000", "Blocks", "blocks", "is blocked by"),
    ("10003", "Relates", "relates to", "relates to"),
    ("10002", "Duplicate", "duplicates", "is duplicated by"),
];

/// A link, seen from one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    id: u64,
    kind: usize,
    outward: bool,
    /// Id of the issue at the other end.
    pub(super) other: u64,
}

/// The link of the issue `id`, if it has one; the other end may not exist.
pub(super) fn link(seed: u64, id: u64) -> Option<Link> {
    let (block, place) = (id / BLOCK, id % BLOCK);
    let (nth, (from, to)) = PAIRS.iter().enumerate().find(|(_, (from, to))| *from == place || *to == place)?;
    let link_id = 10_000 + block * PAIRS.len() as u64 + nth as u64;
    let mut dice = Dice::new(seed, Purpose::Link, link_id, 0);
    dice.chance(0.6).then(|| Link {
        id: link_id,
        kind: dice.index(TYPES.len()),
        outward: place == *from,
        other: block * BLOCK + if place == *from { *to } else { *from },
    })
}

/// Writes the items of the `issuelinks` field.
pub(super) fn write_link(renderer: &Renderer<'_>, json: &mut Json, link: Link, other: &Issue) {
    let (id, name, outward, inward) = TYPES[link.kind];
    let api = &renderer.catalogue.api;
    json.item().open('{').id("id", link.id);
    json.key("self").raw("\"").raw(api).raw("/issueLink/").int(link.id as i64).raw("\"");
    json.key("type").open('{').text("id", id).text("name", name).text("inward", inward).text("outward", outward);
    json.key("self").raw("\"").raw(api).raw("/issueLinkType/").raw(id).raw("\"").close('}');
    renderer.brief(json.key(if link.outward { "outwardIssue" } else { "inwardIssue" }), other);
    json.close('}');
}

/// Writes the `attachment` field.
pub(super) fn write_attachments(renderer: &Renderer<'_>, json: &mut Json, issue: &Issue) {
    json.open('[');
    let catalogue: &Catalogue = renderer.catalogue;
    let mut dice = Dice::new(catalogue.seed, Purpose::Attachment, issue.id, 0);
    let count = if dice.chance(0.1) { 1 + dice.below(2) } else { 0 };
    for nth in 0..count {
        let (id, size) = (issue.id * 4 + nth, 100 + dice.below(2_000_000));
        let (name, mime) = *dice.pick(&[
            ("screenshot.png", "image/png"),
            ("log \u{2013} größe.txt", "text/plain"),
            ("trace.json", "application/json"),
        ]);
        let author = &catalogue.people[usize::from(writer(catalogue, &mut dice))].json;
        json.item().open('{').key("self").raw("\"").raw(&catalogue.api).raw("/attachment/").int(id as i64).raw("\"");
        json.id("id", id).text("filename", name).member("author", author);
        let created_ms = issue.created_ms + (issue.history_updated_ms - issue.created_ms) * (nth as i64 + 1) / 4;
        json.time("created", created_ms, renderer.zone).number("size", size as i64).text("mimeType", mime);
        json.text("content", &format!("{}/attachment/content/{id}", catalogue.api)).close('}');
    }
    json.close(']');
}

/// An issue at the other end of a link.
#[derive(Clone, Debug)]
pub(super) struct Linked {
    pub(super) link: Link,
    pub(super) other: Arc<Issue>,
}

//! What a document may cost before anything of it is executed.
//!
//! What must hold: the work of this check grows with the length of the text, not with what its fragments expand to; a document
//! that passes is not deeper, wider or more aliased than the limits say.

use std::collections::HashMap;

use async_graphql::parser::types::{ExecutableDocument, Selection, SelectionSet};
use async_graphql::{Name, Positioned};

use crate::app::{Error, Result};

/// How deep fields may stand within fields.
pub const DEPTH: usize = 10;
/// How many fields a document may ask for, fragments expanded.
pub const FIELDS: usize = 2_000;
/// How many fields may have another name than their own, fragments expanded.
pub const ALIASES: usize = 50;
/// The same for documents that ask about the schema alone, which tools send.
const SCHEMA_DEPTH: usize = 20;
/// How deep brackets may stand within brackets in the text.
const BRACKETS: usize = 64;

/// Refuses a text whose brackets stand too deep, before a parser descends into them.
pub fn check_text(text: &str) -> Result<()> {
    let (mut depth, mut deepest) = (0_usize, 0);
    for byte in text.bytes() {
        match byte {
            b'{' | b'[' | b'(' => depth += 1,
            b'}' | b']' | b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    match deepest > BRACKETS {
        true => Err(Error::invalid("query", format!("the document is nested more than {BRACKETS} levels deep"))
            .help("ask for less at once")),
        false => Ok(()),
    }
}

/// Refuses a document that is too deep, too wide or has too many aliases.
pub fn check(document: &ExecutableDocument) -> Result<()> {
    let mut known = HashMap::new();
    for (_, operation) in document.operations.iter() {
        let set = &operation.node.selection_set.node;
        let size = measure(document, set, &mut known)?;
        let is_about_schema = set.items.iter().all(|item| match &item.node {
            Selection::Field(field) => field.node.name.node.starts_with("__"),
            _ => false,
        });
        let depth = if is_about_schema { SCHEMA_DEPTH } else { DEPTH };
        let over = |what: &str, found: usize, most: usize| {
            Err(Error::invalid("query", format!("the document has {what} {found}, more than {most}"))
                .help("ask for less at once, or in several requests"))
        };
        if size.depth > depth {
            return over("a depth of", size.depth, depth);
        }
        if size.fields > FIELDS {
            return over("a number of fields of", size.fields, FIELDS);
        }
        if size.aliases > ALIASES {
            return over("a number of aliases of", size.aliases, ALIASES);
        }
    }
    Ok(())
}

#[derive(Clone, Copy, Default)]
struct Size {
    depth: usize,
    fields: usize,
    aliases: usize,
}

impl Size {
    /// With another part beside it, `deeper` levels further down.
    fn with(&mut self, part: Self, deeper: usize) {
        self.depth = self.depth.max(part.depth + deeper);
        self.fields = self.fields.saturating_add(part.fields);
        self.aliases = self.aliases.saturating_add(part.aliases);
    }
}

/// Each fragment is measured once; one that is being measured (`None`) contains itself.
type Known = HashMap<Name, Option<Size>>;

fn measure(document: &ExecutableDocument, set: &SelectionSet, known: &mut Known) -> Result<Size> {
    let mut size = Size::default();
    for Positioned { node, .. } in &set.items {
        match node {
            Selection::Field(field) => {
                let of = measure(document, &field.node.selection_set.node, known)?;
                size.with(Size { fields: 1, aliases: usize::from(field.node.alias.is_some()), depth: 0 }, 1);
                size.with(of, 1);
            }
            Selection::InlineFragment(fragment) => {
                let of = measure(document, &fragment.node.selection_set.node, known)?;
                size.with(of, 0);
            }
            Selection::FragmentSpread(spread) => {
                let name = &spread.node.fragment_name.node;
                let of = match known.get(name) {
                    Some(Some(of)) => *of,
                    Some(None) => {
                        return Err(Error::invalid("query", format!("the fragment {name} contains itself"))
                            .help("take it out of itself"));
                    }
                    // A fragment that does not exist is told by the validation of the document.
                    None => match document.fragments.get(name) {
                        None => Size::default(),
                        Some(fragment) => {
                            known.insert(name.clone(), None);
                            let of = measure(document, &fragment.node.selection_set.node, known)?;
                            known.insert(name.clone(), Some(of));
                            of
                        }
                    },
                };
                size.with(of, 0);
            }
        }
    }
    Ok(size)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fmt::Write as _;

    use async_graphql::parser::parse_query;

    use super::*;

    fn verdict(text: &str) -> Result<()> {
        check_text(text)?;
        check(&parse_query(text).unwrap())
    }

    #[test]
    fn deep_wide_and_aliased_documents_are_refused() {
        let nested = |levels: usize| format!("{}{}", "{ a ".repeat(levels), "}".repeat(levels));
        assert!(verdict(&nested(DEPTH)).is_ok());
        assert!(verdict(&nested(DEPTH + 1)).unwrap_err().message.contains("depth"));
        assert!(verdict(&"{".repeat(60_000)).unwrap_err().message.contains("nested"));
        let wide = |fields: usize| format!("{{ {} }}", "a ".repeat(fields));
        assert!(verdict(&wide(FIELDS)).is_ok());
        assert!(verdict(&wide(FIELDS + 1)).unwrap_err().message.contains("fields"));
        let mut aliased = String::from("{");
        for n in 0..=ALIASES {
            write!(aliased, " b{n}: a").unwrap();
        }
        assert!(verdict(&format!("{aliased} }}")).unwrap_err().message.contains("aliases"));
    }

    #[test]
    fn fragments_that_double_are_refused_without_expanding_them() {
        let mut text = String::from("{ ...f0 }");
        for n in 0..100 {
            write!(text, " fragment f{n} on A {{ ...f{} ...f{} }}", n + 1, n + 1).unwrap();
        }
        text.push_str(" fragment f100 on A { a }");
        assert!(verdict(&text).unwrap_err().message.contains("fields"));
        let circle = "{ ...a } fragment a on A { ...b } fragment b on A { ...a }";
        assert!(verdict(circle).unwrap_err().message.contains("contains itself"));
    }
}

//! The frame of a page of issues: which rows it has, and how a question was understood, without reading the issues.
//!
//! What must hold: a row that cannot be read keeps its place, since places decide where the next page begins.

use std::cell::OnceCell;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::client::decode;
use super::loose::{Id, Loose, Moment, Whole};
use super::repair;
use super::walk::{Row, Rows};
use crate::domain::failure::Failure;

/// The frame of a page, with the ids where the walk needs them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Frame {
    issues: Vec<Loose<IssueId>>,
    #[serde(default)]
    total: Loose<Whole>,
    #[serde(default)]
    max_results: Loose<Whole>,
    #[serde(default)]
    is_last: Option<bool>,
}

/// A row as the walk knows it.
struct IssueId(Row);

impl<'de> super::loose::FromJson<'de> for IssueId {
    const EXPECTED: &'static str = "issue";
    fn map<A: serde::de::MapAccess<'de>>(map: A) -> Result<Option<Self>, A::Error> {
        #[derive(Deserialize)]
        struct Members {
            #[serde(default)]
            id: Loose<Id>,
            #[serde(default)]
            fields: Loose<Updated>,
        }
        let members = Members::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
        let version = match members.fields {
            // Milliseconds in short: two versions of an issue are never 49 days apart to the millisecond.
            Loose::Good(Updated(Loose::Good(Moment(at)))) => (at.timestamp_millis() as u32).max(1),
            _ => 0,
        };
        Ok(if let Loose::Good(Id(id)) = members.id { Some(Self((id, version))) } else { None })
    }
}

/// Of an issue's fields, when it was changed.
struct Updated(Loose<Moment>);

impl<'de> super::loose::FromJson<'de> for Updated {
    const EXPECTED: &'static str = "fields";
    fn map<A: serde::de::MapAccess<'de>>(map: A) -> Result<Option<Self>, A::Error> {
        #[derive(Deserialize)]
        struct Members {
            #[serde(default)]
            updated: Loose<Moment>,
        }
        let members = Members::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
        Ok(Some(Self(members.updated)))
    }
}

/// The first issue of a page, as far as it shows how a question was understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// There is none.
    Nothing,
    /// It has no fields.
    Bare,
    /// It has.
    Whole,
}

impl First {
    /// `None` of what is no page.
    pub(super) fn of(body: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Page<'a> {
            #[serde(borrow)]
            issues: Vec<&'a RawValue>,
        }
        let (text, mended) = (repair::text(body), OnceCell::new());
        let page: Page<'_> = repair::read(&text, &mended).ok()?;
        let Some(first) = page.issues.first() else { return Some(Self::Nothing) };
        Some(if is_bare(first.get().as_bytes()) { Self::Bare } else { Self::Whole })
    }
}

/// Whether an issue came without fields.
pub(super) fn is_bare(issue: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Issue {
        #[serde(default)]
        fields: serde_json::Map<String, Value>,
    }
    repair::read_owned::<Issue>(issue).is_ok_and(|issue| issue.fields.is_empty())
}

/// A number that is one.
pub(super) fn number(value: Loose<Whole>) -> Option<u64> {
    if let Loose::Good(Whole(number)) = value { u64::try_from(number).ok() } else { None }
}

impl Frame {
    /// The rows of a page of which at most `asked` were asked for.
    pub(super) fn rows(body: &[u8], asked: u32) -> Result<Rows, Failure> {
        let frame: Self = decode("a search", body)?;
        // A row whose id cannot be read keeps its place: the place decides where the next page begins.
        let rows = frame.issues.into_iter().map(|issue| match issue {
            Loose::Good(IssueId(row)) => row,
            _ => (0, 0),
        });
        let (ids, versions) = rows.unzip();
        let limit = number(frame.max_results).filter(|limit| *limit > 0).unwrap_or(u64::from(asked));
        Ok(Rows { ids, versions, limit, total: number(frame.total), is_last: frame.is_last })
    }
}

/// The ids of a page, as far as they can be read.
pub(super) fn ids(body: &[u8]) -> Vec<i64> {
    let rows = Frame::rows(body, 0).map(|rows| rows.ids).unwrap_or_default();
    rows.into_iter().filter(|id| *id != 0).collect()
}

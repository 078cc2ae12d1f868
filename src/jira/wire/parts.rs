//! The smaller objects inside an issue.

use serde::Deserialize;
use serde::de::MapAccess;
use serde::de::value::MapAccessDeserializer;

use super::{Reference, User};
use crate::jira::loose::{Day, Flag, FromJson, Id, List, Loose, Moment, Scalar, Text, Whole};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::jira) struct Version<'a> {
    pub id: Loose<Id>,
    #[serde(borrow)]
    pub name: Loose<Text<'a>>,
    #[serde(borrow)]
    pub description: Loose<Text<'a>>,
    pub archived: Loose<Flag>,
    pub released: Loose<Flag>,
    pub start_date: Loose<Day>,
    pub release_date: Loose<Day>,
    pub project_id: Loose<Id>,
}
object!(Version, "version");

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::jira) struct Component<'a> {
    pub id: Loose<Id>,
    #[serde(borrow)]
    pub name: Loose<Text<'a>>,
    #[serde(borrow)]
    pub description: Loose<Text<'a>>,
    #[serde(borrow)]
    pub lead: Loose<User<'a>>,
    pub project_id: Loose<Id>,
}
object!(Component, "component");

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::jira) struct Link<'a> {
    pub id: Loose<Id>,
    #[serde(borrow, rename = "type")]
    pub kind: Loose<LinkType<'a>>,
    #[serde(borrow)]
    pub outward_issue: Loose<Reference<'a>>,
    #[serde(borrow)]
    pub inward_issue: Loose<Reference<'a>>,
}
object!(Link, "link");

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::jira) struct LinkType<'a> {
    #[serde(borrow)]
    pub name: Loose<Text<'a>>,
    #[serde(borrow)]
    pub inward: Loose<Text<'a>>,
    #[serde(borrow)]
    pub outward: Loose<Text<'a>>,
}
object!(LinkType, "link type");

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::jira) struct Attachment<'a> {
    pub id: Loose<Id>,
    #[serde(borrow)]
    pub filename: Loose<Text<'a>>,
    #[serde(borrow)]
    pub author: Loose<User<'a>>,
    pub created: Loose<Moment>,
    pub size: Loose<Whole>,
    #[serde(borrow)]
    pub mime_type: Loose<Text<'a>>,
}
object!(Attachment, "attachment");

/// One entry of a history: what one person changed at one time.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::jira) struct Entry<'a> {
    pub id: Loose<Id>,
    #[serde(borrow)]
    pub author: Loose<User<'a>>,
    pub created: Loose<Moment>,
    #[serde(borrow)]
    pub items: Loose<List<Item<'a>>>,
}
object!(Entry, "entry of the history");

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::jira) struct Item<'a> {
    #[serde(borrow)]
    pub field: Loose<Text<'a>>,
    #[serde(borrow)]
    pub field_id: Loose<Text<'a>>,
    #[serde(borrow, rename = "fieldtype")]
    pub field_type: Loose<Text<'a>>,
    #[serde(borrow)]
    pub from: Loose<Scalar<'a>>,
    #[serde(borrow)]
    pub from_string: Loose<Scalar<'a>>,
    #[serde(borrow)]
    pub to: Loose<Scalar<'a>>,
    #[serde(borrow)]
    pub to_string: Loose<Scalar<'a>>,
}
object!(Item, "item of the history");

/// Makes a struct without texts readable from an object and from nothing else.
macro_rules! plain_object {
    ($type:ident, $expected:literal) => {
        impl<'de> FromJson<'de> for $type {
            const EXPECTED: &'static str = $expected;
            fn map<A: MapAccess<'de>>(map: A) -> Result<Option<Self>, A::Error> {
                Self::deserialize(MapAccessDeserializer::new(map)).map(Some)
            }
        }
    };
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::jira) struct TimeTracking {
    pub original_estimate_seconds: Loose<Whole>,
    pub remaining_estimate_seconds: Loose<Whole>,
    pub time_spent_seconds: Loose<Whole>,
}
plain_object!(TimeTracking, "time tracking");

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::jira) struct Votes {
    pub votes: Loose<Whole>,
}
plain_object!(Votes, "votes");

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::jira) struct Watches {
    pub watch_count: Loose<Whole>,
}
plain_object!(Watches, "watches");

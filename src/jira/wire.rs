//! Jira's answers as they come over the wire: every value [`Loose`], texts borrowed from the page.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::adf::Document;
use super::loose::{Day, Flag, FromJson, Id, Key, List, Loose, Moment, Number, Text, Whole};

/// Makes a struct of loose fields readable from an object and from nothing else.
macro_rules! object {
    ($type:ident, $expected:literal) => {
        impl<'de: 'a, 'a> FromJson<'de> for $type<'a> {
            const EXPECTED: &'static str = $expected;
            fn map<A: MapAccess<'de>>(map: A) -> Result<Option<Self>, A::Error> {
                Self::deserialize(MapAccessDeserializer::new(map)).map(Some)
            }
        }
    };
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct User<'a> {
    #[serde(borrow)]
    pub account_id: Loose<Text<'a>>,
    #[serde(borrow)]
    pub display_name: Loose<Text<'a>>,
    #[serde(borrow)]
    pub email_address: Loose<Text<'a>>,
    pub active: Loose<Flag>,
    #[serde(borrow)]
    pub time_zone: Loose<Text<'a>>,
    #[serde(borrow)]
    pub account_type: Loose<Text<'a>>,
}
object!(User, "user");

/// A type, a priority, a resolution.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Named<'a> {
    #[serde(borrow)]
    pub name: Loose<Text<'a>>,
}
object!(Named, "object with a name");

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Status<'a> {
    #[serde(borrow)]
    pub name: Loose<Text<'a>>,
    #[serde(borrow)]
    pub status_category: Loose<Category<'a>>,
}
object!(Status, "status");

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Category<'a> {
    #[serde(borrow)]
    pub key: Loose<Text<'a>>,
}
object!(Category, "status category");

/// A project or a parent.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Reference<'a> {
    pub id: Loose<Id>,
    #[serde(borrow)]
    pub key: Loose<Text<'a>>,
}
object!(Reference, "object with id and key");

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Comment<'a> {
    pub id: Loose<Id>,
    #[serde(borrow)]
    pub author: Loose<User<'a>>,
    #[serde(borrow)]
    pub update_author: Loose<User<'a>>,
    #[serde(borrow)]
    pub body: Loose<Document<'a>>,
    pub created: Loose<Moment>,
    pub updated: Loose<Moment>,
}
object!(Comment, "comment");

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Worklog<'a> {
    pub id: Loose<Id>,
    #[serde(borrow)]
    pub author: Loose<User<'a>>,
    #[serde(borrow)]
    pub update_author: Loose<User<'a>>,
    #[serde(borrow)]
    pub comment: Loose<Document<'a>>,
    pub started: Loose<Moment>,
    pub time_spent_seconds: Loose<Whole>,
    pub created: Loose<Moment>,
    pub updated: Loose<Moment>,
}
object!(Worklog, "worklog");

/// A collection, inside an issue or from an endpoint of its own. The two names of its array never meet.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "T: FromJson<'de>"))]
pub(super) struct Collection<T> {
    #[serde(alias = "comments", alias = "worklogs", default = "Loose::default")]
    pub elements: Loose<List<T>>,
    #[serde(default)]
    pub total: Loose<Whole>,
    #[serde(default)]
    pub start_at: Loose<Whole>,
}

impl<'de, T: FromJson<'de>> FromJson<'de> for Collection<T> {
    const EXPECTED: &'static str = "collection";
    fn map<A: MapAccess<'de>>(map: A) -> Result<Option<Self>, A::Error> {
        Self::deserialize(MapAccessDeserializer::new(map)).map(Some)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Issue<'a> {
    pub id: Loose<Id>,
    #[serde(borrow)]
    pub key: Loose<Text<'a>>,
    #[serde(borrow)]
    pub fields: Loose<Fields<'a>>,
}
object!(Issue, "issue");

#[derive(Debug, Default)]
pub(super) struct Fields<'a> {
    pub summary: Loose<Text<'a>>,
    pub description: Loose<Document<'a>>,
    pub issue_type: Loose<Named<'a>>,
    pub status: Loose<Status<'a>>,
    pub priority: Loose<Named<'a>>,
    pub resolution: Loose<Named<'a>>,
    pub assignee: Loose<User<'a>>,
    pub reporter: Loose<User<'a>>,
    pub creator: Loose<User<'a>>,
    pub project: Loose<Reference<'a>>,
    pub parent: Loose<Reference<'a>>,
    pub labels: Loose<List<Text<'a>>>,
    pub created: Loose<Moment>,
    pub updated: Loose<Moment>,
    pub resolution_date: Loose<Moment>,
    pub due_date: Loose<Day>,
    pub comment: Loose<Collection<Comment<'a>>>,
    pub worklog: Loose<Collection<Worklog<'a>>>,
    /// Custom fields by id, read as numbers: only those that were asked for come.
    pub custom: Vec<(String, Loose<Number>)>,
}
object!(Fields, "object of fields");

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor<'a>(PhantomData<Fields<'a>>);
        impl<'de: 'a, 'a> Visitor<'de> for FieldsVisitor<'a> {
            type Value = Fields<'a>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object of fields")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'a>, A::Error> {
                let mut fields = Fields::default();
                while let Some(key) = map.next_key::<Key<'de>>()? {
                    match key.0.as_ref() {
                        "summary" => fields.summary = map.next_value()?,
                        "description" => fields.description = map.next_value()?,
                        "issuetype" => fields.issue_type = map.next_value()?,
                        "status" => fields.status = map.next_value()?,
                        "priority" => fields.priority = map.next_value()?,
                        "resolution" => fields.resolution = map.next_value()?,
                        "assignee" => fields.assignee = map.next_value()?,
                        "reporter" => fields.reporter = map.next_value()?,
                        "creator" => fields.creator = map.next_value()?,
                        "project" => fields.project = map.next_value()?,
                        "parent" => fields.parent = map.next_value()?,
                        "labels" => fields.labels = map.next_value()?,
                        "created" => fields.created = map.next_value()?,
                        "updated" => fields.updated = map.next_value()?,
                        "resolutiondate" => fields.resolution_date = map.next_value()?,
                        "duedate" => fields.due_date = map.next_value()?,
                        "comment" => fields.comment = map.next_value()?,
                        "worklog" => fields.worklog = map.next_value()?,
                        custom if custom.starts_with("customfield_") => {
                            let value = map.next_value()?;
                            fields.custom.push((custom.to_owned(), value));
                        }
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(FieldsVisitor(PhantomData))
    }
}

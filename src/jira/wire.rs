//! Jira's answers as they come over the wire: every value [`Loose`], texts borrowed from the page.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};

use serde_json::value::RawValue;

use super::adf::Document;
use super::loose::{Flag, FromJson, Id, Key, List, Loose, Moment, Text, Whole};

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

mod parts;
pub(super) use parts::{Attachment, Component, Entry, Link, TimeTracking, Version, Votes, Watches};

/// A user: by account id on Cloud, by key and name on Data Center.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct User<'a> {
    #[serde(borrow)]
    pub account_id: Loose<Text<'a>>,
    #[serde(borrow)]
    pub key: Loose<Text<'a>>,
    #[serde(borrow)]
    pub name: Loose<Text<'a>>,
    #[serde(borrow)]
    pub display_name: Loose<Text<'a>>,
    #[serde(borrow)]
    pub email_address: Loose<Text<'a>>,
    pub active: Loose<Flag>,
    pub deleted: Loose<Flag>,
    #[serde(borrow)]
    pub time_zone: Loose<Text<'a>>,
    #[serde(borrow)]
    pub account_type: Loose<Text<'a>>,
}
object!(User, "user");

/// A type, a priority, a resolution, a security level.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Named<'a> {
    pub id: Loose<Id>,
    pub subtask: Loose<Flag>,
    #[serde(borrow)]
    pub name: Loose<Text<'a>>,
}
object!(Named, "object with a name");

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Status<'a> {
    pub id: Loose<Id>,
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

/// The project of an issue.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Project<'a> {
    pub id: Loose<Id>,
    #[serde(borrow)]
    pub key: Loose<Text<'a>>,
    /// Whether it is team-managed; Cloud tells.
    pub simplified: Loose<Flag>,
}
object!(Project, "object with id and key");

/// A parent, or the issue at the other end of a link.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Reference<'a> {
    pub id: Loose<Id>,
    #[serde(borrow)]
    pub key: Loose<Text<'a>>,
}
object!(Reference, "object with id and key");

/// Who may see a comment or a worklog.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Visibility<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Loose<Text<'a>>,
    #[serde(borrow)]
    pub value: Loose<Text<'a>>,
    #[serde(borrow)]
    pub identifier: Loose<Text<'a>>,
}
object!(Visibility, "visibility");

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
    #[serde(borrow)]
    pub visibility: Loose<Visibility<'a>>,
    pub jsd_public: Loose<Flag>,
    pub created: Loose<Moment>,
    pub updated: Loose<Moment>,
}
object!(Comment, "comment");

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Worklog<'a> {
    pub id: Loose<Id>,
    pub issue_id: Loose<Id>,
    #[serde(borrow)]
    pub author: Loose<User<'a>>,
    #[serde(borrow)]
    pub update_author: Loose<User<'a>>,
    #[serde(borrow)]
    pub comment: Loose<Document<'a>>,
    #[serde(borrow)]
    pub visibility: Loose<Visibility<'a>>,
    pub started: Loose<Moment>,
    pub time_spent_seconds: Loose<Whole>,
    pub created: Loose<Moment>,
    pub updated: Loose<Moment>,
}
object!(Worklog, "worklog");

/// A collection, inside an issue or from an endpoint of its own. The names of its array never meet.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "T: FromJson<'de>"))]
pub(super) struct Collection<T> {
    #[serde(alias = "comments", alias = "worklogs", alias = "histories", alias = "values", default = "Loose::default")]
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
    #[serde(borrow)]
    pub changelog: Loose<Collection<Entry<'a>>>,
    /// Why the issue stands here by its names only; never Jira's, see [`super::bounded`].
    #[serde(borrow, rename = "syncline:left_out")]
    pub left_out: Loose<Text<'a>>,
}
object!(Issue, "issue");

/// Declares the fields that are read into a type, by their names in Jira, and how an object of them is read in one pass.
macro_rules! fields {
    ($($(#[$doc:meta])* $member:ident: $type:ty = $name:literal,)*) => {
        #[derive(Debug, Default)]
        pub(super) struct Fields<'a> {
            $($(#[$doc])* pub $member: Loose<$type>,)*
            /// All others as they came, by id; dates and amounts too, so that one without a place in a column is not lost.
            pub rest: Vec<(Cow<'a, str>, &'a RawValue)>,
            /// Which of the fields above the answer names and which of those can be read; null is named.
            named: Vec<&'static str>,
        }

        impl<'de: 'a, 'a> Fields<'a> {
            /// The fields above that the answer leaves out, or shows in a form that tells nothing.
            pub fn left_out(&self) -> BTreeSet<&'static str> {
                let typed = [$($name),*].into_iter().filter(|name| !self.named.contains(name));
                let is_there = |name: &&'static str| self.rest.iter().any(|(id, _)| id == name);
                typed.chain(DATED.into_iter().filter(|name| !is_there(name))).collect()
            }

            fn read<A: MapAccess<'de>>(&mut self, key: Cow<'de, str>, map: &mut A) -> Result<(), A::Error> {
                match key.as_ref() {
                    $($name => {
                        self.$member = map.next_value()?;
                        if !matches!(self.$member, Loose::Wrong(_)) {
                            self.named.push($name);
                        }
                    })*
                    _ => self.rest.push((key, map.next_value()?)),
                }
                Ok(())
            }
        }
    };
}

fields! {
    summary: Text<'a> = "summary",
    description: Document<'a> = "description",
    environment: Document<'a> = "environment",
    issue_type: Named<'a> = "issuetype",
    status: Status<'a> = "status",
    priority: Named<'a> = "priority",
    resolution: Named<'a> = "resolution",
    security: Named<'a> = "security",
    assignee: User<'a> = "assignee",
    reporter: User<'a> = "reporter",
    creator: User<'a> = "creator",
    project: Project<'a> = "project",
    parent: Reference<'a> = "parent",
    labels: List<Text<'a>> = "labels",
    components: List<Component<'a>> = "components",
    fix_versions: List<Version<'a>> = "fixVersions",
    affects_versions: List<Version<'a>> = "versions",
    links: List<Link<'a>> = "issuelinks",
    attachments: List<Attachment<'a>> = "attachment",
    time_tracking: TimeTracking = "timetracking",
    votes: Votes = "votes",
    watches: Watches = "watches",
    comment: Collection<Comment<'a>> = "comment",
    worklog: Collection<Worklog<'a>> = "worklog",
}
object!(Fields, "object of fields");

/// The fields with a column of their own that are read from what came, see [`super::normalise`].
pub(super) const DATED: [&str; 8] = [
    "created",
    "updated",
    "resolutiondate",
    "statuscategorychangedate",
    "duedate",
    "timeoriginalestimate",
    "timeestimate",
    "timespent",
];

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
                while let Some(Key(key)) = map.next_key::<Key<'de>>()? {
                    fields.read(key, &mut map)?;
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(FieldsVisitor(PhantomData))
    }
}

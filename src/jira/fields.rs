//! Which fields are asked for, and how a site names those that are not the same everywhere.

use serde::Deserialize;

/// One field, as `/field` describes it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "WireField")]
pub struct FieldMeta {
    /// What a search asks for, e.g. `summary` or `customfield_10016`.
    pub id: String,
    /// The name shown, in the account's language for system fields.
    pub name: String,
    /// `schema.custom`: the kind of a custom field, e.g. `com.pyxis.greenhopper.jira:jsw-story-points`.
    pub custom: Option<String>,
    /// `schema.type`: the type of its values, e.g. `number`.
    pub value_type: Option<String>,
}

#[derive(Deserialize)]
struct WireField {
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    schema: Option<WireSchema>,
}

#[derive(Deserialize)]
struct WireSchema {
    #[serde(default)]
    custom: Option<String>,
    #[serde(default, rename = "type")]
    value_type: Option<String>,
}

impl From<WireField> for FieldMeta {
    fn from(field: WireField) -> Self {
        let (custom, value_type) = field.schema.map_or((None, None), |schema| (schema.custom, schema.value_type));
        Self { id: field.id, name: field.name, custom, value_type }
    }
}

/// The ids of the fields whose id differs from site to site.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldMap {
    /// The estimate; absent where the site has none.
    pub story_points: Option<String>,
}

/// The kind of the estimate in team-managed projects.
const STORY_POINTS_KIND: &str = "com.pyxis.greenhopper.jira:jsw-story-points";
/// The names it goes by in company-managed ones, where it is a plain number field.
const STORY_POINTS_NAMES: [&str; 2] = ["Story Points", "Story point estimate"];
const NUMBER_FIELD_KIND: &str = "com.atlassian.jira.plugin.system.customfieldtypes:float";

impl FieldMap {
    /// Finds the fields by kind, and by name where there is no kind of their own. The order of `fields` does not matter:
    /// among several, the kind goes before the names, and then the smallest id.
    pub fn discover(fields: &[FieldMeta]) -> Self {
        let rank = |field: &FieldMeta| {
            if field.custom.as_deref() == Some(STORY_POINTS_KIND) {
                return Some(0);
            }
            let number =
                field.custom.as_deref() == Some(NUMBER_FIELD_KIND) || field.value_type.as_deref() == Some("number");
            let name = STORY_POINTS_NAMES.iter().position(|name| name.eq_ignore_ascii_case(field.name.trim()));
            if number { name.map(|place| place + 1) } else { None }
        };
        let found = fields
            .iter()
            .filter(|field| field.id.starts_with("customfield_"))
            .filter_map(|field| Some((rank(field)?, field.id.len(), &field.id)))
            .min();
        Self { story_points: found.map(|(_, _, id)| id.clone()) }
    }
}

/// The fields that the normaliser reads; nothing else is asked for.
const SYSTEM_FIELDS: [&str; 18] = [
    "summary",
    "description",
    "issuetype",
    "status",
    "priority",
    "resolution",
    "assignee",
    "reporter",
    "creator",
    "project",
    "parent",
    "labels",
    "created",
    "updated",
    "resolutiondate",
    "duedate",
    "comment",
    "worklog",
];

/// The fields to ask of a search so that [`super::normalise`] finds what it needs, and nothing more.
pub fn search_fields(map: &FieldMap) -> Vec<String> {
    SYSTEM_FIELDS.iter().map(|&field| field.to_owned()).chain(map.story_points.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn discover(json: &str) -> Option<String> {
        FieldMap::discover(&serde_json::from_str::<Vec<FieldMeta>>(json).unwrap()).story_points
    }

    #[test]
    fn story_points_are_found_by_kind_before_name() {
        let json = r#"[
            {"id":"summary","name":"Zusammenfassung","schema":{"type":"string","system":"summary"}},
            {"id":"customfield_10002","name":"Story Points","schema":{"type":"number","custom":"com.atlassian.jira.plugin.system.customfieldtypes:float"}},
            {"id":"customfield_10016","name":"Schätzung","schema":{"type":"number","custom":"com.pyxis.greenhopper.jira:jsw-story-points"}},
            {"id":"thumbnail","name":"Images"}
        ]"#;
        assert_eq!(discover(json).as_deref(), Some("customfield_10016"));
    }

    #[test]
    fn a_number_field_with_the_name_will_do_but_a_text_field_will_not() {
        let field = |kind: &str| {
            format!(r#"[{{"id":"customfield_10002","name":"story points","schema":{{"type":"{kind}"}}}}]"#)
        };
        assert_eq!(discover(&field("number")).as_deref(), Some("customfield_10002"));
        assert_eq!(discover(&field("string")), None);
        assert_eq!(discover("[]"), None);
    }

    #[test]
    fn only_what_is_read_is_asked_for() {
        let map = FieldMap { story_points: Some("customfield_10016".into()) };
        let fields = search_fields(&map);
        assert_eq!(fields.len(), 19);
        assert!(fields.iter().all(|field| !field.contains('*')));
        assert_eq!(search_fields(&FieldMap::default()).len(), 18);
    }
}

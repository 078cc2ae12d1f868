//! Which fields are asked for, and how a site names those that are not the same everywhere.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::wire::NOT_KEPT;
use crate::domain::entity::FieldRecord;

/// The ids of the fields whose id differs from site to site.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FieldMap {
    /// The estimate; absent where the site has none.
    pub story_points: Option<String>,
    /// The sprints of an issue. Where it is not known, a sprint field is known by its shape.
    pub sprint: Option<String>,
    /// The epic of an issue, by its key, on sites that do not write it as the parent.
    pub epic_link: Option<String>,
    /// The short name of an epic.
    pub epic_name: Option<String>,
    /// What changes while the issue's `updated` stays: not asked for, and not kept. Ranks, times that run on, and
    /// summaries of other systems.
    pub volatile: BTreeSet<String>,
    /// The site lists its fields and none of them is of time tracking: an issue that shows no worklogs has none.
    pub tracks_no_time: bool,
}

const SPRINT_KIND: &str = "com.pyxis.greenhopper.jira:gh-sprint";
const EPIC_LINK_KIND: &str = "com.pyxis.greenhopper.jira:gh-epic-link";
const EPIC_NAME_KIND: &str = "com.pyxis.greenhopper.jira:gh-epic-label";
/// Kinds of [`FieldMap::volatile`] fields.
const VOLATILE_KINDS: [&str; 9] = [
    "com.pyxis.greenhopper.jira:gh-lexo-rank",
    "com.pyxis.greenhopper.jira:gh-global-rank",
    "com.atlassian.jira.plugins.jira-development-integration-plugin:devsummary",
    "com.atlassian.jira.plugins.jira-development-integration-plugin:devsummarycf",
    "com.atlassian.servicedesk:sd-sla-field",
    "com.atlassian.jira.ext.charting:timeinstatus",
    "com.atlassian.jira.toolkit:dayslastcommented",
    "com.atlassian.jira.toolkit:viewmessage",
    "com.atlassian.jira.toolkit:userproperty",
];
/// The kind of the estimate in team-managed projects.
const STORY_POINTS_KIND: &str = "com.pyxis.greenhopper.jira:jsw-story-points";
/// The names it goes by in company-managed ones, where it is a plain number field.
const STORY_POINTS_NAMES: [&str; 2] = ["Story Points", "Story point estimate"];
const NUMBER_FIELD_KIND: &str = "com.atlassian.jira.plugin.system.customfieldtypes:float";

impl FieldMap {
    /// Finds the fields by kind, and by name where there is no kind of their own. The order of `fields` does not matter:
    /// among several, the kind goes before the names, and then the smallest id.
    pub fn discover(fields: &[FieldRecord]) -> Self {
        let rank = |field: &FieldRecord| {
            if field.custom_kind.as_deref() == Some(STORY_POINTS_KIND) {
                return Some(0);
            }
            let number = field.custom_kind.as_deref() == Some(NUMBER_FIELD_KIND)
                || field.value_type.as_deref() == Some("number");
            let name = STORY_POINTS_NAMES.iter().position(|name| name.eq_ignore_ascii_case(field.name.trim()));
            if number { name.map(|place| place + 1) } else { None }
        };
        let custom = || fields.iter().filter(|field| field.id.starts_with("customfield_"));
        let points = custom().filter_map(|field| Some((rank(field)?, field.id.len(), &field.id))).min();
        let of_kind = |kind: &str| {
            let ids = custom().filter(|field| field.custom_kind.as_deref() == Some(kind));
            ids.map(|field| (field.id.len(), &field.id)).min().map(|(_, id)| id.clone())
        };
        let is_volatile =
            |field: &&FieldRecord| field.custom_kind.as_deref().is_some_and(|kind| VOLATILE_KINDS.contains(&kind));
        let of_time = |field: &FieldRecord| matches!(field.id.as_str(), "worklog" | "timetracking" | "timespent");
        Self {
            tracks_no_time: fields.iter().any(|field| field.id == "status") && !fields.iter().any(of_time),
            story_points: points.map(|(_, _, id)| id.clone()),
            sprint: of_kind(SPRINT_KIND),
            epic_link: of_kind(EPIC_LINK_KIND),
            epic_name: of_kind(EPIC_NAME_KIND),
            volatile: custom().filter(is_volatile).map(|field| field.id.clone()).collect(),
        }
    }

    /// The same with the estimate that an operator named, where one did.
    #[must_use]
    pub fn with_story_points(mut self, configured: Option<&str>) -> Self {
        if let Some(field) = configured {
            self.story_points = Some(field.to_owned());
        }
        self
    }
}

/// The fields to ask of a search: all, without what is not kept (see [`super::normalise`]). A name that a site does not
/// know is ignored by Jira.
pub fn search_fields(map: &FieldMap) -> Vec<String> {
    let left_out = NOT_KEPT.into_iter().chain(map.volatile.iter().map(String::as_str));
    std::iter::once("*all".to_owned()).chain(left_out.map(|field| format!("-{field}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn discover(json: &str) -> Option<String> {
        map_of(json).story_points
    }

    fn map_of(json: &str) -> FieldMap {
        FieldMap::discover(&crate::jira::catalogue::parse_fields(json.as_bytes()).unwrap().records)
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
    fn sprint_epic_and_what_never_rests_are_found_by_kind() {
        let field = |id: &str, kind: &str| {
            format!(
                r#"{{"id":"{id}","name":"x","schema":{{"type":"any","custom":"com.pyxis.greenhopper.jira:{kind}"}}}}"#
            )
        };
        let json = format!(
            "[{},{},{},{}]",
            field("customfield_10020", "gh-sprint"),
            field("customfield_10014", "gh-epic-link"),
            field("customfield_10011", "gh-epic-label"),
            field("customfield_10019", "gh-lexo-rank"),
        );
        let map = map_of(&json);
        assert_eq!(map.sprint.as_deref(), Some("customfield_10020"));
        assert_eq!(map.epic_link.as_deref(), Some("customfield_10014"));
        assert_eq!(map.epic_name.as_deref(), Some("customfield_10011"));
        assert_eq!(map.volatile.iter().collect::<Vec<_>>(), ["customfield_10019"]);
        let stored = serde_json::to_value(&map).unwrap();
        assert_eq!(serde_json::from_value::<FieldMap>(stored).unwrap(), map);
        let older: FieldMap = serde_json::from_str(r#"{"story_points":"customfield_1"}"#).unwrap();
        assert_eq!(older.with_story_points(Some("customfield_2")).story_points.as_deref(), Some("customfield_2"));
    }

    #[test]
    fn every_field_is_asked_for_but_those_that_change_by_themselves() {
        let map = FieldMap { volatile: ["customfield_10019".to_owned()].into(), ..FieldMap::default() };
        let fields = search_fields(&map);
        assert_eq!(fields[0], "*all");
        assert!(fields.contains(&"-lastViewed".to_owned()) && fields.contains(&"-customfield_10019".to_owned()));
        assert!(fields[1..].iter().all(|field| field.starts_with('-')));
    }
}

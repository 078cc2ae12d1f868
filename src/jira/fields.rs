//! Which fields are asked for, and how a site names those that are not the same everywhere.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::domain::entity::FieldRecord;

/// The ids of the fields whose id differs from site to site.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FieldMap {
    /// The estimate that is looked at first: the one that an operator named, else the first that was found.
    pub story_points: Option<String>,
    /// An operator named it: it goes before all others.
    #[serde(skip)]
    pub named: bool,
    /// Every field that may hold the estimate, in the order in which they are preferred; see [`FieldMap::points_place`].
    pub points: Vec<PointsField>,
    /// The sprints of an issue. Where it is not known, a sprint field is known by its shape.
    pub sprint: Option<String>,
    /// The epic of an issue, by its key, on sites that do not write it as the parent.
    pub epic_link: Option<String>,
    /// The short name of an epic.
    pub epic_name: Option<String>,
    /// More fields of sprints, where the site has several: an issue is in the sprints of all of them.
    pub sprints: BTreeSet<String>,
    /// More fields of epics.
    pub epic_links: BTreeSet<String>,
    /// What changes while the issue's `updated` stays: kept, but no reason to write an issue anew (see [`is_beside`]). Ranks,
    /// times that run on, and summaries of other systems.
    ///
    /// [`is_beside`]: FieldMap::is_beside
    pub volatile: BTreeSet<String>,
    /// The site lists its fields and none of them is of time tracking: an issue that shows no worklogs has none.
    pub tracks_no_time: bool,
    /// Which program made it; see [`FieldMap::is_current`].
    pub version: u32,
}

/// A field that may hold the estimate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointsField {
    /// Its id.
    pub id: String,
    /// It is the one of team-managed projects, by its kind; else a number field that is known by its name.
    pub team_managed: bool,
    /// Jira's id of the only project that has it; none where it is the site's.
    pub project: Option<i64>,
}

/// Whose estimate is looked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct OfProject {
    /// Jira's id of the project.
    pub id: i64,
    /// Whether it is team-managed, where Jira tells: on Cloud.
    pub team_managed: Option<bool>,
}

/// Raised when [`FieldMap::discover`] finds more than before: maps that were stored by an older program are made anew.
const VERSION: u32 = 1;
const SPRINT_KIND: &str = "com.pyxis.greenhopper.jira:gh-sprint";
const EPIC_LINK_KIND: &str = "com.pyxis.greenhopper.jira:gh-epic-link";
const EPIC_NAME_KIND: &str = "com.pyxis.greenhopper.jira:gh-epic-label";
/// Kinds of [`FieldMap::volatile`] fields.
const VOLATILE_KINDS: [&str; 12] = [
    "com.pyxis.greenhopper.jira:gh-lexo-rank",
    "com.pyxis.greenhopper.jira:gh-global-rank",
    "com.atlassian.jira.plugins.jira-development-integration-plugin:devsummary",
    "com.atlassian.jira.plugins.jira-development-integration-plugin:devsummarycf",
    "com.atlassian.jira.plugins.jira-development-integration-plugin:designcf",
    "com.atlassian.servicedesk:sd-sla-field",
    // Tells when the request's status changed as "today" and "yesterday".
    "com.atlassian.servicedesk:vp-origin",
    "com.atlassian.jira.ext.charting:timeinstatus",
    "com.atlassian.jira.toolkit:dayslastcommented",
    "com.atlassian.jira.toolkit:viewmessage",
    "com.atlassian.jira.toolkit:userproperty",
    // Computed whenever it is read.
    "com.onresolve.jira.groovy.groovyrunner:scripted-field",
];
/// System fields of the same nature: what a visit or the passing of time changes, what is computed from other fields, and
/// what other issues' values add up to.
const BESIDE: [&str; 10] = [
    "lastViewed",
    "workratio",
    "thumbnail",
    "progress",
    "aggregateprogress",
    "aggregatetimespent",
    "aggregatetimeestimate",
    "aggregatetimeoriginalestimate",
    "subtasks",
    "statusCategory",
];
/// The kind of the estimate in team-managed projects.
const STORY_POINTS_KIND: &str = "com.pyxis.greenhopper.jira:jsw-story-points";
/// The names it goes by in company-managed ones, where it is a plain number field; small letters without spaces.
const STORY_POINTS_NAMES: [&str; 3] = ["storypoints", "storypointestimate", "storypoint"];
const NUMBER_FIELD_KIND: &str = "com.atlassian.jira.plugin.system.customfieldtypes:float";

impl FieldMap {
    /// Finds the fields by kind, and by name where there is no kind of their own: the name in any language that Jira tells.
    /// The order of `fields` does not matter: among several, the kind goes before the names, and then the smallest id.
    pub fn discover(fields: &[FieldRecord]) -> Self {
        let rank = |field: &FieldRecord| {
            if field.custom_kind.as_deref() == Some(STORY_POINTS_KIND) {
                return Some(0);
            }
            let number = field.custom_kind.as_deref() == Some(NUMBER_FIELD_KIND)
                || field.value_type.as_deref() == Some("number");
            let names = std::iter::once(&field.name).chain(&field.other_names).filter(|_| number);
            names.filter_map(|name| points_name(name)).min().map(|place| place + 1)
        };
        let custom = || fields.iter().filter(|field| field.id.starts_with("customfield_"));
        let mut points: Vec<(usize, usize, &FieldRecord)> =
            custom().filter_map(|field| Some((rank(field)?, field.id.len(), field))).collect();
        points.sort_unstable_by(|a, b| (a.0, a.1, &a.2.id).cmp(&(b.0, b.1, &b.2.id)));
        let points: Vec<PointsField> = points
            .into_iter()
            .map(|(rank, _, field)| PointsField {
                id: field.id.clone(),
                team_managed: rank == 0,
                project: field.project_id,
            })
            .collect();
        let of_kind = |kind: &str| {
            let ids = custom().filter(|field| field.custom_kind.as_deref() == Some(kind));
            let mut ids: Vec<&String> = ids.map(|field| &field.id).collect();
            ids.sort_unstable_by_key(|id| (id.len(), *id));
            let mut ids = ids.into_iter().cloned();
            (ids.next(), ids.collect::<BTreeSet<String>>())
        };
        let is_volatile =
            |field: &&FieldRecord| field.custom_kind.as_deref().is_some_and(|kind| VOLATILE_KINDS.contains(&kind));
        let of_time = |field: &FieldRecord| matches!(field.id.as_str(), "worklog" | "timetracking" | "timespent");
        let ((sprint, sprints), (epic_link, epic_links)) = (of_kind(SPRINT_KIND), of_kind(EPIC_LINK_KIND));
        Self {
            tracks_no_time: fields.iter().any(|field| field.id == "status") && !fields.iter().any(of_time),
            story_points: points.first().map(|field| field.id.clone()),
            named: false,
            points,
            sprint,
            epic_link,
            epic_name: of_kind(EPIC_NAME_KIND).0,
            sprints,
            epic_links,
            volatile: custom().filter(is_volatile).map(|field| field.id.clone()).collect(),
            version: VERSION,
        }
    }

    /// The same with the estimate that an operator named, where one did. The others stay: a project that does not use the
    /// named field has its estimates elsewhere.
    #[must_use]
    pub fn with_story_points(mut self, configured: Option<&str>) -> Self {
        if let Some(field) = configured {
            self.story_points = Some(field.to_owned());
            self.named = true;
        }
        self
    }

    /// The same as it was found, to be stored: what an operator names is kept elsewhere, and may be taken back.
    #[must_use]
    pub fn as_found(self) -> Self {
        match self.named {
            true => Self { story_points: self.points.first().map(|field| field.id.clone()), named: false, ..self },
            false => self,
        }
    }

    /// Whether this program made it; one that an older program stored may lack what this one looks for.
    pub const fn is_current(&self) -> bool {
        self.version >= VERSION
    }

    /// The same, as this program would make it of a catalogue that cannot be read.
    #[must_use]
    pub fn as_current(self) -> Self {
        Self { version: self.version.max(VERSION), ..self }
    }

    /// The place of a field among those that may hold an issue's estimate, the smallest first; `None` of other fields. Of
    /// the fields in which an issue has a value, the first counts: the one that an operator named, then the project's own,
    /// then the one that projects of its style use, then any other.
    pub fn points_place(&self, id: &str, project: OfProject) -> Option<(u8, usize)> {
        let is_first = self.story_points.as_deref() == Some(id);
        if self.named && is_first {
            return Some((0, 0));
        }
        let Some((at, field)) = self.points.iter().enumerate().find(|(_, field)| field.id == id) else {
            return is_first.then_some((2, 0));
        };
        match (field.project, project.team_managed) {
            (Some(only), _) if only != project.id => None,
            (Some(_), _) => Some((1, at)),
            (None, Some(team_managed)) if team_managed != field.team_managed => Some((3, at)),
            (None, _) => Some((2, at)),
        }
    }

    /// Whether a field holds an issue's sprints.
    pub fn is_sprint(&self, id: &str) -> bool {
        self.sprint.as_deref() == Some(id) || self.sprints.contains(id)
    }

    /// Whether a field names an issue's epic.
    pub fn is_epic_link(&self, id: &str) -> bool {
        self.epic_link.as_deref() == Some(id) || self.epic_links.contains(id)
    }

    /// Whether a field is kept beside the issue's content: what it holds changes while the issue's `updated` stays, by the
    /// passing of time, by a visit, or with other issues. It is stored as of the last time that the row was written, or
    /// that a full run or a reconciliation met it.
    pub fn is_beside(&self, id: &str) -> bool {
        BESIDE.contains(&id) || self.volatile.contains(id)
    }
}

/// The place of a name among those of the estimate; letters count, not how they are set apart.
fn points_name(name: &str) -> Option<usize> {
    let plain: String = name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    STORY_POINTS_NAMES.iter().position(|known| *known == plain)
}

/// The fields to ask of a search: all of them.
pub fn search_fields(_: &FieldMap) -> Vec<String> {
    vec!["*all".to_owned()]
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
    fn story_points_need_a_number_field_not_a_text_field() {
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
        assert!(map.is_current() && !older.is_current() && older.clone().as_current().is_current());
        assert_eq!(older.points_place("customfield_1", OfProject::default()), Some((2, 0)));
        assert_eq!(older.with_story_points(Some("customfield_2")).story_points.as_deref(), Some("customfield_2"));
    }

    #[test]
    fn every_sprint_and_epic_field_counts_where_a_site_has_several() {
        let field = |id: u32, kind: &str| {
            format!(r#"{{"id":"customfield_{id}","schema":{{"custom":"com.pyxis.greenhopper.jira:{kind}"}}}}"#)
        };
        let list = [field(9, "gh-sprint"), field(10, "gh-sprint"), field(7, "gh-epic-link"), field(12, "gh-epic-link")];
        let map = map_of(&format!("[{}]", list.join(",")));
        assert_eq!(map.sprint.as_deref(), Some("customfield_9"), "the smallest number, not the smallest text");
        assert!(map.is_sprint("customfield_10") && !map.is_sprint("customfield_7"));
        assert!(map.is_epic_link("customfield_7") && map.is_epic_link("customfield_12"));
    }

    const BOTH: &str = r#"[
        {"id":"customfield_10016","name":"Story point estimate","schema":{"type":"number","custom":"com.pyxis.greenhopper.jira:jsw-story-points"}},
        {"id":"customfield_10030","name":"Punkte","untranslatedName":"Story Points","schema":{"type":"number","custom":"com.atlassian.jira.plugin.system.customfieldtypes:float"}},
        {"id":"customfield_10040","name":"Story-Points","schema":{"type":"number"},"scope":{"type":"PROJECT","project":{"id":"10007"}}},
        {"id":"customfield_10050","name":"Puntos","clauseNames":["cf[10050]","Story Points"],"schema":{"type":"number"}},
        {"id":"customfield_10060","name":"Story Points","schema":{"type":"string"}}
    ]"#;

    #[test]
    fn each_project_has_an_order_of_its_own_among_the_estimates() {
        let order = |map: &FieldMap, id: i64, team_managed: Option<bool>| {
            let of = OfProject { id, team_managed };
            let ids = [10_016, 10_030, 10_040, 10_050, 10_060];
            let mut placed: Vec<_> =
                ids.iter().filter_map(|n| Some((map.points_place(&format!("customfield_{n}"), of)?, *n))).collect();
            placed.sort_unstable();
            placed.into_iter().map(|(_, n)| n).collect::<Vec<_>>()
        };
        let map = map_of(BOTH);
        assert_eq!(order(&map, 1, Some(true)), [10_016, 10_030, 10_050]);
        assert_eq!(order(&map, 1, Some(false)), [10_030, 10_050, 10_016]);
        assert_eq!(order(&map, 1, None), [10_016, 10_030, 10_050]);
        assert_eq!(order(&map, 10_007, Some(false)), [10_040, 10_030, 10_050, 10_016], "its own field goes first");
        let named = map.with_story_points(Some("customfield_10060"));
        assert_eq!(order(&named, 1, Some(true)), [10_060, 10_016, 10_030, 10_050], "the others stay behind it");
        assert_eq!(named.as_found(), map_of(BOTH));
    }

    #[test]
    fn every_field_is_asked_for() {
        assert_eq!(search_fields(&FieldMap::default()), ["*all"]);
        let map = FieldMap { volatile: ["customfield_10019".to_owned()].into(), ..FieldMap::default() };
        assert!(map.is_beside("customfield_10019") && map.is_beside("lastViewed") && !map.is_beside("summary"));
    }
}

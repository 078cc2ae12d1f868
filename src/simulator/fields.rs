//! Which fields of an issue were asked for.

/// A set of fields, by their position in [`FIELDS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fields(u64);

/// One field of the site.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) id: &'static str,
    /// The name that `/field` shows.
    pub(super) name: &'static str,
    /// Whether `*navigable` includes it.
    pub(super) navigable: bool,
    /// Type, type of the items of an array, kind of a custom field; each may be empty.
    pub(super) schema: (&'static str, &'static str, &'static str),
    /// Data Center does not have it.
    pub(super) cloud_only: bool,
}

const fn field(id: &'static str, name: &'static str, kind: &'static str, items: &'static str) -> Field {
    Field { id, name, navigable: true, schema: (kind, items, ""), cloud_only: false }
}

/// Custom fields of Jira itself.
macro_rules! plain {
    ($kind:literal) => {
        concat!("com.atlassian.jira.plugin.system.customfieldtypes:", $kind)
    };
}
/// Custom fields of Jira Software.
macro_rules! agile {
    ($kind:literal) => {
        concat!("com.pyxis.greenhopper.jira:", $kind)
    };
}

const fn custom(id: &'static str, name: &'static str, schema: (&'static str, &'static str, &'static str)) -> Field {
    Field { id, name, navigable: true, schema, cloud_only: false }
}

impl Field {
    const fn hidden(self) -> Self {
        Self { navigable: false, ..self }
    }

    const fn on_cloud(self) -> Self {
        Self { cloud_only: true, ..self }
    }
}

/// The fields of an issue.
pub(super) const FIELDS: [Field; 58] = [
    field("summary", "Summary", "string", ""),
    field("description", "Description", "string", ""),
    field("issuetype", "Issue Type", "issuetype", ""),
    field("project", "Project", "project", ""),
    field("status", "Status", "status", ""),
    field("statusCategory", "Status Category", "statusCategory", "").on_cloud(),
    field("priority", "Priority", "priority", ""),
    field("resolution", "Resolution", "resolution", ""),
    field("resolutiondate", "Resolved", "datetime", ""),
    field("assignee", "Assignee", "user", ""),
    field("reporter", "Reporter", "user", ""),
    field("creator", "Creator", "user", ""),
    field("labels", "Labels", "array", "string"),
    field("parent", "Parent", "", ""),
    field("components", "Components", "array", "component"),
    field("fixVersions", "Fix versions", "array", "version"),
    custom(STORY_POINTS, "Story point estimate", ("number", "", agile!("jsw-story-points"))),
    custom(SPRINT, "Sprint", ("array", "json", agile!("gh-sprint"))),
    field("created", "Created", "datetime", ""),
    field("updated", "Updated", "datetime", ""),
    field("duedate", "Due date", "date", ""),
    field("timespent", "Time Spent", "number", ""),
    field("timeoriginalestimate", "Original estimate", "number", ""),
    field("timetracking", "Time tracking", "timetracking", "").hidden(),
    field("environment", "Environment", "string", ""),
    field("votes", "Votes", "votes", ""),
    field("comment", "Comment", "comments-page", "").hidden(),
    field("worklog", "Log Work", "array", "worklog").hidden(),
    field("versions", "Affects versions", "array", "version"),
    field("issuelinks", "Linked Issues", "array", "issuelinks"),
    field("subtasks", "Sub-tasks", "array", "issuelinks"),
    field("attachment", "Attachment", "array", "attachment").hidden(),
    field("security", "Security Level", "securitylevel", ""),
    field("watches", "Watchers", "watches", ""),
    field("timeestimate", "Remaining Estimate", "number", ""),
    field("statuscategorychangedate", "Status Category Changed", "datetime", "").on_cloud(),
    field("workratio", "Work Ratio", "number", ""),
    field("lastViewed", "Last Viewed", "datetime", ""),
    field("progress", "Progress", "progress", ""),
    custom("customfield_10014", "Epic Link", ("any", "", agile!("gh-epic-link"))),
    custom("customfield_10011", "Epic Name", ("string", "", agile!("gh-epic-label"))),
    custom("customfield_10019", "Rank", ("any", "", agile!("gh-lexo-rank"))),
    custom("customfield_10030", "Customer", ("string", "", plain!("textfield"))),
    custom("customfield_10031", "Impact", ("number", "", plain!("float"))),
    custom("customfield_10032", "Severity", ("option", "", plain!("select"))),
    custom("customfield_10033", "Platforms", ("array", "option", plain!("multiselect"))),
    custom("customfield_10034", "Tester", ("user", "", plain!("userpicker"))),
    custom("customfield_10035", "Target date", ("date", "", plain!("datepicker"))),
    custom("customfield_10036", "Area", ("option-with-child", "", plain!("cascadingselect"))),
    custom("customfield_10037", "Forecast", ("any", "", "com.example.forecast:gauge")),
    custom(CLASSIC_POINTS, "Story Points", ("number", "", plain!("float"))).on_cloud(),
    custom(
        "customfield_10039",
        "Time to resolution",
        ("sd-servicelevelagreement", "", "com.atlassian.servicedesk:sd-sla-field"),
    ),
    custom(
        "customfield_10040",
        "Development",
        ("any", "", "com.atlassian.jira.plugins.jira-development-integration-plugin:devsummarycf"),
    ),
    field("aggregateprogress", "\u{3a3} Progress", "progress", ""),
    field("aggregatetimespent", "\u{3a3} Time Spent", "number", ""),
    field("aggregatetimeestimate", "\u{3a3} Remaining Estimate", "number", ""),
    field("aggregatetimeoriginalestimate", "\u{3a3} Original Estimate", "number", ""),
    field("thumbnail", "Images", "", ""),
];

/// Estimate of team-managed projects on Cloud; a plain number called "Story Points" on Data Center.
pub(super) const STORY_POINTS: &str = "customfield_10016";
/// Estimate of company-managed projects on Cloud.
pub(super) const CLASSIC_POINTS: &str = "customfield_10038";
pub(super) const SPRINT: &str = "customfield_10020";

impl Fields {
    pub(super) const NONE: Self = Self(0);
    pub(super) const ALL: Self = Self((1 << FIELDS.len()) - 1);

    pub(super) fn navigable() -> Self {
        Self((0..FIELDS.len()).filter(|at| FIELDS[*at].navigable).fold(0, |set, at| set | 1 << at))
    }

    /// Reads Jira's list: names, `*all`, `*navigable`, `-name`; `id`, `key` and unknown names add nothing. An empty list
    /// means `default`, and so does one that only takes away.
    pub(super) fn parse<'a>(asked: impl Iterator<Item = &'a str>, default: Self) -> Self {
        let (mut set, mut removed, mut named) = (Self::NONE, 0, false);
        for name in asked.map(str::trim).filter(|name| !name.is_empty()) {
            match name.strip_prefix('-') {
                Some(name) => removed |= Self::bit(name),
                None => {
                    named = true;
                    set.0 |= match name {
                        "*all" => Self::ALL.0,
                        "*navigable" => Self::navigable().0,
                        name => Self::bit(name),
                    };
                }
            }
        }
        let start = if named { set } else { default };
        Self(start.0 & !removed)
    }

    fn bit(name: &str) -> u64 {
        FIELDS.iter().position(|field| field.id == name).map_or(0, |at| 1 << at)
    }

    /// True when only ids and keys were asked for.
    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The names in the set.
    pub(super) fn iter(self) -> impl Iterator<Item = &'static str> {
        FIELDS.iter().enumerate().filter(move |(at, _)| self.0 & 1 << at != 0).map(|(_, field)| field.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(asked: &str) -> Vec<&'static str> {
        Fields::parse(asked.split(','), Fields::NONE).iter().collect()
    }

    #[test]
    fn only_named_fields_are_given() {
        assert_eq!(parse("id,summary,updated,nonsense"), ["summary", "updated"]);
        assert!(parse("").is_empty());
        assert!(parse("id,key").is_empty());
    }

    #[test]
    fn groups_expand_and_a_minus_takes_away() {
        assert_eq!(parse("*all").len(), FIELDS.len());
        assert!(!parse("*navigable").contains(&"comment"));
        assert!(!parse("*all,-comment").contains(&"comment"));
    }
}

//! Which fields of an issue were asked for.

/// A set of fields, by their position in [`NAMES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fields(u64);

/// The fields of an issue, with the name that `/field` shows and whether `*navigable` includes them.
pub(super) const NAMES: [(&str, &str, bool); 28] = [
    ("summary", "Summary", true),
    ("description", "Description", true),
    ("issuetype", "Issue Type", true),
    ("project", "Project", true),
    ("status", "Status", true),
    ("statusCategory", "Status Category", true),
    ("priority", "Priority", true),
    ("resolution", "Resolution", true),
    ("resolutiondate", "Resolved", true),
    ("assignee", "Assignee", true),
    ("reporter", "Reporter", true),
    ("creator", "Creator", true),
    ("labels", "Labels", true),
    ("parent", "Parent", true),
    ("components", "Components", true),
    ("fixVersions", "Fix versions", true),
    ("customfield_10016", "Story point estimate", true),
    ("customfield_10020", "Sprint", true),
    ("created", "Created", true),
    ("updated", "Updated", true),
    ("duedate", "Due date", true),
    ("timespent", "Time Spent", true),
    ("timeoriginalestimate", "Original estimate", true),
    ("timetracking", "Time tracking", false),
    ("environment", "Environment", true),
    ("votes", "Votes", true),
    ("comment", "Comment", false),
    ("worklog", "Log Work", false),
];

impl Fields {
    pub(super) const NONE: Self = Self(0);
    pub(super) const ALL: Self = Self((1 << NAMES.len()) - 1);

    pub(super) fn navigable() -> Self {
        Self((0..NAMES.len()).filter(|at| NAMES[*at].2).fold(0, |set, at| set | 1 << at))
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
        NAMES.iter().position(|(id, ..)| *id == name).map_or(0, |at| 1 << at)
    }

    /// True when only ids and keys were asked for.
    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The names in the set.
    pub(super) fn iter(self) -> impl Iterator<Item = &'static str> {
        NAMES.iter().enumerate().filter(move |(at, _)| self.0 & 1 << at != 0).map(|(_, (name, ..))| *name)
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
        assert_eq!(parse("*all").len(), NAMES.len());
        assert!(!parse("*navigable").contains(&"comment"));
        assert!(!parse("*all,-comment").contains(&"comment"));
    }
}

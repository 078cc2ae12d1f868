//! The endpoints that are used, by name: a metric's label, and what a status code means where that differs.

use std::borrow::Cow;

/// Declares each endpoint with its path, whose parameters are left open.
macro_rules! endpoints {
    ($($name:ident = $template:literal,)*) => {
        /// One endpoint of Jira's interfaces. Data Center serves those of version 3 under version 2; the label is one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs)] // each is its template
        pub enum Endpoint {
            $($name,)*
        }

        impl Endpoint {
            /// Every endpoint.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The path with its parameters left open: fit for a metric's label and for a message.
            pub const fn template(self) -> &'static str {
                match self {
                    $(Self::$name => $template,)*
                }
            }
        }
    };
}

endpoints! {
    Myself = "/rest/api/3/myself",
    ServerInfo = "/rest/api/3/serverInfo",
    Project = "/rest/api/3/project/{key}",
    ProjectSearch = "/rest/api/3/project/search",
    ApproximateCount = "/rest/api/3/search/approximate-count",
    Search = "/rest/api/3/search/jql",
    Issue = "/rest/api/3/issue/{id}",
    BulkFetch = "/rest/api/3/issue/bulkfetch",
    Comments = "/rest/api/3/issue/{id}/comment",
    Worklogs = "/rest/api/3/issue/{id}/worklog",
    Fields = "/rest/api/3/field",
    OffsetSearch = "/rest/api/2/search",
    Projects = "/rest/api/2/project",
    Changelog = "/rest/api/3/issue/{id}/changelog",
    ChangelogBulk = "/rest/api/3/changelog/bulkfetch",
    WorklogsUpdated = "/rest/api/3/worklog/updated",
    WorklogsDeleted = "/rest/api/3/worklog/deleted",
    WorklogList = "/rest/api/3/worklog/list",
    Versions = "/rest/api/3/project/{key}/versions",
    Components = "/rest/api/3/project/{key}/components",
    Statuses = "/rest/api/3/status",
    IssueTypes = "/rest/api/3/issuetype",
    Priorities = "/rest/api/3/priority",
    Resolutions = "/rest/api/3/resolution",
    Users = "/rest/api/3/users/search",
    UserSearch = "/rest/api/3/user/search",
    MyPermissions = "/rest/api/3/mypermissions",
    SecurityScheme = "/rest/api/3/project/{key}/issuesecuritylevelscheme",
    SecurityLevels = "/rest/api/3/project/{key}/securitylevel",
    Boards = "/rest/agile/1.0/board",
    Sprints = "/rest/agile/1.0/board/{id}/sprint",
    PersonalTokens = "/rest/pat/latest/tokens",
    OAuthToken = "/oauth/token",
    OAuthResources = "/oauth/token/accessible-resources",
    ReportAccounts = "/app/report-accounts/",
}

/// How the platform's paths begin, up to their version.
const PLATFORM: &str = "/rest/api/";

impl Endpoint {
    /// The template as it was asked for at `path`, which may be below a context path: in the version that was asked,
    /// which is 2 on Data Center whatever the template says. For messages; labels keep to the template.
    pub fn asked_at(self, path: &str) -> Cow<'static, str> {
        let version = path.rsplit_once(PLATFORM).and_then(|(_, rest)| rest.split('/').next());
        version.map_or(Cow::Borrowed(self.template()), |version| self.in_version(version))
    }

    /// The template in a version of the platform's interface; what has no such versions stays as it is.
    pub(super) fn in_version(self, version: &str) -> Cow<'static, str> {
        match self.template().strip_prefix(PLATFORM).and_then(|rest| rest.split_once('/')) {
            Some((own, _)) if own == version => Cow::Borrowed(self.template()),
            Some((_, resource)) => Cow::Owned(format!("{PLATFORM}{version}/{resource}")),
            None => Cow::Borrowed(self.template()),
        }
    }

    /// The template without the family of paths: for messages of those who do not know what kind of site it is.
    pub fn resource(self) -> &'static str {
        let template = self.template();
        let families = ["/rest/api/3/", "/rest/api/2/", "/rest/agile/1.0/"];
        families.iter().find_map(|family| template.strip_prefix(family)).unwrap_or(template)
    }

    /// Whether a 404 may mean that the one issue is gone or hidden.
    pub const fn is_about_an_issue(self) -> bool {
        matches!(self, Self::Issue | Self::Comments | Self::Worklogs | Self::Changelog)
    }

    /// Whether a 404 may mean that the one project is gone or hidden.
    pub const fn is_about_a_project(self) -> bool {
        matches!(self, Self::Project | Self::Versions | Self::Components)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_series_of_every_endpoint_are_created_at_the_start() {
        let templates: Vec<_> = Endpoint::ALL.iter().map(|endpoint| endpoint.template()).collect();
        assert_eq!(templates, crate::observe::labels::ENDPOINTS);
    }

    #[test]
    fn a_message_names_the_version_that_was_asked() {
        for (path, named) in [
            ("/jira/rest/api/2/issue/7", "/rest/api/2/issue/{id}"),
            ("/rest/api/3/issue/7", "/rest/api/3/issue/{id}"),
            ("/ex/jira/c1/rest/api/latest/issue/7", "/rest/api/latest/issue/{id}"),
            ("/", "/rest/api/3/issue/{id}"),
        ] {
            assert_eq!(Endpoint::Issue.asked_at(path), named);
        }
        assert_eq!(Endpoint::OffsetSearch.asked_at("/rest/api/3/search"), "/rest/api/3/search");
        assert_eq!(Endpoint::Boards.asked_at("/jira/rest/agile/1.0/board"), "/rest/agile/1.0/board");
        assert_eq!((Endpoint::Comments.resource(), Endpoint::Boards.resource()), ("issue/{id}/comment", "board"));
        assert_eq!(Endpoint::OAuthToken.resource(), "/oauth/token");
    }
}

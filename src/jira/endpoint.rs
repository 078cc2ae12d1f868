//! The endpoints that are used, by name: a metric's label, and what a status code means where that differs.

/// One endpoint of Jira's REST API v3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // each is its template below
pub enum Endpoint {
    Myself,
    ServerInfo,
    Project,
    ProjectSearch,
    ApproximateCount,
    Search,
    Issue,
    BulkFetch,
    Comments,
    Worklogs,
    Fields,
}

impl Endpoint {
    /// Every endpoint.
    pub const ALL: [Self; 11] = [
        Self::Myself,
        Self::ServerInfo,
        Self::Project,
        Self::ProjectSearch,
        Self::ApproximateCount,
        Self::Search,
        Self::Issue,
        Self::BulkFetch,
        Self::Comments,
        Self::Worklogs,
        Self::Fields,
    ];

    /// The path with its parameters left open: fit for a metric's label and for a message.
    pub const fn template(self) -> &'static str {
        match self {
            Self::Myself => "/rest/api/3/myself",
            Self::ServerInfo => "/rest/api/3/serverInfo",
            Self::Project => "/rest/api/3/project/{key}",
            Self::ProjectSearch => "/rest/api/3/project/search",
            Self::ApproximateCount => "/rest/api/3/search/approximate-count",
            Self::Search => "/rest/api/3/search/jql",
            Self::Issue => "/rest/api/3/issue/{id}",
            Self::BulkFetch => "/rest/api/3/issue/bulkfetch",
            Self::Comments => "/rest/api/3/issue/{id}/comment",
            Self::Worklogs => "/rest/api/3/issue/{id}/worklog",
            Self::Fields => "/rest/api/3/field",
        }
    }

    /// Whether a 404 may mean that the one issue is gone or hidden.
    pub const fn is_about_an_issue(self) -> bool {
        matches!(self, Self::Issue | Self::Comments | Self::Worklogs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_series_of_every_endpoint_are_created_at_the_start() {
        assert_eq!(Endpoint::ALL.map(Endpoint::template), crate::observe::labels::ENDPOINTS);
    }
}

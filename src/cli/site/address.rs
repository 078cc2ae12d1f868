//! A site's address as people write it: pasted from a browser, with a page of Jira at its end.
//!
//! What must hold: what is cut off is told; a query or a fragment is cut off and never shown; credentials in an address
//! are refused, and no error repeats them.

use url::{Host, Url};

use super::super::{Context, Error};

/// Segments with which Jira's own pages and interfaces begin, right behind the base.
const PAGES: [&str; 13] = [
    "browse",
    "projects",
    "issues",
    "secure",
    "rest",
    "plugins",
    "servicedesk",
    "dashboard",
    "dashboards",
    "login",
    "si",
    "wiki",
    "boards",
];
/// Segments that follow `/jira` in the addresses of Cloud's pages. Data Center has none of them behind its context path.
const CLOUD_PAGES: [&str; 16] = [
    "software",
    "core",
    "work",
    "your-work",
    "for-you",
    "dashboards",
    "filters",
    "people",
    "plans",
    "settings",
    "polaris",
    "discovery",
    "apps",
    "marketplace",
    "goals",
    "boards",
];
/// Atlassian's hosts of sites: nobody else's Jira is there, and there is no context path.
const CLOUD_HOSTS: [&str; 3] = [".atlassian.net", ".jira.com", ".jira-dev.com"];
/// Atlassian's gateway, where a site is `/ex/jira/{cloudId}`.
const GATEWAY: &str = "api.atlassian.com";
/// The usual context path of a Data Center.
const USUAL_CONTEXT: &str = "/jira";
/// Places that are tried for a Jira.
const MOST_PLACES: usize = 6;

const EXAMPLE: &str = "write the site's address, e.g. https://acme.atlassian.net";

/// Where a Jira is said to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// Without a page, a query and a slash at its end.
    base: Url,
    /// The path that was cut off.
    page: Option<String>,
}

impl Address {
    /// Reads what somebody wrote or pasted.
    ///
    /// # Errors
    /// What is wrong with it, and what to write.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let refused = |problem: &str| Err(Error::usage(format!("--url {problem}")).help(EXAMPLE));
        let text = text.trim().trim_matches(['<', '>', '"', '\'', '\u{feff}']);
        if !text.contains("://") {
            let help = match Url::parse(&format!("https://{text}")) {
                Ok(url) if url.username().is_empty() && url.password().is_none() && url.host().is_some() => {
                    format!("write {}", shown(&cut(&url).0))
                }
                _ => EXAMPLE.to_owned(),
            };
            return Err(Error::usage("--url does not begin with https://").help(help));
        }
        let url = match Url::parse(text) {
            Ok(url) => url,
            Err(problem) => return refused(&format!("is not a URL: {problem}")),
        };
        if !matches!(url.scheme(), "https" | "http") || url.host().is_none() {
            return refused("does not begin with https:// and a host name");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refused("holds credentials, which have a place of their own (--email, --credential)");
        }
        let (base, page) = cut(&url);
        Ok(Self { base, page })
    }

    /// One that is stored: as it is, since it may have been stored by hand.
    ///
    /// # Errors
    /// When it is no URL.
    pub fn stored(url: &str) -> Result<Self, Error> {
        match Url::parse(url) {
            Ok(base) => Ok(Self { base, page: None }),
            Err(problem) => Err(Error::failure(format!("the stored address is damaged: {problem}"))
                .help("write another with `syncline site update NAME --url URL`")),
        }
    }

    /// The most likely base.
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// The base as it is stored and shown.
    pub fn text(&self) -> String {
        shown(&self.base)
    }

    /// Whether it is one of Atlassian's own.
    pub fn is_cloud(&self) -> bool {
        is_cloud(&self.base) || self.base.host_str() == Some(GATEWAY)
    }

    /// Tells what was cut off, and that a token should not travel in the open.
    pub fn tell(&self, context: &Context) {
        if let Some(page) = &self.page {
            context.output.note(&format!(
                "note: {page} is a page of Jira and no part of its address: took {} for the site",
                self.text()
            ));
        }
        let is_local = match self.base.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        if self.base.scheme() == "http" && !is_local {
            context
                .output
                .warn("warning: over http:// the API token travels unprotected; use https:// for a real site");
        }
    }

    /// Where else on the same host a Jira may be, if it is not at the base: above it, at what was cut off, or in the usual
    /// context path.
    pub fn others(&self) -> Vec<Url> {
        if self.is_cloud() {
            return Vec::new();
        }
        let above = std::iter::successors(Some(self.base.path().to_owned()), |path| {
            path.rsplit_once('/').map(|(above, _)| above.to_owned())
        });
        let below = self.page.iter().flat_map(|page| {
            let page = page.trim_matches('/');
            page.match_indices('/').map(|(at, _)| format!("{}/{}", self.base.path().trim_end_matches('/'), &page[..at]))
        });
        let mut others: Vec<Url> = Vec::new();
        for path in above.skip(1).chain([USUAL_CONTEXT.to_owned()]).chain(below) {
            let other = with_path(&self.base, &path);
            if shown(&other) != self.text() && !others.contains(&other) {
                others.push(other);
            }
        }
        others.truncate(MOST_PLACES);
        others
    }
}

/// The address as it is stored and shown: without a slash at its end.
pub(super) fn shown(base: &Url) -> String {
    base.as_str().trim_end_matches('/').to_owned()
}

/// The base of `url`, and the path of the page behind it.
pub(super) fn cut(url: &Url) -> (Url, Option<String>) {
    let segments: Vec<&str> = url.path().split('/').filter(|segment| !segment.is_empty()).collect();
    let end = if is_cloud(url) {
        0
    } else if url.host_str() == Some(GATEWAY) {
        segments.len().min(3)
    } else {
        segments.iter().enumerate().position(|(at, _)| is_page(&segments[at..])).unwrap_or(segments.len())
    };
    let base = with_path(url, &segments[..end].join("/"));
    let page = (end < segments.len()).then(|| format!("/{}", segments[end..].join("/")));
    (base, page)
}

fn is_page(segments: &[&str]) -> bool {
    match segments {
        ["jira", next, ..] if CLOUD_PAGES.contains(next) => true,
        [first, ..] => PAGES.contains(first) || first.ends_with(".jspa") || first.ends_with(".jsp"),
        [] => false,
    }
}

fn is_cloud(url: &Url) -> bool {
    url.host_str().is_some_and(|host| CLOUD_HOSTS.iter().any(|known| host.ends_with(known)))
}

fn with_path(url: &Url, path: &str) -> Url {
    let mut base = url.clone();
    base.set_path(path);
    base.set_query(None);
    base.set_fragment(None);
    base
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pasted_page_is_cut_down_to_its_site() {
        for (pasted, base) in [
            ("https://acme.atlassian.net", "https://acme.atlassian.net"),
            ("https://acme.atlassian.net/", "https://acme.atlassian.net"),
            ("https://acme.atlassian.net/browse/AA-1", "https://acme.atlassian.net"),
            ("https://ACME.atlassian.net/jira/software/c/projects/AA/boards/1?a=b#c", "https://acme.atlassian.net"),
            ("https://acme.atlassian.net/jira", "https://acme.atlassian.net"),
            ("https://acme.atlassian.net/issues/?jql=project%20%3D%20AA", "https://acme.atlassian.net"),
            ("https://acme.atlassian.net/wiki/spaces/X", "https://acme.atlassian.net"),
            ("https://acme.atlassian.net/rest/api/3", "https://acme.atlassian.net"),
            ("https://api.atlassian.com/ex/jira/11-22", "https://api.atlassian.com/ex/jira/11-22"),
            ("https://api.atlassian.com/ex/jira/11-22/rest/api/3/myself", "https://api.atlassian.com/ex/jira/11-22"),
            ("https://jira.example.com/jira/", "https://jira.example.com/jira"),
            ("https://jira.example.com/jira/browse/AA-1", "https://jira.example.com/jira"),
            ("https://jira.example.com:8443/jira/secure/Dashboard.jspa", "https://jira.example.com:8443/jira"),
            ("https://jira.example.com/secure/RapidBoard.jspa?rapidView=1", "https://jira.example.com"),
            ("https://jira.example.com/login.jsp?os_destination=%2F", "https://jira.example.com"),
            ("https://jira.example.com/projects/AA/issues/AA-1", "https://jira.example.com"),
            ("https://jira.example.com//browse/AA-1", "https://jira.example.com"),
            ("https://tools.example.com/team/jira/rest/api/2/", "https://tools.example.com/team/jira"),
            ("http://127.0.0.1:8070/jira/software/projects/AA/boards/1", "http://127.0.0.1:8070"),
            ("http://[::1]:8070/rest/agile/1.0/board", "http://[::1]:8070"),
            (" <https://jira.example.com/browse/AA-1> ", "https://jira.example.com"),
        ] {
            assert_eq!(Address::parse(pasted).unwrap().text(), base, "{pasted}");
        }
    }

    #[test]
    fn a_jira_is_looked_for_above_and_in_the_usual_context_path() {
        let others = |text: &str| -> Vec<String> { Address::parse(text).unwrap().others().iter().map(shown).collect() };
        assert_eq!(others("https://h.example.com"), ["https://h.example.com/jira"]);
        assert_eq!(others("https://h.example.com/jira"), ["https://h.example.com"]);
        assert_eq!(
            others("https://h.example.com/a/b"),
            ["https://h.example.com/a", "https://h.example.com", "https://h.example.com/jira"]
        );
        // The context path may have the name of a page.
        let named_so = others("https://h.example.com/projects/browse/AA-1");
        assert!(named_so.contains(&"https://h.example.com/projects".to_owned()), "{named_so:?}");
        assert!(others("https://acme.atlassian.net/jira").is_empty());
    }

    #[test]
    fn a_wrong_address_is_refused_without_its_credentials() {
        for (text, help) in [
            ("acme.atlassian.net/browse/AA-1", "write https://acme.atlassian.net"),
            ("jira.example.com:8443/jira", "write https://jira.example.com:8443/jira"),
            ("localhost:8070", "write https://localhost:8070"),
            ("u:hunter2@jira.example.com", "https://acme.atlassian.net"),
            ("https://u:hunter2@jira.example.com", "https://acme.atlassian.net"),
            ("ftp://u:hunter2@jira.example.com", "https://acme.atlassian.net"),
            ("https://u:hunter2@jira example.com", "https://acme.atlassian.net"),
            ("https://", "https://acme.atlassian.net"),
            ("", "https://acme.atlassian.net"),
        ] {
            let problem = Address::parse(text).unwrap_err();
            assert!(problem.help.as_deref().unwrap().contains(help), "{text}: {problem:?}");
            assert!(!format!("{problem:?}").contains("hunter2"), "{text}: {problem:?}");
        }
    }
}

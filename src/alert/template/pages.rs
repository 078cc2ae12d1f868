//! Pages that a message links to: Jira itself, and what an installation names of run books, dashboards and a console.
//!
//! What must hold: an address is made of a configured base and names that are escaped; nothing that is not configured is
//! linked to.

use url::Url;

use crate::domain::alert::class;
use crate::domain::failure::{Category, FailureCode};

/// The bases of the pages of an installation.
#[derive(Clone, Debug, Default)]
pub struct Pages {
    /// Where the run books are, e.g. `https://wiki.example.com/syncline/runbooks`.
    pub runbooks: Option<Url>,
    /// Grafana, e.g. `https://grafana.example.com`.
    pub dashboards: Option<Url>,
    /// The console.
    pub console: Option<Url>,
}

/// What a message is about, as far as pages differ by it.
#[derive(Clone, Debug, Default)]
pub struct Linked<'a> {
    /// The base of the site in Jira.
    pub site_url: Option<&'a str>,
    /// SITE/KEY of the project.
    pub project: Option<&'a str>,
    /// The class of the condition.
    pub class: &'a str,
    /// The alert.
    pub alert_id: String,
}

impl From<[Option<Url>; 3]> for Pages {
    /// Run books, dashboards, console.
    fn from([runbooks, dashboards, console]: [Option<Url>; 3]) -> Self {
        Self { runbooks, dashboards, console }
    }
}

impl Pages {
    /// What for, and the address.
    pub fn links(&self, about: &Linked<'_>) -> Vec<(String, String)> {
        let mut links = Vec::new();
        let mut link =
            |name: &str, page: Option<Url>| links.extend(page.map(|page| (name.to_owned(), page.to_string())));
        let site = about.site_url.and_then(|base| Url::parse(base).ok());
        match about.project.and_then(|name| name.split_once('/')) {
            Some((_, key)) => link("The project in Jira", site.and_then(|base| below(&base, &["browse", key]))),
            None => link("The site in Jira", site),
        }
        link(
            "Run book",
            self.runbooks.as_ref().and_then(|base| below(base, &[&format!("{}.md", runbook(about.class))])),
        );
        link("Dashboard", self.dashboards.as_ref().and_then(|base| dashboard(base, about)));
        link("Console", self.console.as_ref().and_then(|base| below(base, &["alerts", &about.alert_id])));
        links
    }
}

/// A page below a base, whose path is kept.
fn below(base: &Url, names: &[&str]) -> Option<Url> {
    let mut page = base.clone();
    page.path_segments_mut().ok()?.pop_if_empty().extend(names);
    Some(page)
}

fn dashboard(base: &Url, about: &Linked<'_>) -> Option<Url> {
    let uid = match (about.class, FailureCode::parse(about.class).map(FailureCode::category)) {
        (class::CHANNEL_FAILING, _) => "syncline-alerts",
        (class::SLOW_RUNS | class::LOW_THROUGHPUT, _)
        | (_, Some(Category::RateLimit | Category::Network | Category::Availability)) => "syncline-jira",
        _ => "syncline-freshness",
    };
    let mut page = below(base, &["d", uid])?;
    if let Some(project) = about.project {
        page.query_pairs_mut().append_pair("var-project", project);
    }
    Some(page)
}

/// The page of `docs/runbooks` that is about a class.
fn runbook(name: &str) -> &'static str {
    match (name, FailureCode::parse(name)) {
        (class::CHANNEL_FAILING, _) => "SynclineAlertDeliveryFailing",
        (class::SLOW_RUNS | class::LOW_THROUGHPUT, _) => "SynclineJiraFailing",
        (class::WATERMARK_LAG | class::NO_RECENT_SUCCESS | class::DATED_AHEAD, _) => "SynclineWatermarkStalled",
        (class::TOKEN_ENDS, _) => "SynclineAuthenticationFailing",
        (_, Some(FailureCode::RecordsRejected)) => "SynclineRecordsSkipped",
        (_, Some(code)) => match code.category() {
            Category::Authentication => "SynclineAuthenticationFailing",
            Category::RateLimit => "SynclineRateLimitedLong",
            Category::Availability | Category::Network => "SynclineJiraFailing",
            _ => "SynclineProjectFailing",
        },
        _ => "SynclineProjectFailing",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Option<Url> {
        Some(Url::parse(text).unwrap())
    }

    #[test]
    fn a_message_links_to_jira_and_to_what_is_configured() {
        let about = Linked {
            site_url: Some("https://jira.example.com/jira"),
            project: Some("acme/OPS"),
            class: "AUTH_INVALID",
            alert_id: "0190".into(),
        };
        let jira = ("The project in Jira".to_owned(), "https://jira.example.com/jira/browse/OPS".to_owned());
        assert_eq!(Pages::default().links(&about), std::slice::from_ref(&jira));
        let pages = Pages {
            runbooks: url("https://wiki.example.com/books/"),
            dashboards: url("https://grafana.example.com"),
            console: url("https://syncline.example.com/console"),
        };
        let links: Vec<String> = pages.links(&about).into_iter().map(|(_, page)| page).collect();
        assert_eq!(
            links,
            [
                jira.1.as_str(),
                "https://wiki.example.com/books/SynclineAuthenticationFailing.md",
                "https://grafana.example.com/d/syncline-freshness?var-project=acme%2FOPS",
                "https://syncline.example.com/console/alerts/0190",
            ]
        );
    }

    #[test]
    fn every_dashboard_that_is_linked_exists() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/dashboards/grafana");
        let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
        let all: String =
            files.filter(|path| path.is_file()).map(|path| std::fs::read_to_string(path).unwrap()).collect();
        let base = url("https://grafana.example.com").unwrap();
        for class in ["CHANNEL_FAILING", "TIMEOUT", "SLOW_RUNS", "CONFIG"] {
            let page = dashboard(&base, &Linked { class, ..Linked::default() }).unwrap();
            let uid = page.path().trim_start_matches("/d/");
            assert!(all.contains(&format!("\"uid\": \"{uid}\"")), "{class}: {uid}");
        }
    }

    #[test]
    fn every_run_book_that_is_linked_exists() {
        let own = [
            "CHANNEL_FAILING",
            "SLOW_RUNS",
            "LOW_THROUGHPUT",
            "WATERMARK_LAG",
            "NO_RECENT_SUCCESS",
            "TOKEN_ENDS",
            "DATED_AHEAD",
        ];
        for class in FailureCode::ALL.iter().map(|code| code.as_str()).chain(own) {
            let page = format!("{}/docs/runbooks/{}.md", env!("CARGO_MANIFEST_DIR"), runbook(class));
            assert!(std::path::Path::new(&page).exists(), "{class}: {page}");
        }
    }
}

//! The client reads a whole site of either kind, by whatever ways that kind has, and loses nothing while issues change.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::DateTime;
use syncline::clock::Clock;
use syncline::domain::entity::TermKind;
use syncline::domain::site_kind::SiteKind;
use syncline::jira::normalise::{self, ParsedIssue};
use syncline::jira::page::{Next, TokenGuard};
use syncline::jira::{Auth, FieldMap, HttpPool, JiraClient, SearchRequest, SiteAccess, detect, jql, search_fields};
use syncline::simulator::{self, Amount, DEFAULT_EMAIL, DEFAULT_TOKEN, Handle, Kind, Options, Simulator};

struct Site {
    jira: Handle,
    client: JiraClient,
    key: String,
}

async fn site(kind: Kind) -> Site {
    let mut options = Options::new(Clock::system());
    options.kind = kind;
    options.issues = 130;
    options.projects.truncate(1);
    options.comments = Amount::Exactly(2);
    options.worklogs = Amount::Exactly(1);
    options.long_threads = 0.1;
    options.search_lag = Duration::ZERO;
    if kind == Kind::DataCenter {
        options.context_path = "/jira".to_owned();
    }
    let key = options.projects[0].key.clone();
    let jira = Simulator::start(options, ([127, 0, 0, 1], 0).into()).await.unwrap();
    let http = HttpPool::new(Clock::system()).unwrap();
    let access = SiteAccess {
        name: "sim".to_owned(),
        base_url: jira.base_url().parse().unwrap(),
        kind: SiteKind::Cloud,
        auth: match kind {
            Kind::Cloud => Auth::Basic { user: DEFAULT_EMAIL.to_owned(), token: DEFAULT_TOKEN.to_owned().into() },
            Kind::DataCenter => Auth::Bearer { token: DEFAULT_TOKEN.to_owned().into() },
        },
        request_timeout: Duration::from_secs(10),
    };
    let found = detect(&http, SiteAccess { auth: Auth::Anonymous, ..access.clone() }).await.unwrap().kind();
    assert_eq!(found, if kind == Kind::Cloud { SiteKind::Cloud } else { SiteKind::DataCenter });
    let client = JiraClient::new(&http, SiteAccess { kind: found, ..access }).unwrap();
    Site { jira, client, key }
}

/// Every issue that a walk meets, with `between` called after each page.
async fn walk(site: &Site, fields: &FieldMap, between: impl Fn()) -> BTreeMap<i64, ParsedIssue> {
    let wanted = search_fields(fields);
    let query = jql::window(&site.key, None, None);
    let (mut met, mut token, mut guard) = (BTreeMap::new(), None, TokenGuard::default());
    loop {
        let request = SearchRequest { jql: &query, fields: &wanted, page_size: 30, next_page_token: token };
        let raw = site.client.search(&request).await.unwrap();
        let page = normalise::parse_page(&raw.body, fields).unwrap();
        assert_eq!((page.rejected.as_slice(), page.drifts.as_slice()), (&[][..], &[][..]));
        met.extend(page.issues.into_iter().map(|issue| (issue.issue.id, issue)));
        between();
        match guard.next(&raw.head().unwrap()).unwrap() {
            Next::Page(next) => token = Some(next),
            Next::End => return met,
        }
    }
}

fn ids(site: &Site) -> BTreeSet<i64> {
    let ids = site.jira.control().issue_ids(&site.key);
    ids.into_iter().map(|id| i64::try_from(id).unwrap()).collect()
}

async fn everything_is_read(kind: Kind) {
    let site = site(kind).await;
    let client = &site.client;
    assert!(!client.myself().await.unwrap().account_id.is_empty());
    let project = client.project(&site.key).await.unwrap();
    assert_eq!(client.projects(0).await.unwrap().values[0].key, site.key);
    let fields = FieldMap::discover(&client.fields().await.unwrap());
    assert!(fields.story_points.is_some() && fields.sprint.is_some(), "{fields:?}");

    let issues = walk(&site, &fields, || ()).await;
    assert_eq!(issues.keys().copied().collect::<BTreeSet<_>>(), ids(&site));
    let some = |has: fn(&ParsedIssue) -> bool| issues.values().any(has);
    assert!(some(|issue| !issue.issue.details.sprint_ids.is_empty()), "sprints");
    assert!(some(|issue| !issue.issue.details.fields.is_empty()), "fields of the site's own");
    assert!(some(|issue| !issue.links.is_empty()) && some(|issue| !issue.attachments.is_empty()), "links, files");
    assert!(some(|issue| issue.issue.story_points.is_some()), "estimates");

    let query = jql::clauses(&project.key, None, None);
    let count = client.approximate_count(&query).await.unwrap().unwrap();
    assert_eq!(count, issues.len() as u64);
    let page = client.search_ids(&query, None).await.unwrap();
    assert_eq!(page.ids.iter().copied().collect::<BTreeSet<_>>(), ids(&site));

    // One issue by each way of reading: the same record.
    let (id, issue) = issues.first_key_value().unwrap();
    let wanted = search_fields(&fields);
    let bulk = client.bulk_fetch(&[*id, 999_999_999], &wanted).await.unwrap();
    let bulk = normalise::parse_page(&bulk.body, &fields).unwrap();
    assert_eq!(bulk.issues.iter().map(|read| &read.issue).collect::<Vec<_>>(), [&issue.issue]);
    let single = client.issue(&id.to_string(), &wanted).await.unwrap().unwrap();
    assert_eq!(normalise::parse_single(&single.body, &fields).unwrap().issues[0].issue, issue.issue);

    // Histories: each issue's own, and where there is one, the bulk's.
    let (mut own, mut start) = (Vec::new(), 0);
    loop {
        let page = client.changelog(*id, start).await.unwrap().unwrap();
        own.extend(page.records);
        start += u64::try_from(page.received).unwrap();
        if page.received == 0 || start >= u64::try_from(page.total).unwrap() {
            break;
        }
    }
    own.sort_by_key(|change| (change.id, change.item));
    let mut other = match kind {
        Kind::DataCenter => issue.changes.clone(),
        Kind::Cloud => client.changelog_bulk(&[*id], None).await.unwrap().available().unwrap().records,
    };
    other.sort_by_key(|change| (change.id, change.item));
    assert!(!own.is_empty());
    assert!(own == other, "{} and {} changes of issue {id}", own.len(), other.len());

    assert!(!client.versions(project.id).await.unwrap().available().unwrap().records.is_empty());
    assert!(!client.components(project.id).await.unwrap().available().unwrap().records.is_empty());
    assert!(!client.statuses().await.unwrap().available().unwrap().records.is_empty());
    for terms in [TermKind::IssueType, TermKind::Priority, TermKind::Resolution] {
        assert!(!client.terms(terms).await.unwrap().available().unwrap().records.is_empty(), "{terms:?}");
    }
    assert!(!client.users().await.unwrap().available().unwrap().records.is_empty());
    let boards = client.boards(project.id).await.unwrap().available().unwrap().records;
    let mut sprints = 0;
    for board in &boards {
        sprints += client.sprints(board.id).await.unwrap().available().unwrap().records.len();
    }
    assert!(sprints > 0, "{boards:?}");
    let rights = client.my_permissions(&site.key, &["BROWSE_PROJECTS"]).await.unwrap().available().unwrap();
    assert_eq!(rights.get("BROWSE_PROJECTS"), Some(&true));

    let feed = client.worklogs_updated(DateTime::UNIX_EPOCH).await.unwrap().available().unwrap();
    let some: Vec<i64> = feed.changes.iter().map(|(id, _)| *id).take(20).collect();
    let listed = client.worklog_list(&some).await.unwrap().available().unwrap();
    assert_eq!((listed.records.len(), listed.rejected.len()), (some.len(), 0));
    assert!(!some.is_empty());
    client.worklogs_deleted(DateTime::UNIX_EPOCH).await.unwrap().available().unwrap();
    site.jira.stop().await;
}

#[tokio::test]
async fn everything_of_a_cloud_site_is_read() {
    everything_is_read(simulator::Kind::Cloud).await;
}

#[tokio::test]
async fn everything_of_a_data_center_site_is_read() {
    everything_is_read(simulator::Kind::DataCenter).await;
}

#[tokio::test]
async fn a_walk_over_data_center_loses_no_issue_while_issues_change() {
    let site = site(Kind::DataCenter).await;
    let before = ids(&site);
    // Fewer than a page brings anew: otherwise the end moves away for ever.
    let met = walk(&site, &FieldMap::default(), || drop(site.jira.control().mutate(12))).await;
    let missed: Vec<_> = before.iter().filter(|id| !met.contains_key(id) && ids(&site).contains(id)).collect();
    assert!(missed.is_empty(), "{missed:?}");
    site.jira.stop().await;
}

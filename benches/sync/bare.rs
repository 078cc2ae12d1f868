//! The baseline: the same client, the same normaliser and the same statements, pipelined by hand: one task fetches, one
//! writes, four pages in between. No steps, no checkpoints, no staging.

use std::time::{Duration, Instant};

use bytes::Bytes;
use syncline::clock::Clock;
use syncline::domain::site_kind::SiteKind;
use syncline::jira::{Auth, FieldMap, HttpPool, JiraClient, SearchRequest, SiteAccess, jql, normalise, search_fields};
use syncline::simulator::{self, Handle};
use syncline::store::replica;
use uuid::Uuid;

use crate::stack::Database;

/// Syncs the first project; answers the seconds it took.
pub async fn sync(database: &Database, jira: &Handle) -> f64 {
    let clock = Clock::system();
    let (site, project) = (clock.new_id(), clock.new_id());
    sqlx::query("INSERT INTO syncline.site (id, name, base_url, account_email, credential) VALUES ($1, 'bare', $2, 'a@example.com', 'env:X')")
        .bind(site)
        .bind(jira.base_url())
        .execute(&database.pool)
        .await
        .unwrap();
    sqlx::query("INSERT INTO syncline.project (id, site_id, key) VALUES ($1, $2, 'ACME')")
        .bind(project)
        .bind(site)
        .execute(&database.pool)
        .await
        .unwrap();
    let access = SiteAccess {
        name: "sim".to_owned(),
        base_url: jira.base_url().parse().unwrap(),
        kind: SiteKind::Cloud,
        auth: Auth::Basic { user: simulator::DEFAULT_EMAIL.to_owned(), token: simulator::DEFAULT_TOKEN.into() },
        request_timeout: Duration::from_secs(30),
    };
    let client = JiraClient::new(&HttpPool::new(clock).unwrap(), access).unwrap();

    let started = Instant::now();
    let fields = FieldMap::discover(&client.fields().await.unwrap());
    let known = client.project("ACME").await.unwrap();
    let (sender, mut pages) = tokio::sync::mpsc::channel::<Bytes>(4);
    let wanted = search_fields(&fields);
    let fetcher = tokio::spawn(async move {
        let query = jql::window(&known.key, None, None);
        let mut token = None;
        loop {
            let request = SearchRequest { jql: &query, fields: &wanted, page_size: 100, next_page_token: token };
            let page = client.search(&request).await.unwrap();
            let head = page.head().unwrap();
            sender.send(page.body).await.unwrap();
            token = head.next_page_token;
            if token.is_none() || head.is_last {
                return;
            }
        }
    });
    while let Some(body) = pages.recv().await {
        write(database, site, project, &body, &fields).await;
    }
    fetcher.await.unwrap();
    started.elapsed().as_secs_f64()
}

async fn write(database: &Database, site: Uuid, project: Uuid, body: &[u8], fields: &FieldMap) {
    let page = normalise::parse_page(body, fields).unwrap();
    let issues: Vec<_> = page.issues.iter().map(|issue| &issue.issue).collect();
    let ids: Vec<i64> = issues.iter().map(|issue| issue.id).collect();
    let comments: Vec<_> = page.issues.iter().flat_map(|issue| &issue.comments).collect();
    let worklogs: Vec<_> = page.issues.iter().flat_map(|issue| &issue.worklogs).collect();
    let asked_at = syncline::store::clock::now(&database.pool).await.unwrap();
    let versions: Vec<_> = issues.iter().map(|issue| replica::Version { issue_id: issue.id, asked_at }).collect();
    let look = replica::Look { asked_at, by_id: false };
    let mut tx = database.pool.begin().await.unwrap();
    replica::plan_afresh(&mut tx).await.unwrap();
    replica::upsert_users(&mut tx, site, &page.users).await.unwrap();
    replica::upsert_issues(&mut tx, site, project, &issues, look).await.unwrap();
    replica::apply_comments(&mut tx, site, &comments, &versions, &ids, &[]).await.unwrap();
    replica::apply_worklogs(&mut tx, site, &worklogs, &versions, &ids, &[]).await.unwrap();
    tx.commit().await.unwrap();
}

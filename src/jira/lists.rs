//! What a site and a project list: catalogues, boards, people, projects, permissions.
//!
//! What must hold: a list is whole or it is a failure; one that the site does not offer is said to be so ([`Offered`]). A
//! walk over pages ends on servers that ignore `startAt`; one that ends before the total that the site tells is a drift.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::answers::{Offered, Project, ProjectPage};
use super::catalogue::{self, ListPage, Listed};
use super::client::{Api, JiraClient, decode, offered};
use super::endpoint::Endpoint;
use super::repair;
use super::transport::Refused;
use super::{jql, time};
use crate::domain::entity::{
    BoardRecord, ComponentRecord, FieldRecord, SprintRecord, StatusRecord, TermKind, TermRecord, VersionRecord,
};
use crate::domain::failure::{Failure, FailureCode};
use crate::domain::record::UserRecord;
use crate::domain::site_kind::SiteKind;

const PROJECT_PAGE_SIZE: u32 = 100;
const AGILE_PAGE_SIZE: u32 = 50;
const USER_PAGE_SIZE: u32 = 1000;
/// More pages than any list has: 100,000 users are 100.
const MAX_PAGES: usize = 1_000;

/// Parameters of a request.
type Query<'a> = Vec<(&'a str, String)>;

impl JiraClient {
    /// Every field, with its type.
    pub async fn field_catalogue(&self) -> Result<Offered<Listed<FieldRecord>>, Failure> {
        self.list(Endpoint::Fields, "field", catalogue::parse_fields).await
    }

    /// Every status.
    pub async fn statuses(&self) -> Result<Offered<Listed<StatusRecord>>, Failure> {
        self.list(Endpoint::Statuses, "status", catalogue::parse_statuses).await
    }

    /// Every issue type, priority or resolution.
    pub async fn terms(&self, kind: TermKind) -> Result<Offered<Listed<TermRecord>>, Failure> {
        let (endpoint, path) = match kind {
            TermKind::IssueType => (Endpoint::IssueTypes, "issuetype"),
            TermKind::Priority => (Endpoint::Priorities, "priority"),
            TermKind::Resolution => (Endpoint::Resolutions, "resolution"),
        };
        self.list(endpoint, path, |body| catalogue::parse_terms(body, kind)).await
    }

    /// Every version of a project, by its id.
    pub async fn versions(&self, project_id: i64) -> Result<Offered<Listed<VersionRecord>>, Failure> {
        let path = format!("project/{project_id}/versions");
        self.list(Endpoint::Versions, &path, |body| catalogue::parse_versions(body, project_id)).await
    }

    /// Every component of a project, by its id.
    pub async fn components(&self, project_id: i64) -> Result<Offered<Listed<ComponentRecord>>, Failure> {
        let path = format!("project/{project_id}/components");
        self.list(Endpoint::Components, &path, |body| catalogue::parse_components(body, project_id)).await
    }

    /// The boards that show a project.
    pub async fn boards(&self, project_id: i64) -> Result<Offered<Listed<BoardRecord>>, Failure> {
        let query = vec![("projectKeyOrId", project_id.to_string()), ("maxResults", AGILE_PAGE_SIZE.to_string())];
        match self.walk(Endpoint::Boards, Api::Agile, "board", &query, catalogue::parse_boards).await {
            // A project of a kind that has no boards.
            Err(refused) if refused.status.is_some_and(|status| status.as_u16() == 400) => {
                Ok(Offered::Absent(refused.failure.message))
            }
            answer => offered(answer),
        }
    }

    /// The sprints of a board; none of a board that has no sprints, which Jira answers with a 400.
    pub async fn sprints(&self, board_id: i64) -> Result<Offered<Listed<SprintRecord>>, Failure> {
        let path = format!("board/{board_id}/sprint");
        let query = vec![("maxResults", AGILE_PAGE_SIZE.to_string())];
        match self.walk(Endpoint::Sprints, Api::Agile, &path, &query, catalogue::parse_sprints).await {
            Err(refused) if refused.status.is_some_and(|status| status.as_u16() == 400) => {
                Ok(Offered::Available(Listed::default()))
            }
            answer => offered(answer),
        }
    }

    /// Every user that the account may see. On Data Center those whose name holds a dot or anything else: the wildcard
    /// `.`, which Jira documents for this.
    pub async fn users(&self) -> Result<Offered<Listed<UserRecord>>, Failure> {
        let mut query = vec![("maxResults", USER_PAGE_SIZE.to_string())];
        let (endpoint, path) = match self.kind {
            SiteKind::Cloud => (Endpoint::Users, "users/search"),
            SiteKind::DataCenter => {
                query.extend([("username", ".".to_owned()), ("includeInactive", "true".to_owned())]);
                (Endpoint::UserSearch, "user/search")
            }
        };
        match self.walk(endpoint, Api::Platform, path, &query, catalogue::parse_users).await {
            // Jira gives up on sites with very many users.
            Err(refused) if refused.status.is_some_and(|status| status.as_u16() == 409) => {
                Ok(Offered::Forbidden(refused.failure.message))
            }
            answer => offered(answer),
        }
    }

    /// The users whose e-mail address, name or display name begins with `text`, as far as the account may see it.
    pub async fn find_users(&self, text: &str) -> Result<Offered<Vec<UserRecord>>, Failure> {
        let name = if self.kind == SiteKind::Cloud { "query" } else { "username" };
        let query = [(name, text.to_owned()), ("maxResults", "50".to_owned())];
        let answer = self.try_get(Endpoint::UserSearch, Api::Platform, "user/search", &query).await;
        let read = |body: &[u8]| Ok(catalogue::parse_users(&ListPage::read(body, "users")?).records);
        readable(offered(answer)?, read)
    }

    /// A page of the projects that are in use and that the account may see, in the order of their keys.
    pub async fn projects(&self, start_at: u64) -> Result<ProjectPage, Failure> {
        self.project_page(start_at, &["live"]).await
    }

    /// The same with archived and deleted ones, where the account may see these.
    pub async fn projects_of_any_state(&self, start_at: u64) -> Result<ProjectPage, Failure> {
        self.project_page(start_at, &["live", "archived", "deleted"]).await
    }

    async fn project_page(&self, start_at: u64, states: &[&str]) -> Result<ProjectPage, Failure> {
        if self.kind == SiteKind::Cloud {
            let mut query = vec![
                ("startAt", start_at.to_string()),
                ("maxResults", PROJECT_PAGE_SIZE.to_string()),
                ("orderBy", "key".to_owned()),
                ("expand", "lead,insight".to_owned()),
            ];
            query.extend(states.iter().map(|state| ("status", (*state).to_owned())));
            match self.try_get(Endpoint::ProjectSearch, Api::Platform, "project/search", &query).await {
                Ok(body) => return project_page(&ListPage::read(&body, "projects")?, start_at, states),
                Err(refused) if refused.is_absent() => {}
                Err(refused) => return Err(refused.failure),
            }
        }
        let mut query = vec![("expand", "lead".to_owned())];
        if self.kind == SiteKind::DataCenter && states.len() > 1 {
            query.push(("includeArchived", "true".to_owned()));
        }
        let answer = self.try_get(Endpoint::Projects, Api::Platform, "project", &query).await;
        let body = answer.map_err(|refused| refused.failure)?;
        project_page(&ListPage::read(&body, "projects")?, start_at, states)
    }

    /// How many issues a project has and when one of them was updated last, by asking for that one: for Data Center, whose
    /// lists of projects do not tell.
    pub async fn project_size(&self, key: &str) -> Result<(Option<i64>, Option<DateTime<Utc>>), Failure> {
        let query = [
            ("jql", format!("project = {} ORDER BY updated DESC", jql::quote(key))),
            ("fields", "updated".to_owned()),
            ("maxResults", "1".to_owned()),
        ];
        let answer = self.try_get(Endpoint::OffsetSearch, Api::Version(2), "search", &query).await;
        let found: Value = decode("a search", &answer.map_err(|refused| refused.failure)?)?;
        let newest = found.pointer("/issues/0/fields/updated").and_then(Value::as_str);
        Ok((found.get("total").and_then(Value::as_i64), newest.and_then(time::parse)))
    }

    /// A project by key or id out of the list: for servers that show none alone.
    pub(super) async fn project_of_list(&self, key: &str) -> Result<Option<Project>, Failure> {
        let mut start_at = 0;
        for _ in 0..MAX_PAGES {
            let page = self.projects(start_at).await?;
            let next = page.next_start();
            let found = page.values.into_iter().find(|project| project.key == key || project.id.to_string() == key);
            match next {
                Some(next) if found.is_none() => start_at = next,
                _ => return Ok(found),
            }
        }
        Err(endless("projects"))
    }

    /// Which of `permissions` (keys such as `BROWSE_PROJECTS`) the account has in a project; one that the site does not
    /// know is left out.
    pub async fn my_permissions(
        &self,
        project_key: &str,
        permissions: &[&str],
    ) -> Result<Offered<BTreeMap<String, bool>>, Failure> {
        let mut query = vec![("projectKey", project_key.to_owned())];
        if self.kind == SiteKind::Cloud {
            query.push(("permissions", permissions.join(","))); // Data Center answers them all, unasked
        }
        let answer = self.try_get(Endpoint::MyPermissions, Api::Platform, "mypermissions", &query).await;
        readable(offered(answer)?, |body| {
            let value: Value = repair::read_owned(body).unwrap_or_default();
            let list = value.get("permissions").and_then(Value::as_object).ok_or_else(|| {
                Failure::new(FailureCode::SchemaChanged, "the answer about permissions has no list of them")
            })?;
            let has = |of: &Value| of.get("havePermission").and_then(Value::as_bool);
            let wanted = list.iter().filter(|(key, _)| permissions.contains(&key.as_str()));
            Ok(wanted.filter_map(|(key, of)| Some((key.clone(), has(of)?))).collect())
        })
    }

    /// A list that comes in one piece, or in pages where the site cuts it all the same.
    async fn list<T>(
        &self,
        endpoint: Endpoint,
        path: &str,
        read: impl Fn(&[u8]) -> Result<Listed<T>, Failure>,
    ) -> Result<Offered<Listed<T>>, Failure> {
        readable(offered(self.try_get(endpoint, Api::Platform, path, &[]).await)?, read)
    }

    /// A list that comes in pages by `startAt`.
    async fn walk<T>(
        &self,
        endpoint: Endpoint,
        api: Api,
        path: &str,
        query: &Query<'_>,
        read: impl Fn(&ListPage) -> Listed<T>,
    ) -> Result<Listed<T>, Refused> {
        let mut whole = Listed::default();
        let mut start_at = 0;
        let mut met: Vec<Value> = Vec::new();
        let mut query = query.clone();
        for _ in 0..MAX_PAGES {
            let mut asked = query.clone();
            asked.push(("startAt", start_at.to_string()));
            let body = match self.try_get(endpoint, api, path, &asked).await {
                Err(refused) if refused.too_large && fewer(&mut query) => continue,
                answer => answer?,
            };
            let page = ListPage::read(&body, path)?;
            let first = page.values.first().filter(|first| !met.contains(first)).cloned();
            let Some(first) = first else {
                if page.total.is_some_and(|total| total > start_at) {
                    whole.ends_early();
                }
                return Ok(whole);
            };
            met.push(first);
            whole.append(read(&page));
            start_at += page.values.len() as u64;
            if page.is_last == Some(true) || page.total.is_some_and(|total| start_at >= total) {
                return Ok(whole);
            }
        }
        Err(endless(path).into())
    }
}

fn endless(path: &str) -> Failure {
    let problem = format!("a list of {path} never ends: {MAX_PAGES} pages, and the site reports more");
    Failure::new(FailureCode::EndlessPages, problem)
}

/// Halves the rows that are asked for; false where it is one already.
fn fewer(query: &mut Query<'_>) -> bool {
    let Some((_, rows)) = query.iter_mut().find(|(name, _)| *name == "maxResults") else { return false };
    let half = rows.parse::<u32>().unwrap_or_default() / 2;
    *rows = half.to_string();
    half > 0
}

fn readable<T, B: AsRef<[u8]>>(
    answer: Offered<B>,
    read: impl FnOnce(&[u8]) -> Result<T, Failure>,
) -> Result<Offered<T>, Failure> {
    Ok(match answer {
        Offered::Available(body) => Offered::Available(read(body.as_ref())?),
        Offered::Absent(reason) => Offered::Absent(reason),
        Offered::Forbidden(reason) => Offered::Forbidden(reason),
    })
}

/// A page of a list of projects; of one that came whole, the part from `start_at`, in the order of keys.
fn project_page(page: &ListPage, start_at: u64, states: &[&str]) -> Result<ProjectPage, Failure> {
    let mut listed = page.listed("project", |_, members| catalogue::project(members));
    if !listed.rejected.is_empty() {
        let problem = format!("{} projects of a list have no id or no key", listed.rejected.len());
        return Err(Failure::new(FailureCode::SchemaChanged, problem));
    }
    if !page.bare {
        if start_at > 0 && page.start_at == Some(0) && !listed.records.is_empty() {
            let problem = "a list of projects returns the same page every time: the other projects cannot be read";
            return Err(Failure::new(FailureCode::SchemaChanged, problem));
        }
        let total = page.total.unwrap_or(start_at + listed.records.len() as u64);
        let start_at = page.start_at.unwrap_or(start_at);
        return Ok(ProjectPage { values: listed.records, start_at, total, is_last: page.is_last });
    }
    listed.records.retain(|project| states.len() > 1 || !(project.archived || project.deleted));
    listed.records.sort_by(|a, b| a.key.cmp(&b.key));
    let total = listed.records.len() as u64;
    let skipped = usize::try_from(start_at).unwrap_or(usize::MAX);
    let values = listed.records.into_iter().skip(skipped).collect();
    Ok(ProjectPage { values, start_at, total, is_last: Some(true) })
}

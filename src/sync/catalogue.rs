//! The lists of a site and of a project, asked for side by side and written together.

use futures::future::OptionFuture;
use futures::{StreamExt, stream};
use sqlx::PgConnection;
use uuid::Uuid;

use super::fetch_catalogue::What;
use super::workshop::{self, Job};
use crate::domain::entity::{
    BoardRecord, ComponentRecord, FieldRecord, SprintRecord, StatusRecord, TermKind, TermRecord, VersionRecord,
};
use crate::domain::failure::{Failure, FailureCode, RetryPolicy};
use crate::domain::record::UserRecord;
use crate::domain::site_kind::SiteKind;
use crate::engine::StepError;
use crate::jira::answers::Offered;
use crate::jira::catalogue::Listed;
use crate::jira::normalise::{Drift, RecordError};
use crate::jira::personal_token::OwnToken;
use crate::jira::{FieldMap, JiraClient};
use crate::store::replica::{self, Source};
use crate::store::{catalogue, names, site};

/// Boards whose sprints are asked for at once.
const BOARDS_AT_ONCE: usize = 4;
/// A list that fails so often with what may pass is given up for this time: the issues do not wait for it.
const PATIENCE: i16 = 2;

/// What was read. A list that is `None` was not asked for, or is withheld.
#[derive(Default)]
pub(super) struct Lists {
    fields: Option<Vec<FieldRecord>>,
    statuses: Option<Vec<StatusRecord>>,
    terms: Vec<(TermKind, Vec<TermRecord>)>,
    versions: Option<Vec<VersionRecord>>,
    components: Option<Vec<ComponentRecord>>,
    boards: Option<Vec<BoardRecord>>,
    sprints: Vec<SprintRecord>,
    /// The boards whose sprints these are.
    boards_read: Vec<i64>,
    pub users: Vec<UserRecord>,
    /// The token that lets us in, where Jira lists those of the account.
    pub token: Option<OwnToken>,
    pub rejected: Vec<RecordError>,
    pub drifts: Vec<Drift>,
    /// Feature, state, reason.
    pub found: Vec<(&'static str, &'static str, Option<String>)>,
}

/// Reads what is due.
pub(super) async fn fetch(job: &Job, what: What, failures: i16) -> Result<Lists, StepError> {
    let What { project, due, fields, .. } = what;
    let jira = &job.jira;
    let mut lists = Lists::default();
    if due.site || due.names.is_some() {
        let (fields, statuses, types, priorities, resolutions) = futures::join!(
            OptionFuture::from((fields && due.site).then(|| jira.field_catalogue())),
            jira.statuses(),
            jira.terms(TermKind::IssueType),
            jira.terms(TermKind::Priority),
            jira.terms(TermKind::Resolution),
        );
        if let Some(fields) = fields {
            lists.fields = lists.take("fields", fields, failures)?;
        }
        lists.statuses = lists.take("statuses", statuses, failures)?;
        for (feature, kind, terms) in [
            ("issue_types", TermKind::IssueType, types),
            ("priorities", TermKind::Priority, priorities),
            ("resolutions", TermKind::Resolution, resolutions),
        ] {
            if let Some(terms) = lists.take(feature, terms, failures)? {
                lists.terms.push((kind, terms));
            }
        }
    }
    if due.users {
        let users = lists.take("users", jira.users().await, failures)?;
        lists.users.extend(users.unwrap_or_default());
        if jira.kind() == SiteKind::DataCenter && job.work.site_auth == "bearer" {
            lists.token = own_token(jira).await;
        }
    }
    if due.project {
        let (versions, components, boards) =
            futures::join!(jira.versions(project), jira.components(project), jira.boards(project));
        lists.versions = lists.take("versions", versions, failures)?;
        lists.components = lists.take("components", components, failures)?;
        lists.boards = lists.take("boards", boards, failures)?;
        lists.sprints(job, project, failures).await?;
    }
    Ok(lists)
}

impl Lists {
    /// Takes over a list, or notes why there is none.
    fn take<T>(
        &mut self,
        feature: &'static str,
        answer: Result<Offered<Listed<T>>, Failure>,
        failures: i16,
    ) -> Result<Option<Vec<T>>, Failure> {
        let answer = match answer {
            Ok(answer) => answer,
            Err(failure) if gives_up(&failure, failures) => {
                if failure.code == FailureCode::SchemaChanged {
                    let (expected, found) = ("a list", "another shape");
                    self.drifts.push(Drift { entity: "answer", field: feature.into(), expected, found });
                }
                Offered::Absent(failure.message)
            }
            Err(failure) => return Err(failure),
        };
        self.found.push((feature, answer.state(), answer.reason().map(str::to_owned)));
        Ok(answer.available().map(|listed| {
            self.users.extend(listed.users);
            self.rejected.extend(listed.rejected);
            self.drifts.extend(listed.drifts);
            listed.records
        }))
    }

    /// The sprints of the project's own boards; a board of another project is read with that one.
    async fn sprints(&mut self, job: &Job, project: i64, failures: i16) -> Result<(), Failure> {
        let own =
            |board: &&BoardRecord| board.board_type != "kanban" && board.project_id.is_none_or(|id| id == project);
        let boards: Vec<i64> = self.boards.iter().flatten().filter(own).map(|board| board.id).collect();
        let answers: Vec<_> = stream::iter(boards)
            .map(|board| async move { (board, job.jira.sprints(board).await) })
            .buffered(BOARDS_AT_ONCE)
            .collect()
            .await;
        for (board, answer) in answers {
            if let Some(sprints) = self.take("sprints", answer, failures)? {
                self.boards_read.push(board);
                self.sprints.extend(sprints);
            }
        }
        Ok(())
    }

    /// Whether the names of statuses, types, priorities or resolutions are among what was read.
    pub const fn has_names(&self) -> bool {
        self.statuses.is_some() || !self.terms.is_empty()
    }

    /// Writes what was read. Where names were read, they must be held alone (see [`names`]).
    pub async fn write(&self, conn: &mut PgConnection, site_id: Uuid, what: What) -> Result<(), StepError> {
        let project = what.project;
        if let Some(fields) = self.fields.as_ref().filter(|fields| !fields.is_empty()) {
            replica::upsert_fields(conn, site_id, fields).await?;
            // What was made since has its role from the next run on.
            let map = workshop::stored_field_map(&FieldMap::discover(fields));
            catalogue::keep_field_map(conn, site_id, &map).await?;
        }
        if self.has_names() {
            self.write_names(conn, site_id, what).await?;
        }
        // In the order in which pages of issues write them: two that lock each other's rows crosswise would both wait.
        if let Some(boards) = &self.boards {
            replica::upsert_boards(conn, site_id, project, boards).await?;
        }
        replica::upsert_sprints(conn, site_id, &self.sprints, &self.boards_read, Source::List).await?;
        if let Some(versions) = &self.versions {
            replica::upsert_versions(conn, site_id, Some(project), versions, Source::List).await?;
        }
        if let Some(components) = &self.components {
            replica::upsert_components(conn, site_id, Some(project), components, Source::List).await?;
        }
        if let Some(token) = &self.token {
            site::set_token_end(conn, site_id, token.ends_at).await?;
        }
        Ok(())
    }
}

impl Lists {
    /// The names, unless newer ones are stored.
    async fn write_names(&self, conn: &mut PgConnection, site_id: Uuid, what: What) -> Result<(), StepError> {
        if let Some(asked) = what.due.names
            && !names::is_newest(conn, site_id, asked).await?
        {
            return Ok(());
        }
        let mut changed = false;
        if let Some(statuses) = &self.statuses {
            changed |= replica::upsert_statuses(conn, site_id, statuses).await?;
        }
        for (kind, terms) in &self.terms {
            changed |= replica::upsert_terms(conn, site_id, *kind, terms).await?;
        }
        names::note(conn, site_id, changed, what.doubted).await?;
        Ok(())
    }
}

/// The token of this run, as far as Jira tells: whatever is refused, the run can do without.
async fn own_token(jira: &JiraClient) -> Option<OwnToken> {
    let listed = jira.personal_tokens().await.ok()?.available()?;
    OwnToken::among(&listed, jira.clock().now())
}

/// Whether a list is done without: nobody can wait for it to be granted, or it has failed too often.
fn gives_up(failure: &Failure, failures: i16) -> bool {
    match failure.code.policy() {
        RetryPolicy::FailRun => failure.code != FailureCode::Config,
        RetryPolicy::Backoff => failures >= PATIENCE && failure.retry_after.is_none(),
        RetryPolicy::WaitForScope | RetryPolicy::StopSite => false,
    }
}

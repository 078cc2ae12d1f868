//! `plan_run`: checks the credentials, decides the window, and divides a large one.
//!
//! An anonymous search answers 200 with no issues, so lost credentials would look like 'no changes': `/myself` is asked
//! first, and the project itself, so that one which is gone is told from one without changes.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt, stream};

use super::fetch_page;
use super::repair_batch::repair_steps;
use super::workshop::{self, Job, Workshop};
use crate::domain::failure::{Failure, FailureCode};
use crate::domain::window::{self, Window};
use crate::engine::{Commit, Step, StepContext, StepError};
use crate::jira::{FieldMap, SearchRequest, jql, normalise};
use crate::observe::events;
use crate::store::work::{self, Plan, Progress};

pub(super) struct PlanRun(pub Arc<Workshop>);

/// Equal parts of the time range that are counted for each partition: enough to even out busy months.
const PARTS_PER_PARTITION: usize = 2;

/// What the run looks at; nothing when it repairs single issues.
#[derive(Default)]
struct Planned {
    window: Window,
    estimate: u64,
    partitions: Vec<(Window, Option<i64>)>,
}

impl Step for PlanRun {
    fn kind(&self) -> &'static str {
        "plan_run"
    }

    fn run<'a>(&'a self, context: &'a StepContext) -> BoxFuture<'a, Result<Commit, StepError>> {
        Box::pin(self.plan(context))
    }
}

impl PlanRun {
    async fn plan(&self, context: &StepContext) -> Result<Commit, StepError> {
        self.0.forget(workshop::run_id(context)?);
        let job = self.0.job(context).await?;
        let jira = &job.jira;
        let (_, project, discovered) =
            futures::try_join!(jira.myself(), jira.project(&job.work.project_key), self.fields(&job))?;

        let progress = work::progress(&context.pool, job.work.project_id).await?;
        let repairs = work::repair_ids(&context.pool, job.work.run_id).await?;
        let repairs = repair_steps(job.work.site_id, &repairs);
        let plan = match job.work.trigger.as_str() {
            "repair" => Planned::default(),
            _ => self.ranges(&job, &discovered, project.id, &progress).await?,
        };
        tracing::info!(
            event = events::RUN_PLANNED, project = %project.key, kind = %job.work.kind, estimate = plan.estimate,
            partitions = plan.partitions.len(), repairs = repairs.len(), from = plan.window.from.map(tracing::field::display),
        );
        let fetches =
            (0..).zip(&plan.partitions).map(|(number, _)| fetch_page::first(&job, number, context.step.priority));
        let next = fetches.chain(repairs).collect();
        let workshop = Arc::clone(&self.0);
        let mut commit = Commit::effects(move |conn| {
            Box::pin(async move {
                let plan = Plan {
                    window: plan.window,
                    estimated_issues: i64::try_from(plan.estimate).ok(),
                    partitions: &plan.partitions,
                    collections_from: progress.collections_from(),
                    jira_project_id: project.id,
                    project_key: &project.key,
                    project_name: &project.name,
                    field_map: &workshop::stored_field_map(&discovered),
                };
                work::write_plan(conn, &job.work, &plan).await?;
                workshop.forget(job.work.run_id);
                Ok(Vec::new())
            })
        });
        commit.next = next;
        Ok(commit)
    }

    /// The window, and the ranges that are walked side by side.
    async fn ranges(
        &self,
        job: &Job,
        discovered: &FieldMap,
        project: i64,
        progress: &Progress,
    ) -> Result<Planned, StepError> {
        let options = &self.0.options;
        let window = match job.work.kind.as_str() {
            "full" => Window::FULL,
            _ => window::incremental(&progress.cursors, options.overlap),
        };
        let estimate =
            job.jira.approximate_count(&jql::clauses(jql::ProjectRef::Id(project), window.from, window.to)).await?;
        let estimate = estimate.unwrap_or_default();
        let partitions = if window.is_full() && estimate > 2 * options.partition_target_issues {
            self.divide(job, discovered, project, estimate).await?
        } else {
            vec![(window, i64::try_from(estimate).ok())]
        };
        Ok(Planned { window, estimate, partitions })
    }

    /// The site's custom fields: asked for once per site, and again by each full run.
    async fn fields(&self, job: &Job) -> Result<FieldMap, Failure> {
        if job.work.field_map.is_some() && job.work.kind != "full" {
            return Ok(job.fields.clone());
        }
        Ok(FieldMap::discover(&job.jira.fields().await?))
    }

    /// Divides everything into ranges of `updated` that hold about the same number of issues each.
    async fn divide(
        &self,
        job: &Job,
        fields: &FieldMap,
        project: i64,
        estimate: u64,
    ) -> Result<Vec<(Window, Option<i64>)>, StepError> {
        let limit = usize::try_from(job.work.max_concurrency).unwrap_or(1).max(1);
        let wanted =
            usize::try_from(estimate.div_ceil(self.0.options.partition_target_issues)).unwrap_or(limit).clamp(1, limit);
        let (oldest, newest) =
            futures::try_join!(self.edge(job, fields, project, "ASC"), self.edge(job, fields, project, "DESC"))?;
        let (Some(oldest), Some(newest)) = (oldest, newest) else {
            return Ok(vec![(Window::FULL, None)]);
        };
        let parts = wanted * PARTS_PER_PARTITION;
        let bound = |part| window::part_start(oldest, newest, part, parts);
        let counts: Vec<u64> = stream::iter(0..parts)
            .map(|part| {
                let until = (part + 1 < parts).then(|| bound(part + 1));
                let query = jql::clauses(jql::ProjectRef::Id(project), Some(bound(part)), until);
                async move { Ok::<_, Failure>(job.jira.approximate_count(&query).await?.unwrap_or_default()) }
            })
            .buffered(limit)
            .try_collect()
            .await?;
        let windows = window::split(oldest, newest, &counts, wanted);
        let held = |window: &Window| {
            (0..parts)
                .filter(|part| window.contains(bound(*part)))
                .map(|part| i64::try_from(counts[part]).unwrap_or(0))
                .sum()
        };
        Ok(windows.into_iter().map(|window| (window, Some(held(&window)))).collect())
    }

    /// The `updated` of the project's first or last issue.
    async fn edge(
        &self,
        job: &Job,
        fields: &FieldMap,
        project: i64,
        direction: &str,
    ) -> Result<Option<DateTime<Utc>>, StepError> {
        let query = format!("{} ORDER BY updated {direction}", jql::clauses(jql::ProjectRef::Id(project), None, None));
        let wanted = crate::jira::search_fields(fields);
        let request = SearchRequest { jql: &query, fields: &wanted, page_size: 1, next_page_token: None };
        let page = job.jira.search(&request).await?;
        let parsed = normalise::parse_page(&page.body, fields)?;
        if parsed.issues.is_empty() && !parsed.rejected.is_empty() {
            return Err(
                Failure::new(FailureCode::SchemaChanged, "the first issue of the project cannot be read").into()
            );
        }
        Ok(parsed.issues.first().map(|issue| issue.issue.updated_at))
    }
}

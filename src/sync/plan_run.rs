//! `plan_run`: checks the credentials, looks at the project itself, decides the window, and divides a large one.
//!
//! An anonymous search answers 200 with no issues, so lost credentials would look like 'no changes': `/myself` is asked
//! first, and the project itself, so that one which is gone is told from one without changes. A project that was seen before
//! is asked for by Jira's id: its key may have been changed, and given to another one.

use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::BoxFuture;

use super::by_id::repair_steps;
use super::fetch_catalogue;
use super::fetch_page;
use super::ranges::{Extent, Planned, Ranges};
use super::sweep_ids;
use super::workshop::{self, Job, Workshop};
use crate::domain::cursor;
use crate::domain::entity::FieldRecord;
use crate::domain::failure::{Failure, FailureCode};
use crate::domain::site_kind::SiteKind;
use crate::engine::{Commit, Step, StepContext, StepError};
use crate::jira::answers::Offered;
use crate::jira::withheld::is_withheld;
use crate::jira::{FieldMap, Project};
use crate::observe::events;
use crate::store::ahead::{self, PutBack};
use crate::store::catalogue;
use crate::store::clock as store_clock;
use crate::store::names;
use crate::store::plan::{self, Plan, Progress};
use crate::store::reconcile;
use crate::store::replica;
use crate::store::sighting::{self, Sighting};
use crate::store::step::{Entry, Level, journal};

pub(super) struct PlanRun(pub Arc<Workshop>);

const KIND: &str = "plan_run";

impl Step for PlanRun {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn run<'a>(&'a self, context: &'a StepContext) -> BoxFuture<'a, Result<Commit, StepError>> {
        Box::pin(self.plan(context))
    }
}

impl PlanRun {
    async fn plan(&self, context: &StepContext) -> Result<Commit, StepError> {
        self.0.forget(workshop::run_id(context)?);
        let job = self.0.job(context).await?;
        let progress = context.hear(plan::progress(&context.pool, job.work.project_id)).await?;
        let (now, asked) = (context.hear(store_clock::now(&context.pool)).await?, Instant::now());
        if job.jira.kind() == SiteKind::DataCenter {
            // Alone: a password that does not count any more, tried three times at once, locks the account.
            job.jira.myself().await?;
        }
        let (_, project, (discovered, field_catalogue), extent) = futures::try_join!(
            self.let_in(&job),
            project(context, &job),
            self.fields(&job),
            look_ahead(&job, &progress)
        )?;
        let seen = sighting_of(&project);
        let (progress, extent) = match project.key == job.work.project_key {
            true => (progress, extent),
            // A new key changes those of all issues without moving their `updated`: everything is read again.
            false => (Progress::default(), None),
        };
        let (progress, put_back) = by_the_clocks(context, &job, progress, (now, asked)).await?;
        let repairs = context.hear(plan::repair_ids(&context.pool, job.work.run_id)).await?;
        let repairs = repair_steps(job.work.site_id, &repairs);
        let users = match job.work.listed {
            true => Some(
                context.hear(plan::listed_users(&context.pool, job.work.project_id, job.work.kind == "full")).await?,
            ),
            false => None,
        };
        // The issues of a project that was archived or put into the trash are no longer found by search: asking would look
        // as if all of them were gone.
        let live = seen.state == "live";
        let reconcile = live && (job.work.reconcile || self.is_night(context, &job).await?);
        let plan = if job.work.trigger == "repair" || !live {
            Planned::default()
        } else {
            let ranges = Ranges { job: &job, options: &job.options, project: &project.key };
            ranges.plan(ranges.window(&progress), users.as_deref(), extent).await?
        };
        tracing::info!(
            event = events::RUN_PLANNED, project = %project.key, kind = %job.work.kind, estimate = plan.estimate,
            partitions = plan.partitions.len(), repairs = repairs.len(), reconcile,
            from = plan.window.from.map(tracing::field::display),
            "{}: {} run reads about {} issues", project.key, job.work.kind, plan.estimate
        );
        let fetches =
            (0..).zip(&plan.partitions).map(|(number, _)| fetch_page::first(&job, number, context.step.priority));
        let sweep = reconcile.then(|| sweep_ids::first(&job, project.id, context));
        let next = fetches.chain(repairs).chain(sweep).collect();
        let full = job.work.kind == "full" && live;
        let (clock_now, priority) = (context.clock.now(), context.step.priority);
        let overlap = job.options.overlap;
        let nobody = users.is_some_and(|users| users.is_empty());
        let workshop = Arc::clone(&self.0);
        let mut commit = Commit::effects(move |conn| {
            Box::pin(async move {
                let before = sighting::seen(conn, job.work.project_id, &seen).await?;
                let mut notices = notices(&seen, before.as_deref(), nobody);
                if let Some(it) = &put_back {
                    ahead::put_back(conn, job.work.project_id, it).await?;
                    notices.push(put_back_notice(it));
                }
                journal(&mut *conn, Some(job.work.run_id), KIND, &notices).await?;
                let plan = Plan {
                    window: plan.window,
                    estimated_issues: i64::try_from(plan.estimate).ok(),
                    partitions: &plan.partitions,
                    reconcile,
                    collections_from: match full {
                        true => DateTime::UNIX_EPOCH,
                        false => progress.collections_from(overlap),
                    },
                    field_map: &workshop::stored_field_map(&discovered.as_found()),
                    now: clock_now,
                };
                plan::write_plan(conn, &job.work, &plan).await?;
                workshop.forget(job.work.run_id);
                let waited_for = full || reconcile || job.work.trigger != "schedule";
                let names_seconds = if waited_for { names::ASKED_FOR } else { names::REGULAR };
                let due = catalogue::claim(conn, job.work.site_id, job.work.project_id, full, names_seconds, clock_now)
                    .await?;
                if let Some(fields) = &field_catalogue {
                    replica::upsert_fields(conn, job.work.site_id, fields).await?;
                }
                let what = fetch_catalogue::What {
                    project: project.id,
                    due,
                    fields: field_catalogue.is_none(),
                    doubted: false,
                };
                Ok(fetch_catalogue::step(&job, what, priority).into_iter().collect())
            })
        });
        commit.next = next;
        Ok(commit)
    }

    /// Whether a scheduled run takes the nightly reconciliation along.
    async fn is_night(&self, context: &StepContext, job: &Job) -> Result<bool, StepError> {
        if job.work.trigger != "schedule" {
            return Ok(false);
        }
        context.hear(reconcile::is_due(&context.pool, job.work.project_id, context.clock.now())).await
    }

    /// Asks for the account, where that was not done before all else.
    async fn let_in(&self, job: &Job) -> Result<(), Failure> {
        if job.jira.kind() == SiteKind::Cloud {
            job.jira.myself().await?;
        }
        Ok(())
    }

    /// The site's custom fields: asked for once per site, and again by each full run.
    async fn fields(&self, job: &Job) -> Result<(FieldMap, Option<Vec<FieldRecord>>), Failure> {
        if job.fields.is_current() && job.work.kind != "full" {
            return Ok((job.fields.clone(), None));
        }
        match job.jira.field_catalogue().await {
            Ok(Offered::Available(listed)) => Ok((FieldMap::discover(&listed.records), Some(listed.records))),
            // Issues can be read without knowing the names of their fields.
            Ok(Offered::Absent(_) | Offered::Forbidden(_)) => Ok((job.fields.clone().as_current(), None)),
            Err(failure) if is_withheld(&job.jira, &failure).await? => Ok((job.fields.clone().as_current(), None)),
            Err(failure) => Err(failure),
        }
    }
}

/// Asks how much there is while the rest is still being asked: worth nothing where the project turns out to have another key,
/// or where it was refused; then it is asked for again.
async fn look_ahead(job: &Job, progress: &Progress) -> Result<Option<Extent>, Failure> {
    if job.jira.kind() == SiteKind::DataCenter || job.work.listed || job.work.trigger == "repair" {
        return Ok(None);
    }
    let ranges = Ranges { job, options: &job.options, project: &job.work.project_key };
    Ok(ranges.extent(ranges.window(progress)).await.ok())
}

/// A cursor that is less ahead than this is not told of: clocks are read one after the other.
const READ_AT_ONCE: TimeDelta = TimeDelta::seconds(2);

/// Looks at the cursors by the clocks. One that stands where no clock has come yet (an older program took it there, or a clock
/// was put back) is put back to when the last run began that has read all that was new: nothing shows what was updated since
/// and passed over. And while a node of the site is behind, what it is told now it dates earlier: the run reaches back as far.
async fn by_the_clocks(
    context: &StepContext,
    job: &Job,
    progress: Progress,
    (now, asked): (DateTime<Utc>, Instant),
) -> Result<(Progress, Option<PutBack>), StepError> {
    let clock = job.jira.site_clock();
    let limit = cursor::bound(now, clock.highest(asked)) + READ_AT_ONCE;
    let stood_at = progress.cursors.iter().copied().max().flatten().filter(|stood| *stood > limit);
    // Runs are dated by the database's clock, and cursors by Jira's.
    let behind = now - cursor::bound(now, clock.lowest(asked));
    if stood_at.is_none() && behind <= READ_AT_ONCE {
        return Ok((progress, None));
    }
    let applied = context.hear(ahead::applied_since(&context.pool, job.work.project_id)).await?;
    let to = applied.map(|applied| applied.min(now) - behind);
    let Some(stood_at) = stood_at else {
        return Ok((progress.back_to(to, behind), None));
    };
    tracing::warn!(
        event = events::CURSOR_PUT_BACK, project = %job.work.project_key, %stood_at,
        to = to.map(tracing::field::display), "the cursor was ahead of the clock"
    );
    let it = PutBack { stood_at, limit, to };
    Ok((progress.put_back(&it), Some(it)))
}

fn put_back_notice(it: &PutBack) -> Entry {
    let time = |at: DateTime<Utc>| at.format("%Y-%m-%d %H:%M:%S UTC").to_string();
    let to = it.to.map_or_else(|| "the beginning: everything is read again".to_owned(), time);
    Entry {
        level: Level::Warn,
        event: "cursor_put_back",
        code: None,
        message: format!("the cursor was at {}, ahead of the clock; it was put back to {to}", time(it.stood_at)),
        advice: Some("This run reads the skipped issues. Check the clocks of Jira's servers."),
        details: Some(serde_json::json!({"stood_at": it.stood_at, "to": it.to})),
    }
}

/// The project as Jira shows it now.
async fn project(context: &StepContext, job: &Job) -> Result<Project, Failure> {
    let name = job.work.jira_project_id.map_or_else(|| job.work.project_key.clone(), |id| id.to_string());
    let answer = job.jira.project(&name).await;
    if matches!(&answer, Err(failure) if failure.code == FailureCode::NotFoundProject)
        && let Err(error) = context.hear(sighting::not_seen(&context.pool, job.work.project_id)).await
    {
        tracing::warn!(event = events::OUTCOME_NOT_RECORDED, "{error}");
    }
    answer
}

fn sighting_of(project: &Project) -> Sighting {
    Sighting {
        jira_id: project.id,
        key: project.key.clone(),
        name: project.name.clone(),
        project_type: project.project_type.clone(),
        lead: project.lead.as_ref().map(|lead| lead.account_id.clone()),
        state: match (project.deleted, project.archived) {
            (true, _) => "deleted",
            (false, true) => "archived",
            (false, false) => "live",
        },
    }
}

/// What an operator should know of the project.
fn notices(seen: &Sighting, key_before: Option<&str>, nobody: bool) -> Vec<Entry> {
    let entry = |level, event, message, advice| Entry { level, event, code: None, message, advice, details: None };
    let mut notices = Vec::new();
    if let Some(before) = key_before {
        let message = format!("the project's key has changed from {before} to {}", seen.key);
        notices.push(entry(Level::Info, "project_renamed", message, None));
    }
    if seen.state != "live" {
        let message = format!("Jira shows the project as {}: nothing is read, and existing rows stay", seen.state);
        let advice = "Restore it in Jira, or pause it here with `syncline project pause`.";
        notices.push(entry(Level::Warn, "project_not_live", message, Some(advice)));
    }
    if nobody {
        let message = "only issues of listed users are read, but the list is empty: nothing is read".to_owned();
        let advice = "List users with `syncline project track PROJECT add USER`, or read every issue with `syncline project track PROJECT all`.";
        notices.push(entry(Level::Warn, "nobody_tracked", message, Some(advice)));
    }
    notices
}

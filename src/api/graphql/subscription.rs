//! What can be followed. Every listener of a process hears the same few statements.

use async_graphql::{Context, ID, Result, Subscription};
use futures::{Stream, stream};

use super::asker::Asker;
use super::types::{Alert, Progress, Run, SyncLog, asker, uuid};
use crate::app::feed::{Changed, Ear, Heard, What};
use crate::app::{Kind, alert, run};

/// What is told as it happens.
pub struct Subscription;

/// The next change that the listener may hear of.
async fn next(ear: &mut Ear<Changed>, what: What, asker: &Asker) -> Option<Changed> {
    loop {
        match ear.next().await? {
            Heard::News(changed) if changed.what == what && reaches(asker, &changed) => return Some(changed),
            _ => {}
        }
    }
}

fn reaches(asker: &Asker, changed: &Changed) -> bool {
    match changed.project_id {
        Some(project) => asker.actor.reaches(project),
        None => asker.actor.projects.is_none(),
    }
}

#[Subscription]
impl Subscription {
    /// How far a run has come: now, and whenever that changes, until it has ended.
    async fn run_progress(&self, context: &Context<'_>, id: ID) -> Result<impl Stream<Item = Progress>> {
        let asker = asker(context);
        let watched = asker.live.follow(&asker.app, &asker.actor, uuid("id", &id)?).await?;
        Ok(stream::unfold((watched, true), |(mut watched, first)| async move {
            if !first && (watched.borrow().has_ended() || watched.changed().await.is_err()) {
                return None;
            }
            let progress = Progress::of(&watched.borrow_and_update());
            Some((progress, (watched, false)))
        }))
    }

    /// Runs whose state changes, of a project or of all.
    async fn run_changed(
        &self,
        context: &Context<'_>,
        project_id: Option<ID>,
    ) -> Result<impl Stream<Item = Result<Run>>> {
        let asker = asker(context).clone();
        let only = match project_id {
            Some(id) => Some(asker.project(uuid("projectId", &id)?).await?.id),
            None => None,
        };
        let ear = asker.feed.changes(&asker.app, &asker.actor).await?;
        Ok(stream::unfold((ear, asker), move |(mut ear, asker)| async move {
            loop {
                let changed = next(&mut ear, What::Run, &asker).await?;
                if only.is_some_and(|only| changed.project_id != Some(only)) {
                    continue;
                }
                match run::get(&asker.app, &asker.actor, changed.id).await {
                    Ok(run) => return Some((Ok(Run(run)), (ear, asker))),
                    // It was deleted meanwhile.
                    Err(error) if error.kind == Kind::NotFound => {}
                    Err(error) => return Some((Err(error.into()), (ear, asker))),
                }
            }
        }))
    }

    /// Alerts that open, change or end.
    async fn alert_changed(&self, context: &Context<'_>) -> Result<impl Stream<Item = Result<Alert>>> {
        let asker = asker(context).clone();
        asker.actor.may(crate::app::Verb::ReadAlerts)?;
        let ear = asker.feed.changes(&asker.app, &asker.actor).await?;
        Ok(stream::unfold((ear, asker), move |(mut ear, asker)| async move {
            loop {
                let changed = next(&mut ear, What::Alert, &asker).await?;
                match alert::get(&asker.app, &asker.actor, changed.id).await {
                    Ok(alert) => return Some((Ok(Alert(alert)), (ear, asker))),
                    Err(error) if error.kind == Kind::NotFound => {}
                    Err(error) => return Some((Err(error.into()), (ear, asker))),
                }
            }
        }))
    }

    /// New entries of the log of a run.
    async fn log_added(&self, context: &Context<'_>, run_id: ID) -> Result<impl Stream<Item = SyncLog>> {
        let asker = asker(context);
        let ear = asker.feed.log(&asker.app, &asker.actor, uuid("runId", &run_id)?).await?;
        Ok(stream::unfold(ear, |mut ear| async move {
            loop {
                if let Heard::News(entry) = ear.next().await? {
                    return Some((SyncLog((*entry).clone()), ear));
                }
            }
        }))
    }
}

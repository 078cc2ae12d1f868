//! What changes, as it happens: runs that change their state, alerts that go on, entries of a run's log. The database is asked
//! once per second and process, whoever listens.
//!
//! What must hold: nothing is asked while nobody listens; a listener hears of nothing beyond its reach; a listener that is slow
//! is told that it missed something, and holds nobody up; a database that is away ends nobody's listening.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast::{self, Receiver, Sender, error::RecvError};
use uuid::Uuid;

use super::follow::{self, LogEntry};
use super::{Actor, App, Result, Verb};
use crate::store::feed::{self, Seen};
use crate::store::log::{self, LogFilter};
use crate::store::patience::{ANSWER, again};
use crate::store::within;

/// How often the database is asked while somebody listens.
const EVERY: Duration = Duration::from_secs(1);
/// Changes that a slow listener may be behind.
const BEHIND: usize = 1_024;

pub use crate::store::feed::What;

/// Something that changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed {
    /// What it is.
    pub what: What,
    /// Its id.
    pub id: Uuid,
    /// Its project, if it is about one.
    pub project_id: Option<Uuid>,
}

/// What a listener hears.
#[derive(Debug)]
pub enum Heard<T> {
    /// News.
    News(T),
    /// The listener was slow: so many were passed over.
    Missed(u64),
}

/// A listener.
#[derive(Debug)]
pub struct Ear<T>(Receiver<T>);

impl<T: Clone> Ear<T> {
    /// What is heard next; none when nothing more comes.
    pub async fn next(&mut self) -> Option<Heard<T>> {
        match self.0.recv().await {
            Ok(news) => Some(Heard::News(news)),
            Err(RecvError::Lagged(missed)) => Some(Heard::Missed(missed)),
            Err(RecvError::Closed) => None,
        }
    }
}

/// The listeners of a process; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Feed(Arc<Mutex<Senders>>);

#[derive(Debug, Default)]
struct Senders {
    changes: Option<Sender<Changed>>,
    logs: HashMap<Uuid, Sender<Arc<LogEntry>>>,
}

/// By what they are.
fn by_id(seen: Vec<Seen>) -> HashMap<(What, Uuid), Seen> {
    seen.into_iter().map(|seen| ((seen.what, seen.id), seen)).collect()
}

impl Feed {
    fn senders(&self) -> std::sync::MutexGuard<'_, Senders> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens to changes of runs and alerts. Those of other projects are heard too: ask [`Actor::reaches`].
    ///
    /// # Errors
    /// Where the actor may not.
    pub async fn changes(&self, app: &App, actor: &Actor) -> Result<Ear<Changed>> {
        actor.may(Verb::ReadRuns)?;
        if let Some(sender) = &self.senders().changes {
            return Ok(Ear(sender.subscribe()));
        }
        // What was there before anybody listened is no news.
        let pool = app.pool();
        let known = again(|| within(ANSWER, feed::seen(&pool))).await?;
        let mut senders = self.senders();
        if let Some(sender) = &senders.changes {
            return Ok(Ear(sender.subscribe()));
        }
        let (sender, receiver) = broadcast::channel(BEHIND);
        senders.changes = Some(sender.clone());
        tokio::spawn(self.clone().watch(app.clone(), known, sender));
        Ok(Ear(receiver))
    }

    async fn watch(self, app: App, known: Vec<Seen>, sender: Sender<Changed>) {
        let mut known = by_id(known);
        loop {
            tokio::time::sleep(EVERY).await;
            // Taken away under the lock: whoever comes now makes another one.
            {
                let mut senders = self.senders();
                if sender.receiver_count() == 0 {
                    senders.changes = None;
                    return;
                }
            }
            match within(ANSWER, feed::seen(&app.pool())).await {
                Ok(now) => {
                    let now = by_id(now);
                    for (key, seen) in &now {
                        if known.get(key).is_none_or(|old| old.version != seen.version) {
                            let news = Changed { what: seen.what, id: seen.id, project_id: seen.project_id };
                            let _ = sender.send(news);
                        }
                    }
                    known = now;
                }
                Err(error) => tracing::debug!(%error, "changes are asked for again"),
            }
        }
    }

    /// Listens to the log of a run: entries that are new from now on.
    ///
    /// # Errors
    /// Where the actor may not, or there is no such run within reach.
    pub async fn log(&self, app: &App, actor: &Actor, id: Uuid) -> Result<Ear<Arc<LogEntry>>> {
        let newest = follow::logs(app, actor, id, &follow::Logs { limit: Some(1), ..follow::Logs::default() }).await?;
        let mut senders = self.senders();
        if let Some(sender) = senders.logs.get(&id) {
            return Ok(Ear(sender.subscribe()));
        }
        let (sender, receiver) = broadcast::channel(BEHIND);
        senders.logs.insert(id, sender.clone());
        let after = newest.last().map_or(0, |entry| entry.id);
        tokio::spawn(self.clone().read(app.clone(), id, after, sender));
        Ok(Ear(receiver))
    }

    async fn read(self, app: App, id: Uuid, mut after: i64, sender: Sender<Arc<LogEntry>>) {
        loop {
            let filter = LogFilter {
                run_id: Some(id),
                levels: ["info", "warn", "error"].map(str::to_owned).to_vec(),
                limit: 500,
                after,
                oldest: true,
                ..LogFilter::default()
            };
            match within(ANSWER, log::list(&app.pool(), &filter)).await {
                Ok(entries) => {
                    for entry in entries {
                        after = entry.id;
                        let _ = sender.send(Arc::new(entry));
                    }
                }
                Err(error) => tracing::debug!(%error, "a log is asked for again"),
            }
            tokio::time::sleep(EVERY).await;
            let mut senders = self.senders();
            if sender.receiver_count() == 0 {
                senders.logs.remove(&id);
                return;
            }
        }
    }
}

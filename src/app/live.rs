//! Progress of runs as it happens: each run that somebody watches is asked about once per process, whoever watches it.
//!
//! What must hold: a run that nobody watches costs no statement; a watcher that is slow misses states in between and never
//! the last one; a database that is away ends nobody's watching.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use uuid::Uuid;

use super::{Actor, App, Result, Verb, follow};
use crate::store::patience::ANSWER;
use crate::store::run_view::{self, RunProgress};
use crate::store::within;

/// How often a watched run is asked about.
const EVERY: Duration = Duration::from_millis(500);

type Sender = watch::Sender<RunProgress>;

/// The runs that are watched; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Live(Arc<Mutex<HashMap<Uuid, Sender>>>);

impl Live {
    /// Follows a run. What is heard first is its progress now.
    ///
    /// # Errors
    /// Where the actor may not, or there is no such run within reach.
    pub async fn follow(&self, app: &App, actor: &Actor, id: Uuid) -> Result<watch::Receiver<RunProgress>> {
        actor.may(Verb::ReadRuns)?;
        let now = follow::progress(app, actor, id).await?;
        let mut watched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = watched.get(&id) {
            return Ok(sender.subscribe());
        }
        let (sender, receiver) = watch::channel(now);
        if !receiver.borrow().has_ended() {
            watched.insert(id, sender.clone());
            tokio::spawn(self.clone().ask(app.clone(), id, sender));
        }
        Ok(receiver)
    }

    /// How many runs are watched.
    pub fn watched(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    async fn ask(self, app: App, id: Uuid, sender: Sender) {
        loop {
            tokio::time::sleep(EVERY).await;
            // Taken away under the lock: whoever comes now makes another one.
            {
                let mut watched = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                if sender.receiver_count() == 0 || sender.borrow().has_ended() {
                    watched.remove(&id);
                    return;
                }
            }
            match within(ANSWER, run_view::progress(&app.pool(), id)).await {
                Ok(Some(now)) => {
                    sender.send_if_modified(|last| {
                        let is_new = *last != now;
                        *last = now;
                        is_new
                    });
                }
                // Deleted: the receivers hear that nothing more comes.
                Ok(None) => {
                    self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
                    return;
                }
                Err(error) => tracing::debug!(%error, "a watched run is asked about again"),
            }
        }
    }
}

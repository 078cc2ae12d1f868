//! The connections of a process, whose number follows a setting while the process works.
//!
//! sqlx fixes the size of a pool when it is made. So another number is another pool: whoever needs a connection asks here for
//! the pool that counts now ([`Connections::now`]) instead of keeping one, and after a change the old pool is drained: each
//! of its connections is closed as soon as it is idle.
//!
//! What must hold: nobody who works with the old pool is disturbed (it is not closed, only emptied), so that for as long as
//! steps under way read from it there are at most as many connections more as there are such steps.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use sqlx::PgPool;
use tokio::time::Instant;

/// Nobody works with an old pool for longer: a step has a time limit below this.
const DRAINED_FOR: Duration = Duration::from_secs(600);
/// How often an old pool is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The pool that counts now; cheap to clone.
#[derive(Clone, Debug)]
pub struct Connections(Arc<RwLock<PgPool>>);

impl From<PgPool> for Connections {
    fn from(pool: PgPool) -> Self {
        Self(Arc::new(RwLock::new(pool)))
    }
}

impl Connections {
    /// The pool that counts now: for one piece of work, not to be kept.
    pub fn now(&self) -> PgPool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Allows `most` connections from now on. Answers whether that is another number than before.
    pub fn allow(&self, most: u32) -> bool {
        let old = {
            let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
            if current.options().get_max_connections() == most {
                return false;
            }
            let options = current.options().clone().max_connections(most);
            let fresh = options.connect_lazy_with((*current.connect_options()).clone());
            std::mem::replace(&mut *current, fresh)
        };
        tokio::spawn(drain(old));
        true
    }
}

/// Closes the connections of a pool as they fall idle.
async fn drain(old: PgPool) {
    let began = Instant::now();
    while began.elapsed() < DRAINED_FOR {
        while let Some(idle) = old.try_acquire() {
            if let Err(error) = idle.close().await {
                tracing::debug!(%error, "an unneeded connection was lost before it was closed");
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

//! The pacers of this process: they keep the limits of each site together with all other processes, by the database.
//!
//! Before a request: is there a pause, are there points left in the hour's plan, whose turn is it, is there a place. After
//! it: what it said of limits, and what a refusal teaches. A site that has never shown a limit costs nothing but one look
//! a second at what others have met.
//!
//! What must hold: nobody here asks a site before this process has looked at what is known of it; a database that does not
//! answer holds no request up for long (its steps fail at their commit anyhow), and a rate that is known is kept without it;
//! a pause that one process is told is kept by all, for the scope and the time that Jira named.

mod purse;
mod site;
mod state;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use sqlx::PgPool;
use uuid::Uuid;

use crate::clock::Clock;
use crate::store::patience::ANSWER;
use crate::store::{Connections, rate, within};
use site::SitePacer;

/// How often this process looks for pauses and limits that others have met.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// All pacers of a process; cheap to clone.
#[derive(Clone)]
pub struct Fleet(Arc<Shared>);

struct Shared {
    connections: Connections,
    clock: Clock,
    sites: Mutex<HashMap<Uuid, Weak<SitePacer>>>,
    looked: Mutex<Option<Instant>>,
}

impl Fleet {
    /// Pacers that share what the database holds.
    pub fn new(connections: impl Into<Connections>, clock: Clock) -> Self {
        let connections = connections.into();
        Self(Arc::new(Shared { connections, clock, sites: Mutex::default(), looked: Mutex::default() }))
    }

    /// The pacer of a site: one per site and process.
    pub fn site(&self, site_id: Uuid) -> Arc<SitePacer> {
        let mut sites = lock(&self.0.sites);
        if let Some(pacer) = sites.get(&site_id).and_then(Weak::upgrade) {
            return pacer;
        }
        sites.retain(|_, pacer| pacer.strong_count() > 0);
        let pacer = Arc::new(SitePacer::new(Arc::clone(&self.0), site_id));
        sites.insert(site_id, Arc::downgrade(&pacer));
        pacer
    }
}

impl Shared {
    fn pool(&self) -> PgPool {
        self.connections.now()
    }

    /// Looks, where it is time to: at what holds for every site that is in use here.
    async fn look(&self) {
        let due = {
            let mut looked = lock(&self.looked);
            let due = looked.is_none_or(|then| then.elapsed() >= LOOK_EVERY);
            if due {
                *looked = Some(Instant::now());
            }
            due
        };
        if due {
            self.look_now().await;
        }
    }

    async fn look_now(&self) {
        let sites: Vec<Arc<SitePacer>> = lock(&self.sites).values().filter_map(Weak::upgrade).collect();
        let keys: Vec<String> = sites.iter().map(|site| site.key().to_owned()).collect();
        match within(ANSWER, rate::standing(&self.pool(), &keys)).await {
            Ok(standing) => sites.iter().for_each(|site| site.learn(&standing)),
            Err(error) => tracing::debug!(%error, "the limits that other processes have met are unknown"),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

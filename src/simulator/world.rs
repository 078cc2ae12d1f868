//! The simulated site as a whole: what is fixed, what changes, and the time by which it changes.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use chrono::DateTime;

use super::catalogue::Catalogue;
use super::generate::generate;
use super::issue::Issue;
use super::options::Options;
use super::store::Store;
use crate::clock::Clock;

/// 2025-06-01T00:00:00Z: a fixed end of history, so that the same seed gives the same site on any day.
const HISTORY_END_MS: i64 = 1_748_736_000_000;

/// Everything that is true on the site.
pub(super) struct World {
    catalogue: RwLock<Arc<Catalogue>>,
    clock: Clock,
    /// How far the clocks of the site's nodes are off, in milliseconds; never empty.
    offsets_ms: RwLock<Vec<i64>>,
    search_lag_ms: AtomicI64,
    store: RwLock<Store>,
}

impl World {
    pub(super) fn new(options: &Options, base_url: String) -> Self {
        let now_ms = options.clock.now().timestamp_millis();
        let end_ms = options.history_end.map_or(HISTORY_END_MS.min(now_ms), |end| DateTime::timestamp_millis(&end));
        let catalogue = Catalogue::new(options, base_url, end_ms);
        let store = RwLock::new(Store::new(generate(options, &catalogue, end_ms)));
        let world = Self {
            catalogue: RwLock::new(Arc::new(catalogue)),
            clock: options.clock.clone(),
            offsets_ms: RwLock::new(vec![0]),
            search_lag_ms: AtomicI64::new(0),
            store,
        };
        world.set_search_lag_ms(options.search_lag.as_millis() as i64);
        world
    }

    /// What changes rarely, as it stands now.
    pub(super) fn catalogue(&self) -> Arc<Catalogue> {
        self.catalogue.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes what changes rarely.
    pub(super) fn change_catalogue<T>(&self, change: impl FnOnce(&mut Catalogue) -> T) -> T {
        let mut guard = self.catalogue.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut guard))
    }

    /// The time, whatever the clocks of the nodes say.
    fn true_ms(&self) -> i64 {
        self.clock.now().timestamp_millis()
    }

    /// The time by the first node's clock.
    pub(super) fn now_ms(&self) -> i64 {
        self.now_of_node_ms(0)
    }

    /// The time by the clock of the node that serves the request, or the change, of this number.
    pub(super) fn now_of_node_ms(&self, number: u64) -> i64 {
        let offsets = self.offsets_ms.read().unwrap_or_else(PoisonError::into_inner);
        let node = usize::try_from(number).unwrap_or(0) % offsets.len().max(1);
        self.true_ms() + offsets.get(node).copied().unwrap_or(0)
    }

    /// Puts the clocks of the nodes so far off; there are as many nodes as there are numbers.
    pub(super) fn set_offsets_ms(&self, offsets_ms: &[i64]) {
        let offsets_ms = if offsets_ms.is_empty() { vec![0] } else { offsets_ms.to_vec() };
        *self.offsets_ms.write().unwrap_or_else(PoisonError::into_inner) = offsets_ms;
    }

    pub(super) fn set_search_lag_ms(&self, lag_ms: i64) {
        self.search_lag_ms.store(lag_ms, Ordering::Relaxed);
    }

    /// When search will show what is written now; `None` for at once.
    pub(super) fn search_due_ms(&self) -> Option<i64> {
        match self.search_lag_ms.load(Ordering::Relaxed) {
            0 => None,
            lag_ms => Some(self.true_ms() + lag_ms),
        }
    }

    /// The issues for reading, with what search is due to show.
    pub(super) fn read(&self) -> RwLockReadGuard<'_, Store> {
        let now_ms = self.true_ms();
        let store = self.store.read().unwrap_or_else(PoisonError::into_inner);
        if !store.unsettled(now_ms) {
            return store;
        }
        drop(store);
        self.write().settle(now_ms);
        self.store.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The issues for writing.
    pub(super) fn write(&self) -> RwLockWriteGuard<'_, Store> {
        self.store.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds an issue by id, key or former key, as last written.
    pub(super) fn find(&self, store: &Store, id_or_key: &str) -> Option<Arc<Issue>> {
        let id = match id_or_key.parse::<u64>() {
            Ok(id) => id,
            Err(_) => store.id_of(self.catalogue().split_key(id_or_key)?)?,
        };
        store.live(id).cloned()
    }
}

//! Pages that this process has just fetched, until it writes them: saves reading back what was staged.
//!
//! What must hold: nothing depends on it. A page that is not here is read from `sync_page`. A page is named by its fetch,
//! not by its place in the walk: a fetch whose claim was taken over leaves a body here that was never staged, and the walk
//! goes on from another one.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use uuid::Uuid;

/// The most pages that are kept: a few hundred kilobytes each.
const CAPACITY: usize = 16;

/// A few pages, the oldest given up first.
#[derive(Default)]
pub(super) struct PageCache(Mutex<VecDeque<(Uuid, Bytes)>>);

impl PageCache {
    pub fn put(&self, fetch: Uuid, body: Bytes) {
        let mut pages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if pages.len() >= CAPACITY {
            pages.pop_front();
        }
        pages.push_back((fetch, body));
    }

    pub fn take(&self, fetch: Uuid) -> Option<Bytes> {
        let mut pages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = pages.iter().position(|(id, _)| *id == fetch)?;
        pages.remove(at).map(|(_, body)| body)
    }
}

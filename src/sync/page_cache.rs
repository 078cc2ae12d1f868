//! Pages that this process has just fetched, until it writes them: saves reading back what was staged.
//!
//! What must hold: nothing depends on it. A page that is not here is read from `sync_page`.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use crate::store::page::PageId;

/// The most pages that are kept: a few hundred kilobytes each.
const CAPACITY: usize = 16;

/// A few pages, the oldest given up first.
#[derive(Default)]
pub(super) struct PageCache(Mutex<VecDeque<(PageId, Bytes)>>);

impl PageCache {
    pub fn put(&self, page: PageId, body: Bytes) {
        let mut pages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if pages.len() >= CAPACITY {
            pages.pop_front();
        }
        pages.push_back((page, body));
    }

    pub fn take(&self, page: PageId) -> Option<Bytes> {
        let mut pages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = pages.iter().position(|(id, _)| *id == page)?;
        pages.remove(at).map(|(_, body)| body)
    }
}

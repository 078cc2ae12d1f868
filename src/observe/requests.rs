//! How many requests to Jira a piece of work has sent, whoever sends them within it.
//!
//! What must hold: only what is sent by the task itself counts; work that spawns tasks for its requests would miss them.

use std::cell::Cell;
use std::future::Future;

tokio::task_local! {
    static SENT: Cell<u32>;
}

/// Does `work` and tells how many requests it sent.
pub async fn counted<F: Future>(work: F) -> (F::Output, u32) {
    SENT.scope(Cell::new(0), async {
        let output = work.await;
        (output, SENT.with(Cell::get))
    })
    .await
}

/// One more was sent. Outside of [`counted`] nobody counts.
pub(super) fn sent() {
    // Nobody asks outside of a step.
    let _ = SENT.try_with(|sent| sent.set(sent.get().saturating_add(1)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_side_by_side_counts_its_own_requests_only() {
        let work = |requests: u32| async move {
            for _ in 0..requests {
                sent();
                tokio::task::yield_now().await;
            }
        };
        sent();
        let (((), two), ((), three)) = tokio::join!(counted(work(2)), counted(work(3)));
        assert_eq!((two, three), (2, 3));
    }
}

//! How long the database is waited for: the one place where a conversation with it gets its time limit.
//!
//! A connection can die without a word: the peer has vanished, a firewall forgot the connection, a virtual machine was moved.
//! Then no answer comes and no error either, and the operating system tells of it after a quarter of an hour or never. So
//! whoever waits for an answer waits here, for a limited time, and lets go of the connection when nothing came.
//!
//! What must hold: a wait that was given up is [`Error::Silent`], an outage: no step is charged for it; work that is merely
//! slow gets through, because whoever gave up waits longer the next time, up to the limit that the server itself keeps.

use std::time::Duration;

use super::{Error, Result};

/// How long the answer to one small question is waited for.
pub const ANSWER: Duration = Duration::from_secs(5);
/// How long all the statements of a step's commit are waited for at first.
pub const COMMIT: Duration = Duration::from_secs(10);
/// The longest wait of all: by then the server has ended the statement itself.
pub const LONGEST: Duration = Duration::from_secs(65);
/// How long [`again`] goes on trying.
const TRIED_FOR: Duration = Duration::from_secs(20);
/// The wait before the second try; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// Waits for `work`, for no longer than `limit`. What is dropped then gives its connection up.
///
/// # Errors
/// Those of `work`, and [`Error::Silent`].
pub async fn within<T, E: From<Error>>(
    limit: Duration,
    work: impl Future<Output = std::result::Result<T, E>>,
) -> std::result::Result<T, E> {
    match tokio::time::timeout(limit, work).await {
        Ok(answer) => answer,
        Err(_) => Err(Error::Silent { seconds: limit.as_secs() }.into()),
    }
}

/// Asks again what changes nothing, or what a refusal has undone, while the database refuses in a way that passes: a lost
/// connection, a conflict with another transaction.
///
/// # Errors
/// The last refusal, after a time; every other one at once.
pub async fn again<T, F: Future<Output = Result<T>>>(mut ask: impl FnMut() -> F) -> Result<T> {
    let began = tokio::time::Instant::now();
    let mut wait = FIRST_WAIT;
    loop {
        match ask().await {
            Err(error) if error.is_transient() && began.elapsed() < TRIED_FOR => {
                tracing::debug!(%error, "querying the database again");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(Duration::from_secs(2));
            }
            answer => return answer,
        }
    }
}

/// Does again what others were in the way of: a deadlock or a serialisation failure has undone all of it. What was lost with
/// its connection is not done again, since it may have been done.
///
/// # Errors
/// The last refusal, after a time; every other one at once.
pub async fn undisturbed<T, F: Future<Output = Result<T>>>(mut act: impl FnMut() -> F) -> Result<T> {
    let began = tokio::time::Instant::now();
    let mut wait = FIRST_WAIT;
    loop {
        match act().await {
            Err(error) if error.is_contention() && began.elapsed() < TRIED_FOR => {
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(Duration::from_secs(2));
            }
            outcome => return outcome,
        }
    }
}

/// The patience of a loop with the database: short, so that a silent connection is found soon, and longer each time that it
/// was too short, so that a database that is slow is not asked the same in vain for ever.
#[derive(Debug)]
pub struct Patience {
    first: Duration,
    now: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self::of(ANSWER)
    }
}

impl Patience {
    /// Waits for `first` at first.
    pub const fn of(first: Duration) -> Self {
        Self { first, now: first }
    }

    /// Waits for one turn of the loop.
    ///
    /// # Errors
    /// Those of `work`, and [`Error::Silent`].
    pub async fn wait<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let answer = within(self.now, work).await;
        self.learn(matches!(answer, Err(Error::Silent { .. })));
        answer
    }

    fn learn(&mut self, was_short: bool) {
        self.now = if was_short { (self.now * 2).min(LONGEST) } else { self.first };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn patience_grows_while_nothing_is_heard_and_no_further() {
        let mut patience = Patience::of(Duration::from_millis(1));
        let silent = patience.wait(std::future::pending::<Result<()>>()).await;
        assert!(matches!(silent, Err(Error::Silent { .. })), "{silent:?}");
        assert_eq!(patience.now, Duration::from_millis(2));
        let mut patience = Patience::default();
        let mut limits = Vec::new();
        for _ in 0..6 {
            limits.push(patience.now.as_secs());
            patience.learn(true);
        }
        assert_eq!(limits, [5, 10, 20, 40, 65, 65]);
        patience.wait(async { Ok(()) }).await.unwrap();
        assert_eq!(patience.now, ANSWER);
    }

    #[tokio::test]
    async fn what_passes_is_asked_again_and_what_does_not_is_told_at_once() {
        let mut asked = 0;
        let answer = again(|| {
            asked += 1;
            let answer = if asked < 3 { Err(Error::PoolExhausted) } else { Ok(asked) };
            async move { answer }
        })
        .await;
        assert_eq!(answer.unwrap(), 3);
        let mut asked = 0;
        let refused: Result<()> = again(|| {
            asked += 1;
            async { Err(Error::PooledMigration) }
        })
        .await;
        assert!(refused.is_err() && asked == 1);
    }
}

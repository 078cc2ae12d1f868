//! Waiting for a Jira that asks for a pause: a command has no engine behind it that would try again later.
//!
//! What must hold: all the waits of a command together are bounded, and each is told, so that nobody sits before a
//! silent terminal; what cannot pass by itself is not waited for.

use std::future::Future;
use std::time::Duration;

use super::Context;
use crate::domain::failure::{Failure, FailureCode};

/// How often one question is asked.
const ATTEMPTS: u32 = 5;
/// A longer wait than this is for the operator to decide.
const LONGEST_WAIT: Duration = Duration::from_secs(120);
/// All the waits of one command.
const BUDGET: Duration = Duration::from_secs(300);
/// Where Jira names no time; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// What is left of a command's patience.
pub(super) struct Patience<'a> {
    context: &'a Context,
    left: Duration,
}

impl<'a> Patience<'a> {
    /// All of it.
    pub fn new(context: &'a Context) -> Self {
        Self { context, left: BUDGET }
    }

    /// Asks `whom` until there is an answer, waiting as Jira says, or ever longer where it says nothing.
    ///
    /// # Errors
    /// What does not pass by itself, and the last failure when the patience is over.
    pub async fn ask<T, F>(&mut self, whom: &str, mut ask: impl FnMut() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let mut attempt = 1;
        loop {
            let failure = match ask().await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let Some(wait) = self.wait(&failure, attempt) else { return Err(failure) };
            if wait >= Duration::from_secs(1) {
                let seconds = wait.as_secs_f64().ceil();
                self.context.output.note(&format!("note: retrying {whom} in {seconds} s ({failure})"));
            }
            tokio::time::sleep(wait).await;
            self.left = self.left.saturating_sub(wait);
            attempt += 1;
        }
    }

    /// How long to wait before the next attempt; none: it is not made.
    fn wait(&self, failure: &Failure, attempt: u32) -> Option<Duration> {
        use FailureCode::{Dns, GatewayHtml, Maintenance, NetworkGlitch, Quota, RateLimit, ServerError};
        let passes = match failure.code {
            RateLimit | Quota | Maintenance => true,
            // The client has tried three times by itself.
            NetworkGlitch | ServerError | GatewayHtml | Dns => failure.retry_after.is_some() || attempt < 3,
            _ => failure.retry_after.is_some(),
        };
        let wait = failure.retry_after.unwrap_or(FIRST_WAIT * 2u32.pow(attempt - 1));
        (passes && attempt < ATTEMPTS && wait <= LONGEST_WAIT.min(self.left)).then_some(wait)
    }
}

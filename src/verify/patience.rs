//! Waiting for Jira: a verification has no engine behind it that would try again later.

use std::future::Future;
use std::time::Duration;

use crate::domain::failure::{Failure, RetryPolicy};

/// How often one question is asked.
const ATTEMPTS: u32 = 8;
/// A longer wait than this is for the operator to decide.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// Asks until there is an answer, waiting as Jira says, or ever longer where it says nothing.
///
/// # Errors
/// What nobody can wait for, and the last failure when the attempts are spent.
pub(super) async fn patiently<T, F>(mut ask: impl FnMut() -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let mut attempt = 1;
    loop {
        let failure = match ask().await {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        let may_pass = matches!(failure.code.policy(), RetryPolicy::Backoff | RetryPolicy::WaitForScope);
        let wait = failure.retry_after.unwrap_or(FIRST_WAIT * 2u32.pow(attempt - 1));
        if attempt == ATTEMPTS || wait > LONGEST_WAIT || (failure.retry_after.is_none() && !may_pass) {
            return Err(failure);
        }
        tracing::info!(
            event = "verify_waits",
            code = failure.code.as_str(),
            seconds = wait.as_secs_f64(),
            "{}",
            failure.message
        );
        tokio::time::sleep(wait).await;
        attempt += 1;
    }
}

//! What becomes of a step that failed: a pure decision by the failure's code.

use std::time::Duration;

use crate::domain::failure::{Failure, RetryPolicy};

/// The shape of back-off.
#[derive(Clone, Copy, Debug)]
pub struct RetryOptions {
    /// The wait after the first failure.
    pub base: Duration,
    /// The longest wait.
    pub cap: Duration,
    /// How much longer each wait is than the one before; 1 or more.
    pub factor: f64,
    /// The least wait for a limit that names no time.
    pub rate_pause: Duration,
}

impl Default for RetryOptions {
    fn default() -> Self {
        Self { base: Duration::from_secs(1), cap: Duration::from_secs(300), factor: 2.0, rate_pause: Duration::ZERO }
    }
}

/// What the engine does with the step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Disposition {
    /// Again after a wait; an attempt is spent.
    Retry(Duration),
    /// The gate is shut for everyone; the step waits too and spends nothing.
    Wait(Duration),
    /// The run has failed.
    FailRun,
    /// The run has failed, and so has every other one behind the step's widest gate.
    StopSite,
}

/// Decides. `failures` were spent before this one, `attempt` is the claim's number, `jitter` is in `0.0..1.0`.
pub fn decide(
    failure: &Failure,
    failures: i16,
    max_attempts: i16,
    attempt: i32,
    jitter: f64,
    options: &RetryOptions,
) -> Disposition {
    match (failure.code.policy(), failure.retry_after) {
        (RetryPolicy::FailRun, _) => Disposition::FailRun,
        (RetryPolicy::StopSite, _) => Disposition::StopSite,
        // Who names a time is believed, up to a day: a broken header must not park a project for ever.
        (_, Some(wait)) => Disposition::Wait(wait.min(Duration::from_secs(86_400))),
        (RetryPolicy::WaitForScope, None) => {
            Disposition::Wait(backoff(attempt.saturating_sub(1), jitter, options).max(options.rate_pause))
        }
        (RetryPolicy::Backoff, None)
            if failures.saturating_add(1) >= max_attempts.min(failure.code.most_attempts()) =>
        {
            Disposition::FailRun
        }
        (RetryPolicy::Backoff, None) => Disposition::Retry(backoff(i32::from(failures), jitter, options)),
    }
}

/// The longest wait for a database that is away, full or read-only: nobody else tells when it is back.
const OUTAGE_WAIT_LIMIT: Duration = Duration::from_secs(15);

/// How long a step waits for the database, at its claim of this number.
pub fn outage_wait(attempt: i32, jitter: f64, options: &RetryOptions) -> Duration {
    backoff(attempt.saturating_sub(1), jitter, options).min(OUTAGE_WAIT_LIMIT)
}

/// The wait after the first meeting with another transaction, and the longest one.
const CONTENTION_WAITS: (f64, f64) = (0.1, 5.0);

/// How long a step waits after another transaction was in its way, at its claim of this number.
pub fn contention_wait(attempt: i32, jitter: f64) -> Duration {
    let (first, longest) = CONTENTION_WAITS;
    let grown = first * 2f64.powi(attempt.saturating_sub(1).clamp(0, 30));
    Duration::from_secs_f64(grown.min(longest) * (0.5 + jitter))
}

/// `base · factor^exponent`, at most `cap`, times 0.5 to 1.5 by chance, so that those who failed together do not return together.
pub(super) fn backoff(exponent: i32, jitter: f64, options: &RetryOptions) -> Duration {
    let grown = options.factor.max(1.0).powi(exponent.clamp(0, 30));
    let seconds = (options.base.as_secs_f64() * grown).min(options.cap.as_secs_f64());
    Duration::from_secs_f64(seconds * (0.5 + jitter))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::failure::FailureCode;

    fn decided(failure: &Failure, failures: i16) -> Disposition {
        decide(failure, failures, 3, 1, 0.5, &RetryOptions::default())
    }

    #[test]
    fn a_glitch_backs_off_and_gives_up_after_the_last_attempt() {
        let glitch = Failure::new(FailureCode::NetworkGlitch, "reset");
        assert_eq!(decided(&glitch, 0), Disposition::Retry(Duration::from_secs(1)));
        assert_eq!(decided(&glitch, 1), Disposition::Retry(Duration::from_secs(2)));
        assert_eq!(decided(&glitch, 2), Disposition::FailRun);
    }

    #[test]
    fn a_request_that_nobody_answers_is_given_up_sooner() {
        let hangs = Failure::new(FailureCode::Timeout, "no answer");
        let at = |failures| decide(&hangs, failures, 100, 1, 0.5, &RetryOptions::default());
        assert!(matches!(at(1), Disposition::Retry(_)));
        assert_eq!(at(2), Disposition::FailRun);
    }

    #[test]
    fn a_named_wait_is_kept_whatever_the_attempts() {
        let limit = Failure::new(FailureCode::RateLimit, "429").after(Some(Duration::from_secs(17)));
        assert_eq!(decided(&limit, 2), Disposition::Wait(Duration::from_secs(17)));
        let maintenance = Failure::new(FailureCode::Maintenance, "503").after(Some(Duration::from_secs(5)));
        assert_eq!(decided(&maintenance, 2), Disposition::Wait(Duration::from_secs(5)));
        let nameless = Failure::new(FailureCode::RateLimit, "429");
        assert!(matches!(decided(&nameless, 2), Disposition::Wait(_)));
        let patient = RetryOptions { rate_pause: Duration::from_secs(90), ..RetryOptions::default() };
        let wait = decide(&nameless, 0, 3, 1, 0.5, &patient);
        assert_eq!(wait, Disposition::Wait(Duration::from_secs(90)), "not less than the pause that was set");
        assert_eq!(
            decide(&limit, 0, 3, 1, 0.5, &patient),
            Disposition::Wait(Duration::from_secs(17)),
            "Jira knows better"
        );
    }

    #[test]
    fn lost_credentials_stop_the_site() {
        assert_eq!(decided(&Failure::new(FailureCode::AuthInvalid, "401"), 0), Disposition::StopSite);
        assert_eq!(decided(&Failure::new(FailureCode::BadQuery, "400"), 0), Disposition::FailRun);
        let with_header = Failure::new(FailureCode::AuthInvalid, "401").after(Some(Duration::from_secs(5)));
        assert_eq!(decided(&with_header, 0), Disposition::StopSite, "waiting cannot bring credentials back");
    }

    #[test]
    fn a_database_that_is_back_is_noticed_soon() {
        let options = RetryOptions { base: Duration::from_secs(2), ..RetryOptions::default() };
        assert_eq!(outage_wait(1, 0.5, &options), Duration::from_secs(2));
        assert_eq!(outage_wait(1_000, 0.999, &options), OUTAGE_WAIT_LIMIT);
    }

    #[test]
    fn who_met_another_transaction_returns_soon_and_not_with_it() {
        assert_eq!(contention_wait(1, 0.5), Duration::from_millis(100));
        assert!(contention_wait(1, 0.0) < contention_wait(1, 0.9));
        assert!(contention_wait(1_000, 0.999) < Duration::from_secs(8));
    }

    #[test]
    fn back_off_never_exceeds_the_cap_by_more_than_its_jitter() {
        let options = RetryOptions { cap: Duration::from_secs(60), ..RetryOptions::default() };
        for exponent in 0..100 {
            assert!(backoff(exponent, 0.999, &options) <= Duration::from_secs(90));
        }
    }
}

//! Webhooks of Jira: taken as hints that an issue is to be read.
//!
//! What must hold: nothing that a webhook says is written into the replica; what is not proven is refused before it is read; a
//! secret leaves this module once, in the answer to who made it, and never a log line, an error or `Debug`.

mod admin;
mod event;
mod guard;
mod proof;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

pub use admin::{Address, Check, Made, OUTCOMES, Way, Which, add, check, list, log, remove, rotate};
pub use guard::Refusal;
pub use proof::Post;

use super::App;
use crate::observe::{events, metrics};
use crate::store::patience::ANSWER;
use crate::store::webhook::{self as store, Taken};
use crate::store::within;
use event::OLDEST;
use guard::Guard;
use proof::Known;

pub use crate::store::webhook::{Event, Secret, Standing};

/// The body of a webhook, in bytes.
pub const BODY_BYTES: usize = 1024 * 1024;
/// So many hints of a site may wait; what comes then asks for a run of its project.
const MOST_HINTS: i64 = 1_000;
/// How long a hint waits for others of its project, in seconds.
const COALESCE: f64 = 2.0;
/// How long secrets that were read count; those that were taken away prove nothing after this time.
const REMEMBERED: Duration = Duration::from_secs(5);
/// After this time a webhook that nothing proves lets the secrets be read again.
const ASKED_AGAIN: Duration = Duration::from_millis(500);

/// What became of a webhook that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is new.
    Accepted,
    /// It had come before.
    Duplicate,
}

#[derive(Debug, Default)]
struct Senders {
    read_at: Option<Instant>,
    known: Arc<Vec<Known>>,
}

/// Takes webhooks; one for each process. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Receiver {
    senders: Arc<Mutex<Senders>>,
    guard: Arc<Guard>,
}

impl Receiver {
    /// Takes a webhook.
    ///
    /// # Errors
    /// Why it is refused; that was counted.
    pub async fn receive(&self, app: &App, post: &Post<'_>) -> Result<Outcome, Refusal> {
        let began = Instant::now();
        let outcome = match self.take(app, post).await {
            Ok(taken) => taken,
            Err(refusal) => {
                self.refused(app, post.site, refusal).await;
                return Err(refusal);
            }
        };
        let (name, answer) = match (outcome.is_new, outcome.outcome.as_str()) {
            (false, _) => ("duplicate", Outcome::Duplicate),
            (true, "hinted") => ("hinted", Outcome::Accepted),
            (true, "run") => ("run", Outcome::Accepted),
            (true, _) => ("ignored", Outcome::Accepted),
        };
        metrics::webhook_taken(post.site, name, began.elapsed());
        Ok(answer)
    }

    async fn take(&self, app: &App, post: &Post<'_>) -> Result<Taken, Refusal> {
        let now = app.now();
        let mut known = self.known(app, REMEMBERED).await?;
        let mut proven = proof::prove(&known, post, now);
        if proven.is_err() {
            // A secret that was just made is not known yet.
            known = self.known(app, ASKED_AGAIN).await?;
            proven = proof::prove(&known, post, now);
        }
        let proven = proven?;
        if !self.guard.admits(proven.site_id, Instant::now()) {
            return Err(Refusal::OverBudget);
        }
        let mut arrival = event::read(post.body, now)?;
        if arrival.sent_at.is_some_and(|sent| sent < now - OLDEST || sent > now + OLDEST) {
            return Err(Refusal::TooOld);
        }
        arrival.site_id = proven.site_id;
        arrival.secret = proven.secret;
        arrival.verified = proven.way;
        arrival.delivery = event::delivery(post.identifier, post.body);
        arrival.most_hints = MOST_HINTS;
        arrival.coalesce = COALESCE;
        let pool = app.pool();
        within(ANSWER, store::take(&pool, &arrival)).await.map_err(|problem| {
            let error = crate::domain::failure::sanitise(&problem.to_string());
            tracing::warn!(event = events::WEBHOOK_FAILED, site = post.site, error = %error, "Jira will send it again");
            Refusal::Unavailable
        })
    }

    /// The sites that may send, read at most so long ago.
    async fn known(&self, app: &App, age: Duration) -> Result<Arc<Vec<Known>>, Refusal> {
        {
            let senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
            if senders.read_at.is_some_and(|at| at.elapsed() < age) {
                return Ok(Arc::clone(&senders.known));
            }
        }
        let pool = app.pool();
        let read = within(ANSWER, store::senders(&pool)).await.map_err(|_| Refusal::Unavailable)?;
        let known = Arc::new(read.into_iter().map(|sender| Known::of(sender, &app.config.secrets)).collect());
        let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        *senders = Senders { read_at: Some(Instant::now()), known: Arc::clone(&known) };
        Ok(known)
    }

    /// Counts a webhook that is refused; logs and keeps the counts once a minute for each site and reason.
    pub async fn refused(&self, app: &App, site: &str, refusal: Refusal) {
        let known = {
            let senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
            senders.known.iter().find(|known| known.site == site).map(|known| known.site_id)
        };
        // Whoever asks for sites that are not there must not fill the labels.
        let site = if known.is_some() { site } else { "unknown" };
        metrics::webhook_refused(site, refusal.reason());
        for due in self.guard.note(known, site, refusal, Instant::now()) {
            tracing::warn!(
                event = events::WEBHOOK_REFUSED, site = %due.site, reason = due.refusal.reason(), count = due.count,
                "{}", due.refusal.advice()
            );
            if let Some(site_id) = due.site_id {
                let pool = app.pool();
                // What cannot be written now is in the metric.
                let _ = within(ANSWER, store::count_refusals(&pool, site_id, due.refusal.reason(), due.count)).await;
            }
        }
    }
}

//! `deliver_alert`: one message to one channel.
//!
//! The message is sent before the step's transaction, which then records what became of it. A process that dies in between
//! sends it again: with the same delivery id, by which a mail client or a receiver knows it. A channel that asks to be tried
//! again gets a new step after a wait of its own kind; the engine's attempts are for what goes wrong here.
//!
//! What must hold: every delivery ends, delivered or given up with a reason; a message that no channel takes goes to the
//! log; a channel that keeps failing is an alert of its own, on the other channels.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgConnection;
use tracing::Instrument;
use uuid::Uuid;

use crate::alert::Message;
use crate::alert::channel::{self, Channel, Definition, Delivered, Kind, Problem, Reason, ReasonCode, Undelivered};
use crate::clock::Clock;
use crate::config::SecretsConfig;
use crate::domain::alert::{Details, Observation, Scope, Signal, category, class};
use crate::domain::failure::Severity;
use crate::domain::queue::Queue;
use crate::engine::{Commit, NewStep, Step, StepContext, StepError};
use crate::observe::{events, metrics, trace};
use crate::store::alert::delivery::{self, DELIVER_STEP, Delivery, FAILURES_LIMIT, Health, Refusal, StoredChannel};
use crate::store::alert::observe;

/// After so long without success a channel counts as failing, however rarely it was tried.
const FAILING_AFTER: TimeDelta = TimeDelta::minutes(15);
/// How long a message is tried.
const BUDGET: TimeDelta = TimeDelta::hours(24);
/// How often this process may fail at a step before the message is given up.
const CRASHES_LIMIT: i16 = 8;
/// The longest that a message waits before it looks again whether an earlier one has arrived.
const LONGEST_TURN: Duration = Duration::from_secs(60);
/// Channels that are kept open.
const MAX_OPEN: usize = 64;

type Opener = dyn Fn(&Definition) -> Result<Arc<dyn Channel>, Problem> + Send + Sync;

/// The channels of this process, opened once for each definition.
#[derive(Clone)]
pub struct Channels(Arc<Inner>);

/// A channel, and when its definition was changed last.
type Opened = (DateTime<Utc>, Arc<dyn Channel>);

struct Inner {
    opener: Box<Opener>,
    open: Mutex<HashMap<String, Opened>>,
}

impl fmt::Debug for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Channels")
    }
}

impl Channels {
    /// Channels as they are configured.
    pub fn new(secrets: SecretsConfig, clock: Clock) -> Self {
        Self::opened_by(move |definition| channel::open_at(definition, &secrets, &clock))
    }

    /// Channels that somebody else opens.
    pub fn opened_by(
        opener: impl Fn(&Definition) -> Result<Arc<dyn Channel>, Problem> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Inner { opener: Box::new(opener), open: Mutex::default() }))
    }

    /// The channel of that name, by its definition as stored; none when it was removed.
    pub(super) fn open(&self, name: &str, stored: Option<&StoredChannel>) -> Result<Arc<dyn Channel>, Reason> {
        let config = |text: String| Reason::new(ReasonCode::Config, text);
        let stored = stored.ok_or_else(|| config(format!("channel {name} no longer exists")))?;
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, channel)) = open.get(name)
            && *at == stored.updated_at
        {
            return Ok(Arc::clone(channel));
        }
        let kind = Kind::parse(&stored.kind);
        let definition = Definition {
            name: name.to_owned(),
            kind: kind
                .ok_or_else(|| config(format!("channels of kind {} are unknown to this version", stored.kind)))?,
            settings: stored.settings.clone(),
            credential: stored.credential.clone(),
        };
        let channel = (self.0.opener)(&definition).map_err(|problem| config(problem.to_string()))?;
        if open.len() >= MAX_OPEN {
            open.clear();
        }
        open.insert(name.to_owned(), (stored.updated_at, Arc::clone(&channel)));
        Ok(channel)
    }
}

/// The parameters of the step.
#[derive(Debug, Serialize, Deserialize)]
struct Payload {
    delivery_id: Uuid,
}

/// The step that sends a delivery after a wait. Its key names the try, so that a try can enqueue the next one.
pub(super) fn step(delivery_id: Uuid, delay: Duration) -> NewStep {
    let mut step = NewStep::new(Queue::Control, DELIVER_STEP, delivery_id.to_string()).with(&Payload { delivery_id });
    step.delay = delay;
    step.priority = 10;
    // Whatever goes wrong, the step itself gives the message up, so that it reaches the log.
    step.max_attempts = i16::MAX;
    step
}

/// Sends messages.
#[derive(Debug)]
pub struct DeliverAlert {
    channels: Channels,
}

impl DeliverAlert {
    /// The step of a process with these channels.
    pub fn new(channels: Channels) -> Self {
        Self { channels }
    }

    async fn send(&self, delivery: &Delivery, failures: i16) -> (Option<Kind>, Result<Delivered, Undelivered>) {
        let never = |reason: Reason| Err(Undelivered::Never { reason });
        let message = match serde_json::from_value::<Message>(delivery.message.clone()) {
            Ok(mut message) => {
                message.metadata.thread_reference.clone_from(&delivery.thread_reference);
                message.metadata.opens_thread = delivery.opens_thread;
                message
            }
            Err(error) => {
                return (
                    None,
                    never(Reason::new(ReasonCode::Config, format!("the stored message cannot be read: {error}"))),
                );
            }
        };
        let channel = match self.channels.open(&delivery.channel, delivery.definition.as_ref()) {
            Ok(channel) => channel,
            // Where its secret is missing here, it may be there in a while: an operator is told by then.
            Err(reason) if delivery.definition.is_some() => {
                return (None, Err(Undelivered::Later { after: None, reason }));
            }
            Err(reason) => return (None, never(reason)),
        };
        let kind = Some(channel.kind());
        if failures >= CRASHES_LIMIT {
            let text = format!("sending it failed {failures} times in this program");
            return (kind, never(Reason::new(ReasonCode::Refused, text)));
        }
        let name = channel.kind().as_str();
        let span = trace::delivery(name, &delivery.channel, message.metadata.delivery_id, message.metadata.alert_id);
        let outcome = channel.send(&message).instrument(span.clone()).await;
        if let Err(undelivered) = &outcome {
            let reason = undelivered.reason();
            trace::failed(&span, reason.code.as_str(), &reason.message);
        }
        (kind, outcome)
    }
}

impl Step for DeliverAlert {
    fn kind(&self) -> &'static str {
        DELIVER_STEP
    }

    fn time_limit(&self) -> Duration {
        Duration::from_secs(120)
    }

    fn run<'a>(&'a self, context: &'a StepContext) -> BoxFuture<'a, Result<Commit, StepError>> {
        Box::pin(async move {
            let Payload { delivery_id } = context.payload()?;
            let Some(delivery) = context.hear(delivery::load(&context.pool, delivery_id)).await? else {
                return Ok(Commit::nothing());
            };
            if delivery.state != "pending" {
                return Ok(Commit::nothing());
            }
            if let Some(until) = delivery.behind {
                // What happened first is told first, so long as that is not stuck.
                let wait = (until - context.clock.now()).to_std().unwrap_or_default();
                let wait = wait.clamp(Duration::from_secs(1), LONGEST_TURN);
                return Ok(Commit::next(vec![step(delivery_id, wait)]));
            }
            let began = Instant::now();
            let (kind, outcome) = self.send(&delivery, context.step.failures).await;
            let took = began.elapsed();
            let clock = context.clock.clone();
            Ok(Commit::effects(move |conn| {
                Box::pin(async move {
                    let next = record(conn, &clock, &delivery, kind, &outcome).await?;
                    announce(&delivery, kind, &outcome, took);
                    Ok(next)
                })
            }))
        })
    }
}

/// Writes what became of a delivery; answers the steps that follow from it.
async fn record(
    conn: &mut PgConnection,
    clock: &Clock,
    delivery: &Delivery,
    kind: Option<Kind>,
    outcome: &Result<Delivered, Undelivered>,
) -> Result<Vec<NewStep>, StepError> {
    let now = clock.now();
    match outcome {
        Ok(delivered) => {
            let refused = delivered
                .refused
                .iter()
                .map(|(to, reason)| json!({"to": to, "code": reason.code.as_str(), "message": reason.message}));
            let refused = serde_json::Value::Array(refused.collect());
            let reference = delivered.reference.as_deref();
            if delivery::delivered(conn, now, delivery.id, reference, &refused).await? {
                let signal = Signal::Cleared(now);
                observe(conn, now, &[about_channel(&delivery.channel, signal)]).await?;
            }
            let deferred: Vec<String> =
                delivered.refused.iter().filter(|(_, reason)| is_deferred(reason)).map(|(to, _)| to.clone()).collect();
            if deferred.is_empty() || now - delivery.created_at >= BUDGET {
                return Ok(Vec::new());
            }
            let again = delivery::split(conn, now, delivery.id, clock.new_id(), &deferred).await?;
            let wait = wait(kind, 0, None, clock.jitter());
            Ok(again.into_iter().map(|id| step(id, wait)).collect())
        }
        Err(undelivered) => not_taken(conn, clock, delivery, kind, undelivered).await,
    }
}

fn is_deferred(reason: &Reason) -> bool {
    matches!(reason.code, ReasonCode::RecipientDeferred | ReasonCode::RateLimited)
}

async fn not_taken(
    conn: &mut PgConnection,
    clock: &Clock,
    delivery: &Delivery,
    kind: Option<Kind>,
    undelivered: &Undelivered,
) -> Result<Vec<NewStep>, StepError> {
    let now = clock.now();
    let reason = undelivered.reason();
    let next = match undelivered {
        Undelivered::Later { after, .. } if now - delivery.created_at < BUDGET => {
            Some(wait(kind, delivery.attempts, *after, clock.jitter()))
        }
        _ => None,
    };
    let next_try_at = next.and_then(|wait| Some(now + TimeDelta::from_std(wait).ok()?));
    let refusal = Refusal { code: reason.code.as_str(), message: &reason.message, next_try_at };
    let health = delivery::refused(conn, now, delivery.id, refusal).await?;
    let mut steps: Vec<NewStep> = next.map(|wait| step(delivery.id, wait)).into_iter().collect();
    let is_stuck = next.is_none() || delivery.attempts + 1 >= FAILURES_LIMIT;
    if is_stuck && let Some(id) = delivery::fall_back(conn, now, delivery.id, clock.new_id()).await? {
        steps.push(step(id, Duration::ZERO));
    }
    if let Some(health) = health
        && (next.is_none() || health.failures >= FAILURES_LIMIT || now - health.failing_since >= FAILING_AFTER)
    {
        delivery::mark_reported(conn, &delivery.channel).await?;
        observe(conn, now, &[failing(&delivery.channel, reason, health, next_try_at)]).await?;
    }
    Ok(steps)
}

fn about_channel(name: &str, signal: Signal) -> Observation {
    Observation { scope: Scope::Channel { name: name.to_owned() }, class: class::CHANNEL_FAILING.to_owned(), signal }
}

fn failing(name: &str, reason: &Reason, health: Health, next_try_at: Option<DateTime<Utc>>) -> Observation {
    let details = Details {
        severity: Severity::Error,
        category: category::DELIVERY.to_owned(),
        since: health.failing_since,
        count: i64::from(health.failures),
        summary: format!("Alert channel {name} does not accept messages"),
        advice: reason.code.advice().to_owned(),
        last_error: Some(reason.to_string()),
        run_id: None,
        rung: 0,
        next_try_at,
        projects: Vec::new(),
        facts: Vec::new(),
    };
    about_channel(name, Signal::Firing(Box::new(details)))
}

/// How long to wait before the next try: what the other side asked for, else a back-off that fits the kind of channel. Mail
/// servers that greylist want minutes, the others seconds.
fn wait(kind: Option<Kind>, attempts: i32, after: Option<Duration>, jitter: f64) -> Duration {
    let (base_seconds, cap_seconds) = match kind {
        Some(Kind::Email) | None => (60.0, 1_800.0),
        Some(Kind::Whatsapp) => (30.0, 1_800.0),
        Some(Kind::Slack | Kind::Webhook) => (5.0, 600.0),
        Some(Kind::Log) => (1.0, 60.0),
    };
    let backoff: f64 = base_seconds * 2_f64.powi(attempts.clamp(0, 20));
    let backoff = Duration::from_secs_f64(backoff.min(cap_seconds) * (0.75 + jitter / 2.0));
    after.map_or(backoff, |after| after.clamp(Duration::from_secs(1), Duration::from_secs(6 * 3600)))
}

/// Said just before the commit, as for runs: the rows are the truth, this is for whoever watches.
fn announce(delivery: &Delivery, kind: Option<Kind>, outcome: &Result<Delivered, Undelivered>, took: Duration) {
    let kind = kind.map_or("unknown", Kind::as_str);
    let result = match outcome {
        Ok(_) => "delivered",
        Err(Undelivered::Later { .. }) => "later",
        Err(Undelivered::Never { .. }) => "failed",
    };
    metrics::alert_delivery(kind, result, took);
    match outcome {
        Ok(delivered) => {
            for (to, reason) in &delivered.refused {
                tracing::warn!(
                    event = events::ALERT_UNDELIVERED, delivery_id = %delivery.id, channel = delivery.channel, to,
                    code = %reason.code, "{}", reason.message
                );
            }
            let refused = delivered.refused.len();
            tracing::info!(event = events::ALERT_DELIVERED, delivery_id = %delivery.id, channel = delivery.channel, refused);
        }
        Err(undelivered) => {
            let reason = undelivered.reason();
            tracing::warn!(
                event = events::ALERT_UNDELIVERED, delivery_id = %delivery.id, channel = delivery.channel,
                code = %reason.code, result, "{}", reason.message
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_fits_the_channel_and_what_it_asked_for() {
        let seconds = |kind, attempts, after| wait(Some(kind), attempts, after, 0.5).as_secs();
        assert_eq!(seconds(Kind::Email, 0, None), 60);
        assert_eq!(seconds(Kind::Email, 3, None), 480);
        assert_eq!(seconds(Kind::Email, 30, None), 1_800);
        assert_eq!(seconds(Kind::Slack, 0, None), 5);
        assert_eq!(seconds(Kind::Slack, 0, Some(Duration::from_secs(30))), 30);
        assert_eq!(seconds(Kind::Slack, 0, Some(Duration::ZERO)), 1);
    }
}

//! Keeps episodes: looks at those that are due, decides what people are told, and puts the messages into the outbox.
//!
//! Any number of processes may run this; there is no leader. A due episode is locked by whoever looks first (SKIP LOCKED);
//! its new state, the event, the messages and their steps are one transaction.
//!
//! What must hold: a decision is written with its messages or not at all; the loop sleeps until something is due or an
//! observation wakes it.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::compose::{self, Occasion};
use super::deliver_alert;
use crate::alert::template::Templates;
use crate::clock::Clock;
use crate::domain::alert::{Event, Scope};
use crate::domain::episode::{self, Circumstances, Happening, Timings};
use crate::domain::failure::sanitise;
use crate::domain::route::{self, Audience, Route, Silence, Subject};
use crate::observe::events;
use crate::observe::health::Heartbeat;
use crate::store::alert::keep::{self as rows, Due, NewDelivery, NewEvent};
use crate::store::alert::{Change, delivery, route as routes, silence};
use crate::store::patience::Patience;
use crate::store::session::BEGIN;
use crate::store::{Connections, Result, step};

/// Episodes that are decided in one transaction.
const BATCH: i64 = 200;
/// The longest sleep: the wall clock may be set while we sleep, and a notification may be lost.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// How often deliveries are looked for that nobody works on, and how long they may rest before.
const SWEEP_EVERY: TimeDelta = TimeDelta::minutes(10);
const PATIENCE_SECONDS: f64 = 1_800.0;

/// Decides about episodes.
#[derive(Debug)]
pub struct Keeper {
    connections: Connections,
    clock: Clock,
    timings: Timings,
    templates: Templates,
}

/// Keeps episodes until `stop`. `changed` is told when one was changed by somebody else.
pub async fn keep(keeper: Keeper, changed: Arc<Notify>, heartbeat: Heartbeat, stop: CancellationToken) {
    // A decision that is under way when the stop comes is undone by its transaction, and made by another process.
    let _ = stop.run_until_cancelled(keeper.follow(&changed, &heartbeat)).await;
}

impl Keeper {
    async fn follow(&self, changed: &Notify, heartbeat: &Heartbeat) {
        let mut next_sweep = self.clock.now();
        let mut patience = Patience::default();
        loop {
            let sleep = match patience.wait(self.turn(&mut next_sweep)).await {
                Ok(sleep) => sleep,
                Err(error) => {
                    tracing::warn!(event = events::KEEPER_FAILED, error = %sanitise(&error.to_string()), "retrying \
                        in 2 s");
                    Duration::from_secs(2)
                }
            };
            tokio::select! {
                biased;
                () = heartbeat.rest(changed.notified()) => {}
                () = tokio::time::sleep(sleep.min(LONGEST_SLEEP)) => {}
            }
        }
    }
}

/// What decisions of one transaction depend on.
struct Policy {
    routes: Vec<Route>,
    silences: Vec<Silence>,
}

/// What was decided about some episodes, to be written.
#[derive(Default)]
struct Decided {
    changes: Vec<Change>,
    events: Vec<NewEvent>,
    /// What is to be told, and to whom; an end is told to those who heard of the beginning.
    tellings: Vec<(Occasion, Happening, Vec<Audience>)>,
}

impl Keeper {
    /// A keeper.
    pub fn new(connections: impl Into<Connections>, clock: Clock, timings: Timings, templates: Templates) -> Self {
        Self { connections: connections.into(), clock, timings, templates }
    }

    /// Looks at everything that is due now; answers how long there is nothing to do.
    ///
    /// # Errors
    /// When the database refuses; what was committed before stays.
    pub async fn tick(&self) -> Result<Duration> {
        loop {
            let now = self.clock.now();
            let mut tx = self.connections.now().begin_with(BEGIN).await?;
            rows::settle(&mut tx, now).await?;
            let due = rows::due(&mut tx, now, BATCH).await?;
            let found = due.len();
            if found > 0 {
                self.decide(&mut tx, due, now).await?;
            }
            tx.commit().await?;
            if i64::try_from(found).unwrap_or(0) < BATCH {
                break;
            }
        }
        let next = rows::next_due(&self.connections.now()).await?;
        let wait = next.map(|next| (next - self.clock.now()).to_std().unwrap_or_default());
        // Due, but held by another keeper just now: it will have moved it on in a moment.
        Ok(wait.map_or(LONGEST_SLEEP, |wait| wait.max(Duration::from_millis(50))))
    }

    async fn turn(&self, next_sweep: &mut DateTime<Utc>) -> Result<Duration> {
        if self.clock.now() >= *next_sweep {
            *next_sweep = self.clock.now() + SWEEP_EVERY;
            self.sweep().await?;
        }
        self.tick().await
    }

    /// Sets deliveries going again whose step was given up.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn sweep(&self) -> Result<usize> {
        let mut tx = self.connections.now().begin_with(BEGIN).await?;
        let forgotten = delivery::forgotten(&mut tx, self.clock.now(), PATIENCE_SECONDS).await?;
        let steps: Vec<_> = forgotten.iter().map(|id| deliver_alert::step(*id, Duration::ZERO)).collect();
        if !steps.is_empty() {
            step::enqueue(&mut *tx, &self.clock, None, &steps).await?;
        }
        tx.commit().await?;
        Ok(forgotten.len())
    }

    async fn decide(&self, tx: &mut PgConnection, due: Vec<Due>, now: DateTime<Utc>) -> Result<()> {
        let policy =
            Policy { routes: routes::list(&mut *tx).await?, silences: silence::in_force(&mut *tx, now).await? };
        let mut decided = Decided::default();
        for one in due {
            self.decide_one(one, &policy, now, &mut decided)?;
        }
        let Decided { changes, events, tellings } = decided;
        let deliveries = self.address(tx, tellings, now).await?;
        let fresh = rows::record(tx, now, &changes, &events, &deliveries).await?;
        let steps: Vec<_> = fresh.iter().map(|id| deliver_alert::step(*id, Duration::ZERO)).collect();
        if !steps.is_empty() {
            step::enqueue(tx, &self.clock, None, &steps).await?;
        }
        for event in &events {
            let messages = deliveries.iter().filter(|delivery| delivery.alert_id == event.alert_id).count();
            tracing::info!(
                event = events::ALERT_DECIDED, alert_id = %event.alert_id, alert_event = event.event,
                reason = event.reason, withheld = event.withheld, deliveries = messages,
            );
        }
        Ok(())
    }

    fn decide_one(&self, mut due: Due, policy: &Policy, now: DateTime<Utc>, decided: &mut Decided) -> Result<()> {
        let mut episode = due.row.episode()?;
        let mut subject = subject(&due);
        let given = Circumstances {
            withheld_until: route::withheld_until(&policy.silences, &subject, now),
            escalations: route::escalations(&policy.routes, &subject),
        };
        let happening = episode.decide(&given, &self.timings, now);
        if let Some(happening) = happening {
            due.row.last_seq += 1;
            decided.events.push(NewEvent {
                alert_id: due.row.id,
                seq: due.row.last_seq,
                event: happening.event.as_str().to_owned(),
                reason: happening.reason.clone(),
                severity: episode.severity.as_str().to_owned(),
                withheld: happening.audience == episode::Audience::Withheld,
            });
            if happening.audience == episode::Audience::Routes {
                // Routes for what nobody has acknowledged for a time fit as far as people were told of that age.
                subject.unacknowledged_for = episode.acknowledged_at.is_none().then_some(episode.told.age);
                let audiences = route::choose(&policy.routes, &subject, now);
                decided.tellings.push((Occasion::new(&due, &episode), happening, audiences));
            }
        }
        decided.changes.push(due.row.with(&episode).into());
        Ok(())
    }

    /// Makes one delivery of each message, channel and group of recipients.
    async fn address(
        &self,
        tx: &mut PgConnection,
        tellings: Vec<(Occasion, Happening, Vec<Audience>)>,
        now: DateTime<Utc>,
    ) -> Result<Vec<NewDelivery>> {
        let ended: Vec<_> =
            tellings.iter().filter(|(_, told, _)| told.event == Event::Resolved).map(|(on, ..)| on.alert_id).collect();
        let listeners = if ended.is_empty() { Vec::new() } else { rows::listeners(tx, &ended).await? };
        let mut deliveries = Vec::new();
        for (occasion, happening, routed) in tellings {
            let heard: Vec<Audience> = listeners
                .iter()
                .filter(|(id, _)| *id == occasion.alert_id && happening.event == Event::Resolved)
                .map(|(_, audience)| audience.clone())
                .collect();
            let audiences = if heard.is_empty() { routed } else { heard };
            for audience in audiences {
                let id = self.clock.new_id();
                let message = compose::message(&self.templates, &occasion, &happening, &audience, id, now);
                deliveries.push(compose::delivery(&occasion, happening.event, &audience, id, &message));
            }
        }
        Ok(deliveries)
    }
}

fn subject(due: &Due) -> Subject {
    let channel = match &due.scope {
        Scope::Channel { name } => Some(name.clone()),
        _ => None,
    };
    Subject {
        alert_id: Some(due.row.id),
        severity: due.details.severity,
        category: due.category.clone(),
        class: due.class.clone(),
        site: due.site.clone(),
        project: due.project.clone(),
        channel,
        unacknowledged_for: None,
    }
}

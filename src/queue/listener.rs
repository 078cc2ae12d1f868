//! Hears that steps became ready, and that schedules and alerts changed. Losing the connection costs nothing but latency: the pulse
//! looks once a second anyway.
//!
//! What must hold: a connection that is silent is asked now and then whether it lives, since one that died without a word
//! looks like one on which nothing happens.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::sync::Notify;

use crate::domain::failure::sanitise;
use crate::domain::queue::Queue;
use crate::engine::Engine;
use crate::observe::events;
use crate::observe::health::Heartbeat;
use crate::store::alert::ALERT_CHANNEL;
use crate::store::patience::ANSWER;
use crate::store::step::STEP_CHANNEL;
use crate::store::{self, Result, within};

/// The channel on which schedules are announced.
pub(super) const SCHEDULE_CHANNEL: &str = "syncline_schedule";

/// Who is told what this process hears from others, beside the queues.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// A schedule was changed.
    pub schedules: Arc<Notify>,
    /// An alert began, or ended, or became worse.
    pub alerts: Arc<Notify>,
}

/// How long nothing may be heard before the connection is asked whether it lives.
const QUIET: Duration = Duration::from_secs(5);

/// The wait before the first attempt to listen again; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// Listens until the engine drains. `direct_url` names a server that can be listened to, where the pool's cannot (a pooler
/// in transaction mode).
pub(super) async fn listen(engine: Engine, direct_url: Option<String>, heard: Heard, heartbeat: Heartbeat) {
    if direct_url.is_none() && store::is_pooled(&engine.pool()) {
        // LISTEN would stick to a session of the pooler, and what it hears would reach whoever uses that session next.
        return engine.draining().cancelled().await;
    }
    let mut wait = FIRST_WAIT;
    loop {
        let ended = tokio::select! {
            () = engine.draining().cancelled() => return,
            ended = hear(&engine, direct_url.as_deref(), &heard, &mut wait, &heartbeat) => ended,
        };
        if let Err(error) = ended {
            tracing::warn!(event = events::LISTEN_LOST, error = %sanitise(&error.to_string()), "polling once a \
                second until it is back");
        }
        tokio::select! {
            () = engine.draining().cancelled() => return,
            () = heartbeat.rest(tokio::time::sleep(wait)) => {}
        }
        wait = (wait * 2).min(Duration::from_secs(30));
    }
}

async fn hear(
    engine: &Engine,
    direct_url: Option<&str>,
    heard: &Heard,
    wait: &mut Duration,
    heartbeat: &Heartbeat,
) -> Result<()> {
    // A connection of its own, whatever the steps do with theirs.
    let options = match direct_url {
        Some(url) => PgConnectOptions::from_str(url).map_err(store::Error::from)?,
        None => (*engine.pool().connect_options()).clone(),
    };
    let mut listener = within(ANSWER, async {
        let own = PgPoolOptions::new().max_connections(1).connect_with(options).await?;
        let mut listener = PgListener::connect_with(&own).await?;
        listener.listen_all([STEP_CHANNEL, SCHEDULE_CHANNEL, ALERT_CHANNEL]).await?;
        Ok::<_, store::Error>(listener)
    })
    .await?;
    *wait = FIRST_WAIT;
    // What became ready while nobody listened.
    for queue in Queue::ALL {
        engine.slots().wake(queue);
    }
    heard.schedules.notify_one();
    heard.alerts.notify_one();
    loop {
        heartbeat.beat();
        let notification = match tokio::time::timeout(QUIET, listener.try_recv()).await {
            Ok(received) => received?,
            Err(_) => {
                within(ANSWER, store::is_there(&mut listener)).await?;
                continue;
            }
        };
        let Some(notification) = notification else {
            return Ok(());
        };
        if notification.channel() == SCHEDULE_CHANNEL {
            heard.schedules.notify_one();
        } else if notification.channel() == ALERT_CHANNEL {
            heard.alerts.notify_one();
        } else if let Some(queue) = Queue::parse(notification.payload()) {
            engine.slots().wake(queue);
        }
    }
}

//! Hears that steps became ready, and that schedules changed. Losing the connection costs nothing but latency: the pulse
//! looks once a second anyway.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::sync::Notify;

use crate::domain::failure::sanitise;
use crate::domain::queue::Queue;
use crate::engine::Engine;
use crate::store::step::STEP_CHANNEL;

/// The channel on which schedules are announced.
pub(super) const SCHEDULE_CHANNEL: &str = "syncline_schedule";

/// Listens until the engine drains. `direct_url` names a server that can be listened to, where the pool's cannot (a pooler
/// in transaction mode).
pub(super) async fn listen(engine: Engine, direct_url: Option<String>, schedule_changed: Arc<Notify>) {
    let mut wait = Duration::from_millis(200);
    loop {
        let heard = tokio::select! {
            () = engine.draining().cancelled() => return,
            heard = hear(&engine, direct_url.as_deref(), &schedule_changed) => heard,
        };
        if let Err(error) = heard {
            tracing::warn!(event = "listen_lost", error = %sanitise(&error.to_string()), "polling once a second until it is back");
        }
        tokio::select! {
            () = engine.draining().cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
        wait = (wait * 2).min(Duration::from_secs(30));
    }
}

async fn hear(engine: &Engine, direct_url: Option<&str>, schedule_changed: &Notify) -> Result<(), sqlx::Error> {
    let own_pool = match direct_url {
        Some(url) => Some(PgPoolOptions::new().max_connections(1).connect(url).await?),
        None => None,
    };
    let mut listener = PgListener::connect_with(own_pool.as_ref().unwrap_or(engine.pool())).await?;
    listener.listen_all([STEP_CHANNEL, SCHEDULE_CHANNEL]).await?;
    // What became ready while nobody listened.
    for queue in Queue::ALL {
        engine.slots().wake(queue);
    }
    schedule_changed.notify_one();
    loop {
        let Some(notification) = listener.try_recv().await? else {
            return Ok(());
        };
        if notification.channel() == SCHEDULE_CHANNEL {
            schedule_changed.notify_one();
        } else if let Some(queue) = Queue::parse(notification.payload()) {
            engine.slots().wake(queue);
        }
    }
}

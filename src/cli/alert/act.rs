//! `syncline alert ack`, `resolve` and `unsilence`.

use uuid::Uuid;

use super::super::{Context, Error};
use super::maintenance;
use super::show::find;
use crate::store::alert::{admin, silence};

pub(super) async fn acknowledge(context: &Context, text: &str, note: &str) -> Result<(), Error> {
    let alert = find(context, text).await?;
    if let Some(by) = alert.acknowledged_by.filter(|_| alert.acknowledged_at.is_some()) {
        return context.output.done(&format!("{by} has acknowledged it already"), &done(alert.id, "unchanged"));
    }
    if !admin::acknowledge(&context.pool, context.clock.now(), alert.id, note, &context.actor()).await? {
        return Err(Error::failure("the alert is over: there is nothing to acknowledge"));
    }
    let text =
        format!("acknowledged: {}, {}; a message follows when it gets worse or is over", alert.about, alert.class);
    context.output.done(&text, &done(alert.id, "acknowledged"))
}

pub(super) async fn resolve(context: &Context, text: &str) -> Result<(), Error> {
    let alert = find(context, text).await?;
    if !admin::resolve(&context.pool, context.clock.now(), alert.id, &context.actor()).await? {
        return Err(Error::failure("the alert is over already"));
    }
    context.output.done("resolved; if the condition still holds, it opens again", &done(alert.id, "resolved"))
}

pub(super) async fn unsilence(context: &Context, text: &str) -> Result<(), Error> {
    let now = context.clock.now();
    let id = match maintenance::named(context, "silence", text).await? {
        Some(id) => id,
        None => find(context, text).await?.id,
    };
    if silence::end(&context.pool, now, "silence", id, &context.actor()).await? == 0 {
        return Err(Error::failure(format!("there is no silence {text:?}"))
            .help("list silences with `syncline alert silence list`"));
    }
    context.output.done(
        "the silence is over; open alerts send their messages now",
        &serde_json::json!({"silence": id, "outcome": "ended"}),
    )
}

/// What was done to an alert, for machines.
fn done(alert: Uuid, outcome: &str) -> serde_json::Value {
    serde_json::json!({"alert_id": alert, "outcome": outcome})
}

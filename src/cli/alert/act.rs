//! `syncline alert ack`, `resolve` and `unsilence`.

use uuid::Uuid;

use super::super::{Context, Error};
use super::show::find;
use crate::store::alert::{admin, silence};

pub(super) async fn acknowledge(context: &Context, text: &str, note: &str) -> Result<(), Error> {
    let alert = find(context, text).await?;
    if let Some(by) = alert.acknowledged_by.filter(|_| alert.acknowledged_at.is_some()) {
        context.output.note(&format!("{by} has acknowledged it already"));
        return Ok(());
    }
    if !admin::acknowledge(&context.pool, context.clock.now(), alert.id, note, &context.actor()).await? {
        return Err(Error::failure("the alert is over: there is nothing to acknowledge"));
    }
    context
        .output
        .note(&format!("acknowledged: {}, {}; you hear of it when it gets worse or is over", alert.about, alert.class));
    Ok(())
}

pub(super) async fn resolve(context: &Context, text: &str) -> Result<(), Error> {
    let alert = find(context, text).await?;
    if !admin::resolve(&context.pool, context.clock.now(), alert.id, &context.actor()).await? {
        return Err(Error::failure("the alert is over already"));
    }
    context.output.note("resolved; if the condition still holds, it opens again");
    Ok(())
}

pub(super) async fn unsilence(context: &Context, text: &str) -> Result<(), Error> {
    let now = context.clock.now();
    let id = match Uuid::parse_str(text.trim()) {
        Ok(id) => id,
        Err(_) => find(context, text).await?.id,
    };
    if silence::end(&context.pool, now, "silence", id, &context.actor()).await? == 0 {
        return Err(Error::failure(format!("nothing is silenced by {text:?}"))
            .help("list silences with `syncline alert silence list`"));
    }
    context.output.note("the silence is over; what is still open is told now");
    Ok(())
}

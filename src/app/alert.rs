//! Alerts: what is wrong, how it went on, and what people do about it.

use chrono::{TimeDelta, Utc};
use uuid::Uuid;

use super::run::bounded;
use super::{Actor, App, Error, Result, Verb, cursor};
use crate::domain::route::{Selector, Silence};
use crate::store::alert::view::{self, AlertFilter};
use crate::store::alert::{admin, silence};
use crate::store::patience::{LONGEST, again, undisturbed};
use crate::store::within;

pub use crate::domain::alert::Details;
pub use crate::store::alert::view::{AlertView as Alert, DeliveryView as Delivery, EventView as Event};

/// The longest silence, in seconds: 90 days.
const LONGEST_SILENCE: i64 = 90 * 86_400;

/// Which alerts.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Those that are over too.
    pub all: bool,
    /// Where the list goes on.
    pub cursor: Option<String>,
    /// At most so many.
    pub limit: Option<i64>,
}

/// Part of the list of alerts.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The newest first.
    pub items: Vec<Alert>,
    /// Leads to the next part; none at the end.
    pub next_cursor: Option<String>,
}

/// Alerts within reach, the newest first. An actor that is limited to projects sees the alerts of those projects.
///
/// # Errors
/// Where the actor may not, or something was asked wrongly.
pub async fn list(app: &App, actor: &Actor, asked: &Asked) -> Result<Listed> {
    actor.may(Verb::ReadAlerts)?;
    let limit = bounded("limit", asked.limit, 25, 1, 500)?;
    let question = format!("alerts {}", asked.all);
    let filter = AlertFilter {
        all: asked.all,
        projects: actor.projects.clone(),
        before: asked.cursor.as_deref().map(|text| cursor::decode(&question, text)).transpose()?,
        newest: true,
        limit: limit + 1,
        ..AlertFilter::default()
    };
    let (pool, now) = (app.pool(), app.clock.now());
    let mut items = again(|| within(LONGEST, view::list(&pool, now, &filter))).await?;
    let has_more = items.len() > usize::try_from(limit).unwrap_or(usize::MAX);
    if has_more {
        items.pop();
    }
    let last = items.last().filter(|_| has_more);
    let next_cursor = last.map(|last| cursor::encode(&question, (last.opened_at, last.id)));
    Ok(Listed { items, next_cursor })
}

/// One alert.
///
/// # Errors
/// Where the actor may not, or there is no such alert within reach.
pub async fn get(app: &App, actor: &Actor, id: Uuid) -> Result<Alert> {
    actor.may(Verb::ReadAlerts)?;
    let filter = AlertFilter {
        all: true,
        id: Some(id.to_string()),
        projects: actor.projects.clone(),
        limit: 1,
        ..AlertFilter::default()
    };
    let (pool, now) = (app.pool(), app.clock.now());
    let found = again(|| within(LONGEST, view::list(&pool, now, &filter))).await?.pop();
    found.ok_or_else(|| {
        Error::not_found(format!("unknown alert {id}")).help("list alerts with `syncline alert list --all`")
    })
}

/// What is wrong, in words; none where another program wrote it in another form.
pub fn details(alert: &Alert) -> Option<Details> {
    serde_json::from_value(alert.details.clone()).ok()
}

/// How an alert went on.
#[derive(Clone, Debug)]
pub struct Story {
    /// The alert.
    pub alert: Alert,
    /// What happened to it, the oldest first.
    pub events: Vec<Event>,
    /// The messages about it.
    pub deliveries: Vec<Delivery>,
}

/// An alert with its events and its messages.
///
/// # Errors
/// Where the actor may not, or there is no such alert within reach.
pub async fn story(app: &App, actor: &Actor, id: Uuid) -> Result<Story> {
    let alert = get(app, actor, id).await?;
    let pool = app.pool();
    let events = again(|| within(LONGEST, view::events(&pool, id))).await?;
    let deliveries = again(|| within(LONGEST, view::deliveries(&pool, id))).await?;
    Ok(Story { alert, events, deliveries })
}

/// The events of several alerts, by alert; for lists that show them all.
///
/// # Errors
/// Where the actor may not.
pub async fn events(app: &App, actor: &Actor, ids: &[Uuid]) -> Result<Vec<(Uuid, Event)>> {
    actor.may(Verb::ReadAlerts)?;
    let pool = app.pool();
    Ok(again(|| within(LONGEST, view::events_of(&pool, ids, actor.projects.as_deref()))).await?)
}

/// Takes an alert on: no more reminders. False when somebody has done so already.
///
/// # Errors
/// Where the actor may not, there is no such alert within reach, or it is over.
pub async fn acknowledge(app: &App, actor: &Actor, id: Uuid, note: &str) -> Result<bool> {
    actor.may(Verb::AcknowledgeAlert)?;
    if note.chars().count() > 1_000 {
        return Err(Error::invalid("note", "note is longer than 1,000 characters").help("say it in fewer words"));
    }
    let alert = get(app, actor, id).await?;
    if alert.acknowledged_at.is_some() && alert.state != "resolved" {
        return Ok(false);
    }
    let (pool, who, now) = (app.pool(), actor.who(), app.clock.now());
    match undisturbed(|| admin::acknowledge(&pool, now, id, note, &who)).await? {
        true => Ok(true),
        false => Err(Error::conflict("the alert is over: there is nothing to acknowledge")
            .help("list open alerts with `syncline alert list`")),
    }
}

/// Ends an alert. If its condition still holds, it opens again.
///
/// # Errors
/// Where the actor may not, there is no such alert within reach, or it is over.
pub async fn resolve(app: &App, actor: &Actor, id: Uuid) -> Result<()> {
    actor.may(Verb::ResolveAlert)?;
    get(app, actor, id).await?;
    let (pool, who, now) = (app.pool(), actor.who(), app.clock.now());
    match undisturbed(|| admin::resolve(&pool, now, id, &who)).await? {
        true => Ok(()),
        false => Err(Error::conflict("the alert is over already").help("list open alerts with `syncline alert list`")),
    }
}

/// Keeps messages about an alert back for so many seconds; answers until when.
///
/// # Errors
/// Where the actor may not, there is no such alert within reach, or the time is out of bounds.
pub async fn silence(app: &App, actor: &Actor, id: Uuid, seconds: i64, reason: &str) -> Result<chrono::DateTime<Utc>> {
    actor.may(Verb::SilenceAlert)?;
    let seconds = bounded("seconds", Some(seconds), 3_600, 1, LONGEST_SILENCE)?;
    get(app, actor, id).await?;
    let now = app.clock.now();
    let ends_at = now + TimeDelta::seconds(seconds);
    let new =
        Silence { id: app.clock.new_id(), alert_id: Some(id), selector: Selector::default(), starts_at: now, ends_at };
    let (pool, who) = (app.pool(), actor.who());
    undisturbed(|| silence::add(&pool, now, "silence", &new, reason, &who)).await?;
    Ok(ends_at)
}

/// Ends the silence of an alert before its time. False when it was not silenced.
///
/// # Errors
/// Where the actor may not, or there is no such alert within reach.
pub async fn unsilence(app: &App, actor: &Actor, id: Uuid) -> Result<bool> {
    actor.may(Verb::SilenceAlert)?;
    get(app, actor, id).await?;
    let (pool, who, now) = (app.pool(), actor.who(), app.clock.now());
    Ok(undisturbed(|| silence::end(&pool, now, "silence", id, &who)).await? > 0)
}

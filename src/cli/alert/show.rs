//! `syncline alert list` and `show`.

use serde::Serialize;

use super::super::output::{Format, span, time, time_or_dash};
use super::super::{Context, Error, Fields, Row, ids};
use crate::domain::alert::Details;
use crate::store::alert::view::{self, AlertFilter, AlertView, DeliveryView, EventView};
use crate::store::ids::Candidate;

pub(super) async fn list(context: &Context, all: bool, limit: i64) -> Result<(), Error> {
    let now = context.clock.now();
    let alerts = view::list(&context.pool, now, &AlertFilter { all, id: None, limit }).await?;
    let rows: Vec<Listed> =
        alerts.into_iter().map(|alert| Listed { age_seconds: (now - alert.opened_at).num_seconds(), alert }).collect();
    context.output.rows(&rows, if all { "no alert yet" } else { "nothing is wrong: no alert is open" })
}

/// The alert that somebody means, or an error that says how to find it.
pub(super) async fn find(context: &Context, text: &str) -> Result<AlertView, Error> {
    let help = "list them with `syncline alert list --all`";
    let id = match ids::latest(context, text).await? {
        Some(project) => {
            let latest = crate::store::ids::latest_alert(&context.pool, project).await?;
            latest.ok_or_else(|| Error::failure("there is no alert yet").help(help))?.to_string()
        }
        None => text.trim().to_ascii_lowercase(),
    };
    if id.is_empty() || !id.chars().all(|c| c == '-' || c.is_ascii_hexdigit()) {
        return Err(Error::usage(format!("{text:?} does not name an alert"))
            .help(format!("write its id, the first or the last 12 digits of it, `latest` or KEY@latest; {help}")));
    }
    let filter = AlertFilter { all: true, id: Some(id), limit: crate::store::ids::MOST };
    let mut found = view::list(&context.pool, context.clock.now(), &filter).await?;
    match found.len() {
        0 => Err(Error::failure(format!("unknown alert {text:?}")).help(help)),
        1 => Ok(found.remove(0)),
        _ => {
            let about = |alert: &AlertView| format!("{}, {}, {}", alert.about, alert.class, alert.state);
            let candidates: Vec<Candidate> =
                found.iter().map(|alert| Candidate { id: alert.id, about: about(alert) }).collect();
            Err(ids::ambiguous("alert", text, &candidates))
        }
    }
}

pub(super) async fn show(context: &Context, text: &str) -> Result<(), Error> {
    let alert = find(context, text).await?;
    let events = view::events(&context.pool, alert.id).await?;
    let deliveries = view::deliveries(&context.pool, alert.id).await?;
    let output = &context.output;
    let shown = Shown { alert, events, deliveries };
    output.fields(&shown)?;
    if output.format() == Format::Table {
        output.print("")?;
        output.rows(&shown.events, "nothing has happened yet")?;
        output.print("")?;
        output.rows(&shown.deliveries, "no message was sent")?;
    }
    Ok(())
}

#[derive(Serialize)]
struct Listed {
    #[serde(flatten)]
    alert: AlertView,
    age_seconds: i64,
}

impl Row for Listed {
    const HEADERS: &'static [&'static str] = &["ALERT", "STATE", "SEVERITY", "CLASS", "ABOUT", "AGE", "SUMMARY"];
    const SPARE: &'static [&'static str] = &["CLASS", "SEVERITY"];

    fn cells(&self) -> Vec<String> {
        let alert = &self.alert;
        // The last digits of a UUIDv7 are by chance, the first by time: alerts of one moment differ in the last.
        let id = alert.id.to_string();
        vec![
            id.rsplit('-').next().unwrap_or(&id).to_owned(),
            state(alert),
            alert.severity.clone(),
            alert.class.clone(),
            alert.about.clone(),
            span(self.age_seconds),
            summary(alert),
        ]
    }
}

fn counted(count: i64, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

/// The state with what people did to it.
fn state(alert: &AlertView) -> String {
    match (alert.state.as_str(), alert.silenced_until, alert.acknowledged_at) {
        ("resolved", ..) => "resolved".into(),
        (state, Some(_), _) => format!("{state}, silenced"),
        (state, None, Some(_)) => format!("{state}, acknowledged"),
        (state, None, None) => state.to_owned(),
    }
}

fn details(alert: &AlertView) -> Option<Details> {
    serde_json::from_value(alert.details.clone()).ok()
}

fn summary(alert: &AlertView) -> String {
    details(alert).map(|details| details.summary).unwrap_or_default()
}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    alert: AlertView,
    events: Vec<EventView>,
    deliveries: Vec<DeliveryView>,
}

impl Fields for Shown {
    fn fields(&self) -> Vec<(&'static str, String)> {
        let alert = &self.alert;
        let mut fields = vec![
            ("alert", alert.id.to_string()),
            ("about", alert.about.clone()),
            ("state", state(alert)),
            ("severity", alert.severity.clone()),
            ("class", format!("{} ({})", alert.class, alert.category)),
        ];
        if let Some(details) = details(alert) {
            fields.extend([
                ("summary", details.summary),
                ("advice", details.advice),
                ("since", time(details.since)),
                ("times in a row", details.count.to_string()),
                ("last error", details.last_error.unwrap_or_default()),
                ("last run", details.run_id.map(|id| id.to_string()).unwrap_or_default()),
                ("rung", if details.rung > 0 { details.rung.to_string() } else { String::new() }),
                ("next try", details.next_try_at.map(time).unwrap_or_default()),
                ("projects", details.projects.join(", ")),
            ]);
        }
        let optional = |at: Option<chrono::DateTime<chrono::Utc>>| at.map(time).unwrap_or_default();
        let by = alert.acknowledged_by.as_deref().unwrap_or("-");
        fields.extend([
            ("opened", time(alert.opened_at)),
            ("seen last", time(alert.seen_at)),
            ("came back", if alert.flaps > 0 { counted(alert.flaps.into(), "time") } else { String::new() }),
            ("told last", time_or_dash(alert.told_at)),
            ("acknowledged", alert.acknowledged_at.map(|at| format!("{} by {by}", time(at))).unwrap_or_default()),
            ("note", alert.note.clone().unwrap_or_default()),
            ("silenced until", optional(alert.silenced_until)),
            ("speaks for", if alert.children > 0 { counted(alert.children, "project") } else { String::new() }),
            ("spoken for by", alert.parent_id.map(|id| id.to_string()).unwrap_or_default()),
            ("resolved", optional(alert.resolved_at)),
        ]);
        fields
    }
}

impl Row for EventView {
    const HEADERS: &'static [&'static str] = &["AT", "EVENT", "SEVERITY", "BY", "REASON"];

    fn cells(&self) -> Vec<String> {
        let withheld = if self.withheld { " (no message: silence or maintenance)" } else { "" };
        vec![
            time(self.at),
            self.event.clone(),
            self.severity.clone(),
            self.actor.clone().unwrap_or_else(|| "-".into()),
            format!("{}{withheld}", self.reason),
        ]
    }
}

impl Row for DeliveryView {
    const HEADERS: &'static [&'static str] =
        &["DECIDED", "EVENT", "CHANNEL", "TO", "STATE", "TRIES", "NEXT TRY", "REASON"];

    fn cells(&self) -> Vec<String> {
        let refused = self.refused.as_array().into_iter().flatten();
        let refused: Vec<String> = refused
            .filter_map(|one| Some(format!("{} refused: {}", one.get("to")?.as_str()?, one.get("message")?.as_str()?)))
            .collect();
        let reason = self.reason.iter().filter(|_| self.state != "delivered").cloned().chain(refused);
        vec![
            time(self.created_at),
            self.event.clone(),
            self.channel.clone(),
            if self.recipients.is_empty() { "-".into() } else { self.recipients.clone() },
            self.state.clone(),
            self.attempts.to_string(),
            time_or_dash(self.next_try_at),
            reason.collect::<Vec<_>>().join("; "),
        ]
    }
}

//! Alerts, the audit, and who asks.

use async_graphql::{Context, Enum, ID, Json, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::super::loaders::EventsOf;
use super::{PageInfo, loaders};
use crate::app::Actor;
use crate::app::alert as app;
use crate::app::audit::Entry;

/// How bad an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum Severity {
    /// Good to know.
    Info,
    /// Somebody should look at it.
    Warning,
    /// Somebody must do something.
    Error,
    /// Somebody must do something now.
    Critical,
}

/// Something that is wrong, from its beginning to its end.
pub struct Alert(pub app::Alert);

#[Object]
impl Alert {
    /// Its id.
    async fn id(&self) -> ID {
        self.0.id.into()
    }
    /// The class of what is wrong, such as TOKEN_EXPIRED.
    async fn class(&self) -> &str {
        &self.0.class
    }
    /// How bad it is.
    async fn severity(&self) -> Severity {
        match self.0.severity.as_str() {
            "critical" => Severity::Critical,
            "error" => Severity::Error,
            "warning" => Severity::Warning,
            _ => Severity::Info,
        }
    }
    /// pending, open, absorbed or resolved.
    async fn state(&self) -> &str {
        &self.0.state
    }
    /// What it is about: site acme, project acme/OPS, channel mail, syncline.
    async fn about(&self) -> &str {
        &self.0.about
    }
    /// What is wrong, in one sentence.
    async fn summary(&self) -> String {
        app::details(&self.0).map(|details| details.summary).unwrap_or_default()
    }
    /// Who must do what.
    async fn advice(&self) -> String {
        app::details(&self.0).map(|details| details.advice).unwrap_or_default()
    }
    /// When it was opened.
    async fn opened_at(&self) -> DateTime<Utc> {
        self.0.opened_at
    }
    /// When it ended.
    async fn resolved_at(&self) -> Option<DateTime<Utc>> {
        self.0.resolved_at
    }
    /// Who takes care of it.
    async fn acknowledged_by(&self) -> Option<&str> {
        self.0.acknowledged_by.as_deref()
    }
    /// What happened to it, the oldest first: seq, at, event, reason, actor, severity, withheld.
    async fn events(&self, context: &Context<'_>) -> Result<Json<Value>> {
        let events = loaders(context).load_one(EventsOf(self.0.id)).await?.unwrap_or_default();
        Ok(Json(json!(events)))
    }
}

/// Part of the list of alerts.
#[derive(SimpleObject)]
pub struct AlertConnection {
    pub nodes: Vec<Alert>,
    pub page_info: PageInfo,
}

/// What somebody changed.
pub struct AuditEntry(pub Entry);

#[Object]
impl AuditEntry {
    /// Its number; grows with time.
    async fn id(&self) -> ID {
        self.0.id.into()
    }
    /// When.
    async fn at(&self) -> DateTime<Utc> {
        self.0.at
    }
    /// Who.
    async fn actor(&self) -> &str {
        &self.0.actor
    }
    /// What was done, such as project.pause.
    async fn action(&self) -> &str {
        &self.0.action
    }
    /// To what: a site, SITE/KEY, a run.
    async fn subject(&self) -> &str {
        &self.0.subject
    }
    /// What it was and what it became; `way` and `address` say how and from where somebody came.
    async fn details(&self) -> Option<Json<Value>> {
        let mut details = match self.0.details.clone() {
            Some(Value::Object(map)) => map,
            Some(other) => serde_json::Map::from_iter([("value".to_owned(), other)]),
            None => serde_json::Map::new(),
        };
        for (name, value) in [("way", &self.0.way), ("address", &self.0.address)] {
            if let Some(value) = value {
                details.insert(name.to_owned(), Value::from(value.clone()));
            }
        }
        (!details.is_empty()).then_some(Json(Value::Object(details)))
    }
}

/// Part of the audit.
#[derive(SimpleObject)]
pub struct AuditConnection {
    pub nodes: Vec<AuditEntry>,
    pub page_info: PageInfo,
}

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum Role {
    /// Look.
    Viewer,
    /// Start, cancel and retry runs, pause and resume projects, handle alerts.
    Operator,
    /// Everything.
    Admin,
}

/// Who asks.
#[derive(SimpleObject)]
pub struct Viewer {
    /// The name, as the audit keeps it.
    id: ID,
    /// The same, for people.
    name: String,
    /// The widest role whose rights the caller has.
    role: Role,
    /// The only projects within reach, by id; null for all.
    projects: Option<Vec<ID>>,
    /// What the caller may do.
    scopes: Vec<String>,
}

impl Viewer {
    /// Of an actor.
    pub fn of(actor: &Actor) -> Self {
        let role = match crate::app::Role::of(&actor.scopes) {
            crate::app::Role::Administrator => Role::Admin,
            crate::app::Role::Operator => Role::Operator,
            crate::app::Role::Viewer => Role::Viewer,
        };
        Self {
            id: ID(actor.name.clone()),
            name: actor.name.clone(),
            role,
            projects: actor.projects.as_ref().map(|ids| ids.iter().copied().map(ID::from).collect()),
            scopes: actor.scopes.texts(),
        }
    }
}

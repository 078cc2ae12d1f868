//! What stands around every page: navigation, where one is, who one is.

use chrono::{DateTime, Utc};

use super::assets;
use super::visitor::Visitor;
use crate::app::{Scope, queue};

/// What was just done, in a sentence; none for a key that no act has.
pub(super) fn said(key: &str) -> Option<&'static str> {
    Some(match key {
        "started" => "The run is asked for. It stands here until it ends.",
        "retried" => "A new run is asked for, with the parameters of the old one.",
        "cancelled" => "The run is cancelled; it had not begun.",
        "cancelling" => "The run ends with the steps that are under way. What is written stays.",
        "deleted" => "The run is gone from the history; the audit keeps that it was there.",
        "paused" => "The project is paused: no run begins by itself, and none can be asked for.",
        "resumed" => "The project runs again, from its next slot on.",
        "requeued" => "The steps are brought back.",
        "discarded" => "The steps are given up; they are not tried again.",
        "revoked" => "The token works no more.",
        "acknowledged" => "The alert is acknowledged: no reminder follows.",
        "silenced" => "The alert is silenced until then.",
        "unsilenced" => "The silence is over: what is still open is told now.",
        "resolved" => "The alert is resolved. It opens again if its cause is met again.",
        "ended" => "The session is over; its browser is signed out.",
        "applied" => "The project has another schedule now. The audit keeps the one before.",
        "saved" => "The change is saved.",
        "bulk" => "It is done for all runs that allowed it.",
        "nothing" => "Nothing was changed: it was so already.",
        _ => return None,
    })
}

/// What stands around a page.
#[derive(Clone, Debug)]
pub(super) struct Shell {
    /// The path below which everything stands.
    pub base: String,
    /// The title of the page.
    pub title: String,
    /// The entry of the navigation that it belongs to.
    pub section: &'static str,
    /// The pages above it: address below the base, and name.
    pub crumbs: Vec<(String, String)>,
    /// `light`, `dark`, or nothing.
    pub theme: &'static str,
    /// Now.
    pub now: DateTime<Utc>,
    /// The name of who looks.
    pub name: String,
    /// Whether there is somebody to sign out.
    pub signs_in: bool,
    /// What was just done.
    pub said: Option<&'static str>,
    /// Whether runs may be started and stopped.
    pub may_operate: bool,
    /// Whether everything may be changed.
    pub may_admin: bool,
    /// Steps that nobody tries any more.
    pub dead: i64,
    /// Whether the navigation stands beside the page.
    pub is_bare: bool,
}

impl Shell {
    /// What stands around a page of the visitor.
    pub(super) async fn of(visitor: &Visitor, section: &'static str, title: impl Into<String>) -> Self {
        // What cannot be counted now is left out: the page itself says what is wrong.
        let dead = queue::dead_count(visitor.app(), &visitor.actor).await.unwrap_or(0);
        Self { dead, ..Self::quiet(visitor, section, title) }
    }

    /// The same without asking the database for anything.
    pub(super) fn quiet(visitor: &Visitor, section: &'static str, title: impl Into<String>) -> Self {
        let grants = |scope| visitor.actor.scopes.grant(scope);
        Self {
            base: visitor.base().to_owned(),
            title: title.into(),
            section,
            crumbs: Vec::new(),
            theme: visitor.theme,
            now: visitor.now,
            name: visitor.actor.name.clone(),
            signs_in: visitor.actor.session.is_some(),
            said: visitor.said.as_deref().and_then(said),
            may_operate: grants(Scope::Operate),
            may_admin: grants(Scope::Admin),
            dead: 0,
            is_bare: false,
        }
    }

    /// Around a page for somebody unknown.
    pub(super) fn bare(base: &str, theme: &'static str, now: DateTime<Utc>, title: &str) -> Self {
        Self {
            base: base.to_owned(),
            title: title.to_owned(),
            section: "",
            crumbs: Vec::new(),
            theme,
            now,
            name: String::new(),
            signs_in: false,
            said: None,
            may_operate: false,
            may_admin: false,
            dead: 0,
            is_bare: true,
        }
    }

    /// The same below other pages.
    pub(super) fn below(mut self, crumbs: &[(&str, &str)]) -> Self {
        self.crumbs = crumbs.iter().map(|(path, name)| ((*path).to_owned(), (*name).to_owned())).collect();
        self
    }

    /// The address of an asset.
    pub(super) fn asset(&self, name: &str) -> String {
        format!("{}/assets/{}", self.base, assets::address(name))
    }

    /// Now, as the script reads it.
    pub(super) fn stamp(&self) -> String {
        self.now.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
    }

    /// The program's version.
    pub(super) fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }
}

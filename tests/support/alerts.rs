//! Episodes without a network: a clock that is moved by hand, a keeper, and channels that do as they are told.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::future::BoxFuture;
use sqlx::PgPool;
use syncline::alert::Message;
use syncline::alert::channel::{Channel, Delivered, Kind, Reason, ReasonCode, Undelivered};
use syncline::alert::template::Templates;
use syncline::clock::{Clock, VirtualClock};
use syncline::config::SecretsConfig;
use syncline::domain::alert::{Details, Observation, Scope, Signal};
use syncline::domain::episode::Timings;
use syncline::domain::failure::Severity;
use syncline::domain::queue::Queue;
use syncline::domain::route::{Route, Selector};
use syncline::engine::{Claimed, Engine, EngineOptions};
use syncline::store::alert::{self, channel, route};
use syncline::store::step;
use syncline::telemetry::{self, Channels, DeliverAlert, Keeper};
use uuid::Uuid;

use super::TestDb;

type Answer = Result<Delivered, Undelivered>;
type Script = Box<dyn Fn(&Message) -> Answer + Send + Sync>;

/// What was sent, and how channels answer.
#[derive(Default)]
struct Post {
    sent: Mutex<Vec<(String, Message)>>,
    scripts: Mutex<HashMap<String, Script>>,
    unreachable: Mutex<HashSet<String>>,
}

#[derive(Clone)]
struct Fake {
    name: String,
    post: Arc<Post>,
}

impl std::fmt::Debug for Fake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

impl Channel for Fake {
    fn kind(&self) -> Kind {
        Kind::Log
    }

    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Answer> {
        self.post.sent.lock().unwrap().push((self.name.clone(), message.clone()));
        let answer = match self.post.scripts.lock().unwrap().get(&self.name) {
            Some(script) => script(message),
            None => Ok(Delivered { reference: Some(format!("ref-{}", message.metadata.delivery_id)), refused: vec![] }),
        };
        Box::pin(std::future::ready(answer))
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), Reason>> {
        let is_down = self.post.unreachable.lock().unwrap().contains(&self.name);
        let answer = if is_down { Err(Reason::new(ReasonCode::Unreachable, "connection refused")) } else { Ok(()) };
        Box::pin(std::future::ready(answer))
    }
}

/// A database with two sites and three projects, a keeper and a post office.
pub struct Desk {
    pub db: TestDb,
    pub clock: Clock,
    pub hands: VirtualClock,
    pub timings: Timings,
    pub keeper: Keeper,
    post: Arc<Post>,
    engine: Engine,
}

/// The sites and projects that every desk has.
pub const SITE: Uuid = Uuid::from_u128(0x5173_0000_0000_7000_8000_0000_0000_0001);
pub const PROJECTS: [Uuid; 3] = [Uuid::from_u128(0x11), Uuid::from_u128(0x12), Uuid::from_u128(0x13)];

pub fn start() -> DateTime<Utc> {
    "2026-03-02T09:00:00Z".parse().unwrap()
}

impl Desk {
    pub async fn new() -> Self {
        let db = TestDb::new().await;
        sqlx::query(
            "WITH s AS (INSERT INTO syncline.site (id, name, base_url, account_email, credential)
                        VALUES ($1, 'acme', 'https://acme.example.com', 'bot@example.com', 'env:X') RETURNING id)
             INSERT INTO syncline.project (id, site_id, key) SELECT p.id, s.id, p.key FROM s, unnest($2::uuid[], ARRAY['OPS', 'WEB', 'APP']) AS p (id, key)",
        )
        .bind(SITE)
        .bind(PROJECTS)
        .execute(db.pool())
        .await
        .unwrap();
        let (clock, hands) = Clock::virtual_at(start(), 7);
        let timings = Timings::default();
        let keeper = keeper(db.pool(), &clock, &timings);
        let post = Arc::new(Post::default());
        let engine = engine(db.pool(), &clock, channels(&post));
        Self { db, clock, hands, timings, keeper, post, engine }
    }

    pub fn pool(&self) -> &PgPool {
        self.db.pool()
    }

    /// Another process: a keeper and an engine that know nothing but the database.
    pub fn restart(&mut self) {
        self.keeper = keeper(self.db.pool(), &self.clock, &self.timings);
        self.engine = engine(self.db.pool(), &self.clock, channels(&self.post));
    }

    pub fn another_keeper(&self) -> Keeper {
        keeper(self.db.pool(), &self.clock, &self.timings)
    }

    pub async fn observe(&self, observations: &[Observation]) {
        let mut tx = self.pool().begin().await.unwrap();
        alert::observe(&mut tx, self.clock.now(), observations).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Moves the clock on, stopping wherever something is due, and sends what is to be sent.
    pub async fn pass(&self, by: TimeDelta) {
        let end = self.clock.now() + by;
        loop {
            self.keeper.tick().await.unwrap();
            self.deliver().await;
            let next: Option<DateTime<Utc>> = sqlx::query_scalar("SELECT min(next_action_at) FROM syncline.alert")
                .fetch_one(self.pool())
                .await
                .unwrap();
            match next.filter(|next| *next <= end) {
                Some(next) => self.hands.set(next.max(self.clock.now() + TimeDelta::milliseconds(1))),
                None => break,
            }
        }
        self.hands.set(end);
        self.keeper.tick().await.unwrap();
        self.deliver().await;
    }

    /// Sends what waits to be sent, not what waits for its time.
    pub async fn deliver(&self) {
        let owner = self.engine.epoch().owner;
        step::pulse(self.pool(), owner, "desk", "0", Duration::from_secs(60), &[]).await.unwrap();
        loop {
            let claims = step::claim(self.pool(), &step::Wish::simple(Queue::Control, owner, 1)).await.unwrap();
            let Some(step) = claims.steps.into_iter().next() else { break };
            let permit = self.engine.slots().try_take(Queue::Control).unwrap();
            let claimed = Claimed {
                step: Arc::new(step),
                epoch: self.engine.epoch(),
                permit,
                chain: u8::MAX,
                since: std::time::Instant::now(),
            };
            self.engine.execute(claimed).await;
        }
    }

    /// Makes what waits for its time ready now, and sends it.
    pub async fn retry(&self) {
        self.execute("UPDATE syncline.sync_step SET state = 'ready' WHERE state = 'later'").await;
        self.deliver().await;
    }

    pub async fn execute(&self, sql: &'static str) {
        sqlx::raw_sql(sql).execute(self.pool()).await.unwrap();
    }

    /// How the channel of that name answers from now on.
    pub fn answers(&self, channel: &str, script: impl Fn(&Message) -> Answer + Send + Sync + 'static) {
        self.post.scripts.lock().unwrap().insert(channel.to_owned(), Box::new(script));
    }

    /// From now on channels are what they are configured to be.
    pub fn use_real_channels(&mut self) {
        let channels = Channels::new(SecretsConfig::default(), self.clock.clone());
        self.engine = engine(self.db.pool(), &self.clock, channels);
    }

    /// Whether the channel says, when it is asked, that it cannot be reached.
    pub fn unreachable(&self, channel: &str, is_down: bool) {
        let mut down = self.post.unreachable.lock().unwrap();
        if is_down {
            down.insert(channel.to_owned())
        } else {
            down.remove(channel)
        };
    }

    /// Asks the channels whose turn it is; answers how many are down.
    pub async fn probe(&self) -> usize {
        telemetry::probe_due(self.pool(), &self.clock, &channels(&self.post), None).await.unwrap()
    }

    pub async fn add_channel(&self, name: &str) {
        self.add_channel_of("webhook", name, serde_json::json!({})).await;
    }

    pub async fn add_channel_of(&self, kind: &str, name: &str, settings: serde_json::Value) {
        let new = channel::NewChannel { name: name.to_owned(), kind: kind.to_owned(), settings, credential: None };
        assert!(channel::save(self.pool(), self.clock.now(), &new, false, "test").await.unwrap());
    }

    /// A channel, and a route to it at the end.
    pub async fn add_route(&self, channel: &str, to: &[&str], change: impl FnOnce(&mut Route)) {
        let known = channel::list(self.pool(), Some(channel)).await.unwrap();
        if known.is_empty() {
            self.add_channel(channel).await;
        }
        let mut new = Route {
            id: self.clock.new_id(),
            position: i32::MAX / 4,
            channel: channel.to_owned(),
            to: to.iter().map(|&one| one.to_owned()).collect(),
            cc: vec![],
            bcc: vec![],
            selector: Selector::default(),
            hours: None,
            escalate_after_seconds: None,
            goes_on: false,
        };
        change(&mut new);
        route::add(self.pool(), self.clock.now(), &new, "test").await.unwrap();
    }

    /// What was sent since the last call: channel and event.
    pub fn told(&self) -> Vec<String> {
        let sent = std::mem::take(&mut *self.post.sent.lock().unwrap());
        sent.iter().map(|(channel, message)| format!("{channel} {}", message.metadata.event.as_str())).collect()
    }

    /// The messages themselves.
    pub fn messages(&self) -> Vec<Message> {
        std::mem::take(&mut *self.post.sent.lock().unwrap()).into_iter().map(|(_, message)| message).collect()
    }

    pub async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(self.pool()).await.unwrap()
    }

    pub async fn text(&self, sql: &'static str) -> String {
        sqlx::query_scalar(sql).fetch_one(self.pool()).await.unwrap()
    }

    pub async fn only_alert(&self) -> Uuid {
        sqlx::query_scalar("SELECT id FROM syncline.alert").fetch_one(self.pool()).await.unwrap()
    }
}

fn keeper(pool: &PgPool, clock: &Clock, timings: &Timings) -> Keeper {
    Keeper::new(pool.clone(), clock.clone(), timings.clone(), Templates::built_in())
}

fn channels(post: &Arc<Post>) -> Channels {
    let post = Arc::clone(post);
    Channels::opened_by(move |definition| Ok(Arc::new(Fake { name: definition.name.clone(), post: Arc::clone(&post) })))
}

fn engine(pool: &PgPool, clock: &Clock, channels: Channels) -> Engine {
    let steps: Vec<Arc<dyn syncline::engine::Step>> = vec![Arc::new(DeliverAlert::new(channels))];
    Engine::new(pool.clone(), clock.clone(), steps, EngineOptions::default())
}

pub fn project(number: usize) -> Scope {
    Scope::Project { site_id: SITE, project_id: PROJECTS[number] }
}

pub fn site() -> Scope {
    Scope::Site { site_id: SITE }
}

pub fn details(severity: Severity, rung: i16) -> Details {
    Details {
        severity,
        category: "availability".into(),
        since: start(),
        count: 3,
        summary: "The site does not answer".into(),
        advice: "Check its status page.".into(),
        last_error: Some("GET /search answered 503".into()),
        run_id: None,
        rung,
        next_try_at: None,
        projects: vec![],
        facts: vec![],
    }
}

/// A condition that holds.
pub fn firing(scope: Scope, severity: Severity, rung: i16) -> Observation {
    firing_as(scope, "SERVER_ERROR", severity, rung)
}

pub fn firing_as(scope: Scope, class: &str, severity: Severity, rung: i16) -> Observation {
    Observation { scope, class: class.into(), signal: Signal::Firing(Box::new(details(severity, rung))) }
}

/// The same condition, ended.
pub fn cleared(scope: Scope, at: DateTime<Utc>) -> Observation {
    Observation { scope, class: "SERVER_ERROR".into(), signal: Signal::Cleared(at) }
}

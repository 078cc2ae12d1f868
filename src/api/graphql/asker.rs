//! What every resolver of one request works with: who asks, what it may still read, and lists that are read once.
//!
//! What must hold: a list that many rows need (projects, schedules, health) costs one statement per request, however many rows
//! ask for it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::app::feed::Feed;
use crate::app::health::{self, Health};
use crate::app::insight::{self, Score};
use crate::app::live::Live;
use crate::app::project::{self, Project};
use crate::app::schedule::{self, View};
use crate::app::{Actor, App, Error, Result};

/// Rows that the loaders of one request may read.
pub const ROWS: i64 = 20_000;
/// What a statement of its own counts for: a list that asks for one in each of its rows asks for 200 at most.
const STATEMENT: usize = 100;

/// Who asks, and what this request has read.
#[derive(Debug)]
pub struct Asker {
    /// The use cases.
    pub app: App,
    /// Who asks.
    pub actor: Actor,
    /// Runs that are followed.
    pub live: Live,
    /// What changes.
    pub feed: Feed,
    rows: AtomicI64,
    projects: OnceCell<HashMap<Uuid, Arc<Project>>>,
    schedules: OnceCell<HashMap<Uuid, Arc<View>>>,
    health: OnceCell<HashMap<Uuid, Arc<Health>>>,
    scores: OnceCell<(Option<f64>, HashMap<Uuid, Score>)>,
}

impl Asker {
    /// For one request.
    pub fn new(app: App, actor: Actor, live: Live, feed: Feed) -> Self {
        Self {
            app,
            actor,
            live,
            feed,
            rows: AtomicI64::new(ROWS),
            projects: OnceCell::new(),
            schedules: OnceCell::new(),
            health: OnceCell::new(),
            scores: OnceCell::new(),
        }
    }

    /// How many rows may still be read.
    pub fn left(&self) -> i64 {
        self.rows.load(Ordering::Relaxed).max(0)
    }

    /// Counts rows that were read.
    ///
    /// # Errors
    /// When they were more than were left.
    pub fn spend(&self, rows: usize) -> Result<()> {
        let rows = i64::try_from(rows).unwrap_or(i64::MAX);
        match self.rows.fetch_sub(rows, Ordering::Relaxed) < rows {
            true => Err(Error::invalid("query", format!("the request reads more than {ROWS} rows"))
                .help("ask for fewer at once: a smaller first, or pages of comments instead of all of them")),
            false => Ok(()),
        }
    }

    /// Counts a statement that is no loader's: it belongs to one row alone.
    ///
    /// # Errors
    /// When there were too many.
    pub fn statement(&self) -> Result<()> {
        self.spend(STATEMENT)
    }

    /// The projects within reach, removed ones too.
    ///
    /// # Errors
    /// Where the actor may not.
    pub async fn projects(&self) -> Result<&HashMap<Uuid, Arc<Project>>> {
        let read = || async {
            let all = project::list(&self.app, &self.actor, true).await?;
            Ok::<_, Error>(all.into_iter().map(|one| (one.id, Arc::new(one))).collect())
        };
        self.projects.get_or_try_init(read).await
    }

    /// A project.
    ///
    /// # Errors
    /// Where the actor may not, or there is no such project within reach.
    pub async fn project(&self, id: Uuid) -> Result<Arc<Project>> {
        self.projects().await?.get(&id).cloned().ok_or_else(|| {
            Error::not_found(format!("unknown project {id}")).help("the query `projects` lists them with their ids")
        })
    }

    /// The schedule of a project.
    ///
    /// # Errors
    /// Where the actor may not.
    pub async fn schedule(&self, id: Uuid) -> Result<Option<Arc<View>>> {
        let read = || async {
            let all = schedule::list(&self.app, &self.actor, None).await?;
            Ok::<_, Error>(all.into_iter().map(|one| (one.project_id, Arc::new(one))).collect())
        };
        let all: &HashMap<_, _> = self.schedules.get_or_try_init(read).await?;
        Ok(all.get(&id).cloned())
    }

    /// The health of a project; none where it was removed.
    ///
    /// # Errors
    /// Where the actor may not.
    pub async fn health(&self, id: Uuid) -> Result<Option<Arc<Health>>> {
        let read = || async {
            let all = health::list(&self.app, &self.actor, None).await?;
            Ok::<_, Error>(all.into_iter().map(|one| (one.row.project_id, Arc::new(one))).collect())
        };
        let all: &HashMap<_, _> = self.health.get_or_try_init(read).await?;
        Ok(all.get(&id).cloned())
    }

    /// The score of a project; none while it is paused, or before its first run.
    ///
    /// # Errors
    /// Where the actor may not.
    pub async fn score(&self, id: Uuid) -> Result<Option<Score>> {
        Ok(self.scores().await?.1.get(&id).cloned())
    }

    /// The score of all projects together.
    ///
    /// # Errors
    /// Where the actor may not.
    pub async fn score_of_all(&self) -> Result<Option<f64>> {
        Ok(self.scores().await?.0)
    }

    async fn scores(&self) -> Result<&(Option<f64>, HashMap<Uuid, Score>)> {
        let read = || async {
            let health = insight::health(&self.app, &self.actor, None).await?;
            let scored = health.projects.into_iter().filter_map(|one| Some((one.project_id, one.score?)));
            Ok::<_, Error>((health.score, scored.collect()))
        };
        self.scores.get_or_try_init(read).await
    }
}

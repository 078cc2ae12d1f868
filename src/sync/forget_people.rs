//! `forget_people`: accounts that Jira has closed or anonymised are anonymised here, too.
//!
//! The reading of a site's users begins it, once a day; a batch of rows per step, person by person. It also goes on with what
//! `syncline people forget` could not bring to its end. A run that does not get to the end leaves the rest to the next.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use super::workshop::Workshop;
use crate::domain::queue::Queue;
use crate::engine::{Commit, NewStep, Step, StepContext, StepError};
use crate::store::people::{self, Position};
use crate::store::replica;

pub(super) struct ForgetPeople(pub Arc<Workshop>);

const KIND: &str = "forget_people";
/// Who did it, for the audit.
const ACTOR: &str = "syncline";

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Walk {
    /// What found that there is somebody to forget: steps of one run that do so keep apart.
    cause: String,
    /// Everybody who is to be forgotten is marked; then what is stored is walked through.
    all_marked: bool,
    /// Whose traces are walked for.
    accounts: Vec<String>,
    position: Position,
    number: u32,
}

/// The first step, where somebody is to be forgotten.
pub(super) async fn first(conn: &mut PgConnection, site_id: Uuid, cause: &str) -> Result<Option<NewStep>, StepError> {
    let waiting = people::waiting(conn, site_id).await?;
    let walk = Walk {
        cause: cause.to_owned(),
        all_marked: false,
        accounts: Vec::new(),
        position: Position::default(),
        number: 0,
    };
    Ok((!waiting.is_empty()).then(|| step(&walk)))
}

fn step(walk: &Walk) -> NewStep {
    NewStep::new(Queue::Store, KIND, format!("{}/{}", walk.cause, walk.number)).with(walk).priority(5)
}

impl Step for ForgetPeople {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn run<'a>(&'a self, context: &'a StepContext) -> BoxFuture<'a, Result<Commit, StepError>> {
        Box::pin(async move {
            let walk: Walk = context.payload()?;
            let site_id = self.0.job(context).await?.work.site_id;
            Ok(Commit::effects(move |conn| Box::pin(async move { go_on(conn, site_id, walk).await })))
        })
    }
}

async fn go_on(conn: &mut PgConnection, site_id: Uuid, walk: Walk) -> Result<Vec<NewStep>, StepError> {
    let number = walk.number.saturating_add(1);
    if !walk.all_marked {
        let waiting = people::waiting(&mut *conn, site_id).await?;
        // One person per step: whoever writes pages waits for it.
        let walk = match waiting.iter().find(|account| account.forgotten_at.is_none()) {
            Some(account) => {
                // Whoever is listed stays so: the account is a pseudonym, and its issues change on.
                people::erase_records(&mut *conn, account, true).await?;
                let marks = people::marks_of(&mut *conn, account).await?;
                people::mark(conn, account, &marks, false, ACTOR).await?;
                Walk { number, ..walk }
            }
            None => {
                let accounts = waiting.into_iter().map(|account| account.account_id).collect();
                Walk { accounts, all_marked: true, number, ..walk }
            }
        };
        return Ok(vec![step(&walk)]);
    }
    replica::plan_afresh(conn).await?;
    let forgotten = people::forgotten(&mut *conn, site_id).await?;
    let (next, _) = people::sweep(conn, site_id, &forgotten, &walk.accounts, walk.position, true).await?;
    if let Some(position) = next {
        return Ok(vec![step(&Walk { position, number, ..walk })]);
    }
    for account in &walk.accounts {
        people::erased(conn, site_id, account).await?;
    }
    Ok(Vec::new())
}

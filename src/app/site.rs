//! Sites: which there are, what they offer, and how many requests they are sent at once.

use super::{Actor, App, Error, Result, Verb};
use crate::store::patience::{LONGEST, again, undisturbed};
use crate::store::site::{self, SiteChange};
use crate::store::within;

pub use crate::store::site::{Capability, Site};

/// The most requests that each worker process may send to a site at once.
pub const MOST_AT_ONCE: i32 = 64;

/// All sites in the order of their names.
///
/// # Errors
/// Where the actor may not.
pub async fn list(app: &App, actor: &Actor) -> Result<Vec<Site>> {
    actor.may_everywhere(Verb::ReadSites)?;
    let pool = app.pool();
    Ok(again(|| within(LONGEST, site::list(&pool, None))).await?)
}

/// What a site does not offer, or does not show to the account.
///
/// # Errors
/// Where the actor may not.
pub async fn capabilities(app: &App, actor: &Actor, site: &Site) -> Result<Vec<Capability>> {
    actor.may_everywhere(Verb::ReadSites)?;
    let pool = app.pool();
    Ok(again(|| within(LONGEST, site::capabilities(&pool, site.id))).await?)
}

/// Changes how many requests each worker process may send to a site at once.
///
/// # Errors
/// Where the actor may not, there is no such site, or the number is out of bounds.
pub async fn limit(app: &App, actor: &Actor, name: &str, at_once: i32) -> Result<()> {
    actor.may_everywhere(Verb::LimitSite)?;
    if !(1..=MOST_AT_ONCE).contains(&at_once) {
        return Err(Error::invalid("max_concurrency", format!("max_concurrency is {at_once}"))
            .help(format!("from 1 to {MOST_AT_ONCE}")));
    }
    let pool = app.pool();
    let change = SiteChange { max_concurrency: Some(at_once), ..SiteChange::default() };
    match undisturbed(|| site::update(&pool, name, &change, &actor.name)).await? {
        true => Ok(()),
        false => {
            Err(Error::not_found(format!("unknown site {name:?}")).help("list the sites with `syncline site list`"))
        }
    }
}

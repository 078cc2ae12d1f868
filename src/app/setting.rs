//! Settings: the values in force, where they come from, and changing them while workers run.

use uuid::Uuid;

use super::{Actor, App, Error, Result, Verb, connect, project};
use crate::domain::setting::{BACKOFF_BASE, BACKOFF_MAX, KEYS, MAX_CONCURRENCY};
use crate::store::patience::{LONGEST, again, undisturbed};
use crate::store::setting;
use crate::store::site::{self, SiteChange};
use crate::store::within;

pub use crate::domain::setting::{Effect, Key, Scope};
pub use crate::store::setting::Place;

/// A value in force.
#[derive(Clone, Debug)]
pub struct InForce {
    /// What it is a value of.
    pub key: &'static Key,
    /// The value, in the key's unit.
    pub value: f64,
    /// `project`, `site`, `all`, `configuration` or `default`.
    pub source: &'static str,
}

/// For whom settings are asked or changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// For all.
    All,
    /// For the projects of a site.
    Site(String),
    /// For one project: KEY or SITE/KEY.
    Project(String),
}

struct Found {
    place: Place,
    site: Option<(Uuid, i32)>,
    project_id: Option<Uuid>,
}

async fn find(app: &App, actor: &Actor, target: &Target) -> Result<Found> {
    match target {
        Target::All => Ok(Found { place: Place::all(), site: None, project_id: None }),
        Target::Site(name) => {
            let site = connect::find(app, name).await?;
            let place = Place { scope: Scope::Site, id: site.id, name: site.name };
            Ok(Found { place, site: Some((site.id, site.max_concurrency)), project_id: None })
        }
        Target::Project(named) => {
            let project = project::find(app, actor, named, false).await?;
            let site = connect::find(app, &project.site).await?;
            let place = Place { scope: Scope::Project, id: project.id, name: project::name(&project) };
            Ok(Found { place, site: Some((site.id, site.max_concurrency)), project_id: Some(project.id) })
        }
    }
}

/// Every value in force. For all, a key that belongs to sites alone is left out.
///
/// # Errors
/// Where the actor may not, or the site or project is unknown.
pub async fn list(app: &App, actor: &Actor, target: &Target) -> Result<Vec<InForce>> {
    match target {
        // Who is limited to projects learns of no site beside theirs.
        Target::Site(_) => actor.may_everywhere(Verb::ReadSettings)?,
        _ => actor.may(Verb::ReadSettings)?,
    }
    let found = find(app, actor, target).await?;
    in_force(app, &found).await
}

async fn in_force(app: &App, found: &Found) -> Result<Vec<InForce>> {
    let pool = app.pool();
    let (site_id, project_id) = (found.site.map(|(id, _)| id), found.project_id);
    let set = again(|| within(LONGEST, setting::all_origins(&pool, site_id, project_id))).await?;
    let value = |key: &'static Key| {
        if key.name == MAX_CONCURRENCY.name {
            return found.site.map(|(_, requests)| InForce { key, value: f64::from(requests), source: "site" });
        }
        // What was written by other means and is no value counts for nobody.
        let stored = set.iter().find_map(|(name, scope, value)| {
            let value = value.as_f64().filter(|value| name == key.name && key.takes(*value))?;
            let source = match scope.as_str() {
                "project" => "project",
                "site" => "site",
                _ => "all",
            };
            Some(InForce { key, value, source })
        });
        Some(stored.unwrap_or_else(|| match key.configured.and_then(|path| app.config.number(path)) {
            #[allow(clippy::float_cmp)] // both are written, not computed
            Some(value) if value != key.default => InForce { key, value, source: "configuration" },
            _ => InForce { key, value: key.default, source: "default" },
        }))
    };
    Ok(KEYS.into_iter().filter_map(value).collect())
}

/// A change: a value, or none to remove what is set.
#[derive(Clone, Debug)]
pub struct Change {
    /// The key's name.
    pub key: String,
    /// The value.
    pub value: Option<f64>,
}

/// Changes settings in one go; answers the values in force afterwards.
///
/// # Errors
/// Where the actor may not, the site or project is unknown, a key is unknown or belongs elsewhere, or a value is out of
/// bounds. Nothing is changed then.
pub async fn change(app: &App, actor: &Actor, target: &Target, changes: &[Change]) -> Result<Vec<InForce>> {
    match target {
        Target::Project(_) => actor.may(Verb::ChangeSettings)?,
        _ => actor.may_everywhere(Verb::ChangeSettings)?,
    }
    let found = find(app, actor, target).await?;
    let (mut set, mut unset) = (Vec::new(), Vec::new());
    for change in changes {
        let key = Key::find(&change.key).ok_or_else(|| unknown(&change.key))?;
        check_scope(key, found.place.scope)?;
        match change.value {
            Some(value) if key.takes(value) => set.push((key, value)),
            Some(value) => {
                return Err(Error::invalid(key.name, format!("{key} is {value}, out of what it may be"))
                    .help(format!("write {}", key.expects())));
            }
            None if key.name == MAX_CONCURRENCY.name => {
                return Err(Error::invalid(key.name, format!("{key} always has a value"))
                    .help(format!("set another one, such as {}", key.default)));
            }
            None => unset.push(key),
        }
    }
    check_ladder(app, &found, &set).await?;
    let (of_site, stored): (Vec<_>, Vec<_>) = set.into_iter().partition(|(key, _)| key.name == MAX_CONCURRENCY.name);
    let (pool, who) = (app.pool(), actor.who());
    if let Some((_, requests)) = of_site.first() {
        #[allow(clippy::cast_possible_truncation)] // whole, and within its bounds
        let change = SiteChange { max_concurrency: Some(*requests as i32), ..SiteChange::default() };
        undisturbed(|| site::update(&pool, &found.place.name, &change, who.name)).await?;
    }
    if !stored.is_empty() {
        undisturbed(|| setting::set(&pool, &found.place, &stored, &who)).await?;
    }
    for key in unset {
        undisturbed(|| setting::unset(&pool, &found.place, key, &who)).await?;
    }
    let found = find(app, actor, target).await?;
    in_force(app, &found).await
}

/// The first wait of the ladder is not longer than its longest.
async fn check_ladder(app: &App, found: &Found, set: &[(&'static Key, f64)]) -> Result<()> {
    let changed = |key: &Key| set.iter().find(|(other, _)| other.name == key.name).map(|(_, value)| *value);
    if changed(&BACKOFF_BASE).is_none() && changed(&BACKOFF_MAX).is_none() {
        return Ok(());
    }
    let now = in_force(app, found).await?;
    let before = |key: &Key| now.iter().find(|one| one.key.name == key.name).map_or(key.default, |one| one.value);
    let base = changed(&BACKOFF_BASE).unwrap_or_else(|| before(&BACKOFF_BASE));
    let max = changed(&BACKOFF_MAX).unwrap_or_else(|| before(&BACKOFF_MAX));
    if base <= max {
        return Ok(());
    }
    Err(Error::invalid(BACKOFF_BASE.name, format!("{BACKOFF_BASE} is {base}, more than {BACKOFF_MAX}, {max}"))
        .help(format!("write a {BACKOFF_BASE} that is not above {BACKOFF_MAX}")))
}

fn unknown(name: &str) -> Error {
    let name: String = name.chars().take(60).collect();
    let near = KEYS
        .into_iter()
        .map(|key| (strsim::jaro_winkler(&name, key.name), key))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let near = near.map(|(_, key)| format!("did you mean {key}? ")).unwrap_or_default();
    Error::invalid("key", format!("there is no setting {name:?}")).help(format!("{near}docs/settings.md lists them"))
}

fn check_scope(key: &'static Key, scope: Scope) -> Result<()> {
    if key.scopes.contains(&scope) {
        return Ok(());
    }
    let (of, help) = match key.scopes {
        [Scope::Site] => ("a site", "set it for a site"),
        _ => ("all", "set it for all: it is about whole processes"),
    };
    Err(Error::invalid(key.name, format!("{key} is a setting of {of}")).help(help))
}

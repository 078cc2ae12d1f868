//! `syncline config set`, `get`, `unset` and `list`.

use serde::Serialize;
use serde_json::Value;

use super::super::output::{Format, time};
use super::super::{Context, Error, Row, site};
use super::{PlaceArgs, PlacesArgs, Where, place};
use crate::config::Setting;
use crate::domain::setting::{BACKOFF_BASE, BACKOFF_MAX, Effect, Key, MAX_CONCURRENCY, Scope};
use crate::store::setting::{self, Place, StoredSetting};
use crate::store::site::{self as sites, SiteChange};

/// The value in force.
#[derive(Serialize)]
struct InForce {
    key: &'static str,
    value: Value,
    unit: &'static str,
    from: String,
}

pub(super) async fn set(values: &[(&'static Key, f64)], args: &PlacesArgs, context: &Context) -> Result<(), Error> {
    let places = args.choose(context).await?;
    // They are of one scope.
    for (key, _) in values {
        places.first().map_or(Ok(()), |place| check_scope(key, place.scope))?;
    }
    let after = |key: &Key| values.iter().find(|(other, _)| other.name == key.name).map(|(_, value)| *value);
    if let (Some(base), Some(max)) = (after(&BACKOFF_BASE), after(&BACKOFF_MAX))
        && base > max
    {
        return Err(Error::usage(format!("{BACKOFF_BASE} is {base}, more than {BACKOFF_MAX}, {max}"))
            .help(format!("write a {BACKOFF_BASE} of at most {BACKOFF_MAX}")));
    }
    args.agree(&format!("set {} for", names(values.iter().map(|(key, _)| *key))), &places, context)?;
    let mut done = Vec::with_capacity(values.len() * places.len());
    for place in &places {
        write(values, place, context).await?;
        for (key, value) in values {
            let from_when = match key.effect {
                Effect::NextRun => "from the next run on",
                Effect::Soon => "in every process within a few seconds",
            };
            let value = key.stored(*value);
            if context.output.format() == Format::Table {
                context.output.note(&format!("set for {}: {key} = {value}, {from_when}", place.name));
            }
            done.push(
                serde_json::json!({"for": place.name, "key": key.name, "value": value, "unit": key.unit, "outcome": "set"}),
            );
        }
    }
    match context.output.format() {
        Format::Table => Ok(()),
        Format::Json | Format::Jsonl => context.output.result("", &done),
    }
}

async fn write(values: &[(&'static Key, f64)], place: &Place, context: &Context) -> Result<(), Error> {
    let (of_site, stored): (Vec<_>, Vec<_>) =
        values.iter().copied().partition(|(key, _)| key.name == MAX_CONCURRENCY.name);
    if let Some((_, requests)) = of_site.first() {
        #[allow(clippy::cast_possible_truncation)] // whole, and within its bounds
        let change = SiteChange { max_concurrency: Some(*requests as i32), ..SiteChange::default() };
        sites::update(&context.pool, &place.name, &change, &context.actor()).await?;
    }
    if !stored.is_empty() {
        setting::set(&context.pool, place, &stored, &context.actor()).await?;
    }
    Ok(())
}

fn names<'a>(keys: impl Iterator<Item = &'a Key>) -> String {
    keys.map(|key| key.name).collect::<Vec<_>>().join(", ")
}

fn check_scope(key: &Key, scope: Scope) -> Result<(), Error> {
    if key.scopes.contains(&scope) {
        return Ok(());
    }
    let help = match key.scopes {
        [Scope::Site] => "give --site SITE",
        _ => "leave out --site and --project: it applies to whole processes",
    };
    Err(Error::usage(format!("{key} cannot be set for {}", words(scope))).help(help))
}

const fn words(scope: Scope) -> &'static str {
    match scope {
        Scope::All => "all at once",
        Scope::Site => "a site",
        Scope::Project => "a project",
    }
}

pub(super) async fn get(
    key: &'static Key,
    args: &PlaceArgs,
    configured: &[Setting],
    context: &Context,
) -> Result<(), Error> {
    let found = place(args, context).await?;
    let in_force = effective(key, &found, configured, context).await?;
    let text = format!("{} {} (from {})", in_force.value, in_force.unit, in_force.from);
    context.output.result(&text, &in_force)
}

async fn effective(
    key: &'static Key,
    found: &Where,
    configured: &[Setting],
    context: &Context,
) -> Result<InForce, Error> {
    let answer = |value: Value, from: String| InForce { key: key.name, value, unit: key.unit, from };
    if key.name == MAX_CONCURRENCY.name {
        let name = found.place.name.split('/').next().unwrap_or_default();
        if found.place.scope == Scope::All {
            return Err(Error::usage(format!("{key} belongs to a site")).help("give --site SITE"));
        }
        let site = site::find(context, name).await?;
        return Ok(answer(site.max_concurrency.into(), format!("site {name}")));
    }
    let set = setting::origins(&context.pool, key, found.site_id, found.project_id).await?;
    // What was written by other means and is no value counts for nobody.
    let number = |value: &Value| value.as_f64().filter(|value| key.takes(*value));
    if let Some((scope, value)) = set.into_iter().find_map(|(scope, value)| Some((scope, number(&value)?))) {
        return Ok(answer(key.stored(value), format!("setting of {}", of(&scope))));
    }
    let configured = key.configured.and_then(|path| configured.iter().find(|setting| setting.key == path));
    Ok(match configured.and_then(|setting| Some((setting.value.parse::<f64>().ok()?, &setting.origin))) {
        Some((value, origin)) => answer(key.stored(value), format!("configuration: {origin}")),
        None => answer(key.stored(key.default), "default".into()),
    })
}

fn of(scope: &str) -> &str {
    match scope {
        "site" => "the site",
        "project" => "the project",
        _ => "all",
    }
}

/// Takes settings back. Of several places those count where there is something to take back; of one, it must be there.
pub(super) async fn unset(keys: &[&'static Key], args: &PlacesArgs, context: &Context) -> Result<(), Error> {
    let places = args.choose(context).await?;
    if let Some(key) = keys.iter().find(|key| key.name == MAX_CONCURRENCY.name) {
        return Err(Error::usage(format!("{key} always has a value"))
            .help(format!("set another value, e.g. {key}={}", key.default)));
    }
    args.agree(&format!("remove {} of", names(keys.iter().copied())), &places, context)?;
    let mut done = Vec::new();
    for place in &places {
        for key in keys {
            if setting::unset(&context.pool, place, key, &context.actor()).await? {
                if context.output.format() == Format::Table {
                    context.output.note(&format!("{key} is no longer set for {}", place.name));
                }
                done.push(serde_json::json!({"for": place.name, "key": key.name, "outcome": "unset"}));
            }
        }
    }
    let is_one = args.is_named() && places.len() == 1 && keys.len() == 1;
    match (done.as_slice(), context.output.format()) {
        ([], _) => {
            let place = match places.as_slice() {
                [one] => one.name.clone(),
                several => format!("any of {}", several.len()),
            };
            Err(Error::failure(format!("{} is not set for {place}", names(keys.iter().copied())))
                .help("list the stored settings with `syncline config list`"))
        }
        (_, Format::Table) => Ok(()),
        ([one], _) if is_one => context.output.result("", one),
        (several, _) => context.output.result("", &several),
    }
}

pub(super) async fn list(context: &Context) -> Result<(), Error> {
    let settings = setting::list(&context.pool).await?;
    context.output.rows(&settings, "no stored settings: the configuration applies (`syncline config show`)")
}

impl Row for StoredSetting {
    const HEADERS: &'static [&'static str] = &["FOR", "KEY", "VALUE", "UNIT", "SET BY", "AT"];

    fn cells(&self) -> Vec<String> {
        let known = Key::find(&self.key);
        let counts = known.is_some_and(|key| self.value.as_f64().is_some_and(|value| key.takes(value)));
        vec![
            self.place.clone().unwrap_or_else(|| "(gone)".into()),
            self.key.clone(),
            if counts { self.value.to_string() } else { format!("{} (invalid value, ignored)", self.value) },
            known.map_or("-", |key| key.unit).into(),
            self.updated_by.clone(),
            time(self.updated_at),
        ]
    }
}

//! `syncline config`: what a process is told when it starts, and what may be set while it runs.
//!
//! The configuration (`show`) belongs to the process: defaults, file, environment, flags. Settings (`set`, `get`, …) belong
//! to the database, count for every process, and stand before the configuration.

mod places;
mod set;
mod trial;

use clap::Subcommand;

use self::places::PlacesArgs;
use super::{Context, Error, Output, Row, completing, project, site};
use crate::config::{Loaded, Setting};
use crate::domain::setting::{Key, Scope};
use crate::store::setting::Place;

/// Show the configuration; set, test and list settings that change while workers run
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The narrowest scope wins: a setting of the project, of its site, of all; then the configuration (flag, environment, \
file,
default). Every key with its bounds: docs/settings.md.")]
pub struct ConfigArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the configuration of this process: every key, its value and its source; secrets are hidden
    Show,
    /// Change settings of a sync without a restart
    #[command(after_long_help = "\
Examples:
  syncline config set page_size=50 overlap_seconds=600 --project acme/WEB
  syncline config set workers=16
  syncline config set max_concurrency=4 --site acme
  syncline config set page_size=50 --project OPS --project WEB
  syncline config set page_size=50 --site acme --filter shop")]
    Set {
        /// What to set
        #[arg(required = true, value_name = "KEY=VALUE", add = completing::assignments())]
        values: Vec<String>,
        #[command(flatten)]
        places: PlacesArgs,
    },
    /// Print the effective value of a setting and its source
    Get {
        /// Its name
        #[arg(add = completing::settings())]
        key: String,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Remove settings; the value of the next wider scope applies again
    Unset {
        /// Their names
        #[arg(required = true, value_name = "KEY", add = completing::settings())]
        keys: Vec<String>,
        #[command(flatten)]
        places: PlacesArgs,
    },
    /// List the stored settings; they take precedence over the configuration
    List,
    /// Estimate requests, time and points with other settings, from the project's past runs
    #[command(after_long_help = "\
Example:
  syncline config test page_size=50 partition_target_issues=2000 --project acme/WEB")]
    Test {
        /// What would be set
        #[arg(required = true, value_name = "KEY=VALUE", add = completing::assignments())]
        values: Vec<String>,
        /// KEY or SITE/KEY
        #[arg(long, required = true, add = completing::projects())]
        project: String,
    },
}

/// For whom.
#[derive(Debug, clap::Args)]
struct PlaceArgs {
    /// Only for the projects of this site
    #[arg(long, conflicts_with = "project", add = completing::sites())]
    site: Option<String>,
    /// Only for this project, as KEY or SITE/KEY
    #[arg(long, add = completing::projects())]
    project: Option<String>,
}

pub(super) fn show(loaded: &Loaded, output: Output) -> Result<(), Error> {
    output.rows(&loaded.settings, "")
}

impl ConfigArgs {
    /// Whether it is about this process alone, without a database.
    pub(super) fn is_offline(&self) -> bool {
        matches!(self.verb, Verb::Show)
    }
}

pub(super) async fn run(args: ConfigArgs, configured: &[Setting], context: &Context) -> Result<(), Error> {
    match args.verb {
        // Handled before a database was needed.
        Verb::Show => Ok(()),
        Verb::Set { values, places } => set::set(&parse(&values)?, &places, context).await,
        Verb::Get { key, place } => set::get(find(&key)?, &place, configured, context).await,
        Verb::Unset { keys, places } => {
            let keys = keys.iter().map(|key| find(key)).collect::<Result<Vec<_>, _>>()?;
            set::unset(&keys, &places, context).await
        }
        Verb::List => set::list(context).await,
        Verb::Test { values, project } => trial::run(&parse(&values)?, &project, context).await,
    }
}

/// The key of that name, or an error that offers the nearest.
fn find(name: &str) -> Result<&'static Key, Error> {
    if let Some(key) = Key::find(name) {
        return Ok(key);
    }
    let near = crate::domain::setting::KEYS
        .into_iter()
        .map(|key| (strsim::jaro_winkler(name, key.name), key))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, key)| format!("did you mean {key}? "));
    Err(Error::usage(format!("{name:?} is not a setting"))
        .help(format!("{}docs/settings.md lists all settings", near.unwrap_or_default())))
}

/// `KEY=VALUE`, each checked by the table of keys.
fn parse(values: &[String]) -> Result<Vec<(&'static Key, f64)>, Error> {
    let mut parsed: Vec<(&'static Key, f64)> = Vec::with_capacity(values.len());
    for text in values {
        let Some((name, value)) = text.split_once('=') else {
            return Err(Error::usage(format!("{text:?} is not KEY=VALUE")).help("write e.g. page_size=50"));
        };
        let key = find(name)?;
        let value = key.parse(value).map_err(|refused| Error::usage(refused.to_string()).help(refused.remedy))?;
        if parsed.iter().any(|(other, _)| other.name == key.name) {
            return Err(Error::usage(format!("{key} is given twice")).help("give each key once"));
        }
        parsed.push((key, value));
    }
    Ok(parsed)
}

/// Where a setting is looked for or made.
struct Where {
    place: Place,
    site_id: Option<uuid::Uuid>,
    project_id: Option<uuid::Uuid>,
}

async fn place(args: &PlaceArgs, context: &Context) -> Result<Where, Error> {
    if let Some(text) = &args.project {
        let project = project::find(context, text, false).await?;
        let site = site::find(context, &project.site).await?;
        let place = Place { scope: Scope::Project, id: project.id, name: project::name(&project) };
        return Ok(Where { place, site_id: Some(site.id), project_id: Some(project.id) });
    }
    if let Some(name) = &args.site {
        let site = site::find(context, name).await?;
        let place = Place { scope: Scope::Site, id: site.id, name: site.name };
        return Ok(Where { place, site_id: Some(site.id), project_id: None });
    }
    Ok(Where { place: Place::all(), site_id: None, project_id: None })
}

impl Row for Setting {
    const HEADERS: &'static [&'static str] = &["KEY", "VALUE", "FROM"];

    fn cells(&self) -> Vec<String> {
        let value = if self.value.is_empty() { "-".to_owned() } else { self.value.clone() };
        vec![self.key.to_owned(), value, self.origin.clone()]
    }
}

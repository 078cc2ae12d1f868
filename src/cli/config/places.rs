//! For whom a setting is made or taken back: for all, for sites, or for projects.
//!
//! What must hold: all are found before the first is changed; what nobody named one by one is counted and confirmed.

use super::super::selection::{Which, agree, counted_names};
use super::super::{Context, Error, completing, project, site};
use crate::domain::setting::Scope;
use crate::store::setting::Place;

/// For whom.
#[derive(Debug, clap::Args)]
pub(super) struct PlacesArgs {
    /// Only for the projects of this site; may be repeated
    #[arg(long = "site", value_name = "SITE", value_delimiter = ',', conflicts_with = "projects", add = completing::sites())]
    sites: Vec<String>,
    /// Only for this project, as KEY or SITE/KEY; may be repeated
    #[arg(long = "project", value_name = "PROJECT", value_delimiter = ',', add = completing::projects())]
    projects: Vec<String>,
    /// Apply to each project separately; with --site, to each project of the site
    #[arg(long, conflicts_with_all = ["projects", "filter"])]
    all: bool,
    /// Apply to each project with this text in its key or name; with --site, to those of the site
    #[arg(long, value_name = "TEXT", conflicts_with = "projects")]
    filter: Option<String>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl PlacesArgs {
    /// The places that are meant, each once.
    ///
    /// # Errors
    /// When a site or a project is not known, or no project matches.
    pub async fn choose(&self, context: &Context) -> Result<Vec<Place>, Error> {
        let mut chosen: Vec<Place> = Vec::new();
        let mut add = |place: Place| {
            if !chosen.contains(&place) {
                chosen.push(place);
            }
        };
        if self.is_of_projects() {
            let sites = if self.sites.is_empty() { vec![None] } else { self.sites.iter().cloned().map(Some).collect() };
            for site in sites {
                let which = Which::of(self.projects.clone(), site, self.filter.clone());
                let projects = which.choose(context, false).await?;
                projects.iter().map(of_project).for_each(&mut add);
            }
            return Ok(chosen);
        }
        for name in &self.sites {
            let site = site::find(context, name).await?;
            add(Place { scope: Scope::Site, id: site.id, name: site.name });
        }
        if chosen.is_empty() {
            chosen.push(Place::all());
        }
        Ok(chosen)
    }

    /// Whether every place was named, or there is no place but all at once.
    pub fn is_named(&self) -> bool {
        !self.all && self.filter.is_none()
    }

    fn is_of_projects(&self) -> bool {
        !self.projects.is_empty() || !self.is_named()
    }

    /// Counts what `act` (`set page_size for`) is about to change; asks where the places were not named one by one.
    ///
    /// # Errors
    /// When nobody agrees, or can be asked.
    pub fn agree(&self, act: &str, chosen: &[Place], context: &Context) -> Result<(), Error> {
        if self.is_named() && chosen.len() == 1 {
            return Ok(());
        }
        let word = if self.is_of_projects() { "project" } else { "site" };
        let names: Vec<String> = chosen.iter().map(|place| place.name.clone()).collect();
        agree(act, &counted_names(word, &names), (self.is_named(), self.yes), context)
    }
}

fn of_project(found: &crate::store::project::Project) -> Place {
    Place { scope: Scope::Project, id: found.id, name: project::name(found) }
}

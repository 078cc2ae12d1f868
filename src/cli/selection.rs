//! Which projects a command acts on: those that are named, or all of a kind.
//!
//! What must hold: all are found before the first is changed, and what nobody named one by one is counted and confirmed
//! before it is changed.

use std::fmt::Write as _;

use super::completing;
use super::confirm::confirm;
use super::{Context, Error, project, site};
use crate::store::project::{Project, ProjectFilter};

/// Names that are told before an act; the rest is counted.
const TOLD: usize = 8;

/// Which projects are shown.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Which {
    /// Projects, each as KEY or SITE/KEY
    #[arg(value_name = "PROJECT", required_unless_present_any = ["site", "all", "filter"], add = completing::projects())]
    projects: Vec<String>,
    /// All projects of this site
    #[arg(long, conflicts_with = "projects", add = completing::sites())]
    site: Option<String>,
    /// All projects
    #[arg(long, conflicts_with_all = ["projects", "site", "filter"])]
    all: bool,
    /// All projects with this text in their key or name
    #[arg(long, value_name = "TEXT", conflicts_with = "projects")]
    filter: Option<String>,
}

/// Which projects are changed.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Selection {
    #[command(flatten)]
    which: Which,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Which {
    /// Projects by name, or all of a site and with a text; all there are where neither is given.
    pub fn of(projects: Vec<String>, site: Option<String>, filter: Option<String>) -> Self {
        let all = projects.is_empty() && site.is_none() && filter.is_none();
        Self { projects, site, all, filter }
    }

    /// The text that names one project, where no more than that was said.
    pub fn one(&self) -> Option<&str> {
        match self.projects.as_slice() {
            [one] => Some(one),
            _ => None,
        }
    }

    /// Whether the projects were named one by one.
    pub fn is_named(&self) -> bool {
        !self.projects.is_empty()
    }

    /// The projects that are meant.
    ///
    /// # Errors
    /// When one of those that were named is not known, or nothing matches.
    pub async fn choose(&self, context: &Context, removed: bool) -> Result<Vec<Project>, Error> {
        let mut chosen: Vec<Project> = Vec::new();
        for text in &self.projects {
            let found = project::find(context, text, removed).await?;
            if !chosen.iter().any(|other| other.id == found.id) {
                chosen.push(found);
            }
        }
        if !self.projects.is_empty() {
            return Ok(chosen);
        }
        let site = match &self.site {
            Some(name) => Some(site::find(context, name).await?.name),
            None => None,
        };
        let all = crate::store::project::list(&context.pool, &ProjectFilter { site, key: None, removed }).await?;
        let wanted = self.filter.as_ref().map(|text| text.to_lowercase());
        let has = |project: &Project, text: &str| {
            project.key.to_lowercase().contains(text) || project.name.to_lowercase().contains(text)
        };
        chosen.extend(all.into_iter().filter(|one| wanted.as_deref().is_none_or(|text| has(one, text))));
        if chosen.is_empty() {
            return Err(Error::failure("no project matches").help("list the projects with `syncline project list`"));
        }
        Ok(chosen)
    }
}

impl Selection {
    /// What was said of the projects, and whether nobody is to be asked.
    pub fn of(which: Which, yes: bool) -> Self {
        Self { which, yes }
    }

    /// The text that names one project, where no more than that was said.
    pub fn one(&self) -> Option<&str> {
        self.which.one()
    }

    /// Whether the projects were named one by one.
    pub fn is_named(&self) -> bool {
        self.which.is_named()
    }

    /// Whether nobody is to be asked.
    pub fn is_agreed(&self) -> bool {
        self.yes
    }

    /// The projects that are meant.
    ///
    /// # Errors
    /// When one of those that were named is not known, or nothing matches.
    pub async fn choose(&self, context: &Context, removed: bool) -> Result<Vec<Project>, Error> {
        self.which.choose(context, removed).await
    }

    /// Counts what `act` is about to do (`pause`, `synchronise`); asks where the projects were not named one by one.
    ///
    /// # Errors
    /// When nobody agrees, or can be asked.
    pub fn agree(&self, act: &str, chosen: &[Project], context: &Context) -> Result<(), Error> {
        if self.one().is_some() || chosen.is_empty() {
            return Ok(());
        }
        agree(act, &counted(chosen), (self.is_named(), self.yes), context)
    }
}

/// Counts what `act` is about to do to several; asks where they were not named one by one.
pub(super) fn agree(act: &str, counted: &str, (named, yes): (bool, bool), context: &Context) -> Result<(), Error> {
    if !named {
        return confirm(&format!("{act} {counted}"), yes);
    }
    let joint = if act.contains(' ') { "" } else { ":" };
    context.output.note(&format!("{act}{joint} {counted}"));
    Ok(())
}

/// `3 projects: acme/A, acme/B, beta/C`.
pub(super) fn counted(chosen: &[Project]) -> String {
    counted_names("project", &chosen.iter().map(project::name).collect::<Vec<_>>())
}

/// The same of whatever has names.
pub(super) fn counted_names(word: &str, names: &[String]) -> String {
    let told = names.iter().take(TOLD).map(String::as_str).collect::<Vec<_>>().join(", ");
    let mut text = format!("{} {}: {told}", names.len(), plural(names.len(), word));
    if names.len() > TOLD {
        let _ = write!(text, " and {} more", names.len() - TOLD);
    }
    text
}

/// The word for so many.
pub(super) fn plural(count: usize, word: &str) -> String {
    if count == 1 { word.to_owned() } else { format!("{word}s") }
}

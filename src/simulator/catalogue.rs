//! What changes rarely: projects, people, sprints, statuses and the JSON that names them.
//!
//! A change makes a new catalogue and leaves the old one to the answers that are being written, so that no answer sees half
//! of a change and none is written under a lock.

mod project;
mod sprint;
mod terms;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

pub(super) use project::{COMPONENTS, Project, ProjectState, VERSIONS, Wanted};
pub(super) use sprint::{Board, Sprint, SprintState};
pub(super) use terms::{CATEGORIES, FIRST_DONE, Named, kind};

use super::mutation::Term;
use super::options::{Kind, Options};
use super::people::{Holder, Person, person};
use terms::Maker;

/// Id of the first project.
const FIRST_PROJECT_ID: u64 = 10_001;

/// What a project is planned with, and can be given another name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Part {
    Sprint,
    Version,
    Component,
}

/// Everything that is the same for every request until somebody changes the site as a whole.
#[derive(Clone, Debug)]
pub(super) struct Catalogue {
    pub(super) seed: u64,
    pub(super) kind: Kind,
    /// Where the site is, with the context path where it has one.
    pub(super) base_url: String,
    /// Where its REST interface is, such as `https://host/rest/api/3`.
    pub(super) api: String,
    pub(super) projects: Vec<Arc<Project>>,
    /// Present and former keys.
    pub(super) project_by_key: HashMap<String, u16>,
    pub(super) people: Arc<Vec<Person>>,
    /// People below this index hold API tokens; they do not write comments.
    pub(super) first_writer: u16,
    pub(super) types: Vec<Named>,
    pub(super) statuses: Vec<Named>,
    pub(super) priorities: Vec<Named>,
    pub(super) resolutions: Vec<Named>,
    /// When the generated history ends.
    pub(super) history_end_ms: i64,
    /// Sprints that are no longer as they were generated, by project and number.
    sprints: HashMap<(u16, u8), Sprint>,
    /// Sprints of a project, where there are more than were generated.
    sprint_counts: HashMap<u16, u8>,
    /// Sprints, versions and components that are no longer called as at first.
    new_names: HashMap<(Part, u64), String>,
    /// Accounts and the projects that they lost.
    revoked: HashSet<(u16, u16)>,
}

impl Catalogue {
    pub(super) fn new(options: &Options, base_url: String, history_end_ms: i64) -> Self {
        let seed = options.seed;
        let api = format!("{base_url}{}", options.kind.api_path());
        let first_writer = options.accounts.len();
        let mut people: Vec<Person> = Vec::with_capacity(first_writer + usize::from(options.people));
        for (index, account) in options.accounts.iter().enumerate() {
            let holder = Holder { email: &account.email, zone: account.zone };
            people.push(person(seed, index, options.kind, &api, &base_url, Some(holder)));
        }
        for index in first_writer..first_writer + usize::from(options.people.max(1)) {
            people.push(person(seed, index, options.kind, &api, &base_url, None));
        }
        let lead = |index: usize| (first_writer + index % (people.len() - first_writer)) as u16;
        let projects: Vec<Arc<Project>> = (FIRST_PROJECT_ID..)
            .zip(options.projects.iter().enumerate())
            .map(|(id, (index, spec))| {
                Arc::new(Project::new(options.kind, &api, id, &spec.key, &spec.name, lead(index)))
            })
            .collect();
        let maker = Maker { kind: options.kind, api: &api, base_url: &base_url };
        Self {
            kind: options.kind,
            types: maker.types(),
            statuses: maker.statuses(),
            priorities: maker.priorities(),
            resolutions: maker.resolutions(),
            project_by_key: (0u16..).zip(&projects).map(|(index, project)| (project.key.clone(), index)).collect(),
            seed,
            api,
            base_url,
            projects,
            people: Arc::new(people),
            first_writer: first_writer as u16,
            history_end_ms,
            sprints: HashMap::new(),
            sprint_counts: HashMap::new(),
            new_names: HashMap::new(),
            revoked: HashSet::new(),
        }
    }

    /// `ACME-17`.
    pub(super) fn key(&self, project: u16, number: u32) -> String {
        format!("{}-{number}", self.projects[usize::from(project)].key)
    }

    /// The project with this key (any case; a former one will do) or id.
    pub(super) fn project(&self, key_or_id: &str) -> Option<u16> {
        if let Ok(id) = key_or_id.parse::<u64>() {
            let index = id.checked_sub(FIRST_PROJECT_ID)?;
            return u16::try_from(index).ok().filter(|index| usize::from(*index) < self.projects.len());
        }
        self.project_by_key.get(&key_or_id.to_ascii_uppercase()).copied()
    }

    /// Splits `acme-17` into the project and the number; `None` when no such project exists.
    pub(super) fn split_key(&self, key: &str) -> Option<(u16, u32)> {
        let (project, number) = key.rsplit_once('-')?;
        Some((*self.project_by_key.get(&project.to_ascii_uppercase())?, number.parse().ok()?))
    }

    /// The person whom a query or an address names: by account id on Cloud; by user name, e-mail address or full name on
    /// Data Center, where JQL does not know user keys.
    pub(super) fn person_named(&self, text: &str) -> Option<u16> {
        let is = |person: &Person| match self.kind {
            Kind::Cloud => person.account_id == text,
            Kind::DataCenter => {
                [&person.name, &person.email, &person.display_name].iter().any(|known| known.eq_ignore_ascii_case(text))
            }
        };
        self.people.iter().position(is).and_then(|at| u16::try_from(at).ok())
    }

    /// True when the account may no longer browse the project.
    pub(super) fn is_revoked(&self, person: u16, project: u16) -> bool {
        !self.revoked.is_empty() && self.revoked.contains(&(person, project))
    }

    /// Takes a project away from an account, or gives it back.
    pub(super) fn set_revoked(&mut self, person: u16, project: u16, revoked: bool) {
        match revoked {
            true => self.revoked.insert((person, project)),
            false => self.revoked.remove(&(person, project)),
        };
    }

    /// Lets a project live on in another state.
    pub(super) fn set_project_state(&mut self, project: u16, state: ProjectState) {
        let mut changed = (*self.projects[usize::from(project)]).clone();
        changed.state = state;
        self.projects[usize::from(project)] = Arc::new(changed);
    }

    /// Gives a status, a priority, a resolution or a type, named by id or name, another name; false where there is none such.
    pub(super) fn rename_term(&mut self, kind: Term, named: &str, name: &str) -> bool {
        let terms = match kind {
            Term::Status => &mut self.statuses,
            Term::Priority => &mut self.priorities,
            Term::Resolution => &mut self.resolutions,
            Term::IssueType => &mut self.types,
        };
        let term = terms.iter_mut().find(|term| term.id == named || term.name == named);
        term.map(|term| term.rename(name)).is_some()
    }

    /// Puts a status into another category; false where there is no such status or category.
    pub(super) fn recategorise(&mut self, named: &str, category: &str) -> bool {
        let status = self.statuses.iter_mut().find(|status| status.id == named || status.name == named);
        status.is_some_and(|status| status.recategorise(category))
    }

    /// Gives a person another name; false where there is no such person.
    pub(super) fn rename_person(&mut self, named: &str, name: &str) -> bool {
        let people = Arc::make_mut(&mut self.people);
        let is = |person: &Person| {
            [&person.account_id, &person.key, &person.name, &person.display_name].contains(&&named.to_owned())
        };
        people.iter_mut().find(|person| is(person)).map(|person| person.rename(name)).is_some()
    }

    /// Closes the account of a person; false where there is no such person.
    pub(super) fn close_person(&mut self, named: &str) -> bool {
        let kind = self.kind;
        let people = Arc::make_mut(&mut self.people);
        let is = |person: &Person| {
            [&person.account_id, &person.key, &person.name, &person.display_name].contains(&&named.to_owned())
        };
        people.iter_mut().find(|person| is(person)).map(|person| person.close(kind)).is_some()
    }

    /// Gives a part of a project another name.
    pub(super) fn rename_part(&mut self, part: Part, id: u64, name: &str) {
        self.new_names.insert((part, id), name.to_owned());
    }

    /// What a part of a project is called now.
    fn part_name<'a>(&'a self, part: Part, id: u64, first: &'a str) -> &'a str {
        self.new_names.get(&(part, id)).map_or(first, String::as_str)
    }

    /// Gives a project another key and name. The former key keeps leading to it; false when the key is taken.
    pub(super) fn rename_project(&mut self, project: u16, key: &str, name: &str) -> bool {
        if self.project_by_key.get(key).is_some_and(|owner| *owner != project) {
            return false;
        }
        let old = &self.projects[usize::from(project)];
        let mut renamed = Project::new(self.kind, &self.api, old.id, key, name, old.lead);
        renamed.state = old.state;
        self.project_by_key.insert(key.to_owned(), project);
        self.projects[usize::from(project)] = Arc::new(renamed);
        true
    }
}

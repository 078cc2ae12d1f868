//! What happens to the site as a whole: its sprints, its projects and who may see them.

use super::catalogue::{Catalogue, FIRST_DONE, Part, ProjectState, SprintState};
use super::issue::Issue;
use super::mutation::{Change, Error, Mutation};
use super::store::Store;
use super::world::World;

impl World {
    /// Carries out a mutation that is of no single issue.
    pub(super) fn apply_to_site(&self, store: &mut Store, mutation: Mutation) -> Result<Change, Error> {
        use Mutation as M;
        let project = match &mutation {
            M::StartSprint { sprint } => {
                let found = self.catalogue().sprint_by_id(*sprint).ok_or(Error::NoSprint(*sprint))?;
                let now_ms = self.now_ms();
                if !self.change_catalogue(|catalogue| catalogue.start_sprint(found, now_ms)) {
                    return Err(Error::NoSprint(*sprint));
                }
                found.project
            }
            M::CloseSprint { sprint } => self.close_sprint(store, *sprint)?,
            M::ArchiveProject { project } => self.set_state(project, ProjectState::Archived)?,
            M::DeleteProject { project } => self.set_state(project, ProjectState::Deleted)?,
            M::RestoreProject { project } => self.set_state(project, ProjectState::Live)?,
            M::RenameProject { project, key, name } => {
                let project = self.project_named(project)?;
                if !self.change_catalogue(|catalogue| catalogue.rename_project(project, key, name)) {
                    return Err(Error::KeyTaken(key.clone()));
                }
                project
            }
            M::RenameTerm { kind, term, name } => {
                self.change_names(term, |catalogue| catalogue.rename_term(*kind, term, name))?
            }
            M::RecategoriseStatus { status, category } => {
                self.change_names(status, |catalogue| catalogue.recategorise(status, category))?
            }
            M::RenameUser { user, name } => {
                let renamed = self.change_catalogue(|catalogue| catalogue.rename_person(user, name));
                if !renamed {
                    return Err(Error::NoAccount(user.clone()));
                }
                0
            }
            M::CloseUser { user } => {
                if !self.change_catalogue(|catalogue| catalogue.close_person(user)) {
                    return Err(Error::NoAccount(user.clone()));
                }
                0
            }
            M::RenameSprint { sprint, name } => {
                let found = self.catalogue().sprint_by_id(*sprint).ok_or(Error::NoSprint(*sprint))?;
                self.change_catalogue(|catalogue| catalogue.rename_part(Part::Sprint, u64::from(*sprint), name));
                found.project
            }
            M::RenameVersion { version, name } => {
                self.change_catalogue(|catalogue| catalogue.rename_part(Part::Version, *version, name));
                0
            }
            M::RenameComponent { component, name } => {
                self.change_catalogue(|catalogue| catalogue.rename_part(Part::Component, *component, name));
                0
            }
            M::RevokeAccess { account, project } => self.set_access(account, project, true)?,
            M::GrantAccess { account, project } => self.set_access(account, project, false)?,
            // Everything else is of an issue, and is carried out there.
            other => return Err(Error::NoIssue(format!("{other:?}"))),
        };
        let key = self.catalogue().projects[usize::from(project)].key.clone();
        Ok(Change { mutation, issue_id: 0, key })
    }

    /// Changes what is of no project; answers the first one, for the answer's sake.
    fn change_names(&self, named: &str, change: impl FnOnce(&mut Catalogue) -> bool) -> Result<u16, Error> {
        match self.change_catalogue(change) {
            true => Ok(0),
            false => Err(Error::NoTerm(named.to_owned())),
        }
    }

    fn set_state(&self, project: &str, state: ProjectState) -> Result<u16, Error> {
        let project = self.project_named(project)?;
        self.change_catalogue(|catalogue| catalogue.set_project_state(project, state));
        Ok(project)
    }

    fn set_access(&self, account: &str, project: &str, revoked: bool) -> Result<u16, Error> {
        let project = self.project_named(project)?;
        let catalogue = self.catalogue();
        let accounts = catalogue.people.iter().take(usize::from(catalogue.first_writer));
        let person = (0u16..).zip(accounts).find(|(_, person)| person.email == account || person.name == account);
        let (person, _) = person.ok_or_else(|| Error::NoAccount(account.to_owned()))?;
        self.change_catalogue(|catalogue| catalogue.set_revoked(person, project, revoked));
        Ok(project)
    }

    /// Puts an issue into a sprint, or out of those that are not closed.
    pub(super) fn set_sprint(&self, store: &mut Store, issue: &str, sprint: Option<u32>) -> Result<Issue, Error> {
        let catalogue = self.catalogue();
        let target = match sprint {
            None => None,
            Some(id) => {
                let found = catalogue.sprint_by_id(id).filter(|sprint| sprint.state != SprintState::Closed);
                Some(found.ok_or(Error::NoSprint(id))?)
            }
        };
        if let Some(target) = target
            && self.find(store, issue).is_some_and(|issue| issue.project != target.project)
        {
            return Err(Error::NoSprint(target.id()));
        }
        let closed = |project: u16, number: u8| catalogue.sprint(project, number - 1).state == SprintState::Closed;
        self.change(store, issue, |issue, _, _| {
            let project = issue.project;
            let mut sprints: Vec<u8> =
                issue.sprints.iter().copied().filter(|number| *number > 0 && closed(project, *number)).collect();
            sprints.extend(target.map(|target| target.number + 1));
            // There is room for three; the oldest is forgotten.
            let kept = &sprints[sprints.len().saturating_sub(3)..];
            issue.sprints = [0; 3];
            issue.sprints[..kept.len()].copy_from_slice(kept);
            true
        })
    }

    fn close_sprint(&self, store: &mut Store, id: u32) -> Result<u16, Error> {
        let sprint = self.catalogue().sprint_by_id(id).ok_or(Error::NoSprint(id))?;
        let now_ms = self.now_ms();
        let next = self.change_catalogue(|catalogue| catalogue.close_sprint(sprint, now_ms));
        let next = next.ok_or(Error::NoSprint(id))?;
        let next = self.catalogue().sprint(sprint.project, next).id();
        let unfinished = |issue: &Issue| {
            issue.project == sprint.project && issue.status < FIRST_DONE && issue.sprints.contains(&(sprint.number + 1))
        };
        let open: Vec<u64> = store.all_live().filter(|issue| unfinished(issue)).map(|issue| issue.id).collect();
        for issue in open {
            self.set_sprint(store, &issue.to_string(), Some(next))?;
        }
        Ok(sprint.project)
    }
}

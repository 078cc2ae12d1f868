//! What does not change while the simulator runs: projects, people, statuses and the JSON that names them.

use std::collections::HashMap;

use super::options::Options;
use super::people::{Holder, Person, person};

/// A project of the site.
#[derive(Debug)]
pub(super) struct Project {
    pub(super) key: String,
    pub(super) name: String,
    /// The object inside an issue's `project` field.
    pub(super) json: String,
    /// The object of `/project/search` and `/project/{key}`.
    pub(super) full_json: String,
}

/// A named value of an issue: a type, status, priority or resolution.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) json: String,
}

/// Issue types by their index in [`Catalogue::types`].
pub(super) mod kind {
    pub(in crate::simulator) const EPIC: u8 = 0;
    pub(in crate::simulator) const STORY: u8 = 1;
    pub(in crate::simulator) const TASK: u8 = 2;
    pub(in crate::simulator) const BUG: u8 = 3;
    pub(in crate::simulator) const SUBTASK: u8 = 4;
}

/// The index in [`Catalogue::statuses`] from which an issue counts as resolved.
pub(super) const FIRST_DONE: u8 = 3;

/// Category of each status, by index: the id, key and name that Jira gives it.
pub(super) const CATEGORIES: [(&str, &str, &str); 5] = [
    ("2", "new", "To Do"),
    ("4", "indeterminate", "In Progress"),
    ("4", "indeterminate", "In Progress"),
    ("3", "done", "Done"),
    ("3", "done", "Done"),
];

/// Everything that is fixed when the simulator starts.
#[derive(Debug)]
pub(super) struct Catalogue {
    pub(super) seed: u64,
    pub(super) base_url: String,
    pub(super) projects: Vec<Project>,
    pub(super) project_by_key: HashMap<String, u16>,
    pub(super) people: Vec<Person>,
    /// People below this index hold API tokens; they do not write comments.
    pub(super) first_writer: u16,
    pub(super) types: Vec<Named>,
    pub(super) statuses: Vec<Named>,
    pub(super) priorities: Vec<Named>,
    pub(super) resolutions: Vec<Named>,
}

impl Catalogue {
    pub(super) fn new(options: &Options, base_url: String) -> Self {
        let seed = options.seed;
        let first_writer = options.accounts.len();
        let mut people: Vec<Person> = Vec::with_capacity(first_writer + usize::from(options.people));
        for (index, account) in options.accounts.iter().enumerate() {
            let holder = Holder { email: &account.email, zone: account.zone };
            people.push(person(seed, index, &base_url, Some(holder)));
        }
        for index in first_writer..first_writer + usize::from(options.people.max(1)) {
            people.push(person(seed, index, &base_url, None));
        }
        let projects: Vec<Project> = (10_001..)
            .zip(&options.projects)
            .map(|(id, spec)| {
                let key = &spec.key;
                let name = serde_json::Value::from(spec.name.as_str());
                let inner = format!(
                    r#""self":"{base_url}/rest/api/3/project/{id}","id":"{id}","key":"{key}","name":{name},"projectTypeKey":"software","simplified":true"#
                );
                let full_json = format!(
                    r#"{{"expand":"description,lead,issueTypes,url,projectKeys",{inner},"style":"next-gen","isPrivate":false,"properties":{{}},"archived":false}}"#
                );
                Project { key: key.clone(), name: spec.name.clone(), json: format!("{{{inner}}}"), full_json }
            })
            .collect();
        let project_by_key = (0u16..).zip(&projects).map(|(index, project)| (project.key.clone(), index)).collect();
        let issue_type = |id: &'static str, name: &'static str, level: i8| {
            let subtask = level < 0;
            let json = format!(
                r#"{{"self":"{base_url}/rest/api/3/issuetype/{id}","id":"{id}","description":"","iconUrl":"{base_url}/icon/{id}.svg","name":"{name}","subtask":{subtask},"hierarchyLevel":{level}}}"#
            );
            Named { id, name, json }
        };
        let status = |(id, name): (&'static str, &'static str), (cid, ckey, cname): (&str, &str, &str)| {
            let json = format!(
                r#"{{"self":"{base_url}/rest/api/3/status/{id}","description":"","iconUrl":"{base_url}/","name":"{name}","id":"{id}","statusCategory":{{"self":"{base_url}/rest/api/3/statuscategory/{cid}","id":{cid},"key":"{ckey}","colorName":"blue-gray","name":"{cname}"}}}}"#
            );
            Named { id, name, json }
        };
        let simple = |path: &str, id: &'static str, name: &'static str| {
            let json = format!(r#"{{"self":"{base_url}/rest/api/3/{path}/{id}","name":"{name}","id":"{id}"}}"#);
            Named { id, name, json }
        };
        Self {
            types: vec![
                issue_type("10000", "Epic", 1),
                issue_type("10001", "Story", 0),
                issue_type("10002", "Task", 0),
                issue_type("10003", "Bug", 0),
                issue_type("10004", "Sub-task", -1),
            ],
            statuses: [
                ("10000", "To Do"),
                ("10001", "In Progress"),
                ("10002", "In Review"),
                ("10003", "Done"),
                ("10004", "Rejected"),
            ]
            .into_iter()
            .zip(CATEGORIES)
            .map(|(named, category)| status(named, category))
            .collect(),
            priorities: [("1", "Highest"), ("2", "High"), ("3", "Medium"), ("4", "Low"), ("5", "Lowest")]
                .map(|(id, name)| simple("priority", id, name))
                .into(),
            resolutions: [("10000", "Done"), ("10001", "Won't Do"), ("10002", "Duplicate")]
                .map(|(id, name)| simple("resolution", id, name))
                .into(),
            seed,
            base_url,
            projects,
            project_by_key,
            people,
            first_writer: first_writer as u16,
        }
    }

    /// `ACME-17`.
    pub(super) fn key(&self, project: u16, number: u32) -> String {
        format!("{}-{number}", self.projects[usize::from(project)].key)
    }

    /// The project with this key (any case) or id.
    pub(super) fn project(&self, key_or_id: &str) -> Option<u16> {
        if let Ok(id) = key_or_id.parse::<u64>() {
            let index = id.checked_sub(10_001)?;
            return u16::try_from(index).ok().filter(|index| usize::from(*index) < self.projects.len());
        }
        self.project_by_key.get(&key_or_id.to_ascii_uppercase()).copied()
    }

    /// Splits `acme-17` into the project and the number; `None` when no such project exists.
    pub(super) fn split_key(&self, key: &str) -> Option<(u16, u32)> {
        let (project, number) = key.rsplit_once('-')?;
        Some((*self.project_by_key.get(&project.to_ascii_uppercase())?, number.parse().ok()?))
    }
}

//! Issue types, statuses, priorities and resolutions.

use crate::simulator::options::Kind;

/// A named value of an issue: a type, status, priority or resolution.
#[derive(Clone, Debug)]
pub(in crate::simulator) struct Named {
    pub(in crate::simulator) id: &'static str,
    /// As it was called when the site began: histories go on telling it so.
    pub(in crate::simulator) first_name: &'static str,
    /// As it is called now.
    pub(in crate::simulator) name: String,
    pub(in crate::simulator) json: String,
    /// As the lists of the site show it, which tell more on Cloud.
    pub(in crate::simulator) listed: String,
}

impl Named {
    /// What issues never have: an entry of a team-managed project, which only lists show.
    pub(in crate::simulator) fn of_project(id: &str, name: &str, project: u64, more: &str) -> String {
        format!(
            r#"{{"id":"{id}","name":"{name}","untranslatedName":"{name}","description":"","scope":{{"type":"PROJECT","project":{{"id":"{project}"}}}}{more}}}"#
        )
    }

    fn new(id: &'static str, name: &'static str, kind: Kind, json: String) -> Self {
        let listed = match (kind, json.strip_suffix('}')) {
            (Kind::Cloud, Some(open)) => format!(r#"{open},"untranslatedName":"{name}"}}"#),
            _ => json.clone(),
        };
        Self { id, first_name: name, name: name.to_owned(), json, listed }
    }

    /// Gives it another name.
    pub(super) fn rename(&mut self, name: &str) {
        // The own name comes before the one of a status' category.
        for key in ["name", "untranslatedName"] {
            let member = |name: &str| format!("\"{key}\":{}", serde_json::Value::from(name));
            let (before, now) = (member(&self.name), member(name));
            self.json = self.json.replacen(&before, &now, 1);
            self.listed = self.listed.replacen(&before, &now, 1);
        }
        name.clone_into(&mut self.name);
    }

    /// Puts a status into another category, by its key; false of an unknown one.
    pub(super) fn recategorise(&mut self, key: &str) -> bool {
        let Some((id, key, name)) = CATEGORIES.iter().find(|(_, known, _)| *known == key) else { return false };
        for json in [&mut self.json, &mut self.listed] {
            let Some((head, tail)) = json.split_once("\"statusCategory\":{") else { return false };
            let (category, rest) = tail.split_once('}').unwrap_or((tail, "}"));
            let url = category.split_once("/statuscategory/").map_or("", |(url, _)| url);
            *json = format!(
                "{head}\"statusCategory\":{{{url}/statuscategory/{id}\",\"id\":{id},\"key\":\"{key}\",\"colorName\":\"blue-gray\",\"name\":\"{name}\"}}{rest}"
            );
        }
        true
    }
}

/// Issue types by their index in [`super::Catalogue::types`].
pub(in crate::simulator) mod kind {
    pub(in crate::simulator) const EPIC: u8 = 0;
    pub(in crate::simulator) const STORY: u8 = 1;
    pub(in crate::simulator) const TASK: u8 = 2;
    pub(in crate::simulator) const BUG: u8 = 3;
    pub(in crate::simulator) const SUBTASK: u8 = 4;
}

/// The index in [`super::Catalogue::statuses`] from which an issue counts as resolved.
pub(in crate::simulator) const FIRST_DONE: u8 = 3;

/// Category of each status, by index: the id, key and name that Jira gives it.
pub(in crate::simulator) const CATEGORIES: [(&str, &str, &str); 5] = [
    ("2", "new", "To Do"),
    ("4", "indeterminate", "In Progress"),
    ("4", "indeterminate", "In Progress"),
    ("3", "done", "Done"),
    ("3", "done", "Done"),
];

/// Writes the terms of one kind of site.
pub(super) struct Maker<'a> {
    pub(super) kind: Kind,
    pub(super) api: &'a str,
    pub(super) base_url: &'a str,
}

impl Maker<'_> {
    fn issue_type(&self, id: &'static str, name: &'static str, level: i8) -> Named {
        let (api, base_url, subtask) = (self.api, self.base_url, level < 0);
        let more = match self.kind {
            Kind::Cloud => format!(r#","hierarchyLevel":{level}"#),
            Kind::DataCenter => r#","avatarId":10300"#.to_owned(),
        };
        let json = format!(
            r#"{{"self":"{api}/issuetype/{id}","id":"{id}","description":"","iconUrl":"{base_url}/icon/{id}.svg","name":"{name}","subtask":{subtask}{more}}}"#
        );
        Named::new(id, name, self.kind, json)
    }

    pub(super) fn types(&self) -> Vec<Named> {
        vec![
            self.issue_type("10000", "Epic", 1),
            self.issue_type("10001", "Story", 0),
            self.issue_type("10002", "Task", 0),
            self.issue_type("10003", "Bug", 0),
            self.issue_type("10004", "Sub-task", -1),
        ]
    }

    pub(super) fn statuses(&self) -> Vec<Named> {
        let (api, base_url) = (self.api, self.base_url);
        let names = [
            ("10000", "To Do"),
            ("10001", "In Progress"),
            ("10002", "In Review"),
            ("10003", "Done"),
            ("10004", "Rejected"),
        ];
        let status = |((id, name), (cid, ckey, cname)): ((&'static str, &'static str), (&str, &str, &str))| {
            let json = format!(
                r#"{{"self":"{api}/status/{id}","description":"","iconUrl":"{base_url}/","name":"{name}","id":"{id}","statusCategory":{{"self":"{api}/statuscategory/{cid}","id":{cid},"key":"{ckey}","colorName":"blue-gray","name":"{cname}"}}}}"#
            );
            Named::new(id, name, self.kind, json)
        };
        names.into_iter().zip(CATEGORIES).map(status).collect()
    }

    fn simple(&self, path: &str, id: &'static str, name: &'static str) -> Named {
        let api = self.api;
        let json = format!(r#"{{"self":"{api}/{path}/{id}","description":"","name":"{name}","id":"{id}"}}"#);
        Named { id, first_name: name, name: name.to_owned(), listed: json.clone(), json }
    }

    pub(super) fn priorities(&self) -> Vec<Named> {
        [("1", "Highest"), ("2", "High"), ("3", "Medium"), ("4", "Low"), ("5", "Lowest")]
            .map(|(id, name)| self.simple("priority", id, name))
            .into()
    }

    pub(super) fn resolutions(&self) -> Vec<Named> {
        [("10000", "Done"), ("10001", "Won't Do"), ("10002", "Duplicate")]
            .map(|(id, name)| self.simple("resolution", id, name))
            .into()
    }
}

//! Projects, with the components and versions that each has.

use crate::simulator::json::Json;
use crate::simulator::options::Kind;

use super::{Catalogue, Part};

/// Components of every project, by place.
pub(in crate::simulator) const COMPONENTS: [&str; 6] = ["API", "Web", "Mobile", "Billing", "Search", "Operations"];
/// Versions of every project, by place; the first two are released.
pub(in crate::simulator) const VERSIONS: [&str; 4] = ["2.0", "2.1", "2.2", "2.3"];

/// Whether a project is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::simulator) enum ProjectState {
    Live,
    /// Out of search; its issues can still be read one by one.
    Archived,
    /// In the trash: nothing of it can be read.
    Deleted,
}

/// A project of the site.
#[derive(Clone, Debug)]
pub(in crate::simulator) struct Project {
    pub(in crate::simulator) id: u64,
    pub(in crate::simulator) key: String,
    pub(in crate::simulator) name: String,
    /// Index of a person.
    pub(in crate::simulator) lead: u16,
    pub(in crate::simulator) state: ProjectState,
    /// Of Cloud's two styles the older one, whose estimate is another field: every second project.
    pub(in crate::simulator) company_managed: bool,
    /// The object inside an issue's `project` field.
    pub(in crate::simulator) json: String,
}

impl Project {
    pub(super) fn new(kind: Kind, api: &str, id: u64, key: &str, name: &str, lead: u16) -> Self {
        let quoted = serde_json::Value::from(name);
        let company_managed = kind == Kind::Cloud && (id - super::FIRST_PROJECT_ID) % 2 == 1;
        let more = match kind {
            Kind::Cloud => format!(r#","simplified":{}"#, !company_managed),
            Kind::DataCenter => String::new(),
        };
        let json = format!(
            r#"{{"self":"{api}/project/{id}","id":"{id}","key":"{key}","name":{quoted},"projectTypeKey":"software"{more}}}"#
        );
        Self { id, key: key.to_owned(), name: name.to_owned(), lead, state: ProjectState::Live, company_managed, json }
    }

    /// True when this is the project's name, in any case.
    pub(in crate::simulator) fn is_named(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    fn index(&self) -> u64 {
        self.id - super::FIRST_PROJECT_ID
    }

    pub(in crate::simulator) fn component_id(&self, at: usize) -> u64 {
        10_000 + self.index() * COMPONENTS.len() as u64 + at as u64
    }

    pub(in crate::simulator) fn version_id(&self, at: usize) -> u64 {
        10_100 + self.index() * VERSIONS.len() as u64 + at as u64
    }
}

/// What a project's description adds beyond its names.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::simulator) struct Wanted {
    pub(in crate::simulator) lead: bool,
    /// Number of issues and when one of them changed last, epoch milliseconds.
    pub(in crate::simulator) insight: Option<(u64, Option<i64>)>,
}

impl Catalogue {
    /// Writes the object of `/project/search`, `/project` and `/project/{key}`.
    pub(in crate::simulator) fn write_project(&self, json: &mut Json, project: &Project, wanted: Wanted) {
        json.item().raw(r#"{"expand":"description,lead,issueTypes,url,projectKeys","#);
        json.raw(project.json.trim_start_matches('{').trim_end_matches('}'));
        if self.kind == Kind::Cloud {
            let style = if project.company_managed { "classic" } else { "next-gen" };
            json.text("style", style).raw(r#","isPrivate":false,"properties":{}"#);
        }
        json.member("archived", if project.state == ProjectState::Archived { "true" } else { "false" });
        if project.state == ProjectState::Deleted {
            json.member("deleted", "true");
        }
        if wanted.lead {
            json.member("lead", &self.people[usize::from(project.lead)].json);
        }
        if let Some((issues, changed)) = wanted.insight {
            json.key("insight").open('{').number("totalIssueCount", issues as i64);
            if let Some(changed) = changed {
                json.time("lastIssueUpdateTime", changed, chrono_tz::Tz::UTC);
            }
            json.close('}');
        }
        json.close('}');
    }

    /// Writes a component; `whole` as `/project/{key}/components` has it, else as an issue does.
    pub(in crate::simulator) fn write_component(&self, json: &mut Json, project: &Project, at: usize, whole: bool) {
        let id = project.component_id(at);
        json.item().open('{').key("self").raw("\"").raw(&self.api).raw("/component/").int(id as i64).raw("\"");
        json.id("id", id).text("name", self.part_name(Part::Component, id, COMPONENTS[at]));
        if whole {
            json.text("description", "").member("lead", &self.people[usize::from(project.lead)].json);
            json.text("assigneeType", "PROJECT_LEAD")
                .text("project", &project.key)
                .number("projectId", project.id as i64);
        }
        json.close('}');
    }

    /// Writes a version, in the same two ways.
    pub(in crate::simulator) fn write_version(&self, json: &mut Json, project: &Project, at: usize, whole: bool) {
        let (id, released) = (project.version_id(at), at < 2);
        json.item().open('{').key("self").raw("\"").raw(&self.api).raw("/version/").int(id as i64).raw("\"");
        json.id("id", id)
            .text("name", self.part_name(Part::Version, id, VERSIONS[at]))
            .member("archived", if at == 0 { "true" } else { "false" });
        json.member("released", if released { "true" } else { "false" });
        if released {
            json.date("releaseDate", self.history_end_ms - (3 - at as i64) * 60 * 86_400_000);
        }
        if whole {
            json.text("description", "").date("startDate", self.history_end_ms - (4 - at as i64) * 60 * 86_400_000);
            json.number("projectId", project.id as i64);
        }
        json.close('}');
    }
}

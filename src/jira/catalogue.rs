//! Answers that list what a site or a project has: fields, statuses, terms, versions, components, boards, sprints, users,
//! projects.
//!
//! What must hold: an element without an id is left out and noted, one with an unexpected value in another place is kept
//! without it. A list comes as an array or inside `values`, whatever the documentation of the version says.

use serde_json::Value;

use super::answers::Project;
use super::envelope::MAX_UNKNOWN;
use super::members::{Members, Notes};
use super::normalise::{Drift, RecordError};
use super::repair;
use super::sprint;
use crate::domain::entity::{
    BoardRecord, ComponentRecord, FieldRecord, SprintRecord, StatusRecord, TermKind, TermRecord, VersionRecord,
};
use crate::domain::failure::{Failure, FailureCode, sanitise};
use crate::domain::record::UserRecord;

/// The members of a list's frame, of the platform's and of the agile interface.
const FRAME: [&str; 9] =
    ["values", "startAt", "maxResults", "total", "isLast", "self", "nextPage", "expand", "isEntireListReturned"];

/// A list, or a page of one, read.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed<T> {
    /// In Jira's order.
    pub records: Vec<T>,
    /// Everybody who is named besides, each once.
    pub users: Vec<UserRecord>,
    /// Elements that could not be read.
    pub rejected: Vec<RecordError>,
    /// What is not as documented, each kind once.
    pub drifts: Vec<Drift>,
}

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Self { records: Vec::new(), users: Vec::new(), rejected: Vec::new(), drifts: Vec::new() }
    }
}

impl<T> Listed<T> {
    /// Adds the records of the next page.
    pub fn append(&mut self, page: Self) {
        self.records.extend(page.records);
        self.rejected.extend(page.rejected);
        for user in page.users {
            self.meet(user);
        }
        for drift in page.drifts {
            if !self.drifts.contains(&drift) {
                self.drifts.push(drift);
            }
        }
    }

    fn meet(&mut self, user: UserRecord) {
        if self.users.iter().all(|known| known.account_id != user.account_id) {
            self.users.push(user);
        }
    }

    /// Notes that the list ended before the total that the site told.
    pub(super) fn ends_early(&mut self) {
        let drift =
            Drift { entity: "list", field: "total".into(), expected: "as many rows as it tells", found: "fewer rows" };
        if !self.drifts.contains(&drift) {
            self.drifts.push(drift);
        }
    }
}

/// One page of a list that is cut by `startAt`.
#[derive(Clone, Debug)]
pub(super) struct ListPage {
    pub values: Vec<Value>,
    pub start_at: Option<u64>,
    pub total: Option<u64>,
    pub is_last: Option<bool>,
    /// Whether it came as an array, without a frame.
    pub bare: bool,
    /// Members of the frame that no list had when this was written.
    pub unknown: Vec<String>,
}

impl ListPage {
    /// Reads the frame.
    pub(super) fn read(body: &[u8], what: &str) -> Result<Self, Failure> {
        let unreadable = |problem: String| {
            let problem = format!("a list of {what} of {} bytes cannot be read: {problem}", body.len());
            Failure::new(FailureCode::SchemaChanged, problem)
        };
        let read = repair::read_owned(body);
        match read.map_err(|error| repair::unreadable(&format!("a list of {what}"), body, &error))? {
            Value::Array(values) => {
                Ok(Self { values, start_at: None, total: None, is_last: None, bare: true, unknown: Vec::new() })
            }
            Value::Object(mut frame) => {
                let number = |name: &str| frame.get(name).and_then(Value::as_u64);
                let (start_at, total) = (number("startAt"), number("total"));
                let is_last = frame.get("isLast").and_then(Value::as_bool);
                let unknown = frame.keys().filter(|name| !FRAME.contains(&name.as_str()));
                let unknown = unknown.take(MAX_UNKNOWN).map(|name| sanitise(name)).collect();
                match frame.remove("values") {
                    Some(Value::Array(values)) => Ok(Self { values, start_at, total, is_last, bare: false, unknown }),
                    _ => Err(unreadable("it has no array of values".to_owned())),
                }
            }
            _ => Err(unreadable("it is neither an array nor an object".to_owned())),
        }
    }

    /// The objects made records by `read`; what is none, or gives none, is rejected.
    pub(super) fn listed<T>(
        &self,
        entity: &'static str,
        mut read: impl FnMut(&mut Listed<T>, &Members<'_>) -> Option<T>,
    ) -> Listed<T> {
        let mut listed = Listed::default();
        let notes = Notes::new(entity);
        for member in &self.unknown {
            notes.note(format!("{entity}.{member}").into(), "nothing", "a new member", "page");
        }
        for value in &self.values {
            match value.as_object().and_then(|members| read(&mut listed, &Members::noted(members, &notes))) {
                Some(record) => listed.records.push(record),
                None => {
                    notes.note("id".into(), "an id", "nothing that can be read", entity);
                    listed.rejected.push(RecordError {
                        issue_id: None,
                        key: None,
                        record_id: None,
                        field: format!("{entity}.id"),
                        problem: "an element of the list has no id that can be read".to_owned(),
                    });
                }
            }
        }
        listed.drifts.extend(notes.taken());
        listed
    }
}

/// Reads `/field`.
pub(super) fn parse_fields(body: &[u8]) -> Result<Listed<FieldRecord>, Failure> {
    Ok(ListPage::read(body, "fields")?.listed("field", |_, field| {
        let schema = field.inside("schema");
        let of_schema = |name: &'static str| schema.as_ref().and_then(|schema| schema.text(name));
        let id = field.text("id")?;
        let clauses = field.map.get("clauseNames").and_then(Value::as_array).into_iter().flatten();
        let clauses = clauses.filter_map(Value::as_str).map(str::to_owned);
        let scope = field.inside("scope").and_then(|scope| scope.inside("project"));
        Some(FieldRecord {
            name: field.name(),
            other_names: field.text("untranslatedName").into_iter().chain(clauses).collect(),
            project_id: scope.and_then(|project| project.id("id")),
            custom: field.flag("custom").unwrap_or_else(|| id.starts_with("customfield_")),
            value_type: of_schema("type"),
            items: of_schema("items"),
            custom_kind: of_schema("custom"),
            system: of_schema("system"),
            id,
        })
    }))
}

/// Reads `/status`.
pub(super) fn parse_statuses(body: &[u8]) -> Result<Listed<StatusRecord>, Failure> {
    Ok(ListPage::read(body, "statuses")?.listed("status", |_, status| {
        let category = status.inside("statusCategory").and_then(|category| {
            category.word(
                "key",
                &["new", "indeterminate", "done", "undefined"],
                "new, indeterminate, done or undefined",
            )
        });
        Some(StatusRecord {
            id: status.id("id")?,
            name: status.name(),
            category: category.unwrap_or_else(|| "undefined".to_owned()),
            description: status.text("description"),
        })
    }))
}

/// Reads `/issuetype`, `/priority` or `/resolution`.
pub(super) fn parse_terms(body: &[u8], kind: TermKind) -> Result<Listed<TermRecord>, Failure> {
    let mut position = -1;
    Ok(ListPage::read(body, kind.as_str())?.listed(kind.as_str(), |_, term| {
        position += 1;
        Some(TermRecord {
            kind,
            id: term.id("id")?,
            name: term.name(),
            description: term.text("description"),
            is_subtask: term.flag("subtask").unwrap_or_default(),
            position,
        })
    }))
}

/// Reads the versions of a project.
pub(super) fn parse_versions(body: &[u8], project_id: i64) -> Result<Listed<VersionRecord>, Failure> {
    Ok(ListPage::read(body, "versions")?.listed("version", |_, version| {
        Some(VersionRecord {
            id: version.id("id")?,
            project_id: version.id("projectId").or(Some(project_id)),
            name: version.name(),
            description: version.text("description"),
            archived: version.flag("archived").unwrap_or_default(),
            released: version.flag("released").unwrap_or_default(),
            start_date: version.day("startDate"),
            release_date: version.day("releaseDate"),
        })
    }))
}

/// Reads the components of a project.
pub(super) fn parse_components(body: &[u8], project_id: i64) -> Result<Listed<ComponentRecord>, Failure> {
    Ok(ListPage::read(body, "components")?.listed("component", |listed, component| {
        let lead = component.inside("lead").and_then(|lead| lead.user());
        let record = ComponentRecord {
            id: component.id("id")?,
            project_id: component.id("projectId").or(Some(project_id)),
            name: component.name(),
            description: component.text("description"),
            lead: lead.as_ref().map(|lead| lead.account_id.clone()).or_else(|| component.text("leadAccountId")),
        };
        lead.into_iter().for_each(|lead| listed.meet(lead));
        Some(record)
    }))
}

/// Reads a page of boards.
pub(super) fn parse_boards(page: &ListPage) -> Listed<BoardRecord> {
    page.listed("board", |_, board| {
        let board_type = board.word("type", &["scrum", "kanban", "simple"], "scrum, kanban or simple");
        Some(BoardRecord {
            id: board.id("id")?,
            name: board.name(),
            board_type: board_type.unwrap_or_default().to_lowercase(),
            project_id: board.inside("location").and_then(|location| location.id("projectId")),
        })
    })
}

/// Reads a page of a board's sprints.
pub(super) fn parse_sprints(page: &ListPage) -> Listed<SprintRecord> {
    page.listed("sprint", |_, members| {
        members.word("state", &sprint::STATES, "future, active or closed");
        sprint::of_object(members.map)
    })
}

/// Reads a list of users.
pub(super) fn parse_users(page: &ListPage) -> Listed<UserRecord> {
    page.listed("user", |_, user| user.user())
}

/// Reads one project as it comes alone or in a list.
pub(super) fn project(members: &Members<'_>) -> Option<Project> {
    let insight = members.inside("insight");
    let lead = members.inside("lead").and_then(|lead| lead.user());
    Some(Project {
        id: members.id("id")?,
        key: members.text("key")?,
        name: members.text("name").unwrap_or_default(),
        project_type: members.text("projectTypeKey"),
        lead,
        archived: members.flag("archived").unwrap_or_default(),
        deleted: members.flag("deleted").unwrap_or_default(),
        issue_count: insight.as_ref().and_then(|insight| insight.id("totalIssueCount")),
        last_issue_update: insight.as_ref().and_then(|insight| insight.moment("lastIssueUpdateTime")),
    })
}

/// Reads `/project/{key}`.
pub(super) fn parse_project(body: &[u8]) -> Result<Project, Failure> {
    let value: Value = repair::read_owned(body).map_err(|error| repair::unreadable("a project", body, &error))?;
    value.as_object().and_then(|members| project(&Members::new(members))).ok_or_else(|| {
        let problem = format!("a project of {} bytes cannot be read: it has no id or no key", body.len());
        Failure::new(FailureCode::SchemaChanged, problem)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_from_an_array_and_from_a_page() {
        let versions = r#"{"id":"7","name":"1.0","released":true,"releaseDate":"2024-05-01","projectId":10001}"#;
        let bare = parse_versions(format!("[{versions}]").as_bytes(), 10_001).unwrap();
        let framed = parse_versions(
            format!(r#"{{"values":[{versions}],"startAt":0,"total":1,"isLast":true}}"#).as_bytes(),
            10_001,
        );
        assert_eq!(framed.unwrap(), bare);
        assert_eq!((bare.records[0].id, bare.records[0].released, bare.records[0].archived), (7, true, false));
        assert_eq!(bare.records[0].release_date, chrono::NaiveDate::from_ymd_opt(2024, 5, 1));
    }

    #[test]
    fn an_element_without_an_id_costs_itself_only() {
        let read = parse_statuses(
            br#"[{"id":"1","name":"Offen","statusCategory":{"key":"new"}},{"name":"?"},5,
                 {"id":3,"name":"Neu","statusCategory":{"key":"someday"}}]"#,
        );
        let read = read.unwrap();
        assert_eq!(read.records.iter().map(|status| status.id).collect::<Vec<_>>(), [1, 3]);
        assert_eq!((read.rejected.len(), read.drifts.len()), (2, 2));
    }

    #[test]
    fn people_are_named_by_account_id_or_by_key() {
        let page = ListPage::read(
            br#"[{"accountId":"5b1","displayName":"Ana","accountType":"atlassian"},
                 {"name":"bo","key":"JIRAUSER10100","emailAddress":"bo@example.com","active":false},
                 {"name":"cy"}]"#,
            "users",
        );
        let users = parse_users(&page.unwrap()).records;
        let ids: Vec<_> = users.iter().map(|user| user.account_id.as_str()).collect();
        assert_eq!(ids, ["5b1", "JIRAUSER10100", "cy"]);
        assert_eq!((users[1].active, users[2].display_name.as_str()), (false, "cy"));
    }

    #[test]
    fn a_project_is_read_with_what_jira_tells() {
        let read = parse_project(
            br#"{"id":"10001","key":"ACME","name":"Acme","projectTypeKey":"software","archived":true,
                 "lead":{"accountId":"5b1","displayName":"Ana"},
                 "insight":{"totalIssueCount":12,"lastIssueUpdateTime":"2024-05-01T10:00:00.000+0000"}}"#,
        );
        let project = read.unwrap();
        assert_eq!((project.id, project.issue_count, project.archived), (10_001, Some(12), true));
        assert_eq!(project.lead.unwrap().account_id, "5b1");
        assert!(parse_project(br#"{"key":"ACME"}"#).is_err());
    }

    #[test]
    fn boards_and_sprints_are_read_from_the_agile_interface() {
        let page = ListPage::read(
            br#"{"maxResults":50,"startAt":0,"total":1,"isLast":true,"values":[
                 {"id":4,"name":"B","type":"scrum","location":{"projectId":10001}}]}"#,
            "boards",
        );
        let boards = parse_boards(&page.unwrap());
        assert_eq!((boards.records[0].id, boards.records[0].project_id), (4, Some(10_001)));
        let page = ListPage::read(
            br#"{"values":[{"id":9,"state":"ACTIVE","name":"S","originBoardId":4,"goal":""},{"id":10,"state":"odd","name":"T"}]}"#,
            "sprints",
        );
        let sprints = parse_sprints(&page.unwrap());
        assert_eq!((sprints.records[0].state.as_str(), sprints.records[0].board_id), ("active", Some(4)));
        assert_eq!((sprints.records[0].goal.as_deref(), sprints.drifts.len()), (None, 1));
    }
}

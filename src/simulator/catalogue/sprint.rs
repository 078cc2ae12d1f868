//! Sprints and boards. Every project has a Scrum board; every third has a Kanban board besides, which has no sprints.

use super::{Catalogue, Part};
use crate::simulator::json::Json;
use crate::simulator::options::Kind;

const DAY_MS: i64 = 86_400_000;
const LENGTH_MS: i64 = 14 * DAY_MS;
/// Sprints that every project begins with: eight closed, one active, one to come.
const GENERATED: u8 = 10;
const ACTIVE: u8 = 8;
/// Sprints of one project at most: ids of projects are this far apart.
const MOST: u8 = 99;
/// Kanban boards are numbered from here, Scrum boards from 1.
const FIRST_KANBAN: u32 = 100_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::simulator) enum SprintState {
    Future,
    Active,
    Closed,
}

impl SprintState {
    pub(in crate::simulator) fn name(self) -> &'static str {
        match self {
            Self::Future => "future",
            Self::Active => "active",
            Self::Closed => "closed",
        }
    }
}

/// A sprint as it stands.
#[derive(Clone, Copy, Debug)]
pub(in crate::simulator) struct Sprint {
    pub(in crate::simulator) project: u16,
    /// From 0 within its project.
    pub(in crate::simulator) number: u8,
    pub(in crate::simulator) state: SprintState,
    starts_ms: Option<i64>,
    completed_ms: Option<i64>,
}

impl Sprint {
    pub(in crate::simulator) fn id(&self) -> u32 {
        id(self.project, self.number)
    }

    /// The name that it began with: histories go on telling it so. One that careless readers of lists stumble over is among
    /// them.
    pub(in crate::simulator) fn name(&self) -> String {
        match self.number {
            3 => "Sprint 4 [hardening], east".to_owned(),
            number => format!("Sprint {}", number + 1),
        }
    }

    fn goal(&self) -> &'static str {
        if self.number.is_multiple_of(3) { "Ship it, then measure" } else { "" }
    }

    /// Writes the object of Cloud's sprint field and of the agile interface.
    pub(in crate::simulator) fn write(&self, json: &mut Json, catalogue: &Catalogue, agile: bool) {
        json.item().open('{').number("id", i64::from(self.id()));
        if agile {
            json.text("self", &format!("{}/rest/agile/1.0/sprint/{}", catalogue.base_url, self.id()));
        }
        json.text("name", &catalogue.sprint_name(self)).text("state", self.state.name());
        let board = i64::from(scrum_board(self.project));
        json.number(if agile { "originBoardId" } else { "boardId" }, board).text("goal", self.goal());
        if let Some(starts_ms) = self.starts_ms {
            json.utc("startDate", starts_ms).utc("endDate", starts_ms + LENGTH_MS);
        }
        if let Some(completed_ms) = self.completed_ms {
            json.utc("completeDate", completed_ms);
        }
        json.close('}');
    }

    /// Writes the string of Data Center's sprint field.
    pub(in crate::simulator) fn write_string(&self, json: &mut Json, catalogue: &Catalogue) {
        let date = |at: Option<i64>| {
            let at = at.and_then(chrono::DateTime::from_timestamp_millis);
            at.map_or("<null>".to_owned(), |at| at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
        };
        let goal = if self.goal().is_empty() { "<null>" } else { self.goal() };
        let text = format!(
            "com.atlassian.greenhopper.service.sprint.Sprint@{:x}[id={},rapidViewId={},state={},name={},startDate={},endDate={},completeDate={},activatedDate={},sequence={},goal={goal},autoStartStop=false,synced=false]",
            0x1a2b_3c00_u32.wrapping_add(self.id()),
            self.id(),
            scrum_board(self.project),
            self.state.name().to_uppercase(),
            catalogue.sprint_name(self),
            date(self.starts_ms),
            date(self.starts_ms.map(|at| at + LENGTH_MS)),
            date(self.completed_ms),
            date(self.starts_ms),
            self.id(),
        );
        json.item().string(&text);
    }
}

fn id(project: u16, number: u8) -> u32 {
    u32::from(project) * 100 + u32::from(number) + 1
}

/// The board on which a project's sprints are made.
pub(in crate::simulator) fn scrum_board(project: u16) -> u32 {
    u32::from(project) + 1
}

/// A board, by what it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::simulator) struct Board {
    pub(in crate::simulator) id: u32,
    pub(in crate::simulator) project: u16,
    pub(in crate::simulator) kanban: bool,
}

impl Catalogue {
    /// The boards of a project.
    pub(in crate::simulator) fn boards(&self, project: u16) -> impl Iterator<Item = Board> + use<> {
        let scrum = Board { id: scrum_board(project), project, kanban: false };
        let kanban = Board { id: FIRST_KANBAN + scrum_board(project), project, kanban: true };
        std::iter::once(scrum).chain((project % 3 == 2).then_some(kanban))
    }

    /// The board with this id.
    pub(in crate::simulator) fn board(&self, id: u32) -> Option<Board> {
        let project = u16::try_from(id.checked_sub(1)? % FIRST_KANBAN).ok()?;
        self.projects.get(usize::from(project))?;
        self.boards(project).find(|board| board.id == id)
    }

    /// Writes a board as the agile interface does.
    pub(in crate::simulator) fn write_board(&self, json: &mut Json, board: Board) {
        let project = &self.projects[usize::from(board.project)];
        json.item().open('{').number("id", i64::from(board.id));
        json.text("self", &format!("{}/rest/agile/1.0/board/{}", self.base_url, board.id));
        json.text("name", &format!("{} {}", project.key, if board.kanban { "kanban" } else { "board" }));
        json.text("type", if board.kanban { "kanban" } else { "scrum" });
        // Data Center's boards do not say where they are.
        if self.kind == Kind::Cloud {
            json.key("location").open('{').number("projectId", project.id as i64);
            json.text("displayName", &format!("{} ({})", project.name, project.key));
            json.text("projectName", &project.name).text("projectKey", &project.key);
            json.text("projectTypeKey", "software").text("name", &project.name).close('}');
        }
        json.close('}');
    }

    /// How many sprints a project has.
    pub(in crate::simulator) fn sprint_count(&self, project: u16) -> u8 {
        self.sprint_counts.get(&project).copied().unwrap_or(GENERATED)
    }

    /// The sprint of a project with this number.
    pub(in crate::simulator) fn sprint(&self, project: u16, number: u8) -> Sprint {
        if let Some(changed) = self.sprints.get(&(project, number)) {
            return *changed;
        }
        let first_ms = self.history_end_ms - LENGTH_MS / 2 - i64::from(ACTIVE) * LENGTH_MS;
        let starts_ms = first_ms + i64::from(number) * LENGTH_MS;
        let state = match number {
            ..ACTIVE => SprintState::Closed,
            ACTIVE => SprintState::Active,
            _ => SprintState::Future,
        };
        Sprint {
            project,
            number,
            state,
            starts_ms: (state != SprintState::Future).then_some(starts_ms),
            completed_ms: (state == SprintState::Closed).then_some(starts_ms + LENGTH_MS),
        }
    }

    /// The sprint with this id.
    pub(in crate::simulator) fn sprint_by_id(&self, id: u32) -> Option<Sprint> {
        let at = id.checked_sub(1)?;
        let (project, number) = (u16::try_from(at / 100).ok()?, u8::try_from(at % 100).ok()?);
        (usize::from(project) < self.projects.len() && number < self.sprint_count(project))
            .then(|| self.sprint(project, number))
    }

    /// What a sprint is called now.
    pub(in crate::simulator) fn sprint_name(&self, sprint: &Sprint) -> String {
        self.new_names.get(&(Part::Sprint, u64::from(sprint.id()))).cloned().unwrap_or_else(|| sprint.name())
    }

    /// Starts a sprint that is to come; false when it is not.
    pub(in crate::simulator) fn start_sprint(&mut self, mut sprint: Sprint, now_ms: i64) -> bool {
        if sprint.state != SprintState::Future {
            return false;
        }
        (sprint.state, sprint.starts_ms) = (SprintState::Active, Some(now_ms));
        self.sprints.insert((sprint.project, sprint.number), sprint);
        true
    }

    /// Closes an active sprint and plans another; false when it is not active. Answers the one to move on to.
    pub(in crate::simulator) fn close_sprint(&mut self, mut sprint: Sprint, now_ms: i64) -> Option<u8> {
        if sprint.state != SprintState::Active {
            return None;
        }
        (sprint.state, sprint.completed_ms) = (SprintState::Closed, Some(now_ms));
        self.sprints.insert((sprint.project, sprint.number), sprint);
        let count = self.sprint_count(sprint.project);
        if count < MOST {
            self.sprint_counts.insert(sprint.project, count + 1);
        }
        (0..self.sprint_count(sprint.project))
            .find(|number| self.sprint(sprint.project, *number).state != SprintState::Closed)
    }
}

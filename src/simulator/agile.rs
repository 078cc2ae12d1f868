//! The agile interface: boards and their sprints.

use axum::Extension;
use axum::extract::{Path, RawQuery};
use axum::http::StatusCode;

use super::auth::{Caller, Viewer};
use super::catalogue::{Board, Sprint};
use super::json::Json;
use super::query::{Query, either, known, values};
use super::reply::{self, Reply};

/// Boards or sprints in one answer at most.
const PAGE: usize = 50;

fn not_found(what: &str) -> Box<Reply> {
    Box::new(reply::refuse(StatusCode::NOT_FOUND, what))
}

fn board_of(viewer: &Viewer, named: &str) -> Result<Board, Box<Reply>> {
    let board = named.parse().ok().and_then(|id| viewer.catalogue.board(id));
    let board = board.filter(|board| viewer.may_search(board.project));
    board.ok_or_else(|| not_found("The requested board cannot be viewed because it either does not exist or you do not have permission to view it."))
}

pub(super) async fn boards(Extension(caller): Extension<Caller>, RawQuery(query): RawQuery) -> Reply {
    let query = Query::parse(query);
    either(known(&caller).and_then(|viewer| {
        let catalogue = &viewer.catalogue;
        let only = match query.get("projectKeyOrId") {
            None => None,
            Some(named) => {
                let project = catalogue.project(named).filter(|project| viewer.may_search(*project));
                Some(project.ok_or_else(|| {
                    Box::new(reply::bad_request(&format!("No project could be found with key or id '{named}'.")))
                })?)
            }
        };
        let projects = 0..catalogue.projects.len() as u16;
        let all: Vec<Board> = projects
            .filter(|project| only.is_none_or(|only| only == *project) && viewer.may_search(*project))
            .flat_map(|project| catalogue.boards(project))
            .filter(|board| match query.get("type") {
                None => true,
                Some(kind) => kind.split(',').any(|kind| kind == if board.kanban { "kanban" } else { "scrum" }),
            })
            .collect();
        let window = query.window(PAGE, PAGE)?;
        Ok(values(None, window, &all, |json, board| catalogue.write_board(json, *board)))
    }))
}

pub(super) async fn board(Extension(caller): Extension<Caller>, Path(id): Path<String>) -> Reply {
    either(known(&caller).and_then(|viewer| {
        let board = board_of(viewer, &id)?;
        let mut json = Json::with_capacity(512);
        viewer.catalogue.write_board(&mut json, board);
        Ok(reply::ok(json.into_bytes()))
    }))
}

pub(super) async fn sprints(
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Reply {
    let query = Query::parse(query);
    either(known(&caller).and_then(|viewer| {
        let board = board_of(viewer, &id)?;
        if board.kanban {
            return Err(Box::new(reply::bad_request("The board does not support sprints")));
        }
        let catalogue = &viewer.catalogue;
        let states: Vec<&str> = query.all("state").filter(|state| !state.is_empty()).collect();
        let all: Vec<Sprint> = (0..catalogue.sprint_count(board.project))
            .map(|number| catalogue.sprint(board.project, number))
            .filter(|sprint| states.is_empty() || states.contains(&sprint.state.name()))
            .collect();
        Ok(values(None, query.window(PAGE, PAGE)?, &all, |json, sprint| sprint.write(json, catalogue, true)))
    }))
}

pub(super) async fn sprint(Extension(caller): Extension<Caller>, Path(id): Path<String>) -> Reply {
    either(known(&caller).and_then(|viewer| {
        let sprint = id.parse().ok().and_then(|id| viewer.catalogue.sprint_by_id(id));
        let sprint = sprint.filter(|sprint| viewer.may_search(sprint.project));
        let sprint = sprint.ok_or_else(|| not_found("Sprint does not exist."))?;
        let mut json = Json::with_capacity(512);
        sprint.write(&mut json, &viewer.catalogue, true);
        Ok(reply::ok(json.into_bytes()))
    }))
}

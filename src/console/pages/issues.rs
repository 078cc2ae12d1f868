//! The issues of the replica: searched, and one with its comments, work and history. What is restricted is left out without its
//! scope.

use askama::Template;
use axum::extract::Path;
use axum::response::Response;

use super::super::fields::{Fields, Query, encoded};
use super::super::parts;
use super::super::shell::Shell;
use super::super::visitor::{Visitor, page};
use crate::app::issue::{self, Asked, Comment, Issue, Named, Of, Worklog};
use crate::app::project::{self, Project};
use crate::app::{Error, Result};

#[derive(Template)]
#[template(path = "issues.html", config = ".askama.toml")]
struct List {
    shell: Shell,
    issues: Vec<Issue>,
    projects: Vec<Project>,
    fields: Fields,
    next: Option<String>,
}

fn path(issue: &Issue) -> String {
    format!("/issues/{}/{}", encoded(&issue.site), encoded(&issue.key))
}

fn category(issue: &Issue) -> parts::State {
    match issue.status_category.as_str() {
        "done" => parts::good("done"),
        "indeterminate" | "in_progress" => parts::under_way("in progress"),
        _ => parts::waiting("open"),
    }
}

/// The list.
pub(crate) async fn show(visitor: Visitor, Query(fields): Query) -> Response {
    let drawn = draw(&visitor, fields).await;
    visitor.answer(drawn).await
}

async fn draw(visitor: &Visitor, fields: Fields) -> Result<Response> {
    let (app, actor) = (visitor.app(), &visitor.actor);
    let projects = project::list(app, actor, false).await?;
    let project_id = match fields.get("project") {
        Some(named) => Some(project::find(app, actor, named, true).await?.id),
        None => None,
    };
    let asked = Asked {
        project_id,
        statuses: fields.text("status").map(|one| vec![one]),
        text: fields.text("q"),
        cursor: fields.text("cursor"),
        limit: Some(50),
        ..Asked::default()
    };
    let found = issue::list(app, actor, &asked).await?;
    page(&List {
        shell: Shell::of(visitor, "issues", "Issues").await,
        issues: found.items,
        projects,
        next: found.next_cursor.map(|cursor| fields.query(&["cursor", "said"], &[("cursor", &cursor)])),
        fields,
    })
}

#[derive(Template)]
#[template(path = "issue.html", config = ".askama.toml")]
struct Page {
    shell: Shell,
    issue: Issue,
    description: String,
    comments: Vec<Comment>,
    worklogs: Vec<Worklog>,
    changes: Vec<issue::Change>,
}

/// One issue.
pub(crate) async fn one(visitor: Visitor, Path((site, key)): Path<(String, String)>) -> Response {
    let drawn = async {
        let (app, actor) = (visitor.app(), &visitor.actor);
        let named = Named { site: Some(site.clone()), id: None, key: Some(key.clone()) };
        let issue = issue::find(app, actor, &named).await?.ok_or_else(|| {
            Error::not_found(format!("the replica has no issue {key} of {site} within reach"))
                .help("search for it in the list of issues")
        })?;
        let ids = [(issue.site_id, issue.id)];
        let of = Of { issues: &ids, after: None, each: 100, most: 100 };
        let body = issue::bodies(app, actor, &ids).await?.pop();
        let shell = Shell::of(&visitor, "issues", issue.key.clone()).await.below(&[("/issues", "Issues")]);
        page(&Page {
            shell,
            description: body.and_then(|body| body.description).unwrap_or_default(),
            comments: issue::comments(app, actor, of).await?,
            worklogs: issue::worklogs(app, actor, of).await?,
            changes: issue::changes(app, actor, of, None).await?,
            issue,
        })
    };
    visitor.answer(drawn.await).await
}

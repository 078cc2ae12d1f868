//! The overview: what needs somebody now, the last days, what runs, what runs next. Without a site it says how to begin.

use askama::Template;
use axum::response::Response;

use super::super::chart::{Chart, Point, spark};
use super::super::fields::Query;
use super::super::parts::{self, Html};
use super::super::shell::Shell;
use super::super::visitor::{Visitor, page};
use super::projects::{Line, lines};
use crate::app::queue::Queue;
use crate::app::run::{self, History, Run};
use crate::app::stats::{self, Sum, Summary};
use crate::app::{Result, queue};

#[derive(Template)]
#[template(path = "overview.html", config = ".askama.toml")]
struct Overview {
    shell: Shell,
    days: i64,
    sentence: String,
    summary: Summary,
    sparks: [Html; 4],
    charts: Vec<Html>,
    trouble: Vec<Line>,
    projects: Vec<Line>,
    running: Vec<Run>,
    failed: Vec<Run>,
    queue: Option<Queue>,
}

#[derive(Template)]
#[template(path = "first.html", config = ".askama.toml")]
struct First {
    shell: Shell,
}

/// The page.
pub(crate) async fn show(visitor: Visitor, Query(query): Query) -> Response {
    let days =
        query.get("days").and_then(|text| text.parse().ok()).filter(|days| [1, 7, 30].contains(days)).unwrap_or(7);
    let drawn = draw(&visitor, days).await;
    visitor.answer(drawn).await
}

async fn draw(visitor: &Visitor, days: i64) -> Result<Response> {
    let (app, actor) = (visitor.app(), &visitor.actor);
    let projects = lines(visitor, None).await?;
    let shell = Shell::of(visitor, "overview", "Overview").await;
    if projects.is_empty() {
        return page(&First { shell });
    }
    let summary = stats::summary(app, actor, Some(days.max(2))).await?;
    let of = |states: &[&str], limit| History {
        states: Some(states.iter().map(|state| (*state).to_owned()).collect()),
        limit: Some(limit),
        ..History::default()
    };
    let running = run::newest(app, actor, &of(&["running", "queued"], 8)).await?;
    let mut failed = run::newest(app, actor, &of(&["failed"], 8)).await?;
    let queue = queue::stats(app, actor).await.ok();
    let trouble: Vec<Line> = projects.iter().filter(|line| line.is_trouble()).take(8).cloned().collect();
    // What still fails stands there as a project; what failed long ago is for the history.
    failed.retain(|run| {
        run.created_at > visitor.now - chrono::TimeDelta::days(1)
            && trouble.iter().all(|line| line.project.id != run.project_id)
    });
    let fresh = projects.iter().filter(|line| line.is_fresh()).count();
    let mut sentence = format!("{fresh} of {} projects are fresh.", projects.len());
    if let Some(first) = trouble.first() {
        sentence.push_str(&format!(
            " {} needs a look{}.",
            first.name(),
            match trouble.len() {
                1 => String::new(),
                n => format!(", and {} more", n - 1),
            }
        ));
    }
    let page_of = Overview {
        shell,
        days,
        sentence,
        sparks: sparks(&summary.by_day),
        charts: charts(&summary),
        summary,
        trouble,
        projects: projects.into_iter().take(12).collect(),
        running,
        failed,
        queue,
    };
    page(&page_of)
}

#[allow(clippy::cast_precision_loss)] // counts of runs
fn sparks(days: &[Sum]) -> [Html; 4] {
    let of = |value: fn(&Sum) -> f64, tone| spark(&days.iter().map(value).collect::<Vec<_>>(), tone);
    [
        of(|sum| sum.succeeded as f64 / (sum.succeeded + sum.failed).max(1) as f64, "ok"),
        of(|sum| sum.runs as f64, "acc"),
        of(|sum| sum.issues_changed as f64, "acc"),
        of(|sum| sum.average_seconds.unwrap_or(0.0), "run"),
    ]
}

#[allow(clippy::cast_precision_loss)] // counts of runs
fn charts(summary: &Summary) -> Vec<Html> {
    let of = |value: fn(&Sum) -> Option<f64>| -> Vec<Point> {
        summary.by_day.iter().filter_map(|sum| Some((sum.day?, value(sum)))).collect()
    };
    let percent = |value: f64| format!("{value:.0} %");
    let share = summary
        .success_share()
        .map_or("no run has ended".to_owned(), |share| format!("{:.1} % over {} days", share * 100.0, summary.days));
    vec![
        Chart {
            title: "Success rate",
            note: share,
            tone: "ok",
            legend: "runs that succeeded, of those that ended well or badly",
            points: of(|sum| {
                (sum.succeeded + sum.failed > 0)
                    .then(|| 100.0 * sum.succeeded as f64 / (sum.succeeded + sum.failed) as f64)
            }),
            floor: 0.0,
            roof: 100.0,
            text: percent,
            bars: false,
        }
        .draw(),
        Chart {
            title: "Issues per sync",
            note: "mean of the day".to_owned(),
            tone: "acc",
            legend: "issues read",
            points: of(|sum| (sum.runs > 0).then(|| sum.issues as f64 / sum.runs as f64)),
            floor: 0.0,
            roof: 10.0,
            text: |value| {
                #[allow(clippy::cast_possible_truncation)]
                parts::number(value.round() as i64)
            },
            bars: true,
        }
        .draw(),
        Chart {
            title: "Duration",
            note: summary
                .all
                .average_seconds
                .map_or("no run has ended".to_owned(), |mean| format!("average {}", parts::duration(mean))),
            tone: "run",
            legend: "average of runs that succeeded",
            points: of(|sum| sum.average_seconds),
            floor: 0.0,
            roof: 1.0,
            text: parts::duration,
            bars: false,
        }
        .draw(),
    ]
}

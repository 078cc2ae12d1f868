//! Pictures of the dashboards, drawn from what the Prometheus and the database of a rehearsed day answer: for the README,
//! where no Grafana can be had. Panels stand where Grafana puts them; what they ask is what Grafana would ask.

pub mod panel;
mod scale;
mod svg;

use serde_json::Value;
use sqlx::{AssertSqlSafe, Column, Executor, Row, SqlSafeStr};

use super::boards::{Board, boards, substitute};
use super::{Day, project_id};
use svg::Svg;

/// One line, or one row of a table: its labels and its points.
pub struct Line {
    pub name: String,
    pub labels: Vec<(String, String)>,
    pub points: Vec<(f64, f64)>,
}

/// A table with a head.
#[derive(Default)]
pub struct Table {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

/// What a panel shows.
pub enum Shown {
    Lines(Vec<Line>),
    Table(Table),
}

impl Shown {
    fn is_empty(&self) -> bool {
        match self {
            Self::Lines(lines) => lines.is_empty(),
            Self::Table(table) => table.rows.is_empty(),
        }
    }
}

const WIDTH: f64 = 1440.0;
const UNIT: f64 = 34.0;
const TITLE: f64 = 44.0;

impl Day {
    /// Draws every dashboard; answers names and pictures.
    pub async fn pictures(&self) -> Vec<(String, String)> {
        let mut drawn = Vec::new();
        for board in boards() {
            drawn.push((board.name.clone(), self.picture(&board).await));
        }
        drawn
    }

    async fn picture(&self, board: &Board) -> String {
        let all: Vec<&Value> = board.json["panels"].as_array().into_iter().flatten().collect();
        let bottom = all.iter().map(|panel| edge(panel, "y") + edge(panel, "h")).fold(0.0, f64::max);
        let mut svg = Svg::new(WIDTH, TITLE + bottom * UNIT + 8.0);
        svg.text(14.0, 29.0, 20.0, "#e8e8ea", "start", board.json["title"].as_str().unwrap_or_default());
        for panel in all {
            let (x, y) = (edge(panel, "x") * WIDTH / 24.0, TITLE + edge(panel, "y") * UNIT);
            let (width, height) = (edge(panel, "w") * WIDTH / 24.0, edge(panel, "h") * UNIT);
            let title = panel["title"].as_str().unwrap_or_default();
            if panel["type"] == "row" {
                svg.text(x + 14.0, y + 23.0, 15.0, "#9fa7b3", "start", title);
                continue;
            }
            let frame = panel::Frame { x: x + 4.0, y: y + 4.0, width: width - 8.0, height: height - 8.0 };
            let shown = self.shown(panel).await;
            panel::draw(&mut svg, &frame, panel, &shown, (self.began, self.ended));
        }
        svg.finish()
    }

    /// Asks what a panel asks.
    async fn shown(&self, panel: &Value) -> Shown {
        let targets: Vec<&Value> = panel["targets"].as_array().into_iter().flatten().collect();
        if let Some(sql) = targets.iter().find_map(|target| target["rawSql"].as_str()) {
            let table = self.rows(sql).await;
            return if panel["type"] == "timeseries" { Shown::Lines(lines_of(&table)) } else { Shown::Table(table) };
        }
        if panel["type"] == "table" {
            return Shown::Table(self.merged(panel, &targets).await);
        }
        let mut lines = Vec::new();
        for target in targets {
            let expression = self.substituted(target["expr"].as_str().unwrap_or_default()).unwrap();
            let (from, to) = (self.began.to_string(), self.ended.to_string());
            let parameters = [("query", expression.as_str()), ("start", &from), ("end", &to), ("step", "1")];
            let data = self.prometheus.get("query_range", &parameters).await.unwrap();
            lines.extend(series(&data, target["legendFormat"].as_str().unwrap_or_default()));
        }
        Shown::Lines(lines)
    }

    /// Instant answers side by side, as Grafana's `merge` and `organize` put them.
    async fn merged(&self, panel: &Value, targets: &[&Value]) -> Table {
        let organize = &panel["transformations"].as_array().and_then(|all| all.last()).unwrap()["options"];
        let hidden = |name: &str| organize["excludeByName"][name] == true;
        let mut table = Table::default();
        let mut keys: Vec<Vec<(String, String)>> = Vec::new();
        let mut cells: Vec<Vec<String>> = Vec::new();
        for (at, target) in targets.iter().enumerate() {
            let expression = self.substituted(target["expr"].as_str().unwrap_or_default()).unwrap();
            let at_end = self.ended.to_string();
            let data = self.prometheus.get("query", &[("query", &expression), ("time", &at_end)]).await.unwrap();
            for line in series(&data, "") {
                let row = keys.iter().position(|labels| *labels == line.labels).unwrap_or_else(|| {
                    keys.push(line.labels.clone());
                    cells.push(vec![String::new(); targets.len()]);
                    keys.len() - 1
                });
                let unit = if at < 3 { panel["fieldConfig"]["defaults"]["unit"].as_str() } else { None };
                cells[row][at] = scale::format(line.points[0].1, unit.unwrap_or("none"));
            }
        }
        let labels: Vec<&String> = keys
            .iter()
            .flatten()
            .map(|(name, _)| name)
            .filter(|name| !hidden(name))
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect();
        let title = |name: &str| organize["renameByName"][name].as_str().unwrap_or(name).to_owned();
        table.columns = labels.iter().map(|name| title(name)).collect();
        let values = (0..targets.len()).filter(|_| !hidden("Value"));
        table.columns.extend(values.clone().map(|at| title(&format!("Value #{}", char::from(b'A' + at as u8)))));
        for (key, cells) in keys.iter().zip(&cells) {
            let of = |name: &String| key.iter().find(|(label, _)| label == name).map(|(_, value)| value.clone());
            let mut row: Vec<String> = labels.iter().map(|name| of(name).unwrap_or_default()).collect();
            row.extend(values.clone().map(|at| cells[at].clone()));
            table.rows.push(row);
        }
        table
    }

    /// A statement's columns and rows, as text.
    async fn rows(&self, sql: &str) -> Table {
        let (project, run) = (project_id(&self.rig).await.to_string(), self.run.to_string());
        let sql = substitute(sql, &[("project", &project), ("run", &run)]).unwrap();
        let pool = self.rig.db.pool();
        let described = pool.describe(AssertSqlSafe(sql.clone()).into_sql_str()).await.unwrap();
        let columns: Vec<String> = described.columns().iter().map(|column| column.name().to_owned()).collect();
        let rows =
            sqlx::query(AssertSqlSafe(format!("SELECT to_jsonb(t) FROM ({sql}) t"))).fetch_all(pool).await.unwrap();
        let rows = rows.iter().map(|row| row.get::<Value, _>(0));
        let rows = rows.map(|row| columns.iter().map(|column| text(&row[column])).collect()).collect();
        Table { columns, rows }
    }
}

/// A value of a statement as a table shows it.
pub fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        // Only what is a time loses what people do not read of it.
        Value::String(text) => match chrono::DateTime::parse_from_rfc3339(text) {
            Ok(at) => at.format("%Y-%m-%d %H:%M:%S").to_string(),
            Err(_) => text.clone(),
        },
        other => other.to_string(),
    }
}

/// A statement's time, metric and value as lines.
fn lines_of(table: &Table) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for row in &table.rows {
        let at = chrono::NaiveDateTime::parse_from_str(&row[0], "%Y-%m-%d %H:%M:%S")
            .map_or(0.0, |at| at.and_utc().timestamp() as f64);
        let point = (at, row[2].parse().unwrap_or(0.0));
        match lines.iter_mut().find(|line| line.name == row[1]) {
            Some(line) => line.points.push(point),
            None => lines.push(Line { name: row[1].clone(), labels: Vec::new(), points: vec![point] }),
        }
    }
    lines
}

/// The series of an answer, named by the legend.
fn series(data: &Value, legend: &str) -> Vec<Line> {
    let number = |pair: &Value| Some((pair[0].as_f64()?, pair[1].as_str()?.parse::<f64>().ok()?));
    let found = data["result"].as_array().into_iter().flatten().map(|one| {
        let labels = one["metric"].as_object().into_iter().flatten();
        let labels: Vec<(String, String)> = labels
            .filter(|(name, _)| *name != "__name__")
            .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
            .collect();
        let mut name = legend.to_owned();
        for (label, value) in &labels {
            name = name.replace(&format!("{{{{{label}}}}}"), value);
        }
        let points = match one["values"].as_array() {
            Some(values) => values.iter().filter_map(number).collect(),
            None => number(&one["value"]).into_iter().collect(),
        };
        Line { name, labels, points }
    });
    found.filter(|line: &Line| line.points.iter().any(|(_, value)| value.is_finite())).collect()
}

fn edge(panel: &Value, name: &str) -> f64 {
    panel["gridPos"][name].as_f64().unwrap_or(0.0)
}

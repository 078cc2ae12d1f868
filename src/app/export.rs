//! Exports: all runs that match, or what days add up to, as lines of CSV or of JSON.
//!
//! What must hold: an export of any size is read part by part, so that it takes no more memory than one part; what a spreadsheet
//! would take for a formula begins with a quote.

use chrono::{DateTime, SecondsFormat, Utc};

use super::insight::{self, Daily};
use super::run::{self, History, LONGEST_PAGE, Run};
use super::{Actor, App, Error, Result};

/// How lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// CSV as RFC 4180 has it, with a header.
    #[default]
    Csv,
    /// A JSON object a line.
    JsonLines,
}

impl Format {
    /// Reads it as it is written; CSV where nothing is said.
    ///
    /// # Errors
    /// Where there is no such format.
    pub fn parse(text: Option<&str>) -> Result<Self> {
        match text {
            None | Some("csv") => Ok(Self::Csv),
            Some("jsonl") => Ok(Self::JsonLines),
            Some(_) => Err(Error::invalid("format", "there is no such format").help("csv or jsonl")),
        }
    }

    /// What ends a line of a file.
    pub const fn line_end(self) -> &'static str {
        match self {
            Self::Csv => "\r\n",
            Self::JsonLines => "\n",
        }
    }

    /// Its media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::JsonLines => "application/x-ndjson",
        }
    }
}

/// Something of which there are many.
trait Record: serde::Serialize {
    const HEADER: &'static str;

    fn cells(&self) -> Vec<String>;

    fn line(&self, format: Format) -> Result<String> {
        match format {
            Format::Csv => Ok(self.cells().iter().map(|text| cell(text)).collect::<Vec<_>>().join(",")),
            Format::JsonLines => {
                serde_json::to_string(self).map_err(|_| Error::conflict("a row cannot be written as JSON"))
            }
        }
    }
}

/// A cell of CSV.
fn cell(text: &str) -> String {
    let text = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() };
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    }
}

fn time(at: Option<DateTime<Utc>>) -> String {
    at.map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true)).unwrap_or_default()
}

impl Record for Run {
    const HEADER: &'static str = "run,project,kind,trigger,state,requested_by,created_at,started_at,finished_at,issues,created,updated,set_aside,requests,code,message";

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.project.clone(),
            self.kind.clone(),
            self.trigger.clone(),
            self.state.clone(),
            self.requested_by.clone(),
            time(Some(self.created_at)),
            time(self.started_at),
            time(self.finished_at),
            self.issues_seen.to_string(),
            self.issues_created.to_string(),
            self.issues_updated.to_string(),
            self.issues_rejected.to_string(),
            self.requests.to_string(),
            self.error_code.clone().unwrap_or_default(),
            self.error_message.clone().unwrap_or_default(),
        ]
    }
}

impl Record for Daily {
    const HEADER: &'static str = "day,project,kind,state,runs,issues,changed,requests,retries,seconds,longest_seconds";

    fn cells(&self) -> Vec<String> {
        vec![
            self.day.to_string(),
            self.project.clone(),
            self.work.clone(),
            self.state.clone(),
            self.runs.to_string(),
            self.issues.to_string(),
            self.issues_changed.to_string(),
            self.requests.to_string(),
            self.retries.to_string(),
            format!("{:.3}", self.seconds),
            format!("{:.3}", self.longest_seconds),
        ]
    }
}

/// An export of runs that goes on part by part.
#[derive(Debug)]
pub struct Runs {
    app: App,
    actor: Actor,
    asked: Option<History>,
    format: Format,
    is_first: bool,
}

/// All runs that match, the newest first; `limit`, `offset` and `cursor` of what is asked do not count.
pub fn runs(app: App, actor: Actor, asked: History, format: Format) -> Runs {
    let asked = History { limit: Some(LONGEST_PAGE), offset: None, cursor: None, ..asked };
    Runs { app, actor, asked: Some(asked), format, is_first: true }
}

impl Runs {
    /// The next lines, without line ends; none at the end.
    ///
    /// # Errors
    /// Where the actor may not, or something was asked wrongly.
    pub async fn next(&mut self) -> Result<Option<Vec<String>>> {
        let Some(asked) = &self.asked else { return Ok(None) };
        let (items, cursor) = run::part(&self.app, &self.actor, asked).await?;
        let mut lines = header::<Run>(self.format, std::mem::take(&mut self.is_first));
        for run in &items {
            lines.push(run.line(self.format)?);
        }
        self.asked = cursor.map(|cursor| History { cursor: Some(cursor), ..asked.clone() });
        Ok(Some(lines))
    }
}

fn header<T: Record>(format: Format, is_first: bool) -> Vec<String> {
    (is_first && format == Format::Csv).then(|| T::HEADER.to_owned()).into_iter().collect()
}

/// What the runs of each day add up to, of all projects within reach: the newest day first.
///
/// # Errors
/// Where the actor may not, the number of days is out of bounds, or there are more than 10,000 rows.
pub async fn days(app: &App, actor: &Actor, days: Option<i64>, format: Format) -> Result<Vec<String>> {
    let mut lines = header::<Daily>(format, true);
    for day in insight::daily(app, actor, None, days).await? {
        lines.push(day.line(format)?);
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_no_formula_and_stays_one_cell() {
        assert_eq!(cell("=1+1"), "'=1+1");
        assert_eq!(cell("@SUM(A1)"), "'@SUM(A1)");
        assert_eq!(cell("a \"b\", c\nd"), "\"a \"\"b\"\", c\nd\"");
        assert_eq!(cell("-2,5"), "\"'-2,5\"");
        assert_eq!(cell("-x,y"), "\"'-x,y\"");
        assert_eq!(cell("plain"), "plain");
    }

    #[test]
    fn formats_are_named_as_files_are() {
        assert_eq!(Format::parse(None).ok(), Some(Format::Csv));
        assert_eq!(Format::parse(Some("jsonl")).ok(), Some(Format::JsonLines));
        assert!(Format::parse(Some("xlsx")).is_err());
    }
}

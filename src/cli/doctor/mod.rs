//! `syncline doctor`: says what is wrong and what to do about it.
//!
//! Every check is a line: `pass`, `warn` (it works, and will not for long or not as well as it could) or `fail`. What a
//! failed check makes unknowable is left out: without a database there is nothing to be said about sites.
//!
//! What must hold: it changes nothing but starting the private server, as every command does; it ends with exit code 3
//! when a check fails, also when the database cannot be reached; one broken site hides no other.

mod alerts;
mod database;
mod sites;
mod work;

use serde::Serialize;

use super::{Error, Output, Row};
use crate::config::Config;
use crate::store;

/// Find problems and their remedies: database, workers, queue, schedules, sites, alert channels
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Pass,
    Warn,
    Fail,
}

/// One line of the report.
#[derive(Clone, Debug, Serialize)]
struct Finding {
    check: &'static str,
    status: Status,
    found: String,
    remedy: Option<String>,
}

impl Row for Finding {
    const HEADERS: &'static [&'static str] = &["CHECK", "STATUS", "FOUND", "WHAT TO DO"];

    fn cells(&self) -> Vec<String> {
        let status = match self.status {
            Status::Pass => "pass",
            Status::Warn => "warn",
            Status::Fail => "fail",
        };
        vec![
            self.check.to_owned(),
            status.to_owned(),
            self.found.clone(),
            self.remedy.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    }
}

/// What has been found so far.
#[derive(Debug, Default)]
struct Report(Vec<Finding>);

impl Report {
    fn pass(&mut self, check: &'static str, found: impl Into<String>) {
        self.0.push(Finding { check, status: Status::Pass, found: found.into(), remedy: None });
    }

    fn warn(&mut self, check: &'static str, found: impl Into<String>, remedy: impl Into<String>) {
        self.0.push(Finding { check, status: Status::Warn, found: found.into(), remedy: Some(remedy.into()) });
    }

    fn fail(&mut self, check: &'static str, found: impl Into<String>, remedy: impl Into<String>) {
        self.0.push(Finding { check, status: Status::Fail, found: found.into(), remedy: Some(remedy.into()) });
    }

    /// A check that could not be made because the database refused its question.
    fn refused(&mut self, check: &'static str, problem: &store::Error) {
        let remedy = if problem.lost_prepared_statement() {
            "the pooler does not keep prepared statements: use PgBouncer 1.21 or newer with max_prepared_statements = 200"
        } else {
            "check the PostgreSQL server's log, then run `syncline doctor` again"
        };
        self.fail(check, problem.to_string(), remedy);
    }

    fn count(&self, status: Status) -> usize {
        self.0.iter().filter(|finding| finding.status == status).count()
    }
}

/// Executes the command.
///
/// # Errors
/// [`Exit::Unhealthy`](super::Exit) when a check fails.
pub async fn run(_args: DoctorArgs, config: Config, output: Output) -> Result<(), Error> {
    let mut report = Report::default();
    if let Some(context) = database::connect(&config, output, &mut report).await {
        let checks = async {
            database::check_server(&context, &mut report).await;
            let fits = database::check_schema(&context, &mut report).await;
            if fits {
                work::check(&context, &mut report).await;
            }
            fits
        };
        let checked = tokio::time::timeout(store::patience::LONGEST, checks).await;
        if checked.is_err() {
            let found = format!("there was no answer for {} s", store::patience::LONGEST.as_secs());
            report.fail(
                "connection",
                found,
                "check whether the network between this machine and the database drops \
                connections",
            );
        }
        if checked == Ok(true) {
            sites::check(&context, &mut report).await;
            alerts::check(&context, &mut report).await;
        }
        context.close().await;
    }
    output.rows(&report.0, "")?;
    let (failed, warned) = (report.count(Status::Fail), report.count(Status::Warn));
    if failed > 0 {
        return Err(Error::unhealthy(format!("{failed} of {} checks failed", report.0.len())));
    }
    output.note(&match warned {
        0 => "all is well".to_owned(),
        n => format!("nothing failed; {n} of {} checks have warnings", report.0.len()),
    });
    Ok(())
}

/// The first few of many names.
fn some_of<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const SHOWN: usize = 5;
    let names: Vec<&str> = names.collect();
    match names.len().checked_sub(SHOWN) {
        None | Some(0) => names.join(", "),
        Some(more) => format!("{} and {more} more", names[..SHOWN].join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::some_of;

    #[test]
    fn many_names_are_cut_short_and_counted() {
        assert_eq!(some_of(["a", "b"].into_iter()), "a, b");
        assert_eq!(some_of(["a", "b", "c", "d", "e"].into_iter()), "a, b, c, d, e");
        assert_eq!(some_of(["a", "b", "c", "d", "e", "f", "g"].into_iter()), "a, b, c, d, e and 2 more");
    }
}

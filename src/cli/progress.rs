//! Shows how far a run has come: bars, rate and time left on a terminal, a plain line now and then otherwise.
//!
//! What must hold: progress goes to standard error, never among the data; it is read from the database, so that any
//! process may watch any run; rate and estimate are hints, and the count never claims more than was written; a connection that
//! breaks, or dies without a word, ends no watch: the run goes on, and so does the waiting for it.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use sqlx::PgPool;
use tokio::time::Instant;
use uuid::Uuid;

use super::output::{span, time};
use super::{Error, Output};
use crate::domain::display;
use crate::store::patience::Patience;
use crate::store::run_view::{self, RunProgress};

/// How often a terminal is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(200);
/// How often the database is asked when nothing is drawn.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long the database may be away before the watch is given up. The run is none the worse for it.
const GIVE_UP_AFTER: Duration = Duration::from_secs(600);
/// How often a plain line is written while the state stays the same.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Where progress is shown.
pub struct ProgressView {
    output: Output,
    shown: Shown,
}

enum Shown {
    Nowhere,
    Bar(ProgressBar),
    Lines { last_state: String, last_at: Option<Instant> },
}

impl ProgressView {
    /// A bar on a terminal, lines elsewhere, nothing when `silent` or `--quiet`.
    pub fn new(output: Output, silent: bool) -> Self {
        let shown = if silent || output.is_quiet() {
            Shown::Nowhere
        } else if output.draws_progress() {
            Shown::Bar(new_bar(output.is_styled()))
        } else {
            Shown::Lines { last_state: String::new(), last_at: None }
        };
        Self { output, shown }
    }

    /// How long to wait before the next snapshot.
    fn pace(&self) -> Duration {
        match self.shown {
            Shown::Bar(_) => DRAW_EVERY,
            Shown::Nowhere | Shown::Lines { .. } => LOOK_EVERY,
        }
    }

    /// Shows a snapshot.
    pub fn show(&mut self, progress: &RunProgress) {
        match &mut self.shown {
            Shown::Nowhere => {}
            Shown::Bar(bar) => {
                let done = u64::try_from(progress.issues_done).unwrap_or(0);
                // An estimate that has been passed must not show more than all.
                let total = progress.issues_total_estimate.and_then(|total| u64::try_from(total).ok());
                bar.set_length(total.unwrap_or(0).max(done).max(1));
                bar.set_position(done);
                bar.set_prefix(display::line(&progress.project).into_owned());
                bar.set_message(display::line(&summary(progress)).into_owned());
            }
            Shown::Lines { last_state, last_at } => {
                let is_due = last_at.is_none_or(|at| at.elapsed() >= LINE_EVERY);
                if is_due || *last_state != progress.state {
                    *last_state = progress.state.clone();
                    *last_at = Some(Instant::now());
                    self.output.note(&line(progress));
                }
            }
        }
    }

    /// Says something beside the progress.
    fn note(&self, text: &str) {
        match &self.shown {
            Shown::Bar(bar) => bar.suspend(|| self.output.note(text)),
            Shown::Nowhere | Shown::Lines { .. } => self.output.note(text),
        }
    }

    /// Leaves the terminal clean.
    pub fn finish(self) {
        if let Shown::Bar(bar) = self.shown {
            bar.finish_and_clear();
        }
    }
}

/// Follows a run to its end, showing its progress; answers the last snapshot.
///
/// # Errors
/// When there is no such run, or the database cannot be asked.
pub async fn watch(pool: &PgPool, run_id: Uuid, mut view: ProgressView) -> Result<RunProgress, Error> {
    let mut said_no_worker = false;
    let mut lost_at: Option<Instant> = None;
    let mut patience = Patience::default();
    loop {
        let asked = match patience.wait(run_view::progress(pool, run_id)).await {
            Err(error) if error.is_transient() => {
                let since = *lost_at.get_or_insert_with(|| {
                    view.note(&format!("{error}; retrying, the run continues"));
                    Instant::now()
                });
                if since.elapsed() > GIVE_UP_AFTER {
                    view.finish();
                    let help = format!(
                        "the run continues in the background: follow it with `syncline run watch \
                        {run_id}`"
                    );
                    return Err(Error::from(error).help(help));
                }
                tokio::time::sleep(LOOK_EVERY).await;
                continue;
            }
            asked => asked?,
        };
        if let Some(since) = lost_at.take() {
            view.note(&format!("the database answers again after {} s", since.elapsed().as_secs()));
        }
        let Some(progress) = asked else {
            view.finish();
            return Err(Error::failure(format!("unknown run {run_id}")).help("list runs with `syncline run list`"));
        };
        view.show(&progress);
        if progress.has_ended() {
            view.finish();
            return Ok(progress);
        }
        if progress.workers == 0 && progress.elapsed_seconds > 5.0 && !said_no_worker {
            said_no_worker = true;
            view.note("no worker is running: start one with `syncline worker`");
        }
        tokio::time::sleep(view.pace()).await;
    }
}

fn new_bar(styled: bool) -> ProgressBar {
    let template = if styled { "{prefix:.bold} {bar:30.cyan/dim} {msg}" } else { "{prefix} {bar:30} {msg}" };
    let bar = ProgressBar::new(1);
    // The template is fixed and right; were it not, a plain bar is better than none.
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// The whole of a snapshot in one line.
pub(super) fn line(progress: &RunProgress) -> String {
    format!("{} {}", progress.project, summary(progress))
}

fn summary(progress: &RunProgress) -> String {
    let total = match progress.issues_total_estimate {
        Some(total) if total > progress.issues_done && !progress.has_ended() => format!(" of about {total}"),
        _ => String::new(),
    };
    let mut text = format!(
        "{}: {}{total} issues, {} comments, {} worklogs, {} of {} pages",
        progress.state,
        progress.issues_done,
        progress.comments,
        progress.worklogs,
        progress.pages_applied,
        progress.pages_fetched
    );
    if let (Some(until), Some(reason)) = (progress.paused_until, &progress.pause_reason) {
        text.push_str(&format!(", waiting for Jira until {} ({reason})", time(until)));
    } else if let Some(rate) = rate(progress) {
        text.push_str(&format!(", {rate:.0} issues/s"));
        if let Some(left) = seconds_left(progress, rate) {
            text.push_str(&format!(", {} left", span(left)));
        }
    }
    if progress.retries > 0 {
        text.push_str(&format!(", {} retries", progress.retries));
    }
    text
}

/// Issues per second since the run started; none before there is something to divide.
#[allow(clippy::cast_precision_loss)] // counts of issues are far below 2^52
fn rate(progress: &RunProgress) -> Option<f64> {
    (progress.issues_done > 0 && progress.elapsed_seconds > 0.0)
        .then(|| progress.issues_done as f64 / progress.elapsed_seconds)
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)] // an estimate
fn seconds_left(progress: &RunProgress, rate: f64) -> Option<i64> {
    let left = progress.issues_total_estimate? - progress.issues_done;
    (left > 0 && rate > 0.0 && !progress.has_ended()).then(|| (left as f64 / rate).ceil() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> RunProgress {
        RunProgress {
            run_id: Uuid::nil(),
            project: "acme/WEB".into(),
            state: "running".into(),
            elapsed_seconds: 10.0,
            pages_fetched: 14,
            pages_applied: 10,
            issues_done: 1_000,
            issues_total_estimate: Some(4_000),
            comments: 3_000,
            worklogs: 2_000,
            retries: 0,
            paused_until: None,
            pause_reason: None,
            workers: 1,
            error_code: None,
            error_message: None,
            error_advice: None,
        }
    }

    #[test]
    fn a_line_tells_rate_and_time_left() {
        assert_eq!(
            line(&snapshot()),
            "acme/WEB running: 1000 of about 4000 issues, 3000 comments, 2000 worklogs, 10 of 14 pages, \
             100 issues/s, 30s left"
        );
    }

    #[test]
    fn an_estimate_that_was_passed_is_left_out() {
        let text = line(&RunProgress { issues_done: 4_100, retries: 2, ..snapshot() });
        assert!(text.contains(": 4100 issues") && !text.contains("left") && text.ends_with("2 retries"), "{text}");
    }

    #[test]
    fn a_wait_for_jira_is_said_instead_of_a_rate() {
        let paused_until = Some(chrono::DateTime::UNIX_EPOCH);
        let text = line(&RunProgress { paused_until, pause_reason: Some("RATE_LIMIT".into()), ..snapshot() });
        assert!(text.contains("waiting for Jira until 1970-01-01 00:00:00Z (RATE_LIMIT)"), "{text}");
        assert!(!text.contains("issues/s"), "{text}");
    }

    #[test]
    fn nothing_is_divided_by_zero() {
        let text = line(&RunProgress { issues_done: 0, elapsed_seconds: 0.0, ..snapshot() });
        assert!(!text.contains("issues/s"), "{text}");
    }
}

//! Where the demo speaks: headlines, sentences, and one progress line for several runs.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use sqlx::PgPool;
use tokio::time::Instant;
use uuid::Uuid;

use super::insist;
use crate::cli::{Error, Output};
use crate::store::run_view::{self, RunProgress};

const LOOK_EVERY: Duration = Duration::from_millis(100);
const LINE_EVERY: Duration = Duration::from_secs(2);

/// Speaks to whoever watches.
pub(super) struct Stage {
    output: Output,
    began: Instant,
}

impl Stage {
    pub fn new(output: Output) -> Self {
        Self { output, began: Instant::now() }
    }

    /// Where it speaks.
    pub fn output(&self) -> Output {
        self.output
    }

    /// A headline, with the seconds since the beginning.
    pub fn act(&self, title: &str) {
        let at = self.began.elapsed().as_secs_f64();
        self.output.note("");
        self.output.headline(title, &format!("{at:.1} s"));
    }

    /// A line.
    pub fn say(&self, line: &str) {
        self.output.note(&format!("  {line}"));
    }

    /// Shows how far runs have come until all have ended.
    ///
    /// # Errors
    /// When one of them does not succeed.
    pub async fn follow(&self, pool: &PgPool, runs: &[Uuid]) -> Result<(), Error> {
        let bar = self.output.draws_progress().then(bar);
        let started = Instant::now();
        let mut said = Instant::now();
        loop {
            let mut all = Vec::with_capacity(runs.len());
            for run in runs {
                all.extend(run_view::progress(pool, *run).await?);
            }
            let sum = Sum::of(&all, started.elapsed());
            match &bar {
                Some(bar) => {
                    bar.set_length(sum.total.max(sum.done).max(1));
                    bar.set_position(sum.done);
                    bar.set_message(sum.text());
                }
                None if said.elapsed() >= LINE_EVERY => {
                    said = Instant::now();
                    self.say(&sum.text());
                }
                None => {}
            }
            if all.len() == runs.len() && all.iter().all(RunProgress::has_ended) {
                if let Some(bar) = bar {
                    bar.finish_and_clear();
                }
                self.say(&format!("{} — done", sum.text()));
                return all.iter().try_for_each(insist);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::new(1);
    let style = ProgressStyle::with_template("  {bar:32.cyan/dim} {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// Several runs as one.
struct Sum {
    done: u64,
    total: u64,
    comments: i64,
    worklogs: i64,
    seconds: f64,
}

impl Sum {
    fn of(all: &[RunProgress], elapsed: Duration) -> Self {
        let count = |n: i64| u64::try_from(n).unwrap_or(0);
        Self {
            done: all.iter().map(|run| count(run.issues_done)).sum(),
            total: all.iter().map(|run| count(run.issues_total_estimate.unwrap_or(0))).sum(),
            comments: all.iter().map(|run| run.comments).sum(),
            worklogs: all.iter().map(|run| run.worklogs).sum(),
            seconds: elapsed.as_secs_f64(),
        }
    }

    fn text(&self) -> String {
        #[allow(clippy::cast_precision_loss)] // a rate for people
        let rate = self.done as f64 / self.seconds.max(0.001);
        format!(
            "{} of about {} issues, {} comments and {} worklogs written, {rate:.0} issues/s",
            self.done,
            self.total.max(self.done),
            self.comments,
            self.worklogs
        )
    }
}

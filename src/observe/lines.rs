//! Log lines for somebody who sits before a terminal: a time, and a sentence.
//!
//! ```text
//! 2026-11-28 07:57:42Z  acme/OPS: incremental succeeded in 0.6 s: 60 issues read, 60 new, 0 changed
//! 2026-11-28 08:12:40Z  warning: Jira did not answer  (code TIMEOUT, wait_seconds 2, run 01a22128-f431-…)
//! ```
//!
//! What must hold: what goes well is its sentence alone; what does not carries its fields, and the run that it belongs to.
//! Every field of every line is in the other forms (`log.format`).

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// The digits of a time up to its seconds, as RFC 3339 writes them.
const TO_SECONDS: usize = 19;
/// The digits of a run's id.
const ID: usize = 36;

/// One sentence a line.
pub(super) struct Lines {
    /// Whether the terminal wants colour.
    pub colour: bool,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut to: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut said = Said::default();
        event.record(&mut said);
        let level = *event.metadata().level();
        let run = context.lookup_current().and_then(|span| {
            let extensions = span.extensions();
            run_of(&extensions.get::<FormattedFields<N>>()?.fields)
        });
        let mut now = String::new();
        SystemTime.format_time(&mut Writer::new(&mut now))?;
        let now = now.get(..TO_SECONDS).unwrap_or(&now).replace('T', " ");
        writeln!(to, "{}  {}", self.styled("2", &format!("{now}Z")), self.sentence(level, &said, run))
    }
}

impl Lines {
    fn sentence(&self, level: Level, said: &Said, run: Option<String>) -> String {
        let mut text = match level {
            Level::ERROR => self.styled("31", "error: "),
            Level::WARN => self.styled("33", "warning: "),
            Level::INFO => String::new(),
            other => format!("{}: ", other.as_str().to_ascii_lowercase()),
        };
        let is_well = level == Level::INFO;
        match (said.message.is_empty(), said.event.is_empty()) {
            (false, _) => text.push_str(&said.message),
            (true, false) => text.push_str(&said.event.replace('_', " ")),
            (true, true) => text.push_str("something happened"),
        }
        // A line without a sentence has nothing but its fields.
        let mut details = if is_well && !said.message.is_empty() { Vec::new() } else { said.fields.clone() };
        details.extend(run.filter(|_| !is_well && !said.has_run).map(|run| format!("run {run}")));
        if !details.is_empty() {
            text.push_str(&self.styled("2", &format!("  ({})", details.join(", "))));
        }
        text
    }

    fn styled(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// What an event says.
#[derive(Default)]
struct Said {
    message: String,
    event: String,
    fields: Vec<String>,
    has_run: bool,
}

impl Said {
    fn keep(&mut self, name: &str, value: String) {
        match name {
            "message" => self.message = value,
            "event" => self.event = value,
            // Of libraries that log by another way: where in their source.
            name if name.starts_with("log.") => {}
            name => {
                self.has_run |= name == "run_id";
                self.fields.push(format!("{name} {value}"));
            }
        }
    }
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.keep(field.name(), value.to_owned());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        let mut text = format!("{value:.3}");
        text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
        self.keep(field.name(), text);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        write!(text, "{value:?}").ok();
        self.keep(field.name(), text);
    }
}

/// The run of a step's span, out of its fields as they are written for lines.
fn run_of(fields: &str) -> Option<String> {
    let run = fields.split_once("run_id=")?.1.get(..ID)?;
    Some(run.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::{events, logs, trace};
    use uuid::Uuid;

    fn in_a_step(f: impl FnOnce()) {
        let (step_id, run_id) = (Uuid::nil(), Some(Uuid::from_u128(7)));
        let traceparent = trace::new_traceparent(&crate::clock::Clock::virtual_at(chrono::DateTime::UNIX_EPOCH, 7).0);
        let step = trace::StepSpan { step: "plan_run", step_id, run_id, attempt: 1, waited_seconds: 0.0, rescues: 0 };
        trace::step(Some(&traceparent), &step).in_scope(f);
    }

    #[test]
    fn what_goes_well_is_a_time_and_a_sentence() {
        let text = logs::tests::seen_by_people(false, || {
            in_a_step(|| tracing::info!(event = events::RUN_FINISHED, issues = 60, "acme/OPS: done: 60 issues read"));
        });
        let (time, sentence) = text.split_once("  ").unwrap();
        assert!(time.len() == 20 && time.ends_with('Z') && time.as_bytes()[10] == b' ', "{time}");
        assert_eq!(sentence, "acme/OPS: done: 60 issues read\n");
    }

    #[test]
    fn what_fails_carries_its_fields_and_its_run() {
        let text = logs::tests::seen_by_people(false, || {
            in_a_step(|| {
                tracing::warn!(event = events::STEP_RETRIED, code = %"TIMEOUT", wait_seconds = 2.0, "no answer");
            });
        });
        let expected = "warning: no answer  (code TIMEOUT, wait_seconds 2, run 00000000-0000-0000-0000-000000000007)\n";
        assert!(text.ends_with(expected), "{text}");
        let text = logs::tests::seen_by_people(false, || tracing::info!(event = events::DATABASE_BACK, seconds = 1.5));
        assert!(text.ends_with("database back  (seconds 1.5)\n"), "{text}");
    }

    #[test]
    fn colour_is_for_the_time_and_for_trouble() {
        let text = logs::tests::seen_by_people(true, || tracing::error!(event = events::PANIC, "\u{1b}[2Jgone"));
        assert!(text.contains("\u{1b}[31merror: \u{1b}[0m\\u{1b}[2Jgone"), "{text:?}");
    }
}

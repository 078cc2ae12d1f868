//! Logs: one line per event on standard error, a sentence for people on a terminal, JSON otherwise.
//!
//! What must hold: an event is one line, whatever text it carries, so that a name or a message from outside cannot forge
//! another event; standard output stays free for data.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::str::FromStr;
use std::sync::OnceLock;

use serde::Deserialize;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, Filter};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry, fmt, reload};

use super::lines::Lines;
use super::{events, trace};
use crate::domain::display;
use crate::domain::failure::sanitise;

/// The filter when none is given: this program's events, and only trouble from libraries.
pub const DEFAULT_FILTER: &str = "warn,syncline=info";

/// How lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// A sentence a line when standard error is a terminal, JSON otherwise.
    #[default]
    Auto,
    /// Text with every field.
    Text,
    /// For machines: one object per line.
    Json,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(format!("log format {text:?} is unknown; use auto, text or json")),
        }
    }
}

/// What is logged and how.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// How lines look.
    pub format: LogFormat,
    /// A level (`debug`: this program's own), or directives as `warn,syncline::sync=debug`.
    pub filter: String,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { format: LogFormat::Auto, filter: DEFAULT_FILTER.to_owned() }
    }
}

/// The filter is not one.
#[derive(Debug, thiserror::Error)]
#[error(
    "log filter {filter:?} is invalid; give a level (error, warn, info, debug, trace) or directives such as \
        warn,syncline=debug"
)]
pub struct FilterError {
    filter: String,
    #[source]
    source: tracing_subscriber::filter::ParseError,
}

/// Reads a filter; a bare level is this program's, libraries stay at `warn` unless they are named.
pub(super) fn filter(text: &str) -> Result<EnvFilter, FilterError> {
    let text = text.trim();
    let level = LevelFilter::from_str(text);
    let directives = match level {
        _ if text.is_empty() => DEFAULT_FILTER.to_owned(),
        Ok(level) if level < LevelFilter::WARN => level.to_string(),
        Ok(level) => format!("warn,syncline={level}"),
        Err(_) => text.to_owned(),
    };
    // Spans that are only for export are left out whatever was asked for, so that a line shows its step; so is what the
    // exporter's libraries say with every batch that they lose.
    let directives = format!("{directives},{}=off,opentelemetry=off", trace::EXPORT_ONLY);
    EnvFilter::try_new(directives).map_err(|source| FilterError { filter: text.to_owned(), source })
}

/// Refuses at once what neither logs nor traces want. A layer's own filter leaves its refusal behind on the thread when
/// somebody only asks whether a line would be wanted, as database drivers do with every statement, and the next line would
/// fall to it.
pub(super) struct Wanted {
    pub filter: reload::Handle<EnvFilter, Registry>,
    pub exported: bool,
}

impl<S: Subscriber> Layer<S> for Wanted {
    fn enabled(&self, metadata: &Metadata<'_>, context: Context<'_, S>) -> bool {
        (self.exported && trace::is_exported(metadata))
            || self.filter.with_current(|filter| Filter::enabled(filter, metadata, &context)).unwrap_or(true)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let logged = self.filter.with_current(<EnvFilter as Filter<S>>::max_level_hint).ok().flatten()?;
        Some(if self.exported { logged.max(LevelFilter::INFO) } else { logged })
    }
}

static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Keeps the way to the filter of this process.
pub(super) fn keep(handle: reload::Handle<EnvFilter, Registry>) {
    let _ = FILTER.set(handle);
}

/// The filter of this process' log lines; `None` before logs have started.
pub fn current_filter() -> Option<String> {
    FILTER.get().and_then(|handle| handle.with_current(ToString::to_string).ok())
}

/// Changes what this process logs from now on, until it ends; `text` is as in [`LogOptions::filter`]. Answers the filter
/// that is in force.
///
/// # Errors
/// When the filter cannot be read; the old one stays.
pub fn set_filter(text: &str) -> Result<String, FilterError> {
    let (new, from) = (filter(text)?, current_filter().unwrap_or_default());
    let to = new.to_string();
    if let Some(handle) = FILTER.get() {
        // Said under the filter that lets more through, as far as one can tell: both let warnings through, unless asked not to.
        tracing::warn!(event = events::LOG_LEVEL_CHANGED, from, to, "the log level was changed");
        // Fails only when the subscriber is gone, and then nothing is logged at all.
        let _ = handle.reload(new);
    }
    Ok(to)
}

/// The layer that writes to standard error.
pub(super) fn layer<S>(format: LogFormat) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let terminal = io::stderr().is_terminal();
    let json = match format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let form = Form::of(json, colour);
    let writer = move || OneLine(io::stderr(), form);
    match format {
        LogFormat::Auto if terminal => for_people(colour, writer),
        _ => formatted(json, colour, writer),
    }
}

/// Sentences. The fields of spans are written without colour, to be read again.
fn for_people<S, W, F>(colour: bool, writer: F) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: Write,
    F: Fn() -> OneLine<W> + Send + Sync + 'static,
    F: for<'a> MakeWriter<'a>,
{
    fmt::layer().with_writer(writer).with_ansi(false).event_format(Lines { colour }).boxed()
}

fn formatted<S, W, F>(json: bool, colour: bool, writer: F) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: Write,
    F: Fn() -> OneLine<W> + Send + Sync + 'static,
    F: for<'a> MakeWriter<'a>,
{
    let layer = fmt::layer().with_writer(writer).with_ansi(colour);
    if json {
        layer.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed()
    } else {
        // What is said comes first; what it belongs to stands at the end of the line.
        layer.compact().with_target(false).boxed()
    }
}

/// Lets a panic leave one line as any other event, instead of several of its own.
pub(super) fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().map(sanitise).unwrap_or_default();
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(event = events::PANIC, message, location);
    }));
}

/// How the lines of a writer look.
#[derive(Clone, Copy, Debug)]
enum Form {
    Json,
    Plain,
    Coloured,
}

impl Form {
    fn of(json: bool, colour: bool) -> Self {
        match (json, colour) {
            (true, _) => Self::Json,
            (false, true) => Self::Coloured,
            (false, false) => Self::Plain,
        }
    }
}

/// A writer that gets one event at a time and keeps it on one line, in which nothing is obeyed by a terminal but the
/// program's own colours.
struct OneLine<W>(W, Form);

impl<W: Write> Write for OneLine<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let (body, end) = text.strip_suffix('\n').map_or((&*text, ""), |body| (body, "\n"));
        let shown = match self.1 {
            Form::Json => Cow::Owned(display::json(body).replace('\n', "\\n").replace('\r', "\\r")),
            Form::Plain => display::line(body),
            Form::Coloured => Cow::Owned(display::coloured_line(body)),
        };
        self.0.write_all(format!("{shown}{end}").as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::prelude::*;

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(json: bool, f: impl FnOnce()) -> String {
        logged_in(json, false, f)
    }

    fn logged_in(json: bool, colour: bool, f: impl FnOnce()) -> String {
        let sink = Sink::default();
        let copy = sink.clone();
        let layer = formatted(json, colour, move || OneLine(copy.clone(), Form::of(json, colour)));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), f);
        String::from_utf8(sink.0.lock().unwrap().clone()).unwrap()
    }

    /// What is on a terminal.
    pub fn seen_by_people(colour: bool, f: impl FnOnce()) -> String {
        let sink = Sink::default();
        let copy = sink.clone();
        let layer = for_people(colour, move || OneLine(copy.clone(), Form::of(false, colour)));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), f);
        String::from_utf8(sink.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn text_from_outside_cannot_forge_a_line() {
        for json in [false, true] {
            let text = logged(json, || {
                tracing::info!(event = events::RUN_FINISHED, project = "A\nERROR forged\r\n", "done\nERROR forged");
            });
            assert_eq!(text.lines().count(), 1, "{text}");
            assert!(text.ends_with('\n') && text.contains("run_finished"), "{text}");
        }
    }

    #[test]
    fn a_line_obeys_nothing_that_came_from_outside() {
        let hostile = "x\u{1b}]52;c;aGk=\u{7}\u{1b}[2J\u{9b}2J\u{202e}\u{200b}y";
        for (json, colour) in [(false, false), (false, true), (true, false)] {
            let text = logged_in(json, colour, || {
                tracing::warn!(event = events::RUN_FAILED, project = hostile, message = %hostile, advice = ?hostile, "{hostile}");
            });
            let own = text.replace("\u{1b}[", if colour { "" } else { "\u{1b}[" });
            let obeyed: Vec<char> = own.trim_end().chars().filter(|c| display::is_unseen(*c)).collect();
            assert!(obeyed.is_empty(), "{obeyed:?} in {text:?}");
            assert!(!text.contains("[2J\u{9b}") && !text.contains("\u{1b}[2J"), "{text:?}");
        }
    }

    #[test]
    fn a_line_of_a_step_carries_its_trace_and_run() {
        let (clock, _) = crate::clock::Clock::virtual_at(chrono::DateTime::UNIX_EPOCH, 7);
        let traceparent = trace::new_traceparent(&clock);
        let run_id = uuid::Uuid::from_u128(5);
        let text = logged(true, || {
            let step = trace::StepSpan {
                step: "plan_run",
                step_id: uuid::Uuid::nil(),
                run_id: Some(run_id),
                attempt: 2,
                waited_seconds: 0.0,
                rescues: 0,
            };
            let span = trace::step(Some(&traceparent), &step);
            span.in_scope(|| tracing::warn!(event = events::STEP_RETRIED, "again"));
        });
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["event"], "step_retried");
        assert_eq!(line["span"]["trace_id"], traceparent.split('-').nth(1).unwrap());
        assert_eq!(line["span"]["run_id"], run_id.to_string());
        assert_eq!(line["span"]["attempt"], 2);
    }

    #[test]
    fn a_bare_level_applies_here_and_a_wrong_filter_is_explained() {
        assert_eq!(filter("debug").unwrap().to_string(), "opentelemetry=off,syncline=debug,trace=off,warn");
        assert_eq!(filter("error").unwrap().to_string(), "opentelemetry=off,trace=off,error");
        assert_eq!(filter("warn,sqlx=debug").unwrap().to_string(), "opentelemetry=off,trace=off,sqlx=debug,warn");
        let error = filter("syncline=loud").unwrap_err().to_string();
        assert!(error.contains("syncline=loud") && error.contains("directives"), "{error}");
        assert!(LogFormat::from_str("xml").unwrap_err().contains("auto, text or json"));
    }
}

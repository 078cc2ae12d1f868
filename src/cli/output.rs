//! Where words go: data on standard output, everything else on standard error.
//!
//! What must hold: `-o json` and `-o jsonl` print nothing but data; colour only on a terminal that wants it (NO_COLOR,
//! `--no-color`); a reader that leaves early (`| head`) ends the command quietly, without a panic. Nothing else writes to
//! the two streams (`tests/architecture.rs`), and whatever is written here has passed [`display`], so that no text of
//! Jira's is obeyed by a terminal; in JSON such characters are escaped and the value is the same.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

use chrono::{DateTime, SecondsFormat, Utc};
use comfy_table::{Attribute, Cell, Color, Table, presets};
use serde::Serialize;

use super::{Error, table};
use crate::domain::display;

/// How data are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Columns for people
    #[default]
    Table,
    /// One JSON document
    Json,
    /// One JSON object a line
    Jsonl,
}

/// What has a place in a table.
pub trait Row: Serialize {
    /// The columns' names.
    const HEADERS: &'static [&'static str];

    /// The columns that a terminal which is too narrow for all does without, in this order.
    const SPARE: &'static [&'static str] = &[];

    /// One text per column.
    fn cells(&self) -> Vec<String>;
}

/// What is shown by itself, a field a line.
pub trait Fields: Serialize {
    /// Names and texts; those with an empty text are left out.
    fn fields(&self) -> Vec<(&'static str, String)>;
}

/// The two streams of a command.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    format: Format,
    quiet: bool,
    wide: bool,
    styled: bool,
    stdout_is_terminal: bool,
    stderr_is_terminal: bool,
}

impl Output {
    /// The streams of this process.
    pub fn new(format: Format, no_color: bool, quiet: bool) -> Self {
        let stdout_is_terminal = io::stdout().is_terminal();
        let wanted = !no_color && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self {
            format,
            quiet,
            wide: false,
            styled: wanted && stdout_is_terminal,
            stdout_is_terminal,
            stderr_is_terminal: io::stderr().is_terminal(),
        }
    }

    /// The same with every column of a table, however narrow the terminal is.
    pub fn wide(mut self, wide: bool) -> Self {
        self.wide = wide;
        self
    }

    /// How data are printed.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Whether progress may be drawn: standard error is a terminal and nobody asked for silence.
    pub fn draws_progress(&self) -> bool {
        self.stderr_is_terminal && !self.quiet
    }

    /// Whether `--quiet` was given.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Whether colour is wanted.
    pub fn is_styled(&self) -> bool {
        self.styled
    }

    /// Prints many of a kind. An empty table is a note on standard error, `nothing`; empty JSON is `[]`.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn rows<T: Row>(&self, rows: &[T], nothing: &str) -> Result<(), Error> {
        match self.format {
            Format::Table if rows.is_empty() => {
                self.note(nothing);
                Ok(())
            }
            Format::Table => {
                // A line feed would make a row of its own.
                let cells: Vec<Vec<String>> = rows
                    .iter()
                    .map(|row| row.cells().iter().map(|text| display::line(text).into_owned()).collect())
                    .collect();
                let fit = table::layout(T::HEADERS, &cells, T::SPARE, self.width());
                let mut table = self.new_table();
                table.set_header(
                    fit.columns.iter().map(|at| self.styled_cell(T::HEADERS[*at], Some(Attribute::Bold), None)),
                );
                for row in &cells {
                    table.add_row(fit.columns.iter().zip(&fit.widths).filter_map(|(at, width)| {
                        let text = row.get(*at)?;
                        Some(self.styled_cell(&self.wrapped(text, *width), None, color_of(T::HEADERS[*at], text)))
                    }));
                }
                write_data(&table.trim_fmt())?;
                match T::HEADERS.len() - fit.columns.len() {
                    0 => {}
                    1 => self.note("1 column is hidden: use --wide to show it"),
                    n => self.note(&format!("{n} columns are hidden: use --wide to show them")),
                }
                Ok(())
            }
            Format::Json => self.json(&rows),
            Format::Jsonl => rows.iter().try_for_each(|row| self.json_line(row)),
        }
    }

    /// Prints one thing.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn fields<T: Fields>(&self, value: &T) -> Result<(), Error> {
        match self.format {
            Format::Table => {
                let mut table = self.new_table();
                let fields = value.fields();
                let names = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
                let width = self.width().map_or(usize::MAX, |width| width.saturating_sub(names + 2).max(20));
                for (name, text) in fields.into_iter().filter(|(_, text)| !text.is_empty()) {
                    let color = color_of(&name.to_ascii_uppercase(), &text);
                    table.add_row([
                        self.styled_cell(name, Some(Attribute::Bold), None),
                        self.styled_cell(&self.wrapped(&display::block(&text), width), None, color),
                    ]);
                }
                write_data(&table.trim_fmt())
            }
            Format::Json => self.json(value),
            Format::Jsonl => self.json_line(value),
        }
    }

    /// Prints several things, a block each, and a list for machines.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn blocks<T: Fields>(&self, values: &[T]) -> Result<(), Error> {
        if self.format == Format::Json {
            return self.json(&values);
        }
        for (at, value) in values.iter().enumerate() {
            if at > 0 && self.format == Format::Table {
                write_data("")?;
            }
            self.fields(value)?;
        }
        Ok(())
    }

    /// Prints one short result: `text` for people, `value` for machines.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn result(&self, text: &str, value: &impl Serialize) -> Result<(), Error> {
        match self.format {
            Format::Table => self.print(text),
            Format::Json => self.json(value),
            Format::Jsonl => self.json_line(value),
        }
    }

    /// Prints what was done: a note for people, `value` for machines.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn done(&self, text: &str, value: &impl Serialize) -> Result<(), Error> {
        match self.format {
            Format::Table => {
                self.note(text);
                Ok(())
            }
            Format::Json | Format::Jsonl => self.result("", value),
        }
    }

    /// Prints one line of data, as it comes.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn line(&self, text: &str) -> Result<(), Error> {
        match self.format {
            Format::Table => write_data(&display::line(text)),
            Format::Json | Format::Jsonl => write_data(&display::json(text)),
        }
    }

    /// Tells people something beside the data, on standard error, unless `--quiet`.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.warn(text);
        }
    }

    /// Tells people something that `--quiet` does not hide, on standard error.
    pub fn warn(&self, text: &str) {
        say(text);
    }

    /// A headline on standard error, with something less important behind it.
    pub fn headline(&self, title: &str, aside: &str) {
        let (title, aside) = (display::line(title), display::line(aside));
        if self.quiet {
            return;
        }
        if self.styled && self.stderr_is_terminal {
            write_words(&format!("\x1b[1m{title}\x1b[0m  \x1b[2m{aside}\x1b[0m\n"));
        } else {
            write_words(&format!("{title}  ({aside})\n"));
        }
    }

    /// Writes text as data.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn print(&self, text: &str) -> Result<(), Error> {
        print(text)
    }

    /// Prints a value as JSON, whatever the format.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn json(&self, value: &impl Serialize) -> Result<(), Error> {
        write_data(&display::json(&serde_json::to_string_pretty(value)?))
    }

    fn json_line(&self, value: &impl Serialize) -> Result<(), Error> {
        write_data(&display::json(&serde_json::to_string(value)?))
    }

    /// The width to keep; none where nobody looks, or every column is wanted.
    fn width(&self) -> Option<usize> {
        if !self.stdout_is_terminal || self.wide {
            return None;
        }
        // A line begins with a space.
        Table::new().width().map(|width| usize::from(width).saturating_sub(1))
    }

    fn wrapped<'a>(&self, text: &'a str, width: usize) -> Cow<'a, str> {
        if self.width().is_some() { table::wrap(text, width).into() } else { text.into() }
    }

    /// Nothing is arranged by it: the texts fit already, and it breaks words.
    fn new_table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        if !self.stdout_is_terminal {
            table.force_no_tty();
        }
        table
    }

    fn styled_cell(&self, text: &str, attribute: Option<Attribute>, color: Option<Color>) -> Cell {
        let mut cell = Cell::new(text);
        if self.styled {
            cell = match attribute {
                Some(attribute) => cell.add_attribute(attribute),
                None => cell,
            };
            cell = match color {
                Some(color) => cell.fg(color),
                None => cell,
            };
        }
        cell
    }
}

/// Tells people something, on standard error.
pub(super) fn say(text: &str) {
    write_words(&format!("{}\n", display::block(text)));
}

/// Asks people something, on standard error; the answer is typed behind it.
pub(super) fn ask(question: &str) {
    write_words(&display::block(question));
}

/// Writes text as data.
///
/// # Errors
/// When standard output cannot be written.
pub(super) fn print(text: &str) -> Result<(), Error> {
    write_data(&display::block(text))
}

fn write_data(safe: &str) -> Result<(), Error> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{safe}")?;
    Ok(stdout.flush()?)
}

/// Where even standard error is closed, the exit code is all that can be said.
fn write_words(safe: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(safe.as_bytes()).and_then(|()| stderr.flush());
}

/// States speak in colour, everything else does not.
fn color_of(header: &str, text: &str) -> Option<Color> {
    if !matches!(header, "STATE" | "STATUS" | "LEVEL" | "LAST SYNC") {
        return None;
    }
    match text.split_whitespace().next().unwrap_or_default() {
        "succeeded" | "active" | "done" | "pass" => Some(Color::Green),
        "running" | "ready" | "queued" => Some(Color::Cyan),
        "paused" | "cancelling" | "cancelled" | "warn" | "later" | "never" => Some(Color::Yellow),
        "failed" | "dead" | "error" | "fail" => Some(Color::Red),
        _ => None,
    }
}

/// A time for people: UTC, whole seconds.
pub fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true).replace('T', " ")
}

/// A time for people, or a dash.
pub fn time_or_dash(at: Option<DateTime<Utc>>) -> String {
    at.map_or_else(|| "-".into(), time)
}

/// A span of time for people: its two largest units.
pub fn span(seconds: i64) -> String {
    let seconds = seconds.max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h {}m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_times_read_well() {
        assert_eq!(span(-5), "0s");
        assert_eq!(span(61), "1m 1s");
        assert_eq!(span(7_322), "2h 2m");
        assert_eq!(span(90_000), "1d 1h");
        assert_eq!(time(DateTime::UNIX_EPOCH), "1970-01-01 00:00:00Z");
        assert_eq!(time_or_dash(None), "-");
    }

    #[test]
    fn only_states_are_coloured() {
        assert_eq!(color_of("STATE", "failed AUTH_INVALID"), Some(Color::Red));
        assert_eq!(color_of("NAME", "failed"), None);
    }
}

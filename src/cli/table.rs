//! Tables that fit a terminal.
//!
//! What must hold: no id, time or word is broken; where a table is too wide, long texts are wrapped between words, then
//! columns that may be spared are left out and counted; what still does not fit is left to the terminal. Where nobody looks
//! (a pipe, a file, `--wide`) every column stands on one line.

/// Between two columns, in characters.
const GAP: usize = 2;
/// A text that is no longer than this is never wrapped: an id with its dashes, a time, a few words.
const WHOLE: usize = 36;

/// Which columns are shown, and how wide.
#[derive(Debug, PartialEq, Eq)]
pub struct Layout {
    /// Their numbers.
    pub columns: Vec<usize>,
    /// Their widths.
    pub widths: Vec<usize>,
}

/// How texts fit into `width`; all of them, on one line each, where there is no width to keep.
pub fn layout(headers: &[&str], rows: &[Vec<String>], spare: &[&str], width: Option<usize>) -> Layout {
    let natural: Vec<usize> = (0..headers.len())
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column)).map(|text| length(text));
            cells.chain([length(headers[column])]).max().unwrap_or(0)
        })
        .collect();
    let mut columns: Vec<usize> = (0..headers.len()).collect();
    let Some(width) = width else { return Layout { widths: natural, columns } };
    let least: Vec<usize> = (0..headers.len())
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            let texts =
                cells.map(|text| if length(text) <= WHOLE { length(text) } else { longest_word(text).max(WHOLE / 2) });
            texts.chain([length(headers[column])]).max().unwrap_or(0)
        })
        .collect();
    for name in spare {
        if total(&columns, &least) <= width {
            break;
        }
        columns.retain(|column| headers[*column] != *name);
    }
    let mut widths: Vec<usize> = columns.iter().map(|column| natural[*column]).collect();
    let least: Vec<usize> = columns.iter().map(|column| least[*column]).collect();
    while sum(&widths) > width {
        // The widest gives way first.
        let widest = (0..widths.len()).filter(|at| widths[*at] > least[*at]).max_by_key(|at| widths[*at]);
        let Some(at) = widest else { break };
        widths[at] -= 1;
    }
    Layout { columns, widths }
}

/// A text in lines of at most `width`, broken between words; a longer word stands on a line of its own.
pub fn wrap(text: &str, width: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        if length(line) <= width {
            lines.push(line.to_owned());
            continue;
        }
        let mut current = String::new();
        for word in line.split(' ') {
            let room = length(&current) + 1 + length(word) <= width;
            if !current.is_empty() && !room {
                lines.push(std::mem::take(&mut current));
            } else if !current.is_empty() {
                current.push(' ');
            }
            current.push_str(word);
        }
        lines.push(current);
    }
    lines.join("\n")
}

fn total(columns: &[usize], widths: &[usize]) -> usize {
    columns.iter().map(|column| widths[*column] + GAP).sum::<usize>().saturating_sub(GAP)
}

fn sum(widths: &[usize]) -> usize {
    widths.iter().map(|width| width + GAP).sum::<usize>().saturating_sub(GAP)
}

fn longest_word(text: &str) -> usize {
    text.split_whitespace().map(length).max().unwrap_or(0)
}

/// In characters: those of East Asia are twice as wide and make a table ragged, not wrong.
fn length(text: &str) -> usize {
    text.lines().map(|line| line.chars().count()).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0197c2aa-0000-7000-8000-000000000022";
    const HEADERS: [&str; 4] = ["RUN", "PROJECT", "TRIGGER", "MESSAGE"];

    fn rows() -> Vec<Vec<String>> {
        let message = "GET /myself answered 401: the account's token is refused and nobody may try again";
        vec![[ID, "acme/WEB", "schedule", message].map(str::to_owned).into()]
    }

    #[test]
    fn a_pipe_gets_every_column_on_one_line() {
        let all = layout(&HEADERS, &rows(), &["TRIGGER"], None);
        assert_eq!(all.columns, [0, 1, 2, 3]);
        assert_eq!(all.widths, [36, 8, 8, rows()[0][3].len()]);
    }

    #[test]
    fn long_texts_are_wrapped_before_a_column_is_left_out() {
        let fits = layout(&HEADERS, &rows(), &["TRIGGER"], Some(100));
        assert_eq!((fits.columns.len(), sum(&fits.widths)), (4, 100), "{fits:?}");
        assert_eq!(fits.widths[..3], [36, 8, 8], "no id is broken");
        let narrow = layout(&HEADERS, &rows(), &["TRIGGER", "PROJECT"], Some(72));
        assert_eq!(narrow.columns, [0, 1, 3], "only as many as it takes");
        let hopeless = layout(&HEADERS, &rows(), &[], Some(20));
        assert_eq!(hopeless.widths[0], 36, "an id is never broken");
    }

    #[test]
    fn lines_break_between_words_only() {
        let text = "GET /myself answered 401\nand so on without-any-break-at-all";
        assert_eq!(wrap(text, 12), "GET /myself\nanswered 401\nand so on\nwithout-any-break-at-all");
        assert_eq!(wrap("short", 12), "short");
    }
}

//! The kinds of panels: numbers, lines, tables, states over time, heat maps.

use serde_json::Value;

use super::scale;
use super::svg::Svg;
use super::{Line, Shown, Table};

pub struct Frame {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

const COLOURS: [&str; 10] =
    ["#73bf69", "#f2cc0c", "#5794f2", "#ff780a", "#f2495c", "#b877d9", "#37872d", "#8ab8ff", "#fade2a", "#ffb357"];
const QUIET: &str = "#9fa7b3";
const GRID: &str = "#26282e";

pub fn draw(svg: &mut Svg, frame: &Frame, panel: &Value, shown: &Shown, span: (f64, f64)) {
    svg.rect((frame.x, frame.y, frame.width, frame.height), "#181b1f", 1.0, 3.0);
    svg.text(frame.x + 10.0, frame.y + 20.0, 13.0, "#d8d9da", "start", panel["title"].as_str().unwrap_or_default());
    let inner = Frame { x: frame.x + 10.0, y: frame.y + 30.0, width: frame.width - 20.0, height: frame.height - 38.0 };
    if shown.is_empty() {
        let why = panel["fieldConfig"]["defaults"]["noValue"].as_str().unwrap_or("no data");
        let (x, y) = (inner.x + inner.width / 2.0, inner.y + inner.height / 2.0);
        return svg.text(x, y, 12.0, QUIET, "middle", why);
    }
    match (panel["type"].as_str().unwrap_or_default(), shown) {
        ("stat", Shown::Lines(lines)) => number(svg, &inner, panel, lines),
        ("stat", Shown::Table(rows)) => numbers(svg, &inner, panel, rows),
        ("state-timeline", Shown::Lines(lines)) => states(svg, &inner, panel, lines, span),
        ("heatmap", Shown::Lines(lines)) => heat(svg, &inner, lines, span),
        (_, Shown::Lines(lines)) => chart(svg, &inner, panel, lines, span),
        (_, Shown::Table(rows)) => table(svg, &inner, rows),
    }
}

fn unit(panel: &Value) -> &str {
    panel["fieldConfig"]["defaults"]["unit"].as_str().unwrap_or("none")
}

/// Grafana's names of colours, as far as the dashboards use them; others are written as they are.
fn named(name: &str) -> &str {
    match name {
        "green" => "#73bf69",
        "red" => "#f2495c",
        "dark-red" => "#c4162a",
        "orange" => "#ff9830",
        "yellow" => "#fade2a",
        "blue" => "#5794f2",
        "text" => "#d8d9da",
        other => other,
    }
}

/// The colour of a line: what the panel says of its name, else the next of the palette.
pub fn colour<'a>(panel: &'a Value, name: &str, at: usize) -> &'a str {
    let overrides = panel["fieldConfig"]["overrides"].as_array();
    let fits = |one: &&Value| {
        let wanted = one["matcher"]["options"].as_str().unwrap_or_default();
        match one["matcher"]["id"].as_str() {
            Some("byName") => wanted == name,
            // All that the dashboards use: a word, alone or the last one.
            Some("byRegexp") => {
                let word = wanted.trim_start_matches("/(^| )").trim_start_matches("/ ").trim_end_matches("$/");
                name.rsplit(' ').next() == Some(word)
            }
            _ => false,
        }
    };
    let colour_of = |one: &'a Value| {
        let properties = one["properties"].as_array()?;
        properties.iter().find(|property| property["id"] == "color")?["value"]["fixedColor"].as_str()
    };
    let said = overrides.into_iter().flatten().filter(fits).find_map(colour_of);
    said.map_or(COLOURS[at % COLOURS.len()], named)
}

/// The colour that the thresholds give a value.
fn threshold(panel: &Value, value: f64) -> &str {
    let steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"].as_array();
    let mut reached = steps.into_iter().flatten().filter(|step| step["value"].as_f64().is_none_or(|at| at <= value));
    named(reached.next_back().and_then(|step| step["color"].as_str()).unwrap_or("text"))
}

fn number(svg: &mut Svg, frame: &Frame, panel: &Value, lines: &[Line]) {
    let Some((line, (_, value))) = lines.first().and_then(|line| Some((line, line.points.last()?))) else { return };
    let colour = threshold(panel, *value);
    let height = frame.height;
    let high = line.points.iter().map(|point| point.1).fold(f64::MIN, f64::max).max(1e-9);
    let (from, to) = (line.points[0].0, line.points[line.points.len() - 1].0.max(line.points[0].0 + 1.0));
    let at = |(time, value): &(f64, f64)| {
        let share = value.max(0.0) / high * 0.4;
        (frame.x + (time - from) / (to - from) * frame.width, frame.y + height * (1.0 - share))
    };
    let curve: Vec<_> = line.points.iter().map(at).collect();
    if curve.len() > 1 {
        let base = [(curve[0].0, frame.y + height), (curve[curve.len() - 1].0, frame.y + height)];
        svg.curve(&curve, colour, Some(&base));
    }
    let text = scale::format(*value, unit(panel));
    svg.text(frame.x + frame.width / 2.0, frame.y + height * 0.55, 40.0, colour, "middle", &text);
}

fn numbers(svg: &mut Svg, frame: &Frame, panel: &Value, table: &Table) {
    let Some(row) = table.rows.first() else { return };
    let width = frame.width / row.len() as f64;
    for (at, (name, text)) in table.columns.iter().zip(row).enumerate() {
        let x = frame.x + width * (at as f64 + 0.5);
        let colour = text.parse().map_or("#d8d9da", |value| threshold(panel, value));
        svg.text(x, frame.y + frame.height * 0.35, 12.0, QUIET, "middle", name);
        svg.text(x, frame.y + frame.height * 0.75, 28.0, colour, "middle", text);
    }
}

fn chart(svg: &mut Svg, frame: &Frame, panel: &Value, lines: &[Line], (from, to): (f64, f64)) {
    let stacked = panel["fieldConfig"]["defaults"]["custom"]["stacking"]["mode"] == "normal";
    let values = lines.iter().flat_map(|line| &line.points).map(|point| point.1).filter(|value| value.is_finite());
    let low = values.clone().fold(0.0, f64::min);
    let mut high = values.fold(0.0, f64::max);
    let mut below: Vec<(f64, f64)> = Vec::new();
    let mut curves = Vec::new();
    for line in lines {
        let under = |time: f64| below.iter().find(|point| (point.0 - time).abs() < 0.5).map_or(0.0, |point| point.1);
        let points: Vec<(f64, f64, f64)> = line
            .points
            .iter()
            .filter(|(_, value)| value.is_finite())
            .map(|&(time, value)| if stacked { (time, value + under(time), under(time)) } else { (time, value, 0.0) })
            .collect();
        if stacked {
            let others = below.iter().filter(|old| !points.iter().any(|new| (new.0 - old.0).abs() < 0.5));
            below = others.copied().chain(points.iter().map(|point| (point.0, point.1))).collect();
            high = points.iter().map(|point| point.1).fold(high, f64::max);
        }
        curves.push(points);
    }
    let names: Vec<(&str, &str)> =
        lines.iter().enumerate().map(|(at, line)| (line.name.as_str(), colour(panel, &line.name, at))).collect();
    // A legend takes as many lines as it needs: a name that is cut tells nothing.
    let rows = key_rows(&names, frame.width);
    let legend = rows.len().max(1) as f64 * 15.0 + 3.0;
    let left = 62.0;
    let plot = Frame { x: frame.x + left, y: frame.y, width: frame.width - left, height: frame.height - legend - 16.0 };
    let steps = scale::steps(low, if high > low { high } else { low + 1.0 }, 4.0);
    let (bottom, top) = (steps[0], steps[steps.len() - 1]);
    let x = |time: f64| plot.x + (time - from) / (to - from) * plot.width;
    let y = |value: f64| plot.y + plot.height * (1.0 - (value - bottom) / (top - bottom));
    for step in &steps {
        svg.line((plot.x, y(*step)), (plot.x + plot.width, y(*step)), GRID);
        svg.text(plot.x - 6.0, y(*step) + 4.0, 10.5, QUIET, "end", &scale::format(*step, unit(panel)));
    }
    times(svg, &plot, (from, to));
    for (points, (_, colour)) in curves.iter().zip(&names) {
        let upper: Vec<_> = points.iter().map(|point| (x(point.0), y(point.1))).collect();
        let lower: Vec<_> = points.iter().map(|point| (x(point.0), y(point.2))).collect();
        if upper.len() == 1 {
            svg.rect((upper[0].0 - 2.0, upper[0].1 - 2.0, 4.0, 4.0), colour, 1.0, 2.0);
        } else if !upper.is_empty() {
            svg.curve(&upper, colour, stacked.then_some(&lower[..]));
        }
    }
    for (row, entries) in rows.iter().enumerate() {
        let y = frame.y + frame.height - 2.0 - (rows.len() - 1 - row) as f64 * 15.0;
        for (x, name, colour) in entries {
            svg.rect((frame.x + x, y - 5.0, 9.0, 3.0), colour, 1.0, 1.0);
            svg.text(frame.x + x + 13.0, y, 11.0, QUIET, "start", name);
        }
    }
}

/// The entries of a legend in rows: how far from the left, name, colour.
pub fn key_rows<'a>(names: &[(&'a str, &'a str)], width: f64) -> Vec<Vec<(f64, &'a str, &'a str)>> {
    let mut rows: Vec<Vec<_>> = Vec::new();
    let mut at = width;
    for (name, colour) in names {
        let length = 18.0 + name.chars().count() as f64 * 6.6;
        if at + length > width {
            rows.push(Vec::new());
            at = 0.0;
        }
        if let Some(row) = rows.last_mut() {
            row.push((at, *name, *colour));
        }
        at += length + 6.0;
    }
    rows
}

/// Seconds since the beginning of the day, below a plot.
fn times(svg: &mut Svg, plot: &Frame, (from, to): (f64, f64)) {
    for step in scale::steps(0.0, to - from, 5.0).into_iter().filter(|step| *step <= to - from) {
        let x = plot.x + step / (to - from) * plot.width;
        svg.text(x, plot.y + plot.height + 13.0, 10.0, QUIET, "middle", &scale::format(step, "s"));
    }
}

fn states(svg: &mut Svg, frame: &Frame, panel: &Value, lines: &[Line], (from, to): (f64, f64)) {
    let left = 260.0;
    let plot = Frame { x: frame.x + left, y: frame.y, width: frame.width - left, height: frame.height - 16.0 };
    let height = (plot.height / lines.len().max(1) as f64).min(24.0);
    for (row, line) in lines.iter().enumerate() {
        let y = plot.y + row as f64 * height;
        svg.text(plot.x - 8.0, y + height * 0.7, 10.5, QUIET, "end", &line.name);
        let colour = colour(panel, &line.name, row);
        for point in &line.points {
            let x = plot.x + (point.0 - from) / (to - from) * plot.width;
            let width = (plot.width / (to - from) + 0.6).min(plot.x + plot.width - x);
            svg.rect((x, y + 1.0, width.max(0.0), height - 2.0), colour, 1.0, 0.0);
        }
    }
    times(svg, &plot, (from, to));
}

fn heat(svg: &mut Svg, frame: &Frame, lines: &[Line], (from, to): (f64, f64)) {
    let bound = |line: &Line| line.name.parse::<f64>().unwrap_or(f64::INFINITY);
    let mut sorted: Vec<&Line> = lines.iter().collect();
    sorted.sort_by(|a, b| bound(a).total_cmp(&bound(b)));
    let plot = Frame { x: frame.x + 62.0, y: frame.y, width: frame.width - 62.0, height: frame.height - 16.0 };
    // Prometheus counts what is below each bound; a cell shows what is between two.
    let below = |row: usize, time: f64| {
        let before = row.checked_sub(1).map(|row| &sorted[row].points);
        before.and_then(|points| points.iter().find(|point| (point.0 - time).abs() < 0.5)).map_or(0.0, |point| point.1)
    };
    let cells: Vec<Vec<(f64, f64)>> = (0..sorted.len())
        .map(|row| sorted[row].points.iter().map(|point| (point.0, point.1 - below(row, point.0))).collect())
        .collect();
    let high = cells.iter().flatten().map(|point| point.1).fold(1e-9, f64::max);
    let height = plot.height / sorted.len().max(1) as f64;
    for (row, line) in sorted.iter().enumerate() {
        let y = plot.y + plot.height - (row as f64 + 1.0) * height;
        if row % 2 == 0 {
            let text = if bound(line).is_finite() { scale::format(bound(line), "s") } else { "more".to_owned() };
            svg.text(plot.x - 6.0, y + height * 0.8, 10.0, QUIET, "end", &text);
        }
        for point in cells[row].iter().filter(|point| point.1 > high * 0.001) {
            let x = plot.x + (point.0 - from) / (to - from) * plot.width;
            let opacity = 0.15 + 0.85 * (point.1 / high).sqrt();
            let width = (plot.width / (to - from) + 0.6).min(plot.x + plot.width - x).max(0.0);
            svg.rect((x, y, width, height), "#ff780a", (opacity * 100.0).round() / 100.0, 0.0);
        }
    }
    times(svg, &plot, (from, to));
}

fn table(svg: &mut Svg, frame: &Frame, table: &Table) {
    let longest = |column: usize| {
        let cells = table.rows.iter().map(|row| row[column].chars().count());
        cells.chain([table.columns[column].chars().count()]).max().unwrap_or(0).clamp(4, 44) as f64
    };
    let widths: Vec<f64> = (0..table.columns.len()).map(longest).collect();
    let share = frame.width / widths.iter().sum::<f64>().max(1.0);
    let room = (frame.height / 19.0) as usize;
    let mut x = frame.x;
    for (column, width) in widths.iter().enumerate() {
        let letters = (width * share / 6.3) as usize;
        let fit = |text: &str| {
            if text.chars().count() <= letters {
                text.to_owned()
            } else {
                text.chars().take(letters.max(2) - 1).collect::<String>() + "…"
            }
        };
        svg.text(x, frame.y + 12.0, 11.5, "#6e9fff", "start", &fit(&table.columns[column]));
        for (row, cells) in table.rows.iter().take(room.saturating_sub(1)).enumerate() {
            svg.text(x, frame.y + 31.0 + row as f64 * 19.0, 11.5, "#d8d9da", "start", &fit(&cells[column]));
        }
        x += width * share;
    }
}

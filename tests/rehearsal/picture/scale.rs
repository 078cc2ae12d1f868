//! Numbers as a dashboard shows them, and the steps of an axis.

/// A value in Grafana's unit.
pub fn format(value: f64, unit: &str) -> String {
    match unit {
        "percentunit" => format!("{} %", round(value * 100.0)),
        "s" => seconds(value),
        "bytes" => bytes(value),
        "reqps" => format!("{} req/s", round(value)),
        "ops" => format!("{} ops/s", round(value)),
        "wps" => format!("{} wr/s", round(value)),
        "cpm" => format!("{} c/m", round(value)),
        _ => round(value),
    }
}

fn seconds(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        "0 s".to_owned()
    } else if size < 0.001 {
        format!("{} µs", round(value * 1e6))
    } else if size < 1.0 {
        format!("{} ms", round(value * 1e3))
    } else if size < 120.0 {
        format!("{} s", round(value))
    } else if size < 7_200.0 {
        format!("{} min", round(value / 60.0))
    } else {
        format!("{} h", round(value / 3_600.0))
    }
}

fn bytes(value: f64) -> String {
    let (size, name) = [(1_073_741_824.0, "GiB"), (1_048_576.0, "MiB"), (1_024.0, "KiB")]
        .into_iter()
        .find(|(size, _)| value.abs() >= *size)
        .unwrap_or((1.0, "B"));
    format!("{} {name}", round(value / size))
}

/// Three digits that count.
fn round(value: f64) -> String {
    let decimals = match value.abs() {
        0.0 => 0,
        size if size < 0.1 => 3,
        size if size < 10.0 => 2,
        size if size < 100.0 => 1,
        _ => 0,
    };
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// Round steps that cover `low..=high`, about `wanted` of them.
pub fn steps(low: f64, high: f64, wanted: f64) -> Vec<f64> {
    let raw = ((high - low) / wanted).max(1e-9);
    let power = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|nice| nice * power).find(|step| *step >= raw).unwrap_or(raw);
    let first = (low / step).floor() as i64;
    let last = (high / step - 1e-9).ceil() as i64;
    (first..=last).map(|at| at as f64 * step).collect()
}

#[test]
fn steps_are_round_and_cover_the_range() {
    assert_eq!(steps(0.0, 9.3, 4.0), [0.0, 2.5, 5.0, 7.5, 10.0]);
    assert_eq!(steps(0.0, 1.0, 4.0), [0.0, 0.25, 0.5, 0.75, 1.0]);
}

#[test]
fn values_are_shown_in_their_unit() {
    assert_eq!(format(0.0123, "s"), "12.3 ms");
    assert_eq!(format(1.0, "percentunit"), "100 %");
    assert_eq!(format(3.5 * 1_048_576.0, "bytes"), "3.5 MiB");
}

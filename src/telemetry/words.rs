//! How conditions are put into words.

use std::time::Duration;

use crate::domain::failure::FailureCode;

/// What is wrong with `about` (`site acme`, `project acme/OPS`), in one sentence without a full stop.
pub(super) fn failing(code: FailureCode, about: &str) -> String {
    let what = code.cause();
    let mut about = about.to_owned();
    if let Some(first) = about.get_mut(0..1) {
        first.make_ascii_uppercase();
    }
    format!("{about}: {what}")
}

/// A length of time as people say it: `45 s`, `15 min`, `2 h`, `1 h 30 min`, `3 d`.
pub fn span(length: Duration) -> String {
    let seconds = length.as_secs();
    match seconds {
        0..=89 => format!("{seconds} s"),
        90..=3_569 => format!("{} min", (seconds + 30) / 60),
        3_570..=172_799 => match ((seconds + 30) / 3600, (seconds + 30) % 3600 / 60) {
            (hours, 0) => format!("{hours} h"),
            (hours, minutes) => format!("{hours} h {minutes} min"),
        },
        _ => format!("{} d", (seconds + 43_200) / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_reads_as_people_say_it() {
        let said: Vec<_> =
            [5, 900, 3600, 7200, 5400, 86_400, 9 * 86_400].map(|seconds| span(Duration::from_secs(seconds))).into();
        assert_eq!(said, ["5 s", "15 min", "1 h", "2 h", "1 h 30 min", "24 h", "9 d"]);
    }

    #[test]
    fn a_sentence_begins_with_what_it_is_about() {
        assert_eq!(failing(FailureCode::SuspendedPayment, "site acme"), "Site acme: Jira is suspended for payment");
    }
}

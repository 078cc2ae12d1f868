//! Dates in HTTP headers, in the three forms of RFC 9110, section 5.6.7, all of which a recipient must take.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, Utc};

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// The instant that `text` names: `Sun, 06 Nov 1994 08:49:37 GMT`, `Sunday, 06-Nov-94 08:49:37 GMT` (RFC 850) or
/// `Sun Nov  6 08:49:37 1994` (asctime). A year of two digits that seems to be more than 50 years after `now` is the one a
/// century before; without `now` it is of 1970 to 2069.
///
/// The day of the week is not compared with the date: a server that gets it wrong still says when. An offset (`+0200`), as in
/// mail, is taken too.
pub fn parse(text: &str, now: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
    let text = text.trim();
    if let Ok(date) = DateTime::parse_from_rfc2822(text) {
        return Some(date.to_utc());
    }
    let words: Vec<&str> = text.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    match words.as_slice() {
        // IMF-fixdate whose day of the week is wrong.
        [_, day, month, year, time, _] => moment(number(year, 4)?, month, number(day, 2)?, time),
        [_, date, time, zone] if is_universal(zone) => {
            let parts: Vec<&str> = date.split('-').collect();
            let [day, month, year] = parts.as_slice() else { return None };
            let year = if year.len() == 2 { of_century(number(year, 2)?, now) } else { number(year, 4)? };
            moment(year, month, number(day, 2)?, time)
        }
        [_, month, day, time, year] => moment(number(year, 4)?, month, number(day, 2)?, time),
        _ => None,
    }
}

fn is_universal(zone: &str) -> bool {
    ["GMT", "UTC", "UT", "Z"].iter().any(|name| zone.eq_ignore_ascii_case(name))
}

/// RFC 9110: more than 50 years in the future stands for the most recent year in the past with the same last two digits.
fn of_century(two_digits: i32, now: Option<DateTime<Utc>>) -> i32 {
    let Some(now) = now else { return if two_digits < 70 { 2000 + two_digits } else { 1900 + two_digits } };
    let this = now.year();
    let year = this - this.rem_euclid(100) + two_digits;
    match year - this {
        51.. => year - 100,
        // The other way round, in the last years of a century: 03 in 2099 is 2103.
        ..=-50 => year + 100,
        _ => year,
    }
}

fn moment(year: i32, month: &str, day: i32, time: &str) -> Option<DateTime<Utc>> {
    let month = MONTHS.iter().position(|name| month.eq_ignore_ascii_case(name))?;
    let date = NaiveDate::from_ymd_opt(year, u32::try_from(month).ok()? + 1, u32::try_from(day).ok()?)?;
    let parts: Vec<&str> = time.split(':').collect();
    let [hour, minute, second] = parts.as_slice() else { return None };
    let part = |text| u32::try_from(number(text, 2)?).ok();
    // A leap second is the one before it.
    let time = NaiveTime::from_hms_opt(part(hour)?, part(minute)?, part(second)?.min(59))?;
    Some(NaiveDateTime::new(date, time).and_utc())
}

/// A number of at most so many digits.
fn number(text: &str, digits: usize) -> Option<i32> {
    let fits = (1..=digits).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if fits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Option<DateTime<Utc>> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn all_three_forms_of_rfc_9110_name_the_same_moment() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun Nov 06 08:49:37 1994",
            "sunday, 06-nov-94 08:49:37 gmt",
            "Sun, 06 Nov 1994 10:49:37 +0200",
            "Mon, 06 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(parse(text, at("2026-11-27T22:00:00Z")), at("1994-11-06T08:49:37Z"), "{text}");
            assert_eq!(parse(text, None), at("1994-11-06T08:49:37Z"), "{text}");
        }
    }

    #[test]
    fn a_year_of_two_digits_is_within_fifty_years() {
        let year = |text: &str, now: &str| parse(text, at(now)).unwrap().year();
        assert_eq!(year("Friday, 27-Nov-26 22:00:00 GMT", "2026-11-27T21:59:00Z"), 2026);
        assert_eq!(year("Monday, 27-Nov-76 22:00:00 GMT", "2026-11-27T21:59:00Z"), 2076);
        assert_eq!(year("Sunday, 27-Nov-77 22:00:00 GMT", "2026-11-27T21:59:00Z"), 1977);
        assert_eq!(year("Sunday, 27-Nov-03 22:00:00 GMT", "2099-11-27T21:59:00Z"), 2103);
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "",
            "soon",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49 GMT",
            "Sunday, 06-Nov-94 08:49:37 CET",
            "Sun Nov  6 25:49:37 1994",
            "Sun Nuv  6 08:49:37 1994",
            "2024-05-01T10:25:00Z",
        ] {
            assert_eq!(parse(text, None), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,40}") {
            let _ = parse(&text, None);
        }

        #[test]
        fn each_form_reads_back(seconds in 0i64..4_000_000_000) {
            let instant = DateTime::from_timestamp(seconds, 0).unwrap();
            for form in ["%a, %d %b %Y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y", "%A, %d-%b-%y %H:%M:%S GMT"] {
                prop_assert_eq!(parse(&instant.format(form).to_string(), Some(instant)), Some(instant));
            }
        }
    }
}

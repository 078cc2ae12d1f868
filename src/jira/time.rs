//! Jira's way of writing times: `2024-05-01T10:11:12.345+0200`, without a colon in the offset, in the account's zone.

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Utc};

/// What a text says of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told<T> {
    /// This.
    At(T),
    /// One that no column holds: before the year 1, or after [`LAST_YEAR`]. Jira's own limit is the year 292278994.
    Beyond,
    /// None.
    Nothing,
}

impl<T> Told<T> {
    pub(super) fn at(self) -> Option<T> {
        if let Self::At(at) = self { Some(at) } else { None }
    }
}

/// The last year that is kept in columns: PostgreSQL goes to 294276, what reads it here not quite as far.
const LAST_YEAR: i32 = 262_142;

/// The last instant that columns hold, for times that cannot do without one.
pub(super) fn last() -> DateTime<Utc> {
    let last = NaiveDate::from_ymd_opt(LAST_YEAR, 12, 31).and_then(|day| day.and_hms_opt(0, 0, 0));
    last.map_or(DateTime::<Utc>::MAX_UTC, |last| last.and_utc())
}

/// As [`parse`], for years of any length: ISO 8601 gives those beyond 9999 a sign, Java does not.
pub(super) fn instant(text: &str) -> Told<DateTime<Utc>> {
    if let Some(at) = parse(text) {
        return within(at);
    }
    let Some((year, rest)) = long_year(text) else { return Told::Nothing };
    // The rest is read in a year that has a 29 February where the written one has.
    let like = if is_leap(year) { 2000 } else { 2001 };
    let Some(at) = parse(&format!("{like}{rest}")) else { return Told::Nothing };
    match i32::try_from(year).ok().and_then(|year| at.with_year(year + at.year() - like)) {
        Some(at) => within(at),
        None => Told::Beyond,
    }
}

/// As [`parse_date`], for years of any length, and with a time behind it, which is dropped: the day is the one that is written.
pub(super) fn day(text: &str) -> Told<NaiveDate> {
    let date = match instant(text) {
        Told::Nothing => text,
        Told::At(_) | Told::Beyond => text.split(['T', ' ']).next().unwrap_or(text),
    };
    if let Some(day) = parse_date(date) {
        return if day.year() < 1 { Told::Beyond } else { Told::At(day) };
    }
    let Some((year, rest)) = long_year(date) else { return Told::Nothing };
    let like = if is_leap(year) { 2000 } else { 2001 };
    let Some(day) = parse_date(&format!("{like}{rest}")) else { return Told::Nothing };
    match i32::try_from(year).ok().filter(|year| (1..=LAST_YEAR).contains(year)).and_then(|year| day.with_year(year)) {
        Some(day) => Told::At(day),
        None => Told::Beyond,
    }
}

fn within(at: DateTime<Utc>) -> Told<DateTime<Utc>> {
    if (1..=LAST_YEAR).contains(&at.year()) { Told::At(at) } else { Told::Beyond }
}

/// The year and what follows it, of a text that begins with a sign or with more than four digits.
fn long_year(text: &str) -> Option<(i64, &str)> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let digits = unsigned.bytes().take_while(u8::is_ascii_digit).count();
    let (year, rest) = unsigned.split_at_checked(digits).filter(|_| (4..=9).contains(&digits))?;
    let year: i64 = year.parse().ok()?;
    rest.starts_with('-').then_some((if text.starts_with('-') { -year } else { year }, rest))
}

const fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// The UTC instant that `text` names, cut to milliseconds. Takes ISO 8601 with an offset (`Z`, `+02:00`, `+0200`, `+02`)
/// and any number of fractional digits; seconds may be missing. Written by hand because a page holds a thousand of them.
pub fn parse(text: &str) -> Option<DateTime<Utc>> {
    let bytes = text.as_bytes();
    let (date, rest) = bytes.split_at_checked(10)?;
    let day = parse_day(date)?;
    let rest = rest.strip_prefix(b"T").or_else(|| rest.strip_prefix(b" "))?;
    let (hour, rest) = two_digits(rest)?;
    let (minute, rest) = two_digits(rest.strip_prefix(b":")?)?;
    let (second, mut rest) = match rest.strip_prefix(b":") {
        Some(rest) => two_digits(rest)?,
        None => (0, rest),
    };
    let mut millis = 0;
    if let Some(fraction) = rest.strip_prefix(b".") {
        let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        for place in 0..3 {
            let digit = if place < digits { fraction.get(place).map_or(0, |byte| byte - b'0') } else { 0 };
            millis = millis * 10 + u32::from(digit);
        }
        rest = fraction.get(digits..)?;
    }
    let offset = parse_offset(rest)?;
    let local = day.and_hms_milli_opt(hour, minute, second.min(59), millis)?;
    Some((local - TimeDelta::minutes(offset)).and_utc())
}

/// The day that `text` names, as in `2024-06-01`.
pub fn parse_date(text: &str) -> Option<NaiveDate> {
    parse_day(text.as_bytes())
}

fn parse_day(bytes: &[u8]) -> Option<NaiveDate> {
    let (century, rest) = two_digits(bytes)?;
    let (year, rest) = two_digits(rest)?;
    let (month, rest) = two_digits(rest.strip_prefix(b"-")?)?;
    let (day, rest) = two_digits(rest.strip_prefix(b"-")?)?;
    let year = i32::try_from(century * 100 + year).ok()?;
    if rest.is_empty() { NaiveDate::from_ymd_opt(year, month, day) } else { None }
}

/// Minutes east of UTC.
fn parse_offset(bytes: &[u8]) -> Option<i64> {
    let (sign, digits) = match bytes.split_first()? {
        (b'Z' | b'z', []) => return Some(0),
        (b'+', digits) => (1, digits),
        (b'-', digits) => (-1, digits),
        _ => return None,
    };
    let (hours, rest) = two_digits(digits)?;
    let rest = rest.strip_prefix(b":").unwrap_or(rest);
    let (minutes, rest) = if rest.is_empty() { (0, rest) } else { two_digits(rest)? };
    (rest.is_empty() && hours < 24 && minutes < 60).then(|| sign * i64::from(hours * 60 + minutes))
}

fn two_digits(bytes: &[u8]) -> Option<(u32, &[u8])> {
    match bytes {
        [a @ b'0'..=b'9', b @ b'0'..=b'9', rest @ ..] => Some((u32::from(a - b'0') * 10 + u32::from(b - b'0'), rest)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_time_with_jiras_offset_is_that_instant_in_utc() {
        let expected = "2024-05-01T08:11:12.345Z".parse::<DateTime<Utc>>().unwrap();
        for text in [
            "2024-05-01T10:11:12.345+0200",
            "2024-05-01T10:11:12.345+02:00",
            "2024-05-01T10:11:12.345678+02",
            "2024-05-01T08:11:12.345Z",
            "2024-05-01T02:41:12.345-0530",
        ] {
            assert_eq!(parse(text), Some(expected), "{text}");
        }
        assert_eq!(parse("2024-05-01T08:11Z"), "2024-05-01T08:11:00Z".parse().ok());
        assert_eq!(parse("2024-05-01T08:11:12.3Z"), "2024-05-01T08:11:12.300Z".parse().ok());
    }

    #[test]
    fn years_of_any_length_are_told_from_what_is_no_time() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        assert_eq!(instant("20224-05-01T10:11:12.345+0200"), Told::At(at("+20224-05-01T08:11:12.345Z")));
        assert_eq!(instant("+20224-02-29T00:00:00Z"), Told::At(at("+20224-02-29T00:00:00Z")));
        assert_eq!(instant("20223-12-31T23:30:00-0100"), Told::At(at("+20224-01-01T00:30:00Z")));
        for beyond in ["292278994-08-17T07:12:55.807+0000", "-0044-03-15T12:00:00Z", "0000-01-01T00:00:00Z"] {
            assert_eq!(instant(beyond), Told::Beyond, "{beyond}");
        }
        for odd in [
            "2024-05-01 10:11",
            "20224-02-30T00:00:00Z",
            "99999999999-01-01T00:00:00Z",
            "+-2024-05-01T00:00:00Z",
            "soon",
        ] {
            assert_eq!(instant(odd), Told::Nothing, "{odd}");
        }
        assert_eq!(day("12024-05-01"), Told::At(NaiveDate::from_ymd_opt(12_024, 5, 1).unwrap()));
        for text in ["2024-05-01", "2024-05-01T23:30:00.000-0500", "2024-05-01 00:00:00Z"] {
            assert_eq!(day(text), Told::At(NaiveDate::from_ymd_opt(2024, 5, 1).unwrap()), "{text}");
        }
        assert_eq!((day("292278994-08-17"), day("-0044-03-15")), (Told::Beyond, Told::Beyond));
        assert_eq!((day("20223-02-29"), day("2024-5-1"), day("")), (Told::Nothing, Told::Nothing, Told::Nothing));
    }

    #[test]
    fn what_is_not_a_time_is_refused() {
        for text in [
            "",
            "yesterday",
            "2024-05-01",
            "2024-13-01T10:11:12.345+0200",
            "2024-05-01T10:11:12",
            "2024-05-01T25:00:00Z",
            "２０２４-05",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse_date("2024-02-30"), None);
        assert_eq!(parse_date("2024-02-29"), NaiveDate::from_ymd_opt(2024, 2, 29));
    }

    proptest! {
        #[test]
        fn any_instant_survives_being_written_in_any_offset(millis in 0i64..4_000_000_000_000, quarters in -48i32..=56) {
            let instant = DateTime::from_timestamp_millis(millis).unwrap();
            let zone = chrono::FixedOffset::east_opt(quarters * 900).unwrap();
            let text = instant.with_timezone(&zone).format("%Y-%m-%dT%H:%M:%S%.3f%z").to_string();
            prop_assert_eq!(parse(&text), Some(instant));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,40}") {
            let _ = (parse(&text), parse_date(&text), instant(&text), day(&text));
        }

        #[test]
        fn no_year_makes_the_parser_panic(year in any::<i64>(), month in 0u32..15, day_of_month in 0u32..35) {
            for text in [format!("{year}-{month:02}-{day_of_month:02}"), format!("+{year}-{month:02}-{day_of_month:02}T23:59:59-2359")] {
                let _ = (instant(&text), day(&text));
            }
        }
    }
}

//! Jira's way of writing times: `2024-05-01T10:11:12.345+0200`, without a colon in the offset, in the account's zone.

use std::fmt;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

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

/// For serde: a time where there is one that can be read, nothing otherwise.
pub(super) fn lenient<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    struct Lenient;
    impl<'de> Visitor<'de> for Lenient {
        type Value = Option<DateTime<Utc>>;
        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("a time")
        }
        fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
            Ok(parse(text))
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok(None)
        }
        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok(None)
        }
        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok(None)
        }
        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok(None)
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok(None)
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            Ok(None)
        }
    }
    deserializer.deserialize_any(Lenient)
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
            let _ = (parse(&text), parse_date(&text));
        }
    }
}

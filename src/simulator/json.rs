//! JSON written straight into bytes.
//!
//! A page of 100 issues is most of a mebibyte; building a tree of values for it would make the simulator the slowest part
//! of a rehearsal. Commas look after themselves: a member or an item adds one unless it is the first.

use chrono::{Offset, TimeZone};
use chrono_tz::Tz;

/// A JSON text under construction.
#[derive(Debug, Default)]
pub(super) struct Json {
    buffer: Vec<u8>,
}

impl Json {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self { buffer: Vec::with_capacity(bytes) }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.buffer
    }

    /// Text that is JSON already.
    pub(super) fn raw(&mut self, json: &str) -> &mut Self {
        self.buffer.extend_from_slice(json.as_bytes());
        self
    }

    fn separate(&mut self) {
        if !matches!(self.buffer.last(), None | Some(b'{' | b'[' | b':')) {
            self.buffer.push(b',');
        }
    }

    /// `"name":`, to be followed by exactly one value. `name` needs no escaping.
    pub(super) fn key(&mut self, name: &str) -> &mut Self {
        self.separate();
        self.buffer.push(b'"');
        self.raw(name);
        self.raw("\":")
    }

    /// A member whose value is JSON already.
    pub(super) fn member(&mut self, name: &str, json: &str) -> &mut Self {
        self.key(name).raw(json)
    }

    /// A member whose value is a string.
    pub(super) fn text(&mut self, name: &str, value: &str) -> &mut Self {
        self.key(name).string(value)
    }

    /// A member whose value is a number.
    pub(super) fn number(&mut self, name: &str, value: i64) -> &mut Self {
        self.key(name).int(value)
    }

    /// An item of an array, to be followed by exactly one value.
    pub(super) fn item(&mut self) -> &mut Self {
        self.separate();
        self
    }

    pub(super) fn open(&mut self, bracket: char) -> &mut Self {
        self.buffer.push(bracket as u8);
        self
    }

    pub(super) fn close(&mut self, bracket: char) -> &mut Self {
        self.buffer.push(bracket as u8);
        self
    }

    pub(super) fn int(&mut self, value: i64) -> &mut Self {
        let mut digits = [0u8; 20];
        let mut at = digits.len();
        let mut rest = value.unsigned_abs();
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if value < 0 {
            self.buffer.push(b'-');
        }
        self.buffer.extend_from_slice(&digits[at..]);
        self
    }

    /// A number as a string, which is how Jira writes ids.
    pub(super) fn id(&mut self, name: &str, value: u64) -> &mut Self {
        self.key(name).raw("\"").int(value as i64).raw("\"")
    }

    /// A quoted and escaped string.
    pub(super) fn string(&mut self, value: &str) -> &mut Self {
        self.buffer.push(b'"');
        for &byte in value.as_bytes() {
            match byte {
                b'"' => self.buffer.extend_from_slice(b"\\\""),
                b'\\' => self.buffer.extend_from_slice(b"\\\\"),
                b'\n' => self.buffer.extend_from_slice(b"\\n"),
                b'\t' => self.buffer.extend_from_slice(b"\\t"),
                0..0x20 => self.buffer.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
                _ => self.buffer.push(byte),
            }
        }
        self.buffer.push(b'"');
        self
    }

    fn padded(&mut self, value: i64, width: u32) {
        for place in (0..width).rev() {
            self.buffer.push(b'0' + (value / 10_i64.pow(place) % 10) as u8);
        }
    }

    /// A member with an instant as Jira writes it, `2024-05-01T10:11:12.345+0200`: in `zone`, no colon in the offset.
    pub(super) fn time(&mut self, name: &str, epoch_ms: i64, zone: Tz) -> &mut Self {
        let offset_seconds = offset_seconds(epoch_ms, zone);
        let local_ms = epoch_ms + offset_seconds * 1000;
        let (year, month, day) = civil_from_days(local_ms.div_euclid(86_400_000));
        let in_day = local_ms.rem_euclid(86_400_000);
        self.key(name).raw("\"");
        self.padded(year, 4);
        self.raw("-").padded(month, 2);
        self.raw("-").padded(day, 2);
        self.raw("T").padded(in_day / 3_600_000, 2);
        self.raw(":").padded(in_day / 60_000 % 60, 2);
        self.raw(":").padded(in_day / 1000 % 60, 2);
        self.raw(".").padded(in_day % 1000, 3);
        self.raw(if offset_seconds < 0 { "-" } else { "+" });
        let offset_minutes = offset_seconds.abs() / 60;
        self.padded(offset_minutes / 60 * 100 + offset_minutes % 60, 4);
        self.raw("\"")
    }

    /// A member with an instant as the agile interface writes it: `2024-05-01T08:11:12.345Z`.
    pub(super) fn utc(&mut self, name: &str, epoch_ms: i64) -> &mut Self {
        self.time(name, epoch_ms, Tz::UTC);
        self.buffer.truncate(self.buffer.len() - "+0000\"".len());
        self.raw("Z\"")
    }

    /// A member with a calendar day, `2024-05-01`.
    pub(super) fn date(&mut self, name: &str, epoch_ms: i64) -> &mut Self {
        let (year, month, day) = civil_from_days(epoch_ms.div_euclid(86_400_000));
        self.key(name).raw("\"");
        self.padded(year, 4);
        self.raw("-").padded(month, 2);
        self.raw("-").padded(day, 2);
        self.raw("\"")
    }
}

fn offset_seconds(epoch_ms: i64, zone: Tz) -> i64 {
    if zone == Tz::UTC {
        return 0;
    }
    chrono::DateTime::from_timestamp_millis(epoch_ms)
        .map_or(0, |at| i64::from(zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc()))
}

/// Year, month and day of a day counted from 1970-01-01 (the proleptic Gregorian calendar, in eras of 400 years).
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(build: impl FnOnce(&mut Json)) -> String {
        let mut json = Json::default();
        build(&mut json);
        String::from_utf8(json.into_bytes()).unwrap()
    }

    #[test]
    fn times_carry_the_offset_of_their_season() {
        let berlin = Tz::Europe__Berlin;
        let winter = written(|json| _ = json.time("t", 1_704_067_199_005, berlin));
        assert_eq!(winter, r#""t":"2024-01-01T00:59:59.005+0100""#);
        let summer = written(|json| _ = json.time("t", 1_719_792_000_000, berlin));
        assert_eq!(summer, r#""t":"2024-07-01T02:00:00.000+0200""#);
        let west = written(|json| _ = json.time("t", 1_709_164_800_000, Tz::America__St_Johns));
        assert_eq!(west, r#""t":"2024-02-28T20:30:00.000-0330""#);
    }

    #[test]
    fn days_agree_with_the_calendar() {
        for days in (-200_000..200_000).step_by(37) {
            let expected = chrono::NaiveDate::from_epoch_days(days).unwrap().format("%Y-%m-%d").to_string();
            let json = written(|json| _ = json.date("d", i64::from(days) * 86_400_000));
            assert_eq!(json, format!(r#""d":"{expected}""#));
        }
    }

    #[test]
    fn what_is_written_parses_back() {
        let nasty = "a \"quote\", a \\, a\nline, a\tstop, \u{1}, 日本 🦀";
        let json = written(|json| {
            json.open('{').text("s", nasty).number("n", i64::MIN).key("a").open('[');
            json.item().int(1).item().int(-20).close(']').close('}');
        });
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["s"], nasty);
        assert_eq!(value["n"], i64::MIN);
        assert_eq!(value["a"], serde_json::json!([1, -20]));
    }
}

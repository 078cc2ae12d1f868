//! Mends the two things that make JSON unreadable although Jira sends them: halves of surrogate pairs (Jira cuts texts in
//! the middle of an emoji) and numbers beyond all bounds (a custom number field takes `1e400`).
//!
//! What must hold: what needs no mending is given back as it is; mended text is JSON where the text was JSON in form. A
//! half becomes U+FFFD, a number its own digits as a text, so that the reader meets another type and says so.

use std::borrow::Cow;

/// `json` in a form that can be read.
pub(super) fn repair(json: &str) -> Cow<'_, str> {
    let mut mended = String::new();
    let (mut copied, mut at) = (0, 0);
    let bytes = json.as_bytes();
    let mut inside_text = false;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                inside_text = !inside_text;
                at += 1;
            }
            b'\\' if inside_text => {
                let (length, half) = escape(json, at);
                if half {
                    mended.push_str(&json[copied..at]);
                    mended.push_str("\\ufffd");
                    copied = at + length;
                }
                at += length;
            }
            b'-' | b'0'..=b'9' if !inside_text => {
                let length = bytes[at..].iter().take_while(|byte| is_of_number(**byte)).count();
                let number = &json[at..at + length];
                if number.parse::<f64>().is_ok_and(f64::is_infinite) {
                    mended.push_str(&json[copied..at]);
                    mended.extend(["\"", number, "\""]);
                    copied = at + length;
                }
                at += length;
            }
            _ => at += 1,
        }
    }
    if copied == 0 {
        return Cow::Borrowed(json);
    }
    mended.push_str(&json[copied..]);
    Cow::Owned(mended)
}

/// The length of the escape at `at`, and whether it is half a surrogate pair that stands alone.
fn escape(json: &str, at: usize) -> (usize, bool) {
    let code = |at: usize| -> Option<u32> {
        let digits = json.get(at..at + 6)?.strip_prefix("\\u")?;
        u32::from_str_radix(digits, 16).ok()
    };
    match code(at) {
        Some(0xD800..=0xDBFF) if matches!(code(at + 6), Some(0xDC00..=0xDFFF)) => (12, false),
        Some(0xD800..=0xDFFF) => (6, true),
        Some(_) => (6, false),
        None => (2, false),
    }
}

const fn is_of_number(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_half_of_a_pair_is_replaced_and_a_whole_one_is_kept() {
        let json = r#"["\\ud83d \ud83d \ude00 \ud83d\ude00 \n", "1e999"]"#;
        assert_eq!(repair(json), r#"["\\ud83d \ufffd \ufffd \ud83d\ude00 \n", "1e999"]"#);
    }

    #[test]
    fn a_number_beyond_all_bounds_becomes_text() {
        assert_eq!(repair(r#"{"a":[-1e400,1.5e3],"b":2}"#), r#"{"a":["-1e400",1.5e3],"b":2}"#);
        let long = "9".repeat(400);
        assert_eq!(repair(&long), format!("\"{long}\""));
        assert!(matches!(repair(r#"{"a":1e300}"#), Cow::Borrowed(_)));
    }

    proptest::proptest! {
        #[test]
        fn what_can_be_read_means_the_same_after_it(text in "\\PC{0,40}", number in proptest::num::f64::NORMAL) {
            let json = serde_json::json!({"a": text, "b": [number, text]}).to_string();
            proptest::prop_assert_eq!(repair(&json), json.as_str());
        }
    }
}

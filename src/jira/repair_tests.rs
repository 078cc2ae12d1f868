//! The promises of [`super`].

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn mended(json: &str) -> String {
    mend(json).map(Cow::into_owned).unwrap_or_else(|| panic!("{json} is not mended"))
}

#[test]
fn a_half_of_a_pair_is_replaced_and_a_whole_one_is_kept() {
    let json = r#"["\\ud83d \ud83d \ude00 \ud83d\ude00 \n", "1e999"]"#;
    assert_eq!(mended(json), r#"["\\ud83d \ufffd \ufffd \ud83d\ude00 \n","1e999"]"#);
}

#[test]
fn a_number_or_word_that_json_lacks_becomes_its_text() {
    assert_eq!(mended(r#"{"a":[-1e400,1.5e3],"b":2}"#), r#"{"a":["-1e400",1.5e3],"b":2}"#);
    assert_eq!(
        mended(r#"[NaN, -Infinity,Infinity, +5, 007, .5, 5., undefined, True, 0x1F, -]"#),
        r#"["NaN","-Infinity","Infinity","+5","007",".5","5.","undefined","True","0x1F","-"]"#
    );
    let long = "9".repeat(400);
    assert_eq!(mended(&format!("[{long}]")), format!("[\"{long}\"]"));
    assert!(matches!(mend(r#"{"a":[1e300,-0.5,0,true,null]}"#), Some(Cow::Borrowed(_))));
}

#[test]
fn control_characters_and_bad_escapes_are_kept() {
    assert_eq!(mended("{\"a\":\"x\ny\u{b}\t\0z\"}"), r#"{"a":"x\u000ay\u000b\u0009\u0000z"}"#);
    assert_eq!(mended(r#"["\x41 \u12 \q \u00e9 \é"]"#), r#"["\\x41 \\u12 \\q \u00e9 \\é"]"#);
    let value: Value = serde_json::from_str(&mended(r#"["\x41\"\\"]"#)).unwrap();
    assert_eq!(value, json!(["\\x41\"\\"]));
}

#[test]
fn of_names_that_come_twice_the_last_counts() {
    assert_eq!(mended(r#"{"a":1,"b":{"c":1,"c":[{"d":1,"d":2}]},"a":"x"}"#), r#"{"b":{"c":[{"d":2}]},"a":"x"}"#);
    assert_eq!(mended(r#"{"a":1,"\u0061":2}"#), r#"{"\u0061":2}"#);
}

#[test]
fn commas_too_many_or_too_few_cost_nothing() {
    assert_eq!(mended(r#"{"a":[1,2,],"b":[,1,,2],}"#), r#"{"a":[1,2],"b":[1,2]}"#);
    assert_eq!(mended(r#"[{"a":1}{"b":2}"x"]"#), r#"[{"a":1},{"b":2},"x"]"#);
    assert_eq!(mended(r#"{a:1 "b":2}"#), r#"{"a":1,"b":2}"#);
}

#[test]
fn an_object_without_sense_becomes_its_text_alone() {
    let json = r#"{"issues":[{"id":"1","fields":{"summary":"he said "hi" there"}},{"id":"2"}],"isLast":true}"#;
    let value: Value = serde_json::from_str(&mended(json)).unwrap();
    assert_eq!(value["issues"][0], json!({"id": "1", "fields": r#"{"summary":"he said "hi" there"}"#}));
    assert_eq!((&value["issues"][1], &value["isLast"]), (&json!({"id": "2"}), &json!(true)));
    for odd in [r#"[{"a"}]"#, r#"[{"a":}]"#, r#"[{"a","b"}]"#, r#"[{{}:1}]"#, r#"[{"a"::1}]"#, r#"[{"a" 1}]"#] {
        assert!(serde_json::from_str::<Vec<String>>(&mended(odd)).is_ok(), "{odd}");
    }
}

#[test]
fn what_is_nested_too_deep_becomes_text() {
    let deep = format!("[{}1{}]", "[".repeat(5_000), "]".repeat(5_000));
    assert!(serde_json::from_str::<Value>(&mended(&format!("{{\"a\":{deep},\"b\":NaN}}"))).is_ok());
}

#[test]
fn what_was_cut_off_is_not_mended() {
    let json = "{\"issues\":[{\"id\":\"1\",\"a\":\"x\ny\",\"b\":[1,{\"c\":\"\\x\"}]}],\"isLast\":NaN}";
    assert!(mend(json).is_some());
    for end in 0..json.len() {
        assert_eq!(mend(&json[..end]), None, "{}", &json[..end]);
    }
    for odd in ["", "}", "[1}", "{\"a\":[1}", "{}{}", "{} x"] {
        assert_eq!(mend(odd), None, "{odd}");
    }
}

#[test]
fn what_can_be_read_is_read_as_it_is() {
    let cell = OnceCell::new();
    assert_eq!(read::<Value>("{\"a\": 1,\"a\": 2}", &cell).unwrap(), json!({"a": 2}));
    assert!(cell.get().is_none());
    assert!(read::<Value>("[NaN]", &cell).is_ok() && cell.get().is_some());
    assert!(read_owned::<Value>(b"{\"a\":").unwrap_err().is_eof());
    assert_eq!(read_owned::<Value>(b"\xEF\xBB\xBF[\"\xFF\"]").unwrap(), json!(["\u{fffd}"]));
}

#[test]
fn an_issue_that_cannot_be_read_still_has_its_names() {
    let source = r#"{"expand":"x","id":"10007","self":"y","key" : "CC-7","fields":{"id":3,"key":"x"}}"#;
    assert_eq!(names_within(source), (Some(10_007), Some("CC-7".to_owned())));
    assert_eq!(names_within(r#"{"id":"x y","key":"<b>"}"#), (None, None));
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop::num::f64::NORMAL.prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(".{0,5}", inner, 0..6).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn json_as_it_should_be_stays_byte_for_byte(value in values()) {
        for json in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
            prop_assert!(matches!(mend(&json), Some(Cow::Borrowed(same)) if same == json), "{}", json);
        }
    }

    #[test]
    fn whatever_is_mended_can_be_read(value in values(), at in any::<prop::sample::Index>(), put in "[\\[\\]{},:\"\\\\a-z0-9.\\x00-\\x1f -]{0,4}", cut in 0usize..3) {
        let json = value.to_string();
        let mut place = at.index(json.len() + 1);
        while !json.is_char_boundary(place) { place -= 1; }
        let mut rest = (place + cut).min(json.len());
        while !json.is_char_boundary(rest) { rest += 1; }
        let odd = format!("{}{put}{}", &json[..place], &json[rest..]);
        if let Some(mended) = mend(&odd) {
            prop_assert!(serde_json::from_str::<Value>(&mended).is_ok(), "{} became {}", odd, mended);
            prop_assert!(matches!(mend(&mended), Some(Cow::Borrowed(_))), "{} again", mended);
        }
    }

    #[test]
    fn no_text_makes_the_mender_panic(text in ".{0,60}", json in "[\\[\\]{},:\"\\\\u0-9a-f \\x00-\\x1f]{0,60}") {
        let _ = (mend(&text), mend(&json), names_within(&text), names_within(&json));
    }
}

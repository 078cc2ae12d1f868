use serde_json::json;

use super::*;

fn people() -> Forgotten {
    let site = Uuid::from_u128(7);
    let marks = [
        (mark(site, Called::Name, "Ana Ruiz"), "a1".to_owned()),
        (mark(site, Called::Name, "Rosa O'Leary-Grün"), "a1".to_owned()),
        (mark(site, Called::Name, "Ana (QA)"), "a1".to_owned()),
        (mark(site, Called::Email, "Ana@Example.com"), "a1".to_owned()),
        (mark(site, Called::Username, "ana"), "a1".to_owned()),
    ];
    Forgotten::new(site, HashSet::from(["a1".to_owned()]), marks.into())
}

fn cleaned(text: &str) -> String {
    let people = people();
    let clean = people.text(text).unwrap_or_else(|| text.to_owned());
    assert_eq!(people.text(&clean), None, "cleaning is idempotent: {clean}");
    clean
}

#[test]
fn mentions_and_addresses_are_replaced_and_other_words_stay() {
    assert_eq!(cleaned("ask @Ana Ruiz, please"), "ask @Former user, please");
    assert_eq!(cleaned("@Ana Ruiz"), "@Former user");
    assert_eq!(cleaned("@Ana Ruizeta and @Ana"), "@Ana Ruizeta and @Ana");
    assert_eq!(cleaned("(@Rosa O'Leary-Grün)"), "(@Former user)");
    assert_eq!(cleaned("ask @Ana (QA), now"), "ask @Former user, now");
    assert_eq!(cleaned("mail ana@example.com."), "mail Former user.");
    assert_eq!(cleaned("mail <ANA@example.com>"), "mail <Former user>");
    assert_eq!(cleaned("'ana@example.com'"), "'Former user'");
    assert_eq!(cleaned("joana@example.com ana@example.com.br"), "joana@example.com ana@example.com.br");
    assert_eq!(cleaned("[~ana] and [~anabel] and [~ANA]"), "[~a1] and [~anabel] and [~a1]");
    assert_eq!(cleaned("Ana Ruiz said so"), "Ana Ruiz said so");
    assert_eq!(cleaned("é@ 漢字@漢字 @漢字 ~é [~漢字"), "é@ 漢字@漢字 @漢字 ~é [~漢字");
}

#[test]
fn a_mention_by_a_name_of_before_is_known_by_its_account() {
    let mut people = people();
    people.mentioned_as([("a1", "@Ana Alt"), ("a2", "@Ben")]);
    assert_eq!(people.text("@Ana Alt, @Ben, @Ana Alter").unwrap(), "@Former user, @Ben, @Ana Alter");
}

#[test]
fn user_objects_keep_their_ids_only() {
    let mut value = json!([
        {"accountId": "a1", "displayName": "Ana Ruiz", "emailAddress": "x@y.z", "avatarUrls": {"48x48": "u"}, "timeZone": "UTC", "active": true},
        {"accountId": "a2", "displayName": "Ben", "emailAddress": "b@y.z"},
        {"key": "a1", "name": "ana", "displayName": "Ana", "self": "https://j/user?username=ana"},
        {"type": "mention", "attrs": {"id": "a1", "text": "@Ana"}},
        {"name": "ana", "value": "an option"},
    ]);
    let people = people();
    assert!(people.value(&mut value));
    assert_eq!(
        value,
        json!([
            {"accountId": "a1", "displayName": "Former user"},
            {"accountId": "a2", "displayName": "Ben", "emailAddress": "b@y.z"},
            {"key": "a1", "displayName": "Former user"},
            {"type": "mention", "attrs": {"id": "a1", "text": "@Former user"}},
            {"name": "ana", "value": "an option"},
        ])
    );
    assert!(!people.value(&mut value), "cleaning is idempotent");
}

#[test]
fn a_change_is_cleaned_where_its_value_is_the_account() {
    let people = people();
    let side = |value: Option<&str>, text: &str| {
        let (mut value, mut text) = (value.map(str::to_owned), Some(text.to_owned()));
        people.side(&mut value, &mut text);
        (value.unwrap_or_default(), text.unwrap())
    };
    let is = |value: &str, text: &str| (value.to_owned(), text.to_owned());
    assert_eq!(side(Some("a1"), "Whoever"), is("a1", FORMER_USER));
    assert_eq!(side(Some("ana"), "Whoever"), is("a1", FORMER_USER));
    assert_eq!(side(None, "Ana Ruiz"), is("", FORMER_USER));
    assert_eq!(side(Some("10001"), "Ana Ruiz"), is("10001", "Ana Ruiz"), "a version may be called so");
    assert_eq!(side(Some("[a1, a2]"), "[Ana, Ben]"), is("[a1, a2]", "[Former user, Ben]"));
    assert_eq!(side(None, "see @Ana Ruiz"), is("", "see @Former user"));
}

#[test]
fn only_an_inactive_former_user_counts_as_closed() {
    assert!(is_anonymised(false, "Former user") && is_anonymised(false, "user-57690"));
    for (active, name) in
        [(true, "Former user"), (true, "user-57690"), (false, "user-"), (false, "user-admin"), (false, "Ana")]
    {
        assert!(!is_anonymised(active, name), "{name}");
    }
}

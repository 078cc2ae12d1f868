use super::*;

fn now() -> DateTime<Utc> {
    "2026-03-02T10:00:00Z".parse().unwrap() // a Monday
}

fn route(position: i32, channel: &str, change: impl FnOnce(&mut Route)) -> Route {
    let mut route = Route {
        id: Uuid::from_u128(position.unsigned_abs().into()),
        position,
        channel: channel.to_owned(),
        to: Vec::new(),
        cc: Vec::new(),
        bcc: Vec::new(),
        selector: Selector::default(),
        hours: None,
        escalate_after_seconds: None,
        goes_on: false,
    };
    change(&mut route);
    route
}

fn subject() -> Subject {
    Subject {
        alert_id: Some(Uuid::from_u128(1)),
        severity: Severity::Error,
        category: "billing".into(),
        class: "SUSPENDED_PAYMENT".into(),
        site: Some("acme".into()),
        project: Some("acme/OPS".into()),
        channel: None,
        unacknowledged_for: Some(TimeDelta::zero()),
    }
}

fn chosen(routes: &[Route], subject: &Subject) -> Vec<String> {
    choose(routes, subject, now()).into_iter().map(|audience| audience.channel).collect()
}

#[test]
fn the_first_route_that_fits_takes_it_unless_it_goes_on() {
    let billing = |route: &mut Route| {
        route.selector.categories = vec!["billing".into()];
        route.goes_on = true;
    };
    let latency = |route: &mut Route| route.selector.categories = vec!["latency".into()];
    let routes = [
        route(1, "chat", latency),
        route(2, "mail", billing),
        route(3, "phone", |route| route.selector.min_severity = Some(Severity::Error)),
        route(4, "rest", |_| {}),
    ];
    assert_eq!(chosen(&routes, &subject()), ["mail", "phone"]);
    assert_eq!(chosen(&routes, &Subject { severity: Severity::Warning, ..subject() }), ["mail", "rest"]);
    assert_eq!(chosen(&routes, &Subject { category: "latency".into(), ..subject() }), ["chat"]);
    assert_eq!(chosen(&routes[..1], &subject()), ["log"], "what nobody takes goes to the log");
    let refusals: Vec<_> = walk(&routes, &subject(), now()).into_iter().filter_map(|verdict| verdict.refusal).collect();
    assert_eq!(refusals, ["is for category latency, this is billing", "route 3 has already taken it"]);
}

#[test]
fn a_second_line_hears_of_what_nobody_acknowledged() {
    let after_an_hour = |route: &mut Route| route.escalate_after_seconds = Some(3_600);
    let routes = [route(1, "mail", |_| {}), route(2, "phone", after_an_hour), route(3, "chat", |_| {})];
    assert_eq!(chosen(&routes, &subject()), ["mail"]);
    let aged = Subject { unacknowledged_for: Some(TimeDelta::hours(1)), ..subject() };
    assert_eq!(chosen(&routes, &aged), ["mail", "phone"]);
    let acknowledged = Subject { unacknowledged_for: None, ..subject() };
    assert_eq!(chosen(&routes, &acknowledged), ["mail"]);
    assert_eq!(escalations(&routes, &subject()), [TimeDelta::hours(1)]);
}

#[test]
fn an_alert_about_a_channel_never_goes_to_that_channel() {
    let routes = [route(1, "mail", |_| {}), route(2, "chat", |_| {})];
    let about = |name: &str| Subject { channel: Some(name.into()), ..subject() };
    assert_eq!(chosen(&routes, &about("mail")), ["chat"]);
    assert_eq!(chosen(&routes[..1], &about("mail")), ["log"]);
}

#[test]
fn hours_and_projects_narrow_a_route() {
    let office = |route: &mut Route| route.hours = Some("MON-FRI 08:00-18:00 UTC".parse().unwrap());
    let routes = [route(1, "chat", office), route(2, "phone", |_| {})];
    assert_eq!(chosen(&routes, &subject()), ["chat"]);
    let at_night = choose(&routes, &subject(), "2026-03-02T23:00:00Z".parse().unwrap());
    assert_eq!(at_night[0].channel, "phone");
    for (named, fits) in [("OPS", true), ("acme/OPS", true), ("other/OPS", false), ("WEB", false)] {
        let selector = Selector { projects: vec![named.into()], ..Selector::default() };
        assert_eq!(selector.refusal(&subject()).is_none(), fits, "{named}");
    }
    let site_wide = Subject { project: None, ..subject() };
    let selector = Selector { projects: vec!["OPS".into()], ..Selector::default() };
    assert!(selector.refusal(&site_wide).is_some());
}

#[test]
fn the_same_people_are_told_once() {
    let both = |route: &mut Route| {
        route.to = vec!["ops@example.com".into()];
        route.goes_on = true;
    };
    let routes = [route(1, "mail", both), route(2, "mail", both)];
    assert_eq!(choose(&routes, &subject(), now()).len(), 1);
    let audience = Audience { to: vec!["b".into(), "a".into()], cc: vec!["c".into()], ..Audience::last_resort() };
    assert_eq!(audience.recipients(), "a,b cc:c");
}

#[test]
fn a_silence_covers_its_time_and_its_subject_only() {
    let silence = Silence {
        id: Uuid::from_u128(9),
        alert_id: None,
        selector: Selector { sites: vec!["acme".into()], ..Selector::default() },
        starts_at: now(),
        ends_at: now() + TimeDelta::hours(1),
    };
    let until = |subject: &Subject, at| withheld_until(std::slice::from_ref(&silence), subject, at);
    assert_eq!(until(&subject(), now()), Some(silence.ends_at));
    assert_eq!(until(&subject(), silence.ends_at), None);
    assert_eq!(until(&subject(), now() - TimeDelta::seconds(1)), None);
    assert_eq!(until(&Subject { site: Some("other".into()), ..subject() }, now()), None);
    let one = Silence { alert_id: Some(Uuid::from_u128(2)), ..silence.clone() };
    assert!(!one.covers(&subject(), now()), "another episode");
}

//! Who hears of what: routes, escalation, silences and maintenance, changed while alerts are open.

use chrono::TimeDelta;
use syncline::domain::failure::Severity;
use syncline::domain::route::{Selector, Silence};
use syncline::store::alert::{admin, route, silence};
use uuid::Uuid;

use crate::support::alerts::{Desk, cleared, firing, firing_as, project, site};

fn on_site(desk: &Desk, hours: i64) -> Silence {
    Silence {
        id: desk.clock.new_id(),
        alert_id: None,
        selector: Selector { sites: vec!["acme".into()], ..Selector::default() },
        starts_at: desk.clock.now(),
        ends_at: desk.clock.now() + TimeDelta::hours(hours),
    }
}

async fn silenced(desk: &Desk, kind: &str, silence: &Silence) {
    silence::add(desk.pool(), desk.clock.now(), kind, silence, "planned", "ana").await.unwrap();
}

#[tokio::test]
async fn routes_choose_by_category_severity_and_hour() {
    let desk = Desk::new().await;
    let billing = |route: &mut syncline::domain::route::Route| {
        route.selector.categories = vec!["availability".into()];
        route.goes_on = true;
    };
    desk.add_route("mail", &["billing@example.com"], billing).await;
    desk.add_route("phone", &[], |route| route.selector.min_severity = Some(Severity::Critical)).await;
    desk.add_route("night", &[], |route| route.hours = Some("20:00-06:00 UTC".parse().unwrap())).await;
    desk.observe(&[firing(project(0), Severity::Critical, 0), firing(project(1), Severity::Error, 0)]).await;
    desk.pass(TimeDelta::minutes(1)).await;
    let mut told = desk.told();
    told.sort();
    assert_eq!(told, ["mail opened", "mail opened", "phone opened"]);
    desk.hands.advance(TimeDelta::hours(12)); // 21:01
    desk.observe(&[firing(project(2), Severity::Error, 0)]).await;
    desk.pass(TimeDelta::minutes(1)).await;
    let mut told = desk.told();
    told.sort();
    assert_eq!(told, ["mail opened", "night opened"]);
    // The end is told to those who heard of the beginning, whatever the hour.
    desk.hands.advance(TimeDelta::hours(11));
    desk.observe(&[cleared(project(2), desk.clock.now())]).await;
    desk.pass(TimeDelta::minutes(1)).await;
    let mut told = desk.told();
    told.retain(|one| one.ends_with("resolved"));
    told.sort();
    assert_eq!(told, ["mail resolved", "night resolved"]);
}

#[tokio::test]
async fn a_second_line_is_told_when_nobody_acknowledges() {
    let desk = Desk::new().await;
    desk.add_route("mail", &["ops@example.com"], |_| {}).await;
    desk.add_route("phone", &[], |route| route.escalate_after_seconds = Some(3_600)).await;
    desk.observe(&[firing(project(0), Severity::Error, 0), firing(project(1), Severity::Error, 0)]).await;
    desk.pass(TimeDelta::minutes(50)).await;
    assert_eq!(desk.told(), ["mail opened", "mail opened"]);
    let first: Uuid =
        sqlx::query_scalar("SELECT id FROM syncline.alert ORDER BY key LIMIT 1").fetch_one(desk.pool()).await.unwrap();
    admin::acknowledge(desk.pool(), desk.clock.now(), first, "", "ana").await.unwrap();
    desk.pass(TimeDelta::hours(5)).await;
    let mut told = desk.told();
    told.sort();
    assert_eq!(told, ["mail escalated", "phone escalated"], "only the one that nobody took on");
}

#[tokio::test]
async fn a_silence_keeps_episodes_and_open_ones_are_sent_at_its_end() {
    let desk = Desk::new().await;
    silenced(&desk, "silence", &on_site(&desk, 2)).await;
    desk.observe(&[firing(project(0), Severity::Error, 0), firing(project(1), Severity::Error, 0)]).await;
    desk.pass(TimeDelta::minutes(90)).await;
    assert!(desk.told().is_empty());
    assert_eq!(desk.count("SELECT count(*) FROM syncline.alert WHERE state <> 'resolved'").await, 2);
    desk.observe(&[cleared(project(1), desk.clock.now())]).await;
    desk.pass(TimeDelta::minutes(31)).await;
    assert_eq!(desk.told(), ["log opened"], "the other one is over");
}

#[tokio::test]
async fn a_silence_that_is_ended_early_tells_at_once_what_is_open() {
    let desk = Desk::new().await;
    let silence = on_site(&desk, 200);
    silenced(&desk, "silence", &silence).await;
    desk.observe(&[firing(project(0), Severity::Error, 0)]).await;
    desk.pass(TimeDelta::hours(3)).await;
    assert!(desk.told().is_empty());
    let ended = silence::end(desk.pool(), desk.clock.now(), "silence", silence.id, "ben").await.unwrap();
    assert_eq!(ended, 1);
    desk.pass(TimeDelta::seconds(1)).await;
    assert_eq!(desk.told(), ["log opened"]);
}

#[tokio::test]
async fn maintenance_withholds_reminders_escalations_and_the_end() {
    let desk = Desk::new().await;
    desk.observe(&[firing(site(), Severity::Error, 0)]).await;
    desk.pass(TimeDelta::minutes(1)).await;
    assert_eq!(desk.told(), ["log opened"]);
    silenced(&desk, "maintenance", &on_site(&desk, 48)).await;
    desk.observe(&[firing(site(), Severity::Critical, 6)]).await;
    desk.pass(TimeDelta::hours(47)).await;
    assert!(desk.told().is_empty());
    desk.observe(&[cleared(site(), desk.clock.now())]).await;
    desk.pass(TimeDelta::hours(2)).await;
    assert!(desk.told().is_empty());
    let withheld = "SELECT string_agg(event, ' ') FROM syncline.alert_event WHERE withheld";
    assert_eq!(desk.text(withheld).await, "resolved", "the history says so");
}

#[tokio::test]
async fn one_episode_can_be_silenced_without_the_others() {
    let desk = Desk::new().await;
    desk.observe(&[firing(project(0), Severity::Error, 0), firing_as(project(0), "PERMISSION", Severity::Error, 0)])
        .await;
    let id: Uuid = sqlx::query_scalar("SELECT id FROM syncline.alert WHERE class = 'PERMISSION'")
        .fetch_one(desk.pool())
        .await
        .unwrap();
    let one = Silence { alert_id: Some(id), selector: Selector::default(), ..on_site(&desk, 1) };
    silenced(&desk, "silence", &one).await;
    desk.pass(TimeDelta::minutes(1)).await;
    let messages = desk.messages();
    assert_eq!(messages.iter().map(|m| m.metadata.class.as_str()).collect::<Vec<_>>(), ["SERVER_ERROR"]);
}

#[tokio::test]
async fn an_alert_ended_by_hand_says_so_and_opens_again_if_it_goes_on() {
    let desk = Desk::new().await;
    desk.observe(&[firing(project(0), Severity::Error, 0)]).await;
    desk.pass(TimeDelta::minutes(1)).await;
    let id = desk.only_alert().await;
    assert!(admin::resolve(desk.pool(), desk.clock.now(), id, "ana").await.unwrap());
    desk.pass(TimeDelta::minutes(1)).await;
    assert_eq!(desk.told(), ["log opened", "log resolved"]);
    assert!(!admin::resolve(desk.pool(), desk.clock.now(), id, "ana").await.unwrap());
    desk.observe(&[firing(project(0), Severity::Error, 0)]).await;
    desk.pass(TimeDelta::minutes(5)).await;
    assert_eq!(desk.told(), ["log opened"]);
}

#[tokio::test]
async fn routes_keep_their_order_through_add_move_and_remove() {
    let desk = Desk::new().await;
    for name in ["a", "b", "c", "d"] {
        desk.add_route(name, &[], |_| {}).await;
    }
    desk.add_route("e", &[], |route| route.position = 2).await;
    let order = || async {
        let routes = route::list(desk.pool()).await.unwrap();
        assert!(routes.iter().zip(1..).all(|(route, position)| route.position == position));
        routes.into_iter().map(|route| route.channel).collect::<String>()
    };
    assert_eq!(order().await, "aebcd");
    route::relocate(desk.pool(), 5, 1, "ana").await.unwrap().unwrap();
    assert_eq!(order().await, "daebc");
    route::relocate(desk.pool(), 1, 3, "ana").await.unwrap().unwrap();
    assert_eq!(order().await, "aedbc");
    route::relocate(desk.pool(), 2, 99, "ana").await.unwrap().unwrap();
    assert_eq!(order().await, "adbce");
    route::remove(desk.pool(), 2, "ana").await.unwrap().unwrap();
    assert_eq!(order().await, "abce");
    assert!(route::remove(desk.pool(), 9, "ana").await.unwrap().is_none());
    let audited = "SELECT count(*) FROM syncline.audit WHERE action LIKE 'alert.route.%'";
    assert_eq!(desk.count(audited).await, 9);
}

#[tokio::test]
async fn old_alerts_are_removed_with_their_messages() {
    let desk = Desk::new().await;
    desk.observe(&[firing(project(0), Severity::Error, 0), firing(project(1), Severity::Error, 0)]).await;
    desk.pass(TimeDelta::minutes(1)).await;
    desk.observe(&[cleared(project(0), desk.clock.now())]).await;
    desk.pass(TimeDelta::minutes(1)).await;
    desk.execute("UPDATE syncline.alert SET resolved_at = now() - interval '91 days' WHERE state = 'resolved'").await;
    crate::support::sweep(desk.pool()).await;
    assert_eq!(desk.count("SELECT count(*) FROM syncline.alert").await, 1);
    assert_eq!(desk.count("SELECT count(*) FROM syncline.alert_delivery").await, 1);
    assert_eq!(desk.text("SELECT state FROM syncline.alert").await, "open");
}

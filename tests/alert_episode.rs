//! An alert is an episode, not a message: people are told once when it begins, when it becomes worse, each day while nobody
//! has acknowledged it, and once when it is over.

use chrono::TimeDelta;
use futures::future::join_all;
use syncline::domain::alert::{Observation, Signal};
use syncline::domain::failure::Severity;
use syncline::store::alert::admin;
use syncline::store::audit::Who;

use crate::support::alerts::{Desk, cleared, firing, firing_as, project, site, start};

#[tokio::test]
async fn one_message_when_it_opens_and_one_when_it_is_resolved() {
    let desk = Desk::new().await;
    for _ in 0..8 {
        desk.observe(&[firing(project(0), Severity::Error, 0)]).await;
        desk.pass(TimeDelta::minutes(15)).await;
    }
    assert_eq!(desk.told(), ["log opened"]);
    desk.observe(&[cleared(project(0), desk.clock.now())]).await;
    desk.pass(TimeDelta::hours(5)).await;
    assert_eq!(desk.told(), ["log resolved"]);
    assert_eq!(desk.count("SELECT count(*) FROM syncline.alert").await, 1);
}

#[tokio::test]
async fn what_is_over_within_the_group_wait_is_never_told() {
    let desk = Desk::new().await;
    desk.observe(&[firing(project(0), Severity::Critical, 0)]).await;
    desk.pass(TimeDelta::seconds(29)).await;
    desk.observe(&[cleared(project(0), desk.clock.now())]).await;
    desk.pass(TimeDelta::days(2)).await;
    assert!(desk.told().is_empty());
    assert_eq!(desk.text("SELECT state FROM syncline.alert").await, "resolved");
    assert_eq!(desk.count("SELECT count(*) FROM syncline.alert_delivery").await, 0);
}

#[tokio::test]
async fn each_way_of_becoming_worse_is_told_once() {
    let desk = Desk::new().await;
    desk.observe(&[firing(project(0), Severity::Warning, 0)]).await;
    desk.pass(TimeDelta::minutes(1)).await;
    assert_eq!(desk.told(), ["log opened"]);
    for (severity, rung, told) in [
        (Severity::Warning, 1, false),
        (Severity::Warning, 2, false),
        (Severity::Warning, 3, true), // a rung that is worth a message
        (Severity::Warning, 3, false),
        (Severity::Critical, 3, true), // the severity
        (Severity::Warning, 4, false),
        (Severity::Critical, 5, false),
        (Severity::Critical, 6, true),
    ] {
        desk.observe(&[firing(project(0), severity, rung)]).await;
        desk.pass(TimeDelta::minutes(15)).await;
        let expected: &[&str] = if told { &["log escalated"] } else { &[] };
        assert_eq!(desk.told(), expected, "{severity:?} at rung {rung}");
    }
}

#[tokio::test]
async fn reminders_come_each_day_until_somebody_acknowledges() {
    let desk = Desk::new().await;
    desk.observe(&[firing(project(0), Severity::Error, 0)]).await;
    desk.pass(TimeDelta::hours(73)).await;
    assert_eq!(desk.told(), ["log opened", "log reminder", "log reminder", "log reminder"]);
    let id = desk.only_alert().await;
    assert!(admin::acknowledge(desk.pool(), desk.clock.now(), id, "on it", &Who::cli("ana")).await.unwrap());
    assert!(
        !admin::acknowledge(desk.pool(), desk.clock.now(), id, "", &Who::cli("ben")).await.unwrap(),
        "it is hers already"
    );
    desk.observe(&[firing(project(0), Severity::Error, 6)]).await;
    desk.pass(TimeDelta::days(9)).await;
    assert!(desk.told().is_empty(), "neither reminders nor rungs");
    desk.observe(&[firing(project(0), Severity::Critical, 6)]).await;
    desk.pass(TimeDelta::minutes(1)).await;
    assert_eq!(desk.told(), ["log escalated"], "worse than what she took on");
    desk.observe(&[cleared(project(0), desk.clock.now())]).await;
    desk.pass(TimeDelta::minutes(1)).await;
    assert_eq!(desk.told(), ["log resolved"]);
    let actors = "SELECT string_agg(event || ' ' || coalesce(actor, '-'), ', ' ORDER BY seq) FROM syncline.alert_event WHERE event = 'acknowledged'";
    assert_eq!(desk.text(actors).await, "acknowledged ana");
}

#[tokio::test]
async fn what_flaps_is_one_episode_and_few_messages() {
    let desk = Desk::new().await;
    // A minute on, four minutes off, for five hours.
    for _ in 0..60 {
        desk.observe(&[firing(project(0), Severity::Error, 0)]).await;
        desk.pass(TimeDelta::minutes(1)).await;
        desk.observe(&[cleared(project(0), desk.clock.now())]).await;
        desk.pass(TimeDelta::minutes(4)).await;
    }
    desk.pass(TimeDelta::hours(2)).await;
    // The first time it was told as any other; since it came back, one message says that it flaps and one that it is over.
    assert_eq!(desk.told(), ["log opened", "log resolved", "log opened", "log resolved"]);
    assert_eq!(desk.count("SELECT count(*) FROM syncline.alert").await, 1);
    // Long after, the same condition is an episode of its own.
    desk.observe(&[firing(project(0), Severity::Error, 0)]).await;
    desk.pass(TimeDelta::minutes(1)).await;
    assert_eq!(desk.told(), ["log opened"]);
    assert_eq!(desk.count("SELECT count(*) FROM syncline.alert").await, 2);
}

#[tokio::test]
async fn what_comes_back_and_stays_is_told_again_after_a_longer_wait() {
    let desk = Desk::new().await;
    desk.observe(&[firing(project(0), Severity::Error, 0)]).await;
    desk.pass(TimeDelta::minutes(1)).await;
    desk.observe(&[cleared(project(0), desk.clock.now())]).await;
    desk.pass(TimeDelta::minutes(10)).await;
    assert_eq!(desk.told(), ["log opened", "log resolved"]);
    desk.observe(&[firing(project(0), Severity::Error, 0)]).await;
    desk.pass(TimeDelta::seconds(59)).await;
    assert!(desk.told().is_empty());
    desk.pass(TimeDelta::seconds(2)).await;
    assert_eq!(desk.told(), ["log opened"]);
    desk.observe(&[cleared(project(0), desk.clock.now())]).await;
    desk.pass(TimeDelta::minutes(4)).await;
    assert!(desk.told().is_empty(), "it must be gone for a while before that is believed");
    desk.pass(TimeDelta::minutes(2)).await;
    assert_eq!(desk.told(), ["log resolved"]);
    assert_eq!(desk.count("SELECT count(*) FROM syncline.alert").await, 1);
}

#[tokio::test]
async fn a_sites_episode_speaks_for_its_projects_and_lists_them() {
    let desk = Desk::new().await;
    desk.observe(&[firing(project(0), Severity::Error, 0), firing(project(1), Severity::Error, 0)]).await;
    desk.pass(TimeDelta::seconds(10)).await;
    desk.observe(&[firing(site(), Severity::Critical, 0)]).await;
    desk.pass(TimeDelta::minutes(5)).await;
    // One that fails later is spoken for too; one of another class is not.
    let other = firing_as(project(2), "PERMISSION", Severity::Error, 0);
    desk.observe(&[firing(project(2), Severity::Error, 0), other]).await;
    desk.pass(TimeDelta::minutes(5)).await;
    let messages = desk.messages();
    let told: Vec<(&str, &str)> =
        messages.iter().map(|m| (m.metadata.about.as_str(), m.metadata.event.as_str())).collect();
    assert_eq!(told, [("site acme", "opened"), ("project acme/APP", "opened")]);
    let facts = &messages[0].metadata.facts;
    assert!(facts.contains(&("Projects".into(), "acme/OPS, acme/WEB".into())), "{facts:?}");

    desk.observe(&[cleared(site(), desk.clock.now())]).await;
    desk.pass(TimeDelta::hours(1)).await;
    let messages = desk.messages();
    assert_eq!(messages.len(), 1, "projects are resolved silently");
    assert!(messages[0].metadata.facts.contains(&("Projects".into(), "acme/APP, acme/OPS, acme/WEB".into())));
    assert_eq!(desk.count("SELECT count(*) FROM syncline.alert WHERE state <> 'resolved'").await, 1);
}

#[tokio::test]
async fn what_became_part_of_a_wider_condition_ends_silently() {
    let desk = Desk::new().await;
    desk.observe(&[firing(project(0), Severity::Error, 0), firing(project(1), Severity::Error, 0)]).await;
    desk.pass(TimeDelta::minutes(1)).await;
    assert_eq!(desk.told().len(), 2);
    let absorbed =
        |number| Observation { signal: Signal::Absorbed(desk.clock.now()), ..cleared(project(number), start()) };
    let wider = firing_as(site(), "SITE_UNAVAILABLE", Severity::Critical, 0);
    desk.observe(&[absorbed(0), absorbed(1), absorbed(2), wider]).await;
    desk.pass(TimeDelta::hours(2)).await;
    assert_eq!(desk.told(), ["log opened"]);
    let states = "SELECT string_agg(scope_kind || ' ' || state, ', ' ORDER BY scope_kind, key) FROM syncline.alert";
    assert_eq!(desk.text(states).await, "project resolved, project resolved, site open");
    assert_eq!(desk.count("SELECT count(*) FROM syncline.alert_event WHERE event = 'absorbed'").await, 2);
}

#[tokio::test]
async fn two_keepers_never_tell_the_same_twice() {
    let desk = Desk::new().await;
    let many: Vec<_> = (0..300).map(|n| firing_as(project(n % 3), &format!("CLASS_{n}"), Severity::Error, 0)).collect();
    desk.observe(&many).await;
    desk.keeper.tick().await.unwrap();
    desk.hands.advance(TimeDelta::minutes(1));
    let keepers: Vec<_> = (0..4).map(|_| desk.another_keeper()).collect();
    for outcome in join_all(keepers.iter().map(|keeper| keeper.tick())).await {
        outcome.unwrap();
    }
    desk.keeper.tick().await.unwrap();
    desk.deliver().await;
    assert_eq!(desk.told().len(), 300);
    assert_eq!(desk.count("SELECT count(*) FROM syncline.sync_step WHERE kind = 'deliver_alert'").await, 300);
}

#[tokio::test]
async fn episodes_survive_restarts() {
    let mut desk = Desk::new().await;
    desk.observe(&[firing(project(0), Severity::Error, 0)]).await;
    desk.keeper.tick().await.unwrap();
    desk.restart();
    desk.hands.advance(TimeDelta::seconds(31));
    desk.keeper.tick().await.unwrap();
    desk.restart(); // between the decision and the delivery
    desk.deliver().await;
    assert_eq!(desk.told(), ["log opened"]);
    desk.restart();
    desk.pass(TimeDelta::hours(23)).await;
    assert!(desk.told().is_empty(), "a restart is no reason to say it again");
    desk.pass(TimeDelta::hours(2)).await;
    assert_eq!(desk.told(), ["log reminder"]);
}

#[tokio::test]
async fn observations_at_once_open_one_episode() {
    let desk = Desk::new().await;
    let one = || async {
        let all = [firing(project(0), Severity::Error, 0), firing(project(1), Severity::Error, 0)];
        desk.observe(&all).await;
    };
    join_all((0..5).map(|_| one())).await;
    assert_eq!(desk.count("SELECT count(*) FROM syncline.alert").await, 2);
    desk.pass(TimeDelta::minutes(1)).await;
    assert_eq!(desk.told().len(), 2);
    assert!(desk.clock.now() > start());
}

#[tokio::test]
async fn an_observation_that_is_rolled_back_leaves_nothing() {
    let desk = Desk::new().await;
    let mut tx = desk.pool().begin().await.unwrap();
    syncline::store::alert::observe(&mut tx, desk.clock.now(), &[firing(site(), Severity::Error, 0)]).await.unwrap();
    tx.rollback().await.unwrap();
    desk.pass(TimeDelta::hours(1)).await;
    assert!(desk.told().is_empty());
}

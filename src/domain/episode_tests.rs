use proptest::prelude::*;

use super::*;

fn start() -> DateTime<Utc> {
    "2026-03-02T09:00:00Z".parse().unwrap()
}

fn quick() -> Timings {
    Timings { reminder: TimeDelta::hours(2), ..Timings::default() }
}

/// What can happen to an episode from outside.
#[derive(Clone, Copy, Debug)]
enum Act {
    Fire(Severity, i16),
    Clear,
    Acknowledge,
    /// Messages are kept back for so many minutes from now on.
    Silence(i64),
    /// Somebody looks, due or not.
    Look,
}

fn acts() -> impl Strategy<Value = Vec<(i64, Act)>> {
    let severity = prop::sample::select(Severity::ALL.to_vec());
    let act = prop_oneof![
        4 => (severity, 0_i16..8).prop_map(|(severity, rung)| Act::Fire(severity, rung)),
        3 => Just(Act::Clear),
        1 => Just(Act::Acknowledge),
        1 => (1_i64..300).prop_map(Act::Silence),
        2 => Just(Act::Look),
    ];
    prop::collection::vec((0_i64..20_000, act), 1..60)
}

/// An episode and everything that was told of it.
struct Story {
    episode: Option<Episode>,
    now: DateTime<Utc>,
    silent_until: Option<DateTime<Utc>>,
    told: Vec<(DateTime<Utc>, Event)>,
    timings: Timings,
}

impl Story {
    fn new() -> Self {
        Self { episode: None, now: start(), silent_until: None, told: Vec::new(), timings: quick() }
    }

    fn given(&self) -> Circumstances {
        Circumstances {
            withheld_until: self.silent_until.filter(|until| self.now < *until),
            escalations: vec![TimeDelta::minutes(30), TimeDelta::hours(4)],
        }
    }

    fn look(&mut self) {
        let given = self.given();
        let Some(episode) = &mut self.episode else { return };
        if let Some(happening) = episode.decide(&given, &self.timings, self.now)
            && happening.audience != Audience::Nobody
        {
            self.told.push((self.now, happening.event));
        }
    }

    /// Lets time pass, looking whenever the episode asks to be looked at.
    fn pass(&mut self, seconds: i64) {
        let end = self.now + TimeDelta::seconds(seconds);
        for _ in 0..10_000 {
            match self.episode.and_then(|episode| episode.next_action_at).filter(|at| *at <= end) {
                Some(at) => self.now = at.max(self.now),
                None => break,
            }
            let before = self.episode.map(|episode| episode.next_action_at);
            self.look();
            let after = self.episode.map(|episode| episode.next_action_at);
            assert!(before != after, "a look must move the next look on: {:?}", self.episode);
        }
        self.now = end;
    }

    fn act(&mut self, act: Act) {
        let now = self.now;
        match (act, &mut self.episode) {
            (Act::Fire(severity, rung), Some(episode))
                if episode.phase != Phase::Resolved || episode.damped_until.is_some_and(|until| now < until) =>
            {
                episode.fire(severity, rung, now);
            }
            (Act::Fire(severity, rung), episode) => *episode = Some(Episode::begin(severity, rung, now)),
            (Act::Clear, Some(episode)) => episode.clear(now, now),
            (Act::Acknowledge, Some(episode)) if episode.phase != Phase::Resolved => {
                episode.acknowledged_at = Some(now)
            }
            (Act::Silence(minutes), _) => self.silent_until = Some(now + TimeDelta::minutes(minutes)),
            _ => {}
        }
        if matches!(act, Act::Look) {
            self.look();
        }
    }
}

proptest! {
    #[test]
    fn what_is_told_makes_sense_whatever_happens(history in acts()) {
        let mut story = Story::new();
        for (seconds, act) in history {
            story.pass(seconds);
            story.act(act);
        }
        story.pass(100_000);
        let mut open = false;
        let mut last: Option<DateTime<Utc>> = None;
        for (at, event) in &story.told {
            match event {
                Event::Opened => prop_assert!(!std::mem::replace(&mut open, true), "opened twice: {:?}", story.told),
                // An end that was kept back ends it as well: the next beginning is a beginning.
                Event::Resolved => prop_assert!(std::mem::take(&mut open), "an end without a beginning: {:?}", story.told),
                _ => prop_assert!(open, "{event:?} of what nobody knows of: {:?}", story.told),
            }
            if *event == Event::Reminder {
                prop_assert!(last.is_none_or(|last| *at - last >= story.timings.reminder), "too early: {:?}", story.told);
            }
            last = Some(*at);
        }
    }

    #[test]
    fn a_look_that_comes_twice_tells_nothing_new(history in acts()) {
        let mut story = Story::new();
        for (seconds, act) in history {
            story.pass(seconds);
            story.act(act);
            story.look();
            let told = story.told.len();
            story.look();
            prop_assert_eq!(story.told.len(), told);
        }
    }

    #[test]
    fn what_goes_on_is_told_in_time(history in acts()) {
        let mut story = Story::new();
        for (seconds, act) in history {
            story.pass(seconds);
            story.act(act);
        }
        story.silent_until = None;
        story.act(Act::Fire(Severity::Critical, 0));
        story.look();
        story.pass(story.timings.longest_hold().num_seconds());
        let episode = story.episode.unwrap();
        prop_assert!(episode.told.open && episode.phase == Phase::Open, "{episode:?}");
        prop_assert_eq!(episode.told.severity, Some(Severity::Critical));
    }
}

#[test]
fn an_age_without_acknowledgement_is_told_once_for_each_route() {
    let mut story = Story::new();
    story.timings.reminder = TimeDelta::days(30);
    story.act(Act::Fire(Severity::Error, 0));
    story.pass(24 * 3600);
    let told: Vec<(i64, Event)> =
        story.told.iter().map(|(at, event)| ((*at - start()).num_seconds(), *event)).collect();
    let minutes = |n: i64| n * 60 + 30;
    assert_eq!(told, [(30, Event::Opened), (minutes(30), Event::Escalated), (minutes(240), Event::Escalated)]);
}

#[test]
fn what_is_kept_back_is_told_when_that_ends() {
    let mut story = Story::new();
    story.act(Act::Silence(60));
    story.act(Act::Fire(Severity::Error, 0));
    story.pass(3_599);
    assert!(story.told.is_empty());
    story.pass(1);
    assert_eq!(story.told, [(start() + TimeDelta::hours(1), Event::Opened)]);
}

#[test]
fn what_passed_while_it_was_kept_back_is_never_told() {
    let mut story = Story::new();
    story.act(Act::Silence(60));
    story.act(Act::Fire(Severity::Error, 0));
    story.pass(1_800);
    story.act(Act::Clear);
    story.pass(100_000);
    assert!(story.told.is_empty());
}

#[test]
fn the_hold_grows_with_each_return_and_has_an_end() {
    let timings = Timings::default();
    let holds: Vec<i64> = (0..8).map(|flaps| timings.hold(flaps).num_seconds()).collect();
    assert_eq!(holds, [30, 60, 120, 240, 480, 480, 480, 480]);
    assert_eq!(in_words(TimeDelta::minutes(90)), "1 hour");
    assert_eq!(in_words(TimeDelta::days(3)), "3 days");
}

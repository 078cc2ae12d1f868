//! The rule against limiters of several kinds, second by second.

use super::*;

/// A limiter that is asked at a rate for a second; answers what was left at least and at most, and how many were refused.
trait Limiter {
    fn second(&mut self, asked: f64) -> (f64, f64, f64);
    fn limit(&self) -> f64;
}

struct Bucket {
    refill: f64,
    capacity: f64,
    level: f64,
}

impl Limiter for Bucket {
    fn second(&mut self, asked: f64) -> (f64, f64, f64) {
        let before = self.level;
        let after = before + self.refill - asked;
        self.level = after.clamp(0.0, self.capacity);
        (before.min(self.level), before.max(self.level), (-after).max(0.0))
    }

    fn limit(&self) -> f64 {
        self.capacity
    }
}

struct Window {
    limit: f64,
}

impl Limiter for Window {
    fn second(&mut self, asked: f64) -> (f64, f64, f64) {
        ((self.limit - asked).max(0.0), self.limit - 1.0, (asked - self.limit).max(0.0))
    }

    fn limit(&self) -> f64 {
        self.limit
    }
}

/// Seconds 60 to 180 of a fleet that always has work: the share of `allowed` that was used, and that was refused.
fn played(limiter: &mut dyn Limiter, allowed: f64, start: f64, tells: bool) -> (f64, f64) {
    let mut known = Learned { rate: start, ceiling: None, remaining: None, age: Duration::from_secs(1) };
    let (mut used, mut refused, mut last_refusal, mut pause) = (0.0, 0.0, None::<u32>, 0);
    for second in 0..180u32 {
        let asked = if pause > 0 { 0.0 } else { known.rate };
        pause = i32::max(pause - 1, 0);
        let (low, high, over) = limiter.second(asked);
        if second >= 60 {
            used += asked - over;
            refused += over.ceil();
        }
        if over > 0.0 {
            let since = last_refusal.map(|then| Duration::from_secs(u64::from(second - then)));
            known.ceiling = Some(known.rate);
            known.rate = after_refusal(known.rate, &Told::default(), since);
            known.remaining = None;
            (last_refusal, pause) = (Some(second), 1);
        } else if asked > 0.0 {
            let level = Level { limit: limiter.limit(), low, high, reset_in: None };
            known.rate = adapt(&known, tells.then_some(&level), true);
            known.remaining = Some(low);
        }
    }
    (used / (allowed * 120.0), refused / (allowed * 120.0))
}

#[test]
fn a_bucket_with_a_known_level_is_used_fully_without_refusals() {
    for (refill, capacity) in [(100.0, 100.0), (50.0, 100.0), (100.0, 350.0), (10.0, 20.0), (400.0, 100.0)] {
        for start in [0.3, 0.9, 1.5] {
            let mut bucket = Bucket { refill, capacity, level: capacity };
            let (used, refused) = played(&mut bucket, refill, refill * start, true);
            assert!(used > 0.97 && refused < 0.005, "{refill}/{capacity} from {start}: {used} used, {refused} refused");
        }
    }
}

#[test]
fn a_window_that_tells_what_is_left_is_used_up_to_its_reserve() {
    for limit in [20.0, 100.0, 1000.0] {
        for start in [0.3, 0.9, 1.5] {
            let (used, refused) = played(&mut Window { limit }, limit, limit * start, true);
            assert!(used > 0.95 && refused < 0.005, "{limit} from {start}: {used} used, {refused} refused");
        }
    }
}

#[test]
fn a_limit_that_says_nothing_is_found_and_then_left_alone() {
    for start in [0.5, 0.9, 3.0] {
        let (used, refused) = played(&mut Window { limit: 100.0 }, 100.0, 100.0 * start, false);
        assert!(used > 0.93 && refused < 0.005, "from {start}: {used} used, {refused} refused");
    }
}

#[test]
fn a_window_of_an_hour_is_spread_over_what_is_left_of_it() {
    let hour = Duration::from_secs(3000);
    let told = Told {
        limit: Some(3600.0),
        remaining: Some(1000.0),
        reset_in: Some(hour),
        refill_per_second: None,
        cycle_days: None,
    };
    assert!((first_guess(&told, 50.0) - 1.0 / 3.0).abs() < 0.01);
}

#[test]
fn a_refill_that_is_told_is_taken_at_its_word() {
    let told = Told {
        limit: Some(600.0),
        remaining: Some(3.0),
        reset_in: None,
        refill_per_second: Some(10.0),
        cycle_days: None,
    };
    assert_eq!(first_guess(&told, 80.0), 10.0);
    assert!((after_refusal(80.0, &told, None) - 9.6).abs() < 1e-9);
}

#[test]
fn a_rate_that_nobody_used_does_not_rise() {
    let known = Learned { rate: 10.0, ceiling: None, remaining: Some(90.0), age: Duration::from_secs(1) };
    let level = Level { limit: 100.0, low: 100.0, high: 100.0, reset_in: None };
    assert_eq!(adapt(&known, Some(&level), false), 10.0);
    assert!(adapt(&known, Some(&level), true) > 10.0);
}

#[test]
fn no_header_makes_a_rate_that_cannot_be() {
    for odd in [f64::NAN, f64::INFINITY, -5.0, 0.0, 1e300] {
        let told = Told {
            limit: Some(odd),
            remaining: Some(odd),
            reset_in: None,
            refill_per_second: Some(odd),
            cycle_days: None,
        };
        let rate = first_guess(&told, 10.0);
        assert!((RATES.0..=RATES.1).contains(&rate), "{odd}: {rate}");
        if let Some(level) = Level::of(&told) {
            let known = Learned { rate: 10.0, ceiling: None, remaining: None, age: Duration::ZERO };
            let rate = adapt(&known, Some(&level), true);
            assert!((RATES.0..=RATES.1).contains(&rate), "{odd}: {rate}");
        }
    }
}

#[test]
fn after_a_pause_requests_return_by_degrees() {
    let minute = Duration::from_secs(60);
    let within = |seconds: f64| (0..).take_while(|n| returns_after(*n, 90.0, minute).as_secs_f64() < seconds).count();
    assert_eq!(within(0.001), 1, "the first goes out at once");
    assert!((28..=31).contains(&within(1.0)), "{}: a third in the first second", within(1.0));
    let last = within(4.0) - within(3.0);
    assert!((89..=91).contains(&last), "{last}: all of it after three seconds");
    assert!((returned_after(returns_after(30, 90.0, minute), 90.0, minute) - 30.0).abs() < 1e-6);
    assert!(returns_after(u32::MAX, 0.0, minute) <= Duration::from_secs(3_600));
}

#[test]
fn the_shorter_a_pause_was_the_sooner_all_requests_are_back() {
    let back = |pause| {
        (1_u32..)
            .find(|n| returns_after(*n, 100.0, pause) - returns_after(*n - 1, 100.0, pause) < Duration::from_millis(11))
    };
    let counts: Vec<u32> = [0, 500, 1_500, 3_000, 60_000].map(|ms| back(Duration::from_millis(ms)).unwrap()).to_vec();
    assert!(counts.is_sorted() && counts[0] < 12 && counts[2] > 50 && counts[3] == counts[4], "{counts:?}");
}

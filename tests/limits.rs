//! Limits are kept by all processes together: what one is told holds for all, nobody storms, nobody starves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use syncline::clock::Clock;
use syncline::domain::failure::{Failure, FailureCode, PauseScope};
use syncline::domain::rate::{self as learnt, Told};
use syncline::jira::Endpoint;
use syncline::jira::pacer::{Answered, Pacer};
use syncline::simulator::Options;
use syncline::store::quota::{self, Points};
use syncline::store::rate;
use syncline::sync::pace::Fleet;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::support::{Rig, TestDb};

/// A site, and as many processes as are asked for: what they share is the database.
struct Site {
    db: TestDb,
    id: Uuid,
}

impl Site {
    async fn new() -> Self {
        let (db, id) = (TestDb::new().await, Clock::system().new_id());
        sqlx::query(
            "INSERT INTO syncline.site (id, name, base_url, account_email, credential, max_concurrency)
             VALUES ($1, 'acme', 'https://acme.test', 'bot@example.com', 'env:NONE', 64)",
        )
        .bind(id)
        .execute(db.pool())
        .await
        .unwrap();
        Self { db, id }
    }

    fn process(&self) -> Arc<dyn Pacer> {
        Fleet::new(self.db.pool().clone(), Clock::system()).site(self.id)
    }

    /// A limit that is known already.
    async fn bucket(&self, endpoint: Endpoint, rate: f64) {
        let key = format!("site:{}{}", self.id, endpoint.template());
        rate::open_bucket(self.db.pool(), &key, rate, rate / 10.0).await.unwrap();
    }
}

fn refusal(code: FailureCode, scope: PauseScope, wait: Duration) -> Failure {
    Failure::new(code, "429").after(Some(wait)).scoped(scope)
}

async fn refused(process: &dyn Pacer, endpoint: Endpoint, failure: &Failure) {
    let place = process.admit(endpoint).await.unwrap();
    let answered = Answered {
        endpoint,
        took: Duration::from_millis(20),
        told: Told::default(),
        paid_points: place.paid_points,
        objects: 0,
        refused: Some((failure, None)),
        limited: true,
    };
    process.settle(answered).await;
}

/// How long a request has to wait.
async fn wait(process: &dyn Pacer, endpoint: Endpoint) -> Duration {
    let asked = Instant::now();
    process.admit(endpoint).await.unwrap();
    asked.elapsed()
}

/// Asks as fast as it may, from several tasks, and counts.
fn busy(process: &Arc<dyn Pacer>, tasks: usize, tally: &Arc<AtomicU32>) -> JoinSet<()> {
    (0..tasks)
        .map(|_| {
            let (process, tally) = (Arc::clone(process), Arc::clone(tally));
            async move {
                loop {
                    drop(process.admit(Endpoint::Search).await.unwrap());
                    tally.fetch_add(1, Ordering::Relaxed);
                }
            }
        })
        .collect()
}

const PAUSE: Duration = Duration::from_millis(1_500);

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_burst_holds_back_the_endpoint_in_all_processes() {
    let site = Site::new().await;
    let (one, other) = (site.process(), site.process());
    refused(&*one, Endpoint::Search, &refusal(FailureCode::RateLimit, PauseScope::Endpoint, PAUSE)).await;
    let (search, comments) = tokio::join!(wait(&*other, Endpoint::Search), wait(&*other, Endpoint::Comments));
    assert!(search > PAUSE - Duration::from_millis(300), "{search:?}");
    assert!(search < PAUSE + Duration::from_secs(2), "{search:?}");
    assert!(comments < Duration::from_millis(500), "{comments:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_walk_stops_when_another_process_is_refused() {
    let site = Site::new().await;
    let (one, walker) = (site.process(), site.process());
    // It has been asking for a while and has looked at what holds only a moment ago.
    assert!(wait(&*walker, Endpoint::Search).await < Duration::from_millis(500));
    site.bucket(Endpoint::Search, 50.0).await;
    refused(&*one, Endpoint::Search, &refusal(FailureCode::RateLimit, PauseScope::Site, Duration::from_secs(20))).await;
    let began = Instant::now();
    let put_off = loop {
        match walker.admit(Endpoint::Search).await {
            Ok(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            Err(failure) => break failure,
        }
    };
    assert!(began.elapsed() < Duration::from_millis(1_500), "{:?}", began.elapsed());
    // Too long to wait for in place: the step is put off, and no attempt is spent.
    assert_eq!((put_off.code, put_off.scope), (FailureCode::RateLimit, PauseScope::Site));
    let rest = put_off.retry_after.unwrap();
    assert!(rest > Duration::from_secs(15) && rest <= Duration::from_secs(20), "{rest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_without_a_time_pauses_for_the_set_minimum() {
    let site = Site::new().await;
    let (one, other) = (site.process(), site.process());
    let nameless = || Failure::new(FailureCode::RateLimit, "429").scoped(PauseScope::Endpoint);
    refused(&*one, Endpoint::Search, &nameless()).await;
    let briefly = wait(&*one, Endpoint::Search).await;
    assert!(briefly < Duration::from_millis(2_600), "as the back-off says: {briefly:?}");
    sqlx::query(
        "INSERT INTO syncline.setting (scope, scope_id, key, value, updated_by)
         VALUES ('all', '00000000-0000-0000-0000-000000000000', 'rate_pause_seconds', '40', 'ana')",
    )
    .execute(site.db.pool())
    .await
    .unwrap();
    // A process that runs follows within seconds; the one that is not refused keeps the pause, too.
    let set = Instant::now();
    let put_off = loop {
        match one.admit(Endpoint::Comments).await {
            Ok(_) => refused(&*one, Endpoint::Comments, &nameless()).await,
            Err(put_off) if put_off.retry_after > Some(Duration::from_secs(10)) => break put_off,
            // As the back-off says, still.
            Err(put_off) => tokio::time::sleep(put_off.retry_after.unwrap()).await,
        }
        assert!(set.elapsed() < Duration::from_secs(10), "the setting is not followed");
    };
    assert!(put_off.retry_after.unwrap() > Duration::from_secs(35), "{put_off:?}");
    assert!(other.admit(Endpoint::Comments).await.is_err());
    // A time that Jira names is believed, also when it is shorter.
    refused(&*other, Endpoint::Worklogs, &refusal(FailureCode::RateLimit, PauseScope::Endpoint, PAUSE)).await;
    assert!(wait(&*other, Endpoint::Worklogs).await < PAUSE + Duration::from_secs(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spent_quota_holds_back_the_whole_site() {
    let site = Site::new().await;
    let (one, other) = (site.process(), site.process());
    let hour = Duration::from_secs(1_200);
    refused(&*one, Endpoint::Search, &refusal(FailureCode::Quota, PauseScope::Site, hour)).await;
    let put_off = other.admit(Endpoint::Comments).await.unwrap_err();
    assert_eq!(put_off.scope, PauseScope::Site);
    assert!(put_off.retry_after.unwrap() > Duration::from_secs(1_190));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_storms_when_a_pause_is_over() {
    let site = Site::new().await;
    site.bucket(Endpoint::Search, 60.0).await;
    let processes = [site.process(), site.process()];
    let tally = Arc::new(AtomicU32::new(0));
    let tasks: Vec<_> = processes.iter().map(|process| busy(process, 20, &tally)).collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    refused(&*processes[0], Endpoint::Search, &refusal(FailureCode::RateLimit, PauseScope::Endpoint, PAUSE)).await;
    let over = Instant::now() + PAUSE;
    // What others had in hand goes out for a moment; then there is silence until the pause ends.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let silent = tally.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!(tally.load(Ordering::Relaxed), silent, "requests in a pause");
    // The course of the first second after the pause, by tenths.
    let mut course = Vec::new();
    for tenth in 1..=10 {
        tokio::time::sleep_until((over + Duration::from_millis(100 * tenth)).into()).await;
        course.push(tally.load(Ordering::Relaxed) - silent);
    }
    let first = course[9];
    // A third of the rate, what may be asked at once, and a tenth for a machine that is busy.
    let most = learnt::returned_after(over.elapsed(), 60.0, PAUSE) + 6.0 + 6.0;
    assert!(f64::from(first) <= most, "{course:?} requests at 60 a second: {most} at most");
    assert!(first >= 6, "{course:?}: it goes on");
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let back = tally.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let later = tally.load(Ordering::Relaxed) - back;
    assert!((42..=66).contains(&later), "{later}: all of it is back");
    drop(tasks);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_limit_is_known_requests_return_by_degrees_too() {
    let site = Site::new().await;
    let processes = [site.process(), site.process(), site.process()];
    let tally = Arc::new(AtomicU32::new(0));
    let mut tasks = JoinSet::new();
    for process in &processes {
        for _ in 0..4 {
            let (process, tally) = (Arc::clone(process), Arc::clone(&tally));
            // Each asks for about 50 a second as long as nothing holds it back.
            tasks.spawn(async move {
                loop {
                    drop(process.admit(Endpoint::Search).await);
                    tally.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            });
        }
    }
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let second = async || {
        let before = tally.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(1)).await;
        f64::from(tally.load(Ordering::Relaxed) - before)
    };
    let usual = second().await;
    // Maintenance: a pause that has nothing to do with a rate, and makes no bucket.
    refused(&*processes[0], Endpoint::Search, &refusal(FailureCode::Maintenance, PauseScope::Site, PAUSE * 2)).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let silent = tally.load(Ordering::Relaxed);
    while tally.load(Ordering::Relaxed) == silent {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let back = Instant::now();
    let first = second().await / back.elapsed().as_secs_f64();
    assert!(first <= usual * 0.45, "{first} requests in the first second, {usual} a second before");
    assert!(first >= usual * 0.1, "{first}: it goes on");
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let later = second().await;
    assert!(later >= usual * 0.75, "{later} of {usual}: all of it is back");
    drop(tasks);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rate_is_kept_by_all_together_and_shared_fairly() {
    let site = Site::new().await;
    site.bucket(Endpoint::Search, 100.0).await;
    let tallies = [Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0))];
    let tasks: Vec<_> = tallies.iter().map(|tally| busy(&site.process(), 12, tally)).collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let counts = || tallies.iter().map(|tally| tally.load(Ordering::Relaxed)).collect::<Vec<_>>();
    let (before, began) = (counts(), Instant::now());
    tokio::time::sleep(Duration::from_secs(4)).await;
    let (after, seconds) = (counts(), began.elapsed().as_secs_f64());
    drop(tasks);
    let each: Vec<u32> = after.iter().zip(&before).map(|(after, before)| after - before).collect();
    let rate = f64::from(each.iter().sum::<u32>()) / seconds;
    assert!((90.0..=108.0).contains(&rate), "{rate} a second: {each:?}");
    let least = f64::from(*each.iter().min().unwrap()) / seconds;
    assert!(least > 100.0 / 3.0 * 0.5, "{each:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_process_sends_nothing_before_it_knows_the_limits() {
    let site = Site::new().await;
    site.bucket(Endpoint::Search, 20.0).await;
    // The database takes its time to tell.
    let mut slow = site.db.pool().begin().await.unwrap();
    sqlx::query("LOCK TABLE syncline.rate_gate IN ACCESS EXCLUSIVE MODE").execute(&mut *slow).await.unwrap();
    let tally = Arc::new(AtomicU32::new(0));
    let tasks = busy(&site.process(), 12, &tally);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(tally.load(Ordering::Relaxed), 0, "requests without turns");
    slow.rollback().await.unwrap();
    let began = Instant::now();
    while tally.load(Ordering::Relaxed) < 10 {
        assert!(began.elapsed() < Duration::from_secs(10), "nobody goes on");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let asked = f64::from(tally.load(Ordering::Relaxed));
    assert!(asked <= 20.0 * began.elapsed().as_secs_f64() + 4.0, "{asked} in {:?}", began.elapsed());
    drop(tasks);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_rate_is_kept_while_the_database_gives_no_permits() {
    let site = Site::new().await;
    site.bucket(Endpoint::Search, 40.0).await;
    let tally = Arc::new(AtomicU32::new(0));
    let tasks = busy(&site.process(), 12, &tally);
    tokio::time::sleep(Duration::from_millis(500)).await;
    sqlx::query("ALTER TABLE syncline.rate_bucket RENAME TO elsewhere").execute(site.db.pool()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(400)).await; // what was in hand goes out
    let (before, began) = (tally.load(Ordering::Relaxed), Instant::now());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let rate = f64::from(tally.load(Ordering::Relaxed) - before) / began.elapsed().as_secs_f64();
    assert!((20.0..=48.0).contains(&rate), "{rate} a second of 40");
    drop(tasks);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_with_turns_in_hand_costs_only_those() {
    let site = Site::new().await;
    site.bucket(Endpoint::Search, 100.0).await;
    let (lives, dies) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let survivor = busy(&site.process(), 12, &lives);
    let mut victim = busy(&site.process(), 12, &dies);
    tokio::time::sleep(Duration::from_millis(700)).await;
    victim.abort_all();
    let (before, began) = (lives.load(Ordering::Relaxed), Instant::now());
    tokio::time::sleep(Duration::from_secs(3)).await;
    let rate = f64::from(lives.load(Ordering::Relaxed) - before) / began.elapsed().as_secs_f64();
    drop(survivor);
    assert!((85.0..=108.0).contains(&rate), "{rate} a second");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_points_of_an_hour_last_to_its_end() {
    const QUOTA: f64 = 10_000.0;
    let site = Site::new().await;
    let key = format!("site:{}/points", site.id);
    let pool = site.db.pool();
    let ask = |wanted: f64| quota::spend(pool, &key, QUOTA, wanted, 0.0, Duration::ZERO);
    ask(1.0).await.unwrap();
    // Four seconds are left of the hour, and 400 points.
    sqlx::query("UPDATE syncline.rate_quota SET spent = 9600, tokens = 0, refilled_at = clock_timestamp(), resets_at = clock_timestamp() + interval '4 seconds'")
        .execute(pool)
        .await
        .unwrap();
    let (began, mut spent, mut half) = (Instant::now(), 0.0, None);
    while began.elapsed() < Duration::from_millis(3_800) {
        let Points { given, ready_in } = ask(10.0).await.unwrap();
        spent += given;
        if began.elapsed() > Duration::from_secs(2) {
            half.get_or_insert(spent);
        }
        tokio::time::sleep(ready_in.min(Duration::from_millis(50))).await;
    }
    assert!(spent <= 400.0 && spent > 300.0, "{spent} of 400");
    let half = half.unwrap();
    assert!((150.0..=260.0).contains(&half), "{half} in the first half");
    // The next hour brings its own.
    tokio::time::sleep(Duration::from_millis(400)).await;
    let spent: f64 = {
        ask(1.0).await.unwrap();
        sqlx::query_scalar("SELECT spent FROM syncline.rate_quota").fetch_one(pool).await.unwrap()
    };
    assert!(spent <= 1.0, "{spent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_over_the_spending_limit_is_sent_and_paid_later() {
    let site = Site::new().await;
    let key = format!("site:{}/points", site.id);
    // A twentieth of a thousand is 50.
    let ask = || quota::spend(site.db.pool(), &key, 1_000.0, 101.0, 0.0, Duration::ZERO);
    ask().await.unwrap();
    assert_eq!(ask().await.unwrap().given, 101.0);
    let next = ask().await.unwrap();
    assert_eq!(next.given, 0.0);
    assert!(next.ready_in > Duration::ZERO);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_without_a_limit_waits_for_nothing() {
    let site = Site::new().await;
    let process = site.process();
    wait(&*process, Endpoint::Search).await;
    let began = Instant::now();
    for _ in 0..200 {
        process.admit(Endpoint::Search).await.unwrap();
    }
    assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_under_a_limit_succeeds_and_spends_no_attempt() {
    let mut options = Options::new(Clock::system());
    options.issues = 120;
    options.projects.truncate(1);
    options.burst_limit_per_second = Some(20);
    let mut rig = Rig::new(options).await;
    rig.config.sync.page_size = 2;
    rig.config.queue.max_attempts = 1;
    let workers = [rig.worker().await, rig.worker().await];
    assert_eq!(rig.sync(&rig.projects[0], "full").await, "succeeded");
    assert_eq!(rig.count("SELECT count(*) FROM syncline.issue").await, 120);
    assert_eq!(rig.count("SELECT coalesce(sum(failures), 0)::int8 FROM syncline.sync_step").await, 0);
    for worker in workers {
        worker.stop().await;
    }
}

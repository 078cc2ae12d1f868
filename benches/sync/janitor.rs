//! Old rows are removed while steps are claimed: how many a second, and what it costs the claims.
//!
//! Claims of ten steps follow each other at a steady pace, now without the janitor and now beside it, in turns, so that what
//! else happens on the machine strikes both.

use std::time::{Duration, Instant};

use syncline::clock::Clock;
use syncline::domain::queue::Queue;
use syncline::scheduler::janitor;
use syncline::store::step;
use syncline::store::upkeep::Retention;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::stack::Database;
use crate::summary::{median, percentile};

const TURNS: usize = 6;
const EACH: Duration = Duration::from_secs(5);
const PACE: Duration = Duration::from_millis(5);

pub async fn measure() -> Vec<(&'static str, f64)> {
    let database = Database::new().await;
    fill(&database).await;
    let owner = Clock::system().new_id();
    sqlx::query("INSERT INTO syncline.worker (id, host, pid, version, lease_until) VALUES ($1, 'bench', 1, '0', now() + interval '1 day')")
        .bind(owner)
        .execute(&database.pool)
        .await
        .unwrap();
    claims(&database, owner).await; // warms up
    let (mut alone, mut beside, mut effects) = (vec![], vec![], vec![]);
    let (mut removed, mut seconds) = (0, 0.0);
    for _ in 0..TURNS {
        let mut off = claims(&database, owner).await;
        let stop = CancellationToken::new();
        let (connections, stopped) = (database.pool.clone().into(), stop.clone());
        let began = Instant::now();
        let round = tokio::spawn(async move {
            janitor::round(&connections, &Retention::default(), Clock::system().new_id(), &stopped).await.unwrap()
        });
        let mut on = claims(&database, owner).await;
        assert!(!round.is_finished(), "nothing is left to be removed: the figure would be wrong");
        stop.cancel();
        removed += round.await.unwrap();
        seconds += began.elapsed().as_secs_f64();
        sqlx::raw_sql("UPDATE syncline.upkeep_turn SET held_until = clock_timestamp()")
            .execute(&database.pool)
            .await
            .unwrap();
        effects.push(percentile(&mut on, 0.99) / percentile(&mut off, 0.99) - 1.0);
        alone.push(percentile(&mut off, 0.99) * 1000.0);
        beside.push(percentile(&mut on, 0.99) * 1000.0);
    }
    vec![
        ("janitor_rows_per_second", removed as f64 / seconds),
        ("janitor_claim_p99_alone_ms", median(&mut alone)),
        ("janitor_claim_p99_beside_ms", median(&mut beside)),
        ("janitor_effect_on_claims_p99_ratio", median(&mut effects)),
    ]
}

/// More than is removed in all turns, of the kinds that grow fastest; and steps to claim.
async fn fill(database: &Database) {
    sqlx::raw_sql(
        "CREATE FUNCTION public.old_id(age interval) RETURNS uuid LANGUAGE sql AS $$
             SELECT encode(overlay(uuid_send(gen_random_uuid()) PLACING substring(uuid_send(syncline.id_floor(clock_timestamp() - age)) FROM 1 FOR 6)
                           FROM 1 FOR 6), 'hex')::uuid $$;
         INSERT INTO syncline.sync_step (id, run_id, queue, kind, key, state, finished_at)
         SELECT public.old_id(interval '2 days' + make_interval(secs => n)), NULL, 'store', 'old', n::text, 'done', now() - interval '2 days'
           FROM generate_series(1, 900000) n;
         INSERT INTO syncline.sync_log (at, level, event, message)
         SELECT now() - interval '91 days' - make_interval(secs => n), 'info', 'old', 'a message of some length, as they have' FROM generate_series(1, 900000) n;
         INSERT INTO syncline.sync_step (id, run_id, queue, kind, key, state)
         SELECT syncline.new_id(), NULL, 'store', 'new', 'new ' || n, 'ready' FROM generate_series(1, 200000) n",
    )
    .execute(&database.pool)
    .await
    .unwrap();
    sqlx::raw_sql("VACUUM ANALYZE").execute(&database.pool).await.unwrap();
}

/// The seconds that each claim of one turn took.
async fn claims(database: &Database, owner: Uuid) -> Vec<f64> {
    let (began, mut took) = (Instant::now(), vec![]);
    let mut tick = tokio::time::interval(PACE);
    while began.elapsed() < EACH {
        tick.tick().await;
        let asked = Instant::now();
        let found = step::claim(&database.pool, &step::Wish::simple(Queue::Store, owner, 10)).await.unwrap();
        took.push(asked.elapsed().as_secs_f64());
        assert_eq!(found.steps.len(), 10, "no step is left to claim: the figure would be wrong");
    }
    took
}

//! A year of 500 projects on ten sites, with scripted troubles: how much is said, and whether it is right.
//!
//! Time is the injected clock's; the scheduler, `analyse_run`, the dead man's switch and the keeper are the product's, on a
//! real PostgreSQL. Only Jira is left out: the script says how a run ends. Stretches in which nothing is scripted are
//! passed over: the successes that fill them are written set-based, as read.
//!
//! Naive is one message for each failed run of a fleet that keeps its base cadence.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sqlx::PgPool;
use syncline::alert::template::Templates;
use syncline::clock::{Clock, VirtualClock};
use syncline::domain::episode::Timings;
use syncline::domain::health::Rules;
use syncline::scheduler;
use syncline::telemetry::{self, Keeper};
use uuid::Uuid;

use crate::stack::Database;

const SITES: usize = 10;
const PROJECTS_PER_SITE: usize = 50;
const USUAL_SECONDS: i64 = 20;

/// What befalls some projects for a while.
struct Trouble {
    name: &'static str,
    sites: &'static [usize],
    /// The first so many projects of each site.
    projects: usize,
    from_day: i64,
    hours: i64,
    code: Option<&'static str>,
    /// The share of runs that it strikes.
    share: f64,
    /// Jira names the end of the hour as the time to come back.
    named: bool,
    seconds: i64,
    /// People must hear of it.
    must_tell: bool,
}

impl Trouble {
    const fn fails(name: &'static str, sites: &'static [usize], from_day: i64, hours: i64, code: &'static str) -> Self {
        Self {
            name,
            sites,
            projects: PROJECTS_PER_SITE,
            from_day,
            hours,
            code: Some(code),
            share: 1.0,
            named: false,
            seconds: USUAL_SECONDS,
            must_tell: true,
        }
    }

    fn from(&self) -> DateTime<Utc> {
        beginning() + TimeDelta::days(self.from_day) + TimeDelta::minutes(7)
    }

    fn to(&self) -> DateTime<Utc> {
        self.from() + TimeDelta::hours(self.hours)
    }

    fn is_outage(&self) -> bool {
        self.code.is_some() && self.share >= 1.0
    }

    /// Runs that a fleet at its base cadence would have tried meanwhile.
    #[allow(clippy::cast_precision_loss)]
    fn tries_at_base_cadence(&self) -> f64 {
        (self.sites.len() * self.projects) as f64 * self.hours as f64 * 4.0
    }
}

fn beginning() -> DateTime<Utc> {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn script() -> Vec<Trouble> {
    let fails = Trouble::fails;
    let mut all = vec![
        fails("suspended for payment", &[0], 30, 9 * 24, "SUSPENDED_PAYMENT"),
        fails("token expired", &[1], 60, 14, "AUTH_EXPIRED"),
        fails("token expired", &[2], 120, 60, "AUTH_EXPIRED"),
        fails("token revoked", &[3], 180, 5, "AUTH_INVALID"),
        fails("token expired", &[4], 240, 26, "AUTH_EXPIRED"),
        fails("site down", &[8], 260, 6, "SERVER_ERROR"),
        fails("site down for a while", &[8], 300, 2, "SITE_UNAVAILABLE"),
        Trouble { projects: 1, ..fails("permission taken", &[9], 280, 72, "PERMISSION") },
        Trouble { projects: 1, ..fails("project deleted", &[9], 310, 120, "NOT_FOUND_PROJECT") },
        Trouble { share: 0.3, ..fails("network flaps", &[6], 100, 48, "TIMEOUT") },
        Trouble { code: None, seconds: 200, projects: 10, ..fails("slow week", &[7], 200, 7 * 24, "") },
        Trouble { code: None, seconds: 150, projects: 5, ..fails("slow week", &[2], 330, 7 * 24, "") },
    ];
    all.extend([75, 150, 225, 290].map(|day| Trouble { named: true, ..fails("quota storm", &[5], day, 3, "QUOTA") }));
    // One run in two hundred fails, for no reason that lasts: nobody is to hear of it.
    const ALL: &[usize] = &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
    all.extend((0..4).map(|quarter| Trouble {
        share: 0.005,
        hours: 1,
        must_tell: false,
        ..fails("noise", ALL, quarter * 90 + 15, 1, "NETWORK_GLITCH")
    }));
    all.sort_by_key(Trouble::from);
    all
}

struct Year {
    pool: PgPool,
    clock: Clock,
    hands: VirtualClock,
    rules: Rules,
    keeper: Keeper,
    /// By site, then project.
    projects: Vec<Vec<Uuid>>,
    rng: StdRng,
    tries: f64,
}

pub async fn measure() -> Vec<(&'static str, f64)> {
    let database = Database::new().await;
    let pool = database.pool.clone();
    let (clock, hands) = Clock::virtual_at(beginning(), 7);
    let keeper = Keeper::new(pool.clone(), clock.clone(), Timings::default(), Templates::built_in());
    let projects = register(&pool).await;
    let mut year = Year {
        pool,
        clock,
        hands,
        rules: Rules::default(),
        keeper,
        projects,
        rng: StdRng::seed_from_u64(7),
        tries: 0.0,
    };
    let script = script();
    let (mut naive, mut at_base, mut tried, mut missed) = (0.0, 0.0, 0.0, 0.0);
    for trouble in &script {
        year.pass_over_until(trouble.from() - TimeDelta::hours(3), trouble).await;
        year.live_until(trouble.from(), trouble).await;
        let before = year.tries;
        year.live_until(trouble.to(), trouble).await;
        naive += if trouble.code.is_some() { trouble.tries_at_base_cadence() * trouble.share } else { 0.0 };
        if trouble.is_outage() {
            at_base += trouble.tries_at_base_cadence();
            tried += year.tries - before;
        }
        let told = year.told_between(trouble.from(), trouble.to() + TimeDelta::hours(1), trouble).await;
        if trouble.must_tell && told == 0 {
            eprintln!("    missed: {} from {}", trouble.name, trouble.from());
            missed += 1.0;
        }
        // Until everybody is well again: the highest rung waits for a day.
        let end = trouble.to() + TimeDelta::hours(30);
        while year.clock.now() < end && !year.is_well().await {
            year.live_until(year.clock.now() + TimeDelta::minutes(15), trouble).await;
        }
        year.live_until(year.clock.now() + TimeDelta::hours(2), trouble).await;
        eprintln!(
            "    {:<22} {:>6.0} tries in all, {told} told, {} messages so far",
            trouble.name,
            year.tries - before,
            year.count("SELECT count(*) FROM syncline.alert_delivery").await
        );
    }
    let messages = year.count("SELECT count(*) FROM syncline.alert_delivery").await;
    let opened = year.count("SELECT count(*) FROM syncline.alert WHERE told_opened_at IS NOT NULL").await;
    let wrong = year.told_for_nothing(&script).await;
    eprintln!("    {messages} messages, naive {naive:.0}; {opened} episodes told, {wrong} of them for nothing");
    vec![
        ("alert_year_messages_total", f64::from(messages)),
        ("alert_year_messages_naive", naive),
        ("alert_year_messages_ratio", f64::from(messages) / naive),
        ("alert_year_missed_outages", missed),
        ("alert_year_false_alerts_ratio", f64::from(wrong) / f64::from(opened.max(1))),
        ("backoff_requests_saved_ratio", 1.0 - tried / at_base),
    ]
}

async fn register(pool: &PgPool) -> Vec<Vec<Uuid>> {
    let mut projects = Vec::new();
    for site in 0..SITES {
        let ids = sqlx::query_scalar(
            "WITH s AS (INSERT INTO syncline.site (id, name, base_url, account_email, credential)
                        VALUES (syncline.new_id(), 'site' || $1, 'http://x', 'x@example.com', 'env:X') RETURNING id),
                  p AS (INSERT INTO syncline.project (id, site_id, key, created_at)
                        SELECT syncline.new_id(), s.id, 'P' || n, $3 FROM s, generate_series(1, $2) n RETURNING id),
                  c AS (INSERT INTO syncline.schedule (project_id, cron, next_slot_at, next_run_at, updated_at)
                        SELECT id, '*/15 * * * *', $3, $3, $3 FROM p)
             INSERT INTO syncline.project_health (project_id, last_success_at, last_success_started_at) SELECT id, $3, $3 FROM p RETURNING project_id",
        )
        .bind(i32::try_from(site).unwrap())
        .bind(i32::try_from(PROJECTS_PER_SITE).unwrap())
        .bind(beginning())
        .fetch_all(pool)
        .await
        .unwrap();
        projects.push(ids);
    }
    projects
}

/// Scope, site, project, when it was told, class.
type Told = (String, Option<Uuid>, Option<Uuid>, DateTime<Utc>, String);

impl Year {
    /// Nothing happens until `to`: successes fill the time. Then the projects of the trouble's sites follow their schedules.
    async fn pass_over_until(&mut self, to: DateTime<Utc>, next: &Trouble) {
        self.hands.set(to.max(self.clock.now()));
        self.others_succeed(&[]).await;
        let watched = self.watched(next);
        sqlx::query(
            "UPDATE syncline.schedule SET next_slot_at = $2, next_run_at = CASE WHEN project_id = ANY ($1) THEN
                    $2 + make_interval(secs => 900 * (hashtextextended(project_id::text, 1) & 1023) / 1024.0) ELSE $2 + interval '400 days' END
              WHERE hold IS NULL",
        )
        .bind(&watched)
        .bind(self.clock.now())
        .execute(&self.pool)
        .await
        .unwrap();
    }

    /// Those whose schedules are not followed now succeed all the same.
    async fn others_succeed(&self, watched: &[Uuid]) {
        sqlx::query(
            "UPDATE syncline.project_health SET last_success_at = $2, last_success_started_at = $2 - interval '20 seconds'
              WHERE project_id <> ALL ($1) AND failure_streak = 0",
        )
        .bind(watched)
        .bind(self.clock.now())
        .execute(&self.pool)
        .await
        .unwrap();
    }

    /// The projects whose runs are played: those that are struck, and some of their neighbours.
    fn watched(&self, trouble: &Trouble) -> Vec<Uuid> {
        let count = (trouble.projects + 3).min(PROJECTS_PER_SITE);
        trouble.sites.iter().flat_map(|site| self.projects[*site][..count].to_vec()).collect()
    }

    /// Follows the schedules, minute by minute while something is due.
    async fn live_until(&mut self, to: DateTime<Utc>, trouble: &Trouble) {
        let mut next_look = self.clock.now();
        while self.clock.now() < to {
            let due: Option<DateTime<Utc>> = sqlx::query_scalar(
                "SELECT least((SELECT min(next_run_at) FROM syncline.schedule WHERE state = 'active'),
                              (SELECT min(next_action_at) FROM syncline.alert))",
            )
            .fetch_one(&self.pool)
            .await
            .unwrap();
            let step = self.clock.now() + TimeDelta::minutes(1);
            self.hands.set(due.map_or(to, |due| due.max(step)).min(to).min(next_look.max(step)));
            if self.clock.now() >= next_look {
                next_look = self.clock.now() + TimeDelta::hours(1);
                self.others_succeed(&self.watched(trouble)).await;
                let mut transaction = self.pool.begin().await.unwrap();
                telemetry::observe_silence(&mut transaction, self.clock.now(), &self.rules).await.unwrap();
                transaction.commit().await.unwrap();
            }
            scheduler::tick(&self.pool, &self.clock).await.unwrap();
            self.end_runs(trouble).await;
            self.keeper.tick().await.unwrap();
            // A channel that takes everything.
            sqlx::query("WITH steps AS (DELETE FROM syncline.sync_step)
                         UPDATE syncline.alert_delivery SET state = 'delivered', finished_at = $1 WHERE state = 'pending'")
                .bind(self.clock.now())
                .execute(&self.pool)
                .await
                .unwrap();
        }
    }

    /// Every run that was started ends as the script says, and its end is read.
    async fn end_runs(&mut self, trouble: &Trouble) {
        let now = self.clock.now();
        let running: Vec<(Uuid, Uuid)> =
            sqlx::query_as("SELECT id, project_id FROM syncline.sync_run WHERE state = 'running' ORDER BY id")
                .fetch_all(&self.pool)
                .await
                .unwrap();
        if running.is_empty() {
            return;
        }
        let struck: BTreeSet<Uuid> = match (trouble.from()..trouble.to()).contains(&now) {
            true => trouble.sites.iter().flat_map(|site| self.projects[*site][..trouble.projects].to_vec()).collect(),
            false => BTreeSet::new(),
        };
        let (mut ids, mut codes, mut seconds) = (vec![], vec![], vec![]);
        for (run, project) in &running {
            let hit = struck.contains(project) && self.rng.random::<f64>() < trouble.share;
            ids.push(*run);
            codes.push(trouble.code.filter(|_| hit).map(str::to_owned));
            let usual = if hit { trouble.seconds } else { USUAL_SECONDS };
            seconds.push(usual + self.rng.random_range(-3..=3));
            self.tries += 1.0;
        }
        let named = trouble.named.then(|| {
            let hour = now.timestamp().div_euclid(3600) + 1;
            DateTime::from_timestamp(hour * 3600, 0).unwrap()
        });
        sqlx::query(
            "UPDATE syncline.sync_run r
                SET state = CASE WHEN n.code IS NULL THEN 'succeeded' ELSE 'failed' END, error_code = n.code, error_message = n.code,
                    created_at = $4 - make_interval(secs => n.seconds), started_at = $4 - make_interval(secs => n.seconds),
                    finished_at = $4, error_retry_at = CASE WHEN n.code IS NOT NULL THEN $5::timestamptz END
               FROM unnest($1::uuid[], $2::text[], $3::int8[]) AS n (id, code, seconds) WHERE r.id = n.id",
        )
        .bind(&ids)
        .bind(&codes)
        .bind(&seconds)
        .bind(now)
        .bind(named)
        .execute(&self.pool)
        .await
        .unwrap();
        let mut transaction = self.pool.begin().await.unwrap();
        for (_, project) in &running {
            telemetry::analyse(&mut transaction, &self.clock, *project, &self.rules).await.unwrap();
        }
        transaction.commit().await.unwrap();
    }

    async fn is_well(&self) -> bool {
        self.count("SELECT count(*) FROM syncline.schedule WHERE hold IS NOT NULL").await == 0
            && self.count("SELECT count(*) FROM syncline.alert WHERE state <> 'resolved'").await == 0
    }

    async fn count(&self, sql: &'static str) -> i32 {
        let n: i64 = sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap();
        i32::try_from(n).unwrap()
    }

    /// Episodes about what the trouble strikes that people were told of in this time.
    async fn told_between(&self, from: DateTime<Utc>, to: DateTime<Utc>, trouble: &Trouble) -> i64 {
        let struck: Vec<Uuid> =
            trouble.sites.iter().flat_map(|site| self.projects[*site][..trouble.projects].to_vec()).collect();
        sqlx::query_scalar(
            "SELECT count(DISTINCT a.id) FROM syncline.alert a JOIN syncline.alert_event e ON e.alert_id = a.id
              WHERE e.event = 'opened' AND e.at BETWEEN $1 AND $2
                AND (a.project_id = ANY ($3) OR a.scope_kind = 'site' AND a.site_id IN (SELECT site_id FROM syncline.project WHERE id = ANY ($3)))",
        )
        .bind(from)
        .bind(to)
        .bind(struck)
        .fetch_one(&self.pool)
        .await
        .unwrap()
    }

    /// Episodes that were told although nothing that must be told struck what they are about.
    async fn told_for_nothing(&self, script: &[Trouble]) -> i32 {
        let told: Vec<Told> = sqlx::query_as(
            "SELECT scope_kind, site_id, project_id, told_opened_at, class FROM syncline.alert WHERE told_opened_at IS NOT NULL",
        )
        .fetch_all(&self.pool)
        .await
        .unwrap();
        let mut wrong = 0;
        for (scope, site_id, project_id, at, class) in told {
            let mut right = false;
            for trouble in script.iter().filter(|trouble| trouble.must_tell) {
                let meanwhile = (trouble.from()..trouble.to() + TimeDelta::hours(1)).contains(&at);
                let struck: Vec<Uuid> =
                    trouble.sites.iter().flat_map(|site| self.projects[*site][..trouble.projects].to_vec()).collect();
                let site: Vec<Uuid> =
                    sqlx::query_scalar("SELECT DISTINCT site_id FROM syncline.project WHERE id = ANY ($1)")
                        .bind(&struck)
                        .fetch_all(&self.pool)
                        .await
                        .unwrap();
                let about = match scope.as_str() {
                    "site" => site_id.is_some_and(|id| site.contains(&id)),
                    _ => project_id.is_some_and(|id| struck.contains(&id)),
                };
                right |= meanwhile && about;
            }
            if !right {
                eprintln!("    told for nothing: {scope} {class} at {at}");
                wrong += 1;
            }
        }
        wrong
    }
}

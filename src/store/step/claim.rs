//! Claiming: ready steps become this process's, in one statement.
//!
//! Steps behind the same gates stand in one *lane* for each level of urgency, in the order in which they became ready. The
//! statement looks at the head of each lane, drops lanes behind a shut gate, shares what it takes among sites (the widest
//! gate of a step names its site), and prefers the more urgent level, except that now and then another level comes first.
//!
//! What must hold: the cost depends on the number of lanes and not on the number of steps, ready, held back or dead; nobody
//! who waits is starved, by urgency, by a long run, by a site that hangs or by a gate that is shut.

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use super::FINAL_STEP;
use crate::domain::queue::Queue;
use crate::store::{Result, acquire};

/// A step that this process may execute, until its lease ends.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimedStep {
    /// The step's id.
    pub id: Uuid,
    /// Its run, unless it stands alone.
    pub run_id: Option<Uuid>,
    /// Where it waited.
    pub queue: Queue,
    /// What to do: the name of a handler.
    pub kind: String,
    /// Which one of its kind within the run.
    pub key: String,
    /// Its parameters.
    pub payload: serde_json::Value,
    /// Gates that must be open, the widest first.
    pub gates: Vec<String>,
    /// The claim's number: the fence.
    pub attempt: i32,
    /// Attempts that were spent on failures so far.
    pub failures: i16,
    /// Times that a process died with it.
    pub rescues: i16,
    /// Its run is being stopped: it must not be executed.
    pub stopping: bool,
    /// How many failures make it dead.
    pub max_attempts: i16,
    /// How urgent it is; successors inherit it unless they say otherwise.
    pub priority: i16,
    /// W3C trace context of its run.
    pub trace_context: Option<String>,
    /// Seconds that it was ready before it was claimed.
    pub waited_seconds: f64,
}

/// A lane at one level of urgency, as a claim found it.
#[derive(Clone, Debug, PartialEq)]
pub struct Lane {
    /// Names the lane: a hash of its gates.
    pub number: i64,
    /// The level of urgency.
    pub priority: i16,
    /// The gates of its steps.
    pub gates: Vec<String>,
    /// No step that is ready has been so for longer.
    pub since: DateTime<Utc>,
}

/// Where a claim looks.
#[derive(Clone, Copy, Debug)]
pub enum Look<'a> {
    /// For every lane whose number is above this one, up to [`MOST_LANES`].
    After(i64),
    /// At lanes that are known, from where their steps began when they were last looked at.
    At(&'a [Lane]),
}

/// What a process wants to claim.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// The queue.
    pub queue: Queue,
    /// The process; its lease must be alive.
    pub owner: Uuid,
    /// How many steps at most.
    pub limit: i64,
    /// Which lanes.
    pub look: Look<'a>,
    /// 0: the more urgent comes first. Else a level below the most urgent one does, each in turn.
    pub turn: i32,
    /// How many steps of each site this process executes: sites with fewer come first.
    pub held: &'a [(String, i32)],
    /// Where it is there, steps of these sites are left alone, and so are those of no site.
    pub passed_over: Option<&'a [String]>,
}

impl<'a> Wish<'a> {
    /// To claim whatever comes first.
    pub const fn simple(queue: Queue, owner: Uuid, limit: i64) -> Self {
        Self { queue, owner, limit, look: Look::After(i64::MIN), turn: 0, held: &[], passed_over: None }
    }

    /// The same, looking elsewhere.
    pub const fn looking(self, look: Look<'a>) -> Self {
        Self { look, ..self }
    }
}

/// The most lanes that one claim looks for.
pub const MOST_LANES: i32 = 64;

/// What a claim found.
#[derive(Debug, Default)]
pub struct Claims {
    /// Steps to execute, the most urgent first.
    pub steps: Vec<ClaimedStep>,
    /// The lanes that were looked at.
    pub lanes: Vec<Lane>,
    /// How many steps could have been claimed, of those that were looked at: more than were claimed where others claimed
    /// at the same time, or the limit was reached.
    pub seen: i64,
    /// When the first of the gates opens that hold something back.
    pub opens_in_seconds: Option<f64>,
    /// How long the database took for it.
    pub took_seconds: f64,
}

/// Between the names of a lane's gates, where they travel as one text.
const BETWEEN: char = '\u{1f}';

/// Claims ready steps.
pub async fn claim(pool: &PgPool, wish: &Wish<'_>) -> Result<Claims> {
    let known = if let Look::At(lanes) = wish.look { lanes } else { &[] };
    let after = if let Look::After(number) = wish.look { Some(number) } else { None };
    let numbers: Vec<i64> = known.iter().map(|lane| lane.number).collect();
    let priorities: Vec<i16> = known.iter().map(|lane| lane.priority).collect();
    let since: Vec<DateTime<Utc>> = known.iter().map(|lane| lane.since).collect();
    let gates: Vec<String> = known.iter().map(|lane| lane.gates.join(&BETWEEN.to_string())).collect();
    let (sites, held): (Vec<String>, Vec<i32>) = wish.held.iter().cloned().unzip();
    let mut connection = acquire(pool).await?;
    let rows = sqlx::query!(
        r#"
        WITH RECURSIVE walk (number, priority, gates, since, looks) AS (
            -- From lane to lane, by one look into the index for each.
            (SELECT hash_array_extended(s.gates, 0), s.priority, s.gates, s.ready_at, 1
               FROM syncline.sync_step s
              WHERE s.queue = $1 AND s.state = 'ready' AND hash_array_extended(s.gates, 0) > $4
              ORDER BY hash_array_extended(s.gates, 0), s.priority, s.ready_at LIMIT 1)
            UNION ALL
            SELECT n.* FROM walk w CROSS JOIN LATERAL (
                SELECT hash_array_extended(s.gates, 0), s.priority, s.gates, s.ready_at, w.looks + 1
                  FROM syncline.sync_step s
                 WHERE s.queue = $1 AND s.state = 'ready' AND (hash_array_extended(s.gates, 0), s.priority) > (w.number, w.priority)
                 ORDER BY hash_array_extended(s.gates, 0), s.priority, s.ready_at LIMIT 1) n
             WHERE w.looks < $5
        ), lane AS MATERIALIZED (
            SELECT l.*, (SELECT max(g.paused_until) FROM syncline.rate_gate g
                          WHERE g.key = ANY (l.gates) AND g.paused_until > clock_timestamp()) AS paused_until
              FROM (SELECT number, priority, gates, since FROM walk
                    UNION ALL
                    SELECT k.number, k.priority, coalesce(string_to_array(nullif(k.gates, ''), chr(31)), '{}'), k.since
                      FROM unnest($6::int8[], $7::int2[], $8::timestamptz[], $9::text[]) AS k (number, priority, since, gates)) l
        ), level AS (
            SELECT array_agg(DISTINCT priority ORDER BY priority DESC) AS all_levels FROM lane WHERE paused_until IS NULL
        ), favoured AS (
            SELECT all_levels[CASE WHEN $10 = 0 OR cardinality(all_levels) < 2 THEN 1 ELSE 2 + $10 % (cardinality(all_levels) - 1) END] AS priority
              FROM level
        ), found AS MATERIALIZED (
            SELECT t.id, t.ready_at, l.number, l.priority, l.gates[1] AS site,
                   l.priority IS NOT DISTINCT FROM (SELECT priority FROM favoured) AS favoured
              FROM lane l CROSS JOIN LATERAL (
                   SELECT s.id, s.ready_at FROM syncline.sync_step s
                    WHERE s.queue = $1 AND s.state = 'ready' AND hash_array_extended(s.gates, 0) = l.number
                      AND s.priority = l.priority AND s.ready_at >= l.since
                    -- More than are wanted: other processes look at the same heads.
                    ORDER BY s.ready_at LIMIT 2 * $3::int8 + 8) t
             WHERE l.paused_until IS NULL AND ($13::text[] IS NULL OR l.gates[1] <> ALL ($13))
        ), ranked AS (
            SELECT f.*, coalesce(h.held, 0)
                        + row_number() OVER (PARTITION BY f.site ORDER BY f.favoured DESC, f.priority DESC, f.ready_at, f.id) AS load
              FROM found f LEFT JOIN unnest($11::text[], $12::int4[]) AS h (site, held) ON h.site = f.site
        ), wanted AS MATERIALIZED (
            SELECT ARRAY(SELECT r.id FROM ranked r ORDER BY r.load, r.favoured DESC, r.priority DESC, r.ready_at, r.id LIMIT 2 * $3::int8 + 8) AS ids
        ), picked AS MATERIALIZED (
            -- Locked before they are taken (materialised, so that the limit holds once). Looked up by the primary key: hence
            -- the arrays, and the state in a form that no index of ready steps seems to answer. A worker whose lease has run out finds nothing: it may have been declared dead.
            SELECT s.id FROM syncline.sync_step s
             WHERE s.id = ANY ((SELECT ids FROM wanted)::uuid[]) AND coalesce(s.state, '') = 'ready'
               AND EXISTS (SELECT 1 FROM syncline.worker WHERE id = $2 AND lease_until > clock_timestamp())
             ORDER BY array_position((SELECT ids FROM wanted), s.id)
             LIMIT $3::int8
             FOR UPDATE SKIP LOCKED
        ), claimed AS (
            UPDATE syncline.sync_step s
               SET state = 'running', attempt = s.attempt + 1, owner = $2, claimed_at = clock_timestamp()
             WHERE s.id = ANY (ARRAY(SELECT id FROM picked))
            RETURNING s.id, s.run_id, s.kind, s.key, s.payload, s.gates, s.attempt, s.failures, s.rescues, s.max_attempts,
                      s.priority, s.trace_context,
                      extract(epoch FROM clock_timestamp() - s.ready_at)::float8 AS waited_seconds,
                      s.kind <> $14 AND EXISTS (
                          SELECT 1 FROM syncline.sync_run r
                           WHERE r.id = s.run_id AND (r.cancel_requested_at IS NOT NULL OR r.error_code IS NOT NULL)
                      ) AS stopping
        ), looked AS (
            -- Whoever became ready before these times is not there any more, but for a transaction that took this long.
            SELECT l.number, l.priority, array_to_string(l.gates, chr(31)) AS gates,
                   CASE WHEN l.paused_until IS NULL AND $13::text[] IS NULL
                        THEN least((SELECT min(f.ready_at) FROM found f WHERE f.number = l.number AND f.priority = l.priority),
                                   statement_timestamp() - interval '2 seconds')
                        ELSE l.since END AS since
              FROM lane l
        )
        SELECT (SELECT extract(epoch FROM min(paused_until) - clock_timestamp())::float8 FROM lane) AS opens_in_seconds,
               (SELECT count(*) FROM found) AS "seen!",
               ARRAY(SELECT number FROM looked ORDER BY number, priority) AS "numbers!",
               ARRAY(SELECT priority FROM looked ORDER BY number, priority) AS "priorities!",
               ARRAY(SELECT gates FROM looked ORDER BY number, priority) AS "gates_of!",
               ARRAY(SELECT since FROM looked ORDER BY number, priority) AS "since!",
               extract(epoch FROM clock_timestamp() - statement_timestamp())::float8 AS "took_seconds!",
               c.id AS "id?", c.run_id, c.kind AS "kind?", c.key AS "key?", c.payload AS "payload?", c.gates AS "gates?",
               c.attempt AS "attempt?", c.failures AS "failures?", c.rescues AS "rescues?", c.max_attempts AS "max_attempts?",
               c.priority AS "priority?", c.trace_context, c.waited_seconds AS "waited_seconds?", c.stopping AS "stopping?"
          FROM (SELECT) AS one LEFT JOIN claimed c ON true
        "#,
        wish.queue.as_str(),
        wish.owner,
        wish.limit,
        after,
        MOST_LANES,
        &numbers,
        &priorities,
        &since,
        &gates,
        wish.turn,
        &sites,
        &held,
        wish.passed_over,
        FINAL_STEP,
    )
    .fetch_all(&mut *connection)
    .await?;
    connection.give_back();
    let mut claims = Claims::default();
    if let Some(row) = rows.first() {
        claims.seen = row.seen;
        claims.opens_in_seconds = row.opens_in_seconds.map(|seconds| seconds.max(0.0));
        claims.took_seconds = row.took_seconds;
        let gates = row.gates_of.iter().map(|gates| match gates.as_str() {
            "" => Vec::new(),
            gates => gates.split(BETWEEN).map(str::to_owned).collect(),
        });
        let lanes = row.numbers.iter().zip(&row.priorities).zip(gates).zip(&row.since);
        claims.lanes = lanes
            .map(|(((number, priority), gates), since)| Lane {
                number: *number,
                priority: *priority,
                gates,
                since: *since,
            })
            .collect();
    }
    let steps = rows.into_iter().filter_map(|row| {
        Some(ClaimedStep {
            id: row.id?,
            run_id: row.run_id,
            queue: wish.queue,
            kind: row.kind?,
            key: row.key?,
            payload: row.payload?,
            gates: row.gates?,
            attempt: row.attempt?,
            failures: row.failures?,
            rescues: row.rescues?,
            stopping: row.stopping?,
            max_attempts: row.max_attempts?,
            priority: row.priority?,
            trace_context: row.trace_context,
            waited_seconds: row.waited_seconds?.max(0.0),
        })
    });
    claims.steps = steps.collect();
    // RETURNING has no order of its own.
    claims.steps.sort_by_key(|step| std::cmp::Reverse((step.priority, std::cmp::Reverse(step.id))));
    Ok(claims)
}

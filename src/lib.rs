//! **Syncline** keeps a PostgreSQL replica of Jira fresh and provably right.
//!
//! # The map
//! ```text
//! schedule due ─▶ plan_run ─▶ fetch_page ─▶ upsert_batch ─▶ advance_cursor ─▶ … ─▶ finalize_run
//! (scheduler)        (sync)      page n+1 is fetched while page n is being written
//! ```
//! Each box after the scheduler is a *step*: a row of `syncline.sync_step`, which is checkpoint and queue in one.
//! [`queue`] hands such rows to apalis' workers, [`engine`] commits them, [`sync`] says what each of them does. What goes wrong
//! becomes an episode; [`telemetry`] decides who is told, and [`alert`] carries the message.
//!
//! # Invariants
//! Each has a test that fails when it is broken.
//! 1. **One transaction per step.** A step's effects, its checkpoint and the enqueueing of its successors commit together
//!    or not at all. Delivery is at least once; a step that was already committed is acknowledged and does nothing.
//! 2. **Fenced.** A step attempt is claimed with a number that only grows; the commit names it, and a worker whose claim
//!    was taken over commits nothing, however late it wakes up.
//! 3. **No transaction across a network call.** A transaction awaits PostgreSQL only.
//! 4. **One active run per project**, held by a partial unique index. A trigger that meets an active run is kept and runs
//!    next, never dropped and never doubled.
//! 5. **A cursor moves forward only, over applied pages only**, and no further than the clock. When it says T, every issue
//!    that Jira showed as updated before T has been applied. One that stands ahead of the clock all the same is put back.
//! 6. **Retry is the engine's, by error class**, and survives restarts. A wait for Jira's rate limit spends no attempt.
//! 7. **Clock and randomness are injected** ([`clock`]); every process goes by the database's clock.
//! 8. **Bounded.** Memory does not grow with the number of issues, nor tables with time.
//! 9. **Nothing Jira says is trusted**: unknown shapes become a recorded drift or a per-issue error, never a panic.
//! 10. **Every acknowledged request ends** in a visible outcome: succeeded, failed with a class and advice, or cancelled.
//!
//! `docs/architecture.md` follows one page through the files and says where a change of each kind goes.
//!
//! # Arrows
//! `domain` ◀ `store`, `jira` ◀ `engine` ◀ `sync`, `scheduler`, `telemetry` ◀ `http`, `app` ◀ `api`, `cli` ◀ `runtime`; `tests/architecture.rs` reads the
//! `use crate::` lines and fails on an arrow the wrong way.

pub mod alert;
pub mod api;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod console;
pub mod domain;
pub mod engine;
pub mod http;
pub mod jira;
pub mod observe;
pub mod postgres;
pub mod queue;
pub mod runtime;
pub mod scheduler;
pub mod simulator;
pub mod store;
pub mod sync;
pub mod telemetry;
pub mod tls;
pub mod verify;

//! The terms of the product, without input or output: failure codes, schedules, windows, cursors, records, alerts
//! and who hears of them.
//!
//! What must hold: nothing here awaits, logs, or asks for time or chance; every function is a function of its arguments.

pub mod alert;
pub mod baseline;
pub mod cron;
pub mod cursor;
pub mod display;
pub mod entity;
pub mod episode;
pub mod estimate;
pub mod failure;
pub mod forgotten;
pub mod health;
pub mod hours;
pub mod http_date;
pub mod insight;
pub mod ladder;
pub mod night;
pub mod queue;
pub mod rate;
pub mod record;
pub mod route;
pub mod scrub;
pub mod setting;
pub mod site_cause;
pub mod site_kind;
pub mod spread;
pub mod twice;
pub mod window;

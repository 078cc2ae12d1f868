//! `/__sim`: the hands on a running site, over HTTP. No credentials: it rules over invented data only.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::faults::{FaultPlan, FaultRule};
use super::mutation::Mutation;
use super::reply::{self, Reply};
use super::server::Control;
use super::site::Site;

/// The admin routes; see `docs/simulator.md`.
pub(super) fn router(control: Control) -> Router<Arc<Site>> {
    Router::new()
        .route("/stats", get(stats))
        .route("/faults", get(faults).put(set_faults).post(add_fault).delete(clear_faults))
        .route("/mutate", post(mutate))
        .route("/settings", post(settings))
        .with_state(control)
}

fn answer(value: &impl Serialize) -> Reply {
    match serde_json::to_vec(value) {
        Ok(body) => reply::ok(body),
        Err(error) => reply::refuse(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Box<Reply>> {
    serde_json::from_slice(body).map_err(|error| Box::new(reply::bad_request(&error.to_string())))
}

async fn stats(State(control): State<Control>) -> Reply {
    answer(&control.stats())
}

async fn faults(State(control): State<Control>) -> Reply {
    answer(&control.faults())
}

async fn set_faults(State(control): State<Control>, body: Bytes) -> Reply {
    match read::<FaultPlan>(&body) {
        Ok(plan) if (0.0..=1.0).contains(&plan.rate) => {
            control.set_faults(plan);
            answer(&control.faults())
        }
        Ok(plan) => reply::bad_request(&format!("rate is a share from 0 to 1, not {}", plan.rate)),
        Err(refusal) => *refusal,
    }
}

async fn add_fault(State(control): State<Control>, body: Bytes) -> Reply {
    match read::<FaultRule>(&body) {
        Ok(rule) => {
            control.add_fault(rule);
            answer(&control.faults())
        }
        Err(refusal) => *refusal,
    }
}

async fn clear_faults(State(control): State<Control>) -> Reply {
    control.set_faults(FaultPlan::default());
    answer(&control.faults())
}

/// The next mutations of the seeded history, or one by name.
#[derive(Deserialize)]
#[serde(untagged)]
enum MutateBody {
    Next { count: usize },
    One(Mutation),
}

/// More than this in one request would hold the site's lock for too long.
const MOST_MUTATIONS: usize = 100_000;

async fn mutate(State(control): State<Control>, body: Bytes) -> Reply {
    match read::<MutateBody>(&body) {
        Ok(MutateBody::Next { count }) if count <= MOST_MUTATIONS => answer(&control.mutate(count)),
        Ok(MutateBody::Next { .. }) => reply::bad_request(&format!("count is at most {MOST_MUTATIONS}")),
        Ok(MutateBody::One(mutation)) => match control.apply(mutation) {
            Ok(change) => answer(&[change]),
            Err(error) => reply::bad_request(&error.to_string()),
        },
        Err(refusal) => *refusal,
    }
}

/// Of one node, or of several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Offsets {
    One(i64),
    Nodes(Vec<i64>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SettingsBody {
    paused: Option<bool>,
    latency_milliseconds: Option<u64>,
    latency_jitter_milliseconds: Option<u64>,
    search_lag_milliseconds: Option<u64>,
    mutations_per_second: Option<f64>,
    omit_is_last: Option<bool>,
    clock_offset_seconds: Option<Offsets>,
    suspended: Option<bool>,
    anonymous: Option<bool>,
}

async fn settings(State(control): State<Control>, body: Bytes) -> Reply {
    let body = match read::<SettingsBody>(&body) {
        Ok(body) => body,
        Err(refusal) => return *refusal,
    };
    if let Some(paused) = body.paused {
        control.set_paused(paused);
    }
    if body.latency_milliseconds.is_some() || body.latency_jitter_milliseconds.is_some() {
        let milliseconds = |value: Option<u64>| Duration::from_millis(value.unwrap_or(0));
        control.set_latency(milliseconds(body.latency_milliseconds), milliseconds(body.latency_jitter_milliseconds));
    }
    if let Some(lag) = body.search_lag_milliseconds {
        control.set_search_lag(Duration::from_millis(lag));
    }
    if let Some(rate) = body.mutations_per_second {
        control.set_mutations_per_second(rate);
    }
    if let Some(omit) = body.omit_is_last {
        control.set_omit_is_last(omit);
    }
    match body.clock_offset_seconds {
        Some(Offsets::One(seconds)) => control.set_clock_offsets(&[seconds]),
        Some(Offsets::Nodes(seconds)) => control.set_clock_offsets(&seconds),
        None => {}
    }
    if let Some(suspended) = body.suspended {
        control.set_suspended(suspended);
    }
    if let Some(anonymous) = body.anonymous {
        control.set_anonymous(anonymous);
    }
    reply::ok(b"{}".to_vec())
}

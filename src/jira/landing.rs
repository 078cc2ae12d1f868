//! Where a browser ends that is sent to an address: for telling people that their Jira is somewhere else.
//!
//! What must hold: no credentials go along, since redirections are followed to wherever they lead.

use std::time::Duration;

use reqwest::header::LOCATION;
use url::Url;

use super::transport::HttpPool;

/// Redirections from one origin to another that are followed.
const MOST_ORIGINS: usize = 5;

/// The addresses that `start` leads to, by redirections alone, one for each origin; the last is where they end. Empty where
/// nothing answers.
pub async fn landing(pool: &HttpPool, start: &Url, request_timeout: Duration) -> Vec<Url> {
    let mut reached: Vec<Url> = Vec::new();
    let mut next = start.clone();
    while reached.len() < MOST_ORIGINS {
        let Ok(answer) = pool.client().get(next.clone()).timeout(request_timeout).send().await else {
            // Somebody said that it is there, though nobody answers.
            reached.extend((!reached.is_empty()).then_some(next));
            break;
        };
        // Within one origin the client follows by itself, and stops before it leaves it.
        let here = answer.url().clone();
        let to = answer.headers().get(LOCATION).filter(|_| answer.status().is_redirection());
        let to = to.and_then(|to| here.join(to.to_str().ok()?).ok());
        reached.push(here);
        match to.filter(|to| matches!(to.scheme(), "http" | "https")) {
            Some(to) => next = to,
            None => break,
        }
    }
    reached
}

//! Says, when a worker starts, what it follows and what comes next.

use sqlx::PgPool;

use crate::observe::events;
use crate::store::due::{self, Outlook};
use crate::store::patience::ANSWER;
use crate::store::within;

/// Says what the schedules ask for. A database that does not answer is told of elsewhere.
pub async fn say_outlook(pool: &PgPool) {
    let Ok(outlook) = within(ANSWER, due::outlook(pool)).await else { return };
    tracing::info!(
        event = events::WORKER_FOLLOWS,
        projects = outlook.projects,
        paused = outlook.paused,
        next = outlook.next,
        next_at = outlook.next_at.map(|at| at.to_rfc3339()),
        "{}",
        sentence(&outlook)
    );
}

fn sentence(outlook: &Outlook) -> String {
    let many = |count: i64, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let mut text = match outlook.projects {
        0 => "no projects yet: add one with `syncline project add SITE KEY`".to_owned(),
        n => format!("follows {}", many(n, "project")),
    };
    if outlook.paused > 0 {
        text.push_str(&format!(" ({} paused)", outlook.paused));
    }
    if outlook.runs > 0 {
        text.push_str(&format!("; {} active or waiting", many(outlook.runs, "run")));
    }
    if let (Some(next), Some(at)) = (&outlook.next, outlook.next_at) {
        text.push_str(&format!("; the next scheduled one is {next} at {}", at.format("%Y-%m-%d %H:%M:%S UTC")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_says_what_it_follows_and_what_comes_next() {
        let none = Outlook { projects: 0, paused: 0, next: None, next_at: None, runs: 0 };
        assert!(sentence(&none).starts_with("no projects yet"));
        let some = Outlook {
            projects: 1,
            paused: 2,
            next: Some("acme/OPS".into()),
            next_at: "2026-03-01T10:18:00Z".parse().ok(),
            runs: 3,
        };
        assert_eq!(
            sentence(&some),
            "follows 1 project (2 paused); 3 runs active or waiting; the next scheduled one is acme/OPS at 2026-03-01 10:18:00 UTC"
        );
    }
}

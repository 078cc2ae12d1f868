//! `syncline schedule`: when projects run next, and why then.

use chrono::{DateTime, Utc};
use clap::Subcommand;
use serde::Serialize;

use super::output::time;
use super::selection::Which;
use super::{Context, Error, Fields, Row, project};
use crate::domain::cron::Schedule;
use crate::store::health::{self, ScheduleView};
use crate::telemetry::span;

/// Show when projects run next, and why
#[derive(Debug, clap::Args)]
pub struct ScheduleArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List schedules by their next start
    List,
    /// Explain when projects run next
    #[command(after_long_help = "\
Examples:
  syncline schedule show WEB
  syncline schedule show OPS WEB
  syncline schedule show --site acme")]
    Show(Which),
}

pub(super) async fn run(args: ScheduleArgs, context: &Context) -> Result<(), Error> {
    let now = context.clock.now();
    match args.verb {
        Verb::List => {
            let views = health::schedule_view(&context.pool, None).await?;
            let shown: Vec<_> = views.iter().map(|view| Shown::of(view, now)).collect();
            context.output.rows(&shown, "no schedule yet: add a project with `syncline project add SITE KEY`")
        }
        Verb::Show(which) => show(&which, now, context).await,
    }
}

async fn show(which: &Which, now: DateTime<Utc>, context: &Context) -> Result<(), Error> {
    let chosen = which.choose(context, false).await?;
    // One project is asked for alone: there may be thousands.
    let only = if let [one] = chosen.as_slice() { Some(one.id) } else { None };
    let views = health::schedule_view(&context.pool, only).await?;
    let mut shown = Vec::with_capacity(chosen.len());
    for project in &chosen {
        match views.iter().find(|view| view.project_id == project.id) {
            Some(view) => shown.push(Shown::of(view, now)),
            None if which.is_named() => {
                return Err(Error::failure(format!("project {} has no schedule", project::name(project)))
                    .help("set one with `syncline project reschedule`"));
            }
            None => {}
        }
    }
    match shown.as_slice() {
        [one] if which.one().is_some() => context.output.fields(one),
        several => context.output.blocks(several),
    }
}

#[derive(Serialize)]
struct Shown {
    project: String,
    state: String,
    cron: String,
    time_zone: String,
    base_cadence_seconds: Option<u64>,
    next_run_at: DateTime<Utc>,
    rung: i16,
    hold: Option<String>,
    hold_code: Option<String>,
    held_since: Option<DateTime<Utc>>,
    failure_streak: i32,
    missed_slots: i64,
    last_slot_at: Option<DateTime<Utc>>,
    why: String,
}

impl Shown {
    fn of(view: &ScheduleView, now: DateTime<Utc>) -> Self {
        let schedule = Schedule::parse(&view.cron, &view.time_zone).ok();
        let state = if view.project_state == "active" { &view.state } else { &view.project_state };
        Self {
            project: format!("{}/{}", view.site, view.key),
            state: state.clone(),
            cron: view.cron.clone(),
            time_zone: view.time_zone.clone(),
            base_cadence_seconds: schedule.as_ref().map(|schedule| schedule.interval_at(now).as_secs()),
            next_run_at: view.next_run_at,
            rung: view.rung,
            hold: view.hold.clone(),
            hold_code: view.hold_code.clone(),
            held_since: view.held_since,
            failure_streak: view.failure_streak,
            missed_slots: view.missed_total,
            last_slot_at: view.last_slot_at,
            why: why(view, schedule.as_ref(), now),
        }
    }
}

impl Row for Shown {
    const HEADERS: &'static [&'static str] = &["PROJECT", "STATE", "NEXT RUN", "RUNG", "WHY"];

    fn cells(&self) -> Vec<String> {
        vec![self.project.clone(), self.state.clone(), time(self.next_run_at), self.rung.to_string(), self.why.clone()]
    }
}

impl Fields for Shown {
    fn fields(&self) -> Vec<(&'static str, String)> {
        let zone = format!("{} ({})", self.cron, self.time_zone);
        vec![
            ("project", self.project.clone()),
            ("state", self.state.clone()),
            ("base cadence", zone),
            ("next run", time(self.next_run_at)),
            ("why", self.why.clone()),
            ("missed slots", self.missed_slots.to_string()),
            ("last slot", self.last_slot_at.map(time).unwrap_or_default()),
        ]
    }
}

/// Why the next run is when it is, in one sentence.
fn why(view: &ScheduleView, schedule: Option<&Schedule>, now: DateTime<Utc>) -> String {
    if view.project_state != "active" || view.state != "active" {
        return "it is paused: no run starts until you resume it with `syncline project resume`".to_owned();
    }
    let in_time = match (view.next_run_at - now).to_std() {
        Ok(wait) => format!("in {}", span(wait)),
        Err(_) => "now".to_owned(),
    };
    let base = schedule.map_or_else(|| "as scheduled".to_owned(), |it| format!("every {}", span(it.interval_at(now))));
    let code = view.hold_code.as_deref().unwrap_or("failures");
    let since = view.held_since.map(|at| format!(" since {}", time(at))).unwrap_or_default();
    let mut sentence = match view.hold.as_deref() {
        Some("ladder") => format!(
            "{in_time}, on rung {} of the back-off ladder instead of {base}{since}, because {} runs in a row failed, the last with {code}; the first success restores the base cadence",
            view.rung, view.failure_streak
        ),
        Some("until") => format!("{in_time}, because Jira named this time as the end of {code}; after that {base}"),
        Some("site") => {
            let site = view.site_code.as_deref().unwrap_or(code);
            if view.probe.as_deref() == Some(&view.key) {
                format!(
                    "{in_time}, as the probe of site {} while it fails with {site}{since}; its first success \
                        restores every project of the site",
                    view.site
                )
            } else {
                let probe = view.probe.as_deref().unwrap_or("another project");
                let next = view.next_probe_at.map(|at| format!(" (next at {})", time(at))).unwrap_or_default();
                format!(
                    "{in_time} at the latest, because site {} fails with {site}{since}: {probe} is the probe for all \
                        of its projects{next}, and its first success restores the base cadence ({base})",
                    view.site
                )
            }
        }
        Some("slow") => {
            format!("{in_time}, at half the cadence ({base}){since}, because the last runs took far longer than usual")
        }
        _ => format!("{in_time}, {base} at this project's own place in the interval"),
    };
    if let (Some(until), Some(reason)) = (view.gate_until, view.gate_reason.as_deref()) {
        sentence.push_str(&format!("; the site asked for a pause until {} ({reason})", time(until)));
    }
    if view.active_run.is_some() {
        sentence.push_str("; a run is active");
    }
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> ScheduleView {
        let at: DateTime<Utc> = "2026-03-01T10:30:00Z".parse().unwrap();
        ScheduleView {
            project_id: uuid::Uuid::nil(),
            site: "acme".into(),
            key: "OPS".into(),
            project_state: "active".into(),
            state: "active".into(),
            cron: "*/15 * * * *".into(),
            time_zone: "UTC".into(),
            next_slot_at: at,
            next_run_at: at,
            last_slot_at: None,
            missed_total: 0,
            rung: 0,
            hold: None,
            hold_code: None,
            held_since: None,
            hold_until: None,
            failure_streak: 0,
            code: None,
            site_code: None,
            site_since: None,
            site_failures: None,
            probe: None,
            next_probe_at: None,
            gate_until: None,
            gate_reason: None,
            active_run: None,
        }
    }

    fn sentence(change: impl FnOnce(&mut ScheduleView)) -> String {
        let mut view = view();
        change(&mut view);
        let schedule = Schedule::parse(&view.cron, &view.time_zone).unwrap();
        why(&view, Some(&schedule), "2026-03-01T10:18:00Z".parse().unwrap())
    }

    #[test]
    fn one_sentence_tells_why_a_project_runs_when_it_does() {
        assert_eq!(sentence(|_| {}), "in 12 min, every 15 min at this project's own place in the interval");
        let backed_off = sentence(|view| {
            view.hold = Some("ladder".into());
            (view.rung, view.failure_streak, view.hold_code) = (2, 4, Some("TIMEOUT".into()));
        });
        assert!(
            backed_off
                .starts_with("in 12 min, on rung 2 of the back-off ladder instead of every 15 min, because 4 runs"),
            "{backed_off}"
        );
        let held = sentence(|view| {
            view.hold = Some("site".into());
            (view.site_code, view.probe) = (Some("SUSPENDED_PAYMENT".into()), Some("WEB".into()));
        });
        assert!(held.contains("site acme fails with SUSPENDED_PAYMENT: WEB is the probe for all"), "{held}");
        assert!(sentence(|view| view.project_state = "paused".into()).contains("paused"));
    }
}

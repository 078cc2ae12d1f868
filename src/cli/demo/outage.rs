//! The outage of the demo: Jira suspends the site for payment, on a ladder that is short enough to be watched.

use std::time::Duration;

use tokio::time::Instant;

use super::mailbox::Mailbox;
use super::stack::{PATIENCE, Stack, give_up_after};
use super::stage::Stage;
use crate::cli::Error;
use crate::simulator::{FaultKind, FaultPlan, FaultRule};
use crate::store::totals;
use crate::tls;

/// What workers of the demo are told, so that hours pass in seconds.
pub(super) const REHEARSAL: [(&str, &str); 3] = [
    ("SYNCLINE__TELEMETRY__REHEARSAL_CADENCE_SECONDS", "1"),
    ("SYNCLINE__TELEMETRY__RUNGS", "2,3,4,5,6,6"),
    ("SYNCLINE__ALERTS__GROUP_WAIT_SECONDS", "1"),
];

/// The rung at which somebody pays.
const ENOUGH: u32 = 4;

/// Plays it; answers how many messages were sent.
///
/// # Errors
/// When the outage is not told, the ladder not climbed, or the cadence not restored.
pub(super) async fn rehearse(stack: &Stack, stage: &Stage) -> Result<usize, Error> {
    stage.act("Jira suspends the Cloud site for payment; the Data Center site continues");
    let mailbox = Mailbox::open().await?;
    match &mailbox {
        Some(mailbox) => {
            let (host, port) = (format!("host={}", mailbox.address.ip()), format!("port={}", mailbox.address.port()));
            let channel = [
                "alert",
                "channel",
                "add",
                "mail",
                "--kind",
                "email",
                "--set",
                &host,
                "--set",
                &port,
                "--set",
                "tls=none",
                "--set",
                "from=syncline@example.com",
            ];
            let route = ["alert", "route", "add", "mail", "--to", "ops@example.com"];
            for arguments in [&channel[..], &route] {
                if !stack.command(arguments, stage, false)? {
                    return Err(Error::failure("the alert channel could not be added (see above)"));
                }
            }
        }
        None => stage.say("no SMTP server here (python3-aiosmtpd): the alert goes to the workers' logs"),
    }
    stage.say("the ladder is shortened: a rung takes seconds instead of hours");
    let suspended =
        FaultRule { kind: FaultKind::PaymentRequired, after: 0, requests: None, path: None, retry_after_seconds: None };
    stack.jira.control().set_faults(FaultPlan { rules: vec![suspended], ..FaultPlan::default() });
    totals::bring_schedules_forward(&stack.pool).await?;
    tell(stack, stage, &mailbox, "opened").await?;
    stack.command(&["schedule", "list"], stage, true)?;
    climb(stack, stage).await?;
    tell(stack, stage, &mailbox, "escalated").await?;

    stage.act("Somebody pays");
    stack.jira.control().set_faults(FaultPlan::default());
    tell(stack, stage, &mailbox, "resolved").await?;
    await_rungs(stack, |rungs| rungs.iter().all(|(_, rung)| *rung == 0)).await?;
    stage.say("the first success restored the base cadence of all three projects:");
    stack.command(&["schedule", "list"], stage, true)?;
    Ok(totals::sent_messages(&stack.pool).await?.len())
}

/// Waits for the message that tells of `event`, and shows where it is.
async fn tell(stack: &Stack, stage: &Stage, mailbox: &Option<Mailbox>, event: &str) -> Result<(), Error> {
    let deadline = Instant::now() + PATIENCE;
    let (subject, html) = loop {
        let sent = totals::sent_messages(&stack.pool).await?;
        if let Some((_, subject, html)) = sent.into_iter().find(|(told, ..)| told == event) {
            break (subject, html);
        }
        give_up_after(deadline, "the alert was not sent")?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    stage.say(&format!("one message for three projects: {subject}"));
    if let Some(mailbox) = mailbox {
        let mail = mailbox.keep(event, &subject).await?;
        let page = mailbox.keep_page(event, &html)?;
        stage.say(&format!("caught by an SMTP server: {}; its page: {}", mail.display(), page.display()));
    }
    Ok(())
}

/// Watches the ladder in a worker's metrics.
async fn climb(stack: &Stack, stage: &Stage) -> Result<(), Error> {
    let mut highest = 0;
    await_rungs(stack, |rungs| {
        let top = rungs.iter().map(|(_, rung)| *rung).max().unwrap_or(0);
        if top > highest {
            highest = top;
            let line: Vec<_> = rungs.iter().map(|(project, rung)| format!("{project} {rung}")).collect();
            stage.say(&format!("syncline_sync_backoff_rung: {}", line.join(", ")));
        }
        highest >= ENOUGH
    })
    .await
}

/// Waits until the rungs of the projects, as a worker's metrics have them, are as wanted.
async fn await_rungs(stack: &Stack, mut wanted: impl FnMut(&[(String, u32)]) -> bool) -> Result<(), Error> {
    let address = stack.metrics_address().ok_or_else(|| Error::failure("no worker is left"))?;
    let deadline = Instant::now() + PATIENCE;
    let client = tls::client().build().map_err(anyhow::Error::from)?;
    loop {
        let answer = client.get(format!("http://{address}/metrics")).send().await.map_err(anyhow::Error::from)?;
        let text = answer.text().await.map_err(anyhow::Error::from)?;
        if wanted(&rungs(&text)) {
            return Ok(());
        }
        give_up_after(deadline, "the ladder did not move")?;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn rungs(metrics: &str) -> Vec<(String, u32)> {
    metrics
        .lines()
        .filter_map(|line| {
            let (project, rung) = line.strip_prefix("syncline_sync_backoff_rung{project=\"")?.split_once("\"} ")?;
            Some((project.to_owned(), rung.trim().parse().ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rungs_are_read_from_the_text_format() {
        let text = "# HELP x\nsyncline_sync_backoff_rung{project=\"ACME\"} 4\nsyncline_sync_failure_streak{project=\"ACME\"} 7\n";
        assert_eq!(rungs(text), [("ACME".to_owned(), 4)]);
    }
}

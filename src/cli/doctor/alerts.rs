//! The alert channels: whether their secrets are here, and whether the other side lets us in.

use std::time::Duration;

use futures::{StreamExt, stream};

use super::super::alert;
use super::super::{Context, Error};
use super::Report;
use crate::alert::channel::{self, Definition};
use crate::config::secret;
use crate::store::alert::channel::{self as channels, ChannelView};

/// Channels that are asked at once.
const AT_ONCE: usize = 4;
/// For a channel that hangs: others are waiting to be told of.
const PATIENCE: Duration = Duration::from_secs(15);

enum Answer {
    In,
    /// The secret is somewhere else, where the workers may well find it.
    NotFromHere(String, String),
    Refused(String, String),
}

/// Asks every channel whether it would take a message; sends none.
pub(super) async fn check(context: &Context, report: &mut Report) {
    let all = match channels::list(&context.pool, None).await {
        Ok(all) => all,
        Err(problem) => return report.refused("alerts", &problem),
    };
    let others: Vec<&ChannelView> = all.iter().filter(|channel| channel.kind != "log").collect();
    if others.is_empty() {
        return report.warn(
            "alerts",
            "no channel is configured: alerts go to the log only",
            "`syncline alert channel add NAME --kind email --set host=HOST --set from=ADDRESS`, then `syncline alert route add NAME --to ADDRESS`",
        );
    }
    if others.iter().all(|channel| channel.routes == 0) {
        report.warn(
            "alerts",
            "no route names a channel: alerts go to the log only",
            "syncline alert route add CHANNEL --to …",
        );
    }
    let answers: Vec<Answer> = stream::iter(&others).map(|one| ask(context, one)).buffered(AT_ONCE).collect().await;
    for (channel, answer) in others.iter().zip(answers) {
        let name = &channel.name;
        match answer {
            Answer::In => report.pass("alerts", format!("channel {name} ({}) can be reached", channel.kind)),
            Answer::NotFromHere(problem, remedy) => {
                report.warn("alerts", format!("channel {name} cannot be checked from here: {problem}"), remedy);
            }
            Answer::Refused(problem, remedy) => report.fail("alerts", format!("channel {name}: {problem}"), remedy),
        }
    }
}

async fn ask(context: &Context, channel: &ChannelView) -> Answer {
    let refused = |problem: Error| Answer::Refused(problem.message, problem.help.unwrap_or_default());
    let definition = match alert::definition(channel) {
        Ok(definition) => definition,
        Err(problem) => return refused(problem),
    };
    if let Some(reference) = &definition.credential
        && let Err(problem @ (secret::Error::NoVariable { .. } | secret::Error::NoFile { .. })) =
            secret::resolve(reference, &Definition::owner(&definition.name), &context.config.secrets)
    {
        return Answer::NotFromHere(problem.to_string(), problem.help());
    }
    let opened = match channel::open_at(&definition, &context.config.secrets, &context.clock) {
        Ok(opened) => opened,
        Err(problem) => return refused(problem.into()),
    };
    match tokio::time::timeout(PATIENCE, opened.probe()).await {
        Ok(Ok(())) => Answer::In,
        Ok(Err(reason)) => Answer::Refused(reason.to_string(), reason.code.advice().to_owned()),
        Err(_) => Answer::Refused(
            format!("no answer within {} s", PATIENCE.as_secs()),
            "check the channel's host and port, the network and the firewall".to_owned(),
        ),
    }
}

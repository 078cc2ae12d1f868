//! `syncline demo`: the whole product in a minute, with a simulated Jira Cloud and a small Data Center.
//!
//! It uses the program as anybody would: the commands that it prints are the commands that it runs, and the workers are
//! processes of their own. Only the simulated sites live in this process, so that they can be changed between the acts.
//!
//! What must hold: nothing but the database `syncline_demo` is touched; the exit code is 0 only if the last verification
//! found no difference.

mod mailbox;
mod outage;
mod stack;
mod stage;

use std::time::{Duration, Instant};

use super::{Error, Output};
use crate::config::Config;
use crate::store::{run_view, totals};
use stack::Stack;
use stage::Stage;

/// Demonstrate Syncline with a simulated Jira: sync, changes, a killed worker, verification, an outage
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Keep the simulated Jira and two workers running until Ctrl-C, and print their addresses
    #[arg(long)]
    pub stay: bool,
    /// Issues in the simulated Jira Cloud, over its three projects
    #[arg(long, value_name = "COUNT", default_value_t = 12_000)]
    pub issues: u32,
}

/// Executes the command.
///
/// # Errors
/// When something cannot be started, a run fails, or the replica differs from its source.
pub async fn run(args: DemoArgs, config: Config, output: Output) -> Result<(), Error> {
    let stage = Stage::new(output);
    let mut stack = Stack::start(&config, args.issues, &stage).await?;
    let outcome = if args.stay { stay(&mut stack, &stage).await } else { play(&mut stack, &stage).await };
    stack.stop().await;
    outcome
}

async fn play(stack: &mut Stack, stage: &Stage) -> Result<(), Error> {
    let began = Instant::now();
    stack.register(stage)?;
    stack.start_workers(2, stage).await?;

    stage.act("The first sync: all four projects of both sites at once");
    let started = Instant::now();
    let runs = stack.enqueue_all("full", stage).await?;
    stage.follow(&stack.pool, &runs).await?;
    let first_seconds = started.elapsed().as_secs_f64();
    let first = totals::read(&stack.pool).await?;

    stage.act("Jira changes; the schedule picks up the changes");
    let changes = stack.jira.control().mutate(600).len() + stack.plant.control().mutate(60).len();
    stage.say(&format!(
        "{changes} changes made in both: edits, comments, worklogs, transitions, moves, new and deleted issues",
    ));
    stage.say("the next slot of each schedule is moved to now");
    totals::bring_schedules_forward(&stack.pool).await?;
    let runs = stack.await_scheduled().await?;
    stage.follow(&stack.pool, &runs).await?;

    stage.act("A worker is killed in the middle of a run");
    stack.jira.control().set_latency(Duration::from_millis(80), Duration::from_millis(40));
    let runs = stack.enqueue_all("full", stage).await?;
    stack.kill_one_at_work(&runs, stage).await?;
    stage.follow(&stack.pool, &runs).await?;
    stack.jira.control().set_latency(Duration::ZERO, Duration::ZERO);
    let rescued = totals::read(&stack.pool).await?.rescues;
    stage.say(&format!("the other worker took over {rescued} steps and finished"));

    stage.act("Does the replica match Jira?");
    stage.say("Jira's search does not show that an issue was deleted: verify finds it, and --repair marks it");
    stack.command(&["verify", "--repair", "--wait", "--settle", "2"], stage, true)?;
    let equal = stack.command(&["verify", "--settle", "2"], stage, true)?;

    let told = outage::rehearse(stack, stage).await?;

    let all = totals::read(&stack.pool).await?;
    stage.act("Report");
    #[allow(clippy::cast_precision_loss)] // a rate for people
    let rate = first.issues as f64 / first_seconds;
    stage.say(&format!("issues     {:>8}    comments {:>8}    worklogs {:>8}", all.issues, all.comments, all.worklogs));
    stage.say(&format!("first sync {first_seconds:>8.1} s  {rate:>8.0} issues/s"));
    stage.say(&format!("in all     {:>8} runs {:>8} pages {:>8} steps", all.runs, all.pages, all.steps));
    stage.say(&format!("retries    {:>8}    rescued steps {:>3}", all.retries, all.rescues));
    stage.say(&format!("alerts     {told:>8} messages about one outage of three projects"));
    stage.say(&format!("time       {:>8.1} s", began.elapsed().as_secs_f64()));
    if !equal {
        return Err(Error::failure("the replica differs from its source (see above)"));
    }
    stage.say("verified   0 differences");
    stage.act("What to try next");
    for line in [
        "make up                          the same stack, running until Ctrl-C",
        "syncline simulate --help         a Jira for rehearsals: faults, latency, mutations",
        "syncline site add --help         connect a real site, Cloud or Data Center (README: \"Connect your Jira\")",
        "syncline run list --help         what ran, what failed, and why",
        "syncline alert channel add --help   mail, Slack, WhatsApp or a webhook, for real",
    ] {
        stage.say(line);
    }
    Ok(())
}

async fn stay(stack: &mut Stack, stage: &Stage) -> Result<(), Error> {
    stack.register(stage)?;
    stack.start_workers(2, stage).await?;
    let runs = stack.enqueue_all("full", stage).await?;
    stage.follow(&stack.pool, &runs).await?;
    stack.jira.control().set_mutations_per_second(2.0);
    totals::bring_schedules_forward(&stack.pool).await?;
    stage.act("Everything is running; Ctrl-C ends it");
    stack.print_addresses(stage);
    tokio::signal::ctrl_c().await?;
    stage.say("stopping");
    Ok(())
}

/// Fails with the reason of the first run that did not succeed.
fn insist(progress: &run_view::RunProgress) -> Result<(), Error> {
    if progress.state == "succeeded" {
        return Ok(());
    }
    let message = progress.error_message.as_deref().unwrap_or("no reason was recorded");
    Err(Error::failure(format!("the run of {} {}: {message}", progress.project, progress.state))
        .help("the workers' logs are in .syncline/demo"))
}

//! `syncline simulate`: a Jira site for rehearsal.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;

use super::output;
use crate::clock::Clock;
use crate::simulator::{
    Account, Amount, Bucket, DEFAULT_EMAIL, DEFAULT_TOKEN, FaultKind, FaultPlan, FaultRule, Kind, Language, LimitShape,
    Limits, Options, PersonalToken, ProjectSpec, Simulator,
};

/// Serve a simulated Jira site; the same seed gives the same site
#[derive(Args, Clone, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct SimulateArgs {
    /// Address to serve; port 0 takes any free port
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8070")]
    listen: SocketAddr,

    /// Determines all names, texts, mutations and faults
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,

    /// What the site is: cloud or data-center
    #[arg(long, value_name = "KIND", default_value = "cloud")]
    kind: Kind,

    /// Version that a Data Center site reports
    #[arg(long, value_name = "VERSION", default_value = "10.3.0")]
    data_center_version: String,

    /// Context path of a Data Center site, such as /jira
    #[arg(long, value_name = "PATH", default_value = "")]
    context_path: String,

    /// Projects, each with its own number of issues or a share of --issues
    #[arg(long, value_name = "KEY[=ISSUES]", value_delimiter = ',', default_value = "ACME,BETA,GAMMA")]
    projects: Vec<ProjectSpec>,

    /// Issues, distributed over the projects without a number
    #[arg(long, value_name = "COUNT", default_value_t = 1_200)]
    issues: u32,

    /// Comments per issue: '3' is exactly three, '~3' is three on average
    #[arg(long, value_name = "AMOUNT", default_value = "~2.5")]
    comments: Amount,

    /// Worklogs per issue, in the same way
    #[arg(long, value_name = "AMOUNT", default_value = "~1.5")]
    worklogs: Amount,

    /// Share of issues with 25 to 150 comments or worklogs, more than search returns inline [default: 0.005, or 0
    /// when --comments and --worklogs are exact]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    long_threads: Option<f64>,

    /// Users who write
    #[arg(long, value_name = "COUNT", default_value_t = 40, value_parser = clap::value_parser!(u16).range(1..=60_000))]
    people: u16,

    /// Share of issues that have a security level
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    secured: f64,

    /// Comments and worklogs that search returns inline [default: 20; on Data Center all comments]
    #[arg(long, value_name = "COUNT")]
    inline_limit: Option<u16>,

    /// Account for the API, repeatable; without a list of projects it sees all; 'public' hides issues with a security
    /// level from it [default: sync@example.com:simulator-token]
    #[arg(long = "account", value_name = "EMAIL:TOKEN[:ZONE[:KEY,KEY[:public]]]")]
    accounts: Vec<Account>,

    /// Failed log-ins after which an account must solve a CAPTCHA
    #[arg(long, value_name = "COUNT")]
    captcha_after: Option<u32>,

    /// Delay of every answer, milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0)]
    latency_ms: u64,

    /// Maximum random addition to the delay, milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0)]
    latency_jitter_ms: u64,

    /// Delay of the search index after writes (direct reads have none), milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0)]
    search_lag_ms: u64,

    /// The most recent time that the worklog feeds leave out, milliseconds
    #[arg(long, value_name = "MS", default_value_t = 60_000)]
    feed_delay_ms: u64,

    /// Edits, comments, worklogs, moves, deletions and new issues per second
    #[arg(long, value_name = "RATE", default_value_t = 0.0)]
    mutate_per_second: f64,

    /// Share of requests that fail, from 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    fault_rate: f64,

    /// Kinds of failures for --fault-rate [default: transient ones: limits, gateways, resets]
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    fault_kinds: Vec<FaultKind>,

    /// Scheduled failure, repeatable: after AFTER requests, for REQUESTS requests, for paths that contain PATH
    #[arg(long = "fault", value_name = "KIND[@AFTER[xREQUESTS]][/PATH]")]
    faults: Vec<FaultRule>,

    /// Retry-After of failures that carry one, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 1)]
    retry_after_seconds: u64,

    /// Requests per second and endpoint; further ones are answered with 429
    #[arg(long, value_name = "COUNT")]
    burst_limit: Option<u32>,

    /// Token bucket of each endpoint and method: a rate per second, and a burst; on Data Center one for everything
    #[arg(long, value_name = "RATE[:BURST]")]
    limit: Option<Bucket>,

    /// Points per hour of the site's clock: one per request and one per object in its answer
    #[arg(long, value_name = "POINTS")]
    points_per_hour: Option<u64>,

    /// Form of a refusal by a limit: headers, bare (no waiting time) or html
    #[arg(long, value_name = "SHAPE", default_value = "headers")]
    limit_shape: LimitShape,

    /// Queries longer than this are refused, bytes
    #[arg(long, value_name = "BYTES")]
    jql_limit: Option<usize>,

    /// Personal access token that Data Center lists, with its lifetime in days; repeatable [default: sync=90]
    #[arg(long = "personal-token", value_name = "NAME[=DAYS]")]
    personal_tokens: Vec<PersonalToken>,

    /// Lifetime of an OAuth access token, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3_600)]
    access_token_seconds: u64,

    /// Time after its first use in which an OAuth refresh token may be sent again, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    refresh_leeway_seconds: u64,

    /// Language of error texts, whatever a request asks for: en, de, ja or fr
    #[arg(long, value_name = "LANGUAGE", default_value = "en")]
    language: Language,

    /// Leave isLast out of search pages, as Jira may
    #[arg(long)]
    omit_is_last: bool,
}

const EXAMPLES: &str = "\
Examples:
  syncline simulate                                        1,200 issues in ACME, BETA and GAMMA
  syncline simulate --issues 20000 --comments 3 --worklogs 2
  syncline simulate --projects ACME=5000,OPS=200 --mutate-per-second 20 --search-lag-ms 3000
  syncline simulate --latency-ms 120 --latency-jitter-ms 80 --fault-rate 0.02
  syncline simulate --fault quota@50x1 --fault hang@10x1/comment
  syncline simulate --kind data-center --context-path /jira --data-center-version 8.20.0
  syncline simulate --limit 100:350 --points-per-hour 65000

Every account signs in with its e-mail address and token (Basic; on Data Center also by user name, and with the
token alone as Bearer). While the site runs, /__sim/stats returns statistics, and
/__sim/faults, /__sim/mutate and /__sim/settings change the site; docs/simulator.md describes them.";

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err(format!("'{text}' is not a share from 0 to 1, such as 0.02")),
    }
}

impl SimulateArgs {
    fn options(&self) -> Options {
        let mut options = Options::new(Clock::system());
        let exact = matches!((self.comments, self.worklogs), (Amount::Exactly(_), Amount::Exactly(_)));
        options.long_threads = self.long_threads.unwrap_or(if exact { 0.0 } else { options.long_threads });
        if !self.accounts.is_empty() {
            options.accounts.clone_from(&self.accounts);
        }
        options.seed = self.seed;
        options.kind = self.kind;
        options.version.clone_from(&self.data_center_version);
        options.context_path.clone_from(&self.context_path);
        options.secured = self.secured;
        options.inline_limit = self.inline_limit;
        options.captcha_after = self.captcha_after;
        options.limits = Limits {
            bucket: self.limit,
            points_per_hour: self.points_per_hour,
            shape: self.limit_shape,
            ..Limits::default()
        };
        options.jql_limit = self.jql_limit;
        options.oauth.access_token_lifetime = Duration::from_secs(self.access_token_seconds);
        options.oauth.refresh_leeway = Duration::from_secs(self.refresh_leeway_seconds);
        if !self.personal_tokens.is_empty() {
            options.personal_tokens.clone_from(&self.personal_tokens);
        }
        options.language = self.language;
        options.projects.clone_from(&self.projects);
        options.issues = self.issues;
        options.people = self.people;
        options.comments = self.comments;
        options.worklogs = self.worklogs;
        options.latency = Duration::from_millis(self.latency_ms);
        options.latency_jitter = Duration::from_millis(self.latency_jitter_ms);
        options.search_lag = Duration::from_millis(self.search_lag_ms);
        options.feed_delay = Duration::from_millis(self.feed_delay_ms);
        options.mutations_per_second = self.mutate_per_second;
        options.burst_limit_per_second = self.burst_limit;
        options.omit_is_last = self.omit_is_last;
        options.faults = FaultPlan {
            rate: self.fault_rate,
            kinds: self.fault_kinds.clone(),
            rules: self.faults.clone(),
            retry_after_seconds: self.retry_after_seconds,
        };
        options
    }
}

/// Serves the site until Ctrl-C or SIGTERM. The first line on stdout is its address, for scripts to read.
pub async fn run(args: SimulateArgs) -> anyhow::Result<()> {
    let mut handle = Simulator::start(args.options(), args.listen).await?;
    let stats = handle.control().stats();
    let (issues, comments, worklogs) = (stats.issues.values().sum::<u64>(), stats.comments, stats.worklogs);
    output::print(handle.base_url())?;
    output::say(&format!(
        "Simulated Jira with {issues} issues, {comments} comments and {worklogs} worklogs (seed {}).",
        args.seed
    ));
    if args.accounts.is_empty() {
        output::say(&format!("Sign in with {DEFAULT_EMAIL} and the token {DEFAULT_TOKEN}. Ctrl-C stops it."));
    }
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
        () = handle.wait() => anyhow::bail!("the simulated Jira lost its listening socket: start it again"),
    }
    handle.stop().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        args: SimulateArgs,
    }

    #[test]
    fn exact_amounts_leave_no_issue_with_more() {
        let exact = Program::parse_from(["x", "--comments", "3", "--worklogs", "2"]).args.options();
        assert_eq!((exact.comments, exact.worklogs, exact.long_threads), (Amount::Exactly(3), Amount::Exactly(2), 0.0));
        assert!(Program::parse_from(["x"]).args.options().long_threads > 0.0);
    }

    #[test]
    fn a_data_center_with_limits_is_read() {
        let args = ["x", "--kind", "data-center", "--context-path", "/jira", "--limit", "10:20", "--language", "de"];
        let options = Program::parse_from(args).args.options();
        assert_eq!((options.kind, options.context_path.as_str()), (Kind::DataCenter, "/jira"));
        assert_eq!(options.limits.bucket, Some(Bucket { rate_per_second: 10.0, burst: 20 }));
        assert_eq!(options.language, Language::German);
        assert!(Program::try_parse_from(["x", "--kind", "server"]).is_err());
    }

    #[test]
    fn a_schedule_of_faults_is_read() {
        let args = ["x", "--fault", "quota@50x1", "--fault", "hang@10x2/comment", "--fault-rate", "0.02"];
        let plan = Program::parse_from(args).args.options().faults;
        assert_eq!(plan.rules.len(), 2);
        assert_eq!((plan.rules[1].kind, plan.rules[1].path.as_deref()), (FaultKind::Hang, Some("/comment")));
        assert!(Program::try_parse_from(["x", "--fault-rate", "2"]).is_err());
        assert!(Program::try_parse_from(["x", "--fault", "nonsense"]).is_err());
    }
}

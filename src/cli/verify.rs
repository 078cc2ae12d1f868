//! `syncline verify`: is the replica what Jira shows?

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::{Context, Error, ProgressView, Row, site, watch};
use crate::store;
use crate::verify::{self, Options, Progress, Reason, Report, Scope};

/// Compare the replica with Jira itself; print missing, stale and extra rows
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// Projects, each as KEY or SITE/KEY [default: all]
    #[arg(value_name = "PROJECT", add = super::completing::projects())]
    pub projects: Vec<String>,
    /// All projects of this site
    #[arg(long, conflicts_with = "projects", add = super::completing::sites())]
    pub site: Option<String>,
    /// Time for differences to disappear by themselves (an active sync, Jira's lagging search), in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub settle: u64,
    /// Compare only this many random issues instead of all; this cannot find issues that the replica lacks
    #[arg(long, value_name = "ISSUES")]
    pub sample: Option<u32>,
    /// Request a run that reads differing issues again
    #[arg(long)]
    pub repair: bool,
    /// Wait for the repair run, then compare again
    #[arg(long, requires = "repair")]
    pub wait: bool,
}

/// Executes the command.
///
/// # Errors
/// When there is a difference, or a project could not be compared: exit code 1.
pub async fn run(args: VerifyArgs, context: &Context) -> Result<(), Error> {
    let scopes = chosen(&args, context).await?;
    if scopes.is_empty() {
        context.output.note("no project yet: add one with `syncline project add`");
    }
    let mut verdicts = Vec::new();
    for scope in &scopes {
        // The failure of one project does not hide the differences of the others.
        match one(&args, scope, context).await {
            Ok(report) => verdicts.push(Verdict::from(report)),
            Err(problem) => {
                let advice = problem.help.map(|help| format!(" ({help})")).unwrap_or_default();
                verdicts.push(Verdict::failed(scope, format!("{}{advice}", problem.message)));
            }
        }
    }
    context.output.rows(&verdicts, "nothing to compare")?;
    for verdict in &verdicts {
        verdict.details().iter().for_each(|line| context.output.note(line));
    }
    let failed = verdicts.iter().filter(|verdict| verdict.error.is_some()).count();
    let differences: usize = verdicts.iter().map(|verdict| verdict.differences).sum();
    match (failed, differences) {
        (0, 0) => Ok(()),
        (0, n) => {
            let problem = Error::failure(format!("{n} {} between the replica and Jira", plural(n, "difference")));
            Err(if args.repair { problem } else { problem.help("repair them with: syncline verify --repair --wait") })
        }
        (n, _) => Err(Error::failure(format!("{n} of {} projects could not be compared", verdicts.len()))),
    }
}

/// The projects to compare, each once.
async fn chosen(args: &VerifyArgs, context: &Context) -> Result<Vec<Scope>, Error> {
    if args.projects.is_empty() {
        let site = match &args.site {
            Some(name) => Some(site::find(context, name).await?.name),
            None => None,
        };
        let mut all = verify::scopes(&context.pool, None).await?;
        all.retain(|scope| site.as_ref().is_none_or(|name| scope.site == *name));
        return Ok(all);
    }
    let mut found: Vec<Scope> = Vec::new();
    for text in &args.projects {
        for scope in verify::scopes(&context.pool, Some(text)).await? {
            if !found.iter().any(|other| other.project_id == scope.project_id) {
                found.push(scope);
            }
        }
    }
    Ok(found)
}

async fn one(args: &VerifyArgs, scope: &Scope, context: &Context) -> Result<Report, Error> {
    let site = store::site::list(&context.pool, Some(&scope.site)).await?;
    let site = site.first().ok_or_else(|| Error::failure(format!("site {} is gone", scope.site)))?;
    let client = site::client(context, site)?;
    let options = Options { settle: Duration::from_secs(args.settle), sample: args.sample, ..Options::default() };
    let look = async || {
        let bar = bar(context, scope);
        let show = |progress: Progress| {
            bar.set_length(progress.estimated_issues.max(progress.issues));
            bar.set_position(progress.issues);
            bar.set_message(format!("{} to check again", progress.suspects));
        };
        let report = verify::verify(&context.pool, &client, scope, &options, &context.clock, &show).await;
        bar.finish_and_clear();
        report.map_err(Error::from)
    };
    let report = look().await?;
    if !args.repair {
        return Ok(report);
    }
    let Some(run_id) = verify::repair(&context.pool, scope, &report, &context.actor()).await? else {
        return Ok(report);
    };
    context.output.note(&format!("{}/{}: repair run {run_id}", scope.site, scope.project));
    if !args.wait {
        return Ok(report);
    }
    watch(&context.pool, run_id, ProgressView::new(context.output, true)).await?;
    look().await
}

fn bar(context: &Context, scope: &Scope) -> ProgressBar {
    if !context.output.draws_progress() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(0).with_prefix(format!("{}/{}", scope.site, scope.project));
    let style = ProgressStyle::with_template("{prefix} [{bar:30}] {pos}/{len} issues, {per_sec}, {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

fn plural(n: usize, word: &str) -> String {
    if n == 1 { word.to_owned() } else { format!("{word}s") }
}

/// One line of the answer.
#[derive(Serialize)]
struct Verdict {
    #[serde(flatten)]
    report: Report,
    differences: usize,
    error: Option<String>,
}

impl From<Report> for Verdict {
    fn from(report: Report) -> Self {
        Self { differences: report.differences(), report, error: None }
    }
}

impl Verdict {
    fn failed(scope: &Scope, error: String) -> Self {
        Self { report: Report::new(&scope.site, &scope.project), differences: 0, error: Some(error) }
    }

    /// What is no difference, and worth knowing.
    fn remarks(&self) -> Vec<String> {
        let report = &self.report;
        let mut lines = Vec::new();
        let by = |way: &str| report.one_way.iter().filter(|issue| issue.shown_by == way).count();
        for (way, says) in [
            ("search", "are shown by search but not by look-ups by id"),
            ("look_up", "are shown by look-ups by id but not by search"),
            ("look_up_alone", "are shown by a look-up of one id but not of many"),
            ("none", "could not be looked up by id and are not shown by search; they stay"),
        ] {
            if by(way) > 0 {
                lines.push(format!("contradiction: {} {} {says}", by(way), plural(by(way), "issue")));
            }
        }
        for (what, issues) in &report.left_out {
            let then = match *what {
                "comment" | "worklog" => "they were read issue by issue",
                _ => "the stored values stay",
            };
            lines.push(format!("Jira left out {what} of {issues} issues; {then}"));
        }
        if report.changes_only_here > 0 {
            lines.push(format!(
                "{} history entries that Jira does not show stay in the \
                replica",
                report.changes_only_here
            ));
        }
        if report.doubled > 0 {
            lines.push(format!("Jira shows {} records on two issues at once", report.doubled));
        }
        lines
    }

    /// The first differences, one a line.
    fn details(&self) -> Vec<String> {
        const SHOWN: usize = 20;
        let report = &self.report;
        let missing = |issue: &verify::Missing| match &issue.marked {
            Some(reason) => format!("missing {}: Jira shows it, but the replica marks it as {reason}", issue.key),
            None => format!("missing {}", issue.key),
        };
        let mut lines: Vec<String> = report.missing.iter().map(missing).collect();
        for issue in &report.stale {
            let mut what: Vec<String> = issue.fields.iter().map(|field| (*field).to_owned()).collect();
            what.extend(issue.comments.iter().map(|id| format!("comment {id}")));
            what.extend(issue.worklogs.iter().map(|id| format!("worklog {id}")));
            what.extend(issue.changes.iter().map(|id| format!("change {id}")));
            what.extend(issue.links.iter().map(|id| format!("link {id}")));
            what.extend(issue.attachments.iter().map(|id| format!("attachment {id}")));
            lines.push(format!("stale   {}: {}", issue.key, what.join(", ")));
        }
        for issue in &report.extra {
            lines.push(match &issue.reason {
                Reason::Gone => format!("extra   {}: deleted in Jira, or hidden from the account", issue.key),
                Reason::Moved { to, tracked: true } => {
                    format!("extra   {}: moved to {to}, whose next sync reads it", issue.key)
                }
                Reason::Moved { to, tracked: false } => format!("extra   {}: moved to {to}", issue.key),
            });
        }
        for record in &report.unreadable {
            let key = record.key.as_deref().unwrap_or("an issue without a key");
            lines.push(format!("unreadable {key}: {}: {}", record.field, record.problem));
        }
        for entry in &report.catalogue {
            let fields = if entry.fields.is_empty() { String::new() } else { format!(": {}", entry.fields.join(", ")) };
            lines.push(format!("{:7} {} {}{fields}", entry.problem, entry.entity, entry.id));
        }
        for person in &report.users {
            lines.push(format!("{:7} user {}: {}", person.problem, person.account_id, person.fields.join(", ")));
        }
        let more = lines.len().saturating_sub(SHOWN);
        lines.truncate(SHOWN);
        if more > 0 {
            lines.push(format!("and {more} more: -o json lists all"));
        }
        lines.extend(self.error.clone());
        lines.extend(self.remarks());
        let place = format!("{}/{}", report.site, report.project);
        lines.into_iter().map(|line| format!("{place}: {line}")).collect()
    }
}

impl Row for Verdict {
    const HEADERS: &'static [&'static str] = &[
        "SITE",
        "PROJECT",
        "ISSUES",
        "COMMENTS",
        "WORKLOGS",
        "CHANGES",
        "LINKS",
        "FILES",
        "MISSING",
        "STALE",
        "EXTRA",
        "RESULT",
        "UNREADABLE",
    ];

    fn cells(&self) -> Vec<String> {
        let report = &self.report;
        let result = match (&self.error, self.differences) {
            (Some(_), _) => "not compared".to_owned(),
            (None, 0) => "equal".to_owned(),
            (None, n) => format!("{n} {}", plural(n, "difference")),
        };
        vec![
            report.site.clone(),
            report.project.clone(),
            report.checked_issues.to_string(),
            report.checked_comments.to_string(),
            report.checked_worklogs.to_string(),
            report.checked_changes.to_string(),
            report.checked_links.to_string(),
            report.checked_attachments.to_string(),
            report.missing.len().to_string(),
            report.stale.len().to_string(),
            report.extra.len().to_string(),
            result,
            report.unreadable.len().to_string(),
        ]
    }
}

//! `syncline project track`: whose issues projects bring.
//!
//! What must hold: every project and every user is found before the first project is changed.

use clap::ValueEnum;
use serde::Serialize;

use super::super::output::time;
use super::super::selection::{Selection, Which, plural};
use super::super::{Context, Error, Format, Row, completing};
use super::name;
use super::who::{self, Known};
use crate::store::project::Project;
use crate::store::tracking::{self, Subject, Tracked, TrackedUser};

#[derive(Debug, clap::Args)]
#[command(
    override_usage = "syncline project track [OPTIONS] <PROJECT>... <all|listed|add|remove|list> [USER]...",
    after_long_help = "\
all     read every issue; a full run reads the missing ones
listed  read only issues of listed users
add     add users to the list: only issues of listed users are read
remove  remove users from the list
list    show whose issues are read

An issue belongs to a user who is its assignee or reporter, or who logged work on it. Adding a user reads the whole
history of that user; removing one keeps what the replica has.

Examples:
  syncline project track acme/WEB add ana@example.com 5b10a2844c20165700ede21g
  syncline project track OPS WEB remove ana@example.com
  syncline project track --site acme list
  syncline project track acme/WEB all"
)]
pub(super) struct TrackArgs {
    /// Projects, each as KEY or SITE/KEY; what to do: all, listed, add, remove or list; users, by account id or e-mail
    /// address, on Data Center by user name, too
    #[arg(required = true, value_name = "PROJECT ACT USER", add = completing::projects_and(ACTS))]
    words: Vec<String>,
    /// All projects of this site, in place of PROJECT
    #[arg(long, add = completing::sites())]
    site: Option<String>,
    /// All projects, in place of PROJECT
    #[arg(long, conflicts_with_all = ["site", "filter"])]
    all: bool,
    /// All projects with this text in their key or name, in place of PROJECT
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// The words of [`Act`].
const ACTS: &[&str] = &["all", "listed", "add", "remove", "list"];

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Act {
    All,
    Listed,
    Add,
    Remove,
    List,
}

/// What the words of a line mean.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    projects: Vec<String>,
    act: Act,
    users: Vec<String>,
}

/// Whose issues are brought.
#[derive(Serialize)]
struct Shown {
    project: String,
    tracking: String,
    users: Vec<TrackedUser>,
}

/// A user of one of several projects; none for a project that lists nobody.
#[derive(Serialize)]
struct Line {
    project: String,
    tracking: String,
    user: Option<TrackedUser>,
}

/// What was done to a project.
#[derive(Serialize)]
struct Done {
    project: String,
    #[serde(flatten)]
    done: Tracked,
    #[serde(skip)]
    text: String,
}

/// Projects, what to do, users. The first word is a project unless others were chosen (`is_chosen`), also one whose key is
/// the name of an act.
fn read(words: Vec<String>, is_chosen: bool) -> Result<Said, Error> {
    let help = "write e.g. `syncline project track WEB add ana@example.com`";
    let first = usize::from(!is_chosen);
    let act = |word: &String| Act::from_str(word, false).ok();
    let Some((at, act)) = words.iter().enumerate().skip(first).find_map(|(at, word)| Some((at, act(word)?))) else {
        return Err(Error::usage(format!("the verb is missing: one of {}", ACTS.join(", "))).help(help));
    };
    if is_chosen && at > 0 {
        return Err(Error::usage("PROJECT cannot be used with --site, --all or --filter").help(help));
    }
    let mut projects = words;
    let mut users = projects.split_off(at);
    users.remove(0);
    let takes_users = matches!(act, Act::Add | Act::Remove);
    if takes_users == users.is_empty() {
        let problem = if takes_users { "no USER is given" } else { "USER cannot be used here" };
        return Err(Error::usage(problem).help(help));
    }
    Ok(Said { projects, act, users })
}

pub(super) async fn run(args: TrackArgs, context: &Context) -> Result<(), Error> {
    let is_chosen = args.all || args.site.is_some() || args.filter.is_some();
    let Said { projects, act, users } = read(args.words, is_chosen)?;
    let selection = Selection::of(Which::of(projects, args.site, args.filter), args.yes);
    let chosen = selection.choose(context, false).await?;
    if act == Act::List {
        return list(&selection, &chosen, context).await;
    }
    let found = find(act, &users, &chosen, context).await?;
    let people = format!("{} {}", users.len(), plural(users.len(), "user"));
    let intent = match act {
        Act::All => "read every issue of".to_owned(),
        Act::Add => format!("list {people} for"),
        Act::Remove => format!("remove {people} from the list of"),
        _ => "read only issues of listed users of".to_owned(),
    };
    selection.agree(&intent, &chosen, context)?;
    let is_one = selection.one().is_some();
    let mut all = Vec::with_capacity(chosen.len());
    for (project, accounts) in chosen.iter().zip(&found) {
        let done = change(act, project, accounts, is_one, context).await?;
        if context.output.format() == Format::Table {
            context.output.print(&done.text)?;
            advise(act, project, &done.done, context).await?;
        }
        all.push(done);
    }
    match (context.output.format(), all.as_slice()) {
        (Format::Table, _) => Ok(()),
        (_, [one]) if is_one => context.output.result("", one),
        (Format::Json, several) => context.output.result("", &several),
        (Format::Jsonl, several) => several.iter().try_for_each(|one| context.output.result("", one)),
    }
}

/// The account ids that a change of each project is about; what cannot be done is said before anything is.
async fn find(act: Act, users: &[String], chosen: &[Project], context: &Context) -> Result<Vec<Vec<String>>, Error> {
    let mut found = Vec::with_capacity(chosen.len());
    let mut known = Known::default();
    for project in chosen {
        found.push(match act {
            Act::Add => known.accounts(users, &project.site, context).await?.into_iter().map(Some).collect(),
            Act::Remove => who::listed(users, project, context).await?,
            Act::Listed if tracking::list(&context.pool, project.id).await?.is_empty() => {
                let full_name = name(project);
                return Err(Error::failure(format!("{full_name} lists no user: it would have no issues"))
                    .help(format!("add users, e.g. syncline project track {full_name} add ana@example.com")));
            }
            _ => Vec::new(),
        });
    }
    if act == Act::Remove {
        who::refuse_unlisted(users, &found, chosen)?;
    }
    // A text that a project does not list is somebody's of another one.
    Ok(found.into_iter().map(|of| of.into_iter().flatten().collect()).collect())
}

async fn change(
    act: Act,
    project: &Project,
    accounts: &[String],
    is_one: bool,
    context: &Context,
) -> Result<Done, Error> {
    let (full_name, actor) = (name(project), context.actor());
    let subject = Subject { project_id: project.id, name: &full_name, actor: &actor };
    let of = if is_one { String::new() } else { format!("{full_name}: ") };
    let (done, text) = match act {
        Act::All => {
            (tracking::set_mode(&context.pool, subject, "all").await?, format!("{full_name} reads every issue"))
        }
        Act::Add => {
            let was = tracking::mode(&context.pool, project.id).await?;
            let done = tracking::add(&context.pool, subject, accounts).await?;
            let mut text = format!("{of}added {} of {} users", done.changed.len(), accounts.len());
            if was == "all" {
                text.push_str(&format!(
                    "\nfrom now on {full_name} reads only issues of listed users; existing rows stay. To read every \
                     issue again: syncline project track {full_name} all"
                ));
            }
            (done, text)
        }
        Act::Remove => {
            let done = tracking::remove(&context.pool, subject, accounts).await?;
            let text = format!("{of}removed {} users; their history stays", done.changed.len());
            (done, text)
        }
        _ => (
            tracking::set_mode(&context.pool, subject, "listed").await?,
            format!("{full_name} reads only issues of listed users"),
        ),
    };
    Ok(Done { project: full_name, done, text })
}

/// What follows from a change, for people.
async fn advise(act: Act, project: &Project, done: &Tracked, context: &Context) -> Result<(), Error> {
    let full_name = name(project);
    match done.run_id {
        Some(run) => context.output.note(&format!("run {run} reads the selected issues now")),
        None if project.state == "paused" => {
            context.output.note(&format!("{full_name} is paused: the change takes effect when it is resumed"));
        }
        None => {}
    }
    if act == Act::Remove && tracking::list(&context.pool, project.id).await?.is_empty() {
        context.output.warn(&format!(
            "{full_name} lists no users now and reads nothing: add users, or run syncline project track {full_name} all"
        ));
    }
    Ok(())
}

async fn list(selection: &Selection, chosen: &[Project], context: &Context) -> Result<(), Error> {
    let mut all = Vec::with_capacity(chosen.len());
    for project in chosen {
        let tracking = tracking::mode(&context.pool, project.id).await?;
        let users = tracking::list(&context.pool, project.id).await?;
        all.push(Shown { project: name(project), tracking, users });
    }
    match (context.output.format(), all.as_slice()) {
        (Format::Json, [one]) if selection.one().is_some() => context.output.result("", one),
        (Format::Json, several) => context.output.result("", &several),
        (_, [one]) if selection.one().is_some() => {
            context.output.rows(&one.users, "no user is listed")?;
            context.output.note(match one.tracking.as_str() {
                "listed" => "only issues of these users are read",
                _ => "every issue is read",
            });
            Ok(())
        }
        (_, several) => {
            let lines: Vec<Line> = several.iter().flat_map(lines).collect();
            context.output.rows(&lines, "no project")
        }
    }
}

fn lines(shown: &Shown) -> Vec<Line> {
    let line = |user| Line { project: shown.project.clone(), tracking: shown.tracking.clone(), user };
    match shown.users.as_slice() {
        [] => vec![line(None)],
        users => users.iter().cloned().map(|user| line(Some(user))).collect(),
    }
}

impl Row for Line {
    const HEADERS: &'static [&'static str] = &["PROJECT", "BRINGS", "USER", "ACCOUNT", "EMAIL", "HISTORY READ"];

    fn cells(&self) -> Vec<String> {
        let brings = if self.tracking == "listed" { "listed users" } else { "every issue" };
        let of_user = self.user.as_ref().map(TrackedUser::cells).unwrap_or_default();
        let mut cells = vec![self.project.clone(), brings.to_owned()];
        cells.extend((0..4).map(|at| of_user.get(at).cloned().unwrap_or_else(|| "-".into())));
        cells
    }
}

impl Row for TrackedUser {
    const HEADERS: &'static [&'static str] = &["USER", "ACCOUNT", "EMAIL", "HISTORY READ", "ADDED BY", "ADDED"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.display_name.clone().unwrap_or_else(|| "-".into()),
            self.account_id.clone(),
            self.email.clone().unwrap_or_else(|| "hidden".into()),
            match (self.unknown_since, self.backfilled_at) {
                (Some(since), _) => format!("unknown to Jira since {}", time(since)),
                (None, Some(at)) => time(at),
                (None, None) => "not yet".into(),
            },
            self.added_by.clone(),
            time(self.added_at),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn words_are_projects_then_an_act_then_users() {
        let said = read(words("OPS acme/WEB add ana list"), false).unwrap();
        assert_eq!((said.projects, said.act, said.users), (words("OPS acme/WEB"), Act::Add, words("ana list")));
        // A project may be called like an act.
        let said = read(words("list list"), false).unwrap();
        assert_eq!((said.projects, said.act), (words("list"), Act::List));
        let said = read(words("remove ana"), true).unwrap();
        assert_eq!((said.projects, said.act, said.users), (Vec::new(), Act::Remove, words("ana")));
        for (line, is_chosen) in [("WEB", false), ("WEB add", false), ("WEB all ana", false), ("WEB list", true)] {
            assert!(read(words(line), is_chosen).is_err(), "{line}");
        }
    }

    #[test]
    fn every_act_has_its_word() {
        let words: Vec<String> = Act::value_variants()
            .iter()
            .filter_map(|act| Some(act.to_possible_value()?.get_name().to_owned()))
            .collect();
        assert_eq!(words, ACTS);
    }
}

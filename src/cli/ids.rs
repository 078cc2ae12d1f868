//! Runs, steps and alerts as people name them: by an id, its first digits, `latest`, or `KEY@latest`.
//!
//! What must hold: a prefix that fits several names none of them; they are told instead.

use futures::future::BoxFuture;
use uuid::Uuid;

use super::{Context, Error, project};
use crate::store::ids::{self, Candidate};

/// What `latest` means alone, and behind a project's name.
const LATEST: &str = "latest";

/// What kind of thing is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Run,
    Step,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Step => "dead step",
        }
    }

    fn list(self) -> &'static str {
        match self {
            Self::Run => "list runs with `syncline run list`",
            Self::Step => "list them with `syncline queue dead`",
        }
    }

    async fn within(self, context: &Context, range: (Uuid, Uuid)) -> Result<Vec<Candidate>, Error> {
        Ok(match self {
            Self::Run => ids::runs(&context.pool, range).await?,
            Self::Step => ids::dead_steps(&context.pool, range).await?,
        })
    }

    fn latest(self, context: &Context, project: Option<Uuid>) -> BoxFuture<'_, Result<Option<Uuid>, Error>> {
        Box::pin(async move {
            Ok(match self {
                Self::Run => ids::latest_run(&context.pool, project).await?,
                Self::Step => ids::latest_dead_step(&context.pool, project).await?,
            })
        })
    }
}

/// The run that a text names.
///
/// # Errors
/// When it names none, or several.
pub(super) async fn run(context: &Context, text: &str) -> Result<Uuid, Error> {
    find(Kind::Run, context, text).await
}

/// The runs that texts name.
///
/// # Errors
/// When one of them names none, or several.
pub(super) async fn runs(context: &Context, texts: &[String]) -> Result<Vec<Uuid>, Error> {
    let mut found = Vec::with_capacity(texts.len());
    for text in texts {
        let id = run(context, text).await?;
        if !found.contains(&id) {
            found.push(id);
        }
    }
    Ok(found)
}

/// The dead steps that texts name; ids that are written out are not looked up.
///
/// # Errors
/// When one of them names none, or several.
pub(super) async fn steps(context: &Context, texts: &[String]) -> Result<Vec<Uuid>, Error> {
    let mut found = Vec::with_capacity(texts.len());
    for text in texts {
        found.push(find(Kind::Step, context, text).await?);
    }
    Ok(found)
}

/// The project of `KEY@latest`, where a text is of that form: `Some(None)` for `latest` alone.
///
/// # Errors
/// When the project is not known.
pub(super) async fn latest(context: &Context, text: &str) -> Result<Option<Option<Uuid>>, Error> {
    let text = text.trim();
    if text.eq_ignore_ascii_case(LATEST) {
        return Ok(Some(None));
    }
    match text.split_once('@') {
        Some((name, word)) if word.eq_ignore_ascii_case(LATEST) => {
            Ok(Some(Some(project::find(context, name, true).await?.id)))
        }
        _ => Ok(None),
    }
}

async fn find(kind: Kind, context: &Context, text: &str) -> Result<Uuid, Error> {
    if let Ok(id) = Uuid::try_parse(text.trim()) {
        return Ok(id);
    }
    if let Some(of) = latest(context, text).await? {
        let none = || Error::failure(format!("there is no {} yet", kind.word())).help(kind.list());
        return kind.latest(context, of).await?.ok_or_else(none);
    }
    let Some(range) = ids::range(text) else {
        return Err(Error::usage(format!("{text:?} does not name a {}", kind.word()))
            .help(format!("write its id, the first digits of it, `latest` or KEY@latest; {}", kind.list())));
    };
    let mut found = kind.within(context, range).await?;
    match found.len() {
        0 => Err(Error::failure(format!("no {}'s id begins with {text:?}", kind.word())).help(kind.list())),
        1 => Ok(found.remove(0).id),
        _ => Err(ambiguous(kind.word(), text, &found)),
    }
}

/// A prefix that fits several.
pub(super) fn ambiguous(word: &str, text: &str, found: &[Candidate]) -> Error {
    let more = if i64::try_from(found.len()).is_ok_and(|count| count >= ids::MOST) { ", …" } else { "" };
    let listed: Vec<String> = found.iter().map(|one| format!("{} ({})", one.id, one.about)).collect();
    Error::usage(format!("several {word}s' ids begin with {text:?}: {}{more}", listed.join("; ")))
        .help("write more digits of the id")
}

//! What a message says, as subject, text and HTML: compiled in, and replaceable by a folder's files.
//!
//! The built-in templates are in `src/alert/template/built_in/`. A folder may hold its own `subject.txt`, `alert.txt` and
//! `alert.html` in the same language (Jinja): copy the built-in ones and change them. The values that a template may use
//! are the fields of `View`: `event`, `severity`, `tag`, `topic`, `eyebrow`, `about`, `title`, `summary`, `sentence`,
//! `advice`, `class`, `category`, `since`, `at`, `facts`, `commands` and `links` (lists of `name` and `value`), `alert_id`,
//! `delivery_id`, and colours.
//!
//! What must hold: a message is always rendered, if need be with the built-in template, and then says so; whatever a
//! message holds, it is shown as text and never as markup.

mod folder;
mod pages;
#[cfg(test)]
pub(in crate::alert) mod sample;
#[cfg(test)]
mod tests;
mod view;
pub mod words;

use std::path::Path;

use askama::Template;

use super::Metadata;
use super::channel::Problem;
use crate::observe::events;
use folder::Folder;
pub use pages::{Linked, Pages};
use view::{Named, View};

/// The longest subject, in characters: mail clients show about half of it.
const SUBJECT_LIMIT: usize = 150;

/// The templates of a process.
#[derive(Debug, Default)]
pub struct Templates {
    folder: Option<Folder>,
    pages: Pages,
}

/// A message's texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// One line.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// A whole page.
    pub html: String,
    /// Why a built-in template was used instead of the folder's own.
    pub fallback: Option<String>,
}

impl Templates {
    /// The built-in templates.
    pub fn built_in() -> Self {
        Self::default()
    }

    /// The templates of a folder, and what is wrong with them: a file that cannot be used is replaced by the built-in one.
    pub fn with_folder(path: impl AsRef<Path>) -> (Self, Vec<Problem>) {
        let (folder, problems) = Folder::read(path.as_ref());
        (Self { folder: Some(folder), pages: Pages::default() }, problems)
    }

    /// The same with links to these pages.
    pub fn linking(mut self, pages: Pages) -> Self {
        self.pages = pages;
        self
    }

    /// Where messages link to.
    pub fn pages(&self) -> &Pages {
        &self.pages
    }

    /// What a message about this says.
    pub fn render(&self, metadata: &Metadata) -> Rendered {
        let view = View::of(metadata);
        let mut failed = Vec::new();
        let mut part = |name: &str, built_in: fn(&View) -> String| match &self.folder {
            Some(folder) => folder.render(name, &view).unwrap_or_else(|problem| {
                failed.extend(problem);
                built_in(&view)
            }),
            None => built_in(&view),
        };
        let subject = one_line(&part(folder::SUBJECT, |view| view.built_in_subject()));
        let text = part(folder::TEXT, |view| view.built_in_text());
        let html = part(folder::HTML, |view| view.built_in_html());
        let fallback = (!failed.is_empty()).then(|| failed.join("; "));
        if let Some(problem) = &fallback {
            let delivery_id = metadata.delivery_id;
            tracing::warn!(event = events::TEMPLATE_FAILED, %delivery_id, problem, "a built-in template is used instead");
        }
        Rendered { subject, text, html, fallback }
    }
}

#[derive(Template)]
#[template(path = "subject.txt", config = ".askama.toml")]
struct Subject<'a> {
    tag: &'a str,
    topic: &'a str,
}

#[derive(Template)]
#[template(path = "alert.txt", config = ".askama.toml")]
struct Text<'a> {
    eyebrow: &'a str,
    about: &'a str,
    title: &'a str,
    sentence: &'a str,
    advice: &'a str,
    at: &'a str,
    facts: &'a [Named],
    commands: &'a [Named],
    links: &'a [Named],
    alert_id: &'a str,
}

#[derive(Template)]
#[template(path = "alert.html", config = ".askama.toml")]
struct Html<'a> {
    topic: &'a str,
    eyebrow: &'a str,
    about: &'a str,
    title: &'a str,
    sentence: &'a str,
    advice: &'a str,
    at: &'a str,
    facts: &'a [Named],
    commands: &'a [Named],
    links: &'a [Named],
    alert_id: &'a str,
    tone: &'a str,
    badge: &'a str,
    accent: &'a str,
    tint: &'a str,
    dark_accent: &'a str,
    dark_tint: &'a str,
}

/// Rendering a built-in template writes texts into a `String`, which cannot fail; were it to, the summary is still told.
impl View {
    fn built_in_subject(&self) -> String {
        let Self { tag, topic, .. } = self;
        Subject { tag, topic }.render().unwrap_or_else(|_| self.summary.clone())
    }

    fn built_in_text(&self) -> String {
        let Self { eyebrow, about, title, sentence, advice, at, facts, commands, links, alert_id, .. } = self;
        let text = Text { eyebrow, about, title, sentence, advice, at, facts, commands, links, alert_id };
        text.render().unwrap_or_else(|_| self.summary.clone())
    }

    fn built_in_html(&self) -> String {
        let Self { topic, eyebrow, about, title, sentence, advice, at, facts, commands, links, alert_id, .. } = self;
        let Self { tone, badge, accent, tint, dark_accent, dark_tint, .. } = self;
        let html = Html {
            topic,
            eyebrow,
            about,
            title,
            sentence,
            advice,
            at,
            facts,
            commands,
            links,
            alert_id,
            tone,
            badge,
            accent,
            tint,
            dark_accent,
            dark_tint,
        };
        html.render().unwrap_or_default()
    }
}

fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let line = words.collect::<Vec<_>>().join(" ");
    if line.chars().count() <= SUBJECT_LIMIT {
        return line;
    }
    line.chars().take(SUBJECT_LIMIT - 1).collect::<String>() + "…"
}

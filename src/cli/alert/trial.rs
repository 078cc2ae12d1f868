//! `syncline alert test`: a message that somebody asked for, to see whether it arrives.

use super::super::{Context, Error, project, site};
use super::{channel, parse};
use crate::alert::Message;
use crate::alert::template::Templates;
use crate::domain::alert::Details;
use crate::domain::failure::{FailureCode, Severity};
use crate::domain::route::{self, Audience, Subject};
use crate::store::alert::route as routes;
use crate::telemetry::{self, Occasion};

/// Options that describe a failure.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct SubjectArgs {
    /// Its class, e.g. SUSPENDED_PAYMENT
    #[arg(long, default_value = "SERVER_ERROR")]
    class: String,
    /// Its severity [default: that of the class]
    #[arg(long)]
    severity: Option<String>,
    /// The site of the alert
    #[arg(long, conflicts_with = "project")]
    site: Option<String>,
    /// The project of the alert
    #[arg(long)]
    project: Option<String>,
}

impl SubjectArgs {
    pub async fn read(&self, context: &Context) -> Result<Subject, Error> {
        let class = parse::known_class(&self.class)?;
        let severity = match &self.severity {
            Some(text) => parse::severity(text)?,
            None => FailureCode::parse(&class).map_or(Severity::Warning, FailureCode::severity),
        };
        let (mut on_site, mut on_project) = (None, None);
        if let Some(name) = &self.project {
            let project = project::find(context, name, false).await?;
            on_project = Some(project::name(&project));
            on_site = Some(project.site);
        } else if let Some(name) = &self.site {
            on_site = Some(site::find(context, name).await?.name);
        }
        Ok(Subject {
            alert_id: None,
            severity,
            category: parse::category_of(&class).to_owned(),
            class,
            site: on_site,
            project: on_project,
            channel: None,
            unacknowledged_for: Some(chrono::TimeDelta::zero()),
        })
    }
}

#[derive(Debug, clap::Args)]
pub(super) struct TestArgs {
    #[command(flatten)]
    subject: SubjectArgs,
    /// Send to this channel instead of through the routes
    #[arg(long)]
    channel: Option<String>,
    /// Send to this recipient of the channel; may be repeated
    #[arg(long, value_name = "RECIPIENT", requires = "channel")]
    to: Vec<String>,
}

pub(super) async fn test(args: TestArgs, context: &Context) -> Result<(), Error> {
    let now = context.clock.now();
    let subject = args.subject.read(context).await?;
    let audiences = match args.channel {
        Some(name) => {
            let stored = channel::find(context, &name).await?;
            channel::check_recipients(channel::definition(&stored)?.kind, &args.to, &[], &[])?;
            vec![Audience { channel: name, to: args.to, cc: Vec::new(), bcc: Vec::new() }]
        }
        None => route::choose(&routes::list(&context.pool).await?, &subject, now),
    };
    let occasion = occasion(context, &subject);
    let (pool, clock) = (&context.pool, &context.clock);
    telemetry::enqueue_test(pool, clock, &templates(context), &occasion, &audiences, &context.actor()).await?;
    for audience in &audiences {
        let to = audience.recipients();
        let to = if to.is_empty() { String::new() } else { format!(" to {to}") };
        context.output.note(&format!("enqueued for channel {}{to}", audience.channel));
    }
    let id = occasion.alert_id;
    context.output.result(&id.to_string(), &serde_json::json!({"alert_id": id, "deliveries": audiences}))?;
    context.output.note(&format!("a worker sends it; see the result with `syncline alert show {id}`"));
    Ok(())
}

/// A test message as it is sent past the queue.
pub(super) fn message(context: &Context, audience: &Audience) -> Message {
    let subject = Subject {
        alert_id: None,
        severity: Severity::Info,
        category: "delivery".to_owned(),
        class: "TEST".to_owned(),
        site: None,
        project: None,
        channel: None,
        unacknowledged_for: None,
    };
    telemetry::test_message(&context.clock, &templates(context), &occasion(context, &subject), audience)
}

fn templates(context: &Context) -> Templates {
    let pages = context.config.alerts.pages().into();
    let Some(folder) = &context.config.alerts.templates else { return Templates::built_in().linking(pages) };
    let (templates, problems) = Templates::with_folder(folder);
    for problem in problems {
        context.output.warn(&format!("warning: {problem}; the built-in template is used instead"));
    }
    templates.linking(pages)
}

fn occasion(context: &Context, subject: &Subject) -> Occasion {
    let about = match (&subject.project, &subject.site) {
        (Some(project), _) => format!("project {project}"),
        (None, Some(site)) => format!("site {site}"),
        (None, None) => "syncline".to_owned(),
    };
    Occasion {
        alert_id: context.clock.new_id(),
        seq: 1,
        about,
        class: subject.class.clone(),
        category: subject.category.clone(),
        details: Details {
            severity: subject.severity,
            category: subject.category.clone(),
            since: context.clock.now(),
            count: 0,
            summary: "This is a test".to_owned(),
            advice: "Nobody needs to do anything.".to_owned(),
            last_error: None,
            run_id: None,
            rung: 0,
            next_try_at: None,
            projects: Vec::new(),
            facts: vec![("Asked for by".to_owned(), context.actor())],
        },
        project: subject.project.clone(),
        site: subject.site.clone(),
        ended_at: None,
        acknowledged_at: None,
        flaps: 0,
        site_url: None,
    }
}

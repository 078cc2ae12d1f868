//! `syncline site webhook`: lets Jira tell at once what has changed.
//!
//! What must hold: a secret is printed once, by the command that made it.

use clap::Subcommand;
use secrecy::ExposeSecret as _;
use serde::Serialize;
use uuid::Uuid;

use super::super::confirm::confirm;
use super::super::output::{time, time_or_dash};
use super::super::{Context, Error, Fields, Row, completing};
use crate::app::webhook::{self, Check, Event, Made, Secret, Way, Which};

/// Let Jira tell at once what has changed, and look at what it told
#[derive(Debug, clap::Args)]
pub(super) struct WebhookArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Args)]
struct Choice {
    /// The site's name
    #[arg(add = completing::sites())]
    site: String,
    /// How a webhook is proven [default: what fits the site]
    #[arg(long, value_enum, value_name = "KIND")]
    kind: Option<Kind>,
    /// A secret of your own: env:NAME or file:PATH [default: make one]
    #[arg(long, value_name = "REFERENCE")]
    secret: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// Jira signs the body: Cloud, and Data Center from version 10 on
    Hmac,
    /// An OAuth app sends a token, signed with its client secret
    Jwt,
    /// The address holds the secret: for every Jira that cannot sign
    Path,
}

impl From<Kind> for Way {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Hmac => Self::Hmac,
            Kind::Jwt => Self::Jwt,
            Kind::Path => Self::Path,
        }
    }
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a secret and print it, with the address and the steps in Jira
    Add(Choice),
    /// List the secrets of a site; none is shown
    List {
        /// The site's name
        #[arg(add = completing::sites())]
        site: String,
    },
    /// Make a new secret; those before it stop working after a time
    Rotate {
        #[command(flatten)]
        choice: Choice,
        /// How many hours they still work [default: 24]
        #[arg(long, value_name = "HOURS", value_parser = clap::value_parser!(i64).range(0..=720))]
        keep: Option<i64>,
    },
    /// Show how webhooks arrive; nothing is sent to Jira
    Check {
        /// The site's name
        #[arg(add = completing::sites())]
        site: String,
    },
    /// Show the webhooks that were taken in the last 7 days, newest first
    Log {
        /// The site's name
        #[arg(add = completing::sites())]
        site: String,
        /// Show those about this issue: its key or its id
        #[arg(long)]
        issue: Option<String>,
        /// Show those with this outcome
        #[arg(long, value_parser = webhook::OUTCOMES)]
        outcome: Option<String>,
        /// Show those that came before the one of this number
        #[arg(long, value_name = "ID")]
        before: Option<i64>,
        /// Show at most so many
        #[arg(long, value_parser = clap::value_parser!(i64).range(1..=500), default_value_t = 50)]
        limit: i64,
    },
    /// Remove a secret, or all: webhooks that are proven by it are refused within five seconds
    Remove {
        /// The site's name
        #[arg(add = completing::sites())]
        site: String,
        /// The secret's id [default: all of the site]
        id: Option<Uuid>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

pub(super) async fn run(args: WebhookArgs, context: &Context) -> Result<(), Error> {
    let (app, actor) = (context.app(), context.acting());
    match args.verb {
        Verb::Add(choice) => {
            let way = choice.kind.map(Way::from);
            let made = webhook::add(&app, &actor, &choice.site, way, choice.secret.as_deref()).await?;
            show(context, &choice.site, &made)
        }
        Verb::Rotate { choice, keep } => {
            let how = (choice.kind.map(Way::from), choice.secret.as_deref());
            let made = webhook::rotate(&app, &actor, &choice.site, how, keep).await?;
            show(context, &choice.site, &made)
        }
        Verb::List { site } => {
            let secrets = webhook::list(&app, &actor, &site).await?;
            let nothing = format!("site {site} takes no webhooks: allow them with `syncline site webhook add {site}`");
            context.output.rows(&secrets, &nothing)
        }
        Verb::Check { site } => context.output.fields(&webhook::check(&app, &actor, &site).await?),
        Verb::Log { site, issue, outcome, before, limit } => {
            let which = Which { before, issue, outcome, limit: Some(limit) };
            let events = webhook::log(&app, &actor, &site, &which).await?;
            context.output.rows(&events, "no such webhook came within 7 days")
        }
        Verb::Remove { site, id, yes } => {
            let what = if id.is_some() { "this secret" } else { "all secrets" };
            confirm(&format!("remove {what} of the webhooks of site {site}"), yes)?;
            let removed = webhook::remove(&app, &actor, &site, id).await?;
            let done = serde_json::json!({ "site": site, "removed": removed });
            context.output.done(&format!("removed {removed}; also remove the webhook in Jira"), &done)
        }
    }
}

/// What was made, as programs read it.
#[derive(Serialize)]
struct Shown<'a> {
    site: &'a str,
    id: Uuid,
    kind: &'static str,
    address: &'a str,
    secret: Option<&'a str>,
    ending: u64,
    steps: Vec<String>,
}

fn show(context: &Context, site: &str, made: &Made) -> Result<(), Error> {
    let (address, steps) = (made.full_address(), steps(made));
    // In an address the secret is shown with it.
    let secret = made.secret.as_ref().filter(|_| made.way != Way::Path).map(|secret| secret.expose_secret());
    let shown = Shown {
        site,
        id: made.id,
        kind: made.way.as_str(),
        address: address.expose_secret(),
        secret,
        ending: made.ending,
        steps,
    };
    let mut text = format!("address  {}", shown.address);
    if let Some(secret) = secret {
        text.push_str(&format!("\nsecret   {secret}"));
    }
    context.output.result(&text, &shown)?;
    if !made.address.is_public {
        context
            .output
            .warn("serve.public_url is not set: replace the beginning of the address by one that Jira reaches");
    }
    if made.secret.is_some() {
        context.output.note("The secret is shown only now.");
    }
    for step in &shown.steps {
        context.output.note(step);
    }
    Ok(())
}

/// What the administrator of Jira does.
fn steps(made: &Made) -> Vec<String> {
    let url = made.site_url.trim_end_matches('/');
    let events = "issue, comment, worklog, issue link, version, project and sprint";
    let mut steps = match made.way {
        Way::Jwt => vec![
            "1. Register the address for the OAuth app: POST /rest/api/3/webhook with the app's token.".to_owned(),
            format!("2. Name the events: {events}."),
            "3. Refresh it before 30 days are over: PUT /rest/api/3/webhook/refresh.".to_owned(),
        ],
        Way::Hmac | Way::Path => vec![
            format!("1. As an administrator of Jira, open {url}/plugins/servlet/webhooks and create a webhook."),
            match made.way {
                Way::Hmac => "2. Enter the address as its URL and the secret as its secret.".to_owned(),
                _ => "2. Enter the address as its URL; it holds the secret.".to_owned(),
            },
            format!("3. Choose these events, for all that they offer: {events}."),
        ],
    };
    steps.push("4. Change an issue and look: syncline site webhook check SITE".to_owned());
    if made.ending > 0 {
        steps.push(format!("{} older secrets still work for the time that was given.", made.ending));
    }
    steps
}

impl Row for Secret {
    const HEADERS: &'static [&'static str] = &["ID", "KIND", "KEPT", "CREATED", "CREATED BY", "ENDS", "LAST USED"];
    const SPARE: &'static [&'static str] = &["CREATED BY", "KEPT"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.kind.clone(),
            self.kept.clone(),
            time(self.created_at),
            self.created_by.clone(),
            time_or_dash(self.ends_at),
            time_or_dash(self.last_used_at),
        ]
    }
}

impl Row for Event {
    const HEADERS: &'static [&'static str] =
        &["ID", "RECEIVED", "EVENT", "ISSUE", "PROOF", "OUTCOME", "READ", "DELIVERY"];
    const SPARE: &'static [&'static str] = &["DELIVERY", "PROOF"];

    fn cells(&self) -> Vec<String> {
        let issue = self.issue_key.clone().or_else(|| self.issue_id.map(|id| id.to_string()));
        let outcome = match &self.reason {
            Some(reason) => format!("{}: {reason}", self.outcome),
            None => self.outcome.clone(),
        };
        vec![
            self.id.to_string(),
            time(self.received_at),
            self.kind.clone(),
            issue.unwrap_or_else(|| "–".to_owned()),
            self.verified.clone(),
            outcome,
            time_or_dash(self.read_at),
            self.delivery.clone(),
        ]
    }
}

impl Fields for Check {
    fn fields(&self) -> Vec<(&'static str, String)> {
        let standing = &self.standing;
        let seconds = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.1} s"));
        let address = match self.address_is_public {
            true => self.address.clone(),
            false => format!("{} (serve.public_url is not set)", self.address),
        };
        let secrets = match self.unreadable_secrets {
            0 => self.secrets.to_string(),
            unreadable => format!("{} ({unreadable} cannot be read here)", self.secrets),
        };
        let refused: Vec<String> = standing
            .refused
            .iter()
            .map(|one| format!("{} {} (last {})", one.count, one.reason, time(one.last_at)))
            .collect();
        vec![
            ("site", self.site.clone()),
            ("address", address),
            ("secrets", secrets),
            ("last webhook", time_or_dash(standing.last_received_at)),
            ("its delay", seconds(standing.last_delay_seconds)),
            ("taken, 7 days", standing.events.to_string()),
            ("ignored", standing.ignored.to_string()),
            ("hints waiting", standing.hints.to_string()),
            (
                "read after",
                format!("{} (p50), {} (p95)", seconds(standing.read_p50_seconds), seconds(standing.read_p95_seconds)),
            ),
            ("refused", if refused.is_empty() { "0".to_owned() } else { refused.join(", ") }),
        ]
    }
}

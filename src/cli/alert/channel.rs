//! `syncline alert channel`: what carries messages.

use std::io::{IsTerminal, Read};

use clap::Subcommand;
use secrecy::SecretString;
use serde_json::{Map, Value};

use super::super::confirm::confirm;
use super::super::output::time;
use super::super::{Context, Error, Row};
use super::parse::unknown;
use crate::alert::channel::{self, Definition, Kind, Problem};
use crate::config::secret;
use crate::domain::route::{Audience, LAST_RESORT};
use crate::store::alert::channel::{self as channels, ChannelView, NewChannel};

/// No credential is longer.
const CREDENTIAL_LIMIT_BYTES: u64 = 16 * 1024;

#[derive(Debug, clap::Args)]
pub(super) struct ChannelArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Add a channel, or change one with --update
    Add(AddArgs),
    /// List channels with their health
    List,
    /// Remove a channel that no route names
    Remove {
        /// Its name
        #[arg(add = super::super::completing::channels())]
        name: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Send a test message at once, not through the queue, and print the answer
    Test {
        /// Its name
        #[arg(add = super::super::completing::channels())]
        name: String,
        /// A recipient; may be repeated
        #[arg(long, value_name = "RECIPIENT")]
        to: Vec<String>,
    },
}

#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Settings by kind (defaults):
  email     host, port, tls = none|starttls|tls (starttls), username, from, reply_to, ca_file, timeout_seconds, pool_size;
            the credential is the password
  slack     channel, base_url, timeout_seconds; the credential is an incoming webhook's URL or a bot token
  whatsapp  phone_number_id, template, language (en), parameters, base_url, timeout_seconds; the credential is the token
  webhook   url, allow_private_addresses (false), timeout_seconds; the credential is the signing secret

Examples:
  syncline alert channel add mail --kind email --set host=smtp.example.com --set username=bot \\
      --set from=syncline@example.com --credential env:SMTP_PASSWORD
  syncline alert channel add chat --kind slack --credential file:/run/secrets/slack")]
struct AddArgs {
    /// Its name: lower-case letters, digits, dots, dashes
    name: String,
    /// email, slack, whatsapp, webhook or log
    #[arg(long, required_unless_present = "update")]
    kind: Option<String>,
    /// A setting of the channel's kind; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// Reference to its secret: env:NAME or file:PATH
    #[arg(long, value_name = "REFERENCE", conflicts_with = "credential_stdin")]
    credential: Option<String>,
    /// Read its secret from standard input and store it encrypted
    #[arg(long)]
    credential_stdin: bool,
    /// Change an existing channel; options that you leave out stay unchanged
    #[arg(long)]
    update: bool,
}

pub(super) async fn run(args: ChannelArgs, context: &Context) -> Result<(), Error> {
    match args.verb {
        Verb::Add(args) => add(args, context).await,
        Verb::List => context.output.rows(&channels::list(&context.pool, None).await?, "no channel yet"),
        Verb::Remove { name, yes } => remove(context, &name, yes).await,
        Verb::Test { name, to } => test(context, &name, to).await,
    }
}

/// The channel of that name, or an error that offers those that exist.
pub(super) async fn find(context: &Context, name: &str) -> Result<ChannelView, Error> {
    if let Some(channel) = channels::list(&context.pool, Some(name)).await?.pop() {
        return Ok(channel);
    }
    let all = channels::list(&context.pool, None).await?;
    let names: Vec<&str> = all.iter().map(|channel| channel.name.as_str()).collect();
    Err(unknown("channel", name, &names))
}

/// A channel of the database as the adapters take it.
pub(in crate::cli) fn definition(channel: &ChannelView) -> Result<Definition, Error> {
    let kind = kind(&channel.kind)?;
    let (name, settings) = (channel.name.clone(), channel.settings.clone());
    Ok(Definition { name, kind, settings, credential: channel.stored_credential.clone() })
}

fn kind(text: &str) -> Result<Kind, Error> {
    let names: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
    Kind::parse(text).ok_or_else(|| unknown("kind of channel", text, &names))
}

async fn add(args: AddArgs, context: &Context) -> Result<(), Error> {
    check_name(&args.name)?;
    let stored = if args.update { Some(find(context, &args.name).await?) } else { None };
    let kind_name =
        args.kind.clone().or_else(|| stored.as_ref().map(|channel| channel.kind.clone())).unwrap_or_default();
    let mut settings = match stored.as_ref().map(|channel| &channel.settings) {
        // The settings of another kind mean nothing to this one.
        Some(Value::Object(settings)) if args.kind.is_none() => settings.clone(),
        _ => Map::new(),
    };
    for pair in &args.set {
        let (name, value) = setting(pair)?;
        settings.insert(name, value);
    }
    let given = credential(&args, context)?;
    let credential = given.or_else(|| stored.and_then(|channel| channel.stored_credential));
    let definition =
        Definition { name: args.name.clone(), kind: kind(&kind_name)?, settings: Value::Object(settings), credential };
    check(&definition, context)?;
    let Definition { name, kind, settings, credential } = definition;
    let new = NewChannel { name, kind: kind.as_str().to_owned(), settings, credential };
    if !channels::save(&context.pool, context.clock.now(), &new, args.update, &context.actor()).await? {
        return Err(Error::failure(format!("a channel {} already exists", new.name))
            .help("change it with --update, or choose another name"));
    }
    let verb = if args.update { "changed" } else { "added" };
    let text = format!("{verb} channel {0}; test it with `syncline alert channel test {0}`", new.name);
    context.output.done(&text, &serde_json::json!({"channel": new.name, "kind": new.kind, "outcome": verb}))
}

/// The same rule as the table's.
fn check_name(name: &str) -> Result<(), Error> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let first = name.chars().next().is_some_and(fits);
    if first && name.len() <= 63 && name.chars().all(|c| fits(c) || matches!(c, '.' | '_' | '-')) {
        return Ok(());
    }
    Err(Error::usage(format!("{name:?} is not a valid channel name"))
        .help("write up to 63 lower-case letters, digits, dots, dashes and underscores"))
}

/// `NAME=VALUE`: numbers, true, false and lists are read as such, everything else is text.
fn setting(pair: &str) -> Result<(String, Value), Error> {
    let Some((name, value)) = pair.split_once('=').filter(|(name, _)| !name.is_empty()) else {
        return Err(Error::usage("--set takes NAME=VALUE").help("e.g. --set host=smtp.example.com"));
    };
    let value = match serde_json::from_str::<Value>(value) {
        Ok(read @ (Value::Number(_) | Value::Bool(_) | Value::Array(_))) => read,
        _ => Value::String(value.to_owned()),
    };
    Ok((name.to_owned(), value))
}

/// Opens the channel as a worker will. Where only the secret is missing, it may be there where the workers run.
fn check(definition: &Definition, context: &Context) -> Result<(), Error> {
    if let Some(reference) = &definition.credential
        && let Err(
            problem @ (secret::Error::NoVariable { .. } | secret::Error::NoFile { .. } | secret::Error::Empty { .. }),
        ) = secret::resolve(reference, &Definition::owner(&definition.name), &context.config.secrets)
    {
        context.output.note(&format!("note: {problem}; the workers need it, and they check the settings"));
        return Ok(());
    }
    channel::open_at(definition, &context.config.secrets, &context.clock).map(drop).map_err(Error::from)
}

/// What is to be stored: a reference that was checked, or the sealed secret.
fn credential(args: &AddArgs, context: &Context) -> Result<Option<String>, Error> {
    if let Some(reference) = &args.credential {
        secret::check_reference(reference).map_err(|problem| {
            Error::usage(problem.to_string()).help(
                "give a reference to the secret: --credential env:SMTP_PASSWORD, or pipe it to \
                    --credential-stdin",
            )
        })?;
        return Ok(Some(reference.clone()));
    }
    if !args.credential_stdin {
        return Ok(None);
    }
    if std::io::stdin().is_terminal() {
        context.output.note("Paste the secret, then press Enter and Ctrl-D:");
    }
    let mut text = String::new();
    std::io::stdin().lock().take(CREDENTIAL_LIMIT_BYTES).read_to_string(&mut text)?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(Error::usage("standard input is empty").help("pipe only the secret"));
    }
    let owner = Definition::owner(&args.name);
    let fill = |nonce: &mut [u8]| context.clock.fill_random(nonce);
    Ok(Some(secret::encrypt(&SecretString::from(text), &owner, &context.config.secrets, fill)?))
}

async fn remove(context: &Context, name: &str, yes: bool) -> Result<(), Error> {
    let channel = find(context, name).await?;
    if channel.name == LAST_RESORT {
        return Err(Error::usage(
            "the log channel cannot be removed: it takes the messages that no other channel \
            takes",
        ));
    }
    if channel.routes > 0 {
        return Err(Error::failure(format!("{} routes name channel {name}", channel.routes))
            .help("list them with `syncline alert route list`, and remove them first"));
    }
    confirm(&format!("remove channel {name}"), yes)?;
    channels::remove(&context.pool, name, &context.actor()).await?;
    let text = format!("removed channel {name}; its waiting messages go to the log");
    context.output.done(&text, &serde_json::json!({"channel": name, "outcome": "removed"}))
}

async fn test(context: &Context, name: &str, to: Vec<String>) -> Result<(), Error> {
    let stored = find(context, name).await?;
    let definition = definition(&stored)?;
    check_recipients(definition.kind, &to, &[], &[])?;
    let opened = channel::open_at(&definition, &context.config.secrets, &context.clock)?;
    let audience = Audience { channel: name.to_owned(), to, cc: Vec::new(), bcc: Vec::new() };
    let message = super::trial::message(context, &audience);
    match opened.send(&message).await {
        Ok(delivered) => {
            for (recipient, reason) in &delivered.refused {
                context.output.warn(&format!("{recipient} was refused: {reason}; {}", reason.code.advice()));
            }
            let refused: Vec<&String> = delivered.refused.iter().map(|(recipient, _)| recipient).collect();
            let done = serde_json::json!({"channel": name, "outcome": "delivered", "refused": refused});
            context.output.done(&format!("channel {name} accepted the message"), &done)?;
            if delivered.refused.is_empty() { Ok(()) } else { Err(Error::failure("some recipients were refused")) }
        }
        Err(undelivered) => {
            let reason = undelivered.reason();
            Err(Error::failure(format!(
                "channel {name} did not accept the message: \
                {reason}"
            ))
            .help(reason.code.advice()))
        }
    }
}

/// Whether messages of that kind can be sent to these people.
pub(super) fn check_recipients(kind: Kind, to: &[String], cc: &[String], bcc: &[String]) -> Result<(), Error> {
    channel::check_recipients(kind, to)?;
    for (name, list) in [("cc", cc), ("bcc", bcc)] {
        if list.is_empty() {
            continue;
        }
        if kind != Kind::Email {
            return Err(Error::usage(format!("{name} is given, but a channel of kind {kind} has no copies"))
                .help("name all recipients with --to"));
        }
        channel::check_recipients(kind, list)?;
    }
    Ok(())
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::usage(problem.to_string()).help(problem.help())
    }
}

impl Row for ChannelView {
    const HEADERS: &'static [&'static str] = &["NAME", "KIND", "STATE", "ROUTES", "CREDENTIAL", "SETTINGS", "PROBLEM"];

    fn cells(&self) -> Vec<String> {
        let settings = self.settings.as_object().into_iter().flatten();
        let settings: Vec<String> = settings
            .map(|(name, value)| match (name.as_str(), value.as_str()) {
                // What follows its host may be a key.
                ("url", Some(url)) => format!("url={}", host_of(url)),
                (name, Some(text)) => format!("{name}={text}"),
                (name, None) => format!("{name}={value}"),
            })
            .collect();
        let state = match self.failing_since {
            Some(since) => format!("failing since {} ({} in a row)", time(since), self.failures),
            None if self.probe_problem.is_some() => "unreachable".to_owned(),
            None => "ok".to_owned(),
        };
        vec![
            self.name.clone(),
            self.kind.clone(),
            state,
            self.routes.to_string(),
            self.credential.clone().unwrap_or_else(|| "-".into()),
            settings.join(" "),
            self.reason.as_ref().or(self.probe_problem.as_ref()).cloned().unwrap_or_else(|| "-".into()),
        ]
    }
}

fn host_of(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return "…".to_owned() };
    match rest.split_once(['/', '?']) {
        Some((host, path)) if !path.is_empty() => format!("{scheme}://{host}/…"),
        _ => url.to_owned(),
    }
}

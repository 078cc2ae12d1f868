//! `syncline user`: the users of Jira, and which members they are.

use clap::Subcommand;
use serde::Serialize;

use super::{Context, Error, Format, Row, member, site};
use crate::store::people::{self, MatchCounts, User, UserMatch};
use crate::store::site::Site;

/// List users of Jira, and match or link them to members
#[derive(Debug, clap::Args)]
pub struct UserArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List users with their members
    List {
        /// The site's name [default: all sites]
        #[arg(add = super::completing::sites())]
        site: Option<String>,
    },
    /// Match users to members by e-mail address, then by name if the site allows it
    #[command(after_long_help = "\
Without --apply nothing changes. Manual links stay unchanged. Names count only if the site allows it
(`syncline site update SITE --match-by-name on`), and only if they are equal and belong to exactly one unlinked member
and one user.

Examples:
  syncline user match acme
  syncline user match --apply")]
    Match {
        /// The site's name [default: all sites]
        #[arg(add = super::completing::sites())]
        site: Option<String>,
        /// Create certain links, and remove links that no longer match
        #[arg(long)]
        apply: bool,
    },
    /// Link a user to a member by hand; matching never changes this link
    Link {
        /// The site's name
        site: String,
        /// The account id of the user
        account: String,
        /// E-mail address, external id or id of the member
        member: String,
    },
    /// Remove a link
    Unlink {
        /// The site's name
        site: String,
        /// The account id of the user
        account: String,
    },
}

pub(super) async fn run(args: UserArgs, context: &Context) -> Result<(), Error> {
    match args.verb {
        Verb::List { site: name } => {
            let site_id = match name {
                Some(name) => Some(site::find(context, &name).await?.id),
                None => None,
            };
            let users = people::users(&context.pool, site_id).await?;
            context.output.rows(&users, "no user yet: the first sync of a project brings them")
        }
        Verb::Match { site: name, apply } => run_match(context, name.as_deref(), apply).await,
        Verb::Link { site: name, account, member } => link(context, &name, &account, &member).await,
        Verb::Unlink { site: name, account } => {
            let site = site::find(context, &name).await?;
            if !people::unlink(&context.pool, (site.id, &site.name), &account, &context.actor()).await? {
                return Err(Error::failure(format!("user {account:?} of site {name} has no link"))
                    .help(format!("list the users with `syncline user list {name}`")));
            }
            let done = serde_json::json!({"site": site.name, "account": account, "outcome": "unlinked"});
            context.output.done("removed the link; matching may link the user again by e-mail address", &done)
        }
    }
}

async fn link(context: &Context, name: &str, account: &str, member: &str) -> Result<(), Error> {
    let site = site::find(context, name).await?;
    let member = member::find(context, member).await?;
    if !people::link(&context.pool, (site.id, &site.name), account, member.id, &context.actor()).await? {
        return Err(Error::failure(format!("site {name} has no user with the account id {account:?}"))
            .help(format!("list the users with `syncline user list {name}`")));
    }
    let done = serde_json::json!({"site": name, "account": account, "member": member.name, "outcome": "linked"});
    context.output.done(&format!("linked {account} to {}", member.name), &done)
}

/// A user with what is to be done.
#[derive(Serialize)]
struct Advised {
    site: String,
    #[serde(flatten)]
    user: UserMatch,
    advice: Option<String>,
}

/// How many users came out how.
#[derive(Default, Serialize)]
struct Summary {
    users: usize,
    by_hand: usize,
    by_email: usize,
    by_name: usize,
    ambiguous: usize,
    unmatched: usize,
    hidden_email_addresses: usize,
    applied: bool,
    #[serde(flatten)]
    changes: MatchCounts,
}

#[derive(Serialize)]
struct Report<'a> {
    summary: &'a Summary,
    users: &'a [Advised],
}

async fn run_match(context: &Context, name: Option<&str>, apply: bool) -> Result<(), Error> {
    let sites = match name {
        Some(name) => vec![site::find(context, name).await?],
        None => crate::store::site::list(&context.pool, None).await?,
    };
    let mut summary = Summary { applied: apply, ..Summary::default() };
    let mut rows = Vec::new();
    for site in &sites {
        if apply {
            let mut conn = crate::store::acquire(&context.pool).await?;
            let changed = people::match_site(&mut conn, site.id, &context.actor()).await?;
            conn.give_back();
            summary.changes.linked += changed.linked;
            summary.changes.unlinked += changed.unlinked;
        }
        let matches = people::matches(&context.pool, site.id).await?;
        rows.extend(matches.into_iter().map(|user| Advised {
            advice: advice(site, &user),
            site: site.name.clone(),
            user,
        }));
    }
    rows.iter().for_each(|row| summary.count(&row.user));
    if context.output.format() == Format::Json {
        return context.output.result("", &Report { summary: &summary, users: &rows });
    }
    context.output.rows(&rows, "no user yet: the first sync of a project brings them")?;
    context.output.note(&summary.text());
    Ok(())
}

impl Summary {
    fn count(&mut self, user: &UserMatch) {
        self.users += 1;
        self.hidden_email_addresses += usize::from(user.email.is_none());
        match user.outcome.as_str() {
            "manual" => self.by_hand += 1,
            "email" => self.by_email += 1,
            "name" => self.by_name += 1,
            "ambiguous" => self.ambiguous += 1,
            _ => self.unmatched += 1,
        }
    }

    fn text(&self) -> String {
        let matched = self.by_hand + self.by_email + self.by_name;
        let mut text = format!(
            "{matched} of {} users matched ({} by e-mail address, {} by name, {} by hand), {} ambiguous, {} unmatched",
            self.users, self.by_email, self.by_name, self.by_hand, self.ambiguous, self.unmatched
        );
        if self.hidden_email_addresses > 0 {
            text += &format!(
                "\nJira hides the e-mail addresses of {} users: they can show them in their Atlassian profile, or an \
                 administrator of the organisation can",
                self.hidden_email_addresses
            );
        }
        text += &if self.applied {
            format!("\n{} links created or changed, {} removed", self.changes.linked, self.changes.unlinked)
        } else {
            "\nnothing was changed: create the certain links with --apply".to_owned()
        };
        text
    }
}

/// What to do about a user that is not matched.
fn advice(site: &Site, user: &UserMatch) -> Option<String> {
    let member = user.member.as_deref().unwrap_or("MEMBER");
    let (name, account) = (&site.name, &user.account_id);
    let by_hand = format!("syncline user link {name} {account} MEMBER");
    let advice = match user.reason.as_deref()? {
        "several_members" => format!("several members have this name: {by_hand}"),
        "several_users" => format!("several users have this name; link the right one: {by_hand}"),
        "member_taken" => format!("another user is already linked to {member}; if it is the same person: {by_hand}"),
        "other_email" => format!("{member} has a different e-mail address in Syncline: correct it, or {by_hand}"),
        "names_not_allowed" => {
            format!(
                "{member} has the same name: {by_hand}, or allow names: syncline site update {name} --match-by-name on"
            )
        }
        "hidden_email" => format!("its e-mail address is hidden: ask the user to show it, or {by_hand}"),
        _ => "no member has its e-mail address: import the person, or ignore the user".to_owned(),
    };
    Some(advice)
}

impl Row for Advised {
    const HEADERS: &'static [&'static str] = &["SITE", "USER", "ACCOUNT", "EMAIL", "OUTCOME", "MEMBER", "WHAT TO DO"];

    fn cells(&self) -> Vec<String> {
        let is_linked = matches!(self.user.outcome.as_str(), "manual" | "email" | "name");
        vec![
            self.site.clone(),
            self.user.display_name.clone(),
            self.user.account_id.clone(),
            self.user.email.clone().unwrap_or_else(|| "hidden".into()),
            self.user.outcome.clone(),
            self.user.member.clone().filter(|_| is_linked).unwrap_or_else(|| "-".into()),
            self.advice.clone().unwrap_or_default(),
        ]
    }
}

impl Row for User {
    const HEADERS: &'static [&'static str] = &["SITE", "USER", "ACCOUNT", "EMAIL", "ACTIVE", "MEMBER", "MATCHED BY"];

    fn cells(&self) -> Vec<String> {
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".into());
        vec![
            self.site.clone(),
            self.display_name.clone(),
            self.account_id.clone(),
            self.email.clone().unwrap_or_else(|| "hidden".into()),
            if self.active { "yes" } else { "no" }.into(),
            text(&self.member),
            text(&self.matched_by),
        ]
    }
}

//! The sites: whether their credentials are here, and whether Jira lets the account in.

use std::time::Duration;

use futures::{StreamExt, stream};

use super::super::{Context, Error, site};
use super::Report;
use crate::config::secret;
use crate::store::site::{self as sites, Site, TOKEN_ENDS_SOON};

/// Sites that are asked at once.
const AT_ONCE: usize = 8;
/// For a site that hangs: others are waiting to be told of.
const PATIENCE: Duration = Duration::from_secs(20);

enum Answer {
    In(String),
    /// The secret is somewhere else, where the workers may well find it.
    NotFromHere(Error),
    Refused(Error),
}

/// Asks every site who we are.
pub(super) async fn check(context: &Context, report: &mut Report) {
    let all = match sites::list(&context.pool, None).await {
        Ok(all) => all,
        Err(problem) => return report.refused("sites", &problem),
    };
    if all.is_empty() {
        return report.warn("sites", "none has been added", "syncline site add NAME --url … --email … --credential …");
    }
    let answers: Vec<Answer> = stream::iter(&all).map(|site| ask(context, site)).buffered(AT_ONCE).collect().await;
    for (site, answer) in all.iter().zip(answers) {
        let name = &site.name;
        let check_by_hand = || format!("syncline site check {name}");
        match answer {
            Answer::In(account) => match site.paused_until {
                Some(until) => report.warn(
                    "sites",
                    format!(
                        "{name} accepts {account}, but asked for a pause until {}",
                        super::super::output::time(until)
                    ),
                    "nothing to do; if it happens often, lower the site's concurrency",
                ),
                None => {
                    report.pass("sites", format!("{name} accepts {account}"));
                    warn_of_token(site, context, report);
                }
            },
            Answer::NotFromHere(problem) => report.warn(
                "sites",
                format!("{name} cannot be checked from here: {}", problem.message),
                problem.help.unwrap_or_else(check_by_hand),
            ),
            Answer::Refused(problem) => {
                report.fail("sites", format!("{name}: {}", problem.message), problem.help.unwrap_or_else(check_by_hand))
            }
        }
    }
}

/// What is known of the token's end, from Jira or from its owner.
fn warn_of_token(site: &Site, context: &Context, report: &mut Report) {
    let Some(ends) = site.token_expires_at.filter(|_| site.auth != "oauth") else { return };
    if ends - context.clock.now() < TOKEN_ENDS_SOON {
        let problem = format!("the token of {} expires at {}", site.name, super::super::output::time(ends));
        report.warn("sites", problem, format!("`syncline site update {} --token-stdin`, with a new one", site.name));
    }
}

async fn ask(context: &Context, site: &Site) -> Answer {
    match secret::resolve(&site.stored_credential, &site.name, &context.config.secrets) {
        // OAuth has its tokens elsewhere.
        Err(_) if site.auth == "oauth" => {}
        Ok(_) => {}
        Err(problem @ (secret::Error::NoVariable { .. } | secret::Error::NoFile { .. })) => {
            return Answer::NotFromHere(problem.into());
        }
        Err(problem) => return Answer::Refused(problem.into()),
    }
    let asked = async { Ok::<_, Error>(site::client(context, site)?.myself().await?) };
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(me)) => Answer::In(me.display_name),
        Ok(Err(problem)) => Answer::Refused(problem),
        Err(_) => Answer::Refused(
            Error::failure(format!("no answer from {} within {} s", site.base_url, PATIENCE.as_secs()))
                .help("check the site's status page, the network and proxies"),
        ),
    }
}

//! Who a text names: as the list of a project has it, as the replica knows it, as Jira does.

use std::collections::HashMap;

use super::super::{Context, Error, site};
use super::name;
use crate::domain::record::UserRecord;
use crate::jira::Offered;
use crate::store::project::Project;
use crate::store::site::Site;
use crate::store::tracking::{self, TrackedUser};
use crate::store::{self, replica};

/// The account ids of texts by site: each is looked up once, however many projects it is for.
#[derive(Default)]
pub(super) struct Known(HashMap<String, Vec<String>>);

impl Known {
    /// The account ids of texts: as the replica knows them, else as Jira does.
    pub async fn accounts(&mut self, texts: &[String], site: &str, context: &Context) -> Result<Vec<String>, Error> {
        if let Some(known) = self.0.get(site) {
            return Ok(known.clone());
        }
        let found = accounts(texts, site, context).await?;
        self.0.insert(site.to_owned(), found.clone());
        Ok(found)
    }
}

async fn accounts(texts: &[String], site: &str, context: &Context) -> Result<Vec<String>, Error> {
    let site = site::find(context, site).await?;
    let known = tracking::look_up(&context.pool, site.id, texts).await?;
    let mut accounts = Vec::with_capacity(texts.len());
    for text in texts {
        let mut found: Vec<String> =
            known.iter().filter(|(asked, _)| asked == text).map(|(_, account)| account.clone()).collect();
        if found.is_empty() {
            found = ask(text, &site, context).await?;
        }
        match found.as_slice() {
            [account] => accounts.push(account.clone()),
            [] => return Err(unknown(text, &site.name)),
            several => {
                return Err(Error::failure(format!("{text:?} is {} users: {}", several.len(), several.join(", ")))
                    .help("name the user by account id"));
            }
        }
    }
    Ok(accounts)
}

fn unknown(text: &str, site: &str) -> Error {
    if text.contains('@') {
        return Error::failure(format!("no user of site {site} shows the e-mail address {text:?}")).help(
            "Jira hides addresses of users who do not show them: name the user by account id, the last part of the \
                address of their profile page",
        );
    }
    Error::failure(format!("site {site} has no user with the account id {text:?}"))
        .help(format!("list the users with `syncline user list {site}`"))
}

/// The account ids that texts name on the list of a project; none for one that is not on it.
pub(super) async fn listed(
    texts: &[String],
    project: &Project,
    context: &Context,
) -> Result<Vec<Option<String>>, Error> {
    let users = tracking::list(&context.pool, project.id).await?;
    let same =
        |value: &Option<String>, text: &str| value.as_ref().is_some_and(|value| value.eq_ignore_ascii_case(text));
    let is = |user: &TrackedUser, text: &str| {
        user.account_id == text || same(&user.username, text) || same(&user.email, text)
    };
    Ok(texts.iter().map(|text| users.iter().find(|user| is(user, text)).map(|user| user.account_id.clone())).collect())
}

/// Refuses a text that none of the projects lists.
pub(super) fn refuse_unlisted(
    texts: &[String],
    found: &[Vec<Option<String>>],
    chosen: &[Project],
) -> Result<(), Error> {
    let missing = |at: usize| found.iter().all(|of| of.get(at).is_none_or(Option::is_none));
    let Some(text) = texts.iter().enumerate().find(|(at, _)| missing(*at)).map(|(_, text)| text) else { return Ok(()) };
    match chosen {
        [one] => Err(Error::failure(format!("{text:?} is not on the list of {}", name(one)))
            .help(format!("see the list with `syncline project track {} list`", name(one)))),
        several => Err(Error::failure(format!("{text:?} is on none of the lists of {} projects", several.len()))
            .help("see the lists with `syncline project track --all list`")),
    }
}

/// The account ids of the users that Jira finds for an e-mail address, an account id or a user name: those that it is exactly.
/// They are kept, because queries of Data Center know them by their user names. An address that Jira hides matches nobody.
async fn ask(text: &str, site: &Site, context: &Context) -> Result<Vec<String>, Error> {
    let users = match site::client(context, site)?.find_users(text).await? {
        Offered::Available(users) => users,
        Offered::Absent(reason) | Offered::Forbidden(reason) => {
            return Err(Error::failure(format!("Jira does not let the account look for users: {reason}"))
                .help("grant it the 'Browse users and groups' permission, or name the user by a known account id"));
        }
    };
    let is = |value: &Option<String>| value.as_ref().is_some_and(|value| value.eq_ignore_ascii_case(text));
    let exact: Vec<UserRecord> =
        users.into_iter().filter(|user| user.account_id == text || is(&user.email) || is(&user.username)).collect();
    let mut conn = store::acquire(&context.pool).await?;
    replica::upsert_users(&mut conn, site.id, &exact).await?;
    conn.give_back();
    Ok(exact.into_iter().map(|user| user.account_id).collect())
}

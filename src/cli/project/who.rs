//! Who a text names, as Jira knows it.

use super::super::{Context, Error, site};
use crate::jira::Offered;
use crate::store::site::Site;

/// The account ids of the users that Jira finds for an e-mail address or an account id: those that it is exactly. An
/// address that Jira hides matches nobody.
pub(super) async fn ask(text: &str, site: &Site, context: &Context) -> Result<Vec<String>, Error> {
    let users = match site::client(context, site)?.find_users(text).await? {
        Offered::Available(users) => users,
        Offered::Absent(reason) | Offered::Forbidden(reason) => {
            return Err(Error::failure(format!("Jira does not let the account look for users: {reason}"))
                .help("grant it the 'Browse users and groups' permission, or name the user by an account id that is known here"));
        }
    };
    let is = |email: &Option<String>| email.as_ref().is_some_and(|email| email.eq_ignore_ascii_case(text));
    let exact = users.into_iter().filter(|user| user.account_id == text || is(&user.email));
    Ok(exact.map(|user| user.account_id).collect())
}

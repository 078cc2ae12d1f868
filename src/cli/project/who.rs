//! Who a text names, as Jira knows it.

use super::super::{Context, Error, site};
use crate::domain::record::UserRecord;
use crate::jira::Offered;
use crate::store::site::Site;
use crate::store::{self, replica};

/// The account ids of the users that Jira finds for an e-mail address, an account id or a user name: those that it is exactly.
/// They are kept, because queries of Data Center know them by their user names. An address that Jira hides matches nobody.
pub(super) async fn ask(text: &str, site: &Site, context: &Context) -> Result<Vec<String>, Error> {
    let users = match site::client(context, site)?.find_users(text).await? {
        Offered::Available(users) => users,
        Offered::Absent(reason) | Offered::Forbidden(reason) => {
            return Err(Error::failure(format!("Jira does not let the account look for users: {reason}"))
                .help("grant it the 'Browse users and groups' permission, or name the user by an account id that is known here"));
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

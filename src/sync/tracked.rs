//! Which issues concern the listed users of a project, said in JQL.
//!
//! An issue concerns a user who is its assignee, its reporter, or has logged work on it. Who has commented on it cannot be
//! asked for in JQL, so a comment alone brings no issue in.
//!
//! What must hold: a query stays short enough for Jira and for every proxy on the way, so many users are asked for in
//! several chains; a user whose history was not read yet is in the chains of all users too, so that nothing falls between
//! the end of the history and the cursor.

use crate::domain::window::Window;
use crate::jira::jql;
use crate::store::page::QueriedUser;
use crate::store::plan::{BACKFILL, ListedUser, Part};

/// The longest part of a query that names users, in characters.
const LONGEST_CLAUSE: usize = 5_500;

/// The clause of a query: ` AND (assignee in (…) OR …)`. No issue concerns nobody.
pub(super) fn clause(users: &[QueriedUser]) -> String {
    if users.is_empty() {
        return " AND assignee is EMPTY AND assignee is not EMPTY".to_owned();
    }
    let list = users.iter().map(|user| jql::quote(&user.name)).collect::<Vec<String>>().join(", ");
    format!(" AND (assignee in ({list}) OR reporter in ({list}) OR worklogAuthor in ({list}))")
}

/// Divides users so that the clause of each group is short enough; answers their account ids.
fn groups(users: &[&ListedUser]) -> Vec<Vec<String>> {
    let mut groups: Vec<Vec<String>> = Vec::new();
    let mut length = LONGEST_CLAUSE;
    for user in users {
        let more = 3 * (jql::quote(&user.name).len() + 2);
        if length + more > LONGEST_CLAUSE {
            groups.push(Vec::new());
            length = clause(&[]).len();
        }
        length += more;
        if let Some(group) = groups.last_mut() {
            group.push(user.account_id.clone());
        }
    }
    groups
}

/// What is walked for the listed users.
pub(super) fn parts(users: &[ListedUser], window: Window) -> Vec<Part> {
    let all: Vec<&ListedUser> = users.iter().collect();
    let part = |window, chain, accounts| Part { window, estimated_issues: None, chain, accounts: Some(accounts) };
    let mut parts: Vec<Part> = (0..).zip(groups(&all)).map(|(chain, accounts)| part(window, chain, accounts)).collect();
    if !window.is_full() {
        let new: Vec<&ListedUser> = users.iter().filter(|user| !user.backfilled).collect();
        parts.extend(groups(&new).into_iter().map(|accounts| part(Window::FULL, BACKFILL, accounts)));
    }
    parts
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn user(account_id: &str, backfilled: bool) -> ListedUser {
        ListedUser { account_id: account_id.into(), name: account_id.into(), backfilled }
    }

    fn queried(accounts: &[String]) -> Vec<QueriedUser> {
        accounts.iter().map(|id| QueriedUser { account_id: id.clone(), name: id.clone() }).collect()
    }

    fn users(count: usize) -> Vec<ListedUser> {
        (0..count).map(|n| user(&format!("712020:{n:036}"), true)).collect()
    }

    #[test]
    fn a_query_over_many_users_is_divided_and_names_each_once() {
        let parts = parts(&users(500), Window::FULL);
        assert!(parts.len() > 5);
        let longest = parts.iter().map(|part| clause(&queried(part.accounts.as_deref().unwrap())).len()).max().unwrap();
        assert!(longest <= LONGEST_CLAUSE, "{longest}");
        assert_eq!(parts.iter().map(|part| part.accounts.as_ref().unwrap().len()).sum::<usize>(), 500);
        assert_eq!(
            parts.iter().map(|part| part.chain).collect::<Vec<_>>(),
            (0..).take(parts.len()).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_new_user_is_read_whole_and_with_everyone() {
        let window = Window { from: DateTime::from_timestamp_millis(5), to: None };
        let parts = parts(&[user("a", true), user("b", false)], window);
        assert_eq!(parts.len(), 2);
        assert_eq!((parts[0].chain, parts[0].window), (0, window));
        assert_eq!(parts[0].accounts.as_deref().unwrap(), ["a", "b"]);
        assert_eq!((parts[1].chain, parts[1].window), (BACKFILL, Window::FULL));
        assert_eq!(parts[1].accounts.as_deref().unwrap(), ["b"]);
    }

    #[test]
    fn an_account_cannot_leave_its_quotes() {
        assert_eq!(
            clause(&queried(&["a\") OR (1".into()])),
            r#" AND (assignee in ("a\") OR (1") OR reporter in ("a\") OR (1") OR worklogAuthor in ("a\") OR (1"))"#
        );
    }

    #[test]
    fn nobody_listed_is_nothing_to_walk() {
        assert!(parts(&[], Window::FULL).is_empty());
    }
}

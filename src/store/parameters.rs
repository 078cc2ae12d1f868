//! The parameters of a database URL.
//!
//! The driver logs a parameter that it does not know with its value, which may be a password. So only those that it knows
//! are handed to it. What must hold: a parameter that is left out is told by its name, and no value is ever shown.

use url::Url;

use crate::observe::events;

/// What the driver reads, besides `options[…]`.
const KNOWN: [&str; 18] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

/// The URL without parameters that nobody reads; those are logged by name.
pub(super) fn known_only(url: &Url) -> Url {
    let (known, unknown): (Vec<_>, Vec<_>) = url.query_pairs().partition(|(name, _)| is_known(name));
    let mut kept = url.clone();
    if unknown.is_empty() {
        return kept;
    }
    let names: Vec<String> = unknown.iter().map(|(name, _)| shown(name)).collect();
    tracing::warn!(
        event = events::DATABASE_PARAMETER_IGNORED,
        names = names.join(", "),
        "the database URL has unknown parameters; their values are not shown"
    );
    kept.set_query(None);
    if !known.is_empty() {
        kept.query_pairs_mut().extend_pairs(known);
    }
    kept
}

fn is_known(name: &str) -> bool {
    KNOWN.contains(&name) || name.starts_with("options[")
}

/// A name as it may be shown: a password with a `?` in it, not percent-encoded, ends up in the place of names.
fn shown(name: &str) -> String {
    let is_name = name.len() <= 40 && name.chars().all(|c| c.is_ascii_lowercase() || matches!(c, '_' | '-'));
    match is_name && !name.is_empty() {
        true => name.to_owned(),
        false => format!("one of {} characters that is not a name", name.chars().count()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_parameter_is_left_out_and_its_value_with_it() {
        let url = |text: &str| known_only(&Url::parse(text).unwrap()).to_string();
        assert_eq!(url("postgres://u:p@h/db"), "postgres://u:p@h/db");
        assert_eq!(url("postgres://u:p@h/db?sslmode=require"), "postgres://u:p@h/db?sslmode=require");
        assert_eq!(url("postgres://u:p@h/db?sslpassword=hunter2"), "postgres://u:p@h/db");
        let mixed = url("postgres://h/db?passwd=hunter2&user=u&options%5Bsearch_path%5D=a&pasword=hunter2");
        assert!(!mixed.contains("hunter2") && mixed.contains("user=u") && mixed.contains("search_path"), "{mixed}");
        assert_eq!(shown("channel_binding"), "channel_binding");
        for secret in ["hunter2@h/db", "", "Hunter2"] {
            assert!(!shown(secret).contains("unter2"), "{secret}");
        }
    }
}

//! How an account is let in: what a refusal means for its owner depends on it.

use super::FailureCode;

/// The kind of credential, as far as advice differs by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Means {
    /// Not known here.
    #[default]
    Unknown,
    /// An e-mail address and an API token: Jira Cloud.
    ApiToken,
    /// A user name and a password: Data Center.
    Password,
    /// A personal access token of Data Center, or the token of a service account.
    PersonalToken,
    /// The consent of a person, by OAuth 2.0.
    OAuth,
}

impl Means {
    /// The means of a site: its `auth` and `kind` as stored.
    pub fn of(auth: &str, kind: &str) -> Self {
        match (auth, kind) {
            ("basic", "cloud") => Self::ApiToken,
            ("basic", _) => Self::Password,
            ("bearer", _) => Self::PersonalToken,
            ("oauth", _) => Self::OAuth,
            _ => Self::Unknown,
        }
    }
}

impl FailureCode {
    /// What to do, and who has to do it, for an account that is let in by these means.
    pub const fn advice_for(self, means: Means) -> &'static str {
        match (self, means) {
            (Self::AuthInvalid, Means::ApiToken) => {
                "A site administrator must check the account's e-mail address and API token; store the right ones with `syncline site update SITE --email ADDRESS --token-stdin`. A run starts by itself then."
            }
            (Self::AuthInvalid, Means::Password) => {
                "A site administrator must check the account's user name and password; store the right ones with `syncline site update SITE --email USER --token-stdin`. A run starts by itself then."
            }
            (Self::AuthInvalid, Means::PersonalToken) => {
                "A site administrator must check the personal access token: its owner may have revoked it in the profile; store another one with `syncline site update SITE --token-stdin`. A run starts by itself then."
            }
            (Self::AuthInvalid, Means::OAuth) => {
                "A site administrator must check the OAuth app, and that the person who consented still has access; authorize the site again with `syncline site authorize SITE --client-id ID --client-secret env:NAME`. A run starts by itself then."
            }
            (Self::AuthExpired, Means::ApiToken) => {
                "The API token has expired: its owner must create a new one and store it with `syncline site update SITE --token-stdin`. A run starts by itself then."
            }
            (Self::AuthExpired, Means::Password) => {
                "The password has expired: the account's owner must set a new one in Jira and store it with `syncline site update SITE --token-stdin`. A run starts by itself then."
            }
            (Self::AuthExpired, Means::PersonalToken) => {
                "The personal access token has expired: its owner must create a new one in Jira and store it with `syncline site update SITE --token-stdin`. A run starts by itself then."
            }
            (Self::AuthExpired, Means::OAuth) => {
                "The consent has ended: a person must consent again with `syncline site authorize SITE --client-id ID --client-secret env:NAME`. A run starts by itself then."
            }
            (Self::Captcha, Means::OAuth | Means::PersonalToken) => {
                "Jira asks for a CAPTCHA, although a token needs no log-in: the account's owner must log in once in a browser. If this happens again, look for a proxy that answers in place of Jira."
            }
            _ => self.advice(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_about_credentials_fits_their_kind() {
        let advice = |auth, kind| FailureCode::AuthExpired.advice_for(Means::of(auth, kind));
        assert!(advice("basic", "cloud").contains("API token"));
        assert!(advice("basic", "data_center").contains("password"));
        assert!(advice("bearer", "data_center").contains("personal access token"));
        assert!(advice("oauth", "cloud").contains("syncline site authorize"));
        assert!(!advice("oauth", "cloud").contains("--token-stdin"));
        assert_eq!(advice("", ""), FailureCode::AuthExpired.advice());
        assert_eq!(FailureCode::Timeout.advice_for(Means::OAuth), FailureCode::Timeout.advice());
    }
}

//! Personal access tokens of Data Center: how long the one that lets us in has to live.
//!
//! Jira lists the account's own tokens since 8.14, each with its end, and does not say which of them a request came with. So
//! the answer is certain where there is one, and a careful guess where there are several: of those in use, the one that ends
//! first.

use chrono::{DateTime, TimeDelta, Utc};

use super::answers::Offered;
use super::catalogue::ListPage;
use super::client::{Api, JiraClient, offered};
use super::endpoint::Endpoint;
use crate::domain::failure::Failure;

/// A token of the account, as Jira lists it. The token itself is never told again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonalToken {
    /// The name that its owner gave it.
    pub name: String,
    /// When it ends; never where there is none.
    pub ends_at: Option<DateTime<Utc>>,
    /// When it was used last, where Jira tells.
    pub used_at: Option<DateTime<Utc>>,
}

/// What is known of the token that lets us in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnToken {
    /// Its name.
    pub name: String,
    /// When it ends; never where there is none.
    pub ends_at: Option<DateTime<Utc>>,
    /// How many it may be; more than one is a guess.
    pub of: usize,
}

/// Ours is in use; one that was last used so long before now is somebody else's.
const IN_USE: TimeDelta = TimeDelta::days(2);

impl OwnToken {
    /// The token that may be ours and ends first.
    pub fn among(tokens: &[PersonalToken], now: DateTime<Utc>) -> Option<Self> {
        let lives = |token: &&PersonalToken| token.ends_at.is_none_or(|ends| ends > now);
        let in_use = |token: &&PersonalToken| token.used_at.is_some_and(|used| now - used < IN_USE);
        let live: Vec<&PersonalToken> = tokens.iter().filter(lives).collect();
        let used: Vec<&PersonalToken> = live.iter().copied().filter(in_use).collect();
        let candidates = if used.is_empty() { live } else { used };
        let first = candidates.iter().min_by_key(|token| token.ends_at.unwrap_or(DateTime::<Utc>::MAX_UTC))?;
        Some(Self { name: first.name.clone(), ends_at: first.ends_at, of: candidates.len() })
    }
}

impl JiraClient {
    /// The personal access tokens of the account. Data Center from 8.14; elsewhere there is no such list.
    pub async fn personal_tokens(&self) -> Result<Offered<Vec<PersonalToken>>, Failure> {
        let answer = self.try_get(Endpoint::PersonalTokens, Api::PersonalTokens, "tokens", &[]).await;
        // An older server answers with the page that it has for people.
        let answer = match answer {
            Err(refused) if refused.status.is_some_and(|status| status.as_u16() == 404) => {
                return Ok(Offered::Absent(refused.failure.message));
            }
            answer => answer,
        };
        match offered(answer)? {
            Offered::Available(body) => Ok(Offered::Available(parse(&body)?)),
            Offered::Absent(reason) => Ok(Offered::Absent(reason)),
            Offered::Forbidden(reason) => Ok(Offered::Forbidden(reason)),
        }
    }
}

fn parse(body: &[u8]) -> Result<Vec<PersonalToken>, Failure> {
    let listed = ListPage::read(body, "personal access tokens")?.listed("token", |_, token| {
        Some(PersonalToken {
            name: token.text("name").unwrap_or_default(),
            ends_at: token.moment("expiringAt"),
            used_at: token.moment("lastAccessedAt"),
        })
    });
    Ok(listed.records)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn own(body: &str) -> Option<OwnToken> {
        OwnToken::among(&parse(body.as_bytes()).unwrap(), at("2026-03-01T12:00:00Z"))
    }

    #[test]
    fn one_token_that_lives_is_ours() {
        let token = own(r#"[
            {"id":1,"name":"old","createdAt":"2025-01-01T08:00:00.000+0000","expiringAt":"2025-04-01T08:00:00.000+0000"},
            {"id":2,"name":"sync","createdAt":"2026-01-01T08:00:00.000+0000","expiringAt":"2026-04-01T10:00:00.000+0200",
             "lastAccessedAt":"2026-03-01T11:59:00.000+0000"}]"#);
        let expected = OwnToken { name: "sync".into(), ends_at: Some(at("2026-04-01T08:00:00Z")), of: 1 };
        assert_eq!(token, Some(expected));
    }

    #[test]
    fn of_several_in_use_the_one_that_ends_first_may_be_ours() {
        let token = own(r#"[
            {"id":1,"name":"a","expiringAt":"2026-05-01T00:00:00.000+0000","lastAccessedAt":"2026-03-01T11:00:00.000+0000"},
            {"id":2,"name":"b","expiringAt":"2026-04-01T00:00:00.000+0000","lastAccessedAt":"2026-03-01T10:00:00.000+0000"},
            {"id":3,"name":"for ever","expiringAt":null,"lastAccessedAt":"2026-03-01T11:30:00.000+0000"},
            {"id":4,"name":"forgotten","expiringAt":"2026-03-05T00:00:00.000+0000","lastAccessedAt":"2026-01-01T00:00:00.000+0000"},
            {"id":5,"name":"unused","expiringAt":"2026-03-06T00:00:00.000+0000"}]"#);
        assert_eq!(token.map(|token| (token.name, token.of)), Some(("b".into(), 3)));
    }

    #[test]
    fn a_token_may_live_for_ever_and_a_list_may_be_empty() {
        let token = own(r#"[{"id":1,"name":"sync","createdAt":"2026-01-01T08:00:00.000+0000"}]"#);
        assert_eq!(token.map(|token| token.ends_at), Some(None));
        assert_eq!(own("[]"), None);
        assert!(parse(b"{}").is_err());
    }
}

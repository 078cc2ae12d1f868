//! Atlassian's personal-data reporting: an app that stores personal data tells whose, and hears which accounts were closed and
//! which have changed (developer.atlassian.com/cloud/jira/platform/user-privacy-developer-guide).
//!
//! What must hold: nothing of a person is sent but the account id and when it was last read.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::client::decode;
use super::endpoint::Endpoint;
use super::loose::{Loose, Text};
use super::transport::HttpPool;
use crate::domain::failure::Failure;

/// The most accounts of one request.
pub const REPORT_LIMIT: usize = 90;

/// What Atlassian says of accounts that were reported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reported {
    /// Accounts that were closed: what is stored of them is to be erased.
    pub closed: Vec<String>,
    /// Accounts whose data have changed since they were read.
    pub updated: Vec<String>,
    /// After how many days all are to be reported again.
    pub cycle_days: Option<i64>,
    /// Why the app may not report, where it may not.
    pub withheld: Option<String>,
    /// The token was refused: another one may do.
    pub token_refused: bool,
}

#[derive(Default, Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    accounts: Vec<Account<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Account<'a> {
    #[serde(borrow)]
    account_id: Loose<Text<'a>>,
    #[serde(borrow)]
    status: Loose<Text<'a>>,
}

/// Reports up to [`REPORT_LIMIT`] accounts, each with when its data were last read.
///
/// # Errors
/// As of any request, but for refusals, which are [`Reported::withheld`]: the sync does without.
pub async fn report(
    pool: &HttpPool,
    api_url: &Url,
    token: &SecretString,
    accounts: &[(String, DateTime<Utc>)],
    timeout: Duration,
) -> Result<Reported, Failure> {
    let mut url = api_url.clone();
    url.set_path(&format!("{}/app/report-accounts/", api_url.path().trim_end_matches('/')));
    let of = |(id, at): &(String, DateTime<Utc>)| json!({ "accountId": id, "updatedAt": at.to_rfc3339_opts(SecondsFormat::Millis, true) });
    let body = json!({ "accounts": accounts.iter().map(of).collect::<Vec<_>>() });
    let request = pool.client().post(url).timeout(timeout).bearer_auth(token.expose_secret()).json(&body);
    let (outcome, told) = pool.send_once_told(Endpoint::ReportAccounts, request).await;
    let mut reported = Reported { cycle_days: told.cycle_days, ..Reported::default() };
    let body = match outcome {
        Ok(body) => body,
        Err(refused) => match refused.status.map(|status| status.as_u16()) {
            // Nothing to be done; there is no body.
            Some(204) => return Ok(reported),
            Some(status @ (400 | 401 | 403 | 404)) => {
                reported.token_refused = status == 401;
                reported.withheld = Some(refused.failure.message);
                return Ok(reported);
            }
            _ => return Err(refused.failure),
        },
    };
    let text = std::str::from_utf8(&body).unwrap_or_default();
    let answer: Answer<'_> = match serde_json::from_str(text) {
        Ok(answer) => answer,
        // As every answer that cannot be read: the error names the endpoint and no value.
        Err(_) => {
            return decode::<serde_json::Map<String, serde_json::Value>>("/app/report-accounts/", &body)
                .map(|_| reported);
        }
    };
    for account in answer.accounts {
        let (Loose::Good(Text(id)), Loose::Good(Text(status))) = (account.account_id, account.status) else { continue };
        match status.as_ref() {
            "closed" => reported.closed.push(id.into_owned()),
            "updated" => reported.updated.push(id.into_owned()),
            _ => {}
        }
    }
    Ok(reported)
}

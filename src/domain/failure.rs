//! What can go wrong with a run, in canonical terms: a code, who must act, and what the engine does about it.
//!
//! What must hold: a code decides everything (category, severity, policy, advice); texts from outside never do. A message
//! kept here has been sanitised: no secret, no control character, bounded length.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The canonical code of a failure, as stored in `sync_run.error_code` and `sync_log.code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs)] // each is explained by its advice below
pub enum FailureCode {
    AuthInvalid,
    AuthExpired,
    Captcha,
    Permission,
    SuspendedPayment,
    SiteUnavailable,
    Maintenance,
    RateLimit,
    Quota,
    NotFoundProject,
    BadQuery,
    ApiRemoved,
    SchemaChanged,
    Timeout,
    NetworkGlitch,
    Dns,
    Tls,
    ServerError,
    GatewayHtml,
    Unknown,
    /// The database refused or went away while a step was being committed.
    Database,
    /// The configuration or a stored credential cannot be used.
    Config,
    /// A defect of this program: a panic, or state that must not exist.
    Internal,
    /// The step took longer than its limit.
    StepTimeout,
    /// The process that ran the step died, more often than is allowed.
    WorkerLost,
}

/// Who or what a failure is about; alerts are routed by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Category {
    Authentication,
    Permission,
    Billing,
    Availability,
    RateLimit,
    Configuration,
    Contract,
    Network,
    Internal,
}

impl Category {
    /// The category as stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authentication => "authentication",
            Self::Permission => "permission",
            Self::Billing => "billing",
            Self::Availability => "availability",
            Self::RateLimit => "rate_limit",
            Self::Configuration => "configuration",
            Self::Contract => "contract",
            Self::Network => "network",
            Self::Internal => "internal",
        }
    }
}

impl Severity {
    /// The severity as stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

/// How loudly to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Severity {
    Info,
    Warning,
    Error,
    Critical,
}

/// What the engine does with a step that failed with a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryPolicy {
    /// Try again after a back-off with jitter; each try spends an attempt.
    Backoff,
    /// Wait until the time that was named (or a back-off when none was); the wait pauses the scope for the whole fleet
    /// and spends no attempt.
    WaitForScope,
    /// Trying again cannot help until somebody acts: the run fails now.
    FailRun,
    /// As `FailRun`, and every other step of the site is stopped too, so that an account is not locked.
    StopSite,
}

impl FailureCode {
    /// Every code, in the order of this file.
    pub const ALL: [Self; 25] = [
        Self::AuthInvalid,
        Self::AuthExpired,
        Self::Captcha,
        Self::Permission,
        Self::SuspendedPayment,
        Self::SiteUnavailable,
        Self::Maintenance,
        Self::RateLimit,
        Self::Quota,
        Self::NotFoundProject,
        Self::BadQuery,
        Self::ApiRemoved,
        Self::SchemaChanged,
        Self::Timeout,
        Self::NetworkGlitch,
        Self::Dns,
        Self::Tls,
        Self::ServerError,
        Self::GatewayHtml,
        Self::Unknown,
        Self::Database,
        Self::Config,
        Self::Internal,
        Self::StepTimeout,
        Self::WorkerLost,
    ];

    /// The code as stored and printed, e.g. `AUTH_INVALID`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AuthInvalid => "AUTH_INVALID",
            Self::AuthExpired => "AUTH_EXPIRED",
            Self::Captcha => "CAPTCHA",
            Self::Permission => "PERMISSION",
            Self::SuspendedPayment => "SUSPENDED_PAYMENT",
            Self::SiteUnavailable => "SITE_UNAVAILABLE",
            Self::Maintenance => "MAINTENANCE",
            Self::RateLimit => "RATE_LIMIT",
            Self::Quota => "QUOTA",
            Self::NotFoundProject => "NOT_FOUND_PROJECT",
            Self::BadQuery => "BAD_QUERY",
            Self::ApiRemoved => "API_REMOVED",
            Self::SchemaChanged => "SCHEMA_CHANGED",
            Self::Timeout => "TIMEOUT",
            Self::NetworkGlitch => "NETWORK_GLITCH",
            Self::Dns => "DNS",
            Self::Tls => "TLS",
            Self::ServerError => "SERVER_ERROR",
            Self::GatewayHtml => "GATEWAY_HTML",
            Self::Unknown => "UNKNOWN",
            Self::Database => "DATABASE",
            Self::Config => "CONFIG",
            Self::Internal => "INTERNAL",
            Self::StepTimeout => "STEP_TIMEOUT",
            Self::WorkerLost => "WORKER_LOST",
        }
    }

    /// The code stored as `text`, if it is one.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == text)
    }

    /// Who or what the failure is about.
    pub const fn category(self) -> Category {
        match self {
            Self::AuthInvalid | Self::AuthExpired | Self::Captcha => Category::Authentication,
            Self::Permission | Self::NotFoundProject => Category::Permission,
            Self::SuspendedPayment => Category::Billing,
            Self::SiteUnavailable | Self::Maintenance | Self::ServerError | Self::GatewayHtml => Category::Availability,
            Self::RateLimit | Self::Quota => Category::RateLimit,
            Self::Config | Self::BadQuery => Category::Configuration,
            Self::ApiRemoved | Self::SchemaChanged | Self::Unknown => Category::Contract,
            Self::Timeout | Self::NetworkGlitch | Self::Dns | Self::Tls => Category::Network,
            Self::Database | Self::Internal | Self::StepTimeout | Self::WorkerLost => Category::Internal,
        }
    }

    /// How loudly to speak of it.
    pub const fn severity(self) -> Severity {
        match self {
            Self::AuthInvalid | Self::AuthExpired | Self::Captcha | Self::SuspendedPayment | Self::ApiRemoved => {
                Severity::Critical
            }
            Self::RateLimit | Self::Quota | Self::Maintenance => Severity::Info,
            Self::NetworkGlitch | Self::Timeout | Self::GatewayHtml => Severity::Warning,
            _ => Severity::Error,
        }
    }

    /// What the engine does with a step that failed so.
    pub const fn policy(self) -> RetryPolicy {
        match self {
            Self::RateLimit | Self::Quota => RetryPolicy::WaitForScope,
            Self::AuthInvalid | Self::AuthExpired | Self::Captcha | Self::SuspendedPayment => RetryPolicy::StopSite,
            Self::Permission
            | Self::NotFoundProject
            | Self::BadQuery
            | Self::ApiRemoved
            | Self::SchemaChanged
            | Self::Config => RetryPolicy::FailRun,
            _ => RetryPolicy::Backoff,
        }
    }

    /// What to do, and who has to do it: one or two sentences for an operator.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::AuthInvalid => {
                "A site administrator must check the account's e-mail and API token; store the new one with `syncline site add --update` and start a run."
            }
            Self::AuthExpired => {
                "The token has expired: its owner must create a new API token and store it with `syncline site add --update`."
            }
            Self::Captcha => {
                "Jira asks for a CAPTCHA after failed log-ins. The account's owner must log in once in a browser; nothing is tried until then, so that the account is not locked."
            }
            Self::Permission => {
                "A Jira administrator must grant the account the 'Browse projects' permission on this project, or remove the project here with `syncline project remove`."
            }
            Self::SuspendedPayment => {
                "The Jira site is suspended for payment: its billing contact must settle the subscription. Nothing else helps."
            }
            Self::SiteUnavailable => {
                "The site is suspended, renamed or gone: check its URL in a browser and with `syncline site check`."
            }
            Self::Maintenance => "Jira is under maintenance: nothing to do, the run continues by itself.",
            Self::RateLimit => {
                "Jira asked for a pause: nothing to do. If it happens often, lower the site's concurrency."
            }
            Self::Quota => {
                "The site's API quota is spent until it resets: nothing to do. Space out schedules if it happens each hour."
            }
            Self::NotFoundProject => {
                "Jira does not know this project, or the account may not see it: check the key with `syncline project show` and in Jira; remove or re-add the project."
            }
            Self::BadQuery => {
                "Jira refused the query: an operator should report it with the run's log (`syncline log list --run RUN`)."
            }
            Self::ApiRemoved => "Jira no longer serves this endpoint: upgrade Syncline.",
            Self::SchemaChanged => {
                "Jira's answer has an unknown shape: upgrade Syncline, or report it with the run's log."
            }
            Self::Timeout => {
                "Jira did not answer in time: it is tried again. If it stays so, check the site's status page and the network."
            }
            Self::NetworkGlitch => {
                "The connection broke: it is tried again. If it stays so, check the network and proxies."
            }
            Self::Dns => "The site's host name does not resolve: check the site's URL and the pod's DNS.",
            Self::Tls => {
                "The TLS handshake failed: check the site's certificate, the proxy and the pod's root certificates."
            }
            Self::ServerError => {
                "Jira failed on its side: it is tried again. If it stays so, check the site's status page."
            }
            Self::GatewayHtml => {
                "A gateway or single sign-on page answered instead of Jira: check proxies and that the URL is the Jira site's own."
            }
            Self::Unknown => {
                "An answer that is not known yet: report it with the run's log (`syncline log list --run RUN`)."
            }
            Self::Database => {
                "PostgreSQL refused or went away: check its disk, its log and `syncline doctor`; the step is tried again."
            }
            Self::Config => "An operator must correct the configuration named in the message.",
            Self::Internal => {
                "A defect in Syncline: report it with the run's log. The step is kept: `syncline queue dead`."
            }
            Self::StepTimeout => {
                "A step took longer than its limit: it is tried again. If it stays so, check Jira's and PostgreSQL's latency."
            }
            Self::WorkerLost => {
                "Workers died while running this step: check their memory limits and logs, then `syncline queue requeue`."
            }
        }
    }
}

impl fmt::Display for FailureCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One failure, ready to be stored and shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The canonical code.
    pub code: FailureCode,
    /// What happened, sanitised and at most [`MESSAGE_LIMIT`] characters.
    pub message: String,
    /// How long the other side asked to be left alone, where it did.
    pub retry_after: Option<Duration>,
    /// What a wait pauses: see [`PauseScope`].
    pub scope: PauseScope,
}

/// The part of a site that a pause is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum PauseScope {
    /// Everything on the site.
    #[default]
    Site,
    /// Only the endpoint that answered.
    Endpoint,
}

/// The longest message that is kept, in characters.
pub const MESSAGE_LIMIT: usize = 500;

impl Failure {
    /// A failure of `code`; `message` is sanitised here, so callers may pass what they were sent.
    pub fn new(code: FailureCode, message: impl AsRef<str>) -> Self {
        Self { code, message: sanitise(message.as_ref()), retry_after: None, scope: PauseScope::Site }
    }

    /// The same with a wait that was asked for.
    pub fn after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    /// The same for a part of the site only.
    pub fn scoped(mut self, scope: PauseScope) -> Self {
        self.scope = scope;
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Failure {}

/// Makes text from outside fit for a log line, a table and a mail: white space folded, control characters dropped,
/// what looks like a credential replaced, length bounded.
pub fn sanitise(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(MESSAGE_LIMIT));
    let mut hide_next = 0usize;
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    for (index, word) in words.enumerate() {
        if index > 0 {
            out.push(' ');
        }
        let lower = word.to_ascii_lowercase();
        if hide_next > 0 && !matches!(lower.as_str(), "basic" | "bearer") {
            out.push_str("[hidden]");
            hide_next -= 1;
        } else if lower.starts_with("atatt") || lower.contains("://") && lower.contains('@') {
            out.push_str("[hidden]");
        } else {
            out.push_str(word);
            if matches!(lower.trim_end_matches([':', '=']), "bearer" | "basic" | "authorization" | "password" | "token")
                && lower.len() > 4
            {
                hide_next = usize::from(lower.ends_with([':', '=']) || matches!(lower.as_str(), "bearer" | "basic"));
            }
        }
        if out.chars().count() > MESSAGE_LIMIT {
            let cut: String = out.chars().take(MESSAGE_LIMIT - 1).collect();
            return cut + "…";
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back_from_its_stored_text() {
        for code in FailureCode::ALL {
            assert_eq!(FailureCode::parse(code.as_str()), Some(code));
            assert!(code.advice().len() > 20, "{code} has no advice");
        }
        assert_eq!(FailureCode::parse("NO_SUCH"), None);
    }

    #[test]
    fn a_message_keeps_no_secret_and_no_control_character() {
        let message = sanitise(
            "GET failed\r\n\x1b[31mAuthorization: Basic dXNlcjpwYXNz at postgres://u:p@h/db token ATATT3xSecret",
        );
        assert!(
            !message.contains("dXNlcjpwYXNz") && !message.contains("u:p@h") && !message.contains("3xSecret"),
            "{message}"
        );
        assert!(!message.chars().any(char::is_control));
        assert!(message.starts_with("GET failed"));
    }

    #[test]
    fn a_long_message_is_cut() {
        let message = sanitise(&"word ".repeat(1000));
        assert_eq!(message.chars().count(), MESSAGE_LIMIT);
        assert!(message.ends_with('…'));
    }
}

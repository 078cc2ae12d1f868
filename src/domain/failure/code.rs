//! The canonical codes, and what each of them decides.

use std::fmt;

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
    /// A reconciliation found more issues gone than it may mark at once.
    ReconcileGuard,
    /// The pages of a list or a search go on without an end.
    EndlessPages,
    /// The run took longer than it may.
    RunTimeout,
    /// So much of what a run read could not be read that it is no success.
    RecordsRejected,
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
    /// Every severity, rising.
    pub const ALL: [Self; 4] = [Self::Info, Self::Warning, Self::Error, Self::Critical];

    /// The severity stored as `text`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|severity| severity.as_str() == text)
    }

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
    pub const ALL: [Self; 29] = [
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
        Self::ReconcileGuard,
        Self::EndlessPages,
        Self::RunTimeout,
        Self::RecordsRejected,
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
            Self::ReconcileGuard => "RECONCILE_GUARD",
            Self::EndlessPages => "ENDLESS_PAGES",
            Self::RunTimeout => "RUN_TIMEOUT",
            Self::RecordsRejected => "RECORDS_REJECTED",
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
            Self::Permission | Self::NotFoundProject | Self::ReconcileGuard => Category::Permission,
            Self::SuspendedPayment => Category::Billing,
            Self::SiteUnavailable | Self::Maintenance | Self::ServerError | Self::GatewayHtml => Category::Availability,
            Self::RateLimit | Self::Quota => Category::RateLimit,
            Self::Config | Self::BadQuery | Self::RunTimeout => Category::Configuration,
            Self::ApiRemoved | Self::SchemaChanged | Self::Unknown | Self::EndlessPages | Self::RecordsRejected => {
                Category::Contract
            }
            Self::Timeout | Self::NetworkGlitch | Self::Dns | Self::Tls => Category::Network,
            Self::Database | Self::Internal | Self::StepTimeout | Self::WorkerLost => Category::Internal,
        }
    }

    /// How loudly to speak of it.
    pub const fn severity(self) -> Severity {
        match self {
            Self::AuthInvalid
            | Self::AuthExpired
            | Self::Captcha
            | Self::SuspendedPayment
            | Self::ApiRemoved
            | Self::ReconcileGuard => Severity::Critical,
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
            | Self::ReconcileGuard
            | Self::EndlessPages
            | Self::RunTimeout
            | Self::RecordsRejected
            | Self::Config => RetryPolicy::FailRun,
            _ => RetryPolicy::Backoff,
        }
    }

    /// How many failures end a step at the latest, whatever the configuration allows. A request that nobody answers takes
    /// its whole time: more attempts would keep from people for long minutes that a site hangs.
    pub const fn most_attempts(self) -> i16 {
        match self {
            Self::Timeout => 3,
            _ => i16::MAX,
        }
    }

    /// What to do, and who has to do it: one or two sentences for an operator.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::AuthInvalid => {
                "A site administrator must check the account and its token; store the right one with `syncline site update SITE --token-stdin`. A run starts by itself then."
            }
            Self::AuthExpired => {
                "The token has expired: its owner must create a new one and store it with `syncline site update SITE --token-stdin`. A run starts by itself then."
            }
            Self::Captcha => {
                "Jira asks for a CAPTCHA after failed log-ins. The account's owner must log in once in a browser; Syncline tries nothing until then, so that Jira does not lock the account."
            }
            Self::Permission => {
                "A Jira administrator must grant the account the 'Browse projects' permission on this project, or remove the project here with `syncline project remove PROJECT`."
            }
            Self::SuspendedPayment => {
                "The Jira site is suspended for payment: its billing contact must settle the subscription. There is no other remedy."
            }
            Self::SiteUnavailable => {
                "The site is suspended, renamed or gone: check its URL in a browser and with `syncline site check SITE`."
            }
            Self::Maintenance => "Jira is under maintenance: you need do nothing, the run continues by itself.",
            Self::RateLimit => {
                "Jira asked for a pause: you need do nothing. If it happens often, lower the site's `max_concurrency`: `syncline config set max_concurrency=4 --site SITE`."
            }
            Self::Quota => {
                "The site's API quota is spent until it resets: you need do nothing. If it happens every hour, make schedules less frequent."
            }
            Self::NotFoundProject => {
                "Jira does not know this project, or the account may not see it: check the key with `syncline project show PROJECT` and in Jira; remove or re-add the project."
            }
            Self::BadQuery => {
                "Jira refused the query: an operator should report it with the run's log (`syncline run logs RUN`)."
            }
            Self::ApiRemoved => {
                "There is no such endpoint at the site's address: check the address with `syncline site check SITE`. If Jira is there, it no longer serves the endpoint: upgrade Syncline."
            }
            Self::SchemaChanged => {
                "Jira's answer has an unknown shape: upgrade Syncline, or report it with the run's log."
            }
            Self::Timeout => {
                "Jira did not answer in time; Syncline retries. If this persists, check the site's status page and the network."
            }
            Self::NetworkGlitch => {
                "The connection broke; Syncline retries. If this persists, check the network and proxies."
            }
            Self::Dns => "The site's host name does not resolve: check the site's URL and the pod's DNS.",
            Self::Tls => {
                "The TLS handshake failed: check the site's certificate, the proxy and the pod's root certificates."
            }
            Self::ServerError => "Jira failed; Syncline retries. If this persists, check the site's status page.",
            Self::GatewayHtml => {
                "A gateway or single sign-on page answered instead of Jira: check proxies and that the URL is the Jira site's own."
            }
            Self::Unknown => {
                "Jira's answer is unknown to this version: report it with the run's log (`syncline run logs RUN`)."
            }
            Self::Database => {
                "PostgreSQL refused a statement or was lost: check its disk, its log and `syncline doctor`; Syncline retries the step."
            }
            Self::Config => "An operator must correct the configuration named in the message.",
            Self::Internal => {
                "A defect in Syncline: report it with the run's log. `syncline queue dead` lists the step."
            }
            Self::StepTimeout => {
                "A step took longer than its limit; Syncline retries. If this persists, check the latency of Jira and PostgreSQL."
            }
            Self::ReconcileGuard => {
                "Too many issues seem to be gone at once, which suggests a lost permission: a Jira administrator should check which issues the account may browse. If they are really gone, raise the setting `reconcile_max_share` for the project and run `syncline sync start PROJECT --reconcile`."
            }
            Self::EndlessPages => {
                "The site returns pages without an end and nothing new: a Jira administrator should look for a proxy or an app that answers in place of Jira, and rebuild the search index. The next run tries again."
            }
            Self::RunTimeout => {
                "The run reached its time limit: if the project is large or the site slow, raise the setting `project_timeout_seconds` for the project; otherwise check the run's log (`syncline run logs RUN`)."
            }
            Self::RecordsRejected => {
                "Too many issues could not be read: `syncline run logs RUN` lists them with the reasons. If Jira shows them correctly, upgrade Syncline or report it; if they are broken in Jira, have them corrected there, or raise the setting `rejected_share_max` for the project."
            }
            Self::WorkerLost => {
                "Workers died while running this step: check their memory limits and logs, then retry the step with `syncline queue requeue STEP`."
            }
        }
    }
}

impl fmt::Display for FailureCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

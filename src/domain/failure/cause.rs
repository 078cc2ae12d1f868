//! What is wrong, in words that everybody reads.

use super::FailureCode;

impl FailureCode {
    /// What is wrong, as a sentence behind what it is about: `Site acme: Jira refuses the credentials`.
    pub const fn cause(self) -> &'static str {
        match self {
            Self::AuthInvalid => "Jira refuses the credentials",
            Self::AuthExpired => "the token has expired",
            Self::Captcha => "Jira asks for a CAPTCHA after failed log-ins",
            Self::Permission => "the account may not read it",
            Self::SuspendedPayment => "Jira is suspended for payment",
            Self::SiteUnavailable => "the site is unavailable",
            Self::Maintenance => "Jira is under maintenance",
            Self::RateLimit => "Jira limits the rate of requests",
            Self::Quota => "the API quota is spent",
            Self::NotFoundProject => "Jira does not know it",
            Self::BadQuery => "Jira refuses the query",
            Self::ApiRemoved => "Jira no longer serves an endpoint",
            Self::SchemaChanged => "Jira answers in an unknown shape",
            Self::Timeout => "Jira does not answer in time",
            Self::NetworkGlitch => "connections to Jira break",
            Self::Dns => "Jira's host name does not resolve",
            Self::Tls => "the TLS handshake with Jira fails",
            Self::ServerError => "Jira fails on its side",
            Self::GatewayHtml => "a gateway answers instead of Jira",
            Self::Unknown => "Jira's answer is unknown",
            Self::Database => "PostgreSQL refuses statements",
            Self::Config => "its configuration cannot be used",
            Self::Internal => "a defect of Syncline stops its runs",
            Self::StepTimeout => "steps take longer than their limit",
            Self::EndlessPages => "Jira returns pages without an end",
            Self::RunTimeout => "runs exceed their time limit",
            Self::ReconcileGuard => "more issues seem to be gone than may be marked at once",
            Self::RecordsRejected => "too many of its issues cannot be read",
            Self::WorkerLost => "workers die while they run its steps",
        }
    }
}

//! What the Cloud API's answers mean: by the code of its error, as its page of error codes lists them.

use serde_json::Value;

use super::super::http::Answer;
use super::super::reason::{Reason, ReasonCode, Undelivered};

/// The answer's body, or why the message was refused.
pub(super) fn read(answer: &Answer) -> Result<Value, Undelivered> {
    let body = answer.json();
    if let Some(error) = body.as_ref().and_then(|body| body.get("error")) {
        return Err(refused(answer, error));
    }
    match body {
        Some(body) if answer.status.is_success() => Ok(body),
        None if answer.status.is_success() => {
            Err(Reason::new(ReasonCode::ServerError, "the answer is not the Cloud API's").later())
        }
        _ => Err(answer.by_status()),
    }
}

fn refused(answer: &Answer, error: &Value) -> Undelivered {
    let number = error.get("code").and_then(Value::as_i64).unwrap_or(-1);
    let said = error.get("message").and_then(Value::as_str).unwrap_or("no reason was given");
    let details = error.pointer("/error_data/details").and_then(Value::as_str).unwrap_or_default();
    let said = format!("WhatsApp answered {number}: {said} {details}");
    match known(number) {
        Some((code, true)) => answer.later(Reason::new(code, said)),
        Some((code, false)) => Reason::new(code, said).never(),
        None => match answer.by_status() {
            Undelivered::Later { after, reason } => {
                Undelivered::Later { after, reason: Reason::new(reason.code, said) }
            }
            Undelivered::Never { reason } => Reason::new(reason.code, said).never(),
        },
    }
}

/// What a code means, and whether to try again.
fn known(code: i64) -> Option<(ReasonCode, bool)> {
    Some(match code {
        190 => (ReasonCode::AuthExpired, false),
        0 | 3 | 10 | 102 | 200..=299 | 131_005 => (ReasonCode::AuthInvalid, false),
        // Undeliverable, blocked by an experiment or by quality, not on the list of a test number, the sender itself.
        131_026 | 130_472 | 131_049 | 131_030 | 131_021 | 131_050 => (ReasonCode::RecipientRefused, false),
        131_047 => (ReasonCode::ReengagementRequired, false),
        4 | 80_007 | 130_429 | 131_048 | 131_056 | 133_016 => (ReasonCode::RateLimited, true),
        132_000 | 132_001 | 132_005 | 132_007 | 132_012 | 132_015 | 132_016 => (ReasonCode::TemplateRejected, false),
        1 | 2 | 131_000 | 131_016 | 131_057 | 133_004 => (ReasonCode::ServerError, true),
        33 | 100 | 131_008 | 131_009 | 131_045 | 133_010 => (ReasonCode::Config, false),
        // Blocked for a violation, locked, or not paid for.
        368 | 131_031 | 131_042 => (ReasonCode::Refused, false),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::*;

    #[test]
    fn a_code_says_what_is_wrong_whatever_the_status() {
        for (status, number, code, again) in [
            (400, 131_026, ReasonCode::RecipientRefused, false),
            (400, 131_030, ReasonCode::RecipientRefused, false),
            (400, 131_047, ReasonCode::ReengagementRequired, false),
            (401, 190, ReasonCode::AuthExpired, false),
            (403, 10, ReasonCode::AuthInvalid, false),
            (403, 200, ReasonCode::AuthInvalid, false),
            (400, 130_429, ReasonCode::RateLimited, true),
            (400, 131_056, ReasonCode::RateLimited, true),
            (400, 131_048, ReasonCode::RateLimited, true),
            (400, 132_000, ReasonCode::TemplateRejected, false),
            (404, 132_001, ReasonCode::TemplateRejected, false),
            (400, 132_015, ReasonCode::TemplateRejected, false),
            (500, 131_000, ReasonCode::ServerError, true),
            (503, 131_016, ReasonCode::ServerError, true),
            (400, 100, ReasonCode::Config, false),
            (400, 131_042, ReasonCode::Refused, false),
            (400, 999_999, ReasonCode::Refused, false),
            (500, 999_999, ReasonCode::ServerError, true),
            (429, 999_999, ReasonCode::RateLimited, true),
        ] {
            let body = format!(
                r#"{{"error":{{"message":"(#{number}) title","type":"OAuthException","code":{number},"error_data":{{"messaging_product":"whatsapp","details":"what to do"}},"fbtrace_id":"A1"}}}}"#
            );
            let status = StatusCode::from_u16(status).unwrap();
            let undelivered = read(&Answer { status, retry_after: None, body }).unwrap_err();
            assert_eq!(undelivered.reason().code, code, "{number}");
            assert_eq!(matches!(undelivered, Undelivered::Later { .. }), again, "{number}");
            assert!(undelivered.reason().message.contains("what to do"));
        }
    }
}

//! What Slack's answers mean.

use serde_json::Value;

use super::super::http::Answer;
use super::super::reason::{Reason, ReasonCode, Undelivered};

/// The answer of a method of the Web API: its body, or why it was refused.
pub(super) fn of_method(answer: &Answer) -> Result<Value, Undelivered> {
    match answer.json() {
        Some(body) if body.get("ok").and_then(Value::as_bool) == Some(true) => Ok(body),
        Some(body) if body.get("ok").is_some() => {
            let error = body.get("error").and_then(Value::as_str).unwrap_or("no reason was given");
            Err(undelivered(answer, error))
        }
        _ => Err(unreadable(answer)),
    }
}

/// The answer of an incoming webhook.
pub(super) fn of_webhook(answer: &Answer) -> Result<(), Undelivered> {
    if answer.status.is_success() {
        return Ok(());
    }
    let word = answer.body.trim();
    if answer.status.as_u16() == 429 || known(word).is_none() {
        return Err(answer.by_status());
    }
    Err(undelivered(answer, word))
}

/// Whether Slack took offence at how a message is built, not at who sends it or where to.
pub(super) fn is_about_form(said: &str) -> bool {
    ["invalid_blocks", "msg_blocks_too_long", "no_text", "invalid_payload", "missing_text_or_fallback_or_attachments"]
        .iter()
        .any(|word| said.contains(word))
}

/// Something other than the API answered, unless the status has a meaning of its own.
fn unreadable(answer: &Answer) -> Undelivered {
    if answer.status.is_success() {
        return Reason::new(ReasonCode::ServerError, format!("the answer is not Slack's: {}", answer.body)).later();
    }
    answer.by_status()
}

fn undelivered(answer: &Answer, error: &str) -> Undelivered {
    let (code, again) = known(error).unwrap_or((ReasonCode::Refused, false));
    let reason = Reason::new(code, format!("Slack answered {error}"));
    if again { answer.later(reason) } else { reason.never() }
}

/// The names of errors, as the pages of the methods and of incoming webhooks list them; whether to try again.
fn known(error: &str) -> Option<(ReasonCode, bool)> {
    Some(match error {
        "token_expired" | "token_revoked" => (ReasonCode::AuthExpired, false),
        "invalid_auth"
        | "not_authed"
        | "account_inactive"
        | "no_permission"
        | "missing_scope"
        | "access_denied"
        | "not_allowed_token_type"
        | "org_login_required"
        | "ekm_access_denied"
        | "two_factor_setup_required"
        | "team_access_not_granted"
        | "invalid_token"
        | "no_active_hooks"
        | "no_service"
        | "no_service_id"
        | "no_team"
        | "team_disabled" => (ReasonCode::AuthInvalid, false),
        "channel_not_found"
        | "not_in_channel"
        | "is_archived"
        | "channel_is_archived"
        | "user_not_found"
        | "user_disabled"
        | "cannot_dm_bot"
        | "messages_tab_disabled"
        | "restricted_action"
        | "restricted_action_read_only_channel"
        | "restricted_action_thread_only_channel"
        | "restricted_action_non_threadable_channel"
        | "action_prohibited"
        | "posting_to_general_channel_denied" => (ReasonCode::RecipientRefused, false),
        "ratelimited" | "rate_limited" | "message_limit_exceeded" => (ReasonCode::RateLimited, true),
        "msg_too_long" | "msg_blocks_too_long" | "too_many_attachments" => (ReasonCode::TooLarge, false),
        "internal_error"
        | "fatal_error"
        | "service_unavailable"
        | "request_timeout"
        | "team_added_to_org"
        | "accesslimited"
        | "rollup_error" => (ReasonCode::ServerError, true),
        "invalid_blocks"
        | "invalid_blocks_format"
        | "no_text"
        | "invalid_payload"
        | "invalid_arguments"
        | "thread_not_found"
        | "message_not_found"
        | "edit_window_closed"
        | "cant_update_message" => (ReasonCode::Refused, false),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use reqwest::StatusCode;

    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        let retry_after = (status == 429).then_some(Duration::from_secs(30));
        Answer { status: StatusCode::from_u16(status).unwrap(), retry_after, body: body.into() }
    }

    #[test]
    fn a_method_that_is_not_ok_says_why() {
        for (status, body, code, again) in [
            (200, r#"{"ok":false,"error":"token_expired"}"#, ReasonCode::AuthExpired, false),
            (200, r#"{"ok":false,"error":"token_revoked"}"#, ReasonCode::AuthExpired, false),
            (200, r#"{"ok":false,"error":"invalid_auth"}"#, ReasonCode::AuthInvalid, false),
            (200, r#"{"ok":false,"error":"missing_scope","needed":"chat:write"}"#, ReasonCode::AuthInvalid, false),
            (200, r#"{"ok":false,"error":"not_in_channel"}"#, ReasonCode::RecipientRefused, false),
            (200, r#"{"ok":false,"error":"is_archived"}"#, ReasonCode::RecipientRefused, false),
            (200, r#"{"ok":false,"error":"ratelimited"}"#, ReasonCode::RateLimited, true),
            (429, r#"{"ok":false,"error":"ratelimited"}"#, ReasonCode::RateLimited, true),
            (429, "slow down", ReasonCode::RateLimited, true),
            (200, r#"{"ok":false,"error":"msg_too_long"}"#, ReasonCode::TooLarge, false),
            (200, r#"{"ok":false,"error":"fatal_error"}"#, ReasonCode::ServerError, true),
            (200, r#"{"ok":false,"error":"something_new"}"#, ReasonCode::Refused, false),
            (503, "<html>", ReasonCode::ServerError, true),
            (200, "<html>sign in</html>", ReasonCode::ServerError, true),
        ] {
            let undelivered = of_method(&answer(status, body)).unwrap_err();
            assert_eq!(undelivered.reason().code, code, "{status} {body}");
            assert_eq!(matches!(undelivered, Undelivered::Later { .. }), again, "{status} {body}");
        }
        let limited = of_method(&answer(429, r#"{"ok":false,"error":"ratelimited"}"#)).unwrap_err();
        assert!(matches!(limited, Undelivered::Later { after: Some(wait), .. } if wait.as_secs() == 30));
    }

    #[test]
    fn a_webhook_answers_with_a_status_and_a_word() {
        assert!(of_webhook(&answer(200, "ok")).is_ok());
        for (status, body, code, again) in [
            (403, "action_prohibited", ReasonCode::RecipientRefused, false),
            (404, "channel_not_found", ReasonCode::RecipientRefused, false),
            (404, "no_service", ReasonCode::AuthInvalid, false),
            (403, "invalid_token", ReasonCode::AuthInvalid, false),
            (410, "channel_is_archived", ReasonCode::RecipientRefused, false),
            (400, "invalid_payload", ReasonCode::Refused, false),
            (429, "rate_limited", ReasonCode::RateLimited, true),
            (500, "rollup_error", ReasonCode::ServerError, true),
            (502, "bad gateway", ReasonCode::ServerError, true),
        ] {
            let undelivered = of_webhook(&answer(status, body)).unwrap_err();
            assert_eq!(undelivered.reason().code, code, "{status} {body}");
            assert_eq!(matches!(undelivered, Undelivered::Later { .. }), again, "{status} {body}");
        }
    }
}

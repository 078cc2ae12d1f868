//! The table of answers: each shape that Jira, its front door, and what stands before it are known to give.

use reqwest::header::{HeaderName, HeaderValue};

use super::*;

const HTML: &str = "<!DOCTYPE html><html><head><title>Log in</title></head></html>";
const USUAL: &str = r#"{"errorMessages":["Something is wrong."],"errors":{}}"#;
const HTML_TYPE: (&str, &str) = ("content-type", "text/html;charset=UTF-8");

/// Name, status, headers, body, endpoint; code, seconds to wait, scope.
type Row =
    (&'static str, u16, &'static [(&'static str, &'static str)], &'static str, Endpoint, Code, Option<u64>, PauseScope);

fn now() -> DateTime<Utc> {
    "2024-05-01T10:20:00Z".parse().unwrap()
}

fn answer(status: u16, headers: &[(&str, &str)], body: &str, endpoint: Endpoint) -> Failure {
    let header = |(name, value): &(&str, &str)| {
        (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
    };
    let headers: HeaderMap = headers.iter().map(header).collect();
    let status = StatusCode::from_u16(status).unwrap();
    classify(&Answer {
        status,
        headers: &headers,
        body_prefix: body.as_bytes(),
        endpoint,
        path: "",
        now: now(),
        secrets: &Secrets::default(),
    })
}

#[rustfmt::skip]
const TABLE: &[Row] = {
    use Code::*;
    use Endpoint::{Comments, Issue, Myself, Project, Search, Worklogs};
    use PauseScope::{Endpoint as Only, Site};
    &[
        // Credentials.
        ("a wrong token", 401, &[("www-authenticate", "OAuth realm=\"https%3A%2F%2Facme.example.com\"")], USUAL, Myself, AuthInvalid, None, Site),
        ("a wrong token, plain text", 401, &[("content-type", "text/plain")], "Basic authentication with passwords is deprecated.", Myself, AuthInvalid, None, Site),
        ("a wrong token, HTML", 401, &[HTML_TYPE], HTML, Search, AuthInvalid, None, Site),
        ("a wrong token, no body", 401, &[], "", Search, AuthInvalid, None, Site),
        ("a wrong token, gateway's JSON", 401, &[], r#"{"code":401,"message":"Unauthorized"}"#, Search, AuthInvalid, None, Site),
        ("an anonymous 200", 200, &[("x-seraph-loginreason", "AUTHENTICATED_FAILED")], r#"{"issues":[]}"#, Search, AuthInvalid, None, Site),
        ("a token that has expired, by challenge", 401, &[("www-authenticate", "Bearer error=\"invalid_token\", error_description=\"x\"")], "", Search, AuthExpired, None, Site),
        ("a token that has expired, by code", 401, &[], r#"{"error":"token_expired"}"#, Search, AuthExpired, None, Site),
        ("a refresh token that is spent", 403, &[], r#"{"error":"invalid_grant","error_description":"x"}"#, Myself, AuthExpired, None, Site),
        ("a bearer on the site's URL", 403, &[], r#"{"error":"Failed to parse Connect Session Auth Token"}"#, Myself, AuthInvalid, None, Site),
        ("a CAPTCHA by reason", 403, &[("x-authentication-denied-reason", "CAPTCHA_CHALLENGE; login-url=https://acme.example.com/login.jsp")], HTML, Myself, Captcha, None, Site),
        ("a CAPTCHA by Seraph", 401, &[("x-seraph-loginreason", "AUTHENTICATION_DENIED")], "", Search, Captcha, None, Site),
        ("Data Center's wrong password, HTML", 401, &[("www-authenticate", "OAuth realm=\"https%3A%2F%2Fjira.example.com\""), ("x-seraph-loginreason", "AUTHENTICATED_FAILED"), ("x-arequestid", "600x1x1"), HTML_TYPE], "<html><body><h1>Nicht autorisiert (401)</h1></body></html>", Myself, AuthInvalid, None, Site),
        ("Data Center's anonymous 401", 401, &[("www-authenticate", "JIRA REST POST"), ("x-seraph-loginreason", "OUT")], r#"{"errorMessages":["Sie sind nicht angemeldet."],"errors":{}}"#, Issue, AuthInvalid, None, Site),
        ("Data Center's expired access token", 401, &[("x-arequestid", "600x1x1"), ("x-ausername", "anonymous")], "", Myself, AuthInvalid, None, Site),
        ("a token's missing scope, by challenge", 401, &[("www-authenticate", "Bearer error=\"insufficient_scope\"")], "", Search, Permission, None, Site),
        ("Spring's 401", 401, &[], r#"{"timestamp":"2024-05-01T10:00:00Z","status":401,"error":"Unauthorized","path":"/rest/api/3/myself"}"#, Myself, AuthInvalid, None, Site),
        ("a 401 by RFC 7807", 401, &[("content-type", "application/problem+json")], r#"{"type":"about:blank","title":"Unauthorized","status":401}"#, Myself, AuthInvalid, None, Site),
        ("a 401 in the words of gRPC", 401, &[], r#"{"code":16,"message":"unauthenticated","details":[]}"#, Myself, AuthInvalid, None, Site),
        ("Data Center's CAPTCHA, HTML", 403, &[("x-authentication-denied-reason", "CAPTCHA_CHALLENGE; login-url=https://jira.example.com/login.jsp"), ("x-seraph-loginreason", "AUTHENTICATION_DENIED"), HTML_TYPE], "<html><h1>Forbidden (403)</h1></html>", Search, Captcha, None, Site),
        // Rights and bills.
        ("Data Center's XSRF check", 403, &[("content-type", "text/html"), ("x-arequestid", "600x1x1")], "XSRF check failed", Search, Permission, None, Site),
        ("Data Center's forbidden page", 403, &[HTML_TYPE, ("x-arequestid", "600x1x1")], "<html><h1>Verboten (403)</h1></html>", Search, Permission, None, Site),
        ("Spring's 403", 403, &[], r#"{"timestamp":1714558272000,"status":403,"error":"Forbidden","path":"/x"}"#, Search, Permission, None, Site),
        ("a 403 by RFC 7807", 403, &[], r#"{"type":"about:blank","title":"Forbidden","status":403,"detail":"x"}"#, Search, Permission, None, Site),
        ("a 403 in the words of gRPC", 403, &[], r#"{"error":{"code":403,"message":"x","status":"PERMISSION_DENIED"}}"#, Search, Permission, None, Site),
        ("no right", 403, &[], USUAL, Search, Permission, None, Site),
        ("no right, message and code", 403, &[], r#"{"message":"no","status-code":403}"#, Search, Permission, None, Site),
        ("no right, nothing said", 403, &[], "", Search, Permission, None, Site),
        ("a proxy's 403", 403, &[HTML_TYPE], HTML, Search, GatewayHtml, None, Site),
        ("unpaid", 402, &[], USUAL, Search, SuspendedPayment, None, Site),
        ("unpaid, HTML", 402, &[HTML_TYPE], HTML, Search, SuspendedPayment, None, Site),
        ("unpaid, 403", 403, &[], r#"{"errorCode":"SITE_SUSPENDED_PAYMENT","errorMessage":"x"}"#, Search, SuspendedPayment, None, Site),
        // Not there.
        ("no such project", 404, &[], r#"{"errorMessages":["No project could be found with key 'NOPE'."],"errors":{}}"#, Project, NotFoundProject, None, Site),
        ("no such issue", 404, &[], r#"{"errorMessages":["Issue does not exist or you do not have permission to see it."],"errors":{}}"#, Issue, Permission, None, Site),
        ("no such issue, of comments", 404, &[], USUAL, Comments, Permission, None, Site),
        ("the site is away, of a project", 404, &[], r#"{"errorMessage":"Site temporarily unavailable","errorCode":"OTHER"}"#, Project, SiteUnavailable, None, Site),
        ("the site is away, of an issue", 404, &[], r#"{"errorMessage":"Site temporarily unavailable","errorCode":"OTHER"}"#, Worklogs, SiteUnavailable, None, Site),
        ("the site is away, HTML", 404, &[HTML_TYPE], "<html><title>Page Unavailable</title></html>", Issue, SiteUnavailable, None, Site),
        ("the site is away, nothing said", 404, &[], "", Project, SiteUnavailable, None, Site),
        ("no such endpoint", 404, &[], r#"{"message":"null for uri","status-code":404}"#, Search, ApiRemoved, None, Site),
        ("no such endpoint on Data Center, XML's cousin", 404, &[("x-arequestid", "1")], r#"{"message":"HTTP 404 Not Found","status-code":404}"#, Search, ApiRemoved, None, Site),
        ("Spring's 404", 404, &[], r#"{"timestamp":"x","status":404,"error":"Not Found","path":"/rest/api/3/search/jql"}"#, Search, ApiRemoved, None, Site),
        ("a stub's 404 by RFC 7807", 404, &[], r#"{"type":"https://example.com/errors#NO_PATH_MATCHED_ERROR","title":"Route not resolved","status":404,"detail":"x"}"#, Search, ApiRemoved, None, Site),
        ("a stub's 404, plain text", 404, &[("content-type", "text/plain")], "No response could be served as there are no stub mappings", Search, SiteUnavailable, None, Site),
        ("Tomcat's 404", 404, &[HTML_TYPE], "<!doctype html><html lang=\"de\"><title>HTTP Status 404 – Nicht gefunden</title></html>", Project, SiteUnavailable, None, Site),
        ("no such project, in German", 404, &[], r#"{"errorMessages":["Es konnte kein Projekt mit dem Schlüssel 'NOPE' gefunden werden."],"errors":{}}"#, Project, NotFoundProject, None, Site),
        ("no such issue, in Japanese", 404, &[], r#"{"errorMessages":["課題が存在しないか、表示する権限がありません。"],"errors":{}}"#, Issue, Permission, None, Site),
        ("no such issue, in French", 404, &[], r#"{"errorMessages":["La demande n'existe pas"],"errors":{}}"#, Endpoint::Changelog, Permission, None, Site),
        ("a method that is not there", 405, &[HTML_TYPE], HTML, Search, ApiRemoved, None, Site),
        ("a removed endpoint", 410, &[], r#"{"errorMessages":["The requested API has been removed."],"errors":{}}"#, Search, ApiRemoved, None, Site),
        // Queries.
        ("a bad query", 400, &[], r#"{"errorMessages":["Unbounded JQL queries are not allowed here."],"errors":{}}"#, Search, BadQuery, None, Site),
        ("a bad query, RFC 7807", 400, &[("content-type", "application/problem+json")], r#"{"type":"about:blank","title":"Bad Request","status":400,"detail":"x"}"#, Search, BadQuery, None, Site),
        ("a project that does not exist, in German", 400, &[], r#"{"errorMessages":["Der Wert 'NOPE' existiert nicht für das Feld 'project'."],"errors":{}}"#, Search, BadQuery, None, Site),
        ("an issue that does not exist, Data Center", 400, &[("x-arequestid", "1")], r#"{"errorMessages":["ID が '5' の課題はフィールド 'id' に存在しません。"],"warningMessages":[]}"#, Endpoint::OffsetSearch, BadQuery, None, Site),
        ("a question too long", 414, &[HTML_TYPE], HTML, Endpoint::OffsetSearch, BadQuery, None, Site),
        ("a gateway's 400", 400, &[HTML_TYPE], "<html><center>nginx</center></html>", Search, GatewayHtml, None, Site),
        // Limits.
        ("a burst", 429, &[("retry-after", "7"), ("ratelimit-reason", "jira-burst-based")], USUAL, Search, RateLimit, Some(7), Only),
        ("writes on one issue", 429, &[("retry-after", "7"), ("ratelimit-reason", "jira-per-issue-on-write")], "", Issue, RateLimit, Some(7), Only),
        ("the global quota", 429, &[("retry-after", "1800"), ("ratelimit-reason", "jira-quota-global-based")], USUAL, Search, Quota, Some(1800), Site),
        ("the tenant's quota until a time", 429, &[("x-ratelimit-reset", "2024-05-01T10:21:30Z"), ("ratelimit-reason", "jira-quota-tenant-based")], "", Search, Quota, Some(90), Site),
        ("a quota until an unnamed time ends with the hour", 429, &[("ratelimit-reason", "jira-quota-global-based")], "", Search, Quota, Some(2400), Site),
        ("a limit until an epoch second", 429, &[("x-ratelimit-reset", "1714558830")], "", Search, RateLimit, Some(30), Site),
        ("a limit of Data Center", 429, &[("x-ratelimit-interval-seconds", "60")], "", Search, RateLimit, Some(60), Site),
        ("a limit of Data Center in full", 429, &[("retry-after", "3"), ("x-ratelimit-limit", "50"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-interval-seconds", "60"), ("x-ratelimit-fillrate", "5")], r#"{"message":"Rate limit exceeded.","status-code":429}"#, Endpoint::OffsetSearch, RateLimit, Some(3), Site),
        ("a limit without a word", 429, &[], "", Search, RateLimit, None, Site),
        ("a gateway's limit, HTML", 429, &[HTML_TYPE], HTML, Search, RateLimit, None, Site),
        ("a wait of nothing is a second", 429, &[("retry-after", "0")], "", Search, RateLimit, Some(1), Site),
        ("a wait that has passed is a second", 429, &[("retry-after", "Wed, 01 May 2024 10:00:00 GMT")], "", Search, RateLimit, Some(1), Site),
        ("a wait of years is a day", 429, &[("retry-after", "99999999999")], "", Search, RateLimit, Some(86400), Site),
        ("a wait that is none", 429, &[("retry-after", "-5")], "", Search, RateLimit, None, Site),
        // Failures on the other side.
        ("maintenance, in seconds", 503, &[("retry-after", "120")], USUAL, Search, Maintenance, Some(120), Site),
        ("maintenance, until a date", 503, &[("retry-after", "Wed, 01 May 2024 10:25:00 GMT"), HTML_TYPE], HTML, Search, Maintenance, Some(300), Site),
        ("until a date, as RFC 850 has it", 503, &[("retry-after", "Wednesday, 01-May-24 10:25:00 GMT"), HTML_TYPE], HTML, Search, Maintenance, Some(300), Site),
        ("until a date, as asctime has it", 503, &[("retry-after", "Wed May  1 10:25:00 2024"), HTML_TYPE], HTML, Search, Maintenance, Some(300), Site),
        ("a limit until a date, as asctime has it", 429, &[("retry-after", "Wed May  1 10:25:00 2024")], "", Search, RateLimit, Some(300), Site),
        ("unavailable, without a time", 503, &[], USUAL, Search, ServerError, None, Site),
        ("unavailable, HTML", 503, &[HTML_TYPE], HTML, Search, GatewayHtml, None, Site),
        ("Envoy's plain text", 503, &[("content-type", "text/plain")], "upstream connect error or disconnect/reset before headers", Search, GatewayHtml, None, Site),
        ("Data Center starts, or mends its index", 503, &[HTML_TYPE], "<html><title>Jira wird gerade aktualisiert</title></html>", Search, GatewayHtml, None, Site),
        ("Data Center is not ready, JSON", 503, &[], r#"{"message":"x","status-code":503}"#, Search, ServerError, None, Site),
        ("haproxy has nobody", 503, &[HTML_TYPE, ("cache-control", "no-cache")], "<html><body><h1>503 Service Unavailable</h1>No server is available</body></html>", Search, GatewayHtml, None, Site),
        ("a gateway waited too long, nothing said", 504, &[], "", Search, ServerError, None, Site),
        ("Spring's 500", 500, &[], r#"{"timestamp":"x","status":500,"error":"Internal Server Error","path":"/x"}"#, Search, ServerError, None, Site),
        ("a content network's own status", 522, &[HTML_TYPE], HTML, Search, GatewayHtml, None, Site),
        ("an internal error", 500, &[], USUAL, Search, ServerError, None, Site),
        ("an internal error, nothing said", 500, &[], "", Search, ServerError, None, Site),
        ("an internal error with a time", 500, &[("retry-after", "5")], USUAL, Search, ServerError, Some(5), Site),
        ("a bad gateway", 502, &[HTML_TYPE], HTML, Search, GatewayHtml, None, Site),
        ("a request that took too long", 408, &[], "", Search, Timeout, None, Site),
        ("an answer that is not known", 418, &[], USUAL, Search, Unknown, None, Site),
        // Success that is none.
        ("a sign-in page", 200, &[HTML_TYPE], HTML, Search, GatewayHtml, None, Site),
        ("a sign-in page elsewhere", 302, &[("location", "https://id.example.com/login?continue=x")], "", Myself, GatewayHtml, None, Site),
        ("an empty success", 204, &[], "", Search, SchemaChanged, None, Site),
        ("a success without what must be there", 200, &[], r#"{"warningMessages":[]}"#, Search, SchemaChanged, None, Site),
    ]
};

#[test]
fn every_known_shape_has_its_code_wait_and_scope() {
    for &(name, status, headers, body, endpoint, code, wait_seconds, scope) in TABLE {
        let failure = answer(status, headers, body, endpoint);
        let got = (failure.code, failure.retry_after.map(|wait| wait.as_secs()), failure.scope);
        assert_eq!(got, (code, wait_seconds, scope), "{name}: {failure}");
    }
}

#[test]
fn a_missing_scope_is_no_wrong_token() {
    let says = |text: &str| answer(401, &[], &format!(r#"{{"code":401,"message":"{text}"}}"#), Endpoint::Boards).code;
    assert_eq!(says("Unauthorized; scope does not match"), Code::Permission);
    assert_eq!(says("Unauthorized"), Code::AuthInvalid);
}

#[test]
fn a_text_in_another_language_changes_nothing() {
    for &(name, status, headers, body, endpoint, code, wait_seconds, scope) in TABLE {
        for words in [
            "Die Website ist vorübergehend nicht verfügbar",
            "サイトは一時的に利用できません",
            "payment CAPTCHA expired project",
        ] {
            let Ok(mut value) = serde_json::from_str::<serde_json::Value>(body) else { continue };
            for key in ["errorMessage", "message", "title", "detail", "error_description"] {
                if let Some(text) = value.get_mut(key) {
                    *text = words.into();
                }
            }
            if let Some(texts) = value.get_mut("errorMessages") {
                *texts = serde_json::json!([words]);
            }
            let failure = answer(status, headers, &value.to_string(), endpoint);
            let got = (failure.code, failure.retry_after.map(|wait| wait.as_secs()), failure.scope);
            assert_eq!(got, (code, wait_seconds, scope), "{name} in other words: {failure}");
        }
    }
}

#[test]
fn a_message_names_status_endpoint_and_jiras_first_words() {
    let failure = answer(400, &[], r#"{"errorMessages":["Bad\nJQL\u0007"],"errors":{}}"#, Endpoint::Search);
    assert_eq!(failure.message, "400 from /rest/api/3/search/jql: Bad JQL");
    let failure = answer(400, &[], r#"{"errorMessages":[],"errors":{"jql":"no"}}"#, Endpoint::Search);
    assert_eq!(failure.message, "400 from /rest/api/3/search/jql: jql: no");
    let failure = answer(502, &[HTML_TYPE], HTML, Endpoint::Search);
    assert_eq!(failure.message, "502 from /rest/api/3/search/jql with an HTML page");
    let failure = answer(302, &[("location", "https://id.example.com/login?token=x")], "", Endpoint::Myself);
    assert_eq!(failure.message, "302 from /rest/api/3/myself with an empty body, redirected to id.example.com");
}

#[test]
fn a_body_that_was_cut_is_still_told_from_a_page() {
    let failure = answer(500, &[], r#"{"errorMessages":["a very lo"#, Endpoint::Search);
    assert_eq!(failure.code, Code::ServerError);
}

proptest::proptest! {
    #[test]
    fn any_answer_has_a_code(status in 100u16..=999, body in "\\PC{0,200}", wait in "\\PC{0,30}") {
        let header = HeaderValue::from_bytes(wait.as_bytes());
        let headers: HeaderMap = header.into_iter().map(|value| (RETRY_AFTER, value)).collect();
        let status = StatusCode::from_u16(status).unwrap();
        let endpoint = Endpoint::Search;
        let failure = classify(&Answer { status, headers: &headers, body_prefix: body.as_bytes(), endpoint, path: "", now: now(), secrets: &Secrets::default() });
        proptest::prop_assert!(!failure.message.is_empty());
    }
}

#[test]
fn a_pause_is_counted_with_its_reason() {
    let reason = |status: u16, headers: &[(&'static str, &'static str)]| {
        let header = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let headers: HeaderMap = headers.iter().map(header).collect();
        let status = StatusCode::from_u16(status).unwrap();
        limit_reason(&Answer {
            status,
            headers: &headers,
            body_prefix: b"",
            endpoint: Endpoint::Search,
            path: "",
            now: now(),
            secrets: &Secrets::default(),
        })
    };
    let wait = ("retry-after", "30");
    for (status, headers, expected) in [
        (429, &[("ratelimit-reason", "jira-quota-global-based"), wait][..], Some("quota_global")),
        (429, &[("ratelimit-reason", "jira-quota-tenant-based"), wait], Some("quota_tenant")),
        (429, &[("ratelimit-reason", "jira-burst-based"), wait], Some("burst")),
        (429, &[("ratelimit-reason", "jira-per-issue-on-write")], Some("burst")),
        (429, &[wait], Some("retry_after")),
        (429, &[], Some("unknown")),
        (503, &[wait], Some("retry_after")),
        (503, &[], None),
        (200, &[wait], None),
    ] {
        assert_eq!(reason(status, headers), expected, "{status} {headers:?}");
        assert!(expected.is_none_or(|reason| crate::observe::labels::LIMIT_REASONS.contains(&reason)));
    }
}

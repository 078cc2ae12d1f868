//! Every code, from a site of either kind, in English and in another language.
//!
//! What must hold: a code that an answer can have is here four times, or stands in [`origin`] with the reason why one of
//! the kinds cannot give it. A new code does not compile until it has a line there, and turns the test red until its
//! answers are here.

use reqwest::header::{HeaderName, HeaderValue};

use super::*;
use crate::domain::site_kind::SiteKind;
use crate::domain::site_kind::SiteKind::{Cloud, DataCenter};

/// Who can give a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// An answer of either kind.
    Both,
    /// An answer of Cloud only.
    CloudOnly,
    /// The wire, before there is an answer: see `client_tests`.
    Wire,
    /// This program.
    Ourselves,
}

/// Exhaustive on purpose.
const fn origin(code: Code) -> Origin {
    match code {
        Code::AuthInvalid
        | Code::AuthExpired
        | Code::Captcha
        | Code::Permission
        | Code::SiteUnavailable
        | Code::Maintenance
        | Code::RateLimit
        | Code::NotFoundProject
        | Code::BadQuery
        | Code::ApiRemoved
        | Code::SchemaChanged
        | Code::Timeout
        | Code::NetworkGlitch
        | Code::ServerError
        | Code::GatewayHtml
        | Code::Unknown => Origin::Both,
        // A bill is paid to Atlassian, and points are counted by it: an installation of one's own has neither.
        Code::SuspendedPayment | Code::Quota => Origin::CloudOnly,
        Code::Dns | Code::Tls => Origin::Wire,
        Code::Database
        | Code::Config
        | Code::Internal
        | Code::StepTimeout
        | Code::EndlessPages
        | Code::RunTimeout
        | Code::WorkerLost
        | Code::ReconcileGuard
        | Code::RecordsRejected => Origin::Ourselves,
    }
}

/// The language of what a person would read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Language {
    English,
    Another,
}
use Language::{Another, English};

type Headers = &'static [(&'static str, &'static str)];
/// Kind, language, code, endpoint, status, headers, body.
type Row = (SiteKind, Language, Code, Endpoint, u16, Headers, &'static str);

const JSON: (&str, &str) = ("content-type", "application/json;charset=UTF-8");
const PAGE: (&str, &str) = ("content-type", "text/html;charset=UTF-8");
const PLAIN: (&str, &str) = ("content-type", "text/plain;charset=UTF-8");
/// What Cloud's edge and Data Center's Tomcat put on each answer.
const EDGE: (&str, &str) = ("server", "AtlassianEdge");
const NODE: (&str, &str) = ("x-arequestid", "617x4242x1");
const ANONYMOUS: (&str, &str) = ("x-ausername", "anonymous");
const FAILED: (&str, &str) = ("x-seraph-loginreason", "AUTHENTICATED_FAILED");
const DENIED: (&str, &str) = ("x-seraph-loginreason", "AUTHENTICATION_DENIED");
const CAPTCHA_CLOUD: (&str, &str) =
    ("x-authentication-denied-reason", "CAPTCHA_CHALLENGE; login-url=https://acme.example.com/login");
const CAPTCHA_OWN: (&str, &str) =
    ("x-authentication-denied-reason", "CAPTCHA_CHALLENGE; login-url=https://jira.example.com/login.jsp");
const REALM: (&str, &str) = ("www-authenticate", "OAuth realm=\"https%3A%2F%2Fjira.example.com\"");
const EXPIRED_BEARER: (&str, &str) =
    ("www-authenticate", "Bearer realm=\"jira\", error=\"invalid_token\", error_description=\"expired\"");

#[rustfmt::skip]
const ROWS: &[Row] = {
    use Code::*;
    use Endpoint::{Boards, BulkFetch, Comments, Issue, Myself, OffsetSearch, Project, Projects, Search, ServerInfo, Worklogs};
    &[
        (Cloud, English, AuthInvalid, Myself, 401, &[EDGE, PLAIN, FAILED], "Client must be authenticated to access this resource."),
        (Cloud, Another, AuthInvalid, Myself, 401, &[EDGE, JSON], r#"{"errorMessages":["Sie müssen angemeldet sein, um diese Anfrage zu stellen."],"errors":{}}"#),
        (DataCenter, English, AuthInvalid, Myself, 401, &[NODE, PAGE, REALM, ANONYMOUS], "<html><head><title>Unauthorized (401)</title></head><body>Encountered a 401</body></html>"),
        (DataCenter, Another, AuthInvalid, OffsetSearch, 401, &[NODE, JSON, ("www-authenticate", "JIRA REST POST")], r#"{"errorMessages":["Vous n'êtes pas connecté. Veuillez vous authentifier."],"errors":{}}"#),

        (Cloud, English, AuthExpired, Search, 401, &[EDGE, EXPIRED_BEARER], r#"{"code":401,"message":"Unauthorized"}"#),
        (Cloud, Another, AuthExpired, Search, 401, &[EDGE, EXPIRED_BEARER, JSON], r#"{"errorMessages":["アクセストークンの有効期限が切れています。"],"errors":{}}"#),
        (DataCenter, English, AuthExpired, Myself, 401, &[NODE, EXPIRED_BEARER], r#"{"error":"invalid_token","error_description":"The access token expired"}"#),
        (DataCenter, Another, AuthExpired, Myself, 401, &[NODE, JSON], r#"{"error":"invalid_token","error_description":"Das Zugriffstoken ist abgelaufen"}"#),

        (Cloud, English, Captcha, Myself, 403, &[EDGE, PAGE, CAPTCHA_CLOUD], "<html><title>Forbidden</title></html>"),
        (Cloud, Another, Captcha, Myself, 401, &[EDGE, PAGE, DENIED], "<html lang=\"es\"><title>No autorizado</title></html>"),
        (DataCenter, English, Captcha, Myself, 403, &[NODE, PAGE, CAPTCHA_OWN, DENIED], "<html><head><title>Forbidden (403)</title></head></html>"),
        (DataCenter, Another, Captcha, OffsetSearch, 403, &[NODE, PAGE, CAPTCHA_OWN], "<html><head><title>Verboten (403)</title></head></html>"),

        (Cloud, English, Permission, Boards, 401, &[EDGE, JSON], r#"{"code":401,"message":"Unauthorized; scope does not match"}"#),
        (Cloud, English, Permission, BulkFetch, 403, &[EDGE, JSON], r#"{"errorMessages":["You may not do that."],"errors":{}}"#),
        (Cloud, Another, Permission, Comments, 404, &[EDGE, JSON], r#"{"errorMessages":["該当する課題はないか、見る権限がありません。"],"errors":{}}"#),
        (DataCenter, English, Permission, Projects, 403, &[NODE, JSON], r#"{"errorMessages":["You are not permitted to see this."],"errors":{}}"#),
        (DataCenter, Another, Permission, Worklogs, 404, &[NODE, JSON], r#"{"errorMessages":["La demande n'existe pas ou vous n'y avez pas accès."],"errors":{}}"#),

        (Cloud, English, SuspendedPayment, Search, 402, &[EDGE, JSON], r#"{"errorMessages":["The subscription of this site has ended."],"errors":{}}"#),
        (Cloud, Another, SuspendedPayment, Search, 403, &[EDGE, JSON], r#"{"errorCode":"SITE_SUSPENDED_PAYMENT","errorMessage":"Die Rechnung ist offen."}"#),

        (Cloud, English, SiteUnavailable, ServerInfo, 404, &[EDGE, JSON], r#"{"errorMessage":"This site is away for now","errorCode":"OTHER"}"#),
        (Cloud, Another, SiteUnavailable, Project, 404, &[EDGE, PAGE], "<html lang=\"de\"><title>Seite nicht verfügbar</title></html>"),
        (DataCenter, English, SiteUnavailable, Project, 404, &[PAGE], "<!doctype html><html lang=\"en\"><title>HTTP Status 404 – Not Found</title></html>"),
        (DataCenter, Another, SiteUnavailable, Project, 404, &[PAGE], "<!doctype html><html lang=\"ru\"><title>HTTP Status 404 – Не найдено</title></html>"),

        (Cloud, English, Maintenance, Search, 503, &[EDGE, JSON, ("retry-after", "60")], r#"{"message":"Down for a while","status-code":503}"#),
        (Cloud, Another, Maintenance, Search, 503, &[EDGE, PAGE, ("retry-after", "60")], "<html lang=\"fr\"><title>Maintenance en cours</title></html>"),
        (DataCenter, English, Maintenance, OffsetSearch, 503, &[PAGE, ("retry-after", "300")], "<html><title>Jira is being upgraded</title></html>"),
        (DataCenter, Another, Maintenance, OffsetSearch, 503, &[PAGE, ("retry-after", "Wed, 01 May 2024 10:25:00 GMT")], "<html><title>Wartungsarbeiten</title></html>"),

        (Cloud, English, RateLimit, Search, 429, &[EDGE, JSON, ("retry-after", "5"), ("ratelimit-reason", "jira-burst-based")], r#"{"errorMessages":["Rate limit exceeded."],"errors":{}}"#),
        (Cloud, Another, RateLimit, Search, 429, &[EDGE, JSON], r#"{"errorMessages":["Zu viele Anfragen."],"errors":{}}"#),
        (DataCenter, English, RateLimit, OffsetSearch, 429, &[NODE, JSON, ("retry-after", "0"), ("x-ratelimit-interval-seconds", "30")], r#"{"message":"Rate limit exceeded.","status-code":429}"#),
        (DataCenter, Another, RateLimit, OffsetSearch, 429, &[NODE, PAGE, ("x-ratelimit-interval-seconds", "30")], "<html><title>要求が多すぎます</title></html>"),

        (Cloud, English, Quota, Search, 429, &[EDGE, JSON, ("ratelimit-reason", "jira-quota-tenant-based")], r#"{"message":"Quota used up"}"#),
        (Cloud, Another, Quota, Search, 429, &[EDGE, JSON, ("ratelimit-reason", "jira-quota-global-based")], r#"{"message":"Das Kontingent ist aufgebraucht"}"#),

        (Cloud, English, NotFoundProject, Project, 404, &[EDGE, JSON], r#"{"errorMessages":["There is no project with key 'NIX'."],"errors":{}}"#),
        (Cloud, Another, NotFoundProject, Project, 404, &[EDGE, JSON], r#"{"errorMessages":["No hay ningún proyecto con la clave 'NIX'."],"errors":{}}"#),
        (DataCenter, English, NotFoundProject, Project, 404, &[NODE, JSON], r#"{"errorMessages":["There is no project with key 'NIX'."],"errors":{}}"#),
        (DataCenter, Another, NotFoundProject, Project, 404, &[NODE, JSON], r#"{"errorMessages":["Ein Projekt mit dem Schlüssel 'NIX' gibt es nicht."],"errors":{}}"#),

        (Cloud, English, BadQuery, Search, 400, &[EDGE, JSON], r#"{"errorMessages":["The query needs a bound."],"errors":{}}"#),
        (Cloud, Another, BadQuery, Search, 400, &[EDGE, JSON], r#"{"errorMessages":["필드 'project'에 값 'NIX'이(가) 없습니다."],"errors":{}}"#),
        (DataCenter, English, BadQuery, OffsetSearch, 400, &[NODE, JSON], r#"{"errorMessages":["'NIX' is no value of 'project'."],"errors":{}}"#),
        (DataCenter, Another, BadQuery, OffsetSearch, 400, &[NODE, JSON], r#"{"errorMessages":["字段 'project' 没有值 'NIX'。"],"errors":{}}"#),

        (Cloud, English, ApiRemoved, OffsetSearch, 410, &[EDGE, JSON], r#"{"errorMessages":["This API is no longer there."],"errors":{}}"#),
        (Cloud, Another, ApiRemoved, OffsetSearch, 410, &[EDGE, JSON], r#"{"errorMessages":["Diese Schnittstelle wurde entfernt."],"errors":{}}"#),
        (DataCenter, English, ApiRemoved, Boards, 404, &[NODE, JSON], r#"{"message":"null for uri: http://jira.example.com/rest/agile/1.0/board","status-code":404}"#),
        (DataCenter, Another, ApiRemoved, Projects, 405, &[NODE, PAGE], "<html lang=\"de\"><title>HTTP-Status 405 – Methode nicht erlaubt</title></html>"),

        (Cloud, English, SchemaChanged, Search, 200, &[EDGE, JSON], r#"{"message":"ok"}"#),
        (Cloud, Another, SchemaChanged, Search, 200, &[EDGE, PLAIN], "Alles in Ordnung"),
        (DataCenter, English, SchemaChanged, OffsetSearch, 200, &[NODE, PLAIN], "fine"),
        (DataCenter, Another, SchemaChanged, OffsetSearch, 200, &[NODE, JSON], r#"{"message":"ça va"}"#),

        (Cloud, English, Timeout, Search, 408, &[EDGE, PLAIN], "Request Timeout"),
        (Cloud, Another, Timeout, Search, 408, &[EDGE, PAGE], "<html lang=\"pl\"><title>Limit czasu żądania</title></html>"),
        (DataCenter, English, Timeout, OffsetSearch, 408, &[PAGE], "<html><title>408 Request Time-out</title></html>"),
        (DataCenter, Another, Timeout, OffsetSearch, 408, &[PAGE], "<html lang=\"de\"><title>Zeitüberschreitung</title></html>"),

        (Cloud, English, NetworkGlitch, Search, 421, &[EDGE, PLAIN], "Misdirected Request"),
        (Cloud, Another, NetworkGlitch, Search, 425, &[EDGE, PLAIN], "Zu früh"),
        (DataCenter, English, NetworkGlitch, OffsetSearch, 421, &[PAGE], "<html><title>Misdirected Request</title></html>"),
        (DataCenter, Another, NetworkGlitch, OffsetSearch, 421, &[PAGE], "<html lang=\"fr\"><title>Requête mal dirigée</title></html>"),

        (Cloud, English, ServerError, Search, 500, &[EDGE, JSON], r#"{"errorMessages":["Internal server error"],"errors":{}}"#),
        (Cloud, Another, ServerError, Search, 500, &[EDGE, JSON], r#"{"errorMessages":["Interner Serverfehler"],"errors":{}}"#),
        (DataCenter, English, ServerError, OffsetSearch, 500, &[NODE, JSON], r#"{"message":"java.lang.NullPointerException","status-code":500,"stack-trace":"at com.example.Search"}"#),
        (DataCenter, Another, ServerError, OffsetSearch, 500, &[NODE, JSON], r#"{"errorMessages":["Wewnętrzny błąd serwera"],"errors":{}}"#),

        (Cloud, English, GatewayHtml, Search, 504, &[EDGE, PAGE], "<html><title>Gateway Timeout</title></html>"),
        (Cloud, Another, GatewayHtml, Search, 200, &[PAGE], "<html lang=\"ja\"><title>ログイン</title></html>"),
        (DataCenter, English, GatewayHtml, OffsetSearch, 502, &[PAGE, ("server", "nginx")], "<html><head><title>502 Bad Gateway</title></head></html>"),
        (DataCenter, Another, GatewayHtml, OffsetSearch, 302, &[("location", "https://sso.example.com/anmelden")], "<html lang=\"de\">Weiter zur Anmeldung</html>"),

        (Cloud, English, Unknown, Issue, 409, &[EDGE, JSON], r#"{"errorMessages":["A conflict."],"errors":{}}"#),
        (Cloud, Another, Unknown, Issue, 418, &[EDGE, PLAIN], "Ich bin eine Teekanne"),
        (DataCenter, English, Unknown, Issue, 409, &[NODE, JSON], r#"{"errorMessages":["A conflict."],"errors":{}}"#),
        (DataCenter, Another, Unknown, Issue, 409, &[NODE, JSON], r#"{"errorMessages":["Un conflit."],"errors":{}}"#),
    ]
};

fn read(&(kind, _, _, endpoint, status, headers, body): &Row) -> Failure {
    let header =
        |(name, value): &(&'static str, &'static str)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    let headers: HeaderMap = headers.iter().map(header).collect();
    let path = if kind == Cloud { "/rest/api/3/x" } else { "/jira/rest/api/2/x" };
    let now = "2024-05-01T10:20:00Z".parse().unwrap();
    let status = StatusCode::from_u16(status).unwrap();
    classify(&Answer {
        status,
        headers: &headers,
        body_prefix: body.as_bytes(),
        endpoint,
        path,
        now,
        secrets: &Secrets::default(),
    })
}

#[test]
fn every_code_is_recognised_on_all_sites_and_in_languages() {
    for row in ROWS {
        let failure = read(row);
        assert_eq!(failure.code, row.2, "{:?}, {:?}: {failure}", row.0, row.1);
    }
    for code in Code::ALL {
        let kinds: &[SiteKind] = match origin(code) {
            Origin::Both => &[Cloud, DataCenter],
            Origin::CloudOnly => &[Cloud],
            Origin::Wire | Origin::Ourselves => &[],
        };
        for kind in [Cloud, DataCenter] {
            for language in [English, Another] {
                let shown = ROWS.iter().any(|row| (row.0, row.1, row.2) == (kind, language, code));
                assert_eq!(shown, kinds.contains(&kind), "{code:?} of {kind:?}, {language:?}");
            }
        }
    }
}

#[test]
fn another_language_is_another_language() {
    let speaks = |row: &Row| row.6.chars().filter(|char| !char.is_ascii()).count();
    let in_english = ROWS.iter().filter(|row| row.1 == English);
    assert!(in_english.clone().all(|row| row.6.replace('–', "").is_ascii()));
    // German words need no umlaut; most of the others show that they are no English.
    let others: Vec<_> = ROWS.iter().filter(|row| row.1 == Another).collect();
    assert!(others.iter().filter(|row| speaks(row) > 0).count() * 2 > others.len());
    for row in others {
        assert!(in_english.clone().all(|english| english.6 != row.6), "{}", row.6);
    }
}

#[test]
fn a_refusal_names_the_version_that_its_site_has() {
    for row in ROWS.iter().filter(|row| row.3 == Endpoint::Project) {
        let version = if row.0 == Cloud { "/rest/api/3/project/{key}" } else { "/rest/api/2/project/{key}" };
        assert!(read(row).message.contains(version), "{}", read(row).message);
    }
}

//! Each way in which Jira fails ends in a run that says what failed and who must do what, or in a pause that costs nothing.

use syncline::clock::Clock;
use syncline::domain::failure::{FailureCode, Means};
use syncline::simulator::{FaultKind, FaultPlan, FaultRule, Options};

use crate::support::Rig;

async fn rig() -> Rig {
    let mut options = Options::new(Clock::system());
    options.issues = 30;
    options.projects.truncate(1);
    let mut rig = Rig::new(options).await;
    rig.config.sync.page_size = 10;
    rig.config.sync.request_timeout_seconds = 1;
    rig.config.queue.max_attempts = 2;
    rig
}

/// `kind` for every search.
fn searches(kind: FaultKind) -> FaultPlan {
    let rule = FaultRule { requests: None, path: Some("/search/jql".into()), ..FaultRule::next(kind, 1) };
    FaultPlan { rules: vec![rule], ..FaultPlan::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_on_the_run_and_in_the_log_with_advice() {
    use FailureCode as C;
    use FaultKind as F;
    let rig = rig().await;
    let worker = rig.worker().await;
    for (kind, code) in [
        (F::Unauthorized, C::AuthInvalid),
        (F::UnauthorizedText, C::AuthInvalid),
        (F::Captcha, C::Captcha),
        (F::PaymentRequired, C::SuspendedPayment),
        (F::ForbiddenUnpaid, C::SuspendedPayment),
        (F::Forbidden, C::Permission),
        (F::SiteUnavailable, C::SiteUnavailable),
        (F::Gone, C::ApiRemoved),
        (F::SignInPage, C::GatewayHtml),
        (F::BadGateway, C::GatewayHtml),
        (F::ServerError, C::ServerError),
        (F::Reset, C::NetworkGlitch),
        (F::WrongShape, C::SchemaChanged),
        (F::BrokenJson, C::NetworkGlitch),
        (F::RepeatedToken, C::SchemaChanged),
    ] {
        rig.jira.control().set_faults(searches(kind));
        let run = rig.enqueue(&rig.projects[0], "full").await;
        assert_eq!(rig.ended(run).await, "failed", "{}", kind.name());
        let (on_run, message, advice): (String, String, String) =
            sqlx::query_as("SELECT error_code, error_message, error_advice FROM syncline.sync_run WHERE id = $1")
                .bind(run)
                .fetch_one(rig.db.pool())
                .await
                .unwrap();
        assert_eq!(on_run, code.as_str(), "{}: {message}", kind.name());
        assert_eq!(advice, code.advice_for(Means::ApiToken), "{}", kind.name());
        assert!(!message.is_empty());
        let logged: Vec<String> = sqlx::query_scalar(
            "SELECT code FROM syncline.sync_log WHERE run_id = $1 AND level = 'error' AND advice = $2 AND message = $3",
        )
        .bind(run)
        .bind(&advice)
        .bind(&message)
        .fetch_all(rig.db.pool())
        .await
        .unwrap();
        assert!(!logged.is_empty() && logged.iter().all(|code| *code == on_run), "{}: {logged:?}", kind.name());
    }
    // None of it was for ever.
    rig.jira.control().set_faults(FaultPlan::default());
    assert_eq!(rig.sync(&rig.projects[0], "incremental").await, "succeeded");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_that_jira_does_not_know_fails_its_run_at_once() {
    let rig = rig().await;
    let worker = rig.worker().await;
    sqlx::query("UPDATE syncline.project SET key = 'NOWHERE'").execute(rig.db.pool()).await.unwrap();
    let run = rig.enqueue("NOWHERE", "full").await;
    assert_eq!(rig.ended(run).await, "failed");
    assert_eq!(
        rig.count("SELECT count(*) FROM syncline.sync_run WHERE error_code = 'NOT_FOUND_PROJECT' AND retries = 0")
            .await,
        1
    );
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_worker_keeps_a_pause_of_jira_without_an_attempt() {
    for kind in [FaultKind::RateLimit, FaultKind::Quota, FaultKind::Maintenance] {
        let mut rig = rig().await;
        rig.config.queue.max_attempts = 1;
        let workers = [rig.worker().await, rig.worker().await];
        // The third request of the walk and the two after it, a second's pause each.
        let rule = FaultRule { after: 2, path: Some("/search/jql".into()), ..FaultRule::next(kind, 3) };
        rig.jira.control().set_faults(FaultPlan { rules: vec![rule], retry_after_seconds: 1, ..FaultPlan::default() });
        assert_eq!(rig.sync(&rig.projects[0], "full").await, "succeeded", "{}", kind.name());
        assert_eq!(rig.jira.control().stats().faults.get(&kind), Some(&3));
        assert_eq!(rig.count("SELECT sum(retries)::int8 FROM syncline.sync_run").await, 0);
        assert_eq!(rig.count("SELECT sum(failures)::int8 FROM syncline.sync_step").await, 0);
        assert_eq!(rig.count("SELECT count(*) FROM syncline.sync_log WHERE event = 'gate_shut'").await, 3);
        // What steps wait behind, beside the endpoint's own gate, which requests under way keep.
        let gate: String = sqlx::query_scalar("SELECT key FROM syncline.rate_gate WHERE key NOT LIKE '%/rest/%'")
            .fetch_one(rig.db.pool())
            .await
            .unwrap();
        let site = format!("site:{}", rig.site_id);
        match kind {
            FaultKind::RateLimit => assert_eq!(gate, format!("{site}/search")),
            _ => assert_eq!(gate, site),
        }
        for worker in workers {
            worker.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_credentials_never_look_like_a_project_without_issues() {
    let rig = rig().await;
    let worker = rig.worker().await;
    rig.jira.control().set_faults(searches(FaultKind::Anonymous));
    rig.jira.control().add_fault(FaultRule {
        after: 1, // the check that a run begins with passes
        requests: None,
        path: Some("/myself".into()),
        ..FaultRule::next(FaultKind::Anonymous, 1)
    });
    let run = rig.enqueue(&rig.projects[0], "full").await;
    assert_eq!(rig.ended(run).await, "failed");
    assert_eq!(rig.count("SELECT count(*) FROM syncline.sync_run WHERE error_code = 'AUTH_INVALID'").await, 1);
    worker.stop().await;
}

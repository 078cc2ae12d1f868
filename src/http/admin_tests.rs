#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering};

use metrics_exporter_prometheus::PrometheusBuilder;

use super::*;

fn sources(gauges: GaugeSource) -> Sources {
    Sources {
        recorder: PrometheusBuilder::new().build_recorder().handle(),
        gauges,
        readiness: Readiness::default(),
        heartbeats: Heartbeats::default(),
    }
}

fn no_database() -> GaugeSource {
    Arc::new(|| Box::pin(async { None }))
}

async fn ask(server: &Server, path: &str) -> (u16, String) {
    let answer =
        crate::tls::client().build().unwrap().get(format!("http://{}{path}", server.address())).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn servers_that_start_at_once_share_no_port() {
    let taken = tokio::net::TcpListener::bind(any_port()).await.unwrap();
    let wanted = taken.local_addr().unwrap();
    let started = (0..4).map(|_| serve(wanted, true, sources(no_database())));
    let servers: Vec<Server> = futures::future::try_join_all(started).await.unwrap();
    let ports: std::collections::BTreeSet<u16> = servers.iter().map(|server| server.address().port()).collect();
    assert_eq!(ports.len(), 4, "{ports:?}");
    assert!(!ports.contains(&wanted.port()));
}

fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

#[tokio::test]
async fn readiness_follows_the_runtime_and_says_why() {
    let sources = sources(no_database());
    let server = serve(any_port(), false, sources.clone()).await.unwrap();
    let mut seen = Vec::new();
    for state in [Ready::Starting, Ready::Ready, Ready::DatabaseLost, Ready::Draining] {
        sources.readiness.set(state);
        let (status, body) = ask(&server, "/readyz").await;
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert!(body["reason"].as_str().is_some_and(|reason| !reason.is_empty()));
        seen.push((status, body["status"].as_str().unwrap_or_default().to_owned()));
    }
    let expected = [(503, "starting"), (200, "ready"), (503, "database_lost"), (503, "draining")];
    assert_eq!(seen, expected.map(|(status, name)| (status, name.to_owned())));
    server.stop().await;
}

#[tokio::test]
async fn a_hung_loop_fails_liveness_but_a_lost_database_does_not() {
    let sources = sources(no_database());
    let server = serve(any_port(), false, sources.clone()).await.unwrap();
    sources.readiness.set(Ready::DatabaseLost);
    let lively = sources.heartbeats.register("renew", Duration::from_secs(3600));
    assert_eq!(ask(&server, "/healthz").await.0, 200);
    let wedged = sources.heartbeats.register("claim", Duration::ZERO);
    // The next whole millisecond is already too late for a loop that is allowed no silence.
    tokio::time::sleep(Duration::from_millis(2)).await;
    let (status, body) = ask(&server, "/healthz").await;
    assert!(status == 503 && body.contains("claim") && !body.contains("renew"), "{status} {body}");
    sources.readiness.set(Ready::Ready);
    let (status, body) = ask(&server, "/readyz").await;
    assert!(status == 503 && body.contains("claim"), "what hangs takes no work: {status} {body}");
    drop((lively, wedged));
    assert_eq!(ask(&server, "/healthz").await.0, 200);
}

#[tokio::test]
async fn metrics_survive_a_hanging_database_without_a_query_each() {
    let queries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&queries);
    let hangs: GaugeSource = Arc::new(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        Box::pin(std::future::pending())
    });
    let gauges_wait_limit = Duration::from_millis(10);
    let shared = Arc::new(Shared { sources: sources(hangs), gauges_wait_limit, gauges: Mutex::new(None) });
    for _ in 0..2 {
        assert_eq!(scrape(State(Arc::clone(&shared))).await.status(), StatusCode::OK);
    }
    assert_eq!(queries.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn scrapes_share_one_query_for_a_few_seconds() {
    let queries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&queries);
    let source: GaugeSource = Arc::new(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { Some(metrics::DbGauges { db_size_bytes: Some(42), ..Default::default() }) })
    });
    let server = serve(any_port(), false, sources(source)).await.unwrap();
    for _ in 0..3 {
        let (status, text) = ask(&server, "/metrics").await;
        assert!(status == 200 && text.contains("syncline_db_size_bytes 42"), "{text}");
    }
    assert_eq!(queries.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_taken_address_is_named_and_is_free_again_after_the_stop() {
    let server = serve(any_port(), false, sources(no_database())).await.unwrap();
    let address = server.address();
    let error = serve(address, false, sources(no_database())).await.unwrap_err();
    assert!(matches!(error, Error::Taken { .. }) && error.to_string().contains(&address.to_string()), "{error}");
    server.stop().await;
    serve(address, false, sources(no_database())).await.unwrap().stop().await;
}

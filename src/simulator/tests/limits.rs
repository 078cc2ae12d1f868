//! Limits: who is let through, what the others are told.

use chrono::TimeDelta;

use super::super::{Bucket, Kind, LimitShape, Limits};
use super::*;

fn site(limits: Limits, kind: Kind) -> Rehearsal {
    Rehearsal::new(|options| {
        options.kind = kind;
        options.limits = limits;
    })
}

fn bucket() -> Limits {
    Limits { bucket: Some(Bucket { rate_per_second: 10.0, burst: 5 }), ..Limits::default() }
}

async fn status(site: &Rehearsal, path: &str) -> (StatusCode, HeaderMap) {
    let (status, headers, _) = site.reply(Method::GET, &format!("{}{path}", site.api), None).await;
    (status, headers)
}

#[tokio::test]
async fn a_bucket_lets_its_burst_through_and_then_its_rate() {
    let site = site(bucket(), Kind::Cloud);
    for left in (0..5).rev() {
        let (status, headers) = status(&site, "/myself").await;
        assert_eq!(
            (status, headers["x-ratelimit-remaining"].to_str().unwrap()),
            (StatusCode::OK, left.to_string().as_str())
        );
    }
    let (refused, headers) = status(&site, "/myself").await;
    assert_eq!(refused, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(
        (&headers["retry-after"], &headers["ratelimit-reason"], &headers["x-ratelimit-limit"]),
        (&"1".parse().unwrap(), &"jira-burst-based".parse().unwrap(), &"5".parse().unwrap())
    );
    assert!(headers.contains_key("x-ratelimit-reset"));
    assert_eq!(status(&site, "/field").await.0, StatusCode::OK, "another endpoint has a bucket of its own");
    site.hands.advance(TimeDelta::milliseconds(100));
    assert_eq!(status(&site, "/myself").await.0, StatusCode::OK);
    assert_eq!(status(&site, "/myself").await.0, StatusCode::TOO_MANY_REQUESTS);
    let stats = site.control.stats();
    let told = &stats.limits["GET /myself"];
    assert_eq!((told.allowed, told.limited), (6, 2));
    assert!((told.possible - 6.0).abs() < 1e-9, "five at first and one since: {}", told.possible);
}

#[tokio::test]
async fn an_hour_has_its_points_and_the_next_one_begins_anew() {
    let limits = Limits { points_per_hour: Some(120), ..Limits::default() };
    let site = site(limits, Kind::Cloud);
    let body = json!({"jql": "project = ACME", "fields": ["summary"], "maxResults": 100});
    site.search(body.clone()).await;
    assert_eq!(site.control.stats().points_used, 101);
    site.search(body.clone()).await;
    let (status, headers, _) = site.reply(Method::POST, "/rest/api/3/search/jql", Some(body.clone())).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(headers["ratelimit-reason"], "jira-quota-tenant-based");
    // It is half a minute after noon.
    assert_eq!(
        (headers["retry-after"].to_str().unwrap(), headers["x-ratelimit-reset"].to_str().unwrap()),
        ("3570", "2026-01-05T13:00:00Z")
    );
    site.hands.advance(TimeDelta::seconds(3_570));
    site.search(body).await;
}

#[tokio::test]
async fn refusals_can_come_without_a_word_or_as_a_page() {
    for (shape, content) in
        [(LimitShape::Bare, "application/json;charset=UTF-8"), (LimitShape::Html, "text/html;charset=UTF-8")]
    {
        let site = site(
            Limits { shape, bucket: Some(Bucket { rate_per_second: 1.0, burst: 1 }), ..Limits::default() },
            Kind::Cloud,
        );
        status(&site, "/myself").await;
        let (refused, headers) = status(&site, "/myself").await;
        assert_eq!((refused, headers["content-type"].to_str().unwrap()), (StatusCode::TOO_MANY_REQUESTS, content));
        assert!(!headers.contains_key("retry-after") && !headers.contains_key("x-ratelimit-reset"));
    }
}

#[tokio::test]
async fn data_center_limits_everything_at_once_in_its_own_words() {
    let site = site(bucket(), Kind::DataCenter);
    for _ in 0..5 {
        status(&site, "/field").await;
    }
    let (refused, headers) = status(&site, "/myself").await;
    assert_eq!(refused, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(
        (headers["x-ratelimit-interval-seconds"].to_str().unwrap(), headers["x-ratelimit-fillrate"].to_str().unwrap()),
        ("1", "10")
    );
    assert!(!headers.contains_key("ratelimit-reason"));
}

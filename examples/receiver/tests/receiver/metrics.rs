//! Its metrics, as Prometheus gets them.

use std::net::SocketAddr;

use support::wire::{Answer, Protocol};
use support::{DOMAIN, TEST_EVENT};
use tower_conductorone::testing::FakeTenant;

use crate::process::{Receiver, get, serve};

const HTTP1: Protocol = Protocol::Http1;

async fn metrics(address: SocketAddr) -> Answer {
    get(HTTP1, address, "/metrics").await
}

/// The value of the line that begins so.
#[track_caller]
fn value(text: &str, series: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(series));
    let value = line.unwrap_or_else(|| panic!("no {series} in {text}"));
    value.trim().parse().expect("a number")
}

#[tokio::test]
async fn metrics_are_on_an_address_of_their_own_and_only_if_it_is_named() {
    let tenant = FakeTenant::new(DOMAIN);
    let jwks = serve(&tenant).await;
    let without = Receiver::ready(&jwks, &[]).await;
    let mut with = Receiver::ready(&jwks, &["--metrics-listen", "127.0.0.1:0"]).await;
    let address = with.metrics_address().await;
    for protocol in [HTTP1, Protocol::Http2] {
        for receiver in [&without, &with] {
            assert_eq!(receiver.get(protocol, "/metrics").await.status, 404);
        }
        for path in ["/", "/webhooks", "/readyz"] {
            assert_eq!(get(protocol, address, path).await.status, 404, "{path}");
        }
        let answer = get(protocol, address, "/metrics").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let format = "text/plain; version=0.0.4; charset=utf-8";
        assert_eq!(answer.headers["content-type"], format);
    }
    assert!(!without.log().contains("serving metrics"));
    without.stop().await;
    with.stop().await;
}

#[tokio::test]
async fn metrics_tell_of_each_request_and_run_with_buckets_around_its_time_limits() {
    let tenant = FakeTenant::new(DOMAIN);
    let jwks = serve(&tenant).await;
    let flags = ["--metrics-listen", "127.0.0.1:0", "--fail-first", "1"];
    let mut receiver = Receiver::ready(&jwks, &flags).await;
    let delivery = tenant.delivery(TEST_EVENT);
    for status in [500, 200, 200] {
        let answer = receiver.send(HTTP1, &delivery.retried()).await;
        assert_eq!(answer.status, status, "{answer:?}");
    }
    let forged = delivery.clone().token("abc.def.ghi");
    assert_eq!(receiver.send(HTTP1, &forged).await.status, 401);

    let answer = metrics(receiver.metrics_address().await).await;
    let text = String::from_utf8(answer.body.to_vec()).expect("UTF-8");
    let of = format!(r#"event="Test",tenant="{DOMAIN}""#);
    for (how, status) in [("ran", 500), ("ran", 200), ("replayed", 200)] {
        let labels = format!(r#"event="Test",how="{how}",status="{status}",tenant="{DOMAIN}""#);
        let series = format!("c1_webhook_attempts_total{{{labels}}}");
        assert!((value(&text, &series) - 1.0).abs() < 0.1, "{series}");
    }
    let repeated = format!("c1_webhook_repeated_runs_total{{{of}}}");
    assert!((value(&text, &repeated) - 1.0).abs() < 0.1);
    assert!(value(&text, "c1_webhook_runs_in_flight").abs() < 0.1);
    for (histogram, label, bounds) in [
        (
            "attempt",
            r#"how="ran""#,
            ["0.005", "25", "30", "60", "+Inf"],
        ),
        (
            "run",
            r#"event="Test""#,
            ["0.005", "25", "30", "60", "+Inf"],
        ),
        (
            "store",
            r#"step="claim",store="ledger""#,
            ["0.0001", "0.001", "0.01", "5", "+Inf"],
        ),
    ] {
        for bound in bounds {
            let series = format!(
                r#"c1_webhook_{histogram}_duration_seconds_bucket{{{label},le="{bound}"}}"#
            );
            value(&text, &series);
        }
    }
    let number = format!("c1_webhook_repeated_run_number_bucket{{{of},le=");
    for bound in [2, 20, 50] {
        assert!((value(&text, &format!(r#"{number}"{bound}"}}"#)) - 1.0).abs() < 0.1);
    }
    for line in text.lines().filter(|line| line.starts_with("# TYPE ")) {
        assert!(!line.ends_with(" summary"), "without buckets: {line}");
    }
    receiver.stop().await;
}

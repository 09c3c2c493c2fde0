//! Several tenants: one's trouble is not another's.

use std::time::Duration;

use support::{TEST_EVENT, builder, clock, now, send};
use tokio::time::Instant;

use tower_conductorone::keys::JwksCache;
use tower_conductorone::testing::{FakeFetch, FakeTenant, Fault};
use tower_conductorone::{Tenant, VerifyWebhookLayer};

/// A layer for two tenants: the keys of `a.example` are out of reach, those of
/// `b.example` are not.
fn one_of_two_is_down() -> (VerifyWebhookLayer, [FakeFetch; 2]) {
    let mut builder = VerifyWebhookLayer::builder().public_url("https://hooks.example.com");
    let fetches = [("a.example", Some(Fault::Down)), ("b.example", None)].map(|(domain, fault)| {
        let fetch = FakeTenant::new(domain).fetch();
        fetch.set_fault(fault);
        (domain, fetch)
    });
    for (domain, fetch) in &fetches {
        let cache = JwksCache::builder(format!("https://{domain}/jwks"))
            .build(fetch.clone())
            .expect("good");
        builder = builder.tenant(Tenant::new(*domain).key_source(cache));
    }
    (
        builder.build().expect("good"),
        fetches.map(|(_, fetch)| fetch),
    )
}

#[tokio::test(start_paused = true)]
async fn keys_are_loaded_although_another_tenant_s_are_out_of_reach() {
    for _ in 0..20 {
        let (layer, _) = one_of_two_is_down();
        let ready = tokio::time::timeout(Duration::from_secs(60), layer.ready()).await;
        assert!(ready.is_err(), "one is never ready");
        let health = layer.health();
        let usable: Vec<_> = health
            .tenants
            .iter()
            .map(|tenant| tenant.keys.usable)
            .collect();
        assert_eq!(usable, [false, true]);
        assert!(layer.refresh_now().await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_names_the_tenants_that_failed_and_why() {
    let (layer, [a, b]) = one_of_two_is_down();
    let error = layer.refresh_now().await.expect_err("one is down");
    let failed: Vec<_> = error.tenants().map(|(domain, _)| domain).collect();
    assert_eq!(failed, ["a.example"]);
    let down = error.tenants().next().expect("one").1.reason().to_owned();
    assert!(!down.is_empty());
    assert_eq!(
        error.to_string(),
        format!("cannot load the keys of a.example: {down}")
    );
    assert_eq!(b.requests(), 1, "the other one was refreshed");

    b.set_fault(Some(Fault::Status(http::StatusCode::BAD_GATEWAY, None)));
    let error = layer.refresh_now().await.expect_err("both are down");
    assert_eq!(
        error.to_string(),
        format!("cannot load the keys of a.example: {down}; of b.example: status 502 Bad Gateway")
    );

    a.set_fault(None);
    b.set_fault(None);
    layer.refresh_now().await.expect("both are back");
}

#[tokio::test(start_paused = true)]
async fn waiting_for_the_keys_ends_in_time_and_names_the_tenants_without() {
    let (layer, [a, _]) = one_of_two_is_down();
    let (begun, limit) = (Instant::now(), Duration::from_secs(20));
    let error = layer.ready_within(limit).await.expect_err("one is down");
    assert_eq!(begun.elapsed(), limit);
    let failed: Vec<_> = error.tenants().map(|(domain, _)| domain).collect();
    assert_eq!(failed, ["a.example"]);
    let cause = layer.health().tenants[0].keys.last_error.clone();
    let cause = cause.expect("it failed");
    assert_eq!(
        error.to_string(),
        format!("cannot load the keys of a.example: {cause}")
    );

    // A first fetch that has not ended yet is no failure, but no keys either.
    let (fresh, [hung, _]) = one_of_two_is_down();
    hung.set_fault(Some(Fault::Slow(Duration::from_secs(4))));
    let error = fresh.ready_within(Duration::from_secs(2)).await;
    assert_eq!(
        error.expect_err("one hangs").to_string(),
        "cannot load the keys of a.example: no keys within 2s"
    );

    // Once it is back, waiting ends with the keys and not with the limit.
    a.set_fault(None);
    let begun = Instant::now();
    layer
        .ready_within(Duration::from_secs(60))
        .await
        .expect("back");
    assert!(begun.elapsed() < Duration::from_secs(60));
    assert!(layer.health().is_ready());
}

/// In the EU, a tenant's domain ends otherwise, and others may yet.
#[tokio::test]
async fn a_tenant_s_domain_ends_as_it_likes_and_counts_whole() {
    let domains = [
        "example.conductor.one",
        "example.c1eu.ai",
        "example.c1.ai",
        "c1.example.com",
    ];
    for domain in domains {
        let tenant = FakeTenant::new(domain);
        let cache = JwksCache::builder(format!("https://{domain}/auth/v1/jwks"))
            .build(tenant.fetch())
            .expect("good");
        let layer = VerifyWebhookLayer::builder()
            .public_url("https://hooks.example.com")
            .tenant(Tenant::new(domain).key_source(cache))
            .clock(clock())
            .build()
            .expect("good");
        let delivery = tenant.delivery(TEST_EVENT).issued_at(now());
        let outcome = send(&layer, delivery.request()).await;
        let webhook = outcome.webhook();
        assert_eq!(
            (webhook.tenant(), webhook.claims().issuer()),
            (domain, domain)
        );
        let callback = webhook.callback_url().expect("one").expose_secret();
        assert!(
            callback.starts_with(&format!("https://{domain}/")),
            "{callback}"
        );

        // The same name under another suffix is another tenant.
        for other in domains.iter().filter(|other| **other != domain) {
            let delivery = delivery.clone().claim("iss", (*other).into());
            let outcome = send(&layer, delivery.request()).await;
            outcome.expect_token("unknown_tenant", (domain, other));
        }
        // With default configuration, too.
        let layer = builder(&tenant).build().expect("good");
        assert_eq!(layer.health().tenants[0].domain, domain);
    }
}

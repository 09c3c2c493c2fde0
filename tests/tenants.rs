//! Several tenants: one's trouble is not another's.

mod support;

use std::time::Duration;

use support::{TEST_EVENT, builder, clock, now, send};

use tower_conductorone::keys::JwksCache;
use tower_conductorone::testing::{FakeTenant, Fault};
use tower_conductorone::{Tenant, VerifyWebhookLayer};

#[tokio::test(start_paused = true)]
async fn keys_are_loaded_although_another_tenant_s_are_out_of_reach() {
    for _ in 0..20 {
        let mut builder = VerifyWebhookLayer::builder().public_url("https://hooks.example.com");
        for (domain, broken) in [("a.example", true), ("b.example", false)] {
            let fetch = FakeTenant::new(domain).fetch();
            fetch.set_fault(broken.then_some(Fault::Down));
            let cache = JwksCache::builder(format!("https://{domain}/jwks"))
                .build(fetch)
                .expect("good");
            builder = builder.tenant(Tenant::new(domain).key_source(cache));
        }
        let layer = builder.build().expect("good");
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

//! Several tenants: one's trouble is not another's.

use std::time::Duration;

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

//! What observers and the `metrics` facade get of a tenant's keys.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::Response;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use support::{DOMAIN, now};
use tokio::time::sleep;
use tower_conductorone::keys::{Algorithm, JwksCache, KeySet};
use tower_conductorone::observe::{KeyFetch, Observer, TenantKeys};
use tower_conductorone::testing::{FakeFetch, FakeTenant, Fault, VirtualClock};
use tower_conductorone::{Tenant, VerifyWebhookBuilder, VerifyWebhookLayer};

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn builder() -> VerifyWebhookBuilder {
    VerifyWebhookLayer::builder()
        .public_url("https://hooks.example.com")
        .clock(VirtualClock::starting_at(now()))
}

/// What an observer was told, with times relative to [`now`].
#[derive(Clone, Debug, Default)]
struct Noted(Arc<Mutex<Vec<String>>>);

impl Noted {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().expect("no panic"))
    }
}

impl Observer for Noted {
    fn key_fetch(&self, fetch: &KeyFetch<'_>) {
        let (tenant, result, time) = (fetch.tenant(), fetch.result(), fetch.duration());
        let note = format!("{tenant} {} in {time:?}", result.as_str());
        self.0.lock().expect("no panic").push(note);
    }

    fn tenant_keys(&self, keys: &TenantKeys<'_>) {
        let after = |at: Option<SystemTime>| match at {
            Some(at) => format!("{:?}", at.duration_since(now()).expect("later")),
            None => "never".to_owned(),
        };
        let note = format!(
            "{} has {}: fetched {}, stale {}, expire {}",
            keys.tenant(),
            keys.health().keys.len(),
            after(keys.fetched_at()),
            after(keys.stale_at()),
            after(keys.expire_at()),
        );
        self.0.lock().expect("no panic").push(note);
    }
}

fn fails(fetch: &FakeFetch) {
    let mut answer = Response::new(Bytes::new());
    *answer.status_mut() = http::StatusCode::BAD_GATEWAY;
    fetch.answer_with(Some(answer));
}

#[tokio::test(start_paused = true)]
async fn an_observer_is_told_of_each_fetch_and_of_the_keys_after_it() {
    let (tenant, noted) = (FakeTenant::new(DOMAIN), Noted::default());
    let fetch = tenant.fetch();
    fetch.cache_control(Some("max-age=100"));
    let layer = builder()
        .tenant(DOMAIN)
        .fetch(fetch.clone())
        .observer(noted.clone())
        .build()
        .expect("good");
    assert_eq!(noted.take(), [""; 0], "nothing is known of the keys");
    fetch.set_fault(Some(Fault::Slow(secs(2))));
    layer.ready().await;
    assert_eq!(
        noted.take(),
        [
            format!("{DOMAIN} changed in 2s"),
            format!("{DOMAIN} has 1: fetched 2s, stale 102s, expire 3602s"),
        ]
    );
    fetch.set_fault(None);
    sleep(secs(81)).await;
    assert_eq!(
        noted.take(),
        [
            format!("{DOMAIN} unchanged in 0ns"),
            format!("{DOMAIN} has 1: fetched 82s, stale 182s, expire 3682s"),
        ]
    );
    tenant.add_key(Algorithm::Es256);
    layer.refresh_now().await.expect("keys");
    assert_eq!(
        noted.take(),
        [
            format!("{DOMAIN} changed in 0ns"),
            format!("{DOMAIN} has 2: fetched 83s, stale 183s, expire 3683s"),
        ]
    );
    // The times remain those of the last success, and the keys are used until the end.
    fails(&fetch);
    sleep(secs(3590)).await;
    let failed = format!("{DOMAIN} failed in 0ns");
    let old = format!("{DOMAIN} has 2: fetched 83s, stale 183s, expire 3683s");
    for noted in noted.take().chunks(2) {
        assert_eq!(noted, [failed.clone(), old.clone()]);
    }
    sleep(secs(60)).await;
    let gone = format!("{DOMAIN} has 0: fetched 83s, stale 183s, expire 3683s");
    assert_eq!(noted.take().last(), Some(&gone));
}

#[tokio::test(start_paused = true)]
async fn layers_that_share_a_cache_are_not_told_twice() {
    let tenant = FakeTenant::new(DOMAIN);
    let cache = JwksCache::builder("https://example.conductor.one/auth/v1/jwks");
    let cache = cache.build(tenant.fetch()).expect("good");
    let (noted, other) = (Noted::default(), Noted::default());
    let layer = |domain: &str, noted: &Noted| {
        let tenant = Tenant::new(domain).key_source(cache.clone());
        let builder = builder().tenant(tenant).observer(noted.clone());
        builder.build().expect("good")
    };
    let first = layer(DOMAIN, &noted);
    first.ready().await;
    noted.take();
    let second = layer(DOMAIN, &noted);
    let told_of_those_in_use = noted.take();
    assert_eq!(told_of_those_in_use.len(), 1, "{told_of_those_in_use:?}");
    let third = layer("other.conductor.one", &other);
    other.take();
    first.refresh_now().await.expect("keys");
    assert_eq!((noted.take().len(), other.take().len()), (2, 2));
    drop((second, third));
}

#[tokio::test]
async fn fixed_keys_are_told_when_the_layer_is_built() {
    let (tenant, noted) = (FakeTenant::new(DOMAIN), Noted::default());
    let keys = KeySet::from_json(tenant.jwks().as_bytes()).expect("keys");
    let build = |tenant: Tenant| {
        let builder = builder().tenant(tenant).observer(noted.clone());
        builder.build().expect("good")
    };
    build(Tenant::new(DOMAIN).static_keys(keys));
    assert_eq!(
        noted.take(),
        [format!(
            "{DOMAIN} has 1: fetched never, stale never, expire never"
        )]
    );
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("metrics-jwks.json");
    std::fs::write(&path, tenant.jwks()).expect("written");
    build(Tenant::new(DOMAIN).jwks_file(&path));
    let told = noted.take();
    assert!(
        told.len() == 1 && told[0].contains("has 1: fetched "),
        "{told:?}"
    );
}

/// The values of counters and gauges, by name and labels, since the last call.
fn taken(snapshotter: &Snapshotter) -> BTreeMap<String, f64> {
    let mut values = BTreeMap::new();
    for (key, _, _, value) in snapshotter.snapshot().into_vec() {
        let labels = key.key().labels();
        let labels: Vec<_> = labels
            .map(|label| format!("{}={}", label.key(), label.value()))
            .collect();
        let value = match value {
            DebugValue::Counter(count) => f64::from(u32::try_from(count).expect("few")),
            DebugValue::Gauge(value) => value.into_inner(),
            DebugValue::Histogram(_) => continue,
        };
        values.insert(
            format!("{}{{{}}}", key.key().name(), labels.join(",")),
            value,
        );
    }
    values
}

#[tokio::test(start_paused = true)]
async fn the_metrics_tell_the_age_the_fetches_and_the_algorithms() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let tenant = FakeTenant::with_algorithm(DOMAIN, Algorithm::Es256);
    let (ed, fetch) = (tenant.add_key(Algorithm::EdDsa), tenant.fetch());
    let builder = builder().tenant(DOMAIN).fetch(fetch.clone());
    let layer = builder.build().expect("good");
    layer.ready().await;

    let start = 1_713_312_120.0;
    let check = |expected: &[(&str, f64)]| {
        let taken = taken(&snapshotter);
        for (name, value) in expected {
            let found = taken.get(*name).copied();
            let is_it = found.is_some_and(|found| (found - value).abs() < 0.01);
            assert!(is_it, "{name} is {found:?}, not {value}: {taken:?}");
        }
    };
    let of_keys = |rest: &str| format!("c1_webhook_keys{rest}{{tenant={DOMAIN}}}");
    let by = |algorithm: &str| format!("c1_webhook_keys{{algorithm={algorithm},tenant={DOMAIN}}}");
    let fetches =
        |result: &str| format!("c1_webhook_key_fetches_total{{result={result},tenant={DOMAIN}}}");
    check(&[
        (&fetches("changed"), 1.0),
        (&by("EdDSA"), 1.0),
        (&by("ES256"), 1.0),
        (&by("RS256"), 0.0),
        (&of_keys("_fetched_timestamp_seconds"), start),
        (&of_keys("_stale_timestamp_seconds"), start + 300.0),
        (&of_keys("_expire_timestamp_seconds"), start + 3600.0),
    ]);
    // An algorithm that the set has no more is set to 0.
    tenant.remove_key(&ed);
    sleep(secs(241)).await;
    check(&[
        (&fetches("changed"), 1.0),
        (&by("EdDSA"), 0.0),
        (&by("ES256"), 1.0),
        (&of_keys("_fetched_timestamp_seconds"), start + 240.0),
    ]);
    fails(&fetch);
    sleep(secs(2 * 3600)).await;
    check(&[
        (&by("ES256"), 0.0),
        (&of_keys("_fetched_timestamp_seconds"), start + 240.0),
        (&of_keys("_expire_timestamp_seconds"), start + 3840.0),
    ]);
}

//! The configuration: what cannot work fails when the layer is built, with the
//! value and what to do about it.

use std::error::Error;
use std::fs;
use std::iter;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use support::body::{Script, data};
use support::{DOMAIN, TEST_EVENT, builder, now, send};
use tower_conductorone::keys::{
    Algorithm, Fetch, FetchError, JwksCache, JwksCacheError, KeySet, KeySetError, KeySource,
};
use tower_conductorone::replay::{MemoryReplayStore, ReplayStore};
use tower_conductorone::testing::{FakeTenant, Fault};
use tower_conductorone::{
    BoxFuture, Clock, ReplayPolicy, Tenant, VerifyWebhookBuilder, VerifyWebhookLayer,
};

/// A builder that lacks nothing.
fn good() -> VerifyWebhookBuilder {
    builder(&FakeTenant::new(DOMAIN))
}

/// A builder with these tenants, and no other.
fn with_tenants(tenants: impl IntoIterator<Item = Tenant>) -> VerifyWebhookBuilder {
    let builder = VerifyWebhookLayer::builder()
        .public_url("https://hooks.example.com")
        .clock(support::clock());
    tenants
        .into_iter()
        .fold(builder, VerifyWebhookBuilder::tenant)
}

fn with_keys(tenant: &FakeTenant) -> Tenant {
    let keys = KeySet::from_json(tenant.jwks().as_bytes()).expect("good keys");
    Tenant::new(tenant.domain()).static_keys(keys)
}

/// What an error and its sources say.
fn chain(error: &dyn Error) -> String {
    let errors = iter::successors(Some(error), |error| (*error).source());
    errors
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

/// The message of the error; each of `said` must stand in it.
#[track_caller]
fn assert_refused(builder: VerifyWebhookBuilder, said: &[&str]) -> String {
    let message = match builder.build() {
        Ok(layer) => panic!("built, not refused for {said:?}: {layer:?}"),
        Err(error) => chain(&error),
    };
    for said in said {
        assert!(message.contains(said), "{said:?} in {message:?}");
    }
    message
}

#[test]
fn what_is_required_is_asked_for() {
    assert_refused(
        VerifyWebhookLayer::builder().tenant(with_keys(&FakeTenant::new(DOMAIN))),
        &["no public URL", "such as https://hooks.example.com"],
    );
    assert_refused(
        with_tenants([]),
        &["no tenant", "such as example.conductor.one"],
    );
}

#[test]
fn a_public_url_that_cannot_be_one_is_refused() {
    const EXAMPLE: &str = "https://hooks.example.com";
    let table = [
        ("", "not an absolute", EXAMPLE),
        ("hooks.example.com", "not an absolute", EXAMPLE),
        ("//hooks.example.com", "not an absolute", EXAMPLE),
        ("/webhooks", "not an absolute", EXAMPLE),
        ("ftp://hooks.example.com", "not an absolute", EXAMPLE),
        ("wss://hooks.example.com", "not an absolute", EXAMPLE),
        ("https:hooks.example.com", "not an absolute", EXAMPLE),
        (" https://hooks.example.com", "not an absolute", EXAMPLE),
        ("https://", "no host", EXAMPLE),
        ("https:///webhooks", "no host", EXAMPLE),
        ("https://:443", "no host", EXAMPLE),
        ("https://me@hooks.example.com", "user name", EXAMPLE),
        ("https://hooks.example.com:99999", "port", EXAMPLE),
        ("https://hooks.example.com:https", "port", EXAMPLE),
        ("https://hooks example.com", "host", EXAMPLE),
        ("https://hooks.example.com\n", "host", EXAMPLE),
        ("https://hööks.example.com", "host", "in punycode"),
        ("https://hööks.example.com:8443/ä", "host", "in punycode"),
        ("https://[::1", "host", EXAMPLE),
        ("https://[::g]", "host", EXAMPLE),
        ("https://hooks.example.com/%zz", "path", EXAMPLE),
        ("https://hooks.example.com/a b", "path", EXAMPLE),
        ("https://hooks.example.com/ä", "path", EXAMPLE),
        ("https://hooks.example.com?a=b", "query", EXAMPLE),
        ("https://hooks.example.com/#top", "fragment", EXAMPLE),
        ("http://hooks.example.com", "plain http", "use https"),
        (
            "http://127.0.0.1:3000",
            "plain http",
            "dangerous_allow_http_on_loopback",
        ),
        (
            "http://localhost",
            "plain http",
            "dangerous_allow_http_on_loopback",
        ),
    ];
    for (url, wrong, remedy) in table {
        let message = assert_refused(good().public_url(url), &["public URL", wrong, remedy]);
        // The value, but for what might be a secret in it.
        let shown = url.rsplit('@').next().expect("one at least");
        let shown = shown.split('?').next().expect("one at least");
        let shown = shown.escape_debug().to_string();
        assert!(message.contains(&shown), "{message}");
    }
    for url in [
        "https://hooks.example.com",
        "HTTPS://HOOKS.EXAMPLE.COM:443/",
        "https://hooks.example.com:8443/pre/fix/",
        "https://192.0.2.1",
        "https://[2001:db8::1]:444",
        "https://localhost",
        "https://hooks.example.com/with%20space",
    ] {
        assert!(good().public_url(url).build().is_ok(), "{url}");
    }
}

#[test]
fn plain_http_is_for_loopback_hosts_and_only_where_it_is_allowed() {
    for (url, loopback) in [
        ("http://localhost:3000", true),
        ("http://LocalHost", true),
        ("http://127.0.0.1", true),
        ("http://127.1.2.3:1/prefix", true),
        ("http://[::1]:3000", true),
        ("http://[0:0:0:0:0:0:0:1]", true),
        ("http://hooks.example.com", false),
        ("http://localhost.example.com", false),
        ("http://127.0.0.1.example.com", false),
        ("http://0.0.0.0", false),
        ("http://10.0.0.1", false),
        ("http://[::]", false),
        ("http://[::ffff:192.0.2.1]", false),
    ] {
        assert_refused(good().public_url(url), &[url, "plain http"]);
        let allowing = good().public_url(url).dangerous_allow_http_on_loopback();
        if loopback {
            assert!(allowing.build().is_ok(), "{url}");
        } else {
            assert_refused(allowing, &[url, "plain http", "use https"]);
        }
    }
}

#[test]
fn a_limit_that_nothing_could_meet_is_refused() {
    let zero = Duration::ZERO;
    for (name, builder) in [
        ("max_token_lifetime", good().max_token_lifetime(zero)),
        ("max_token_bytes", good().max_token_bytes(0)),
        ("max_body_bytes", good().max_body_bytes(0)),
        ("body_timeout", good().body_timeout(zero)),
        ("replay_store_timeout", good().replay_store_timeout(zero)),
    ] {
        assert_refused(builder, &[name, "is 0", "default"]);
    }
}

#[test]
fn a_leeway_is_a_minute_at_most() {
    for seconds in [0, 1, 30, 60] {
        let builder = good().leeway(Duration::from_secs(seconds));
        assert!(builder.build().is_ok(), "{seconds}");
    }
    assert_refused(
        good().leeway(Duration::from_millis(60_001)),
        &["leeway", "60.001s", "at most 60s", "NTP"],
    );
    assert_refused(good().leeway(Duration::MAX), &["leeway", "at most 60s"]);
}

#[tokio::test]
async fn limits_without_measure_break_nothing() {
    let tenant = FakeTenant::new(DOMAIN);
    let layer = builder(&tenant)
        .max_token_lifetime(Duration::MAX)
        .max_token_bytes(usize::MAX)
        .max_body_bytes(usize::MAX)
        .body_timeout(Duration::MAX)
        .replay_store_timeout(Duration::MAX)
        .build()
        .expect("good");
    let delivery = tenant.delivery(TEST_EVENT).issued_at(now());
    let body = Script::new([data(delivery.body_bytes())]);
    let outcome = send(&layer, delivery.request().map(|_| body)).await;
    assert_eq!(outcome.code(), "accepted");
}

// Tenants.

#[test]
fn a_tenant_is_named_by_its_bare_domain() {
    let long_label = format!("{}.conductor.one", "a".repeat(64));
    let long = format!("{}conductor.one", "a.".repeat(130));
    for domain in [
        "",
        ".",
        "https://example.conductor.one",
        "example.conductor.one/",
        "example.conductor.one/auth/v1/jwks",
        "example.conductor.one:443",
        "example.conductor.one.",
        ".conductor.one",
        "example..one",
        "me@example.conductor.one",
        "example.conductor.one ",
        "exämple.conductor.one",
        "*.conductor.one",
        "[::1]",
        "example.conductor.one?x",
        // Tokens have it in lower case, and it is compared as it is.
        "Example.conductor.one",
        &long_label,
        &long,
    ] {
        let tenant = Tenant::new(domain).static_keys(keys());
        let message = assert_refused(with_tenants([tenant]), &["tenant", "example.conductor.one"]);
        assert!(message.contains(&format!("{domain:?}")), "{message}");
    }
    for domain in ["example.conductor.one", "localhost", "a-b_c.x1.example"] {
        let tenant = Tenant::new(domain).static_keys(keys());
        assert!(with_tenants([tenant]).build().is_ok(), "{domain}");
    }
}

fn keys() -> KeySet {
    KeySet::from_json(FakeTenant::new(DOMAIN).jwks().as_bytes()).expect("good keys")
}

#[test]
fn a_tenant_is_named_once() {
    let tenant = || Tenant::new(DOMAIN).static_keys(keys());
    assert_refused(
        with_tenants([tenant(), tenant()]),
        &[DOMAIN, "twice", "once"],
    );
}

#[tokio::test]
async fn of_two_tenants_each_has_its_own_keys() {
    let (one, two) = (
        FakeTenant::new("one.conductor.one"),
        FakeTenant::new("two.conductor.one"),
    );
    let layer = with_tenants([with_keys(&two), with_keys(&one)])
        .build()
        .expect("good");
    for tenant in [&one, &two] {
        let request = tenant.delivery(TEST_EVENT).issued_at(now()).request();
        let outcome = send(&layer, request).await;
        assert_eq!(outcome.webhook().tenant(), tenant.domain());
        assert_eq!(outcome.webhook().claims().issuer(), tenant.domain());
    }
    // One's key in the other's name.
    for (signer, issuer) in [(&one, &two), (&two, &one)] {
        let delivery = signer.delivery(TEST_EVENT).issued_at(now());
        let delivery = delivery.claim("iss", issuer.domain().into());
        let outcome = send(&layer, delivery.request()).await;
        assert_eq!(outcome.code(), "unknown_key");
        assert!(outcome.handled.is_none());
    }
    let health = layer.health();
    assert!(health.is_ready());
    let domains: Vec<_> = health
        .tenants
        .iter()
        .map(|tenant| &*tenant.domain)
        .collect();
    assert_eq!(domains, ["one.conductor.one", "two.conductor.one"]);
}

#[tokio::test]
async fn each_tenant_can_have_any_path_called_and_none_is_taken_for_another() {
    let tenants = ["one.conductor.one", "two.conductor.one"].map(FakeTenant::new);
    let layer = with_tenants(tenants.iter().map(with_keys))
        .build()
        .expect("good");
    for tenant in &tenants {
        for path in ["one", "two"] {
            let url = format!("https://hooks.example.com/{path}");
            let delivery = tenant.delivery(TEST_EVENT).issued_at(now()).to(url);
            let outcome = send(&layer, delivery.request()).await;
            assert_eq!(outcome.webhook().tenant(), tenant.domain(), "{path}");
        }
    }
}

#[cfg(feature = "reqwest")]
#[test]
fn a_jwks_url_that_cannot_be_one_is_refused() {
    let with_url = |url: &str| with_tenants([Tenant::new(DOMAIN).jwks_url(url)]);
    for url in [
        "",
        "keys.example.com",
        "/jwks",
        "ftp://keys.example.com/jwks",
    ] {
        assert_refused(with_url(url), &[DOMAIN, "JWKS URL", "https"]);
    }
    for url in ["http://keys.example.com/jwks", "http://127.0.0.1:3000/jwks"] {
        assert_refused(with_url(url), &[DOMAIN, url, "https"]);
    }
    assert_refused(
        with_url("https://schlüssel.example.com/jwks"),
        &[DOMAIN, "https://schlüssel.example.com/jwks", "in punycode"],
    );
    let userinfo = "https://me:s3cret@keys.example.com/jwks";
    let message = assert_refused(with_url(userinfo), &[DOMAIN, "keys.example.com/jwks"]);
    assert!(!message.contains("s3cret"), "{message}");

    let loopback = with_url("http://127.0.0.1:3000/jwks").dangerous_allow_http_on_loopback();
    assert!(loopback.build().is_ok());
    let elsewhere = with_url("http://keys.example.com/jwks").dangerous_allow_http_on_loopback();
    assert_refused(
        elsewhere,
        &[DOMAIN, "http://keys.example.com/jwks", "https"],
    );
    assert!(
        with_url("https://keys.example.com/jwks?v=1")
            .build()
            .is_ok()
    );
}

#[cfg(feature = "reqwest")]
#[test]
fn a_tenant_s_name_is_enough() {
    // Also outside a runtime: nothing is fetched yet.
    let layer = with_tenants([DOMAIN.into()]).build().expect("good");
    assert!(!layer.health().is_ready());
}

#[cfg(not(feature = "reqwest"))]
#[test]
fn without_a_client_keys_have_to_come_from_elsewhere() {
    for tenant in [
        DOMAIN.into(),
        Tenant::new(DOMAIN).jwks_url("https://keys.example.com"),
    ] {
        assert_refused(
            with_tenants([tenant]),
            &[DOMAIN, "`reqwest`", "static keys"],
        );
    }
    let url = "https://me:s3cret@keys.example.com/jwks?token=s3cret";
    let message = assert_refused(
        with_tenants([Tenant::new(DOMAIN).jwks_url(url)]),
        &["https://…@keys.example.com/jwks?…"],
    );
    assert!(!message.contains("s3cret"), "{message}");
}

// A JWKS file.

#[tokio::test]
async fn every_tenant_s_keys_are_fetched_through_the_user_s_own_client() {
    let [usual, elsewhere] = [DOMAIN, "other.conductor.one"].map(FakeTenant::new);
    let url = "https://keys.example.com/jwks?id=7";
    for (tenant, named, asked) in [
        (
            &usual,
            Tenant::new(DOMAIN),
            "https://example.conductor.one/auth/v1/jwks",
        ),
        (
            &elsewhere,
            Tenant::new(elsewhere.domain()).jwks_url(url),
            url,
        ),
    ] {
        let fetch = tenant.fetch();
        let layer = with_tenants([named]).fetch(fetch.clone()).build();
        let layer = layer.expect("good");
        assert_eq!(fetch.requests(), 0, "nothing is fetched when it is built");
        let delivery = tenant.delivery(TEST_EVENT).issued_at(now());
        assert_eq!(send(&layer, delivery.request()).await.code(), "accepted");
        let request = fetch.last_request().expect("the keys were asked for");
        assert_eq!(request.uri(), asked);
    }
}

#[tokio::test]
async fn an_own_client_s_error_is_reported_with_its_cause() {
    #[derive(Debug)]
    struct NoRoute;
    impl Fetch for NoRoute {
        fn fetch(
            &self,
            _: http::Request<()>,
            _: usize,
        ) -> BoxFuture<'_, Result<http::Response<bytes::Bytes>, FetchError>> {
            let cause = std::io::Error::other("no route\nto host");
            let error = FetchError::new("the mesh is down").with_source(cause);
            Box::pin(async { Err(error) })
        }
    }

    let layer = with_tenants([DOMAIN.into()]).fetch(NoRoute).build();
    let error = layer.expect("good").refresh_now().await.expect_err("down");
    let (_, cause) = error.tenants().next().expect("one tenant");
    assert_eq!(cause.reason(), "the mesh is down: no route\\nto host");
}

/// Receivers in one process share their ports; a caller keeps a handle of each.
#[tokio::test]
async fn every_port_may_be_shared_behind_an_arc() {
    let tenant = FakeTenant::new(DOMAIN);
    let server = tenant.fetch();
    let fetch: Arc<dyn Fetch> = Arc::new(server.clone());
    let url = "https://example.conductor.one/auth/v1/jwks";
    let cache = JwksCache::builder(url).build(Arc::clone(&fetch));
    let keys: Arc<dyn KeySource> = Arc::new(cache.expect("good"));
    let used: Arc<dyn ReplayStore> = Arc::new(MemoryReplayStore::default());
    let hands = Arc::new(support::clock());
    let clock: Arc<dyn Clock> = hands.clone();
    let receiver = || {
        let builder = VerifyWebhookLayer::builder()
            .public_url("https://hooks.example.com")
            .tenant(Tenant::new(DOMAIN).key_source(Arc::clone(&keys)))
            .replay_store(Arc::clone(&used))
            .clock(Arc::clone(&clock));
        builder.build().expect("good")
    };
    let [one, other] = [receiver(), receiver()];

    one.ready().await;
    assert!(other.health().is_ready(), "the keys are shared");
    let delivery = tenant.delivery(TEST_EVENT).issued_at(now());
    assert_eq!(send(&one, delivery.request()).await.code(), "accepted");
    let again = send(&other, delivery.request()).await;
    again.expect_token("replayed_token", "the replay store is shared");

    let before = server.requests();
    other.refresh_now().await.expect("loaded");
    assert_eq!(server.requests(), before + 1);
    server.set_fault(Some(Fault::Down));
    one.refresh_now().await.expect_err("out of reach");
    assert_eq!(other.health().tenants[0].keys.failures, 1);

    hands.advance(Duration::from_secs(3600));
    let late = send(
        &other,
        tenant.delivery(TEST_EVENT).issued_at(now()).request(),
    );
    late.await
        .expect_token("token_expired", "the clock is shared");
}

/// A file for this test alone.
fn file(name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("config-{name}"));
    fs::write(&path, content).expect("a file can be written");
    path
}

#[tokio::test]
async fn keys_may_come_from_a_file() {
    let tenant = FakeTenant::new(DOMAIN);
    let path = file("good.json", tenant.jwks());
    let layer = with_tenants([Tenant::new(DOMAIN).jwks_file(&path)]);
    let layer = layer.build().expect("good");
    assert!(layer.health().is_ready());
    let request = || tenant.delivery(TEST_EVENT).issued_at(now()).request();
    assert_eq!(send(&layer, request()).await.code(), "accepted");

    // It is read again when somebody asks for that …
    let old = tenant.signing_key();
    tenant.rotate(Algorithm::EdDsa);
    tenant.remove_key(&old);
    fs::write(&path, tenant.jwks()).expect("a file can be written");
    layer.refresh_now().await.expect("readable");
    assert_eq!(send(&layer, request()).await.code(), "accepted");
    let stolen = tenant
        .delivery(TEST_EVENT)
        .issued_at(now())
        .signing_key(old);
    assert_eq!(send(&layer, stolen.request()).await.code(), "unknown_key");

    // … and what was good stays in force if it cannot be.
    fs::write(&path, "oops").expect("a file can be written");
    assert!(layer.refresh_now().await.is_err());
    assert_eq!(send(&layer, request()).await.code(), "accepted");
}

#[test]
fn a_jwks_file_that_does_not_do_is_refused() {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let symmetric = r#"{"keys":[{"kty":"oct","kid":"shared","k":"c2VjcmV0LXM0Y3JldA"}]}"#;
    for (path, why) in [
        (directory.join("config-missing.json"), "No such file"),
        (directory, "file"),
        (file("empty.json", ""), "key set"),
        (file("text.json", "-----BEGIN PUBLIC KEY-----"), "key set"),
        (file("binary.json", b"\xff\xfe"), "UTF-8"),
        (file("none.json", r#"{"keys":[]}"#), "no usable key"),
        (file("symmetric.json", symmetric), "\"shared\""),
        (file("large.json", " ".repeat(300_000)), "longer than"),
    ] {
        let builder = with_tenants([Tenant::new(DOMAIN).jwks_file(&path)]);
        let message = assert_refused(builder, &[DOMAIN, "JWKS file", why]);
        let name = path.file_name().expect("a name").to_string_lossy();
        assert!(message.contains(&*name), "{message}");
        assert!(!message.contains("c2VjcmV0"), "{message}");
    }
}

#[test]
fn what_is_wrong_with_a_jwks_file_can_be_told_by_its_type() {
    let refused = |path| {
        let built = with_tenants([Tenant::new(DOMAIN).jwks_file(path)]).build();
        let error = built.expect_err("it is refused");
        let source = error.source().expect("the cause");
        source.downcast_ref().cloned().expect("a JwksCacheError")
    };
    let missing = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("config-missing.json");
    let JwksCacheError::UnreadableFile { source, .. } = refused(missing) else {
        panic!("it is there");
    };
    let io = source.source().and_then(|error| error.downcast_ref());
    assert_eq!(
        io.map(std::io::Error::kind),
        Some(std::io::ErrorKind::NotFound)
    );
    let empty = file("no-keys.json", r#"{"keys":[]}"#);
    assert!(matches!(
        refused(empty),
        JwksCacheError::FileWithoutKeys {
            source: KeySetError::NoUsableKey(_),
            ..
        }
    ));
}

// What is in force.

#[test]
fn the_layer_tells_the_policy_in_force() {
    let shown = format!("{:?}", good().build().expect("good"));
    for said in [
        "public_url: https://hooks.example.com",
        DOMAIN,
        "leeway: 30s",
        "max_token_lifetime: 600s",
        "max_token_bytes: 8192",
        "max_body_bytes: 2097152",
        "body_timeout: 10s",
        "dangerous_allow_http_on_loopback: false",
        "replay_policy: Some(Refuse)",
        "replay_store_timeout: Some(20s)",
        "MemoryReplayStore { capacity: 100000",
        "ManualClock",
    ] {
        assert!(shown.contains(said), "{said:?} in {shown}");
    }
    let other = good()
        .public_url("HTTPS://Hooks.Example.com:443/Prefix/")
        .leeway(Duration::from_secs(7))
        .max_token_lifetime(Duration::from_secs(240))
        .max_token_bytes(4_000)
        .max_body_bytes(5_000)
        .body_timeout(Duration::from_secs(6))
        .replay_store_timeout(Duration::from_secs(3))
        .dangerous_allow_http_on_loopback();
    let marking = other
        .replay_policy(ReplayPolicy::Mark)
        .build()
        .expect("good");
    let shown = format!("{marking:?}");
    for said in [
        "public_url: https://hooks.example.com/Prefix,",
        "leeway: 7s",
        "max_token_lifetime: 240s",
        "max_token_bytes: 4000",
        "max_body_bytes: 5000",
        "body_timeout: 6s",
        "dangerous_allow_http_on_loopback: true",
        "replay_policy: Some(Mark)",
        "replay_store_timeout: Some(3s)",
    ] {
        assert!(shown.contains(said), "{said:?} in {shown}");
    }
    let off = good().dangerous_disable_replay_guard();
    let shown = format!("{:?}", off.build().expect("good"));
    assert!(shown.contains("replay_policy: None"), "{shown}");
    // The last word counts.
    let on = good()
        .dangerous_disable_replay_guard()
        .replay_policy(ReplayPolicy::Refuse);
    let shown = format!("{:?}", on.build().expect("good"));
    assert!(shown.contains("replay_policy: Some(Refuse)"), "{shown}");
}

#[test]
fn the_layer_tells_where_each_tenant_s_keys_come_from() {
    let tenant = FakeTenant::new("c.example");
    let path = file("shown.json", tenant.jwks());
    let cache = JwksCache::builder("https://keys.example.com/jwks?token=s3cret")
        .timeout(Duration::from_secs(4))
        .build(tenant.fetch())
        .expect("good");
    // In the order of their domains, whatever the order they were named in.
    let tenants = [
        with_keys(&tenant),
        Tenant::new("b.example").jwks_file(&path),
        Tenant::new("a.example").key_source(cache),
    ];
    let shown = format!("{:?}", with_tenants(tenants).build().expect("good"));
    let mut rest = shown.as_str();
    for said in [
        "\"a.example\": JwksCache { source: \"https://keys.example.com/jwks?…\"",
        "timeout: 4s",
        "\"b.example\": JwksCache { source: ",
        "config-shown.json",
        "\"c.example\": StaticKeys {",
        &tenant.signing_key(),
    ] {
        let Some((_, after)) = rest.split_once(said) else {
            panic!("{said:?}, after the others, in {shown}")
        };
        rest = after;
    }
    assert!(!shown.contains("s3cret"), "{shown}");
}

#[test]
fn credentials_in_urls_are_not_shown() {
    const URL: &str = "https://me:s3cret@example.com/jwks?token=s3cret";
    let tenant = || Tenant::new(DOMAIN).jwks_url(URL);
    let builder = || with_tenants([tenant()]).public_url(URL);
    let error = builder().build().expect_err("user information");
    for shown in [
        format!("{:?}", tenant()),
        format!("{:?}", builder()),
        format!("{error}"),
        format!("{error:?}"),
    ] {
        assert!(!shown.contains("s3cret"), "{shown}");
        assert!(shown.contains("example.com"), "{shown}");
    }
}

#[test]
fn whatever_is_taken_for_a_url_is_shown_without_what_may_be_a_secret() {
    for (url, shown) in [
        ("https:me:s3cret@example.com/", "\"…@example.com/\""),
        ("me:s3cret@example.com", "\"…@example.com\""),
        ("https://me:s3?cret@example.com", "\"https://…\""),
        ("https://me:s3#cret@example.com", "\"https://…\""),
        ("https://example.com/?token=s3@cret", "\"https://…\""),
        (
            "https://example.com/?token=s3#cret",
            "\"https://example.com/?…\"",
        ),
        // A fragment alone is no secret: it is sent to nobody.
        ("https://example.com/#top", "\"https://example.com/#top\""),
        ("https://example.com/#a?b", "\"https://example.com/#a?b\""),
    ] {
        let message = assert_refused(good().public_url(url), &[shown]);
        assert!(!message.contains("cret"), "{message}");
    }
    // A tenant is no URL, but may be taken for one.
    let tenant = || Tenant::new("https://me:s3cret@example.conductor.one");
    let message = assert_refused(
        with_tenants([tenant()]),
        &["https://…@example.conductor.one"],
    );
    for shown in [
        message,
        format!("{:?}", tenant()),
        format!("{:?}", with_tenants([tenant()])),
    ] {
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}

#[cfg(feature = "reqwest")]
#[test]
fn nothing_of_the_user_s_http_client_is_shown() {
    use tower_conductorone::keys::HttpsFetch;

    let key = http::HeaderValue::from_static("s3cret");
    let client = || {
        reqwest::Client::builder()
            .default_headers(
                [(http::header::AUTHORIZATION, key.clone())]
                    .into_iter()
                    .collect(),
            )
            .build()
            .expect("good")
    };
    let fetch = || HttpsFetch::with_client(client());
    let builder = || with_tenants([DOMAIN.into()]).fetch(fetch());
    let layer = builder().build().expect("good");
    let service = tower::Layer::layer(&layer, ());
    let explainer = tower_conductorone::testing::Explainer::new(builder()).expect("good");
    for shown in [
        format!("{:?}", builder()),
        format!("{layer:?}"),
        format!("{service:?}"),
        format!("{explainer:?}"),
    ] {
        assert!(shown.contains("HttpsFetch"), "{shown}");
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}

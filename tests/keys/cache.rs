//! The JWKS cache under a scripted server and a virtual clock.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tower_conductorone::BoxFuture;
use tower_conductorone::keys::{
    Fetch, FetchError, JwksCache, JwksCacheBuilder, JwksCacheError, KeySet, KeySource,
    KeysUnavailable,
};

const URL: &str = "https://example.conductor.one/auth/v1/jwks";

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A key set with one key of this ID.
fn jwks(kid: &str) -> String {
    format!(
        r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"{kid}",
            "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}}]}}"#
    )
}

fn kid(keys: &KeySet) -> String {
    keys.keys().next().unwrap().kid.unwrap()
}

enum Reply {
    Answer(Response<Bytes>),
    NoAnswer(&'static str),
    Silence,
    Panic,
}

impl Reply {
    fn keys(kid: &str) -> Self {
        Self::new(200, &[], jwks(kid))
    }

    fn status(status: u16) -> Self {
        Self::new(status, &[], "")
    }

    fn new(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Self {
        let mut answer = Response::builder().status(status);
        for (name, value) in headers {
            answer = answer.header(*name, *value);
        }
        Self::Answer(answer.body(body.into()).unwrap())
    }
}

type Script = dyn Fn(usize) -> Reply + Send + Sync;

/// Answers each fetch by its number, from 0 on, and remembers them.
#[derive(Clone)]
struct Server {
    inner: Arc<Inner>,
}

struct Inner {
    script: Mutex<Arc<Script>>,
    latency: Mutex<Duration>,
    seen: Mutex<Vec<(Instant, HeaderMap)>>,
    in_the_air: AtomicUsize,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Server")
    }
}

impl Server {
    fn new(script: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Self {
        let inner = Inner {
            script: Mutex::new(Arc::new(script)),
            latency: Mutex::new(Duration::from_millis(50)),
            seen: Mutex::default(),
            in_the_air: AtomicUsize::new(0),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    fn set(&self, script: impl Fn(usize) -> Reply + Send + Sync + 'static) {
        *self.inner.script.lock().unwrap() = Arc::new(script);
    }

    fn slow(&self, latency: Duration) {
        *self.inner.latency.lock().unwrap() = latency;
    }

    fn gets(&self) -> usize {
        self.inner.seen.lock().unwrap().len()
    }

    fn times(&self) -> Vec<Instant> {
        self.inner
            .seen
            .lock()
            .unwrap()
            .iter()
            .map(|(at, _)| *at)
            .collect()
    }

    fn last_header(&self, name: &str) -> Option<String> {
        let seen = self.inner.seen.lock().unwrap();
        let value = seen.last()?.1.get(name)?;
        Some(value.to_str().unwrap().to_owned())
    }

    fn cache(&self) -> JwksCache {
        self.cache_with(|builder| builder)
    }

    fn cache_with(&self, set: impl FnOnce(JwksCacheBuilder) -> JwksCacheBuilder) -> JwksCache {
        set(JwksCache::builder(URL)).build(self.clone()).unwrap()
    }
}

struct InTheAir<'a>(&'a AtomicUsize);

impl Drop for InTheAir<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Fetch for Server {
    fn fetch(
        &self,
        request: Request<()>,
        _max_body: usize,
    ) -> BoxFuture<'_, Result<Response<Bytes>, FetchError>> {
        assert_eq!(
            (
                request.method().as_str(),
                request.uri().to_string().as_str()
            ),
            ("GET", URL)
        );
        let number = {
            let mut seen = self.inner.seen.lock().unwrap();
            seen.push((Instant::now(), request.headers().clone()));
            seen.len() - 1
        };
        let latency = *self.inner.latency.lock().unwrap();
        Box::pin(async move {
            let before = self.inner.in_the_air.fetch_add(1, Ordering::SeqCst);
            assert_eq!(before, 0, "two fetches at a time");
            let _in_the_air = InTheAir(&self.inner.in_the_air);
            sleep(latency).await;
            let script = Arc::clone(&self.inner.script.lock().unwrap());
            match script(number) {
                Reply::Answer(answer) => Ok(answer),
                Reply::NoAnswer(why) => Err(FetchError::new(why)),
                Reply::Silence => std::future::pending().await,
                Reply::Panic => panic!("the fetch panics, as this test wants it to"),
            }
        })
    }
}

async fn cold(cache: &JwksCache) -> Result<Arc<KeySet>, KeysUnavailable> {
    cache.renew(None).await
}

/// What the verifier does with a token whose key ID it does not find.
async fn unknown_kid(cache: &JwksCache) -> Result<Arc<KeySet>, KeysUnavailable> {
    let seen = cache.current();
    cache.renew(seen.as_ref()).await
}

// ------------------------------------------------------------------ cold start

#[tokio::test(start_paused = true)]
async fn nothing_is_fetched_before_keys_are_needed() {
    let server = Server::new(|_| Reply::keys("a"));
    let cache = server.cache();
    sleep(secs(3600)).await;
    assert!(cache.current().is_none());
    assert!(!cache.health().usable);
    assert_eq!(server.gets(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_first_requests_make_one_get() {
    let server = Server::new(|_| Reply::keys("a"));
    let cache = server.cache();
    let mut requests = JoinSet::new();
    for _ in 0..1000 {
        let cache = cache.clone();
        requests.spawn(async move { kid(&cold(&cache).await.unwrap()) });
    }
    assert!(requests.join_all().await.iter().all(|kid| kid == "a"));
    assert_eq!(server.gets(), 1);
    assert!(cache.current().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_first_requests_on_several_threads_make_one_get() {
    let server = Server::new(|_| Reply::keys("a"));
    let cache = server.cache();
    let mut requests = JoinSet::new();
    for _ in 0..1000 {
        let cache = cache.clone();
        requests.spawn(async move {
            match cache.current() {
                Some(keys) => kid(&keys),
                None => kid(&cold(&cache).await.unwrap()),
            }
        });
    }
    assert!(requests.join_all().await.iter().all(|kid| kid == "a"));
    assert_eq!(server.gets(), 1);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_request_that_began_a_fetch_does_not_end_it() {
    let server = Server::new(|_| Reply::keys("a"));
    server.slow(secs(2));
    let cache = server.cache();
    assert!(timeout(secs(1), cold(&cache)).await.is_err());
    assert_eq!(server.gets(), 1);
    // One joins it, and it would have come to its end anyway.
    let start = Instant::now();
    assert_eq!(kid(&cold(&cache).await.unwrap()), "a");
    assert_eq!(start.elapsed(), secs(1));
    assert_eq!(server.gets(), 1);

    let server = Server::new(|_| Reply::keys("b"));
    server.slow(secs(2));
    let cache = server.cache();
    assert!(timeout(secs(1), cold(&cache)).await.is_err());
    sleep(secs(2)).await;
    assert_eq!(kid(&cache.current().unwrap()), "b");
    assert_eq!(server.gets(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_cold_failure_is_an_error_at_once_for_all_and_heals_by_itself() {
    let server = Server::new(|n| {
        if n == 0 {
            Reply::status(500)
        } else {
            Reply::keys("a")
        }
    });
    let cache = server.cache();
    let (one, two) = tokio::join!(cold(&cache), cold(&cache));
    for error in [one.unwrap_err(), two.unwrap_err()] {
        assert!(error.to_string().contains("500"), "{error}");
        assert!(error.retry_after() >= secs(1) && error.retry_after() <= secs(2));
    }
    let start = Instant::now();
    assert!(cold(&cache).await.is_err());
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(server.gets(), 1);
    // Nobody asks, and a little later the keys are there.
    sleep(secs(2)).await;
    assert_eq!(kid(&cache.current().unwrap()), "a");
    assert_eq!(server.gets(), 2);
}

#[tokio::test(start_paused = true)]
async fn ready_waits_until_there_are_keys() {
    let server = Server::new(|n| {
        if n < 6 {
            Reply::status(503)
        } else {
            Reply::keys("a")
        }
    });
    let cache = server.cache();
    let (start, other) = (Instant::now(), cache.clone());
    tokio::join!(cache.ready(), other.ready());
    assert_eq!(kid(&cache.current().unwrap()), "a");
    assert!(
        start.elapsed() >= secs(1 + 2 + 4 + 8 + 16 + 25),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(server.gets(), 7);
    cache.ready().await;
    assert_eq!(server.gets(), 7);
}

// ----------------------------------------------------------------- unknown kid

#[tokio::test(start_paused = true)]
async fn a_new_kid_is_found_with_one_get() {
    let server = Server::new(|n| Reply::keys(if n == 0 { "old" } else { "new" }));
    let cache = server.cache();
    cache.ready().await;
    let seen = cache.current().unwrap();
    let mut requests = JoinSet::new();
    for _ in 0..100 {
        let (cache, seen) = (cache.clone(), Arc::clone(&seen));
        requests.spawn(async move { kid(&cache.renew(Some(&seen)).await.unwrap()) });
    }
    assert!(requests.join_all().await.iter().all(|kid| kid == "new"));
    assert_eq!(server.gets(), 2);
    // One that still holds the old set gets the new one without a fetch.
    assert_eq!(kid(&cache.renew(Some(&seen)).await.unwrap()), "new");
    assert_eq!(server.gets(), 2);
    // The removed key is gone from the next request on.
    assert_eq!(kid(&cache.current().unwrap()), "new");
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_changes_nothing_still_gives_another_arc() {
    let server = Server::new(|_| Reply::keys("a"));
    let cache = server.cache();
    cache.ready().await;
    let seen = cache.current().unwrap();
    let renewed = cache.renew(Some(&seen)).await.unwrap();
    assert!(!Arc::ptr_eq(&seen, &renewed));
    assert!(Arc::ptr_eq(&renewed, &cache.current().unwrap()));
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_unknown_kids_makes_two_gets_in_ten_seconds() {
    let server = Server::new(|_| Reply::keys("a"));
    let cache = server.cache();
    cold(&cache).await.unwrap();
    let mut requests = JoinSet::new();
    for _ in 0..600 {
        for _ in 0..20 {
            let cache = cache.clone();
            requests.spawn(async move { unknown_kid(&cache).await.map(drop) });
        }
        sleep(Duration::from_millis(100)).await;
        assert!(cache.current().is_some());
    }
    // With a healthy endpoint it is the token's fault.
    assert!(requests.join_all().await.iter().all(Result::is_ok));
    let times = server.times();
    for (i, begin) in times.iter().enumerate() {
        let within = times[i..]
            .iter()
            .filter(|at| **at < *begin + secs(10))
            .count();
        assert!(within <= 2, "{within} fetches within 10 s");
    }
    assert!(
        (12..=14).contains(&times.len()),
        "{} fetches in a minute",
        times.len()
    );
}

#[tokio::test(start_paused = true)]
async fn with_the_limit_spent_the_same_set_comes_back_at_once() {
    let server = Server::new(|_| Reply::keys("a"));
    let cache = server.cache();
    cold(&cache).await.unwrap();
    unknown_kid(&cache).await.unwrap();
    let seen = cache.current().unwrap();
    let start = Instant::now();
    for _ in 0..10_000 {
        assert!(Arc::ptr_eq(&seen, &cache.renew(Some(&seen)).await.unwrap()));
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(server.gets(), 2);
    // The window slides.
    sleep(secs(10)).await;
    assert!(!Arc::ptr_eq(
        &seen,
        &cache.renew(Some(&seen)).await.unwrap()
    ));
}

#[tokio::test(start_paused = true)]
async fn what_operators_ask_for_does_not_count_against_requests() {
    let server = Server::new(|_| Reply::keys("a"));
    let cache = server.cache();
    cache.ready().await;
    for _ in 0..5 {
        cache.refresh().await.unwrap();
    }
    assert_eq!(server.gets(), 6);
    unknown_kid(&cache).await.unwrap();
    unknown_kid(&cache).await.unwrap();
    unknown_kid(&cache).await.unwrap();
    assert_eq!(server.gets(), 8);
}

#[tokio::test(start_paused = true)]
async fn while_the_endpoint_is_down_fresh_keys_are_the_newest_and_stale_ones_perhaps_not() {
    let server = Server::new(|n| {
        if n == 0 {
            Reply::new(200, &[("cache-control", "max-age=100")], jwks("a"))
        } else {
            Reply::NoAnswer("refused")
        }
    });
    let cache = server.cache();
    cache.ready().await;
    let seen = cache.current().unwrap();
    // The one that fetches, those that join it, and those that come after: the
    // server has said how long its keys stay, so it is the token's fault.
    let (one, two) = tokio::join!(cache.renew(Some(&seen)), cache.renew(Some(&seen)));
    let start = Instant::now();
    for outcome in [one, two, cache.renew(Some(&seen)).await] {
        assert!(Arc::ptr_eq(&seen, &outcome.unwrap()));
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(server.gets(), 2);

    // From then on there may be newer ones that only the failure hides.
    sleep(secs(100)).await;
    let error = cache.renew(Some(&seen)).await.unwrap_err();
    assert!(error.to_string().starts_with("refused"), "{error}");
    assert!(error.retry_after() >= secs(1));
    // A token with a known kid does not notice.
    assert!(Arc::ptr_eq(&seen, &cache.current().unwrap()));
    // When it is over, it is over.
    server.set(|_| Reply::keys("b"));
    sleep(secs(40)).await;
    assert_eq!(kid(&unknown_kid(&cache).await.unwrap()), "b");
}

#[tokio::test(start_paused = true)]
async fn a_bounded_number_of_requests_wait_and_the_others_are_told_at_once() {
    const PLACES: usize = 1024;
    const MORE: usize = 100;

    let server = Server::new(|n| Reply::keys(if n == 0 { "a" } else { "b" }));
    server.slow(secs(3));
    let cache = server.cache();
    for seen in [None, Some("a")] {
        let keys = cache.current();
        assert_eq!(keys.as_deref().map(kid).as_deref(), seen);
        let start = Instant::now();
        let mut requests = JoinSet::new();
        for _ in 0..PLACES + MORE {
            let (cache, keys) = (cache.clone(), keys.clone());
            requests.spawn(async move {
                let outcome = cache.renew(keys.as_ref()).await;
                let outcome = outcome.map(|keys| kid(&keys)).map_err(|e| e.to_string());
                (outcome, start.elapsed())
            });
        }
        let (mut waited, mut told) = (0, 0);
        for (outcome, after) in requests.join_all().await {
            if after.is_zero() {
                told += 1;
                match seen {
                    // The token is refused.
                    Some(seen) => assert_eq!(outcome.unwrap(), seen),
                    None => assert!(
                        outcome
                            .unwrap_err()
                            .contains("too many requests are waiting")
                    ),
                }
            } else {
                waited += 1;
                assert_eq!(after, secs(3));
                assert_eq!(outcome.unwrap(), if seen.is_none() { "a" } else { "b" });
            }
        }
        assert_eq!((waited, told), (PLACES, MORE), "seen {seen:?}");
    }
    assert_eq!(server.gets(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_goes_away_leaves_its_place_to_another() {
    let server = Server::new(|_| Reply::keys("a"));
    server.slow(secs(3));
    let cache = server.cache();
    for _ in 0..3 {
        let mut requests = JoinSet::new();
        for _ in 0..1024 {
            let cache = cache.clone();
            requests.spawn(async move { cold(&cache).await.is_ok() });
        }
        sleep(Duration::from_millis(100)).await;
        assert_eq!(requests.len(), 1024);
        assert!(requests.try_join_next().is_none(), "they all wait");
        // Whoever runs the receiver needs no place.
        assert!(
            timeout(Duration::from_millis(1), cache.refresh())
                .await
                .is_err()
        );
        requests.shutdown().await;
    }
    assert!(cold(&cache).await.is_ok());
}

// -------------------------------------------------------------------- failures

#[tokio::test(start_paused = true)]
async fn pauses_between_failures_double_up_to_30_seconds() {
    let server = Server::new(|_| Reply::status(500));
    server.slow(Duration::ZERO);
    let cache = server.cache();
    let _ = cold(&cache).await;
    // Requests do not make it faster.
    for _ in 0..2_400 {
        let _ = unknown_kid(&cache).await;
        sleep(Duration::from_millis(100)).await;
    }
    let times = server.times();
    let pauses: Vec<f64> = times
        .windows(2)
        .map(|w| (w[1] - w[0]).as_secs_f64())
        .collect();
    for (i, pause) in pauses.iter().enumerate() {
        let least = 2_f64.powi(i32::try_from(i).unwrap()).min(25.0);
        // The requests' own steps may add a tenth of a second.
        assert!(
            (least..=least * 1.2 + 0.1).contains(pause),
            "pause {i}: {pause} s"
        );
        assert!(*pause <= 30.1);
    }
    assert!(pauses.len() >= 10);
    let differ = |pause: &f64| (pause - pauses[5]).abs() > 0.01;
    assert!(pauses[6..].iter().any(differ), "no jitter: {pauses:?}");
    assert_eq!(cache.health().failures as usize, times.len());

    // A success begins the series anew.
    server.set(|_| Reply::keys("a"));
    cache.ready().await;
    server.set(|_| Reply::status(500));
    let failed_at = server.gets();
    assert!(cache.refresh().await.is_err());
    sleep(secs(2)).await;
    assert_eq!(server.gets(), failed_at + 2);
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_honoured_up_to_a_minute() {
    const DATE: (&str, &str) = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
    for (status, headers, least, most) in [
        (503, vec![("retry-after", "20")], 20.0, 20.0),
        (429, vec![("retry-after", "20")], 20.0, 20.0),
        (429, vec![("retry-after", "86400")], 60.0, 60.0),
        (
            503,
            vec![DATE, ("retry-after", "Sun, 06 Nov 1994 08:49:57 GMT")],
            20.0,
            20.0,
        ),
        // It does not make the pause shorter, and only these two statuses count.
        (503, vec![("retry-after", "0")], 1.0, 1.2),
        (503, vec![("retry-after", "soon")], 1.0, 1.2),
        (503, vec![], 1.0, 1.2),
        (500, vec![("retry-after", "20")], 1.0, 1.2),
    ] {
        let told = headers.clone();
        let server = Server::new(move |_| Reply::new(status, &told, ""));
        server.slow(Duration::ZERO);
        let cache = server.cache();
        let error = cold(&cache).await.unwrap_err();
        let retry_after = error.retry_after().as_secs_f64();
        sleep(secs(100)).await;
        let times = server.times();
        let pause = (times[1] - times[0]).as_secs_f64();
        assert!(
            (least..=most + 0.01).contains(&pause),
            "{status} {headers:?}: {pause}"
        );
        assert!((retry_after - pause).abs() < 0.01, "{retry_after} {pause}");
    }
}

type Failure = Box<dyn Fn() -> Reply + Send + Sync>;

/// Everything that is not a success, with a part of the reason that is given.
fn failures() -> Vec<(&'static str, Failure, &'static str)> {
    fn ok(body: impl Into<Bytes>) -> Reply {
        Reply::new(200, &[], body)
    }
    vec![
        (
            "DNS",
            Box::new(|| Reply::NoAnswer("no such host")),
            "no such host",
        ),
        (
            "time-out",
            Box::new(|| Reply::Silence),
            "no complete response within 5s",
        ),
        ("panic", Box::new(|| Reply::Panic), "panicked"),
        ("204", Box::new(|| Reply::status(204)), "204"),
        ("206", Box::new(|| Reply::new(206, &[], jwks("x"))), "206"),
        (
            "301",
            Box::new(|| Reply::new(301, &[("location", URL)], "")),
            "redirects are not followed",
        ),
        (
            "302",
            Box::new(|| Reply::new(302, &[], jwks("x"))),
            "redirects are not followed",
        ),
        (
            "304",
            Box::new(|| Reply::new(304, &[], "")),
            "status 304 to an unconditional request",
        ),
        (
            "307",
            Box::new(|| Reply::status(307)),
            "redirects are not followed",
        ),
        (
            "308",
            Box::new(|| Reply::status(308)),
            "redirects are not followed",
        ),
        ("401", Box::new(|| Reply::status(401)), "401"),
        ("404", Box::new(|| Reply::new(404, &[], jwks("x"))), "404"),
        ("410", Box::new(|| Reply::status(410)), "410"),
        ("429", Box::new(|| Reply::status(429)), "429"),
        ("500", Box::new(|| Reply::new(500, &[], jwks("x"))), "500"),
        ("502", Box::new(|| Reply::status(502)), "502"),
        ("503", Box::new(|| Reply::status(503)), "503"),
        (
            "HTML",
            Box::new(|| ok("<!doctype html><title>Sign in</title>")),
            "not a JSON object",
        ),
        (
            "truncated",
            Box::new(|| ok(jwks("x")[..80].to_owned())),
            "not a JSON object",
        ),
        ("empty", Box::new(|| ok("")), "not a JSON object"),
        ("garbage", Box::new(|| ok(vec![0xff; 100])), "UTF-8"),
        (
            "no keys",
            Box::new(|| ok(r#"{"keys":[]}"#)),
            "no usable key",
        ),
        (
            "only bad keys",
            Box::new(|| ok(r#"{"keys":[{"kty":"oct","k":"AQ"}]}"#)),
            "no usable key",
        ),
        (
            "an error object",
            Box::new(|| ok(r#"{"error":"no"}"#)),
            "not a JSON object",
        ),
        (
            "65 keys",
            Box::new(|| ok(format!(r#"{{"keys":[{}0]}}"#, "0,".repeat(64)))),
            "65 keys",
        ),
        (
            "too large",
            Box::new(|| ok(jwks("x") + &" ".repeat(256 * 1024))),
            "longer than 262144 bytes",
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn each_failure_keeps_the_old_set_for_an_hour_after_the_last_success() {
    for (name, failure, reason) in failures() {
        let server = Server::new(|_| Reply::keys("old"));
        let cache = server.cache();
        cache.ready().await;
        let loaded = Instant::now();
        let old = cache.current().unwrap();
        server.set(move |_| failure());

        let error = cache.refresh().await.unwrap_err();
        assert!(error.to_string().contains(reason), "{name}: {error}");
        let fresh = cache.renew(Some(&old)).await.unwrap();
        assert!(Arc::ptr_eq(&old, &fresh), "{name}");
        let health = cache.health();
        assert!(health.usable && health.failures == 1, "{name}: {health:?}");
        assert!(health.last_error.unwrap().contains(reason), "{name}");

        sleep(loaded + secs(3599) - Instant::now()).await;
        assert!(Arc::ptr_eq(&old, &cache.current().unwrap()), "{name}");
        assert!(cache.renew(Some(&old)).await.is_err(), "{name}: stale");
        assert!(server.gets() > 100, "{name}: it does not give up");
        sleep(secs(1)).await;
        assert!(cache.current().is_none(), "{name}");
        assert!(cold(&cache).await.is_err(), "{name}");
        let health = cache.health();
        assert!(
            !health.usable && health.keys.is_empty(),
            "{name}: {health:?}"
        );
        assert!(health.age.unwrap() >= secs(3600), "{name}: {health:?}");

        server.set(|_| Reply::keys("new"));
        cache.ready().await;
        assert_eq!(kid(&cache.current().unwrap()), "new", "{name}");
        let health = cache.health();
        assert!(
            health.usable && health.failures == 0 && health.last_error.is_none(),
            "{name}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_costs_the_time_limit_and_no_more() {
    let server = Server::new(|_| Reply::Silence);
    let cache = server.cache_with(|builder| builder.timeout(secs(3)));
    let start = Instant::now();
    let error = cold(&cache).await.unwrap_err();
    assert_eq!(start.elapsed(), secs(3));
    assert!(error.to_string().contains("within 3s"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_set_that_is_too_large_is_refused_even_if_the_fetch_reads_it() {
    let server = Server::new(|_| Reply::keys("a"));
    let size = jwks("a").len();
    let cache = server.cache_with(|builder| builder.max_bytes(size));
    cold(&cache).await.unwrap();
    let cache = server.cache_with(|builder| builder.max_bytes(size - 1));
    assert!(cold(&cache).await.is_err());
}

// ------------------------------------------------------------------- freshness

/// When the cache asks again, in seconds after the last answer.
async fn refresh_after(
    headers: &'static [(&str, &str)],
    set: fn(JwksCacheBuilder) -> JwksCacheBuilder,
) -> f64 {
    let server = Server::new(|_| Reply::new(200, headers, jwks("a")));
    server.slow(Duration::ZERO);
    let cache = server.cache_with(set);
    cache.ready().await;
    sleep(secs(4000)).await;
    let times = server.times();
    (times[1] - times[0]).as_secs_f64()
}

#[tokio::test(start_paused = true)]
async fn keys_are_refreshed_at_four_fifths_of_their_lifetime() {
    const DATE: (&str, &str) = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
    for (headers, lifetime) in [
        (&[][..], 300.0),
        (&[("cache-control", "public")], 300.0),
        (&[("cache-control", "max-age=1000")], 1000.0),
        (&[("cache-control", "max-age=1000"), ("age", "600")], 400.0),
        (&[("cache-control", "max-age=1000"), ("age", "9999")], 30.0),
        (&[("cache-control", "max-age=0")], 30.0),
        (&[("cache-control", "max-age=29")], 30.0),
        (&[("cache-control", "max-age=86400")], 3600.0),
        (&[("cache-control", "no-store")], 30.0),
        (&[("cache-control", "no-cache, max-age=1000")], 30.0),
        (&[DATE, ("expires", "Sun, 06 Nov 1994 08:59:37 GMT")], 600.0),
        (&[DATE, ("expires", "0")], 30.0),
        (
            &[
                DATE,
                ("expires", "Sun, 06 Nov 1994 08:59:37 GMT"),
                ("cache-control", "max-age=100"),
            ],
            100.0,
        ),
        (&[("expires", "Sun, 06 Nov 1994 08:59:37 GMT")], 300.0),
    ] {
        let after = refresh_after(headers, |builder| builder).await;
        assert!((after - lifetime * 0.8).abs() < 0.1, "{headers:?}: {after}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_longest_lifetime_that_a_server_can_give_can_be_set() {
    for (headers, set, lifetime) in [
        (
            &[("cache-control", "max-age=1000")][..],
            (|b| b.max_lifetime(secs(60))) as fn(JwksCacheBuilder) -> JwksCacheBuilder,
            60.0,
        ),
        (
            &[("cache-control", "no-store")],
            |b| b.max_lifetime(secs(30)),
            30.0,
        ),
        // It is the server's word that it bounds.
        (&[], |b| b.max_lifetime(secs(60)), 300.0),
    ] {
        let after = refresh_after(headers, set).await;
        assert!((after - lifetime * 0.8).abs() < 0.1, "{headers:?}: {after}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_receiver_stays_ready() {
    let server = Server::new(|_| Reply::keys("a"));
    let cache = server.cache();
    cache.ready().await;
    for _ in 0..48 {
        sleep(secs(1800)).await;
        assert!(cache.health().age.unwrap() <= secs(241));
    }
    assert_eq!(server.gets(), 1 + 24 * 3600 / 240 - 1); // the fetches take their time, too
}

#[tokio::test(start_paused = true)]
async fn refreshing_ahead_keeps_no_request_waiting() {
    let server = Server::new(|n| Reply::keys(if n == 0 { "old" } else { "new" }));
    let cache = server.cache();
    cache.ready().await;
    server.slow(secs(4));
    sleep(secs(242)).await;
    assert_eq!(server.gets(), 2);
    assert_eq!(kid(&cache.current().unwrap()), "old");
    sleep(secs(3)).await;
    assert_eq!(kid(&cache.current().unwrap()), "new");
}

#[tokio::test(start_paused = true)]
async fn keys_that_are_kept_for_less_than_their_lifetime_are_refreshed_in_time() {
    let server = Server::new(|_| Reply::keys("a"));
    let cache = server.cache_with(|builder| builder.keep_on_failure(secs(60)));
    cache.ready().await;
    for _ in 0..600 {
        sleep(secs(1)).await;
        assert!(cache.current().is_some());
    }
    server.set(|_| Reply::status(500));
    sleep(secs(60)).await;
    assert!(cache.current().is_none());
}

// ---------------------------------------------------------------- revalidation

#[tokio::test(start_paused = true)]
async fn unchanged_keys_are_revalidated() {
    const AT: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    let server = Server::new(|n| match n {
        0 => Reply::new(
            200,
            &[
                ("etag", "W/\"1\""),
                ("last-modified", AT),
                ("cache-control", "max-age=100"),
            ],
            jwks("a"),
        ),
        1 => Reply::new(304, &[], ""),
        2 => Reply::new(
            304,
            &[("etag", "\"2\""), ("cache-control", "max-age=1000")],
            "",
        ),
        _ => Reply::new(200, &[], jwks("b")),
    });
    server.slow(Duration::ZERO);
    let cache = server.cache();
    cache.ready().await;
    let first = cache.current().unwrap();
    assert_eq!(server.last_header("if-none-match"), None);
    assert_eq!(server.last_header("if-modified-since"), None);

    // 304 renews the lifetime, by what the first answer said if it says nothing.
    sleep(secs(81)).await;
    assert_eq!(server.gets(), 2);
    assert_eq!(server.last_header("if-none-match").unwrap(), "W/\"1\"");
    assert_eq!(server.last_header("if-modified-since").unwrap(), AT);
    let second = cache.current().unwrap();
    assert!(!Arc::ptr_eq(&first, &second));
    assert_eq!(kid(&second), "a");
    assert!(cache.health().age.unwrap() <= secs(1));

    sleep(secs(80)).await;
    assert_eq!(server.gets(), 3);
    assert_eq!(server.last_header("if-none-match").unwrap(), "W/\"1\"");

    // … or by what it says itself.
    sleep(secs(801)).await;
    assert_eq!(server.gets(), 4);
    assert_eq!(server.last_header("if-none-match").unwrap(), "\"2\"");
    assert_eq!(server.last_header("if-modified-since").unwrap(), AT);
    assert_eq!(kid(&cache.current().unwrap()), "b");

    // An answer without validators leaves none.
    cache.refresh().await.unwrap();
    assert_eq!(server.last_header("if-none-match"), None);
}

#[tokio::test(start_paused = true)]
async fn a_failure_keeps_the_validators_of_the_set_in_force() {
    let server = Server::new(|n| match n {
        0 => Reply::new(200, &[("etag", "\"1\"")], jwks("a")),
        1 => Reply::new(200, &[("etag", "\"2\"")], "<html>"),
        _ => Reply::new(304, &[], ""),
    });
    let cache = server.cache();
    cache.ready().await;
    assert!(cache.refresh().await.is_err());
    assert_eq!(kid(&cache.refresh().await.unwrap()), "a");
    assert_eq!(server.last_header("if-none-match").unwrap(), "\"1\"");
}

/// `Last-Modified` may be the same for two sets, and a cache on the way may answer.
#[tokio::test(start_paused = true)]
async fn what_is_asked_for_is_the_server_s_own_answer() {
    const AT: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    let server = Server::new(|n| match n {
        0 => Reply::new(200, &[("last-modified", AT)], jwks("a")),
        1 => Reply::new(304, &[], ""),
        n => Reply::new(200, &[("last-modified", AT)], jwks(["b", "c"][n - 2])),
    });
    let cache = server.cache();
    cache.ready().await;
    sleep(secs(241)).await;
    assert_eq!(server.last_header("if-modified-since").unwrap(), AT);
    assert_eq!(server.last_header("cache-control"), None);
    assert_eq!(kid(&cache.current().unwrap()), "a");

    assert_eq!(kid(&cache.refresh().await.unwrap()), "b");
    assert_eq!(server.last_header("if-modified-since"), None);
    assert_eq!(server.last_header("cache-control").unwrap(), "no-cache");

    assert_eq!(kid(&unknown_kid(&cache).await.unwrap()), "c");
    assert_eq!(server.last_header("if-modified-since"), None);
    assert_eq!(server.last_header("cache-control").unwrap(), "no-cache");
}

#[tokio::test(start_paused = true)]
async fn an_absurd_validator_is_not_sent_back() {
    let etag: &'static str = format!("\"{}\"", "e".repeat(2000)).leak();
    let server = Server::new(move |_| Reply::new(200, &[("etag", etag)], jwks("a")));
    let cache = server.cache();
    cache.ready().await;
    cache.refresh().await.unwrap();
    assert_eq!(server.last_header("if-none-match"), None);
}

// --------------------------------------------------------------------- refresh

#[tokio::test(start_paused = true)]
async fn a_refresh_begins_after_it_was_asked_for() {
    let server = Server::new(|n| Reply::keys(["first", "second", "third"][n]));
    server.slow(secs(2));
    let cache = server.cache();
    let begun = tokio::spawn({
        let cache = cache.clone();
        async move { cold(&cache).await }
    });
    sleep(secs(1)).await;
    // One fetch is in the air; both refreshes share the next.
    let start = Instant::now();
    let (one, two) = tokio::join!(cache.refresh(), cache.refresh());
    assert_eq!(
        (kid(&one.unwrap()), kid(&two.unwrap())),
        ("second".into(), "second".into())
    );
    assert_eq!(start.elapsed(), secs(3));
    begun.await.unwrap().unwrap();
    assert_eq!(server.gets(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_heeds_no_pause() {
    let server = Server::new(|n| {
        if n < 3 {
            Reply::status(500)
        } else {
            Reply::keys("a")
        }
    });
    server.slow(Duration::ZERO);
    let cache = server.cache();
    let start = Instant::now();
    for _ in 0..3 {
        assert!(cache.refresh().await.is_err());
    }
    assert_eq!(kid(&cache.refresh().await.unwrap()), "a");
    assert!(start.elapsed() < secs(1));
}

// ------------------------------------------------------------------- its task

#[tokio::test(start_paused = true)]
async fn who_waits_for_keys_joins_the_fetch_in_the_air() {
    let server = Server::new(|_| Reply::keys("a"));
    let cache = server.cache();
    server.slow(secs(2));
    let ready = async {
        sleep(secs(1)).await;
        cache.ready().await;
    };
    let (first, ()) = tokio::join!(cold(&cache), ready);
    assert_eq!(kid(&first.unwrap()), "a");
    sleep(secs(10)).await;
    assert_eq!(server.gets(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_forced_fetch_has_time_after_the_one_in_the_air() {
    let server = Server::new(|_| Reply::keys("a"));
    let cache = server.cache();
    server.slow(secs(60));
    let stuck = async {
        assert!(cold(&cache).await.is_err());
    };
    let forced = async {
        sleep(Duration::from_millis(1)).await;
        server.slow(Duration::from_millis(4900));
        assert_eq!(kid(&cache.refresh().await.unwrap()), "a");
    };
    tokio::join!(stuck, forced);
    assert_eq!(server.gets(), 2);
}

/// Runs on a runtime of its own, which then ends.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(future)
}

#[test]
fn a_fetch_that_ended_with_its_runtime_is_made_again() {
    let server = Server::new(|_| Reply::keys("a"));
    let cache = server.cache();
    server.slow(secs(2));
    block_on(async {
        assert!(timeout(secs(1), cold(&cache)).await.is_err());
    });
    server.slow(Duration::ZERO);
    assert_eq!(kid(&block_on(cold(&cache)).unwrap()), "a");
    assert_eq!(server.gets(), 2);
}

#[test]
fn the_pause_after_a_failure_outlives_a_runtime() {
    let server = Server::new(|_| Reply::status(500));
    let cache = server.cache();
    for _ in 0..3 {
        assert!(block_on(cold(&cache)).is_err());
    }
    assert_eq!(server.gets(), 1);
}

#[test]
fn the_cache_outlives_a_runtime() {
    let server = Server::new(|n| Reply::keys(&n.to_string()));
    let cache = server.cache();
    assert_eq!(kid(&block_on(cold(&cache)).unwrap()), "0");
    assert_eq!(kid(&block_on(unknown_kid(&cache)).unwrap()), "1");
    assert_eq!(kid(&block_on(cache.refresh()).unwrap()), "2");
    // A runtime that ends in the midst of a fetch.
    block_on(async {
        server.slow(secs(2));
        assert!(timeout(secs(1), cache.refresh()).await.is_err());
    });
    server.slow(Duration::ZERO);
    assert_eq!(server.gets(), 4);
    assert_eq!(cache.health().failures, 0, "nobody failed");
    assert_eq!(kid(&block_on(cache.refresh()).unwrap()), "4");
    // A cache that nobody has to wait for is kept fresh all the same.
    let before = server.gets();
    block_on(async {
        assert!(cache.current().is_some());
        sleep(secs(241)).await;
        cache.current().unwrap();
        sleep(secs(1)).await;
        assert!(server.gets() > before);
    });
    // Without any runtime, there are the keys that there are.
    assert!(cache.current().is_some());
}

#[tokio::test(start_paused = true)]
async fn dropping_the_cache_ends_its_task() {
    let server = Server::new(|_| Reply::keys("a"));
    let cache = server.cache();
    cache.ready().await;
    let clone = cache.clone();
    drop(cache);
    sleep(secs(241)).await;
    assert_eq!(server.gets(), 2);
    drop(clone);
    sleep(secs(3600)).await;
    assert_eq!(server.gets(), 2);
    assert_eq!(
        Arc::strong_count(&server.inner),
        1,
        "the task still has the fetch"
    );
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_panics_is_a_failure_like_any_other() {
    let server = Server::new(|n| {
        if n < 2 {
            Reply::Panic
        } else {
            Reply::keys("a")
        }
    });
    let cache = server.cache();
    let (one, two) = tokio::join!(cold(&cache), cold(&cache));
    assert!(one.is_err() && two.is_err());
    assert_eq!(cache.health().failures, 1);
    let start = Instant::now();
    cache.ready().await;
    assert!(start.elapsed() >= secs(2));
    assert_eq!(kid(&cache.current().unwrap()), "a");
    assert_eq!(server.gets(), 3);
}

/// Whatever happens at the same time: one fetch at a time (the server checks),
/// and never an older set after a newer one.
#[test]
fn an_older_set_never_replaces_a_newer_one() {
    for seed in 0..200 {
        let mut random = fastrand::Rng::with_seed(seed);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let server =
                Server::new(
                    move |n| match fastrand::Rng::with_seed(seed ^ n as u64).u8(..) {
                        0..160 => Reply::new(200, &[("etag", "\"1\"")], jwks(&n.to_string())),
                        160..200 => Reply::new(304, &[], ""),
                        200..230 => Reply::status(500),
                        _ => Reply::Silence,
                    },
                );
            let cache = server.cache();
            let (mut tasks, newest) = (JoinSet::new(), Arc::new(AtomicUsize::new(0)));
            for _ in 0..200 {
                let (cache, newest) = (cache.clone(), Arc::clone(&newest));
                let (kind, patience) = (random.u8(..4), random.u64(..3_000));
                tasks.spawn(async move {
                    let work = async {
                        match kind {
                            0 => drop(cache.refresh().await),
                            1 => cache.ready().await,
                            _ => drop(unknown_kid(&cache).await),
                        }
                    };
                    let _ = timeout(Duration::from_millis(patience), work).await;
                    if let Some(keys) = cache.current() {
                        let version = kid(&keys).parse().unwrap();
                        let newest = newest.fetch_max(version, Ordering::SeqCst);
                        assert!(version >= newest, "seed {seed}: {version} after {newest}");
                    }
                });
                server.slow(Duration::from_millis(random.u64(..2_000)));
                sleep(Duration::from_millis(random.u64(..1_000))).await;
            }
            tasks.join_all().await;
        });
    }
}

// --------------------------------------------------------------- configuration

#[test]
fn a_bad_url_is_refused_with_value_and_remedy() {
    for (url, shown, remedy) in [
        ("", "", "absolute URL"),
        ("example.conductor.one", "example.conductor.one", "https://"),
        ("/auth/v1/jwks", "/auth/v1/jwks", "https://"),
        ("https://", "https://", "absolute URL"),
        ("https:///jwks", "https:///jwks", "absolute URL"),
        ("https://:443/jwks", "https://:443/jwks", "name a host"),
        (
            "https://exa mple.com/",
            "https://exa mple.com/",
            "absolute URL",
        ),
        (
            "http://example.com/jwks",
            "http://example.com/jwks",
            "use https",
        ),
        (
            "ftp://example.com/jwks",
            "ftp://example.com/jwks",
            "use https",
        ),
        (
            "file:///etc/jwks.json",
            "file:///etc/jwks.json",
            "absolute URL",
        ),
        (
            "https://user:hunter2@example.com/jwks",
            "https://…@example.com/jwks",
            "user name",
        ),
        (
            "https://hunter2@example.com",
            "https://…@example.com",
            "user name",
        ),
        (
            "https://user:hunt/er2@example.com/",
            "https://…@example.com/",
            "",
        ),
        (
            "https://example.com/jwks#hunter2",
            "https://example.com/jwks#…",
            "fragment",
        ),
        (
            "http://example.com/jwks?token=hunter2",
            "http://example.com/jwks?…",
            "use https",
        ),
        (
            "https://example.com:0/jwks",
            "https://example.com:0/jwks",
            "port",
        ),
        (
            "https://example.com:99999/jwks",
            "https://example.com:99999/jwks",
            "",
        ),
        (
            "https://example.com:/jwks",
            "https://example.com:/jwks",
            "port",
        ),
        // A loopback host needs the opt-in; what only looks like one is refused.
        (
            "http://127.0.0.1:8080/jwks",
            "http://127.0.0.1:8080/jwks",
            "dangerous_allow_http_on_loopback",
        ),
        (
            "http://localhost/jwks",
            "http://localhost/jwks",
            "dangerous_allow_http_on_loopback",
        ),
    ] {
        let error = JwksCache::builder(url)
            .build(Server::new(|_| Reply::Silence))
            .unwrap_err();
        assert!(matches!(error, JwksCacheError::Url { .. }));
        let text = error.to_string();
        assert!(
            text.starts_with(&format!("JWKS URL {shown}: ")),
            "{url}: {text}"
        );
        assert!(text.contains(remedy), "{url}: {text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn plain_http_is_for_loopback_hosts() {
    let build = |url: &str| {
        let builder = JwksCache::builder(url).dangerous_allow_http_on_loopback();
        builder.build(Server::new(|_| Reply::Silence))
    };
    for host in [
        "localhost",
        "LOCALHOST",
        "127.0.0.1",
        "127.255.0.9",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
    ] {
        for port in ["", ":8080"] {
            assert!(
                build(&format!("http://{host}{port}/jwks")).is_ok(),
                "{host}{port}"
            );
        }
    }
    for host in [
        "example.com",
        "localhost.example.com",
        "127.0.0.1.example.com",
        "0.0.0.0",
        "128.0.0.1",
        "10.0.0.1",
        "127.1",
        "0x7f.0.0.1",
        "[::]",
        "[::2]",
        "[::ffff:127.0.0.1]",
        "localhost.",
    ] {
        let error = build(&format!("http://{host}/jwks"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("loopback hosts only"), "{error}");
    }
    assert!(build(URL).is_ok());
}

#[test]
fn a_bad_setting_is_refused_with_value_and_remedy() {
    type Set = fn(JwksCacheBuilder) -> JwksCacheBuilder;
    let settings: [(Set, &str); 10] = [
        (
            |b| b.fresh_for(Duration::ZERO),
            "fresh_for is 0ns; set it to a time from 1 second to 1 day",
        ),
        (|b| b.fresh_for(secs(86_401)), "fresh_for is 86401s"),
        (
            |b| b.max_lifetime(Duration::from_millis(29_999)),
            "max_lifetime is 29.999s; set it to a time from 30 seconds to 1 day",
        ),
        (|b| b.max_lifetime(secs(86_401)), "max_lifetime is 86401s"),
        (
            |b| b.keep_on_failure(Duration::from_millis(999)),
            "keep_on_failure is 999ms",
        ),
        (|b| b.keep_on_failure(Duration::MAX), "keep_on_failure is "),
        (|b| b.timeout(Duration::ZERO), "timeout is 0ns"),
        (
            |b| b.timeout(secs(21)),
            "timeout is 21s; set it to a time from 1 millisecond to 20 seconds",
        ),
        (
            |b| b.max_bytes(0),
            "max_bytes is 0; set it to a size from 1 byte to 16 MiB",
        ),
        (
            |b| b.max_bytes(usize::MAX),
            "max_bytes is 18446744073709551615",
        ),
    ];
    for (set, message) in settings {
        let error = set(JwksCache::builder(URL))
            .build(Server::new(|_| Reply::Silence))
            .unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    }
}

#[test]
fn a_setting_at_its_bound_is_allowed() {
    let settings: [fn(JwksCacheBuilder) -> JwksCacheBuilder; 8] = [
        |b| b.max_lifetime(secs(30)),
        |b| b.max_lifetime(secs(86_400)),
        |b| b.keep_on_failure(secs(1)),
        |b| b.keep_on_failure(secs(86_400)),
        |b| b.timeout(Duration::from_millis(1)),
        |b| b.timeout(secs(20)),
        |b| b.max_bytes(1),
        |b| b.max_bytes(16 * 1024 * 1024),
    ];
    for (index, set) in settings.into_iter().enumerate() {
        let built = set(JwksCache::builder(URL)).build(Server::new(|_| Reply::Silence));
        assert!(built.is_ok(), "{index}: {built:?}");
    }
}

#[test]
fn debug_shows_the_policy_and_no_secret() {
    let server = Server::new(|_| Reply::Silence);
    let builder = JwksCache::builder("https://example.com/jwks?token=hunter2");
    assert!(!format!("{builder:?}").contains("hunter2"));
    let debug = format!("{:?}", builder.build(server).unwrap());
    assert!(
        debug.contains("https://example.com/jwks?…") && debug.contains("300s"),
        "{debug}"
    );
    assert!(!debug.contains("hunter2"));
}

// ------------------------------------------------------------------------ files

/// What an error and its sources say.
fn told(error: &dyn std::error::Error) -> String {
    let source = error.source().map(told).unwrap_or_default();
    format!("{error}: {source}")
}

#[test]
fn keys_from_a_file_are_read_at_once_and_again() {
    let dir = std::env::temp_dir().join(format!("tower-conductorone-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("jwks.json");
    let write = |text: &str| std::fs::write(&path, text).unwrap();

    let refused = |message: &str| {
        let error = told(&JwksCache::file(&path, secs(60)).unwrap_err());
        assert!(
            error.contains("jwks.json") && error.contains(message),
            "{error}"
        );
    };
    refused("No such file");
    write("<html>");
    refused("not a JSON object");
    write(&" ".repeat(256 * 1024 + 1));
    refused("longer than 262144 bytes");
    assert!(told(&JwksCache::file(&dir, secs(60)).unwrap_err()).contains("not a file"));
    // White space counts, and this is just not too much.
    let text = jwks("a");
    write(&(text.clone() + &" ".repeat(256 * 1024 - text.len())));
    assert!(JwksCache::file(&path, secs(60)).is_ok());
    write(&jwks("a"));
    assert!(
        JwksCache::file(&path, Duration::ZERO)
            .unwrap_err()
            .to_string()
            .contains("fresh_for")
    );

    // No runtime is needed for this much.
    let cache = JwksCache::file(&path, secs(60)).unwrap();
    assert_eq!(kid(&cache.current().unwrap()), "a");

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        cache.ready().await;
        write(&jwks("b"));
        assert_eq!(kid(&cache.current().unwrap()), "a");
        assert_eq!(kid(&cache.refresh().await.unwrap()), "b");
        write("{");
        assert!(cache.refresh().await.is_err());
        assert_eq!(kid(&cache.current().unwrap()), "b");
        std::fs::remove_file(&path).unwrap();
        let error = cache.refresh().await.unwrap_err().to_string();
        assert!(error.contains("No such file"), "{error}");
        write(&jwks("c"));
        cache.refresh().await.unwrap();
        assert_eq!(kid(&cache.current().unwrap()), "c");
    });
    std::fs::remove_dir_all(&dir).unwrap();
}

/// A cache that no task keeps fresh until keys are needed.
fn file_without_runtime(path: &Path) -> JwksCache {
    std::thread::scope(|scope| {
        let built = scope.spawn(|| JwksCache::file(path, secs(60)).unwrap());
        built.join().unwrap()
    })
}

fn temp_file(name: &str) -> PathBuf {
    let name = format!("tower-conductorone-{}-{name}.json", std::process::id());
    std::env::temp_dir().join(name)
}

#[tokio::test(start_paused = true)]
async fn a_file_is_read_again_although_nobody_asks() {
    let path = temp_file("unasked");
    std::fs::write(&path, jwks("a")).unwrap();
    let cache = JwksCache::file(&path, secs(60)).unwrap();
    std::fs::write(&path, jwks("b")).unwrap();
    sleep(secs(61)).await;
    assert_eq!(kid(&cache.current().unwrap()), "b");
    std::fs::remove_file(&path).unwrap();
}

#[tokio::test(start_paused = true)]
async fn keys_whose_lifetime_has_ended_are_used_only_if_there_are_no_newer_ones() {
    let path = temp_file("ended");
    std::fs::write(&path, jwks("a")).unwrap();
    let [one, other] = [file_without_runtime(&path), file_without_runtime(&path)];
    std::fs::write(&path, jwks("b")).unwrap();
    sleep(secs(50 * 60)).await;
    assert!(one.current().is_none());
    assert!(one.health().usable);
    assert_eq!(kid(&cold(&one).await.unwrap()), "b");

    std::fs::remove_file(&path).unwrap();
    assert!(other.current().is_none());
    assert_eq!(kid(&cold(&other).await.unwrap()), "a");
    // From now on at once, until they are an hour old.
    assert_eq!(kid(&other.current().unwrap()), "a");
    sleep(secs(11 * 60)).await;
    assert!(other.current().is_none());
    assert!(cold(&other).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_idle_receiver_with_keys_in_a_file_stays_ready() {
    let path = temp_file("idle");
    std::fs::write(&path, jwks("a")).unwrap();
    let cache = file_without_runtime(&path);
    // Nobody has asked for anything, and the keys are too old by now.
    sleep(secs(2 * 3600)).await;
    assert!(!cache.health().usable);
    // The probe that found so has set it right.
    sleep(secs(1)).await;
    assert!(cache.health().usable);
    for _ in 0..10 {
        sleep(secs(3600)).await;
        assert!(cache.health().age.unwrap() < secs(60));
    }
    std::fs::remove_file(&path).unwrap();
}

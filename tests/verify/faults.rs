//! A thousand deliveries while something goes wrong: none is lost, none is
//! accepted that ConductorOne did not send.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use fastrand::Rng;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use serde_json::json;
use support::events::{answer, document};
use support::host::{self, Host};
use support::{DOMAIN, now};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};
use tower_conductorone::keys::{Algorithm, JwksCache};
use tower_conductorone::replay::{
    Claim, MemoryReplayStore, ReplayStore, ReplayStoreError, TokenId,
};
use tower_conductorone::testing::simulator::{
    AttemptResult, DeliveryReport, End, Simulator, Switches,
};
use tower_conductorone::testing::{Delivery, EVENTS, FakeFetch, FakeTenant, Fault, VirtualClock};
use tower_conductorone::{BoxFuture, Clock, Tenant, VerifyWebhookLayer, Webhook};

/// How many genuine deliveries there are, and how many forged ones.
const DELIVERIES: usize = 1000;

/// Over which time the deliveries are spread, in seconds.
const SPREAD: u64 = 120;

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A tenant, a receiver with a cache of its keys, and what that has handled.
#[derive(Clone)]
struct World {
    tenant: FakeTenant,
    fetch: FakeFetch,
    /// The tenant's clock.
    clock: VirtualClock,
    host: Host,
    replay: Store,
    /// How often each webhook was handled, by its id.
    calls: Arc<Mutex<HashMap<String, usize>>>,
    replaying: Arc<Mutex<JoinSet<Option<StatusCode>>>>,
}

/// What the simulator delivers to.
trait Receiver:
    Service<Request<Full<Bytes>>, Response = host::Answer, Error = BoxError> + Clone
{
}

impl<S> Receiver for S where
    S: Service<Request<Full<Bytes>>, Response = host::Answer, Error = BoxError> + Clone
{
}

/// What a receiver remembers of tokens, kept when it is started again.
#[derive(Clone, Debug)]
struct Store(Arc<MemoryReplayStore>);

impl ReplayStore for Store {
    fn claim<'a>(
        &'a self,
        id: TokenId<'a>,
        now: SystemTime,
        until: SystemTime,
    ) -> BoxFuture<'a, Result<Claim, ReplayStoreError>> {
        self.0.claim(id, now, until)
    }
}

impl World {
    /// In it nothing runs yet.
    fn new() -> Self {
        let tenant = FakeTenant::with_algorithm(DOMAIN, Algorithm::EdDsa);
        Self {
            fetch: tenant.fetch(),
            tenant,
            clock: VirtualClock::starting_at(now()),
            host: Host::default(),
            replay: Store(Arc::new(MemoryReplayStore::new(100_000))),
            calls: Arc::default(),
            replaying: Arc::default(),
        }
    }

    /// Starts a receiver with that clock, and without keys.
    fn start(&self, clock: VirtualClock, handler: Handler) -> VerifyWebhookLayer {
        let cache = JwksCache::builder(format!("https://{DOMAIN}/auth/v1/jwks"));
        let cache = cache.build(self.fetch.clone()).expect("good");
        let layer = VerifyWebhookLayer::builder()
            .public_url("https://hooks.example.com")
            .tenant(Tenant::new(DOMAIN).key_source(cache))
            .replay_store(self.replay.clone())
            .clock(clock)
            .build()
            .expect("good");
        let calls = Arc::clone(&self.calls);
        self.host.start(layer.layer(service_fn(move |request| {
            handle(handler, Arc::clone(&calls), request)
        })));
        layer
    }

    /// Makes all deliveries while the trouble goes on, forges as many, and sends
    /// each one that was handled once more. All that is genuine is delivered,
    /// the rest is refused.
    async fn deliver(
        &self,
        trouble: impl Future<Output = ()> + Send + 'static,
    ) -> Vec<DeliveryReport> {
        let trouble = tokio::spawn(trouble);
        // It begins before the first delivery.
        tokio::task::yield_now().await;
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut rng = Rng::with_seed(seed);
        let simulator = Simulator::new(&self.tenant).clock(self.clock).seed(seed);
        let (mut delivering, mut forging) = (JoinSet::new(), JoinSet::new());
        for index in 0..DELIVERIES {
            let mut switches = Switches::default();
            switches.reuse_tokens = index % 4 < 2;
            let mut simulator = simulator.clone().switches(switches);
            if index % 2 == 0 {
                // As often as can be: that ends soonest.
                simulator = simulator.pauses(secs(3)..=secs(3));
            }
            let delivery = self.tenant.delivery(EVENTS[index % EVENTS.len()]);
            let delivered = simulator.deliver(self.tapped(), delivery);
            let wait = rng.u64(..SPREAD);
            delivering.spawn(async move {
                sleep(secs(wait)).await;
                delivered.await
            });
            let (world, wait) = (self.clone(), rng.u64(..2 * SPREAD));
            forging.spawn(async move {
                sleep(secs(wait)).await;
                (index, world.forge(index).await)
            });
        }
        let reports = delivering.join_all().await;
        let forged = forging.join_all().await;
        trouble.await.expect("no panic");
        for report in &reports {
            assert_eq!(report.end(), &End::Delivered, "{report:?}");
        }
        let accepted: Vec<_> = forged.iter().filter(|(_, wrong)| wrong.is_some()).collect();
        assert!(accepted.is_empty(), "{accepted:?}");
        assert_eq!(self.calls.lock().expect("no panic").len(), DELIVERIES);
        let replaying = std::mem::take(&mut *self.replaying.lock().expect("no panic"));
        assert_eq!(replaying.len(), DELIVERIES);
        let replayed = replaying.join_all().await;
        assert!(replayed.iter().all(Option::is_none), "{replayed:?}");
        reports
    }

    /// The way to the receiver, on which somebody listens who sends what was
    /// answered well once more.
    fn tapped(&self) -> impl Receiver<Future: Send> + Send + 'static {
        let (host, replaying) = (self.host.clone(), Arc::clone(&self.replaying));
        service_fn(move |request: Request<Full<Bytes>>| {
            let (host, replaying) = (host.clone(), Arc::clone(&replaying));
            async move {
                let copy = request.clone();
                let answer = host.clone().oneshot(request).await?;
                if answer.status() == 200 {
                    replaying.lock().expect("no panic").spawn(async move {
                        sleep(Duration::from_millis(fastrand::u64(..150_000))).await;
                        wrongly_answered(&host, copy).await
                    });
                }
                Ok::<_, BoxError>(answer)
            }
        })
    }

    /// Sends a forgery, once.
    async fn forge(&self, index: usize) -> Option<StatusCode> {
        let event = EVENTS[index % EVENTS.len()];
        let genuine = self.tenant.delivery(event).issued_at(self.clock.now());
        let kid = json!(self.tenant.signing_key());
        let forged: Delivery = match index % 8 {
            stranger @ 0..2 => {
                let impostor = FakeTenant::with_algorithm(DOMAIN, Algorithm::EdDsa);
                let forged = impostor.delivery(event).issued_at(self.clock.now());
                if stranger == 0 {
                    forged
                } else {
                    forged.header_param("kid", kid)
                }
            }
            2 => genuine.claim("aud", json!("other.example.com")),
            3 => genuine.claim("c1typ", json!("session")),
            4 => genuine.tampered_body(self.tenant.delivery(event).envelope().to_string()),
            5 => genuine.header_param("alg", json!("none")),
            6 => genuine.issued_at(self.clock.behind(secs(600)).now()),
            _ => genuine.to("https://hooks.example.com/other"),
        };
        let mut request = forged.request();
        *request.uri_mut() = "/webhooks".parse().expect("a path");
        wrongly_answered(&self.host, request).await
    }
}

/// How something was answered that has to be refused, unless it was (or was not
/// answered at all).
async fn wrongly_answered(host: &Host, request: Request<Full<Bytes>>) -> Option<StatusCode> {
    let answer = host.clone().oneshot(request).await.ok()?;
    Some(answer.status()).filter(|status| ![401, 503].contains(&status.as_u16()))
}

/// A handler that takes up to 5 s.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Handler {
    Good,
    /// It fails for every fifth webhook the first time. The token is used up
    /// then; if it is sent again, that takes two minutes of the 147 s.
    Flaky,
}

async fn handle(
    handler: Handler,
    calls: Arc<Mutex<HashMap<String, usize>>>,
    request: Request<Full<Bytes>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let webhook = request.extensions().get::<Webhook>().cloned();
    let webhook = webhook.expect("a webhook in the extensions");
    let times = {
        let mut calls = calls.lock().expect("no panic");
        let times = calls.entry(webhook.id().to_owned()).or_default();
        *times += 1;
        *times
    };
    let chance = webhook.id().bytes().map(u64::from).sum::<u64>();
    sleep(Duration::from_millis(chance * 7 % 5000)).await;
    if handler == Handler::Flaky && times == 1 && chance % 5 == 0 {
        return Ok(answer(StatusCode::BAD_GATEWAY, ""));
    }
    Ok(answer(StatusCode::OK, document(webhook.event())))
}

/// How many attempts came to this.
fn count(reports: &[DeliveryReport], answer: impl Fn(&AttemptResult) -> bool) -> usize {
    let attempts = reports.iter().flat_map(DeliveryReport::attempts);
    attempts.filter(|it| answer(it.result())).count()
}

#[tokio::test(start_paused = true)]
async fn a_key_rotation_without_warning() {
    let world = World::new();
    let layer = world.start(world.clock, Handler::Flaky);
    layer.ready().await;
    let tenant = world.tenant.clone();
    let old = tenant.signing_key();
    let stolen = old.clone();
    world
        .deliver(async move {
            sleep(secs(60)).await;
            tenant.rotate(Algorithm::EdDsa);
            tenant.remove_key(&old);
        })
        .await;
    assert!(world.fetch.requests() > 1);

    // The key that was taken back is good for nothing any more.
    let delivery = world.tenant.delivery(EVENTS[0]).signing_key(stolen);
    let request = delivery.issued_at(world.clock.now()).request();
    let answer = world.host.oneshot(request).await.expect("answered");
    assert_eq!(answer.status(), 401);
}

#[tokio::test(start_paused = true)]
async fn a_start_into_a_jwks_outage_of_100_seconds() {
    let world = World::new();
    let fetch = world.fetch.clone();
    world.start(world.clock, Handler::Good);
    let reports = world
        .deliver(async move {
            let broken = StatusCode::BAD_GATEWAY;
            for (fault, lasts) in [
                (Fault::Down, 30),
                (Fault::Slow(secs(10)), 20),
                (Fault::Status(broken, None), 20),
                (Fault::Html, 20),
                (Fault::Down, 10),
            ] {
                fetch.set_fault(Some(fault));
                sleep(secs(lasts)).await;
            }
            fetch.set_fault(None);
        })
        .await;
    let unavailable = AttemptResult::Status(StatusCode::SERVICE_UNAVAILABLE);
    let refused = count(&reports, |answer| answer == &unavailable);
    assert!(refused > DELIVERIES, "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_restart_in_the_middle() {
    let world = World::new();
    world.start(world.clock, Handler::Flaky);
    let restarted = world.clone();
    let reports = world
        .deliver(async move {
            sleep(secs(60)).await;
            restarted.host.kill();
            sleep(secs(20)).await;
            restarted.start(restarted.clock, Handler::Flaky);
        })
        .await;
    for text in ["connection refused", "connection reset"] {
        let error = AttemptResult::ConnectionError(text.to_owned());
        assert!(count(&reports, |answer| answer == &error) > 0, "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_25_seconds_ahead_or_behind() {
    let skewed: [fn(VirtualClock) -> VirtualClock; 2] =
        [|it| it.ahead(secs(25)), |it| it.behind(secs(25))];
    for skewed in skewed {
        let world = World::new();
        world.start(skewed(world.clock), Handler::Flaky);
        world.deliver(async {}).await;
    }
}

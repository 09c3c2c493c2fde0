//! ConductorOne's delivery machine, in virtual time.
//!
//! A [`Simulator`] delivers to any Tower service as ConductorOne does: an
//! attempt times out after 30 s, and unless it was answered 2xx or 410 it is
//! followed by another one 3 to 15 s later, up to 50 times, until the callback
//! time-out. What comes with a 2xx is checked against the event; after a 202
//! the answer is awaited at the [callback endpoint](CallbackEndpoint). The
//! [`DeliveryReport`] says what happened.
//!
//! All of it goes by tokio's clock. With that paused, the worst case of 50
//! attempts, or of 30 days, takes no time to speak of; a [`VirtualClock`] then
//! tells both sides the time of day.
//!
//! ```
//! use std::convert::Infallible;
//! use std::time::SystemTime;
//!
//! use bytes::Bytes;
//! use http::{Request, Response, StatusCode};
//! use http_body_util::Full;
//! use tower::{Layer, service_fn};
//! use tower_conductorone::event::{Acknowledgement, Reply};
//! use tower_conductorone::keys::KeySet;
//! use tower_conductorone::testing::simulator::{End, Simulator};
//! use tower_conductorone::testing::{FakeTenant, VirtualClock};
//! use tower_conductorone::{Tenant, VerifyWebhookLayer, Webhook};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let tenant = FakeTenant::new("example.conductor.one");
//! let clock = VirtualClock::starting_at(SystemTime::now());
//! let simulator = Simulator::new(&tenant).clock(clock);
//!
//! // A receiver that takes everything over, and answers an hour later.
//! let callbacks = simulator.callbacks();
//! let handler = service_fn(move |request: Request<Full<Bytes>>| {
//!     let callbacks = callbacks.clone();
//!     async move {
//!         let webhook = request.extensions().get::<Webhook>().cloned();
//!         tokio::spawn(async move {
//!             tokio::time::sleep(std::time::Duration::from_secs(3600)).await;
//!             let url = webhook.as_ref().and_then(Webhook::callback_url).expect("a URL");
//!             let reply = Reply::from(Acknowledgement::new());
//!             callbacks.post(url.expose_secret(), reply.as_bytes().clone())
//!         });
//!         let mut accepted = Response::new(Full::<Bytes>::default());
//!         *accepted.status_mut() = StatusCode::ACCEPTED;
//!         Ok::<_, Infallible>(accepted)
//!     }
//! });
//! let receiver = VerifyWebhookLayer::builder()
//!     .public_url("https://hooks.example.com")
//!     .tenant(Tenant::new(tenant.domain()).static_keys(KeySet::from_json(tenant.jwks().as_bytes())?))
//!     .clock(clock)
//!     .build()?
//!     .layer(handler);
//!
//! let delivery = tenant.delivery("c1.webhooks.v1.PayloadTest");
//! let report = simulator.deliver(receiver, delivery).await;
//! assert_eq!(report.end(), &End::CompletedByCallback, "{report:?}");
//! assert_eq!(report.took().as_secs(), 3600);
//! assert_eq!(report.attempts().len(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! What ConductorOne's documentation leaves open is in [`Switches`].
//!
//! [`VirtualClock`]: crate::testing::VirtualClock

mod attempt;
mod callback;
mod callback_server;
mod instance;
mod machine;
mod post;
mod report;
mod requests;
mod switches;

use std::error::Error;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use fastrand::Rng;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tower_service::Service;

pub use self::attempt::{AttemptResult, DeliveryAttempt};
pub use self::callback::CallbackEndpoint;
pub use self::callback_server::CallbackServer;
pub use self::post::{CallbackPost, CallbackRefusal};
pub use self::report::{DeliveryReport, End, Failure};
pub use self::switches::Switches;

use self::machine::Machine;
use super::{Delivery, FakeTenant, VirtualClock, id, lock};
use crate::clock::Clock;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Delivers like ConductorOne; see the [module](self).
///
/// Clones share the callback endpoint, the chances and the configured webhook's
/// id.
#[derive(Clone, Debug)]
pub struct Simulator {
    clock: Arc<dyn Clock>,
    switches: Switches,
    callback_timeout: Duration,
    pauses: RangeInclusive<Duration>,
    endpoint: CallbackEndpoint,
    webhook_id: String,
    seed: Arc<Mutex<u64>>,
}

impl Simulator {
    /// A simulator for the deliveries of that tenant.
    #[must_use]
    pub fn new(tenant: &FakeTenant) -> Self {
        Self {
            clock: Arc::new(VirtualClock::starting_at(SystemTime::now())),
            switches: Switches::default(),
            callback_timeout: 8 * DAY,
            pauses: Duration::from_secs(3)..=Duration::from_secs(15),
            endpoint: CallbackEndpoint::new(tenant.domain()),
            webhook_id: id::ksuid(),
            seed: Arc::new(Mutex::new(fastrand::u64(..))),
        }
    }

    /// The clock by which the tenant issues tokens; by default a
    /// [`VirtualClock`] that starts at the system's time.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// How to do what ConductorOne's documentation leaves open.
    #[must_use]
    pub fn switches(mut self, switches: Switches) -> Self {
        self.switches = switches;
        self
    }

    /// How long a delivery may take from its first attempt: 8 days by default.
    ///
    /// # Panics
    /// Unless it is from 1 to 30 days, as ConductorOne wants it.
    #[must_use]
    pub fn callback_timeout(mut self, timeout: Duration) -> Self {
        assert!(
            (DAY..=30 * DAY).contains(&timeout),
            "a callback time-out is 1 to 30 days"
        );
        self.callback_timeout = timeout;
        self
    }

    /// From which range the pause between two attempts is drawn, in
    /// milliseconds: 3 to 15 s by default. A receiver that needs time to heal
    /// may get as little as 49 times 3 s.
    ///
    /// # Panics
    /// If the range is empty.
    #[must_use]
    pub fn pauses(mut self, range: RangeInclusive<Duration>) -> Self {
        assert!(!range.is_empty(), "no pause is in an empty range");
        self.pauses = range;
        self
    }

    /// What the chances of the deliveries from now on follow from; by default
    /// it is another one each time.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        *lock(&self.seed) = seed;
        self
    }

    /// Where the answers are posted after a 202.
    #[must_use]
    pub fn callbacks(&self) -> CallbackEndpoint {
        self.endpoint.clone()
    }

    /// Delivers until that has come to an end, good or bad.
    ///
    /// Each attempt is sent to a clone of `receiver`, and is `delivery` with a
    /// token issued then, and with callback URLs of this simulator's (unless it
    /// has none). A delivery with a [body](Delivery::body) of its own is sent
    /// with that, so that only the token is new. All other knobs stand, so a
    /// forgery stays one.
    ///
    /// The future can be spawned if the receiver can be sent to another thread.
    pub fn deliver<S, B>(
        &self,
        receiver: S,
        delivery: Delivery,
    ) -> impl Future<Output = DeliveryReport> + use<S, B>
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let simulator = self.clone();
        // Now, so that chances do not hang on which future is polled first.
        let seed = self.next_seed();
        async move { Machine::new(&simulator, delivery, seed).run(receiver).await }
    }

    fn next_seed(&self) -> u64 {
        let mut seed = lock(&self.seed);
        let next = Rng::with_seed(*seed).u64(..);
        std::mem::replace(&mut seed, next)
    }
}

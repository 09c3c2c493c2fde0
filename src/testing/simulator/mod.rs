//! Simulates ConductorOne's deliveries, in virtual time.
//!
//! A [`Simulator`] delivers to any Tower service as ConductorOne does: an
//! attempt times out after 30 s; unless it is answered 2xx or 410, the next one
//! follows 3 to 15 s later, up to 50 attempts, until the callback time-out. The
//! document of a 2xx is checked against the event; after a 202, the simulator
//! waits for it at the [callback endpoint](CallbackEndpoint). The
//! [`DeliveryReport`] says what happened.
//!
//! The simulator uses tokio's clock. With that paused, 50 attempts or 30 days pass
//! in milliseconds; a [`VirtualClock`] then tells both sides the time of day.
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
//! // A receiver that answers 202, and an hour later by callback.
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
//! [`Switches`] select the behaviour that ConductorOne's documentation leaves open.
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
/// Clones share the callback endpoint, the random numbers and the id of the
/// configured webhook.
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
    /// A simulator for the deliveries of this tenant.
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

    /// Sets the clock for the tenant's tokens; by default a [`VirtualClock`] that
    /// starts at the system's time.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Sets the behaviour that ConductorOne's documentation leaves open.
    #[must_use]
    pub fn switches(mut self, switches: Switches) -> Self {
        self.switches = switches;
        self
    }

    /// Sets how long a delivery may take from its first attempt: 8 days by default.
    ///
    /// # Panics
    /// Unless it is from 1 to 30 days, ConductorOne's limits.
    #[must_use]
    pub fn callback_timeout(mut self, timeout: Duration) -> Self {
        assert!(
            (DAY..=30 * DAY).contains(&timeout),
            "a callback time-out is 1 to 30 days"
        );
        self.callback_timeout = timeout;
        self
    }

    /// Sets the range of the random pauses between attempts, in whole milliseconds:
    /// 3 to 15 s by default. A receiver that needs time to recover may get only
    /// 49 pauses of 3 s.
    ///
    /// # Panics
    /// If the range is empty.
    #[must_use]
    pub fn pauses(mut self, range: RangeInclusive<Duration>) -> Self {
        assert!(!range.is_empty(), "the range of pauses is empty");
        self.pauses = range;
        self
    }

    /// Sets the seed of the random numbers of later deliveries; by default a random
    /// one.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        *lock(&self.seed) = seed;
        self
    }

    /// The endpoint that receives the answers after a 202.
    #[must_use]
    pub fn callbacks(&self) -> CallbackEndpoint {
        self.endpoint.clone()
    }

    /// Delivers until the delivery has succeeded or failed.
    ///
    /// Each attempt calls a clone of `receiver` with `delivery`, a new token, and a
    /// callback URL of this simulator (unless the delivery has none). A delivery with
    /// its own [body](Delivery::body) keeps it; only the token is new. All other
    /// settings of the delivery remain, so a forgery stays one.
    ///
    /// The future is `Send` if the receiver, its futures and its bodies are.
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
        // Here, so that the order of polling does not change the random numbers.
        let seed = self.next_seed();
        async move { Machine::new(&simulator, delivery, seed).run(receiver).await }
    }

    fn next_seed(&self) -> u64 {
        let mut seed = lock(&self.seed);
        let next = Rng::with_seed(*seed).u64(..);
        std::mem::replace(&mut seed, next)
    }
}

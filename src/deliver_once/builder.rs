use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Extensions, Response};
use http_body_util::Full;
use tokio::sync::Semaphore;

use super::key::KeyOf;
use super::layer::DeliverOnceLayer;
use super::shared::{Hooks, Policy, Shared};
use crate::callback::CallbackClient;
use crate::config_error::ConfigError;
use crate::ledger::{DeliveryKey, Ledger, MemoryLedger};
use crate::observe::Observer;
use crate::rejection::Rejection;
use crate::verify::Webhook;

/// ConductorOne abandons an attempt after 30 s: an answer must leave sooner.
const LATEST_ANSWER: Duration = Duration::from_secs(28);

/// Builds a [`DeliverOnceLayer`]; see [`DeliverOnceLayer::builder`].
#[derive(Clone)]
#[must_use = "a builder does nothing until it is built"]
pub struct DeliverOnceBuilder {
    name: Cow<'static, str>,
    ledger: Arc<dyn Ledger>,
    key: Arc<KeyOf>,
    policy: Policy,
    callbacks: Option<CallbackClient>,
    hooks: Hooks,
}

impl DeliverOnceLayer {
    /// Returns a builder with the defaults: an in-memory ledger and no callbacks.
    pub fn builder() -> DeliverOnceBuilder {
        DeliverOnceBuilder::default()
    }
}

impl Default for DeliverOnceBuilder {
    fn default() -> Self {
        Self {
            name: Cow::Borrowed(""),
            ledger: Arc::new(MemoryLedger::default()),
            key: Arc::new(DeliveryKey::of),
            policy: Policy {
                answer_within: Duration::from_secs(25),
                by_callback: false,
                latest_answer: LATEST_ANSWER,
                join: Duration::from_secs(20),
                lease: Duration::from_secs(45),
                drain: Duration::from_secs(25),
                run_limit: Duration::from_secs(24 * 60 * 60),
                max_running: 1_000,
            },
            callbacks: None,
            hooks: Hooks::default(),
        }
    }
}

impl DeliverOnceBuilder {
    /// Sets the ledger that keeps the deliveries' states. The default is in this process's
    /// memory, which a restart loses; replicas that share traffic must share a ledger.
    ///
    /// `name` is this layer's name in the ledger, such as `"provisioning"`. The replicas
    /// of a service must use the same name, and resume each other's work. Layers around
    /// other handlers, in this service or another that shares the ledger, each need their
    /// own name: otherwise one would [run](DeliverOnceLayer::recover) the other's
    /// deliveries.
    pub fn ledger(mut self, name: impl Into<Cow<'static, str>>, ledger: impl Ledger) -> Self {
        self.name = name.into();
        self.ledger = Arc::new(ledger);
        self
    }

    /// Sets the function that makes the key by which requests are attempts of one delivery:
    /// those of one tenant with the same event and the same key. The default is [`DeliveryKey::of`]: the [`webhookId`](Webhook::id) and the
    /// payload's value. Requests of different tenants, or with different events, never
    /// belong to the same delivery, whatever this returns.
    ///
    /// If two deliveries have the same key, **one of them is lost**: the second one gets the
    /// first one's answer or, if the first one was answered 202, replaces its payload and
    /// callback URL. The bare `webhookId` is such a key if it identifies the
    /// configured webhook; ConductorOne's documentation does not say.
    ///
    /// ```
    /// use tower_conductorone::DeliverOnceLayer;
    /// use tower_conductorone::ledger::DeliveryKey;
    ///
    /// let once = DeliverOnceLayer::builder()
    ///     .key(|webhook| DeliveryKey::digest([webhook.body().as_ref()]));
    /// # let _ = once;
    /// ```
    pub fn key(mut self, key: impl Fn(&Webhook) -> DeliveryKey + Send + Sync + 'static) -> Self {
        self.key = Arc::new(key);
        self
    }

    /// Sets how long a handler may take before this layer answers 202 and later posts the
    /// document to the callback URL. 25 s by default, less than 28 s, counted from the
    /// request's arrival at [`VerifyWebhook`](crate::VerifyWebhook).
    ///
    /// Without a [callback client](Self::callbacks), or if the callback URL cannot be used,
    /// the layer does not answer 202. The caller gets 503 after 28 s, the handler continues,
    /// and a later attempt gets its answer. If the handler takes longer than all 50 attempts,
    /// 19 minutes at least, ConductorOne never gets the answer.
    pub fn answer_within(mut self, limit: Duration) -> Self {
        self.policy.answer_within = limit;
        self
    }

    /// Sets how long a duplicate waits for the answer of the work in progress before it
    /// gets 503. 20 s by default, at most 28 s, and never beyond 28 s after its arrival.
    pub fn join_timeout(mut self, timeout: Duration) -> Self {
        self.policy.join = timeout;
        self
    }

    /// Sets the term of the lease on a delivery's work. If a replica does not renew it in
    /// time, since it has crashed or cannot reach the ledger, another one takes over. While the handler runs, the lease is renewed after
    /// every two ninths of it (10 of 45 s). 45 s by default, from 1 s to 10 min.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.policy.lease = lease;
        self
    }

    /// Sets how many handlers may run at once in this process: at least 1, by default
    /// 1,000. While as many run, a new delivery is answered 503 at once, and
    /// ConductorOne retries it. Duplicates, answered deliveries, deliveries that wait for
    /// the ledger to be reachable, and documents that are posted to a callback URL need no
    /// place. Work that [`recover`](DeliverOnceLayer::recover) resumes waits for one.
    ///
    /// A limit outside this layer does not count handlers that continue after their client
    /// has disconnected, or after a 202. With a limit inside this layer, such as Tower's
    /// `ConcurrencyLimit`, a delivery that waits for it is running already and occupies a
    /// place.
    pub fn max_running(mut self, handlers: usize) -> Self {
        self.policy.max_running = handlers;
        self
    }

    /// Sets the longest time that a handler may run: 24 h by default, at least 1 s. A
    /// handler that exceeds it is cut off at its next `await`, and its run fails: a
    /// promised delivery is run again. A handler is cut off at its callback's deadline (8
    /// days by default) at the latest.
    ///
    /// Set it to a few times what your handler needs, so that a hung run is soon
    /// repeated.
    pub fn run_limit(mut self, limit: Duration) -> Self {
        self.policy.run_limit = limit;
        self
    }

    /// Sets how long [`drain`](DeliverOnceLayer::drain) waits. 25 s by default.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.policy.drain = timeout;
        self
    }

    /// Posts the documents of slow handlers to the callback URLs with this client. Without
    /// one, this layer never answers 202 itself.
    pub fn callbacks(mut self, client: CallbackClient) -> Self {
        self.callbacks = Some(client);
        self
    }

    /// Answers every delivery 202 at once and posts every document to its callback URL. It
    /// needs [`callbacks`](Self::callbacks). A delivery whose callback URL cannot be used is
    /// refused with 400.
    pub fn always_by_callback(mut self) -> Self {
        self.policy.by_callback = true;
        self
    }

    /// Sets an [`Observer`], for metrics of your own. A second call replaces the first.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.hooks.observers.set(observer);
        self
    }

    /// Calls `observe` for every rejection by this layer before it is answered: to count
    /// rejections, or to raise an alarm. It must not block. A second call replaces the first.
    pub fn on_rejection(mut self, observe: impl Fn(&Rejection) + Send + Sync + 'static) -> Self {
        self.hooks.rejections.on_rejection(observe);
        self
    }

    /// Sets the response to rejections by this layer, in place of [`Rejection::response`],
    /// as
    /// [`VerifyWebhookBuilder::rejection_response`](crate::VerifyWebhookBuilder::rejection_response)
    /// does for the other layer.
    pub fn rejection_response(
        mut self,
        respond: impl Fn(&Rejection) -> Response<Full<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        self.hooks.rejections.rejection_response(respond);
        self
    }

    /// Sets a function that attaches a tracing context, such as OpenTelemetry's, while the
    /// layer makes the span of a run or of a callback's attempt, so that all spans of a
    /// delivery are one trace: these [spans](crate::observe#spans) have no parent, since they
    /// may outlive the request's by days. The function gets the extensions of the delivery's
    /// first request, and returns a guard that the layer drops once the span is made. After
    /// a restart there is no such request, and the extensions hold nothing of yours.
    ///
    /// With `tracing-opentelemetry`, put `Span::current().context()` into the request's
    /// extensions in a layer inside `VerifyWebhookLayer`, and here
    /// `|extensions| extensions.get::<Context>().cloned().map(Context::attach)`.
    pub fn span_context<G>(
        mut self,
        enter: impl Fn(&Extensions) -> G + Send + Sync + 'static,
    ) -> Self {
        self.hooks.span_context = Some(Arc::new(move |extensions, make| {
            let _guard = enter(extensions);
            make();
        }));
        self
    }

    /// Checks the configuration and builds the layer.
    ///
    /// # Errors
    /// [`ConfigError`] names the invalid value and a valid one.
    pub fn build(self) -> Result<DeliverOnceLayer, ConfigError> {
        let Policy {
            answer_within,
            join,
            lease,
            run_limit,
            max_running,
            ..
        } = self.policy;
        if answer_within >= LATEST_ANSWER {
            return Err(ConfigError::new(format!(
                "answer_within {answer_within:?} is too long: set less than {LATEST_ANSWER:?}, ConductorOne waits 30 s"
            )));
        }
        if join > LATEST_ANSWER {
            return Err(ConfigError::new(format!(
                "the join_timeout {join:?} is too long: set at most {LATEST_ANSWER:?}, ConductorOne waits 30 s"
            )));
        }
        if !(Duration::from_secs(1)..=Duration::from_secs(600)).contains(&lease) {
            return Err(ConfigError::new(format!(
                "the lease {lease:?} cannot work: set 1 s to 10 min, such as 45 s"
            )));
        }
        if run_limit < Duration::from_secs(1) {
            return Err(ConfigError::new(format!(
                "the run_limit {run_limit:?} is too short: set at least 1 s, such as 24 h"
            )));
        }
        if !(1..=Semaphore::MAX_PERMITS).contains(&max_running) {
            return Err(ConfigError::new(format!(
                "max_running {max_running} cannot work: set 1 to {}, such as 1000",
                Semaphore::MAX_PERMITS
            )));
        }
        if self.policy.by_callback && self.callbacks.is_none() {
            return Err(ConfigError::new(
                "always_by_callback needs a callback client: set it with callbacks",
            ));
        }
        Ok(DeliverOnceLayer::new(Shared::new(
            self.name,
            self.hooks.observers.ledger(self.ledger),
            self.key,
            self.policy,
            self.callbacks,
            self.hooks,
        )))
    }
}

impl fmt::Debug for DeliverOnceBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeliverOnceBuilder")
            .field("name", &self.name)
            .field("ledger", &self.ledger)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

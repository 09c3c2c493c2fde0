use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use tokio::sync::Semaphore;

use super::key::KeyOf;
use super::layer::DeliverOnceLayer;
use super::shared::{Policy, Shared};
use crate::callback::CallbackClient;
use crate::config_error::ConfigError;
use crate::ledger::{DeliveryKey, Ledger, MemoryLedger};
use crate::rejection::{Rejection, RejectionHooks};
use crate::verify::Webhook;

/// ConductorOne gives an attempt up after 30 s: an answer has to leave sooner.
const LATEST_ANSWER: Duration = Duration::from_secs(28);

/// Builds a [`DeliverOnceLayer`]; begun with [`DeliverOnceLayer::builder`].
#[derive(Clone)]
#[must_use = "a builder does nothing until it is built"]
pub struct DeliverOnceBuilder {
    name: Cow<'static, str>,
    ledger: Arc<dyn Ledger>,
    key: Arc<KeyOf>,
    policy: Policy,
    callbacks: Option<CallbackClient>,
    hooks: RejectionHooks,
}

impl DeliverOnceLayer {
    /// A builder with the defaults: an in-memory ledger, and no callbacks.
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
            hooks: RejectionHooks::default(),
        }
    }
}

impl DeliverOnceBuilder {
    /// Where the deliveries' states are kept. By default in this process's
    /// memory, which a restart loses; replicas that share the traffic have to
    /// share a ledger.
    ///
    /// `name` is this layer's name in the ledger, such as `"provisioning"`. The
    /// replicas of a service have to use the same name, and take up each other's
    /// work. Layers around other handlers, of the same service or of another that
    /// shares the ledger, each need a name of their own: else one would
    /// [run](DeliverOnceLayer::recover) the other's deliveries.
    pub fn ledger(mut self, name: impl Into<Cow<'static, str>>, ledger: impl Ledger) -> Self {
        self.name = name.into();
        self.ledger = Arc::new(ledger);
        self
    }

    /// What makes two requests of one tenant with the same event the same delivery;
    /// by default [`DeliveryKey::of`]: the [`webhookId`](Webhook::id) and the
    /// payload's value. Requests of different tenants, or with different events,
    /// are never the same delivery, whatever this returns.
    ///
    /// A key that is the same for two deliveries **drops the second one**, and
    /// gives it the first one's answer. The bare `webhookId` is such a key, if
    /// it names the configured webhook, which ConductorOne's documentation
    /// leaves open.
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

    /// How long a handler may take before its delivery is answered 202 and
    /// finished through the callback URL. 25 s by default, less than 28 s, counted
    /// from the request's arrival at [`VerifyWebhook`](crate::VerifyWebhook).
    ///
    /// Without a [callback client](Self::callbacks), or for a delivery whose
    /// callback URL may not be used, there is no 202: the caller gets 503 after
    /// 28 s, and the answer with one of ConductorOne's next attempts, if the
    /// handler does not outlast them all: 50, which can be over in 20 minutes.
    pub fn answer_within(mut self, limit: Duration) -> Self {
        self.policy.answer_within = limit;
        self
    }

    /// How long a duplicate waits for the answer of the work in progress, before
    /// it gets 503. 20 s by default, at most 28 s; no longer than 28 s from its
    /// arrival.
    pub fn join_timeout(mut self, timeout: Duration) -> Self {
        self.policy.join = timeout;
        self
    }

    /// How long a replica may be silent before another takes its work over: the
    /// time after which a crash is noticed. It is renewed as long as the handler
    /// runs, whenever two ninths of it have passed (10 of 45 s). 45 s by
    /// default, from 1 s to 10 min.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.policy.lease = lease;
        self
    }

    /// How many handlers may be at work at once, in this process: 1,000 by default,
    /// at least 1. A delivery that is new is answered 503 at once when there is no
    /// place for it, and tried again by ConductorOne. Duplicates, deliveries that are
    /// answered already, and documents on their way to a callback URL need none. Work that
    /// [`recover`](DeliverOnceLayer::recover) resumes needs one, and waits.
    ///
    /// A limit outside of this layer does not count the handlers that go on after
    /// their client has hung up, or after a 202. One inside of it, such as Tower's
    /// `ConcurrencyLimit`, lets deliveries wait in their runs, up to the
    /// [202](Self::answer_within) and beyond, and takes places meanwhile.
    pub fn max_running(mut self, handlers: usize) -> Self {
        self.policy.max_running = handlers;
        self
    }

    /// How long a handler may take at all: 24 h by default, at least 1 s. One that
    /// hangs is cut off then, at its next `await`, and its run has failed: what was
    /// promised is repeated. It is cut off when its callback's deadline, 8 days by
    /// default, has passed at the latest.
    ///
    /// Set it to a few times of what your handler needs: the sooner its work is
    /// repeated.
    pub fn run_limit(mut self, limit: Duration) -> Self {
        self.policy.run_limit = limit;
        self
    }

    /// How long [`drain`](DeliverOnceLayer::drain) waits. 25 s by default.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.policy.drain = timeout;
        self
    }

    /// Posts the documents of slow handlers to the callback URLs. Without it, no
    /// delivery is answered 202 in a handler's stead.
    pub fn callbacks(mut self, client: CallbackClient) -> Self {
        self.callbacks = Some(client);
        self
    }

    /// Answers every delivery 202 at once, and all of them through their callback
    /// URLs. A delivery whose callback URL may not be used is refused with 400.
    pub fn always_by_callback(mut self) -> Self {
        self.policy.by_callback = true;
        self
    }

    /// Calls this for every rejection of this layer, before it is answered: to count
    /// them, or to raise an alarm. It must not block.
    pub fn on_rejection(mut self, observe: impl Fn(&Rejection) + Send + Sync + 'static) -> Self {
        self.hooks.on_rejection(observe);
        self
    }

    /// Makes the answers to rejections of this layer, in place of
    /// [`Rejection::response`]: as
    /// [`VerifyWebhookBuilder::rejection_response`](crate::VerifyWebhookBuilder::rejection_response)
    /// does for the other layer.
    pub fn rejection_response(
        mut self,
        respond: impl Fn(&Rejection) -> Response<Full<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        self.hooks.rejection_response(respond);
        self
    }

    /// Checks the configuration and builds the layer.
    ///
    /// # Errors
    /// [`ConfigError`] names the value that is wrong, and what would be right.
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
                "answer_within {answer_within:?} is too long: less than {LATEST_ANSWER:?}, ConductorOne waits for 30 s"
            )));
        }
        if join > LATEST_ANSWER {
            return Err(ConfigError::new(format!(
                "the join_timeout {join:?} is too long: at most {LATEST_ANSWER:?}, ConductorOne waits for 30 s"
            )));
        }
        if !(Duration::from_secs(1)..=Duration::from_secs(600)).contains(&lease) {
            return Err(ConfigError::new(format!(
                "the lease {lease:?} cannot work: from 1 s to 10 min, such as 45 s"
            )));
        }
        if run_limit < Duration::from_secs(1) {
            return Err(ConfigError::new(format!(
                "the run_limit {run_limit:?} is too short: at least 1 s, such as 24 h"
            )));
        }
        if !(1..=Semaphore::MAX_PERMITS).contains(&max_running) {
            return Err(ConfigError::new(format!(
                "max_running {max_running} cannot work: from 1 to {}, such as 1000",
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
            self.ledger,
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

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{Extensions, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tracing::Span;

use super::body::DocumentBody;
use super::cause::Cause;
use super::in_progress::InProgress;
use super::key::KeyOf;
use crate::callback::CallbackClient;
use crate::ledger::{DeliveryKey, Ledger, Name};
use crate::observe::Observers;
use crate::rejection::{Rejection, RejectionHooks, RejectionKind};
use crate::verify::Webhook;

/// The state that the clones of a layer and its services share.
pub(super) struct Shared {
    /// This layer's name in the ledger, which other layers may share.
    name: Cow<'static, str>,
    pub(super) layer: Name,
    pub(super) ledger: Arc<dyn Ledger>,
    key: Arc<KeyOf>,
    pub(super) policy: Policy,
    pub(super) callbacks: Option<CallbackClient>,
    pub(super) in_progress: Arc<InProgress>,
    places: Arc<Semaphore>,
    /// As many clones as handlers run.
    running: Arc<()>,
    pub(super) hooks: Hooks,
    /// Whether `recover` runs, or the log says that it does not.
    recovery_is_known: AtomicBool,
    stop: watch::Sender<Phase>,
}

/// Calls a function that makes a span, in a context that these extensions may hold.
pub(super) type SpanContext = dyn Fn(&Extensions, &mut dyn FnMut()) + Send + Sync;

/// What the user observes or changes.
#[derive(Clone, Default)]
pub(super) struct Hooks {
    pub(super) rejections: RejectionHooks,
    pub(super) observers: Observers,
    pub(super) span_context: Option<Arc<SpanContext>>,
}

/// A place for a running handler, held until the handler's task has ended.
pub(super) struct Place {
    _running: Arc<()>,
    _reserved: Reserved,
}

/// A place that a claim holds until the ledger replies.
pub(super) type Reserved = OwnedSemaphorePermit;

#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    /// The time after which the answer is 202, and the document is posted.
    pub(super) answer_within: Duration,
    /// Whether every delivery is answered 202 at once.
    pub(super) by_callback: bool,
    /// The time after which the first caller gets 503.
    pub(super) latest_answer: Duration,
    /// The time after which a duplicate gets 503.
    pub(super) join: Duration,
    pub(super) lease: Duration,
    pub(super) drain: Duration,
    /// The time after which a handler is cut off.
    pub(super) run_limit: Duration,
    /// How many handlers may run at once.
    pub(super) max_running: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Serving,
    /// New work is refused.
    Draining,
    /// Unfinished work is left to others.
    Stopped,
}

impl Shared {
    pub(super) fn new(
        name: Cow<'static, str>,
        ledger: Arc<dyn Ledger>,
        key: Arc<KeyOf>,
        policy: Policy,
        callbacks: Option<CallbackClient>,
        hooks: Hooks,
    ) -> Self {
        Self {
            layer: Name::of(&name),
            name,
            ledger,
            key,
            policy,
            callbacks,
            in_progress: Arc::default(),
            places: Arc::new(Semaphore::new(policy.max_running)),
            running: Arc::default(),
            hooks,
            recovery_is_known: AtomicBool::new(false),
            stop: watch::Sender::new(Phase::Serving),
        }
    }

    /// The key of the webhook's delivery. Whatever the user's key is, it differs from those
    /// of other layers, tenants and events.
    pub(super) fn key_of(&self, webhook: &Webhook) -> DeliveryKey {
        let own = (self.key)(webhook);
        let parts = [
            self.name.as_bytes(),
            webhook.tenant().as_bytes(),
            webhook.event().as_bytes(),
            own.as_bytes(),
        ];
        DeliveryKey::digest(parts).scoped(self.layer, Name::of(webhook.tenant()))
    }

    /// Reports a rejection to the hooks and returns its response.
    pub(super) fn refuse(
        &self,
        webhook: Option<&Webhook>,
        rejection: Rejection,
    ) -> Response<DocumentBody> {
        let rejection = match webhook {
            Some(webhook) => webhook.rejected(rejection),
            None => rejection,
        };
        self.hooks.rejections.observe(&rejection);
        self.hooks
            .rejections
            .response(&rejection)
            .map(DocumentBody::from)
    }

    /// Makes a span in the context that the extensions of a delivery's request may hold.
    pub(super) fn span(&self, extensions: &Extensions, make: impl Fn() -> Span) -> Span {
        let Some(context) = &self.hooks.span_context else {
            return make();
        };
        let mut span = Span::none();
        context(extensions, &mut || span = make());
        span
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Records that this process resumes promised deliveries.
    pub(super) fn is_recovering(&self) {
        self.recovery_is_known.store(true, Ordering::Relaxed);
    }

    /// Warns at the first promised delivery if `recover` is not running.
    pub(super) fn warn_unless_recovering(&self) {
        if !self.recovery_is_known.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "a delivery is answered 202 while DeliverOnceLayer::recover is not running: \
                 if this process crashes, the delivery is lost unless another replica resumes it"
            );
        }
    }

    /// Reserves a place for a handler, if one is free.
    pub(super) fn try_reserve(&self) -> Option<Reserved> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// Takes the reserved place for a handler.
    pub(super) fn occupy(&self, reserved: Reserved) -> Place {
        Place {
            _running: Arc::clone(&self.running),
            _reserved: reserved,
        }
    }

    /// Takes a place for a handler, if one is free.
    pub(super) fn try_place(&self) -> Option<Place> {
        self.try_reserve().map(|reserved| self.occupy(reserved))
    }

    /// Waits for a free place, ahead of [`try_reserve`](Self::try_reserve).
    pub(super) async fn place(&self) -> Option<Place> {
        let reserved = Arc::clone(&self.places).acquire_owned().await.ok()?;
        Some(self.occupy(reserved))
    }

    /// Whether handlers have all places: none is merely reserved.
    pub(super) fn is_full(&self) -> bool {
        // One is its own.
        Arc::strong_count(&self.running) > self.policy.max_running
    }

    /// How long a run for this webhook may take. An answer after the callback's deadline is
    /// useless.
    pub(super) fn run_limit(&self, webhook: &Webhook) -> Duration {
        let limit = self.policy.run_limit;
        match &self.callbacks {
            Some(client) => webhook
                .callback()
                .map_or(limit, |callback| limit.min(client.time_left(&callback))),
            None => limit,
        }
    }

    /// Whether this layer may answer 202, because it can post the document later.
    pub(super) fn may_promise(&self, webhook: &Webhook) -> bool {
        self.callbacks.is_some() && self.check_callback(webhook).is_ok()
    }

    /// Whether a callback can follow a 202. If this layer does not post it, only the
    /// presence of a callback URL is known.
    pub(super) fn may_be_called_back(&self, webhook: &Webhook) -> bool {
        if self.callbacks.is_some() {
            return self.check_callback(webhook).is_ok();
        }
        webhook.callback_url().is_some()
    }

    /// Whether a later request's callback URL replaces the known one.
    pub(super) fn supersedes(&self, later: &Webhook, known: &Webhook) -> bool {
        let is_later = later.claims().issued_at() >= known.claims().issued_at();
        (is_later && self.may_promise(later)) || !self.may_promise(known)
    }

    /// Checks that the webhook's callback URL may be used.
    pub(super) fn check_callback(&self, webhook: &Webhook) -> Result<(), Rejection> {
        #[derive(Debug, thiserror::Error)]
        #[error("the webhook has no callback URL")]
        struct NoCallbackUrl;

        let kind = RejectionKind::NoCallback;
        let callback = webhook
            .callback()
            .ok_or_else(|| Rejection::because(kind, NoCallbackUrl))?;
        match &self.callbacks {
            Some(client) => client
                .check(&callback)
                .map_err(|error| Rejection::because(kind, error)),
            None => Err(Cause::NoCallbackClient.rejection()),
        }
    }

    /// The rejection if the handler is slower than ConductorOne waits and no 202 was
    /// answered.
    pub(super) fn overdue(&self, webhook: Option<&Webhook>) -> Rejection {
        #[derive(Debug, thiserror::Error)]
        #[error("the handler exceeded {after:?} and no callback can be used: {reason}")]
        struct Overdue {
            after: Duration,
            reason: String,
        }

        let checked = webhook.map_or(Ok(()), |webhook| self.check_callback(webhook));
        let reason = match (&self.callbacks, checked) {
            (None, _) => "no callback client is configured".to_owned(),
            (Some(_), Err(rejection)) => rejection.cause().unwrap_or_default(),
            (Some(_), Ok(())) => "the ledger cannot be reached".to_owned(),
        };
        let after = self.policy.latest_answer;
        Rejection::because(RejectionKind::DeliveryRunning, Overdue { after, reason })
    }

    pub(super) fn phase(&self) -> Phase {
        *self.stop.borrow()
    }

    /// Enters a phase, unless a later one has been entered.
    pub(super) fn enter(&self, phase: Phase) {
        self.stop.send_if_modified(|current| {
            let ahead = *current < phase;
            if ahead {
                *current = phase;
            }
            ahead
        });
    }

    /// Completes once this phase has been entered.
    pub(super) async fn reached(&self, phase: Phase) {
        // Cannot fail: `self` holds the sender.
        let _ = self.stop.subscribe().wait_for(|now| *now >= phase).await;
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut policy = f.debug_struct("DeliverOnce");
        policy
            .field("name", &self.name)
            .field("ledger", &self.ledger)
            .field("policy", &self.policy);
        policy.field("callbacks", &self.callbacks);
        policy
            .field("running", &self.in_progress.count())
            .finish_non_exhaustive()
    }
}

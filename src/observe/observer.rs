//! The facts for metrics of your own.

use std::fmt;
use std::sync::Arc;

use super::attempt::Attempt;
use super::backlog::LayerBacklog;
use super::callback::CallbackAttempt;
use super::keys::{KeyFetch, TenantKeys};
use super::request::Wait;
use super::run::{RunEnd, RunStart};
use super::store::{StoreFill, StoreStep};

/// Gets what the [log](super) tells, as values: for metrics of your own. Each method does
/// nothing by default.
///
/// It is called in the middle of a request's way: return at once, and do not panic.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use tower_conductorone::observe::{Attempt, Observer};
///
/// #[derive(Debug, Default)]
/// struct Failures(AtomicU64);
///
/// impl Observer for Failures {
///     fn attempt(&self, attempt: &Attempt<'_>) {
///         // What no tenant has signed is nobody's delivery.
///         if attempt.tenant().is_some() && attempt.error_type().is_some() {
///             self.0.fetch_add(1, Ordering::Relaxed);
///         }
///     }
/// }
///
/// # use tower_conductorone::{DeliverOnceLayer, VerifyWebhookLayer};
/// let failures = std::sync::Arc::new(Failures::default());
/// let verify = VerifyWebhookLayer::builder().observer(failures.clone());
/// let once = DeliverOnceLayer::builder().observer(failures);
/// # let _ = (verify, once);
/// ```
pub trait Observer: fmt::Debug + Send + Sync + 'static {
    /// A request was answered, or its caller has hung up: once for each request, by the
    /// outermost of the layers. One that
    /// [`VerifyWebhookLayer::verify`](crate::VerifyWebhookLayer::verify) lets through is
    /// told by `DeliverOnceLayer`, if that is inside, or not at all.
    ///
    /// It is called for what anybody sends, too, however much that is: then there is no
    /// [tenant](Attempt::tenant).
    fn attempt(&self, attempt: &Attempt<'_>) {
        let _ = attempt;
    }

    /// A request has arrived: any that anybody sends. Nothing is known of it yet.
    fn request_started(&self) {}

    /// A request was answered or abandoned, or let through by
    /// [`VerifyWebhookLayer::verify`](crate::VerifyWebhookLayer::verify): once for each that
    /// has started, whatever happens. `DeliverOnceLayer` starts one of its own for a
    /// request that `verify` let through.
    fn request_ended(&self) {}

    /// A request begins to wait for the answer of a run that another request has begun, or
    /// another replica.
    fn wait_started(&self, wait: &Wait<'_>) {
        let _ = wait;
    }

    /// A request waits no more: once for each that has begun to, whatever happens.
    fn wait_ended(&self, wait: &Wait<'_>) {
        let _ = wait;
    }

    /// `DeliverOnceLayer` calls the handler.
    fn run_started(&self, run: &RunStart<'_>) {
        let _ = run;
    }

    /// A run has ended: once for each that has started.
    fn run_ended(&self, run: &RunEnd<'_>) {
        let _ = run;
    }

    /// `DeliverOnceLayer` has tried to post an answer. (What your code posts with a
    /// [`CallbackClient`](crate::callback::CallbackClient), it knows itself.)
    fn callback(&self, attempt: &CallbackAttempt<'_>) {
        let _ = attempt;
    }

    /// A step of the ledger or the replay store has ended.
    fn store(&self, step: &StoreStep) {
        let _ = step;
    }

    /// How full a store is that [can tell](crate::ledger::Ledger::fill): after its steps, but
    /// at most every 15 seconds.
    fn store_fill(&self, fill: &StoreFill) {
        let _ = fill;
    }

    /// What the ledger has to do for a layer: every 15 seconds, from where
    /// [`DeliverOnceLayer::recover`](crate::DeliverOnceLayer::recover) runs.
    fn backlog(&self, backlog: &LayerBacklog<'_>) {
        let _ = backlog;
    }

    /// A fetch of a tenant's keys has ended.
    fn key_fetch(&self, fetch: &KeyFetch<'_>) {
        let _ = fetch;
    }

    /// The state of a tenant's keys: after each fetch, and when a layer is built whose
    /// keys are known by then.
    fn tenant_keys(&self, keys: &TenantKeys<'_>) {
        let _ = keys;
    }
}

impl<T: Observer + ?Sized> Observer for Arc<T> {
    fn attempt(&self, attempt: &Attempt<'_>) {
        (**self).attempt(attempt);
    }

    fn request_started(&self) {
        (**self).request_started();
    }

    fn request_ended(&self) {
        (**self).request_ended();
    }

    fn wait_started(&self, wait: &Wait<'_>) {
        (**self).wait_started(wait);
    }

    fn wait_ended(&self, wait: &Wait<'_>) {
        (**self).wait_ended(wait);
    }

    fn run_started(&self, run: &RunStart<'_>) {
        (**self).run_started(run);
    }

    fn run_ended(&self, run: &RunEnd<'_>) {
        (**self).run_ended(run);
    }

    fn callback(&self, attempt: &CallbackAttempt<'_>) {
        (**self).callback(attempt);
    }

    fn store(&self, step: &StoreStep) {
        (**self).store(step);
    }

    fn store_fill(&self, fill: &StoreFill) {
        (**self).store_fill(fill);
    }

    fn backlog(&self, backlog: &LayerBacklog<'_>) {
        (**self).backlog(backlog);
    }

    fn key_fetch(&self, fetch: &KeyFetch<'_>) {
        (**self).key_fetch(fetch);
    }

    fn tenant_keys(&self, keys: &TenantKeys<'_>) {
        (**self).tenant_keys(keys);
    }
}

/// The user's observer, if there is one, and that of the feature `metrics`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observers(Option<Arc<dyn Observer>>);

impl Observers {
    pub(crate) fn set(&mut self, observer: impl Observer) {
        self.0 = Some(Arc::new(observer));
    }

    pub(crate) fn are_there(&self) -> bool {
        cfg!(feature = "metrics") || self.0.is_some()
    }

    fn tell(&self, tell: impl Fn(&dyn Observer)) {
        #[cfg(feature = "metrics")]
        tell(&super::metrics::Metrics);
        if let Some(own) = &self.0 {
            tell(&**own);
        }
    }

    pub(crate) fn attempt(&self, attempt: &Attempt<'_>) {
        self.tell(|observer| observer.attempt(attempt));
    }

    pub(super) fn request_started(&self) {
        self.tell(Observer::request_started);
    }

    pub(super) fn request_ended(&self) {
        self.tell(Observer::request_ended);
    }

    pub(super) fn wait_started(&self, wait: &Wait<'_>) {
        self.tell(|observer| observer.wait_started(wait));
    }

    pub(super) fn wait_ended(&self, wait: &Wait<'_>) {
        self.tell(|observer| observer.wait_ended(wait));
    }

    pub(crate) fn run_started(&self, run: &RunStart<'_>) {
        self.tell(|observer| observer.run_started(run));
    }

    pub(crate) fn run_ended(&self, run: &RunEnd<'_>) {
        self.tell(|observer| observer.run_ended(run));
    }

    pub(crate) fn callback(&self, attempt: &CallbackAttempt<'_>) {
        self.tell(|observer| observer.callback(attempt));
    }

    pub(crate) fn store(&self, step: &StoreStep) {
        self.tell(|observer| observer.store(step));
    }

    pub(super) fn store_fill(&self, fill: &StoreFill) {
        self.tell(|observer| observer.store_fill(fill));
    }

    pub(crate) fn backlog(&self, backlog: &LayerBacklog<'_>) {
        self.tell(|observer| observer.backlog(backlog));
    }

    pub(super) fn key_fetch(&self, fetch: &KeyFetch<'_>) {
        self.tell(|observer| observer.key_fetch(fetch));
    }

    pub(super) fn tenant_keys(&self, keys: &TenantKeys<'_>) {
        self.tell(|observer| observer.tenant_keys(keys));
    }
}

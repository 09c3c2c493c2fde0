//! The outcome of a delivery, as data.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::attempt::DeliveryAttempt;
use super::instance::Instance;
use super::post::CallbackPost;
use crate::event::{Reply, ReplyError};

/// The outcome of a delivery. Its `Debug` omits tokens, callback URLs and the
/// document.
#[derive(Clone)]
#[must_use = "it says whether the delivery succeeded"]
pub struct DeliveryReport {
    pub(super) seed: u64,
    pub(super) attempts: Vec<DeliveryAttempt>,
    pub(super) end: End,
    pub(super) took: Duration,
    pub(super) document: Option<Reply>,
    pub(super) instance: Arc<Instance>,
}

impl DeliveryReport {
    /// How it ended.
    #[must_use]
    pub fn end(&self) -> &End {
        &self.end
    }

    /// Whether ConductorOne got its answer, at once or by callback.
    #[must_use]
    pub fn is_success(&self) -> bool {
        !matches!(self.end, End::Failed(_))
    }

    /// The document that ConductorOne accepted.
    #[must_use]
    pub fn document(&self) -> Option<&Reply> {
        self.document.as_ref()
    }

    /// The attempts, from the first to the last.
    #[must_use]
    pub fn attempts(&self) -> &[DeliveryAttempt] {
        &self.attempts
    }

    /// The documents posted to its callback URLs until now, also after the end.
    #[must_use]
    pub fn callbacks(&self) -> Vec<CallbackPost> {
        self.instance.posts()
    }

    /// The time from the first attempt to the end.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.took
    }

    /// The seed that repeats this delivery's random numbers, for
    /// [`Simulator::seed`](super::Simulator::seed).
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }
}

impl fmt::Debug for DeliveryReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeliveryReport")
            .field("end", &self.end)
            .field("took", &self.took)
            .field("attempts", &self.attempts)
            .field("callbacks", &self.callbacks())
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

/// How a delivery ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// A 2xx came with a document that answers the event.
    Delivered,
    /// A document that answers the event was posted to the callback URL.
    CompletedByCallback,
    /// ConductorOne gave up.
    Failed(Failure),
}

/// Why ConductorOne gave a delivery up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// The receiver answered 410.
    Gone,
    /// A 2xx came with a document that does not answer the event.
    Document(ReplyError),
    /// No 2xx came in 50 attempts.
    Attempts,
    /// The callback time-out ended.
    TimedOut,
}

//! What became of a delivery, as data.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::attempt::DeliveryAttempt;
use super::instance::Instance;
use super::post::CallbackPost;
use crate::event::{Reply, ReplyError};

/// What became of a delivery. Its `Debug` shows no token, no callback URL and
/// no document.
#[derive(Clone)]
#[must_use = "it says whether the delivery came to a good end"]
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

    /// Whether ConductorOne got its answer, at once or through the callback.
    #[must_use]
    pub fn is_success(&self) -> bool {
        !matches!(self.end, End::Failed(_))
    }

    /// The answer that ConductorOne took.
    #[must_use]
    pub fn document(&self) -> Option<&Reply> {
        self.document.as_ref()
    }

    /// The attempts, from the first to the last.
    #[must_use]
    pub fn attempts(&self) -> &[DeliveryAttempt] {
        &self.attempts
    }

    /// What was posted to its callback URLs until now, also after the end.
    #[must_use]
    pub fn callbacks(&self) -> Vec<CallbackPost> {
        self.instance.posts()
    }

    /// How long it went on from the first attempt.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.took
    }

    /// Given to [`Simulator::seed`](super::Simulator::seed), it makes the next
    /// delivery go with the same chances.
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
    /// Such a document was posted to the callback URL.
    CompletedByCallback,
    /// It failed for good.
    Failed(Failure),
}

/// Why a delivery failed for good.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// The receiver answered 410.
    Gone,
    /// The document that came with a 2xx does not answer the event.
    Document(ReplyError),
    /// None of 50 attempts was answered with 2xx.
    Attempts,
    /// The callback time-out was over first.
    TimedOut,
}

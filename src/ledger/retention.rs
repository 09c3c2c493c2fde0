use std::time::Duration;

/// How long a ledger keeps its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    finished: Duration,
    callback: Duration,
}

impl Retention {
    /// The shortest time for which answers are kept: 45 minutes. ConductorOne may
    /// retry for 37 minutes: 50 attempts of 30 s, with 49 pauses of up to 15 s.
    pub const MIN_FINISHED: Duration = Duration::from_secs(45 * 60);

    /// Keeps answers for `finished`, and promised work until its callback's
    /// deadline, `callback` after the promise. Set `callback` to at least the
    /// callback time-out configured in ConductorOne, as
    /// [`CallbackClientBuilder::deadline`](crate::callback::CallbackClientBuilder::deadline).
    ///
    /// # Errors
    /// [`RetentionError`] unless `finished` is 45 minutes to 30 days, and
    /// `callback` 1 to 30 days.
    pub fn new(finished: Duration, callback: Duration) -> Result<Self, RetentionError> {
        if !(Self::MIN_FINISHED..=days(30)).contains(&finished) {
            return Err(RetentionError::Finished(finished));
        }
        if !(days(1)..=days(30)).contains(&callback) {
            return Err(RetentionError::Callback(callback));
        }
        Ok(Self { finished, callback })
    }

    /// How long a record is kept after its last step.
    #[must_use]
    pub const fn finished(&self) -> Duration {
        self.finished
    }

    /// How long a delivery is kept after its promise, at least.
    /// [`finished`](Self::finished) is added to it.
    #[must_use]
    pub const fn callback(&self) -> Duration {
        self.callback
    }

    /// How long ago a delivery was promised whose record expires after this time.
    pub(crate) fn since_promise(self, expires_in: Duration) -> Duration {
        (self.callback + self.finished).saturating_sub(expires_in)
    }
}

/// 24 hours for answers, and 8 days for callbacks, as in ConductorOne.
impl Default for Retention {
    fn default() -> Self {
        Self {
            finished: days(1),
            callback: days(8),
        }
    }
}

const fn days(count: u64) -> Duration {
    Duration::from_secs(count * 24 * 60 * 60)
}

/// A [`Retention`] out of range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RetentionError {
    /// Answers must outlast ConductorOne's attempts, and may not be kept forever.
    #[error("answers must be kept for 45 minutes to 30 days, not {0:?}")]
    Finished(Duration),
    /// ConductorOne waits 1 to 30 days for a callback.
    #[error("the callback's deadline must be 1 to 30 days, not {0:?}")]
    Callback(Duration),
}

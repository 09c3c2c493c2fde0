//! An attempt to post an answer to a callback URL.

use std::time::Duration;

use crate::callback::Callback;

/// An attempt to post an answer to a callback URL, whose URL it does not give.
#[derive(Clone, Copy, Debug)]
pub struct CallbackAttempt<'a> {
    pub(crate) callback: &'a Callback,
    pub(crate) number: u32,
    pub(crate) result: CallbackResult,
    pub(crate) duration: Duration,
}

impl CallbackAttempt<'_> {
    /// The tenant's domain.
    #[must_use]
    pub fn tenant(&self) -> &str {
        self.callback.tenant()
    }

    /// The event's full name: any text that the tenant chose.
    #[must_use]
    pub fn event(&self) -> &str {
        self.callback.event()
    }

    /// The webhook's id: any text that the tenant chose.
    #[must_use]
    pub fn webhook_id(&self) -> &str {
        self.callback.webhook_id()
    }

    /// The number of attempts so far, with this one.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// What came of it.
    #[must_use]
    pub fn result(&self) -> CallbackResult {
        self.result
    }

    /// How long it took.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.duration
    }
}

/// What came of an attempt to post an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallbackResult {
    /// ConductorOne has it.
    Delivered,
    /// It is tried again.
    Retried,
    /// It is given up.
    Failed,
}

impl CallbackResult {
    /// Its name in metrics: `delivered`, `retried` or `failed`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Retried => "retried",
            Self::Failed => "failed",
        }
    }
}

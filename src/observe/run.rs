//! A run of the handler.

use std::sync::Arc;
use std::time::Duration;

use crate::ledger::DeliveryKey;

/// A run of the handler that starts.
#[derive(Clone, Copy, Debug)]
pub struct RunStart<'a> {
    pub(crate) tenant: &'a Arc<str>,
    pub(crate) event: &'a str,
    pub(crate) delivery: DeliveryKey,
    pub(crate) number: u32,
}

impl RunStart<'_> {
    /// The tenant's domain.
    #[must_use]
    pub fn tenant(&self) -> &str {
        self.tenant
    }

    /// The event's full name: any text that the tenant chose.
    #[must_use]
    pub fn event(&self) -> &str {
        self.event
    }

    /// The delivery's key in the ledger.
    #[must_use]
    pub fn delivery(&self) -> DeliveryKey {
        self.delivery
    }

    /// The run's number for its delivery, counted from 1.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }
}

/// A run of the handler that has ended.
#[derive(Clone, Copy, Debug)]
pub struct RunEnd<'a> {
    pub(crate) run: RunStart<'a>,
    pub(crate) outcome: RunOutcome,
    pub(crate) duration: Duration,
}

impl<'a> RunEnd<'a> {
    /// Which run it is.
    #[must_use]
    pub fn run(&self) -> RunStart<'a> {
        self.run
    }

    /// How it has ended.
    #[must_use]
    pub fn outcome(&self) -> RunOutcome {
        self.outcome
    }

    /// How long it took.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.duration
    }
}

/// How a run has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunOutcome {
    /// With an answer for ConductorOne.
    Answered,
    /// With an error, a panic, an answer that ConductorOne cannot use, or at its limit.
    Failed,
    /// It was cut off, since its lease was lost or the receiver stopped.
    CutOff,
}

impl RunOutcome {
    /// Its name in metrics: `answered`, `failed` or `cut_off`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Failed => "failed",
            Self::CutOff => "cut_off",
        }
    }
}

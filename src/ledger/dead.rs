//! Dead deliveries: promised, then given up. An operator may revive them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::DeliveryKey;

/// Why a promised delivery was given up, and what an operator needs to recognise it.
/// None of it is secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Death {
    pub(crate) reason: Arc<str>,
    pub(crate) about: About,
}

/// Whose death it is, as stores keep it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct About {
    tenant: String,
    event: String,
    ids: BTreeMap<String, String>,
}

impl Death {
    /// A death for this reason. Keep it short, and free of secrets.
    #[must_use]
    pub fn new(reason: impl Into<Arc<str>>) -> Self {
        Self {
            reason: reason.into(),
            about: About::default(),
        }
    }

    /// Adds the tenant's domain and the event of the delivery.
    #[must_use]
    pub fn of(mut self, tenant: impl Into<String>, event: impl Into<String>) -> Self {
        self.about.tenant = tenant.into();
        self.about.event = event.into();
        self
    }

    /// Adds an ID, such as the `webhook`'s or the `task`'s.
    #[must_use]
    pub fn id(mut self, name: impl Into<String>, id: impl Into<String>) -> Self {
        self.about.ids.insert(name.into(), id.into());
        self
    }

    /// Why the delivery was given up.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The tenant's domain; empty if it is unknown.
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.about.tenant
    }

    /// The event, such as `c1.webhooks.v1.PayloadTest`; empty if it is unknown.
    #[must_use]
    pub fn event(&self) -> &str {
        &self.about.event
    }

    /// The names and values of the IDs, in alphabetical order. `DeliverOnceLayer` gives
    /// `webhook` and, depending on the event, `task` (the task's ID), `task_number` (the
    /// number by which people know it), `workflow_execution`, `workflow_step`,
    /// `dispatch` and `finding`.
    pub fn ids(&self) -> impl Iterator<Item = (&str, &str)> {
        let ids = self.about.ids.iter();
        ids.map(|(name, id)| (name.as_str(), id.as_str()))
    }

    /// The size of its texts.
    pub(crate) fn bytes(&self) -> usize {
        let About { tenant, event, ids } = &self.about;
        let ids = ids.iter().map(|(name, id)| name.len() + id.len());
        self.reason.len() + tenant.len() + event.len() + ids.sum::<usize>()
    }
}

/// A dead delivery. None of it is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadDelivery {
    /// The delivery: for [`Ledger::revive`](super::Ledger::revive).
    pub key: DeliveryKey,
    /// The number of its last run.
    pub run: u32,
    /// Why it was given up, and which one it is.
    pub death: Death,
    /// Whether a run has ended with an answer that could not be posted. If revived, this
    /// answer is posted. Otherwise the handler runs again.
    pub has_answer: bool,
    /// How long ago it was given up, on the ledger's clock.
    pub age: Duration,
    /// How long it can still be revived: until its callback's deadline.
    pub time_left: Duration,
}

impl DeadDelivery {
    /// For implementations of [`Ledger`](super::Ledger): died now, and can no longer be
    /// revived.
    #[must_use]
    pub const fn new(key: DeliveryKey, run: u32, death: Death) -> Self {
        Self {
            key,
            run,
            death,
            has_answer: false,
            age: Duration::ZERO,
            time_left: Duration::ZERO,
        }
    }
}

/// Some of a ledger's dead deliveries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadPage {
    /// The deliveries, at most 100. May be empty although more pages follow.
    pub deliveries: Vec<DeadDelivery>,
    /// Where the next page begins: for [`Ledger::dead`](super::Ledger::dead). `None` if
    /// there is none.
    pub next: Option<DeliveryKey>,
}

impl DeadPage {
    /// For implementations of [`Ledger`](super::Ledger).
    #[must_use]
    pub const fn new(deliveries: Vec<DeadDelivery>, next: Option<DeliveryKey>) -> Self {
        Self { deliveries, next }
    }
}

/// The reply to [`Ledger::revive`](super::Ledger::revive).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
#[non_exhaustive]
pub enum Revival {
    /// The delivery is promised again, and due at once.
    Revived,
    /// The ledger does not know the delivery, or no longer.
    Unknown,
    /// The delivery is not dead. Another call may have revived it.
    NotDead,
    /// The delivery's callback can no longer be answered: its deadline has passed.
    TooLate,
}

//! Requests until they are answered.

use std::sync::Arc;

use super::observer::Observers;
use crate::ledger::DeliveryKey;

/// A request that waits for the answer of a run that another request has begun, or
/// another replica.
#[derive(Clone, Copy, Debug)]
pub struct Wait<'a> {
    pub(crate) tenant: &'a Arc<str>,
    pub(crate) event: &'a str,
    pub(crate) delivery: DeliveryKey,
}

impl<'a> Wait<'a> {
    /// The tenant's domain.
    #[must_use]
    pub fn tenant(&self) -> &'a str {
        self.tenant
    }

    /// The event's full name: any text that the tenant chose.
    #[must_use]
    pub fn event(&self) -> &'a str {
        self.event
    }

    /// The delivery's key in the ledger.
    #[must_use]
    pub fn delivery(&self) -> DeliveryKey {
        self.delivery
    }
}

/// A request in flight, until its end or until this is dropped.
pub(crate) struct InFlight {
    observers: Observers,
    has_ended: bool,
}

/// A request that waits, until this is dropped.
pub(crate) struct Waiting<'a> {
    observers: &'a Observers,
    wait: Wait<'a>,
}

impl Observers {
    pub(crate) fn in_flight(&self) -> InFlight {
        self.request_started();
        InFlight {
            observers: self.clone(),
            has_ended: false,
        }
    }

    pub(crate) fn waiting<'a>(&'a self, wait: Wait<'a>) -> Waiting<'a> {
        self.wait_started(&wait);
        Waiting {
            observers: self,
            wait,
        }
    }
}

impl InFlight {
    pub(crate) fn end(&mut self) {
        if !self.has_ended {
            self.has_ended = true;
            self.observers.request_ended();
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.end();
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.observers.wait_ended(&self.wait);
    }
}

//! What handlers have done, by the number of the delivery.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tower_conductorone::Webhook;
use tower_conductorone::testing::{Delivery, FakeTenant};

/// A delivery whose payload has its number, so that it can be told from others
/// whatever its id says.
pub fn numbered(tenant: &FakeTenant, event: &str, number: usize) -> Delivery {
    let delivery = tenant.delivery(event);
    let mut payload = delivery.envelope()["payload"].take();
    payload["number"] = number.into();
    delivery.payload(payload)
}

/// The number in the body of such a delivery.
pub fn number(body: &[u8]) -> usize {
    let envelope: Value = serde_json::from_slice(body).expect("JSON");
    let number = envelope["payload"]["number"].as_u64().expect("a number");
    usize::try_from(number).expect("a small one")
}

/// A record of all runs.
#[derive(Clone, Debug, Default)]
pub struct Work(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    runs: HashMap<usize, usize>,
    live: HashSet<usize>,
    cut_off: usize,
    /// Runs that began while another was alive.
    overlaps: Vec<usize>,
}

impl Work {
    /// A run begins.
    pub fn begin(&self, webhook: &Webhook) -> Running {
        let number = number(webhook.body());
        let mut state = self.0.lock().expect("no panic");
        *state.runs.entry(number).or_default() += 1;
        let is_alone = state.live.insert(number);
        if !is_alone {
            // A panic in a handler would be taken for its failure.
            state.overlaps.push(number);
        }
        Running {
            work: self.clone(),
            number,
            is_over: false,
        }
    }

    /// How often that delivery has run.
    pub fn runs(&self, number: usize) -> usize {
        let state = self.0.lock().expect("no panic");
        state.runs.get(&number).copied().unwrap_or_default()
    }

    /// How many runs there were.
    pub fn total(&self) -> usize {
        self.0.lock().expect("no panic").runs.values().sum()
    }

    /// Fails if two runs of a delivery were ever alive at once.
    #[track_caller]
    pub fn expect_no_overlap(&self) {
        let overlaps = &self.0.lock().expect("no panic").overlaps;
        assert!(overlaps.is_empty(), "two at once of {overlaps:?}");
    }

    /// How many runs are under way.
    pub fn live(&self) -> usize {
        self.0.lock().expect("no panic").live.len()
    }

    /// How many runs did not get to their end.
    pub fn cut_off(&self) -> usize {
        self.0.lock().expect("no panic").cut_off
    }
}

/// A run, alive until it is dropped.
#[derive(Debug)]
pub struct Running {
    work: Work,
    number: usize,
    is_over: bool,
}

impl Running {
    pub fn number(&self) -> usize {
        self.number
    }

    pub fn end(mut self) {
        self.is_over = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = self.work.0.lock().expect("no panic");
        state.live.remove(&self.number);
        state.cut_off += usize::from(!self.is_over);
    }
}

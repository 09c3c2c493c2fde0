//! The newest deliveries, and what happened in them.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde_json::Value;
use tokio::sync::watch;

use super::delivery::{Delivery, State, Text};
use super::order::{Order, Webhook};
use crate::deliver::Step;
use crate::endpoint;
use crate::failure::Failure;

/// The most deliveries that are kept: the ones that ended first leave.
pub(super) const MAX_DELIVERIES: usize = 20_000;

/// The most bytes of payloads, answers and documents that are kept, about.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// The most requests to the tenant that are kept.
const MAX_NOTICES: usize = 50;

/// What the page shows. Holds no token and no callback URL, other than the last part of
/// those that it has sent, which it does not show.
pub(crate) struct History {
    kept: Mutex<Kept>,
    /// The number of changes so far.
    news: watch::Sender<u64>,
}

#[derive(Default)]
pub(super) struct Kept {
    pub(super) deliveries: BTreeMap<u64, Delivery>,
    pub(super) notices: VecDeque<Notice>,
    /// How many have left.
    pub(super) left: u64,
    pub(super) changes: u64,
    finished: VecDeque<u64>,
    /// The last delivery with this callback URL.
    by_token: HashMap<String, u64>,
    last_id: u64,
    bytes: usize,
}

/// There is no room for more unfinished deliveries.
pub(super) struct Full;

/// A request to the tenant.
pub(super) struct Notice {
    pub(super) at: SystemTime,
    pub(super) what: &'static str,
    pub(super) event: String,
    pub(super) why: Option<String>,
    pub(super) delivery: Option<u64>,
}

impl Default for History {
    fn default() -> Self {
        let kept = Kept {
            changes: 1,
            ..Kept::default()
        };
        Self {
            kept: Mutex::new(kept),
            news: watch::Sender::new(1),
        }
    }
}

impl History {
    pub(super) fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there are others than these changes.
    pub(super) async fn wait(&self, changes: u64) {
        let mut news = self.news.subscribe();
        let _ = news.wait_for(|now| *now != changes).await;
    }

    fn change<R>(&self, change: impl FnOnce(&mut Kept) -> R) -> R {
        let mut kept = self.kept();
        kept.changes += 1;
        let result = change(&mut kept);
        kept.shrink();
        let changes = kept.changes;
        drop(kept);
        self.news.send_replace(changes);
        result
    }

    fn change_one(&self, id: u64, change: impl FnOnce(&mut Delivery)) {
        self.change(|kept| kept.change_one(id, change));
    }

    /// Adds deliveries, and returns their numbers.
    pub(super) fn add(
        &self,
        order: &Arc<Order>,
        webhooks: &[Webhook],
        repeats: Option<u64>,
    ) -> Result<Range<u64>, Full> {
        self.change(|kept| {
            let unfinished = kept.deliveries.len() - kept.finished.len();
            if unfinished + webhooks.len() > MAX_DELIVERIES
                || kept.unfinished_bytes() + order.text.len() > MAX_BYTES
            {
                return Err(Full);
            }
            let first = kept.last_id + 1;
            for webhook in webhooks {
                kept.last_id += 1;
                let id = kept.last_id;
                // The payload leaves with the first of those that share it.
                let bytes = if id == first { order.text.len() } else { 0 };
                kept.bytes += bytes;
                kept.by_token.insert(webhook.token.clone(), id);
                let mut delivery = Delivery::new(Arc::clone(order), webhook.clone(), repeats);
                (delivery.changed, delivery.bytes) = (kept.changes, bytes);
                kept.deliveries.insert(id, delivery);
            }
            Ok(first..kept.last_id + 1)
        })
    }

    /// Notes a step of this delivery.
    pub(super) fn step(&self, id: u64, step: &Step<'_>) {
        self.change_one(id, |delivery| delivery.step(step));
    }

    /// Ends a delivery.
    pub(super) fn end(&self, id: u64, end: Result<Option<Value>, Failure>) {
        self.change_one(id, |delivery| delivery.ended(end));
    }

    /// Ends all that are not finished.
    pub(super) fn stop(&self) {
        self.change(|kept| {
            let unfinished =
                |(id, delivery): (&u64, &Delivery)| (!delivery.state.is_finished()).then_some(*id);
            let ids: Vec<_> = kept.deliveries.iter().filter_map(unfinished).collect();
            for id in ids {
                kept.change_one(id, |delivery| delivery.state = State::Stopped);
            }
        });
    }

    /// Notes a request to the tenant.
    pub(crate) fn note(&self, notice: &endpoint::Notice) {
        let (at, mut delivery) = (SystemTime::now(), None);
        self.change(|kept| {
            let (what, event, why) = match notice {
                endpoint::Notice::KeysFetched => ("keys fetched", String::new(), None),
                endpoint::Notice::Callback {
                    event,
                    token,
                    document,
                    refused,
                } => {
                    let document = Text::new(&String::from_utf8_lossy(document), token);
                    let refused = refused.as_ref().map(|why| Text::new(why, token).text);
                    delivery = kept.by_token.get(token).copied();
                    if let Some(id) = delivery {
                        kept.change_one(id, |delivery| {
                            delivery.posted(document, refused.clone());
                        });
                    }
                    let what = match refused {
                        None => "callback accepted",
                        Some(_) => "callback refused",
                    };
                    (what, Text::new(event, token).text, refused)
                }
            };
            kept.notices.truncate(MAX_NOTICES - 1);
            kept.notices.push_front(Notice {
                at,
                what,
                event,
                why,
                delivery,
            });
        });
    }
}

impl Kept {
    fn change_one(&mut self, id: u64, change: impl FnOnce(&mut Delivery)) {
        let Some(delivery) = self.deliveries.get_mut(&id) else {
            return;
        };
        let (was, bytes) = (delivery.state, delivery.bytes);
        change(delivery);
        if was.is_finished() {
            // A late callback, or the end of one that was stopped, does not revive it.
            delivery.state = was;
        }
        delivery.changed = self.changes;
        self.bytes += delivery.bytes - bytes;
        if delivery.state.is_finished() && !was.is_finished() {
            delivery.took = delivery.begun.map(|(_, begun)| begun.elapsed());
            self.finished.push_back(id);
        }
    }

    /// The bytes of the payloads that are to be sent.
    fn unfinished_bytes(&self) -> usize {
        let mut last: Option<&Arc<Order>> = None;
        let unfinished = self.deliveries.values();
        unfinished
            .filter(|delivery| !delivery.state.is_finished())
            .map(|delivery| &delivery.order)
            .filter(|order| {
                !last
                    .replace(order)
                    .is_some_and(|last| Arc::ptr_eq(last, order))
            })
            .map(|order| order.text.len())
            .sum()
    }

    fn shrink(&mut self) {
        while self.deliveries.len() > MAX_DELIVERIES || self.bytes > MAX_BYTES {
            let Some(id) = self.finished.pop_front() else {
                return;
            };
            let Some(gone) = self.deliveries.remove(&id) else {
                continue;
            };
            self.left += 1;
            self.bytes -= gone.bytes;
            if self.by_token.get(&gone.webhook.token) == Some(&id) {
                self.by_token.remove(&gone.webhook.token);
            }
        }
    }
}

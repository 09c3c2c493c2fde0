//! The deliveries in progress in this process.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::Response;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::answer::{accepted, answered};
use super::body::{DocumentBody, HandedOver};
use super::cause::Cause;
use super::shared::Shared;
use super::verdict::{Failure, Verdict};
use crate::ledger::{DeliveryKey, RecordedAnswer};
use crate::observe::{How, Observers, Wait};
use crate::rejection::Rejection;
use crate::verify::Webhook;

/// The stage of a delivery's work, for the requests that wait for its answer.
#[derive(Clone)]
pub(super) enum Stage {
    Working,
    /// Another process has the run.
    Elsewhere,
    /// The work continues, in this run or a later one, and the answer is 202. The sender
    /// signals when it was written.
    Promised(watch::Sender<Option<Instant>>, u32),
    /// This process has an answer.
    Over(Ending),
}

#[derive(Clone)]
pub(super) enum Ending {
    /// The handler ran in this process, for this time.
    Ran(Verdict, u32),
    /// The ledger has the answer of an earlier run or another process.
    Recorded(RecordedAnswer),
    /// Another process, or an earlier run, has promised it.
    Promised,
    Refused(Rejection),
}

/// A request that waits for the answer of its delivery: the one that began the work,
/// or a duplicate.
pub(super) struct Waiting {
    pub(super) key: DeliveryKey,
    pub(super) stage: watch::Receiver<Stage>,
    /// Whether this request began the work.
    pub(super) is_first: bool,
    /// When it gives up, and is rejected.
    pub(super) latest: Instant,
}

/// The answer to a request, how it came about, and the run that gave it.
pub(super) struct Answer {
    pub(super) how: How,
    pub(super) run: Option<u32>,
    pub(super) response: Result<Response<DocumentBody>, Rejection>,
}

impl Answer {
    fn new(how: How, run: Option<u32>, response: Response<DocumentBody>) -> Self {
        let response = Ok(response);
        Self { how, run, response }
    }

    pub(super) fn refused(rejection: Rejection) -> Self {
        Self {
            how: How::Refused,
            run: None,
            response: Err(rejection),
        }
    }
}

impl Waiting {
    /// Waits for the answer, until `latest`. The first request is then `overdue`.
    pub(super) async fn answer(mut self, shared: &Shared, webhook: &Webhook) -> Answer {
        let latest = self.latest;
        let arrived = self.arrived(&shared.hooks.observers, webhook);
        let stage = match timeout_at(latest, arrived).await {
            Ok(Ok(())) => self.stage.borrow().clone(),
            // The work has ended without an answer.
            Ok(Err(_)) => Stage::Working,
            Err(_elapsed) if self.is_first => {
                return Answer::refused(shared.overdue(Some(webhook)));
            }
            Err(_elapsed) => Stage::Working,
        };
        match stage {
            Stage::Working | Stage::Elsewhere => Answer::refused(Cause::StillRunning.rejection()),
            Stage::Promised(written, run) => {
                let body = DocumentBody::telling(HandedOver(written));
                Answer::new(How::Promised, Some(run), accepted(body))
            }
            Stage::Over(Ending::Ran(verdict, run)) => {
                let how = if self.is_first { How::Ran } else { How::Joined };
                match verdict {
                    Verdict::Answered(answer) | Verdict::Recorded(answer, _) => {
                        Answer::new(how, Some(run), answered(&answer, !self.is_first))
                    }
                    Verdict::Failed(Failure::Response(response)) => {
                        Answer::new(how, Some(run), response.into_response())
                    }
                    Verdict::Failed(Failure::Rejected(rejection)) => Answer {
                        how,
                        run: Some(run),
                        response: Err(rejection),
                    },
                }
            }
            Stage::Over(Ending::Recorded(answer)) => {
                Answer::new(How::Replayed, None, answered(&answer, true))
            }
            Stage::Over(Ending::Promised) => {
                Answer::new(How::Promised, None, accepted(DocumentBody::default()))
            }
            Stage::Over(Ending::Refused(rejection)) => Answer::refused(rejection),
        }
    }

    /// Waits until there is something to answer. Meanwhile observers see whether the run is
    /// another's.
    async fn arrived(
        &mut self,
        observers: &Observers,
        webhook: &Webhook,
    ) -> Result<(), watch::error::RecvError> {
        let mut waiting = None;
        loop {
            // No observer is called while the stage is borrowed.
            let is_anothers = match &*self.stage.borrow_and_update() {
                Stage::Working => !self.is_first,
                Stage::Elsewhere => true,
                _ => return Ok(()),
            };
            if !is_anothers {
                waiting = None;
            } else if waiting.is_none() {
                waiting = Some(observers.waiting(Wait {
                    tenant: webhook.shared_tenant(),
                    event: webhook.event(),
                    delivery: self.key,
                }));
            }
            self.stage.changed().await?;
        }
    }
}

/// The table of deliveries in progress. Its size is bounded by the work in progress.
#[derive(Default)]
pub(super) struct InProgress {
    live: Mutex<HashMap<DeliveryKey, Live>>,
    busy: watch::Sender<usize>,
}

struct Live {
    progress: watch::Receiver<Stage>,
    /// The latest request whose callback URL may be used: that URL is the likeliest to
    /// work.
    webhook: Webhook,
}

pub(super) enum Joined {
    /// Another task of this process works on it.
    Live {
        stage: watch::Receiver<Stage>,
        /// Whether the webhook has replaced the known one.
        is_latest: bool,
    },
    /// No task works on it here: the holder of the seat must.
    New(Seat, watch::Receiver<Stage>),
}

impl InProgress {
    /// Joins the delivery's work, or takes its seat. `supersedes` returns whether the first
    /// webhook replaces the second, known one.
    pub(super) fn join(
        self: &Arc<Self>,
        key: DeliveryKey,
        webhook: Webhook,
        supersedes: impl FnOnce(&Webhook, &Webhook) -> bool,
    ) -> Joined {
        let mut live = self.live();
        let vacant = match live.entry(key) {
            Entry::Occupied(mut entry) => {
                let live = entry.get_mut();
                let is_latest = supersedes(&webhook, &live.webhook);
                if is_latest {
                    live.webhook = webhook;
                }
                return Joined::Live {
                    stage: live.progress.clone(),
                    is_latest,
                };
            }
            Entry::Vacant(vacant) => vacant,
        };
        let (progress, receiver) = watch::channel(Stage::Working);
        vacant.insert(Live {
            progress: receiver.clone(),
            webhook,
        });
        let seat = Seat {
            busy: self.busy(),
            key,
            progress,
        };
        Joined::New(seat, receiver)
    }

    /// Counts as work in progress until the guard is dropped.
    pub(super) fn busy(self: &Arc<Self>) -> Busy {
        // No task waits for an increment.
        self.busy.send_if_modified(|count| {
            *count += 1;
            false
        });
        Busy(Arc::clone(self))
    }

    /// Completes when there is no work in progress.
    pub(super) async fn idle(&self) {
        // Cannot fail: `self` holds the sender.
        let _ = self.busy.subscribe().wait_for(|count| *count == 0).await;
    }

    pub(super) fn count(&self) -> usize {
        *self.busy.borrow()
    }

    fn live(&self) -> MutexGuard<'_, HashMap<DeliveryKey, Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct Busy(Arc<InProgress>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.send_if_modified(|count| {
            *count -= 1;
            *count == 0
        });
    }
}

/// A delivery's entry in the table, until its end or until it is dropped.
pub(super) struct Seat {
    busy: Busy,
    key: DeliveryKey,
    progress: watch::Sender<Stage>,
}

impl Seat {
    pub(super) fn key(&self) -> DeliveryKey {
        self.key
    }

    /// The latest request for this delivery whose callback URL may be used.
    pub(super) fn webhook(&self) -> Option<Webhook> {
        let live = self.busy.0.live();
        live.get(&self.key).map(|live| live.webhook.clone())
    }

    /// Tells the callers whether another process has the run.
    pub(super) fn tell_whose(&self, is_elsewhere: bool) {
        self.tell(if is_elsewhere {
            Stage::Elsewhere
        } else {
            Stage::Working
        });
    }

    /// Answers the callers 202 in this run. The channel tells when that was written.
    pub(super) fn tell_promised(&self, run: u32) -> watch::Receiver<Option<Instant>> {
        let (tell, written) = watch::channel(None);
        self.tell(Stage::Promised(tell, run));
        written
    }

    /// Answers the callers. Leaves the table first, so that a retry after a failure does
    /// not join the failed run.
    pub(super) fn end(&self, ending: Ending) {
        self.leave();
        self.tell(Stage::Over(ending));
    }

    fn tell(&self, stage: Stage) {
        self.progress.send_replace(stage);
    }

    fn leave(&self) {
        let own = self.progress.subscribe();
        if let Entry::Occupied(entry) = self.busy.0.live().entry(self.key)
            && entry.get().progress.same_channel(&own)
        {
            entry.remove();
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook() -> Webhook {
        let claims = r#"{
            "iss": "example.conductor.one", "aud": "hooks.example.com", "c1typ": "wh",
            "iat": 1713312120, "nbf": 1713312060, "exp": 1713312240, "jti": "a token",
            "htm": "POST", "htu": "https://hooks.example.com/webhooks",
            "htb_s256": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
        }"#;
        let body = r#"{"version":"v1","webhookId":"an id","event":"an event"}"#;
        Webhook::assume_verified("example.conductor.one", claims.as_bytes(), body)
            .expect("a webhook")
    }

    #[test]
    fn a_duplicate_that_asks_after_the_end_does_not_join_it() {
        let (table, key) = (
            Arc::new(InProgress::default()),
            DeliveryKey::from_bytes([1; 32]),
        );
        let join = || table.join(key, webhook(), |_, _| false);
        let Joined::New(first, _) = join() else {
            panic!("nobody works on it")
        };
        first.end(Ending::Promised);
        let Joined::New(next, _) = join() else {
            panic!("it has ended")
        };
        drop(first);
        assert!(
            matches!(join(), Joined::Live { .. }),
            "the next one goes on"
        );
        drop(next);
        assert!(matches!(join(), Joined::New(..)), "it was given up");
        assert_eq!(table.count(), 0);
    }
}

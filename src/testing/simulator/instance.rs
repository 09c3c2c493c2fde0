//! ConductorOne's state of a delivery, during and after it.

use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::post::{CallbackPost, CallbackRefusal};
use crate::event::Reply;
use crate::testing::lock;

#[derive(Debug)]
pub(super) struct Instance {
    event: String,
    fired: Instant,
    /// The end of the callback time-out.
    pub(super) deadline: Instant,
    refuse_early_callbacks: bool,
    state: Mutex<State>,
    completed: Notify,
}

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    posts: Vec<CallbackPost>,
}

#[derive(Debug, Default)]
enum Phase {
    /// Attempts are made; no 202 has come.
    #[default]
    Trying,
    /// A 202 has come.
    Waiting,
    /// The callback brought this document.
    Completed(Reply),
    /// It has ended without a callback.
    Closed,
}

impl Instance {
    pub(super) fn new(event: String, timeout: Duration, refuse_early_callbacks: bool) -> Self {
        let fired = Instant::now();
        Self {
            event,
            fired,
            deadline: fired + timeout,
            refuse_early_callbacks,
            state: Mutex::default(),
            completed: Notify::new(),
        }
    }

    pub(super) fn event(&self) -> &str {
        &self.event
    }

    /// The time since the first attempt.
    pub(super) fn age(&self) -> Duration {
        self.fired.elapsed()
    }

    /// Accepts or refuses a document that was posted to a callback URL.
    pub(super) fn take(&self, document: Bytes) -> StatusCode {
        let mut state = lock(&self.state);
        let refusal = match self.judge(&state.phase, document) {
            Ok(reply) => {
                state.phase = Phase::Completed(reply);
                self.completed.notify_one();
                None
            }
            Err(refusal) => Some(refusal),
        };
        let post = CallbackPost::new(self.age(), refusal);
        let status = post.status();
        state.posts.push(post);
        status
    }

    fn judge(&self, phase: &Phase, document: Bytes) -> Result<Reply, CallbackRefusal> {
        match phase {
            Phase::Completed(_) | Phase::Closed => return Err(CallbackRefusal::Over),
            _ if Instant::now() >= self.deadline => return Err(CallbackRefusal::Expired),
            Phase::Trying if self.refuse_early_callbacks => return Err(CallbackRefusal::Early),
            Phase::Trying | Phase::Waiting => {}
        }
        Reply::from_json(&self.event, document).map_err(CallbackRefusal::Document)
    }

    /// Records a 202.
    pub(super) fn wait(&self) {
        let mut state = lock(&self.state);
        if matches!(state.phase, Phase::Trying) {
            state.phase = Phase::Waiting;
        }
    }

    /// Ends the delivery, and returns the document if a callback has completed it.
    pub(super) fn close(&self) -> Option<Reply> {
        let mut state = lock(&self.state);
        if let Phase::Completed(reply) = &state.phase {
            return Some(reply.clone());
        }
        state.phase = Phase::Closed;
        None
    }

    pub(super) fn is_completed(&self) -> bool {
        matches!(lock(&self.state).phase, Phase::Completed(_))
    }

    /// Waits until a callback completes it, at most until `then`.
    pub(super) async fn completed_by(&self, then: Instant) {
        let _ = tokio::time::timeout_at(then, self.completed.notified()).await;
    }

    pub(super) fn posts(&self) -> Vec<CallbackPost> {
        lock(&self.state).posts.clone()
    }
}

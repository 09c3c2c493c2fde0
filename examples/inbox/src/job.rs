//! What is kept of a delivery, in the form in which it is stored.

use serde::{Deserialize, Serialize};
use tower_conductorone::callback::{Callback, Progress};
use tower_conductorone::event::Reply;
use tower_conductorone::ledger::DeliveryKey;

/// A step of a delivery.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) key: DeliveryKey,
    /// A secret. It names the event, too.
    pub(crate) callback: Callback,
    pub(crate) todo: Todo,
}

/// What is to be done.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Todo {
    /// The work that the webhook asks for.
    Work { payload: String },
    /// The reply is to be posted, once.
    Send { reply: String, progress: Progress },
}

impl Job {
    /// What no two jobs have in common: a second one is not stored.
    pub(crate) fn unique_key(&self) -> String {
        let delivery = &self.key;
        match &self.todo {
            Todo::Work { .. } => format!("work/{delivery}"),
            Todo::Send { progress, .. } => format!("send/{}/{delivery}", progress.attempts),
        }
    }

    /// The next step of the same delivery.
    pub(crate) fn then(&self, reply: &Reply, progress: Progress) -> Self {
        Self {
            todo: Todo::Send {
                reply: text(reply.as_bytes()),
                progress,
            },
            ..self.clone()
        }
    }
}

impl Todo {
    pub(crate) fn work(payload_json: &[u8]) -> Self {
        Self::Work {
            payload: text(payload_json),
        }
    }
}

/// JSON from the crate is UTF-8.
fn text(json: &[u8]) -> String {
    String::from_utf8_lossy(json).into_owned()
}

//! The work: grants every request, as slowly and as unreliably as the flags say.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::json;
use tokio::task::block_in_place;
use tokio::time::sleep;
use tower_conductorone::Webhook;
use tower_conductorone::event::{
    Acknowledgement, ApprovalReply, Comment, Outcome, Payload, ProvisionReply, WorkflowReply,
};
use tracing::warn;

use crate::args::Args;

/// The work, with the flags that slow it down and make it fail.
pub(crate) struct Work {
    log_json: bool,
    takes: Duration,
    /// The number of runs that are still to fail.
    failures: AtomicU64,
}

impl Work {
    pub(crate) fn new(args: &Args) -> Self {
        Self {
            log_json: args.log_json,
            takes: Duration::from_millis(args.work_ms),
            failures: AtomicU64::new(args.fail_first),
        }
    }

    /// Whether this run is to fail.
    fn fails(&self) -> bool {
        let one_less = |left: u64| left.checked_sub(1);
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        self.failures.fetch_update(set, fetch, one_less).is_ok()
    }
}

/// One run of the work on a delivery.
pub(crate) async fn handle(
    State(work): State<Arc<Work>>,
    webhook: Webhook,
) -> Result<Outcome, StatusCode> {
    let payload = webhook.payload().cloned().or_else(|error| {
        // The path alone: the text may quote a comment. This receiver grants even
        // what it cannot read, as if the payload were empty.
        warn!(
            webhook_id = webhook.id(),
            path = error.path(),
            "the payload does not match its event type"
        );
        Payload::from_json(webhook.event(), b"null")
    });
    let Ok(payload) = payload else {
        return Ok(Outcome::retry_later(Duration::from_mins(1)));
    };
    if work.log_json {
        print(&webhook, &payload);
    }
    let fails = work.fails();
    if !work.takes.is_zero() {
        sleep(work.takes).await;
    }
    if fails {
        warn!(
            webhook_id = webhook.id(),
            "this run fails because of --fail-first"
        );
        return Err(StatusCode::INTERNAL_SERVER_ERROR);
    }
    Ok(grant(&webhook, &payload))
}

fn grant(webhook: &Webhook, payload: &Payload) -> Outcome {
    let comment = Comment::truncated(format!("done by the example receiver, {}", webhook.id()));
    match payload {
        Payload::Test(test) => test.answer(Acknowledgement::new()),
        Payload::ProvisionStep(step) => step.answer(ProvisionReply::complete(comment)),
        Payload::PolicyApprovalStep(step) => step.answer(ApprovalReply::approve(comment)),
        Payload::PolicyPostAction(action) => action.answer(Acknowledgement::new()),
        Payload::WorkflowStep(step) => {
            let context = json!({ "comment": comment.as_str() });
            step.answer(WorkflowReply::context(&context).unwrap_or_else(|_| WorkflowReply::empty()))
        }
        Payload::FindingDispatch(dispatch) => dispatch.answer(Acknowledgement::new()),
        Payload::Unknown(event) => event.acknowledge(),
        // An event that a newer version of the crate knows and this handler does not.
        _ => Outcome::retry_later(Duration::from_mins(1)),
    }
}

/// A line on stdout for `--log-json`.
#[derive(Serialize)]
struct Line<'a> {
    handled: &'a str,
    event: &'a str,
    tenant: &'a str,
    task_id: Option<&'a str>,
    app: Option<&'a str>,
}

fn print(webhook: &Webhook, payload: &Payload) {
    let task = payload.task();
    let app = payload.task_view().and_then(|view| view.app());
    let line = Line {
        handled: webhook.id(),
        event: webhook.event(),
        tenant: webhook.tenant(),
        task_id: task
            .map(|task| task.id.as_str())
            .filter(|id| !id.is_empty()),
        app: app
            .map(|app| app.display_name.as_str())
            .filter(|name| !name.is_empty()),
    };
    let line = serde_json::to_string(&line).unwrap_or_default();
    // Not `println!`, which panics on a closed pipe; and a slow reader must not hold
    // up the server.
    let printed = block_in_place(|| writeln!(std::io::stdout().lock(), "{line}"));
    if let Err(error) = printed {
        warn!(%error, "cannot write to stdout");
    }
}

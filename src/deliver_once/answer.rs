//! Answers each request for a delivery.

use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::body::DocumentBody;
use super::body::HandedOver;
use super::in_progress::{Ending, Stage};
use super::verdict::{Failure, Verdict};
use crate::ledger::RecordedAnswer;
use crate::rejection::{Rejection, RejectionKind};

/// Marks an answer that was made for an earlier request.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Waits for the answer. After `latest`, calls `overdue` and gives up.
pub(super) async fn wait(
    mut stage: watch::Receiver<Stage>,
    is_first: bool,
    latest: Instant,
    overdue: impl FnOnce(),
) -> Result<Response<DocumentBody>, Rejection> {
    let arrived = stage.wait_for(|stage| !matches!(stage, Stage::Working));
    let stage = match timeout_at(latest, arrived).await {
        Ok(Ok(stage)) => stage.clone(),
        // The work has ended without an answer.
        Ok(Err(_)) => Stage::Working,
        Err(_elapsed) => {
            overdue();
            Stage::Working
        }
    };
    match stage {
        Stage::Working => Err(Rejection::new(RejectionKind::DeliveryRunning)),
        Stage::Promised(handed_over) => {
            Ok(accepted(DocumentBody::telling(HandedOver(handed_over))))
        }
        Stage::Over(Ending::Ran(Verdict::Answered(answer))) => Ok(answered(&answer, !is_first)),
        Stage::Over(Ending::Ran(Verdict::Failed(failure))) => match failure {
            Failure::Response(response) => Ok(response.into_response()),
            Failure::Rejected(rejection) => Err(rejection),
        },
        Stage::Over(Ending::Recorded(answer)) => Ok(answered(&answer, true)),
        Stage::Over(Ending::Promised) => Ok(accepted(DocumentBody::default())),
        Stage::Over(Ending::Refused(rejection)) => Err(rejection),
    }
}

fn answered(answer: &RecordedAnswer, is_replayed: bool) -> Response<DocumentBody> {
    let mut response = Response::new(DocumentBody::new(answer.document().clone()));
    *response.status_mut() =
        StatusCode::from_u16(answer.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if !answer.document().is_empty() {
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
    }
    if is_replayed {
        let yes = HeaderValue::from_static("true");
        response.headers_mut().insert(REPLAYED, yes);
    }
    response
}

fn accepted(body: DocumentBody) -> Response<DocumentBody> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}

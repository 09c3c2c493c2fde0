//! What those who asked for a delivery are told.

use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::body::DocumentBody;
use super::body::HandedOver;
use super::guard::Verdict;
use super::runs::{Ending, Progress};
use crate::ledger::RecordedAnswer;
use crate::rejection::{Rejection, RejectionKind};

/// Marks an answer that was made for an earlier request.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The answer, as soon as there is one; or, by then, that there is none.
pub(super) async fn wait(
    mut progress: watch::Receiver<Progress>,
    is_first: bool,
    latest: Instant,
    overdue: impl FnOnce(),
) -> Response<DocumentBody> {
    let arrived = progress.wait_for(|progress| !matches!(progress, Progress::Working));
    let progress = match timeout_at(latest, arrived).await {
        Ok(Ok(progress)) => progress.clone(),
        // Whoever worked on it has gone without a word.
        Ok(Err(_)) => return refused(Rejection::new(RejectionKind::DeliveryRunning)),
        Err(_elapsed) => {
            overdue();
            return refused(Rejection::new(RejectionKind::DeliveryRunning));
        }
    };
    match progress {
        Progress::Promised(handed_over) => accepted(DocumentBody::telling(HandedOver(handed_over))),
        Progress::Over(Ending::Ran(Verdict::Answered(answer))) => answered(&answer, !is_first),
        Progress::Over(Ending::Ran(Verdict::Failed(failure))) => failure.response(),
        Progress::Over(Ending::Recorded(answer)) => answered(&answer, true),
        Progress::Over(Ending::Promised) => accepted(DocumentBody::default()),
        Progress::Over(Ending::Refused(rejection)) => refused(rejection),
        Progress::Working => refused(Rejection::new(RejectionKind::DeliveryRunning)),
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

pub(super) fn refused(rejection: Rejection) -> Response<DocumentBody> {
    let mut response = rejection.response().map(DocumentBody::from);
    response.extensions_mut().insert(rejection);
    response
}

/// Nothing is done for a request that nobody has proven.
pub(super) fn not_verified() -> Response<DocumentBody> {
    tracing::error!(
        "no verified webhook in the request's extensions: is VerifyWebhookLayer outside of DeliverOnceLayer?"
    );
    let mut response = Response::new(DocumentBody::default());
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}

//! The responses to the requests for a delivery.

use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};

use super::body::DocumentBody;
use crate::ledger::RecordedAnswer;

/// Marks an answer that was made for an earlier request.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The answer that was recorded, or that has just been given.
pub(super) fn answered(answer: &RecordedAnswer, is_replayed: bool) -> Response<DocumentBody> {
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

/// 202.
pub(super) fn accepted(body: DocumentBody) -> Response<DocumentBody> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}

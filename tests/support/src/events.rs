//! What the events are answered with.

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;

/// A document that answers the event.
pub fn document(event: &str) -> &'static str {
    match event.rsplit('.').next() {
        Some("PayloadProvisionStep") => r#"{"version":"v1","complete":{}}"#,
        Some("PayloadPolicyApprovalStep") => r#"{"version":"v1","approve":{}}"#,
        Some("PayloadWorkflowStep") => r#"{"version":"v1","context":{}}"#,
        _ => r#"{"version":"v1"}"#,
    }
}

/// An answer with that status and body.
pub fn answer(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response
}

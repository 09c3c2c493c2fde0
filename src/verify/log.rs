//! Logs the result of each verification.

use std::error::Error;

use tracing::{debug, info, warn};

use super::signature::SignatureError;
use super::webhook::Webhook;
use crate::rejection::Rejection;

pub(super) fn verified(webhook: &Webhook) {
    debug!(
        tenant = webhook.tenant(),
        webhook_id = webhook.id_for_log(),
        event = webhook.event_for_log(),
        replay = webhook.is_replay(),
        "webhook verified"
    );
}

/// Logs why a request was refused: at `warn` if a tenant signed it or the fault is
/// this receiver's, otherwise at `info`, since anyone can send it. `keys/` logs why
/// newer keys cannot be fetched; here, every forgery would repeat that.
pub(super) fn refused(rejection: &Rejection) {
    let source = rejection.source().and_then(|source| source.downcast_ref());
    let is_of_newer_keys = matches!(source, Some(SignatureError::NewestUnavailable { .. }));
    let is_ours = rejection.status().is_server_error() && !is_of_newer_keys;
    if rejection.tenant().is_some() || is_ours {
        warn!(
            tenant = rejection.tenant(),
            code = rejection.code(),
            status = rejection.status().as_u16(),
            cause = rejection.cause(),
            "webhook refused"
        );
    } else {
        info!(
            code = rejection.code(),
            status = rejection.status().as_u16(),
            cause = rejection.cause(),
            "webhook refused"
        );
    }
}

//! Logs the result of each verification.

use std::error::Error;

use tokio::time::Instant;
use tracing::debug;

use super::signature::SignatureError;
use super::verifier::Verifier;
use super::webhook::Webhook;
use crate::observe::Attempt;
use crate::rejection::Rejection;

pub(super) fn verified(webhook: &Webhook) {
    debug!(
        c1.tenant = webhook.tenant(),
        c1.webhook.id = &*webhook.id_for_log(),
        c1.event = &*webhook.event_for_log(),
        c1.replay = webhook.is_replay(),
        "webhook verified"
    );
}

/// Tells why a request was refused. The log has a line for each that a tenant signed, and
/// a few of the others, since anyone can send them. `keys/` logs why newer keys cannot be
/// fetched; here, every forgery would repeat that as this receiver's fault.
pub(super) fn refused(verifier: &Verifier, rejection: &Rejection, path: &str, arrived: Instant) {
    let is_signed = rejection.tenant().is_some();
    if is_signed || verifier.observers.are_there() {
        let attempt = Attempt {
            duration: arrived.elapsed(),
            path: Some(path),
            ..Attempt::refused(rejection)
        };
        verifier.observers.attempt(&attempt);
        if is_signed {
            attempt.log();
        }
    }
    if !is_signed {
        let source = rejection.source().and_then(|source| source.downcast_ref());
        let is_of_newer_keys = matches!(source, Some(SignatureError::NewestUnavailable { .. }));
        let is_ours = rejection.status().is_server_error() && !is_of_newer_keys;
        verifier.unsigned.log(rejection, is_ours);
    }
}

//! Logs the result of each verification.

use std::error::Error;

use tokio::time::Instant;
use tracing::debug;

use super::signature::SignatureError;
use super::webhook::Webhook;
use crate::observe::{Attempt, Burst};
use crate::rejection::Rejection;

pub(super) fn verified(webhook: &Webhook) {
    debug!(
        c1.tenant = webhook.tenant(),
        c1.webhook.id = webhook.id_for_log(),
        c1.event = webhook.event_for_log(),
        c1.replay = webhook.is_replay(),
        "webhook verified"
    );
}

/// Logs why a request was refused: a line for each that a tenant signed, and a few of
/// the others, since anyone can send them. `keys/` logs why newer keys cannot be fetched;
/// here, every forgery would repeat that as this receiver's fault.
pub(super) fn refused(rejection: &Rejection, path: &str, arrived: Instant, unsigned: &Burst) {
    if rejection.tenant().is_some() {
        Attempt {
            duration: arrived.elapsed(),
            path: Some(path),
            ..Attempt::refused(rejection)
        }
        .log();
    } else {
        let source = rejection.source().and_then(|source| source.downcast_ref());
        let is_of_newer_keys = matches!(source, Some(SignatureError::NewestUnavailable { .. }));
        let is_ours = rejection.status().is_server_error() && !is_of_newer_keys;
        unsigned.log(rejection, is_ours);
    }
}

//! Tells the result of each verification.

use std::error::Error;

use tokio::time::Instant;
use tracing::{Span, debug};

use super::claims::Claims;
use super::signature::SignatureError;
use super::verifier::Verifier;
use super::webhook::Webhook;
use crate::observe::{Attempt, How};
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

/// A request that has arrived.
#[derive(Clone, Copy)]
pub(super) struct Arrival<'a> {
    pub(super) verifier: &'a Verifier,
    pub(super) path: &'a str,
    pub(super) span: &'a Span,
    pub(super) at: Instant,
}

/// A request that waits for a step of its verification. Dropped before the step ends, it
/// was abandoned.
pub(super) struct Pending<'a> {
    arrival: Option<Arrival<'a>>,
    /// `None` until the signature is verified.
    claims: Option<&'a Claims>,
}

impl<'a> Arrival<'a> {
    /// Tells why the request was refused. The log has a line for each that a tenant signed,
    /// and a few of the others, since anyone can send them. `keys/` logs why newer keys
    /// cannot be fetched; here, every forgery would repeat that as this receiver's fault.
    pub(super) fn refused(self, rejection: &Rejection) {
        let verifier = self.verifier;
        let is_signed = rejection.tenant().is_some();
        if is_signed || verifier.observers.are_there() {
            let attempt = Attempt {
                duration: self.at.elapsed(),
                path: Some(self.path),
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

    pub(super) fn pending(self, claims: Option<&'a Claims>) -> Pending<'a> {
        Pending {
            arrival: Some(self),
            claims,
        }
    }
}

impl Pending<'_> {
    /// The step has ended.
    pub(super) fn end(mut self) {
        self.arrival = None;
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        let Some(arrival) = self.arrival.take() else {
            return;
        };
        let attempt = Attempt {
            duration: arrival.at.elapsed(),
            failure: std::thread::panicking().then_some("panic"),
            ..Attempt::new(How::Abandoned)
        };
        let attempt = match self.claims {
            None => attempt,
            Some(claims) => Attempt {
                tenant: Some(claims.tenant()),
                token_id: Some(claims.token_id()),
                path: Some(arrival.path),
                ..attempt
            },
        };
        attempt.record(arrival.span);
        arrival.verifier.observers.attempt(&attempt);
        // Anyone can send one that is not signed.
        if self.claims.is_some() {
            attempt.log();
        }
    }
}

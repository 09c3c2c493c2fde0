//! Tells how a verified webhook's request was answered.

use http::Response;
use tokio::time::Instant;
use tracing::Span;

use super::webhook::Webhook;
use crate::observe::{Attempt, How, Observers};
use crate::rejection::Rejection;

/// A verified request until its answer. Dropped without one, it was abandoned.
pub(crate) struct Answering(Option<Open>);

struct Open {
    webhook: Webhook,
    began: Instant,
    span: Span,
    observers: Observers,
}

impl Answering {
    /// The outermost layer tells; what the others begin tells nothing.
    pub(crate) fn begin(webhook: Option<&Webhook>, span: Span, observers: &Observers) -> Self {
        let webhook = webhook.filter(|webhook| webhook.handling().is_first_layer());
        Self(webhook.map(|webhook| Open {
            webhook: webhook.clone(),
            began: webhook.arrived().unwrap_or_else(Instant::now),
            span,
            observers: observers.clone(),
        }))
    }

    /// Whether this tells how the request is answered.
    pub(crate) fn is_open(&self) -> bool {
        self.0.is_some()
    }

    /// The request was answered.
    pub(crate) fn answered<B>(&mut self, response: &Response<B>) {
        if let Some(open) = self.0.take() {
            let answered = Attempt {
                status: Some(response.status()),
                ..open.attempt(How::Ran)
            };
            open.tell(&match response.extensions().get::<Rejection>() {
                None => answered,
                Some(rejection) => Attempt {
                    // Unless a run has failed.
                    how: open.known().map_or(How::Refused, |(how, _)| how),
                    rejection: Some(rejection),
                    token_id: Some(open.webhook.claims().token_id()),
                    path: open.webhook.claims().path(),
                    ..answered
                },
            });
        }
    }

    /// The inner service failed, and the server closes the connection.
    pub(crate) fn failed(&mut self) {
        if let Some(open) = self.0.take() {
            open.tell(&Attempt {
                failure: Some("service_error"),
                ..open.attempt(How::Ran)
            });
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        if let Some(open) = self.0.take() {
            let is_panic = std::thread::panicking();
            open.tell(&Attempt {
                failure: is_panic.then_some("panic"),
                ..open.attempt(if is_panic { How::Ran } else { How::Abandoned })
            });
        }
    }
}

impl Open {
    /// How `DeliverOnce` has answered it.
    fn known(&self) -> Option<(How, Option<u32>)> {
        self.webhook.handling().answer()
    }

    fn attempt(&self, how: How) -> Attempt<'_> {
        let (how, run) = match self.known() {
            Some((known, run)) if how == How::Ran => (known, run),
            _ => (how, None),
        };
        Attempt {
            duration: self.began.elapsed(),
            tenant: Some(self.webhook.shared_tenant()),
            webhook_id: Some(self.webhook.id()),
            event: Some(self.webhook.event()),
            delivery: self.webhook.handling().delivery(),
            run,
            clock_difference: self.webhook.claims().clock_difference(),
            ..Attempt::new(how)
        }
    }

    fn tell(&self, attempt: &Attempt<'_>) {
        attempt.record(&self.span);
        attempt.log();
        self.observers.attempt(attempt);
    }
}

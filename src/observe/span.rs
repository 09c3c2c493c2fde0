//! The spans of a webhook.

use tracing::Span;
use tracing::field::{Empty, display};
use tracing::span::Id;

use super::attempt::Attempt;
use crate::excerpt::one_line;
use crate::ledger::DeliveryKey;

/// Which webhook a span or a line is of.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) tenant: &'a str,
    pub(crate) webhook_id: &'a str,
    pub(crate) event: &'a str,
}

/// The span of a request, a child of the current one.
pub(crate) fn request_span() -> Span {
    tracing::info_span!(
        target: "tower_conductorone",
        "webhook",
        c1.tenant = Empty,
        c1.webhook.id = Empty,
        c1.event = Empty,
        c1.delivery = Empty,
        c1.run = Empty,
        c1.how = Empty,
        http.response.status_code = Empty,
        error.type = Empty,
    )
}

/// The span of a run of the handler. The task that makes it has no current span, which it
/// might outlive by days.
pub(crate) fn run_span(
    subject: Subject<'_>,
    delivery: DeliveryKey,
    run: u32,
    follows: Option<Id>,
) -> Span {
    let span = tracing::info_span!(
        target: "tower_conductorone",
        "webhook.run",
        c1.tenant = subject.tenant,
        c1.webhook.id = one_line(subject.webhook_id),
        c1.event = one_line(subject.event),
        c1.delivery = display(delivery),
        c1.run = run,
        error.type = Empty,
    );
    span.follows_from(follows);
    span
}

impl Subject<'_> {
    pub(crate) fn record(self, span: &Span) {
        if !span.is_disabled() {
            span.record("c1.tenant", self.tenant);
            span.record("c1.webhook.id", one_line(self.webhook_id));
            span.record("c1.event", one_line(self.event));
        }
    }
}

impl Attempt<'_> {
    /// Records in its span what the answer has made known.
    pub(crate) fn record(&self, span: &Span) {
        if span.is_disabled() {
            return;
        }
        span.record("c1.how", self.how.as_str());
        if let Some(tenant) = self.tenant() {
            span.record("c1.tenant", tenant);
        }
        if let Some(delivery) = self.delivery {
            span.record("c1.delivery", display(delivery));
        }
        if let Some(run) = self.run {
            span.record("c1.run", run);
        }
        if let Some(status) = self.status {
            span.record("http.response.status_code", status.as_u16());
        }
        if let Some(error) = self.error_type() {
            span.record("error.type", error);
        }
    }
}

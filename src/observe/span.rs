//! The spans of a webhook.

use tracing::field::Empty;
use tracing::span::Id;
use tracing::{Span, record_all};

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
        c1.webhook.id = &*one_line(subject.webhook_id),
        c1.event = &*one_line(subject.event),
        c1.delivery = display(delivery),
        c1.run = run,
        error.type = Empty,
    );
    span.follows_from(follows);
    span
}

impl Subject<'_> {
    pub(crate) fn record(self, span: &Span) {
        record_all!(
            span,
            c1.tenant = self.tenant,
            c1.webhook.id = &*one_line(self.webhook_id),
            c1.event = &*one_line(self.event),
        );
    }
}

impl Attempt<'_> {
    /// Records in its span what the answer has made known.
    pub(crate) fn record(&self, span: &Span) {
        // Of a verified webhook it has been recorded.
        let is_news = self.rejection.is_some() || self.webhook_id.is_none();
        record_all!(
            span,
            c1.tenant = self.tenant().filter(|_| is_news),
            c1.delivery = self.delivery.map(display),
            c1.run = self.run,
            c1.how = self.how.as_str(),
            http.response.status_code = self.status.map(|status| status.as_u16()),
            error.type = self.error_type(),
        );
    }
}

//! The verified webhook that a handler receives.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde::Deserialize;
use tokio::time::Instant;

use super::claims::Claims;
use super::envelope::{self, Envelope};
use crate::callback::{Callback, CallbackUrl};
use crate::event::{Payload, PayloadError};
use crate::excerpt::one_line;
use crate::observe::{Handling, Subject};

/// A verified webhook: ConductorOne sent it to this receiver, with this body.
///
/// [`VerifyWebhook`](crate::VerifyWebhook) puts it into the request's extensions; with
/// the feature `axum` it is also an extractor. Cloning is cheap.
///
/// There are three ways to get a `Webhook`:
/// [`VerifyWebhookLayer`](crate::VerifyWebhookLayer) verifies a request;
/// [`DeliverOnceLayer::recover`](crate::DeliverOnceLayer::recover) restores one from a
/// ledger, which this service must trust; and in unit tests, `unverified_webhook` of the
/// [testing kit](crate::testing) creates one that nothing has verified.
///
/// Its `Debug` shows neither the callback URL nor the payload.
#[derive(Clone)]
pub struct Webhook(Arc<Inner>);

struct Inner {
    tenant: Arc<str>,
    id: String,
    event: String,
    callback_url: Option<CallbackUrl>,
    claims: Claims,
    body: Bytes,
    payload: Bytes,
    replay: bool,
    arrived: Option<Instant>,
    /// How its request is answered.
    handling: Handling,
    /// Parsed on first use.
    typed: OnceLock<Result<Payload, PayloadError>>,
}

/// The values that the verification has proven.
pub(super) struct Proven {
    pub(super) tenant: Arc<str>,
    pub(super) claims: Claims,
    pub(super) body: Bytes,
    pub(super) envelope: Envelope,
    pub(super) replay: bool,
}

impl Webhook {
    /// Creates a webhook that arrived at that time, or is not from a request.
    pub(super) fn new(proven: Proven, arrived: Option<Instant>) -> Self {
        let Proven {
            tenant,
            claims,
            body,
            envelope,
            replay,
        } = proven;
        Self(Arc::new(Inner {
            tenant,
            id: envelope.webhook_id,
            event: envelope.event,
            callback_url: envelope.callback_url.map(CallbackUrl::new),
            claims,
            body,
            payload: envelope.payload,
            replay,
            arrived,
            handling: Handling::default(),
            typed: OnceLock::new(),
        }))
    }

    /// The domain of the tenant that sent it, as configured.
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.0.tenant
    }

    pub(crate) fn shared_tenant(&self) -> &Arc<str> {
        &self.0.tenant
    }

    /// `webhookId`: 1 to 256 bytes of any text that the tenant chose, so escape it
    /// before you write it. ConductorOne's documentation does not say whether it
    /// identifies the delivery or the configured webhook: do not deduplicate on it alone.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// `event`: the event's name, such as `c1.webhooks.v1.PayloadTest`. 1 to 256 bytes
    /// of any text, like the id.
    #[must_use]
    pub fn event(&self) -> &str {
        &self.0.event
    }

    /// When its request arrived, before its body was read; `None` if it is not from a
    /// request.
    pub(crate) fn arrived(&self) -> Option<Instant> {
        self.0.arrived
    }

    pub(crate) fn handling(&self) -> &Handling {
        &self.0.handling
    }

    pub(crate) fn subject(&self) -> Subject<'_> {
        Subject {
            tenant: self.tenant(),
            webhook_id: self.id(),
            event: self.event(),
        }
    }

    pub(crate) fn id_for_log(&self) -> Cow<'_, str> {
        one_line(self.id())
    }

    pub(crate) fn event_for_log(&self) -> Cow<'_, str> {
        one_line(self.event())
    }

    /// `version`: the envelope's version, `v1`.
    #[must_use]
    pub fn version(&self) -> &str {
        envelope::VERSION
    }

    /// `callbackUrl`: where to post the response document after a 202.
    #[must_use]
    pub fn callback_url(&self) -> Option<&CallbackUrl> {
        self.0.callback_url.as_ref()
    }

    /// A handle to keep for a later answer; `None` if the webhook has no callback URL.
    #[must_use]
    pub fn callback(&self) -> Option<Callback> {
        let url = self.callback_url()?.clone();
        let fired_at = self.claims().issued_at();
        Callback::new(self.tenant(), self.event(), self.id(), url, fired_at)
    }

    /// The validated claims of the token.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.0.claims
    }

    /// The request's body, byte for byte as received.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.0.body
    }

    /// The payload as received: JSON text in UTF-8, `null` if absent. Only its JSON
    /// syntax is checked.
    #[must_use]
    pub fn payload_json(&self) -> &Bytes {
        &self.0.payload
    }

    /// The typed payload. The first call parses it and keeps the result, which takes at
    /// most 20 times the memory of its text plus 64 KiB; two or three times its text is
    /// usual.
    ///
    /// # Errors
    /// [`PayloadError`] if the payload does not match the event's type, or would take
    /// more memory. Events, fields and values that this version of the crate does not
    /// know are never an error.
    pub fn payload(&self) -> Result<&Payload, PayloadError> {
        let Inner {
            event,
            payload,
            typed,
            ..
        } = &*self.0;
        typed
            .get_or_init(|| Payload::read(event, payload))
            .as_ref()
            .map_err(Clone::clone)
    }

    /// Deserializes the payload into a type of yours. Each call parses it again.
    ///
    /// # Errors
    /// If the payload does not match `T`, or is nested deeper than 128 levels.
    pub fn deserialize_payload<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        // `from_slice` would check each string for itself.
        let json = std::str::from_utf8(&self.0.payload).map_err(serde::de::Error::custom)?;
        serde_json::from_str(json)
    }

    /// Whether the token was used before. `true` only with
    /// [`ReplayPolicy::Mark`](crate::ReplayPolicy::Mark).
    #[must_use]
    pub fn is_replay(&self) -> bool {
        self.0.replay
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("tenant", &self.tenant())
            .field("id", &self.id())
            .field("event", &self.event())
            .field("version", &self.version())
            .field("callback_url", &self.callback_url())
            .field("claims", &self.claims())
            .field("body_bytes", &self.body().len())
            .field("replay", &self.is_replay())
            .finish()
    }
}

//! The handle with which a webhook is answered later.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::{CallbackUrl, TypedCallback};
use crate::event::Event;

/// A handle with which a webhook is answered later, made by
/// [`Webhook::callback`](crate::Webhook::callback).
///
/// It can be stored with serde, in a form that later versions of the crate read,
/// too. **The stored form holds the callback URL**, with which anyone can answer in
/// the receiver's place: protect it like a password. `Debug` does not show it.
///
/// Protect the stored form from changes, too: it holds the tenant against which the
/// URL is checked, so anyone who can change both can redirect the document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Callback {
    tenant: String,
    event: String,
    webhook_id: String,
    url: CallbackUrl,
    fired_at: SystemTime,
}

/// The stored form. Another shape gets another `version`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    version: u32,
    tenant: String,
    event: String,
    webhook_id: String,
    callback_url: String,
    /// Seconds since 1970.
    fired_at: u64,
}

const VERSION: u32 = 1;

impl Callback {
    /// `None` if the time is out of range.
    pub(crate) fn new(
        tenant: &str,
        event: &str,
        webhook_id: &str,
        url: CallbackUrl,
        fired_at: SystemTime,
    ) -> Option<Self> {
        Some(Self {
            tenant: tenant.to_owned(),
            event: event.to_owned(),
            webhook_id: webhook_id.to_owned(),
            url,
            fired_at: time(seconds(fired_at))?,
        })
    }

    /// The domain of the tenant that sent the webhook.
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// The name of the event, such as `c1.webhooks.v1.PayloadProvisionStep`.
    #[must_use]
    pub fn event(&self) -> &str {
        &self.event
    }

    /// The webhook's id; see [`Webhook::id`](crate::Webhook::id) for what it may identify.
    #[must_use]
    pub fn webhook_id(&self) -> &str {
        &self.webhook_id
    }

    /// The URL to post the document to.
    #[must_use]
    pub fn url(&self) -> &CallbackUrl {
        &self.url
    }

    /// When the webhook was fired, to the second: the time its token was issued.
    /// ConductorOne's first attempt may be up to 37 minutes earlier.
    #[must_use]
    pub fn fired_at(&self) -> SystemTime {
        self.fired_at
    }

    /// Adds the event's type; `None` if the event is not `E`.
    #[must_use]
    pub fn typed<E: Event>(self) -> Option<TypedCallback<E>> {
        TypedCallback::new(self)
    }
}

impl From<Callback> for Stored {
    fn from(callback: Callback) -> Self {
        Self {
            version: VERSION,
            tenant: callback.tenant,
            event: callback.event,
            webhook_id: callback.webhook_id,
            callback_url: callback.url.expose_secret().to_owned(),
            fired_at: seconds(callback.fired_at),
        }
    }
}

impl TryFrom<Stored> for Callback {
    type Error = &'static str;

    fn try_from(stored: Stored) -> Result<Self, Self::Error> {
        if stored.version != VERSION {
            return Err("the callback was stored by a newer version of the crate");
        }
        Ok(Self {
            tenant: stored.tenant,
            event: stored.event,
            webhook_id: stored.webhook_id,
            url: CallbackUrl::new(stored.callback_url),
            fired_at: time(stored.fired_at).ok_or("firedAt is not a valid time")?,
        })
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

fn time(seconds: u64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

//! What the page's form orders.

use std::ops::RangeInclusive;
use std::time::Duration;

use http::{StatusCode, Uri};
use serde_json::Value;

use super::Ui;
use crate::deliver::{ATTEMPTS, Callbacks, Sender, random_id};
use crate::target;

/// The longest text of a payload.
pub(super) const MAX_PAYLOAD: usize = 2 * 1024 * 1024;

/// The most deliveries that are sent at a time.
const MAX_TIMES: u64 = 10_000;

/// What the user has sent: one delivery, or several of the same payload.
pub(super) struct Order {
    pub(super) sender: Sender,
    pub(super) event: String,
    pub(super) payload: Value,
    /// The payload's text.
    pub(super) text: String,
}

/// What identifies a delivery.
#[derive(Clone)]
pub(super) struct Webhook {
    pub(super) id: String,
    /// The last part of its callback URL.
    pub(super) token: String,
}

impl Webhook {
    pub(super) fn new() -> Self {
        Self {
            id: random_id(),
            token: random_id(),
        }
    }
}

/// What is wrong with a request, and in which field.
pub(super) struct Wrong {
    pub(super) status: StatusCode,
    pub(super) field: &'static str,
    pub(super) error: String,
}

impl Wrong {
    pub(super) fn new(field: &'static str, error: impl Into<String>) -> Self {
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            field,
            error: error.into(),
        }
    }
}

impl Ui {
    /// The order in this request of the page's form.
    pub(super) fn order(&self, body: &Value) -> Result<(Order, usize), Wrong> {
        let text = |field: &'static str| body[field].as_str().unwrap_or_default().trim();
        let number = |field: &'static str, range: RangeInclusive<u64>| {
            let number = body[field].as_u64();
            number
                .filter(|number| range.contains(number))
                .ok_or_else(|| {
                    let (least, most) = range.into_inner();
                    Wrong::new(field, format!("a number from {least} to {most}"))
                })
        };
        let event = text("event");
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if event.is_empty() || event.len() > 256 || !event.chars().all(is_name) {
            let error = "an event's name, such as c1.webhooks.v1.PayloadTest";
            return Err(Wrong::new("event", error));
        }
        let payload = body["payload"].as_str().unwrap_or_default();
        if payload.len() > MAX_PAYLOAD {
            return Err(Wrong::new("payload", "at most 2 MiB"));
        }
        let value = serde_json::from_str(payload)
            .map_err(|error| Wrong::new("payload", format!("not JSON: {error}")))?;
        let to: Uri = text("to")
            .parse()
            .ok()
            .filter(|to: &Uri| target(to, None).is_ok())
            .ok_or_else(|| Wrong::new("to", "a URL such as http://127.0.0.1:3000/webhooks"))?;
        let public_url = Some(text("publicUrl")).filter(|url| !url.is_empty());
        let target = target(&to, public_url)
            .map_err(|_| Wrong::new("publicUrl", "a URL such as https://hooks.example.com"))?;
        let pause = match &body["pause"] {
            Value::Null => None,
            _ => Some(Duration::from_secs(number("pause", 0..=3600)?)),
        };
        let sender = Sender {
            client: self.client.clone(),
            tenant: self.tenant.clone(),
            to,
            target,
            callbacks: Callbacks::Own {
                origin: format!("http://{}", self.address),
                endpoint: self.endpoint.clone(),
            },
            callback_wait: Duration::from_secs(number("callbackWait", 0..=3600)?),
            attempts: usize::try_from(number("attempts", 1..=ATTEMPTS as u64)?).unwrap_or(ATTEMPTS),
            pause,
        };
        let order = Order {
            sender,
            event: event.to_owned(),
            payload: value,
            text: payload.to_owned(),
        };
        let times = number("times", 1..=MAX_TIMES)?;
        Ok((order, usize::try_from(times).unwrap_or(1)))
    }
}

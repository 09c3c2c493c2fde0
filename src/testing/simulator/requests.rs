//! The requests of a delivery's attempts.

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use fastrand::Rng;
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};

use super::Switches;
use super::callback::CallbackEndpoint;
use super::instance::Instance;
use crate::clock::Clock;
use crate::testing::{Delivery, id};

/// How long a token lives.
const LIFETIME: Duration = Duration::from_secs(120);

pub(super) struct Requests {
    delivery: Delivery,
    /// Its body, unless the caller has set one, which never changes.
    envelope: Option<Value>,
    switches: Switches,
    clock: Arc<dyn Clock>,
    endpoint: CallbackEndpoint,
    instance: Arc<Instance>,
    rng: Rng,
    last: Option<(SystemTime, Request<Full<Bytes>>)>,
}

impl Requests {
    pub(super) fn new(
        mut delivery: Delivery,
        webhook_id: Option<String>,
        switches: Switches,
        clock: Arc<dyn Clock>,
        endpoint: CallbackEndpoint,
        instance: Arc<Instance>,
        rng: Rng,
    ) -> Self {
        let mut envelope = delivery.envelope();
        let is_sent = delivery.body_bytes() == envelope.to_string();
        if is_sent && let Some(id) = webhook_id {
            envelope["webhookId"] = id.as_str().into();
            delivery = delivery.webhook_id(id);
        }
        if is_sent {
            // The envelope has it: no copy for each attempt.
            delivery = delivery.payload(Value::Null);
        }
        let mut requests = Self {
            delivery,
            envelope: is_sent.then_some(envelope),
            switches,
            clock,
            endpoint,
            instance,
            rng,
            last: None,
        };
        requests.change_callback_url();
        requests
    }

    /// The next attempt's request.
    pub(super) fn next(&mut self) -> Request<Full<Bytes>> {
        let now = self.clock.now();
        if let Some((issued, request)) = &self.last
            && self.switches.reuse_tokens
            && now < *issued + LIFETIME
        {
            return request.clone();
        }
        if self.last.is_some() && self.switches.change_callback_urls {
            self.change_callback_url();
        }
        let mut delivery = self
            .delivery
            .clone()
            .issued_at(now)
            .claim("jti", id::ksuid().into());
        if let Some(envelope) = &self.envelope {
            let mut body = String::new();
            if self.switches.change_bodies {
                scramble(envelope, &mut self.rng, &mut body);
            } else {
                body = envelope.to_string();
            }
            delivery = delivery.body(body);
        }
        let request = delivery.request();
        self.last = Some((now, request.clone()));
        request
    }

    fn change_callback_url(&mut self) {
        if let Some(envelope) = &mut self.envelope
            && envelope.get("callbackUrl").is_some()
        {
            let url = self.endpoint.open(&self.instance);
            envelope["callbackUrl"] = url.as_str().into();
            self.delivery = self.delivery.clone().callback_url(Some(&url));
        }
    }
}

/// Writes the same JSON value with random order of members and random white space.
fn scramble(value: &Value, rng: &mut Rng, out: &mut String) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            rng.shuffle(&mut members);
            out.push('{');
            for (index, (name, value)) in members.into_iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                let _ = write!(out, "{}{}:", white_space(rng), json!(name));
                out.push_str(white_space(rng));
                scramble(value, rng, out);
            }
            out.push_str(white_space(rng));
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                out.push_str(white_space(rng));
                scramble(item, rng, out);
            }
            out.push(']');
        }
        plain => {
            let _ = write!(out, "{plain}");
        }
    }
}

fn white_space(rng: &mut Rng) -> &'static str {
    rng.choice(["", " ", "\n\t"]).unwrap_or_default()
}

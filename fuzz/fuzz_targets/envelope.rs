//! Input: headers, one a line, an empty line, and a body that the token is made
//! for.
//!
//! It is accepted if and only if an independent judge finds the envelope sound;
//! the webhook then says what the envelope says. All else is answered 400.
#![no_main]

use bytes::Bytes;
use http::HeaderValue;
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use tower_conductorone::Webhook;
use tower_conductorone_fuzz::{Members, Outcome, delivery, send};

/// The members that the proto file names otherwise; a name of either kind may be used.
const PROTO_NAMES: [(&str, &str); 2] =
    [("webhook_id", "webhookId"), ("callback_url", "callbackUrl")];

/// The longest `webhookId` and `event`, in bytes.
const MAX_NAME: usize = 256;

/// The headers that repeat a member of the envelope.
const HEADERS: [(&str, &str); 4] = [
    ("webhook-version", "version"),
    ("webhook-id", "webhookId"),
    ("webhook-event", "event"),
    ("webhook-callback-url", "callbackUrl"),
];

fuzz_target!(|data: &[u8]| {
    let mut lines = data;
    let mut headers = Vec::new();
    loop {
        let end = lines
            .iter()
            .position(|byte| *byte == b'\n')
            .unwrap_or(lines.len());
        let (line, rest) = lines.split_at(end);
        lines = rest.get(1..).unwrap_or_default();
        if line.is_empty() || headers.len() == 8 {
            break;
        }
        for (name, member) in HEADERS {
            if let Some(value) = line.strip_prefix(name.as_bytes())
                && let Some(value) = value.strip_prefix(b": ")
                && let Ok(value) = HeaderValue::from_bytes(value)
            {
                headers.push((name, member, value));
            }
        }
    }
    let body = lines;
    let outcome = post(&headers, Bytes::copy_from_slice(body));
    let mut envelope = serde_json::from_slice::<Members>(body).ok();
    let sound = envelope
        .as_mut()
        .is_some_and(|envelope| rename(envelope) && is_sound(envelope, &headers));
    match (&outcome.webhook, &envelope) {
        (Some(webhook), Some(envelope)) => {
            assert!(sound);
            check(webhook, envelope);
        }
        (Some(_), None) => panic!("the body is no object"),
        (None, Some(envelope)) if sound => {
            // It may still have been refused for a member that stands twice.
            let body = serde_json::to_vec(envelope).expect("JSON");
            let outcome = post(&headers, body.into());
            assert!(outcome.is_accepted(), "refused: {}", outcome.code);
        }
        (None, _) => {}
    }
});

fn post(headers: &[(&'static str, &str, HeaderValue)], body: Bytes) -> Outcome {
    let mut request = delivery().body(body).request();
    for (name, _, value) in headers {
        request.headers_mut().append(*name, value.clone());
    }
    let outcome = send(request);
    assert!(
        outcome.is_accepted() || outcome.status == 400,
        "{}",
        outcome.status
    );
    outcome
}

/// Gives each member its JSON name; returns false if it has both names.
fn rename(envelope: &mut Members) -> bool {
    PROTO_NAMES.into_iter().all(|(proto, json)| {
        let Some(value) = envelope.remove(proto) else {
            return true;
        };
        envelope.insert(json.to_owned(), value).is_none()
    })
}

fn is_sound(envelope: &Members, headers: &[(&str, &str, HeaderValue)]) -> bool {
    let text = |name| text(envelope, name);
    let filled = |name| text(name).is_some_and(|text| (1..=MAX_NAME).contains(&text.len()));
    text("version").as_deref() == Some("v1")
        && filled("webhookId")
        && filled("event")
        && text("callbackUrl").is_some()
        && headers
            .iter()
            .all(|(_, member, value)| text(member).is_some_and(|text| *value == *text))
}

fn check(webhook: &Webhook, envelope: &Members) {
    let text = |name| text(envelope, name).unwrap_or_default();
    let callback_url = webhook.callback_url().map(|url| url.expose_secret());
    assert_eq!(webhook.version(), text("version"));
    assert_eq!(webhook.id(), text("webhookId"));
    assert_eq!(webhook.event(), text("event"));
    assert_eq!(callback_url.unwrap_or_default(), text("callbackUrl"));
    let payload = envelope.get("payload").map_or("null", |raw| raw.get());
    assert_eq!(webhook.payload_json(), payload.as_bytes());
    // Whatever it is, it is read without harm.
    let _ = webhook.payload();
}

/// A member that is a string, which is empty if it is absent or null; `None` if
/// it is something else.
fn text(envelope: &Members, name: &str) -> Option<String> {
    let null = RawValue::NULL;
    let member = envelope.get(name).map_or(null, |raw| &**raw);
    serde_json::from_str::<Option<String>>(member.get())
        .ok()
        .map(Option::unwrap_or_default)
}

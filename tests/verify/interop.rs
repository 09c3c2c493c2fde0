//! Tokens that libraries of other languages sign are let through, in all their
//! legal forms, and not with a byte changed. See `data/interop/README.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde::Deserialize;
use serde_json::Value;
use support::{DOMAIN, Outcome, send};
use tower_conductorone::keys::KeySet;
use tower_conductorone::testing::ManualClock;
use tower_conductorone::{Tenant, VerifyWebhookLayer};

const SIGNERS: [&str; 2] = [
    include_str!("../data/interop/pyjwt.json"),
    include_str!("../data/interop/jose.json"),
];

/// What one library signed.
#[derive(Deserialize)]
struct Signed {
    made_with: String,
    at: u64,
    jwks: Value,
    requests: Vec<Sent>,
}

#[derive(Clone, Deserialize)]
struct Sent {
    alg: String,
    form: String,
    method: String,
    url: String,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Signed {
    fn all() -> impl Iterator<Item = Self> {
        SIGNERS
            .map(|json| serde_json::from_str(json).expect("as the signers write it"))
            .into_iter()
    }

    /// A receiver with the library's keys, at the time of its tokens, that
    /// takes a token as often as it comes.
    fn receiver(&self) -> VerifyWebhookLayer {
        let keys = KeySet::from_json(self.jwks.to_string().as_bytes()).expect("good keys");
        assert!(keys.skipped().is_empty(), "{keys}");
        VerifyWebhookLayer::builder()
            .public_url("https://hooks.example.com")
            .tenant(Tenant::new(DOMAIN).static_keys(keys))
            .clock(ManualClock::at(UNIX_EPOCH + Duration::from_secs(self.at)))
            .dangerous_disable_replay_guard()
            .build()
            .expect("a good configuration")
    }

    fn case(&self, sent: &Sent) -> String {
        format!("{}, {}: {}", self.made_with, sent.alg, sent.form)
    }
}

impl Sent {
    async fn to(&self, receiver: &VerifyWebhookLayer) -> Outcome {
        let mut request = Request::builder()
            .method(&*self.method)
            .uri(self.url.trim_start_matches("https://hooks.example.com"));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let body = Full::new(Bytes::from(self.body.clone()));
        send(receiver, request.body(body).expect("a request")).await
    }

    fn authorization(&mut self) -> &mut String {
        self.headers.get_mut("authorization").expect("it is sent")
    }
}

/// With another character at that place.
fn changed(text: &str, at: usize) -> String {
    let other = if text[at..].starts_with('A') {
        "B"
    } else {
        "A"
    };
    format!("{}{other}{}", &text[..at], &text[at + 1..])
}

#[tokio::test]
async fn tokens_of_other_libraries_are_accepted_in_every_legal_form() {
    for signed in Signed::all() {
        let receiver = signed.receiver();
        for sent in &signed.requests {
            let outcome = sent.to(&receiver).await;
            outcome.expect_token("accepted", signed.case(sent));
            assert_eq!(outcome.webhook().body(), sent.body.as_bytes());
            assert!(outcome.webhook().claims().token_id().contains('-'));
        }
    }
}

#[test]
fn every_library_signed_with_every_algorithm() {
    for signed in Signed::all() {
        let algorithms: BTreeSet<_> = signed.requests.iter().map(|sent| &*sent.alg).collect();
        let expected = BTreeSet::from(["ES256", "Ed25519", "EdDSA", "RS256"]);
        assert_eq!(algorithms, expected, "{}", signed.made_with);
    }
}

#[tokio::test]
async fn a_changed_byte_of_the_token_is_refused() {
    for signed in Signed::all() {
        let receiver = signed.receiver();
        for sent in &signed.requests {
            let mut sent = sent.clone();
            let good = sent.authorization().clone();
            let start = good.rfind(' ').expect("a scheme") + 1;
            // The last character, too, part of which stands for no bits.
            for at in (start..good.len()).rev().step_by(11) {
                *sent.authorization() = changed(&good, at);
                let outcome = sent.to(&receiver).await;
                assert_eq!(outcome.status, 401, "{} at {at}", signed.case(&sent));
            }
        }
    }
}

#[tokio::test]
async fn a_changed_byte_of_the_body_is_refused() {
    for signed in Signed::all() {
        let receiver = signed.receiver();
        for sent in &signed.requests {
            for at in (0..sent.body.len()).rev().step_by(11) {
                let sent = Sent {
                    body: changed(&sent.body, at),
                    ..sent.clone()
                };
                let outcome = sent.to(&receiver).await;
                outcome.expect_token("body_hash_mismatch", (signed.case(&sent), at));
            }
        }
    }
}

#[tokio::test]
async fn the_keys_of_one_library_do_not_verify_tokens_of_the_other() {
    let [py, js] = [0, 1].map(|index| Signed::all().nth(index).expect("two signers"));
    for (keys_of, signed) in [(&py, &js), (&js, &py)] {
        let receiver = keys_of.receiver();
        for sent in &signed.requests {
            let outcome = sent.to(&receiver).await;
            outcome.expect_token("unknown_key", signed.case(sent));
        }
    }
}

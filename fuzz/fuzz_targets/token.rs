//! Input: a letter that says what follows, and that.
//!
//! - `t`: a token. None is accepted: nobody else has the key.
//! - `s`: a signature. None is accepted but the genuine one.
//! - `e`: what is signed, as it stands in the token.
//! - anything else: the JSON of the header, a line feed, the JSON of the claims,
//!   which are encoded and signed.
//!
//! What is signed well is accepted if and only if an independent judge finds
//! header and claims genuine; all else is answered 401.
#![no_main]

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use libfuzzer_sys::fuzz_target;
use tower_conductorone::testing::FakeTenant;
use tower_conductorone_fuzz::{Members, Outcome, claims, delivery, send, tenant};

/// The longest token that the receiver looks at.
const LIMIT: usize = 8192;

fuzz_target!(|data: &[u8]| {
    let Some((mode, rest)) = data.split_first() else {
        return;
    };
    match mode {
        b't' => {
            if let Ok(token) = std::str::from_utf8(rest)
                && let Some(outcome) = send_token(token)
            {
                assert!(!outcome.is_accepted());
            }
        }
        b's' => {
            let genuine = delivery().token_string();
            let (input, signature) = genuine.rsplit_once('.').expect("three parts");
            let other = BASE64.encode(rest);
            let outcome = send_token(&format!("{input}.{other}")).expect("base64");
            assert_eq!(outcome.is_accepted(), other == signature);
        }
        b'e' => {
            let Ok(input) = std::str::from_utf8(rest) else {
                return;
            };
            let token = FakeTenant::sign_encoded(tenant(), &tenant().signing_key(), input);
            if let Some(outcome) = send_token(&token)
                && outcome.is_accepted()
            {
                let (header, payload) = input.split_once('.').expect("two parts");
                let decode = |part| BASE64.decode(part).expect("strict base64url");
                assert!(are_genuine(&decode(header), &decode(payload)));
            }
        }
        _ => {
            let mut parts = rest.splitn(2, |byte| *byte == b'\n');
            let (header, payload) = (
                parts.next().unwrap_or_default(),
                parts.next().unwrap_or_default(),
            );
            let token = tenant().sign(header, payload);
            if token.len() > LIMIT {
                return;
            }
            let outcome = send_token(&token).expect("base64");
            let genuine = are_genuine(header, payload);
            if outcome.is_accepted() {
                assert!(genuine);
            } else if genuine {
                // It may still have been refused for a member that stands twice.
                let outcome = send_token(&rewritten(header, payload)).expect("base64");
                assert!(outcome.is_accepted(), "refused: {}", outcome.code);
            }
        }
    }
});

/// `None` if it cannot stand in a header.
fn send_token(token: &str) -> Option<Outcome> {
    http::HeaderValue::from_str(token).ok()?;
    let outcome = send(delivery().token(token).request());
    assert!(
        outcome.is_accepted() || outcome.status == 401,
        "{}",
        outcome.status
    );
    Some(outcome)
}

fn are_genuine(header: &[u8], payload: &[u8]) -> bool {
    match (members(header), members(payload)) {
        (Some(header), Some(payload)) => claims::are_genuine(&header, &payload),
        _ => false,
    }
}

/// The same token with each member once.
fn rewritten(header: &[u8], payload: &[u8]) -> String {
    let rewrite = |json| serde_json::to_vec(&members(json).expect("an object")).expect("JSON");
    tenant().sign(rewrite(header), rewrite(payload))
}

fn members(json: &[u8]) -> Option<Members> {
    serde_json::from_slice(json).ok()
}

//! Input: the values of `Content-Digest`, one a line. `{digest}` stands for the
//! body's SHA-256 in base64.
//!
//! Judged by an independent reader of RFC 9530's form: a request with another
//! SHA-256 in it is refused, one with the body's alone is accepted. In
//! ConductorOne's form, nothing passes but the body's. What is refused is
//! answered 401 or 400.
#![no_main]

use std::sync::LazyLock;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::HeaderValue;
use libfuzzer_sys::fuzz_target;
use sfv::{BareItem, Dictionary, ListEntry, Parser};
use sha2::{Digest, Sha256};
use tower_conductorone_fuzz::{BODY, delivery, send};

static DIGEST: LazyLock<String> = LazyLock::new(|| BASE64_STANDARD.encode(Sha256::digest(BODY)));

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let mut request = delivery().request();
    let mut values = Vec::new();
    for line in text.split('\n').take(8) {
        let line = line.replace("{digest}", &DIGEST);
        if let Ok(value) = HeaderValue::from_str(&line) {
            request.headers_mut().append("content-digest", value);
            values.push(line);
        }
    }
    let outcome = send(request);
    assert!(
        outcome.is_accepted() || outcome.code == "content_digest_mismatch",
        "{}",
        outcome.code
    );

    // Several lines are one list (RFC 9110 §5.3).
    let value = values.join(", ");
    if let Some(agrees) = rfc_9530(&value) {
        assert_eq!(outcome.is_accepted(), agrees, "{value:?}");
    }
    if let Some(hash) = value.strip_prefix("sha-256=")
        && hash
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte))
    {
        let same = hash.trim_end_matches('=') == DIGEST.trim_end_matches('=')
            && hash.len() <= DIGEST.len();
        assert_eq!(outcome.is_accepted(), same, "{value:?}");
    }
    // What is not ASCII cannot be told from a broken hash, and is refused.
    if value.is_ascii() && !value.to_ascii_lowercase().contains("sha-256") {
        assert!(outcome.is_accepted(), "{value:?}");
    }
});

/// Whether the body's SHA-256 is the one in a header of RFC 9530's form; `None`
/// if it is of another form, or names several, of which a dictionary has only
/// the last.
fn rfc_9530(value: &str) -> Option<bool> {
    // In capitals, too: within a string of another member, for instance.
    if value.to_ascii_lowercase().matches("sha-256").count() != 1 {
        return None;
    }
    let dictionary: Dictionary = Parser::new(value).parse().ok()?;
    match dictionary.get("sha-256")? {
        ListEntry::Item(item) => match &item.bare_item {
            BareItem::ByteSequence(bytes) => Some(bytes[..] == Sha256::digest(BODY)[..]),
            _ => None,
        },
        ListEntry::InnerList(_) => None,
    }
}

//! Input: the values of `Authorization`, one a line. `{token}` stands for a
//! genuine token.
//!
//! Exactly one value, of the scheme Bearer and with that token, is accepted; all
//! else is answered 401.
#![no_main]

use std::sync::LazyLock;

use http::header::{AUTHORIZATION, HeaderValue};
use libfuzzer_sys::fuzz_target;
use tower_conductorone_fuzz::{delivery, send};

static TOKEN: LazyLock<String> = LazyLock::new(|| delivery().token_string());

fuzz_target!(|data: &[u8]| {
    let mut request = delivery().token(&**TOKEN).request();
    request.headers_mut().remove(AUTHORIZATION);
    let mut values = Vec::new();
    for line in data.split(|byte| *byte == b'\n').take(8) {
        let line = with_token(line);
        if let Ok(value) = HeaderValue::from_bytes(&line) {
            request.headers_mut().append(AUTHORIZATION, value);
            values.push(line);
        }
    }
    let expected = match values.as_slice() {
        [value] => is_bearer(value),
        _ => false,
    };
    let outcome = send(request);
    assert_eq!(outcome.is_accepted(), expected, "{}", outcome.code);
    assert!(expected || outcome.status == 401, "{}", outcome.status);
});

fn with_token(line: &[u8]) -> Vec<u8> {
    const MARK: &[u8] = b"{token}";

    match line.windows(MARK.len()).position(|window| window == MARK) {
        Some(at) => [&line[..at], TOKEN.as_bytes(), &line[at + MARK.len()..]].concat(),
        None => line.to_vec(),
    }
}

/// RFC 6750 §2.1 and RFC 9110 §11.4: the scheme, one or more spaces, the token.
/// Around a header's value, white space does not count (RFC 9110 §5.5).
fn is_bearer(value: &[u8]) -> bool {
    let Ok(value) = std::str::from_utf8(value) else {
        return false;
    };
    let Some((scheme, token)) = value.split_once(' ') else {
        return false;
    };
    let token = token.trim_start_matches(' ').trim_end_matches([' ', '\t']);
    scheme.eq_ignore_ascii_case("bearer") && token == *TOKEN
}

//! Finds secrets of a request in the answer.

use bytes::Bytes;
use http::Request;
use http::header::AUTHORIZATION;

use crate::testing::TestResponse;

/// The length of the compared pieces, in bytes. A leak of twice as many is always
/// found; no harmless text shares so many bytes with a token.
const PIECE: usize = 12;

/// The secrets of a request: its tokens, and the end of its callback URL.
pub(super) fn secrets(request: &Request<Bytes>) -> Vec<Bytes> {
    let tokens = request.headers().get_all(AUTHORIZATION).iter();
    let callbacks = request.headers().get_all("webhook-callback-url").iter();
    tokens
        .map(|value| (value, b' '))
        .chain(callbacks.map(|value| (value, b'/')))
        .filter_map(|(value, before)| value.as_bytes().rsplit(|byte| *byte == before).next())
        .map(Bytes::copy_from_slice)
        .collect()
}

pub(super) fn is_in(answer: &TestResponse, secrets: &[Bytes]) -> bool {
    let headers = answer.headers().values().map(AsRef::as_ref);
    let mut shown = headers.chain([&answer.body()[..]]);
    shown.any(|text: &[u8]| {
        let mut windows = text.windows(PIECE);
        windows.any(|window| {
            let mut pieces = secrets.iter().flat_map(|secret| secret.chunks_exact(PIECE));
            pieces.any(|piece| piece == window)
        })
    })
}

//! Compares the body's SHA-256 with the token's `htb_s256` and `Content-Digest`.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::{HeaderMap, HeaderName};

/// RFC 9530.
static CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");

#[derive(Debug, thiserror::Error)]
pub(crate) enum DigestError {
    #[error(
        "the body's SHA-256 does not match htb_s256: \
         does a proxy or a layer parse and rewrite the body?"
    )]
    Token,
    #[error("the body's SHA-256 does not match Content-Digest")]
    Header,
}

/// Decodes a SHA-256 digest from base64 in either alphabet, padded or not.
pub(super) fn read(base64: &str) -> Option<[u8; 32]> {
    const EITHER: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, EITHER);
    const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, EITHER);

    // 32 bytes encode to 43 characters and at most one of padding.
    let mut decoded = [0; 33];
    let length = STANDARD
        .decode_slice(base64, &mut decoded)
        .or_else(|_| URL_SAFE.decode_slice(base64, &mut decoded))
        .ok()?;
    decoded.get(..length)?.try_into().ok()
}

/// Checks that `htb_s256` is the body's digest.
pub(super) fn check_token(claimed: &[u8; 32], body: &[u8; 32]) -> Result<(), DigestError> {
    if same(claimed, body) {
        Ok(())
    } else {
        Err(DigestError::Token)
    }
}

/// Checks that `Content-Digest`, if present, is the body's digest.
pub(super) fn check_header(headers: &HeaderMap, body: &[u8; 32]) -> Result<(), DigestError> {
    if header_agrees(headers, body) {
        Ok(())
    } else {
        Err(DigestError::Header)
    }
}

/// Compares in constant time.
fn same(one: &[u8; 32], other: &[u8; 32]) -> bool {
    verify_slices_are_equal(one, other).is_ok()
}

/// Whether every SHA-256 in `Content-Digest` is `digest`, in ConductorOne's form
/// (`sha-256=<base64>`) or RFC 9530's (`sha-256=:<base64>:`). Other algorithms are
/// ignored.
pub(crate) fn header_agrees(headers: &HeaderMap, digest: &[u8; 32]) -> bool {
    headers.get_all(&CONTENT_DIGEST).iter().all(|value| {
        let Ok(list) = value.to_str() else {
            return false;
        };
        list.split(',').all(|entry| {
            let (algorithm, value) = entry.split_once('=').unwrap_or((entry, ""));
            if !algorithm.trim().eq_ignore_ascii_case("sha-256") {
                return true;
            }
            let value = value.split(';').next().unwrap_or_default().trim();
            let base64 = value
                .strip_prefix(':')
                .and_then(|value| value.strip_suffix(':'))
                .unwrap_or(value);
            read(base64).is_some_and(|named| same(&named, digest))
        })
    })
}

//! Changes ECDSA signatures. A signature of another algorithm becomes garbage, which is
//! an attack as well.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::testing::signer::encode;

/// The order of P-256 (FIPS 186-4 §D.1.2.3).
pub(super) const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// `r` and `s` as `Ecdsa-Sig-Value` (RFC 3279 §2.2.3).
pub(super) fn der(signature: &[u8]) -> Vec<u8> {
    let (r, s) = signature.split_at(signature.len() / 2);
    let numbers = [integer(r), integer(s)].concat();
    [vec![0x30], length(numbers.len()), numbers].concat()
}

fn integer(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let mut digits = number[zeros..].to_vec();
    if digits.first().is_none_or(|first| *first >= 0x80) {
        digits.insert(0, 0);
    }
    [vec![0x02], length(digits.len()), digits].concat()
}

/// A length below 65,536 (X.690 §8.1.3).
fn length(length: usize) -> Vec<u8> {
    let [high, low] = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
    match (high, low) {
        (0, 0..=0x7f) => vec![low],
        (0, _) => vec![0x81, low],
        _ => vec![0x82, high, low],
    }
}

/// The token with the second valid signature of the same message: order − `s` instead
/// of `s`.
pub(super) fn with_twin_signature(token: &str) -> String {
    let (input, signature) = token.rsplit_once('.').unwrap_or_default();
    let mut signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
    if let Some((_, s)) = signature.split_last_chunk_mut::<32>() {
        *s = negated(s);
    }
    format!("{input}.{}", encode(signature))
}

/// The order minus this number.
fn negated(number: &[u8; 32]) -> [u8; 32] {
    let mut difference = ORDER;
    let mut borrow = false;
    for (digit, minus) in difference.iter_mut().zip(number).rev() {
        let (once, below) = digit.overflowing_sub(*minus);
        let (twice, below_again) = once.overflowing_sub(u8::from(borrow));
        *digit = twice;
        borrow = below || below_again;
    }
    difference
}

//! The attacks: what each is called, what it does, and what has to come of it.

mod algorithm;
mod body;
mod claims;
mod ec;
mod genuine;
mod header;
mod http;
mod other_tokens;
mod path;
mod replay;
mod signature;
mod target;
mod token;

use super::shot::Attack;

/// The genuine ones come first and last: a receiver must not only be alive
/// before the attacks.
pub(super) fn all() -> impl Iterator<Item = &'static Attack> {
    [
        genuine::ATTACKS,
        algorithm::ATTACKS,
        signature::ATTACKS,
        header::ATTACKS,
        token::ATTACKS,
        claims::EVERY,
        claims::ATTACKS,
        other_tokens::ATTACKS,
        target::ATTACKS,
        path::ATTACKS,
        body::ATTACKS,
        http::ATTACKS,
        replay::ATTACKS,
        genuine::AFTERWARDS,
    ]
    .into_iter()
    .flatten()
}

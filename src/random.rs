use std::hash::{BuildHasher, RandomState};

/// 16 random bytes, unique among all processes.
pub(crate) fn bytes() -> [u8; 16] {
    // The standard library's keys come from the operating system. They need not be
    // secret, only differ between processes.
    let state = RandomState::new();
    let (high, low) = (state.hash_one(0_u8), state.hash_one(1_u8));
    ((u128::from(high) << 64) | u128::from(low)).to_be_bytes()
}

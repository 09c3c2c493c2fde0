//! What an ID takes of the memory in the in-memory replay store.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use peak_alloc::PeakAlloc;
use tower_conductorone::replay::{Claim, MemoryReplayStore, ReplayStore, TokenId};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const TENANT: &str = "example.conductor.one";

/// The most bytes that an ID takes, whatever the store's tables are sized for.
const MOST: usize = 100;

#[test]
fn an_id_takes_at_most_100_bytes() {
    let now = SystemTime::now();
    let before = MEMORY.current_usage();
    let store = MemoryReplayStore::new(1_000_000);
    for number in 1..=1_000_000_usize {
        let jti = format!("{number:027}");
        let until = now + Duration::from_secs(150);
        let mut claim = pin!(store.claim(TokenId::new(TENANT, &jti), now, until));
        let claim = claim.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(claim, Poll::Ready(Ok(Claim::First))), "{number}");
        // Also while the tables have just grown. What a tenant takes, whatever it
        // claims, weighs less then.
        if number >= 100_000 && number.is_multiple_of(1_000) {
            let taken = MEMORY.current_usage() - before;
            assert!(
                taken <= number * MOST,
                "{} bytes for each of {number} IDs",
                taken / number
            );
        }
    }
}

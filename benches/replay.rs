//! What a claim costs the in-memory replay store, with 1,000 to a million live IDs: its
//! time, the longest ones, and whether two threads claim twice as many. (What an ID takes
//! of the memory is tested in `tests/replay_memory.rs`.)
//!
//! ```text
//! cargo bench --bench replay
//! ```

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use support::bench::Bench;
use tower_conductorone::replay::{Claim, MemoryReplayStore, ReplayStore, TokenId};

const TENANT: &str = "example.conductor.one";

/// How long a token lives.
const LIFE: Duration = Duration::from_secs(150);

/// Claims of a full store that are timed one by one.
const TIMED: usize = 200_000;

/// Claims that are timed together, so that the clock adds nothing.
const TOGETHER: usize = 1_000;

/// How long threads claim at once.
const RACE: Duration = Duration::from_millis(200);

/// A claim does not wait: it is ready when it is polled first.
fn claim(store: &MemoryReplayStore, jti: &str, now: SystemTime) -> Claim {
    let mut claim = pin!(store.claim(TokenId::new(TENANT, jti), now, now + LIFE));
    match claim.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(claim) => claim.expect("room"),
        Poll::Pending => panic!("the store waits"),
    }
}

/// Times at which a store always holds `live` IDs, as each claim finds an expired one.
struct Clock {
    start: SystemTime,
    /// Claims in a second.
    rate: u64,
}

impl Clock {
    fn of(live: usize) -> Self {
        Self {
            start: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
            rate: (live as u64).div_ceil(LIFE.as_secs()),
        }
    }

    fn at(&self, claim: u64) -> SystemTime {
        self.start + Duration::from_nanos(claim * (1_000_000_000 / self.rate))
    }
}

/// As long as a KSUID.
fn jti(number: u64) -> String {
    format!("{number:027}")
}

/// Enough for so many live IDs, and no less than by default.
fn capacity(live: usize) -> usize {
    (2 * live).max(MemoryReplayStore::DEFAULT_CAPACITY)
}

/// A store with so many live IDs, and the time at which they are claimed.
fn filled(live: usize) -> (MemoryReplayStore, Clock) {
    let store = MemoryReplayStore::new(capacity(live));
    let clock = Clock::of(live);
    for number in 0..live as u64 {
        assert_eq!(claim(&store, &jti(number), clock.at(number)), Claim::First);
    }
    (store, clock)
}

/// Claims per second of a thread for each of these stores, which may be the same one.
fn rate(stores: &[&MemoryReplayStore], clock: &Clock, next: &AtomicU64) -> f64 {
    let (stop, done) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for store in stores {
            scope.spawn(|| {
                let mut claimed = 0;
                while !stop.load(Ordering::Relaxed) {
                    let first = next.fetch_add(100, Ordering::Relaxed);
                    for number in first..first + 100 {
                        let _ = claim(store, &jti(number), clock.at(number));
                    }
                    claimed += 100;
                }
                done.fetch_add(claimed, Ordering::Relaxed);
            });
        }
        thread::sleep(RACE);
        stop.store(true, Ordering::Relaxed);
    });
    #[allow(clippy::cast_precision_loss)]
    let done = done.into_inner() as f64;
    done / RACE.as_secs_f64()
}

fn ns(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}

fn main() {
    let mut bench = Bench::new("replay");
    for live in [1_000, 100_000, 1_000_000] {
        let (store, clock) = filled(live);

        // One by one, with the clock's own time in each.
        let mut times = Vec::with_capacity(TIMED);
        let first = live as u64;
        let ids: Vec<_> = (first..first + TIMED as u64).collect();
        for number in &ids {
            let (jti, now) = (jti(*number), clock.at(*number));
            let start = Instant::now();
            let claimed = claim(&store, &jti, now);
            times.push(start.elapsed());
            assert_eq!(claimed, Claim::First);
        }
        times.sort_unstable();
        let (p999, max) = (times[TIMED - TIMED / 1000], times[TIMED - 1]);

        // Many together: the smallest and the median time of one.
        let mut next = first + TIMED as u64;
        let mut turns: Vec<_> = (0..200)
            .map(|_| {
                let ids: Vec<_> = (next..next + TOGETHER as u64)
                    .map(|number| (jti(number), clock.at(number)))
                    .collect();
                next += TOGETHER as u64;
                let start = Instant::now();
                for (jti, now) in &ids {
                    let _ = claim(&store, jti, *now);
                }
                start.elapsed() / u32::try_from(TOGETHER).expect("not many")
            })
            .collect();
        turns.sort_unstable();
        let (min, median) = (turns[0], turns[turns.len() / 2]);

        // Once more from nothing, for the longest that a claim waits while the store grows.
        let fresh = MemoryReplayStore::new(capacity(live));
        let filling = (0..live as u64).map(|number| {
            let (jti, now) = (jti(number), clock.at(number));
            let start = Instant::now();
            let _ = claim(&fresh, &jti, now);
            start.elapsed()
        });
        let filling = filling.max().unwrap_or_default();

        let next = AtomicU64::new(next);
        // What this machine makes of two threads that share nothing, for comparison.
        let (other, _) = filled(live);
        let (mut one, mut two, mut apart) = (0.0_f64, 0.0_f64, 0.0_f64);
        for _ in 0..5 {
            one = one.max(rate(&[&store], &clock, &next));
            two = two.max(rate(&[&store, &store], &clock, &next));
            apart = apart.max(rate(&[&store, &other], &clock, &next));
        }
        bench.row(
            &format!("{live} live IDs"),
            "claim",
            &[
                ("min_ns", ns(min)),
                ("median_ns", ns(median)),
                ("p999_ns", ns(p999)),
                ("max_ns", ns(max)),
                ("max_ns_while_it_fills", ns(filling)),
                ("two_threads_to_one", two / one),
                ("two_stores_to_one", apart / one),
            ],
        );
    }
    bench.finish();
}

//! What the ledger does and leaves in Redis.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use proptest::prelude::*;
use redis::aio::ConnectionLike;
use redis::{Cmd, Pipeline, RedisFuture, Value};
use tokio::runtime::Runtime;
use tower_conductorone::ledger::{
    Claimed, Death, Finished, Hold, Lease, Ledger, MemoryLedger, Name, Owner, Posted,
    RecordedAnswer, Retention, Revival,
};
use tower_conductorone::redis::{RedisConnection, RedisLedger};
use tower_conductorone::testing::conformance;

use crate::{TERM, ask, claim, connection, key, start};
use support::redis_server::RedisServer;

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Makes ledgers, each with keys of its own.
pub(crate) fn ledgers<C: ConnectionLike + Clone + Send + Sync + 'static>(
    connection: C,
) -> impl AsyncFn() -> RedisLedger<C> {
    let made = AtomicU32::new(0);
    async move || {
        let number = made.fetch_add(1, Ordering::Relaxed);
        RedisLedger::new(connection.clone()).prefix(format!("test{number}:"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_keeps_the_rules_of_all_ledgers() {
    let server = RedisServer::start(&[]);
    conformance::ledger(ledgers(connection(&server)), tokio::time::sleep).await;
}

#[tokio::test]
async fn a_clone_has_the_same_records_until_its_prefix_is_another() {
    let server = RedisServer::start(&[]);
    let ledger = RedisLedger::new(connection(&server)).prefix("one:");
    let lease = start(&ledger, 1).await;
    let clone = ledger.clone();
    let held = clone.renew(lease, TERM).await;
    assert_eq!(held.expect("a reply"), Hold::Held);
    let other = ledger.clone().prefix("other:");
    assert_eq!(start(&other, 1).await.run(), 1);
}

/// Counts the commands that are sent, each a round trip.
#[derive(Clone)]
struct Counting(RedisConnection, Arc<AtomicU32>);

impl ConnectionLike for Counting {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.req_packed_command(cmd)
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.req_packed_commands(pipeline, offset, count)
    }

    fn get_db(&self) -> i64 {
        self.0.get_db()
    }
}

#[tokio::test]
async fn a_delivery_costs_two_round_trips() {
    let server = RedisServer::start(&[]);
    let trips = Arc::new(AtomicU32::new(0));
    let ledger = RedisLedger::new(Counting(connection(&server), Arc::clone(&trips)));
    let deliver = async |number| {
        trips.store(0, Ordering::Relaxed);
        let lease = start(&ledger, number).await;
        let finished = ledger.finish(lease, RecordedAnswer::new(200, "{}")).await;
        assert_eq!(finished.expect("a reply"), Finished::Answered);
        trips.load(Ordering::Relaxed)
    };
    // The server is sent each of the two scripts once.
    assert_eq!(deliver(1).await, 4);
    for number in 2..100 {
        assert_eq!(deliver(number).await, 2);
    }
    // What a sweep costs that finds nothing.
    for expected in [17, 16] {
        trips.store(0, Ordering::Relaxed);
        let taken = ledger.take(Name::NONE, Owner::random(), TERM).await;
        assert_eq!(taken.expect("a reply"), None);
        assert_eq!(trips.load(Ordering::Relaxed), expected);
    }
}

#[tokio::test]
async fn scripts_that_the_server_has_forgotten_are_sent_again() {
    let server = RedisServer::start(&[]);
    let ledger = RedisLedger::new(connection(&server));
    for number in 1..=3 {
        let lease = start(&ledger, number).await;
        let () = ask(&server, &["SCRIPT", "FLUSH"]).await;
        let finished = ledger.finish(lease, RecordedAnswer::new(200, "{}")).await;
        assert_eq!(finished.expect("a reply"), Finished::Answered);
    }
}

#[tokio::test]
async fn every_key_expires_with_what_it_is_for() {
    let server = RedisServer::start(&[]);
    let retention = Retention::new(HOUR, 2 * DAY).expect("good");
    let ledger = RedisLedger::new(connection(&server))
        .prefix("app:")
        .retention(retention);
    let names = "00".repeat(16); // of no layer, and no tenant
    let record = format!("app:{{01}}:{names}{}", "01".repeat(32));
    let index = "app:{01}:due:0000000000000000".to_owned();
    let ends = "app:{01}:ends:0000000000000000".to_owned();
    let is_kept = async |name: &str, expected: Duration| {
        let left: i64 = ask(&server, &["PTTL", name]).await;
        let left = u64::try_from(left).unwrap_or_else(|_| panic!("{name}: {left}"));
        let (left, slack) = (Duration::from_millis(left), Duration::from_secs(5));
        assert!(
            left <= expected && expected < left + slack,
            "{name}: {left:?}"
        );
    };

    let lease = start(&ledger, 1).await;
    is_kept(&record, TERM + HOUR).await;
    let held = ledger.promise(lease, Bytes::from_static(b"work")).await;
    assert_eq!(held.expect("a reply"), Hold::Held);
    is_kept(&record, 2 * DAY + HOUR).await;
    is_kept(&index, 2 * DAY + HOUR).await;
    is_kept(&ends, 2 * DAY + HOUR).await;
    let finished = ledger.finish(lease, RecordedAnswer::new(200, "{}")).await;
    let Finished::Stored(lease) = finished.expect("a reply") else {
        panic!("not stored");
    };
    is_kept(&record, 2 * DAY + HOUR).await;
    let held = ledger.postpone(lease, 3 * DAY, Posted::No).await;
    assert_eq!(held.expect("a reply"), Hold::Held);
    is_kept(&record, 2 * DAY + HOUR).await;

    // Another that ends earlier does not shorten the life of the index.
    let lease = start(&ledger, 17).await;
    let shorter = RedisLedger::new(connection(&server))
        .prefix("app:")
        .retention(Retention::new(HOUR, DAY).expect("good"));
    let held = shorter.promise(lease, Bytes::from_static(b"work")).await;
    assert_eq!(held.expect("a reply"), Hold::Held);
    is_kept(&index, 2 * DAY + HOUR).await;
    is_kept(&ends, 2 * DAY + HOUR).await;
    let held = ledger.bury(lease, Death::new("no use")).await;
    assert_eq!(held.expect("a reply"), Hold::Held);
    for index in [&index, &ends] {
        let promised: u32 = ask(&server, &["ZCARD", index]).await;
        assert_eq!(promised, 1);
    }
    let other = format!("app:{{01}}:{names}{}", "11".repeat(32));
    let (dead, dead_ends) = ("app:{01}:dead".to_owned(), "app:{01}:dead_ends".to_owned());
    for name in [&other, &dead, &dead_ends] {
        is_kept(name, DAY + HOUR).await;
    }
    let lease = start(&ledger, 33).await;
    let finished = ledger.finish(lease, RecordedAnswer::new(200, "{}")).await;
    assert_eq!(finished.expect("a reply"), Finished::Answered);
    let third = format!("app:{{01}}:{names}{}", "21".repeat(32));
    is_kept(&third, HOUR).await;
    // And there is nothing else.
    let mut names: Vec<String> = ask(&server, &["KEYS", "*"]).await;
    names.sort();
    assert_eq!(names, [record, other, third, dead, dead_ends, index, ends]);
}

#[tokio::test]
async fn a_promise_whose_record_seems_absent_is_kept_in_the_index_until_its_end() {
    let server = RedisServer::start(&[]);
    let ledger = RedisLedger::new(connection(&server));
    for number in [1, 17, 33] {
        let lease = start(&ledger, number).await;
        let held = ledger.promise(lease, Bytes::from_static(b"work")).await;
        assert_eq!(held.expect("a reply"), Hold::Held);
        let held = ledger.release(lease, Duration::ZERO).await;
        assert_eq!(held.expect("a reply"), Hold::Held);
    }
    // As while a cluster moves the slot: the index is there, two records are not.
    let record = |number: &str| {
        let (names, digest) = ("00".repeat(16), number.repeat(32));
        (
            format!("c1:{{01}}:{names}{digest}"),
            format!("{names}{digest}"),
        )
    };
    for number in ["01", "11"] {
        let (name, id) = record(number);
        let () = ask(&server, &["RENAME", &name, &format!("{{01}}:{id}")]).await;
    }
    let take = async || {
        let taken = ledger.take(Name::NONE, Owner::random(), TERM).await;
        taken.expect("a reply").map(|taken| taken.lease.key())
    };
    assert_eq!(take().await, Some(key(33)));
    assert_eq!(take().await, None);
    let (due, ends) = (
        "c1:{01}:due:0000000000000000",
        "c1:{01}:ends:0000000000000000",
    );
    let left: u32 = ask(&server, &["ZCARD", due]).await;
    assert_eq!(left, 3);
    // One comes back, and is taken when it is looked at again.
    let (name, id) = record("01");
    let () = ask(&server, &["RENAME", &format!("{{01}}:{id}"), &name]).await;
    let put_off: f64 = ask(&server, &["ZSCORE", due, &id]).await;
    let seconds: (u64, u64) = ask(&server, &["TIME"]).await;
    let pause = put_off / 1_000.0 - f64::from(u32::try_from(seconds.0).expect("this century"));
    assert!((5.0..=11.0).contains(&pause), "{pause}");
    let () = ask(&server, &["ZADD", due, "0", &id]).await;
    assert_eq!(take().await, Some(key(1)));
    // The other one's record has ended.
    let (_, id) = record("11");
    let () = ask(&server, &["ZADD", ends, "1", &id]).await;
    assert_eq!(take().await, None);
    let left: u32 = ask(&server, &["ZCARD", due]).await;
    assert_eq!(left, 2);
}

#[tokio::test]
async fn a_dead_delivery_whose_record_has_ended_leaves_the_index() {
    let server = RedisServer::start(&[]);
    let ledger = RedisLedger::new(connection(&server));
    let die = async |number| {
        let lease = start(&ledger, number).await;
        let held = ledger.promise(lease, Bytes::from_static(b"work")).await;
        assert_eq!(held.expect("a reply"), Hold::Held);
        let held = ledger.bury(lease, Death::new("no use")).await;
        assert_eq!(held.expect("a reply"), Hold::Held);
    };
    let dead = async || {
        let page = ledger.dead(None).await.expect("a reply");
        let mut dead: Vec<_> = page.deliveries.iter().map(|dead| dead.key).collect();
        dead.sort_unstable();
        dead
    };
    let counts = async || {
        let dead: u32 = ask(&server, &["ZCARD", "c1:{01}:dead"]).await;
        let ends: u32 = ask(&server, &["ZCARD", "c1:{01}:dead_ends"]).await;
        (dead, ends)
    };
    let record = |number: &str| format!("{}{}", "00".repeat(16), number.repeat(32));
    for number in [1, 17, 33] {
        die(number).await;
    }
    assert_eq!(dead().await, [key(1), key(17), key(33)]);
    // It seems absent, as while a cluster moves the slot; it is not listed, but kept.
    let name = format!("c1:{{01}}:{}", record("11"));
    let () = ask(&server, &["RENAME", &name, "{01}:elsewhere"]).await;
    assert_eq!(dead().await, [key(1), key(33)]);
    assert_eq!(counts().await, (3, 3));
    // Its record has ended: a look at the list removes it, and so does another death.
    let () = ask(&server, &["ZADD", "c1:{01}:dead_ends", "1", &record("11")]).await;
    assert_eq!(dead().await, [key(1), key(33)]);
    assert_eq!(counts().await, (2, 2));
    let () = ask(&server, &["ZADD", "c1:{01}:dead_ends", "1", &record("21")]).await;
    die(49).await;
    assert_eq!(counts().await, (2, 2));
    assert_eq!(dead().await, [key(1), key(49)]);
    // And a revival.
    for number in [1, 49] {
        let revived = ledger.revive(key(number)).await.expect("a reply");
        assert_eq!(revived, Revival::Revived);
    }
    assert_eq!(counts().await, (0, 0));
}

#[tokio::test]
async fn a_dead_delivery_is_too_late_after_its_callbacks_deadline() {
    let server = RedisServer::start(&[]);
    let ledger = RedisLedger::new(connection(&server));
    let lease = start(&ledger, 1).await;
    let held = ledger.promise(lease, Bytes::from_static(b"work")).await;
    assert_eq!(held.expect("a reply"), Hold::Held);
    let held = ledger.bury(lease, Death::new("no use")).await;
    assert_eq!(held.expect("a reply"), Hold::Held);
    let name = format!("c1:{{01}}:{}{}", "00".repeat(16), "01".repeat(32));
    let deadline: u64 = ask(&server, &["HGET", &name, "deadline"]).await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("now");
    let left = Duration::from_millis(deadline).saturating_sub(now);
    assert!((7 * DAY..=8 * DAY).contains(&left), "{left:?}");

    let passed = now.saturating_sub(HOUR).as_millis().to_string();
    let () = ask(&server, &["HSET", &name, "deadline", &passed]).await;
    let () = ask(&server, &["HSET", &name, "due", &passed]).await;
    let before: Vec<Bytes> = ask(&server, &["HGETALL", &name]).await;
    let revived = ledger.revive(key(1)).await.expect("a reply");
    assert_eq!(revived, Revival::TooLate);
    let after: Vec<Bytes> = ask(&server, &["HGETALL", &name]).await;
    assert_eq!(before, after);
    let page = ledger.dead(None).await.expect("a reply");
    let [dead] = page.deliveries.as_slice() else {
        panic!("one is dead: {page:?}");
    };
    assert_eq!(dead.time_left, Duration::ZERO);
    assert!((HOUR..2 * HOUR).contains(&dead.age), "{:?}", dead.age);

    // Others are listed beside records that cannot be read, and a newer one is left alone.
    let () = ask(&server, &["HSET", &name, "version", "2"]).await;
    ledger.revive(key(1)).await.expect_err("newer");
    for (number, field, value) in [(17, "about", "{"), (33, "due", "soon"), (49, "run", "")] {
        let lease = start(&ledger, number).await;
        let held = ledger.promise(lease, Bytes::from_static(b"work")).await;
        assert_eq!(held.expect("a reply"), Hold::Held);
        let held = ledger.bury(lease, Death::new("no use")).await;
        assert_eq!(held.expect("a reply"), Hold::Held);
        let digest = format!("{number:02x}").repeat(32);
        let name = format!("c1:{{01}}:{}{digest}", "00".repeat(16));
        let () = ask(&server, &["HSET", &name, field, value]).await;
    }
    let lease = start(&ledger, 65).await;
    let held = ledger.promise(lease, Bytes::from_static(b"work")).await;
    assert_eq!(held.expect("a reply"), Hold::Held);
    let held = ledger.bury(lease, Death::new("no use")).await;
    assert_eq!(held.expect("a reply"), Hold::Held);
    let page = ledger.dead(None).await.expect("a reply");
    let dead: Vec<_> = page.deliveries.iter().map(|dead| dead.key).collect();
    assert_eq!(dead, [key(65)]);
}

#[tokio::test]
async fn a_spoilt_record_does_not_hold_up_its_shard() {
    let server = RedisServer::start(&[]);
    let ledger = RedisLedger::new(connection(&server));
    let promise = async |number| {
        let lease = start(&ledger, number).await;
        let held = ledger.promise(lease, Bytes::from_static(b"work")).await;
        assert_eq!(held.expect("a reply"), Hold::Held);
        let held = ledger.release(lease, Duration::ZERO).await;
        assert_eq!(held.expect("a reply"), Hold::Held);
        format!(
            "c1:{{01}}:{}{}",
            "00".repeat(16),
            format!("{number:02x}").repeat(32)
        )
    };
    let (text, no_number, no_run) = (promise(1).await, promise(17).await, promise(33).await);
    let newer = promise(49).await;
    promise(65).await;
    let () = ask(&server, &["SET", &text, "hidden"]).await;
    let () = ask(&server, &["HSET", &no_number, "due", "soon"]).await;
    let () = ask(&server, &["HDEL", &no_run, "run", "attempt"]).await;
    let () = ask(
        &server,
        &["HSET", &newer, "version", "2", "stage", "unheard of"],
    )
    .await;
    let before: Vec<Bytes> = ask(&server, &["HGETALL", &newer]).await;
    let taken = ledger.take(Name::NONE, Owner::random(), TERM).await;
    assert_eq!(taken.expect("a reply").expect("due").lease.key(), key(65));
    let taken = ledger.take(Name::NONE, Owner::random(), TERM).await;
    assert_eq!(taken.expect("a reply"), None);

    // What a newer version has written is left alone, and nothing runs beside it.
    let error = claim(&ledger, 49).await.expect_err("newer").to_string();
    assert!(error.contains("newer version"), "{error}");
    let resumed = ledger.resume(key(49), Owner::random(), TERM).await;
    assert_eq!(resumed.expect("a reply"), None);
    ledger
        .refresh(key(49), Bytes::from_static(b"old"))
        .await
        .expect("a reply");
    let after: Vec<Bytes> = ask(&server, &["HGETALL", &newer]).await;
    assert_eq!(before, after);
}

#[tokio::test]
async fn a_part_that_is_spoilt_does_not_hold_up_the_others() {
    let server = RedisServer::start(&[]);
    let ledger = RedisLedger::new(connection(&server));
    for number in 0..16 {
        let name = format!("c1:{{{number:02}}}:due:0000000000000000");
        let () = ask(&server, &["SET", &name, "spoilt"]).await;
    }
    // The parts are asked in an order that is new each time.
    for number in 1..=8 {
        let () = ask(&server, &["DEL", "c1:{01}:due:0000000000000000"]).await;
        let lease = start(&ledger, 16 * number + 1).await;
        let held = ledger.promise(lease, Bytes::from_static(b"work")).await;
        assert_eq!(held.expect("a reply"), Hold::Held);
        let held = ledger.release(lease, Duration::ZERO).await;
        assert_eq!(held.expect("a reply"), Hold::Held);
        let taken = ledger.take(Name::NONE, Owner::random(), TERM).await;
        let taken = taken.expect("a reply").expect("due");
        assert_eq!(taken.lease.key(), key(16 * number + 1));
    }
    let error = ledger.take(Name::NONE, Owner::random(), TERM).await;
    let error = error.expect_err("nothing is due but what is spoilt");
    assert!(error.to_string().contains("WRONGTYPE"), "{error}");
}

#[tokio::test]
async fn leases_that_seem_to_last_for_days_are_over() {
    let server = RedisServer::start(&[]);
    let ledger = RedisLedger::new(connection(&server));
    start(&ledger, 1).await;
    let lease = start(&ledger, 2).await;
    let held = ledger.promise(lease, Bytes::from_static(b"work")).await;
    assert_eq!(held.expect("a reply"), Hold::Held);
    // As if they had been written before the clock was set back.
    let day_ahead = (SystemTime::now() + DAY)
        .duration_since(UNIX_EPOCH)
        .expect("now");
    let day_ahead = day_ahead.as_millis().to_string();
    let (names, due) = ("00".repeat(16), "c1:{02}:due:0000000000000000");
    for number in ["01", "02"] {
        let name = format!("c1:{{{number}}}:{names}{}", number.repeat(32));
        let () = ask(&server, &["HSET", &name, "due", &day_ahead]).await;
    }
    let () = ask(
        &server,
        &[
            "ZADD",
            due,
            &day_ahead,
            &format!("{names}{}", "02".repeat(32)),
        ],
    )
    .await;
    assert_eq!(start(&ledger, 1).await.run(), 2);
    let taken = ledger.take(Name::NONE, Owner::random(), TERM).await;
    assert_eq!(taken.expect("a reply").expect("over").lease.key(), key(2));
}

/// A step at one of three deliveries, by whom, and for how long.
#[derive(Clone, Debug)]
struct Step {
    what: u8,
    number: u8,
    owner: u8,
    /// Whether for an hour or for no time.
    long: bool,
    /// Which of the leases that were handed out for the delivery: 0 is the last.
    back: usize,
    word: &'static str,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let words = prop::sample::select(vec!["", "same", "other\0\r\n"]);
    let back = prop::sample::select(vec![0, 0, 0, 0, 1, 2]);
    let step = (0..12_u8, 1..=3_u8, 0..4_u8, any::<bool>(), back, words).prop_map(
        |(what, number, owner, long, back, word)| Step {
            what,
            number,
            owner,
            long,
            back,
            word,
        },
    );
    prop::collection::vec(step, 1..60)
}

/// What a ledger replies to these steps.
async fn replies(ledger: &impl Ledger, steps: &[Step]) -> Vec<String> {
    let mut leases: Vec<Lease> = (1..=3)
        .map(|number| Lease::new(key(number), Owner::from_bytes([0; 16]), 1, 0))
        .collect();
    let mut replies = Vec::new();
    for step in steps {
        let of_it = leases
            .iter()
            .rev()
            .filter(|lease| lease.key() == key(step.number));
        let lease = *of_it.take(step.back + 1).last().expect("the first");
        let wait = if step.long { HOUR } else { Duration::ZERO };
        let owner = Owner::from_bytes([step.owner; 16]);
        let posted = if step.long {
            Posted::No
        } else {
            Posted::Perhaps
        };
        let text = Bytes::from_static(step.word.as_bytes());
        let (reply, next) = match step.what {
            0 => {
                let claimed = ledger.claim(key(step.number), owner, wait).await;
                let claimed = claimed.expect("a reply");
                let lease = match claimed {
                    Claimed::Started(lease) => Some(lease),
                    Claimed::Standing(_) => None,
                };
                (format!("{claimed:?}"), lease)
            }
            1 => (format!("{:?}", ledger.find(key(step.number)).await), None),
            2 => (format!("{:?}", ledger.renew(lease, wait).await), None),
            3 | 4 => (format!("{:?}", ledger.promise(lease, text).await), None),
            5 => {
                let finished = ledger.finish(lease, RecordedAnswer::new(200, text)).await;
                let finished = finished.expect("a reply");
                let lease = match finished {
                    Finished::Stored(lease) => Some(lease),
                    Finished::Answered | Finished::Lost => None,
                };
                (format!("{finished:?}"), lease)
            }
            6 => (format!("{:?}", ledger.release(lease, wait).await), None),
            7 => {
                let taken = ledger.resume(key(step.number), owner, wait).await;
                let taken = taken.expect("a reply");
                // Debug leaves the delivery out.
                let told = taken.as_ref().map(|taken| taken.delivery.clone());
                (
                    format!("{taken:?} {told:?}"),
                    taken.map(|taken| taken.lease),
                )
            }
            8 => (
                format!("{:?}", ledger.postpone(lease, wait, posted).await),
                None,
            ),
            9 => (format!("{:?}", ledger.called_back(lease).await), None),
            10 => (format!("{:?}", ledger.revive(key(step.number)).await), None),
            _ => (
                format!("{:?}", ledger.bury(lease, Death::new(step.word)).await),
                None,
            ),
        };
        replies.push(reply);
        leases.extend(next);
    }
    replies
}

#[test]
fn whatever_happens_the_ledger_replies_as_the_one_in_memory() {
    let server = RedisServer::start(&[]);
    let runtime = Runtime::new().expect("a runtime");
    let make = ledgers(connection(&server));
    proptest!(ProptestConfig::with_cases(150), |(steps in steps())| {
        let (replied, expected) = runtime.block_on(async {
            let replied = replies(&make().await, &steps).await;
            (replied, replies(&MemoryLedger::default(), &steps).await)
        });
        prop_assert_eq!(replied, expected);
    });
}

//! The ledger in memory: what it keeps, for how long, and what it refuses.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::advance;
use tower_conductorone::ledger::{
    Claimed, DeadDelivery, Death, DeliveryKey, Finished, Hold, Lease, Ledger, LedgerError,
    MemoryLedger, Name, Owner, ParseDeliveryKeyError, Posted, RecordedAnswer, Retention,
    RetentionError, Revival, Standing, Work,
};

const TERM: Duration = Duration::from_secs(45);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn just_under(time: Duration) -> Duration {
    time.saturating_sub(Duration::from_millis(1))
}

fn key(number: u64) -> DeliveryKey {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    DeliveryKey::from_bytes(bytes)
}

fn answer(document: &'static str) -> RecordedAnswer {
    RecordedAnswer::new(200, document)
}

async fn claim(ledger: &MemoryLedger, number: u64) -> Result<Claimed, LedgerError> {
    ledger.claim(key(number), Owner::random(), TERM).await
}

async fn start(ledger: &MemoryLedger, number: u64) -> Lease {
    match claim(ledger, number).await.expect("room") {
        Claimed::Started(lease) => lease,
        standing @ Claimed::Standing(_) => panic!("{number}: {standing:?}"),
    }
}

async fn start_answered(ledger: &MemoryLedger, number: u64, document: &'static str) {
    let lease = start(ledger, number).await;
    let finished = ledger.finish(lease, answer(document)).await;
    assert_eq!(finished.expect("memory"), Finished::Answered);
}

async fn start_promised(ledger: &MemoryLedger, number: u64) -> Lease {
    let lease = start(ledger, number).await;
    let promised = ledger.promise(lease, Bytes::from_static(b"work")).await;
    assert_eq!(promised.expect("memory"), Hold::Held);
    lease
}

#[test]
fn a_key_is_written_as_text_and_read_again() {
    let scoped = key(7).scoped(Name::of("hooks"), Name::of("example.conductor.one"));
    for key in [key(0), key(u64::MAX), scoped] {
        let text = key.to_string();
        assert_eq!(text.parse(), Ok(key));
        let json = serde_json::to_string(&key).expect("text");
        assert_eq!(json, format!("\"{text}\""));
        let again: DeliveryKey = serde_json::from_str(&json).expect("a key");
        assert_eq!(again, key);
    }
    // It is stable: stores hold it.
    assert_eq!(
        scoped.to_string(),
        "a9fa9fda98d7712c4b33eaabfa415613\
         0000000000000007000000000000000000000000000000000000000000000000"
    );
    let text = scoped.to_string();
    let (short, odd) = (&text[..94], &text[..95]);
    for wrong in [
        "",
        short,
        odd,
        &format!("{text}00"),
        &format!("{text} "),
        &format!("+{}", &text[1..]),
        &format!("{short}é"),
        &text.to_uppercase(),
    ] {
        let error: ParseDeliveryKeyError = wrong.parse::<DeliveryKey>().expect_err(wrong);
        assert!(error.to_string().contains("96"), "{error}");
    }
    let error = serde_json::from_str::<DeliveryKey>("\"00\"").expect_err("short");
    assert!(error.to_string().contains("96"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_hundred_simultaneous_claims_one_starts_and_all_get_its_answer() {
    let ledger = Arc::new(MemoryLedger::default());
    for number in 0..50 {
        let barrier = Arc::new(Barrier::new(100));
        let mut claims = JoinSet::new();
        for _ in 0..100 {
            let (ledger, barrier) = (Arc::clone(&ledger), Arc::clone(&barrier));
            claims.spawn(async move {
                barrier.wait().await;
                let claimed = claim(&ledger, number).await.expect("room");
                if let Claimed::Started(lease) = claimed {
                    let finished = ledger.finish(lease, answer("{}")).await;
                    assert_eq!(finished.expect("memory"), Finished::Answered);
                }
                claimed
            });
        }
        let claims = claims.join_all().await;
        let started = |claimed: &&Claimed| matches!(claimed, Claimed::Started(_));
        assert_eq!(claims.iter().filter(started).count(), 1);
        let again = claim(&ledger, number).await.expect("known");
        assert_eq!(again, Claimed::Standing(Standing::Answered(answer("{}"))));
    }
}

#[test]
fn a_retention_shorter_than_the_retries_is_refused() {
    let second = Duration::from_secs(1);
    for (finished, callback, expected) in [
        (45 * MINUTE, DAY, Ok(())),
        (30 * DAY, 30 * DAY, Ok(())),
        (DAY, 8 * DAY, Ok(())),
        (
            just_under(45 * MINUTE),
            8 * DAY,
            Err("45 minutes to 30 days"),
        ),
        (Duration::ZERO, 8 * DAY, Err("45 minutes to 30 days")),
        (30 * DAY + second, 8 * DAY, Err("45 minutes to 30 days")),
        (DAY, just_under(DAY), Err("1 to 30 days")),
        (DAY, 30 * DAY + second, Err("1 to 30 days")),
        (Duration::MAX, Duration::MAX, Err("45 minutes to 30 days")),
    ] {
        let retention = Retention::new(finished, callback);
        match (retention, expected) {
            (Ok(retention), Ok(())) => {
                assert_eq!(retention.finished(), finished);
                assert_eq!(retention.callback(), callback);
            }
            (Err(error), Err(text)) => assert!(error.to_string().contains(text), "{error}"),
            (got, expected) => panic!("{finished:?}, {callback:?}: {got:?}, not {expected:?}"),
        }
    }
    assert_eq!(Retention::new(DAY, 8 * DAY), Ok(Retention::default()));
    assert_eq!(
        Retention::new(MINUTE, DAY),
        Err(RetentionError::Finished(MINUTE))
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_outlives_all_retries_and_is_forgotten_after_its_retention() {
    for kept in [Retention::MIN_FINISHED, DAY] {
        let ledger = MemoryLedger::new(Retention::new(kept, 8 * DAY).expect("good"));
        start_answered(&ledger, 1, "{}").await;
        advance(just_under(kept)).await;
        let expected = Standing::Answered(answer("{}"));
        assert_eq!(
            claim(&ledger, 1).await.expect("memory"),
            Claimed::Standing(expected)
        );
        advance(Duration::from_millis(1)).await;
        assert_eq!(ledger.find(key(1)).await.expect("memory"), None);
        assert_eq!(start(&ledger, 1).await.run(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn the_number_of_a_released_run_is_kept_as_long() {
    let ledger = MemoryLedger::default();
    let lease = start(&ledger, 1).await;
    let released = ledger.release(lease, Duration::ZERO).await;
    assert_eq!(released.expect("memory"), Hold::Held);
    advance(just_under(DAY)).await;
    assert_eq!(start(&ledger, 1).await.run(), 2);
    // This run is lost without a word.
    advance(DAY).await;
    assert_eq!(start(&ledger, 1).await.run(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_renewed_for_days_is_not_forgotten() {
    let ledger = MemoryLedger::default();
    let lease = start(&ledger, 1).await;
    for number in 2..6 * 24 * 3 {
        advance(10 * MINUTE).await;
        let renewed = ledger.renew(lease, 15 * MINUTE).await;
        assert_eq!(renewed.expect("memory"), Hold::Held);
        // Others come and go meanwhile, which is when old ones are removed.
        start_answered(&ledger, number, "{}").await;
    }
    let again = claim(&ledger, 1).await.expect("memory");
    assert_eq!(again, Claimed::Standing(Standing::Running));
}

#[tokio::test(start_paused = true)]
async fn promised_work_is_kept_until_its_callbacks_deadline_and_then_forgotten() {
    let ledger = MemoryLedger::new(Retention::new(HOUR, 2 * DAY).expect("good"));
    start_promised(&ledger, 1).await;
    let stored = start_promised(&ledger, 2).await;
    let finished = ledger.finish(stored, answer("{}")).await.expect("memory");
    assert!(matches!(finished, Finished::Stored(_)), "{finished:?}");
    advance(2 * DAY + 59 * MINUTE).await;
    for number in [1, 2] {
        let standing = ledger.find(key(number)).await.expect("memory");
        assert_eq!(standing, Some(Standing::Promised), "{number}");
    }
    // The longest due comes first; both leases ran out at the same moment.
    for (run, attempt) in [(1, 0), (1, 2)] {
        let taken = ledger
            .take(Name::NONE, Owner::random(), MINUTE)
            .await
            .expect("memory");
        let lease = taken.expect("due").lease;
        assert_eq!((lease.run(), lease.attempt()), (run, attempt));
    }
    advance(MINUTE + HOUR).await;
    let taken = ledger
        .take(Name::NONE, Owner::random(), TERM)
        .await
        .expect("memory");
    assert_eq!(taken, None);
    assert_eq!(start(&ledger, 1).await.run(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_delivery_is_resumed_by_its_key_when_it_is_promised_and_due() {
    let ledger = MemoryLedger::default();
    let resume = |number| ledger.resume(key(number), Owner::random(), TERM);
    let _unpromised = start(&ledger, 1).await;
    let lease = start_promised(&ledger, 2).await;
    let _another = start_promised(&ledger, 3).await;
    advance(TERM / 2).await;
    let released = ledger.release(lease, TERM).await;
    assert_eq!(released.expect("memory"), Hold::Held);

    advance(just_under(TERM)).await;
    assert_eq!(resume(2).await.expect("memory"), None, "not due");
    advance(Duration::from_millis(1)).await;
    assert_eq!(resume(1).await.expect("memory"), None, "not promised");
    assert_eq!(resume(4).await.expect("memory"), None, "not known");
    let taken = resume(2).await.expect("memory").expect("due");
    assert_eq!((taken.lease.key(), taken.lease.run()), (key(2), 1));
    assert_eq!(taken.work, Work::Run);
    assert_eq!(resume(2).await.expect("memory"), None, "held");
}

#[tokio::test(start_paused = true)]
async fn no_pause_is_longer_than_two_hours() {
    let ledger = MemoryLedger::new(Retention::new(HOUR, DAY).expect("good"));
    let lease = start_promised(&ledger, 1).await;
    let Finished::Stored(lease) = ledger.finish(lease, answer("{}")).await.expect("memory") else {
        panic!("not stored");
    };
    let postponed = ledger.postpone(lease, 3 * DAY, Posted::No).await;
    assert_eq!(postponed.expect("memory"), Hold::Held);
    advance(just_under(2 * HOUR)).await;
    let taken = ledger.take(Name::NONE, Owner::random(), TERM).await;
    assert_eq!(taken.expect("memory"), None);
    advance(Duration::from_millis(1)).await;
    let taken = ledger
        .take(Name::NONE, Owner::random(), TERM)
        .await
        .expect("memory");
    assert!(matches!(
        taken.expect("due").work,
        Work::Send {
            posted: Posted::No,
            ..
        }
    ));
}

#[tokio::test(start_paused = true)]
async fn a_full_ledger_refuses_new_deliveries_and_goes_on_with_those_it_knows() {
    let ledger = MemoryLedger::default().max_records(3);
    let running = start(&ledger, 1).await;
    let promised = start_promised(&ledger, 2).await;
    start_answered(&ledger, 3, "{}").await;
    for number in 4..10 {
        let error = claim(&ledger, number).await.expect_err("full");
        assert!(error.to_string().contains("full: 3 deliveries"), "{error}");
        let standing = ledger.find(key(number)).await.expect("memory");
        assert_eq!(standing, None, "a refused delivery leaves nothing behind");
    }
    let finished = ledger.finish(running, answer("{}")).await;
    assert_eq!(finished.expect("memory"), Finished::Answered);
    let finished = ledger.finish(promised, answer("{}")).await.expect("memory");
    assert!(matches!(finished, Finished::Stored(_)));
    let again = claim(&ledger, 3).await.expect("known");
    assert_eq!(again, Claimed::Standing(Standing::Answered(answer("{}"))));
    claim(&ledger, 4).await.expect_err("still full");
    // What is over makes room when its time has come, what is promised does not.
    advance(DAY).await;
    start(&ledger, 4).await;
    start(&ledger, 5).await;
    claim(&ledger, 6).await.expect_err("full again");
    let standing = ledger.find(key(2)).await.expect("memory");
    assert_eq!(standing, Some(Standing::Promised));
}

#[tokio::test(start_paused = true)]
async fn a_ledger_full_of_bytes_refuses_new_deliveries_until_they_go() {
    let ledger = MemoryLedger::default().max_bytes(1_000);
    let large = Bytes::from(vec![b' '; 600]);
    for number in [1, 2] {
        let lease = start(&ledger, number).await;
        let promised = ledger.promise(lease, large.clone()).await.expect("memory");
        assert_eq!(promised, Hold::Held);
    }
    claim(&ledger, 3).await.expect_err("full");
    for _ in 0..2 {
        advance(HOUR).await;
        let taken = ledger
            .take(Name::NONE, Owner::random(), TERM)
            .await
            .expect("memory");
        let lease = taken.expect("due").lease;
        let buried = ledger
            .bury(lease, Death::new("no use"))
            .await
            .expect("memory");
        assert_eq!(buried, Hold::Held);
    }
    // The oldest that is dead makes room.
    start(&ledger, 3).await;
}

async fn start_dead(ledger: &MemoryLedger, number: u64) {
    let lease = start(ledger, number).await;
    let held = ledger.promise(lease, Bytes::from_static(b"work")).await;
    assert_eq!(held.expect("memory"), Hold::Held);
    let buried = ledger.bury(lease, Death::new("no use")).await;
    assert_eq!(buried.expect("memory"), Hold::Held);
}

async fn dead(ledger: &MemoryLedger) -> Vec<DeadDelivery> {
    ledger.dead(None).await.expect("memory").deliveries
}

#[tokio::test(start_paused = true)]
async fn dead_deliveries_make_room_after_those_that_ended_well() {
    let ledger = MemoryLedger::default().max_records(3);
    start_dead(&ledger, 1).await;
    start_dead(&ledger, 2).await;
    advance(MINUTE).await;
    start_answered(&ledger, 3, "{}").await;
    claim(&ledger, 4).await.expect_err("full");
    advance(HOUR).await;
    start_answered(&ledger, 4, "{}").await;
    assert_eq!(dead(&ledger).await.len(), 2);
    start_answered(&ledger, 5, "{}").await;
    let left = dead(&ledger).await;
    assert_eq!((left.len(), left[0].key), (1, key(2)));
    let revived = ledger.revive(key(1)).await.expect("memory");
    assert_eq!(revived, Revival::Unknown);
}

#[tokio::test(start_paused = true)]
async fn a_dead_delivery_can_be_revived_until_its_callbacks_deadline() {
    let ledger = MemoryLedger::new(Retention::new(HOUR, DAY).expect("in range"));
    start_dead(&ledger, 1).await;
    advance(just_under(DAY)).await;
    let [delivery] = dead(&ledger).await.try_into().expect("one");
    let moment = Duration::from_millis(1);
    assert_eq!(
        (delivery.age, delivery.time_left),
        (just_under(DAY), moment)
    );
    let revived = ledger.revive(key(1)).await.expect("memory");
    assert_eq!(revived, Revival::Revived);
    let taken = ledger.resume(key(1), Owner::random(), TERM).await;
    let lease = taken.expect("memory").expect("due").lease;
    // It dies again, later than the deadline.
    advance(MINUTE).await;
    let buried = ledger.bury(lease, Death::new("too late")).await;
    assert_eq!(buried.expect("memory"), Hold::Held);
    let revived = ledger.revive(key(1)).await.expect("memory");
    assert_eq!(revived, Revival::TooLate);
    // As any other, it is kept for an hour after its last step.
    advance(just_under(HOUR)).await;
    let [delivery] = dead(&ledger).await.try_into().expect("one");
    assert_eq!(
        (delivery.time_left, delivery.death.reason()),
        (Duration::ZERO, "too late")
    );
    advance(moment).await;
    assert_eq!(dead(&ledger).await, []);
    let revived = ledger.revive(key(1)).await.expect("memory");
    assert_eq!(revived, Revival::Unknown);
    start(&ledger, 1).await;
}

#[tokio::test(start_paused = true)]
async fn thousands_that_expire_at_once_make_room_for_as_many() {
    let ledger = MemoryLedger::default().max_records(10_000);
    for number in 0..10_000 {
        start_answered(&ledger, number, "{}").await;
    }
    claim(&ledger, 10_000).await.expect_err("full");
    advance(DAY).await;
    for number in 10_000..20_000 {
        start_answered(&ledger, number, "{}").await;
    }
    claim(&ledger, 20_000).await.expect_err("full");
    assert_eq!(ledger.find(key(0)).await.expect("memory"), None);
}

#[tokio::test]
async fn nothing_shows_what_is_kept() {
    let ledger = MemoryLedger::default();
    let secret = Bytes::from_static(b"https://example.conductor.one/callback/hidden");
    let lease = start(&ledger, 1).await;
    let promised = ledger.promise(lease, secret.clone()).await;
    assert_eq!(promised.expect("memory"), Hold::Held);
    let answer = RecordedAnswer::new(200, secret);
    let finished = ledger.finish(lease, answer.clone()).await.expect("memory");
    let Finished::Stored(lease) = finished else {
        panic!("{finished:?}");
    };
    let postponed = ledger.postpone(lease, Duration::ZERO, Posted::No).await;
    assert_eq!(postponed.expect("memory"), Hold::Held);
    let taken = ledger
        .take(Name::NONE, Owner::random(), TERM)
        .await
        .expect("memory");
    for text in [
        format!("{ledger:?}"),
        format!("{taken:?}"),
        format!("{:?}", Standing::Answered(answer)),
    ] {
        assert!(!text.contains("hidden"), "{text}");
        assert!(!text.contains("104, 116"), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_tenant_cannot_fill_the_share_of_another() {
    let ledger = MemoryLedger::default().max_records(100).max_bytes(10_000);
    let of = |tenant: &str, number| key(number).scoped(Name::of("hooks"), Name::of(tenant));
    let claim = |key| ledger.claim(key, Owner::random(), TERM);
    for number in 0..100 {
        let claimed = claim(of("noisy", number)).await.expect("room");
        assert!(matches!(claimed, Claimed::Started(_)), "{claimed:?}");
    }
    let full = claim(of("noisy", 100)).await.expect_err("full");
    assert!(full.is_full(), "{full}");
    let Ok(Claimed::Started(lease)) = claim(of("quiet", 0)).await else {
        panic!("the quiet tenant has a share of its own");
    };
    let large = RecordedAnswer::new(200, "x".repeat(10_000));
    let finished = ledger.finish(lease, large).await.expect("memory");
    assert_eq!(finished, Finished::Answered);
    let full = claim(of("quiet", 1)).await.expect_err("full of bytes");
    assert!(full.is_full(), "{full}");
    let claimed = claim(of("third", 0)).await.expect("room");
    assert!(matches!(claimed, Claimed::Started(_)), "{claimed:?}");
}

#[tokio::test(start_paused = true)]
async fn answers_of_45_minutes_ago_give_way_to_new_deliveries() {
    let ledger = MemoryLedger::default().max_records(3);
    let promised = start_promised(&ledger, 1).await;
    start_answered(&ledger, 2, "{}").await;
    advance(MINUTE).await;
    start_answered(&ledger, 3, "{}").await;
    advance(just_under(44 * MINUTE)).await;
    assert!(claim(&ledger, 4).await.expect_err("full").is_full());
    advance(Duration::from_millis(1)).await;
    start(&ledger, 4).await;
    assert_eq!(ledger.find(key(2)).await.expect("memory"), None);
    let next = Standing::Answered(answer("{}"));
    assert_eq!(ledger.find(key(3)).await.expect("memory"), Some(next));
    assert!(claim(&ledger, 5).await.expect_err("full").is_full());
    // A promise is kept, however old it is.
    let found = ledger.find(promised.key()).await.expect("memory");
    assert_eq!(found, Some(Standing::Promised));
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_is_no_part_of_a_larger_buffer() {
    let ledger = MemoryLedger::default();
    let large = Bytes::from("{}".repeat(500_000));
    let range = large.as_ptr_range();
    let is_part = |kept: &Bytes| range.contains(&kept.as_ptr());
    let lease = start(&ledger, 1).await;
    let part = RecordedAnswer::new(200, large.slice(..2));
    let finished = ledger.finish(lease, part).await.expect("memory");
    assert_eq!(finished, Finished::Answered);
    let Some(Standing::Answered(kept)) = ledger.find(key(1)).await.expect("memory") else {
        panic!("not answered");
    };
    assert!(kept.document() == "{}" && !is_part(kept.document()));
    let lease = start(&ledger, 2).await;
    let held = ledger.promise(lease, large.slice(..2)).await;
    assert_eq!(held.expect("memory"), Hold::Held);
    let held = ledger.renew(lease, Duration::ZERO).await;
    assert_eq!(held.expect("memory"), Hold::Held);
    let mut kept = Vec::new();
    for newest in [None, Some(large.slice(..4))] {
        if let Some(newest) = newest {
            ledger.refresh(key(2), newest).await.expect("memory");
        }
        let taken = ledger
            .take(Name::NONE, Owner::random(), Duration::ZERO)
            .await;
        kept.push(taken.expect("memory").expect("due").delivery);
    }
    assert_eq!(kept, ["{}", "{}{}"]);
    assert!(!kept.iter().any(is_part));
}

//! A ledger that is built on a store of records.

use std::collections::HashMap;
use std::mem;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, advance};
use tower_conductorone::ledger::record::{
    Change, Counts, Listed, RecordStore, Step, Stored, Write,
};
use tower_conductorone::ledger::{
    Claimed, Death, DeliveryKey, Finished, Hold, Lease, Ledger, LedgerError, Name, Owner, Posted,
    RecordedAnswer, Retention, Revival, Standing,
};
use tower_conductorone::testing::conformance;

const TERM: Duration = Duration::from_secs(45);
const KEY: DeliveryKey = DeliveryKey::from_bytes([7; 32]);

/// A store that works as a database does: it compares and writes, and keeps columns.
#[derive(Debug)]
struct Table {
    start: Instant,
    rows: Mutex<HashMap<DeliveryKey, (u64, Stored)>>,
    /// Whether a step first tries its guess.
    guesses: bool,
    /// How many steps needed the guess alone.
    guessed: AtomicUsize,
    retention: Retention,
}

impl Table {
    fn new(guesses: bool) -> Self {
        Self {
            start: Instant::now(),
            rows: Mutex::default(),
            guesses,
            guessed: AtomicUsize::new(0),
            retention: Retention::default(),
        }
    }

    fn now(&self) -> u64 {
        // The epoch of a clock does not matter.
        1_000_000 + u64::try_from(self.start.elapsed().as_millis()).expect("short")
    }

    fn row(&self, key: DeliveryKey) -> Option<(u64, Stored)> {
        self.rows.lock().expect("no panic").get(&key).cloned()
    }

    fn stored(&self) -> Stored {
        self.row(KEY).expect("a record").1
    }

    fn put(&self, stored: Stored) {
        self.rows.lock().expect("no panic").insert(KEY, (0, stored));
    }

    /// Writes if the row is still of this revision.
    fn write(&self, key: DeliveryKey, revision: Option<u64>, change: Change) -> bool {
        let mut rows = self.rows.lock().expect("no panic");
        let row = rows.get(&key);
        if row.map(|(revision, _)| *revision) != revision {
            return false;
        }
        let next = revision.map_or(0, |revision| revision + 1);
        let stored = change.onto(row.map(|(_, stored)| stored), self.now());
        rows.insert(key, (next, stored));
        true
    }
}

impl RecordStore for Table {
    async fn step<R: Send + 'static>(&self, step: Step<R>) -> Result<R, LedgerError> {
        let key = step.key();
        if let Some(guess) = step.guess().filter(|_| self.guesses) {
            let row = self.row(key);
            let found = row.as_ref().map(|(_, stored)| stored.state.clone());
            let is_live = row
                .as_ref()
                .is_none_or(|(_, row)| self.now() < row.expires_at);
            let revision = row.map(|(revision, _)| revision);
            if found == guess.expected && is_live && self.write(key, revision, guess.change) {
                self.guessed.fetch_add(1, Ordering::Relaxed);
                return Ok(guess.reply);
            }
        }
        loop {
            let row = self.row(key);
            tokio::task::yield_now().await; // another step comes between
            let (revision, stored) = row.unzip();
            let columns = stored.map(|stored| {
                let Stored {
                    state,
                    due_at,
                    expires_at,
                    ..
                } = stored.clone();
                let mut columns = Stored::new(state, due_at, expires_at);
                columns.delivery = stored.delivery.filter(|_| step.reads_delivery());
                columns.answer = stored.answer.filter(|_| step.reads_answer());
                columns
            });
            let (reply, change) = step.apply(columns.as_ref(), self.now())?;
            if change.is_none_or(|change| self.write(key, revision, change)) {
                return Ok(reply);
            }
        }
    }

    async fn due(&self, layer: Name, skip: usize) -> Result<Vec<DeliveryKey>, LedgerError> {
        let rows = self.rows.lock().expect("no panic");
        let mut due: Vec<_> = rows
            .iter()
            .filter(|(key, (_, row))| key.layer() == layer && row.is_due(self.now()))
            .map(|(key, (_, row))| (row.due_at, *key))
            .collect();
        due.sort_unstable();
        Ok(due
            .into_iter()
            .map(|(_, key)| key)
            .skip(skip)
            .take(3)
            .collect())
    }

    async fn dead_keys(&self, after: Option<DeliveryKey>) -> Result<Vec<DeliveryKey>, LedgerError> {
        let rows = self.rows.lock().expect("no panic");
        let mut dead: Vec<_> = rows
            .iter()
            .filter(|(key, (_, row))| row.listed == Some(Listed::Dead) && Some(**key) > after)
            .map(|(key, _)| *key)
            .collect();
        dead.sort_unstable();
        dead.truncate(7);
        Ok(dead)
    }

    async fn counts(&self, layer: Name) -> Result<Counts, LedgerError> {
        let rows = self.rows.lock().expect("no panic");
        let mut counts = Counts::default();
        for (key, (_, row)) in rows.iter() {
            if key.layer() == layer {
                counts.add(row, self.now());
            }
        }
        Ok(counts)
    }

    fn retention(&self) -> Retention {
        self.retention
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_reads_and_compares_keeps_the_rules_of_all_ledgers() {
    conformance::ledger(async || Table::new(false), advance).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_guesses_keeps_the_rules_of_all_ledgers() {
    conformance::ledger(async || Table::new(true), advance).await;
}

async fn start(table: &Table) -> Lease {
    match table.claim(KEY, Owner::from_bytes([1; 16]), TERM).await {
        Ok(Claimed::Started(lease)) => lease,
        other => panic!("{other:?}"),
    }
}

async fn promise(table: &Table) -> Lease {
    let lease = start(table).await;
    let held = table
        .promise(lease, Bytes::from_static(b"secret work"))
        .await;
    assert_eq!(held.expect("a reply"), Hold::Held);
    lease
}

async fn store(table: &Table) -> Lease {
    let lease = promise(table).await;
    let answer = RecordedAnswer::new(200, "secret answer");
    match table.finish(lease, answer).await {
        Ok(Finished::Stored(lease)) => lease,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn the_steps_of_a_run_need_no_read() {
    let table = Table::new(true);
    let lease = start(&table).await;
    assert_eq!(table.renew(lease, TERM).await.expect("a reply"), Hold::Held);
    let finished = table.finish(lease, RecordedAnswer::new(200, "{}")).await;
    assert_eq!(finished.expect("a reply"), Finished::Answered);
    assert_eq!(table.guessed.load(Ordering::Relaxed), 3);
}

/// The format is stable: operators and later releases read it.
#[tokio::test(start_paused = true)]
async fn the_state_of_each_stage_is_documented_json() {
    let lease = r#""owner":"01010101010101010101010101010101","run":1,"attempt""#;
    let text = |table: &Table, expected: &str| {
        let state = table.stored().state;
        let days = Retention::default().callback().as_millis();
        let deadline = (1_000_000 + days).to_string();
        let outlives = Retention::default().finished().as_millis().to_string();
        let expected = expected
            .replace("LEASE", lease)
            .replace("DEADLINE", &deadline)
            .replace("OUTLIVES", &outlives);
        assert_eq!(state, expected);
        assert!(
            state.len() < 250 || state.contains("reason"),
            "{}",
            state.len()
        );
    };
    let table = Table::new(false);
    let run = start(&table).await;
    text(
        &table,
        r#"{"version":1,"stage":"running",LEASE:0,"held":true}"#,
    );
    let held = table.release(run, TERM).await.expect("a reply");
    assert_eq!(held, Hold::Held);
    text(
        &table,
        r#"{"version":1,"stage":"running",LEASE:0,"held":false}"#,
    );

    let table = Table::new(false);
    let run = start(&table).await;
    let finished = table.finish(run, RecordedAnswer::new(410, "{}")).await;
    assert_eq!(finished.expect("a reply"), Finished::Answered);
    text(
        &table,
        r#"{"version":1,"stage":"answered",LEASE:0,"held":false,"status":410}"#,
    );

    let table = Table::new(false);
    let sending = store(&table).await;
    text(
        &table,
        r#"{"version":1,"stage":"stored",LEASE:1,"held":true,"status":200,"posted":"no","outlives":OUTLIVES}"#,
    );
    let held = table.postpone(sending, TERM, Posted::Perhaps).await;
    assert_eq!(held.expect("a reply"), Hold::Held);
    text(
        &table,
        r#"{"version":1,"stage":"stored",LEASE:1,"held":false,"status":200,"posted":"perhaps","outlives":OUTLIVES}"#,
    );

    let table = Table::new(false);
    let sending = store(&table).await;
    let held = table.called_back(sending).await.expect("a reply");
    assert_eq!(held, Hold::Held);
    text(
        &table,
        r#"{"version":1,"stage":"called_back",LEASE:1,"held":false}"#,
    );

    let table = Table::new(false);
    let run = promise(&table).await;
    text(
        &table,
        r#"{"version":1,"stage":"promised",LEASE:0,"held":true,"outlives":OUTLIVES}"#,
    );
    let death = Death::new("gone \"\0\"").of("a.example", "an.Event");
    let death = death.id("webhook", "2").id("task", "1");
    let held = table.bury(run, death).await.expect("a reply");
    assert_eq!(held, Hold::Held);
    text(
        &table,
        r#"{"version":1,"stage":"dead",LEASE:0,"held":false,"deadline":DEADLINE,"reason":"gone \"\u0000\"","about":{"tenant":"a.example","event":"an.Event","ids":{"task":"1","webhook":"2"}}}"#,
    );
    assert_eq!(table.revive(KEY).await.expect("a reply"), Revival::Revived);
    let nobody = "0".repeat(32);
    text(
        &table,
        &format!(
            r#"{{"version":1,"stage":"promised","owner":"{nobody}","run":1,"attempt":0,"held":false,"revived_after":1,"outlives":OUTLIVES}}"#
        ),
    );

    let table = Table::new(false);
    let sending = store(&table).await;
    let held = table
        .bury(sending, Death::new("no"))
        .await
        .expect("a reply");
    assert_eq!(held, Hold::Held);
    text(
        &table,
        r#"{"version":1,"stage":"dead",LEASE:1,"held":false,"status":200,"posted":"no","deadline":DEADLINE,"reason":"no","about":{"tenant":"","event":"","ids":{}}}"#,
    );
}

#[tokio::test(start_paused = true)]
async fn a_dead_record_keeps_its_deadline_whatever_the_retention_of_who_reads_it() {
    let mut table = Table::new(true);
    let (hour, day) = (Duration::from_secs(3_600), Duration::from_secs(86_400));
    let retention = Retention::new(hour, day).expect("in range");
    table.retention = retention;
    let run = promise(&table).await;
    let held = table.bury(run, Death::new("no")).await.expect("a reply");
    assert_eq!(held, Hold::Held);
    let expires_at = table.stored().expires_at;
    // As with a tool that knows no better.
    table.retention = Retention::default();
    advance(hour).await;
    let page = table.dead(None).await.expect("a reply");
    let [dead] = page.deliveries.as_slice() else {
        panic!("one is dead: {page:?}");
    };
    assert_eq!((dead.age, dead.time_left), (hour, 23 * hour));
    assert_eq!(table.revive(KEY).await.expect("a reply"), Revival::Revived);
    assert_eq!(table.stored().expires_at, expires_at);
    table.retention = retention;
    let taken = table
        .resume(KEY, Owner::random(), TERM)
        .await
        .expect("a reply");
    let lease = taken.expect("due").lease;
    let held = table.bury(lease, Death::new("no")).await.expect("a reply");
    assert_eq!(held, Hold::Held);
    advance(23 * hour).await;
    assert_eq!(table.revive(KEY).await.expect("a reply"), Revival::TooLate);
    let page = table.dead(None).await.expect("a reply");
    assert_eq!(page.deliveries.len(), 1);
    advance(hour).await;
    assert_eq!(table.revive(KEY).await.expect("a reply"), Revival::Unknown);
    let page = table.dead(None).await.expect("a reply");
    assert_eq!(page.deliveries, []);
}

#[tokio::test(start_paused = true)]
async fn a_promise_keeps_its_deadline_whatever_the_retention_of_who_buries_it() {
    let (hour, day) = (Duration::from_secs(3_600), Duration::from_secs(86_400));
    let longer = Retention::new(10 * day, 8 * day).expect("in range");
    let callback = Retention::default().callback();
    for guesses in [true, false] {
        for is_stored in [true, false] {
            let mut table = Table::new(guesses);
            let lease = if is_stored {
                store(&table).await
            } else {
                promise(&table).await
            };
            table.retention = longer;
            advance(hour).await;
            assert_eq!(table.renew(lease, TERM).await.expect("a reply"), Hold::Held);
            table
                .refresh(KEY, Bytes::from_static(b"again"))
                .await
                .expect("a reply");
            let held = table.bury(lease, Death::new("no")).await.expect("a reply");
            assert_eq!(held, Hold::Held);
            let page = table.dead(None).await.expect("a reply");
            assert_eq!(page.deliveries[0].time_left + hour, callback);
            assert_eq!(table.revive(KEY).await.expect("a reply"), Revival::Revived);
            table.retention = Retention::default();
            let taken = table.resume(KEY, Owner::random(), TERM).await;
            let lease = taken.expect("a reply").expect("due").lease;
            let held = table.bury(lease, Death::new("no")).await.expect("a reply");
            assert_eq!(held, Hold::Held);
            let page = table.dead(None).await.expect("a reply");
            assert_eq!(page.deliveries[0].time_left + hour, callback);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_promise_whose_record_does_not_tell_its_deadline_has_it_by_the_retention() {
    let table = Table::new(true);
    let run = promise(&table).await;
    let mut stored = table.stored();
    let lease = r#""owner":"01010101010101010101010101010101","run":1,"attempt":0"#;
    stored.state = format!(r#"{{"version":1,"stage":"promised",{lease},"held":true}}"#);
    table.put(stored);
    let held = table.bury(run, Death::new("no")).await.expect("a reply");
    assert_eq!(held, Hold::Held);
    let page = table.dead(None).await.expect("a reply");
    let callback = Retention::default().callback();
    assert_eq!(page.deliveries[0].time_left, callback);
}

#[tokio::test(start_paused = true)]
async fn secrets_are_kept_no_longer_than_they_are_needed() {
    let secrets = |table: &Table| {
        let stored = table.stored();
        let debug = format!("{stored:?}");
        assert!(!debug.contains("secret"), "{debug}");
        (
            stored.delivery.is_some(),
            stored.answer.is_some(),
            stored.listed,
        )
    };
    let promised = Some(Listed::Promised);
    let table = Table::new(true);
    let run = start(&table).await;
    assert_eq!(secrets(&table), (false, false, None));
    let answer = RecordedAnswer::new(200, "{}");
    let finished = table.finish(run, answer).await.expect("a reply");
    assert_eq!(finished, Finished::Answered);
    assert_eq!(secrets(&table), (false, true, None));

    let table = Table::new(true);
    let sending = store(&table).await;
    assert_eq!(secrets(&table), (true, true, promised));
    let held = table.called_back(sending).await.expect("a reply");
    assert_eq!(held, Hold::Held);
    assert_eq!(secrets(&table), (false, false, None));

    let table = Table::new(true);
    let run = promise(&table).await;
    assert_eq!(secrets(&table), (true, false, promised));
    let held = table
        .bury(run, Death::new("too late"))
        .await
        .expect("a reply");
    assert_eq!(held, Hold::Held);
    assert_eq!(secrets(&table), (true, false, Some(Listed::Dead)));

    let table = Table::new(true);
    let sending = store(&table).await;
    let held = table
        .bury(sending, Death::new("refused"))
        .await
        .expect("a reply");
    assert_eq!(held, Hold::Held);
    assert_eq!(secrets(&table), (true, true, Some(Listed::Dead)));
    let page = table.dead(None).await.expect("a reply");
    assert_eq!(page.deliveries.len(), 1);
    assert!(!format!("{page:?}").contains("secret"), "{page:?}");
    assert_eq!(table.revive(KEY).await.expect("a reply"), Revival::Revived);
    assert_eq!(secrets(&table), (true, true, promised));
    let taken = table
        .resume(KEY, Owner::random(), TERM)
        .await
        .expect("a reply");
    let held = table.called_back(taken.expect("due").lease).await;
    assert_eq!(held.expect("a reply"), Hold::Held);
    assert_eq!(secrets(&table), (false, false, None));

    let step = Step::promise(Retention::default(), run, Bytes::from_static(b"secret"));
    let guess = step.guess().expect("one");
    assert!(matches!(&guess.change.delivery, Write::Replace(bytes) if bytes == "secret"));
    for debug in [format!("{step:?}"), format!("{guess:?}")] {
        assert!(!debug.contains("secret"), "{debug}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_of_a_newer_version_is_left_alone() {
    let table = Table::new(true);
    let lease = promise(&table).await;
    let mut newer = table.stored();
    newer.state = r#"{"version":2,"stage":"unheard of","owner":7}"#.to_owned();
    newer.due_at = 0;
    table.put(newer.clone());

    for error in [
        table
            .claim(KEY, Owner::random(), TERM)
            .await
            .expect_err("newer"),
        table.find(KEY).await.expect_err("newer"),
    ] {
        assert_eq!(
            error.to_string(),
            "the delivery's record is of a newer version"
        );
    }
    let answer = RecordedAnswer::new(200, "{}");
    let finished = table.finish(lease, answer).await.expect("a reply");
    assert_eq!(finished, Finished::Lost);
    for hold in [
        table.renew(lease, TERM).await,
        table.promise(lease, Bytes::new()).await,
        table.release(lease, TERM).await,
        table.postpone(lease, TERM, Posted::No).await,
        table.called_back(lease).await,
        table.bury(lease, Death::new("dead")).await,
    ] {
        assert_eq!(hold.expect("a reply"), Hold::Lost);
    }
    assert_eq!(table.begin(lease, TERM).await.expect("a reply"), None);
    table.refresh(KEY, Bytes::new()).await.expect("a reply");
    let owner = Owner::random();
    assert_eq!(table.resume(KEY, owner, TERM).await.expect("a reply"), None);
    assert_eq!(
        table.take(Name::NONE, owner, TERM).await.expect("a reply"),
        None
    );
    let error = table.revive(KEY).await.expect_err("newer");
    assert_eq!(
        error.to_string(),
        "the delivery's record is of a newer version"
    );
    newer.listed = Some(Listed::Dead);
    table.put(newer.clone());
    let page = table.dead(None).await.expect("a reply");
    assert_eq!((page.deliveries, page.next), (vec![], Some(KEY)));
    assert_eq!(table.stored(), newer, "nothing changed");
    // Nor when it seems to have expired.
    advance(30 * 24 * 60 * 60 * Duration::from_secs(1)).await;
    table.claim(KEY, owner, TERM).await.expect_err("newer");
    assert_eq!(table.stored(), newer, "nothing changed");
}

#[tokio::test(start_paused = true)]
async fn a_damaged_record_is_an_error_and_does_not_block_the_others() {
    let table = Table::new(true);
    promise(&table).await;
    let mut good = table.stored();
    good.due_at = 0;
    let lease = r#""owner":"01010101010101010101010101010101","run":1,"attempt":0,"held":true"#;
    let damaged = [
        "",
        "null",
        "{}",
        r#"{"version":0}"#,
        r#"{"version":"1"}"#,
        r#"{"version":1,"stage":"promised"}"#,
        r#"{"version":1,"stage":"asleep",LEASE}"#,
        r#"{"version":1,"stage":"stored",LEASE,"status":200}"#,
        r#"{"version":1,"stage":"answered",LEASE}"#,
        r#"{"version":1,"stage":"dead",LEASE}"#,
        r#"{"version":1,"stage":"running","owner":"+1010101010101010101010101010101","run":1,"attempt":0,"held":true}"#,
        r#"{"version":1,"stage":"running","owner":"01","run":1,"attempt":0,"held":true}"#,
    ];
    for state in damaged {
        let state = state.replace("LEASE", lease);
        let mut stored = good.clone();
        stored.state.clone_from(&state);
        table.put(stored.clone());
        let error = table
            .claim(KEY, Owner::random(), TERM)
            .await
            .expect_err(&state);
        assert_eq!(
            error.to_string(),
            "the delivery's record is damaged",
            "{state}"
        );
        assert_eq!(table.stored(), stored, "nothing changed");
    }
    // A promise without its delivery.
    let mut empty = good.clone();
    empty.delivery = None;
    table.put(empty);
    let taken = table.resume(KEY, Owner::random(), TERM).await;
    assert_eq!(
        taken.expect_err("damaged").to_string(),
        "the delivery's record is damaged"
    );

    // Five more come first, and one that can be taken last.
    let mut rows = mem::take(&mut *table.rows.lock().expect("no panic"));
    let (_, (revision, damaged)) = rows.drain().next().expect("one");
    for number in 10..15 {
        let key = DeliveryKey::from_bytes([number; 32]);
        rows.insert(key, (revision, damaged.clone()));
    }
    good.due_at = 1;
    rows.insert(KEY, (revision, good));
    *table.rows.lock().expect("no panic") = rows;
    let taken = table.take(Name::NONE, Owner::random(), TERM).await;
    assert_eq!(taken.expect("a reply").expect("due").lease.key(), KEY);
}

#[tokio::test(start_paused = true)]
async fn a_record_expires_and_nothing_of_it_is_left_in_the_next() {
    let mut table = Table::new(true);
    let (finished, callback) = (Duration::from_secs(3_600), Duration::from_secs(86_400));
    table.retention = Retention::new(finished, callback).expect("in range");
    let left = |table: &Table| Duration::from_millis(table.stored().expires_at - table.now());
    let run = start(&table).await;
    assert_eq!(left(&table), TERM + finished);
    let held = table.promise(run, Bytes::from_static(b"work")).await;
    assert_eq!(held.expect("a reply"), Hold::Held);
    assert_eq!(left(&table), callback + finished);
    // However often it is taken over, and even if the retention is another now.
    advance(Duration::from_secs(60)).await;
    table.retention = Retention::default();
    assert_eq!(table.renew(run, TERM).await.expect("a reply"), Hold::Held);
    assert_eq!(left(&table) + Duration::from_secs(60), callback + finished);

    advance(callback + finished).await;
    assert_eq!(table.find(KEY).await.expect("a reply"), None);
    assert_eq!(start(&table).await.run(), 1);
    assert_eq!(
        table.find(KEY).await.expect("a reply"),
        Some(Standing::Running)
    );
    let stored = table.stored();
    assert_eq!(
        (stored.delivery, stored.answer, stored.listed),
        (None, None, None)
    );
}

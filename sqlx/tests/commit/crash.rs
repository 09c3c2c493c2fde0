//! A receiver's process ends in the middle, and another one continues.

use std::env;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::sync::atomic::Ordering;
use std::time::Duration;

use support::callback::{Script, status};
use tokio::process::Command;
use tokio::time::timeout;
use tower_conductorone::DeliverOnceLayer;

use crate::books::{Books, Fate};
use crate::cases::called_back;
use crate::receiver::{COMPLETE, Receiver, posts, statuses};

/// The signal of `abort`, which ends a process as suddenly as SIGKILL.
const ABORTED: i32 = 6;

#[derive(Clone, Copy)]
enum Way {
    Answer,
    Callback,
}

/// In the process that ends.
pub(crate) async fn crashes<B: Books>() {
    let (Ok(url), Ok(when), Ok(way)) = (
        env::var("C1_DATABASE"),
        env::var("C1_WHEN"),
        env::var("C1_WAY"),
    ) else {
        return;
    };
    let fate = match when.as_str() {
        "before" => Fate::CrashBefore,
        _ => Fate::CrashAfter,
    };
    let receiver = Receiver::new(B::open(&url).await, &[fate]);
    let once = match way.as_str() {
        // Answered 202 in the handler's stead.
        "callback" => {
            receiver.is_slow.store(true, Ordering::Relaxed);
            posts(&Script::new([status(200)])).answer_within(Duration::from_millis(50))
        }
        _ => DeliverOnceLayer::builder(),
    };
    receiver.deliver_by(once, 1).await;
    std::future::pending::<()>().await;
}

/// Books in which a process has ended.
async fn crashed<B: Books>(fate: Fate, way: Way) -> B {
    let books = B::new().await;
    let process = Command::new(env::current_exe().expect("this"))
        .args(["--ignored", "--exact", B::CRASHES])
        .env("C1_DATABASE", books.url())
        .env(
            "C1_WHEN",
            if fate == Fate::CrashBefore {
                "before"
            } else {
                "after"
            },
        )
        .env(
            "C1_WAY",
            if let Way::Callback = way {
                "callback"
            } else {
                "answer"
            },
        )
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .status();
    let ended = timeout(Duration::from_mins(1), process).await;
    let ended = ended.expect("an end").expect("a process");
    assert_eq!(ended.signal(), Some(ABORTED), "{ended}");
    let expected = i64::from(fate == Fate::CrashAfter);
    assert_eq!(books.rows().await, expected, "the commit decides");
    // As if time had passed.
    books.execute(B::EXPIRE).await;
    books
}

/// ConductorOne tries again, twice. Returns how often the handler ran.
async fn tries_again<B: Books>(books: B) -> u32 {
    let receiver = Receiver::new(books, &[Fate::Good]);
    let answers = receiver.deliver(2).await;
    assert_eq!(statuses(&answers), [200; 2]);
    assert_eq!(answers[0].body(), COMPLETE);
    assert_eq!(receiver.books.rows().await, 1);
    receiver.runs()
}

/// Another process resumes promised deliveries. Returns how often the handler ran.
async fn resumes<B: Books>(books: B) -> u32 {
    let receiver = Receiver::new(books, &[Fate::Good]);
    let script = Script::new([status(200)]);
    let once = receiver.layer(posts(&script).lease(Duration::from_secs(9)));
    let recovering = tokio::spawn(once.recover(receiver.handler()));
    called_back(&receiver.books).await;
    let drained = once.drain().await;
    assert!(drained.is_complete());
    recovering.await.expect("no panic");
    assert_eq!(script.documents(), [COMPLETE]);
    assert_eq!(receiver.books.rows().await, 1);
    receiver.runs()
}

pub(crate) async fn a_crash_before_the_commit_leaves_the_work_to_the_next_attempt<B: Books>() {
    let books: B = crashed(Fate::CrashBefore, Way::Answer).await;
    assert_eq!(tries_again(books).await, 1);
}

pub(crate) async fn a_crash_after_the_commit_leaves_the_answer<B: Books>() {
    let books: B = crashed(Fate::CrashAfter, Way::Answer).await;
    assert_eq!(tries_again(books).await, 0);
}

pub(crate) async fn promised_work_outlives_a_crash_before_the_commit<B: Books>() {
    let books: B = crashed(Fate::CrashBefore, Way::Callback).await;
    assert_eq!(resumes(books).await, 1);
}

pub(crate) async fn a_promised_answer_outlives_a_crash_after_the_commit<B: Books>() {
    let books: B = crashed(Fate::CrashAfter, Way::Callback).await;
    assert_eq!(resumes(books).await, 0);
}

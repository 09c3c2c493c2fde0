//! What holds in each database.

use std::time::Duration;

use support::DOMAIN;
use support::callback::{PROVISION, Script, status};
use tokio::time::{sleep, timeout};
use tower_conductorone::event::Outcome;
use tower_conductorone::ledger::{
    Claimed, DeliveryKey, Finished, Ledger, Owner, RecordedAnswer, Standing,
};
use tower_conductorone::testing::FakeTenant;
use tower_conductorone::{DeliveryHandle, Webhook};
use tower_conductorone_sqlx::CommitError;

use crate::books::{Books, Fate};
use crate::receiver::{COMPLETE, Receiver, by_callback, statuses};

macro_rules! cases {
    ($Books:ty) => {
        crate::cases::cases! { $Books:
            cases::the_work_and_the_answer_are_there_together,
            cases::work_that_was_not_committed_is_done_again,
            cases::work_that_was_committed_is_never_done_again,
            cases::a_handler_that_lost_its_lease_cannot_commit,
            cases::the_answer_of_a_promised_delivery_goes_to_its_callback,
            cases::a_unit_test_can_call_a_handler_that_commits,
            cases::work_that_is_repeated_in_its_run_is_committed_once,
            cases::work_is_committed_though_its_answer_is_recorded_without_it,
            crash::a_crash_before_the_commit_leaves_the_work_to_the_next_attempt,
            crash::a_crash_after_the_commit_leaves_the_answer,
            crash::promised_work_outlives_a_crash_before_the_commit,
            crash::a_promised_answer_outlives_a_crash_after_the_commit,
        }

        #[tokio::test]
        #[ignore = "a part of other tests"]
        async fn crashes() {
            crate::crash::crashes::<$Books>().await;
        }
    };
    ($Books:ty: $($module:ident::$name:ident,)+) => {$(
        #[tokio::test]
        async fn $name() {
            crate::$module::$name::<$Books>().await;
        }
    )+};
}
pub(crate) use cases;

/// Waits until ConductorOne has the answer of the only delivery.
pub(crate) async fn called_back(books: &impl Books) {
    for _ in 0..600 {
        if books.state().await.contains(r#""stage":"called_back""#) {
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
    panic!("{}", books.state().await);
}

pub(crate) async fn the_work_and_the_answer_are_there_together<B: Books>() {
    let receiver = Receiver::new(B::new().await, &[Fate::Good]);
    let answers = receiver.deliver(3).await;
    assert_eq!(statuses(&answers), [200; 3]);
    for answer in answers {
        assert_eq!(answer.body(), COMPLETE);
    }
    assert_eq!(receiver.runs(), 1);
    assert_eq!(receiver.books.rows().await, 1);
}

pub(crate) async fn work_that_was_not_committed_is_done_again<B: Books>() {
    let mut fates = vec![Fate::PanicBefore, Fate::Fails, Fate::WrongDocument];
    fates.extend(B::TROUBLE);
    let mut expected = vec![500; 3];
    expected.extend(B::TROUBLE.iter().map(|_| 503));
    fates.push(Fate::Good);
    expected.extend([200, 200]);
    let receiver = Receiver::new(B::new().await, &fates);
    let answers = receiver.deliver(expected.len()).await;
    assert_eq!(statuses(&answers), expected);
    assert_eq!(receiver.runs() as usize, fates.len());
    assert_eq!(receiver.books.rows().await, 1);
    let errors = receiver.errors.lock().expect("no panic");
    let (unusable, trouble) = errors.split_at(2);
    let is_unusable = |error: &_| matches!(error, CommitError::Unusable(_));
    assert!(unusable.iter().all(is_unusable), "{errors:?}");
    assert_eq!(trouble.len(), B::TROUBLE.len());
    let is_trouble = |error: &_| matches!(error, CommitError::Ledger(_));
    assert!(trouble.iter().all(is_trouble), "{errors:?}");
}

pub(crate) async fn work_that_was_committed_is_never_done_again<B: Books>() {
    let receiver = Receiver::new(B::new().await, &[Fate::PanicAfter]);
    let answers = receiver.deliver(3).await;
    assert_eq!(statuses(&answers), [200; 3]);
    assert_eq!(receiver.runs(), 1);
    assert_eq!(receiver.books.rows().await, 1);
}

pub(crate) async fn a_handler_that_lost_its_lease_cannot_commit<B: Books>() {
    let receiver = Receiver::new(B::new().await, &[Fate::LosesLease]);
    let limit = Duration::from_secs(20);
    let answers = timeout(limit, receiver.deliver(1)).await;
    assert_eq!(statuses(&answers.expect("an answer")), [503]);
    assert_eq!(receiver.books.rows().await, 0);
    let errors = receiver.errors.lock().expect("no panic");
    assert!(matches!(errors[..], [CommitError::LeaseLost]), "{errors:?}");
}

pub(crate) async fn the_answer_of_a_promised_delivery_goes_to_its_callback<B: Books>() {
    let receiver = Receiver::new(B::new().await, &[Fate::Good]);
    let script = Script::new([status(200)]);
    let answers = receiver.deliver_by(by_callback(&script), 2).await;
    assert_eq!(statuses(&answers), [202, 202]);
    called_back(&receiver.books).await;
    assert_eq!(script.documents(), [COMPLETE]);
    assert_eq!(receiver.runs(), 1);
    assert_eq!(receiver.books.rows().await, 1);
}

/// A claimed delivery, and the handle of its run.
async fn claimed(books: &impl Books) -> (Webhook, DeliveryHandle) {
    let tenant = FakeTenant::new(DOMAIN);
    let webhook = tenant.delivery(PROVISION).unverified_webhook();
    let (key, term) = (DeliveryKey::of(&webhook), Duration::from_secs(45));
    let claimed = books.ledger().claim(key, Owner::random(), term).await;
    let Ok(Claimed::Started(lease)) = claimed else {
        panic!("{claimed:?}");
    };
    let delivery = DeliveryHandle::for_test(&webhook, lease);
    (webhook, delivery)
}

pub(crate) async fn a_unit_test_can_call_a_handler_that_commits<B: Books>() {
    let books = B::new().await;
    let (webhook, delivery) = claimed(&books).await;
    let outcome = Outcome::gone_for_good();
    let worked = books.work(&delivery, webhook.id(), outcome, Fate::Good);
    assert_eq!(worked.await.expect("a commit").status(), 410);
    assert_eq!(books.rows().await, 1);
    let key = delivery.lease().key();
    let standing = books.ledger().find(key).await.expect("a reply");
    let gone = Standing::Answered(RecordedAnswer::new(410, ""));
    assert_eq!(standing, Some(gone));
}

pub(crate) async fn work_that_is_repeated_in_its_run_is_committed_once<B: Books>() {
    let books = B::new().await;
    let (webhook, delivery) = claimed(&books).await;
    for _ in 0..3 {
        let outcome = Outcome::gone_for_good();
        let worked = books.work(&delivery, webhook.id(), outcome, Fate::Good);
        assert_eq!(worked.await.expect("a commit").status(), 410);
        assert_eq!(books.rows().await, 1);
    }
}

pub(crate) async fn work_is_committed_though_its_answer_is_recorded_without_it<B: Books>() {
    let books = B::new().await;
    let (webhook, delivery) = claimed(&books).await;
    let answer = RecordedAnswer::new(410, "");
    let finished = books.ledger().finish(delivery.lease(), answer).await;
    assert_eq!(finished.expect("a reply"), Finished::Answered);
    for _ in 0..2 {
        let outcome = Outcome::gone_for_good();
        let worked = books.work(&delivery, webhook.id(), outcome, Fate::Good);
        assert_eq!(worked.await.expect("a commit").status(), 410);
        assert_eq!(books.rows().await, 1);
    }
}

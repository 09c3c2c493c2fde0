//! The handler's work and the delivery's answer in one transaction.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use sqlx::{PgPool, query, query_scalar};
use support::callback::{PROVISION, Script, own_url, status};
use support::{DOMAIN, builder};
use tower::{Layer, service_fn};
use tower_conductorone::callback::CallbackClient;
use tower_conductorone::deliver_once::DeliverOnceBuilder;
use tower_conductorone::event::{Acknowledgement, Comment, Outcome, Payload, ProvisionReply};
use tower_conductorone::testing::{Delivery, FakeTenant, TestResponse};
use tower_conductorone::{DeliverOnceLayer, DeliveryHandle, ReplayPolicy, SystemClock, Webhook};
use tower_conductorone_sqlx::{CommitError, PostgresLedger};

use crate::{ledger, pool};

const TEST: &str = "c1.webhooks.v1.PayloadTest";

/// What happens in a run of the handler.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Good,
    /// It crashes before it commits.
    CrashBefore,
    /// It crashes after it has committed.
    CrashAfter,
    /// Another process takes over before it commits.
    LosesLease,
    /// The database ends the connection before the commit.
    LosesConnection,
    /// It commits what is no answer.
    Fails,
}

struct Receiver {
    pool: PgPool,
    ledger: PostgresLedger,
    fates: Mutex<Vec<Fate>>,
    runs: AtomicU32,
    errors: Mutex<Vec<CommitError>>,
}

impl Receiver {
    async fn new(fates: &[Fate]) -> Arc<Self> {
        let pool = pool(8).await;
        let ledger = ledger(&pool).await;
        // No constraint keeps a second row out.
        query("CREATE TABLE grants (webhook_id text)")
            .execute(&pool)
            .await
            .expect("a table");
        let fates = fates.iter().rev().copied().collect();
        Arc::new(Self {
            pool,
            ledger,
            fates: Mutex::new(fates),
            runs: AtomicU32::new(0),
            errors: Mutex::default(),
        })
    }

    async fn handle(&self, request: Request<Full<Bytes>>) -> Outcome {
        self.runs.fetch_add(1, Ordering::Relaxed);
        let fate = self.fates.lock().expect("no panic").pop().expect("a fate");
        let webhook = request.extensions().get::<Webhook>().expect("verified");
        let delivery = request
            .extensions()
            .get::<DeliveryHandle>()
            .expect("a handle");
        let mut transaction = self.pool.begin().await.expect("a transaction");
        query("INSERT INTO grants VALUES ($1)")
            .bind(webhook.id())
            .execute(&mut *transaction)
            .await
            .expect("a row");
        let outcome = match webhook.payload() {
            Ok(Payload::Test(_)) if fate == Fate::Fails => Outcome::failed(),
            Ok(Payload::Test(test)) => test.answer(Acknowledgement::new()),
            Ok(Payload::ProvisionStep(step)) => {
                step.answer(ProvisionReply::complete(Comment::none()))
            }
            other => panic!("{other:?}"),
        };
        match fate {
            Fate::CrashBefore => panic!("before the commit"),
            Fate::LosesLease => {
                let other =
                    "UPDATE c1_deliveries SET state = replace(state, '\"run\":1', '\"run\":2')";
                query(other).execute(&self.pool).await.expect("a row");
            }
            Fate::LosesConnection => {
                let pid: i32 = query_scalar("SELECT pg_backend_pid()")
                    .fetch_one(&mut *transaction)
                    .await
                    .expect("a number");
                let end = query("SELECT pg_terminate_backend($1)").bind(pid);
                end.execute(&self.pool).await.expect("it may");
            }
            Fate::Good | Fate::CrashAfter | Fate::Fails => {}
        }
        let committed = self.ledger.commit(transaction, delivery, outcome).await;
        assert!(fate != Fate::CrashAfter, "after the commit");
        committed.unwrap_or_else(|error| {
            let outcome = error.outcome();
            self.errors.lock().expect("no panic").push(error);
            outcome
        })
    }

    /// What ConductorOne gets for each of its attempts at one delivery.
    async fn deliver(self: &Arc<Self>, attempts: usize) -> Vec<TestResponse> {
        let once = DeliverOnceLayer::builder();
        self.deliver_by(once, attempts, |tenant| tenant.delivery(TEST))
            .await
    }

    async fn deliver_by(
        self: &Arc<Self>,
        once: DeliverOnceBuilder,
        attempts: usize,
        delivery: impl FnOnce(&FakeTenant) -> Delivery,
    ) -> Vec<TestResponse> {
        let tenant = FakeTenant::new(DOMAIN);
        let this = Arc::clone(self);
        let handler = service_fn(move |request| {
            let this = Arc::clone(&this);
            async move {
                let outcome = this.handle(request).await;
                Ok::<Response<Full<Bytes>>, Infallible>(outcome.response())
            }
        });
        let once = once.ledger("hooks", self.ledger.clone());
        let verify = builder(&tenant)
            .clock(SystemClock)
            .replay_policy(ReplayPolicy::Mark);
        let verify = verify.build().expect("a good configuration");
        let once = once.build().expect("a good configuration");
        let mut service = verify.layer(once.layer(handler));
        let delivery = delivery(&tenant);
        let mut answers = Vec::new();
        for _ in 0..attempts {
            answers.push(delivery.call(&mut service).await);
        }
        answers
    }

    async fn rows(&self) -> i64 {
        let count = query_scalar("SELECT count(*) FROM grants").fetch_one(&self.pool);
        count.await.expect("a count")
    }
}

fn statuses(answers: &[TestResponse]) -> Vec<u16> {
    answers
        .iter()
        .map(|answer| answer.status().as_u16())
        .collect()
}

#[tokio::test]
async fn the_work_and_the_answer_are_there_together() {
    let receiver = Receiver::new(&[Fate::Good]).await;
    let answers = receiver.deliver(3).await;
    assert_eq!(statuses(&answers), [200; 3]);
    for answer in answers {
        assert_eq!(answer.body(), r#"{"version":"v1"}"#);
    }
    assert_eq!(receiver.runs.load(Ordering::Relaxed), 1);
    assert_eq!(receiver.rows().await, 1);
}

#[tokio::test]
async fn work_that_was_not_committed_is_done_again() {
    let fates = [
        Fate::CrashBefore,
        Fate::LosesConnection,
        Fate::Fails,
        Fate::Good,
    ];
    let receiver = Receiver::new(&fates).await;
    let answers = receiver.deliver(5).await;
    assert_eq!(statuses(&answers), [500, 503, 500, 200, 200]);
    assert_eq!(receiver.runs.load(Ordering::Relaxed), 4);
    assert_eq!(receiver.rows().await, 1);
    let errors = receiver.errors.lock().expect("no panic");
    assert!(
        matches!(
            errors[..],
            [CommitError::Ledger(_), CommitError::Unusable(_)]
        ),
        "{errors:?}"
    );
}

#[tokio::test]
async fn work_that_was_committed_is_never_done_again() {
    let receiver = Receiver::new(&[Fate::CrashAfter]).await;
    let answers = receiver.deliver(3).await;
    assert_eq!(statuses(&answers), [200; 3]);
    assert_eq!(receiver.runs.load(Ordering::Relaxed), 1);
    assert_eq!(receiver.rows().await, 1);
}

#[tokio::test]
async fn a_handler_that_lost_its_lease_cannot_commit() {
    let receiver = Receiver::new(&[Fate::LosesLease]).await;
    let delivering = receiver.deliver(1);
    let limit = Duration::from_secs(20);
    let answers = tokio::time::timeout(limit, delivering)
        .await
        .expect("an answer");
    assert_eq!(answers[0].status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(receiver.rows().await, 0);
    let errors = receiver.errors.lock().expect("no panic");
    assert!(matches!(errors[..], [CommitError::LeaseLost]), "{errors:?}");
}

#[tokio::test]
async fn the_answer_of_a_promised_delivery_goes_to_its_callback() {
    let receiver = Receiver::new(&[Fate::Good]).await;
    let script = Script::new([status(200)]);
    let client = CallbackClient::builder().post(script.clone()).build();
    let once = DeliverOnceLayer::builder()
        .callbacks(client.expect("a good configuration"))
        .always_by_callback();
    let url = own_url();
    let answers = receiver
        .deliver_by(once, 2, |tenant| {
            tenant.delivery(PROVISION).callback_url(Some(&url))
        })
        .await;
    assert_eq!(statuses(&answers), [202, 202]);
    let stage = "SELECT state::json->>'stage' FROM c1_deliveries";
    for _ in 0..200 {
        let stage: String = query_scalar(stage)
            .fetch_one(&receiver.pool)
            .await
            .expect("a row");
        if stage == "called_back" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(script.documents(), [r#"{"complete":{},"version":"v1"}"#]);
    assert_eq!(receiver.runs.load(Ordering::Relaxed), 1);
    assert_eq!(receiver.rows().await, 1);
}

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use support::callback::{Script, own_url};
use support::{DOMAIN, builder};
use tokio::time::sleep;
use tower::util::BoxCloneService;
use tower::{Layer, service_fn};
use tower_conductorone::callback::CallbackClient;
use tower_conductorone::deliver_once::DeliverOnceBuilder;
use tower_conductorone::event::{
    Acknowledgement, Comment, Outcome, Payload, ProvisionReply, Test as TestEvent,
};
use tower_conductorone::testing::{FakeTenant, Fixture, TestResponse};
use tower_conductorone::{DeliverOnceLayer, DeliveryHandle, ReplayPolicy, SystemClock, Webhook};
use tower_conductorone_sqlx::CommitError;

use crate::books::{Books, Fate};

/// The document that completes a provisioning step.
pub(crate) const COMPLETE: &str = r#"{"complete":{},"version":"v1"}"#;

type Handler = BoxCloneService<Request<Full<Bytes>>, Response<Full<Bytes>>, Infallible>;

/// A receiver whose handler works in a database.
pub(crate) struct Receiver<B> {
    pub(crate) books: B,
    fates: Mutex<Vec<Fate>>,
    runs: AtomicU32,
    /// Whether a run begins its work once the delivery is promised.
    pub(crate) is_slow: AtomicBool,
    pub(crate) errors: Mutex<Vec<CommitError>>,
}

impl<B: Books> Receiver<B> {
    /// One whose runs have these fates.
    pub(crate) fn new(books: B, fates: &[Fate]) -> Arc<Self> {
        Arc::new(Self {
            books,
            fates: Mutex::new(fates.iter().rev().copied().collect()),
            runs: AtomicU32::new(0),
            is_slow: AtomicBool::new(false),
            errors: Mutex::default(),
        })
    }

    pub(crate) fn runs(&self) -> u32 {
        self.runs.load(Ordering::Relaxed)
    }

    async fn handle(&self, request: Request<Full<Bytes>>) -> Outcome {
        self.runs.fetch_add(1, Ordering::Relaxed);
        let fate = self.fates.lock().expect("no panic").pop().expect("a fate");
        let extensions = request.extensions();
        let webhook = extensions.get::<Webhook>().expect("verified");
        let delivery = extensions.get::<DeliveryHandle>().expect("a handle");
        let Ok(Payload::ProvisionStep(step)) = webhook.payload() else {
            panic!("another event");
        };
        let outcome = match fate {
            Fate::Fails => Outcome::failed(),
            Fate::WrongDocument => TestEvent::default().answer(Acknowledgement::new()),
            _ => step.answer(ProvisionReply::complete(Comment::none())),
        };
        let books = &self.books;
        while self.is_slow.load(Ordering::Relaxed) && !books.state().await.contains("promised") {
            sleep(Duration::from_millis(10)).await;
        }
        let mut worked = books.work(delivery, webhook.id(), outcome, fate).await;
        if let (Fate::Repeats, Err(CommitError::Ledger(_))) = (fate, &worked) {
            let outcome = step.answer(ProvisionReply::complete(Comment::none()));
            let again = books.work(delivery, webhook.id(), outcome, fate).await;
            let error = std::mem::replace(&mut worked, again).expect_err("matched");
            self.errors.lock().expect("no panic").push(error);
        }
        worked.unwrap_or_else(|error| {
            let outcome = error.outcome();
            self.errors.lock().expect("no panic").push(error);
            outcome
        })
    }

    pub(crate) fn handler(self: &Arc<Self>) -> Handler {
        let this = Arc::clone(self);
        BoxCloneService::new(service_fn(move |request| {
            let this = Arc::clone(&this);
            async move { Ok(this.handle(request).await.response()) }
        }))
    }

    pub(crate) fn layer(&self, once: DeliverOnceBuilder) -> DeliverOnceLayer {
        let once = once.ledger("hooks", self.books.ledger().clone());
        once.build().expect("a good configuration")
    }

    /// What ConductorOne gets for each of its attempts at one delivery.
    pub(crate) async fn deliver(self: &Arc<Self>, attempts: usize) -> Vec<TestResponse> {
        self.deliver_by(DeliverOnceLayer::builder(), attempts).await
    }

    pub(crate) async fn deliver_by(
        self: &Arc<Self>,
        once: DeliverOnceBuilder,
        attempts: usize,
    ) -> Vec<TestResponse> {
        let tenant = FakeTenant::new(DOMAIN);
        let verify = builder(&tenant)
            .clock(SystemClock)
            .replay_policy(ReplayPolicy::Mark);
        let verify = verify.build().expect("a good configuration");
        let mut service = verify.layer(self.layer(once).layer(self.handler()));
        // The same in each process.
        let fixture = Fixture::named("provision_step/grant.full").expect("one of many");
        let delivery = tenant
            .delivery(fixture.event())
            .payload(fixture.payload())
            .webhook_id("the only one")
            .callback_url(Some(&own_url()));
        let mut answers = Vec::new();
        for _ in 0..attempts {
            answers.push(delivery.call(&mut service).await);
        }
        answers
    }
}

/// Posts by this script.
pub(crate) fn posts(script: &Script) -> DeliverOnceBuilder {
    let client = CallbackClient::builder().post(script.clone()).build();
    DeliverOnceLayer::builder().callbacks(client.expect("a good configuration"))
}

/// Answers 202 at once.
pub(crate) fn by_callback(script: &Script) -> DeliverOnceBuilder {
    posts(script).always_by_callback()
}

pub(crate) fn statuses(answers: &[TestResponse]) -> Vec<u16> {
    let statuses = answers.iter().map(|answer| answer.status().as_u16());
    statuses.collect()
}

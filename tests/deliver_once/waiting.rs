//! Which requests are in flight and which wait for another's run, as observers see it.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use support::body::{Script, Step};
use support::{DOMAIN, TEST_EVENT, builder, now};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tower::{Layer as _, ServiceExt, service_fn};
use tower_conductorone::ledger::MemoryLedger;
use tower_conductorone::observe::{Observer, Wait};
use tower_conductorone::testing::{Delivery, FakeTenant};
use tower_conductorone::{DeliverOnceLayer, VerifyWebhookLayer};

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn delivery(tenant: &FakeTenant) -> Delivery {
    tenant.delivery(TEST_EVENT).issued_at(now())
}

/// Requests in flight, and those of them that wait.
#[derive(Clone, Debug, Default)]
struct Now(Arc<[AtomicI64; 2]>);

impl Now {
    fn get(&self) -> (i64, i64) {
        let [in_flight, waiting] = &*self.0;
        (
            in_flight.load(Ordering::SeqCst),
            waiting.load(Ordering::SeqCst),
        )
    }

    fn add(&self, which: usize, by: i64) {
        self.0[which].fetch_add(by, Ordering::SeqCst);
    }
}

impl Observer for Now {
    fn request_started(&self) {
        self.add(0, 1);
    }

    fn request_ended(&self) {
        self.add(0, -1);
    }

    fn wait_started(&self, wait: &Wait<'_>) {
        assert_eq!((wait.tenant(), wait.event()), (DOMAIN, TEST_EVENT));
        self.add(1, 1);
    }

    fn wait_ended(&self, _: &Wait<'_>) {
        self.add(1, -1);
    }
}

/// A replica whose handler takes this long, or panics if that is `None`.
struct Replica {
    verify: VerifyWebhookLayer,
    once: DeliverOnceLayer,
    takes: Option<Duration>,
}

impl Replica {
    fn new(tenant: &FakeTenant, now: &Now, takes: Option<Duration>) -> Self {
        Self::sharing(&Arc::default(), tenant, now, takes)
    }

    fn sharing(
        ledger: &Arc<MemoryLedger>,
        tenant: &FakeTenant,
        now: &Now,
        takes: Option<Duration>,
    ) -> Self {
        let once = DeliverOnceLayer::builder()
            .ledger("", Arc::clone(ledger))
            .lease(secs(3))
            .join_timeout(secs(9))
            .drain_timeout(secs(1))
            .observer(now.clone());
        Self {
            verify: builder(tenant).observer(now.clone()).build().expect("good"),
            once: once.build().expect("good"),
            takes,
        }
    }

    fn send(&self, delivery: &Delivery) -> JoinHandle<u16> {
        let takes = self.takes;
        let handler = service_fn(move |_: Request<Full<Bytes>>| async move {
            sleep(takes.expect("the handler panics, as this test wants it to")).await;
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(r#"{"version":"v1"}"#)))
        });
        let receiver = self.verify.layer(self.once.layer(handler));
        let request = delivery.retried().request();
        tokio::spawn(async move {
            let answer = receiver.oneshot(request).await.expect("infallible");
            answer.status().as_u16()
        })
    }
}

#[tokio::test(start_paused = true)]
async fn duplicates_wait_until_they_are_answered_or_gone() {
    let (tenant, now) = (FakeTenant::new(DOMAIN), Now::default());
    let replica = Replica::new(&tenant, &now, Some(secs(12)));
    let delivery = delivery(&tenant);
    let first = replica.send(&delivery);
    sleep(secs(1)).await;
    assert_eq!(now.get(), (1, 0), "the first one runs");
    let (too_late, hangs_up) = (replica.send(&delivery), replica.send(&delivery));
    sleep(secs(1)).await;
    assert_eq!(now.get(), (3, 2));
    hangs_up.abort();
    sleep(secs(1)).await;
    assert_eq!(now.get(), (2, 1), "one has hung up");
    sleep(secs(6)).await;
    let joins = replica.send(&delivery);
    sleep(secs(2)).await;
    assert_eq!(too_late.await.expect("no panic"), 503);
    assert_eq!(now.get(), (2, 1), "one has waited for 9 s");
    assert_eq!(first.await.expect("no panic"), 200);
    assert_eq!(joins.await.expect("no panic"), 200);
    assert_eq!(now.get(), (0, 0));
    // One that is answered already waits for nothing.
    assert_eq!(replica.send(&delivery).await.expect("no panic"), 200);
    assert_eq!(now.get(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn duplicates_of_a_run_that_panics_or_is_cut_off_wait_no_more() {
    let (tenant, now) = (FakeTenant::new(DOMAIN), Now::default());
    let panics = Replica::new(&tenant, &now, None);
    let delivery = delivery(&tenant);
    let (one, other) = (panics.send(&delivery), panics.send(&delivery));
    assert_eq!(one.await.expect("caught"), 500);
    assert_eq!(other.await.expect("caught"), 500);
    assert_eq!(now.get(), (0, 0));

    let hangs = Replica::new(&tenant, &now, Some(secs(3600)));
    let (one, other) = (hangs.send(&delivery), hangs.send(&delivery));
    sleep(secs(1)).await;
    assert_eq!(now.get(), (2, 1));
    assert!(!hangs.once.drain().await.is_complete());
    assert_eq!(
        (one.await.expect("cut off"), other.await.expect("cut off")),
        (503, 503)
    );
    assert_eq!(now.get(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn requests_wait_for_another_replica_until_it_answers() {
    let (tenant, now, ledger) = (FakeTenant::new(DOMAIN), Now::default(), Arc::default());
    let [one, other] = [(); 2].map(|()| Replica::sharing(&ledger, &tenant, &now, Some(secs(5))));
    let delivery = delivery(&tenant);
    let first = one.send(&delivery);
    sleep(secs(1)).await;
    assert_eq!(now.get(), (1, 0));
    // Its duplicate, and the duplicate's own.
    let [second, third] = [(); 2].map(|()| other.send(&delivery));
    sleep(secs(1)).await;
    assert_eq!(now.get(), (3, 2));
    second.abort();
    sleep(secs(1)).await;
    assert_eq!(now.get(), (2, 1));
    for answered in [first, third] {
        assert_eq!(answered.await.expect("no panic"), 200);
    }
    assert_eq!(now.get(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_takes_over_from_another_replica_waits_no_more() {
    let (tenant, now, ledger) = (FakeTenant::new(DOMAIN), Now::default(), Arc::default());
    let hangs = Replica::sharing(&ledger, &tenant, &now, Some(secs(3600)));
    let works = Replica::sharing(&ledger, &tenant, &now, Some(secs(20)));
    let delivery = delivery(&tenant);
    let first = hangs.send(&delivery);
    sleep(secs(1)).await;
    let second = works.send(&delivery);
    sleep(secs(1)).await;
    assert_eq!(now.get(), (2, 1));
    assert!(!hangs.once.drain().await.is_complete());
    assert_eq!(first.await.expect("cut off"), 503);
    sleep(secs(4)).await;
    assert_eq!(now.get(), (1, 0), "it runs the handler itself");
    let third = works.send(&delivery);
    sleep(secs(1)).await;
    assert_eq!(now.get(), (2, 1));
    assert_eq!(second.await.expect("no panic"), 200);
    // It has waited for 9 s.
    assert_eq!(third.await.expect("no panic"), 503);
    assert_eq!(now.get(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn requests_are_in_flight_until_they_are_refused_or_gone() {
    let now = Now::default();
    let tenant = FakeTenant::new(DOMAIN);
    let verify = builder(&tenant)
        .observer(now.clone())
        .build()
        .expect("good");
    let receiver = verify.layer(service_fn(async |_: Request<Full<Bytes>>| {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    }));
    let forged = delivery(&tenant).token("abc.def.ghi").request();
    let answer = receiver.clone().oneshot(forged).await.expect("infallible");
    assert_eq!(answer.status(), 401);
    assert_eq!(now.get(), (0, 0));
    // One whose body never ends.
    let request = delivery(&tenant)
        .request()
        .map(|_| Script::new([Step::Hang]));
    let request = tokio::spawn(receiver.oneshot(request));
    sleep(secs(1)).await;
    assert_eq!(now.get(), (1, 0));
    request.abort();
    assert!(request.await.is_err());
    assert_eq!(now.get(), (0, 0));
    // `verify` lets it through to what is no layer.
    let request = delivery(&tenant).request();
    assert!(verify.verify(request).await.is_ok());
    assert_eq!(now.get(), (0, 0));
}

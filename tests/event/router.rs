//! A handler of its own for each event.

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::{post, post_service};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use serde_json::{Value, json};
use support::callback::{Script, own_url, status};
use support::{DOMAIN, TEST_EVENT, builder, ledger, now, receiver};
use tokio::time::sleep;
use tower::{Layer, Service, ServiceBuilder};
use tower_conductorone::event::{
    Acknowledgement, ApprovalReply, Comment, Event, FindingDispatch, Outcome, PolicyApprovalStep,
    PolicyPostAction, ProvisionReply, ProvisionStep, Reply, Test, WorkflowReply, WorkflowStep,
};
use tower_conductorone::testing::{Delivery, EVENTS, FakeTenant, TestResponse};
use tower_conductorone::{
    DeliverOnceLayer, DeliveryHandle, DeliveryRun, EventRouter, ReplayPolicy, Typed, Webhook,
};

const UNKNOWN: &str = "c1.webhooks.v1.PayloadOfTomorrow";

/// What was called, in that order.
#[derive(Clone, Default)]
struct Calls(Arc<Mutex<Vec<String>>>);

impl Calls {
    fn add(&self, handler: &str, webhook: &Webhook) {
        let call = format!("{handler} {}", webhook.event());
        self.0.lock().expect("no panic").push(call);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().expect("no panic"))
    }

    /// A fallback that records its calls.
    fn fallback(&self) -> impl Fn(Webhook) -> std::future::Ready<Outcome> + Send + Sync + use<> {
        let calls = self.clone();
        move |webhook| {
            calls.add("fallback", &webhook);
            std::future::ready(Outcome::gone_for_good())
        }
    }
}

/// A handler that records its calls and answers with this reply.
fn handler<E: Event>(
    calls: &Calls,
    reply: E::Reply,
) -> impl Fn(Typed<E>) -> std::future::Ready<Outcome> + Send + Sync + use<E>
where
    E::Reply: Clone + Send + Sync,
{
    let calls = calls.clone();
    move |event| {
        calls.add("handler", event.webhook());
        std::future::ready(event.answer(reply.clone()))
    }
}

fn complete() -> ProvisionReply {
    ProvisionReply::complete(Comment::none())
}

fn delivery(tenant: &FakeTenant, event: &str) -> Delivery {
    tenant.delivery(event).issued_at(now())
}

/// Delivers the event to the router, behind the layer that verifies it.
async fn deliver(router: &EventRouter, delivery: &Delivery, tenant: &FakeTenant) -> TestResponse {
    delivery
        .call(&mut receiver(tenant).layer(router.clone()))
        .await
}

#[tokio::test]
async fn each_event_reaches_its_own_handler() {
    let tenant = FakeTenant::new(DOMAIN);
    let calls = Calls::default();
    let approve = ApprovalReply::approve(Comment::none());
    let router = EventRouter::builder()
        .on(handler::<ProvisionStep>(&calls, complete()))
        .on(handler::<PolicyApprovalStep>(&calls, approve))
        .on(handler::<PolicyPostAction>(&calls, Acknowledgement::new()))
        .on(handler::<WorkflowStep>(&calls, WorkflowReply::empty()))
        .on(handler::<FindingDispatch>(&calls, Acknowledgement::new()))
        .on(handler::<Test>(&calls, Acknowledgement::new()))
        .fallback(calls.fallback())
        .build()
        .expect("one handler each");
    for event in EVENTS.iter().copied() {
        let answer = deliver(&router, &delivery(&tenant, event), &tenant).await;
        assert_eq!(answer.status(), 200, "{event}");
        assert_eq!(answer.headers()["content-type"], "application/json");
        Reply::from_json(event, answer.body().clone()).expect(event);
        assert_eq!(calls.take(), [format!("handler {event}")]);
    }
    assert_eq!(router.events().len(), EVENTS.len());
    assert!(EVENTS.iter().all(|event| router.events().contains(event)));
}

#[tokio::test]
async fn what_has_no_handler_goes_to_the_fallback() {
    let tenant = FakeTenant::new(DOMAIN);
    let calls = Calls::default();
    let router = EventRouter::builder()
        .fallback(calls.fallback())
        .on(handler::<ProvisionStep>(&calls, complete()))
        .build()
        .expect("good");
    assert_eq!(router.events(), [ProvisionStep::NAME, Test::NAME]);
    for event in [UNKNOWN, WorkflowStep::NAME, "", "PayloadProvisionStep"] {
        let answer = deliver(&router, &delivery(&tenant, event), &tenant).await;
        let expected: &[_] = match event {
            "" => &[],
            _ => &[format!("fallback {event}")],
        };
        assert_eq!(calls.take(), expected, "{answer:?}");
        assert_eq!(answer.status(), if event.is_empty() { 400 } else { 410 });
    }
    // Nobody reads its payload, so nobody minds what it is.
    let odd = delivery(&tenant, WorkflowStep::NAME).payload(json!("odd"));
    assert_eq!(deliver(&router, &odd, &tenant).await.status(), 410);
    // A type URL names the same event.
    let url = format!("type.googleapis.com/{}", ProvisionStep::NAME);
    let answer = deliver(&router, &delivery(&tenant, &url), &tenant).await;
    assert_eq!(answer.status(), 200, "{answer:?}");
}

#[tokio::test]
async fn a_test_is_acknowledged_unless_it_has_a_handler() {
    let tenant = FakeTenant::new(DOMAIN);
    let calls = Calls::default();
    let builder = EventRouter::builder().fallback(calls.fallback());
    let router = builder.clone().build().expect("good");
    let answer = deliver(&router, &delivery(&tenant, TEST_EVENT), &tenant).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.json::<Value>(), json!({ "version": "v1" }));
    assert!(calls.take().is_empty());

    let own = builder.on(async |_: Typed<Test>| Outcome::retry_later(Duration::from_secs(1)));
    let router = own.build().expect("good");
    let answer = deliver(&router, &delivery(&tenant, TEST_EVENT), &tenant).await;
    assert_eq!(answer.status(), 503);
    assert_eq!(router.events(), [Test::NAME]);
}

#[tokio::test]
async fn a_payload_that_is_not_its_event_s_reaches_no_handler() {
    let tenant = FakeTenant::new(DOMAIN);
    let calls = Calls::default();
    let router = EventRouter::builder()
        .on(handler::<ProvisionStep>(&calls, complete()))
        .fallback(calls.fallback())
        .build()
        .expect("good");
    for event in [ProvisionStep::NAME, TEST_EVENT] {
        let odd = delivery(&tenant, event).payload(json!({ "taskView": "s3cret", "@type": 1 }));
        let answer = deliver(&router, &odd, &tenant).await;
        assert_eq!(answer.status(), 422, "{answer:?}");
        assert_eq!(answer.json::<Value>()["code"], "unreadable_payload");
        let rejection = answer.rejection().expect("refused");
        assert_eq!(rejection.code(), "unreadable_payload");
        let body = answer.json::<Value>().to_string();
        assert!(!body.contains("s3cret"), "{body}");
        assert!(calls.take().is_empty());
    }
}

#[test]
fn two_handlers_of_an_event_are_an_error() {
    let calls = Calls::default();
    let error = EventRouter::builder()
        .on(handler::<ProvisionStep>(&calls, complete()))
        .on(handler::<WorkflowStep>(&calls, WorkflowReply::empty()))
        .on(handler::<ProvisionStep>(&calls, complete()))
        .fallback(calls.fallback())
        .build()
        .expect_err("two");
    assert!(error.to_string().contains(ProvisionStep::NAME), "{error}");
}

#[tokio::test]
async fn without_a_verified_webhook_nothing_is_called() {
    let tenant = FakeTenant::new(DOMAIN);
    let calls = Calls::default();
    let mut router = EventRouter::builder()
        .on(handler::<ProvisionStep>(&calls, complete()))
        .fallback(calls.fallback())
        .build()
        .expect("good");
    for event in [ProvisionStep::NAME, UNKNOWN, TEST_EVENT] {
        // However good the request is.
        let answer = delivery(&tenant, event).call(&mut router).await;
        assert_eq!(answer.status(), 500);
        assert_eq!(answer.json::<Value>()["code"], "missing_webhook");
        let rejection = answer.rejection().expect("refused");
        assert_eq!(rejection.code(), "missing_webhook");
    }
    assert!(calls.take().is_empty());
}

#[tokio::test]
async fn handlers_return_replies_outcomes_and_errors() {
    #[derive(Debug, thiserror::Error)]
    #[error("the directory is down")]
    struct Down;

    async fn provision(step: Typed<ProvisionStep>) -> Result<ProvisionReply, Down> {
        let task = step.task_view().task().ok_or(Down)?;
        Ok(ProvisionReply::complete(Comment::truncated(
            task.id.as_str(),
        )))
    }
    async fn decide(
        step: Typed<PolicyApprovalStep>,
    ) -> Result<Outcome, Box<dyn std::error::Error + Send + Sync>> {
        let reply = ApprovalReply::reassign([], Comment::none())?;
        Ok(step.answer(reply))
    }

    let tenant = FakeTenant::new(DOMAIN);
    let router = EventRouter::builder()
        .on(provision)
        .on(decide)
        .on(async |_: Typed<PolicyPostAction>| Acknowledgement::new())
        .on(async |_: Typed<WorkflowStep>| WorkflowReply::empty())
        .on(async |_: Typed<FindingDispatch>| Outcome::failed())
        .fallback(async |webhook: Webhook| {
            webhook.payload()?;
            Ok::<_, tower_conductorone::event::PayloadError>(Outcome::accepted())
        })
        .build()
        .expect("good");
    for (event, expected) in [
        (ProvisionStep::NAME, 200),
        (PolicyApprovalStep::NAME, 500),
        (PolicyPostAction::NAME, 200),
        (WorkflowStep::NAME, 200),
        (FindingDispatch::NAME, 500),
        (UNKNOWN, 202),
    ] {
        let answer = deliver(&router, &delivery(&tenant, event), &tenant).await;
        assert_eq!(answer.status(), expected, "{event}");
        // It is the handler's own answer, also if it has failed.
        assert!(answer.rejection().is_none());
        assert_eq!(answer.body().is_empty(), expected != 200, "{answer:?}");
    }
    let nothing = delivery(&tenant, ProvisionStep::NAME).payload(json!({}));
    assert_eq!(deliver(&router, &nothing, &tenant).await.status(), 500);
}

#[tokio::test]
async fn it_is_always_ready_and_its_clones_are_the_same() {
    let tenant = FakeTenant::new(DOMAIN);
    let calls = Calls::default();
    let router = EventRouter::builder()
        .on(async |_: Typed<ProvisionStep>| std::future::pending::<Outcome>().await)
        .fallback(calls.fallback())
        .build()
        .expect("good");
    let verify = receiver(&tenant);
    let never = delivery(&tenant, ProvisionStep::NAME);
    let mut busy = verify.layer(router.clone());
    let waiting = tokio::spawn(async move { never.call(&mut busy).await });
    tokio::task::yield_now().await;

    let mut other = router.clone();
    let ready = poll_fn(|cx| {
        Poll::Ready(Service::<Request<Full<Bytes>>>::poll_ready(&mut other, cx).is_ready())
    });
    assert!(ready.await);
    let answer = deliver(&other, &delivery(&tenant, UNKNOWN), &tenant).await;
    assert_eq!(answer.status(), 410);
    assert_eq!(calls.take().len(), 1);
    assert_eq!(other.events(), router.events());
    assert!(!waiting.is_finished());
    waiting.abort();
}

#[tokio::test(start_paused = true)]
async fn duplicates_share_a_handler_s_run() {
    let tenant = FakeTenant::new(DOMAIN);
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let router = EventRouter::builder()
        .on(move |step: Typed<ProvisionStep>, run: DeliveryRun| {
            let number = counted.fetch_add(1, Ordering::SeqCst) + 1;
            async move {
                assert_eq!(run.number(), number);
                assert!(number > 1, "the first run fails");
                sleep(Duration::from_secs(1)).await;
                step.answer(complete())
            }
        })
        .fallback(async |_: Webhook| Outcome::gone_for_good())
        .build()
        .expect("good");
    let mark = builder(&tenant).replay_policy(ReplayPolicy::Mark);
    let verify = mark.build().expect("good");
    let once = DeliverOnceLayer::builder().build().expect("good");
    let app = ServiceBuilder::new()
        .layer(verify.clone())
        .layer(once)
        .service(router.clone());

    let step = delivery(&tenant, ProvisionStep::NAME);
    let panicked = step.call(&mut app.clone()).await;
    assert_eq!(panicked.status(), 500);
    let (mut first, mut second) = (app.clone(), app.clone());
    let (first, second) = tokio::join!(step.call(&mut first), step.call(&mut second));
    assert_eq!(
        (first.status(), second.status()),
        (200.try_into().unwrap(), first.status())
    );
    assert_eq!(first.body(), second.body());
    assert_eq!(runs.load(Ordering::SeqCst), 2);

    // Without the layer there is no run that the handler could be told.
    let answer = step.call(&mut verify.layer(router)).await;
    assert_eq!(answer.status(), 500);
    assert_eq!(answer.json::<Value>()["code"], "missing_delivery_run");
    assert_eq!(runs.load(Ordering::SeqCst), 2);
}

/// For a ledger that records the answer in the handler's own transaction.
#[tokio::test(start_paused = true)]
async fn handlers_and_the_fallback_may_take_the_delivery_s_handle() {
    async fn checked(delivery: &DeliveryHandle, outcome: Outcome) -> Outcome {
        let answer = delivery.check(&outcome).await.expect("an answer");
        assert_eq!(answer.status(), outcome.status().as_u16());
        assert_eq!(delivery.run().number(), delivery.lease().run());
        outcome
    }
    let tenant = FakeTenant::new(DOMAIN);
    let router = EventRouter::builder()
        .on(
            async |step: Typed<ProvisionStep>, delivery: DeliveryHandle| {
                checked(&delivery, step.answer(complete())).await
            },
        )
        .fallback(async |_: Webhook, delivery: DeliveryHandle| {
            checked(&delivery, Outcome::gone_for_good()).await
        })
        .build()
        .expect("good");
    let verify = builder(&tenant).build().expect("good");
    let once = DeliverOnceLayer::builder().build().expect("good");
    let mut app = verify.layer(once.layer(router.clone()));
    let (step, unknown) = (
        delivery(&tenant, ProvisionStep::NAME),
        delivery(&tenant, UNKNOWN),
    );
    assert_eq!(step.call(&mut app).await.status(), 200);
    assert_eq!(unknown.call(&mut app).await.status(), 410);

    // Without the layer there is no handle.
    for delivery in [step, unknown] {
        let answer = delivery
            .retried()
            .call(&mut verify.layer(router.clone()))
            .await;
        assert_eq!(answer.status(), 500);
        assert_eq!(answer.json::<Value>()["code"], "missing_delivery_run");
    }
}

#[tokio::test(start_paused = true)]
async fn promised_work_is_resumed_by_its_handler() {
    let tenant = FakeTenant::new(DOMAIN);
    let script = Script::new([status(200)]);
    let shared = ledger::Shared::default();
    let replica = |router: EventRouter, way: ledger::Shared| {
        let client = support::callback::builder().post(script.clone());
        let once = DeliverOnceLayer::builder()
            .callbacks(client.build().expect("good"))
            .ledger("hooks", way)
            .always_by_callback()
            .build()
            .expect("good");
        let app = builder(&tenant).build().expect("good");
        (app.layer(once.layer(router.clone())), once, router)
    };
    let endless = EventRouter::builder()
        .on(async |_: Typed<ProvisionStep>| std::future::pending::<Outcome>().await)
        .fallback(async |_: Webhook| Outcome::gone_for_good())
        .build()
        .expect("good");
    let able = EventRouter::builder()
        .on(async |_: Typed<ProvisionStep>, run: DeliveryRun| {
            assert_eq!(run.number(), 2);
            complete()
        })
        .fallback(async |_: Webhook| Outcome::gone_for_good())
        .build()
        .expect("good");
    let way = shared.handle();
    let (mut crashed, ..) = replica(endless, way.clone());
    let (_, once, handlers) = replica(able, shared.handle());
    tokio::spawn(once.recover(handlers));

    let step = delivery(&tenant, ProvisionStep::NAME).callback_url(Some(&own_url()));
    assert_eq!(step.call(&mut crashed).await.status(), 202);
    way.is_down(true);
    sleep(Duration::from_secs(120)).await;
    let documents = script.documents();
    let [document] = documents.as_slice() else {
        panic!("{documents:?}")
    };
    Reply::from_json(ProvisionStep::NAME, document.clone()).expect("its document");
}

#[tokio::test]
async fn axum_takes_it_as_a_service_and_as_a_handler() {
    let tenant = FakeTenant::new(DOMAIN);
    let calls = Calls::default();
    let router = EventRouter::builder()
        .on(handler::<ProvisionStep>(&calls, complete()))
        .fallback(calls.fallback())
        .build()
        .expect("good");
    let path = "/webhooks";
    for (what, app) in [
        (
            "route_service",
            Router::new().route_service(path, router.clone()),
        ),
        (
            "post_service",
            Router::new().route(path, post_service(router.clone())),
        ),
        ("post", Router::new().route(path, post(router.clone()))),
        ("fallback_service", Router::new().fallback_service(router)),
    ] {
        let mut app: Router<()> = app.layer(receiver(&tenant));
        for (event, expected) in [(ProvisionStep::NAME, 200), (UNKNOWN, 410)] {
            let request = delivery(&tenant, event).request().map(Body::new);
            let answer: Result<Response<_>, Infallible> = app.call(request).await;
            let Ok(answer) = answer;
            assert_eq!(answer.status(), expected, "{what}");
        }
        assert_eq!(calls.take().len(), 2, "{what}");
    }
}

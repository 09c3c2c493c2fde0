//! `VerifyWebhook` as a Tower service: readiness, cancellation, and how it goes
//! with other services and layers.

use std::convert::Infallible;
use std::fmt::Debug;
use std::future::{Ready, pending, ready};
use std::mem::size_of_val;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use support::body::{Script, Step, data};
use support::{DOMAIN, TEST_EVENT, builder, now, receiver};
use tokio::sync::Semaphore;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower::load_shed::error::Overloaded;
use tower::util::BoxCloneService;
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_conductorone::keys::{KeySet, KeySource, KeysUnavailable};
use tower_conductorone::replay::{Claim, ReplayStore, ReplayStoreError, TokenId};
use tower_conductorone::testing::{Delivery, FakeTenant};
use tower_conductorone::verify_webhook::{ResponseBody, ResponseFuture};
use tower_conductorone::{
    BoxFuture, Rejection, RejectionKind, Tenant, VerifyWebhook, VerifyWebhookLayer, Webhook,
};
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::trace::TraceLayer;
use tower_test::mock::spawn_layer;

type Inbound = Request<Full<Bytes>>;
type Outbound = Response<Full<Bytes>>;

fn delivery(tenant: &FakeTenant) -> Delivery {
    tenant.delivery(TEST_EVENT).issued_at(now())
}

/// A request that is refused before its body is looked at.
fn bad(tenant: &FakeTenant) -> Inbound {
    delivery(tenant).claim("c1typ", "at".into()).request()
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn refused<B>(response: &Response<B>) -> Option<RejectionKind> {
    response
        .extensions()
        .get::<Rejection>()
        .map(Rejection::kind)
}

/// An inner service that answers 200, whatever comes.
async fn fine(_: Inbound) -> Result<Outbound, Infallible> {
    Ok(Response::new(Full::from("done")))
}

// Readiness.

#[tokio::test]
async fn it_is_always_ready_and_a_proven_request_waits_for_the_inner_service() {
    let tenant = FakeTenant::new(DOMAIN);
    let (mut service, mut handle) = spawn_layer::<Inbound, Outbound, _>(receiver(&tenant));
    handle.allow(0);
    assert!(service.poll_ready::<Inbound>().is_ready());
    let response = tokio::spawn(service.call(delivery(&tenant).request()));
    for _ in 0..3 {
        tokio::task::yield_now().await;
        assert!(handle.poll_request().is_pending());
    }
    handle.allow(1);
    let (request, answer) = handle.next_request().await.expect("a request");
    assert!(request.extensions().get::<Webhook>().is_some());
    answer.send_response(Response::new(Full::from("done")));
    let response = response.await.expect("no panic").expect("an answer");
    let body = response.into_body().collect().await.expect("a body");
    assert_eq!(body.to_bytes(), "done");
}

#[tokio::test]
async fn a_refusal_does_not_wait_for_the_inner_service() {
    let tenant = FakeTenant::new(DOMAIN);
    let (mut service, mut handle) = spawn_layer::<Inbound, Outbound, _>(receiver(&tenant));
    handle.allow(0);
    assert!(service.poll_ready::<Inbound>().is_ready());
    let Poll::Ready(Ok(response)) = poll(pin!(service.call(bad(&tenant)))) else {
        panic!("an answer at once")
    };
    assert_eq!(refused(&response), Some(RejectionKind::WrongTokenType));
}

/// An error that is neither `Clone` nor `Send` nor an `Error`.
struct Odd(Rc<u8>);

#[tokio::test]
async fn an_error_of_the_inner_service_passes_as_it_is() {
    let tenant = FakeTenant::new(DOMAIN);
    let (mut service, mut handle) = spawn_layer::<Inbound, Outbound, _>(receiver(&tenant));
    handle.send_error("not ready, ever");
    assert!(service.poll_ready::<Inbound>().is_ready());
    // It concerns only those whom the inner service would have served.
    let response = service.call(bad(&tenant)).await.expect("an answer");
    assert_eq!(refused(&response), Some(RejectionKind::WrongTokenType));
    let Err(error) = service.call(delivery(&tenant).request()).await else {
        panic!("an error")
    };
    assert_eq!(error.to_string(), "not ready, ever");

    let inner = service_fn(async |_: Inbound| Err::<Outbound, _>(Odd(Rc::new(7))));
    let service = receiver(&tenant).layer(inner);
    let Err(Odd(seven)) = service.oneshot(delivery(&tenant).request()).await else {
        panic!("an error")
    };
    assert_eq!(*seven, 7);
}

/// As in Tower's documentation: only the instance that was polled ready may be
/// called, and a clone of it is not ready.
#[derive(Debug, Default)]
struct Strict {
    ready: bool,
    calls: Arc<AtomicUsize>,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self {
            ready: false,
            calls: Arc::clone(&self.calls),
        }
    }
}

impl Service<Inbound> for Strict {
    type Response = Outbound;
    type Error = Infallible;
    type Future = Ready<Result<Outbound, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Inbound) -> Self::Future {
        assert!(self.ready, "called without having been polled ready");
        self.ready = false;
        self.calls.fetch_add(1, Ordering::SeqCst);
        ready(Ok(Response::new(Full::default())))
    }
}

#[tokio::test]
async fn the_instance_that_was_polled_ready_is_the_one_called() {
    let tenant = FakeTenant::new(DOMAIN);
    let strict = Strict::default();
    let mut service = receiver(&tenant).layer(strict.clone());
    for _ in 0..3 {
        let ready = ServiceExt::<Inbound>::ready(&mut service).await;
        let service = ready.expect("infallible");
        let response = service.call(delivery(&tenant).request()).await;
        assert_eq!(response.expect("infallible").status(), 200);
    }
    // Several under way at a time.
    let mut responses = Vec::new();
    for _ in 0..3 {
        let ready = ServiceExt::<Inbound>::ready(&mut service).await;
        let service = ready.expect("infallible");
        responses.push(service.call(delivery(&tenant).request()));
    }
    for response in responses {
        assert_eq!(response.await.expect("infallible").status(), 200);
    }
    assert_eq!(strict.calls.load(Ordering::SeqCst), 6);
}

#[tokio::test]
async fn nothing_but_a_proven_request_takes_a_permit_of_the_inner_service() {
    let tenant = FakeTenant::new(DOMAIN);
    let strict = Strict::default();
    let permits = Arc::new(Semaphore::new(1));
    let limit = GlobalConcurrencyLimitLayer::with_semaphore(Arc::clone(&permits));
    let keys = Hanging::default();
    let store = Hanging::default();
    let without_keys = VerifyWebhookLayer::builder()
        .public_url("https://hooks.example.com")
        .tenant(Tenant::new(DOMAIN).key_source(keys.clone()))
        .clock(support::clock())
        .build()
        .expect("good");
    let without_store = builder(&tenant).replay_store(store.clone());
    let without_store = without_store.build().expect("good");
    let delivery = delivery(&tenant);
    let inner = limit.layer(strict.clone());

    let mut waiting = Vec::new();
    for (layer, body) in [
        (without_keys, vec![data(delivery.body_bytes())]),
        (without_store, vec![data(delivery.body_bytes())]),
        (receiver(&tenant), vec![data("{"), Step::Hang]),
    ] {
        let mut service = layer.layer(inner.clone());
        for _ in 0..3 {
            let request = delivery.request().map(|_| Script::new(body.clone()));
            let is_ready = poll(pin!(ServiceExt::<Request<Script>>::ready(&mut service)));
            assert!(is_ready.is_ready());
            let mut response = Box::pin(service.call(request));
            assert!(poll(response.as_mut()).is_pending());
            waiting.push(response);
        }
    }
    assert_eq!((keys.begun(), store.begun()), (3, 3));
    assert_eq!(permits.available_permits(), 1);

    // Refusals take none either, though their answers are still being sent.
    let service = receiver(&tenant).layer(inner);
    let response = service.clone().oneshot(bad(&tenant)).await;
    let response = response.expect("infallible");
    assert_eq!(refused(&response), Some(RejectionKind::WrongTokenType));
    assert_eq!(permits.available_permits(), 1);

    // The proven one gets through among them all.
    let good = service.oneshot(delivery.request()).await;
    assert_eq!(good.expect("infallible").status(), 200);
    assert_eq!(strict.calls.load(Ordering::SeqCst), 1);
    drop((waiting, response));
}

#[tokio::test]
async fn a_proven_request_that_is_dropped_while_it_waits_leaves_no_trace() {
    let tenant = FakeTenant::new(DOMAIN);
    let permits = Arc::new(Semaphore::new(1));
    let limit = GlobalConcurrencyLimitLayer::with_semaphore(Arc::clone(&permits));
    let strict = Strict::default();
    let service = receiver(&tenant).layer(limit.layer(strict.clone()));
    let held = Arc::clone(&permits).try_acquire_owned().expect("free");
    {
        let mut waits = pin!(service.clone().oneshot(delivery(&tenant).request()));
        assert!(poll(waits.as_mut()).is_pending());
        assert!(poll(waits.as_mut()).is_pending());
    }
    drop(held);
    assert_eq!(permits.available_permits(), 1);
    assert_eq!(strict.calls.load(Ordering::SeqCst), 0);
    let response = service.oneshot(delivery(&tenant).request()).await;
    assert_eq!(response.expect("infallible").status(), 200);
}

#[tokio::test]
async fn a_load_shed_inside_answers_for_what_is_proven_only() {
    let tenant = FakeTenant::new(DOMAIN);
    let permits = Arc::new(Semaphore::new(0));
    let service = ServiceBuilder::new()
        .layer(receiver(&tenant))
        .load_shed()
        .layer(GlobalConcurrencyLimitLayer::with_semaphore(permits))
        .service(Strict::default());
    let response = service.clone().oneshot(bad(&tenant)).await;
    let response = response.expect("a refusal");
    assert_eq!(refused(&response), Some(RejectionKind::WrongTokenType));
    let Err(error) = service.oneshot(delivery(&tenant).request()).await else {
        panic!("an error")
    };
    assert!(error.is::<Overloaded>(), "{error}");
}

// Cancellation.

/// How many futures were begun that never end, and how many of them dropped.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hanging(Arc<[AtomicUsize; 2]>);

impl Hanging {
    fn begun(&self) -> usize {
        self.0[0].load(Ordering::SeqCst)
    }

    fn dropped(&self) -> usize {
        self.0[1].load(Ordering::SeqCst)
    }

    async fn hang<T>(self) -> T {
        struct OnDrop(Hanging);
        impl Drop for OnDrop {
            fn drop(&mut self) {
                self.0.0[1].fetch_add(1, Ordering::SeqCst);
            }
        }
        self.0[0].fetch_add(1, Ordering::SeqCst);
        let _on_drop = OnDrop(self);
        pending().await
    }
}

impl KeySource for Hanging {
    fn current(&self) -> Option<Arc<KeySet>> {
        None
    }

    fn renew<'a>(
        &'a self,
        _: Option<&'a Arc<KeySet>>,
    ) -> BoxFuture<'a, Result<Arc<KeySet>, KeysUnavailable>> {
        Box::pin(self.clone().hang())
    }
}

impl ReplayStore for Hanging {
    fn claim<'a>(
        &'a self,
        _: TokenId<'a>,
        _: SystemTime,
        _: SystemTime,
    ) -> BoxFuture<'a, Result<Claim, ReplayStoreError>> {
        Box::pin(self.clone().hang())
    }
}

#[tokio::test]
async fn a_request_may_be_dropped_at_any_time() {
    let tenant = FakeTenant::new(DOMAIN);
    let keys = Hanging::default();
    let store = Hanging::default();
    let without_keys = VerifyWebhookLayer::builder()
        .public_url("https://hooks.example.com")
        .tenant(Tenant::new(DOMAIN).key_source(keys.clone()))
        .clock(support::clock())
        .build()
        .expect("good");
    let without_store = builder(&tenant).replay_store(store.clone());
    let without_store = without_store.build().expect("good");
    let delivery = delivery(&tenant);
    let whole = vec![data(delivery.body_bytes())];
    let half = vec![data("{"), Step::Hang];
    // (when it is dropped, receiver, body, polls of the future, of the body)
    let table = [
        (
            "before it is polled",
            receiver(&tenant),
            whole.clone(),
            0,
            0,
        ),
        ("while keys are awaited", without_keys, whole.clone(), 2, 0),
        ("while the body is read", receiver(&tenant), half, 2, 3),
        ("while the store is asked", without_store, whole, 2, 2),
    ];
    for (when, layer, body, polls, body_polls) in table {
        let (mut service, mut handle) = spawn_layer::<Inbound, Outbound, _>(layer);
        handle.allow(1);
        assert!(service.poll_ready::<Request<Script>>().is_ready());
        let body = Script::new(body);
        let seen = body.seen();
        {
            let mut response = pin!(service.call(delivery.request().map(|_| body)));
            for _ in 0..polls {
                assert!(poll(response.as_mut()).is_pending(), "{when}");
            }
            assert_eq!(seen.polls(), body_polls, "{when}");
            assert!(seen.is_dropped() == (body_polls == 2), "{when}");
        }
        assert!(seen.is_dropped(), "{when}");
        assert!(handle.poll_request().is_pending(), "{when}");
    }
    for hanging in [keys, store] {
        assert_eq!((hanging.begun(), hanging.dropped()), (1, 1));
    }
}

#[tokio::test]
async fn a_request_dropped_while_the_inner_service_works_stops_that() {
    let tenant = FakeTenant::new(DOMAIN);
    let work = Hanging::default();
    let inner = {
        let work = work.clone();
        service_fn(move |_: Inbound| work.clone().hang::<Result<Outbound, Infallible>>())
    };
    let mut service = receiver(&tenant).layer(inner);
    {
        let mut response = pin!(service.call(delivery(&tenant).request()));
        assert!(poll(response.as_mut()).is_pending());
        assert_eq!((work.begun(), work.dropped()), (1, 0));
    }
    assert_eq!(work.dropped(), 1);
}

// What it asks of others.

#[test]
fn it_is_what_servers_and_routers_need() {
    fn is<T: Clone + Debug + Send + Sync + Unpin + 'static>(_: &T) {}
    fn is_sent<T: Send + 'static>(_: &T) {}
    let tenant = FakeTenant::new(DOMAIN);
    let layer = receiver(&tenant);
    is(&layer);
    is(&layer.layer(Strict::default()));
    let mut service = layer.layer(Strict::default());
    // The future has a name, and nothing else to see.
    let future: ResponseFuture<Strict> = service.call(delivery(&tenant).request());
    is_sent(&future);
    assert_eq!(format!("{future:?}"), "ResponseFuture { .. }");
}

#[tokio::test]
async fn the_inner_future_is_not_boxed() {
    let tenant = FakeTenant::new(DOMAIN);
    let inner = service_fn(async |request: Inbound| {
        let large = [0_u8; 16_000];
        tokio::task::yield_now().await;
        drop(request);
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(large.to_vec())))
    });
    let mut service = receiver(&tenant).layer(inner);
    let future = service.call(delivery(&tenant).request());
    assert!(size_of_val(&future) >= 16_000);
    // … while with a small one nothing of the verification is inline.
    let mut service = receiver(&tenant).layer(Strict::default());
    let future = service.call(delivery(&tenant).request());
    assert!(size_of_val(&future) < 512, "{}", size_of_val(&future));
}

#[tokio::test]
async fn an_inner_service_need_not_be_sent_to_other_threads() {
    let tenant = FakeTenant::new(DOMAIN);
    let local = Rc::new(());
    let inner = service_fn(move |request: Inbound| {
        let local = Rc::clone(&local);
        async move {
            tokio::task::yield_now().await;
            drop(local);
            fine(request).await
        }
    });
    let response = receiver(&tenant)
        .layer(inner)
        .oneshot(delivery(&tenant).request());
    assert_eq!(response.await.expect("infallible").status(), 200);
}

#[tokio::test]
async fn a_request_s_body_may_be_of_any_type() {
    async fn passes<B>(tenant: &FakeTenant, wrap: impl FnOnce(Full<Bytes>) -> B)
    where
        B: Body<Error: Into<BoxError>, Data: Send> + Send + 'static,
    {
        let service = receiver(tenant).layer(service_fn(fine));
        let request = delivery(tenant).request().map(wrap);
        let response = service.oneshot(request).await.expect("infallible");
        assert_eq!(response.status(), 200, "{:?}", refused(&response));
    }
    let tenant = FakeTenant::new(DOMAIN);
    passes(&tenant, |body| body).await;
    passes(&tenant, axum::body::Body::new).await;
    passes(&tenant, tonic::body::Body::new).await;
    passes(&tenant, UnsyncBoxBody::new).await; // not `Sync`
    passes(&tenant, |body| {
        body.map_err(|never| -> BoxError { match never {} })
    })
    .await;
    passes(&tenant, |body| body.map_err(|_| "an error that is text")).await;
    passes(&tenant, Box::pin).await;
}

#[tokio::test]
async fn it_stands_on_a_boxed_service() {
    let tenant = FakeTenant::new(DOMAIN);
    let inner: BoxCloneService<Inbound, Outbound, Infallible> =
        BoxCloneService::new(Strict::default());
    let service: VerifyWebhook<_> = receiver(&tenant).layer(inner);
    let response = service.clone().oneshot(delivery(&tenant).request()).await;
    assert_eq!(response.expect("infallible").status(), 200);
    let response = service.oneshot(bad(&tenant)).await.expect("infallible");
    assert_eq!(response.status(), 401);
}

#[tokio::test]
async fn it_stands_among_other_layers() {
    let tenant = FakeTenant::new(DOMAIN);
    let service = ServiceBuilder::new()
        .buffer(8)
        .timeout(Duration::from_secs(25))
        .concurrency_limit(8)
        .load_shed()
        .layer(TraceLayer::new_for_http())
        .layer(RequestBodyLimitLayer::new(1 << 20))
        .layer(receiver(&tenant))
        .layer(TraceLayer::new_for_http())
        .timeout(Duration::from_secs(20))
        .layer(TraceLayer::new_for_http())
        .service_fn(async |request: Inbound| {
            assert!(request.extensions().get::<Webhook>().is_some());
            fine(request).await
        });
    for (request, status) in [(delivery(&tenant).request(), 200), (bad(&tenant), 401)] {
        let response = service.clone().oneshot(request).await.expect("an answer");
        assert_eq!(response.status(), status);
        assert_eq!(
            response.extensions().get::<Rejection>().is_some(),
            status == 401
        );
        assert!(response.into_body().collect().await.is_ok());
    }
}

#[tokio::test]
async fn layers_that_make_an_answer_of_their_own_can_stand_outside() {
    // tower-http's `Timeout` and `Cors`, for two, need an empty body.
    let body = ResponseBody::<UnsyncBoxBody<Bytes, BoxError>>::default();
    assert!(body.is_end_stream());
    assert_eq!(body.size_hint().exact(), Some(0));
    assert!(body.collect().await.expect("empty").to_bytes().is_empty());
}

// What it hands on.

#[tokio::test]
async fn the_request_reaches_the_inner_service_as_it_came() {
    let tenant = FakeTenant::new(DOMAIN);
    let (mut service, mut handle) = spawn_layer::<Inbound, Outbound, _>(receiver(&tenant));
    handle.allow(1);
    assert!(service.poll_ready::<Inbound>().is_ready());
    let delivery = delivery(&tenant)
        .to("https://hooks.example.com/webhooks?source=c1&x=%20")
        .http_header("x-request-id", "17");
    let mut request = delivery.request();
    *request.version_mut() = Version::HTTP_2;
    request.extensions_mut().insert("of the server");
    let headers = request.headers().clone();
    let mut response = pin!(service.call(request));
    assert!(poll(response.as_mut()).is_pending());

    let (request, _) = handle.next_request().await.expect("a request");
    assert_eq!(request.method(), "POST");
    assert_eq!(request.uri(), "/webhooks?source=c1&x=%20");
    assert_eq!(request.version(), Version::HTTP_2);
    assert_eq!(*request.headers(), headers);
    assert_eq!(request.extensions().get(), Some(&"of the server"));
    let body = request
        .into_body()
        .collect()
        .await
        .expect("full")
        .to_bytes();
    assert_eq!(body, delivery.body_bytes());
}

#[tokio::test]
async fn secrets_in_headers_are_marked_as_such() {
    let tenant = FakeTenant::new(DOMAIN);
    let (mut service, mut handle) = spawn_layer::<Inbound, Outbound, _>(receiver(&tenant));
    handle.allow(1);
    assert!(service.poll_ready::<Inbound>().is_ready());
    let mut request = delivery(&tenant).request();
    let callback = request.headers()["webhook-callback-url"].clone();
    request
        .headers_mut()
        .append("webhook-callback-url", callback);
    let mut response = pin!(service.call(request));
    assert!(poll(response.as_mut()).is_pending());

    let (request, _) = handle.next_request().await.expect("a request");
    for (name, value) in request.headers() {
        let secret = ["authorization", "webhook-callback-url"].contains(&name.as_str());
        assert_eq!(value.is_sensitive(), secret, "{name}");
    }
    assert_eq!(
        request
            .headers()
            .get_all("webhook-callback-url")
            .iter()
            .count(),
        2
    );
}

/// Everything that a response body can be asked.
struct Rich(Script);

impl Body for Rich {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.seen().polls() >= 3
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::new();
        hint.set_lower(7);
        hint.set_upper(70);
        hint
    }
}

#[tokio::test]
async fn the_inner_service_s_answer_passes_as_it_is() {
    let tenant = FakeTenant::new(DOMAIN);
    let trailers = HeaderMap::from_iter([("x-sum".parse().expect("good"), HeaderValue::from(7))]);
    let steps = [
        data("one"),
        data("two"),
        Step::Trailers(trailers.clone()),
        Step::Fail("broke"),
    ];
    let inner = service_fn(move |_: Inbound| {
        let body = Rich(Script::new(steps.clone()));
        let response = Response::builder()
            .status(299)
            .version(Version::HTTP_3)
            .header("x-inner", "1")
            .extension("of the handler");
        ready(Ok::<_, Infallible>(response.body(body).expect("good")))
    });
    let service = receiver(&tenant).layer(inner);
    let response = service.clone().oneshot(delivery(&tenant).request()).await;
    let response = response.expect("infallible");
    assert_eq!(response.status(), 299);
    assert_eq!(response.version(), Version::HTTP_3);
    assert_eq!(response.headers().len(), 1);
    assert_eq!(response.headers()["x-inner"], "1");
    assert_eq!(response.extensions().get(), Some(&"of the handler"));
    assert!(refused(&response).is_none());

    let mut body = response.into_body();
    let hint = body.size_hint();
    assert_eq!((hint.lower(), hint.upper()), (7, Some(70)));
    let mut frame = async || body.frame().await.expect("a frame");
    assert_eq!(
        frame().await.expect("data").into_data().ok(),
        Some("one".into())
    );
    assert_eq!(
        frame().await.expect("data").into_data().ok(),
        Some("two".into())
    );
    let frame_3 = frame().await.expect("trailers");
    assert_eq!(frame_3.into_trailers().ok(), Some(trailers));
    assert_eq!(frame().await.expect_err("an error").to_string(), "broke");
    assert!(body.is_end_stream());

    // A rejection asks nothing of that body.
    let response = service.oneshot(bad(&tenant)).await.expect("infallible");
    let length = response.body().size_hint().exact().expect("known");
    let body = response
        .into_body()
        .collect()
        .await
        .expect("full")
        .to_bytes();
    assert_eq!(u64::try_from(body.len()), Ok(length));
}

#[tokio::test]
async fn the_rejection_stands_in_the_answer_s_extensions() {
    let tenant = FakeTenant::new(DOMAIN);
    let service = receiver(&tenant).layer(Strict::default());
    let response = service.oneshot(bad(&tenant)).await.expect("infallible");
    let rejection = response.extensions().get::<Rejection>().expect("there");
    assert_eq!(rejection.kind(), RejectionKind::WrongTokenType);
    assert_eq!(rejection.status(), response.status());
    // And it makes the same answer again, for whoever wants to.
    let again = rejection.response();
    assert_eq!(again.status(), response.status());
    assert_eq!(again.headers(), response.headers());
    let again = again.into_body().collect().await.expect("full").to_bytes();
    let body = response
        .into_body()
        .collect()
        .await
        .expect("full")
        .to_bytes();
    assert_eq!(again, body);
}

#[tokio::test]
async fn the_inner_service_can_be_reached() {
    let tenant = FakeTenant::new(DOMAIN);
    let mut service = receiver(&tenant).layer(1_u8);
    *service.get_mut() += 1;
    assert_eq!(*service.get_ref(), 2);
    assert_eq!(service.into_inner(), 2);
}

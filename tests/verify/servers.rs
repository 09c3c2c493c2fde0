//! Real servers on a loopback port, each as its users build it: axum, plain
//! hyper with HTTP/1.1 and HTTP/2, and a tonic server. What holds in process
//! holds on the wire, and what only a wire can do (half a request, a hang-up)
//! does no harm.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use pin_project_lite::pin_project;
use support::wire::{Client, Protocol, Wire, head, http1_bytes, streamed, within};
use support::{DOMAIN, TEST_EVENT, now, receiver};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tower::{Layer, Service, ServiceBuilder, service_fn};
use tower_conductorone::testing::{Delivery, EVENTS, FakeTenant};
use tower_conductorone::{VerifyWebhookLayer, Webhook};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Axum,
    /// Plain hyper that speaks HTTP/1.1 only.
    Hyper1,
    /// Plain hyper that speaks HTTP/2 only.
    Hyper2,
    /// A tonic server: a gRPC service, and beside it a route for webhooks,
    /// which the layer wraps.
    TonicBeside,
    /// A tonic server with the layer around all of its routes.
    TonicAround,
}

const KINDS: [Kind; 5] = [
    Kind::Axum,
    Kind::Hyper1,
    Kind::Hyper2,
    Kind::TonicBeside,
    Kind::TonicAround,
];

impl Kind {
    fn protocols(self) -> &'static [Protocol] {
        match self {
            Self::Hyper1 => &[Protocol::Http1],
            Self::Hyper2 => &[Protocol::Http2],
            Self::Axum | Self::TonicBeside | Self::TonicAround => {
                &[Protocol::Http1, Protocol::Http2]
            }
        }
    }
}

fn all() -> impl Iterator<Item = (Kind, Protocol)> {
    KINDS.into_iter().flat_map(|kind| {
        kind.protocols()
            .iter()
            .map(move |protocol| (kind, *protocol))
    })
}

fn with_http1() -> impl Iterator<Item = Kind> {
    all()
        .filter(|(_, protocol)| *protocol == Protocol::Http1)
        .map(|(kind, _)| kind)
}

/// What the handler was given: events and bodies.
#[derive(Clone, Default)]
struct Handled(Arc<Mutex<Vec<(String, Bytes)>>>);

impl Handled {
    fn push(&self, webhook: &Webhook, body: Bytes) {
        let entry = (webhook.event().to_owned(), body);
        self.0.lock().expect("no panic").push(entry);
    }

    fn take(&self) -> Vec<(String, Bytes)> {
        std::mem::take(&mut self.0.lock().expect("no panic"))
    }
}

struct Server {
    address: SocketAddr,
    handled: Handled,
    traffic: watch::Receiver<Traffic>,
    _tasks: JoinSet<()>,
}

/// Starts a server that answers proven webhooks with 200 `done`.
async fn start(kind: Kind, verify: VerifyWebhookLayer) -> Server {
    let handled = Handled::default();
    let (traffic, receiver) = watch::channel(Traffic::default());
    let observe = Observe(Arc::new(traffic));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a port");
    let address = listener.local_addr().expect("an address");
    let routes = Router::new()
        .route("/webhooks", post(axum_handler))
        .with_state(handled.clone());
    let mut tasks = JoinSet::new();
    match kind {
        Kind::Axum => {
            let app = routes.layer(verify).layer(observe);
            tasks.spawn(async { axum::serve(listener, app).await.expect("served") });
        }
        Kind::Hyper1 | Kind::Hyper2 => {
            let handled = handled.clone();
            let service = ServiceBuilder::new()
                .layer(observe)
                .layer(verify)
                .service(service_fn(move |request| {
                    plain_handler(handled.clone(), request)
                }));
            tasks.spawn(serve_hyper(
                listener,
                kind,
                TowerToHyperService::new(service),
            ));
        }
        Kind::TonicBeside => {
            let webhooks = routes.layer(verify);
            let routes = Routes::new(Echo)
                .into_axum_router()
                .merge(webhooks)
                .layer(observe);
            let tonic = tonic::transport::Server::builder().accept_http1(true);
            tasks.spawn(async move {
                let served =
                    tonic.serve_with_incoming(Routes::from(routes), TcpIncoming::from(listener));
                served.await.expect("served");
            });
        }
        Kind::TonicAround => {
            let layers = ServiceBuilder::new()
                .layer(observe)
                .layer(verify)
                .into_inner();
            let tonic = tonic::transport::Server::builder()
                .accept_http1(true)
                .layer(layers);
            tasks.spawn(async move {
                let served =
                    tonic.serve_with_incoming(Routes::from(routes), TcpIncoming::from(listener));
                served.await.expect("served");
            });
        }
    }
    Server {
        address,
        handled,
        traffic: receiver,
        _tasks: tasks,
    }
}

async fn axum_handler(
    State(handled): State<Handled>,
    webhook: Webhook,
    body: Bytes,
) -> &'static str {
    handled.push(&webhook, body);
    "done"
}

async fn plain_handler(
    handled: Handled,
    request: Request<Full<Bytes>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let webhook = parts.extensions.get::<Webhook>().expect("a webhook");
    handled.push(
        webhook,
        body.collect().await.expect("a full body").to_bytes(),
    );
    Ok(Response::new(Full::from("done")))
}

async fn serve_hyper<S, B>(listener: TcpListener, kind: Kind, service: TowerToHyperService<S>)
where
    S: Service<Request<hyper::body::Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        let (stream, service) = (TokioIo::new(stream), service.clone());
        // A connection that the client broke ends in an error.
        tokio::spawn(async move {
            let _ = if kind == Kind::Hyper1 {
                http1::Builder::new()
                    .serve_connection(stream, service)
                    .await
            } else {
                let http = http2::Builder::new(TokioExecutor::new());
                http.serve_connection(stream, service).await
            };
        });
    }
}

/// A gRPC service: ends every call well, without a message.
#[derive(Clone)]
struct Echo;

impl NamedService for Echo {
    const NAME: &'static str = "tests.Echo";
}

impl Service<Request<tonic::body::Body>> for Echo {
    type Response = Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<tonic::body::Body>) -> Self::Future {
        ready(Ok(tonic::Status::ok("").into_http()))
    }
}

/// What is seen from outside of the layer.
#[derive(Clone, Copy, Debug, Default)]
struct Traffic {
    requests: usize,
    /// Of them, those that are answered or given up.
    ended: usize,
    /// How often a request's body was asked for a frame.
    polls: usize,
    frames: usize,
}

#[derive(Clone)]
struct Observe(Arc<watch::Sender<Traffic>>);

#[derive(Clone)]
struct Observed<S> {
    inner: S,
    traffic: Arc<watch::Sender<Traffic>>,
}

impl<S> Layer<S> for Observe {
    type Service = Observed<S>;

    fn layer(&self, inner: S) -> Observed<S> {
        Observed {
            inner,
            traffic: Arc::clone(&self.0),
        }
    }
}

impl<S, B> Service<Request<B>> for Observed<S>
where
    S: Service<Request<ObservedBody<B>>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.traffic.send_modify(|traffic| traffic.requests += 1);
        let ended = Ended(Arc::clone(&self.traffic));
        let traffic = Arc::clone(&self.traffic);
        let answer = self
            .inner
            .call(request.map(|body| ObservedBody { body, traffic }));
        Box::pin(async move {
            let _ended = ended;
            answer.await
        })
    }
}

struct Ended(Arc<watch::Sender<Traffic>>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.send_modify(|traffic| traffic.ended += 1);
    }
}

pin_project! {
    struct ObservedBody<B> {
        #[pin]
        body: B,
        traffic: Arc<watch::Sender<Traffic>>,
    }
}

impl<B: Body> Body for ObservedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        this.traffic.send_modify(|traffic| traffic.polls += 1);
        let frame = this.body.poll_frame(cx);
        if let Poll::Ready(Some(Ok(_))) = frame {
            this.traffic.send_modify(|traffic| traffic.frames += 1);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn test_delivery(tenant: &FakeTenant) -> Delivery {
    tenant.delivery(TEST_EVENT).issued_at(now())
}

/// As good as a tenant's, but for the keys.
fn forgery() -> Delivery {
    test_delivery(&FakeTenant::new(DOMAIN))
}

#[tokio::test]
async fn every_event_is_delivered_on_every_server() {
    let tenant = FakeTenant::new(DOMAIN);
    for (kind, protocol) in all() {
        let server = start(kind, receiver(&tenant)).await;
        let mut client = Client::connect(protocol, server.address).await;
        for event in EVENTS.iter().copied() {
            let delivery = tenant.delivery(event).issued_at(now());
            let answer = client.send(delivery.request()).await;
            assert_eq!(
                answer.status, 200,
                "{kind:?} {protocol:?} {event}: {answer:?}"
            );
            assert_eq!(answer.body, "done");
            assert_eq!(
                server.handled.take(),
                [(event.to_owned(), delivery.body_bytes())]
            );
        }
    }
}

#[tokio::test]
async fn a_forgery_is_refused_and_the_connection_serves_on() {
    let tenant = FakeTenant::new(DOMAIN);
    for (kind, protocol) in all() {
        let server = start(kind, receiver(&tenant)).await;
        let mut client = Client::connect(protocol, server.address).await;
        let answer = client.send(forgery().request()).await;
        assert_eq!(answer.status, 401, "{kind:?} {protocol:?}");
        assert_eq!(answer.code(), "invalid_token");
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        let challenge = answer.headers["www-authenticate"].to_str().expect("text");
        assert!(challenge.contains("invalid_token"), "{challenge}");
        assert_eq!(server.handled.take(), []);

        let answer = client.send(test_delivery(&tenant).request()).await;
        assert_eq!(answer.status, 200, "{kind:?} {protocol:?}");
        assert_eq!(server.handled.take().len(), 1);
    }
}

#[tokio::test]
async fn methods_other_than_post_get_405_with_allow() {
    let tenant = FakeTenant::new(DOMAIN);
    for (kind, protocol) in all() {
        let server = start(kind, receiver(&tenant)).await;
        let mut client = Client::connect(protocol, server.address).await;
        for method in [Method::GET, Method::PUT, Method::DELETE, Method::OPTIONS] {
            let mut request = test_delivery(&tenant).request();
            *request.method_mut() = method.clone();
            let answer = client.send(request).await;
            assert_eq!(answer.status, 405, "{kind:?} {protocol:?} {method}");
            let allow: Vec<_> = answer.headers.get_all("allow").iter().collect();
            assert_eq!(allow, ["POST"], "{kind:?} {protocol:?} {method}");
        }
        assert_eq!(server.handled.take(), []);
    }
}

#[tokio::test]
async fn a_body_in_many_small_frames_is_the_same_body() {
    let tenant = FakeTenant::new(DOMAIN);
    for (kind, protocol) in all() {
        let server = start(kind, receiver(&tenant)).await;
        let mut client = Client::connect(protocol, server.address).await;
        let delivery = tenant.delivery(EVENTS[1]).issued_at(now());
        let whole = delivery.body_bytes();
        let (frames, body) = streamed(None);
        for frame in whole.chunks(7) {
            frames
                .send(Ok(Bytes::copy_from_slice(frame)))
                .expect("not dropped");
        }
        drop(frames);
        let answer = client.send(delivery.request().map(|_| body)).await;
        assert_eq!(answer.status, 200, "{kind:?} {protocol:?}");
        assert_eq!(
            server.handled.take(),
            [(EVENTS[1].to_owned(), whole.clone())]
        );
        // HTTP/2 may end with an empty one.
        let frames = server.traffic.borrow().frames;
        assert!(frames >= whole.len().div_ceil(7), "{kind:?} {protocol:?}");
    }
}

#[tokio::test]
async fn what_is_refused_before_the_body_is_answered_without_a_byte_of_it() {
    const MIB: u64 = 1024 * 1024;
    let tenant = FakeTenant::new(DOMAIN);
    let good = || test_delivery(&tenant);
    let rows = [
        ("forged", forgery(), Some(MIB), 401),
        ("forged, of unknown length", forgery(), None, 401),
        (
            "no token",
            good().without_http_header("authorization"),
            Some(MIB),
            401,
        ),
        (
            "for somewhere else",
            good().to("https://hooks.example.com/other"),
            Some(MIB),
            401,
        ),
        ("too long", good(), Some(3 * MIB), 413),
        (
            "of another type",
            good().http_header("content-type", "text/plain"),
            Some(MIB),
            415,
        ),
    ];
    for (kind, protocol) in all() {
        let server = start(kind, receiver(&tenant)).await;
        for (name, delivery, size, status) in &rows {
            // The client sends the head, and nothing of the body, ever.
            let (_unsent, body) = streamed(*size);
            let mut request = delivery.request().map(|_| body);
            *request.uri_mut() = "/webhooks".parse().expect("a path");
            let answer = Client::connect(protocol, server.address)
                .await
                .send(request)
                .await;
            assert_eq!(answer.status, *status, "{kind:?} {protocol:?} {name}");
        }
        assert_eq!(server.traffic.borrow().polls, 0, "{kind:?} {protocol:?}");
        assert_eq!(server.handled.take(), []);
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_in_the_middle_of_the_body_leaves_no_trace() {
    let tenant = FakeTenant::new(DOMAIN);
    for (kind, protocol) in all() {
        for size_is_known in [true, false] {
            let mut server = start(kind, receiver(&tenant)).await;
            let mut client = Client::connect(protocol, server.address).await;
            let delivery = test_delivery(&tenant);
            let whole = delivery.body_bytes();
            let (frames, body) = streamed(size_is_known.then_some(whole.len() as u64));
            frames
                .send(Ok(whole.slice(..whole.len() / 2)))
                .expect("not dropped");
            let request = delivery.request().map(|_| body);
            let hang_up = async {
                let half_read = server.traffic.wait_for(|traffic| traffic.frames > 0);
                within("the first half", half_read).await.expect("alive");
                frames
                    .send(Err("the client gives up".into()))
                    .expect("not dropped");
            };
            let (answer, ()) = tokio::join!(client.begin(request), hang_up);
            assert!(answer.is_err(), "{kind:?} {protocol:?}: {answer:?}");
            let ended = server.traffic.wait_for(|traffic| traffic.ended == 1);
            within("the request's end", ended).await.expect("alive");
            assert_eq!(server.handled.take(), []);

            // Its token was not used up: the sender may try again.
            let mut client = Client::connect(protocol, server.address).await;
            let answer = client.send(delivery.request()).await;
            assert_eq!(answer.status, 200, "{kind:?} {protocol:?}");
            assert_eq!(server.handled.take().len(), 1);
        }
    }
}

#[tokio::test]
async fn a_chunked_body_with_extensions_and_trailers_is_the_same_body() {
    let tenant = FakeTenant::new(DOMAIN);
    for kind in with_http1() {
        let server = start(kind, receiver(&tenant)).await;
        let delivery = test_delivery(&tenant);
        let whole = delivery.body_bytes();
        let text = String::from_utf8(whole.to_vec()).expect("JSON");
        let (one, rest) = text.split_at(1);
        let mut wire = Wire::connect(server.address).await;
        wire.write(head(
            &delivery.request(),
            "/webhooks",
            "transfer-encoding: chunked\r\n",
        ))
        .await;
        wire.write(format!("1;name=value\r\n{one}\r\n")).await;
        wire.write(format!(
            "{:X}\r\n{rest}\r\n0\r\nx-trailer: ignored\r\n\r\n",
            rest.len()
        ))
        .await;
        let answer = wire.read().await;
        assert_eq!(answer.status, 200, "{kind:?}: {answer:?}");
        assert_eq!(server.handled.take(), [(TEST_EVENT.to_owned(), whole)]);
    }
}

#[tokio::test]
async fn only_a_good_token_is_told_to_continue() {
    let tenant = FakeTenant::new(DOMAIN);
    for kind in with_http1() {
        let server = start(kind, receiver(&tenant)).await;
        let expecting = |delivery: &Delivery| {
            let request = delivery.request();
            let length = support::wire::body_length(&request);
            let extra = format!("expect: 100-continue\r\ncontent-length: {length}\r\n");
            head(&request, "/webhooks", &extra)
        };
        let mut wire = Wire::connect(server.address).await;
        wire.write(expecting(&forgery())).await;
        assert_eq!(wire.read().await.status, 401, "{kind:?}");

        let delivery = test_delivery(&tenant);
        let mut wire = Wire::connect(server.address).await;
        wire.write(expecting(&delivery)).await;
        assert_eq!(wire.read().await.status, StatusCode::CONTINUE, "{kind:?}");
        wire.write(delivery.body_bytes()).await;
        assert_eq!(wire.read().await.status, 200, "{kind:?}");
        assert_eq!(server.handled.take().len(), 1);
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let tenant = FakeTenant::new(DOMAIN);
    for kind in with_http1() {
        let server = start(kind, receiver(&tenant)).await;
        let mut bytes = Vec::new();
        for delivery in [test_delivery(&tenant), forgery(), test_delivery(&tenant)] {
            bytes.extend(http1_bytes(delivery.request()).await);
        }
        let mut wire = Wire::connect(server.address).await;
        wire.write(bytes).await;
        for status in [200, 401, 200] {
            assert_eq!(wire.read().await.status, status, "{kind:?}");
        }
        assert_eq!(server.handled.take().len(), 2);
    }
}

#[tokio::test]
async fn neither_the_host_header_nor_the_targets_authority_counts() {
    // The token is bound to the configured public URL: what a request says of
    // its host may come from a proxy, or from a forger.
    let tenant = FakeTenant::new(DOMAIN);
    let rows = [
        ("/webhooks", "hooks.example.com", "webhooks", 200),
        ("/webhooks", "10.0.0.7:3000", "webhooks", 200),
        (
            "http://hooks.example.com/webhooks",
            "hooks.example.com",
            "webhooks",
            200,
        ),
        (
            "https://hooks.example.com/webhooks?a=b",
            "hooks.example.com",
            "webhooks",
            200,
        ),
        (
            "http://127.0.0.1:3000/webhooks",
            "127.0.0.1:3000",
            "webhooks",
            200,
        ),
        ("/webhooks", "hooks.example.com", "other", 401),
        (
            "https://hooks.example.com/webhooks",
            "hooks.example.com",
            "other",
            401,
        ),
        (
            "https://hooks.example.com/other",
            "hooks.example.com",
            "webhooks",
            401,
        ),
    ];
    for kind in with_http1() {
        let server = start(kind, receiver(&tenant)).await;
        for (target, host, signed_path, status) in rows {
            let delivery = test_delivery(&tenant)
                .to(format!("https://hooks.example.com/{signed_path}"))
                .http_header("host", host);
            let request = delivery.request();
            let length = format!(
                "content-length: {}\r\n",
                support::wire::body_length(&request)
            );
            let mut wire = Wire::connect(server.address).await;
            wire.write(head(&request, target, &length)).await;
            wire.write(delivery.body_bytes()).await;
            let answer = wire.read().await;
            let status = match kind {
                // Outside of the layer: tonic's own answer where it has no route.
                Kind::TonicBeside if target.ends_with("/other") => 200,
                _ => status,
            };
            assert_eq!(
                answer.status, status,
                "{kind:?} {target} {host} {signed_path}"
            );
        }
    }
}

#[tokio::test]
async fn grpc_calls_pass_beside_the_webhooks() {
    let tenant = FakeTenant::new(DOMAIN);
    let server = start(Kind::TonicBeside, receiver(&tenant)).await;
    let mut client = Client::connect(Protocol::Http2, server.address).await;
    let call = Request::post(format!("http://{}/tests.Echo/Call", server.address))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(Bytes::from_static(&[0; 5])))
        .expect("a request");
    let answer = client.send(call.clone()).await;
    assert_eq!(
        (answer.status, &answer.headers["grpc-status"]),
        (StatusCode::OK, &"0".parse().expect("a value"))
    );
    let answer = client.send(test_delivery(&tenant).request()).await;
    assert_eq!(answer.status, 200);

    // Around all routes, the layer lets nothing but webhooks through.
    let server = start(Kind::TonicAround, receiver(&tenant)).await;
    let mut client = Client::connect(Protocol::Http2, server.address).await;
    assert_eq!(client.send(call).await.status, 415);
}

/// Receivers that fetch the keys themselves, over HTTP.
#[cfg(feature = "reqwest")]
mod with_a_client {
    use axum::middleware::{self, Next};
    use tokio::sync::Barrier;
    use tower_conductorone::Tenant;
    use tower_conductorone::keys::Algorithm;
    use tower_conductorone::testing::JwksServer;

    use super::*;

    /// A receiver with the system's clock that fetches the tenant's keys.
    async fn with_fetched_keys(tenant: &FakeTenant) -> (VerifyWebhookLayer, JwksServer) {
        let jwks = tenant.serve().await.expect("a port");
        let layer = VerifyWebhookLayer::builder()
            .public_url("https://hooks.example.com")
            .tenant(Tenant::new(tenant.domain()).jwks_url(jwks.url()))
            .dangerous_allow_http_on_loopback()
            .build()
            .expect("a good configuration");
        (layer, jwks)
    }

    #[tokio::test]
    async fn keys_are_rotated_under_traffic_without_a_loss() {
        const CLIENTS: usize = 4;
        const EACH: usize = 25;
        let tenant = FakeTenant::new(DOMAIN);
        for (kind, protocol) in all() {
            let (layer, jwks) = with_fetched_keys(&tenant).await;
            let mut server = start(kind, layer.clone()).await;
            let mut clients = JoinSet::new();
            for _ in 0..CLIENTS {
                let (tenant, address) = (tenant.clone(), server.address);
                clients.spawn(async move {
                    let mut client = Client::connect(protocol, address).await;
                    for _ in 0..EACH {
                        let answer = client.send(tenant.delivery(TEST_EVENT).request()).await;
                        assert_eq!(answer.status, 200, "{kind:?} {protocol:?}: {answer:?}");
                    }
                });
            }
            let half = server
                .traffic
                .wait_for(|traffic| traffic.ended >= CLIENTS * EACH / 2);
            within("half of the traffic", half).await.expect("alive");
            let old = tenant.signing_key();
            tenant.rotate(Algorithm::EdDsa);
            while let Some(client) = clients.join_next().await {
                client.expect("all accepted");
            }
            assert_eq!(server.handled.take().len(), CLIENTS * EACH);
            assert_eq!(
                jwks.requests(),
                2,
                "{kind:?}: at first, and for the new key"
            );

            tenant.remove_key(&old);
            layer.refresh_now().await.expect("the keys are there");
            let mut client = Client::connect(protocol, server.address).await;
            let stolen = tenant.delivery(TEST_EVENT).signing_key(old);
            assert_eq!(
                client.send(stolen.request()).await.status,
                401,
                "{kind:?} {protocol:?}"
            );
            assert_eq!(
                client
                    .send(tenant.delivery(TEST_EVENT).request())
                    .await
                    .status,
                200
            );
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_thousand_first_requests_fetch_the_keys_once() {
        const CONNECTIONS: usize = 10;
        const EACH: usize = 100;
        let tenant = FakeTenant::new(DOMAIN);
        let (layer, jwks) = with_fetched_keys(&tenant).await;
        let handled = Handled::default();
        // All have arrived before the first passes.
        let barrier = Arc::new(Barrier::new(CONNECTIONS * EACH));
        let app = Router::new()
            .route("/webhooks", post(axum_handler))
            .with_state(handled.clone())
            .layer(layer)
            .layer(middleware::from_fn(move |request, next: Next| {
                let barrier = Arc::clone(&barrier);
                async move {
                    barrier.wait().await;
                    next.run(request).await
                }
            }));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async { axum::serve(listener, app).await });

        let mut requests = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let Client::Http2(sender) = Client::connect(Protocol::Http2, address).await else {
                unreachable!("asked for HTTP/2")
            };
            for _ in 0..EACH {
                let mut client = Client::Http2(sender.clone());
                let request = tenant.delivery(TEST_EVENT).request();
                requests.spawn(async move { client.send(request).await.status });
            }
        }
        while let Some(status) = requests.join_next().await {
            assert_eq!(status.expect("no panic"), 200);
        }
        assert_eq!(handled.take().len(), CONNECTIONS * EACH);
        assert_eq!(jwks.requests(), 1);
    }
}

//! The two functions, with Lambda, SQS and ConductorOne played by the test.
#![cfg(unix)]

mod http;
mod lambda;

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Request, Response, StatusCode};
use axum::routing::post;
use bytes::Bytes;
use http_body_util::Full;
use serde_json::{Value, json};
use support::DOMAIN;
use support::redis_server::RedisServer;
use support::wire::within;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tower::service_fn;
use tower_conductorone::event::{Event, FindingDispatch, PolicyApprovalStep, ProvisionStep};
use tower_conductorone::testing::simulator::End;
use tower_conductorone::testing::{Delivery, FakeTenant, JwksServer, Simulator};

use self::http::Front;
use self::lambda::{Lambda, messages};

const RECEIVER: &str = env!("CARGO_BIN_EXE_lambda-receiver");
const WORKER: &str = env!("CARGO_BIN_EXE_lambda-worker");

/// What is around the functions.
struct World {
    tenant: FakeTenant,
    jwks: JwksServer,
    redis: RedisServer,
    queue: Endpoint,
}

type Statuses = Arc<Mutex<Vec<StatusCode>>>;

/// Takes bodies over HTTP, and answers them with these statuses, and then with 200.
struct Endpoint {
    origin: String,
    statuses: Statuses,
    taken: mpsc::UnboundedReceiver<String>,
}

impl Endpoint {
    async fn start() -> Self {
        let statuses = Statuses::default();
        let (sender, taken) = mpsc::unbounded_channel();
        let app = Router::new()
            .route("/{*path}", post(take))
            .with_state((Arc::clone(&statuses), sender));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let origin = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async { axum::serve(listener, app).await });
        Self {
            origin,
            statuses,
            taken,
        }
    }

    /// The next requests fail so.
    fn fails_with(&self, status: StatusCode, times: usize) {
        *self.statuses.lock().expect("no panic") = vec![status; times];
    }

    async fn next(&mut self) -> String {
        let taken = within("a request", self.taken.recv()).await;
        taken.expect("it serves")
    }

    fn is_empty(&mut self) -> bool {
        self.taken.try_recv().is_err()
    }
}

async fn take(
    State((statuses, sender)): State<(Statuses, mpsc::UnboundedSender<String>)>,
    body: String,
) -> StatusCode {
    let status = statuses.lock().expect("no panic").pop();
    if status.is_none() {
        sender.send(body).expect("one waits");
    }
    status.unwrap_or(StatusCode::OK)
}

impl World {
    async fn new() -> Self {
        let tenant = FakeTenant::new(DOMAIN);
        Self {
            jwks: tenant.serve().await.expect("a port"),
            tenant,
            redis: RedisServer::start(&[]),
            queue: Endpoint::start().await,
        }
    }

    async fn start(&self, program: &str, callbacks: &str, public_url: &str) -> Lambda {
        let settings = [
            ("C1_PUBLIC_URL", public_url),
            ("C1_JWKS_URL", &self.jwks.url()),
            ("C1_CALLBACK_ORIGIN", callbacks),
            ("REDIS_URL", &self.redis.url()),
            ("QUEUE_URL", &format!("{}/jobs", self.queue.origin)),
        ];
        Lambda::start(program, &settings).await
    }

    /// A step whose document is awaited at this origin.
    fn step(&self, origin: &str) -> Delivery {
        let url = format!("{origin}/api/v1/webhooks/callback/s3cr3t");
        let step = self.tenant.delivery(ProvisionStep::NAME);
        step.callback_url(Some(&url))
    }
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    document: Value,
}

async fn call(receiver: &Lambda, front: Front, request: Request<Full<Bytes>>) -> Response<Body> {
    let event = http::event(front, request).await;
    let answer = receiver.invoke(event).await.expect("a response");
    http::response(&answer)
}

async fn send(receiver: &Lambda, front: Front, delivery: &Delivery) -> Answer {
    let (head, body) = call(receiver, front, delivery.request()).await.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("a body");
    Answer {
        status: head.status,
        headers: head.headers,
        document: serde_json::from_slice(&body).unwrap_or_default(),
    }
}

/// The messages that SQS has to deliver again.
async fn failures(worker: &Lambda, bodies: &[&str]) -> Vec<Value> {
    let response = worker.invoke(messages(bodies.iter().copied())).await;
    let response = response.expect("a response");
    let failures = response["batchItemFailures"].as_array().expect("a list");
    let ids = failures.iter().map(|failure| &failure["itemIdentifier"]);
    ids.cloned().collect()
}

const URL: &str = "https://hooks.example.com";

#[tokio::test]
async fn a_webhook_is_answered_by_the_worker_while_the_receiver_is_frozen() {
    let mut world = World::new().await;
    let simulator = Simulator::new(&world.tenant);
    let callbacks = simulator.callbacks().serve().await.expect("a port");
    let receiver = Arc::new(world.start(RECEIVER, &callbacks.origin(), URL).await);
    let workers = [
        world.start(WORKER, &callbacks.origin(), URL).await,
        world.start(WORKER, &callbacks.origin(), URL).await,
    ];
    let answered = Arc::new(Notify::new());
    let over_lambda = {
        let (receiver, answered) = (Arc::clone(&receiver), Arc::clone(&answered));
        service_fn(move |request| {
            let (receiver, answered) = (Arc::clone(&receiver), Arc::clone(&answered));
            async move {
                let answer = call(&receiver, Front::Url, request).await;
                answered.notify_one();
                Ok::<_, String>(answer)
            }
        })
    };
    let delivery = world.tenant.delivery(ProvisionStep::NAME);
    let delivered = tokio::spawn(simulator.deliver(over_lambda, delivery));
    let message = world.queue.next().await;
    within("the 202", answered.notified()).await;
    assert!(failures(&workers[0], &[&message]).await.is_empty());
    let report = within("the callback", delivered).await.expect("no panic");
    assert_eq!(report.end(), &End::CompletedByCallback, "{report:?}");
    assert_eq!(report.attempts().len(), 1);
    let document: Value = report.document().expect("one").deserialize().expect("JSON");
    let expected = json!({ "version": "v1", "complete": { "comment": "by the worker" } });
    assert_eq!(document, expected);

    // SQS delivers it again, to another instance and to the same one.
    for worker in &workers {
        assert!(failures(worker, &[&message]).await.is_empty());
    }
    assert_eq!(report.callbacks().len(), 1, "it is not posted again");
    let mut log = String::new();
    for worker in workers {
        log += &worker.log().await;
    }
    assert_eq!(log.matches("provisioned").count(), 1, "{log}");
    let receiver = Arc::into_inner(receiver).expect("its end");
    log += &receiver.log().await;
    assert!(!log.contains("/callback/"), "a callback URL in the log");
}

#[tokio::test]
async fn a_duplicate_is_queued_once_whichever_instance_gets_it() {
    let mut world = World::new().await;
    let origin = "http://127.0.0.1:9";
    let first = world.start(RECEIVER, origin, URL).await;
    let second = world.start(RECEIVER, origin, URL).await;
    let step = world.step(origin);
    assert_eq!(send(&first, Front::Url, &step).await.status, 202);
    let again = send(&second, Front::UrlInBase64, &step.retried()).await;
    assert_eq!(again.status, 202);
    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert_eq!(
        send(&second, Front::Url, &step).await.status,
        401,
        "replayed"
    );
    let job: Value = serde_json::from_str(&world.queue.next().await).expect("JSON");
    assert_eq!(job["callback"]["tenant"], DOMAIN);
    assert!(world.queue.is_empty());
}

#[tokio::test]
async fn quick_work_is_answered_with_its_document_and_the_unknown_retried() {
    let mut world = World::new().await;
    let receiver = world.start(RECEIVER, "http://127.0.0.1:9", URL).await;
    for front in [Front::Url, Front::UrlInBase64] {
        let step = world.tenant.delivery(PolicyApprovalStep::NAME);
        let answer = send(&receiver, front, &step).await;
        assert_eq!(answer.status, 200, "{front:?}");
        assert_eq!(answer.headers["content-type"], "application/json");
        let comment = &answer.document["deny"]["comment"];
        assert_eq!(comment, "a machine approves nothing");
    }
    let other = world.tenant.delivery(FindingDispatch::NAME);
    let answer = send(&receiver, Front::Url, &other).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.headers["retry-after"], "60");

    for url in [None, Some("https://evil.example/callback/x")] {
        let step = world.tenant.delivery(ProvisionStep::NAME).callback_url(url);
        let answer = send(&receiver, Front::Url, &step).await;
        assert_eq!(answer.status, 200, "{url:?}");
        let comment = answer.document["errored"]["comment"].as_str();
        assert!(comment.is_some_and(|text| text.contains("no callback URL")));
    }
    assert!(world.queue.is_empty());
}

#[tokio::test]
async fn a_forged_webhook_and_one_for_another_url_are_refused() {
    let mut world = World::new().await;
    let origin = "http://127.0.0.1:9";
    let receiver = world.start(RECEIVER, origin, URL).await;
    let forged = world.step(origin).tampered_body("{}");
    for front in [Front::Url, Front::UrlInBase64] {
        let answer = send(&receiver, front, &forged).await;
        assert_eq!(answer.status, 401, "{front:?}");
        assert_eq!(answer.document["code"], "invalid_token");
    }
    // The API's own host, which nobody has configured.
    let elsewhere = world
        .step(origin)
        .to("https://id.lambda-url.eu-west-1.on.aws/webhooks");
    assert_eq!(send(&receiver, Front::Url, &elsewhere).await.status, 401);
    let mut other_path = world.step(origin).request();
    *other_path.uri_mut() = "/other".parse().expect("a path");
    assert_eq!(call(&receiver, Front::Url, other_path).await.status(), 401);
    assert!(world.queue.is_empty());
}

#[tokio::test]
async fn a_stage_is_part_of_the_path_that_is_verified() {
    let world = World::new().await;
    let url = "https://abcdef.execute-api.eu-west-1.amazonaws.com";
    let receiver = world.start(RECEIVER, "http://127.0.0.1:9", url).await;
    for front in [Front::HttpApi, Front::RestApi] {
        let step = world.tenant.delivery(PolicyApprovalStep::NAME);
        let step = step.to(format!("{url}/prod/webhooks"));
        assert_eq!(send(&receiver, front, &step).await.status, 200, "{front:?}");
    }
    // A token for the URL without the stage.
    let step = world.tenant.delivery(PolicyApprovalStep::NAME);
    let mut request = step.to(format!("{url}/webhooks")).request();
    *request.uri_mut() = "/prod/webhooks".parse().expect("a path");
    assert_eq!(call(&receiver, Front::RestApi, request).await.status(), 401);
}

#[tokio::test]
async fn a_webhook_that_cannot_be_queued_is_retried() {
    let mut world = World::new().await;
    let origin = "http://127.0.0.1:9";
    let receiver = world.start(RECEIVER, origin, URL).await;
    let step = world.step(origin);
    world.queue.fails_with(StatusCode::INTERNAL_SERVER_ERROR, 1);
    let answer = send(&receiver, Front::Url, &step).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.headers["retry-after"], "5");
    let answer = send(&receiver, Front::Url, &step.retried()).await;
    assert_eq!(answer.status, 202);
    world.queue.next().await;
}

#[tokio::test]
async fn an_answer_that_cannot_be_posted_is_kept_and_the_work_not_repeated() {
    let mut world = World::new().await;
    let mut conductorone = Endpoint::start().await;
    let origin = conductorone.origin.clone();
    let receiver = world.start(RECEIVER, &origin, URL).await;
    let answer = send(&receiver, Front::Url, &world.step(&origin)).await;
    assert_eq!(answer.status, 202);
    let message = world.queue.next().await;
    conductorone.fails_with(StatusCode::SERVICE_UNAVAILABLE, 2);
    let worker = world.start(WORKER, &origin, URL).await;
    let other = world.start(WORKER, &origin, URL).await;
    let batch = ["no job", &message];
    assert_eq!(failures(&worker, &batch).await, ["message-0", "message-1"]);
    assert_eq!(failures(&other, &batch).await, ["message-0", "message-1"]);
    assert_eq!(failures(&worker, &batch).await, ["message-0"]);
    let document: Value = serde_json::from_str(&conductorone.next().await).expect("JSON");
    assert_eq!(document["complete"]["comment"], "by the worker");
    assert!(failures(&other, &[&message]).await.is_empty());
    assert!(conductorone.is_empty());
    let log = worker.log().await + &other.log().await;
    assert_eq!(log.matches("provisioned").count(), 1, "{log}");
    assert!(!log.contains("s3cr3t"), "a callback URL in the log");
}

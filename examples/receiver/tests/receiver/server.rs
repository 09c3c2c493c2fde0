//! What it answers, prints and logs, and how it stops.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use http::{Method, Response, StatusCode};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use support::wire::{Client, Protocol, Wire, head, streamed, within};
use support::{DOMAIN, TEST_EVENT};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tower_conductorone::keys::Algorithm;
use tower_conductorone::testing::{Delivery, EVENTS, FakeTenant};

use crate::process::{Receiver, serve};

const PROTOCOLS: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];

#[tokio::test]
async fn it_starts_without_keys_and_is_ready_once_all_are_loaded() {
    let (early, late) = (
        FakeTenant::new("early.example"),
        FakeTenant::new("late.example"),
    );
    let early_jwks = serve(&early).await;
    // A port where nobody listens yet: connections are refused.
    let socket = TcpSocket::new_v4().expect("a socket");
    socket
        .bind((Ipv4Addr::LOCALHOST, 0).into())
        .expect("a port");
    let late_address = socket.local_addr().expect("an address");
    let mut receiver = Receiver::start(&[
        "--tenant",
        "early.example",
        "--tenant",
        "late.example",
        "--jwks-url",
        &format!("early.example={}", early_jwks.url()),
        "--jwks-url",
        &format!("late.example=http://{late_address}/keys"),
    ])
    .await;
    receiver.wait_for_log("cannot fetch the key set").await;
    for protocol in PROTOCOLS {
        assert_eq!(receiver.get(protocol, "/healthz").await.status, 200);
        assert_eq!(receiver.get(protocol, "/readyz").await.status, 503);
    }
    let answer = receiver
        .send(Protocol::Http1, &late.delivery(TEST_EVENT))
        .await;
    assert_eq!(
        (answer.status, answer.code()),
        (StatusCode::SERVICE_UNAVAILABLE, "keys_unavailable".into())
    );
    let wait: u64 = answer.headers["retry-after"]
        .to_str()
        .expect("text")
        .parse()
        .expect("seconds");
    assert!((1..=60).contains(&wait), "{wait}");
    let answer = receiver
        .send(Protocol::Http1, &early.delivery(TEST_EVENT))
        .await;
    assert_eq!(answer.status, 200, "the other tenant is served: {answer:?}");

    let listener = socket.listen(16).expect("listening");
    let keys = late.jwks();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{keys}",
                keys.len()
            );
            let mut request = BufReader::new(&mut stream).lines();
            while request
                .next_line()
                .await
                .expect("text")
                .is_some_and(|line| !line.is_empty())
            {}
            stream.write_all(answer.as_bytes()).await.expect("written");
        }
    });
    receiver
        .wait_for_log("the keys of every tenant are loaded")
        .await;
    assert_eq!(receiver.get(Protocol::Http1, "/readyz").await.status, 200);
    let answer = receiver
        .send(Protocol::Http1, &late.delivery(TEST_EVENT))
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    receiver.stop().await;
}

#[tokio::test]
async fn each_event_gets_its_reply_over_both_protocols_and_with_all_algorithms() {
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
        let tenant = FakeTenant::with_algorithm(DOMAIN, algorithm);
        let jwks = serve(&tenant).await;
        let receiver = Receiver::ready(&jwks, &[]).await;
        for protocol in PROTOCOLS {
            for event in EVENTS
                .iter()
                .copied()
                .chain(["c1.webhooks.v1.PayloadOfTomorrow"])
            {
                let answer = receiver.send(protocol, &tenant.delivery(event)).await;
                assert_eq!(answer.status, 200, "{event}: {answer:?}");
                assert_eq!(answer.headers["content-type"], "application/json");
                let reply = answer.json();
                let reply = reply.as_object().expect("an object");
                assert_eq!(reply["version"], "v1");
                let rest: Vec<_> = reply
                    .iter()
                    .filter(|(name, _)| *name != "version")
                    .collect();
                match (event, rest.as_slice()) {
                    ("c1.webhooks.v1.PayloadProvisionStep", [(name, outcome)]) => {
                        assert_eq!(*name, "complete");
                        assert_comment(outcome);
                    }
                    ("c1.webhooks.v1.PayloadPolicyApprovalStep", [(name, outcome)]) => {
                        assert_eq!(*name, "approve");
                        assert_comment(outcome);
                    }
                    ("c1.webhooks.v1.PayloadWorkflowStep", [(name, context)]) => {
                        assert_eq!(*name, "context");
                        assert!(context.is_object());
                    }
                    (
                        "c1.webhooks.v1.PayloadTest"
                        | "c1.webhooks.v1.PayloadPolicyPostAction"
                        | "c1.webhooks.v1.PayloadFindingDispatch"
                        | "c1.webhooks.v1.PayloadOfTomorrow",
                        [],
                    ) => {}
                    _ => panic!("{event} is answered {reply:?}"),
                }
            }
        }
        assert_eq!(
            receiver.stop().await,
            [""; 0],
            "nothing on stdout without --log-json"
        );
    }
}

/// One that ConductorOne takes.
fn assert_comment(outcome: &Value) {
    let comment = outcome["comment"].as_str().expect("a comment");
    assert!((1..=1024).contains(&comment.chars().count()));
    assert_eq!(outcome.as_object().map(serde_json::Map::len), Some(1));
}

#[tokio::test]
async fn what_is_not_a_webhook_is_refused_and_not_handled() {
    let tenant = FakeTenant::new(DOMAIN);
    let jwks = serve(&tenant).await;
    let receiver = Receiver::ready(&jwks, &["--max-body", "3000", "--log-json"]).await;
    let good = || tenant.delivery(TEST_EVENT);
    let padding = json!({ "padding": "x".repeat(3000) });
    for protocol in PROTOCOLS {
        for method in [
            Method::GET,
            Method::HEAD,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
            Method::OPTIONS,
        ] {
            let answer = receiver
                .send(protocol, &good().method(method.clone()))
                .await;
            assert_eq!(answer.status, 405, "{method}");
            let allow: Vec<_> = answer.headers.get_all("allow").iter().collect();
            assert_eq!(allow, ["POST"], "{method}");
        }
        let replayed = good();
        assert_eq!(receiver.send(protocol, &replayed).await.status, 200);
        for (name, delivery, status, code) in [
            ("replayed", replayed, 401, "invalid_token"),
            (
                "forged",
                FakeTenant::new(DOMAIN).delivery(TEST_EVENT),
                401,
                "invalid_token",
            ),
            (
                "of another tenant",
                FakeTenant::new("other.example").delivery(TEST_EVENT),
                401,
                "invalid_token",
            ),
            (
                "unsigned",
                good().without_http_header("authorization"),
                401,
                "missing_token",
            ),
            ("changed", good().tampered_body("{}"), 401, "invalid_token"),
            (
                "for another path",
                good().to("https://hooks.example.com/webhooks/2"),
                404,
                "",
            ),
            (
                "not JSON",
                good().http_header("content-type", "text/plain"),
                415,
                "unsupported_media_type",
            ),
            (
                "too long",
                good().payload(padding.clone()),
                413,
                "body_too_large",
            ),
            ("no envelope", good().body("[]"), 400, "invalid_envelope"),
        ] {
            let answer = receiver.send(protocol, &delivery).await;
            assert_eq!(
                (answer.status.as_u16(), &*answer.code()),
                (status, code),
                "{name}"
            );
        }
        assert_eq!(receiver.get(protocol, "/healthz").await.status, 200);
        assert_eq!(receiver.get(protocol, "/readyz").await.status, 200);
        assert_eq!(receiver.get(protocol, "/").await.status, 404);
    }
    let log = receiver.log();
    assert_eq!(
        receiver.stop().await.len(),
        PROTOCOLS.len(),
        "the good ones only"
    );
    assert!(
        !log.contains("eyJ") && !log.contains("/callback/"),
        "a secret in the log: {log}"
    );
}

#[tokio::test]
async fn with_log_json_each_run_of_the_handler_prints_its_one_line() {
    const APP: &str = "type.googleapis.com/c1.api.app.v1.App";
    let tenant = FakeTenant::new(DOMAIN);
    let jwks = serve(&tenant).await;
    let mut receiver = Receiver::ready(&jwks, &["--log-json"]).await;

    for event in EVENTS
        .iter()
        .copied()
        .chain(["c1.webhooks.v1.PayloadOfTomorrow"])
    {
        let delivery = tenant.delivery(event);
        let envelope = delivery.envelope();
        let task_id = &envelope["payload"]["taskView"]["task"]["id"];
        let app = task_id.as_str().map(|_| "Example App");
        receiver.send(Protocol::Http1, &delivery).await;
        assert_eq!(
            receiver.line().await,
            json!({
                "handled": envelope["webhookId"],
                "event": event,
                "tenant": DOMAIN,
                "task_id": task_id,
                "app": app,
            })
        );
    }

    let expanded = json!([
        { "@type": "type.googleapis.com/c1.api.user.v1.User", "displayName": "Ada" },
        { "@type": APP, "id": "1", "displayName": "Crème & \"Sons\"\n" },
        { "@type": APP, "id": "2" },
        { "@type": "type.googleapis.com/c1.api.app.v1.AppUser", "displayName": "Ada" },
        { "displayName": "of no type" },
        { "@type": APP, "displayName": 7 },
    ]);
    let rows = [
        (json!("$.expanded[1]"), json!("Crème & \"Sons\"\n")),
        (json!("$['expanded'][1]"), json!("Crème & \"Sons\"\n")),
        (json!("$.expanded[-5]"), json!("Crème & \"Sons\"\n")),
        (json!("$.*[1:2]"), json!("Crème & \"Sons\"\n")),
        (json!("$.expanded[0]"), Value::Null),
        (json!("$.expanded[2]"), Value::Null),
        (json!("$.expanded[3]"), Value::Null),
        (json!("$.expanded[4]"), Value::Null),
        (json!("$.expanded[5]"), Value::Null),
        (json!("$.expanded[6]"), Value::Null),
        (json!("$.expanded[*]"), Value::Null),
        (json!("$.elsewhere[0]"), Value::Null),
        (json!("$.expanded[?@.id=='1']"), Value::Null),
        (json!("expanded[1]"), Value::Null),
        (json!("$.expanded[1"), Value::Null),
        (json!(""), Value::Null),
        (Value::Null, Value::Null),
    ];
    for (path, app) in rows {
        let payload = json!({
            "@type": "type.googleapis.com/c1.webhooks.v1.PayloadProvisionStep",
            "taskView": { "task": { "id": "t-1" }, "appPath": path },
            "expanded": expanded,
        });
        let answer = receiver
            .send(
                Protocol::Http1,
                &tenant.delivery(EVENTS[1]).payload(payload),
            )
            .await;
        assert_eq!(answer.status, 200, "{path}");
        let line = receiver.line().await;
        assert_eq!(
            (&line["task_id"], &line["app"]),
            (&json!("t-1"), &app),
            "{path}"
        );
    }

    // However odd the payload, the webhook is one, and is answered.
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    for payload in ["null", "7", "[]", r#"{"taskView":[],"expanded":{}}"#, &deep] {
        let envelope = format!(
            r#"{{"version":"v1","webhookId":"w-1","event":"{}","payload":{payload}}}"#,
            EVENTS[1]
        );
        let delivery = tenant
            .delivery(EVENTS[1])
            .webhook_id("w-1")
            .callback_url(None)
            .body(envelope);
        let answer = receiver.send(Protocol::Http1, &delivery).await;
        assert_eq!(answer.status, 200, "{payload:.40}: {answer:?}");
        assert_eq!(
            receiver.line().await,
            json!({ "handled": "w-1", "event": EVENTS[1], "tenant": DOMAIN, "task_id": null, "app": null })
        );
    }
    assert_eq!(receiver.stop().await, [""; 0], "and nothing else on stdout");
}

#[tokio::test]
async fn several_tenants_each_have_their_own_keys() {
    let (one, two) = (
        FakeTenant::new("one.example"),
        FakeTenant::new("two.example"),
    );
    let (one_jwks, two_jwks) = (serve(&one).await, serve(&two).await);
    let mut receiver = Receiver::start(&[
        "--log-json",
        "--tenant",
        "one.example",
        "--tenant",
        "two.example",
        "--jwks-url",
        &format!("two.example={}", two_jwks.url()),
        "--jwks-url",
        &format!("one.example={}", one_jwks.url()),
    ])
    .await;
    for tenant in [&one, &two, &one] {
        let answer = receiver
            .send(Protocol::Http1, &tenant.delivery(TEST_EVENT))
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(receiver.line().await["tenant"], tenant.domain());
    }
    let posing = two.delivery(TEST_EVENT).claim("iss", json!("one.example"));
    assert_eq!(receiver.send(Protocol::Http1, &posing).await.status, 401);
    assert_eq!(receiver.stop().await, [""; 0]);
}

#[tokio::test]
async fn a_reader_of_stdout_that_stalls_does_not_stall_the_server() {
    let tenant = FakeTenant::new(DOMAIN);
    let jwks = serve(&tenant).await;
    let mut receiver = Receiver::ready(&jwks, &["--log-json"]).await;
    // Eight lines of 60 kB each are more than the pipe takes.
    let task_id = "t".repeat(60_000);
    let mut answers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let payload = json!({ "taskView": { "task": { "id": task_id } } });
        let request = tenant.delivery(EVENTS[1]).payload(payload).request();
        let address = receiver.address;
        answers.spawn(async move {
            Client::connect(Protocol::Http1, address)
                .await
                .send(request)
                .await
                .status
        });
    }
    let first = within("an answer", answers.join_next())
        .await
        .expect("a task");
    assert_eq!(first.expect("no panic"), 200);
    for _ in 0..16 {
        assert_eq!(receiver.get(Protocol::Http1, "/healthz").await.status, 200);
    }
    for _ in 0..8 {
        assert_eq!(receiver.line().await["task_id"], task_id);
    }
    while let Some(status) = answers.join_next().await {
        assert_eq!(status.expect("no panic"), 200);
    }
    assert_eq!(receiver.stop().await, [""; 0]);
}

#[tokio::test]
async fn a_client_that_asks_for_nothing_is_hung_up_on() {
    let tenant = FakeTenant::new(DOMAIN);
    let jwks = serve(&tenant).await;
    let receiver = Receiver::ready(&jwks, &[]).await;
    let mut patient = Client::connect(Protocol::Http2, receiver.address).await;
    let good = || tenant.delivery(TEST_EVENT).request();
    assert_eq!(patient.send(good()).await.status, 200);

    // What could still become HTTP/1.1 or HTTP/2, or is HTTP/2 without a request.
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let beginnings: [&[u8]; 5] = [b"", b"P", b"PRI * HT", b"POST /webhooks HTT", preface];
    let mut clients = tokio::task::JoinSet::new();
    for sent in beginnings {
        let mut wire = Wire::connect(receiver.address).await;
        wire.write(sent).await;
        clients.spawn(async move {
            let since = Instant::now();
            wire.rest().await;
            (since.elapsed(), String::from_utf8_lossy(sent))
        });
    }
    while let Some(hung_up) = clients.join_next().await {
        let (after, sent) = hung_up.expect("no panic");
        assert!((8..15).contains(&after.as_secs()), "{sent:?}: {after:?}");
    }
    // Who has asked once is not meant.
    assert_eq!(patient.send(good()).await.status, 200);
}

/// An HTTP/1.1 request for which the receiver waits to get its body.
async fn in_flight(receiver: &Receiver, delivery: &Delivery) -> Wire {
    let request = delivery.request();
    let length = support::wire::body_length(&request);
    let extra = format!("expect: 100-continue\r\ncontent-length: {length}\r\n");
    let mut wire = Wire::connect(receiver.address).await;
    wire.write(head(&request, "/webhooks", &extra)).await;
    assert_eq!(wire.read().await.status, StatusCode::CONTINUE);
    wire
}

/// An answer over HTTP/2 of which the client takes no more than one byte.
async fn half_read(receiver: &Receiver, delivery: &Delivery) -> (Client, Response<Incoming>) {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(1);
    let mut client = Client::http2(receiver.address, &builder).await;
    let answer = within("an answer", client.begin(delivery.request())).await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status(), 200);
    (client, answer)
}

async fn a_request_in_flight_is_answered_and_no_new_one_taken(signal: &str) {
    let tenant = FakeTenant::new(DOMAIN);
    let jwks = serve(&tenant).await;
    let mut receiver = Receiver::ready(&jwks, &["--log-json"]).await;
    let deliveries = [tenant.delivery(EVENTS[1]), tenant.delivery(EVENTS[2])];
    let mut http1 = in_flight(&receiver, &deliveries[0]).await;

    let mut http2 = Client::connect(Protocol::Http2, receiver.address).await;
    let (frames, body) = streamed(None);
    let whole = deliveries[1].body_bytes();
    frames.send(Ok(whole.slice(..10))).expect("not dropped");
    let request = deliveries[1].request().map(|_| body);
    let http2 = tokio::spawn(async move { http2.send(request).await });
    receiver
        .wait_for_logs("started processing request", 2)
        .await;

    receiver.signal(signal);
    receiver.wait_for_log("stopping").await;
    let refused = TcpStream::connect(receiver.address)
        .await
        .expect_err("no listener");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);

    http1.write(deliveries[0].body_bytes()).await;
    let answer = http1.read().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.json()["complete"].is_object());
    frames.send(Ok(whole.slice(10..))).expect("not dropped");
    drop(frames);
    let answer = http2.await.expect("no panic");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.json()["approve"].is_object());

    // With all answered there is nothing to wait for.
    let answered = Instant::now();
    assert_eq!(receiver.exit().await.code(), Some(0));
    assert!(
        answered.elapsed() < Duration::from_secs(5),
        "{:?}",
        answered.elapsed()
    );
    let handled = [receiver.line().await, receiver.line().await];
    assert_eq!(
        handled.map(|line| line["event"].clone()),
        [EVENTS[1], EVENTS[2]]
    );
    let log = receiver.wait_for_log("stopped").await;
    assert!(!log.contains("idle clients"), "{log}");
}

async fn clients_that_dawdle_do_not_keep_it_from_stopping(signal: &str, with_half_a_body: bool) {
    let tenant = FakeTenant::new(DOMAIN);
    let jwks = serve(&tenant).await;
    let mut receiver = Receiver::ready(&jwks, &[]).await;
    let good = || tenant.delivery(EVENTS[1]);

    let silent = Wire::connect(receiver.address).await;
    let mut idle1 = Client::connect(Protocol::Http1, receiver.address).await;
    assert_eq!(idle1.send(good().request()).await.status, 200);
    let mut idle2 = Client::connect(Protocol::Http2, receiver.address).await;
    assert_eq!(idle2.send(good().request()).await.status, 200);
    let mut half_a_preface = Wire::connect(receiver.address).await;
    half_a_preface.write("PRI * HTTP/2").await;
    let mut half_sent = Wire::connect(receiver.address).await;
    half_sent
        .write("POST /webhooks HTTP/1.1\r\nhost: hoo")
        .await;
    let half_read = half_read(&receiver, &good()).await;
    let mut half_a_request = None;
    if with_half_a_body {
        let mut wire = in_flight(&receiver, &good()).await;
        wire.write("{").await;
        half_a_request = Some(wire);
    }

    receiver.signal(signal);
    receiver.wait_for_log("stopping").await;
    if let Some(wire) = &mut half_a_request {
        assert_eq!(wire.read().await.status, 408);
    }
    let last_answer = Instant::now();
    assert_eq!(receiver.exit().await.code(), Some(0), "{}", receiver.log());
    assert!(
        last_answer.elapsed() < Duration::from_secs(15),
        "{:?}",
        last_answer.elapsed()
    );
    drop((silent, idle1, idle2, half_a_preface, half_sent, half_read));
}

#[tokio::test]
async fn sigterm_lets_requests_in_flight_finish() {
    a_request_in_flight_is_answered_and_no_new_one_taken("TERM").await;
}

#[tokio::test]
async fn sigint_lets_requests_in_flight_finish() {
    a_request_in_flight_is_answered_and_no_new_one_taken("INT").await;
}

#[tokio::test]
async fn sigterm_ends_it_although_clients_dawdle() {
    tokio::join!(
        clients_that_dawdle_do_not_keep_it_from_stopping("TERM", false),
        clients_that_dawdle_do_not_keep_it_from_stopping("TERM", true),
    );
}

#[tokio::test]
async fn sigint_ends_it_although_clients_dawdle() {
    tokio::join!(
        clients_that_dawdle_do_not_keep_it_from_stopping("INT", false),
        clients_that_dawdle_do_not_keep_it_from_stopping("INT", true),
    );
}

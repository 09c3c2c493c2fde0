//! Lambda, as its functions see it: the Runtime API, and a process that is frozen unless an
//! invocation is open.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use support::wire::within;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// The time limit of the functions.
const LIMIT: Duration = Duration::from_secs(29);

/// What a function makes of an event, or its error.
type Ended = Result<Value, Value>;

/// An event, and who waits for what the function makes of it.
type Invocation = (Value, oneshot::Sender<Ended>);

/// A function in its sandbox.
pub(crate) struct Lambda {
    child: Child,
    events: mpsc::UnboundedSender<Invocation>,
    log: JoinHandle<String>,
}

#[derive(Clone)]
struct RuntimeApi {
    events: Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<Invocation>>>,
    open: Arc<Mutex<HashMap<String, oneshot::Sender<Ended>>>>,
}

impl Lambda {
    pub(crate) async fn start(program: &str, settings: &[(&str, &str)]) -> Self {
        let (events, receiver) = mpsc::unbounded_channel();
        let api = RuntimeApi {
            events: Arc::new(receiver.into()),
            open: Arc::default(),
        };
        let app = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/{how}", post(end))
            .with_state(api);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async { axum::serve(listener, app).await });
        let mut child = Command::new(program)
            .env_remove("AWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH")
            .env_remove("AWS_LAMBDA_MAX_CONCURRENCY")
            .env("AWS_LAMBDA_FUNCTION_NAME", "webhooks")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("it starts");
        let mut stdout = child.stdout.take().expect("piped");
        let log = tokio::spawn(async move {
            let mut log = Vec::new();
            let _ = stdout.read_to_end(&mut log).await;
            String::from_utf8(log).expect("UTF-8")
        });
        Self { child, events, log }
    }

    /// Thaws it, hands it an event, and freezes it at its answer.
    pub(crate) async fn invoke(&self, event: Value) -> Ended {
        self.signal("CONT").await;
        let (sender, ended) = oneshot::channel();
        self.events.send((event, sender)).expect("it runs");
        let ended = within("the end of an invocation", ended).await;
        self.signal("STOP").await;
        ended.expect("an answer")
    }

    async fn signal(&self, name: &str) {
        let id = self.child.id().expect("it runs").to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status().await;
        assert!(sent.expect("kill(1)").success());
    }

    /// Ends it, and returns what it has printed.
    pub(crate) async fn log(mut self) -> String {
        self.child.kill().await.expect("it runs");
        self.log.await.expect("a log")
    }
}

async fn end(
    State(api): State<RuntimeApi>,
    Path((id, how)): Path<(String, String)>,
    body: Bytes,
) -> StatusCode {
    let body = serde_json::from_slice(&body).expect("JSON");
    let ended = match &*how {
        "response" => Ok(body),
        "error" => Err(body),
        _ => return StatusCode::NOT_FOUND,
    };
    let open = api.open.lock().expect("no panic").remove(&id);
    let open = open.expect("an open invocation");
    open.send(ended).expect("one waits");
    StatusCode::ACCEPTED
}

async fn next(State(api): State<RuntimeApi>) -> impl IntoResponse {
    let (event, sender) = match api.events.lock().await.recv().await {
        Some(event) => event,
        None => std::future::pending().await, // the test is over
    };
    let mut open = api.open.lock().expect("no panic");
    let id = "8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned(); // one at a time
    open.insert(id.clone(), sender);
    let deadline = UNIX_EPOCH.elapsed().expect("after 1970") + LIMIT;
    let headers = [
        ("lambda-runtime-aws-request-id", id),
        (
            "lambda-runtime-deadline-ms",
            deadline.as_millis().to_string(),
        ),
        (
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:eu-west-1:123456789012:function:webhooks".into(),
        ),
    ];
    (headers, Json(event))
}

/// Messages as an SQS queue hands them to its function.
pub(crate) fn messages<'a>(bodies: impl IntoIterator<Item = &'a str>) -> Value {
    let records = bodies.into_iter().enumerate().map(|(number, body)| {
        json!({
            "messageId": format!("message-{number}"),
            "receiptHandle": "MessageReceiptHandle",
            "body": body,
            "attributes": { "ApproximateReceiveCount": "1" },
            "messageAttributes": {},
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:jobs",
            "awsRegion": "eu-west-1",
        })
    });
    json!({ "Records": records.collect::<Vec<_>>() })
}

//! `examples/inbox` as its users see it: a process that is killed and started
//! again, between a ConductorOne that tries again and one that waits for
//! callbacks.
#![cfg(unix)]

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::Uri;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::json;
use support::DOMAIN;
use support::wire::{BoxError, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tower::service_fn;
use tower_conductorone::SystemClock;
use tower_conductorone::testing::simulator::{CallbackServer, DeliveryReport, End, Switches};
use tower_conductorone::testing::{Delivery, EVENTS, FakeTenant, JwksServer, Simulator};

const PROVISION: &str = "c1.webhooks.v1.PayloadProvisionStep";
const BEGINS: &str = "the work begins";
const DONE: &str = "the work is done";

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_inbox"));
    command
        .env("RUST_LOG", "info")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// A database in a directory of its own, which goes when it is dropped.
struct Database(PathBuf);

impl Database {
    fn new() -> Self {
        let name = format!("inbox-{}-{:x}", std::process::id(), fastrand::u64(..));
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir(&directory).expect("a directory");
        Self(directory)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// An inbox that runs.
struct Inbox {
    child: Child,
    address: SocketAddr,
    log: watch::Receiver<String>,
}

impl Inbox {
    async fn start(database: &Database, jwks: &JwksServer, callbacks: &str, work_ms: u64) -> Self {
        let mut child = command()
            .args(["--listen", "127.0.0.1:0", "--tenant", DOMAIN])
            .args(["--public-url", "https://hooks.example.com"])
            .args(["--jwks-url", &jwks.url(), "--callback-origin", callbacks])
            .args(["--work-ms", &work_ms.to_string(), "--database"])
            .arg(database.0.join("inbox.db"))
            .spawn()
            .expect("the example starts");
        let mut stderr = child.stderr.take().expect("piped");
        let (sender, log) = watch::channel(String::new());
        tokio::spawn(async move {
            let mut chunk = [0; 4096];
            while let Ok(read @ 1..) = stderr.read(&mut chunk).await {
                let text = String::from_utf8_lossy(&chunk[..read]);
                sender.send_modify(|log| log.push_str(&text));
            }
        });
        let address = (Ipv4Addr::LOCALHOST, 0).into();
        let mut inbox = Self {
            child,
            address,
            log,
        };
        inbox.wait_for("listening", 1).await;
        let log = inbox.log.borrow().clone();
        let (_, address) = log.split_once("address=").expect("an address in the log");
        let address = address.split_whitespace().next().unwrap_or_default();
        inbox.address = address.parse().expect("an address");
        inbox
    }

    /// Waits until the text is in so many complete lines of the log.
    async fn wait_for(&mut self, text: &str, times: usize) {
        let log = self.log.wait_for(|log| lines(log, text) >= times);
        let found = within(text, log).await.is_ok();
        assert!(found, "the log ends without {text:?}");
    }

    fn count(&self, text: &str) -> usize {
        lines(&self.log.borrow(), text)
    }

    /// As SIGKILL does it: at once, wherever it is.
    async fn kill(&mut self) {
        self.child.kill().await.expect("it ran");
    }

    /// SIGTERM, and what it had logged by then.
    async fn stop(mut self) -> String {
        let id = self.child.id().expect("it runs").to_string();
        let kill = std::process::Command::new("kill").arg(id).status();
        assert!(kill.expect("kill(1)").success());
        let status = within("its exit", self.child.wait())
            .await
            .expect("a child");
        // Whatever it had written.
        while self.log.changed().await.is_ok() {}
        let log = self.log.borrow().clone();
        assert!(status.success(), "{log}");
        log
    }

    async fn send(&self, delivery: &Delivery) -> StatusCode {
        let response = post(self.address, delivery.request()).await;
        response.expect("an answer").status()
    }
}

fn lines(log: &str, text: &str) -> usize {
    let lines = log.split_inclusive('\n');
    lines
        .filter(|line| line.ends_with('\n') && line.contains(text))
        .count()
}

async fn post(
    address: SocketAddr,
    request: Request<Full<Bytes>>,
) -> Result<Response<Full<Bytes>>, BoxError> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let (parts, body) = sender.send_request(request).await?.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(Response::from_parts(parts, Full::new(body)))
}

/// A ConductorOne that tries again soon, and takes every liberty that its
/// documentation leaves it.
struct Sender {
    tenant: FakeTenant,
    jwks: JwksServer,
    simulator: Simulator,
    callbacks: CallbackServer,
    /// Where the inbox is now.
    address: watch::Sender<SocketAddr>,
}

impl Sender {
    async fn new() -> Self {
        let tenant = FakeTenant::new(DOMAIN);
        let jwks = tenant.serve().await.expect("a port");
        let mut switches = Switches::default();
        switches.change_bodies = true;
        switches.change_callback_urls = true;
        switches.refuse_early_callbacks = true;
        switches.share_webhook_ids = true;
        let simulator = Simulator::new(&tenant)
            .clock(SystemClock)
            .pauses(Duration::from_millis(200)..=Duration::from_millis(800))
            .switches(switches);
        let callbacks = simulator.callbacks().serve().await.expect("a port");
        Self {
            tenant,
            jwks,
            simulator,
            callbacks,
            address: watch::Sender::new((Ipv4Addr::LOCALHOST, 0).into()),
        }
    }

    async fn start(&self, database: &Database, work_ms: u64) -> Inbox {
        let origin = self.callbacks.origin();
        let inbox = Inbox::start(database, &self.jwks, &origin, work_ms).await;
        self.address.send_replace(inbox.address);
        inbox
    }

    /// Deliveries of all events, of which the first answers are not heard.
    fn deliver(&self, count: usize, unheard: usize) -> JoinSet<DeliveryReport> {
        let deliveries = (0..count).map(|n| {
            let event = EVENTS[n % EVENTS.len()];
            let delivery = self
                .tenant
                .delivery(event)
                .to("https://hooks.example.com/webhooks")
                .payload(json!({ "@type": format!("type.googleapis.com/{event}"), "n": n }));
            let address = self.address.subscribe();
            let answers = Arc::new(AtomicUsize::new(0));
            let receiver = service_fn(move |request: Request<Full<Bytes>>| {
                let address = *address.borrow();
                let answers = Arc::clone(&answers);
                async move {
                    let response = post(address, request).await?;
                    if response.status() == 202 && answers.fetch_add(1, Ordering::SeqCst) < unheard
                    {
                        return Err("the answer was lost".into());
                    }
                    Ok::<_, BoxError>(response)
                }
            });
            self.simulator.deliver(receiver, delivery)
        });
        deliveries.collect()
    }
}

/// Waits until all are over, and each has had its callback, once.
async fn all_called_back(deliveries: JoinSet<DeliveryReport>, count: usize) {
    let reports = within("the callbacks", deliveries.join_all()).await;
    assert_eq!(reports.len(), count);
    for report in reports {
        assert_eq!(report.end(), &End::CompletedByCallback, "{report:?}");
        let taken = report.callbacks();
        let taken = taken.iter().filter(|post| post.status() == 200).count();
        assert_eq!(taken, 1, "{report:?}");
    }
}

#[tokio::test]
async fn each_delivery_that_comes_three_times_is_worked_on_and_called_back_once() {
    let (database, sender) = (Database::new(), Sender::new().await);
    let inbox = sender.start(&database, 0).await;
    all_called_back(sender.deliver(20, 2), 20).await;
    let log = inbox.stop().await;
    assert_eq!(lines(&log, BEGINS), 20, "{log}");
    assert_eq!(lines(&log, "callback delivered"), 20, "{log}");
    assert!(!log.contains("/callback/"), "a callback URL in the log");
}

#[tokio::test]
async fn a_kill_in_the_midst_of_the_work_loses_nothing() {
    let (database, sender) = (Database::new(), Sender::new().await);
    let mut inbox = sender.start(&database, 300).await;
    let deliveries = sender.deliver(20, 2);
    inbox.wait_for(DONE, 3).await;
    inbox.kill().await;
    assert!(inbox.count(DONE) < 20, "it was killed too late");
    let inbox = sender.start(&database, 0).await;
    all_called_back(deliveries, 20).await;
    inbox.stop().await;
}

#[tokio::test]
async fn work_that_was_cut_off_is_taken_up_again_without_being_asked_for() {
    let (database, sender) = (Database::new(), Sender::new().await);
    let an_hour = 60 * 60 * 1000;
    let mut inbox = sender.start(&database, an_hour).await;
    let deliveries = sender.deliver(1, 0);
    inbox.wait_for(BEGINS, 1).await;
    inbox.kill().await;
    let inbox = sender.start(&database, 0).await;
    all_called_back(deliveries, 1).await;
    let log = inbox.stop().await;
    assert_eq!(lines(&log, BEGINS), 1, "{log}");
}

#[tokio::test]
async fn a_worker_with_more_to_do_than_it_can_keeps_its_jobs_beside_another() {
    let (database, sender) = (Database::new(), Sender::new().await);
    // Longer than a worker may be silent.
    let mut one = sender.start(&database, 7000).await;
    let deliveries = sender.deliver(12, 0);
    one.wait_for(BEGINS, 8).await;
    let two = sender.start(&database, 7000).await;
    all_called_back(deliveries, 12).await;
    let (one, two) = (one.stop().await, two.stop().await);
    let begun = [lines(&one, BEGINS), lines(&two, BEGINS)];
    assert_eq!(begun.iter().sum::<usize>(), 12, "{begun:?}");
}

#[tokio::test]
async fn a_duplicate_after_a_restart_is_answered_202_and_makes_no_second_job() {
    let (database, sender) = (Database::new(), Sender::new().await);
    let (posts, mut posted) = mpsc::unbounded_channel();
    let app = Router::new().fallback(move |uri: Uri| async move {
        posts.send(uri.path().to_owned()).expect("a test");
        StatusCode::OK
    });
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let listener = listener.expect("a port");
    let origin = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(axum::serve(listener, app).into_future());
    let delivery = |path: &str| {
        sender
            .tenant
            .delivery(PROVISION)
            .to("https://hooks.example.com/webhooks")
            .payload(json!({ "path": path }))
            .webhook_id("2fCjgK8tYJxV9u8d1wupBMeXZ45")
            .callback_url(Some(&format!("{origin}{path}")))
    };

    let mut inbox = Inbox::start(&database, &sender.jwks, &origin, 0).await;
    assert_eq!(inbox.send(&delivery("/first")).await, 202);
    let path = within("the callback", posted.recv()).await;
    assert_eq!(path.as_deref(), Some("/first"));
    inbox.wait_for("callback delivered", 1).await;
    inbox.stop().await;

    let inbox = Inbox::start(&database, &sender.jwks, &origin, 0).await;
    for _ in 0..3 {
        assert_eq!(inbox.send(&delivery("/first")).await, 202);
    }
    // Jobs are done in their order: a second one would come before this.
    assert_eq!(inbox.send(&delivery("/second")).await, 202);
    let path = within("the callback", posted.recv()).await;
    assert_eq!(path.as_deref(), Some("/second"));
    let log = inbox.stop().await;
    assert_eq!(lines(&log, BEGINS), 1, "{log}");
}

#[tokio::test]
async fn a_client_that_sends_half_a_request_does_not_keep_it_from_stopping() {
    let (database, sender) = (Database::new(), Sender::new().await);
    let inbox = sender.start(&database, 0).await;
    let mut client = TcpStream::connect(inbox.address).await.expect("a server");
    // By now it also listens to signals.
    let forged = sender.tenant.delivery(PROVISION).tampered_body("{}");
    assert_eq!(inbox.send(&forged).await, 401);
    let half = b"POST /webhooks HTTP/1.1\r\nhost: hooks.example.com\r\n";
    client.write_all(half).await.expect("a connection");
    let log = inbox.stop().await;
    assert_eq!(lines(&log, "some clients had not hung up"), 1, "{log}");
    drop(client);
}

#[tokio::test]
async fn a_delivery_that_cannot_be_called_back_is_refused_with_400() {
    let (database, sender) = (Database::new(), Sender::new().await);
    let inbox = sender.start(&database, 0).await;
    let good = || {
        sender
            .tenant
            .delivery(PROVISION)
            .to("https://hooks.example.com/webhooks")
    };
    for (url, reason) in [
        (None, "it has no callback URL"),
        (
            Some("http://127.0.0.1:9/api/v1/webhooks/callback/x"),
            "none of the tenant's configured origins",
        ),
    ] {
        assert_eq!(inbox.send(&good().callback_url(url)).await, 400, "{url:?}");
        assert_eq!(inbox.count(reason), 1, "{url:?}");
    }
    let forged = good().tampered_body("{}");
    assert_eq!(inbox.send(&forged).await, 401);
    let log = inbox.stop().await;
    assert_eq!(lines(&log, BEGINS), 0, "{log}");
}

#[tokio::test]
async fn wrong_use_ends_it_at_once_with_a_message() {
    const GOOD: &str = "--listen 127.0.0.1:0 --public-url https://hooks.example.com";
    const ONE: &str = "--tenant one.example --database /dev/null/inbox.db";
    let rows: &[(&str, &[&str])] = &[
        ("", &["--tenant <DOMAIN>", "--database <PATH>"]),
        ("--nonsense", &["--nonsense"]),
        (ONE, &["--database /dev/null/inbox.db"]),
        (
            "--tenant https://a --database x",
            &["https://a", "host name"],
        ),
        ("--tenant a --database x --work-ms -1", &["-1"]),
        (
            "--tenant a --database x --jwks-url b.example=https://b.example/",
            &["--jwks-url", "no --tenant is b.example"],
        ),
        (
            "--tenant a --tenant b --database x --callback-origin https://c.example",
            &["--callback-origin TENANT=https://c.example"],
        ),
        (
            "--tenant a --database x --callback-origin http://c.example",
            &["http://c.example", "https"],
        ),
    ];
    for (flags, messages) in rows {
        let mut command = command();
        command
            .args(GOOD.split_whitespace())
            .args(flags.split_whitespace());
        let output = within("its exit", command.output()).await.expect("it runs");
        let message = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(matches!(output.status.code(), Some(1 | 2)), "{flags}");
        assert!(message.starts_with("error: "), "{flags}: {message}");
        for text in *messages {
            assert!(message.contains(text), "{flags}: {text:?} in {message}");
        }
    }
}

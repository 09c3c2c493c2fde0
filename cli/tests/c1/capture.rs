//! `c1 capture`, between a caller and a receiver.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use axum::Router;
use axum::routing::post;
use serde_json::{Value, json};
use support::wire::{Answer, Client, Protocol, Wire, within};
use support::{DOMAIN, TEST_EVENT};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::task::JoinHandle;
use tower_conductorone::event::{Acknowledgement, Outcome, Payload, PayloadError};
use tower_conductorone::keys::KeySet;
use tower_conductorone::testing::explain::CapturedRequest;
use tower_conductorone::testing::{Delivery, FakeTenant};
use tower_conductorone::{Tenant, VerifyWebhookLayer, Webhook};

use crate::commands::behind_tls;
use crate::program::{Folder, c1, c1_of, folder, program};

const PUBLIC_URL: &str = "https://hooks.example.com";

/// A `c1 capture` that runs.
struct Capture {
    address: SocketAddr,
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    stderr: Lines<BufReader<ChildStderr>>,
    said: String,
}

impl Capture {
    async fn start(folder: &Path, to: &str, args: &str) -> Self {
        let mut command = program(folder);
        command.args(["capture", "--to", to]);
        Self::run(command.args(args.split_whitespace())).await
    }

    async fn run(command: &mut Command) -> Self {
        let mut child = command.spawn().expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let stderr = BufReader::new(child.stderr.take().expect("piped")).lines();
        let mut capture = Self {
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            child,
            lines,
            stderr,
            said: String::new(),
        };
        let line = capture.line_with("http://").await;
        let (_, address) = line.split_once("http://").expect("it listens");
        let port = address.rsplit_once(':').expect("a port").1;
        let port: String = port.chars().take_while(char::is_ascii_digit).collect();
        capture.address.set_port(port.parse().expect("a port"));
        capture
    }

    /// The next line with this text.
    async fn line_with(&mut self, text: &str) -> String {
        loop {
            let line = within(text, self.lines.next_line()).await.expect("UTF-8");
            let line = line.unwrap_or_else(|| panic!("no {text:?} in {}", self.said));
            self.said += &line;
            self.said.push('\n');
            if line.contains(text) {
                return line;
            }
        }
    }

    async fn warning(&mut self) -> String {
        let line = within("a warning", self.stderr.next_line()).await;
        line.expect("UTF-8").expect("a warning")
    }

    async fn send(&self, delivery: &Delivery) -> Answer {
        let mut client = Client::connect(Protocol::Http1, self.address).await;
        client.send(delivery.request()).await
    }

    /// Ends it; all that it has said.
    async fn stop(mut self) -> String {
        self.child.kill().await.expect("it runs");
        while let Ok(Some(line)) = self.lines.next_line().await {
            self.said += &line;
        }
        while let Ok(Some(line)) = self.stderr.next_line().await {
            self.said += &line;
        }
        self.said
    }
}

/// A receiver with the layer; its address.
async fn receiver(tenant: &FakeTenant) -> String {
    let keys = KeySet::from_json(tenant.jwks().as_bytes()).expect("keys");
    let verify = VerifyWebhookLayer::builder()
        .public_url(PUBLIC_URL)
        .tenant(Tenant::new(DOMAIN).static_keys(keys))
        .build()
        .expect("a layer");
    let handler = async |webhook: Webhook| {
        Ok::<_, PayloadError>(match webhook.payload()? {
            Payload::Test(test) => test.answer(Acknowledgement::new()),
            _ => Outcome::failed(),
        })
    };
    let app = Router::new()
        .route("/webhooks", post(handler))
        .layer(verify);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async { axum::serve(listener, app).await });
    format!("http://{address}")
}

/// A receiver that answers one request of this size with these bytes, and gives back what it
/// got.
async fn scripted(size: usize, answer: &'static [u8]) -> (String, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let got = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a caller");
        let mut got = vec![0; size];
        stream.read_exact(&mut got).await.expect("a request");
        stream.write_all(answer).await.expect("a caller");
        // What more comes until the caller hangs up.
        stream.read_to_end(&mut got).await.expect("its end");
        got
    });
    (format!("http://{address}"), got)
}

fn mode(path: &Path) -> u32 {
    let file = std::fs::metadata(path).expect("a file");
    file.permissions().mode() & 0o777
}

fn files(folder: &Folder) -> Vec<String> {
    let files = std::fs::read_dir(folder.join("captured")).expect("a folder");
    let names = files.map(|file| file.expect("a file").file_name());
    let mut names: Vec<_> = names
        .map(|name| name.into_string().expect("UTF-8"))
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_receiver_behind_it_answers_as_before_and_a_refusal_is_explained() {
    let folder = folder();
    let tenant = FakeTenant::new(DOMAIN);
    std::fs::write(folder.join("jwks.json"), tenant.jwks()).expect("a file");
    let settings = format!("--public-url {PUBLIC_URL} --tenant {DOMAIN} --jwks jwks.json");
    let mut capture = Capture::start(&folder, &receiver(&tenant).await, &settings).await;

    // Both on one connection.
    let mut client = Client::connect(Protocol::Http1, capture.address).await;
    let good = tenant.delivery(TEST_EVENT);
    let answer = client.send(good.request()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json(), json!({ "version": "v1" }));
    let line = capture.line_with("0001.http").await;
    for text in ["POST /webhooks", TEST_EVENT, "200 OK", "captured/0001.http"] {
        assert!(line.contains(text), "{line}");
    }
    let explained = c1(&folder, &format!("explain captured/0001.http {settings}")).await;
    assert_eq!(explained.code, 0, "{explained:?}");
    assert!(explained.stdout.contains("\naccepted\n"), "{explained:?}");

    let elsewhere = tenant
        .delivery(TEST_EVENT)
        .to("https://hooks.example.net/webhooks");
    let answer = client.send(elsewhere.request()).await;
    assert_eq!(answer.status, 401);
    assert!(capture.line_with("0002.http").await.contains("401"));
    let command = capture.line_with("c1 explain").await;
    let command: Vec<_> = command.split_whitespace().skip(1).collect();
    assert!(command.contains(&"--at"), "{command:?}");
    let explained = c1_of(&folder, command).await;
    assert_eq!(explained.code, 1, "{explained:?}");
    assert!(explained.stdout.contains("FAILED   5b the audience"));

    assert_eq!(mode(&folder.join("captured")), 0o700);
    assert_eq!(mode(&folder.join("captured/0001.http")), 0o600);
    let said = capture.stop().await;
    for delivery in [good, elsewhere] {
        let token = delivery.token_string();
        for part in token.split('.') {
            assert!(!said.contains(part), "a part of the token: {said}");
        }
    }
    assert!(!said.contains("webhooks/callback/"), "{said}");
}

/// Requests as they are on the wire.
fn requests() -> Vec<Vec<u8>> {
    let head = "POST /c1/web%2Fhooks?a=1&b=%20 HTTP/1.1\r\nHost: hooks.example.com:8443\r\n";
    let odd = "User-Agent: C1\r\nAUTHORIZATION: bearer x.y.z\r\nX-Empty:\r\nX-Twice: 1\r\n\
               X-Twice: 2\r\nx-lower: a\tb \u{e4}\r\nConnection: keep-alive\r\n";
    let request = |extra: &str, body: &[u8]| {
        [head, odd, extra, "\r\n"]
            .concat()
            .into_bytes()
            .into_iter()
            .chain(body.iter().copied())
            .collect::<Vec<u8>>()
    };
    let mut latin = request("Content-Length: 5\r\n", b"\0\xff\r\n\x80");
    let at = latin.windows(2).position(|two| two == "\u{e4}".as_bytes());
    latin.splice(at.expect("ä")..at.expect("ä") + 2, [0xe4]); // no UTF-8
    vec![
        request("Content-Length: 5\r\n", b"\0\xff\r\n\x80"),
        latin,
        request("Content-Length: 0\r\n", b""),
        request("", b""),
        request(
            "Transfer-Encoding: chunked\r\n",
            b"4\r\n\0\xff\r\n\r\n0\r\n\r\n",
        ),
        request("Transfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
        request(
            "Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n",
            b"1\r\na\r\n0\r\nx-sum: 7\r\n\r\n",
        ),
        request("Expect: 100-continue\r\nContent-Length: 2\r\n", b"{}"),
        b"POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}".to_vec(),
        b"GET /webhooks HTTP/1.1\r\nHost: hooks.example.com\r\n\r\n".to_vec(),
    ]
}

/// The same with names of headers and trailers in lower case, as in files.
fn in_lower_case(request: &[u8]) -> Vec<u8> {
    let lines = request.split_inclusive(|byte| *byte == b'\n');
    let names = lines.map(|line| match line.iter().position(|byte| *byte == b':') {
        Some(end)
            if line[..end]
                .iter()
                .all(|byte| byte.is_ascii_alphabetic() || *byte == b'-') =>
        {
            [&line[..end].to_ascii_lowercase(), &line[end..]].concat()
        }
        _ => line.to_vec(),
    });
    names.collect::<Vec<_>>().concat()
}

#[tokio::test]
async fn the_receiver_gets_what_the_caller_sends_and_the_caller_what_it_answers() {
    const ANSWER: &[u8] =
        b"HTTP/1.1 299 Well done\r\nContent-LENGTH: 4\r\nX-Odd: \r\nx-odd: \xe4\r\n\r\n\0\xff\r\n";
    let folder = folder();
    for (number, request) in (1..).zip(requests()) {
        let shown = String::from_utf8_lossy(&request);
        let (to, got) = scripted(request.len(), ANSWER).await;
        let capture = Capture::start(&folder, &to, "").await;
        let mut caller = TcpStream::connect(capture.address)
            .await
            .expect("it listens");
        caller.write_all(&request).await.expect("it reads");
        let mut answer = Vec::new();
        while !answer.ends_with(b"\0\xff\r\n") {
            let read = within("the answer", caller.read_buf(&mut answer)).await;
            assert_ne!(read.expect("bytes"), 0, "{shown}{answer:?}");
        }
        let interim: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
        let answer = answer.strip_prefix(interim).unwrap_or(&answer);
        let is_1_0 = request.windows(8).any(|version| version == b"HTTP/1.0");
        if !is_1_0 {
            assert_eq!(
                answer.escape_ascii().to_string(),
                ANSWER.escape_ascii().to_string()
            );
        }
        drop(caller);
        let got = within("its end", got).await.expect("no panic");
        let (got, sent) = (got.escape_ascii(), request.escape_ascii());
        assert_eq!(got.to_string(), sent.to_string());

        let file = folder.join(format!("captured/{number:04}.http"));
        let file = std::fs::read(file).expect("a file");
        let expected = in_lower_case(&request);
        let (written, expected) = (file.escape_ascii(), expected.escape_ascii());
        assert_eq!(written.to_string(), expected.to_string());
        let captured = CapturedRequest::parse(&file).expect("a request");
        let body = request.windows(4).position(|end| end == b"\r\n\r\n");
        let body = &request[body.expect("a head") + 4..];
        let body: &[u8] = match body {
            b"4\r\n\0\xff\r\n\r\n0\r\n\r\n" => b"\0\xff\r\n",
            [b'1', ..] => b"a",
            [b'0', ..] => b"",
            body => body,
        };
        assert_eq!(captured.body(), body);
    }
}

#[tokio::test]
async fn bodies_and_files_are_limited() {
    let folder = folder();
    let tenant = FakeTenant::new(DOMAIN);
    let to = receiver(&tenant).await;
    let limits = "--limit 2 --max-body 2000 --json";
    let mut capture = Capture::start(&folder, &to, limits).await;
    let large = tenant.delivery(TEST_EVENT).body("x".repeat(2001));
    let answer = capture.send(&large).await;
    assert_eq!(answer.status, 413);
    assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
    let mut chunked = Wire::connect(capture.address).await;
    chunked
        .write("POST /webhooks HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
        .await;
    for _ in 0..3 {
        chunked
            .write(format!("3e8\r\n{}\r\n", "x".repeat(1000)))
            .await;
    }
    assert_eq!(chunked.read().await.status, 413);
    assert!(files(&folder).is_empty());

    for _ in 0..3 {
        let answer = capture.send(&tenant.delivery(TEST_EVENT)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    assert_eq!(files(&folder), ["0001.http", "0002.http"]);
    assert!(capture.warning().await.contains("--limit"));
    let mut lines = Vec::new();
    while lines.len() < 5 {
        let line = capture.line_with("milliseconds").await;
        lines.push(serde_json::from_str::<Value>(&line).expect("JSON"));
    }
    let statuses: Vec<_> = lines.iter().map(|line| line["status"].clone()).collect();
    assert_eq!(statuses, [413, 413, 200, 200, 200]);
    assert_eq!(lines[3]["file"], "captured/0002.http");
    assert_eq!(lines[4]["file"], Value::Null);
    assert_eq!(lines[4]["event"], TEST_EVENT);
    capture.stop().await;

    let more = Capture::start(&folder, &to, "").await;
    more.send(&tenant.delivery(TEST_EVENT)).await;
    assert_eq!(files(&folder).last().expect("a file"), "0003.http");
}

#[tokio::test]
async fn without_a_receiver_the_answer_is_502_and_the_request_recorded() {
    let folder = folder();
    let tenant = FakeTenant::new(DOMAIN);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let to = format!("http://{}", listener.local_addr().expect("an address"));
    // It hangs up without an answer, whenever it is called.
    tokio::spawn(async move {
        loop {
            drop(listener.accept().await);
        }
    });
    let mut capture = Capture::start(&folder, &to, "").await;
    let answer = capture.send(&tenant.delivery(TEST_EVENT)).await;
    assert_eq!(answer.status, 502);
    let body = String::from_utf8_lossy(&answer.body);
    assert!(
        body.starts_with("c1 capture: no answer of the receiver"),
        "{body}"
    );
    let line = capture.line_with("0001.http").await;
    assert!(line.contains("by c1: no answer of the receiver"), "{line}");
    assert!(!capture.stop().await.contains("c1 explain"));
}

#[tokio::test]
async fn if_the_caller_hangs_up_the_receiver_sees_it() {
    let folder = folder();
    let request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}";
    let receiver = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let to = format!("http://{}", receiver.local_addr().expect("an address"));
    let mut capture = Capture::start(&folder, &to, "").await;
    let mut caller = Wire::connect(capture.address).await;
    caller.write(request).await;
    let accepted = within("the request", receiver.accept()).await;
    let (mut stream, _) = accepted.expect("a caller");
    let mut got = vec![0; request.len()];
    let read = within("the request", stream.read_exact(&mut got)).await;
    read.expect("a request");
    assert_eq!(got, request);
    drop(caller);
    let end = within("its end", stream.read(&mut got)).await;
    assert_eq!(end.expect("its end"), 0);
    capture
        .line_with("the caller hung up before the answer")
        .await;

    let mut half = Wire::connect(capture.address).await;
    half.write(&request[..request.len() - 1]).await;
    drop(half);
    let line = capture.line_with("POST").await;
    assert!(!line.contains(".http"), "{line}");
    assert_eq!(files(&folder), ["0001.http"]);
}

#[tokio::test]
async fn what_a_caller_says_is_escaped_and_cut() {
    let folder = folder();
    let tenant = FakeTenant::new(DOMAIN);
    let mut capture = Capture::start(&folder, &receiver(&tenant).await, "").await;
    let mut caller = Wire::connect(capture.address).await;
    let path = format!("/{}?secret=1", "p".repeat(1000));
    let request = format!("POST {path} HTTP/1.1\r\nhost: a\r\nwebhook-event: a\u{9b}31m\r\n\r\n");
    caller.write(request).await;
    assert_eq!(caller.read().await.status, 415);
    let line = capture.line_with("POST").await;
    assert!(line.contains("a\\u{9b}31m"), "{line}");
    assert!(!line.contains("secret") && line.len() < 400, "{line}");

    let mut caller = Wire::connect(capture.address).await;
    let path = "/api/v1/webhooks/callback/s3cr3t";
    let request = format!("POST {path} HTTP/1.1\r\nhost: a\r\n\r\n");
    caller.write(request).await;
    caller.read().await;
    let line = capture.line_with("POST").await;
    assert!(line.contains("/webhooks/callback/… "), "{line}");

    for target in ["*", "hooks.example.com:443"] {
        let method = if target == "*" { "OPTIONS" } else { "CONNECT" };
        let mut caller = Wire::connect(capture.address).await;
        let request = format!("{method} {target} HTTP/1.1\r\nhost: a\r\n\r\n");
        caller.write(request).await;
        assert_eq!(caller.read().await.status, 400, "{target}");
    }
}

#[tokio::test]
async fn a_terminal_that_is_not_read_holds_nobody_up() {
    let folder = folder();
    let tenant = FakeTenant::new(DOMAIN);
    let capture = Capture::start(&folder, &receiver(&tenant).await, "--limit 0").await;
    let mut caller = Wire::connect(capture.address).await;
    let path = "p".repeat(200);
    // More than a pipe takes.
    for _ in 0..500 {
        let request = format!("POST /{path} HTTP/1.1\r\nhost: a\r\n\r\n");
        caller.write(request).await;
        assert_eq!(caller.read().await.status, 415);
    }
}

#[tokio::test]
async fn a_receiver_behind_tls_is_reached() {
    let folder = folder();
    let tenant = FakeTenant::new(DOMAIN);
    let to = receiver(&tenant).await;
    let (port, certificate) = behind_tls(to.replace("http://", "")).await;
    std::fs::write(folder.join("ca.pem"), certificate).expect("a file");
    let mut command = program(&folder);
    let to = format!("https://localhost:{port}");
    command
        .env("SSL_CERT_FILE", folder.join("ca.pem"))
        .args(["capture", "--to", &to]);
    let capture = Capture::run(&mut command).await;
    let answer = capture.send(&tenant.delivery(TEST_EVENT)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn wrong_use_is_found_and_an_open_address_warned_of() {
    let folder = folder();
    for to in [
        "ftp://a",
        "127.0.0.1:3000",
        "http://127.0.0.1:3000/webhooks",
        "http://a/?b",
    ] {
        let output = c1_of(&folder, ["capture", "--to", to]).await;
        assert_eq!(output.code, 2, "{to}: {output:?}");
        assert!(
            output.stderr.contains("--to is not a URL without a path"),
            "{output:?}"
        );
    }
    std::fs::write(folder.join("file"), "").expect("a file");
    let output = c1(&folder, "capture --to http://a --dir file").await;
    assert_eq!(output.code, 3, "{output:?}");
    let open = "--listen 0.0.0.0:0";
    let mut capture = Capture::start(&folder, "http://127.0.0.1:9", open).await;
    let warning = capture.warning().await;
    assert!(warning.contains("not a loopback address"), "{warning}");
    let id = capture.child.id().expect("it runs").to_string();
    let sent = Command::new("kill").args(["-s", "INT", &id]).status();
    assert!(sent.await.expect("kill(1)").success());
    let status = within("its end", capture.child.wait())
        .await
        .expect("a child");
    assert_eq!(status.code(), Some(0));
}

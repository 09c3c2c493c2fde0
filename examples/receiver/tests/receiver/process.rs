//! The receiver as a process.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{ExitStatus, Stdio};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::Value;
use support::DOMAIN;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::watch;
use tower_conductorone::testing::{Delivery, FakeTenant, JwksServer};

use support::wire::{Answer, Client, Protocol, within};

pub(crate) const PUBLIC_URL: [&str; 2] = ["--public-url", "https://hooks.example.com"];

/// The program, with nothing of this process's environment that it would
/// heed, and with each request in its log.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_receiver"));
    for name in [
        "C1_LISTEN",
        "C1_METRICS_LISTEN",
        "C1_PUBLIC_URL",
        "C1_TENANT",
        "C1_JWKS_URL",
        "C1_REDIS_URL",
        "C1_DATABASE_URL",
        "C1_RESPOND",
        "C1_ANSWER_WITHIN_MS",
        "C1_CALLBACK_ORIGIN",
        "C1_LEASE_MS",
        "C1_DRAIN_MS",
        "C1_WORK_MS",
        "C1_FAIL_FIRST",
        "C1_MAX_BODY",
        "C1_LOG_JSON",
    ] {
        command.env_remove(name);
    }
    command
        .env("RUST_LOG", "info,tower_http=debug")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// A receiver that runs.
pub(crate) struct Receiver {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) lines: Lines<BufReader<ChildStdout>>,
    pub(crate) log: watch::Receiver<String>,
}

impl Receiver {
    /// With a free port and [`PUBLIC_URL`].
    pub(crate) async fn start(flags: &[&str]) -> Self {
        let mut command = command();
        command
            .args(["--listen", "127.0.0.1:0"])
            .args(PUBLIC_URL)
            .args(flags);
        Self::run(command).await
    }

    /// With the keys of one tenant, already loaded.
    pub(crate) async fn ready(jwks: &JwksServer, flags: &[&str]) -> Self {
        let url = jwks.url();
        let flags = [&["--tenant", DOMAIN, "--jwks-url", &url], flags].concat();
        let mut receiver = Self::start(&flags).await;
        receiver
            .wait_for_log("the keys of every tenant are loaded")
            .await;
        receiver
    }

    pub(crate) async fn run(mut command: Command) -> Self {
        let mut child = command.spawn().expect("it starts");
        let stdout = child.stdout.take().expect("piped");
        let mut stderr = child.stderr.take().expect("piped");
        let (log, receiver) = watch::channel(String::new());
        tokio::spawn(async move {
            let mut chunk = [0; 4096];
            while let Ok(read @ 1..) = stderr.read(&mut chunk).await {
                let text = String::from_utf8_lossy(&chunk[..read]);
                log.send_modify(|log| log.push_str(&text));
            }
        });
        let mut receiver = Self {
            child,
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            lines: BufReader::new(stdout).lines(),
            log: receiver,
        };
        let log = receiver.wait_for_log("listening").await;
        let (_, address) = log.split_once("address=").expect("an address in the log");
        let address = address.split_whitespace().next().unwrap_or_default();
        receiver.address = address.parse().expect("an address");
        receiver
    }

    /// Where its metrics are, with `--metrics-listen`.
    pub(crate) async fn metrics_address(&mut self) -> SocketAddr {
        let log = self.wait_for_log("serving metrics").await;
        let (_, address) = log.split_once("metrics_address=").expect("an address");
        let address = address.split_whitespace().next().unwrap_or_default();
        address.parse().expect("an address")
    }

    pub(crate) async fn wait_for_log(&mut self, text: &str) -> String {
        self.wait_for_logs(text, 1).await
    }

    /// Waits until the text has been logged so many times.
    pub(crate) async fn wait_for_logs(&mut self, text: &str, times: usize) -> String {
        // In lines that are complete.
        let found = |log: &String| {
            let lines = log.split_inclusive('\n');
            lines
                .filter(|line| line.ends_with('\n') && line.contains(text))
                .count()
                >= times
        };
        let log = within(text, self.log.wait_for(found)).await;
        log.expect("the log goes on").clone()
    }

    pub(crate) fn log(&self) -> String {
        self.log.borrow().clone()
    }

    pub(crate) async fn send(&self, protocol: Protocol, delivery: &Delivery) -> Answer {
        let mut client = Client::connect(protocol, self.address).await;
        client.send(delivery.request()).await
    }

    pub(crate) async fn get(&self, protocol: Protocol, path: &str) -> Answer {
        get(protocol, self.address, path).await
    }

    /// The next line on stdout.
    pub(crate) async fn line(&mut self) -> Value {
        let line = within("a line on stdout", self.lines.next_line()).await;
        let line = line.expect("UTF-8").expect("stdout is open");
        assert!(line.starts_with(r#"{"handled":"#), "{line}");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line:?}"))
    }

    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.id().expect("it runs").to_string();
        let kill = std::process::Command::new("kill")
            .args(["-s", signal, &id])
            .status();
        assert!(kill.expect("kill(1)").success());
    }

    pub(crate) async fn exit(&mut self) -> ExitStatus {
        within("the receiver's exit", self.child.wait())
            .await
            .expect("a child")
    }

    /// Stops it, and gives what it had printed on stdout beside the lines that
    /// were read.
    pub(crate) async fn stop(mut self) -> Vec<String> {
        self.signal("TERM");
        assert_eq!(self.exit().await.code(), Some(0), "{}", self.log());
        let mut lines = Vec::new();
        while let Some(line) = self.lines.next_line().await.expect("UTF-8") {
            lines.push(line);
        }
        lines
    }
}

pub(crate) async fn get(protocol: Protocol, address: SocketAddr, path: &str) -> Answer {
    let request = Request::get(path)
        .header("host", address.to_string())
        .body(Full::<Bytes>::default())
        .expect("a request");
    Client::connect(protocol, address).await.send(request).await
}

pub(crate) async fn serve(tenant: &FakeTenant) -> JwksServer {
    tenant.serve().await.expect("a port")
}

//! An example as its users see it: a process that listens, and is stopped.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tower_conductorone::testing::Delivery;

use crate::wire::{Answer, Client, Protocol, within};

/// An example that runs.
#[derive(Debug)]
pub struct Example {
    child: Child,
    pub address: SocketAddr,
    log: watch::Receiver<String>,
}

impl Example {
    /// Starts the program, on a free port, and waits until it says where it listens.
    pub async fn start(program: &str, settings: &[(&str, &str)]) -> Self {
        let mut child = Command::new(program)
            .env("C1_LISTEN", "127.0.0.1:0")
            .env("C1_PUBLIC_URL", "https://hooks.example.com")
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("it starts");
        let mut stdout = child.stdout.take().expect("piped");
        let (sender, log) = watch::channel(String::new());
        tokio::spawn(async move {
            let mut chunk = [0; 4096];
            while let Ok(read @ 1..) = stdout.read(&mut chunk).await {
                let text = String::from_utf8_lossy(&chunk[..read]);
                sender.send_modify(|log| log.push_str(&text));
            }
        });
        let mut example = Self {
            child,
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            log,
        };
        let log = example.wait_for("listening on http://").await;
        let (_, address) = log.split_once("listening on http://").expect("it listens");
        let (address, _) = address.split_once('\n').expect("a whole line");
        example.address = address.parse().expect("an address");
        example
    }

    /// Waits until the text is in a whole line of what it prints.
    pub async fn wait_for(&mut self, text: &str) -> String {
        let log = self.log.wait_for(|log| {
            let mut lines = log.split_inclusive('\n');
            lines.any(|line| line.ends_with('\n') && line.contains(text))
        });
        let log = within(text, log).await;
        log.unwrap_or_else(|_| panic!("it ended without {text:?}"))
            .clone()
    }

    pub async fn send(&self, delivery: &Delivery) -> Answer {
        self.send_over(Protocol::Http1, delivery.request()).await
    }

    pub async fn send_over(&self, protocol: Protocol, request: Request<Full<Bytes>>) -> Answer {
        let mut client = Client::connect(protocol, self.address).await;
        client.send(request).await
    }

    /// It vanishes, wherever it is.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("it runs");
    }

    /// Ctrl-C, which has to end it well; and what it had printed.
    pub async fn stop(mut self) -> String {
        let id = self.child.id().expect("it runs").to_string();
        let sent = Command::new("kill").args(["-s", "INT", &id]).status().await;
        assert!(sent.expect("kill(1)").success());
        let status = within("its end", self.child.wait()).await.expect("a child");
        while self.log.changed().await.is_ok() {}
        let log = self.log.borrow().clone();
        assert!(status.success(), "{status}: {log}");
        log
    }
}

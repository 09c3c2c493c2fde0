//! The servers, each a process of its own: this program with the argument `server` and the
//! kind of server. It reads the tenant's key set from its input, writes its port, and ends
//! when the input ends.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, process, thread};

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::post;
use bytes::Bytes;
use support::DOMAIN;
use tokio::net::TcpListener;
use tower_conductorone::keys::KeySet;
use tower_conductorone::testing::FakeTenant;
use tower_conductorone::{Tenant, VerifyWebhookLayer};

use crate::process::{Memory, cpu, memory};

/// A server that runs until this is dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    pub(crate) fn start(kind: &str, tenant: &FakeTenant) -> Self {
        let mut child = Command::new(env::current_exe().expect("this program"))
            .args(["server", kind])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let stdin = child.stdin.as_mut().expect("piped");
        writeln!(stdin, "{}", tenant.jwks()).expect("the server reads");
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        stdout.read_line(&mut line).expect("the server writes");
        let port: u16 = line.trim().parse().expect("a port");
        Self {
            child,
            address: (Ipv4Addr::LOCALHOST, port).into(),
        }
    }

    pub(crate) fn memory(&self) -> Option<Memory> {
        memory(self.child.id())
    }

    pub(crate) fn cpu(&self) -> Option<Duration> {
        cpu(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Serves, in the child.
pub(crate) fn run(kind: &str) {
    let mut jwks = String::new();
    io::stdin().read_line(&mut jwks).expect("a line");
    thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        process::exit(0);
    });
    let app = app(kind, &jwks);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("a port");
        println!("{}", listener.local_addr().expect("an address").port());
        axum::serve(listener, app).await.expect("it serves");
    });
}

fn app(kind: &str, jwks: &str) -> Router {
    let accept = Router::new().route("/webhooks", post(accept));
    match kind {
        "bare" => accept,
        "layer" => accept.layer(layer(jwks)),
        "refuse" => Router::new().route("/webhooks", post(StatusCode::UNAUTHORIZED)),
        _ => panic!("no server is called {kind}"),
    }
}

/// With all defaults: a replay guard in memory.
fn layer(jwks: &str) -> VerifyWebhookLayer {
    let keys = KeySet::from_json(jwks.as_bytes()).expect("the tenant's keys");
    VerifyWebhookLayer::builder()
        .public_url("https://hooks.example.com")
        .tenant(Tenant::new(DOMAIN).static_keys(keys))
        .build()
        .expect("a good configuration")
}

async fn accept(_body: Bytes) -> impl IntoResponse {
    let document = r#"{"version":"v1","complete":{}}"#;
    ([(CONTENT_TYPE, "application/json")], document)
}

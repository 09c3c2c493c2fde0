//! The configurations of nginx and `HAProxy` in the guide, in front of a receiver.
#![cfg(unix)]

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use http::StatusCode;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::json;
use support::wire::{Answer, Client, within};
use support::{DOMAIN, TEST_EVENT, builder, now};
use tokio::net::{TcpListener, UnixStream};
use tower_conductorone::Webhook;
use tower_conductorone::event::{Acknowledgement, Outcome, Payload};
use tower_conductorone::testing::{Delivery, FakeTenant};

const GUIDE: &str = include_str!("../src/guide/public_url.md");

/// The guide's block of code in that language.
fn configuration(language: &str) -> &'static str {
    let (_, rest) = GUIDE
        .split_once(&format!("```{language}\n"))
        .unwrap_or_else(|| panic!("the guide has a configuration of {language}"));
    rest.split_once("```").expect("the end of the block").0
}

/// The same, with these lines (each by its beginning) replaced.
fn replaced(language: &str, changes: &[(&str, String)]) -> String {
    let mut text = configuration(language).to_owned();
    for (beginning, line) in changes {
        let is_it = |line: &&str| line.trim_start().starts_with(beginning);
        let found: Vec<_> = text.lines().filter(is_it).map(str::to_owned).collect();
        assert_eq!(found.len(), 1, "{beginning} in {text}");
        text = text.replace(&found[0], line);
    }
    text
}

/// A receiver on loopback, which acknowledges tests.
async fn receiver(tenant: &FakeTenant, public_url: &str) -> SocketAddr {
    let verify = builder(tenant)
        .public_url(public_url)
        .build()
        .expect("good");
    let app = Router::new()
        .route("/webhooks", post(acknowledge))
        .layer(verify);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

async fn acknowledge(webhook: Webhook) -> Outcome {
    match webhook.payload() {
        Ok(Payload::Test(test)) => test.answer(Acknowledgement::new()),
        _ => Outcome::failed(),
    }
}

/// A proxy that listens on a socket in a folder of its own, and ends with its test.
struct Proxy {
    process: Child,
    folder: PathBuf,
}

impl Proxy {
    /// nginx, with the guide's configuration but for TLS.
    fn nginx(whole: SocketAddr, stripped: SocketAddr) -> Self {
        let folder = folder("nginx");
        let server = replaced(
            "nginx",
            &[
                (
                    "listen ",
                    format!("listen unix:{};", socket(&folder).display()),
                ),
                ("ssl_certificate ", String::new()),
                ("ssl_certificate_key ", String::new()),
                (
                    "proxy_pass http://127.0.0.1:3000;",
                    format!("proxy_pass http://{whole};"),
                ),
                (
                    "proxy_pass http://127.0.0.1:3001/;",
                    format!("proxy_pass http://{stripped}/;"),
                ),
            ],
        );
        let text = format!(
            "daemon off;\nmaster_process off;\npid nginx.pid;\nevents {{}}\nhttp {{\naccess_log off;\n\
             client_body_temp_path b;\nproxy_temp_path p;\nfastcgi_temp_path f;\n\
             uwsgi_temp_path u;\nscgi_temp_path s;\n{server}}}\n"
        );
        fs::write(folder.join("nginx.conf"), text).expect("a configuration");
        let prefix = folder.display().to_string();
        Self::start(
            "nginx",
            &["-e", "stderr", "-p", &prefix, "-c", "nginx.conf"],
            folder,
        )
    }

    /// `HAProxy`, likewise.
    fn haproxy(whole: SocketAddr, stripped: SocketAddr) -> Self {
        let folder = folder("haproxy");
        let text = replaced(
            "haproxy",
            &[
                (
                    "bind ",
                    format!("    bind unix@{}", socket(&folder).display()),
                ),
                (
                    "server receiver 127.0.0.1:3000",
                    format!("    server receiver {whole}"),
                ),
                (
                    "server receiver 127.0.0.1:3001",
                    format!("    server receiver {stripped}"),
                ),
            ],
        );
        let file = folder.join("haproxy.cfg");
        fs::write(&file, text).expect("a configuration");
        let file = file.display().to_string();
        Self::start("haproxy", &["-db", "-q", "-f", &file], folder)
    }

    fn start(program: &str, arguments: &[&str], folder: PathBuf) -> Self {
        // Debian has both in a folder that is not on everybody's PATH.
        let process = [program.to_owned(), format!("/usr/sbin/{program}")]
            .iter()
            .find_map(|path| {
                Command::new(path)
                    .args(arguments)
                    .stdout(Stdio::null())
                    .spawn()
                    .ok()
            })
            .unwrap_or_else(|| panic!("{program} does not start (apt-get install {program})"));
        Self { process, folder }
    }

    async fn connect(&mut self) -> Client {
        within("the proxy", async {
            loop {
                if let Ok(stream) = UnixStream::connect(socket(&self.folder)).await {
                    let shaken = http1::handshake(TokioIo::new(stream)).await;
                    let (sender, connection) = shaken.expect("a handshake");
                    tokio::spawn(connection);
                    return Client::Http1(sender);
                }
                let ended = self.process.try_wait().expect("a child");
                assert_eq!(ended, None, "it refuses its configuration");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
    }

    async fn send(&mut self, delivery: &Delivery, path: &str) -> Answer {
        let mut request = delivery.request();
        *request.uri_mut() = path.parse().expect("a path");
        self.connect().await.send(request).await
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A new folder. Its name is short, since that of a socket has at most 107 bytes.
fn folder(program: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("c1-{program}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("socket")
}

async fn passes_what_is_genuine_and_nothing_else(start: fn(SocketAddr, SocketAddr) -> Proxy) {
    let tenant = FakeTenant::new(DOMAIN);
    let whole = receiver(&tenant, "https://hooks.example.com").await;
    let stripped = receiver(&tenant, "https://hooks.example.com/c1").await;
    let mut proxy = start(whole, stripped);
    let new = |path: &str| {
        let url = format!("https://hooks.example.com{path}");
        tenant.delivery(TEST_EVENT).to(url).issued_at(now())
    };
    for path in ["/webhooks", "/c1/webhooks"] {
        let answer = proxy.send(&new(path), path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {:?}", answer.body);
        assert_eq!(answer.json(), json!({ "version": "v1" }), "{path}");

        // More than a megabyte, and in one piece.
        let large = new(path).payload(json!({ "grown": "x".repeat(1_500_000) }));
        assert_eq!(
            proxy.send(&large, path).await.status,
            StatusCode::OK,
            "{path}"
        );

        // The token does not name the query.
        let answer = proxy.send(&new(path), &format!("{path}?a=b%2Fc")).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {:?}", answer.body);

        let used = new(path);
        assert_eq!(
            proxy.send(&used, path).await.status,
            StatusCode::OK,
            "{path}"
        );
        let tampered = new(path).tampered_body("{}");
        for refused in [used, tampered] {
            let answer = proxy.send(&refused, path).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
            assert_eq!(answer.code(), "invalid_token", "{path}");
        }
    }
    // For the one, sent to the other.
    for (path, other) in [("/webhooks", "/c1/webhooks"), ("/c1/webhooks", "/webhooks")] {
        let answer = proxy.send(&new(path), other).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path} to {other}");
    }
}

#[tokio::test]
async fn nginx_as_in_the_guide_passes_what_is_genuine_and_nothing_else() {
    passes_what_is_genuine_and_nothing_else(Proxy::nginx).await;
}

#[tokio::test]
async fn haproxy_as_in_the_guide_passes_what_is_genuine_and_nothing_else() {
    passes_what_is_genuine_and_nothing_else(Proxy::haproxy).await;
}

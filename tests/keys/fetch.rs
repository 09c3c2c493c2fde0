//! Fetching key sets with reqwest, from small servers on loopback.

#![cfg(feature = "reqwest")]

use std::net::SocketAddr;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower_conductorone::keys::{Fetch, FetchError, HttpsFetch, JwksCache, KeySource};

const JWKS: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

/// What a server does with a connection.
#[derive(Clone)]
enum Act {
    /// Reads the head of the request, sends these bytes and closes.
    Send(Vec<u8>),
    /// Sends these bytes over and over.
    Flood(Vec<u8>),
    /// Closes with the request unread, which resets the connection.
    Reset,
    /// Reads the head of the request and never answers.
    Hang,
}

fn send(answer: impl AsRef<[u8]>) -> Act {
    Act::Send(answer.as_ref().to_vec())
}

fn answer(head: &str, body: &str) -> Act {
    send(format!(
        "HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ))
}

/// A server, and the heads of the requests that it got.
struct Server {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(act: Act) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&heads);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(serve(connection, act.clone(), Arc::clone(&seen)));
            }
        });
        Self { address, heads }
    }

    fn url(&self) -> String {
        format!("http://{}/jwks?a=b", self.address)
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

async fn serve(mut connection: TcpStream, act: Act, heads: Arc<Mutex<Vec<String>>>) {
    if matches!(act, Act::Reset) {
        let _ = connection.readable().await;
        return;
    }
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match connection.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    heads
        .lock()
        .unwrap()
        .push(String::from_utf8_lossy(&head).to_ascii_lowercase());
    match act {
        Act::Send(bytes) => drop(connection.write_all(&bytes).await),
        Act::Flood(bytes) => while connection.write_all(&bytes).await.is_ok() {},
        Act::Hang => std::future::pending().await,
        Act::Reset => {}
    }
}

fn request(url: &str) -> Request<()> {
    Request::get(url)
        .header("if-none-match", "\"1\"")
        .body(())
        .unwrap()
}

async fn fetch(url: &str, max_body: usize) -> Result<Response<Bytes>, FetchError> {
    let fetch = HttpsFetch::new().unwrap();
    let fetching = fetch.fetch(request(url), max_body);
    tokio::time::timeout(Duration::from_secs(10), fetching)
        .await
        .expect("the fetch hangs")
}

#[tokio::test]
async fn a_get_with_its_headers_is_answered_with_status_headers_and_body() {
    let server = Server::start(answer("200 OK\r\netag: \"2\"\r\nage: 7\r\nage: 8", JWKS)).await;
    let response = fetch(&server.url(), JWKS.len()).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.body()[..]),
        (200, JWKS.as_bytes())
    );
    assert_eq!(response.headers()["etag"], "\"2\"");
    assert_eq!(response.headers().get_all("age").iter().count(), 2);
    let heads = server.heads();
    assert_eq!(heads.len(), 1);
    assert!(
        heads[0].starts_with("get /jwks?a=b http/1.1\r\n"),
        "{heads:?}"
    );
    assert!(heads[0].contains("if-none-match: \"1\"\r\n"), "{heads:?}");
    assert!(
        heads[0].contains("user-agent: tower-conductorone/"),
        "{heads:?}"
    );
    assert!(
        !heads[0].contains("cookie") && !heads[0].contains("referer"),
        "{heads:?}"
    );
}

#[tokio::test]
async fn error_statuses_are_answers_and_nothing_is_followed() {
    for head in [
        "301 Moved Permanently\r\nlocation: /elsewhere",
        "302 Found\r\nlocation: http://127.0.0.1:9/",
        "307 Temporary Redirect\r\nlocation: /jwks?a=b",
        "308 Permanent Redirect\r\nlocation: https://example.com/",
        "404 Not Found",
        "429 Too Many Requests\r\nretry-after: 7",
        "503 Service Unavailable",
    ] {
        let server = Server::start(answer(head, "body")).await;
        let response = fetch(&server.url(), 100).await.unwrap();
        assert_eq!(response.status().as_str(), &head[..3]);
        assert_eq!(server.heads().len(), 1, "{head}");
    }
    let server = Server::start(send("HTTP/1.1 304 Not Modified\r\netag: \"1\"\r\n\r\n")).await;
    assert_eq!(fetch(&server.url(), 100).await.unwrap().status(), 304);
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_read_to_its_end() {
    let chunk = format!("400\r\n{}\r\n", "x".repeat(0x400));
    let endless = [
        // The length alone is enough: no body ever comes.
        send("HTTP/1.1 200 OK\r\ncontent-length: 101\r\n\r\n"),
        send("HTTP/1.1 200 OK\r\ncontent-length: 9999999999999999\r\n\r\n"),
        answer("200 OK", &"x".repeat(101)),
        answer("404 Not Found", &"x".repeat(101)),
        send(format!(
            "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}",
            "x".repeat(101)
        )),
        send(format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunk}0\r\n\r\n"
        )),
        // Together too large, each alone is not.
        send(format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}0\r\n\r\n",
            "32\r\n12345678901234567890123456789012345678901234567890\r\n".repeat(3)
        )),
    ];
    for act in endless {
        let server = Server::start(act).await;
        let error = fetch(&server.url(), 100).await.unwrap_err();
        assert_eq!(error.to_string(), "the response is longer than 100 bytes");
    }
    for endless in [
        format!(
            "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}",
            "x".repeat(1000)
        ),
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunk}"),
    ] {
        let server = Server::start(Act::Flood(endless.into_bytes())).await;
        assert!(fetch(&server.url(), 100).await.is_err());
    }
    for whole in [
        answer("200 OK", &"x".repeat(100)),
        send(format!(
            "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}",
            "x".repeat(100)
        )),
    ] {
        let server = Server::start(whole).await;
        assert_eq!(fetch(&server.url(), 100).await.unwrap().body().len(), 100);
    }
}

#[tokio::test]
async fn a_broken_answer_is_an_error() {
    for act in [
        send("HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\ntoo short"),
        send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"),
        send("HTTP/1.1 200 OK\r\ncontent-len"),
        send(""),
        send("SSH-2.0-OpenSSH\r\n"),
        send([0xff; 64]),
        Act::Reset,
    ] {
        let server = Server::start(act).await;
        let error = fetch(&server.url(), 1000).await.unwrap_err().to_string();
        assert!(
            !error.contains("127.0.0.1"),
            "the URL is not repeated: {error}"
        );
    }
}

#[tokio::test]
async fn what_keeps_a_connection_from_being_made_is_named() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = listener.local_addr().unwrap();
    drop(listener);
    let error = fetch(&format!("http://{nobody}/"), 100)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("refused"), "{error}");
    let error = fetch(&format!("https://{nobody}/"), 100)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("refused") || error.contains("CA certificates"),
        "{error}"
    );

    // Not TLS what comes back.
    let server = Server::start(answer("200 OK", JWKS)).await;
    let url = server.url().replace("http:", "https:");
    assert!(fetch(&url, 1000).await.is_err());
}

#[tokio::test]
async fn plain_http_is_spoken_with_loopback_hosts_only() {
    for url in [
        "http://example.com/",
        "http://10.0.0.1/",
        "http://localhost.example.com/",
        "/jwks",
    ] {
        let error = fetch(url, 100).await.unwrap_err().to_string();
        assert!(error.contains("neither https nor"), "{error}");
    }
}

#[tokio::test]
async fn a_client_of_ones_own_is_used_unless_it_follows_redirects() {
    let target = Server::start(answer("200 OK", JWKS)).await;
    let head = format!("302 Found\r\nlocation: {}", target.url());
    let server = Server::start(answer(&head, "")).await;
    let client = || reqwest::Client::builder().no_proxy().user_agent("mine");

    let fetch = HttpsFetch::with_client(client().build().unwrap());
    let response = fetch.fetch(request(&target.url()), 1000).await.unwrap();
    assert_eq!(response.body(), JWKS);
    assert!(target.heads()[0].contains("user-agent: mine"));
    let error = fetch
        .fetch(request(&server.url()), 1000)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("followed a redirect") && error.contains("Policy::none()"),
        "{error}"
    );

    let none = reqwest::redirect::Policy::none();
    let fetch = HttpsFetch::with_client(client().redirect(none).build().unwrap());
    assert_eq!(
        fetch
            .fetch(request(&server.url()), 1000)
            .await
            .unwrap()
            .status(),
        302
    );
}

fn cache(server: &Server) -> JwksCache {
    JwksCache::builder(server.url())
        .dangerous_allow_http_on_loopback()
        .timeout(Duration::from_secs(2))
        .build(HttpsFetch::new().unwrap())
        .unwrap()
}

#[tokio::test]
async fn the_cache_fetches_with_it() {
    let server = Server::start(answer("200 OK\r\netag: \"x\"", JWKS)).await;
    let keys = cache(&server);
    keys.ready().await;
    assert_eq!(keys.current().unwrap().len(), 1);
    keys.refresh().await.unwrap();
    let heads = server.heads();
    assert!(heads[0].contains("accept: application/jwk-set+json, application/json\r\n"));
    assert!(!heads[0].contains("if-none-match"));
    assert!(heads[1].contains("if-none-match: \"x\"\r\n"));
    assert!(heads[1].contains("cache-control: no-cache\r\n"));

    for (act, reason) in [
        (answer("302 Found\r\nlocation: /", ""), "302"),
        (answer("404 Not Found", JWKS), "404"),
        (
            answer("200 OK\r\ncontent-type: text/html", "<html>"),
            "not a JSON object",
        ),
        (
            answer("200 OK", &"x".repeat(256 * 1024 + 1)),
            "longer than 262144 bytes",
        ),
        (
            send("HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{"),
            "error",
        ),
        (Act::Reset, "error"),
        (Act::Hang, "within 2s"),
    ] {
        let server = Server::start(act).await;
        let error = cache(&server).refresh().await.unwrap_err().to_string();
        assert!(error.contains(reason), "{reason}: {error}");
        assert_eq!(cache(&server).health().last_error, None);
    }
}

/// A connection that was kept open would belong to a runtime that has ended.
#[test]
fn a_fetch_works_on_one_runtime_after_another() {
    let servers = tokio::runtime::Runtime::new().unwrap();
    let body = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{JWKS}",
        JWKS.len()
    );
    let server = servers.block_on(Server::start(send(body)));
    let keys = cache(&server);
    for _ in 0..3 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(keys.refresh()).unwrap();
    }
    assert_eq!(server.heads().len(), 3);
}

// What depends on the environment is tried in a process of its own.

/// Runs one of the ignored tests below with these variables.
fn in_process_of_its_own(test: &str, variables: &[(&str, &str)]) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let test = format!("fetch::{test}");
    command.args(["--exact", &test, "--ignored", "--nocapture"]);
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command
            .env_remove(name)
            .env_remove(name.to_ascii_uppercase());
    }
    let output = command.envs(variables.iter().copied()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && told.contains("1 passed"),
        "{told}"
    );
}

#[test]
fn without_ca_certificates_loopback_works_and_https_says_why_not() {
    in_process_of_its_own(
        "child_without_ca_certificates",
        &[
            ("SSL_CERT_FILE", "/nonexistent"),
            ("SSL_CERT_DIR", "/nonexistent"),
        ],
    );
}

#[tokio::test]
#[ignore = "run by another test, with other environment variables"]
async fn child_without_ca_certificates() {
    let server = Server::start(answer("200 OK", JWKS)).await;
    assert_eq!(fetch(&server.url(), 1000).await.unwrap().body(), JWKS);
    let error = fetch("https://example.conductor.one/", 1000)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("No CA certificates were loaded"), "{error}");
    assert!(error.contains("ca-certificates"), "{error}");
}

#[test]
fn the_systems_proxy_is_used_but_not_for_loopback() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let proxy = runtime.block_on(Server::start(answer("403 Forbidden", "")));
    let url = format!("http://{}", proxy.address);
    in_process_of_its_own(
        "child_behind_a_proxy",
        &[
            ("HTTPS_PROXY", url.as_str()),
            ("HTTP_PROXY", &url),
            ("http_proxy", &url),
        ],
    );
    let heads = proxy.heads();
    assert_eq!(heads.len(), 1, "{heads:?}");
    assert!(
        heads[0].starts_with("connect example.conductor.one:443 http/1.1\r\n"),
        "{heads:?}"
    );
}

#[tokio::test]
#[ignore = "run by another test, with other environment variables"]
async fn child_behind_a_proxy() {
    let server = Server::start(answer("200 OK", JWKS)).await;
    assert_eq!(fetch(&server.url(), 1000).await.unwrap().body(), JWKS);
    assert!(fetch("https://example.conductor.one/", 1000).await.is_err());
}

/// What the HTTP client makes no sense of, it passes over: it would connect
/// without a proxy, from a network where that may be forbidden.
#[test]
fn a_proxy_that_cannot_be_used_is_an_error_and_not_passed_over() {
    const UNUSABLE: &str = "which the HTTP client cannot use";
    for (variables, expected) in [
        (
            &[("HTTPS_PROXY", "socks://u:s3cret@127.0.0.1:1")][..],
            UNUSABLE,
        ),
        (&[("https_proxy", "socks://127.0.0.1:1")], UNUSABLE),
        (&[("ALL_PROXY", "socks://127.0.0.1:1")], UNUSABLE),
        (&[("all_proxy", "ftp://127.0.0.1:1")], UNUSABLE),
        (&[("HTTPS_PROXY", "http://")], UNUSABLE),
        (
            &[("HTTPS_PROXY", "socks5://127.0.0.1:1")],
            "feature `socks`",
        ),
        (&[("ALL_PROXY", "socks4a://127.0.0.1:1")], "feature `socks`"),
        // The other variable is heeded, and nobody listens there.
        (
            &[
                ("HTTPS_PROXY", "socks://127.0.0.1:1"),
                ("ALL_PROXY", "http://127.0.0.1:1"),
            ],
            "refused",
        ),
        (
            &[("HTTPS_PROXY", ""), ("ALL_PROXY", "http://127.0.0.1:1")],
            "refused",
        ),
        // None is wanted.
        (&[("HTTPS_PROXY", ""), ("ALL_PROXY", "")], "direct"),
        (&[("HTTP_PROXY", "socks://127.0.0.1:1")], "direct"),
        (
            &[
                ("HTTPS_PROXY", "socks://127.0.0.1:1"),
                ("NO_PROXY", "127.0.0.0/8"),
            ],
            "direct",
        ),
    ] {
        println!("{variables:?}");
        let variables = [variables, &[("EXPECTED", expected)]].concat();
        in_process_of_its_own("child_with_a_proxy_that_cannot_be_used", &variables);
    }
}

#[tokio::test]
#[ignore = "run by another test, with other environment variables"]
async fn child_with_a_proxy_that_cannot_be_used() {
    let expected = std::env::var("EXPECTED").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let connected = tokio::spawn(async move { drop(listener.accept().await) });
    let error = fetch(&url, 1000).await.unwrap_err().to_string();
    let direct = expected == "direct";
    assert_eq!(connected.is_finished(), direct, "{error}");
    assert!(direct || error.contains(&expected), "{error}");
    assert!(!error.contains("s3cret"), "{error}");
}

#[test]
fn nothing_of_a_client_of_ones_own_is_shown() {
    let secret = |name| {
        let value = reqwest::header::HeaderValue::from_static("s3cret");
        (reqwest::header::HeaderName::from_static(name), value)
    };
    let client = reqwest::Client::builder()
        .default_headers(
            [secret("authorization"), secret("x-api-key")]
                .into_iter()
                .collect(),
        )
        .proxy(reqwest::Proxy::all("http://me:s3cret@proxy.example.com").unwrap())
        .user_agent("s3cret")
        .build()
        .unwrap();
    assert!(format!("{client:?}").contains("s3cret"), "it would show it");
    let fetch = HttpsFetch::with_client(client);
    let cache = JwksCache::builder("https://example.conductor.one/auth/v1/jwks");
    for shown in [
        format!("{fetch:?}"),
        format!("{:#?}", cache.build(fetch.clone()).unwrap()),
    ] {
        assert!(shown.contains("HttpsFetch"), "{shown}");
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}

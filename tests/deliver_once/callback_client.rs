//! Posting to callback URLs over real connections; where they may lead; what is
//! stored and what is shown.
#![cfg(feature = "reqwest")]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use proptest::prelude::*;
use serde_json::{Value, json};
use support::callback::{
    Act as Posted, COMMENT, PROVISION, SECRET, Script, builder, callback, own_url, reply, status,
};
use support::log::Log;
use support::{DOMAIN, now, receiver};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower_conductorone::callback::{
    AttemptOutcome, Callback, CallbackClient, CallbackError, Delivered, HttpsPost, Post, PostError,
    Progress,
};
use tower_conductorone::event::{Comment, PolicyApprovalStep, ProvisionReply, ProvisionStep};
use tower_conductorone::keys::JwksCache;
use tower_conductorone::testing::{FakeTenant, VirtualClock};
use tower_conductorone::{BoxFuture, Tenant, VerifyWebhookBuilder, VerifyWebhookLayer};

const PATH: &str = "/api/v1/webhooks/callback/";

/// What a server does with a connection, once it has read the request.
#[derive(Clone)]
enum Act {
    Send(String),
    /// Sends these bytes over and over.
    Flood(&'static str),
    /// Closes without an answer.
    Close,
    /// Never answers.
    Hang,
}

/// ConductorOne does not try to deliver what was fired [`now`] any more.
fn no_longer_early() -> VirtualClock {
    VirtualClock::starting_at(now() + Duration::from_secs(45 * 60))
}

fn answer(head: &str) -> Act {
    Act::Send(format!("HTTP/1.1 {head}\r\ncontent-length: 0\r\n\r\n"))
}

/// A server that follows a script, a step for each connection.
struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(acts: impl IntoIterator<Item = Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let mut acts: VecDeque<_> = acts.into_iter().collect();
        tokio::spawn(async move {
            while let Some(act) = acts.pop_front() {
                let (connection, _) = listener.accept().await.expect("a connection");
                tokio::spawn(serve(connection, act, Arc::clone(&seen)));
            }
        });
        Self { address, requests }
    }

    fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    fn callback(&self) -> Callback {
        callback(&format!("{}{PATH}{SECRET}?a=b", self.origin()))
    }

    /// Of a time at which a 400 is final.
    fn client(&self) -> CallbackClient {
        builder()
            .origin(DOMAIN, self.origin())
            .dangerous_allow_http_on_loopback()
            .clock(no_longer_early())
            .build()
            .expect("good")
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no panic").clone()
    }

    /// One attempt after those that led to `progress`.
    async fn attempt(&self, progress: &mut Progress) -> Result<AttemptOutcome, CallbackError> {
        soon(self.client().attempt(&self.callback(), &reply(), progress)).await
    }
}

async fn serve(mut connection: TcpStream, act: Act, requests: Arc<Mutex<Vec<String>>>) {
    let mut request = Vec::new();
    while !is_whole(&request) {
        match connection.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(_) => return,
        }
    }
    let request = String::from_utf8(request).expect("UTF-8");
    requests.lock().expect("no panic").push(request);
    match act {
        Act::Send(text) => drop(connection.write_all(text.as_bytes()).await),
        Act::Flood(text) => while connection.write_all(text.as_bytes()).await.is_ok() {},
        Act::Close => {}
        Act::Hang => std::future::pending().await,
    }
}

/// Whether a head and a JSON document are there.
fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    text.split_once("\r\n\r\n")
        .is_some_and(|(_, body)| serde_json::from_str::<Value>(body).is_ok())
}

/// Fails rather than hangs.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future)
        .await
        .expect("it hangs")
}

const ACCEPTED: Result<AttemptOutcome, CallbackError> =
    Ok(AttemptOutcome::Delivered(Delivered::Accepted));

#[track_caller]
fn is_again(outcome: &Result<AttemptOutcome, CallbackError>) {
    assert!(
        matches!(outcome, Ok(AttemptOutcome::Retry { .. })),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn the_document_is_posted_as_json_and_accepted() {
    let server = Server::start([answer("200 OK")]).await;
    let callback = server.callback().typed::<ProvisionStep>().expect("one");
    let reply = ProvisionReply::complete(Comment::truncated("done"));
    let sent = soon(server.client().answer(&callback, reply)).await;
    assert_eq!(sent, Ok(Delivered::Accepted));
    let requests = server.requests();
    let [request] = &requests[..] else {
        panic!("{requests:?}")
    };
    let (head, body) = request.split_once("\r\n\r\n").expect("a body");
    assert!(head.starts_with(&format!("POST {PATH}{SECRET}?a=b HTTP/1.1\r\n")));
    let head = head.to_ascii_lowercase();
    assert!(
        head.contains("\r\ncontent-type: application/json"),
        "{head}"
    );
    assert!(
        head.contains("\r\nuser-agent: tower-conductorone/"),
        "{head}"
    );
    // The URL is all the authentication that there is.
    for not_there in ["authorization", "cookie", "referer"] {
        assert!(!head.contains(not_there), "{head}");
    }
    let body: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(
        body,
        json!({ "version": "v1", "complete": { "comment": "done" } })
    );
}

#[tokio::test]
async fn a_400_is_final() {
    let server = Server::start([answer("400 Bad Request")]).await;
    let sent = soon(server.client().send(&server.callback(), &reply())).await;
    assert_eq!(sent, Err(CallbackError::UsedOrExpired));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_server_that_is_down_for_a_while_gets_the_document_later() {
    let mut progress = Progress::default();
    let acts = [answer("503 Service Unavailable"), answer("200 OK")];
    let server = Server::start(acts).await;
    is_again(&server.attempt(&mut progress).await);
    assert_eq!((progress.attempts, progress.uncertain), (1, false));
    assert_eq!(server.attempt(&mut progress).await, ACCEPTED);
    let requests = server.requests();
    assert_eq!(requests[0], requests[1], "the same again");
}

#[tokio::test]
async fn a_connection_that_is_never_had_leaves_no_doubt() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let requests = Arc::default();
    let nobody = Server { address, requests };
    let mut progress = Progress::default();
    is_again(&nobody.attempt(&mut progress).await);
    assert_eq!((progress.attempts, progress.uncertain), (1, false));
}

#[tokio::test]
async fn a_400_after_a_connection_that_broke_means_probably_accepted() {
    let server = Server::start([Act::Close, answer("400 Bad Request")]).await;
    let mut progress = Progress::default();
    is_again(&server.attempt(&mut progress).await);
    assert!(progress.uncertain);
    let outcome = server.attempt(&mut progress).await;
    assert_eq!(
        outcome,
        Ok(AttemptOutcome::Delivered(Delivered::ProbablyAccepted))
    );
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    for head in [
        "301 Moved",
        "302 Found",
        "303 See Other",
        "307 Temporary",
        "308 Permanent",
    ] {
        let elsewhere = Server::start([answer("200 OK"), answer("200 OK")]).await;
        let to = format!("{head}\r\nlocation: {}/", elsewhere.origin());
        let server = Server::start([answer(&to)]).await;
        let mut progress = Progress::default();
        is_again(&server.attempt(&mut progress).await);
        assert!(!progress.uncertain, "{head}");
        assert_eq!(server.requests().len(), 1, "{head}");
        assert!(elsewhere.requests().is_empty(), "{head}");
    }
}

/// One attempt with this client; whether it left its outcome open.
async fn attempt_with(
    client: reqwest::ClientBuilder,
    server: &Server,
) -> (Result<AttemptOutcome, CallbackError>, bool) {
    let client = client.no_proxy().user_agent("mine").build().expect("good");
    let callbacks = builder()
        .origin(DOMAIN, server.origin())
        .dangerous_allow_http_on_loopback()
        .post(HttpsPost::with_client(client))
        .build()
        .expect("good");
    let mut progress = Progress::default();
    let outcome = soon(callbacks.attempt(&server.callback(), &reply(), &mut progress)).await;
    (outcome, progress.uncertain)
}

#[tokio::test]
async fn a_client_of_ones_own_posts_and_its_redirects_are_refused() {
    let target = Server::start([answer("200 OK"), answer("200 OK")]).await;
    let redirect = format!("307 Temporary\r\nlocation: {}/there", target.origin());
    let server = Server::start([answer(&redirect), answer(&redirect)]).await;

    let (outcome, _) = attempt_with(reqwest::Client::builder(), &target).await;
    assert_eq!(outcome, ACCEPTED);
    assert!(target.requests()[0].contains("user-agent: mine"));

    // It followed: who has the document now, and did what with it, is not known.
    let (outcome, uncertain) = attempt_with(reqwest::Client::builder(), &server).await;
    is_again(&outcome);
    assert!(uncertain);

    let none = reqwest::redirect::Policy::none();
    let client = reqwest::Client::builder().redirect(none);
    let (outcome, uncertain) = attempt_with(client, &server).await;
    is_again(&outcome);
    assert!(!uncertain);
    assert_eq!(target.requests().len(), 2);
}

#[tokio::test]
async fn nothing_of_the_user_s_http_client_is_shown() {
    let secret = http::HeaderValue::from_static(SECRET);
    let headers = [(http::header::AUTHORIZATION, secret)];
    let client = reqwest::Client::builder().default_headers(headers.into_iter().collect());
    let post = HttpsPost::with_client(client.build().expect("good"));
    let builder = builder().post(post.clone());
    let client = builder.clone().build().expect("good");
    for shown in [
        format!("{post:?}"),
        format!("{builder:?}"),
        format!("{client:?}"),
    ] {
        assert!(shown.contains("HttpsPost"), "{shown}");
        assert!(!shown.contains(SECRET), "{shown}");
    }
}

#[tokio::test]
async fn the_default_post_refuses_plain_http_elsewhere_than_on_loopback() {
    let post = HttpsPost::new().expect("a client");
    for url in ["http://example.conductor.one/", "http://10.0.0.1/", "/"] {
        let request = Request::post(url).body(bytes::Bytes::new()).expect("good");
        let error = post.post(request).await.expect_err("not sent");
        assert!(error.is_unsent(), "{error}");
        assert!(error.to_string().contains("neither https nor"), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up() {
    let server = Server::start([Act::Hang]).await;
    let client = builder()
        .origin(DOMAIN, server.origin())
        .dangerous_allow_http_on_loopback()
        .attempt_timeout(Duration::from_secs(1))
        .build()
        .expect("good");
    let mut progress = Progress::default();
    let outcome = client
        .attempt(&server.callback(), &reply(), &mut progress)
        .await;
    is_again(&outcome);
    assert!(progress.uncertain);
}

#[tokio::test]
async fn an_answer_without_end_is_not_read() {
    let endless = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";
    let long_head = "HTTP/1.1 200 OK\r\nx-long: ";
    let server = Server::start([Act::Flood(endless), Act::Flood(long_head)]).await;
    let mut progress = Progress::default();
    assert_eq!(server.attempt(&mut progress).await, ACCEPTED);
    is_again(&server.attempt(&mut progress).await);
}

#[tokio::test]
async fn only_the_tenant_s_own_domain_is_posted_to() {
    let table = [
        (true, own_url()),
        (true, format!("https://{DOMAIN}:443/{SECRET}")),
        (true, format!("HTTPS://Example.Conductor.One/{SECRET}")),
        (
            true,
            format!("https://{DOMAIN}/{SECRET}?a=https://evil.example/@x#b"),
        ),
        (false, format!("http://{DOMAIN}/{SECRET}")),
        (false, format!("https://{DOMAIN}:444/{SECRET}")),
        (false, format!("https://{DOMAIN}:80/{SECRET}")),
        (false, format!("https://{DOMAIN}:0/{SECRET}")),
        (false, format!("https://{DOMAIN}:65536/{SECRET}")),
        (false, format!("https://{DOMAIN}./{SECRET}")),
        (false, format!("https://{DOMAIN}.evil.example/{SECRET}")),
        (false, format!("https://evil{DOMAIN}/{SECRET}")),
        (false, format!("https://evil.{DOMAIN}/{SECRET}")),
        (false, format!("https://other.conductor.one/{SECRET}")),
        (false, format!("https://conductor.one/{SECRET}")),
        (false, format!("https://one/{SECRET}")),
        (false, format!("https://{DOMAIN}@evil.example/{SECRET}")),
        (false, format!("https://{DOMAIN}:443@evil.example/{SECRET}")),
        (false, format!("https://user@{DOMAIN}/{SECRET}")),
        (false, format!("https://:@{DOMAIN}/{SECRET}")),
        (false, format!("https://@{DOMAIN}/{SECRET}")),
        (false, format!("https:user:pass@{DOMAIN}/{SECRET}")),
        (false, format!("https:user@{DOMAIN}/{SECRET}")),
        (false, format!("https:@{DOMAIN}/{SECRET}")),
        (false, format!("https:/user:pass@{DOMAIN}/{SECRET}")),
        (false, format!("https:///user:pass@{DOMAIN}/{SECRET}")),
        (false, format!("https:////:pass@{DOMAIN}/{SECRET}")),
        (false, format!("https:user:pass@{DOMAIN}/https://{DOMAIN}/")),
        (true, format!("https:{DOMAIN}/{SECRET}/@")),
        (false, format!("https://evil.example/{DOMAIN}/{SECRET}")),
        (false, format!("https://evil.example#{DOMAIN}/{SECRET}")),
        (false, format!("https://evil.example?{DOMAIN}/{SECRET}")),
        (false, format!("https://evil.example\\@{DOMAIN}/{SECRET}")),
        (false, format!("https://{DOMAIN}\\@evil.example/{SECRET}")),
        (false, format!("https://{DOMAIN}%2f.evil.example/{SECRET}")),
        (false, format!("https://{DOMAIN}%00.evil.example/{SECRET}")),
        (false, format!("https://{DOMAIN}\t.evil.example/{SECRET}")),
        (false, format!("https://{DOMAIN}/{SECRET}\r\nx: y")),
        (false, format!(" https://{DOMAIN}/{SECRET}")),
        (false, format!("https://ｅxample.conductor.one/{SECRET}")),
        (false, format!("https://example。conductor.one/{SECRET}")),
        (false, format!("https:\\\\{DOMAIN}\\{SECRET}")),
        (false, format!("//{DOMAIN}/{SECRET}")),
        (false, format!("{DOMAIN}/{SECRET}")),
        (false, format!("ftp://{DOMAIN}/{SECRET}")),
        (false, format!("file:///{DOMAIN}/{SECRET}")),
        (false, format!("https:///{SECRET}")),
        (false, format!("https://127.0.0.1/{SECRET}")),
        (false, format!("https://2130706433/{SECRET}")),
        (false, format!("https://[::1]/{SECRET}")),
        (false, format!("https://localhost/{SECRET}")),
        (false, format!("http://127.0.0.1/{SECRET}")),
        (false, String::new()),
    ];
    // What is allowed for one tenant is not for another.
    let other = ["https://evil.example", "http://127.0.0.1"];
    for (good, url) in table {
        let script = Script::new([status(200)]);
        let client = builder()
            .post(script.clone())
            .origin("other.conductor.one", other[0])
            .origin("other.conductor.one", other[1])
            .dangerous_allow_http_on_loopback()
            .build()
            .expect("good");
        let callback = callback(&url);
        let checked = client.check(&callback);
        assert_eq!(checked.is_ok(), good, "{url:?}: {checked:?}");
        let sent = client.send(&callback, &reply()).await;
        assert_eq!(sent.err(), checked.err(), "{url:?}");
        // What is refused is never handed to what would connect.
        assert_eq!(script.posts().len(), usize::from(good), "{url:?}");
    }
}

/// Takes what is meant for the tenant, and nothing else.
#[derive(Debug)]
struct Gate;

impl Post for Gate {
    fn post(&self, request: Request<Bytes>) -> BoxFuture<'_, Result<Response<()>, PostError>> {
        let own = format!("https://{DOMAIN}/");
        let url = request.uri().to_string();
        assert!(url.starts_with(&own), "{url}");
        // As another parser, which the HTTP client uses, understands it.
        let url = reqwest::Url::parse(&url).expect("a URL");
        assert_eq!(
            url.origin().ascii_serialization(),
            own.trim_end_matches('/')
        );
        Box::pin(async { Ok(Response::new(())) })
    }
}

proptest! {
    #[test]
    fn however_a_url_is_put_together_it_leads_to_the_tenant_or_nowhere(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "https://", "https:", "http://", "HTTPS://", "//", "/", "\\", "@", ":", ":443", ":80",
            ".", "?", "#", "%2f", "%40", "%00", "\t", " ", "\u{ff0e}", "[", "]", "\u{ad}",
            DOMAIN, "Example.Conductor.One", "evil.example", "127.0.0.1", "a",
        ]), 1..8),
        whole in any::<bool>(),
    ) {
        let start = if whole { format!("https://{DOMAIN}") } else { String::new() };
        let callback = callback(&format!("{start}{}", pieces.concat()));
        let client = builder().post(Gate).build().expect("good");
        let sending = async {
            let checked = client.check(&callback);
            assert_eq!(client.send(&callback, &reply()).await.err(), checked.err());
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.expect("a runtime").block_on(sending);
    }
}

#[test]
fn configured_origins_take_the_place_of_the_domain() {
    let client = CallbackClient::builder()
        .origin(DOMAIN, "https://callbacks.example.com")
        .origin(DOMAIN, "https://Callbacks.example.com:8443/")
        .origin(DOMAIN, "http://127.0.0.1:8080")
        .origin(DOMAIN, "http://[::1]:8080")
        .dangerous_allow_http_on_loopback()
        .build()
        .expect("good");
    for (good, origin) in [
        (true, "https://callbacks.example.com"),
        (true, "https://callbacks.example.com:443"),
        (true, "https://callbacks.example.com:8443"),
        (true, "http://127.0.0.1:8080"),
        (true, "http://[::1]:8080"),
        (false, "http://callbacks.example.com"),
        (false, "https://callbacks.example.com:8080"),
        (false, "https://callbacks.example.com."),
        (false, "https://127.0.0.1:8080"),
        (false, "http://127.0.0.1"),
        (false, "http://localhost:8080"),
        (false, "https://example.conductor.one"),
    ] {
        let callback = callback(&format!("{origin}/{SECRET}"));
        assert_eq!(client.check(&callback).is_ok(), good, "{origin}");
    }
}

#[test]
fn credentials_in_origins_are_not_shown() {
    let origin = "https://me:s3cret@callbacks.example.com?token=s3cret";
    let builder = CallbackClient::builder().origin(DOMAIN, origin);
    let shown = format!("{builder:?}");
    assert!(shown.contains("callbacks.example.com"), "{shown}");
    assert!(!shown.contains("s3cret"), "{shown}");
}

#[test]
fn origins_are_checked_when_the_client_is_built() {
    for (with_http, without, origin) in [
        (true, true, "https://callbacks.example.com"),
        (true, true, "https://127.0.0.1:8443/"),
        (true, false, "http://127.0.0.1:8080"),
        (true, false, "http://localhost"),
        (true, false, "http://[::1]:8080"),
        (false, false, "http://callbacks.example.com"),
        (false, false, "http://10.0.0.1"),
        (false, false, "http://localhost.evil.example"),
        (
            false,
            false,
            "https://user:pass-s3cret@callbacks.example.com",
        ),
        (false, false, "https:user:pass-s3cret@callbacks.example.com"),
        (
            false,
            false,
            "https:\\\\user:pass-s3cret@callbacks.example.com",
        ),
        (
            false,
            false,
            "https://us\ner:pass-s3cret@callbacks.example.com",
        ),
        (false, false, "https://callbacks.example.com/path"),
        (false, false, "https://callbacks.example.com?query-s3cret"),
        (
            false,
            false,
            "https://callbacks.example.com#fragment-s3cret",
        ),
        (false, false, "callbacks.example.com"),
        (false, false, "ftp://callbacks.example.com"),
        (false, false, ""),
    ] {
        for (allowed, good) in [(true, with_http), (false, without)] {
            let mut builder = CallbackClient::builder().origin(DOMAIN, origin);
            if allowed {
                builder = builder.dangerous_allow_http_on_loopback();
            }
            let built = builder.build();
            assert_eq!(built.is_ok(), good, "{origin}: {built:?}");
            if let Err(error) = built {
                let error = error.to_string();
                assert!(
                    error.contains(DOMAIN) && !error.contains("s3cret"),
                    "{error}"
                );
            }
        }
    }
}

#[test]
fn an_origin_is_for_a_tenant_as_the_layer_names_it() {
    for (good, tenant) in [
        (true, DOMAIN),
        (true, "example.c1eu.ai"),
        (false, "Example.Conductor.One"),
        (false, "https://example.conductor.one"),
        (false, "https://me:s3cret@example.conductor.one"),
        (false, "example.conductor.one/"),
        (false, "example.conductor.one:443"),
        (false, "example.conductor.one."),
        (false, " example.conductor.one"),
        (false, "*.conductor.one"),
        (false, "[::1]"),
        (false, "éxample.conductor.one"),
        (false, ""),
    ] {
        let built = CallbackClient::builder()
            .origin(tenant, "https://callbacks.example.com")
            .build();
        assert_eq!(built.is_ok(), good, "{tenant}: {built:?}");
        // It is what the layer says, too.
        let layer = builder_of(tenant).build();
        assert_eq!(layer.is_ok(), good, "{tenant}: {layer:?}");
        if let (Err(error), Err(layer)) = (built, layer) {
            let (error, layer) = (error.to_string(), layer.to_string());
            assert!(error.contains("callback origin"), "{error}");
            let remedy = |text: &str| text.split_once(" is no host").map(|(_, it)| it.to_owned());
            assert_eq!(remedy(&error), remedy(&layer), "{error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}

/// A layer for that tenant.
fn builder_of(tenant: &str) -> VerifyWebhookBuilder {
    let keys = FakeTenant::new(DOMAIN).fetch();
    let keys = JwksCache::builder("https://example.conductor.one/jwks").build(keys);
    VerifyWebhookLayer::builder()
        .public_url("https://hooks.example.com")
        .tenant(Tenant::new(tenant).key_source(keys.expect("good")))
}

#[tokio::test]
async fn a_webhook_s_callback_can_be_stored() {
    let tenant = FakeTenant::new(DOMAIN);
    let delivery = tenant
        .delivery(PROVISION)
        .issued_at(now())
        .callback_url(Some(&own_url()))
        .webhook_id("2fCjgK8tYJxV9u8d1wupBMeXZ45");
    let layer = receiver(&tenant);
    let outcome = support::send(&layer, delivery.request()).await;
    let made = outcome.webhook().callback().expect("it has a URL");
    assert_eq!(made, callback(&own_url()));
    assert_eq!(made.tenant(), DOMAIN);
    assert_eq!(made.event(), PROVISION);
    assert_eq!(made.webhook_id(), "2fCjgK8tYJxV9u8d1wupBMeXZ45");
    assert_eq!(made.url().expose_secret(), own_url());
    assert_eq!(made.fired_at(), now());

    let stored = serde_json::to_value(&made).expect("JSON");
    let shape = json!({
        "version": 1,
        "tenant": DOMAIN,
        "event": PROVISION,
        "webhookId": "2fCjgK8tYJxV9u8d1wupBMeXZ45",
        "callbackUrl": own_url(),
        "firedAt": 1_713_312_120,
    });
    assert_eq!(stored, shape, "stored forms outlive versions of the crate");
    let read: Callback = serde_json::from_value(stored).expect("its own form");
    assert_eq!(read, made);

    let delivery = tenant.delivery(PROVISION).issued_at(now());
    let without = support::send(&layer, delivery.callback_url(None).request()).await;
    assert!(without.webhook().callback().is_none());
}

#[test]
fn a_stored_form_that_is_not_known_is_refused() {
    let good = serde_json::to_value(callback(&own_url())).expect("JSON");
    for (member, value) in [
        ("version", json!(2)),
        ("version", json!(0)),
        ("version", json!(null)),
        ("firedAt", json!(-1)),
        ("firedAt", json!(u64::MAX)),
        ("tenant", json!(null)),
        ("callbackUrl", json!(7)),
    ] {
        let mut stored = good.clone();
        stored[member] = value;
        let read = serde_json::from_value::<Callback>(stored.clone());
        assert!(read.is_err(), "{stored}");
        stored.as_object_mut().expect("an object").remove(member);
        let read = serde_json::from_value::<Callback>(stored.clone());
        assert!(read.is_err(), "{stored}");
    }
}

#[test]
fn a_callback_has_the_type_of_its_event() {
    let callback = callback(&own_url());
    assert!(callback.clone().typed::<PolicyApprovalStep>().is_none());
    let typed = callback
        .clone()
        .typed::<ProvisionStep>()
        .expect("it is one");
    assert_eq!(*typed.untyped(), callback);
    assert_eq!(*typed.clone().untyped(), callback);
}

#[tokio::test]
async fn each_attempt_is_told_without_secrets() {
    let log = Log::default();
    let _capturing = log.capture(tracing::Level::TRACE);
    let take = || {
        let text = log.take();
        for secret in [SECRET, PATH, COMMENT] {
            assert!(!text.contains(secret), "{text}");
        }
        text
    };

    let own = callback(&own_url());
    let mut foreign = serde_json::to_value(&own).expect("JSON");
    foreign["event"] = "c1.webhooks.v1.PayloadPolicyApprovalStep".into();
    let foreign = serde_json::from_value(foreign).expect("another event's");
    let elsewhere = callback(&format!("https://{SECRET}.example/{SECRET}"));
    for (callback, act, level, said) in [
        (&own, status(200), "INFO", "answer=200 OK"),
        (&own, status(400), "WARN", "used already or has expired"),
        (&own, status(422), "WARN", "refused with 422"),
        (&own, status(404), "WARN", "answer=404 Not Found"),
        (&own, status(503), "WARN", "answer=503 Service Unavailable"),
        (&own, status(307), "WARN", "answer=307"),
        (&own, Posted::Unsent, "WARN", "answer=connection refused"),
        (&foreign, status(200), "WARN", "does not answer the event"),
        (&elsewhere, status(200), "WARN", "does not lead to https at"),
    ] {
        let client = builder().clock(no_longer_early());
        let client = client.post(Script::new([act])).build().expect("good");
        let mut progress = Progress::default();
        let outcome = client.attempt(callback, &reply(), &mut progress).await;
        let text = take();
        assert_eq!(text.lines().count(), 1, "{text}");
        for said in [level, said, DOMAIN, callback.event(), callback.webhook_id()] {
            assert!(text.contains(said), "{said}: {text}");
        }
        let shown = format!("{outcome:?} {callback:?} {callback:#?} {client:?} {progress:?}");
        let error = outcome.err().map(|error| error.to_string());
        for secret in [SECRET, PATH, COMMENT] {
            assert!(!shown.contains(secret), "{shown}");
            assert!(
                !error.clone().unwrap_or_default().contains(secret),
                "{error:?}"
            );
        }
    }
    let typed = own.typed::<ProvisionStep>().expect("one");
    assert!(!format!("{typed:?}").contains(SECRET));

    // The HTTP client below says nothing of it either.
    for act in [
        answer("200 OK"),
        answer("307 Temporary\r\nlocation: /x"),
        Act::Close,
    ] {
        let server = Server::start([act]).await;
        let _ = server.attempt(&mut Progress::default()).await;
        assert!(take().contains("callback"));
    }
}

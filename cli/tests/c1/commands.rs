//! A fake tenant: what the commands print, and how they end.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use serde_json::{Value, json};
use support::wire::{http1_bytes, within};
use support::{DOMAIN, TEST_EVENT};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStdout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tower_conductorone::event::{
    Acknowledgement, ApprovalReply, Comment, Outcome, Payload, PayloadError, ProvisionReply,
    WorkflowReply,
};
use tower_conductorone::testing::FakeTenant;
use tower_conductorone::{Tenant, VerifyWebhookLayer, Webhook};

use crate::program::{Output, c1, c1_of, folder, program};

/// A program that runs until it is dropped.
pub(crate) struct Running {
    pub(crate) child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    /// The rest of the first line that has this text.
    pub(crate) async fn after(&mut self, text: &str) -> String {
        loop {
            let line = within(text, self.lines.next_line()).await.expect("UTF-8");
            let line = line.unwrap_or_else(|| panic!("it ended before {text:?}"));
            if let Some((_, rest)) = line.split_once(text) {
                return rest.trim().to_owned();
            }
        }
    }
}

/// `c1 serve`, and the URL where it listens.
pub(crate) async fn serve(folder: &Path, args: &str) -> (Running, String) {
    let mut child = program(folder)
        .arg("serve")
        .args(args.split_whitespace())
        .spawn()
        .expect("it starts");
    let stdout = child.stdout.take().expect("piped");
    let lines = BufReader::new(stdout).lines();
    let mut running = Running { child, lines };
    let keys = running.after("keys ").await;
    let url = keys.strip_suffix("/auth/v1/jwks").expect("a JWKS URL");
    (running, url.to_owned())
}

pub(crate) const PUBLIC_URL: &str = "https://hooks.example.com";

/// A receiver in this process for the tenant of a `c1 serve`, at its own address.
pub(crate) async fn handled<F, R>(serve: &str, handler: F) -> String
where
    F: FnMut(Webhook) -> R + Clone + Send + Sync + 'static,
    R: IntoResponse + Send + 'static,
{
    behind(None, serve, handler).await
}

/// A receiver for [`PUBLIC_URL`] that grants every request.
pub(crate) async fn granting(serve: &str) -> String {
    behind(Some(PUBLIC_URL), serve, |webhook| grant(&webhook)).await
}

/// A receiver in this process, and the URL where it takes webhooks.
pub(crate) async fn behind<F, R>(public_url: Option<&str>, serve: &str, mut handler: F) -> String
where
    F: FnMut(Webhook) -> R + Clone + Send + Sync + 'static,
    R: IntoResponse + Send + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a port");
    let origin = format!("http://{}", listener.local_addr().expect("an address"));
    let verify = VerifyWebhookLayer::builder()
        .public_url(public_url.unwrap_or(&origin))
        .tenant(Tenant::new(DOMAIN).jwks_url(format!("{serve}/auth/v1/jwks")))
        .dangerous_allow_http_on_loopback()
        .build()
        .expect("a good configuration");
    let handler = move |webhook| std::future::ready(handler(webhook));
    // Any method: the layer answers 405 to all but POST.
    let app = Router::new().route("/webhooks", any(handler).layer(verify));
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("{origin}/webhooks")
}

pub(crate) fn grant(webhook: &Webhook) -> Result<Outcome, PayloadError> {
    let comment = Comment::none();
    Ok(match webhook.payload()? {
        Payload::ProvisionStep(step) => step.answer(ProvisionReply::complete(comment)),
        Payload::PolicyApprovalStep(step) => step.answer(ApprovalReply::approve(comment)),
        Payload::WorkflowStep(step) => step.answer(WorkflowReply::empty()),
        Payload::Test(test) => test.answer(Acknowledgement::new()),
        Payload::PolicyPostAction(action) => action.answer(Acknowledgement::new()),
        Payload::FindingDispatch(dispatch) => dispatch.answer(Acknowledgement::new()),
        Payload::Unknown(event) => event.acknowledge(),
        other => panic!("{other:?}"),
    })
}

/// [`PUBLIC_URL`], as a flag.
const PUBLIC: &str = "--public-url https://hooks.example.com";

#[tokio::test]
async fn help_needs_no_manual() {
    let folder = folder();
    let help = c1(&folder, "--help").await;
    assert_eq!(help.code, 0);
    for text in [
        "serve",
        "send",
        "attack",
        "capture",
        "explain",
        "ledger",
        "Exit codes:",
        "NO_COLOR",
    ] {
        assert!(help.stdout.contains(text), "{text}: {help:?}");
    }
    for command in ["serve", "send", "attack", "capture", "explain", "ledger"] {
        let help = c1(&folder, &format!("{command} --help")).await;
        let example = format!("Example:\n  c1 {command} ");
        assert!(help.stdout.contains(&example), "{help:?}");
    }
}

#[tokio::test]
async fn every_event_is_taken_by_a_receiver() {
    let folder = folder();
    let (_serve, url) = serve(&folder, "").await;
    let to = granting(&url).await;
    for (event, member) in [
        ("test", "version"),
        ("provision-step", "complete"),
        ("provision-step --task-type offboarding", "complete"),
        ("policy-approval-step --task-type certify", "approve"),
        ("policy-post-action --task-type finding", "version"),
        ("workflow-step", "context"),
        ("finding-dispatch", "version"),
        ("c1.webhooks.v1.PayloadPolicyApprovalStep", "approve"),
        ("c1.webhooks.v1.PayloadOfTomorrow", "version"),
    ] {
        let sent = c1(&folder, &format!("send {event} --to {to} {PUBLIC} --json")).await;
        assert_eq!(sent.code, 0, "{event}: {sent:?}");
        let [line] = &sent.lines()[..] else {
            panic!("{sent:?}")
        };
        assert_eq!(line["delivered"], true, "{line}");
        assert!(line["document"].get(member).is_some(), "{line}");
        assert_eq!(line["attempts"][0]["status"], 200);
    }
    let sent = c1(&folder, &format!("send test --to {to} {PUBLIC}")).await;
    for text in ["200 OK", "\"version\": \"v1\"", "delivered"] {
        assert!(sent.stdout.contains(text), "{sent:?}");
    }
    let sent = c1(&folder, &format!("send test --to {to} {PUBLIC} --times 5")).await;
    assert_eq!((sent.code, &*sent.stdout), (0, "5 of 5 delivered\n"));
    assert_eq!(sent.stderr, "", "progress is for terminals");

    // The receiver takes another tenant's, or a token for another URL, for
    // forgeries.
    for other in ["--tenant other.example", "--key-file other.pem"] {
        let sent = c1(&folder, &format!("send test --to {to} {PUBLIC} {other}")).await;
        assert_eq!(sent.code, 1, "{sent:?}");
        assert!(sent.stdout.contains("401 Unauthorized"), "{sent:?}");
    }
    let sent = c1(&folder, &format!("send test --to {to} --times 2 --json")).await;
    assert_eq!(sent.code, 1);
    assert_eq!(sent.lines().len(), 2);
    assert!(sent.lines().iter().all(|line| line["delivered"] == false));
}

#[tokio::test]
async fn wrong_use_and_what_cannot_be_tried_end_differently() {
    let folder = folder();
    std::fs::write(folder.join("text.pem"), "no key").expect("a file");
    std::fs::write(folder.join("body.json"), r#"{"event":"x"}"#).expect("a file");
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a port");
    let address = nobody.local_addr().expect("an address");
    drop(nobody);
    let to = format!("--to http://{address}/webhooks");
    for (args, code, text) in [
        ("", 2, "Usage"),
        ("send", 2, "--to"),
        ("send nonsense --to http://127.0.0.1/", 2, "provision-step"),
        ("send test --to /webhooks", 2, "http://"),
        ("send test --to http://127.0.0.1/ --times 0", 2, "--times"),
        (
            "send test --to http://127.0.0.1/ --public-url x",
            2,
            "--public-url",
        ),
        ("send test --to http://127.0.0.1/ --pause 1", 2, "--retries"),
        (
            "send test --to http://127.0.0.1/ --task-type grant",
            2,
            "grant",
        ),
        (
            "send provision-step --to http://127.0.0.1/ --task-type x",
            2,
            "\"x\"",
        ),
        ("send test --to http://127.0.0.1/ --set x", 2, "--set"),
        ("send test --to http://127.0.0.1/ --set a..b=1", 2, "empty"),
        (
            "send provision-step --to http://127.0.0.1/ --set expanded.99=1",
            2,
            "items",
        ),
        (
            "send provision-step --to http://127.0.0.1/ --set expanded.x=1",
            2,
            "index",
        ),
        (
            "send provision-step --to http://127.0.0.1/ --set taskView.task.id.x=1",
            2,
            "plain",
        ),
        (
            "send test --to http://127.0.0.1/ --file body.json",
            2,
            "body.json",
        ),
        (
            "send test --to http://127.0.0.1/ --file none.json",
            3,
            "none.json",
        ),
        (
            "send test --to http://127.0.0.1/ --key-file text.pem",
            3,
            "text.pem",
        ),
        (
            "send test --to http://127.0.0.1/ --key-file no/such.pem",
            3,
            "no/such.pem",
        ),
        (&*format!("send test {to}"), 3, "refused"),
        (
            "send test --to http://127.0.0.1/ --alg eddsa",
            3,
            "is for ES256",
        ),
        ("serve --listen 0.0.0.0:0", 3, "loopback"),
        ("serve --alg none", 2, "--alg"),
        ("attack", 2, "--to"),
        ("attack --to x", 2, "http://"),
        ("attack --to https://127.0.0.1/", 3, "https"),
        (&*format!("attack {to}"), 3, "cannot attack"),
        ("explain", 2, "REQUEST_FILE"),
        ("explain none.txt", 3, "none.txt"),
        ("explain text.pem", 3, "not an HTTP/1.1 request"),
        ("explain text.pem --at noon", 2, "2024-04-17"),
        ("explain text.pem --public-url x", 2, "public URL"),
        ("explain text.pem --jwks x", 2, "--tenant"),
        (
            "explain text.pem --tenant x.y --jwks http://z/",
            2,
            "http://z/",
        ),
        ("explain text.pem --tenant x.y --jwks z.json", 2, "z.json"),
    ] {
        let output = c1(&folder, args).await;
        assert_eq!(output.code, code, "{args}: {output:?}");
        let all = [&*output.stdout, &*output.stderr].concat();
        assert!(all.contains(text), "{args}: {text}: {all}");
    }
}

#[tokio::test]
async fn one_key_file_makes_one_tenant_and_is_nobody_elses_to_read() {
    let folder = folder();
    for alg in ["es256", "EdDSA", "rs256"] {
        let flags = format!("--alg {alg} --key-file {alg}.pem");
        let (_serve, url) = serve(&folder, &flags).await;
        let file = std::fs::metadata(folder.join(format!("{alg}.pem"))).expect("it was made");
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
        let to = handled(&url, |_| r#"{"version":"v1"}"#).await;
        let sent = c1(&folder, &format!("send test --to {to} {flags}")).await;
        assert_eq!(sent.code, 0, "{alg}: {sent:?}");
    }
}

#[tokio::test]
async fn the_payload_is_what_the_flags_say() {
    let folder = folder();
    let (_serve, url) = serve(&folder, "").await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let handler = {
        let seen = Arc::clone(&seen);
        move |webhook: Webhook| {
            let payload: Value = webhook.deserialize_payload().expect("JSON");
            let mut seen = seen.lock().expect("no panic");
            seen.push((webhook.id().to_owned(), payload));
            r#"{"version":"v1","complete":{}}"#
        }
    };
    let to = handled(&url, handler).await;
    let to = format!("provision-step --to {to}");
    let body = json!({
        "version": "v1", "webhookId": "w-1", "event": "c1.webhooks.v1.PayloadProvisionStep",
        "callbackUrl": "https://elsewhere.example/callback/x", "payload": {"a": [1, {"b": 2}]},
    });
    std::fs::write(folder.join("body.json"), body.to_string()).expect("a file");
    std::fs::write(folder.join("payload.json"), r#"{"a":[1,{"b":2}]}"#).expect("a file");
    let next = async |flags: &[&str]| {
        let args = ["send"].into_iter().chain(to.split(' '));
        let sent = c1_of(&folder, args.chain(flags.iter().copied())).await;
        assert_eq!(sent.code, 0, "{sent:?}");
        seen.lock()
            .expect("no panic")
            .pop()
            .expect("it was handled")
    };
    let (_, grant) = next(&[]).await;
    assert!(grant["taskView"]["task"]["type"]["grant"].is_object());
    let (_, revoke) = next(&[
        "--task-type",
        "revoke",
        "--set",
        "taskView.task.displayName=Take it = away",
        "--set",
        "expanded.0.new.er={\"x\": [true]}",
    ])
    .await;
    let task = &revoke["taskView"]["task"];
    assert!(task["type"]["revoke"].is_object());
    assert_eq!(task["displayName"], "Take it = away");
    assert_eq!(revoke["expanded"][0]["new"]["er"], json!({"x": [true]}));
    let (id, payload) = next(&["--file", "body.json", "--set", "a.1.b=3"]).await;
    assert_eq!((&*id, payload), ("w-1", json!({"a": [1, {"b": 3}]})));
    let (id, payload) = next(&["--file", "payload.json"]).await;
    assert_ne!(id, "w-1");
    assert_eq!(payload, json!({"a": [1, {"b": 2}]}));
}

#[tokio::test]
async fn after_a_202_it_waits_for_the_callback() {
    const COMPLETE: &str = r#"{"version":"v1","complete":{}}"#;
    let folder = folder();
    let (mut served, url) = serve(&folder, "").await;
    let (posted, mut statuses) = tokio::sync::mpsc::unbounded_channel();
    let handler = move |webhook: Webhook| {
        let posted = posted.clone();
        let callback = webhook
            .callback_url()
            .expect("a URL")
            .expose_secret()
            .to_owned();
        tokio::spawn(async move {
            for document in ["", r#"{"version":"v1","approve":{}}"#, COMPLETE, COMPLETE] {
                let client = reqwest::Client::builder()
                    .no_proxy()
                    .build()
                    .expect("a client");
                let answer = client.post(&callback).body(document).send().await;
                // Nobody answers any more once a command has what it waited for.
                let status = answer.map_or(0, |answer| answer.status().as_u16());
                posted.send(status).expect("open");
            }
        });
        StatusCode::ACCEPTED
    };
    let to = handled(&url, handler).await;
    for flags in ["", &format!("--serve {url}")] {
        let sent = c1(
            &folder,
            &format!("send provision-step --to {to} --json {flags}"),
        )
        .await;
        assert_eq!(sent.code, 0, "{sent:?}");
        let line = &sent.lines()[0];
        assert_eq!(line["attempts"][0]["status"], 202);
        assert_eq!(line["document"], json!({"version": "v1", "complete": {}}));
        for expected in [&[400][..], &[400], &[200], &[400, 0]] {
            let status = within("a callback", statuses.recv()).await;
            assert!(
                expected.contains(&status.expect("it goes on")),
                "{status:?}"
            );
        }
    }
    let line = served.after("callback accepted").await;
    assert_eq!(
        line,
        format!("for c1.webhooks.v1.PayloadProvisionStep: {COMPLETE}")
    );

    let silent = handled(&url, |_| StatusCode::ACCEPTED).await;
    let sent = c1(
        &folder,
        &format!("send test --to {silent} --callback-wait 0"),
    )
    .await;
    assert_eq!(sent.code, 1);
    assert!(sent.stdout.contains("no callback within 0 s"), "{sent:?}");
}

#[tokio::test]
async fn it_tries_again_as_often_as_conductorone_does() {
    let folder = folder();
    let (_serve, url) = serve(&folder, "").await;
    for (last, at, code, attempts) in [
        (StatusCode::OK, 3, 0, 3),
        (StatusCode::GONE, 2, 1, 2),
        (StatusCode::OK, 51, 1, 50),
    ] {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let handler = {
            let seen = Arc::clone(&seen);
            move |webhook: Webhook| -> Response {
                let mut seen = seen.lock().expect("no panic");
                let token = webhook.claims().token_id().to_owned();
                seen.push((
                    token,
                    webhook.id().to_owned(),
                    webhook.callback_url().cloned(),
                ));
                let busy = seen.len() < at;
                let status = if busy {
                    StatusCode::SERVICE_UNAVAILABLE
                } else {
                    last
                };
                (status, r#"{"version":"v1"}"#).into_response()
            }
        };
        let to = handled(&url, handler).await;
        let once = c1(&folder, &format!("send test --to {to}")).await;
        assert_eq!(once.code, 1, "{once:?}");
        seen.lock().expect("no panic").clear();
        let flags = "--retries --pause 0 --json";
        let sent = c1(&folder, &format!("send test --to {to} {flags}")).await;
        assert_eq!(sent.code, code, "{sent:?}");
        let listed = sent.lines()[0]["attempts"].as_array().map(Vec::len);
        let seen = seen.lock().expect("no panic");
        assert_eq!((listed, seen.len()), (Some(attempts), attempts));
        let tokens: HashSet<_> = seen.iter().map(|(token, ..)| token).collect();
        assert_eq!(tokens.len(), attempts, "a new token for each");
        assert!(
            seen.iter()
                .all(|one| one.1 == seen[0].1 && one.2 == seen[0].2)
        );
    }
}

#[tokio::test]
async fn a_document_that_does_not_answer_the_event_is_found_out() {
    let folder = folder();
    let (_serve, url) = serve(&folder, "").await;
    for (document, why) in [
        ("", "not a JSON object"),
        ("{}", "version"),
        (r#"{"version":"v1","approve":{}}"#, "outcomes"),
    ] {
        let to = handled(&url, move |_| document).await;
        let sent = c1(&folder, &format!("send provision-step --to {to}")).await;
        assert_eq!(sent.code, 1);
        assert!(sent.stdout.contains(why), "{sent:?}");
    }
}

#[tokio::test]
async fn a_receiver_with_the_layer_stands_every_attack() {
    let folder = folder();
    let (_serve, url) = serve(&folder, "").await;
    let to = granting(&url).await;
    let attacked = c1(&folder, &format!("attack --to {to} {PUBLIC} --json")).await;
    let lines = attacked.lines();
    let failed: Vec<_> = lines.iter().filter(|line| line["passed"] != true).collect();
    assert!(failed.is_empty(), "{failed:?}");
    assert_eq!(attacked.code, 0, "{attacked:?}");
    assert!(lines.len() >= 60, "{}", lines.len());
    assert!(lines.iter().any(|line| line["expected"] == "accepted"));
    assert_eq!(attacked.stderr, "", "progress is for terminals");
}

/// Ends TLS in front of a server, as `localhost`; gives back the port, and the
/// certificate that vouches for it.
pub(crate) async fn behind_tls(server: String) -> (u16, String) {
    let names = vec!["localhost".to_owned()];
    let own = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key.into())
        .expect("the key of the certificate");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        loop {
            let (outer, _) = listener.accept().await.expect("a connection");
            let (acceptor, server) = (acceptor.clone(), server.clone());
            tokio::spawn(async move {
                // Whoever only looks whether somebody listens hangs up.
                if let Ok(mut outer) = acceptor.accept(outer).await {
                    let mut inner = TcpStream::connect(server).await.expect("a server");
                    let _ = copy_bidirectional(&mut outer, &mut inner).await;
                }
            });
        }
    });
    (port, own.cert.pem())
}

#[tokio::test]
async fn a_receiver_behind_tls_is_attacked_as_well() {
    let folder = folder();
    let (_serve, url) = serve(&folder, "").await;
    let to = granting(&url).await;
    let server = to.strip_prefix("http://").expect("http");
    let server = server.strip_suffix("/webhooks").expect("its path");
    let (port, certificate) = behind_tls(server.to_owned()).await;
    std::fs::write(folder.join("ca.pem"), certificate).expect("a file");

    let attack = format!("attack --to https://localhost:{port}/webhooks {PUBLIC}");
    let mut trusting = program(&folder);
    trusting.args(attack.split_whitespace());
    trusting.env("SSL_CERT_FILE", folder.join("ca.pem"));
    let attacked = within("its exit", trusting.output())
        .await
        .expect("it runs");
    let stdout = String::from_utf8(attacked.stdout).expect("UTF-8");
    assert_eq!(attacked.status.code(), Some(0), "{stdout}");
    let last = stdout.lines().last().unwrap_or_default();
    assert!(last.contains(" 0 failed"), "{last}");

    // Nobody vouches for it otherwise.
    let attacked = c1(&folder, &attack).await;
    assert_eq!(attacked.code, 3, "{attacked:?}");
    assert!(attacked.stderr.contains("cannot attack"), "{attacked:?}");
}

#[tokio::test]
async fn a_receiver_that_takes_everything_does_not_stand_the_attacks() {
    let folder = folder();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a port");
    let to = format!("http://{}/", listener.local_addr().expect("an address"));
    let app = Router::new().fallback(async || r#"{"version":"v1"}"#);
    tokio::spawn(async move { axum::serve(listener, app).await });
    let attacked = c1(&folder, &format!("attack --to {to}")).await;
    assert_eq!(attacked.code, 1, "{attacked:?}");
    let last = attacked.stdout.lines().last().unwrap_or_default();
    assert!(
        last.contains(" failed") && !last.contains(" 0 failed"),
        "{last}"
    );
}

#[tokio::test]
async fn captured_requests_are_explained() {
    let folder = folder();
    let tenant = FakeTenant::new(DOMAIN);
    let write = async |name: &str, request| {
        let raw = http1_bytes(request).await;
        std::fs::write(folder.join(name), &raw).expect("a file");
        raw
    };
    let good = tenant.delivery(TEST_EVENT);
    let raw = write("good.txt", good.request()).await;
    write("again.txt", good.request()).await;
    let other = tenant
        .delivery(TEST_EVENT)
        .to("https://c1.example.net/c1/webhooks");
    let other = other.http_header("content-type", "text/plain");
    write("bad.txt", other.request()).await;
    std::fs::write(folder.join("jwks.json"), tenant.jwks()).expect("a file");
    let receiver = format!("{PUBLIC} --tenant {DOMAIN} --jwks jwks.json");

    let explained = c1(&folder, &format!("explain good.txt {receiver}")).await;
    assert_eq!(explained.code, 0, "{explained:?}");
    assert!(explained.stdout.contains("\naccepted\n"), "{explained:?}");
    let explained = c1(&folder, &format!("explain bad.txt {receiver}")).await;
    assert_eq!(explained.code, 1);
    assert!(explained.stdout.contains("FAILED   5b the audience"));
    assert!(explained.stdout.contains("refused: 415"));

    let explained = c1(&folder, "explain bad.txt").await;
    assert_eq!(explained.code, 1, "whatever the receiver, it is refused");
    let jwks = tenant.serve().await.expect("a port");
    let flags = format!("{PUBLIC} --tenant {DOMAIN} --jwks {}", jwks.url());
    let explained = c1(
        &folder,
        &format!("explain good.txt again.txt --json {flags}"),
    )
    .await;
    assert_eq!(explained.code, 1);
    let lines = explained.lines();
    assert_eq!(lines[0]["accepted"], true);
    assert_eq!(lines[1]["code"], "replayed_token");
    assert_eq!(lines[1]["checks"][9]["number"], "5b");
    assert_eq!(lines[1]["remarks"][0], "it reuses the token of request 1");

    let explained = c1(&folder, "explain good.txt").await;
    assert_eq!(explained.code, 3, "no more is known: {explained:?}");
    assert!(
        explained
            .stdout
            .contains("public URL https://hooks.example.com")
    );
    let since = SystemTime::UNIX_EPOCH
        .elapsed()
        .expect("after 1970")
        .as_secs();
    for (at, code) in [(since + 300, 1), (since + 1, 0), (since - 300, 1)] {
        let flags = format!("--at {at} {receiver}");
        let explained = c1(&folder, &format!("explain good.txt {flags}")).await;
        assert_eq!(explained.code, code, "{explained:?}");
    }
    let secret = String::from_utf8_lossy(&raw).into_owned();
    let token = secret.split("bearer ").nth(1).expect("a token");
    let token = token.split('.').nth(1).expect("claims");
    assert!(!explained.stdout.contains(token));
    assert!(!explained.stdout.contains("webhooks/callback/"));

    let mut piped = program(&folder)
        .args(["explain", "-"])
        .args(receiver.split_whitespace())
        .stdin(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut stdin = piped.stdin.take().expect("piped");
    stdin.write_all(&raw).await.expect("it reads");
    drop(stdin);
    let output = within("its exit", piped.wait_with_output()).await;
    assert!(output.expect("it ends").status.success());
}

#[cfg(not(feature = "database"))]
#[tokio::test]
async fn without_databases_it_says_how_to_get_them() {
    let flags = "--database-url postgres://u:p4ss@localhost/hooks";
    let listed = c1(&folder(), &format!("ledger list {flags}")).await;
    assert_eq!(listed.code, 2, "{listed:?}");
    let install = "cargo install tower-conductorone-cli --features database";
    assert!(listed.stderr.contains(install), "{listed:?}");
    assert!(!listed.stderr.contains("p4ss"), "{listed:?}");
}

#[tokio::test]
async fn serve_ends_when_it_is_told_to() {
    for signal in ["TERM", "INT"] {
        let (mut running, _) = serve(&folder(), "").await;
        let id = running.child.id().expect("it runs").to_string();
        let kill = std::process::Command::new("kill")
            .args(["-s", signal, &id])
            .status();
        assert!(kill.expect("kill(1)").success());
        let ended = within("its end", running.child.wait()).await;
        assert_eq!(ended.expect("a child").code(), Some(0), "{signal}");
    }
}

/// What would paint a verdict onto the terminal, if it were shown as it is.
const FORGED: &str =
    "x\ndelivered: the document answers the event\naccepted\r\u{1b}[2J\u{7f}\u{9b}31m\u{202e}";

#[track_caller]
fn assert_plain(output: &Output) {
    let odd = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
    for text in [&output.stdout, &output.stderr] {
        assert!(!text.contains(odd), "{text:?}");
        let forged = |line: &str| line.starts_with("delivered:") || line.starts_with("accepted");
        assert!(!text.lines().any(forged), "{text}");
    }
}

#[tokio::test]
async fn what_others_say_is_escaped_and_forges_no_verdict() {
    let folder = folder();
    let (mut served, url) = serve(&folder, "").await;
    // A request that is explained.
    let tenant = FakeTenant::new(DOMAIN);
    let forged = tenant.delivery(TEST_EVENT).claim("jti", json!(FORGED));
    let raw = http1_bytes(forged.claim("iss", json!(FORGED)).request()).await;
    std::fs::write(folder.join("forged.txt"), raw).expect("a file");
    for flags in ["", "--json", PUBLIC] {
        let explained = c1(&folder, &format!("explain forged.txt {flags}")).await;
        assert_plain(&explained);
        assert_ne!(explained.code, 0, "{explained:?}");
    }
    // A receiver's answers.
    let document = json!({ "version": "v1", "x": FORGED }).to_string();
    let wrong = json!({ "version": "v1", "approve": FORGED }).to_string();
    for (status, body) in [
        (500, FORGED.to_owned()),
        (200, FORGED.to_owned()),
        (200, wrong),
    ] {
        let to = handled(&url, move |_| {
            (StatusCode::from_u16(status).expect("good"), body.clone())
        });
        let to = to.await;
        for flags in ["", "--json"] {
            let sent = c1(&folder, &format!("send provision-step --to {to} {flags}")).await;
            assert_plain(&sent);
            assert_eq!(sent.code, 1, "{sent:?}");
        }
    }
    let to = handled(&url, move |_| document.clone()).await;
    let sent = c1(&folder, &format!("send test --to {to} --json")).await;
    assert_plain(&sent);
    assert_eq!(sent.lines()[0]["document"]["x"], FORGED, "{sent:?}");
    let sent = c1(&folder, &format!("send test --to {to}")).await;
    assert_eq!(sent.stdout.matches("\ndelivered: ").count(), 1, "{sent:?}");
    // A payload's own webhook id, and a callback.
    let body = json!({ "event": TEST_EVENT, "webhookId": FORGED, "payload": {} });
    std::fs::write(folder.join("body.json"), body.to_string()).expect("a file");
    let sent = c1(
        &folder,
        "send test --file body.json --to http://127.0.0.1:9/",
    )
    .await;
    assert_plain(&sent);
    let client = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client");
    let path = "/api/v1/webhooks/callback/x%0Adelivered:%1B[2J%C2%9B/token";
    let post = client.post(format!("{url}{path}")).body(FORGED);
    assert_eq!(post.send().await.expect("an answer").status(), 400);
    let line = served.after("callback refused for ").await;
    assert!(
        line.starts_with("x\\ndelivered:\\u{1b}[2J\\u{9b}: "),
        "{line:?}"
    );
}

#[tokio::test]
async fn a_refusal_points_to_the_log_only_if_the_receiver_has_written_there() {
    let folder = folder();
    let (_serve, url) = serve(&folder, "").await;
    let to = handled(&url, |_| StatusCode::NOT_FOUND).await;
    let nowhere = to.replace("/webhooks", "/nowhere");
    for to in [&to, &nowhere] {
        let sent = c1(&folder, &format!("send test --to {to}")).await;
        let said = "404 Not Found: does the webhook have another path?";
        assert!(sent.stdout.contains(said), "{sent:?}");
        assert!(!sent.stdout.contains("log"), "{sent:?}");
    }
    let to = handled(&url, |_| (StatusCode::BAD_GATEWAY, "down")).await;
    let sent = c1(&folder, &format!("send test --to {to}")).await;
    assert!(
        sent.stdout.contains("not delivered: 502 Bad Gateway\n-> "),
        "{sent:?}"
    );
    let sent = c1(
        &folder,
        &format!("send test --to {to} --key-file other.pem"),
    )
    .await;
    let said = "401 Unauthorized; the receiver's log says why\n-> ";
    assert!(sent.stdout.contains(said), "{sent:?}");
    let remedy = format!("the token is from the tenant {DOMAIN}, for {to}:");
    assert!(sent.stdout.contains(&remedy), "{sent:?}");
    let flags = "--key-file other.pem --json";
    let sent = c1(&folder, &format!("send test --to {to} {flags}")).await;
    let line = &sent.lines()[0];
    assert_eq!(line["code"], "invalid_token");
    let told = line["remedy"].as_str().unwrap_or_default();
    assert!(told.contains(&remedy), "{line}");
}

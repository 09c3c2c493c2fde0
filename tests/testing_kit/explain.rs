//! Explaining a request: it says what the layer does, goes on after the first
//! thing that is wrong, and guesses at the cause.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt;
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use support::wire::http1_bytes;
use support::{DOMAIN, TEST_EVENT, builder, clock, now, receiver, send};
use tower_conductorone::keys::Algorithm;
use tower_conductorone::testing::explain::{CapturedRequest, Check, CheckVerdict, Explanation};
use tower_conductorone::testing::{Delivery, EVENTS, Explainer, FakeTenant, ManualClock};
use tower_conductorone::{Tenant, VerifyWebhookBuilder, VerifyWebhookLayer};

fn explainer(receiver: VerifyWebhookBuilder) -> Explainer {
    Explainer::new(receiver).expect("a good configuration")
}

async fn kept(delivery: &Delivery) -> CapturedRequest {
    let (parts, body) = delivery.request().into_parts();
    let body = body.collect().await.expect("a full body").to_bytes();
    Request::from_parts(parts, body).into()
}

async fn raw(delivery: &Delivery) -> Vec<u8> {
    http1_bytes(delivery.request()).await
}

fn parse(raw: &[u8]) -> CapturedRequest {
    CapturedRequest::parse(raw).expect("a request")
}

/// The first failure's code, or what the last line says.
fn code(explanation: &Explanation) -> &'static str {
    match explanation.rejection() {
        Some(kind) => kind.code(),
        None if explanation.is_accepted() => "accepted",
        None => "unknown",
    }
}

fn failed(explanation: &Explanation) -> Vec<Check> {
    let failed = explanation
        .checks()
        .filter(|(_, verdict)| verdict.is_failed());
    failed.map(|(check, _)| check).collect()
}

/// A good request with one thing changed.
fn mutations(tenant: &FakeTenant) -> Vec<(String, Delivery)> {
    let mut rows: Vec<_> = EVENTS
        .iter()
        .map(|event| {
            (
                (*event).to_owned(),
                tenant.delivery(*event).issued_at(now()),
            )
        })
        .collect();
    headers(tenant, &mut rows);
    token_header(tenant, &mut rows);
    claims(tenant, &mut rows);
    bodies_and_signers(tenant, &mut rows);
    rows
}

fn headers(tenant: &FakeTenant, rows: &mut Vec<(String, Delivery)>) {
    let good = || tenant.delivery(TEST_EVENT).issued_at(now());
    let mut row = |what: &str, delivery: Delivery| rows.push((what.to_owned(), delivery));
    for method in ["GET", "PUT", "DELETE", "post"] {
        row(method, good().method(method.parse().expect("a method")));
    }
    for (name, values) in [
        (
            "content-type",
            &["text/plain", "", "application/json; charset=utf-8"][..],
        ),
        ("content-encoding", &["gzip", "identity", "br"]),
        (
            "authorization",
            &[
                "",
                "Basic dXNlcjpwYXNz",
                "bearer",
                "bearer a b",
                "bearer a.b",
                "bearer a.b.c",
                "BEARER a.b.c.d",
                "bearer ..",
                "***",
                "Bearer [REDACTED]",
            ],
        ),
        ("content-length", &["1", "99999", "9999999999", "abc"]),
        (
            "content-digest",
            &[
                "sha-256=AAAA",
                "sha-512=AAAA",
                "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:",
            ],
        ),
        ("webhook-id", &["another", ""]),
        ("webhook-event", &["another"]),
        ("webhook-version", &["v2", "v1"]),
        ("webhook-callback-url", &["https://example.com/"]),
    ] {
        for value in values {
            row(
                &format!("{name}: {value}"),
                good().http_header(name, *value),
            );
        }
        row(&format!("no {name}"), good().without_http_header(name));
    }
    let long = format!("bearer {}", "a".repeat(8193));
    row("a long token", good().http_header("authorization", &*long));
}

fn token_header(tenant: &FakeTenant, rows: &mut Vec<(String, Delivery)>) {
    let good = || tenant.delivery(TEST_EVENT).issued_at(now());
    let mut row = |what: &str, delivery: Delivery| rows.push((what.to_owned(), delivery));
    for (name, values) in [
        ("alg", json!(["none", "HS256", "es256", "RS256", 7, null])),
        ("kid", json!(["another", 7, "k".repeat(300)])),
        ("typ", json!(["at+jwt", "jwt", "application/jwt", 7])),
        ("crit", json!([["exp"]])),
        ("b64", json!([false])),
        ("zip", json!(["DEF"])),
        ("jwk", json!([{"kty": "oct"}])),
    ] {
        for value in values.as_array().expect("an array") {
            row(
                &format!("{name} {value:.20}"),
                good().header_param(name, value.clone()),
            );
        }
        row(&format!("no {name}"), good().without_header_param(name));
    }
}

fn claims(tenant: &FakeTenant, rows: &mut Vec<(String, Delivery)>) {
    let good = || tenant.delivery(TEST_EVENT).issued_at(now());
    let mut row = |what: &str, delivery: Delivery| rows.push((what.to_owned(), delivery));
    let time = 1_713_312_120;
    for (name, values) in [
        ("iss", json!(["other.example", "", 7])),
        (
            "aud",
            json!([
                "other.example",
                "HOOKS.example.com",
                ["hooks.example.com"],
                []
            ]),
        ),
        ("c1typ", json!(["session", ""])),
        ("htm", json!(["GET", "post"])),
        (
            "htu",
            json!([
                "https://hooks.example.com/other",
                "http://hooks.example.com/webhooks",
                "https://hooks.example.com:443/./webhooks?x=1",
                "https://hooks.example.com:8443/webhooks",
                "https://user@hooks.example.com/webhooks",
                "/webhooks"
            ]),
        ),
        (
            "htb_s256",
            json!(["", "x", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="]),
        ),
        (
            "iat",
            json!([time + 29, time + 31, time - 600, "1713312120"]),
        ),
        ("nbf", json!([time + 31, time - 600])),
        (
            "exp",
            json!([time - 29, time - 31, time - 30, time + 700, -1]),
        ),
        ("jti", json!(["", "j".repeat(257)])),
    ] {
        for value in values.as_array().expect("an array") {
            row(
                &format!("{name} {value:.60}"),
                good().claim(name, value.clone()),
            );
        }
        row(&format!("no {name}"), good().without_claim(name));
    }
}

fn bodies_and_signers(tenant: &FakeTenant, rows: &mut Vec<(String, Delivery)>) {
    let good = || tenant.delivery(TEST_EVENT).issued_at(now());
    let mut row = |what: &str, delivery: Delivery| rows.push((what.to_owned(), delivery));
    for body in [
        "",
        "{}",
        "[]",
        "null",
        "\u{feff}{}",
        r#"{"version":"v2","webhookId":"w","event":"e"}"#,
        r#"{"version":"v1","webhookId":"","event":"e"}"#,
    ] {
        row(&format!("the body {body:?}"), good().body(body));
        row(&format!("tampered: {body:?}"), good().tampered_body(body));
    }
    row("not UTF-8", good().body(&b"\xff\xfe{}"[..]));
    let big = Bytes::from(vec![b' '; 2 * 1024 * 1024 + 1]);
    row("too large", good().body(big));
    row("no callback URL", good().callback_url(None));
    row(
        "another path",
        good().to("https://hooks.example.com/x/../y"),
    );
    row(
        "another host",
        good().to("https://hooks.example.org/webhooks"),
    );
    let old = now() - Duration::from_secs(3600);
    row("an hour old", good().issued_at(old));
    let stranger = FakeTenant::new(DOMAIN);
    row(
        "a stranger's",
        stranger.delivery(TEST_EVENT).issued_at(now()),
    );
    let named = good().header_params()["kid"].clone();
    let posing = stranger.delivery(TEST_EVENT).issued_at(now());
    row("a stranger's by name", posing.header_param("kid", named));
    let other = FakeTenant::new("other.example");
    row(
        "another tenant's",
        other.delivery(TEST_EVENT).issued_at(now()),
    );
    let ed = tenant.add_key(Algorithm::EdDsa);
    row("with a new key", good().signing_key(ed));
}

#[tokio::test]
async fn it_says_of_every_request_what_the_layer_makes_of_it() {
    let tenant = FakeTenant::new(DOMAIN);
    let layer = receiver(&tenant);
    let mut explainer = explainer(builder(&tenant));
    let rows = mutations(&tenant);
    assert!(rows.len() > 100, "{}", rows.len());
    // With a second thing wrong, the order of the checks shows.
    let rows = rows.into_iter().flat_map(|(what, one)| {
        let two = [
            one.clone().http_header("content-type", "text/plain"),
            one.clone().claim("aud", json!("other.example")),
            one.clone().claim("exp", json!(-1)),
            one.clone().claim("htu", json!("https://other.example/")),
            one.clone().tampered_body("[]"),
        ];
        [one]
            .into_iter()
            .chain(two)
            .map(move |delivery| (what.clone(), delivery))
    });
    let mut codes = std::collections::BTreeSet::new();
    for (what, delivery) in rows {
        // The first time and, as a replay, a second time.
        for _ in 0..2 {
            let expected = send(&layer, delivery.request()).await;
            let explanation = explainer.explain(&kept(&delivery).await).await;
            assert_eq!(code(&explanation), expected.code(), "{what}\n{explanation}");
            codes.insert(expected.code());
            let text = explanation.to_string();
            for secret in delivery.token_string().split('.') {
                let secret = secret.get(..24).unwrap_or("none");
                assert!(!text.contains(secret), "{what}: {text}");
            }
            assert!(!text.contains("/webhooks/callback/"), "{what}: {text}");
        }
    }
    assert!(codes.len() > 24, "{codes:?}");
}

#[tokio::test]
async fn it_says_of_the_bytes_on_the_wire_what_it_says_of_the_request() {
    let tenant = FakeTenant::new(DOMAIN);
    for (what, delivery) in mutations(&tenant) {
        if delivery.request().headers().contains_key("content-length") {
            continue;
        }
        let mut explainer = explainer(builder(&tenant));
        let in_process = explainer.explain(&kept(&delivery).await).await;
        let mut explainer = self::explainer(builder(&tenant));
        let on_the_wire = explainer.explain(&parse(&raw(&delivery).await)).await;
        assert_eq!(code(&on_the_wire), code(&in_process), "{what}");
        assert_eq!(on_the_wire.remarks(), [""; 0], "{what}");
    }
}

#[tokio::test]
async fn all_that_is_wrong_comes_to_light_at_once() {
    let tenant = FakeTenant::new(DOMAIN);
    let delivery = tenant
        .delivery(TEST_EVENT)
        .issued_at(now() - Duration::from_secs(532))
        .to("https://c1.example.net/c1/webhooks")
        .tampered_body("[]")
        .http_header("content-type", "text/plain");
    // The proxy has stripped the prefix.
    let raw = String::from_utf8(raw(&delivery).await).expect("text");
    let raw = raw.replace("/c1/webhooks HTTP", "/webhooks HTTP");
    let explanation = explainer(builder(&tenant))
        .explain(&parse(raw.as_bytes()))
        .await;
    assert_eq!(
        failed(&explanation),
        [
            Check::MediaType,
            Check::Audience,
            Check::Times,
            Check::BoundUrl,
            Check::BodyHash,
            Check::Envelope,
        ],
        "{explanation}"
    );
    let text = explanation.to_string();
    for part in [
        "set the public URL to https://c1.example.net/c1\n",
        "expired 412s ago",
        "received 532 s after it was issued",
        "refused: 415 Unsupported Media Type (unsupported_media_type)",
        "not reached",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!explanation.is_accepted());
    let remedy = "set the public URL to";
    assert_eq!(text.matches(remedy).count(), 1, "once for both: {text}");
}

#[tokio::test]
async fn what_is_not_known_of_the_receiver_is_unknown_and_not_wrong() {
    let tenant = FakeTenant::new(DOMAIN);
    let request = kept(&tenant.delivery(TEST_EVENT).issued_at(now())).await;
    let bare = || VerifyWebhookLayer::builder().clock(clock());
    let url = "https://hooks.example.com";
    let no_keys = || bare().tenant(Tenant::new(DOMAIN).key_source(NoKeys));
    for (what, receiver, unknown) in [
        (
            "nothing",
            bare(),
            &[
                Check::Tenant,
                Check::Signature,
                Check::Audience,
                Check::BoundUrl,
            ][..],
        ),
        (
            "the URL",
            bare().public_url(url),
            &[Check::Tenant, Check::Signature],
        ),
        (
            "the tenant",
            no_keys(),
            &[Check::Signature, Check::Audience, Check::BoundUrl],
        ),
        (
            "all but keys",
            no_keys().public_url(url),
            &[Check::Signature],
        ),
    ] {
        let explanation = explainer(receiver).explain(&request).await;
        let found: Vec<_> = explanation
            .checks()
            .filter(|(_, verdict)| matches!(verdict, CheckVerdict::Unknown { .. }))
            .map(|(check, _)| check)
            .collect();
        assert_eq!(found, unknown, "{what}");
        assert_eq!(code(&explanation), "unknown", "{what}");
    }
    let explanation = explainer(bare()).explain(&request).await.to_string();
    assert!(
        explanation.contains("fits the public URL https://hooks.example.com"),
        "{explanation}"
    );
    assert!(explanation.contains("the token's iss is \"example.conductor.one\""));
    let wrong = bare().public_url("hooks.example.com");
    assert!(Explainer::new(wrong).is_err());
}

#[derive(Debug)]
struct NoKeys;

impl tower_conductorone::keys::KeySource for NoKeys {
    fn current(&self) -> Option<std::sync::Arc<tower_conductorone::keys::KeySet>> {
        None
    }
}

#[tokio::test]
async fn a_body_is_written_anew_as_deep_and_as_long_as_a_receiver_reads_it() {
    let tenant = FakeTenant::new(DOMAIN);
    let nested = |depth| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    // 100 deep, each of its lines is indented by 400 spaces.
    let deep = |items| {
        format!(
            "{}{}1{}",
            "[".repeat(100),
            "1,".repeat(items),
            "]".repeat(100)
        )
    };
    let indented = |json: &str| {
        let value: Value = serde_json::from_str(json).expect("JSON");
        serde_json::to_string_pretty(&value)
            .expect("JSON")
            .replace("  ", "    ")
    };
    let given_up = "its content was changed, or it belongs to another token";
    assert!(indented(&deep(6_000)).len() > 2 * 1024 * 1024);
    for (sent, came, hint) in [
        (
            nested(128).replace('1', "[]"),
            nested(128).replace('1', "[ ]"),
            given_up,
        ),
        (
            nested(127).replace('1', "[]"),
            nested(127).replace('1', "[ ]"),
            "written on one line without spaces, the body",
        ),
        (
            nested(128),
            nested(128) + " ",
            "written on one line without spaces, the body",
        ),
        (nested(129), nested(129) + " ", given_up),
        (nested(16_000), nested(16_000) + " ", given_up),
        (
            indented(&deep(1_000)),
            deep(1_000),
            "written with an indentation of four spaces, the body",
        ),
        (indented(&deep(6_000)), deep(6_000), given_up),
    ] {
        let delivery = tenant.delivery(TEST_EVENT).issued_at(now());
        let request = kept(&delivery.body(sent).tampered_body(came)).await;
        let text = explainer(builder(&tenant))
            .explain(&request)
            .await
            .to_string();
        assert!(text.contains(hint), "{hint}: {text}");
    }
}

#[tokio::test]
async fn a_body_that_was_written_anew_is_recognised() {
    let tenant = FakeTenant::new(DOMAIN);
    let value = json!({"b": [1, {}, []], "a\"{": "x: <y>, z", "c": {"d": null}});
    let (compact, pretty) = (
        value.to_string(),
        serde_json::to_string_pretty(&value).expect("JSON"),
    );
    let lined = |text: &str| format!("{text}\n");
    let escaped = compact.replace('<', "\\u003c").replace('>', "\\u003e");
    let crlf = |text: &str| text.replace('\n', "\r\n");
    let spaced = r#"{"a": [1, 2], "b": "c:d,e"}"#;
    for (sent, came, hint) in [
        (
            compact.clone(),
            pretty.clone(),
            "written on one line without spaces, the body",
        ),
        (
            pretty.clone(),
            compact.clone(),
            "written with an indentation of two spaces, the body",
        ),
        (
            pretty.replace("  ", "\t"),
            compact.clone(),
            "written with an indentation of tabs, the body",
        ),
        (
            lined(&pretty),
            compact.clone(),
            "written with an indentation of two spaces and a line end, the body",
        ),
        (
            lined(&compact),
            compact.clone(),
            "with a line end added at its end, the body",
        ),
        (
            compact.clone(),
            lined(&compact),
            "without the line end at its end, the body",
        ),
        (
            crlf(&pretty),
            pretty.clone(),
            "with line ends of CRLF in place of LF, the body",
        ),
        (
            pretty.clone(),
            crlf(&pretty),
            "with line ends of LF in place of CRLF, the body",
        ),
        (
            escaped,
            compact.clone(),
            "written on one line without spaces and with <, > and & escaped, the body",
        ),
        (
            spaced.into(),
            spaced.replace(' ', ""),
            "a space after each colon and comma, the body",
        ),
        (
            compact.clone(),
            compact.replace('1', "2"),
            "its content was changed, or it belongs to another token",
        ),
    ] {
        let delivery = tenant.delivery(TEST_EVENT).issued_at(now());
        let delivery = delivery.body(sent.clone()).tampered_body(came);
        let request = kept(&delivery).await;
        let explanation = explainer(builder(&tenant)).explain(&request).await;
        assert!(failed(&explanation).contains(&Check::BodyHash));
        let text = explanation.to_string();
        assert!(text.contains(hint), "{hint}: {text}");
        let digest = BASE64_STANDARD.encode(Sha256::digest(sent));
        let delivery = delivery.http_header("content-digest", format!("sha-256={digest}"));
        let request = kept(&delivery).await;
        let explanation = explainer(builder(&tenant)).explain(&request).await;
        let text = explanation.to_string();
        assert!(text.contains("Content-Digest agrees with the token"));
    }
}

#[tokio::test]
async fn what_a_capture_tool_did_is_undone_and_said() {
    let tenant = FakeTenant::new(DOMAIN);
    let delivery = || tenant.delivery(TEST_EVENT).issued_at(now());
    let good = String::from_utf8(raw(&delivery()).await).expect("text");
    let (head, body) = good.split_once("\r\n\r\n").expect("a body");
    let unchunked: Vec<_> = head
        .lines()
        .filter(|line| !line.starts_with("content-length"))
        .collect();
    let unchunked = unchunked.join("\r\n");
    let (one, two) = body.split_at(10);
    let chunked = format!(
        "{unchunked}\r\ntransfer-encoding: chunked\r\n\r\na\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\n\r\n",
        two.len()
    );
    let lined = delivery().body(format!("{}\n", delivery().envelope()));
    let lined = lined.without_http_header("webhook-id");
    let lined = lined.without_http_header("webhook-callback-url");
    let lined = String::from_utf8(raw(&lined).await).expect("text");
    for (what, raw, remark) in [
        ("as it was", good.clone(), None),
        (
            "LF",
            format!("{}\n\n{body}", head.replace("\r\n", "\n")),
            Some("LF"),
        ),
        (
            "HTTP/2",
            good.replacen("HTTP/1.1", "HTTP/2", 1),
            Some("HTTP/2"),
        ),
        ("more", format!("{good}\n\n"), Some("2 bytes follow")),
        (
            "no length",
            format!("{unchunked}\r\n\r\n{body}"),
            Some("no Content-Length"),
        ),
        ("chunks", chunked.clone(), None),
        (
            "no chunks",
            format!("{unchunked}\r\ntransfer-encoding: chunked\r\n\r\n{body}"),
            Some("captured without"),
        ),
        (
            "no line end",
            lined.trim_end().to_owned(),
            Some("with a line end added"),
        ),
    ] {
        let explanation = explainer(builder(&tenant))
            .explain(&parse(raw.as_bytes()))
            .await;
        assert!(explanation.is_accepted(), "{what}: {explanation}");
        let remarks = explanation.remarks().join("; ");
        match remark {
            Some(remark) => assert!(remarks.contains(remark), "{what}: {remarks}"),
            None => assert_eq!(remarks, "", "{what}"),
        }
    }
    let empty =
        parse(format!("{unchunked}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n").as_bytes());
    assert!(empty.body().is_empty(), "{:?}", empty.body());
    let cut = parse(&good.as_bytes()[..good.len() - 20]);
    let explanation = explainer(builder(&tenant)).explain(&cut).await;
    assert_eq!(code(&explanation), "incomplete_body");
    assert!(explanation.to_string().contains("the capture is cut short"));
    let cut = parse(&chunked.as_bytes()[..chunked.len() - 30]);
    let explanation = explainer(builder(&tenant)).explain(&cut).await;
    assert_eq!(code(&explanation), "body_hash_mismatch");
    assert!(explanation.remarks().join("").contains("cut short"));
    let explanation = explainer(builder(&tenant))
        .explain(&parse(head.as_bytes()))
        .await;
    assert_eq!(code(&explanation), "incomplete_body");
    assert!(
        explanation
            .remarks()
            .join("")
            .contains("do not end with an empty line")
    );
}

#[tokio::test]
async fn a_token_that_comes_again_is_noticed_whatever_else_is_wrong() {
    let tenant = FakeTenant::new(DOMAIN);
    let late = ManualClock::at(now() + Duration::from_secs(600));
    for (receiver, second) in [
        (builder(&tenant), "replayed_token"),
        (builder(&tenant).clock(late), "token_expired"),
    ] {
        let mut explainer = explainer(receiver);
        let (one, two) = (
            tenant.delivery(TEST_EVENT).issued_at(now()),
            tenant.delivery(TEST_EVENT).issued_at(now()),
        );
        for delivery in [&one, &two] {
            let explanation = explainer.explain(&kept(delivery).await).await;
            assert_eq!(explanation.remarks(), [""; 0]);
        }
        let explanation = explainer.explain(&kept(&two).await).await;
        assert_eq!(code(&explanation), second);
        assert_eq!(explanation.remarks(), ["it reuses the token of request 2"]);
    }
}

#[tokio::test]
async fn a_clock_that_is_off_is_told_by_how_much() {
    let tenant = FakeTenant::new(DOMAIN);
    let at = |issued: SystemTime| tenant.delivery(TEST_EVENT).issued_at(issued);
    let second = Duration::from_secs(1);
    for (delivery, hints) in [
        (
            at(now() - 532 * second),
            &["received 532 s after it was issued", "ahead"][..],
        ),
        (
            at(now() + 412 * second),
            &["received 412 s before it was issued", "behind"],
        ),
        (
            at(now()).claim("exp", json!(1_713_399_999)),
            &["valid for two minutes"],
        ),
        (
            at(now()).claim("exp", json!(1_713_312_000)),
            &["received 0 s after it was issued"],
        ),
    ] {
        let explanation = explainer(builder(&tenant))
            .explain(&kept(&delivery).await)
            .await;
        assert_eq!(failed(&explanation), [Check::Times]);
        for hint in hints {
            let text = explanation.to_string();
            assert!(text.contains(hint), "{hint}: {text}");
        }
    }
}

#[tokio::test]
async fn a_callback_url_is_not_shown_wherever_it_stands() {
    let tenant = FakeTenant::new(DOMAIN);
    let url = "https://example.conductor.one/api/v1/webhooks/callback/5ecret";
    let delivery = tenant
        .delivery(TEST_EVENT)
        .issued_at(now())
        .callback_url(Some(url))
        .to(format!("{url}/webhooks"));
    let (mut parts, body) = delivery.request().into_parts();
    let body = body.collect().await.expect("a full body").to_bytes();
    for path in [
        "/webhooks",
        "/api/v1/webhooks/callback/5ecret/webhooks",
        "/",
    ] {
        parts.uri = path.parse().expect("a path");
        let request = Request::from_parts(parts.clone(), body.clone()).into();
        let bare = VerifyWebhookLayer::builder().clock(clock());
        for receiver in [builder(&tenant), bare] {
            let explanation = explainer(receiver).explain(&request).await;
            let text = format!("{explanation} {explanation:?}");
            assert!(text.contains("https://example.conductor.one"), "{text}");
            assert!(!text.contains("5ecret"), "{text}");
        }
    }
}

/// What one could paint a verdict with.
const FORGED: &str =
    "x\r\n  ok       the signature\naccepted\n\u{1b}[2J\u{7f}\u{9b}31m\u{202e}\u{2028}\"'\\";

#[tokio::test]
async fn what_a_request_says_cannot_be_taken_for_a_verdict() {
    let tenant = FakeTenant::new(DOMAIN);
    let good = || tenant.delivery(TEST_EVENT).issued_at(now());
    let mut rows = vec![
        good().http_header("content-type", "x\u{9b}\u{202e}"),
        good().http_header("webhook-id", "x\u{9b}\u{202e}"),
        good().http_header("authorization", "bearer x\u{9b}\u{202e}"),
        good().http_header("content-digest", "x\u{9b}\u{202e}"),
        good().body(format!("{{\"version\":{}}}", json!(FORGED))),
        good().body(json!({ "version": "v1", "webhookId": FORGED, "event": FORGED }).to_string()),
    ];
    for claim in [
        "iss", "aud", "c1typ", "iat", "nbf", "exp", "jti", "htm", "htu", "htb_s256",
    ] {
        rows.push(good().claim(claim, json!(FORGED)));
    }
    rows.push(good().claim("htu", json!(format!("https://hooks.example.com/{FORGED}"))));
    rows.push(good().claim("aud", json!([FORGED])));
    for parameter in ["alg", "typ", "kid", "crit"] {
        rows.push(good().header_param(parameter, json!(FORGED)));
    }
    let mut requests = Vec::new();
    for delivery in rows {
        requests.push(kept(&delivery).await);
    }
    for path in ["/webhooks\u{9b}31m\u{202e}", "/\u{2028}accepted"] {
        let mut raw = raw(&good()).await;
        let rest = raw.split_off(raw.iter().position(|byte| *byte == b' ').expect("a space"));
        let rest = &rest[rest[1..]
            .iter()
            .position(|byte| *byte == b' ')
            .expect("another")
            + 1..];
        requests.push(parse(&[b"POST ", path.as_bytes(), rest].concat()));
    }
    let bare = || VerifyWebhookLayer::builder().clock(clock());
    let (mut quoted, mut refused) = (0, 0);
    for (number, request) in requests.iter().enumerate() {
        for receiver in [builder(&tenant), bare()] {
            let explanation = explainer(receiver).explain(request).await;
            let text = explanation.to_string();
            assert!(!text.contains(is_odd), "{number}: {text:?}");
            let passed = explanation
                .checks()
                .filter(|(_, verdict)| **verdict == CheckVerdict::Passed);
            let ok = text
                .lines()
                .filter(|line| line.starts_with("  ok "))
                .count();
            assert_eq!(ok, passed.count(), "{number}: {text}");
            let last = text
                .lines()
                .filter(|line| line.starts_with("accepted"))
                .count();
            assert_eq!(
                last,
                usize::from(explanation.is_accepted()),
                "{number}: {text}"
            );
            for said in explanation.remarks() {
                assert!(!said.contains(is_odd), "{said:?}");
            }
            quoted += usize::from(text.contains("\\u{1b}[2J") || text.contains("\\u{202e}"));
            refused += usize::from(explanation.rejection().is_some());
        }
    }
    assert!(quoted > 20 && refused > 20, "{quoted} {refused}");
}

#[test]
fn what_is_no_request_is_an_error_that_does_not_quote_it() {
    for raw in [
        "",
        "\n",
        "hello",
        "eyJhbGciOi\n\n",
        "GET eyJhbGciOi\r\neyJhbGciOi\r\n\r\n",
        "POST /x HTTP/1.1\r\neyJhbGciOi é: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
    ] {
        let error = CapturedRequest::parse(raw.as_bytes()).expect_err(raw);
        assert!(!error.to_string().contains("eyJ"), "{error}");
    }
}

/// Characters of which a terminal or a reader makes something else than text.
fn is_odd(c: char) -> bool {
    c != '\n'
        && (c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
}

proptest! {
    #[test]
    fn no_bytes_are_too_odd_to_be_read(
        head in "(POST|GET) /[a-z]{0,4} HTTP/(1.1|2|2.0)\r?\n((transfer-encoding|content-length|x): (chunked|[0-9]{1,20}|[ -~]{0,8})\r?\n){0,3}(\r?\n)?",
        body in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..80),
            "([0-9a-f]{1,17}\r\n[a-z]{0,9}\r\n){0,4}".prop_map(String::into_bytes),
        ],
    ) {
        let raw = [head.as_bytes(), &body].concat();
        if let Ok(request) = CapturedRequest::parse(&raw) {
            prop_assert!(request.body().len() <= raw.len());
            let value: Value = json!(format!("{request:?}"));
            prop_assert!(value.is_string());
        }
    }

    #[test]
    fn whatever_a_request_says_the_explanation_is_text_of_as_many_lines_as_checks(
        path in "/[a-z\u{80}-\u{9f}\u{2028}\u{202e}\"]{0,9}",
        claims in prop::collection::vec((prop::sample::select(vec![
            "iss", "aud", "c1typ", "jti", "htm", "htu", "htb_s256", "iat", "exp",
        ]), ".{0,4}[\n\r\u{1b}\u{9b}\u{202e}]?.{0,200}"), 0..4),
        header in prop::option::of(("alg|typ|kid", "\\PC{0,3}[\n\u{1b}\u{202e}]?")),
        body in "[\\[{\"a:,\n\u{9b}\\]}]{0,40}",
    ) {
        let tenant = FakeTenant::new(DOMAIN);
        let mut delivery = tenant.delivery(TEST_EVENT).issued_at(now()).tampered_body(body);
        for (name, text) in claims {
            delivery = delivery.claim(name, json!(text));
        }
        if let Some((name, text)) = header {
            delivery = delivery.header_param(name, json!(text));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.expect("a runtime").block_on(async {
            let raw = raw(&delivery).await;
            let rest = raw.iter().position(|byte| *byte == b'/').expect("a path");
            let rest = &raw[rest + "/webhooks".len()..];
            let Ok(request) = CapturedRequest::parse(&[b"POST ", path.as_bytes(), rest].concat())
            else {
                return;
            };
            for receiver in [builder(&tenant), VerifyWebhookLayer::builder().clock(clock())] {
                let explanation = explainer(receiver).explain(&request).await;
                let text = explanation.to_string();
                assert!(!text.contains(is_odd), "{text:?}");
                let verdicts = ["  ok  ", "  FAILED", "  unknown", "  -  "];
                let is_verdict = |line: &&str| verdicts.iter().any(|v| line.starts_with(v));
                let lines = text.lines().filter(is_verdict).count();
                assert_eq!(lines, explanation.checks().count(), "{text}");
                let last = |line: &&str| line.starts_with("accepted") || line.starts_with("refused");
                assert!(text.lines().filter(last).count() <= 1, "{text}");
            }
        });
    }
}

/// The points of a numbered list, in one line each.
fn numbered(list: &str) -> Vec<String> {
    let mut points: Vec<String> = Vec::new();
    for line in list.lines() {
        let next = format!("{}. ", points.len() + 1);
        if let Some(point) = line.strip_prefix(&next) {
            points.push(point.to_owned());
        } else if let (Some(point), Some(more)) = (points.last_mut(), line.strip_prefix("   ")) {
            point.push(' ');
            point.push_str(more.trim());
        }
    }
    points
}

#[tokio::test]
async fn readme_crate_page_and_explanations_number_the_checks_alike() {
    let readme = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"));
    let pages = concat!(env!("CARGO_MANIFEST_DIR"), "/src/verify_webhook/checks.md");
    let (_, list) = readme.split_once("# What is checked\n").expect("a heading");
    let points = numbered(list.split("\n#").next().unwrap_or_default());
    assert_eq!(
        points,
        numbered(&std::fs::read_to_string(pages).expect("a list"))
    );
    let source = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/lib.rs"));
    assert!(source.contains("include_str!(\"verify_webhook/checks.md\")"));

    let request = kept(&FakeTenant::new(DOMAIN).delivery(TEST_EVENT)).await;
    let explanation = explainer(VerifyWebhookLayer::builder())
        .explain(&request)
        .await;
    let checks: Vec<_> = explanation.checks().map(|(check, _)| check).collect();
    let mut numbers = Vec::new();
    for (index, point) in points.iter().enumerate() {
        let number = (index + 1).to_string();
        let of_point =
            |check: &&Check| check.number().trim_end_matches(char::is_alphabetic) == number;
        let parts: Vec<_> = checks.iter().filter(of_point).collect();
        for (part, letter) in parts.iter().zip('a'..) {
            let shown = part.to_string();
            let (shown_number, name) = shown.split_once(' ').expect("a number and a name");
            assert_eq!(shown_number, part.number());
            // The fields that it is about or, without any, the last word.
            let terms = match name.trim().split_once('(') {
                Some((_, fields)) => fields.trim_end_matches(')').split(", ").collect(),
                None => vec![name.rsplit(' ').next().expect("a word")],
            };
            for term in terms {
                assert!(point.contains(term), "{shown} is not in {point:?}");
            }
            numbers.push(match parts.len() {
                1 => number.clone(),
                _ => format!("{number}{letter}"),
            });
        }
        assert!(!parts.is_empty(), "{number} is in no explanation");
    }
    let shown: Vec<_> = checks.iter().map(|check| check.number()).collect();
    assert_eq!(shown, numbers);
    let text = explanation.to_string();
    for check in checks {
        assert!(
            text.contains(&format!("  {check}")),
            "{check} is not in {text}"
        );
    }
}

//! The testing kit sends what it says: deliveries as ConductorOne sends them,
//! and one thing else for each knob. Tokens are judged by `jsonwebtoken`.

use std::collections::HashSet;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::routing::post;
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tower::Service;
use tower_conductorone::event::{Comment, Event, Outcome, ProvisionReply, ProvisionStep};
#[cfg(feature = "reqwest")]
use tower_conductorone::keys::HttpsFetch;
use tower_conductorone::keys::{Algorithm, Fetch, KeySet};
use tower_conductorone::testing::{
    Delivery, EVENTS, FakeFetch, FakeTenant, Fault, JwksServer, ManualClock, Validator,
};
use tower_conductorone::{
    Clock, DeliveryRun, RejectionKind, Tenant, Typed, VerifyWebhookLayer, Webhook,
};

const DOMAIN: &str = "example.conductor.one";
const TEST: &str = "c1.webhooks.v1.PayloadTest";

fn tenant() -> FakeTenant {
    FakeTenant::new(DOMAIN)
}

fn header<'a, B>(request: &'a Request<B>, name: &str) -> Option<&'a str> {
    let mut values = request.headers().get_all(name).iter();
    let value = values.next()?.to_str().unwrap();
    assert!(values.next().is_none(), "{name} comes once");
    Some(value)
}

fn token<B>(request: &Request<B>) -> &str {
    header(request, "authorization")
        .unwrap()
        .strip_prefix("bearer ")
        .unwrap()
}

async fn body(request: Request<Full<Bytes>>) -> Bytes {
    request.into_body().collect().await.unwrap().to_bytes()
}

async fn envelope(delivery: &Delivery) -> Value {
    serde_json::from_slice(&body(delivery.request()).await).unwrap()
}

/// One part of a token, without any check of its signature.
fn part(token: &str, index: usize) -> Map<String, Value> {
    let part = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn claims(delivery: &Delivery) -> Map<String, Value> {
    part(token(&delivery.request()), 1)
}

fn jose_header(delivery: &Delivery) -> Map<String, Value> {
    part(token(&delivery.request()), 0)
}

fn hash(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(Sha256::digest(bytes))
}

/// Verifies a token with the published key that its `kid` names.
fn verified(tenant: &FakeTenant, token: &str) -> Result<Map<String, Value>, String> {
    let set: JwkSet = serde_json::from_str(&tenant.jwks()).map_err(|e| e.to_string())?;
    let header = jsonwebtoken::decode_header(token).map_err(|e| e.to_string())?;
    let jwk = set
        .find(header.kid.as_deref().ok_or("no kid")?)
        .ok_or("unknown kid")?;
    let key = DecodingKey::from_jwk(jwk).map_err(|e| e.to_string())?;
    let mut validation = Validation::new(header.alg);
    validation.set_audience(&["hooks.example.com"]);
    validation.set_issuer(&[tenant.domain()]);
    validation.validate_nbf = true;
    jsonwebtoken::decode(token, &key, &validation)
        .map(|t| t.claims)
        .map_err(|e| e.to_string())
}

fn kids(tenant: &FakeTenant) -> Vec<String> {
    let set: Value = serde_json::from_str(&tenant.jwks()).unwrap();
    let keys = set["keys"].as_array().unwrap();
    keys.iter()
        .map(|key| key["kid"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn tokens_of_every_algorithm_verify() {
    for (algorithm, alg) in [
        (Algorithm::Rs256, "RS256"),
        (Algorithm::Es256, "ES256"),
        (Algorithm::EdDsa, "EdDSA"),
    ] {
        let tenant = FakeTenant::with_algorithm(DOMAIN, algorithm);
        let delivery = tenant.delivery(TEST);
        let claims = verified(&tenant, token(&delivery.request())).expect(alg);
        assert_eq!(claims["c1typ"], "wh");
        assert_eq!(jose_header(&delivery)["alg"], alg);
        assert_eq!(jose_header(&delivery)["kid"], json!(tenant.signing_key()));

        let forger = FakeTenant::with_algorithm(DOMAIN, algorithm);
        let request = forger
            .delivery(TEST)
            .header_param("kid", json!(tenant.signing_key()))
            .request();
        verified(&tenant, token(&request)).expect_err(alg);
    }
}

#[test]
fn the_default_algorithm_is_es256() {
    assert_eq!(jose_header(&tenant().delivery(TEST))["alg"], "ES256");
}

#[tokio::test]
async fn requests_have_the_documented_shape() {
    let tenant = tenant();
    let delivery = tenant.delivery(TEST);
    let request = delivery.request();
    let envelope: Value = serde_json::from_slice(&body(delivery.request()).await).unwrap();

    assert_eq!(request.method(), Method::POST);
    assert_eq!(request.uri(), "/webhooks");
    assert_eq!(header(&request, "host"), Some("hooks.example.com"));
    assert_eq!(header(&request, "content-type"), Some("application/json"));
    assert_eq!(header(&request, "webhook-version"), Some("v1"));
    assert_eq!(header(&request, "webhook-event"), Some(TEST));
    assert_eq!(
        header(&request, "webhook-id"),
        envelope["webhookId"].as_str()
    );
    assert_eq!(
        header(&request, "webhook-callback-url"),
        envelope["callbackUrl"].as_str()
    );
    assert_eq!(
        header(&request, "content-digest"),
        Some(format!("sha-256={}", hash(&body(delivery.request()).await)).as_str()),
    );
    // As Go's HTTP client sends it, unasked.
    assert_eq!(header(&request, "accept-encoding"), Some("gzip"));
    assert_eq!(request.headers().len(), 9); // these and the token's

    let members: HashSet<_> = envelope
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        members,
        HashSet::from(["version", "webhookId", "callbackUrl", "event", "payload"])
    );
    assert_eq!(envelope["version"], "v1");
    assert_eq!(envelope["event"], TEST);
    assert_eq!(
        envelope["payload"],
        json!({"@type": "type.googleapis.com/c1.webhooks.v1.PayloadTest"})
    );
    let callback = envelope["callbackUrl"].as_str().unwrap();
    assert!(callback.starts_with("https://example.conductor.one/api/v1/webhooks/callback/"));
}

#[test]
fn claims_have_the_documented_shape() {
    let issued = SystemTime::UNIX_EPOCH + Duration::from_secs(1_713_312_120);
    let delivery = tenant().delivery(TEST).issued_at(issued);
    let claims = claims(&delivery);
    assert_eq!(claims["iss"], DOMAIN);
    assert_eq!(claims["aud"], "hooks.example.com");
    assert_eq!(claims["c1typ"], "wh");
    assert_eq!(claims["htm"], "POST");
    assert_eq!(claims["htu"], "https://hooks.example.com/webhooks");
    assert_eq!(claims["htb_s256"], json!(hash(&delivery.body_bytes())));
    assert_eq!(claims["htb_s256"].as_str().unwrap().len(), 44);
    assert_eq!(claims["iat"], 1_713_312_120);
    assert_eq!(claims["nbf"], 1_713_312_060);
    assert_eq!(claims["exp"], 1_713_312_240);
    assert!(claims["jti"].is_string());
    assert_eq!(claims.len(), 10);
    assert_eq!(claims, delivery.claims());
    assert_eq!(jose_header(&delivery), delivery.header_params());
    assert_eq!(jose_header(&delivery)["typ"], "JWT");
}

#[tokio::test]
async fn every_event_has_a_payload_of_its_type() {
    let tenant = tenant();
    for event in EVENTS
        .iter()
        .copied()
        .chain(["c1.webhooks.v2.PayloadUnheardOf"])
    {
        let envelope = envelope(&tenant.delivery(event)).await;
        assert_eq!(envelope["event"], event);
        assert_eq!(
            envelope["payload"]["@type"],
            format!("type.googleapis.com/{event}")
        );
        let members = envelope["payload"].as_object().unwrap().len();
        match event.rsplit_once(".Payload").unwrap().1 {
            "Test" | "UnheardOf" => assert_eq!(members, 1),
            "FindingDispatch" => {
                let payload = &envelope["payload"];
                assert!(payload["dispatchId"].is_string());
                assert_eq!(payload["finding"]["id"], payload["findingId"]);
                assert!(payload.get("taskView").is_none() && payload.get("expanded").is_none());
            }
            "WorkflowStep" => {
                let execution = envelope["payload"]["workflowExecutionId"].as_str().unwrap();
                execution.parse::<i64>().unwrap();
                assert!(envelope["payload"]["context"].is_object());
            }
            _ => {
                let view = &envelope["payload"]["taskView"];
                assert_eq!(view["appPath"], "$.expanded[0]");
                assert!(view["task"]["type"]["grant"].is_object());
                let app = &envelope["payload"]["expanded"][0];
                assert_eq!(app["@type"], "type.googleapis.com/c1.api.app.v1.App");
                assert_eq!(app["displayName"], "Example App");
                assert_eq!(app["id"], view["task"]["type"]["grant"]["appId"]);
            }
        }
    }
}

#[tokio::test]
async fn no_two_deliveries_share_an_id() {
    let tenant = tenant();
    let mut seen = HashSet::new();
    for _ in 0..200 {
        let delivery = tenant.delivery(EVENTS[1]);
        let envelope = envelope(&delivery).await;
        for id in [
            &claims(&delivery)["jti"],
            &envelope["webhookId"],
            &envelope["payload"]["taskView"]["task"]["id"],
        ] {
            let id = id.as_str().unwrap().to_owned();
            assert_eq!(id.len(), 27);
            assert!(id.bytes().all(|b| b.is_ascii_alphanumeric()));
            assert!(seen.insert(id));
        }
        assert!(seen.insert(envelope["callbackUrl"].as_str().unwrap().to_owned()));
    }
}

#[tokio::test]
async fn one_delivery_built_twice_is_the_same_delivery() {
    let delivery = FakeTenant::with_algorithm(DOMAIN, Algorithm::EdDsa).delivery(EVENTS[1]);
    assert_eq!(
        delivery.request().headers(),
        delivery.clone().request().headers()
    );
    assert_eq!(
        body(delivery.request()).await,
        body(delivery.request()).await
    );
}

#[test]
fn the_target_decides_uri_host_aud_and_htu() {
    for (url, uri, host, aud, htu) in [
        (
            "https://Hooks.example.com:8443/a/b?q=1&r",
            "/a/b?q=1&r",
            "Hooks.example.com:8443",
            "Hooks.example.com",
            "https://Hooks.example.com:8443/a/b",
        ),
        (
            "http://127.0.0.1:8080",
            "/",
            "127.0.0.1:8080",
            "127.0.0.1",
            "http://127.0.0.1:8080",
        ),
        (
            "https://h.example/a#part",
            "/a",
            "h.example",
            "h.example",
            "https://h.example/a",
        ),
    ] {
        let delivery = tenant().delivery(TEST).to(url);
        let request = delivery.request();
        assert_eq!(request.uri(), uri);
        assert_eq!(header(&request, "host"), Some(host));
        assert_eq!(claims(&delivery)["aud"], aud);
        assert_eq!(claims(&delivery)["htu"], htu);
    }
}

#[test]
#[should_panic(expected = "not an absolute URL")]
fn a_target_that_is_no_url_panics() {
    let _ = tenant().delivery(TEST).to("/webhooks");
}

#[tokio::test]
async fn payload_id_and_callback_can_be_set() {
    let callback = "https://example.conductor.one/callback";
    let delivery = tenant()
        .delivery(TEST)
        .payload(json!({"@type": "x", "a": 1}))
        .webhook_id("chosen")
        .callback_url(Some(callback));
    let request = delivery.request();
    let envelope = envelope(&delivery).await;
    assert_eq!(envelope["payload"], json!({"@type": "x", "a": 1}));
    assert_eq!(envelope["webhookId"], "chosen");
    assert_eq!(header(&request, "webhook-id"), Some("chosen"));
    assert_eq!(envelope["callbackUrl"], callback);
    assert_eq!(header(&request, "webhook-callback-url"), Some(callback));
    assert_eq!(
        claims(&delivery)["htb_s256"],
        json!(hash(&delivery.body_bytes()))
    );
    assert_eq!(delivery.envelope(), envelope);
}

#[tokio::test]
async fn the_callback_can_be_left_out() {
    let delivery = tenant().delivery(TEST).callback_url(None);
    assert_eq!(header(&delivery.request(), "webhook-callback-url"), None);
    assert!(
        !envelope(&delivery)
            .await
            .as_object()
            .unwrap()
            .contains_key("callbackUrl")
    );
}

#[test]
fn claims_and_header_parameters_can_be_set_and_left_out() {
    let delivery = tenant()
        .delivery(TEST)
        .claim("aud", json!(["a", "b"]))
        .claim("extra", json!(1.5))
        .without_claim("jti")
        .header_param("alg", json!("none"))
        .header_param("crit", json!(["b64"]))
        .without_header_param("kid");
    let plain = tenant().delivery(TEST);
    let (claims, header) = (claims(&delivery), jose_header(&delivery));
    assert_eq!(claims["aud"], json!(["a", "b"]));
    assert_eq!(claims["extra"], 1.5);
    assert!(!claims.contains_key("jti"));
    assert_eq!(claims.len(), self::claims(&plain).len());
    assert_eq!(
        Value::Object(header),
        json!({"alg": "none", "crit": ["b64"], "typ": "JWT"})
    );
}

#[test]
fn the_last_word_on_a_claim_stands() {
    let delivery = tenant()
        .delivery(TEST)
        .claim("aud", json!("a"))
        .without_claim("aud")
        .claim("aud", json!("b"))
        .to("https://c.example/");
    assert_eq!(claims(&delivery)["aud"], "b");
}

#[tokio::test]
async fn a_body_of_its_own_is_signed() {
    let tenant = tenant();
    let delivery = tenant.delivery(TEST).body("not JSON");
    let request = delivery.request();
    assert_eq!(claims(&delivery)["htb_s256"], json!(hash(b"not JSON")));
    assert_eq!(
        header(&request, "content-digest"),
        Some(format!("sha-256={}", hash(b"not JSON")).as_str())
    );
    verified(&tenant, token(&request)).unwrap();
    assert_eq!(body(request).await, "not JSON");
}

#[tokio::test]
async fn a_tampered_body_is_not_signed() {
    let tenant = tenant();
    let delivery = tenant.delivery(TEST).tampered_body("tampered");
    let request = delivery.request();
    let signed = delivery.envelope().to_string();
    assert_eq!(
        claims(&delivery)["htb_s256"],
        json!(hash(signed.as_bytes()))
    );
    assert_eq!(
        header(&request, "content-digest"),
        Some(format!("sha-256={}", hash(b"tampered")).as_str())
    );
    verified(&tenant, token(&request)).unwrap();
    assert_eq!(delivery.body_bytes(), "tampered");
    assert_eq!(body(request).await, "tampered");
}

#[test]
fn the_token_can_be_replaced() {
    let delivery = tenant().delivery(TEST).token("a.b.c");
    assert_eq!(token(&delivery.request()), "a.b.c");
    assert_eq!(delivery.token_string(), "a.b.c");
    let captured = tenant().delivery(TEST).token_string();
    assert_eq!(
        token(&tenant().delivery(TEST).token(captured.clone()).request()),
        captured
    );
}

#[test]
fn http_headers_can_be_set_and_left_out() {
    let request = tenant()
        .delivery(TEST)
        .http_header("Webhook-Event", "other")
        .http_header("x-extra", &b"\xff"[..])
        .without_http_header("Content-Digest")
        .without_http_header("host")
        .request();
    assert_eq!(header(&request, "webhook-event"), Some("other"));
    assert_eq!(request.headers()["x-extra"].as_bytes(), b"\xff");
    assert_eq!(header(&request, "content-digest"), None);
    assert_eq!(header(&request, "host"), None);
}

#[test]
fn the_method_is_also_in_the_token() {
    let delivery = tenant().delivery(TEST).method(Method::PUT);
    assert_eq!(delivery.request().method(), Method::PUT);
    assert_eq!(claims(&delivery)["htm"], "PUT");
}

#[test]
fn a_delivery_can_be_signed_with_any_key_of_the_tenant() {
    let tenant = tenant();
    let first = tenant.signing_key();
    let second = tenant.add_key(Algorithm::EdDsa);
    assert_eq!(tenant.signing_key(), first);
    let delivery = tenant.delivery(TEST).signing_key(&second);
    assert_eq!(jose_header(&delivery)["alg"], "EdDSA");
    assert_eq!(jose_header(&delivery)["kid"], json!(second));
    verified(&tenant, token(&delivery.request())).unwrap();
}

#[test]
#[should_panic(expected = "has no key")]
fn an_unknown_key_panics() {
    let _ = tenant().delivery(TEST).signing_key("other").request();
}

#[test]
fn any_text_can_be_signed() {
    let tenant = tenant();
    let kid = tenant.signing_key();
    let odd = r#"{"iss":"a","iss":"b"}"#;
    let token = tenant.sign(format!(r#"{{"alg":"ES256","kid":"{kid}"}}"#), odd);
    let parts: Vec<_> = token.split('.').collect();
    assert_eq!(
        BASE64_URL_SAFE_NO_PAD.decode(parts[1]).unwrap(),
        odd.as_bytes()
    );
    let set: JwkSet = serde_json::from_str(&tenant.jwks()).unwrap();
    let key = DecodingKey::from_jwk(set.find(&kid).unwrap()).unwrap();
    let good = |token: &str| {
        let (input, signature) = token.rsplit_once('.').unwrap();
        let alg = jsonwebtoken::Algorithm::ES256;
        jsonwebtoken::crypto::verify(signature, input.as_bytes(), &key, alg).unwrap()
    };
    assert!(good(&token));
    assert!(good(&tenant.sign_with(&kid, b"\xff", "")));
    assert!(good(&tenant.sign_encoded(&kid, "e30=.e30=")));

    let other = tenant.add_key(Algorithm::Es256);
    assert!(!good(&tenant.sign_with(&other, "{}", "{}")));
}

#[test]
fn rotating_keeps_the_old_key_published() {
    let tenant = tenant();
    let clone = tenant.clone();
    let old = tenant.signing_key();
    let before = tenant.delivery(TEST).request();
    let new = clone.rotate(Algorithm::EdDsa);
    assert_ne!(old, new);
    assert_eq!(tenant.signing_key(), new);
    assert_eq!(kids(&tenant), [old.clone(), new.clone()]);
    let after = tenant.delivery(TEST).request();
    assert_eq!(part(token(&after), 0)["kid"], json!(new));
    verified(&tenant, token(&before)).unwrap();
    verified(&tenant, token(&after)).unwrap();
}

#[test]
fn a_removed_key_still_signs() {
    let tenant = tenant();
    let old = tenant.signing_key();
    let new = tenant.rotate(Algorithm::Es256);
    tenant.remove_key(&old);
    assert_eq!(kids(&tenant), [new]);
    let stolen = tenant.delivery(TEST).signing_key(&old).request();
    assert_eq!(
        verified(&tenant, token(&stolen)).unwrap_err(),
        "unknown kid"
    );
}

#[test]
fn a_broken_key_cannot_be_used() {
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
        let tenant = FakeTenant::with_algorithm(DOMAIN, algorithm);
        let request = tenant.delivery(TEST).request();
        verified(&tenant, token(&request)).unwrap();
        tenant.break_key(&tenant.signing_key());
        assert_eq!(kids(&tenant), [tenant.signing_key()]);
        verified(&tenant, token(&request)).expect_err("a broken key");
    }
}

#[test]
fn any_text_can_be_published() {
    let tenant = tenant();
    let keys = tenant.jwks();
    tenant.replace_jwks(Some("<html>".into()));
    assert_eq!(tenant.jwks(), "<html>");
    tenant.replace_jwks(None);
    assert_eq!(tenant.jwks(), keys);
}

#[test]
fn the_published_keys_hold_no_secret() {
    let tenant = FakeTenant::with_algorithm(DOMAIN, Algorithm::Rs256);
    tenant.add_key(Algorithm::Es256);
    tenant.add_key(Algorithm::EdDsa);
    let set: Value = serde_json::from_str(&tenant.jwks()).unwrap();
    let members: Vec<HashSet<_>> = set["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| {
            key.as_object()
                .unwrap()
                .keys()
                .map(String::as_str)
                .collect()
        })
        .collect();
    assert_eq!(
        members,
        [
            HashSet::from(["kty", "kid", "alg", "use", "n", "e"]),
            HashSet::from(["kty", "kid", "alg", "use", "crv", "x", "y"]),
            HashSet::from(["kty", "kid", "alg", "use", "crv", "x"]),
        ]
    );
}

/// A service that is ready at the second poll only, and minds being called
/// before.
struct Slow {
    polls: usize,
}

impl Service<Request<Full<Bytes>>> for Slow {
    type Response = Response<String>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.polls += 1;
        if self.polls < 2 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        std::future::ready(if std::mem::take(&mut self.polls) < 2 {
            Err("called before it was ready".into())
        } else {
            let event = request.headers()["webhook-event"].to_str().unwrap();
            let answer = Response::builder().status(202).header("x-seen", event);
            Ok(answer.body(r#"{"version":"v1"}"#.to_owned()).unwrap())
        })
    }
}

#[tokio::test]
async fn a_delivery_is_handed_to_a_ready_service() {
    let mut service = Slow { polls: 0 };
    for _ in 0..2 {
        let answer = tenant().delivery(TEST).call(&mut service).await;
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        assert_eq!(answer.headers()["x-seen"], TEST);
        assert_eq!(answer.body(), r#"{"version":"v1"}"#);
        assert_eq!(answer.json::<Value>(), json!({"version": "v1"}));
        assert!(answer.rejection().is_none());
        let debug = format!("{answer:?}");
        assert!(
            debug.contains("202") && debug.contains(r#"\"v1\""#),
            "{debug}"
        );
    }
}

#[tokio::test]
#[should_panic(expected = "out of order")]
async fn a_service_that_fails_fails_the_test() {
    let mut service = tower::service_fn(async |_: Request<Full<Bytes>>| {
        Err::<Response<Full<Bytes>>, _>(std::io::Error::other("out of order"))
    });
    let _ = tenant().delivery(TEST).call(&mut service).await;
}

#[tokio::test]
async fn an_axum_router_is_tested_in_one_line() {
    let tenant = tenant();
    let keys = KeySet::from_json(tenant.jwks().as_bytes()).unwrap();
    let verify = VerifyWebhookLayer::builder()
        .public_url("https://hooks.example.com")
        .tenant(Tenant::new(DOMAIN).static_keys(keys))
        .build()
        .unwrap();
    let event = async |webhook: Webhook| axum::Json(json!({"event": webhook.event()}));
    let mut app = Router::new().route("/webhooks", post(event)).layer(verify);

    let delivery = tenant.delivery(TEST);
    let answer = delivery.call(&mut app).await;
    assert_eq!(answer.json::<Value>(), json!({"event": TEST}));

    // The same once more is a replay.
    let answer = delivery.call(&mut app).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    let rejection = answer.rejection().unwrap();
    assert_eq!(rejection.kind(), RejectionKind::ReplayedToken);
}

#[tokio::test]
async fn a_webhook_without_a_request_is_the_one_that_the_layer_hands_on() {
    let tenant = tenant();
    let verify = VerifyWebhookLayer::builder()
        .public_url("https://hooks.example.com")
        .tenant(
            Tenant::new(tenant.domain())
                .static_keys(KeySet::from_json(tenant.jwks().as_bytes()).unwrap()),
        )
        .build()
        .unwrap();
    for event in EVENTS.iter().copied() {
        let delivery = tenant.delivery(event);
        let (handed_on, webhooks) = std::sync::mpsc::channel();
        let handler = async move |webhook: Webhook| handed_on.send(webhook).unwrap();
        let mut app = Router::new()
            .route("/webhooks", post(handler))
            .layer(verify.clone());
        assert_eq!(delivery.call(&mut app).await.status(), 200);

        let (verified, made) = (webhooks.recv().unwrap(), delivery.unverified_webhook());
        assert_eq!(format!("{made:?}"), format!("{verified:?}"));
        assert_eq!(made.callback_url(), verified.callback_url());
        assert_eq!(made.body(), verified.body());
        assert_eq!(made.payload_json(), verified.payload_json());
    }
}

#[test]
fn a_webhook_without_a_request_has_what_its_delivery_was_told() {
    let issued = SystemTime::UNIX_EPOCH + Duration::from_secs(1_713_312_120);
    let delivery = tenant()
        .delivery("com.example.Other")
        .webhook_id("an id")
        .payload(json!({"answer": 42}))
        .callback_url(None)
        .claim("jti", json!("a token's id"))
        .issued_at(issued)
        .token("not a token");
    let webhook = delivery.unverified_webhook();
    assert_eq!(webhook.tenant(), "example.conductor.one");
    assert_eq!(webhook.event(), "com.example.Other");
    assert_eq!(webhook.id(), "an id");
    assert_eq!(&webhook.payload_json()[..], br#"{"answer":42}"#);
    assert_eq!(webhook.callback_url(), None);
    assert_eq!(webhook.claims().token_id(), "a token's id");
    assert_eq!(webhook.claims().issued_at(), issued);
    assert!(!webhook.is_replay());
}

#[test]
#[should_panic(expected = "\"aud\" is missing")]
fn no_webhook_is_made_without_a_claim() {
    let delivery = tenant().delivery(EVENTS[0]).without_claim("aud");
    let _ = delivery.unverified_webhook();
}

#[test]
#[should_panic(expected = "\"webhookId\" is missing or empty")]
fn no_webhook_is_made_of_another_body() {
    let delivery = tenant().delivery(EVENTS[0]).body(r#"{"version":"v1"}"#);
    let _ = delivery.unverified_webhook();
}

#[tokio::test]
async fn a_typed_handler_is_called_without_a_request() {
    async fn provision(step: Typed<ProvisionStep>, run: DeliveryRun) -> Outcome {
        tokio::task::yield_now().await;
        let app = step.task_view().app().map(|app| app.display_name.clone());
        let comment = format!("{}, run {}", app.unwrap_or_default(), run.number());
        step.answer(ProvisionReply::complete(Comment::truncated(comment)))
    }
    for (delivery, comment) in [
        (tenant().delivery(ProvisionStep::NAME), "Example App, run 2"),
        (
            tenant()
                .delivery(ProvisionStep::NAME)
                .payload(json!({"taskView": {}})),
            ", run 2",
        ),
    ] {
        let outcome = provision(delivery.unverified_typed(), DeliveryRun::for_test(2)).await;
        let answer = outcome.response();
        assert_eq!(answer.status(), 200);
        let document = answer.into_body().collect().await.unwrap().to_bytes();
        let document: Value = serde_json::from_slice(&document).unwrap();
        assert_eq!(document["complete"]["comment"], comment);
    }
}

#[test]
#[should_panic(expected = "is not of the event c1.webhooks.v1.PayloadProvisionStep")]
fn no_typed_event_is_made_of_another_event() {
    let _ = tenant()
        .delivery(EVENTS[0])
        .unverified_typed::<ProvisionStep>();
}

#[test]
#[should_panic(expected = "taskView")]
fn no_typed_event_is_made_of_another_payload() {
    let delivery = tenant().delivery(ProvisionStep::NAME);
    let _ = delivery
        .payload(json!({"taskView": 7}))
        .unverified_typed::<ProvisionStep>();
}

#[test]
#[should_panic(expected = "counted from 1")]
fn no_run_has_the_number_0() {
    let _ = DeliveryRun::for_test(0);
}

#[test]
fn debug_output_shows_no_secret() {
    let tenant = tenant();
    let delivery = tenant
        .delivery(TEST)
        .callback_url(Some("https://secret/"))
        .token("secret");
    let text = format!("{delivery:?} {tenant:?}");
    assert!(text.contains(DOMAIN) && text.contains(&tenant.signing_key()));
    assert!(!text.contains("secret"));
}

#[test]
fn the_clock_moves_when_told() {
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_713_312_120);
    let clock = ManualClock::at(start);
    let clone = clock.clone();
    assert_eq!(clone.now(), start);
    clock.advance(Duration::from_millis(1500));
    assert_eq!(clone.now(), start + Duration::from_millis(1500));
    clone.rewind(Duration::from_secs(2));
    assert_eq!(clock.now(), start - Duration::from_millis(500));
    clock.set(start);
    assert_eq!(clone.now(), start);
}

/// Sends one request and gives back status line and headers in lower case,
/// and the body.
async fn raw(url: &str, method: &str, path: &str) -> (String, String) {
    let authority = url
        .strip_prefix("http://")
        .unwrap()
        .split('/')
        .next()
        .unwrap();
    let mut stream = TcpStream::connect(authority).await.unwrap();
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_lowercase(), body.to_owned())
}

#[tokio::test]
async fn keys_are_served_on_loopback() {
    let tenant = tenant();
    let server = tenant.serve().await.unwrap();
    let url = server.url();
    assert!(url.starts_with("http://127.0.0.1:") && url.ends_with("/auth/v1/jwks"));

    let (head, body) = raw(&url, "GET", "/auth/v1/jwks").await;
    assert!(head.starts_with("http/1.1 200 "));
    assert!(head.contains("\r\ncontent-type: application/json"));
    assert!(!head.contains("cache-control"));
    assert_eq!(body, tenant.jwks());
    assert_eq!(server.requests(), 1);

    tenant.rotate(Algorithm::EdDsa);
    server.cache_control(Some("max-age=60"));
    let (head, body) = raw(&url, "GET", "/auth/v1/jwks").await;
    assert!(head.contains("\r\ncache-control: max-age=60"));
    assert_eq!(body, tenant.jwks());
    assert_eq!(server.last_request().unwrap().uri(), "/auth/v1/jwks");

    let down = Response::builder()
        .status(StatusCode::SERVICE_UNAVAILABLE)
        .header("retry-after", "7")
        .body(Bytes::from_static(b"down"))
        .unwrap();
    server.answer_with(Some(down));
    let (head, body) = raw(&url, "GET", "/auth/v1/jwks").await;
    assert!(head.starts_with("http/1.1 503 ") && head.contains("\r\nretry-after: 7"));
    assert_eq!(body, "down");

    server.answer_with(None);
    assert_eq!(raw(&url, "GET", "/auth/v1/jwks").await.1, tenant.jwks());
    assert_eq!(server.requests(), 4);

    assert!(
        raw(&url, "GET", "/other")
            .await
            .0
            .starts_with("http/1.1 404 ")
    );
    assert!(
        raw(&url, "POST", "/auth/v1/jwks")
            .await
            .0
            .starts_with("http/1.1 405 ")
    );
    assert_eq!(server.requests(), 4);
}

#[tokio::test]
async fn dropping_the_server_ends_its_connections() {
    let server = tenant().serve().await.unwrap();
    let authority = server.url().split('/').nth(2).unwrap().to_owned();
    let mut open = TcpStream::connect(&authority).await.unwrap();
    open.write_all(b"GET /auth/v1/jwks HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    assert_ne!(open.read(&mut [0; 1]).await.unwrap(), 0);

    drop(server);
    let mut rest = Vec::new();
    let _ = open.read_to_end(&mut rest).await;
    TcpStream::connect(&authority)
        .await
        .expect_err("the port is closed");
}

fn get() -> Request<()> {
    Request::get("https://example.conductor.one/auth/v1/jwks")
        .body(())
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn keys_are_fetched_in_process() {
    let tenant = tenant();
    let fetch = tenant.fetch();
    let clone = fetch.clone();
    let answer = clone.fetch(get(), 65_536).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert_eq!(answer.body(), &tenant.jwks());
    assert_eq!(fetch.requests(), 1);
    assert_eq!(fetch.last_request().unwrap().uri(), get().uri());

    fetch.cache_control(Some("max-age=60"));
    let answer = clone.fetch(get(), 65_536).await.unwrap();
    assert_eq!(answer.headers()["cache-control"], "max-age=60");

    let gone = Response::builder()
        .status(StatusCode::NOT_FOUND)
        .body(Bytes::new())
        .unwrap();
    fetch.answer_with(Some(gone));
    assert_eq!(
        clone.fetch(get(), 65_536).await.unwrap().status(),
        StatusCode::NOT_FOUND
    );
    fetch.answer_with(None);
    let length = tenant.jwks().len();
    assert_eq!(
        clone.fetch(get(), length).await.unwrap().status(),
        StatusCode::OK
    );
    clone
        .fetch(get(), length - 1)
        .await
        .expect_err("longer than allowed");
    clone.fetch(get(), 65_536).await.unwrap();
    assert_eq!(fetch.requests(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_delayed_answer_is_the_one_of_its_beginning() {
    let tenant = tenant();
    let fetch = tenant.fetch();
    fetch.set_fault(Some(Fault::Slow(Duration::from_secs(4))));
    let start = Instant::now();
    let before = tenant.jwks();
    let clone = fetch.clone();
    let slow = tokio::spawn(async move { clone.fetch(get(), 65_536).await.unwrap() });
    tokio::task::yield_now().await;

    fetch.set_fault(None);
    tenant.rotate(Algorithm::Es256);
    let quick = fetch.fetch(get(), 65_536).await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(quick.body(), &tenant.jwks());

    assert_eq!(slow.await.unwrap().body(), &before);
    assert_eq!(start.elapsed(), Duration::from_secs(4));
}

/// A tenant's keys in process, and on a port that is reached with reqwest.
struct Ways {
    fake: FakeFetch,
    server: JwksServer,
}

impl Ways {
    async fn to(tenant: &FakeTenant) -> Self {
        let server = tenant.serve().await.unwrap();
        let fake = tenant.fetch();
        Self { fake, server }
    }

    fn set_fault(&self, fault: Option<&Fault>) {
        self.fake.set_fault(fault.cloned());
        self.server.set_fault(fault.cloned());
    }

    /// What comes of the request on each way.
    async fn get(&self, headers: &HeaderMap) -> Vec<Result<Response<Bytes>, String>> {
        let fetches = [
            Box::new(self.fake.clone()) as Box<dyn Fetch>,
            #[cfg(feature = "reqwest")]
            Box::new(HttpsFetch::new().unwrap()),
        ];
        let mut answers = Vec::new();
        for fetch in fetches {
            let mut request = Request::get(self.server.url()).body(()).unwrap();
            request.headers_mut().clone_from(headers);
            let answer = fetch.fetch(request, 256 * 1024).await;
            answers.push(answer.map_err(|error| error.to_string()));
        }
        answers
    }
}

#[tokio::test]
async fn faults_are_the_same_in_process_and_on_a_port() {
    type Check = fn(&FakeTenant, Result<Response<Bytes>, String>);
    let table: [(Fault, Check); 9] = [
        (Fault::Down, |_, answer| drop(answer.unwrap_err())),
        (Fault::Slow(Duration::from_millis(50)), |tenant, answer| {
            assert_eq!(answer.unwrap().body(), &tenant.jwks());
        }),
        (Fault::Reset, |_, answer| drop(answer.unwrap_err())),
        (Fault::Status(StatusCode::NOT_FOUND, None), |_, answer| {
            let answer = answer.unwrap();
            assert_eq!(answer.status(), StatusCode::NOT_FOUND);
            assert!(!answer.headers().contains_key("retry-after"));
        }),
        (
            Fault::Status(StatusCode::TOO_MANY_REQUESTS, Some(Duration::from_secs(7))),
            |_, answer| {
                let answer = answer.unwrap();
                assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
                assert_eq!(answer.headers()["retry-after"], "7");
            },
        ),
        (Fault::Html, |_, answer| {
            let answer = answer.unwrap();
            assert_eq!(answer.status(), StatusCode::OK);
            assert_eq!(answer.headers()["content-type"], "text/html");
        }),
        (Fault::Truncated, |tenant, answer| {
            let answer = answer.unwrap();
            assert_eq!(answer.status(), StatusCode::OK);
            assert!(tenant.jwks().as_bytes().starts_with(answer.body()));
            serde_json::from_slice::<Value>(answer.body()).unwrap_err();
        }),
        (Fault::Redirect("https://x.example/".into()), |_, answer| {
            let answer = answer.unwrap();
            assert_eq!(answer.status(), StatusCode::FOUND);
            assert_eq!(answer.headers()["location"], "https://x.example/");
        }),
        (Fault::BadKeys, |tenant, answer| {
            let answer: Value = serde_json::from_slice(answer.unwrap().body()).unwrap();
            assert_eq!(answer["keys"][0]["kid"], json!(tenant.signing_key()));
            KeySet::from_json(answer.to_string().as_bytes()).unwrap_err();
        }),
    ];
    let tenant = tenant();
    let ways = Ways::to(&tenant).await;
    for (fault, check) in &table {
        ways.set_fault(Some(fault));
        let start = Instant::now();
        for answer in ways.get(&HeaderMap::new()).await {
            println!("{fault:?}: {answer:?}");
            check(&tenant, answer);
        }
        if let Fault::Slow(wait) = fault {
            assert!(start.elapsed() >= *wait);
        }
        // And then all is well again.
        ways.set_fault(None);
        for answer in ways.get(&HeaderMap::new()).await {
            assert_eq!(answer.unwrap().body(), &tenant.jwks(), "after {fault:?}");
        }
    }
    assert_eq!(ways.fake.requests(), 2 * table.len());
}

#[tokio::test]
async fn an_answer_can_be_longer_than_anybody_should_read() {
    let tenant = tenant();
    let fetch = tenant.fetch();
    fetch.set_fault(Some(Fault::Huge));
    fetch.fetch(get(), 256 * 1024).await.unwrap_err();
    let answer = fetch.fetch(get(), 5 * 1024 * 1024).await.unwrap();
    KeySet::from_json(answer.body()).expect("valid for all that");

    let server = tenant.serve().await.unwrap();
    server.set_fault(Some(Fault::Huge));
    let (_, body) = raw(&server.url(), "GET", "/auth/v1/jwks").await;
    assert_eq!(body.as_bytes(), answer.body());
}

#[tokio::test]
async fn a_reset_comes_in_the_middle_of_the_answer() {
    let tenant = tenant();
    let server = tenant.serve().await.unwrap();
    server.set_fault(Some(Fault::Reset));
    let (head, body) = raw(&server.url(), "GET", "/auth/v1/jwks").await;
    let keys = tenant.jwks();
    assert!(head.starts_with("http/1.1 200 "));
    assert!(head.contains(&format!("\r\ncontent-length: {}", keys.len())));
    assert_eq!(body, keys[..keys.len() / 2]);
}

#[tokio::test]
async fn keys_that_have_not_changed_are_not_sent_again() {
    for (validator, header, condition) in [
        (Validator::ETag, "etag", "if-none-match"),
        (
            Validator::LastModified,
            "last-modified",
            "if-modified-since",
        ),
    ] {
        let tenant = tenant();
        let ways = Ways::to(&tenant).await;
        ways.fake.set_validator(Some(validator));
        ways.server.set_validator(Some(validator));
        ways.server.cache_control(Some("max-age=60"));
        ways.fake.cache_control(Some("max-age=60"));

        let mut conditions = HeaderMap::new();
        for answer in ways.get(&conditions).await {
            let answer = answer.unwrap();
            assert_eq!(answer.status(), StatusCode::OK);
            conditions.insert(condition, answer.headers()[header].clone());
        }
        for answer in ways.get(&conditions).await {
            let answer = answer.unwrap();
            assert_eq!(answer.status(), StatusCode::NOT_MODIFIED);
            assert_eq!(answer.headers()[header], conditions[condition]);
            assert_eq!(answer.headers()["cache-control"], "max-age=60");
            assert!(answer.body().is_empty());
        }
        // However fast a change follows.
        tenant.rotate(Algorithm::Es256);
        for answer in ways.get(&conditions).await {
            let answer = answer.unwrap();
            assert_eq!(answer.status(), StatusCode::OK);
            assert_ne!(answer.headers()[header], conditions[condition]);
            assert_eq!(answer.body(), &tenant.jwks());
        }
        assert_eq!((ways.fake.requests(), ways.fake.not_modified()), (3, 1));
        if cfg!(feature = "reqwest") {
            assert_eq!((ways.server.requests(), ways.server.not_modified()), (3, 1));
        }
    }
}

//! The attack pack: the layer stands it however it is served, and receivers
//! with a known weakness are found out, by the name of the attack.

use std::collections::HashSet;
use std::convert::Infallible;
use std::future::pending;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation};
use serde_json::{Map, Value};
use support::{DOMAIN, clock};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
#[cfg(feature = "reqwest")]
use tower_conductorone::Tenant;
use tower_conductorone::keys::Algorithm;
use tower_conductorone::testing::attack::{AttackReport, AttackResult, AttackVerdict, Expectation};
use tower_conductorone::testing::{AttackPack, FakeTenant};
use tower_conductorone::{VerifyWebhookBuilder, VerifyWebhookLayer, Webhook};

const TARGET: &str = "https://hooks.example.com/webhooks";

/// Less than by default: hashing takes long in a debug build.
const MAX_BODY: usize = 256 * 1024;

fn pack(tenant: &FakeTenant) -> AttackPack {
    AttackPack::new(tenant, TARGET)
        .clock(clock())
        .max_body_bytes(MAX_BODY)
}

fn builder(tenant: &FakeTenant) -> VerifyWebhookBuilder {
    support::builder(tenant).max_body_bytes(MAX_BODY)
}

fn receiver(tenant: &FakeTenant) -> VerifyWebhookLayer {
    builder(tenant).build().expect("a good configuration")
}

fn routes() -> Router {
    Router::new().route(
        "/webhooks",
        post(async |webhook: Webhook| webhook.event().to_owned()),
    )
}

/// Fires the pack at `answer`, which gets the request and a receiver that
/// stands everything.
async fn fire<F>(answer: impl Fn(Request<Full<Bytes>>, VerifyWebhookLayer) -> F) -> AttackReport
where
    F: Future<Output = Response<Full<Bytes>>>,
{
    let tenant = FakeTenant::new(DOMAIN);
    fire_at(&tenant, receiver(&tenant), answer).await
}

async fn fire_at<F>(
    tenant: &FakeTenant,
    layer: VerifyWebhookLayer,
    answer: impl Fn(Request<Full<Bytes>>, VerifyWebhookLayer) -> F,
) -> AttackReport
where
    F: Future<Output = Response<Full<Bytes>>>,
{
    let mut service = service_fn(|request: Request<Full<Bytes>>| {
        let answered = answer(request, layer.clone());
        async { Ok::<_, Infallible>(answered.await) }
    });
    pack(tenant).fire(&mut service).await
}

async fn handler(_: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::from("done")))
}

/// What the layer around the handler answers.
async fn answered(
    layer: VerifyWebhookLayer,
    request: Request<Full<Bytes>>,
) -> Response<Full<Bytes>> {
    let response = layer
        .layer(service_fn(handler))
        .oneshot(request)
        .await
        .expect("infallible");
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("full").to_bytes();
    Response::from_parts(parts, Full::new(body))
}

/// Asserts that these attacks, and no others, came out like that.
#[track_caller]
fn found(report: &AttackReport, verdict: AttackVerdict, attacks: &[&str]) {
    let found: Vec<_> = report
        .failures()
        .map(|result| (result.name(), result.verdict()))
        .collect();
    let expected: Vec<_> = attacks.iter().map(|name| (*name, verdict)).collect();
    assert_eq!(found, expected, "{report}");
}

/// The names of all attacks with that expectation.
fn named(report: &AttackReport, expected: Expectation) -> Vec<&'static str> {
    let results = report.results().iter();
    results
        .filter(|result| result.expected() == expected)
        .map(AttackResult::name)
        .collect()
}

#[tokio::test]
async fn the_layer_stands_it_under_every_algorithm() {
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
        let tenant = FakeTenant::with_algorithm(DOMAIN, algorithm);
        let mut app = routes().layer(receiver(&tenant));
        pack(&tenant).fire(&mut app).await.assert_clean();
    }
}

#[tokio::test]
async fn the_layer_stands_it_around_a_plain_service() {
    fire(async |request, layer| answered(layer, request).await)
        .await
        .assert_clean();
}

#[tokio::test]
async fn there_are_many_attacks_each_with_a_name_and_a_description() {
    let report = fire(async |request, layer| answered(layer, request).await).await;
    let results = report.results();
    let names: HashSet<_> = results.iter().map(AttackResult::name).collect();
    let descriptions: HashSet<_> = results.iter().map(AttackResult::description).collect();
    assert_eq!(
        (names.len(), descriptions.len()),
        (results.len(), results.len())
    );
    assert!(
        named(&report, Expectation::Refused).len() >= 150,
        "{report}"
    );
    assert!(
        named(&report, Expectation::Accepted).len() >= 15,
        "{report}"
    );
}

#[tokio::test]
async fn the_report_is_a_table_that_ends_with_what_was_not_stood() {
    let report = fire(async |request, layer| {
        let mut response = answered(layer, request).await;
        if response.status() == StatusCode::PAYLOAD_TOO_LARGE {
            *response.status_mut() = StatusCode::GONE;
        }
        response
    })
    .await;
    let text = report.to_string();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), report.results().len() + 2, "{text}");
    let [.., failed, summary] = &lines[..] else {
        panic!("{text}");
    };
    let words: Vec<_> = failed.split_whitespace().collect();
    let attack = ["GONE", "body_over_the_limit", "refused", "410"];
    assert_eq!(words[..4], attack, "{text}");
    assert!(failed.ends_with("the body is one byte longer than the limit"));
    let all = report.results().len();
    assert_eq!(
        *summary,
        format!("{all} attacks: {} passed, 1 failed", all - 1)
    );
}

/// A receiver with a short time limit for bodies, which is waited for.
fn on_the_wire(tenant: &FakeTenant) -> VerifyWebhookLayer {
    builder(tenant)
        .body_timeout(Duration::from_millis(200))
        .build()
        .expect("a good configuration")
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a port");
    let address: SocketAddr = listener.local_addr().expect("bound");
    (listener, format!("http://{address}/webhooks"))
}

#[tokio::test]
async fn an_axum_server_stands_it() {
    let tenant = FakeTenant::new(DOMAIN);
    let (listener, url) = listen().await;
    let app = routes().layer(on_the_wire(&tenant));
    let mut tasks = JoinSet::new();
    tasks.spawn(async { axum::serve(listener, app).await.expect("served") });
    let report = pack(&tenant).fire_at(&url).await.expect("a listener");
    report.assert_clean();
    // More than in process.
    let names: HashSet<_> = report.results().iter().map(AttackResult::name).collect();
    assert!(names.contains("body_that_stops") && names.contains("body_over_the_limit_in_chunks"));
}

#[tokio::test]
async fn a_plain_hyper_server_stands_it() {
    let tenant = FakeTenant::new(DOMAIN);
    let (listener, url) = listen().await;
    let service = on_the_wire(&tenant).layer(service_fn(handler));
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    let report = pack(&tenant).fire_at(&url).await.expect("a listener");
    report.assert_clean();
}

#[tokio::test]
async fn a_tonic_server_stands_it() {
    let tenant = FakeTenant::new(DOMAIN);
    let (listener, url) = listen().await;
    let layers = ServiceBuilder::new()
        .layer(on_the_wire(&tenant))
        .into_inner();
    let tonic = tonic::transport::Server::builder()
        .accept_http1(true)
        .layer(layers);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let served = tonic.serve_with_incoming(Routes::from(routes()), TcpIncoming::from(listener));
        served.await.expect("served");
    });
    let report = pack(&tenant).fire_at(&url).await.expect("a listener");
    report.assert_clean();
}

#[cfg(feature = "reqwest")]
#[tokio::test]
async fn a_receiver_that_fetches_keys_behind_a_proxy_that_strips_a_prefix_stands_it() {
    let tenant = FakeTenant::new(DOMAIN);
    let jwks = tenant.serve().await.expect("a port");
    let verify = VerifyWebhookLayer::builder()
        .public_url("https://hooks.example.com/c1")
        .tenant(Tenant::new(DOMAIN).jwks_url(jwks.url()))
        .dangerous_allow_http_on_loopback()
        .body_timeout(Duration::from_millis(200))
        .build()
        .expect("a good configuration");
    let (listener, url) = listen().await;
    let mut tasks = JoinSet::new();
    tasks.spawn(async {
        axum::serve(listener, routes().layer(verify))
            .await
            .expect("served");
    });
    let pack = AttackPack::new(&tenant, "https://hooks.example.com/c1/webhooks");
    pack.fire_at(&url).await.expect("a listener").assert_clean();
}

#[tokio::test]
async fn a_url_that_cannot_be_attacked_is_an_error() {
    let tenant = FakeTenant::new(DOMAIN);
    for url in [
        "ftp://127.0.0.1/webhooks",
        "/webhooks",
        "http://127.0.0.1/elsewhere",
        "no URL",
    ] {
        let error = pack(&tenant).fire_at(url).await.expect_err(url);
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput, "{error}");
    }
    let (listener, url) = listen().await;
    drop(listener);
    let error = pack(&tenant)
        .fire_at(&url)
        .await
        .expect_err("nobody listens");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[test]
#[should_panic(expected = "not an absolute URL")]
fn a_target_that_is_no_url_panics() {
    let _ = AttackPack::new(&FakeTenant::new(DOMAIN), "/webhooks");
}

/// Signs whatever header and claims a token has anew, with the tenant's key
/// and algorithm: what comes of it is what a receiver says that looks at all
/// but the signature.
fn signed_by(tenant: &FakeTenant, headers: &mut HeaderMap) -> Option<()> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let token = value.strip_prefix("bearer ")?;
    let mut parts = token
        .split('.')
        .map(|part| BASE64_URL_SAFE_NO_PAD.decode(part));
    let header = parts.next()?.ok()?;
    let claims = parts.next()?.ok()?;
    let mut header: Map<String, Value> = serde_json::from_slice(&header).ok()?;
    header.insert("alg".into(), "ES256".into());
    header.insert("kid".into(), tenant.signing_key().into());
    let token = tenant.sign(Value::Object(header).to_string(), claims);
    let value = HeaderValue::try_from(format!("bearer {token}")).ok()?;
    headers.insert(AUTHORIZATION, value);
    Some(())
}

#[tokio::test]
async fn a_receiver_that_skips_the_signature_is_found_out() {
    let tenant = FakeTenant::new(DOMAIN);
    let report = fire_at(&tenant, receiver(&tenant), async |mut request, layer| {
        signed_by(&tenant, request.headers_mut());
        answered(layer, request).await
    })
    .await;
    let accepted: HashSet<_> = report
        .failures()
        .inspect(|result| assert_eq!(result.verdict(), AttackVerdict::Accepted, "{report}"))
        .map(AttackResult::name)
        .collect();
    for name in [
        "alg_none",
        "alg_none_in_other_case",
        "alg_rs512",
        "hs256_with_public_pem",
        "hs256_with_public_jwk",
        "signature_stripped",
        "signature_of_zeros",
        "signature_first_bit_flipped",
        "signature_in_der",
        "claims_changed",
        "key_of_a_forger",
        "key_of_a_forger_under_good_kid",
        "key_withdrawn",
        "tenant_claimed_by_a_stranger",
        "jwk_injected",
        "jku_injected",
        "kid_of_a_path",
    ] {
        assert!(accepted.contains(name), "{name}\n{report}");
    }
    assert!(!accepted.contains("expired") && !accepted.contains("replay"));
}

/// A library's verification against the tenant's JWKS, which serves all of its
/// tokens, and nothing else.
fn verifies(tenant: &FakeTenant, request: &Request<Full<Bytes>>) -> Option<()> {
    let value = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let token = value.strip_prefix("bearer ")?;
    let header = jsonwebtoken::decode_header(token).ok()?;
    let keys: JwkSet = serde_json::from_str(&tenant.jwks()).expect("a JWKS");
    let key = DecodingKey::from_jwk(keys.find(&header.kid?)?).expect("a key");
    let mut validation = Validation::new(header.alg);
    validation.validate_aud = false;
    // It goes by another clock.
    validation.validate_exp = false;
    validation.required_spec_claims.clear();
    let token = jsonwebtoken::decode::<Value>(token, &key, &validation);
    token.ok().map(drop)
}

#[tokio::test]
async fn a_receiver_that_takes_any_token_of_the_tenant_is_found_out() {
    let tenant = FakeTenant::new(DOMAIN);
    let report = fire_at(
        &tenant,
        receiver(&tenant),
        async |request, layer| match verifies(&tenant, &request) {
            Some(()) => Response::new(Full::from("done")),
            None => answered(layer, request).await,
        },
    )
    .await;
    let accepted: HashSet<_> = report
        .failures()
        .filter(|result| result.verdict() == AttackVerdict::Accepted)
        .map(AttackResult::name)
        .collect();
    for name in [
        "id_jag_token",
        "id_jag_token_for_this_receiver",
        "openid_token",
        "openid_token_for_this_receiver",
        "iss_of_a_url",
        "typ_id_jag",
    ] {
        assert!(accepted.contains(name), "{name}\n{report}");
    }
}

#[tokio::test]
async fn a_receiver_that_answers_410_is_found_out() {
    let report = fire(async |request, layer| {
        let mut response = answered(layer, request).await;
        if response.status().is_client_error() {
            *response.status_mut() = StatusCode::GONE;
        }
        response
    })
    .await;
    assert!(report.failures().count() >= 150, "{report}");
    for result in report.failures() {
        assert_eq!(result.verdict(), AttackVerdict::Gone, "{report}");
    }
}

#[tokio::test]
async fn a_receiver_that_shows_the_token_is_found_out() {
    // In its body, in part.
    let report = fire(async |request, layer| {
        let value = request.headers().get(AUTHORIZATION).cloned();
        let mut response = answered(layer, request).await;
        if let Some(value) = value.filter(|_| response.status() == StatusCode::UNAUTHORIZED) {
            let from = value.len().saturating_sub(40);
            let piece = Bytes::copy_from_slice(&value.as_bytes()[from..]);
            *response.body_mut() = Full::new(piece);
        }
        response
    })
    .await;
    let found: HashSet<_> = report
        .failures()
        .inspect(|result| assert_eq!(result.verdict(), AttackVerdict::Leaked, "{report}"))
        .map(AttackResult::name)
        .collect();
    for name in [
        "expired",
        "key_of_a_forger",
        "aud_of_another_receiver",
        "alg_rs512",
    ] {
        assert!(found.contains(name), "{name}\n{report}");
    }
    // In a header, only where a body was read.
    let report = fire(async |request, layer| {
        let callback = request.headers().get("webhook-callback-url").cloned();
        let mut response = answered(layer, request).await;
        if let Some(callback) = callback.filter(|_| response.status() == StatusCode::BAD_REQUEST) {
            response.headers_mut().insert("x-callback", callback);
        }
        response
    })
    .await;
    let found: Vec<_> = report
        .failures()
        .map(|result| (result.name(), result.verdict()))
        .collect();
    assert!(
        found.contains(&("version_2", AttackVerdict::Leaked)),
        "{report}"
    );
    assert!(
        !found.iter().any(|(name, _)| *name == "expired"),
        "{report}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_hangs_is_found_out() {
    let report = fire(async |request, layer| {
        let waits = request.headers().contains_key("content-encoding");
        if waits {
            pending().await
        } else {
            answered(layer, request).await
        }
    })
    .await;
    found(
        &report,
        AttackVerdict::Hung,
        &["content_coding_gzip", "content_coding_several"],
    );
    let hung = report.failures().next().expect("one");
    assert_eq!(
        (hung.elapsed(), hung.status()),
        (Duration::from_secs(15), None)
    );
}

#[tokio::test]
async fn a_receiver_that_panics_on_bad_input_is_found_out() {
    let report = fire(async |request, layer| {
        if let Some(value) = request.headers().get(AUTHORIZATION) {
            let _ = value.to_str().expect("a receiver's thoughtless unwrap");
        }
        answered(layer, request).await
    })
    .await;
    found(&report, AttackVerdict::Panicked, &["token_not_ascii"]);
}

#[tokio::test]
async fn a_receiver_that_answers_500_on_bad_input_is_found_out() {
    for status in [
        StatusCode::INTERNAL_SERVER_ERROR,
        StatusCode::SERVICE_UNAVAILABLE,
    ] {
        let report = fire(async |request, layer| {
            let mut response = answered(layer, request).await;
            if response.status() == StatusCode::PAYLOAD_TOO_LARGE {
                *response.status_mut() = status;
            }
            response
        })
        .await;
        found(
            &report,
            AttackVerdict::ServerError,
            &["body_over_the_limit"],
        );
    }
}

#[tokio::test]
async fn a_receiver_that_redirects_is_found_out() {
    let report = fire(async |request, layer| {
        let mut response = answered(layer, request).await;
        if response.status() == StatusCode::METHOD_NOT_ALLOWED {
            *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
        }
        response
    })
    .await;
    let methods = [
        "method_get",
        "method_put",
        "method_delete",
        "method_swapped",
    ];
    found(&report, AttackVerdict::UnexpectedStatus, &methods);
}

#[tokio::test]
async fn a_receiver_that_refuses_everything_is_found_out() {
    let report = fire(async |_, _| {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        response
    })
    .await;
    let failed: Vec<_> = report.failures().map(AttackResult::name).collect();
    for name in named(&report, Expectation::Accepted) {
        assert!(failed.contains(&name), "{name}\n{report}");
    }
    // What follows a genuine request says nothing if that one was refused.
    assert!(
        failed.contains(&"replay") && !failed.contains(&"expired"),
        "{report}"
    );
    assert!(
        report
            .failures()
            .all(|result| result.verdict() == AttackVerdict::Refused)
    );
}

#[tokio::test]
async fn a_receiver_that_accepts_everything_is_found_out() {
    let report = fire(async |_, _| Response::new(Full::from("done"))).await;
    found(
        &report,
        AttackVerdict::Accepted,
        &named(&report, Expectation::Refused),
    );
}

#[tokio::test]
async fn a_receiver_without_a_guard_against_replays_is_found_out() {
    let tenant = FakeTenant::new(DOMAIN);
    let layer = builder(&tenant)
        .dangerous_disable_replay_guard()
        .build()
        .expect("a good configuration");
    let report = fire_at(&tenant, layer, async |request, layer| {
        answered(layer, request).await
    })
    .await;
    let replays = [
        "replay",
        "replay_in_capitals",
        "replay_with_query",
        "replay_with_twin_signature",
        "replay_signed_again",
    ];
    found(&report, AttackVerdict::Accepted, &replays);
}

#[tokio::test]
async fn a_receiver_that_loses_the_connection_is_found_out() {
    let tenant = FakeTenant::new(DOMAIN);
    let mut broken = service_fn(async |_: Request<Full<Bytes>>| {
        Err::<Response<Full<Bytes>>, _>(std::io::Error::other("out of order"))
    });
    let report = pack(&tenant).fire(&mut broken).await;
    let verdicts: HashSet<_> = report.results().iter().map(AttackResult::verdict).collect();
    assert!(verdicts.contains(&AttackVerdict::NoAnswer) && !report.is_clean());
}

#[tokio::test]
#[should_panic(expected = "replay_with_query")]
async fn an_unclean_report_fails_a_test_and_says_which_attacks_it_was() {
    fire(async |_, _| Response::new(Full::from("done")))
        .await
        .assert_clean();
}

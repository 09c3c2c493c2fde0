//! Whatever comes in, an answer comes out: nothing panics, nothing but a good
//! webhook is handled, and no status misleads ConductorOne.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::Full;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value};
use support::{DOMAIN, Outcome, builder, now, receiver, send};
use tokio::runtime::{Builder, Runtime};
use tower_conductorone::keys::{Algorithm, KeySet, KeySource};
use tower_conductorone::replay::MemoryReplayStore;
use tower_conductorone::testing::{Delivery, EVENTS, FakeTenant};
use tower_conductorone::{Tenant, VerifyWebhookLayer};

/// One thing done to a good request before it is sent.
#[derive(Clone, Debug)]
enum Mutation {
    Claim(String, Option<Value>),
    Param(String, Option<Value>),
    /// These bytes as the token's header or payload, with a good signature.
    Signed {
        header: Option<Vec<u8>>,
        claims: Option<Vec<u8>>,
    },
    /// Another text in place of one of the token's parts.
    Segment(usize, String),
    /// Another character somewhere in the token.
    Character(prop::sample::Index, char),
    Body(Vec<u8>),
    TamperedBody(Vec<u8>),
    Header(HeaderName, HeaderValue),
    NoHeader(HeaderName),
    AnotherHeader(HeaderName, HeaderValue),
    Method(Method),
    Path(Uri),
}

const CLAIMS: [&str; 11] = [
    "iss", "aud", "c1typ", "exp", "iat", "nbf", "jti", "htm", "htu", "htb_s256", "other",
];

const PARAMS: [&str; 11] = [
    "alg", "kid", "typ", "crit", "b64", "enc", "zip", "jwk", "jku", "x5c", "cty",
];

const HEADERS: [&str; 10] = [
    "authorization",
    "content-type",
    "content-length",
    "content-encoding",
    "content-digest",
    "webhook-id",
    "webhook-event",
    "webhook-version",
    "webhook-callback-url",
    "host",
];

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-700i64..700).prop_map(|offset| Value::from(1_713_312_120 + offset)),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        select(vec!["POST", "wh", "JWT", "ES256", "EdDSA", DOMAIN]).prop_map(Value::from),
        "https?://[a-zA-Z.:@\\[\\]%0-9]{0,20}[/a-z.%0-9?#]{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((any::<String>(), inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Bytes, often JSON, often nearly.
fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..300),
        json().prop_map(|value| value.to_string().into_bytes()),
        "[\\[\\]{}\",:a-z0-9\\\\]{0,60}".prop_map(String::into_bytes),
    ]
}

fn header() -> impl Strategy<Value = (HeaderName, HeaderValue)> {
    let value = prop_oneof![
        vec(any::<u8>(), 0..60),
        "(?i:bearer|basic)[ \t]{0,2}[A-Za-z0-9._=-]{0,40}".prop_map(String::into_bytes),
        "sha-(256|512)=:?[A-Za-z0-9+/=]{0,44}:?,?".prop_map(String::into_bytes),
        "[0-9]{1,20}".prop_map(String::into_bytes),
        "(application|text)/json; ?[a-z=]{0,9}".prop_map(String::into_bytes),
    ];
    let value = value.prop_filter_map("no header's value", |bytes| {
        HeaderValue::from_bytes(&bytes).ok()
    });
    (
        select(HEADERS.to_vec()).prop_map(HeaderName::from_static),
        value,
    )
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let claim = (select(CLAIMS.to_vec()), prop::option::weighted(0.9, json()));
    let param = (select(PARAMS.to_vec()), prop::option::weighted(0.8, json()));
    let signed = (prop::option::of(text()), prop::option::of(text()));
    let method = select(vec!["GET", "HEAD", "OPTIONS", "post", "X"]);
    let path = "/[ -~\u{e9}]{0,20}".prop_filter_map("no path", |path| path.parse().ok());
    prop_oneof![
        4 => claim.prop_map(|(name, value)| Mutation::Claim(name.into(), value)),
        3 => param.prop_map(|(name, value)| Mutation::Param(name.into(), value)),
        2 => signed.prop_map(|(header, claims)| Mutation::Signed { header, claims }),
        2 => (0usize..3, "[A-Za-z0-9_.=+/-]{0,80}")
            .prop_map(|(index, text)| Mutation::Segment(index, text)),
        2 => (any::<prop::sample::Index>(), proptest::char::range('!', '~'))
            .prop_map(|(index, character)| Mutation::Character(index, character)),
        4 => text().prop_map(Mutation::Body),
        2 => text().prop_map(Mutation::TamperedBody),
        4 => header().prop_map(|(name, value)| Mutation::Header(name, value)),
        1 => select(HEADERS.to_vec())
            .prop_map(|name| Mutation::NoHeader(HeaderName::from_static(name))),
        1 => header().prop_map(|(name, value)| Mutation::AnotherHeader(name, value)),
        1 => method.prop_map(|name| Mutation::Method(name.parse().expect("a method"))),
        1 => path.prop_map(Mutation::Path),
    ]
}

/// A delivery of this event with all of that done to it.
fn request(
    tenant: &FakeTenant,
    kid: &str,
    event: &str,
    mutations: &[Mutation],
) -> Request<Full<Bytes>> {
    let mut delivery = tenant.delivery(event).issued_at(now()).signing_key(kid);
    for mutation in mutations {
        delivery = match mutation.clone() {
            Mutation::Claim(name, Some(value)) => delivery.claim(name, value),
            Mutation::Claim(name, None) => delivery.without_claim(name),
            Mutation::Param(name, Some(value)) => delivery.header_param(name, value),
            Mutation::Param(name, None) => delivery.without_header_param(name),
            Mutation::Body(body) => delivery.body(body),
            Mutation::TamperedBody(body) => delivery.tampered_body(body),
            _ => delivery,
        };
    }
    for mutation in mutations {
        delivery = match mutation {
            Mutation::Signed { header, claims } => {
                let token = signed(tenant, kid, &delivery, header.as_ref(), claims.as_ref());
                delivery.token(token)
            }
            Mutation::Segment(index, text) => {
                let token = delivery.token_string();
                let mut parts: Vec<_> = token.split('.').collect();
                if let Some(part) = parts.get_mut(*index) {
                    *part = text;
                }
                delivery.token(parts.join("."))
            }
            Mutation::Character(index, character) => {
                let mut token: Vec<_> = delivery.token_string().chars().collect();
                *index.get_mut(&mut token) = *character;
                delivery.token(token.into_iter().collect::<String>())
            }
            _ => delivery,
        };
    }
    let mut request = delivery.request();
    for mutation in mutations {
        match mutation.clone() {
            Mutation::Header(name, value) => drop(request.headers_mut().insert(name, value)),
            Mutation::NoHeader(name) => drop(request.headers_mut().remove(name)),
            Mutation::AnotherHeader(name, value) => {
                request.headers_mut().append(name, value);
            }
            Mutation::Method(method) => *request.method_mut() = method,
            Mutation::Path(path) => *request.uri_mut() = path,
            _ => {}
        }
    }
    request
}

fn signed(
    tenant: &FakeTenant,
    kid: &str,
    delivery: &Delivery,
    header: Option<&Vec<u8>>,
    claims: Option<&Vec<u8>>,
) -> String {
    let header = header.cloned().unwrap_or_else(|| {
        Value::Object(delivery.header_params())
            .to_string()
            .into_bytes()
    });
    let claims = claims
        .cloned()
        .unwrap_or_else(|| Value::Object(delivery.claims()).to_string().into_bytes());
    tenant.sign_with(kid, header, claims)
}

fn check(outcome: &Outcome) -> Result<(), TestCaseError> {
    let status = outcome.status;
    // `send` has seen to it that a request is either handled or refused.
    prop_assert_eq!(status == 200, outcome.handled.is_some());
    if outcome.handled.is_none() {
        prop_assert!(status.is_client_error() || status == 503, "{}", status);
        prop_assert_ne!(status, 410);
        let problem: Value = serde_json::from_slice(&outcome.body).expect("JSON");
        prop_assert_eq!(&problem["status"], status.as_u16());
        prop_assert_eq!(
            outcome.headers.contains_key("www-authenticate"),
            status == 401
        );
        prop_assert_eq!(outcome.headers.contains_key("retry-after"), status == 503);
        prop_assert_eq!(outcome.headers.contains_key("allow"), status == 405);
    }
    Ok(())
}

/// A tenant with a key of each algorithm.
fn tenant() -> (FakeTenant, Vec<String>) {
    let tenant = FakeTenant::new(DOMAIN);
    let keys = vec![
        tenant.signing_key(),
        tenant.add_key(Algorithm::EdDsa),
        tenant.add_key(Algorithm::Rs256),
    ];
    (tenant, keys)
}

fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime")
}

#[test]
fn bad_input_is_answered_4xx() {
    let (tenant, keys) = tenant();
    let layer = receiver(&tenant);
    let runtime = runtime();
    let strategy = (select(keys), select(EVENTS.to_vec()), vec(mutation(), 0..4));
    let config = ProptestConfig::with_cases(2000);
    proptest!(config, |((kid, event, mutations) in strategy)| {
        let request = request(&tenant, &kid, event, &mutations);
        let outcome = runtime.block_on(send(&layer, request));
        check(&outcome)?;
        prop_assert_ne!(outcome.status, 503);
        if mutations.is_empty() {
            prop_assert_eq!(outcome.code(), "accepted");
        }
    });
}

#[test]
fn our_own_trouble_is_answered_503_and_bad_input_still_4xx() {
    let (tenant, keys) = tenant();
    let full = builder(&tenant)
        .replay_store(MemoryReplayStore::new(0))
        .build()
        .expect("a good configuration");
    let runtime = runtime();
    let unreachable = unreachable_keys(&tenant);
    let strategy = (select(keys), select(EVENTS.to_vec()), vec(mutation(), 0..3));
    let config = ProptestConfig::with_cases(500);
    proptest!(config, |((kid, event, mutations) in strategy)| {
        for layer in [&full, &unreachable] {
            let request = request(&tenant, &kid, event, &mutations);
            let outcome = runtime.block_on(send(layer, request));
            check(&outcome)?;
            prop_assert!(outcome.handled.is_none());
            if mutations.is_empty() {
                prop_assert_eq!(outcome.status, 503);
            }
        }
    });
}

/// A receiver whose tenant's keys are out of reach.
fn unreachable_keys(tenant: &FakeTenant) -> VerifyWebhookLayer {
    VerifyWebhookLayer::builder()
        .public_url("https://hooks.example.com")
        .tenant(Tenant::new(tenant.domain()).key_source(NoKeys))
        .clock(support::clock())
        .build()
        .expect("a good configuration")
}

/// Has no keys, and by default no way to get any.
#[derive(Debug)]
struct NoKeys;

impl KeySource for NoKeys {
    fn current(&self) -> Option<Arc<KeySet>> {
        None
    }
}

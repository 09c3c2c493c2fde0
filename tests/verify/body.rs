//! How the body is read: within a limit and a time, whole, and as it came.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE};
use bytes::{Buf, Bytes};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use sha2::{Digest, Sha256, Sha512};
use support::body::{Script, Step, data, wait};
use support::{DOMAIN, Outcome, TEST_EVENT, builder, now, receiver, send};
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};
use tower_conductorone::keys::JwksCache;
use tower_conductorone::testing::{Delivery, FakeTenant, Fault};
use tower_conductorone::{Rejection, Tenant, VerifyWebhookLayer};
use tower_http::limit::RequestBodyLimitLayer;

const LIMIT: usize = 4096;

/// A good delivery whose body has this many bytes: white space at the end of
/// JSON does not count.
fn sized(tenant: &FakeTenant, bytes: usize) -> Delivery {
    let delivery = tenant.delivery(TEST_EVENT).issued_at(now());
    let mut body = delivery.envelope().to_string();
    body.push_str(&" ".repeat(bytes - body.len()));
    delivery.body(body)
}

fn limited(tenant: &FakeTenant) -> VerifyWebhookLayer {
    builder(tenant).max_body_bytes(LIMIT).build().expect("good")
}

/// The delivery's request with another body in its place.
fn with_body<B>(delivery: &Delivery, body: B) -> Request<B> {
    delivery.request().map(|_| body)
}

/// One frame for each part of the bytes.
fn in_frames(bytes: &Bytes, size: usize) -> Vec<Step> {
    bytes.chunks(size).map(|part| data(part.to_vec())).collect()
}

fn set<B>(request: &mut Request<B>, name: HeaderName, value: &str) {
    let value = HeaderValue::from_str(value).expect("a header's value");
    request.headers_mut().insert(name, value);
}

#[track_caller]
fn assert_refused(outcome: &Outcome, status: u16, code: &str, what: &str) {
    assert_eq!(outcome.code(), code, "{what}: {}", outcome.reason());
    assert_eq!(outcome.status.as_u16(), status, "{what}");
    assert!(outcome.handled.is_none(), "{what}");
}

// The limit on its size.

#[tokio::test]
async fn a_body_announced_as_too_long_is_refused_unread() {
    let tenant = FakeTenant::new(DOMAIN);
    let layer = limited(&tenant);
    let body = sized(&tenant, LIMIT);
    let too_long = ["4097", "18446744073709551615", "99999999999999999999999"];
    for content_length in too_long {
        let script = Script::new([data(body.body_bytes())]);
        let seen = script.seen();
        let mut request = with_body(&body, script);
        set(&mut request, CONTENT_LENGTH, content_length);
        let outcome = send(&layer, request).await;
        assert_refused(&outcome, 413, "body_too_large", content_length);
        assert_eq!(seen.polls(), 0, "{content_length}");
    }

    // HTTP/2 has bodies without a Content-Length header that know their length.
    let script = Script::new([data(body.body_bytes())]).at_least(LIMIT as u64 + 1);
    let seen = script.seen();
    let outcome = send(&layer, with_body(&body, script)).await;
    assert_refused(&outcome, 413, "body_too_large", "size_hint");
    assert_eq!(seen.polls(), 0);
}

#[tokio::test]
async fn the_limit_itself_passes_and_one_byte_more_does_not() {
    let tenant = FakeTenant::new(DOMAIN);
    let layer = limited(&tenant);
    for frame in [LIMIT + 1, LIMIT, LIMIT / 2, 1000, 1] {
        for announced in [true, false] {
            let request = |bytes| {
                let delivery = sized(&tenant, bytes);
                let script = Script::new(in_frames(&delivery.body_bytes(), frame));
                let mut request = with_body(&delivery, script);
                if announced {
                    set(&mut request, CONTENT_LENGTH, &bytes.to_string());
                }
                request
            };
            let what = format!("frames of {frame}, announced: {announced}");
            let outcome = send(&layer, request(LIMIT)).await;
            assert_eq!(outcome.webhook().body().len(), LIMIT, "{what}");
            let outcome = send(&layer, request(LIMIT + 1)).await;
            assert_refused(&outcome, 413, "body_too_large", &what);
        }
    }
}

#[tokio::test]
async fn reading_stops_at_the_limit() {
    let tenant = FakeTenant::new(DOMAIN);
    let delivery = sized(&tenant, LIMIT);
    let endless = std::iter::repeat_n(data("0123456789abcdef"), 100 * LIMIT);
    let script = Script::new(endless);
    let seen = script.seen();
    let outcome = send(&limited(&tenant), with_body(&delivery, script)).await;
    assert_refused(&outcome, 413, "body_too_large", "endless");
    assert_eq!(seen.polls(), LIMIT / 16 + 1);
    assert!(seen.is_dropped());
}

#[tokio::test]
async fn the_default_limit_is_two_mebibytes() {
    const MIB: usize = 1024 * 1024;
    let tenant = FakeTenant::new(DOMAIN);
    let layer = receiver(&tenant);
    let outcome = send(&layer, sized(&tenant, 2 * MIB).request()).await;
    assert_eq!(outcome.webhook().body().len(), 2 * MIB);
    let outcome = send(&layer, sized(&tenant, 2 * MIB + 1).request()).await;
    assert_refused(&outcome, 413, "body_too_large", "2 MiB + 1");
}

#[tokio::test]
async fn a_declared_length_over_the_limit_needs_no_token_to_be_refused() {
    let tenant = FakeTenant::new(DOMAIN);
    let layer = limited(&tenant);
    let good = sized(&tenant, LIMIT);
    let stranger = sized(&FakeTenant::new("stranger.example"), LIMIT);
    for delivery in [good.clone(), stranger, good.token("no token")] {
        let script = Script::new([data(delivery.body_bytes())]);
        let seen = script.seen();
        let mut request = with_body(&delivery, script);
        set(&mut request, CONTENT_LENGTH, "4097");
        let outcome = send(&layer, request).await;
        assert_refused(&outcome, 413, "body_too_large", "declared");
        let rejection = outcome.rejection.as_ref().expect("a rejection");
        assert_eq!(rejection.tenant(), None, "nothing is proven");
        assert_eq!(seen.polls(), 0);
    }
}

#[tokio::test]
async fn a_content_length_that_the_body_belies_is_refused() {
    let tenant = FakeTenant::new(DOMAIN);
    let layer = limited(&tenant);
    for (content_length, code) in [
        ("1000", "accepted"),
        ("999", "incomplete_body"),
        ("1001", "incomplete_body"),
        ("0", "incomplete_body"),
        ("4096", "incomplete_body"),
    ] {
        let delivery = sized(&tenant, 1000);
        let mut request = with_body(&delivery, Script::new([data(delivery.body_bytes())]));
        set(&mut request, CONTENT_LENGTH, content_length);
        let outcome = send(&layer, request).await;
        assert_eq!(outcome.code(), code, "{content_length}");
        if code != "accepted" {
            assert_refused(&outcome, 400, code, content_length);
            let says = outcome.reason();
            assert!(says.contains("1000 bytes"), "{says}");
            assert!(says.contains(content_length), "{says}");
        }
    }
}

#[tokio::test]
async fn a_content_length_that_is_no_number_says_nothing() {
    let tenant = FakeTenant::new(DOMAIN);
    let layer = receiver(&tenant);
    for value in ["", "abc", "-1", "1.5", "0x10", "7, 7"] {
        let delivery = tenant.delivery(TEST_EVENT).issued_at(now());
        let request = delivery.http_header("content-length", value).request();
        let outcome = send(&layer, request).await;
        outcome.expect_token("accepted", value);
    }
}

#[tokio::test]
async fn a_limit_of_a_layer_outside_is_answered_413_as_well() {
    let tenant = FakeTenant::new(DOMAIN);
    let inner = service_fn(async |_: Request<Full<Bytes>>| {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let service = RequestBodyLimitLayer::new(1000).layer(receiver(&tenant).layer(inner));
    let delivery = sized(&tenant, 1001);
    for announced in [false, true] {
        let script = Script::new(in_frames(&delivery.body_bytes(), 100));
        let mut request = with_body(&delivery, script);
        if announced {
            set(&mut request, CONTENT_LENGTH, "1001");
        }
        let response = service.clone().oneshot(request).await.expect("infallible");
        assert_eq!(response.status(), 413, "announced: {announced}");
        // An announced length is refused by the outer layer itself.
        let rejection = response.extensions().get::<Rejection>();
        assert_eq!(rejection.is_none(), announced);
        if let Some(rejection) = rejection {
            assert_eq!(rejection.code(), "body_too_large");
            let source = std::error::Error::source(rejection).expect("a reason");
            assert!(!source.to_string().contains("2097152"), "{source}");
        }
    }
    let delivery = sized(&tenant, 1000);
    let script = Script::new(in_frames(&delivery.body_bytes(), 100));
    let response = service.oneshot(with_body(&delivery, script)).await;
    assert_eq!(response.expect("infallible").status(), 200);
}

// The limit on its time.

#[tokio::test(start_paused = true)]
async fn a_body_that_stalls_or_dribbles_ends_at_the_time_limit() {
    let tenant = FakeTenant::new(DOMAIN);
    let delivery = tenant.delivery(TEST_EVENT).issued_at(now());
    let bytes = delivery.body_bytes();
    let every = |seconds, step: &Step| {
        let pair = [wait(seconds), step.clone()];
        pair.into_iter().cycle().take(2_000).collect::<Vec<_>>()
    };
    let table = [
        ("nothing comes", vec![Step::Hang]),
        (
            "a part comes",
            vec![data(&b"{\"version\":"[..]), Step::Hang],
        ),
        ("all comes but the end", vec![data(bytes), Step::Hang]),
        ("a byte each second", every(1.0, &data(" "))),
        ("a byte every 99 ms", every(0.099, &data(" "))),
        ("an empty frame each second", every(1.0, &data(""))),
        (
            "trailers each second",
            every(1.0, &Step::Trailers(HeaderMap::new())),
        ),
    ];
    for (limit, layer) in [
        (10, receiver(&tenant)),
        (
            3,
            builder(&tenant)
                .body_timeout(Duration::from_secs(3))
                .build()
                .expect("good"),
        ),
    ] {
        for (what, steps) in &table {
            let script = Script::new(steps.clone());
            let seen = script.seen();
            let start = Instant::now();
            let outcome = send(&layer, with_body(&delivery, script)).await;
            assert_refused(&outcome, 408, "body_timeout", what);
            // Timers are exact to a millisecond.
            assert_eq!(start.elapsed().as_secs(), limit, "{what}");
            assert!(start.elapsed().subsec_millis() <= 2, "{what}");
            assert!(seen.is_dropped(), "{what}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_that_makes_it_passes() {
    let tenant = FakeTenant::new(DOMAIN);
    let delivery = sized(&tenant, 990);
    let frames = in_frames(&delivery.body_bytes(), 10);
    let script = Script::new(frames.into_iter().flat_map(|frame| [wait(0.1), frame]));
    let outcome = send(&receiver(&tenant), with_body(&delivery, script)).await;
    assert_eq!(outcome.webhook().body().len(), 990);
}

#[tokio::test(start_paused = true)]
async fn time_before_the_body_is_asked_for_does_not_count() {
    let tenant = FakeTenant::new(DOMAIN);
    let fetch = tenant.fetch();
    fetch.set_fault(Some(Fault::Slow(Duration::from_secs(4))));
    let keys = JwksCache::builder("https://example.conductor.one/auth/v1/jwks")
        .build(fetch)
        .expect("good");
    let layer = VerifyWebhookLayer::builder()
        .public_url("https://hooks.example.com")
        .tenant(Tenant::new(DOMAIN).key_source(keys))
        .clock(support::clock())
        .build()
        .expect("good");
    let delivery = tenant.delivery(TEST_EVENT).issued_at(now());
    let start = Instant::now();
    let script = Script::new([wait(9.0), data(delivery.body_bytes())]);
    let outcome = send(&layer, with_body(&delivery, script)).await;
    assert_eq!(outcome.code(), "accepted", "{}", outcome.reason());
    assert_eq!(start.elapsed().as_secs(), 13);
}

/// Always ready, never done: it can only end by the time limit, which must get
/// its turn. (It gives up by itself so that a failure is no hang.)
struct NeverDone {
    frame: fn() -> Frame<Bytes>,
    until: std::time::Instant,
}

impl Body for NeverDone {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        Poll::Ready(Some(if std::time::Instant::now() < self.until {
            Ok((self.frame)())
        } else {
            Err("it was still being read")
        }))
    }
}

#[tokio::test]
async fn frames_without_end_and_content_end_at_the_time_limit() {
    let tenant = FakeTenant::new(DOMAIN);
    let timeout = Duration::from_millis(20);
    let layer = builder(&tenant)
        .body_timeout(timeout)
        .build()
        .expect("good");
    let delivery = tenant.delivery(TEST_EVENT).issued_at(now());
    for frame in [
        || Frame::data(Bytes::new()),
        || Frame::trailers(HeaderMap::new()),
    ] {
        let until = std::time::Instant::now() + Duration::from_secs(10);
        let outcome = send(&layer, with_body(&delivery, NeverDone { frame, until })).await;
        assert_refused(&outcome, 408, "body_timeout", "empty frames");
    }
}

// What a body can be.

#[tokio::test]
async fn a_body_consumed_by_a_layer_outside_is_a_clear_error() {
    let tenant = FakeTenant::new(DOMAIN);
    let layer = receiver(&tenant);
    let delivery = tenant.delivery(TEST_EVENT).issued_at(now());
    let length = delivery.body_bytes().len().to_string();
    for content_length in [None, Some("0"), Some(&*length)] {
        // Read to its end, then handed on.
        let mut body = Script::new([data(delivery.body_bytes())]);
        while body.frame().await.is_some() {}
        let mut request = with_body(&delivery, body);
        if let Some(content_length) = content_length {
            set(&mut request, CONTENT_LENGTH, content_length);
        }
        let outcome = send(&layer, request).await;
        assert_refused(&outcome, 400, "incomplete_body", "consumed");
        assert!(outcome.reason().contains("outside this one consumed"));
    }

    // Its first frame was taken; the rest is what came.
    let mut body = Script::new(in_frames(&delivery.body_bytes(), 10));
    let _ = body.frame().await;
    let mut request = with_body(&delivery, body);
    set(&mut request, CONTENT_LENGTH, &length);
    let outcome = send(&layer, request).await;
    assert_refused(&outcome, 400, "incomplete_body", "half consumed");
    assert!(outcome.reason().contains("outside this one consumed"));
}

#[tokio::test]
async fn a_body_that_fails_is_refused_with_its_reason() {
    let tenant = FakeTenant::new(DOMAIN);
    let delivery = tenant.delivery(TEST_EVENT).issued_at(now());
    let script = Script::new([data("{"), Step::Fail("connection reset")]);
    let outcome = send(&receiver(&tenant), with_body(&delivery, script)).await;
    assert_refused(&outcome, 400, "unreadable_body", "reset");
    assert!(outcome.reason().contains("connection reset"));
    assert!(!outcome.body.windows(5).any(|part| part == b"reset"));
}

/// A frame with others around it.
type Around = fn(Step) -> Vec<Step>;

#[tokio::test]
async fn a_body_in_one_frame_is_not_copied() {
    let tenant = FakeTenant::new(DOMAIN);
    let layer = receiver(&tenant);
    let trailers = || {
        Step::Trailers(HeaderMap::from_iter([(
            CONTENT_TYPE,
            "x/y".parse().expect("good"),
        )]))
    };
    let around: [(&str, Around); 4] = [
        ("alone", |frame| vec![frame]),
        ("after an empty frame", |frame| vec![data(""), frame]),
        ("before empty frames", |frame| {
            vec![frame, data(""), data("")]
        }),
        ("among empty frames", |frame| {
            vec![data(""), frame, data("")]
        }),
    ];
    for (what, around) in around {
        let delivery = tenant.delivery(TEST_EVENT).issued_at(now());
        let bytes = delivery.body_bytes();
        let mut steps = around(data(bytes.clone()));
        steps.push(trailers());
        let outcome = send(&layer, with_body(&delivery, Script::new(steps))).await;
        let (webhook, seen) = outcome.handled.expect("accepted");
        assert_eq!(webhook.body().as_ptr(), bytes.as_ptr(), "{what}");
        assert_eq!(seen.as_ptr(), bytes.as_ptr(), "{what}");
        assert_eq!(webhook.body(), &bytes, "{what}");
        // Nor is the payload: it lies within the body.
        let within = bytes.as_ptr_range();
        assert!(within.contains(&webhook.payload_json().as_ptr()), "{what}");
    }
}

#[tokio::test]
async fn a_body_in_many_frames_arrives_as_it_was_sent() {
    let tenant = FakeTenant::new(DOMAIN);
    let layer = receiver(&tenant);
    let length = sized(&tenant, 1000).body_bytes().len();
    for size in [1, 2, 7, 100, length.div_ceil(65), length.div_ceil(64)] {
        let delivery = sized(&tenant, 1000);
        let frames = in_frames(&delivery.body_bytes(), size);
        let mut steps: Vec<_> = frames
            .into_iter()
            .flat_map(|frame| [data(""), frame, data("")])
            .collect();
        steps.push(Step::Trailers(HeaderMap::new()));
        let outcome = send(&layer, with_body(&delivery, Script::new(steps))).await;
        let (webhook, seen) = outcome.handled.expect("accepted");
        assert_eq!(webhook.body(), &delivery.body_bytes(), "frames of {size}");
        assert_eq!(seen, delivery.body_bytes(), "frames of {size}");
    }
}

#[tokio::test]
async fn a_byte_changed_in_any_frame_is_noticed() {
    let tenant = FakeTenant::new(DOMAIN);
    let layer = receiver(&tenant);
    let delivery = sized(&tenant, 300);
    let frames = in_frames(&delivery.body_bytes(), 100);
    for changed in 0..3 {
        let mut frames = frames.clone();
        let Step::Data(part) = &frames[changed] else {
            panic!("data")
        };
        let mut part = part.to_vec();
        *part.last_mut().expect("not empty") ^= 1;
        frames[changed] = data(part);
        let outcome = send(&layer, with_body(&delivery, Script::new(frames))).await;
        assert_refused(&outcome, 401, "body_hash_mismatch", "one bit");
    }
    let swapped = [2, 1, 0].map(|index| frames[index].clone());
    let outcome = send(&layer, with_body(&delivery, Script::new(swapped))).await;
    assert_refused(&outcome, 401, "body_hash_mismatch", "other order");
}

/// Data in pieces, as servers other than hyper may hand it out.
struct Pieces(VecDeque<Bytes>);

impl Buf for Pieces {
    fn remaining(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    fn chunk(&self) -> &[u8] {
        self.0.front().map_or(&[], |piece| piece)
    }

    fn advance(&mut self, mut count: usize) {
        while count > 0 {
            let piece = self.0.front_mut().expect("enough is left");
            let step = count.min(piece.len());
            piece.advance(step);
            count -= step;
            if piece.is_empty() {
                self.0.pop_front();
            }
        }
    }
}

#[tokio::test]
async fn data_need_not_be_bytes() {
    let tenant = FakeTenant::new(DOMAIN);
    let layer = limited(&tenant);
    let in_pieces = |bytes: usize| {
        let delivery = sized(&tenant, bytes);
        let script = Script::new(in_frames(&delivery.body_bytes(), 50));
        let body = script.map_frame(|frame| {
            frame.map_data(|data| Pieces(data.chunks(7).map(Bytes::copy_from_slice).collect()))
        });
        (with_body(&delivery, body), delivery.body_bytes())
    };
    let (request, sent) = in_pieces(LIMIT);
    let outcome = send(&layer, request).await;
    assert_eq!(outcome.webhook().body(), &sent);
    let (request, _) = in_pieces(LIMIT + 1);
    let outcome = send(&layer, request).await;
    assert_refused(&outcome, 413, "body_too_large", "pieces");
}

// What its headers say of it.

#[tokio::test]
async fn only_json_without_a_coding_is_taken() {
    let tenant = FakeTenant::new(DOMAIN);
    let layer = receiver(&tenant);
    let (fine, media, coding) = (
        "accepted",
        "unsupported_media_type",
        "unsupported_content_coding",
    );
    let table: &[(&HeaderName, &[&[u8]], &str)] = &[
        (&CONTENT_TYPE, &[b"application/json"], fine),
        (&CONTENT_TYPE, &[b"APPLICATION/Json"], fine),
        (&CONTENT_TYPE, &[b"application/json; charset=utf-8"], fine),
        (
            &CONTENT_TYPE,
            &[b"application/json;charset=\"utf-8\";v=1"],
            fine,
        ),
        (&CONTENT_TYPE, &[b"application/json ;"], fine),
        (&CONTENT_TYPE, &[], media),
        (&CONTENT_TYPE, &[b""], media),
        (
            &CONTENT_TYPE,
            &[b"application/json", b"application/json"],
            media,
        ),
        (&CONTENT_TYPE, &[b"application/json", b"text/plain"], media),
        (&CONTENT_TYPE, &[b"application/json, text/plain"], media),
        (&CONTENT_TYPE, &[b"application/jsonp"], media),
        (&CONTENT_TYPE, &[b"application/json+x"], media),
        (&CONTENT_TYPE, &[b"application/problem+json"], media),
        (&CONTENT_TYPE, &[b"text/json"], media),
        (&CONTENT_TYPE, &[b"json"], media),
        (&CONTENT_TYPE, &[b"; application/json"], media),
        (&CONTENT_TYPE, &[b"application / json"], media),
        (
            &CONTENT_TYPE,
            &[b"application/x-www-form-urlencoded"],
            media,
        ),
        (&CONTENT_TYPE, &[b"application/json\xff"], media),
        (&CONTENT_ENCODING, &[], fine),
        (&CONTENT_ENCODING, &[b"identity"], fine),
        (&CONTENT_ENCODING, &[b"Identity"], fine),
        (&CONTENT_ENCODING, &[b"identity, identity"], fine),
        (&CONTENT_ENCODING, &[b""], fine),
        (&CONTENT_ENCODING, &[b"gzip"], coding),
        (&CONTENT_ENCODING, &[b"GZIP"], coding),
        (&CONTENT_ENCODING, &[b"br"], coding),
        (&CONTENT_ENCODING, &[b"identity, gzip"], coding),
        (&CONTENT_ENCODING, &[b"identity", b"gzip"], coding),
        (&CONTENT_ENCODING, &[b"identity;q=1"], coding),
        (&CONTENT_ENCODING, &[b"aws-chunked"], coding),
        (&CONTENT_ENCODING, &[b"\xff"], coding),
    ];
    for (name, values, code) in table {
        let delivery = tenant.delivery(TEST_EVENT).issued_at(now());
        let script = Script::new([data(delivery.body_bytes())]);
        let seen = script.seen();
        let mut request = with_body(&delivery, script);
        request.headers_mut().remove(*name);
        for value in *values {
            let value = HeaderValue::from_bytes(value).expect("a header's value");
            request.headers_mut().append(*name, value);
        }
        let what = format!("{name}: {values:?}");
        // The body and the token count for nothing here.
        if *code != fine {
            request.headers_mut().remove("authorization");
        }
        let outcome = send(&layer, request).await;
        assert_eq!(outcome.code(), *code, "{what}");
        if *code != fine {
            assert_refused(&outcome, 415, code, &what);
            assert_eq!(outcome.public_code(), *code);
            assert_eq!(seen.polls(), 0, "{what}");
            let (says, accepted) = if *code == media {
                ("accept", "application/json")
            } else {
                ("accept-encoding", "identity")
            };
            assert_eq!(outcome.headers[says], accepted);
        }
    }
}

#[tokio::test]
async fn content_digest_must_agree_where_it_is_sha_256() {
    let tenant = FakeTenant::new(DOMAIN);
    let layer = receiver(&tenant);
    let delivery = tenant.delivery(TEST_EVENT).issued_at(now());
    let body = delivery.body_bytes();
    let sha256 = Sha256::digest(&body);
    let good = BASE64_STANDARD.encode(sha256);
    let wrong = BASE64_STANDARD.encode(Sha256::digest(b"another"));
    let unpadded = BASE64_STANDARD_NO_PAD.encode(sha256);
    let url_safe = BASE64_URL_SAFE.encode(sha256);
    let sha512 = BASE64_STANDARD.encode(Sha512::digest(&body));
    let c1 = format!("sha-256={good}");
    let rfc = format!("sha-256=:{good}:");
    let table: Vec<(Vec<String>, bool)> = vec![
        (vec![], true),
        (vec![c1.clone()], true),
        (vec![rfc.clone()], true),
        (vec![format!("SHA-256={good}")], true),
        (vec![format!("Sha-256=:{good}:")], true),
        (vec![format!("sha-256={unpadded}")], true),
        (vec![format!("sha-256=:{url_safe}:")], true),
        (vec![format!("sha-256=:{good}:;q=1")], true),
        (vec![format!("sha-512=:{sha512}:, {rfc}")], true),
        (vec![format!("{c1},sha-512={sha512}")], true),
        (vec![format!("sha-512=:{sha512}:"), rfc.clone()], true),
        (vec![c1.clone(), rfc.clone()], true),
        (vec![format!("{c1}, {rfc}")], true),
        // Other algorithms do not count, whatever they say.
        (vec!["sha-512=:bm9uc2Vuc2U=:".into()], true),
        (vec!["md5=nonsense, crc32c, unixsum=3".into()], true),
        (vec![String::new()], true),
        // Of ours, all must be right.
        (vec![format!("sha-256={wrong}")], false),
        (vec![format!("sha-256=:{wrong}:")], false),
        (vec![format!("SHA-256=:{wrong}:")], false),
        (vec![format!("{c1}, sha-256={wrong}")], false),
        (vec![format!("sha-256={wrong}, {c1}")], false),
        (vec![c1.clone(), format!("sha-256={wrong}")], false),
        (vec![format!("sha-256={wrong}"), c1.clone()], false),
        (
            vec![format!("sha-512=:{sha512}:, sha-256=:{wrong}:")],
            false,
        ),
        (vec!["sha-256".into()], false),
        (vec!["sha-256=".into()], false),
        (vec!["sha-256=::".into()], false),
        (vec!["sha-256=!".into()], false),
        (vec![format!("sha-256=:{good}")], false),
        (vec![format!("sha-256={}", &good[..40])], false),
        (vec![format!("sha-256={good}{good}")], false),
        (vec![format!("sha-256={sha512}")], false),
    ];
    for (index, (values, agrees)) in table.iter().enumerate() {
        let jti = format!("digest {index}");
        let delivery = delivery.clone().claim("jti", jti.into());
        let mut request = delivery.request();
        request.headers_mut().remove("content-digest");
        for value in values {
            request
                .headers_mut()
                .append("content-digest", value.parse().expect("good"));
        }
        let outcome = send(&layer, request).await;
        if *agrees {
            assert_eq!(outcome.code(), "accepted", "{values:?}");
        } else {
            let what = format!("{values:?}");
            assert_refused(&outcome, 400, "content_digest_mismatch", &what);
        }
    }

    let mut request = delivery.request();
    let value = HeaderValue::from_bytes(b"sha-256=\xff").expect("good");
    request.headers_mut().insert("content-digest", value);
    let outcome = send(&layer, request).await;
    assert_refused(&outcome, 400, "content_digest_mismatch", "not ASCII");
}

#[tokio::test]
async fn a_body_changed_on_the_way_with_its_digest_is_refused() {
    let tenant = FakeTenant::new(DOMAIN);
    let delivery = tenant.delivery(TEST_EVENT).issued_at(now());
    let other = format!("{} ", delivery.envelope());
    let outcome = send(&receiver(&tenant), delivery.tampered_body(other).request()).await;
    assert_refused(&outcome, 401, "body_hash_mismatch", "one space more");
    assert_eq!(outcome.public_code(), "invalid_token");
}

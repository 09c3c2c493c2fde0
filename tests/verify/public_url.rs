//! `htu` against the public URL and the request's path (RFC 9449 §4.3, RFC 3986
//! §6.2): what is the same URL passes however it is written, what is another
//! one does not.

use std::fmt::Write;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::{MethodRouter, post};
use http::{StatusCode, Uri};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;
use support::{DOMAIN, Outcome, TEST_EVENT, builder, now, send};
use tokio::runtime::{Builder, Runtime};
use tower::{Layer, ServiceExt};
use tower_conductorone::testing::{Delivery, FakeTenant};
use tower_conductorone::{Rejection, VerifyWebhookLayer, Webhook};

const OK: &str = "accepted";
const NO: &str = "wrong_url";

fn layer(tenant: &FakeTenant, public_url: &str) -> VerifyWebhookLayer {
    builder(tenant)
        .public_url(public_url)
        .dangerous_allow_http_on_loopback()
        .build()
        .expect("a good configuration")
}

/// A delivery for this `htu`, and for the public URL's host.
fn delivery(tenant: &FakeTenant, public_url: &str, htu: &str) -> Delivery {
    let public: Uri = public_url.parse().expect("a URI");
    tenant
        .delivery(TEST_EVENT)
        .issued_at(now())
        .claim("aud", json!(public.host().expect("a host")))
        .claim("htu", json!(htu))
}

/// What becomes of a delivery for `htu` that arrives at this path.
async fn call(layer: &VerifyWebhookLayer, delivery: &Delivery, path: &str) -> Outcome {
    let mut request = delivery.request();
    *request.uri_mut() = path.parse().expect("a URI");
    send(layer, request).await
}

/// Public URL, path (and query) as it arrived, `htu`, and what comes of it.
type Row = (&'static str, &'static str, &'static str, &'static str);

async fn check(rows: &[Row]) {
    let tenant = FakeTenant::new(DOMAIN);
    for row @ (public_url, path, htu, code) in rows {
        let layer = layer(&tenant, public_url);
        let delivery = delivery(&tenant, public_url, htu);
        let outcome = call(&layer, &delivery, path).await;
        outcome.expect_token(code, row);
    }
}

const ORIGIN: &str = "https://hooks.example.com";

#[tokio::test]
#[rustfmt::skip]
async fn scheme_host_and_port() {
    check(&[
        (ORIGIN, "/webhooks", "https://hooks.example.com/webhooks", OK),
        (ORIGIN, "/webhooks", "https://hooks.example.com:443/webhooks", OK),
        (ORIGIN, "/webhooks", "https://hooks.example.com:/webhooks", OK),
        (ORIGIN, "/webhooks", "https://hooks.example.com:00443/webhooks", OK),
        (ORIGIN, "/webhooks", "HTTPS://Hooks.EXAMPLE.com/webhooks", OK),
        (ORIGIN, "/webhooks", "hTTps://hooks.example.com/webhooks", OK),
        (ORIGIN, "/webhooks", "https://h%6Foks.example%2Ecom/webhooks", OK),
        ("HTTPS://HOOKS.example.COM:443", "/webhooks", "https://hooks.example.com/webhooks", OK),
        ("https://hooks.example.com:", "/webhooks", "https://hooks.example.com/webhooks", OK),
        ("https://hooks.example.com:8443", "/webhooks", "https://hooks.example.com:8443/webhooks", OK),
        ("https://hooks.example.com:8443", "/webhooks", "https://hooks.example.com:08443/webhooks", OK),
        ("https://hooks.example.com:80", "/webhooks", "https://hooks.example.com:80/webhooks", OK),
        ("https://hooks.example.com:8443", "/webhooks", "https://hooks.example.com/webhooks", NO),
        ("https://hooks.example.com:8443", "/webhooks", "https://hooks.example.com:443/webhooks", NO),
        ("https://hooks.example.com:80", "/webhooks", "http://hooks.example.com/webhooks", NO),
        (ORIGIN, "/webhooks", "https://hooks.example.com:8443/webhooks", NO),
        (ORIGIN, "/webhooks", "https://hooks.example.com:80/webhooks", NO),
        (ORIGIN, "/webhooks", "http://hooks.example.com/webhooks", NO),
        (ORIGIN, "/webhooks", "http://hooks.example.com:443/webhooks", NO),
        (ORIGIN, "/webhooks", "https://other.example.com/webhooks", NO),
        (ORIGIN, "/webhooks", "https://hooks.example.com.evil.example/webhooks", NO),
        (ORIGIN, "/webhooks", "https://evil.example/hooks.example.com/webhooks", NO),
        (ORIGIN, "/webhooks", "https://hooks.example.com./webhooks", NO),
        (ORIGIN, "/webhooks", "https://example.com/webhooks", NO),
        (ORIGIN, "/webhooks", "https://hook\u{17f}.example.com/webhooks", NO),
        (ORIGIN, "/webhooks", "https://xn--hoo-c1b.example.com/webhooks", NO),
        (ORIGIN, "/webhooks", "https://hooks%2eexample.com%2f/webhooks", NO),
        (ORIGIN, "/webhooks", "https://hooks.example.com:65536/webhooks", NO),
        (ORIGIN, "/webhooks", "https://hooks.example.com:66 979/webhooks", NO),
        (ORIGIN, "/webhooks", "https://hooks.example.com:4294967739/webhooks", NO),
        (ORIGIN, "/webhooks", "https://hooks.example.com:443:443/webhooks", NO),
        (ORIGIN, "/webhooks", "https://hooks.example.com:+443/webhooks", NO),
        (ORIGIN, "/webhooks", "https://hooks.example.com:-1/webhooks", NO),
        (ORIGIN, "/webhooks", "https://hooks.example.com:https/webhooks", NO),
        ("http://localhost:3000", "/webhooks", "http://localhost:3000/webhooks", OK),
        ("http://127.0.0.1", "/webhooks", "http://127.0.0.1:80/webhooks", OK),
        ("http://127.0.0.1", "/webhooks", "http://localhost/webhooks", NO),
        ("http://127.0.0.1", "/webhooks", "https://127.0.0.1/webhooks", NO),
        ("https://127.0.0.1", "/webhooks", "https://127.1/webhooks", NO),
        ("https://127.0.0.1", "/webhooks", "https://2130706433/webhooks", NO),
    ])
    .await;
}

#[tokio::test]
#[rustfmt::skip]
async fn hosts_that_are_ipv6_addresses() {
    let v6 = "https://[2001:db8::1]";
    let (v6_port, loopback) = ("https://[2001:db8::1]:8443", "http://[::1]:3000");
    check(&[
        (v6, "/webhooks", "https://[2001:db8::1]/webhooks", OK),
        (v6, "/webhooks", "https://[2001:DB8::1]:443/webhooks", OK),
        (v6, "/webhooks", "https://[2001:0db8:0:0:0:0:0:0001]/webhooks", OK),
        (v6_port, "/webhooks", "https://[2001:db8::1]:8443/webhooks", OK),
        (loopback, "/webhooks", "http://[0:0:0:0:0:0:0:1]:3000/webhooks", OK),
        (v6, "/webhooks", "https://[2001:db8::1]:8443/webhooks", NO),
        (v6, "/webhooks", "https://[2001:db8::2]/webhooks", NO),
        (v6, "/webhooks", "https://2001:db8::1/webhooks", NO),
        (v6, "/webhooks", "https://[2001:db8::1/webhooks", NO),
        (v6, "/webhooks", "https://[2001:db8::1]]/webhooks", NO),
        (v6, "/webhooks", "https://[[2001:db8::1]]/webhooks", NO),
        (v6, "/webhooks", "https://[2001:db8::1]8443/webhooks", NO),
        (v6, "/webhooks", "https://[2001:db8::1%25eth0]/webhooks", NO),
        (v6, "/webhooks", "https://x[2001:db8::1]/webhooks", NO),
        (v6, "/webhooks", "https://[]/webhooks", NO),
        (v6, "/webhooks", "https://[v1.x]/webhooks", NO),
        (ORIGIN, "/webhooks", "https://[hooks.example.com]/webhooks", NO),
    ])
    .await;
}

#[tokio::test]
async fn aud_names_an_ipv6_host_with_or_without_brackets() {
    let tenant = FakeTenant::new(DOMAIN);
    let layer = layer(&tenant, "https://[2001:DB8::1]");
    for (aud, code) in [
        ("2001:db8::1", OK),
        ("[2001:db8::1]", OK),
        ("2001:DB8::1", OK),
        ("2001:db8::2", "wrong_audience"),
        ("[2001:db8::1", "wrong_audience"),
        ("[2001:db8::1]:443", "wrong_audience"),
    ] {
        let delivery = tenant
            .delivery(TEST_EVENT)
            .issued_at(now())
            .claim("aud", json!(aud))
            .claim("htu", json!("https://[2001:db8::1]/webhooks"));
        let outcome = call(&layer, &delivery, "/webhooks").await;
        outcome.expect_token(code, aud);
    }
}

#[tokio::test]
#[rustfmt::skip]
async fn percent_encodings() {
    check(&[
        // Unreserved characters are the same encoded or not (§6.2.2.2).
        (ORIGIN, "/~ada-b_c.d", "https://hooks.example.com/%7Eada%2Db%5Fc%2Ed", OK),
        // … but a router may take the path for another one, unless it was signed so.
        (ORIGIN, "/%7Eada%2Db%5Fc%2Ed", "https://hooks.example.com/~ada-b_c.d", NO),
        (ORIGIN, "/%7Eada%2Db%5Fc%2Ed", "https://hooks.example.com/%7Eada%2Db%5Fc%2Ed", OK),
        (ORIGIN, "/%74ests", "https://hooks.example.com/tests", NO),
        (ORIGIN, "/%74ests", "https://hooks.example.com/%74ests", OK),
        (ORIGIN, "/tests", "https://hooks.example.com/%74ests", OK),
        (ORIGIN, "/%7eada", "https://hooks.example.com/%7Eada", NO),
        (ORIGIN, "/%7eada", "https://hooks.example.com/%7eada", OK),
        (ORIGIN, "/~ada", "https://hooks.example.com/%7eada", OK),
        (ORIGIN, "/A", "https://hooks.example.com/%41", OK),
        (ORIGIN, "/%61%62%63", "https://hooks.example.com/abc", NO),
        (ORIGIN, "/abc", "https://hooks.example.com/%61%62%63", OK),
        (ORIGIN, "/a", "https://hooks.example.com/%41", NO),
        // The case of the digits does not count (§6.2.2.1).
        (ORIGIN, "/a%2Fb", "https://hooks.example.com/a%2fb", OK),
        (ORIGIN, "/a%2fb", "https://hooks.example.com/a%2fb", OK),
        (ORIGIN, "/a%2fb", "https://hooks.example.com/a%2Fb", NO),
        (ORIGIN, "/%c3%a9", "https://hooks.example.com/%C3%A9", NO),
        (ORIGIN, "/%C3%A9", "https://hooks.example.com/%c3%a9", OK),
        // Reserved characters are not the same encoded (§2.2).
        (ORIGIN, "/a%2Fb", "https://hooks.example.com/a/b", NO),
        (ORIGIN, "/a/b", "https://hooks.example.com/a%2Fb", NO),
        (ORIGIN, "/webhooks", "https://hooks.example.com%2Fwebhooks", NO),
        (ORIGIN, "/a:b", "https://hooks.example.com/a%3Ab", NO),
        (ORIGIN, "/a%3Ab", "https://hooks.example.com/a:b", NO),
        (ORIGIN, "/a+b", "https://hooks.example.com/a%2Bb", NO),
        (ORIGIN, "/a%2Fb", "https://hooks.example.com/a%3Fb", NO),
        (ORIGIN, "/a%2Fb", "https://hooks.example.com/a%2Bb", NO),
        (ORIGIN, "/a+b", "https://hooks.example.com/a%20b", NO),
        (ORIGIN, "/a;b", "https://hooks.example.com/a%3bb", NO),
        (ORIGIN, "/a@b", "https://hooks.example.com/a%40b", NO),
        (ORIGIN, "/a%3Fb", "https://hooks.example.com/a?b", NO),
        (ORIGIN, "/a%23b", "https://hooks.example.com/a#b", NO),
        (ORIGIN, "/a%00", "https://hooks.example.com/a", NO),
        (ORIGIN, "/a%00", "https://hooks.example.com/a%00", OK),
        // The same ones pass as they are.
        (ORIGIN, "/a:b@c;d=e,f!g$h&i'j(k)*+", "https://hooks.example.com/a:b@c;d=e,f!g$h&i'j(k)*+", OK),
        // Decoded once: what comes of it is not decoded again.
        (ORIGIN, "/%2541", "https://hooks.example.com/%2541", OK),
        (ORIGIN, "/%2541", "https://hooks.example.com/%41", NO),
        (ORIGIN, "/%2541", "https://hooks.example.com/A", NO),
        (ORIGIN, "/%2541", "https://hooks.example.com/%25%34%31", OK),
        (ORIGIN, "/%252F", "https://hooks.example.com/%2F", NO),
        (ORIGIN, "/%%34%31", "https://hooks.example.com/A", NO),
        // What senders encode or not, though none may leave it.
        (ORIGIN, "/{id}|^", "https://hooks.example.com/{id}|^", OK),
        (ORIGIN, "/{id}|^", "https://hooks.example.com/%7Bid%7D%7C%5E", NO),
        (ORIGIN, "/%7Bid%7D%7C%5E", "https://hooks.example.com/{id}|^", OK),
        (ORIGIN, "/%7bid%7d%7c%5e", "https://hooks.example.com/{id}|^", NO),
        (ORIGIN, "/%22%3C%3E%5B%5C%5D%60", "https://hooks.example.com/\"<>[\\]`", OK),
        // A space is none, nor a control character, nor more than ASCII.
        (ORIGIN, "/a%20b", "https://hooks.example.com/a%20b", OK),
        (ORIGIN, "/a%20b", "https://hooks.example.com/a b", NO),
        (ORIGIN, "/a%09b", "https://hooks.example.com/a\tb", NO),
        (ORIGIN, "/webhooks", "https://hooks.example.com/webhooks\n", NO),
        (ORIGIN, "/webhooks", "https://hooks.example.com/web\nhooks", NO),
        (ORIGIN, "/webhooks", "https://hooks.example.com/webhooks\0", NO),
        (ORIGIN, "/webhooks", " https://hooks.example.com/webhooks", NO),
        (ORIGIN, "/webhooks", "https://hooks.example.com/webhooks ", NO),
        (ORIGIN, "/webhooks", "https:// hooks.example.com/webhooks", NO),
        (ORIGIN, "/%C3%A9", "https://hooks.example.com/\u{e9}", NO),
        (ORIGIN, "/\u{e9}", "https://hooks.example.com/%C3%A9", NO),
        (ORIGIN, "/\u{e9}", "https://hooks.example.com/\u{e9}", NO),
        // Broken on both sides is still broken.
        (ORIGIN, "/%", "https://hooks.example.com/%", NO),
        (ORIGIN, "/%4", "https://hooks.example.com/%4", NO),
        (ORIGIN, "/%zz", "https://hooks.example.com/%zz", NO),
        (ORIGIN, "/%4g", "https://hooks.example.com/%4g", NO),
        (ORIGIN, "/%-1", "https://hooks.example.com/%-1", NO),
        (ORIGIN, "/%+1", "https://hooks.example.com/%+1", NO),
        (ORIGIN, "/a", "https://hooks.example.com/a%", NO),
    ])
    .await;
}

#[tokio::test]
async fn no_reserved_character_is_the_same_encoded() {
    let tenant = FakeTenant::new(DOMAIN);
    let layer = layer(&tenant, ORIGIN);
    for character in "!$&'()*+,;=:@".chars() {
        let plain = format!("/a{character}b");
        let encoded = format!("/a%{:02X}b", u32::from(character));
        for (path, named, code) in [
            (&plain, &plain, OK),
            (&encoded, &encoded, OK),
            (&plain, &encoded, NO),
            (&encoded, &plain, NO),
        ] {
            let delivery = delivery(&tenant, ORIGIN, &format!("{ORIGIN}{named}"));
            let outcome = call(&layer, &delivery, path).await;
            outcome.expect_token(code, (path, named));
        }
    }
}

#[tokio::test]
#[rustfmt::skip]
async fn dot_segments_and_empty_ones() {
    check(&[
        // ConductorOne sends none, and a router may make of them what it likes.
        (ORIGIN, "/grants/../tests", "https://hooks.example.com/tests", NO),
        (ORIGIN, "/grants/../tests", "https://hooks.example.com/grants/../tests", NO),
        (ORIGIN, "/grants/%2e%2e/tests", "https://hooks.example.com/tests", NO),
        (ORIGIN, "/grants/%2e%2e/tests", "https://hooks.example.com/grants/%2e%2e/tests", NO),
        (ORIGIN, "/tests/.", "https://hooks.example.com/tests/.", NO),
        (ORIGIN, "/tests/%2E", "https://hooks.example.com/tests/%2E", NO),
        (ORIGIN, "/a/./b/../c", "https://hooks.example.com/a/c", NO),
        (ORIGIN, "/a/b/../../../c", "https://hooks.example.com/c", NO),
        (ORIGIN, "/../../c", "https://hooks.example.com/c", NO),
        (ORIGIN, "/a/%2e%2E/c", "https://hooks.example.com/c", NO),
        (ORIGIN, "/a/%2e/c", "https://hooks.example.com/a/c", NO),
        (ORIGIN, "/a/.%2e/c", "https://hooks.example.com/c", NO),
        // In htu they come to nothing.
        (ORIGIN, "/a/c", "https://hooks.example.com/a/./b/../c", OK),
        (ORIGIN, "/c", "https://hooks.example.com/a/%2E./c", OK),
        // One at the end leaves its slash (§5.2.4).
        (ORIGIN, "/a/", "https://hooks.example.com/a/.", OK),
        (ORIGIN, "/a", "https://hooks.example.com/a/.", NO),
        (ORIGIN, "/a/", "https://hooks.example.com/a/b/..", OK),
        (ORIGIN, "/a", "https://hooks.example.com/a/b/..", NO),
        (ORIGIN, "/a/", "https://hooks.example.com/a/b/../", OK),
        (ORIGIN, "/", "https://hooks.example.com/a/..", OK),
        (ORIGIN, "/a/b/..", "https://hooks.example.com/a/", NO),
        (ORIGIN, "/.", "https://hooks.example.com", NO),
        // None of them: three dots, dots in a name, an encoded slash.
        (ORIGIN, "/a/.../c", "https://hooks.example.com/c", NO),
        (ORIGIN, "/a/.../c", "https://hooks.example.com/a/.../c", OK),
        (ORIGIN, "/a/..b", "https://hooks.example.com/a/..b", OK),
        (ORIGIN, "/a/..;/c", "https://hooks.example.com/c", NO),
        (ORIGIN, "/a/..%2fc", "https://hooks.example.com/c", NO),
        (ORIGIN, "/a/..%2Fc", "https://hooks.example.com/a/..%2Fc", OK),
        (ORIGIN, "/a/%252e%252e/c", "https://hooks.example.com/c", NO),
        // An empty segment is a segment.
        (ORIGIN, "//webhooks", "https://hooks.example.com/webhooks", NO),
        (ORIGIN, "/webhooks", "https://hooks.example.com//webhooks", NO),
        (ORIGIN, "//webhooks", "https://hooks.example.com//webhooks", OK),
        (ORIGIN, "/a//b", "https://hooks.example.com/a/b", NO),
        (ORIGIN, "/a//b", "https://hooks.example.com/a//b", OK),
        (ORIGIN, "/a/b", "https://hooks.example.com/a//../b", OK),
        (ORIGIN, "//a", "https://hooks.example.com/..//a", OK),
        (ORIGIN, "//evil.example/webhooks", "https://evil.example/webhooks", NO),
        // A backslash is no slash.
        (ORIGIN, "/\\webhooks", "https://hooks.example.com/webhooks", NO),
        (ORIGIN, "/a\\b", "https://hooks.example.com/a/b", NO),
        (ORIGIN, "/a\\b", "https://hooks.example.com/a%5Cb", NO),
        (ORIGIN, "/a\\..\\b", "https://hooks.example.com/b", NO),
        (ORIGIN, "/a%5C..%5Cb", "https://hooks.example.com/b", NO),
    ])
    .await;
}

#[tokio::test]
#[rustfmt::skip]
async fn paths_and_prefixes() {
    let (prefix, slashed) = ("https://hooks.example.com/c1", "https://hooks.example.com/c1/");
    check(&[
        // Case counts, and so does a slash at the end.
        (ORIGIN, "/webhooks", "https://hooks.example.com/Webhooks", NO),
        (ORIGIN, "/webhooks", "https://hooks.example.com/webhooks/", NO),
        (ORIGIN, "/webhooks/", "https://hooks.example.com/webhooks", NO),
        (ORIGIN, "/webhooks/", "https://hooks.example.com/webhooks/", OK),
        (ORIGIN, "/webhooks", "https://hooks.example.com/webhooksx", NO),
        (ORIGIN, "/webhooks", "https://hooks.example.com/webhook", NO),
        (ORIGIN, "/webhooks", "https://hooks.example.com/webhooks/x", NO),
        (ORIGIN, "/webhooks", "https://hooks.example.com/x/webhooks", NO),
        // An empty path is that of the root (§6.2.3).
        (ORIGIN, "/", "https://hooks.example.com", OK),
        (ORIGIN, "/", "https://hooks.example.com/", OK),
        (ORIGIN, "/webhooks", "https://hooks.example.com", NO),
        (ORIGIN, "/", "https://hooks.example.com/webhooks", NO),
        // A slash at the end of the public URL does not count.
        ("https://hooks.example.com/", "/webhooks", "https://hooks.example.com/webhooks", OK),
        ("https://hooks.example.com/", "/", "https://hooks.example.com", OK),
        ("https://hooks.example.com/", "/webhooks", "https://hooks.example.com//webhooks", NO),
        // A prefix, which a proxy has taken off.
        (prefix, "/webhooks", "https://hooks.example.com/c1/webhooks", OK),
        (slashed, "/webhooks", "https://hooks.example.com/c1/webhooks", OK),
        (prefix, "/webhooks", "https://hooks.example.com/webhooks", NO),
        (prefix, "/c1/webhooks", "https://hooks.example.com/c1/webhooks", NO),
        (prefix, "/webhooks", "https://hooks.example.com/C1/webhooks", NO),
        (prefix, "/webhooks", "https://hooks.example.com/c1webhooks", NO),
        (prefix, "/", "https://hooks.example.com/c1/", OK),
        (prefix, "/", "https://hooks.example.com/c1", NO),
        ("https://hooks.example.com/a/b/c", "/d/e", "https://hooks.example.com/a/b/c/d/e", OK),
        ("https://hooks.example.com/%7Ec1", "/webhooks", "https://hooks.example.com/~c1/webhooks", OK),
        ("https://hooks.example.com/x/../c1/.", "/webhooks", "https://hooks.example.com/c1/webhooks", OK),
        // Dots in the request's path do not reach into the prefix.
        (prefix, "/../webhooks", "https://hooks.example.com/webhooks", NO),
        (prefix, "/../webhooks", "https://hooks.example.com/c1/../webhooks", NO),
        (prefix, "/%2e%2e/webhooks", "https://hooks.example.com/webhooks", NO),
        (prefix, "/../../x/../webhooks", "https://hooks.example.com/c1/webhooks", NO),
        // What is spelled oddly has to be signed so, whatever the prefix.
        (prefix, "/%77ebhooks", "https://hooks.example.com/c1/%77ebhooks", OK),
        (prefix, "/%77ebhooks", "https://hooks.example.com/%631/%77ebhooks?a", OK),
        (prefix, "/%77ebhooks", "https://hooks.example.com/c1/webhooks", NO),
    ])
    .await;
}

#[tokio::test]
#[rustfmt::skip]
async fn query_and_fragment_do_not_count() {
    check(&[
        (ORIGIN, "/webhooks?source=c1", "https://hooks.example.com/webhooks", OK),
        (ORIGIN, "/webhooks?source=c1", "https://hooks.example.com/webhooks?source=c1", OK),
        (ORIGIN, "/webhooks", "https://hooks.example.com/webhooks?a=b#c", OK),
        (ORIGIN, "/webhooks", "https://hooks.example.com/webhooks#c?a=b", OK),
        (ORIGIN, "/webhooks", "https://hooks.example.com/webhooks?", OK),
        (ORIGIN, "/webhooks?", "https://hooks.example.com/webhooks#", OK),
        (ORIGIN, "/webhooks", "https://hooks.example.com/webhooks?%zz", OK),
        (ORIGIN, "/webhooks", "https://hooks.example.com/webhooks?a@b:c//../d", OK),
        (ORIGIN, "/", "https://hooks.example.com?a", OK),
        (ORIGIN, "/", "https://hooks.example.com#a", OK),
        (ORIGIN, "/?/webhooks", "https://hooks.example.com/webhooks", NO),
        (ORIGIN, "/webhooks", "https://hooks.example.com?/webhooks", NO),
        (ORIGIN, "/webhooks", "https://hooks.example.com#/webhooks", NO),
        (ORIGIN, "/webhooks", "https://evil.example?hooks.example.com/webhooks", NO),
        (ORIGIN, "/webhooks", "https://evil.example#@hooks.example.com/webhooks", NO),
    ])
    .await;
}

#[tokio::test]
#[rustfmt::skip]
async fn htu_is_an_absolute_http_url_without_userinfo() {
    check(&[
        (ORIGIN, "/webhooks", "https://user@hooks.example.com/webhooks", NO),
        (ORIGIN, "/webhooks", "https://user:password@hooks.example.com/webhooks", NO),
        (ORIGIN, "/webhooks", "https://@hooks.example.com/webhooks", NO),
        (ORIGIN, "/webhooks", "https://:@hooks.example.com/webhooks", NO),
        (ORIGIN, "/webhooks", "https://hooks.example.com@evil.example/webhooks", NO),
        (ORIGIN, "/webhooks", "https://hooks.example.com:443@evil.example/webhooks", NO),
        (ORIGIN, "/webhooks", "https://evil.example\\@hooks.example.com/webhooks", NO),
        (ORIGIN, "/webhooks", "https://hooks.example.com\\webhooks", NO),
        (ORIGIN, "/webhooks", "/webhooks", NO),
        (ORIGIN, "/webhooks", "webhooks", NO),
        (ORIGIN, "/webhooks", "//hooks.example.com/webhooks", NO),
        (ORIGIN, "/webhooks", "hooks.example.com/webhooks", NO),
        (ORIGIN, "/webhooks", "https:/hooks.example.com/webhooks", NO),
        (ORIGIN, "/webhooks", "https:hooks.example.com/webhooks", NO),
        (ORIGIN, "/webhooks", "https:///hooks.example.com/webhooks", NO),
        (ORIGIN, "/webhooks", "https:\\\\hooks.example.com/webhooks", NO),
        (ORIGIN, "/webhooks", "https://:443/webhooks", NO),
        (ORIGIN, "/webhooks", "https://", NO),
        (ORIGIN, "/webhooks", "https:", NO),
        (ORIGIN, "/webhooks", "://hooks.example.com/webhooks", NO),
        (ORIGIN, "/webhooks", "wss://hooks.example.com/webhooks", NO),
        (ORIGIN, "/webhooks", "ftp://hooks.example.com/webhooks", NO),
        (ORIGIN, "/webhooks", "httpss://hooks.example.com/webhooks", NO),
        (ORIGIN, "/webhooks", "view-source:https://hooks.example.com/webhooks", NO),
        (ORIGIN, "/webhooks", "urn:example:webhooks", NO),
        (ORIGIN, "/webhooks", "mailto:hooks@example.com", NO),
        (ORIGIN, "/webhooks", "null", NO),
        (ORIGIN, "/webhooks", "*", NO),
        (ORIGIN, "*", "https://hooks.example.com/", NO),
        (ORIGIN, "*", "https://hooks.example.com*", NO),
    ])
    .await;
}

#[tokio::test]
async fn the_host_of_the_request_does_not_count() {
    let tenant = FakeTenant::new(DOMAIN);
    let layer = layer(&tenant, ORIGIN);
    let good = || delivery(&tenant, ORIGIN, "https://hooks.example.com/webhooks");
    // A server behind a proxy, HTTP/2, and a request in absolute form.
    let inside = "http://10.0.0.7:3000/webhooks";
    let request = good().http_header("host", "10.0.0.7:3000");
    call(&layer, &request, inside).await.expect_token(OK, "");
    // It does not help either.
    let other = delivery(&tenant, ORIGIN, "https://evil.example/webhooks");
    for name in ["host", "x-forwarded-host", "forwarded", "x-original-url"] {
        let other = other.clone().http_header(name, "evil.example");
        let outcome = call(&layer, &other, "https://evil.example/webhooks").await;
        outcome.expect_token(NO, name);
    }
}

#[tokio::test]
async fn a_very_long_path_is_just_a_path() {
    let tenant = FakeTenant::new(DOMAIN);
    let layer = builder(&tenant)
        .max_token_bytes(1 << 20)
        .build()
        .expect("a good configuration");
    for (segment, code) in [
        ("x", OK),
        ("%7E", OK),
        ("/", OK),
        ("a/../", NO),
        ("%2e%2e/", NO),
        (".", OK),
    ] {
        let path = format!("/{}", segment.repeat(60_000 / segment.len()));
        let htu = format!("{ORIGIN}{path}");
        let outcome = call(&layer, &delivery(&tenant, ORIGIN, &htu), &path).await;
        outcome.expect_token(code, segment);
        let htu = format!("{htu}x");
        let outcome = call(&layer, &delivery(&tenant, ORIGIN, &htu), &path).await;
        outcome.expect_token(NO, segment);
    }
}

/// The log says what was expected and what came, and asks the right question.
#[tokio::test]
async fn the_reason_names_both_urls() {
    let tenant = FakeTenant::new(DOMAIN);
    let layer = layer(&tenant, "https://hooks.example.com/c1");
    let delivery = delivery(&tenant, ORIGIN, "https://hooks.example.com/webhooks");
    let reason = call(&layer, &delivery, "/webhooks").await.reason();
    for part in [
        "https://hooks.example.com/webhooks",
        "https://hooks.example.com/c1/webhooks",
        "is the public URL right?",
    ] {
        assert!(reason.contains(part), "{reason}");
    }
}

#[tokio::test]
async fn the_reason_says_what_is_wrong_with_the_path() {
    let tenant = FakeTenant::new(DOMAIN);
    let layer = layer(&tenant, ORIGIN);
    let delivery = delivery(&tenant, ORIGIN, "https://hooks.example.com/tests");
    for (path, what) in [
        ("/grants/../tests", "dot segments"),
        ("/grants/%2e%2E/tests", "dot segments"),
        ("/%74ests", "encodes differently"),
    ] {
        let outcome = call(&layer, &delivery, path).await;
        outcome.expect_token(NO, path);
        let reason = outcome.reason();
        assert!(reason.contains(what) && reason.contains(path), "{reason}");
    }
}

/// What a wildcard takes is what the token names, however the path is written.
#[tokio::test]
async fn a_token_for_one_route_reaches_no_other() {
    let tenant = FakeTenant::new(DOMAIN);
    let app = Router::new()
        .route("/tests", post(async || "tests"))
        .route("/grants/{*rest}", post(async || "grants"))
        .route("/{any}", post(async || "any"))
        .layer(layer(&tenant, ORIGIN));
    let delivery = delivery(&tenant, ORIGIN, "https://hooks.example.com/tests");
    for (path, status) in [
        ("/tests", StatusCode::OK),
        ("/grants/../tests", StatusCode::UNAUTHORIZED),
        ("/grants/%2e%2e/tests", StatusCode::UNAUTHORIZED),
        ("/grants/%2E./tests", StatusCode::UNAUTHORIZED),
        ("/./tests", StatusCode::UNAUTHORIZED),
        ("/%74ests", StatusCode::UNAUTHORIZED),
        ("/test%73", StatusCode::UNAUTHORIZED),
    ] {
        let mut request: Request = delivery.request().map(Body::new);
        *request.uri_mut() = path.parse().expect("a URI");
        let response = app.clone().oneshot(request).await.expect("infallible");
        assert_eq!(response.status(), status, "{path}");
    }
}

#[tokio::test]
async fn the_reason_names_what_is_wrong_with_an_htu() {
    let tenant = FakeTenant::new(DOMAIN);
    let layer = layer(&tenant, ORIGIN);
    for (htu, what) in [
        ("/webhooks", "not an absolute http or https URL"),
        (
            "ftp://hooks.example.com/webhooks",
            "not an absolute http or https URL",
        ),
        (
            "https://u:p@hooks.example.com/webhooks",
            "user name or password",
        ),
        ("https:///webhooks", "no host"),
        ("https://:443/webhooks", "no host"),
        ("https://hooks example.com/webhooks", "invalid host or port"),
        (
            "https://evil\\hooks.example.com/webhooks",
            "invalid host or port",
        ),
        ("https://[::1/webhooks", "invalid host or port"),
        (
            "https://hooks.example.com:1x/webhooks",
            "invalid host or port",
        ),
        ("https://hooks.example.com/%", "invalid path"),
        ("https://hooks.example.com/a b", "invalid path"),
    ] {
        let delivery = delivery(&tenant, ORIGIN, htu);
        let outcome = call(&layer, &delivery, "/webhooks").await;
        outcome.expect_token(NO, htu);
        let reason = outcome.reason();
        assert!(reason.contains(what), "{reason}");
    }
}

/// Where the layer stands among nested routers, and what htu it takes there.
mod nested_axum_routers {
    use super::*;

    const PATH: &str = "/api/v1/webhooks";
    const HTU: &str = "https://hooks.example.com/api/v1/webhooks";

    fn handler() -> MethodRouter {
        post(async |webhook: Webhook| webhook.claims().target().to_owned())
    }

    async fn call(app: Router, tenant: &FakeTenant, path: &str, htu: &str) -> String {
        let request = super::delivery(tenant, ORIGIN, htu).request();
        let mut request: Request = request.map(Body::new);
        *request.uri_mut() = path.parse().expect("a URI");
        let response = app.oneshot(request).await.expect("infallible");
        match response.extensions().get::<Rejection>() {
            Some(rejection) => rejection.code().to_owned(),
            None if response.status() == StatusCode::OK => OK.to_owned(),
            None => response.status().to_string(),
        }
    }

    /// What the path is below `/api` and `/v1`, if the router says.
    fn arrangements(tenant: &FakeTenant) -> Vec<(&'static str, Router)> {
        let layer = || layer(tenant, ORIGIN);
        let webhooks = || Router::new().route("/webhooks", handler());
        let nest = |router: Router| Router::new().nest("/api", Router::new().nest("/v1", router));
        vec![
            (
                "not nested",
                Router::new().route(PATH, handler()).layer(layer()),
            ),
            ("layer outside", nest(webhooks()).layer(layer())),
            ("layer inside", nest(webhooks().layer(layer()))),
            (
                "layer in the middle",
                Router::new().nest("/api", Router::new().nest("/v1", webhooks()).layer(layer())),
            ),
            (
                "a layer on the routes",
                nest(webhooks().route_layer(layer())),
            ),
            (
                "a layer on the method router",
                nest(Router::new().route("/webhooks", handler().layer(layer()))),
            ),
            (
                "a layer around a router that is nested as a service",
                Router::new()
                    .nest_service("/api", layer().layer(Router::new().nest("/v1", webhooks()))),
            ),
            (
                "a layer around a service at a route",
                nest(Router::new().route_service("/webhooks", layer().layer(handler()))),
            ),
            (
                "a layer around all",
                Router::new().fallback_service(layer().layer(nest(webhooks()))),
            ),
            (
                "a prefix with a parameter",
                Router::new().nest(
                    "/{api}",
                    Router::new().nest("/{v}", webhooks().layer(layer())),
                ),
            ),
            (
                "a fallback",
                Router::new().nest("/api", Router::new().fallback(handler()).layer(layer())),
            ),
        ]
    }

    #[tokio::test]
    async fn the_whole_path_counts_wherever_the_layer_is() {
        let tenant = FakeTenant::new(DOMAIN);
        for (arrangement, app) in arrangements(&tenant) {
            for (htu, code) in [
                (HTU, OK),
                ("https://hooks.example.com/api/v1/webhooks?x", OK),
                ("https://hooks.example.com/api/v1/%77ebhooks", OK),
                // What is left of the path inside is not what was called.
                ("https://hooks.example.com/webhooks", NO),
                ("https://hooks.example.com/v1/webhooks", NO),
                ("https://hooks.example.com/api/webhooks", NO),
                ("https://hooks.example.com/api/v1/api/v1/webhooks", NO),
                ("https://hooks.example.com/api/v1", NO),
                ("https://hooks.example.com/", NO),
            ] {
                for path in [PATH, "/api/v1/webhooks?source=c1"] {
                    let came = call(app.clone(), &tenant, path, htu).await;
                    assert_eq!(came, code, "{arrangement}: {path} {htu}");
                }
            }
        }
    }

    #[tokio::test]
    async fn a_prefix_of_the_public_url_comes_before_the_whole_path() {
        let tenant = FakeTenant::new(DOMAIN);
        let inner = Router::new().route("/webhooks", handler());
        let inner = inner.layer(layer(&tenant, "https://hooks.example.com/c1/"));
        let app = Router::new().nest("/api", inner);
        for (htu, code) in [
            ("https://hooks.example.com/c1/api/webhooks", OK),
            ("https://hooks.example.com/api/webhooks", NO),
            ("https://hooks.example.com/c1/webhooks", NO),
        ] {
            let came = call(app.clone(), &tenant, "/api/webhooks", htu).await;
            assert_eq!(came, code, "{htu}");
        }
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime")
}

/// One character of a path, as it is in normal form.
fn character() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => "[A-Za-z0-9._~-]",
        2 => select(vec!["!", "$", "&", "'", "(", ")", "*", "+", ",", ";", "=", ":", "@"])
            .prop_map(str::to_owned),
        1 => select(vec!["%2F", "%3F", "%20", "%C3%A9", "%00", "%25", "%7B"])
            .prop_map(str::to_owned),
    ]
}

/// A segment in normal form: no dot segment.
fn segment() -> impl Strategy<Value = Vec<String>> {
    vec(character(), 0..6).prop_filter("a dot segment", |segment| {
        !matches!(segment.concat().as_str(), "." | "..")
    })
}

fn path_of(segments: &[Vec<String>]) -> String {
    let segments: Vec<_> = segments.iter().map(|segment| segment.concat()).collect();
    format!("/{}", segments.join("/"))
}

/// How the parts of a URL are written otherwise: a choice for each of them,
/// taken in turn.
fn rewritten(segments: &[Vec<String>], choices: &[u8]) -> String {
    let mut choices = choices.iter().copied().cycle();
    let mut choose = move |of: u8| choices.next().unwrap_or_default() % of;
    let mut url = String::new();
    for c in "https://hooks.example.com".chars() {
        url.extend(match choose(2) {
            0 => c.to_uppercase().collect::<Vec<_>>(),
            _ => vec![c],
        });
    }
    url.push_str(["", ":443", ":", ":0443"][usize::from(choose(4))]);
    for segment in segments {
        // Only dot segments before it: they come to nothing.
        url.push_str(["", "/.", "/x/..", "/%2E", "/y/%2e%2E"][usize::from(choose(5))]);
        url.push('/');
        for character in segment {
            let byte = character.as_bytes()[0];
            let unreserved = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
            match choose(3) {
                0 if unreserved => write!(url, "%{byte:02X}").expect("a String"),
                1 if unreserved => write!(url, "%{byte:02x}").expect("a String"),
                // Of the others, only the digits of encodings have a case.
                0 if !unreserved => url.push_str(&character.to_lowercase()),
                _ => url.push_str(character),
            }
        }
    }
    url.push_str(["", "?", "?a=b", "#c"][usize::from(choose(4))]);
    url
}

#[test]
fn a_url_written_otherwise_passes_where_no_router_could_mistake_it() {
    let tenant = FakeTenant::new(DOMAIN);
    let layer = layer(&tenant, ORIGIN);
    let runtime = runtime();
    let config = ProptestConfig::with_cases(1000);
    let segments = || vec(segment(), 1..4);
    // The path that is called, the one in htu (the same in every other case),
    // and how the two are written.
    let strategy = (
        segments(),
        prop_oneof![Just(None), segments().prop_map(Some)],
        vec(any::<u8>(), 1..60),
        vec(any::<u8>(), 1..60),
    );
    proptest!(config, |((called, other, one, two) in strategy)| {
        let named = other.as_ref().unwrap_or(&called);
        let (plain, path) = (format!("{ORIGIN}{}", path_of(named)), path_of(&called));
        let same = path_of(named) == path;
        let htu = rewritten(named, &one);
        let url = rewritten(&called, &two);
        let (_, target) = url.split_at(url[8..].find('/').expect("a path") + 8);
        // The URL that was called is always the same as itself.
        for (htu, path, same) in [
            (&plain, &*path, same),
            (&htu, &*path, same),
            (&plain, target, same),
            (&htu, target, same),
            (&url, target, true),
        ] {
            // The path has to be in normal form, or signed as it is; and without
            // dot segments.
            let asked = path.split(['?', '#']).next().expect("a part");
            let signed = htu.split(['?', '#']).next().expect("a part");
            let has_dots = asked.split('/').any(|segment| {
                let segment = segment.to_lowercase().replace("%2e", ".");
                matches!(&*segment, "." | "..")
            });
            let spelled = asked == path_of(&called) || signed.ends_with(asked);
            let expected = if same && spelled && !has_dots { OK } else { NO };
            let delivery = delivery(&tenant, ORIGIN, htu);
            let outcome = runtime.block_on(call(&layer, &delivery, path));
            prop_assert_eq!(outcome.code(), expected, "{} {}", htu, path);
        }
    });
}

#[test]
fn a_change_of_one_character_is_another_url() {
    let tenant = FakeTenant::new(DOMAIN);
    let layer = layer(&tenant, ORIGIN);
    let runtime = runtime();
    let config = ProptestConfig::with_cases(1000);
    let strategy = (
        vec("[a-zA-Z0-9]{1,6}", 1..4),
        any::<prop::sample::Index>(),
        "[a-zA-Z0-9._~!:/%-]",
    );
    proptest!(config, |((segments, index, character) in strategy)| {
        let path = format!("/{}", segments.join("/"));
        let htu = format!("{ORIGIN}{path}");
        // Anywhere behind the scheme.
        let at = 8 + index.index(htu.len() - 8);
        let changed = format!("{}{character}{}", &htu[..at], &htu[at + 1..]);
        let same_host = changed[..ORIGIN.len()].eq_ignore_ascii_case(ORIGIN);
        let same = same_host && changed[ORIGIN.len()..] == path;
        let delivery = delivery(&tenant, ORIGIN, &changed);
        let outcome = runtime.block_on(call(&layer, &delivery, &path));
        prop_assert_eq!(outcome.code(), if same { OK } else { NO }, "{}", changed);
    });
}

#[test]
fn random_text_is_refused_without_a_panic() {
    let tenant = FakeTenant::new(DOMAIN);
    let layer = layer(&tenant, ORIGIN);
    let runtime = runtime();
    let config = ProptestConfig::with_cases(1000);
    let text = || {
        prop_oneof![
            any::<String>(),
            "(https?)?:?/{0,3}[a-z@:.%\\[\\]0-9é]{0,20}[/.%a-f0-9?#@:\\\\ ]{0,20}",
        ]
    };
    let path = "/[!-~é]{0,20}".prop_filter("a URI", |path| path.parse::<Uri>().is_ok());
    proptest!(config, |(htu in text(), public_url in text(), path in path)| {
        let delivery = delivery(&tenant, ORIGIN, &htu);
        let outcome = runtime.block_on(call(&layer, &delivery, &path));
        prop_assert_eq!(outcome.code(), NO);
        // The same for a public URL, which is either good or an error.
        let layer = builder(&tenant).public_url(&public_url).build();
        prop_assert!(layer.is_err() || public_url.to_lowercase().starts_with("https://"));
        if let Ok(layer) = layer {
            let outcome = runtime.block_on(call(&layer, &delivery, &path));
            prop_assert!(outcome.handled.is_none());
        }
    });
}

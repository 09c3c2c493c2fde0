//! Genuine requests with a changed method or changed headers.

use http::Method;

use super::super::shot::{Attack, Shot, refused, survived};

pub(super) const ATTACKS: &[Attack] = &[
    refused(
        "method_get",
        "the method is GET, also in the token",
        |forge| forge.genuine().method(Method::GET).into(),
    ),
    refused(
        "method_put",
        "the method is PUT, also in the token",
        |forge| forge.genuine().method(Method::PUT).into(),
    ),
    refused(
        "method_delete",
        "the method is DELETE, also in the token",
        |forge| forge.genuine().method(Method::DELETE).into(),
    ),
    refused(
        "method_swapped",
        "the method is PUT, and POST in the token",
        |forge| {
            forge
                .genuine()
                .method(Method::PUT)
                .claim("htm", "POST".into())
                .into()
        },
    ),
    refused(
        "content_type_missing",
        "there is no content type",
        |forge| forge.genuine().without_http_header("content-type").into(),
    ),
    refused(
        "content_type_text",
        "the content type is text/plain, which browsers send across origins",
        |forge| {
            forge
                .genuine()
                .http_header("content-type", "text/plain")
                .into()
        },
    ),
    refused(
        "content_type_form",
        "the content type is that of a form",
        |forge| {
            forge
                .genuine()
                .http_header("content-type", "application/x-www-form-urlencoded")
                .into()
        },
    ),
    refused(
        "content_type_similar",
        "the content type only begins with application/json",
        |forge| {
            forge
                .genuine()
                .http_header("content-type", "application/json-seq")
                .into()
        },
    ),
    refused(
        "content_type_twice",
        "there are two content types",
        |forge| Shot::from(forge.genuine()).and_header("content-type", "text/plain"),
    ),
    refused(
        "content_coding_gzip",
        "the content coding is gzip",
        |forge| {
            forge
                .genuine()
                .http_header("content-encoding", "gzip")
                .into()
        },
    ),
    refused(
        "content_coding_several",
        "the content codings are identity and br",
        |forge| {
            forge
                .genuine()
                .http_header("content-encoding", "identity, br")
                .into()
        },
    ),
    refused(
        "header_of_another_event",
        "Webhook-Event contradicts the body",
        |forge| {
            forge
                .genuine()
                .http_header("webhook-event", "c1.webhooks.v1.PayloadProvisionStep")
                .into()
        },
    ),
    refused(
        "header_of_another_webhook",
        "Webhook-Id contradicts the body",
        |forge| forge.genuine().http_header("webhook-id", "another").into(),
    ),
    refused(
        "header_of_another_version",
        "Webhook-Version contradicts the body",
        |forge| forge.genuine().http_header("webhook-version", "v2").into(),
    ),
    refused(
        "header_of_another_callback",
        "Webhook-Callback-Url contradicts the body",
        |forge| {
            forge
                .genuine()
                .http_header("webhook-callback-url", "https://attacker.example/")
                .into()
        },
    ),
    refused(
        "header_of_two_events",
        "a second Webhook-Event contradicts the body",
        |forge| {
            Shot::from(forge.genuine())
                .and_header("webhook-event", "c1.webhooks.v1.PayloadProvisionStep")
        },
    ),
    refused(
        "header_not_ascii",
        "Webhook-Id has bytes that are not ASCII",
        |forge| {
            forge
                .genuine()
                .http_header("webhook-id", &b"\xff\xfe"[..])
                .into()
        },
    ),
    survived("header_huge", "an unknown header has 32 KiB", |forge| {
        forge
            .genuine()
            .http_header("x-filler", "x".repeat(32 * 1024))
            .into()
    }),
    survived("headers_many", "there are 80 unknown headers", |forge| {
        (0..80)
            .fold(forge.genuine(), |delivery, index| {
                delivery.http_header(&format!("x-filler-{index}"), "x")
            })
            .into()
    }),
];

//! Bodies that the token does not sign, and signed bodies that are not a webhook.

use serde_json::{Value, json};

use super::super::shot::{Attack, Framing, Shot, refused, survived};

pub(super) const ATTACKS: &[Attack] = &[
    refused(
        "body_byte_changed",
        "one byte of the body was changed on the way",
        |forge| forge.tampered(|body| body.replacen("v1", "v2", 1)).into(),
    ),
    refused(
        "body_with_line_feed",
        "a line feed was added to the body on the way",
        |forge| forge.tampered(|body| body + "\n").into(),
    ),
    refused(
        "body_written_again",
        "the body was parsed and rewritten on the way",
        |forge| {
            forge
                .tampered(|body| {
                    let body: Value = serde_json::from_str(&body).unwrap_or_default();
                    format!("{body:#}")
                })
                .into()
        },
    ),
    refused(
        "body_cut_short",
        "the body lost its last byte on the way",
        |forge| {
            forge
                .tampered(|mut body| {
                    body.pop();
                    body
                })
                .into()
        },
    ),
    refused("body_twice", "the body was doubled on the way", |forge| {
        forge.tampered(|body| body.repeat(2)).into()
    }),
    refused("body_removed", "the body was removed on the way", |forge| {
        forge.tampered(|_| String::new()).into()
    }),
    refused(
        "body_of_another_delivery",
        "the body is another genuine delivery's",
        |forge| {
            let other = forge.genuine();
            let token = forge.genuine().token_string();
            other.token(token).into()
        },
    ),
    refused(
        "body_with_another_digest",
        "the body and its Content-Digest were changed alike",
        |forge| {
            forge
                .tampered(|body| body.replacen("PayloadTest", "PayloadWorkflowStep", 2))
                .into()
        },
    ),
    refused(
        "content_digest_contradicts",
        "Content-Digest is another body's",
        |forge| {
            let other = "sha-256=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
            forge.genuine().http_header("content-digest", other).into()
        },
    ),
    refused(
        "content_digest_contradicts_in_rfc_9530",
        "Content-Digest, in the form of RFC 9530, is another body's",
        |forge| {
            let other = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";
            forge.genuine().http_header("content-digest", other).into()
        },
    ),
    refused(
        "content_digest_garbled",
        "Content-Digest has an invalid SHA-256",
        |forge| {
            forge
                .genuine()
                .http_header("content-digest", "sha-256=:???:")
                .into()
        },
    ),
    refused(
        "content_digest_twice",
        "a second Content-Digest is another body's",
        |forge| {
            let other = "sha-256=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
            Shot::from(forge.genuine()).and_header("content-digest", other)
        },
    ),
    refused(
        "signed_body_empty",
        "the tenant has signed an empty body",
        |forge| forge.genuine().body("").into(),
    ),
    refused(
        "signed_body_not_json",
        "the tenant has signed a body that is not JSON",
        |forge| forge.genuine().body("version=v1&event=test").into(),
    ),
    refused(
        "signed_body_not_utf8",
        "the tenant has signed a body that is not UTF-8",
        |forge| {
            let delivery = forge.genuine();
            let mut body = delivery.envelope().to_string().into_bytes();
            let end = body.len() - 1;
            body.splice(end..end, *b",\"x\":\"\xff\"");
            delivery.body(body).into()
        },
    ),
    refused(
        "signed_body_with_bom",
        "the tenant has signed a body that begins with a byte order mark",
        |forge| forge.body(|body| format!("\u{feff}{body}")).into(),
    ),
    refused(
        "signed_body_of_an_array",
        "the tenant has signed an array",
        |forge| forge.body(|body| format!("[{body}]")).into(),
    ),
    refused(
        "signed_body_twice",
        "the tenant has signed two envelopes",
        |forge| forge.body(|body| body.repeat(2)).into(),
    ),
    refused("version_2", "the envelope's version is v2", |forge| {
        let delivery = forge.body(|body| body.replacen(r#""v1""#, r#""v2""#, 1));
        delivery.http_header("webhook-version", "v2").into()
    }),
    refused("version_missing", "the envelope has no version", |forge| {
        forge
            .body(|body| body.replacen(r#""version""#, r#""x""#, 1))
            .into()
    }),
    refused("event_missing", "the envelope has no event", |forge| {
        forge
            .body(|body| body.replacen(r#""event""#, r#""x""#, 1))
            .into()
    }),
    refused(
        "webhook_id_missing",
        "the envelope has no webhookId",
        |forge| {
            forge
                .body(|body| body.replacen(r#""webhookId""#, r#""x""#, 1))
                .into()
        },
    ),
    refused(
        "webhook_id_of_wrong_type",
        "the envelope's webhookId is a number",
        |forge| {
            let mut envelope = forge.genuine().envelope();
            envelope["webhookId"] = json!(7);
            forge
                .genuine()
                .body(envelope.to_string())
                .without_http_header("webhook-id")
                .into()
        },
    ),
    refused("event_twice", "the envelope has event twice", |forge| {
        forge
            .body(|body| {
                body.replacen('{', r#"{"event":"c1.webhooks.v1.PayloadProvisionStep","#, 1)
            })
            .into()
    }),
    refused(
        "webhook_id_twice",
        "the envelope has webhookId twice",
        |forge| {
            forge
                .body(|body| body.replacen('{', r#"{"webhookId":"another","#, 1))
                .into()
        },
    ),
    survived(
        "payload_deeply_nested",
        "the payload has 100,000 nested arrays",
        |forge| {
            let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
            forge
                .body(|body| {
                    body.replacen(
                        r#""payload":{"#,
                        &format!(r#""payload":{{"deep":{deep},"#),
                        1,
                    )
                })
                .into()
        },
    ),
    survived("payload_of_wrong_type", "the payload is a text", |forge| {
        forge.genuine().payload(json!("text")).into()
    }),
    survived(
        "payload_of_many_members",
        "the payload has 5,000 members",
        |forge| {
            let mut payload: serde_json::Map<_, _> = (0..5_000)
                .map(|index| (format!("member{index}"), json!(index)))
                .collect();
            payload.insert(
                "@type".into(),
                json!("type.googleapis.com/c1.webhooks.v1.PayloadTest"),
            );
            forge.genuine().payload(payload.into()).into()
        },
    ),
    survived("event_unknown", "the event is unknown", |forge| {
        forge
            .tenant
            .delivery("c1.webhooks.v1.PayloadLater")
            .to(forge.target())
            .issued_at(forge.now)
            .into()
    }),
    refused(
        "body_over_the_limit",
        "the body is one byte longer than the limit",
        |forge| Shot::from(forge.over_limit()).too_long(),
    ),
    refused(
        "body_over_the_limit_in_chunks",
        "the body, in chunks, is one byte longer than the limit",
        |forge| {
            Shot::from(forge.over_limit())
                .too_long()
                .framed(Framing::Chunked)
        },
    ),
    refused(
        "body_that_stops",
        "the body stops before its declared length, and the connection stays open",
        |forge| Shot::from(forge.genuine()).framed(Framing::Stalled),
    ),
];

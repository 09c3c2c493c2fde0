//! The envelope: what is read of a body whose bytes are proven, and what of it
//! cannot do harm.

use std::fmt::Write as _;

use http::{HeaderValue, Request};
use http_body_util::Full;
use serde::Deserialize;
use serde_json::{Value, json};
use support::{DOMAIN, Outcome, TEST_EVENT, now, receiver, send};
use tower_conductorone::Webhook;
use tower_conductorone::testing::{Delivery, FakeTenant};

/// A good delivery with the ids that [`envelope`] has; nothing but the body
/// says them.
fn delivery(tenant: &FakeTenant, body: impl Into<Vec<u8>>) -> Delivery {
    let headers = ["version", "id", "event", "callback-url"];
    headers.iter().fold(
        tenant
            .delivery(TEST_EVENT)
            .issued_at(now())
            .body(body.into()),
        |delivery, name| delivery.without_http_header(&format!("webhook-{name}")),
    )
}

/// A good envelope with this text in place of a member, or (if it has no such
/// member) as a member more.
fn envelope(changes: &[(&str, &str)]) -> String {
    let mut members = vec![
        ("version", r#""v1""#),
        ("webhookId", r#""2fCjgK8tYJxV9u8d1wupBMeXZ45""#),
        (
            "callbackUrl",
            r#""https://example.conductor.one/callback/t0ken""#,
        ),
        ("event", r#""c1.webhooks.v1.PayloadTest""#),
        ("payload", r#"{"a":1}"#),
    ];
    for (name, value) in changes {
        match members.iter_mut().find(|(known, _)| known == name) {
            Some(member) => member.1 = value,
            None => members.push((name, value)),
        }
    }
    let members: Vec<_> = members
        .iter()
        .filter(|(_, value)| *value != "ABSENT")
        .map(|(name, value)| format!("{name:?}:{value}"))
        .collect();
    format!("{{{}}}", members.join(","))
}

async fn sent(body: impl Into<Vec<u8>>) -> Outcome {
    let tenant = FakeTenant::new(DOMAIN);
    send(&receiver(&tenant), delivery(&tenant, body).request()).await
}

#[track_caller]
fn assert_code(outcome: &Outcome, code: &str, what: &str) {
    assert_eq!(outcome.code(), code, "{what}: {}", outcome.reason());
    if code == "accepted" {
        assert!(outcome.handled.is_some(), "{what}");
    } else {
        assert_eq!(outcome.status, 400, "{what}");
        assert_eq!(outcome.public_code(), code, "{what}");
        assert!(outcome.handled.is_none(), "{what}");
    }
}

const FINE: &str = "accepted";
const INVALID: &str = "invalid_envelope";
const VERSION: &str = "unsupported_version";

#[tokio::test]
async fn a_body_that_is_no_json_object_is_refused() {
    let good = envelope(&[]);
    let around = |before: &[u8], after: &[u8]| [before, good.as_bytes(), after].concat();
    let with = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replace(from, to).into_bytes()
    };
    let utf_16 = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let bodies = [
        b" ".to_vec(),
        b"null".to_vec(),
        b"true".to_vec(),
        b"1".to_vec(),
        b"\"v1\"".to_vec(),
        b"[]".to_vec(),
        b"{}".to_vec(),
        b"{".to_vec(),
        b"}".to_vec(),
        b"<html></html>".to_vec(),
        b"version=v1&event=x".to_vec(),
        // serde would take a struct's members in their order.
        br#"["v1","id","event",null,{}]"#.to_vec(),
        around(b"[", b"]"),
        around(b"\xef\xbb\xbf", b""),
        around(b"\x0c", b""),
        around(b"/**/", b""),
        around(b"", b"{}"),
        around(b"", b"x"),
        around(b"", b"\0"),
        good.as_bytes()[..good.len() - 1].to_vec(),
        with("\"", "'"),
        with("\"v1\",", "\"v1\",,"),
        with("1}}", "1},}"),
        with("1}}", "01}}"),
        with("1}}", "NaN}}"),
        with("1}}", "+1}}"),
        with("{\"a\":1}", "{a:1}"),
        utf_16,
    ];
    for body in bodies {
        let what = String::from_utf8_lossy(&body).into_owned();
        assert_code(&sent(body).await, INVALID, &what);
    }
    let outcome = sent(around(b"\t\r\n ", b" \n")).await;
    assert_code(&outcome, FINE, "white space around");
}

#[tokio::test]
async fn a_body_that_is_not_utf_8_is_refused_wherever_that_is() {
    let bad: [&[u8]; 5] = [
        b"\xff",
        b"\xc3(",
        b"\xed\xa0\x80",     // a surrogate
        b"\xc0\xaf",         // longer than it need be
        b"\xf4\x90\x80\x80", // beyond Unicode
    ];
    for member in ["payload", "event", "webhookId", "callbackUrl", "later"] {
        for bad in bad {
            let body = envelope(&[(member, "\"HERE\"")]);
            let (start, end) = body.split_once("HERE").expect("once");
            let body = [start.as_bytes(), bad, end.as_bytes()].concat();
            let outcome = sent(body).await;
            assert_code(&outcome, INVALID, member);
            assert!(outcome.reason().contains("UTF-8"), "{}", outcome.reason());
        }
    }
    // As the name of a member that nobody reads.
    let body = [&b"{\"\xff\":1,"[..], &envelope(&[]).as_bytes()[1..]].concat();
    assert_code(&sent(body).await, INVALID, "name");
}

#[tokio::test]
async fn every_member_has_its_one_type() {
    let table = [
        // (member, if absent, null or empty, if of another type)
        ("version", INVALID, INVALID),
        ("webhookId", INVALID, INVALID),
        ("event", INVALID, INVALID),
        ("callbackUrl", FINE, INVALID),
        ("payload", FINE, FINE),
        ("later", FINE, FINE),
    ];
    for (member, default, other) in table {
        for value in ["ABSENT", "null", r#""""#] {
            let outcome = sent(envelope(&[(member, value)])).await;
            assert_code(&outcome, default, &format!("{member}: {value}"));
            if member == "callbackUrl" {
                assert!(outcome.webhook().callback_url().is_none());
            }
        }
        for value in [
            "true",
            "0",
            "1",
            "1.5",
            "[]",
            "{}",
            r#"["v1"]"#,
            r#"{"v1":1}"#,
        ] {
            let outcome = sent(envelope(&[(member, value)])).await;
            assert_code(&outcome, other, &format!("{member}: {value}"));
        }
    }
}

#[tokio::test]
async fn id_and_event_have_at_most_256_bytes() {
    for name in ["webhookId", "event"] {
        for (text, code) in [
            ("x".repeat(256), "accepted"),
            ("é".repeat(128), "accepted"),
            ("x".repeat(257), "invalid_envelope"),
            ("é".repeat(129), "invalid_envelope"),
            ("x".repeat(1_000_000), "invalid_envelope"),
        ] {
            let outcome = sent(envelope(&[(name, &format!("{text:?}"))])).await;
            assert_code(&outcome, code, &format!("{name} of {} bytes", text.len()));
            let reason = outcome.reason();
            assert!(
                code == "accepted"
                    || reason.contains(&format!("{name:?} is longer than 256 bytes")),
                "{reason}"
            );
        }
    }
}

#[tokio::test]
async fn no_other_version_is_read() {
    for version in [
        "v2",
        "V1",
        "v1 ",
        " v1",
        "1",
        "v10",
        "v1.0",
        "v1\\u0000",
        "ｖ1",
    ] {
        let version = format!("\"{version}\"");
        let outcome = sent(envelope(&[("version", &version)])).await;
        assert_code(&outcome, VERSION, &version);
    }
    // An escape is another way to write the same.
    let outcome = sent(envelope(&[("version", r#""\u0076\u0031""#)])).await;
    assert_eq!(outcome.webhook().version(), "v1");
}

#[tokio::test]
async fn a_member_that_is_read_stands_only_once() {
    let good = envelope(&[]);
    let more = |name: &str, value: &str| {
        let end = good.strip_suffix('}').expect("an object");
        [
            format!("{end},\"{name}\":{value}}}"),
            format!("{{\"{name}\":{value},{}", &good[1..]),
        ]
    };
    for (name, value, code) in [
        ("version", r#""v1""#, INVALID),
        ("version", "null", INVALID),
        ("version", r#""v2""#, INVALID),
        (r"\u0076ersion", r#""v1""#, INVALID),
        ("webhookId", r#""another""#, INVALID),
        ("event", r#""c1.webhooks.v1.PayloadProvisionStep""#, INVALID),
        (
            r"even\u0074",
            r#""c1.webhooks.v1.PayloadProvisionStep""#,
            INVALID,
        ),
        ("callbackUrl", r#""https://attacker.example""#, INVALID),
        ("callbackUrl", "null", INVALID),
        ("payload", "null", INVALID),
        ("payload", "{}", INVALID),
        // As it is in the proto file.
        ("webhook_id", r#""2fCjgK8tYJxV9u8d1wupBMeXZ45""#, INVALID),
        ("callback_url", "null", INVALID),
        // Names are told apart by case, and what nobody reads may do as it likes.
        ("Version", r#""v2""#, FINE),
        ("webhook_Id", r#""another""#, FINE),
        ("webhook__id", r#""another""#, FINE),
        ("webhookid", r#""another""#, FINE),
        ("payload ", "{}", FINE),
        ("", "1", FINE),
    ] {
        for body in more(name, value) {
            assert_code(&sent(body.clone()).await, code, &body);
        }
    }
    let unknown = envelope(&[("later", r#"1,"later":2,"later":{"a":1,"a":2}"#)]);
    assert_code(&sent(unknown).await, FINE, "unknown twice");
}

#[tokio::test]
async fn names_may_be_those_of_the_proto_file() {
    let good = envelope(&[]);
    let body = good
        .replace("webhookId", "webhook_id")
        .replace("callbackUrl", r"callback\u005furl");
    let [meant, written] = [sent(good).await, sent(body).await];
    let [meant, written] = [meant.webhook(), written.webhook()];
    assert_eq!(written.id(), meant.id());
    assert_eq!(written.callback_url(), meant.callback_url());
    assert!(written.callback_url().is_some());
}

#[tokio::test]
async fn an_unknown_member_may_be_called_and_hold_anything_that_is_json() {
    let end = envelope(&[])
        .strip_suffix('}')
        .expect("an object")
        .to_owned();
    for (member, code) in [
        (r#""\ud800":1"#, FINE),
        (r#""\ud800":1,"\ud800":1e400"#, FINE),
        (r#""later":"\udfff""#, FINE),
        (r#""a\nb":1"#, FINE),
        ("\"a\nb\":1", INVALID),
        ("\"\\u0061\nb\":1", INVALID),
        (r#""later":01"#, INVALID),
        (r#""\ux000":1"#, INVALID),
    ] {
        assert_code(&sent(format!("{end},{member}}}")).await, code, member);
    }
}

#[tokio::test]
async fn no_payload_keeps_a_webhook_from_being_authentic() {
    let huge_number = "9".repeat(10_000);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_objects = format!("{}1{}", r#"{"a":"#.repeat(100_000), "}".repeat(100_000));
    let many = format!("[{}0]", "0,".repeat(500_000));
    let twins = format!("{{{}\"a\":0}}", r#""a":0,"#.repeat(100_000));
    let payloads = [
        "{}",
        " {\n\t\"a\" : [ 1 ,2 ] }  ",
        "[]",
        "0",
        "-0.0e-0",
        "1e400",
        "123456789012345678901234567890.000000000000000000001",
        &huge_number,
        "true",
        r#""text""#,
        r#"{"a":1,"a":2,"a":3}"#,
        r#""\ud800""#,
        r#"{"\udfff\ud800":"\udc00"}"#,
        r#""\u0000\u001b[31m""#,
        "\"\u{feff}\u{202e}𝄞\"",
        r#"{"@type":17}"#,
        r#"{"@type":"type.googleapis.com/another"}"#,
        r#"{"$serde_json::private::RawValue":"]"}"#,
        r#"{"$serde_json::private::Number":"x"}"#,
        &deep,
        &deep_objects,
        &many,
        &twins,
    ];
    for payload in payloads {
        let outcome = sent(envelope(&[("payload", payload)])).await;
        let kept = outcome.webhook().payload_json();
        // Byte for byte, but for white space around it.
        assert!(kept == payload.trim(), "{payload}");
        // Whatever this gives, it is no crash.
        let _ = outcome.webhook().deserialize_payload::<Value>();
    }
    for absent in ["ABSENT", "null"] {
        let outcome = sent(envelope(&[("payload", absent)])).await;
        assert_eq!(outcome.webhook().payload_json(), "null");
        let payload = outcome.webhook().deserialize_payload();
        assert_eq!(payload.ok(), Some(Value::Null));
    }
}

#[tokio::test]
async fn a_payload_of_two_mebibytes_is_kept() {
    let text = format!("\"{}\"", "é".repeat(1024 * 1024 - 200));
    let outcome = sent(envelope(&[("payload", &text)])).await;
    assert!(outcome.webhook().payload_json() == text.as_str());
    let payload: String = outcome.webhook().deserialize_payload().expect("a string");
    assert_eq!(payload.len(), text.len() - 2);
}

#[tokio::test]
async fn text_that_is_no_unicode_is_refused_where_it_is_read() {
    for lone in [r"\ud800", r"\udc00", r"\ud800\u0041", r"\udfff\ud800"] {
        for (member, code) in [
            ("version", INVALID),
            ("webhookId", INVALID),
            ("event", INVALID),
            ("callbackUrl", INVALID),
            ("payload", FINE),
            ("later", FINE),
        ] {
            let body = envelope(&[(member, &format!("\"{lone}\""))]);
            assert_code(&sent(body).await, code, &format!("{member}: {lone}"));
        }
    }
}

/// Runs on a thread with a quarter of the stack that tokio's have, so that
/// whatever takes stack for each level fails.
fn on_a_small_stack<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    std::thread::Builder::new()
        .stack_size(512 * 1024)
        .spawn(|| {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime")
                .block_on(test());
        })
        .expect("a thread")
        .join()
        .expect("no panic");
}

#[test]
fn nesting_of_any_depth_does_not_crash() {
    on_a_small_stack(|| async {
        const LEVELS: usize = 100_000;
        let arrays = format!("{}{}", "[".repeat(LEVELS), "]".repeat(LEVELS));
        let objects = format!("{}1{}", r#"{"a":"#.repeat(LEVELS), "}".repeat(LEVELS));
        let open = "[".repeat(LEVELS);
        for (member, code) in [
            ("version", INVALID),
            ("webhookId", INVALID),
            ("event", INVALID),
            ("callbackUrl", INVALID),
            ("payload", FINE),
            ("later", FINE),
        ] {
            for deep in [&arrays, &objects] {
                assert_code(&sent(envelope(&[(member, deep)])).await, code, member);
            }
            assert_code(&sent(envelope(&[(member, &open)])).await, INVALID, member);
        }
        for body in [
            arrays,
            objects.clone(),
            open,
            r#"{"payload":"#.repeat(LEVELS),
        ] {
            assert_code(&sent(body).await, INVALID, "the body itself");
        }
    });
}

#[test]
fn a_payload_too_deep_to_be_read_is_an_error() {
    on_a_small_stack(|| async {
        let read = async |payload: &str| {
            let outcome = sent(envelope(&[("payload", payload)])).await;
            outcome.webhook().deserialize_payload::<Value>()
        };
        let levels = |count| format!("{}{}", "[".repeat(count), "]".repeat(count));
        assert!(read(&levels(100)).await.is_ok());
        for count in [200, 100_000] {
            let error = read(&levels(count)).await.expect_err("too deep");
            assert!(error.to_string().contains("recursion"), "{error}");
        }
    });
}

#[tokio::test]
async fn a_payload_is_read_into_types_of_the_users() {
    #[derive(Debug, Deserialize, PartialEq)]
    struct Payload<'a> {
        text: &'a str,
        number: Option<i64>,
    }
    let outcome = sent(envelope(&[("payload", r#"{"text":"t","other":[]}"#)])).await;
    let webhook: &Webhook = outcome.webhook();
    let payload: Payload<'_> = webhook.deserialize_payload().expect("fits");
    assert_eq!(
        payload,
        Payload {
            text: "t",
            number: None
        }
    );
    // It lies in the body, it is not copied.
    assert!(
        webhook
            .body()
            .as_ptr_range()
            .contains(&payload.text.as_ptr())
    );
    assert!(webhook.deserialize_payload::<u8>().is_err());
}

#[tokio::test]
async fn members_may_stand_in_any_order_and_be_written_with_escapes() {
    let body = r#"{"later":[1e9999,{"x":null}],"payload":[1],"callbackUrl":"https:\/\/example.conductor.one\/\u0063allback","event":"\u0065","webhook\u0049d":"i\t\u00e9\ud834\udd1e","version":"v1"}"#;
    let outcome = sent(body).await;
    let webhook = outcome.webhook();
    assert_eq!(webhook.id(), "i\té𝄞");
    assert_eq!(webhook.event(), "e");
    let callback = webhook.callback_url().expect("one");
    assert_eq!(
        callback.expose_secret(),
        "https://example.conductor.one/callback"
    );
    assert_eq!(webhook.payload_json(), "[1]");
    assert_eq!(webhook.body(), body);
}

#[tokio::test]
async fn headers_may_be_missing_but_not_contradict() {
    const CALLBACK: &str = "https://example.conductor.one/callback/t0ken";
    let table: [(&str, &str, &[&[u8]]); 4] = [
        (
            "webhook-version",
            "v1",
            &[b"v2", b"V1", b"1", b"", b"v1, v1"],
        ),
        (
            "webhook-id",
            "2fCjgK8tYJxV9u8d1wupBMeXZ45",
            &[
                b"2fcjgk8tyjxv9u8d1wupbmexz45",
                b"2fCjgK8tYJxV9u8d1wupBMeXZ4",
                b"",
                b"\xff",
            ],
        ),
        (
            "webhook-event",
            TEST_EVENT,
            &[
                b"c1.webhooks.v1.PayloadProvisionStep",
                b"PayloadTest",
                b"",
                b"\xc3\xa9",
            ],
        ),
        (
            "webhook-callback-url",
            CALLBACK,
            &[
                b"https://attacker.example/callback/t0ken",
                b"https://example.conductor.one/callback/T0ken",
                b"",
                b"\xff",
            ],
        ),
    ];
    let tenant = FakeTenant::new(DOMAIN);
    let layer = receiver(&tenant);
    let request = |values: &[(&'static str, &[u8])]| -> Request<Full<_>> {
        let mut request = delivery(&tenant, envelope(&[])).request();
        for (name, value) in values {
            let value = HeaderValue::from_bytes(value).expect("a header's value");
            request.headers_mut().append(*name, value);
        }
        request
    };
    let all: Vec<_> = table.iter().map(|row| (row.0, row.1.as_bytes())).collect();
    assert_code(&send(&layer, request(&all)).await, FINE, "all");
    for (name, good, contradictions) in table {
        let good = good.as_bytes();
        let others: Vec<_> = all.iter().copied().filter(|pair| pair.0 != name).collect();
        assert_code(&send(&layer, request(&others)).await, FINE, name);
        let twice = [(name, good), (name, good)];
        assert_code(&send(&layer, request(&twice)).await, FINE, name);
        for bad in contradictions {
            let what = format!("{name}: {}", String::from_utf8_lossy(bad));
            for values in [
                vec![(name, *bad)],
                vec![(name, good), (name, *bad)],
                vec![(name, *bad), (name, good)],
            ] {
                let outcome = send(&layer, request(&values)).await;
                assert_code(&outcome, "header_mismatch", &what);
                assert!(outcome.reason().contains(name), "{}", outcome.reason());
            }
        }
    }
}

#[tokio::test]
async fn a_callback_header_without_a_callback_contradicts() {
    let tenant = FakeTenant::new(DOMAIN);
    for (member, header, code) in [
        (
            "ABSENT",
            "https://example.conductor.one/callback/t0ken",
            "header_mismatch",
        ),
        (
            "null",
            "https://example.conductor.one/callback/t0ken",
            "header_mismatch",
        ),
        (
            r#""""#,
            "https://example.conductor.one/callback/t0ken",
            "header_mismatch",
        ),
        ("ABSENT", "", FINE),
        ("null", "", FINE),
        ("null", "null", "header_mismatch"),
    ] {
        let body = envelope(&[("callbackUrl", member)]);
        let request = delivery(&tenant, body).http_header("webhook-callback-url", header);
        let outcome = send(&receiver(&tenant), request.request()).await;
        assert_code(&outcome, code, &format!("{member}, {header:?}"));
    }
}

#[tokio::test]
async fn text_beyond_ascii_compares_as_utf_8() {
    let tenant = FakeTenant::new(DOMAIN);
    let body = envelope(&[("event", r#""Prüfung""#)]);
    for (header, code) in [
        ("Prüfung".as_bytes(), FINE),
        (b"Pr\xfcfung", "header_mismatch"), // Latin-1
        ("Pru\u{308}fung".as_bytes(), "header_mismatch"),
    ] {
        let value = HeaderValue::from_bytes(header).expect("good");
        let request = delivery(&tenant, &*body).http_header("webhook-event", value);
        let outcome = send(&receiver(&tenant), request.request()).await;
        assert_code(&outcome, code, &format!("{header:?}"));
    }
}

#[tokio::test]
async fn hostile_json_takes_no_more_than_its_length() {
    // Each of these is a body of nearly 2 MiB that is slow for a reader which
    // looks back, or which keeps what nobody asked for.
    let mut names = String::new();
    for index in 0..100_000 {
        write!(names, "\"n{index}\":0,").expect("a string");
    }
    let one_name = r#""n":0,"#.repeat(300_000);
    let escapes = format!("\"long\":\"{}\",", r"\u0041".repeat(300_000));
    let blank = " ".repeat(2_000_000);
    let start = std::time::Instant::now();
    for members in [names, one_name, escapes, blank] {
        let body = format!("{{{members}{}", &envelope(&[])[1..]);
        assert_code(&sent(body).await, FINE, "long");
    }
    // Milliseconds each; a quadratic reader would take hours.
    assert!(start.elapsed().as_secs() < 30, "{:?}", start.elapsed());
}

#[tokio::test]
async fn every_sample_event_reads_back_as_it_was_made() {
    let tenant = FakeTenant::new(DOMAIN);
    let layer = receiver(&tenant);
    for event in tower_conductorone::testing::EVENTS.iter().copied() {
        let delivery = tenant.delivery(event).issued_at(now());
        let envelope = delivery.envelope();
        let outcome = send(&layer, delivery.request()).await;
        let webhook = outcome.webhook();
        let payload: Value = webhook.deserialize_payload().expect("JSON");
        assert_eq!(payload, envelope["payload"]);
        assert_eq!(json!(webhook.id()), envelope["webhookId"]);
        let callback = webhook.callback_url().expect("one").expose_secret();
        assert_eq!(json!(callback), envelope["callbackUrl"]);
    }
}

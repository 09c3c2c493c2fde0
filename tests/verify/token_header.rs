//! The token's form and its header: read strictly, and never as a source of
//! keys.

use std::time::UNIX_EPOCH;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, Request};
use http_body_util::Full;
use jsonwebtoken::EncodingKey;
use jsonwebtoken::crypto::sign;
use serde_json::{Value, json};
use support::{DOMAIN, Outcome, TEST_EVENT, builder, now, receiver, send};
use tower_conductorone::VerifyWebhookLayer;
use tower_conductorone::keys::Algorithm;
use tower_conductorone::testing::{Delivery, FakeTenant};

/// A tenant, its receiver, and a delivery of its to break.
struct Setting {
    tenant: FakeTenant,
    layer: VerifyWebhookLayer,
}

impl Setting {
    fn new() -> Self {
        let tenant = FakeTenant::new(DOMAIN);
        let layer = receiver(&tenant);
        Self { tenant, layer }
    }

    fn delivery(&self) -> Delivery {
        self.tenant.delivery(TEST_EVENT).issued_at(now())
    }

    /// What becomes of a token with this header and good claims, signed by the
    /// tenant.
    async fn header(&self, header: impl AsRef<[u8]>) -> Outcome {
        let delivery = self.delivery();
        let claims = Value::Object(delivery.claims()).to_string();
        let token = self.tenant.sign(header, claims);
        send(&self.layer, delivery.token(token).request()).await
    }

    /// The same with these members beside `alg` and `kid`.
    async fn members(&self, members: &str) -> Outcome {
        let kid = self.tenant.signing_key();
        self.header(format!(r#"{{"alg":"ES256","kid":"{kid}",{members}}}"#))
            .await
    }

    /// What becomes of a good delivery whose `Authorization` is made of its
    /// token.
    async fn authorization(&self, value: impl FnOnce(&str) -> Vec<u8>) -> Outcome {
        let delivery = self.delivery();
        let value = value(&delivery.token_string());
        let value = HeaderValue::from_bytes(&value).expect("a header's value");
        send(
            &self.layer,
            delivery.http_header("authorization", value).request(),
        )
        .await
    }
}

#[tokio::test]
async fn the_scheme_is_bearer_in_any_case_with_spaces_behind_it() {
    let setting = Setting::new();
    for (before, after, code) in [
        ("bearer ", "", "accepted"),
        ("Bearer ", "", "accepted"),
        ("BEARER ", "", "accepted"),
        ("bEaReR ", "", "accepted"),
        ("bearer   ", "", "accepted"),
        // White space around a field's value is no part of it (RFC 9110 §5.5);
        // not every server takes it off.
        ("bearer ", "  ", "accepted"),
        ("", "", "missing_token"),
        (" bearer ", "", "missing_token"),
        ("bearer", "", "missing_token"),
        ("bearer\t", "", "missing_token"),
        ("bearer,", "", "missing_token"),
        ("bearer:", "", "missing_token"),
        ("bearer=", "", "missing_token"),
        ("bearer\u{a0}", "", "missing_token"),
        ("\"bearer\" ", "", "missing_token"),
        ("Basic ", "", "missing_token"),
        ("DPoP ", "", "missing_token"),
        ("Token ", "", "missing_token"),
        ("bearer2 ", "", "missing_token"),
        ("b\u{e9}arer ", "", "missing_token"),
        ("bearer \t", "", "malformed_token"),
        ("bearer bearer ", "", "malformed_token"),
        ("bearer \"", "\"", "malformed_token"),
        ("bearer token=", "", "malformed_token"),
        ("bearer ", " x", "malformed_token"),
        ("bearer ", ", bearer x", "malformed_token"),
        ("bearer ", ",", "malformed_token"),
        // A token68 (RFC 9110 §11.2), but no JWS.
        ("bearer ", "=", "malformed_token"),
        ("bearer ", "+", "malformed_token"),
        ("bearer ", "/", "malformed_token"),
        ("bearer ", "\u{e9}", "malformed_token"),
    ] {
        let outcome = setting
            .authorization(|token| format!("{before}{token}{after}").into_bytes())
            .await;
        outcome.expect_token(code, (before, after));
        if code == "malformed_token" {
            let reason = outcome.reason();
            assert!(reason.contains("Authorization header"), "{reason}");
        }
    }
    for value in ["bearer", "bearer ", "BEARER    "] {
        let outcome = setting.authorization(|_| value.into()).await;
        outcome.expect_token("malformed_token", value);
        assert!(outcome.reason().contains("Authorization header"));
    }
}

#[tokio::test]
async fn there_is_exactly_one_authorization_header() {
    let setting = Setting::new();
    let request = || setting.delivery().request();
    let with = |value: &str| {
        let mut request: Request<Full<_>> = request();
        let value = value.parse().expect("a header's value");
        request.headers_mut().append("authorization", value);
        request
    };
    let token = setting.delivery().token_string();
    for second in [
        format!("bearer {token}"),
        "bearer".into(),
        "Basic dXNlcjpwYXNz".into(),
        String::new(),
    ] {
        let outcome = send(&setting.layer, with(&second)).await;
        outcome.expect_token("several_tokens", &second);
        // And the other way round.
        let mut request = with(&second);
        let values: Vec<_> = request
            .headers()
            .get_all("authorization")
            .iter()
            .cloned()
            .collect();
        let mut headers: HeaderMap = request.headers().clone();
        headers.remove("authorization");
        for value in values.into_iter().rev() {
            headers.append("authorization", value);
        }
        *request.headers_mut() = headers;
        let outcome = send(&setting.layer, request).await;
        outcome.expect_token("several_tokens", &second);
    }
    let mut request = request();
    request.headers_mut().remove("authorization");
    // Where a token may be, but is not looked for (RFC 6750 §2.3, RFC 9110).
    for name in ["proxy-authorization", "x-authorization", "cookie"] {
        let value = format!("bearer {token}").parse().expect("valid");
        request.headers_mut().insert(name, value);
    }
    *request.uri_mut() = format!("/webhooks?access_token={token}")
        .parse()
        .expect("a URI");
    let outcome = send(&setting.layer, request).await;
    outcome.expect_token("missing_token", "elsewhere");
}

/// A good token of exactly so many bytes, its header padded.
fn token_of(tenant: &FakeTenant, delivery: &Delivery, length: usize) -> String {
    let kid = tenant.signing_key();
    for odd in 0..4 {
        let claims = delivery.clone().claim("pad", json!("x".repeat(odd)));
        let claims = Value::Object(claims.claims()).to_string();
        let header = |pad: usize| {
            let pad = "x".repeat(pad);
            format!(r#"{{"alg":"ES256","kid":"{kid}","pad":"{pad}"}}"#)
        };
        // Four characters hold three bytes; the signature has 86, the dots 2.
        let encoded = |bytes: usize| (bytes * 4).div_ceil(3);
        let rest = length - encoded(claims.len()) - 88;
        let pad = (rest * 3 / 4) - header(0).len();
        let token = tenant.sign(header(pad), claims);
        if token.len() == length {
            return token;
        }
    }
    panic!("no token of {length} bytes");
}

#[tokio::test]
async fn a_token_has_at_most_8_kib() {
    let setting = Setting::new();
    for (length, code) in [
        (8191, "accepted"),
        (8192, "accepted"),
        (8193, "token_too_long"),
        (60_000, "token_too_long"),
    ] {
        let delivery = setting.delivery();
        let token = token_of(&setting.tenant, &delivery, length);
        let outcome = send(&setting.layer, delivery.token(token).request()).await;
        outcome.expect_token(code, length);
    }
    // Its length counts before its form, and white space around it does not.
    let outcome = setting
        .authorization(|_| format!("bearer {}", ".".repeat(8193)).into_bytes())
        .await;
    outcome.expect_token("token_too_long", "dots");
    let outcome = setting
        .authorization(|token| format!("bearer {}{token}", " ".repeat(9000)).into_bytes())
        .await;
    outcome.expect_token("accepted", "spaces");
}

#[tokio::test]
async fn the_limit_on_a_token_can_be_set() {
    let tenant = FakeTenant::new(DOMAIN);
    let delivery = tenant.delivery(TEST_EVENT).issued_at(now());
    let token = token_of(&tenant, &delivery, 2000);
    for (limit, code) in [(1999, "token_too_long"), (2000, "accepted")] {
        let layer = builder(&tenant)
            .max_token_bytes(limit)
            .build()
            .expect("a good configuration");
        let outcome = send(&layer, delivery.clone().token(&token).request()).await;
        outcome.expect_token(code, limit);
    }
}

#[tokio::test]
async fn a_token_has_three_parts() {
    let setting = Setting::new();
    let token = setting.delivery().token_string();
    let parts: Vec<&str> = token.split('.').collect();
    let [header, claims, signature] = parts[..] else {
        panic!("three parts");
    };
    for (token, code) in [
        (header.to_owned(), "malformed_token"),
        (format!("{header}.{claims}"), "malformed_token"),
        (format!("{header}.{claims}.{signature}."), "malformed_token"),
        (format!(".{header}.{claims}.{signature}"), "malformed_token"),
        (format!("{header}..{claims}.{signature}"), "malformed_token"),
        // JWE's compact form has five.
        (
            format!("{header}.{claims}.a.b.{signature}"),
            "malformed_token",
        ),
        (".".into(), "malformed_token"),
        ("..".into(), "malformed_token"),
        ("...".into(), "malformed_token"),
        (".".repeat(8000), "malformed_token"),
        (".".repeat(10_000), "token_too_long"),
        (format!(".{claims}.{signature}"), "malformed_token"),
        (format!("{header}..{signature}"), "malformed_token"),
        (format!("{header}.{claims}."), "invalid_signature"),
        (format!("{claims}.{header}.{signature}"), "malformed_token"),
        (format!("{signature}.{claims}.{header}"), "malformed_token"),
    ] {
        let outcome = send(&setting.layer, setting.delivery().token(&token).request()).await;
        outcome.expect_token(code, &token[..token.len().min(300)]);
    }
    // Counted before anything is taken apart, however many there may be.
    let patient = builder(&setting.tenant)
        .max_token_bytes(1 << 20)
        .build()
        .expect("a good configuration");
    for dots in [3, 4, 10_000, 1 << 20] {
        let delivery = setting.delivery().token(".".repeat(dots));
        let outcome = send(&patient, delivery.request()).await;
        outcome.expect_token("malformed_token", dots);
        let reason = outcome.reason();
        assert!(reason.contains("three parts"), "{reason}");
    }
}

/// The last character of a base64 text with a bit set that encodes nothing.
fn with_a_stray_bit(text: &str) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    assert!(!text.len().is_multiple_of(4), "there are bits to spare");
    let (rest, last) = text.split_at(text.len() - 1);
    let index = ALPHABET.iter().position(|c| last.as_bytes() == [*c]);
    let other = ALPHABET[index.expect("base64url") + 1];
    format!("{rest}{}", char::from(other))
}

#[tokio::test]
async fn each_part_is_canonical_base64url_without_padding() {
    let setting = Setting::new();
    let kid = setting.tenant.signing_key();
    // Texts whose lengths leave bits to spare at the end of their encodings.
    let spare = |text: String| {
        let short = text.trim_end_matches('}').to_owned();
        (0..3)
            .map(|spaces| format!("{short}{}}}", " ".repeat(spaces)))
            .find(|text| text.len() % 3 == 1)
            .expect("one of three")
    };
    let delivery = setting.delivery();
    let header = spare(Value::Object(delivery.header_params()).to_string());
    let claims = spare(Value::Object(delivery.claims()).to_string());
    let header = BASE64_URL_SAFE_NO_PAD.encode(header);
    let claims = BASE64_URL_SAFE_NO_PAD.encode(claims);
    // As wrong as it is, the signature is over what is sent.
    let sign = |input: String| setting.tenant.sign_encoded(&kid, &input);
    let good = sign(format!("{header}.{claims}"));
    let (input, signature) = good.rsplit_once('.').expect("three parts");
    let stray = with_a_stray_bit;
    for (what, token, code) in [
        ("all right", good.clone(), "accepted"),
        (
            "padded header",
            sign(format!("{header}==.{claims}")),
            "malformed_token",
        ),
        (
            "padded claims",
            sign(format!("{header}.{claims}==")),
            "malformed_token",
        ),
        ("padded signature", format!("{good}=="), "malformed_token"),
        ("one sign of padding", format!("{good}="), "malformed_token"),
        (
            "escaped padding",
            format!("{good}%3D%3D"),
            "malformed_token",
        ),
        (
            "stray bits in the header",
            sign(format!("{}.{claims}", stray(&header))),
            "malformed_token",
        ),
        (
            "stray bits in the claims",
            sign(format!("{header}.{}", stray(&claims))),
            "malformed_token",
        ),
        (
            "stray bits in the signature",
            format!("{input}.{}", stray(signature)),
            "malformed_token",
        ),
        (
            "a character too many",
            format!("{good}AAA"),
            "malformed_token",
        ),
        (
            "three bytes too many",
            format!("{input}.{signature}AAAA"),
            "invalid_signature",
        ),
        (
            "white space in the header",
            sign(format!("{header} .{claims}")),
            "malformed_token",
        ),
        (
            "a tab in the claims",
            sign(format!("{header}.\t{claims}")),
            "malformed_token",
        ),
        (
            "a tilde",
            sign(format!("{header}~.{claims}")),
            "malformed_token",
        ),
        (
            "a colon",
            sign(format!("{header}:.{claims}")),
            "malformed_token",
        ),
    ] {
        let outcome = send(&setting.layer, delivery.clone().token(token).request()).await;
        outcome.expect_token(code, what);
    }
    // The alphabet of standard base64, where it makes a difference.
    let odd = r#"{"alg":"ES256","odd":"???>>>~~~"}"#;
    let standard = BASE64_STANDARD_NO_PAD.encode(odd);
    assert!(standard.contains(['+', '/']), "{standard}");
    let token = sign(format!("{standard}.{claims}"));
    let outcome = send(&setting.layer, setting.delivery().token(token).request()).await;
    outcome.expect_token("malformed_token", "standard base64");
    let token = sign(format!("{}.{claims}", BASE64_URL_SAFE_NO_PAD.encode(odd)));
    let outcome = send(&setting.layer, setting.delivery().token(token).request()).await;
    assert_ne!(outcome.code(), "malformed_token");
}

#[tokio::test]
async fn the_header_is_one_json_object() {
    let setting = Setting::new();
    let kid = setting.tenant.signing_key();
    let good = format!(r#"{{"alg":"ES256","kid":"{kid}"}}"#);
    for (header, code) in [
        (good.clone(), "accepted"),
        (format!(" \t\r\n{good} \n"), "accepted"),
        (format!("{good}{good}"), "malformed_token"),
        (format!("{good},"), "malformed_token"),
        (format!("{good}x"), "malformed_token"),
        (format!("{good}\0"), "malformed_token"),
        (format!("\u{feff}{good}"), "malformed_token"),
        (format!("[{good}]"), "malformed_token"),
        (good.replace('"', "'"), "malformed_token"),
        (good.replace('}', ",}"), "malformed_token"),
        (good.replace('}', ""), "malformed_token"),
        (good.replace('{', "{/**/"), "malformed_token"),
        (String::new(), "malformed_token"),
        ("null".into(), "malformed_token"),
        ("7".into(), "malformed_token"),
        ("true".into(), "malformed_token"),
        (r#""alg""#.into(), "malformed_token"),
        (r#"["ES256"]"#.into(), "malformed_token"),
        ("{}".into(), "malformed_token"),
        ("\u{0}".into(), "malformed_token"),
    ] {
        setting.header(&header).await.expect_token(code, header);
    }
    let invalid: [&[u8]; 4] = [
        b"\xff",
        // Not UTF-8 where nobody looks: overlong, a surrogate, cut short.
        b"{\"alg\":\"ES256\",\"x\":\"\xc0\xaf\"}",
        b"{\"alg\":\"ES256\",\"x\":\"\xed\xa0\x80\"}",
        b"{\"alg\":\"ES256\",\"\xe2\x82\":\"\"}",
    ];
    for header in invalid {
        let outcome = setting.header(header).await;
        outcome.expect_token("malformed_token", header);
    }
}

#[tokio::test]
async fn a_member_stands_once_however_it_is_written() {
    let setting = Setting::new();
    let kid = setting.tenant.signing_key();
    for header in [
        format!(r#"{{"alg":"ES256","alg":"ES256","kid":"{kid}"}}"#),
        format!(r#"{{"alg":"none","alg":"ES256","kid":"{kid}"}}"#),
        format!(r#"{{"alg":"ES256","kid":"{kid}","alg":"none"}}"#),
        format!(r#"{{"alg":"ES256","\u0061lg":"ES256","kid":"{kid}"}}"#),
        format!(r#"{{"\u0061\u006c\u0067":"none","alg":"ES256","kid":"{kid}"}}"#),
        format!(r#"{{"alg":"ES256","kid":"{kid}","kid":"{kid}"}}"#),
        format!(r#"{{"alg":"ES256","kid":"{kid}","typ":"JWT","typ":"JWT"}}"#),
        // Also one that is ignored.
        format!(r#"{{"alg":"ES256","kid":"{kid}","x":1,"x":1}}"#),
        format!(r#"{{"alg":"ES256","kid":"{kid}","":1,"":1}}"#),
        format!(r#"{{"alg":"ES256","kid":"{kid}","\u00e9":1,"é":1}}"#),
    ] {
        let outcome = setting.header(&header).await;
        outcome.expect_token("malformed_token", header);
    }
    // An escape alone is fine, and names are told apart by case.
    for header in [
        format!(r#"{{"\u0061lg":"ES25\u0036","kid":"{kid}"}}"#),
        format!(r#"{{"alg":"ES256","ALG":"none","kid":"{kid}","Crit":[]}}"#),
    ] {
        setting
            .header(&header)
            .await
            .expect_token("accepted", header);
    }
}

#[tokio::test]
async fn what_changes_the_meaning_of_a_token_is_refused() {
    let setting = Setting::new();
    for name in ["crit", "b64", "enc", "zip", r"cr\u0069t"] {
        for value in [
            "null",
            "true",
            "false",
            "[]",
            r#"["exp"]"#,
            r#"["b64"]"#,
            r#""""#,
            r#""DEF""#,
            "{}",
        ] {
            let members = format!(r#""{name}":{value}"#);
            let outcome = setting.members(&members).await;
            outcome.expect_token("unsupported_token_header", members);
        }
    }
}

#[tokio::test]
async fn keys_that_the_token_brings_are_never_read() {
    let setting = Setting::new();
    let forger = FakeTenant::new(DOMAIN);
    let jwks: Value = serde_json::from_str(&forger.jwks()).expect("JSON");
    let jwk = &jwks["keys"][0];
    let (good_kid, forged_kid) = (setting.tenant.signing_key(), forger.signing_key());
    // The forger's key, in every place where a header can name one.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let url = format!("http://{}/jwks", listener.local_addr().expect("bound"));
    let brought = json!({ "jwk": jwk, "jku": url, "x5u": url, "x5c": ["MIIB"], "x5t": "AA" });
    for (kid, code) in [
        (json!(null), "malformed_token"),
        (json!(forged_kid), "unknown_key"),
        (json!(good_kid), "invalid_signature"),
    ] {
        let mut header = brought.clone();
        header["alg"] = "ES256".into();
        header["kid"] = kid.clone();
        let delivery = setting.delivery();
        let claims = Value::Object(delivery.claims()).to_string();
        let token = forger.sign(header.to_string(), &claims);
        let outcome = send(&setting.layer, delivery.token(token).request()).await;
        outcome.expect_token(code, kid);
    }
    let mut header = brought.clone();
    header["alg"] = "ES256".into();
    let delivery = setting.delivery();
    let claims = Value::Object(delivery.claims()).to_string();
    let token = forger.sign(header.to_string(), &claims);
    let outcome = send(&setting.layer, delivery.token(token).request()).await;
    outcome.expect_token("unknown_key", "no kid");

    // They do no harm to a token of the tenant's own, whatever they hold.
    for name in ["jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256", "cty", "iss"] {
        for value in [
            &jwk.to_string(),
            &json!(url).to_string(),
            "null",
            "7",
            "[[]]",
            r#""https://attacker.example/\u0000""#,
            r#""\ud800""#,
            "1e999",
        ] {
            let members = format!(r#""{name}":{value}"#);
            let outcome = setting.members(&members).await;
            outcome.expect_token("accepted", members);
        }
    }
    let visitor = std::future::poll_fn(|cx| match listener.poll_accept(cx) {
        std::task::Poll::Ready(_) => std::task::Poll::Ready(true),
        std::task::Poll::Pending => std::task::Poll::Ready(false),
    });
    assert!(!visitor.await, "somebody fetched what the token named");
}

/// The tenant's keys sign other tokens, too; each of these says so in its way.
#[tokio::test]
async fn another_kind_of_token_by_the_same_tenant_is_refused() {
    let setting = Setting::new();
    let tenant = &setting.tenant;
    let url = json!(format!("https://{DOMAIN}"));
    let seconds = |later| now().duration_since(UNIX_EPOCH).expect("after").as_secs() + later;
    let (issued, ends) = (seconds(0), seconds(300));
    let id_jag = json!({
        "iss": url, "sub": "user", "aud": "https://authorization.example.com/",
        "client_id": "agent", "jti": "1", "iat": issued, "exp": ends,
        "resource": "https://api.example.com/", "scope": "tickets.read",
    });
    let open_id = json!({
        "iss": url, "sub": "user", "aud": "client", "nonce": "n", "iat": issued,
        "exp": ends, "auth_time": issued, "email": "ada@example.com",
    });
    let mut webhook = Value::Object(setting.delivery().claims());
    webhook["iss"] = url.clone();
    let mut named_by_c1typ = Value::Object(setting.delivery().claims());
    named_by_c1typ["c1typ"] = json!("id");
    for (typ, claims, code) in [
        ("oauth-id-jag+jwt", &id_jag, "wrong_token_type"),
        ("OAuth-ID-JAG+JWT", &id_jag, "wrong_token_type"),
        ("application/oauth-id-jag+jwt", &id_jag, "wrong_token_type"),
        // Although each of these has lost one of its marks.
        ("JWT", &id_jag, "missing_claim"),
        ("JWT", &open_id, "missing_claim"),
        ("JWT", &webhook, "unknown_tenant"),
        ("JWT", &named_by_c1typ, "wrong_token_type"),
    ] {
        let delivery = setting.delivery().header_param("typ", json!(typ));
        let header = Value::Object(delivery.header_params()).to_string();
        let token = tenant.sign(header, claims.to_string());
        let outcome = send(&setting.layer, delivery.token(token).request()).await;
        outcome.expect_token(code, (typ, claims));
    }
}

#[tokio::test]
async fn typ_is_jwt_or_absent() {
    let setting = Setting::new();
    for (typ, code) in [
        (r#""JWT""#, "accepted"),
        (r#""jwt""#, "accepted"),
        (r#""Jwt""#, "accepted"),
        (r#""application/jwt""#, "accepted"),
        (r#""APPLICATION/JWT""#, "accepted"),
        (r#""""#, "wrong_token_type"),
        (r#"" JWT""#, "wrong_token_type"),
        (r#""JWT ""#, "wrong_token_type"),
        (r#""JWT\u0000""#, "wrong_token_type"),
        (r#""JWS""#, "wrong_token_type"),
        (r#""JOSE""#, "wrong_token_type"),
        (r#""JOSE+JSON""#, "wrong_token_type"),
        (r#""at+jwt""#, "wrong_token_type"),
        (r#""dpop+jwt""#, "wrong_token_type"),
        (r#""secevent+jwt""#, "wrong_token_type"),
        (r#""application/at+jwt""#, "wrong_token_type"),
        (r#""application/application/jwt""#, "wrong_token_type"),
        (r#""text/jwt""#, "wrong_token_type"),
        (r#""jwt; charset=utf-8""#, "wrong_token_type"),
        ("null", "malformed_token"),
        ("7", "malformed_token"),
        ("true", "malformed_token"),
        (r#"["JWT"]"#, "malformed_token"),
        (r#"{"typ":"JWT"}"#, "malformed_token"),
    ] {
        let outcome = setting.members(&format!(r#""typ":{typ}"#)).await;
        outcome.expect_token(code, typ);
    }
    let delivery = setting.delivery().without_header_param("typ");
    let outcome = send(&setting.layer, delivery.request()).await;
    outcome.expect_token("accepted", "no typ");
}

#[tokio::test]
async fn kid_is_a_string_of_at_most_256_bytes_or_absent() {
    let setting = Setting::new();
    let long = |bytes: usize| format!(r#""{}""#, "k".repeat(bytes));
    for (kid, code) in [
        (r#""""#.to_owned(), "unknown_key"),
        (long(256), "unknown_key"),
        (long(257), "malformed_token"),
        (long(4000), "malformed_token"),
        // It is bytes that count, not characters.
        (format!(r#""{}""#, "é".repeat(128)), "unknown_key"),
        (format!(r#""{}""#, "é".repeat(129)), "malformed_token"),
        (r#""../../etc/passwd""#.into(), "unknown_key"),
        (r#""https://attacker.example/jwks""#.into(), "unknown_key"),
        (r#""' OR 1=1 --\u0000\r\n""#.into(), "unknown_key"),
        (r#""\ud800""#.into(), "malformed_token"),
        ("null".into(), "malformed_token"),
        ("0".into(), "malformed_token"),
        ("false".into(), "malformed_token"),
        ("[]".into(), "malformed_token"),
        ("{}".into(), "malformed_token"),
        (
            json!([setting.tenant.signing_key()]).to_string(),
            "malformed_token",
        ),
    ] {
        let outcome = setting
            .header(format!(r#"{{"alg":"ES256","kid":{kid}}}"#))
            .await;
        outcome.expect_token(code, kid);
    }
    let outcome = setting.header(r#"{"alg":"ES256"}"#).await;
    outcome.expect_token("accepted", "no kid");
}

#[tokio::test]
async fn alg_is_one_of_three_and_that_of_the_key() {
    for (own, key) in [
        ("RS256", Algorithm::Rs256),
        ("ES256", Algorithm::Es256),
        ("EdDSA", Algorithm::EdDsa),
    ] {
        let tenant = FakeTenant::with_algorithm(DOMAIN, key);
        let kid = tenant.signing_key();
        let layer = receiver(&tenant);
        for alg in ["RS256", "ES256", "EdDSA", "Ed25519"] {
            let fits = alg == own || (alg == "Ed25519" && own == "EdDSA");
            let delivery = || {
                tenant
                    .delivery(TEST_EVENT)
                    .issued_at(now())
                    .header_param("alg", json!(alg))
            };
            let outcome = send(&layer, delivery().request()).await;
            let code = if fits {
                "accepted"
            } else {
                "algorithm_mismatch"
            };
            outcome.expect_token(code, (own, alg));
            let nameless = delivery().without_header_param("kid");
            let outcome = send(&layer, nameless.request()).await;
            let code = if fits { "accepted" } else { "unknown_key" };
            outcome.expect_token(code, (own, alg, "no kid"));
        }
        for alg in [
            r#""none""#,
            r#""None""#,
            r#""NONE""#,
            r#""nOnE""#,
            r#""""#,
            r#"" ES256""#,
            r#""ES256 ""#,
            r#""es256""#,
            r#""rs256""#,
            r#""eddsa""#,
            r#""EDDSA""#,
            r#""ed25519""#,
            r#""Ed448""#,
            r#""HS256""#,
            r#""HS384""#,
            r#""HS512""#,
            r#""RS1""#,
            r#""RS384""#,
            r#""RS512""#,
            r#""PS256""#,
            r#""ES256K""#,
            r#""ES384""#,
            r#""ES512""#,
            r#""ESP256""#,
            r#""RSA-OAEP""#,
            r#""dir""#,
            r#""ES256\u0000""#,
        ] {
            for kid in [format!(r#","kid":"{kid}""#), String::new()] {
                let delivery = tenant.delivery(TEST_EVENT).issued_at(now());
                let claims = Value::Object(delivery.claims()).to_string();
                let token = tenant.sign(format!(r#"{{"alg":{alg}{kid}}}"#), claims);
                let outcome = send(&layer, delivery.token(token).request()).await;
                outcome.expect_token("unsupported_algorithm", (alg, kid));
            }
        }
    }
}

#[tokio::test]
async fn alg_is_a_string_and_required() {
    let setting = Setting::new();
    let kid = setting.tenant.signing_key();
    for alg in ["null", "0", "true", "[]", "{}", r#"["ES256"]"#] {
        let outcome = setting
            .header(format!(r#"{{"alg":{alg},"kid":"{kid}"}}"#))
            .await;
        outcome.expect_token("malformed_token", alg);
    }
    let outcome = setting.header(format!(r#"{{"kid":"{kid}"}}"#)).await;
    outcome.expect_token("malformed_token", "no alg");
}

#[tokio::test]
async fn an_unsigned_token_is_refused() {
    let setting = Setting::new();
    let kid = setting.tenant.signing_key();
    let claims = Value::Object(setting.delivery().claims()).to_string();
    for (header, code) in [
        (r#"{"alg":"none"}"#.to_owned(), "unsupported_algorithm"),
        (
            format!(r#"{{"alg":"none","kid":"{kid}"}}"#),
            "unsupported_algorithm",
        ),
        (r#"{"alg":"ES256"}"#.to_owned(), "unknown_key"),
        (
            format!(r#"{{"alg":"ES256","kid":"{kid}"}}"#),
            "invalid_signature",
        ),
    ] {
        let signed = setting.tenant.sign(&header, &claims);
        let (input, _) = signed.rsplit_once('.').expect("three parts");
        for (signature, zeros) in [("", 0), ("AA", 1), (&"A".repeat(86), 64)] {
            let token = format!("{input}.{signature}");
            let outcome = send(&setting.layer, setting.delivery().token(token).request()).await;
            outcome.expect_token(code, (&header, zeros));
        }
    }
}

/// The public key is public: whoever takes it for a MAC's secret lets anybody
/// sign.
#[tokio::test]
async fn a_public_key_is_no_secret_of_a_mac() {
    for key in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
        let tenant = FakeTenant::with_algorithm(DOMAIN, key);
        let layer = receiver(&tenant);
        let kid = tenant.signing_key();
        let jwks = tenant.jwks();
        let set: Value = serde_json::from_str(&jwks).expect("JSON");
        let jwk = &set["keys"][0];
        let mut secrets = vec![jwks.clone().into_bytes(), jwk.to_string().into_bytes()];
        for number in ["n", "e", "x", "y"] {
            if let Some(text) = jwk[number].as_str() {
                secrets.push(text.into());
                secrets.push(BASE64_URL_SAFE_NO_PAD.decode(text).expect("base64url"));
            }
        }
        for secret in secrets {
            let secret = EncodingKey::from_secret(&secret);
            for (alg, code) in [
                ("HS256", "unsupported_algorithm"),
                (key.as_str(), "invalid_signature"),
            ] {
                let delivery = tenant.delivery(TEST_EVENT).issued_at(now());
                let header = format!(r#"{{"alg":"{alg}","kid":"{kid}"}}"#);
                let claims = Value::Object(delivery.claims()).to_string();
                let [header, claims] = [header, claims].map(|t| BASE64_URL_SAFE_NO_PAD.encode(t));
                let input = format!("{header}.{claims}");
                let mac = sign(input.as_bytes(), &secret, jsonwebtoken::Algorithm::HS256);
                let token = format!("{input}.{}", mac.expect("a MAC"));
                let outcome = send(&layer, delivery.token(token).request()).await;
                outcome.expect_token(code, (key, alg));
            }
        }
    }
}

#[tokio::test]
async fn one_key_does_not_do_under_the_kid_of_another() {
    let tenant = FakeTenant::new(DOMAIN);
    let es256 = tenant.signing_key();
    let eddsa = tenant.add_key(Algorithm::EdDsa);
    let rs256 = tenant.add_key(Algorithm::Rs256);
    let other = tenant.add_key(Algorithm::Es256);
    let layer = receiver(&tenant);
    for (signed_by, kid, alg, code) in [
        (&es256, &es256, "ES256", "accepted"),
        (&other, &es256, "ES256", "invalid_signature"),
        (&eddsa, &es256, "EdDSA", "algorithm_mismatch"),
        (&eddsa, &es256, "ES256", "invalid_signature"),
        (&es256, &eddsa, "ES256", "algorithm_mismatch"),
        (&es256, &eddsa, "EdDSA", "invalid_signature"),
        (&rs256, &es256, "RS256", "algorithm_mismatch"),
        (&rs256, &eddsa, "RS256", "algorithm_mismatch"),
        (&es256, &rs256, "RS256", "invalid_signature"),
        (&rs256, &rs256, "RS256", "accepted"),
    ] {
        let delivery = tenant
            .delivery(TEST_EVENT)
            .issued_at(now())
            .signing_key(signed_by)
            .header_param("kid", json!(kid))
            .header_param("alg", json!(alg));
        let outcome = send(&layer, delivery.request()).await;
        outcome.expect_token(code, (signed_by, kid, alg));
    }
}

/// On a thread with little stack, so that recursion would show.
#[test]
fn deep_nesting_is_no_matter() {
    const DEPTH: usize = 100_000;
    let thread = std::thread::Builder::new().stack_size(256 * 1024);
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let tenant = FakeTenant::new(DOMAIN);
            let layer = builder(&tenant)
                .max_token_bytes(usize::MAX)
                .build()
                .expect("a good configuration");
            let setting = Setting { tenant, layer };
            let arrays = format!("{}{}", "[".repeat(DEPTH), "]".repeat(DEPTH));
            let objects = format!("{}1{}", r#"{"a":"#.repeat(DEPTH), "}".repeat(DEPTH));
            for deep in [&arrays, &objects] {
                // Ignored where nobody asks for it, of a wrong type elsewhere.
                for (name, code) in [
                    ("later", "accepted"),
                    ("jwk", "accepted"),
                    ("typ", "malformed_token"),
                    ("crit", "unsupported_token_header"),
                ] {
                    let outcome = setting.members(&format!(r#""{name}":{deep}"#)).await;
                    outcome.expect_token(code, name);
                }
                let outcome = setting.header(deep).await;
                outcome.expect_token("malformed_token", "all of it");
            }
            let open = "[".repeat(DEPTH);
            let outcome = setting.members(&format!(r#""later":{open}"#)).await;
            outcome.expect_token("malformed_token", "never closed");
        });
    };
    thread
        .spawn(run)
        .expect("a thread")
        .join()
        .expect("no panic");
}

/// Anybody can send these, so what the log says of them is short, on one line,
/// and quotes nothing but what is known to be there.
#[tokio::test]
async fn the_reason_for_the_log_is_bounded_and_escaped() {
    let setting = Setting::new();
    let hostile = "\n\r\u{1b}[31m\u{0}\u{202e}".repeat(100);
    let quoted = json!(hostile).to_string();
    let mut outcomes = vec![
        setting.header(&quoted).await,
        setting.header(format!("[{quoted}]")).await,
        setting.header(format!("{{{quoted}:1,{quoted}:1}}")).await,
        setting.header(format!(r#"{{"alg":{quoted}}}"#)).await,
        setting.members(&format!(r#""typ":{quoted}"#)).await,
        setting.members(&format!(r#""crit":{quoted}"#)).await,
    ];
    let short = json!("\u{1b}\u{202e}\n".repeat(36)).to_string();
    let named = format!(r#"{{"alg":"ES256","kid":{short}}}"#);
    outcomes.push(setting.header(named).await);
    let header = Value::Object(setting.delivery().header_params()).to_string();
    let token = setting.tenant.sign(&header, &quoted);
    let delivery = setting.delivery().token(token);
    outcomes.push(send(&setting.layer, delivery.request()).await);
    for name in ["iss", "aud", "c1typ", "htm", "htu", "jti", "htb_s256"] {
        let delivery = setting.delivery().claim(name, json!(hostile));
        outcomes.push(send(&setting.layer, delivery.request()).await);
    }
    for outcome in outcomes {
        let reason = outcome.reason();
        assert_eq!(outcome.status, 401, "{reason}");
        assert_ne!(outcome.code(), "token_too_long");
        assert!(reason.len() < 1500, "{} bytes: {reason}", reason.len());
        let odd = |c: char| c.is_control() || c == '\u{202e}';
        assert!(!reason.contains(odd), "{reason:?}");
    }
    let secret = json!("swordfish").to_string();
    let reason = setting.header(secret).await.reason();
    assert!(!reason.contains("swordfish"), "{reason}");
}

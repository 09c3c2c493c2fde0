//! The claims: each required, each of its one type, each bound to this
//! receiver, this request and this moment.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::{
    BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use support::{DOMAIN, Outcome, TEST_EVENT, builder, clock, now, receiver, send};
use tower_conductorone::keys::KeySet;
use tower_conductorone::testing::{Delivery, FakeTenant};
use tower_conductorone::{Tenant, VerifyWebhookLayer};

/// Seconds since the epoch at [`now`].
const NOW: i64 = 1_713_312_120;

const CLAIMS: [&str; 10] = [
    "iss", "aud", "c1typ", "exp", "iat", "nbf", "jti", "htm", "htu", "htb_s256",
];

const NUMBERS: [&str; 3] = ["exp", "iat", "nbf"];

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

    fn with_leeway(seconds: u64) -> Self {
        let tenant = FakeTenant::new(DOMAIN);
        let layer = builder(&tenant)
            .leeway(Duration::from_secs(seconds))
            .build()
            .expect("a good configuration");
        Self { tenant, layer }
    }

    fn delivery(&self) -> Delivery {
        self.tenant.delivery(TEST_EVENT).issued_at(now())
    }

    async fn send(&self, delivery: &Delivery) -> Outcome {
        send(&self.layer, delivery.request()).await
    }

    /// What becomes of a token in which these claims have these values,
    /// written exactly so.
    async fn raw(&self, claims: &[(&str, &str)]) -> Outcome {
        let delivery = self.delivery();
        let mut members = delivery.claims();
        for (name, _) in claims {
            members.remove(*name);
        }
        let rest = Value::Object(members).to_string();
        let written: Vec<_> = claims
            .iter()
            .map(|(name, value)| format!(r#""{name}":{value},"#))
            .collect();
        let written = written.concat();
        self.claims(delivery, rest.replacen('{', &format!("{{{written}"), 1))
            .await
    }

    /// What becomes of a delivery whose token has this text as its claims.
    async fn claims(&self, delivery: Delivery, text: impl AsRef<[u8]>) -> Outcome {
        let header = Value::Object(delivery.header_params()).to_string();
        let token = self.tenant.sign(header, text);
        self.send(&delivery.token(token)).await
    }
}

#[tokio::test]
async fn every_claim_is_required() {
    let setting = Setting::new();
    for name in CLAIMS {
        let delivery = setting.delivery().without_claim(name);
        let outcome = setting.send(&delivery).await;
        outcome.expect_token("missing_claim", name);
        assert!(outcome.reason().contains(name), "{}", outcome.reason());
        // A name is not another one in capitals or with a space.
        for other in [name.to_uppercase(), format!("{name} ")] {
            let value = delivery.claims().get(name).cloned().unwrap_or_default();
            let outcome = setting.send(&delivery.clone().claim(other, value)).await;
            outcome.expect_token("missing_claim", name);
        }
    }
    let outcome = setting.claims(setting.delivery(), "{}").await;
    outcome.expect_token("missing_claim", "no claim at all");
}

#[tokio::test]
async fn a_wrong_type_is_never_taken_for_an_absent_or_a_good_value() {
    let setting = Setting::new();
    let good = setting.delivery().claims();
    for name in CLAIMS {
        let own = &good[name];
        let mut wrong = vec![
            json!(null),
            json!(true),
            json!(false),
            json!([]),
            json!({}),
            json!({ "value": own }),
            json!([own, own]),
            json!([null]),
            json!([[own]]),
        ];
        if NUMBERS.contains(&name) {
            wrong.extend([json!(own.to_string()), json!(""), json!("now")]);
        } else {
            wrong.extend([json!(0), json!(1), json!(NOW), json!(1.5), json!(-1)]);
        }
        if name != "aud" {
            wrong.push(json!([own]));
        }
        for value in wrong {
            let case = format!("{name} is {value}");
            let outcome = setting.send(&setting.delivery().claim(name, value)).await;
            outcome.expect_token("invalid_claim", &case);
            assert!(outcome.reason().contains(name), "{}", outcome.reason());
        }
    }
}

#[tokio::test]
async fn an_empty_string_is_a_wrong_value() {
    let setting = Setting::new();
    for (name, code) in [
        ("iss", "unknown_tenant"),
        ("aud", "wrong_audience"),
        ("c1typ", "wrong_token_type"),
        ("jti", "invalid_claim"),
        ("htm", "wrong_method"),
        ("htu", "wrong_url"),
        ("htb_s256", "invalid_claim"),
    ] {
        let outcome = setting
            .send(&setting.delivery().claim(name, json!("")))
            .await;
        outcome.expect_token(code, name);
    }
}

#[tokio::test]
async fn a_claim_stands_once_however_it_is_written() {
    let setting = Setting::new();
    for name in CLAIMS.into_iter().chain(["other"]) {
        let (first, rest) = name.split_at(1);
        let escaped = format!(r"\u{:04x}{rest}", first.as_bytes()[0]);
        let delivery = setting.delivery();
        let mut members = delivery.claims();
        let own = members.remove(name).unwrap_or_default();
        let rest = Value::Object(members).to_string();
        for (one, two) in [(name, name), (name, &*escaped), (&*escaped, name)] {
            let twice = format!(r#"{{"{one}":{own},"{two}":{own},"#);
            let text = rest.replacen('{', &twice, 1);
            let outcome = setting.claims(delivery.clone(), text).await;
            outcome.expect_token("malformed_token", twice);
        }
        // Written once, with the escape, it is what it says.
        let once = rest.replacen('{', &format!(r#"{{"{escaped}":{own},"#), 1);
        let outcome = setting.claims(delivery, once).await;
        outcome.expect_token("accepted", escaped);
    }
}

#[tokio::test]
async fn the_claims_are_one_json_object() {
    let setting = Setting::new();
    let delivery = setting.delivery();
    let good = Value::Object(delivery.claims()).to_string();
    for text in [
        format!("[{good}]"),
        format!("{good}{good}"),
        format!("{good}x"),
        format!("\u{feff}{good}"),
        good.replace('}', ",}"),
        good.replace('}', ""),
        json!(good).to_string(),
        String::new(),
        "null".into(),
        "[]".into(),
        "1".into(),
    ] {
        let outcome = setting.claims(delivery.clone(), &text).await;
        outcome.expect_token("malformed_token", text);
    }
    let not_utf8 = [&good.as_bytes()[..good.len() - 1], b",\"other\":\"\xff\"}"].concat();
    let outcome = setting.claims(delivery.clone(), not_utf8).await;
    outcome.expect_token("malformed_token", "not UTF-8");
    let outcome = setting.claims(delivery, format!("\r\n\t {good}\n")).await;
    outcome.expect_token("accepted", "white space around it");
}

#[tokio::test]
async fn claims_that_nobody_asks_for_do_not_count() {
    let setting = Setting::new();
    let delivery = setting
        .delivery()
        .claim("sub", json!(null))
        .claim("azp", json!([[], {}]))
        .claim("cnf", json!({ "jkt": 7 }));
    setting.send(&delivery).await.expect_token("accepted", "");
}

#[tokio::test]
async fn iss_is_exactly_a_configured_tenant() {
    let setting = Setting::new();
    for iss in [
        "Example.conductor.one",
        "EXAMPLE.CONDUCTOR.ONE",
        "example.conductor.one.",
        ".example.conductor.one",
        "example.conductor.one:443",
        "https://example.conductor.one",
        "https://example.conductor.one/",
        "//example.conductor.one",
        "example.conductor.one/",
        "example.conductor.one/auth",
        " example.conductor.one",
        "example.conductor.one ",
        "example.conductor.one\0",
        "example.conductor.one\n",
        "example%2Econductor%2Eone",
        "user@example.conductor.one",
        "other.conductor.one",
        "conductor.one",
        "one",
        "evil.example.conductor.one",
        "example.conductor.one.evil.example",
        "ex\u{e4}mple.conductor.one",
        "\u{ff45}xample.conductor.one",
        "*.conductor.one",
        "127.0.0.1",
    ] {
        let outcome = setting
            .send(&setting.delivery().claim("iss", json!(iss)))
            .await;
        outcome.expect_token("unknown_tenant", iss);
    }
}

/// Two tenants, one receiver.
fn two_tenants() -> (FakeTenant, FakeTenant, VerifyWebhookLayer) {
    let one = FakeTenant::new(DOMAIN);
    let other = FakeTenant::new("other.conductor.one");
    let keys = KeySet::from_json(other.jwks().as_bytes()).expect("the tenant's own keys");
    let layer = builder(&one)
        .tenant(Tenant::new(other.domain()).static_keys(keys))
        .build()
        .expect("a good configuration");
    (one, other, layer)
}

#[tokio::test]
async fn a_tenant_s_keys_are_good_for_its_own_tokens_only() {
    let (one, other, layer) = two_tenants();
    let good = |tenant: &FakeTenant| tenant.delivery(TEST_EVENT).issued_at(now());
    for tenant in [&one, &other] {
        let outcome = send(&layer, good(tenant).request()).await;
        assert_eq!(outcome.webhook().tenant(), tenant.domain());
        assert_eq!(outcome.webhook().claims().issuer(), tenant.domain());
    }
    for (signer, claimed) in [(&one, &other), (&other, &one)] {
        let posing = good(signer).claim("iss", json!(claimed.domain()));
        let outcome = send(&layer, posing.request()).await;
        outcome.expect_token("unknown_key", "the signer's kid");
        let nameless = posing.clone().without_header_param("kid");
        let outcome = send(&layer, nameless.request()).await;
        outcome.expect_token("unknown_key", "no kid");
        let named = posing.header_param("kid", json!(claimed.signing_key()));
        let outcome = send(&layer, named.request()).await;
        outcome.expect_token("invalid_signature", "the other's kid");
    }
}

#[tokio::test]
async fn a_jti_counts_per_tenant() {
    let (one, other, layer) = two_tenants();
    let delivery = |tenant: &FakeTenant| {
        tenant
            .delivery(TEST_EVENT)
            .issued_at(now())
            .claim("jti", json!("the same"))
    };
    for code in ["accepted", "replayed_token"] {
        for tenant in [&one, &other] {
            let outcome = send(&layer, delivery(tenant).request()).await;
            outcome.expect_token(code, tenant.domain());
        }
    }
    // Tenant and id are not just written one behind the other.
    let shifted = delivery(&one).claim("jti", json!("e same"));
    let outcome = send(&layer, shifted.request()).await;
    outcome.expect_token("accepted", "another id");
}

#[tokio::test]
async fn aud_is_the_public_url_s_host() {
    let setting = Setting::new();
    for (aud, code) in [
        (json!("hooks.example.com"), "accepted"),
        (json!("HOOKS.Example.COM"), "accepted"),
        (json!(["hooks.example.com"]), "accepted"),
        (json!(["Hooks.example.com"]), "accepted"),
        (
            json!(["hooks.example.com", "other.example.com"]),
            "invalid_claim",
        ),
        (
            json!(["other.example.com", "hooks.example.com"]),
            "invalid_claim",
        ),
        (json!(["hooks.example.com", null]), "invalid_claim"),
        (json!([7]), "invalid_claim"),
        (json!([["hooks.example.com"]]), "invalid_claim"),
        (json!({ "0": "hooks.example.com" }), "invalid_claim"),
        (json!(["other.example.com"]), "wrong_audience"),
        (json!([""]), "wrong_audience"),
        (json!("hooks.example.com:443"), "wrong_audience"),
        (json!("hooks.example.com:"), "wrong_audience"),
        (json!("hooks.example.com."), "wrong_audience"),
        (json!(" hooks.example.com"), "wrong_audience"),
        (json!("hooks.example.com "), "wrong_audience"),
        (json!("hooks.example.com\u{0}"), "wrong_audience"),
        (json!("https://hooks.example.com"), "wrong_audience"),
        (
            json!("https://hooks.example.com/webhooks"),
            "wrong_audience",
        ),
        (json!("hooks.example.com/webhooks"), "wrong_audience"),
        (
            json!("hooks.example.com,other.example.com"),
            "wrong_audience",
        ),
        (json!("hooks%2Eexample.com"), "wrong_audience"),
        (json!("[hooks.example.com]"), "wrong_audience"),
        (json!("*.example.com"), "wrong_audience"),
        (json!("example.com"), "wrong_audience"),
        (json!("evil.hooks.example.com"), "wrong_audience"),
        (json!("hook\u{17f}.example.com"), "wrong_audience"),
        (json!("\u{212a}ooks.example.com"), "wrong_audience"),
    ] {
        let outcome = setting
            .send(&setting.delivery().claim("aud", aud.clone()))
            .await;
        outcome.expect_token(code, aud);
    }
}

#[tokio::test]
async fn the_port_and_case_of_the_public_url_are_no_part_of_aud() {
    let tenant = FakeTenant::new(DOMAIN);
    let layer = builder(&tenant)
        .public_url("https://Hooks.Example.com:8443")
        .build()
        .expect("a good configuration");
    for (aud, code) in [
        ("hooks.example.com", "accepted"),
        ("Hooks.Example.com", "accepted"),
        ("hooks.example.com:8443", "wrong_audience"),
    ] {
        let delivery = tenant
            .delivery(TEST_EVENT)
            .issued_at(now())
            .to("https://hooks.example.com:8443/webhooks")
            .claim("aud", json!(aud));
        send(&layer, delivery.request())
            .await
            .expect_token(code, aud);
    }
}

#[tokio::test]
async fn c1typ_is_wh() {
    let setting = Setting::new();
    for typ in [
        "WH", "Wh", " wh", "wh ", "wh\0", "w", "whx", "webhook", "at", "id", "JWT",
    ] {
        let outcome = setting
            .send(&setting.delivery().claim("c1typ", json!(typ)))
            .await;
        outcome.expect_token("wrong_token_type", typ);
    }
}

#[tokio::test]
async fn htm_is_the_method_case_included() {
    let setting = Setting::new();
    for method in [
        "post", "Post", "POST ", " POST", "POST\0", "GET", "PUT", "P", "POSTX", "*",
    ] {
        let outcome = setting
            .send(&setting.delivery().claim("htm", json!(method)))
            .await;
        outcome.expect_token("wrong_method", method);
    }
}

#[tokio::test]
async fn jti_has_1_to_256_bytes() {
    let setting = Setting::new();
    for (jti, code) in [
        ("j".to_owned(), "accepted"),
        ("\0".to_owned(), "accepted"),
        ("j".repeat(256), "accepted"),
        ("j".repeat(257), "invalid_claim"),
        ("j".repeat(4000), "invalid_claim"),
        // It is bytes that count, not characters.
        ("é".repeat(128), "accepted"),
        ("é".repeat(129), "invalid_claim"),
    ] {
        let outcome = setting
            .send(&setting.delivery().claim("jti", json!(jti)))
            .await;
        outcome.expect_token(code, &jti);
        if code == "accepted" {
            assert_eq!(outcome.webhook().claims().token_id(), jti);
        }
    }
}

#[tokio::test]
async fn a_jti_is_taken_byte_by_byte() {
    let setting = Setting::new();
    for jti in ["id", "ID", "id ", " id", "id\0", "e\u{301}", "\u{e9}"] {
        let outcome = setting
            .send(&setting.delivery().claim("jti", json!(jti)))
            .await;
        outcome.expect_token("accepted", jti);
    }
    // However it is escaped, it is the same.
    let outcome = setting.raw(&[("jti", r#""\u0069d""#)]).await;
    outcome.expect_token("replayed_token", "escaped");
}

#[tokio::test]
async fn htb_s256_is_base64_of_32_bytes_in_any_usual_form() {
    let setting = Setting::new();
    // A body whose hash makes a difference between the alphabets.
    let (body, hash) = (0..1000)
        .map(|n| {
            let body =
                format!(r#"{{"version":"v1","webhookId":"{n}","event":"e","payload":{{}}}}"#);
            let hash = Sha256::digest(&body);
            (body, hash)
        })
        .find(|(_, hash)| {
            let text = BASE64_STANDARD.encode(hash);
            text.contains('+') && text.contains('/')
        })
        .expect("one in four");
    let standard = BASE64_STANDARD.encode(hash);
    let unpadded = BASE64_STANDARD_NO_PAD.encode(hash);
    let url_safe = BASE64_URL_SAFE.encode(hash);
    // Its last character holds 4 bits of the hash and 2 that must be 0.
    let last = unpadded.chars().last().map(|c| char::from(c as u8 + 1));
    let stray: String = unpadded[..42].chars().chain(last).collect();
    let of = |bytes: &[u8]| BASE64_STANDARD.encode(bytes);
    for (text, code) in [
        (standard.clone(), "accepted"),
        (unpadded.clone(), "accepted"),
        (url_safe.clone(), "accepted"),
        (BASE64_URL_SAFE_NO_PAD.encode(hash), "accepted"),
        (standard.replace('+', "-"), "invalid_claim"),
        (standard.replace('/', "_"), "invalid_claim"),
        (url_safe.replace('-', "+"), "invalid_claim"),
        (format!("{standard}="), "invalid_claim"),
        (format!("{unpadded}=="), "invalid_claim"),
        (format!("={unpadded}"), "invalid_claim"),
        (stray.clone(), "invalid_claim"),
        (format!("{stray}="), "invalid_claim"),
        (format!(" {standard}"), "invalid_claim"),
        (format!("{standard}\n"), "invalid_claim"),
        (format!("{unpadded} "), "invalid_claim"),
        (format!(":{standard}:"), "invalid_claim"),
        (format!("sha-256={standard}"), "invalid_claim"),
        (of(&hash[..31]), "invalid_claim"),
        (of(&[&hash[..], &[0]].concat()), "invalid_claim"),
        (of(&[&hash[..], &hash[..]].concat()), "invalid_claim"),
        (of(b""), "invalid_claim"),
        (
            hash.iter()
                .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}")),
            "invalid_claim",
        ),
        ("\u{e9}".repeat(22), "invalid_claim"),
        ("A".repeat(4000), "invalid_claim"),
        ("=".repeat(44), "invalid_claim"),
        (of(&[0; 32]), "body_hash_mismatch"),
        (of(&Sha256::digest(b"another")), "body_hash_mismatch"),
        (standard.to_lowercase(), "body_hash_mismatch"),
    ] {
        // One that does not fit the body is found out once that is read.
        let delivery = setting
            .delivery()
            .body(body.clone())
            .without_http_header("webhook-id")
            .without_http_header("webhook-event")
            .without_http_header("webhook-callback-url")
            .claim("htb_s256", json!(text));
        setting.send(&delivery).await.expect_token(code, text);
    }
}

#[tokio::test]
async fn every_bit_of_htb_s256_counts() {
    let setting = Setting::new();
    let delivery = setting.delivery();
    for bit in 0..256 {
        let mut hash = Sha256::digest(delivery.body_bytes());
        hash[bit / 8] ^= 1 << (bit % 8);
        let hash = json!(BASE64_STANDARD.encode(hash));
        let outcome = setting
            .send(&delivery.clone().claim("htb_s256", hash))
            .await;
        outcome.expect_token("body_hash_mismatch", bit);
    }
}

#[tokio::test]
async fn numeric_dates_are_json_numbers_of_any_form() {
    let setting = Setting::new();
    let nines = "9".repeat(300);
    let beyond = "9".repeat(400);
    for (claim, value, code) in [
        ("exp", "1713312240", "accepted"),
        ("exp", "1713312240.0", "accepted"),
        ("exp", "1713312240.75", "accepted"),
        ("exp", "1713312240e0", "accepted"),
        ("exp", "1.71331224e9", "accepted"),
        ("exp", "1.71331224E+9", "accepted"),
        ("exp", "171331224000e-2", "accepted"),
        ("iat", "1713312120.5", "accepted"),
        ("nbf", "1713312060.999999999", "accepted"),
        // Long ago, for all that it matters.
        ("nbf", "0", "accepted"),
        ("nbf", "-0", "accepted"),
        ("nbf", "-1", "accepted"),
        ("nbf", "-1e308", "accepted"),
        ("nbf", "-9223372036854775809", "accepted"),
        ("nbf", "1e-400", "accepted"),
        ("exp", "0", "token_expired"),
        ("exp", "-1", "token_expired"),
        ("exp", "1e3", "token_expired"),
        ("exp", "-1e308", "token_expired"),
        ("exp", "-9223372036854775809", "token_expired"),
        ("exp", "1e10", "token_lifetime_too_long"),
        ("exp", "1e308", "token_lifetime_too_long"),
        ("exp", "1713312240000", "token_lifetime_too_long"),
        ("exp", "9223372036854775807", "token_lifetime_too_long"),
        ("exp", "9223372036854775808", "token_lifetime_too_long"),
        ("exp", "18446744073709551615", "token_lifetime_too_long"),
        ("exp", "18446744073709551616", "token_lifetime_too_long"),
        ("exp", nines.as_str(), "token_lifetime_too_long"),
        ("iat", "0", "token_lifetime_too_long"),
        ("iat", "-1", "token_lifetime_too_long"),
        ("iat", "-1e308", "token_lifetime_too_long"),
        ("iat", "-9223372036854775808", "token_lifetime_too_long"),
        ("iat", "1e308", "token_not_yet_valid"),
        ("iat", "18446744073709551615", "token_not_yet_valid"),
        ("nbf", "1e308", "token_not_yet_valid"),
        ("nbf", "1713312060000", "token_not_yet_valid"),
        // No finite number.
        ("exp", "1e309", "invalid_claim"),
        ("exp", "-1e309", "invalid_claim"),
        ("exp", "1e99999999999999999999", "invalid_claim"),
        ("exp", beyond.as_str(), "invalid_claim"),
        ("nbf", "-1e309", "invalid_claim"),
        // No JSON.
        ("exp", "NaN", "malformed_token"),
        ("exp", "Infinity", "malformed_token"),
        ("exp", "-Infinity", "malformed_token"),
        ("exp", "+1713312240", "malformed_token"),
        ("exp", "01713312240", "malformed_token"),
        ("exp", "0x6620F7F0", "malformed_token"),
        ("exp", "1713312240.", "malformed_token"),
        ("exp", ".5", "malformed_token"),
        ("exp", "1e", "malformed_token"),
        ("exp", "-", "malformed_token"),
        ("exp", "1_713_312_240", "malformed_token"),
        ("exp", "1713312240n", "malformed_token"),
    ] {
        let outcome = setting.raw(&[(claim, value)]).await;
        outcome.expect_token(code, (claim, value));
    }
    // Infinity less infinity, and the like.
    for (iat, exp, code) in [
        ("1e308", "1e308", "token_not_yet_valid"),
        ("-1e308", "1e308", "token_lifetime_too_long"),
        ("1e308", "-1e308", "token_expired"),
        ("-1e308", "-1e308", "token_expired"),
    ] {
        let outcome = setting.raw(&[("iat", iat), ("exp", exp)]).await;
        outcome.expect_token(code, (iat, exp));
    }
}

#[tokio::test]
async fn leeway_counts_to_the_second_at_both_ends() {
    for leeway in [0, 30, 60] {
        let setting = Setting::with_leeway(leeway);
        let leeway = i64::try_from(leeway).expect("small");
        let at = |seconds: i64| (NOW + seconds).to_string();
        let half = |seconds: i64| format!("{}.5", NOW + seconds);
        for (claim, value, code) in [
            // RFC 7519 §4.1.4: not accepted on or after it.
            ("exp", at(-leeway - 1), "token_expired"),
            ("exp", half(-leeway - 1), "token_expired"),
            ("exp", at(-leeway), "token_expired"),
            ("exp", half(-leeway), "accepted"),
            ("exp", at(-leeway + 1), "accepted"),
            // §4.1.5: accepted on it.
            ("nbf", at(leeway - 1), "accepted"),
            ("nbf", at(leeway), "accepted"),
            ("nbf", half(leeway), "token_not_yet_valid"),
            ("nbf", at(leeway + 1), "token_not_yet_valid"),
            // What `nbf` allows, `iat` allows; only far in the future it counts.
            ("iat", at(leeway + 1), "accepted"),
            ("iat", at(leeway + 600), "accepted"),
            ("iat", half(leeway + 600), "token_not_yet_valid"),
            ("iat", at(leeway + 601), "token_not_yet_valid"),
        ] {
            let outcome = setting.raw(&[(claim, &value)]).await;
            outcome.expect_token(code, (leeway, claim, &value));
        }
    }
}

#[tokio::test]
async fn the_clock_decides_to_the_microsecond() {
    let tenant = FakeTenant::new(DOMAIN);
    let clock = clock();
    let layer = builder(&tenant)
        .clock(clock.clone())
        .build()
        .expect("a good configuration");
    let issued = now();
    let seconds = Duration::from_secs;
    // Not nearer than floating point tells moments of this century apart.
    let moment = Duration::from_micros(1);
    // nbf is 60 s before iat, exp 120 s after it.
    for (time, code) in [
        // So a clock may be slow by 90 s, for all that ConductorOne allows.
        (issued - seconds(90) - moment, "token_not_yet_valid"),
        (issued - seconds(90), "accepted"),
        (issued - seconds(89), "accepted"),
        (issued - seconds(31), "accepted"),
        (issued - seconds(30), "accepted"),
        (issued, "accepted"),
        (issued + seconds(150) - moment, "accepted"),
        (issued + seconds(150), "token_expired"),
        (issued + seconds(151), "token_expired"),
        (issued + seconds(100_000_000), "token_expired"),
        (UNIX_EPOCH, "token_not_yet_valid"),
        (UNIX_EPOCH - seconds(1), "token_not_yet_valid"),
    ] {
        clock.set(time);
        let delivery = tenant.delivery(TEST_EVENT).issued_at(issued);
        let outcome = send(&layer, delivery.request()).await;
        outcome.expect_token(code, time);
    }
    // A part of a second counts on both sides.
    for (claim, date, time, code) in [
        ("exp", 120.25, issued + seconds(150), "accepted"),
        (
            "exp",
            120.25,
            issued + Duration::from_millis(150_500),
            "token_expired",
        ),
        ("nbf", 30.25, issued, "token_not_yet_valid"),
        (
            "nbf",
            30.25,
            issued + Duration::from_millis(500),
            "accepted",
        ),
    ] {
        clock.set(time);
        let date = json!(1_713_312_120.0 + date);
        let delivery = tenant.delivery(TEST_EVENT).issued_at(issued);
        let outcome = send(&layer, delivery.claim(claim, date).request()).await;
        outcome.expect_token(code, (claim, time));
    }
}

#[tokio::test]
async fn a_clock_may_stand_before_1970() {
    let tenant = FakeTenant::new(DOMAIN);
    let clock = clock();
    let layer = builder(&tenant)
        .clock(clock.clone())
        .build()
        .expect("a good configuration");
    for (before, code) in [
        (4000, "token_not_yet_valid"),
        (3600, "accepted"),
        (3000, "token_expired"),
    ] {
        clock.set(UNIX_EPOCH - Duration::from_secs(before));
        let delivery = tenant
            .delivery(TEST_EVENT)
            .claim("nbf", json!(-3660))
            .claim("iat", json!(-3600))
            .claim("exp", json!(-3480));
        let outcome = send(&layer, delivery.request()).await;
        outcome.expect_token(code, before);
    }
}

#[tokio::test]
async fn a_token_lives_at_most_10_minutes_unless_told_otherwise() {
    let tenant = FakeTenant::new(DOMAIN);
    let usual = receiver(&tenant);
    let strict = builder(&tenant)
        .max_token_lifetime(Duration::from_secs(120))
        .build()
        .expect("a good configuration");
    for (layer, iat, exp, code) in [
        (&usual, json!(NOW), json!(NOW + 600), "accepted"),
        (
            &usual,
            json!(NOW),
            json!(NOW + 601),
            "token_lifetime_too_long",
        ),
        (
            &usual,
            json!(NOW),
            json!(1_713_312_720.5),
            "token_lifetime_too_long",
        ),
        (&usual, json!(NOW - 570), json!(NOW + 30), "accepted"),
        (
            &usual,
            json!(NOW - 571),
            json!(NOW + 30),
            "token_lifetime_too_long",
        ),
        (&strict, json!(NOW), json!(NOW + 120), "accepted"),
        (
            &strict,
            json!(NOW),
            json!(NOW + 121),
            "token_lifetime_too_long",
        ),
        // Leeway is for clocks that differ, not for a longer life.
        (
            &usual,
            json!(NOW - 1),
            json!(NOW + 600),
            "token_lifetime_too_long",
        ),
    ] {
        let delivery = tenant
            .delivery(TEST_EVENT)
            .issued_at(now())
            .claim("iat", iat.clone())
            .claim("exp", exp.clone());
        let outcome = send(layer, delivery.request()).await;
        outcome.expect_token(code, (iat, exp));
    }
}

/// An `iat` as far ahead as `exp` would hide how long the token lives.
#[tokio::test]
async fn a_token_cannot_hide_its_life_behind_an_iat_to_come() {
    let tenant = FakeTenant::new(DOMAIN);
    let layer = receiver(&tenant);
    for (ahead, code) in [
        (0, "accepted"),
        (630, "accepted"),
        (631, "token_not_yet_valid"),
        (86_400, "token_not_yet_valid"),
    ] {
        let delivery = tenant
            .delivery(TEST_EVENT)
            .issued_at(now())
            .claim("iat", json!(NOW + ahead))
            .claim("exp", json!(NOW + ahead + 600));
        let outcome = send(&layer, delivery.request()).await;
        outcome.expect_token(code, ahead);
        let reason = outcome.reason();
        assert!(
            code == "accepted" || (reason.contains("iat is") && reason.contains("in the future")),
            "{reason}"
        );
    }
}

/// Whoever lifts the limit on a token's life still has it used once.
#[tokio::test]
async fn a_token_that_never_ends_is_a_replay_the_second_time() {
    let tenant = FakeTenant::new(DOMAIN);
    let clock = clock();
    let layer = builder(&tenant)
        .max_token_lifetime(Duration::MAX)
        .clock(clock.clone())
        .build()
        .expect("a good configuration");
    for exp in [
        json!(NOW + 1_000_000_000),
        json!(8.0e9),
        json!(2.6e11),
        json!(9_223_372_036_854_775_000_u64),
        json!(i64::MAX),
        json!(1.0e19),
    ] {
        clock.set(now());
        let delivery = tenant
            .delivery(TEST_EVENT)
            .issued_at(now())
            .claim("exp", exp.clone());
        let outcome = send(&layer, delivery.request()).await;
        outcome.expect_token("accepted", &exp);
        assert!(outcome.webhook().claims().expires_at() > now());
        clock.advance(Duration::from_secs(1_000_000));
        let outcome = send(&layer, delivery.request()).await;
        outcome.expect_token("replayed_token", &exp);
    }
}

#[tokio::test]
async fn the_handler_reads_the_claims_as_they_came() {
    let setting = Setting::new();
    let delivery = setting
        .delivery()
        .claim("aud", json!(["HOOKS.example.com"]))
        .claim("htu", json!("HTTPS://hooks.example.com:443/webhooks?x#y"))
        .claim("jti", json!("an id"))
        .claim("nbf", json!(-1.5))
        .claim("exp", json!(1_713_312_240.25));
    let outcome = setting.send(&delivery).await;
    let claims = outcome.webhook().claims();
    assert_eq!(claims.issuer(), DOMAIN);
    assert_eq!(claims.audience(), "HOOKS.example.com");
    assert_eq!(
        claims.target(),
        "HTTPS://hooks.example.com:443/webhooks?x#y"
    );
    assert_eq!(claims.token_id(), "an id");
    assert_eq!(claims.issued_at(), now());
    assert_eq!(
        claims.not_before(),
        UNIX_EPOCH - Duration::from_millis(1500)
    );
    assert_eq!(claims.expires_at(), now() + Duration::from_millis(120_250));
    // What no `SystemTime` holds is still no reason to panic.
    for nbf in ["-1e308", "-1e19", "-9.3e18"] {
        let outcome = setting.raw(&[("nbf", nbf)]).await;
        assert!(outcome.webhook().claims().not_before() <= SystemTime::UNIX_EPOCH);
    }
}

//! Our verdict on tokens against that of `jsonwebtoken`: where it refuses a
//! signature we do, too; what differs otherwise is written down here.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use fastrand::Rng;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation};
use serde_json::{Map, Value, json};
use support::{DOMAIN, Outcome, TEST_EVENT, builder, now, send};
use tower_conductorone::VerifyWebhookLayer;
use tower_conductorone::keys::Algorithm;
use tower_conductorone::testing::{Delivery, FakeTenant};

const ALGORITHMS: [(Algorithm, jsonwebtoken::Algorithm); 3] = [
    (Algorithm::Rs256, jsonwebtoken::Algorithm::RS256),
    (Algorithm::Es256, jsonwebtoken::Algorithm::ES256),
    (Algorithm::EdDsa, jsonwebtoken::Algorithm::EdDSA),
];

/// One tenant, one key, and two who verify with it.
struct Setting {
    tenant: FakeTenant,
    ours: VerifyWebhookLayer,
    key: DecodingKey,
    validation: Validation,
}

impl Setting {
    fn new(algorithm: Algorithm, theirs: jsonwebtoken::Algorithm) -> Self {
        let tenant = FakeTenant::with_algorithm(DOMAIN, algorithm);
        let set: JwkSet = serde_json::from_str(&tenant.jwks()).expect("a JWK set");
        // Only the signature: the tokens are of another day.
        let mut validation = Validation::new(theirs);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        Self {
            ours: builder(&tenant)
                // One token is sent in several forms.
                .dangerous_disable_replay_guard()
                .build()
                .expect("a good configuration"),
            key: DecodingKey::from_jwk(&set.keys[0]).expect("a good key"),
            tenant,
            validation,
        }
    }

    fn delivery(&self) -> Delivery {
        self.tenant.delivery(TEST_EVENT).issued_at(now())
    }

    fn theirs(&self, token: &str) -> Result<Map<String, Value>, String> {
        jsonwebtoken::decode(token, &self.key, &self.validation)
            .map(|token| token.claims)
            .map_err(|error| error.to_string())
    }

    async fn ours(&self, delivery: &Delivery, token: &str) -> Outcome {
        send(&self.ours, delivery.clone().token(token).request()).await
    }
}

/// Another token, not far from a good one: changed after it was signed, so
/// that it must not pass.
fn mutated(good: &str, other: &str, rng: &mut Rng) -> String {
    let mut parts: Vec<String> = good.split('.').map(str::to_owned).collect();
    let others: Vec<&str> = other.split('.').collect();
    let index = rng.usize(..3);
    let part = &mut parts[index];
    match rng.u8(..9) {
        // A bit, or some.
        0..=2 => {
            let mut bytes = BASE64.decode(&*part).expect("base64");
            for _ in 0..=rng.usize(..3) {
                let at = rng.usize(..bytes.len());
                bytes[at] ^= 1 << rng.u8(..8);
            }
            *part = BASE64.encode(bytes);
        }
        // A character of the text.
        3 => {
            let at = rng.usize(..part.len());
            let character = *rng.choice(b"AQgwz059-_.=+").expect("some");
            let character = char::from(character);
            part.replace_range(at..=at, &character.to_string());
        }
        // A byte more, or less.
        4 => {
            let mut bytes = BASE64.decode(&*part).expect("base64");
            match rng.u8(..4) {
                0 => drop(bytes.pop()),
                1 => drop(bytes.remove(0)),
                2 => bytes.push(rng.u8(..)),
                _ => bytes.insert(0, 0),
            }
            *part = BASE64.encode(bytes);
        }
        // Another token's part.
        5 => others[index].clone_into(part),
        // Zeros or nothing.
        6 => {
            let zeros = vec![0; [0, 1, 64, 256][rng.usize(..4)]];
            parts[2] = BASE64.encode(zeros);
        }
        // Another algorithm in the header.
        7 => {
            let header = BASE64.decode(&parts[0]).expect("base64");
            let mut header: Value = serde_json::from_slice(&header).expect("JSON");
            let names = [
                "none", "HS256", "RS256", "RS512", "PS256", "ES256", "ES384", "EdDSA",
            ];
            header["alg"] = (*rng.choice(&names).expect("some")).into();
            // Written anew, it may come out as it was: then it is told apart.
            header["x"] = rng.u32(..).into();
            parts[0] = BASE64.encode(header.to_string());
        }
        // Parts in another order, or a part too many.
        _ => {
            if rng.bool() {
                parts.swap(index, (index + 1) % 3);
            } else {
                parts.insert(index, String::new());
            }
        }
    }
    parts.join(".")
}

#[tokio::test]
async fn a_signature_that_jsonwebtoken_refuses_is_refused() {
    for (algorithm, theirs) in ALGORITHMS {
        let setting = Setting::new(algorithm, theirs);
        let mut rng = Rng::with_seed(2024);
        let mut refused = 0;
        for _ in 0..40 {
            let delivery = setting.delivery();
            let good = delivery.token_string();
            assert!(setting.theirs(&good).is_ok());
            let outcome = setting.ours(&delivery, &good).await;
            outcome.expect_token("accepted", &good);
            let other = setting.delivery().token_string();
            for _ in 0..10 {
                let token = mutated(&good, &other, &mut rng);
                if token == good {
                    continue;
                }
                let outcome = setting.ours(&delivery, &token).await;
                match setting.theirs(&token) {
                    Err(reason) => {
                        assert_eq!(outcome.status, 401, "{algorithm}: {reason}: {token}");
                        refused += 1;
                    }
                    Ok(claims) => {
                        panic!("{algorithm}: {token} passed with {claims:?}");
                    }
                }
            }
        }
        assert!(refused > 350, "{algorithm}: {refused} tokens");
    }
}

#[tokio::test]
async fn another_key_of_the_same_kind_is_refused_by_both() {
    for (algorithm, theirs) in ALGORITHMS {
        let setting = Setting::new(algorithm, theirs);
        let forger = FakeTenant::with_algorithm(DOMAIN, algorithm);
        let kid = json!(setting.tenant.signing_key());
        for delivery in [
            forger.delivery(TEST_EVENT).issued_at(now()),
            forger
                .delivery(TEST_EVENT)
                .issued_at(now())
                .header_param("kid", kid),
            forger
                .delivery(TEST_EVENT)
                .issued_at(now())
                .without_header_param("kid"),
        ] {
            let token = delivery.token_string();
            assert!(setting.theirs(&token).is_err());
            let outcome = setting.ours(&delivery, &token).await;
            assert_eq!(outcome.status, 401, "{algorithm}");
        }
    }
}

/// ES256 signatures come in pairs: whoever has one can make the other without
/// the key. Both pass, here and there; that a token is used once depends on
/// its `jti`, not on its text.
#[tokio::test]
async fn both_take_the_other_signature_of_an_es256_pair() {
    const ORDER: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
        0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let (algorithm, theirs) = ALGORITHMS[1];
    let setting = Setting::new(algorithm, theirs);
    let delivery = setting.delivery();
    let good = delivery.token_string();
    let (input, signature) = good.rsplit_once('.').expect("three parts");
    let mut signature = BASE64.decode(signature).expect("base64");
    let mut borrow = 0;
    for (s, n) in signature[32..].iter_mut().zip(ORDER).rev() {
        let difference = 0x100 + u16::from(n) - u16::from(*s) - borrow;
        borrow = u16::from(difference < 0x100);
        *s = difference.to_le_bytes()[0];
    }
    let twin = format!("{input}.{}", BASE64.encode(&signature));
    assert_ne!(twin, good);
    assert!(setting.theirs(&twin).is_ok());
    let outcome = setting.ours(&delivery, &twin).await;
    outcome.expect_token("accepted", "the twin");

    let guarded = builder(&setting.tenant)
        .build()
        .expect("a good configuration");
    for (token, code) in [(good, "accepted"), (twin, "replayed_token")] {
        let outcome = send(&guarded, delivery.clone().token(token).request()).await;
        outcome.expect_token(code, "one jti");
    }
}

#[tokio::test]
async fn both_read_the_same_claims_from_a_good_token() {
    for (algorithm, theirs) in ALGORITHMS {
        let setting = Setting::new(algorithm, theirs);
        let mut rng = Rng::with_seed(7);
        for round in 0..60 {
            let mut text = |length: usize| -> String {
                (0..length).map(|_| rng.char(' '..'\u{3000}')).collect()
            };
            let delivery = setting
                .delivery()
                .claim("jti", json!(text(1 + round)))
                .claim(text(5), json!([text(3), { text(2): text(2) }]))
                .header_param(text(5), json!(text(4)));
            let token = delivery.token_string();
            let expected = setting.theirs(&token).expect("a good token");
            let outcome = setting.ours(&delivery, &token).await;
            let claims = outcome.webhook().claims();
            let seconds = |time: SystemTime| {
                let since = time
                    .duration_since(SystemTime::UNIX_EPOCH)
                    .expect("after 1970");
                json!(since.as_secs())
            };
            for (name, value) in [
                ("iss", json!(claims.issuer())),
                ("aud", json!(claims.audience())),
                ("jti", json!(claims.token_id())),
                ("htu", json!(claims.target())),
                ("iat", seconds(claims.issued_at())),
                ("nbf", seconds(claims.not_before())),
                ("exp", seconds(claims.expires_at())),
            ] {
                assert_eq!(expected[name], value, "{algorithm}: {name}");
            }
        }
    }
}

/// On the system's clock, since `jsonwebtoken` knows no other.
#[tokio::test]
async fn both_judge_audience_issuer_and_times_alike() {
    for (algorithm, theirs) in ALGORITHMS {
        let mut setting = Setting::new(algorithm, theirs);
        setting.ours = builder(&setting.tenant)
            .clock(tower_conductorone::SystemClock)
            .max_token_lifetime(Duration::from_secs(1_000_000))
            .build()
            .expect("a good configuration");
        setting.validation = Validation::new(theirs);
        setting.validation.leeway = 30;
        setting.validation.validate_nbf = true;
        setting.validation.set_audience(&["hooks.example.com"]);
        setting.validation.set_issuer(&[DOMAIN]);
        setting
            .validation
            .set_required_spec_claims(&["exp", "nbf", "aud", "iss"]);

        let at = SystemTime::now();
        let since = at
            .duration_since(SystemTime::UNIX_EPOCH)
            .expect("after 1970");
        let now = i64::try_from(since.as_secs()).expect("this century");
        let mut changes = vec![
            ("aud", json!("other.example.com")),
            ("aud", json!("hooks.example.com:443")),
            ("aud", json!(["hooks.example.com"])),
            ("aud", json!(["other.example.com"])),
            ("aud", json!([])),
            ("aud", json!(7)),
            ("aud", json!(null)),
            ("iss", json!("other.conductor.one")),
            ("iss", json!("https://example.conductor.one")),
            ("iss", json!(null)),
            ("exp", json!("soon")),
            ("exp", json!(null)),
            ("nbf", json!(null)),
            ("nbf", json!("soon")),
        ];
        // Not so near to the edge that the test's own time would count.
        for offset in [-100_000, -1000, -60, -40, -20, 0, 20, 1000, 500_000] {
            changes.push(("exp", json!(now + offset)));
            changes.push(("nbf", json!(now - offset)));
        }
        for (name, value) in changes {
            let delivery = setting
                .tenant
                .delivery(TEST_EVENT)
                .issued_at(at)
                .claim(name, value.clone());
            let token = delivery.token_string();
            let expected = setting.theirs(&token);
            let outcome = setting.ours(&delivery, &token).await;
            assert_eq!(
                outcome.handled.is_some(),
                expected.is_ok(),
                "{algorithm}: {name} {value}: {} and {expected:?}",
                outcome.code()
            );
        }
    }
}

/// The tokens on which the two differ, signed well, and why.
#[tokio::test]
async fn what_differs_is_intended() {
    let (algorithm, theirs) = ALGORITHMS[2];
    let setting = Setting::new(algorithm, theirs);
    let kid = setting.tenant.signing_key();
    let header = |members: &str| format!(r#"{{"alg":"EdDSA","kid":"{kid}"{members}}}"#);
    // They take it, we do not.
    let stricter = [
        // Extensions that must be understood, and are not (RFC 7515 §4.1.11).
        (r#","crit":["exp"]"#, "unsupported_token_header"),
        // Changes what is signed (RFC 7797).
        (r#","b64":false"#, "unsupported_token_header"),
        // Of encrypted tokens (RFC 7516).
        (r#","enc":"A128GCM""#, "unsupported_token_header"),
        (r#","zip":"DEF""#, "unsupported_token_header"),
        // Another kind of token (RFC 8725 §3.11).
        (r#","typ":"at+jwt""#, "wrong_token_type"),
        // A wrong type is not an absent member.
        (r#","typ":null"#, "malformed_token"),
        // Two readers could take two values (RFC 7515 §4).
        (r#","x":1,"x":2"#, "malformed_token"),
    ];
    let claims = |delivery: &Delivery| Value::Object(delivery.claims()).to_string();
    for (members, code) in stricter {
        let delivery = setting.delivery();
        let token = setting.tenant.sign(header(members), claims(&delivery));
        assert!(setting.theirs(&token).is_ok(), "{members}");
        let outcome = setting.ours(&delivery, &token).await;
        outcome.expect_token(code, members);
    }
    let delivery = setting.delivery();
    let twice = claims(&delivery).replacen('{', r#"{"jti":"a","#, 1);
    let token = setting.tenant.sign(header(""), twice);
    assert!(setting.theirs(&token).is_ok());
    let outcome = setting.ours(&delivery, &token).await;
    outcome.expect_token("malformed_token", "a claim that stands twice");

    // We take it, they do not.
    let laxer = [
        // EdDSA's name in RFC 9864.
        format!(r#"{{"alg":"Ed25519","kid":"{kid}"}}"#),
        // What is never read need not be well-formed.
        header(r#","jwk":7"#),
        header(r#","x5c":"none""#),
        header(r#","jku":["https://attacker.example"]"#),
    ];
    for header in laxer {
        let delivery = setting.delivery();
        let token = setting.tenant.sign(&header, claims(&delivery));
        assert!(setting.theirs(&token).is_err(), "{header}");
        let outcome = setting.ours(&delivery, &token).await;
        outcome.expect_token("accepted", header);
    }
}

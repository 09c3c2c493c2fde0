//! Reading key sets: which keys are used, and why the others are not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tower_conductorone::BoxFuture;
use tower_conductorone::keys::{
    Algorithm, KeyInfo, KeySet, KeySetError, KeySource, KeysUnavailable, SkipReason, StaticKeys,
};

fn b64(octets: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

/// An RSA key of so many bits, as far as can be seen from the outside.
fn rsa(bits: usize) -> Value {
    json!({"kty": "RSA", "n": b64(modulus(bits)), "e": "AQAB"})
}

fn modulus(bits: usize) -> Vec<u8> {
    let mut n = vec![0xa5; bits.div_ceil(8)];
    n[0] = 1 << ((bits - 1) % 8);
    *n.last_mut().unwrap() |= 1;
    n
}

fn p256() -> Value {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
    json!({"kty": "EC", "crv": "P-256", "x": b64(x), "y": b64(y)})
}

fn ed25519() -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
}

fn ed25519_with(x: [u8; 32]) -> Value {
    with(ed25519(), "x", b64(x))
}

fn with(mut jwk: Value, name: &str, value: impl Into<Value>) -> Value {
    jwk[name] = value.into();
    jwk
}

fn without(mut jwk: Value, name: &str) -> Value {
    jwk.as_object_mut().unwrap().remove(name);
    jwk
}

fn read(keys: &[Value]) -> Result<KeySet, KeySetError> {
    KeySet::from_json(json!({ "keys": keys }).to_string().as_bytes())
}

fn unhex(hex: &str) -> [u8; 32] {
    let mut octets = [0; 32];
    for (i, octet) in octets.iter_mut().enumerate() {
        *octet = u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap();
    }
    octets
}

#[allow(clippy::too_many_lines, reason = "a table")]
fn bad_keys() -> Vec<(Value, SkipReason)> {
    use SkipReason as R;

    let x = |octets: &[u8]| with(p256(), "x", b64(octets));
    let point = p256();
    let y_of_another = with(point.clone(), "y", p256()["y"].clone());
    let swapped = with(
        with(point.clone(), "x", point["y"].clone()),
        "y",
        point["x"].clone(),
    );
    // x and y as numbers that are not below the field's prime
    let above_prime = unhex("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff");
    let text_of = |value: &Value| value.as_str().unwrap().to_owned();
    let mut bad = vec![
        // what it is
        (json!(null), R::NotAnObject),
        (json!("key"), R::NotAnObject),
        (json!([]), R::NotAnObject),
        (
            json!(["OKP", "sig", ["verify"], "EdDSA", "k"]),
            R::NotAnObject,
        ),
        (json!({}), R::Missing("kty")),
        (json!({"kty": 1}), R::WrongType("kty")),
        (json!({"kty": null}), R::WrongType("kty")),
        (json!({"kty": "rsa"}), R::KeyType),
        (
            json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AQ"}),
            R::KeyType,
        ),
        // key ID
        (with(ed25519(), "kid", ""), R::KeyId),
        (with(ed25519(), "kid", "k".repeat(257)), R::KeyId),
        (with(ed25519(), "kid", "ä".repeat(129)), R::KeyId),
        (with(ed25519(), "kid", 7), R::WrongType("kid")),
        (with(ed25519(), "kid", json!(null)), R::WrongType("kid")),
        // purpose
        (with(ed25519(), "use", "enc"), R::Use),
        (with(ed25519(), "use", "SIG"), R::Use),
        (with(ed25519(), "use", ""), R::Use),
        (with(ed25519(), "use", json!(["sig"])), R::WrongType("use")),
        (with(ed25519(), "use", json!(null)), R::WrongType("use")),
        (with(ed25519(), "key_ops", json!([])), R::KeyOps),
        (with(ed25519(), "key_ops", json!(["sign"])), R::KeyOps),
        (
            with(rsa(2048), "key_ops", json!(["encrypt", "wrapKey"])),
            R::KeyOps,
        ),
        (
            with(ed25519(), "key_ops", "verify"),
            R::WrongType("key_ops"),
        ),
        (
            with(ed25519(), "key_ops", json!(["verify", 1])),
            R::WrongType("key_ops"),
        ),
        // algorithm
        (
            with(rsa(2048), "alg", "PS256"),
            R::Algorithm(Algorithm::Rs256),
        ),
        (
            with(rsa(2048), "alg", "RS512"),
            R::Algorithm(Algorithm::Rs256),
        ),
        (
            with(rsa(2048), "alg", "RSA-OAEP-256"),
            R::Algorithm(Algorithm::Rs256),
        ),
        (
            with(rsa(2048), "alg", "ES256"),
            R::Algorithm(Algorithm::Rs256),
        ),
        (
            with(rsa(2048), "alg", "none"),
            R::Algorithm(Algorithm::Rs256),
        ),
        (
            with(rsa(2048), "alg", "HS256"),
            R::Algorithm(Algorithm::Rs256),
        ),
        (
            with(rsa(2048), "alg", "rs256"),
            R::Algorithm(Algorithm::Rs256),
        ),
        (with(p256(), "alg", "ES384"), R::Algorithm(Algorithm::Es256)),
        (with(p256(), "alg", "RS256"), R::Algorithm(Algorithm::Es256)),
        (
            with(ed25519(), "alg", "Ed448"),
            R::Algorithm(Algorithm::EdDsa),
        ),
        (
            with(ed25519(), "alg", "ES256"),
            R::Algorithm(Algorithm::EdDsa),
        ),
        (with(ed25519(), "alg", json!(null)), R::WrongType("alg")),
        // secrets
        (json!({"kty": "oct", "k": "AQ"}), R::Secret),
        (json!({"kty": "oct"}), R::Secret),
        (with(rsa(2048), "k", "AQ"), R::Secret),
        (with(rsa(2048), "d", json!(null)), R::Secret),
        (with(rsa(2048), "oth", json!([])), R::Secret),
        // RSA
        (without(rsa(2048), "n"), R::Missing("n")),
        (without(rsa(2048), "e"), R::Missing("e")),
        (with(rsa(2048), "n", 5), R::WrongType("n")),
        (with(rsa(2048), "n", ""), R::RsaModulusSize(0)),
        (rsa(512), R::RsaModulusSize(512)),
        (rsa(1024), R::RsaModulusSize(1024)),
        (rsa(2047), R::RsaModulusSize(2047)),
        (rsa(4097), R::RsaModulusSize(4097)),
        (rsa(8192), R::RsaModulusSize(8192)),
        (rsa(16384), R::RsaModulusSize(16384)),
        // 2048 bits only on paper
        (
            with(
                rsa(2048),
                "n",
                b64([&[0; 128][..], &modulus(1024)].concat()),
            ),
            R::RsaModulusSize(1024),
        ),
        (with(rsa(2048), "e", b64([1])), R::RsaExponent),
        (with(rsa(2048), "e", b64([0])), R::RsaExponent),
        (with(rsa(2048), "e", ""), R::RsaExponent),
        (with(rsa(2048), "e", b64([2])), R::RsaExponent),
        (with(rsa(2048), "e", b64([1, 0, 0])), R::RsaExponent),
        (with(rsa(2048), "e", b64([1, 0, 0, 0, 1])), R::RsaExponent),
        (
            with(rsa(2048), "e", b64([1, 0xff, 0xff, 0xff, 0xff])),
            R::RsaExponent,
        ),
        (
            with(rsa(2048), "e", b64([1, 0, 0, 0, 0, 0, 0, 0, 1])),
            R::RsaExponent,
        ),
        (with(rsa(2048), "e", b64(modulus(2048))), R::RsaExponent),
        // base64
        (
            with(
                rsa(2048),
                "n",
                STANDARD.encode([&modulus(2048)[..], &[0xfb, 0xff]].concat()),
            ),
            R::Base64("n"),
        ),
        (
            with(ed25519(), "x", URL_SAFE.encode([9; 32])),
            R::Base64("x"),
        ),
        (with(rsa(2048), "e", "AQAB\n"), R::Base64("e")),
        (with(rsa(2048), "e", " AQAB"), R::Base64("e")),
        (with(rsa(2048), "e", "AQABA"), R::Base64("e")),
        // the last of these bits belong to no octet
        (with(rsa(2048), "e", "AR"), R::Base64("e")),
        (
            with(
                ed25519(),
                "x",
                "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURp",
            ),
            R::Base64("x"),
        ),
        // P-256
        (with(p256(), "crv", "P-384"), R::Curve),
        (with(p256(), "crv", "p-256"), R::Curve),
        (with(p256(), "crv", "secp256k1"), R::Curve),
        (with(p256(), "crv", "Ed25519"), R::Curve),
        (without(p256(), "crv"), R::Missing("crv")),
        (without(p256(), "x"), R::Missing("x")),
        (without(p256(), "y"), R::Missing("y")),
        (with(p256(), "y", true), R::WrongType("y")),
        (x(&[]), R::CoordinateLength("x")),
        (x(&[1; 31]), R::CoordinateLength("x")),
        (x(&[1; 33]), R::CoordinateLength("x")),
        (x(&[1; 48]), R::CoordinateLength("x")),
        (with(p256(), "y", b64([1; 33])), R::CoordinateLength("y")),
        (y_of_another, R::NotOnCurve),
        (swapped, R::NotOnCurve),
        (with(x(&[0; 32]), "y", b64([0; 32])), R::NotOnCurve),
        (with(x(&above_prime), "y", b64(above_prime)), R::NotOnCurve),
        (with(x(&[0xff; 32]), "y", b64([0xff; 32])), R::NotOnCurve),
        // Ed25519
        (with(ed25519(), "crv", "X25519"), R::Curve),
        (with(ed25519(), "crv", "Ed448"), R::Curve),
        (without(ed25519(), "crv"), R::Missing("crv")),
        (without(ed25519(), "x"), R::Missing("x")),
        (with(ed25519(), "x", b64([1; 31])), R::CoordinateLength("x")),
        (with(ed25519(), "x", b64([1; 33])), R::CoordinateLength("x")),
        (with(ed25519(), "x", b64([1; 57])), R::CoordinateLength("x")),
        // y = p and above, with either sign of x
        (
            ed25519_with(unhex(
                "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            )),
            R::NotCanonical,
        ),
        (
            ed25519_with(unhex(
                "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
            )),
            R::NotCanonical,
        ),
        (
            ed25519_with(unhex(
                "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            )),
            R::NotCanonical,
        ),
        (ed25519_with([0xff; 32]), R::NotCanonical),
    ];
    for name in ["d", "p", "q", "dp", "dq", "qi"] {
        bad.push((with(rsa(2048), name, "AQ"), R::Secret));
        bad.push((
            with(with(p256(), "kid", "k"), name, json!({"odd": []})),
            R::Secret,
        ));
    }
    // All points of small order, and both encodings of "negative zero".
    for y in [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    ] {
        let mut point = unhex(y);
        bad.push((ed25519_with(point), R::SmallOrder));
        point[31] |= 0x80;
        bad.push((ed25519_with(point), R::SmallOrder));
    }
    // An even modulus, and points given in another form.
    let mut even = modulus(2048);
    *even.last_mut().unwrap() &= 0xfe;
    bad.push((with(rsa(2048), "n", b64(even)), R::RsaModulusEven));
    let compressed = [
        &[2][..],
        &URL_SAFE_NO_PAD.decode(text_of(&point["x"])).unwrap(),
    ]
    .concat();
    bad.push((with(p256(), "x", b64(compressed)), R::CoordinateLength("x")));
    bad
}

#[test]
fn every_bad_key_is_skipped_with_its_reason_and_spoils_nothing() {
    let good = with(ed25519(), "kid", "good");
    let bad = bad_keys();
    assert!(bad.len() >= 100);
    for (bad, reason) in &bad {
        let set = read(&[bad.clone(), good.clone()]).unwrap();
        assert_eq!(set.len(), 1, "{bad}");
        let key = set.keys().next().unwrap();
        assert_eq!(
            (key.kid.as_deref(), key.algorithm),
            (Some("good"), Algorithm::EdDsa)
        );
        let [skipped] = set.skipped() else {
            panic!("{bad}: {:?}", set.skipped())
        };
        assert_eq!(skipped.reason, *reason, "{bad}");
    }
    // As many of them as fit beside the good one.
    for bad in bad.chunks(63) {
        let mut keys: Vec<_> = bad.iter().map(|(bad, _)| bad.clone()).collect();
        keys.insert(keys.len() / 2, good.clone());
        let set = read(&keys).unwrap();
        assert_eq!((set.len(), set.skipped().len()), (1, bad.len()));
    }
}

#[test]
fn members_that_do_not_matter_are_not_read() {
    let odd = [
        json!(null),
        json!(17),
        json!("not base64 !"),
        json!(["a", 1]),
        json!({"a": {}}),
    ];
    for name in ["x5c", "x5u", "x5t", "x5t#S256", "nbf", "ext", "D", "kId"] {
        for value in &odd {
            let set = read(&[with(ed25519(), name, value.clone())]).unwrap();
            assert_eq!((set.len(), set.skipped().len()), (1, 0), "{name}: {value}");
        }
    }
}

#[test]
fn members_are_read_for_what_they_mean() {
    let kid = "k".repeat(256);
    for (jwk, algorithm) in [
        (with(rsa(2048), "alg", "RS256"), Algorithm::Rs256),
        (rsa(2049), Algorithm::Rs256),
        (rsa(3072), Algorithm::Rs256),
        (rsa(4096), Algorithm::Rs256),
        (
            with(rsa(2048), "n", b64([&[0][..], &modulus(2048)].concat())),
            Algorithm::Rs256,
        ),
        (with(rsa(2048), "e", b64([3])), Algorithm::Rs256),
        (
            with(rsa(2048), "e", b64([0, 0, 0, 1, 0, 1])),
            Algorithm::Rs256,
        ),
        (
            with(rsa(2048), "e", b64([0xff, 0xff, 0xff, 0xff])),
            Algorithm::Rs256,
        ),
        (with(p256(), "alg", "ES256"), Algorithm::Es256),
        (with(ed25519(), "alg", "EdDSA"), Algorithm::EdDsa),
        (with(ed25519(), "alg", "Ed25519"), Algorithm::EdDsa),
        (
            with(with(ed25519(), "use", "sig"), "key_ops", json!(["verify"])),
            Algorithm::EdDsa,
        ),
        (
            with(ed25519(), "key_ops", json!(["sign", "verify", "other"])),
            Algorithm::EdDsa,
        ),
        (with(ed25519(), "kid", kid), Algorithm::EdDsa),
        (with(ed25519(), "y", "whatever"), Algorithm::EdDsa),
    ] {
        let set = read(std::slice::from_ref(&jwk)).unwrap_or_else(|e| panic!("{jwk}: {e}"));
        assert_eq!(set.keys().next().unwrap().algorithm, algorithm);
    }
    // An escape in a name or value is only another way to write it.
    let document =
        br#"{"\u006beys": [{"k\u0074y": "\u004fKP", "crv": "Ed25519", "kid": "\u00e9\ud83d\udd11",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    let set = KeySet::from_json(document).unwrap();
    assert_eq!(set.keys().next().unwrap().kid.as_deref(), Some("é🔑"));
}

#[test]
fn a_member_that_appears_twice_spoils_its_key_only() {
    let good = ed25519().to_string();
    for twice in [
        r#"{"kty":"OKP","kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
        r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","alg":"EdDSA","alg":"EdDSA"}"#,
        r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"a","k\u0069d":"b"}"#,
        r#"{"kty":"oct","k":"AQ","k":"AQ"}"#,
    ] {
        let set = KeySet::from_json(format!(r#"{{"keys":[{twice},{good}]}}"#).as_bytes()).unwrap();
        assert_eq!(set.len(), 1);
        assert_eq!(set.skipped()[0].reason, SkipReason::Ambiguous, "{twice}");
    }
}

#[test]
fn the_document_is_an_object_with_one_array() {
    let good = ed25519().to_string();
    let keys = format!(r#""keys":[{good}]"#);
    for document in [
        String::new(),
        " ".into(),
        "null".into(),
        "[]".into(),
        format!("[{good}]"),
        format!("[[{good}]]"), // the members of the object, one by one
        format!(r#""{{{}}}""#, "keys"),
        "{}".into(),
        good.clone(),
        r#"{"keys":null}"#.into(),
        r#"{"keys":{}}"#.into(),
        r#"{"keys":"none"}"#.into(),
        r#"{"Keys":[]}"#.into(),
        format!("{{{keys}"),
        format!("{{{keys}}}x"),
        format!("{{{keys},}}"),
        format!("{{{keys},{keys}}}"),
        format!("\u{feff}{{{keys}}}"),
        "<!doctype html><html><body>Sign in</body></html>".into(),
        "[".repeat(100_000),
        r#"{"keys":"#.repeat(50_000),
    ] {
        let outcome = KeySet::from_json(document.as_bytes());
        assert!(
            matches!(outcome, Err(KeySetError::NotAKeySet { .. })),
            "{document:.80}: {outcome:?}"
        );
    }
    for document in [
        format!("{{{keys}}}"),
        format!("\r\n\t {{ {keys} }} \n"),
        format!(
            r#"{{"other":{},{keys},"next":null}}"#,
            "[".repeat(9_999) + &"]".repeat(9_999)
        ),
    ] {
        assert_eq!(KeySet::from_json(document.as_bytes()).unwrap().len(), 1);
    }
}

#[test]
fn the_document_is_utf8_also_where_it_is_not_read() {
    let document = format!(r#"{{"keys":[{}],"note":"?"}}"#, ed25519());
    let mut document = document.into_bytes();
    assert!(KeySet::from_json(&document).is_ok());
    let at = document.iter().rposition(|b| *b == b'?').unwrap();
    document[at] = 0xff;
    assert!(matches!(
        KeySet::from_json(&document),
        Err(KeySetError::NotUtf8)
    ));
}

#[test]
fn a_set_has_at_most_64_keys() {
    let mut keys = vec![json!(0); 63];
    keys.push(ed25519());
    assert_eq!(read(&keys).unwrap().skipped().len(), 63);
    keys.push(ed25519());
    assert!(matches!(read(&keys), Err(KeySetError::TooManyKeys(65))));
}

#[test]
fn a_set_without_a_usable_key_is_an_error_that_says_why() {
    let error = read(&[]).unwrap_err();
    assert_eq!(error.to_string(), "the key set has no usable key");

    let odd = with(
        with(rsa(2048), "kid", "evil\n\u{1b}[31m\u{202e}"),
        "use",
        "enc",
    );
    let error = read(&[
        with(rsa(1024), "kid", "old"),
        odd,
        json!({"kty": "oct", "k": "c2VjcmV0"}),
    ])
    .unwrap_err()
    .to_string();
    assert_eq!(
        error,
        "the key set has no usable key: \
         key \"old\": the RSA modulus has 1024 bits instead of 2048 to 4096; \
         key \"evil\\n\\u{1b}[31m\\u{202e}\": \"use\" is not \"sig\"; \
         key without id: the key has private or symmetric key material, which must not be published"
    );

    let error = read(&vec![json!({}); 20]).unwrap_err().to_string();
    assert!(error.ends_with("; and 12 more"), "{error}");
}

#[test]
fn a_set_tells_its_keys_in_order() {
    let keys = [
        with(rsa(2048), "kid", "r"),
        with(p256(), "kid", "e"),
        ed25519(),
        json!({}),
    ];
    let set = read(&keys).unwrap();
    let told: Vec<_> = set
        .keys()
        .map(|KeyInfo { kid, algorithm, .. }| (kid, algorithm))
        .collect();
    let expected = [
        (Some("r".to_owned()), Algorithm::Rs256),
        (Some("e".to_owned()), Algorithm::Es256),
        (None, Algorithm::EdDsa),
    ];
    assert_eq!(told, expected);
    assert_eq!((set.len(), set.is_empty()), (3, false));
    assert_eq!(
        set.to_string(),
        "\"r\" (RS256), \"e\" (ES256), without id (EdDSA); skipped key without id: member \"kty\" is missing"
    );
    // Nothing of the keys themselves.
    assert!(!format!("{set:?}").contains("11qYAYKx"));
}

#[test]
fn algorithms_have_their_registered_names() {
    for (name, algorithm) in [
        ("RS256", Some(Algorithm::Rs256)),
        ("ES256", Some(Algorithm::Es256)),
        ("EdDSA", Some(Algorithm::EdDsa)),
        ("Ed25519", Some(Algorithm::EdDsa)),
    ] {
        assert_eq!(Algorithm::from_header_name(name), algorithm);
    }
    for name in [
        "", "none", "None", "HS256", "RS384", "PS256", "ES256K", "ES384", "Ed448", "eddsa",
        "rs256", "RS256 ",
    ] {
        assert_eq!(Algorithm::from_header_name(name), None, "{name}");
    }
    assert_eq!(
        [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa].map(|a| a.to_string()),
        ["RS256", "ES256", "EdDSA"]
    );
}

/// A source without keys that asks for no pause.
#[derive(Debug, Default)]
struct Empty(AtomicUsize);

impl KeySource for Empty {
    fn current(&self) -> Option<Arc<KeySet>> {
        None
    }

    fn renew<'a>(
        &'a self,
        _: Option<&'a Arc<KeySet>>,
    ) -> BoxFuture<'a, Result<Arc<KeySet>, KeysUnavailable>> {
        let before = self.0.fetch_add(1, Ordering::SeqCst);
        assert!(before < 1_000, "it spins");
        Box::pin(async { Err(KeysUnavailable::new("none", Duration::ZERO)) })
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_for_keys_does_not_spin() {
    let source = Empty::default();
    let waiting = tokio::time::timeout(Duration::from_secs(60), source.ready()).await;
    assert!(waiting.is_err(), "there are none");
    let asked = source.0.load(Ordering::SeqCst);
    assert!((55..=61).contains(&asked), "{asked}");
}

#[tokio::test]
async fn static_keys_are_always_there_and_never_newer() {
    let keys = StaticKeys::new(read(&[ed25519(), rsa(1024)]).unwrap());
    keys.ready().await;
    let current = keys.current().unwrap();
    let renewed = keys.renew(Some(&current)).await.unwrap();
    assert!(Arc::ptr_eq(&current, &renewed));
    assert!(Arc::ptr_eq(&current, &keys.refresh().await.unwrap()));
    let health = keys.health();
    assert!(health.usable);
    assert_eq!(
        (health.keys.len(), health.skipped.len(), health.failures),
        (1, 1, 0)
    );
}

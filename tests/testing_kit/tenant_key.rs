//! A tenant whose private key is given, so that several programs can be it.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;
use support::{DOMAIN, TEST_EVENT, now, receiver, send};
use tower_conductorone::testing::FakeTenant;

/// The key of RFC 8037 §A.1, as RFC 8410 §7 writes it.
fn rfc_8037() -> Vec<u8> {
    let head = [
        0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
    ];
    let key = BASE64_URL_SAFE_NO_PAD
        .decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
        .expect("base64");
    [&head[..], &key].concat()
}

#[test]
fn its_key_is_published_under_its_thumbprint() {
    let tenant = FakeTenant::from_pkcs8(DOMAIN, &rfc_8037()).expect("a key");
    let jwks: Value = serde_json::from_str(&tenant.jwks()).expect("JSON");
    // RFC 8037 §A.2 and §A.3.
    let key = &jwks["keys"][0];
    assert_eq!(key["x"], "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    assert_eq!(key["kid"], "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    assert_eq!(key["alg"], "EdDSA");
}

#[tokio::test]
async fn what_one_signs_the_keys_of_another_verify() {
    let ec = aws_lc_rs::signature::EcdsaKeyPair::generate(
        &aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING,
    );
    let ec = ec.expect("a key").to_pkcs8v1().expect("a key");
    let rsa = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).expect("a key");
    let rsa = aws_lc_rs::encoding::AsDer::as_der(&rsa).expect("a key");
    let rsa: aws_lc_rs::encoding::Pkcs8V1Der<'_> = rsa;
    for (alg, key) in [
        ("EdDSA", &rfc_8037()[..]),
        ("ES256", ec.as_ref()),
        ("RS256", rsa.as_ref()),
    ] {
        let open = || FakeTenant::from_pkcs8(DOMAIN, key).expect(alg);
        let (sender, other) = (open(), open());
        assert_eq!(sender.jwks(), other.jwks(), "{alg}");
        let delivery = sender.delivery(TEST_EVENT).issued_at(now());
        assert_eq!(delivery.header_params()["alg"], alg);
        let outcome = send(&receiver(&other), delivery.request()).await;
        outcome.expect_token("accepted", alg);
    }
}

#[test]
fn what_is_no_such_key_makes_no_tenant() {
    let rsa = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa3072).expect("a key");
    let rsa: aws_lc_rs::encoding::Pkcs8V1Der<'_> =
        aws_lc_rs::encoding::AsDer::as_der(&rsa).expect("a key");
    let good = rfc_8037();
    for (what, key) in [
        ("nothing", &[][..]),
        ("half a key", &good[..20]),
        ("text", b"-----BEGIN PRIVATE KEY-----"),
        ("RSA with 3072 bits", rsa.as_ref()),
    ] {
        assert!(FakeTenant::from_pkcs8(DOMAIN, key).is_none(), "{what}");
    }
}

//! Project Wycheproof's signature vectors, through this crate's own import of
//! the vectors' JWKs and its own verification.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{Algorithm, KeySet};

/// Runs every vector of a file and returns those on which this crate and the file
/// disagree: "valid" must verify, and all others must not.
fn disagreements(algorithm: Algorithm, file: &str, vectors: u64) -> Vec<u64> {
    let file: Value = serde_json::from_str(file).unwrap();
    assert_eq!(
        file["numberOfTests"], vectors,
        "the file has another number of vectors"
    );
    let mut disagreements = Vec::new();
    for group in file["testGroups"].as_array().unwrap() {
        let document = json!({ "keys": [jwk(group)] }).to_string();
        let keys = KeySet::from_json(document.as_bytes()).unwrap();
        for test in group["tests"].as_array().unwrap() {
            let (message, signature) = (hex(&test["msg"]), hex(&test["sig"]));
            let verified = keys.verify(None, algorithm, &message, &signature).is_ok();
            if verified != (test["result"] == "valid") {
                disagreements.push(test["tcId"].as_u64().unwrap());
            }
        }
    }
    disagreements
}

/// The group's own JWK; some groups of EC vectors have none.
fn jwk(group: &Value) -> Value {
    for name in ["publicKeyJwk", "keyJwk"] {
        if group[name].is_object() {
            return group[name].clone();
        }
    }
    let point = hex(&group["publicKey"]["uncompressed"]);
    let (x, y) = point[1..].split_at(32);
    json!({"kty": "EC", "crv": "P-256", "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y)})
}

fn hex(text: &Value) -> Vec<u8> {
    let digit = |c: &u8| char::from(*c).to_digit(16).unwrap();
    let octet = |pair: &[u8]| u8::try_from(digit(&pair[0]) << 4 | digit(&pair[1])).unwrap();
    text.as_str()
        .unwrap()
        .as_bytes()
        .chunks(2)
        .map(octet)
        .collect()
}

#[test]
fn rsa() {
    use ::wycheproof::rsa_pkcs1_verify::TestName;

    // One vector of each file, a signature whose DigestInfo lacks the NULL, is
    // "acceptable"; RFC 8017 section 9.2 asks for the NULL, and it is refused.
    for (name, vectors) in [
        (TestName::Rsa2048Sha256, 259),
        (TestName::Rsa3072Sha256, 259),
        (TestName::Rsa4096Sha256, 258),
    ] {
        let disagreements = disagreements(Algorithm::Rs256, name.json_data(), vectors);
        assert_eq!(disagreements, [0_u64; 0], "{name:?}");
    }
}

#[test]
fn ecdsa() {
    use ::wycheproof::ecdsa::TestName;

    let file = TestName::EcdsaSecp256r1Sha256P1363.json_data();
    assert_eq!(disagreements(Algorithm::Es256, file, 262), [0_u64; 0]);
}

#[test]
fn eddsa() {
    use ::wycheproof::eddsa::TestName;

    let file = TestName::Ed25519.json_data();
    assert_eq!(disagreements(Algorithm::EdDsa, file, 151), [0_u64; 0]);
}

//! Tests which keys of a set verify a signature.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{Algorithm, KeySet, VerifyError};

const MESSAGE: &[u8] = b"header.claims";

enum Signer {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Signer {
    fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Rs256 => {
                Self::Rsa(RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap())
            }
            Algorithm::Es256 => {
                Self::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
            }
            Algorithm::EdDsa => Self::Ed25519(Ed25519KeyPair::generate().unwrap()),
        }
    }

    fn jwk(&self, kid: impl Into<Option<&'static str>>) -> Value {
        let text = |octets: &[u8]| URL_SAFE_NO_PAD.encode(octets);
        let mut jwk = match self {
            Self::Rsa(pair) => {
                let (n, e) = rsa_numbers(pair.public_key().as_ref());
                json!({"kty": "RSA", "n": text(n), "e": text(e)})
            }
            Self::P256(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "x": text(x), "y": text(y)})
            }
            Self::Ed25519(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": text(pair.public_key().as_ref())})
            }
        };
        if let Some(kid) = kid.into() {
            jwk["kid"] = kid.into();
        }
        jwk
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(
                    &RSA_PKCS1_SHA256,
                    &SystemRandom::new(),
                    message,
                    &mut signature,
                )
                .unwrap();
                signature
            }
            Self::P256(pair) => pair
                .sign(&SystemRandom::new(), message)
                .unwrap()
                .as_ref()
                .to_vec(),
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }
}

/// The numbers of a DER `RSAPublicKey`: a sequence of two integers.
fn rsa_numbers(der: &[u8]) -> (&[u8], &[u8]) {
    fn element(der: &[u8]) -> (&[u8], &[u8]) {
        let (length, start) = match der[1] {
            0x82 => (usize::from(der[2]) << 8 | usize::from(der[3]), 4),
            0x81 => (usize::from(der[2]), 3),
            short => (usize::from(short), 2),
        };
        der[start..].split_at(length)
    }
    let (n, rest) = element(element(der).0);
    (n, element(rest).0)
}

fn set(keys: &[Value]) -> KeySet {
    KeySet::from_json(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

const ALL: [Algorithm; 3] = [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa];

#[test]
fn each_algorithm_verifies_its_own_signatures() {
    let signers = ALL.map(Signer::new);
    let keys = set(&[
        signers[0].jwk("r"),
        signers[1].jwk("e"),
        signers[2].jwk("o"),
    ]);
    for (signer, (kid, algorithm)) in signers.iter().zip(["r", "e", "o"].into_iter().zip(ALL)) {
        let signature = signer.sign(MESSAGE);
        let verify =
            |message, signature: &[u8]| keys.verify(Some(kid), algorithm, message, signature);
        assert_eq!(verify(MESSAGE, &signature), Ok(()));
        assert_eq!(keys.verify(None, algorithm, MESSAGE, &signature), Ok(()));

        assert_eq!(
            verify(b"another", &signature),
            Err(VerifyError::BadSignature)
        );
        assert_eq!(verify(MESSAGE, b""), Err(VerifyError::BadSignature));
        assert_eq!(
            verify(MESSAGE, &signature[1..]),
            Err(VerifyError::BadSignature)
        );
        assert_eq!(
            verify(MESSAGE, &vec![0; signature.len()]),
            Err(VerifyError::BadSignature)
        );
        for at in [0, signature.len() / 2, signature.len() - 1] {
            let mut bent = signature.clone();
            bent[at] ^= 1;
            assert_eq!(verify(MESSAGE, &bent), Err(VerifyError::BadSignature));
        }
        for other in ALL.into_iter().filter(|other| *other != algorithm) {
            let outcome = keys.verify(Some(kid), other, MESSAGE, &signature);
            assert_eq!(outcome, Err(VerifyError::AlgorithmMismatch));
            let outcome = keys.verify(None, other, MESSAGE, &signature);
            assert_eq!(outcome, Err(VerifyError::UnknownKey));
        }
        let outcome = keys.verify(Some("other"), algorithm, MESSAGE, &signature);
        assert_eq!(outcome, Err(VerifyError::UnknownKey));
    }
}

/// TLS libraries make signatures in ASN.1; a JWS has two plain numbers (RFC 7518
/// section 3.4).
#[test]
fn an_es256_signature_has_64_bytes() {
    use aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1_SIGNING;

    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
    let asn1 = pair.sign(&SystemRandom::new(), MESSAGE).unwrap();
    let keys = set(&[Signer::P256(pair).jwk("a")]);
    let outcome = keys.verify(Some("a"), Algorithm::Es256, MESSAGE, asn1.as_ref());
    assert_eq!(outcome, Err(VerifyError::BadSignature));
}

#[test]
fn a_good_key_works_among_bad_ones() {
    let good = Signer::new(Algorithm::Es256);
    let mut private = Signer::new(Algorithm::Es256).jwk("private");
    private["d"] = "AQ".into();
    let mut encryption = good.jwk("good");
    encryption["use"] = "enc".into();
    let keys = set(&[
        json!(1),
        private,
        encryption,
        json!({"kty": "oct", "k": "AQ", "kid": "good"}),
        good.jwk("good"),
    ]);
    assert_eq!((keys.len(), keys.skipped().len()), (1, 4));
    let outcome = keys.verify(Some("good"), Algorithm::Es256, MESSAGE, &good.sign(MESSAGE));
    assert_eq!(outcome, Ok(()));
    // A skipped key verifies nothing.
    let outcome = keys.verify(
        Some("private"),
        Algorithm::Es256,
        MESSAGE,
        &good.sign(MESSAGE),
    );
    assert_eq!(outcome, Err(VerifyError::UnknownKey));
}

#[test]
fn four_keys_of_one_id_are_tried() {
    let signers: Vec<_> = (0..5).map(|_| Signer::new(Algorithm::EdDsa)).collect();
    let other = Signer::new(Algorithm::Es256);
    let mut jwks: Vec<_> = signers.iter().map(|signer| signer.jwk("same")).collect();
    jwks.insert(0, other.jwk("same")); // another algorithm takes no one's turn
    jwks.insert(0, Signer::new(Algorithm::EdDsa).jwk("elsewhere"));
    let keys = set(&jwks);
    for (i, signer) in signers.iter().enumerate() {
        let outcome = keys.verify(
            Some("same"),
            Algorithm::EdDsa,
            MESSAGE,
            &signer.sign(MESSAGE),
        );
        let expected = if i < 4 {
            Ok(())
        } else {
            Err(VerifyError::BadSignature)
        };
        assert_eq!(outcome, expected, "key {i}");
    }
    let outcome = keys.verify(
        Some("same"),
        Algorithm::Es256,
        MESSAGE,
        &other.sign(MESSAGE),
    );
    assert_eq!(outcome, Ok(()));
}

#[test]
fn without_id_three_keys_are_tried() {
    let signers: Vec<_> = (0..4).map(|_| Signer::new(Algorithm::EdDsa)).collect();
    // Whether the key has an ID does not matter to a token that has none.
    let mut jwks: Vec<_> = signers.iter().map(|signer| signer.jwk("some")).collect();
    jwks[2] = signers[2].jwk(None);
    jwks.insert(0, Signer::new(Algorithm::Es256).jwk(None));
    let keys = set(&jwks);
    for (i, signer) in signers.iter().enumerate() {
        let outcome = keys.verify(None, Algorithm::EdDsa, MESSAGE, &signer.sign(MESSAGE));
        let expected = if i < 3 {
            Ok(())
        } else {
            Err(VerifyError::UnknownKey)
        };
        assert_eq!(outcome, expected, "key {i}");
    }
}

#[test]
fn a_key_without_id_is_not_found_by_one() {
    let signer = Signer::new(Algorithm::EdDsa);
    let keys = set(&[signer.jwk(None)]);
    for kid in ["", "null", "a"] {
        let outcome = keys.verify(Some(kid), Algorithm::EdDsa, MESSAGE, &signer.sign(MESSAGE));
        assert_eq!(outcome, Err(VerifyError::UnknownKey), "{kid:?}");
    }
}

/// The sign octet in front of a modulus changes neither the key nor its strength.
#[test]
fn a_modulus_may_have_leading_zeros() {
    let signer = Signer::new(Algorithm::Rs256);
    let Signer::Rsa(pair) = &signer else {
        unreachable!()
    };
    let (n, e) = rsa_numbers(pair.public_key().as_ref());
    let padded = |octets: &[u8]| URL_SAFE_NO_PAD.encode([&[0, 0], octets].concat());
    let keys = set(&[json!({"kty": "RSA", "n": padded(n), "e": padded(e)})]);
    let outcome = keys.verify(None, Algorithm::Rs256, MESSAGE, &signer.sign(MESSAGE));
    assert_eq!(outcome, Ok(()));
}

/// With the small-order point y = 1 as the key, R = 1 and S = 0 are a signature of
/// every message. aws-lc accepts it, so the import must refuse the key.
#[test]
fn a_small_order_key_would_verify_anything() {
    use aws_lc_rs::signature::{ED25519, ParsedPublicKey};

    let mut one = [0; 32];
    one[0] = 1;
    let mut signature = [0; 64];
    signature[0] = 1;
    let key = ParsedPublicKey::new(&ED25519, one).unwrap();
    assert!(key.verify_sig(b"whatever you like", &signature).is_ok());

    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(one)});
    let document = json!({ "keys": [jwk] }).to_string();
    assert!(KeySet::from_json(document.as_bytes()).is_err());
}

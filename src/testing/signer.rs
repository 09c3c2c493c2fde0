//! The tenant's key pairs.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use crate::keys::Algorithm;

/// A key pair for one of the three algorithms.
pub(super) enum Signer {
    Rs256(RsaKeyPair),
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
}

impl Signer {
    pub(super) fn generate(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Rs256 => RsaKeyPair::generate(KeySize::Rsa2048).map(Self::Rs256),
            Algorithm::Es256 => {
                EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map(Self::Es256)
            }
            Algorithm::EdDsa => Ed25519KeyPair::generate().map(Self::EdDsa),
        }
        .expect("key pairs can be generated")
    }

    /// A private key in PKCS #8 (RFC 5958). RSA keys are of 2,048 bits with the
    /// exponent 65537.
    pub(super) fn from_pkcs8(der: &[u8]) -> Option<Self> {
        if let Ok(key) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der) {
            return Some(Self::Es256(key));
        }
        if let Ok(key) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
            return Some(Self::EdDsa(key));
        }
        let key = RsaKeyPair::from_pkcs8(der).ok()?;
        is_usual(key.public_key().as_ref()).then_some(Self::Rs256(key))
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        match self {
            Self::Rs256(_) => Algorithm::Rs256,
            Self::Es256(_) => Algorithm::Es256,
            Self::EdDsa(_) => Algorithm::EdDsa,
        }
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rs256(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map(|()| signature)
            }
            Self::Es256(key) => key.sign(&random, message).map(|s| s.as_ref().to_vec()),
            Self::EdDsa(key) => Ok(key.sign(message).as_ref().to_vec()),
        }
        .expect("a generated key signs")
    }

    /// The public key as `SubjectPublicKeyInfo` (RFC 5280 §4.1).
    pub(super) fn public_der(&self) -> Vec<u8> {
        let der: Result<PublicKeyX509Der<'_>, _> = match self {
            Self::Rs256(key) => key.public_key().as_der(),
            Self::Es256(key) => key.public_key().as_der(),
            Self::EdDsa(key) => key.public_key().as_der(),
        };
        der.expect("a generated key can be encoded")
            .as_ref()
            .to_vec()
    }

    /// The public key's own members of a JWK (RFC 7518 §6, RFC 8037 §2).
    ///
    /// `broken` removes the last byte of the first number, which makes the key
    /// invalid: an RSA modulus is too short, a coordinate does not have its curve's
    /// length.
    pub(super) fn public_members(&self, broken: bool) -> Map<String, Value> {
        let first = |bytes: &[u8]| encode(&bytes[..bytes.len() - usize::from(broken)]);
        let members = match self {
            Self::Rs256(key) => {
                let (n, e) = rsa_numbers(key.public_key().as_ref());
                json!({"kty": "RSA", "n": first(n), "e": encode(e)})
            }
            Self::Es256(key) => {
                // 0x04, x, y: SEC 1 §2.3.3, uncompressed.
                let (x, y) = key.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "x": first(x), "y": encode(y)})
            }
            Self::EdDsa(key) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": first(key.public_key().as_ref())})
            }
        };
        match members {
            Value::Object(members) => members,
            _ => Map::new(),
        }
    }
}

/// Omits the key material.
impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.algorithm().as_str())
    }
}

/// Modulus and exponent of an `RSAPublicKey` (RFC 8017 §A.1.1) of 2,048 bits
/// with the exponent 65537: all such keys have the same layout.
fn rsa_numbers(der: &[u8]) -> (&[u8], &[u8]) {
    assert!(is_usual(der), "a key pair as generated above");
    (&der[9..265], &der[267..])
}

fn is_usual(der: &[u8]) -> bool {
    der.len() == 270 && der[265..] == [0x02, 0x03, 0x01, 0x00, 0x01]
}

/// Base64url without padding, as everywhere in JOSE.
pub(super) fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

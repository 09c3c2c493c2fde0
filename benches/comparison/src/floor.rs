//! What nobody can do without: the signature's verification with a prepared key,
//! one SHA-256, and one scan of the JSON.

use std::borrow::Cow;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents, VerificationAlgorithm,
};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Request, header};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use tower_conductorone::testing::FakeTenant;

use crate::delivery::Frames;

/// A delivery, prepared for the bare cryptography.
#[derive(Debug)]
pub struct Floor {
    key: ParsedPublicKey,
    message: Vec<u8>,
    signature: Vec<u8>,
    body: Bytes,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    #[expect(dead_code, reason = "for the handler")]
    event: Cow<'a, str>,
    #[serde(borrow)]
    payload: &'a RawValue,
}

impl Floor {
    /// That of a request with a token of this tenant.
    #[must_use]
    pub fn new(tenant: &FakeTenant, request: &Request<Frames>) -> Self {
        let token = request.headers()[header::AUTHORIZATION].to_str();
        let token = token.ok().and_then(|value| value.strip_prefix("bearer "));
        let token = token.expect("a bearer token");
        let (message, signature) = token.rsplit_once('.').expect("three parts");
        Self {
            key: public_key(tenant),
            message: message.into(),
            signature: decode(signature),
            body: request.body().rest().clone(),
        }
    }

    /// Verifies the signature and hashes the body.
    #[must_use]
    pub fn check(&self) -> [u8; 32] {
        let verified = self.key.verify_sig(&self.message, &self.signature);
        verified.expect("the tenant's own signature");
        Sha256::digest(&self.body).into()
    }

    /// The same, and scans the envelope.
    #[must_use]
    pub fn check_and_scan(&self) -> ([u8; 32], usize) {
        let hash = self.check();
        let envelope: Envelope<'_> = serde_json::from_slice(&self.body).expect("an envelope");
        (hash, envelope.payload.get().len())
    }
}

fn public_key(tenant: &FakeTenant) -> ParsedPublicKey {
    let jwks: Value = serde_json::from_str(&tenant.jwks()).expect("a key set");
    let jwk = &jwks["keys"][0];
    let member = |name: &str| decode(jwk[name].as_str().expect("a string"));
    let prepared = |algorithm: &'static dyn VerificationAlgorithm, key: &[u8]| {
        ParsedPublicKey::new(algorithm, key).expect("a public key")
    };
    match jwk["kty"].as_str() {
        Some("EC") => {
            let point = [vec![4], member("x"), member("y")].concat();
            prepared(&ECDSA_P256_SHA256_FIXED, &point)
        }
        Some("RSA") => RsaPublicKeyComponents {
            n: member("n"),
            e: member("e"),
        }
        .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
        .expect("a public key"),
        _ => prepared(&ED25519, &member("x")),
    }
}

fn decode(text: &str) -> Vec<u8> {
    BASE64_URL_SAFE_NO_PAD.decode(text).expect("base64url")
}

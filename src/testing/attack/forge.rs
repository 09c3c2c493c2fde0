//! The parts of attacks.

use std::time::SystemTime;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::Uri;
use serde_json::{Map, Value, json};

use crate::keys::Algorithm;
use crate::testing::signer::encode;
use crate::testing::{Delivery, FakeTenant};

/// The tenant whose webhooks the receiver accepts, and two attackers.
pub(super) struct Forge {
    pub(super) tenant: FakeTenant,
    /// Has the tenant's domain, but not its keys.
    pub(super) forger: FakeTenant,
    /// A tenant that the receiver does not know.
    pub(super) stranger: FakeTenant,
    pub(super) now: SystemTime,
    pub(super) max_body_bytes: usize,
    target: String,
}

impl Forge {
    pub(super) fn new(tenant: &FakeTenant, target: &str, max_body_bytes: usize) -> Self {
        let algorithm = tenant.algorithm(&tenant.signing_key());
        Self {
            tenant: tenant.clone(),
            forger: FakeTenant::with_algorithm(tenant.domain(), algorithm),
            stranger: FakeTenant::new("stranger.conductor.one"),
            now: SystemTime::now(),
            max_body_bytes,
            target: target.to_owned(),
        }
    }

    /// The webhook's URL.
    pub(super) fn target(&self) -> &str {
        &self.target
    }

    /// The receiver's time, in seconds since 1970.
    pub(super) fn seconds(&self) -> u64 {
        self.genuine().claims()["iat"].as_u64().unwrap_or_default()
    }

    /// A delivery as ConductorOne sends it.
    pub(super) fn genuine(&self) -> Delivery {
        self.by(&self.tenant)
    }

    /// The same delivery from another tenant.
    pub(super) fn by(&self, tenant: &FakeTenant) -> Delivery {
        tenant
            .delivery("c1.webhooks.v1.PayloadTest")
            .to(&self.target)
            .issued_at(self.now)
    }

    /// A delivery signed with the forger's key, under the `kid` of the tenant's.
    pub(super) fn forged(&self) -> Delivery {
        self.by(&self.forger)
            .header_param("kid", self.tenant.signing_key().into())
    }

    /// The forger's public key.
    pub(super) fn forgers_jwk(&self) -> Value {
        self.forger.jwk(&self.forger.signing_key()).into()
    }

    /// A delivery signed with a key that the tenant has withdrawn.
    pub(super) fn withdrawn(&self) -> Delivery {
        let kid = self.tenant.add_withdrawn_key(Algorithm::Es256);
        self.genuine().signing_key(kid)
    }

    /// Changes the texts of header and claims, then signs them.
    pub(super) fn texts(&self, change: impl FnOnce(&mut String, &mut String)) -> Delivery {
        let delivery = self.genuine();
        let mut header = Value::Object(delivery.header_params()).to_string();
        let mut claims = Value::Object(delivery.claims()).to_string();
        change(&mut header, &mut claims);
        delivery.token(self.tenant.sign(header, claims))
    }

    /// Changes the encoded header and claims, then signs them.
    pub(super) fn encoded(&self, change: impl FnOnce(&str, &str) -> String) -> Delivery {
        let delivery = self.genuine();
        let header = encode(Value::Object(delivery.header_params()).to_string());
        let claims = encode(Value::Object(delivery.claims()).to_string());
        let input = change(&header, &claims);
        let token = self.tenant.sign_encoded(&self.tenant.signing_key(), &input);
        delivery.token(token)
    }

    /// Makes a token of the three parts of a good one.
    pub(super) fn parts(&self, change: impl FnOnce(&str, &str, &str) -> String) -> Delivery {
        let delivery = self.genuine();
        let token = delivery.token_string();
        let mut parts = token.split('.');
        let mut part = || parts.next().unwrap_or_default();
        delivery.token(change(part(), part(), part()))
    }

    /// Changes the header of a signed token.
    pub(super) fn header_swapped(&self, change: impl FnOnce(&mut Map<String, Value>)) -> Delivery {
        let mut header = self.genuine().header_params();
        change(&mut header);
        self.parts(|_, claims, signature| {
            let header = encode(Value::Object(header).to_string());
            format!("{header}.{claims}.{signature}")
        })
    }

    /// Changes the signature of a good token.
    pub(super) fn signature(&self, change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> Delivery {
        self.parts(|header, claims, signature| {
            let signature = BASE64_URL_SAFE_NO_PAD.decode(signature);
            let signature = encode(change(signature.expect("a good signature")));
            format!("{header}.{claims}.{signature}")
        })
    }

    /// A delivery signed with HS256 and this secret.
    pub(super) fn hmac(&self, secret: &[u8]) -> Delivery {
        let delivery = self.genuine().header_param("alg", json!("HS256"));
        let header = encode(Value::Object(delivery.header_params()).to_string());
        let claims = encode(Value::Object(delivery.claims()).to_string());
        let input = format!("{header}.{claims}");
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let signature = encode(hmac::sign(&key, input.as_bytes()));
        delivery.token(format!("{input}.{signature}"))
    }

    /// The public key that the tenant signs with, in PEM.
    pub(super) fn public_pem(&self) -> String {
        let base64 = BASE64_STANDARD.encode(self.public_der());
        let mut lines = String::new();
        for (index, digit) in base64.chars().enumerate() {
            if index > 0 && index % 64 == 0 {
                lines.push('\n');
            }
            lines.push(digit);
        }
        format!("-----BEGIN PUBLIC KEY-----\n{lines}\n-----END PUBLIC KEY-----\n")
    }

    /// The same in DER (`SubjectPublicKeyInfo`, RFC 5280 §4.1).
    pub(super) fn public_der(&self) -> Vec<u8> {
        self.tenant.public_der(&self.tenant.signing_key())
    }

    /// A token for another URL, made of scheme, authority and path.
    pub(super) fn htu(&self, change: impl FnOnce(&str, &str, &str) -> String) -> Delivery {
        let uri: Uri = self.target.parse().expect("checked when it was set");
        let authority = uri.authority().expect("checked when it was set");
        let scheme = uri.scheme_str().unwrap_or_default();
        let htu = change(scheme, authority.as_str(), uri.path());
        self.genuine().claim("htu", htu.into())
    }

    /// Changes the envelope's text, then signs it.
    pub(super) fn body(&self, change: impl FnOnce(String) -> String) -> Delivery {
        let delivery = self.genuine();
        let body = change(delivery.envelope().to_string());
        delivery.body(body)
    }

    /// Changes the envelope's text after signing.
    pub(super) fn tampered(&self, change: impl FnOnce(String) -> String) -> Delivery {
        let delivery = self.genuine();
        let body = change(delivery.envelope().to_string());
        delivery.tampered_body(body)
    }

    /// A genuine envelope, padded with white space to one byte more than the receiver
    /// accepts.
    pub(super) fn over_limit(&self) -> Delivery {
        let delivery = self.genuine();
        let mut body = delivery.envelope().to_string().into_bytes();
        body.resize(self.max_body_bytes + 1, b' ');
        delivery.body(Bytes::from(body))
    }
}

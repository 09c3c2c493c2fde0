use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::signer::{Signer, encode};
use super::{Delivery, FakeFetch, JwksServer, id, lock};
use crate::keys::Algorithm;

/// A ConductorOne tenant that exists only in this process.
///
/// It signs deliveries with its own keys and publishes the public ones. Clones
/// share one state: rotating a key on one rotates it on all. Two tenants with the
/// same domain have different keys: use the second as a forger.
#[derive(Clone)]
pub struct FakeTenant {
    shared: Arc<Shared>,
}

struct Shared {
    domain: String,
    state: Mutex<State>,
}

struct State {
    keys: Vec<Key>,
    /// The `kid` of the signing key.
    signing: String,
    /// Published instead of the keys.
    replacement: Option<String>,
}

struct Key {
    kid: String,
    signer: Arc<Signer>,
    published: bool,
    broken: bool,
}

impl FakeTenant {
    /// A tenant with this domain, such as `example.conductor.one`, and one
    /// ES256 key.
    #[must_use]
    pub fn new(domain: impl Into<String>) -> Self {
        Self::with_algorithm(domain, Algorithm::Es256)
    }

    /// A tenant with this domain and one key of this algorithm.
    ///
    /// Generating an RSA key (2,048 bits) takes a few tenths of a second, the others
    /// less than a millisecond.
    #[must_use]
    pub fn with_algorithm(domain: impl Into<String>, algorithm: Algorithm) -> Self {
        Self::with_key(domain.into(), Key::generate(algorithm))
    }

    /// A tenant with this domain and this private key, in binary PKCS #8 (RFC 5958):
    /// for programs that sign with the same key. `None` unless it is an ES256 key,
    /// an EdDSA key, or an RSA key of 2,048 bits.
    ///
    /// Its `kid` is the JWK's thumbprint (RFC 7638).
    #[must_use]
    pub fn from_pkcs8(domain: impl Into<String>, key: &[u8]) -> Option<Self> {
        let signer = Signer::from_pkcs8(key)?;
        // Sorted by name, as the thumbprint requires.
        let members: BTreeMap<_, _> = signer.public_members(false).into_iter().collect();
        let members = Value::Object(members.into_iter().collect());
        let key = Key {
            kid: encode(Sha256::digest(members.to_string())),
            ..Key::new(signer)
        };
        Some(Self::with_key(domain.into(), key))
    }

    fn with_key(domain: String, key: Key) -> Self {
        let state = State {
            signing: key.kid.clone(),
            keys: vec![key],
            replacement: None,
        };
        Self {
            shared: Arc::new(Shared {
                domain,
                state: Mutex::new(state),
            }),
        }
    }

    /// The tenant's domain: the `iss` of its tokens.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.shared.domain
    }

    /// The `kid` of the signing key.
    #[must_use]
    pub fn signing_key(&self) -> String {
        lock(&self.shared.state).signing.clone()
    }

    /// The JWK set that is published now (RFC 7517 §5).
    #[must_use]
    pub fn jwks(&self) -> String {
        let state = lock(&self.shared.state);
        state
            .replacement
            .clone()
            .unwrap_or_else(|| state.key_set(Key::jwk))
    }

    /// The same keys, each made invalid.
    pub(super) fn broken_jwks(&self) -> String {
        lock(&self.shared.state).key_set(|key| key.jwk_of(true))
    }

    /// Adds a key, signs with it from now on, and returns its `kid`. The earlier
    /// keys stay published.
    pub fn rotate(&self, algorithm: Algorithm) -> String {
        let kid = self.add_key(algorithm);
        lock(&self.shared.state).signing.clone_from(&kid);
        kid
    }

    /// Publishes another key and returns its `kid`. Only deliveries that name it are
    /// signed with it.
    pub fn add_key(&self, algorithm: Algorithm) -> String {
        let key = Key::generate(algorithm);
        let kid = key.kid.clone();
        lock(&self.shared.state).keys.push(key);
        kid
    }

    /// Stops publishing this key. The tenant can still sign with it, like a thief of
    /// the key.
    ///
    /// # Panics
    /// If the tenant has no such key.
    pub fn remove_key(&self, kid: &str) {
        self.change(kid, |key| key.published = false);
    }

    /// Publishes an invalid public key under this `kid`: its RSA modulus or first
    /// coordinate is one byte too short.
    ///
    /// # Panics
    /// If the tenant has no such key.
    pub fn break_key(&self, kid: &str) {
        self.change(kid, |key| key.broken = true);
    }

    /// Publishes this text instead of the keys; with `None`, the keys again.
    pub fn replace_jwks(&self, text: Option<String>) {
        lock(&self.shared.state).replacement = text;
    }

    /// A token in JWS compact form with exactly these texts as its header and
    /// claims (RFC 7515 §7.1), signed with the signing key.
    ///
    /// The texts need not be valid JSON: use it for a valid signature on invalid
    /// content. For a token as ConductorOne makes it, see
    /// [`Delivery::token_string`].
    #[must_use]
    pub fn sign(&self, header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>) -> String {
        self.sign_with(&self.signing_key(), header, claims)
    }

    /// Like [`sign`](Self::sign), with the key that has this `kid`.
    ///
    /// # Panics
    /// If the tenant has no such key.
    #[must_use]
    pub fn sign_with(
        &self,
        kid: &str,
        header: impl AsRef<[u8]>,
        claims: impl AsRef<[u8]>,
    ) -> String {
        self.sign_encoded(kid, &format!("{}.{}", encode(header), encode(claims)))
    }

    /// Like [`sign_with`](Self::sign_with), for header and claims that are already
    /// encoded and joined by a full stop: use it for an invalid encoding.
    ///
    /// # Panics
    /// If the tenant has no such key.
    #[must_use]
    pub fn sign_encoded(&self, kid: &str, signing_input: &str) -> String {
        let signature = self.signer(kid).sign(signing_input.as_bytes());
        format!("{signing_input}.{}", encode(signature))
    }

    /// A delivery of this event, as ConductorOne sends it;
    /// [`EVENTS`](super::EVENTS) lists the known ones.
    pub fn delivery(&self, event: impl Into<String>) -> Delivery {
        Delivery::new(self.clone(), event.into())
    }

    /// Serves the keys on a free loopback port until the server is dropped.
    ///
    /// # Errors
    /// If no port is available.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O.
    pub async fn serve(&self) -> io::Result<JwksServer> {
        JwksServer::start(self.clone()).await
    }

    /// Provides the keys in process, without a socket.
    #[must_use]
    pub fn fetch(&self) -> FakeFetch {
        FakeFetch::new(self.clone())
    }

    /// A key that can sign and is not published.
    pub(super) fn add_withdrawn_key(&self, algorithm: Algorithm) -> String {
        let mut key = Key::generate(algorithm);
        key.published = false;
        let kid = key.kid.clone();
        lock(&self.shared.state).keys.push(key);
        kid
    }

    pub(super) fn jwk(&self, kid: &str) -> Map<String, Value> {
        let mut jwk = Map::new();
        self.change(kid, |key| jwk = key.jwk());
        jwk
    }

    pub(super) fn public_der(&self, kid: &str) -> Vec<u8> {
        self.signer(kid).public_der()
    }

    pub(super) fn algorithm(&self, kid: &str) -> Algorithm {
        self.signer(kid).algorithm()
    }

    fn signer(&self, kid: &str) -> Arc<Signer> {
        let mut signer = None;
        self.change(kid, |key| signer = Some(key.signer.clone()));
        signer.expect("the key exists")
    }

    fn change(&self, kid: &str, change: impl FnOnce(&mut Key)) {
        match lock(&self.shared.state)
            .keys
            .iter_mut()
            .find(|key| key.kid == kid)
        {
            Some(key) => change(key),
            None => panic!("{} has no key {kid:?}", self.domain()),
        }
    }
}

impl State {
    fn key_set(&self, jwk: impl Fn(&Key) -> Map<String, Value>) -> String {
        let published = self.keys.iter().filter(|key| key.published);
        let keys: Vec<_> = published.map(jwk).collect();
        json!({"keys": keys}).to_string()
    }
}

impl Key {
    fn generate(algorithm: Algorithm) -> Self {
        Self::new(Signer::generate(algorithm))
    }

    fn new(signer: Signer) -> Self {
        Self {
            kid: id::ksuid(),
            signer: Arc::new(signer),
            published: true,
            broken: false,
        }
    }

    fn jwk(&self) -> Map<String, Value> {
        self.jwk_of(self.broken)
    }

    fn jwk_of(&self, broken: bool) -> Map<String, Value> {
        let mut jwk = self.signer.public_members(broken);
        jwk.insert("kid".into(), self.kid.as_str().into());
        jwk.insert("alg".into(), self.signer.algorithm().as_str().into());
        jwk.insert("use".into(), "sig".into());
        jwk
    }
}

/// Omits the key material.
impl fmt::Debug for FakeTenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.shared.state);
        f.debug_struct("FakeTenant")
            .field("domain", &self.shared.domain)
            .field("signing_key", &state.signing)
            .field(
                "keys",
                &state.keys.iter().map(|key| &key.kid).collect::<Vec<_>>(),
            )
            .finish_non_exhaustive()
    }
}

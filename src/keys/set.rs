//! A tenant's key set (RFC 7517 section 5).

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::signature::ParsedPublicKey;
use serde_json::value::RawValue;

use super::jwk::{self, Algorithm, Prepared, SkipReason};
use super::{KeyObserver, KeySource};

/// How many keys a set may have.
const MAX_KEYS: usize = 64;

/// How many keys are tried for a token whose `kid` several keys share.
const MAX_TRIED_WITH_KID: usize = 4;

/// How many keys are tried for a token without `kid`.
const MAX_TRIED_WITHOUT_KID: usize = 3;

/// How many skipped keys an error lists.
const MAX_LISTED: usize = 8;

#[cfg(test)]
thread_local! {
    /// How many keys this thread has tried.
    pub(crate) static TRIED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// An immutable set of public keys, prepared for verification. Cheap to clone.
#[derive(Clone)]
pub struct KeySet {
    inner: Arc<Inner>,
}

struct Inner {
    keys: Vec<Key>,
    skipped: Vec<SkippedKey>,
}

struct Key {
    kid: Option<String>,
    algorithm: Algorithm,
    public: ParsedPublicKey,
}

/// The ID and the algorithm of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyInfo {
    /// The key ID, if any: at most 256 bytes, of any characters.
    pub kid: Option<String>,
    /// The only algorithm that the key verifies.
    pub algorithm: Algorithm,
}

/// A key of a set that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SkippedKey {
    /// The key ID, if it is valid.
    pub kid: Option<String>,
    /// What is wrong with the key.
    pub reason: SkipReason,
}

impl fmt::Display for SkippedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kid {
            // `Debug` escapes line breaks, which could forge a log entry.
            Some(kid) => write!(f, "key {kid:?}: {}", self.reason),
            None => write!(f, "key without id: {}", self.reason),
        }
    }
}

/// Why a document is not a usable key set.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeySetError {
    /// The document is not UTF-8.
    #[error("the key set is not valid UTF-8")]
    NotUtf8,
    /// The document is not a JSON object with an array `keys`.
    #[error(
        "the key set is not a JSON object with one array \"keys\" (line {line}, column {column})"
    )]
    #[non_exhaustive]
    NotAKeySet {
        /// The line of the document at which parsing stopped, starting with 1.
        line: usize,
        /// The column in that line.
        column: usize,
    },
    /// The set has more than 64 keys.
    #[error("the key set has {0} keys; at most {MAX_KEYS} are allowed")]
    TooManyKeys(usize),
    /// The set has no key that can be used: it has these.
    #[error("the key set has no usable key{}", Listed(.0))]
    NoUsableKey(Vec<SkippedKey>),
}

struct Listed<'a>(&'a [SkippedKey]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, key) in self.0.iter().take(MAX_LISTED).enumerate() {
            write!(f, "{}{key}", if i == 0 { ": " } else { "; " })?;
        }
        match self.0.len().checked_sub(MAX_LISTED) {
            Some(more @ 1..) => write!(f, "; and {more} more"),
            _ => Ok(()),
        }
    }
}

/// Why no key of a set verifies a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VerifyError {
    /// No key has the token's `kid`, or, for a token without `kid`, no key verifies
    /// it. A newer set may.
    UnknownKey,
    /// The keys with the token's `kid` are for another algorithm.
    AlgorithmMismatch,
    /// The key with the token's `kid` did not make the signature.
    BadSignature,
}

impl KeySet {
    /// Reads a JWKS document.
    ///
    /// Each key is checked by itself. A key that is invalid, private, symmetric, too
    /// weak, of an unknown type or for another purpose is [skipped](Self::skipped),
    /// and does not affect the others.
    ///
    /// # Errors
    /// [`KeySetError`] if the document is not a key set, has more than 64 keys, or
    /// has no usable key.
    pub fn from_json(document: &[u8]) -> Result<Self, KeySetError> {
        let text = std::str::from_utf8(document).map_err(|_| KeySetError::NotUtf8)?;
        let entries = entries(text)?;
        if entries.len() > MAX_KEYS {
            return Err(KeySetError::TooManyKeys(entries.len()));
        }
        let (mut keys, mut skipped) = (Vec::new(), Vec::new());
        for entry in entries {
            let (kid, outcome) = jwk::import(entry);
            match outcome {
                Ok(Prepared { algorithm, public }) => keys.push(Key {
                    kid,
                    algorithm,
                    public,
                }),
                Err(reason) => skipped.push(SkippedKey { kid, reason }),
            }
        }
        if keys.is_empty() {
            return Err(KeySetError::NoUsableKey(skipped));
        }
        Ok(Self {
            inner: Arc::new(Inner { keys, skipped }),
        })
    }

    /// The number of usable keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.keys.len()
    }

    /// Whether there is no usable key: always false, since such a set is an error.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.inner.keys.is_empty()
    }

    /// The usable keys, in the order of the document.
    pub fn keys(&self) -> impl Iterator<Item = KeyInfo> {
        self.inner.keys.iter().map(|key| KeyInfo {
            kid: key.kid.clone(),
            algorithm: key.algorithm,
        })
    }

    /// The keys that cannot be used, each with the reason.
    #[must_use]
    pub fn skipped(&self) -> &[SkippedKey] {
        &self.inner.skipped
    }

    /// Checks whether one of the keys made `signature` over `message`.
    ///
    /// The import fixed each key's algorithm; the token's `alg` must equal it.
    pub(crate) fn verify(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), VerifyError> {
        let keys = self.inner.keys.iter();
        let verified = |key: &Key| {
            #[cfg(test)]
            TRIED.set(TRIED.get() + 1);
            key.public.verify_sig(message, signature).is_ok()
        };
        let fits = |key: &&Key| key.algorithm == algorithm;
        let Some(kid) = kid else {
            let found = keys.filter(fits).take(MAX_TRIED_WITHOUT_KID).any(verified);
            return if found {
                Ok(())
            } else {
                Err(VerifyError::UnknownKey)
            };
        };
        let mut named = keys
            .filter(|key| key.kid.as_deref() == Some(kid))
            .peekable();
        if named.peek().is_none() {
            return Err(VerifyError::UnknownKey);
        }
        let mut fitting = named.filter(fits).take(MAX_TRIED_WITH_KID).peekable();
        if fitting.peek().is_none() {
            return Err(VerifyError::AlgorithmMismatch);
        }
        if fitting.any(verified) {
            Ok(())
        } else {
            Err(VerifyError::BadSignature)
        }
    }

    /// Whether both sets have the same keys and skipped keys, in the same order.
    pub(crate) fn same_as(&self, other: &Self) -> bool {
        let same = |(a, b): (&Key, &Key)| {
            a.kid == b.kid && a.algorithm == b.algorithm && a.public.as_ref() == b.public.as_ref()
        };
        let (a, b) = (&self.inner, &other.inner);
        Arc::ptr_eq(a, b)
            || a.skipped == b.skipped
                && a.keys.len() == b.keys.len()
                && a.keys.iter().zip(&b.keys).all(same)
    }
}

/// The keys, and why the others are skipped, on one line.
impl fmt::Display for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, Key { kid, algorithm, .. }) in self.inner.keys.iter().enumerate() {
            let separator = if i == 0 { "" } else { ", " };
            match kid {
                Some(kid) => write!(f, "{separator}{kid:?} ({algorithm})")?,
                None => write!(f, "{separator}without id ({algorithm})")?,
            }
        }
        for skipped in &self.inner.skipped {
            write!(f, "; skipped {skipped}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySet")
            .field("keys", &self.keys().collect::<Vec<_>>())
            .field("skipped", &self.skipped())
            .finish()
    }
}

/// The entries of the document's array `keys`, not yet parsed.
fn entries(text: &str) -> Result<Vec<&RawValue>, KeySetError> {
    #[derive(serde::Deserialize)]
    struct Document<'a> {
        #[serde(borrow)]
        keys: Vec<&'a RawValue>,
    }

    // A struct's `Deserialize` also accepts an array of the members.
    if !text.trim_ascii_start().starts_with('{') {
        return Err(KeySetError::NotAKeySet { line: 1, column: 1 });
    }
    serde_json::from_str::<Document<'_>>(text)
        .map(|document| document.keys)
        // The parser's message may quote the document.
        .map_err(|error| KeySetError::NotAKeySet {
            line: error.line(),
            column: error.column(),
        })
}

/// A fixed set of keys, for instance from the program's configuration.
///
/// A token that none of them verifies is refused. It never fetches.
#[derive(Clone, Debug)]
pub struct StaticKeys {
    keys: Arc<KeySet>,
}

impl StaticKeys {
    /// Creates a source that always returns `keys`.
    #[must_use]
    pub fn new(keys: KeySet) -> Self {
        Self {
            keys: Arc::new(keys),
        }
    }
}

impl From<KeySet> for StaticKeys {
    fn from(keys: KeySet) -> Self {
        Self::new(keys)
    }
}

impl KeySource for StaticKeys {
    fn current(&self) -> Option<Arc<KeySet>> {
        Some(Arc::clone(&self.keys))
    }

    fn observe(&self, observer: Arc<dyn KeyObserver>) {
        observer.in_force(&self.health());
    }
}

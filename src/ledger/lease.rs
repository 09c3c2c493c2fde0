//! How a ledger identifies deliveries and those who work on them.

use std::fmt;
use std::hash::{Hash, Hasher};

use sha2::{Digest, Sha256};

use crate::random;

/// Identifies a delivery: the layer that receives it, the tenant that sends it, and
/// a digest that only attempts of the same delivery share.
///
/// A ledger finds the promised deliveries of a layer by the layer's name, and may
/// limit the space of each tenant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeliveryKey {
    // First, since it decides most comparisons.
    digest: [u8; 32],
    layer: Name,
    tenant: Name,
}

impl DeliveryKey {
    /// A key with this digest, for a layer and a tenant without a name.
    #[must_use]
    pub const fn from_bytes(digest: [u8; 32]) -> Self {
        Self {
            layer: Name::NONE,
            tenant: Name::NONE,
            digest,
        }
    }

    /// The key of these parts together: their SHA-256, each preceded by its length,
    /// so that different lists never give the same key.
    #[must_use]
    pub fn digest<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut digest = KeyDigest::default();
        for part in parts {
            digest.part(part);
        }
        digest.key()
    }

    /// The key with the same digest for this layer and this tenant.
    #[must_use]
    pub const fn scoped(self, layer: Name, tenant: Name) -> Self {
        Self {
            layer,
            tenant,
            digest: self.digest,
        }
    }

    /// The layer that receives the delivery.
    #[must_use]
    pub const fn layer(&self) -> Name {
        self.layer
    }

    /// The tenant that sends the delivery.
    #[must_use]
    pub const fn tenant(&self) -> Name {
        self.tenant
    }

    /// The digest.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.digest
    }
}

/// Only the digest: it differs between layers and tenants.
impl Hash for DeliveryKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.digest);
    }
}

/// Computes the digest of a key from its parts.
#[derive(Default)]
pub(crate) struct KeyDigest(Sha256);

impl KeyDigest {
    pub(crate) fn part(&mut self, part: &[u8]) {
        self.begin_part(part.len());
        self.add(part);
    }

    /// Begins a part of this length.
    pub(crate) fn begin_part(&mut self, length: usize) {
        self.add(&(length as u64).to_be_bytes());
    }

    /// Adds to the part that was begun.
    pub(crate) fn add(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    pub(crate) fn key(self) -> DeliveryKey {
        DeliveryKey::from_bytes(self.0.finalize().into())
    }
}

/// Writes the digest in hexadecimal digits.
impl fmt::Debug for DeliveryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(f, &self.digest)
    }
}

/// A layer's or a tenant's name in a ledger: the first 8 bytes of its SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name([u8; 8]);

impl Name {
    /// The name of a layer or tenant that has none.
    pub const NONE: Self = Self([0; 8]);

    /// Hashes a name.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let digest = Sha256::digest(name);
        Self(digest.first_chunk().copied().unwrap_or_default())
    }

    /// A name from its stored bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// The bytes, to store.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(f, &self.0)
    }
}

/// Who holds a lease: a random id, new for each claim and each take.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner([u8; 16]);

impl Owner {
    /// A new random owner, unique among all processes.
    #[must_use]
    pub fn random() -> Self {
        Self(random::bytes())
    }

    /// An owner from its stored bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes, to store.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(f, &self.0)
    }
}

fn hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

/// The right to work on a delivery, until another owner takes over.
///
/// Owner, run and attempt are its fencing token: a ledger compares them with the
/// record, and so refuses a holder that was replaced and does not know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    key: DeliveryKey,
    owner: Owner,
    run: u32,
    attempt: u32,
}

impl Lease {
    /// For implementations of [`Ledger`](super::Ledger).
    #[must_use]
    pub const fn new(key: DeliveryKey, owner: Owner, run: u32, attempt: u32) -> Self {
        Self {
            key,
            owner,
            run,
            attempt,
        }
    }

    /// The delivery.
    #[must_use]
    pub const fn key(&self) -> DeliveryKey {
        self.key
    }

    /// Who holds it.
    #[must_use]
    pub const fn owner(&self) -> Owner {
        self.owner
    }

    /// The number of this run, or of the run that ended with the answer. The first
    /// is 1; a later one follows a run that failed or was interrupted.
    #[must_use]
    pub const fn run(&self) -> u32 {
        self.run
    }

    /// The number of this attempt to post the answer. The first is 1; 0 during a
    /// run.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }
}

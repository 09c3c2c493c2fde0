//! The names under which a ledger knows deliveries, and who acts on them.

use std::fmt;
use std::hash::{BuildHasher, RandomState};

use sha2::{Digest, Sha256};

/// What makes a delivery this one: the layer that receives it, the tenant that
/// sends it, and a digest of the rest, which is equal for the same delivery only.
///
/// A ledger finds the promised deliveries of a layer by its name, and may limit
/// how much of it one tenant fills.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryKey {
    layer: Name,
    tenant: Name,
    digest: [u8; 32],
}

impl DeliveryKey {
    /// The key with this digest, of the layer and the tenant without a name.
    #[must_use]
    pub const fn from_bytes(digest: [u8; 32]) -> Self {
        Self {
            layer: Name::NONE,
            tenant: Name::NONE,
            digest,
        }
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

/// The digest.
impl fmt::Debug for DeliveryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(f, &self.digest)
    }
}

/// A layer's or a tenant's name in a ledger: the first 8 bytes of its SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name([u8; 8]);

impl Name {
    /// That of what has no name.
    pub const NONE: Self = Self([0; 8]);

    /// The short form of this name.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let digest = Sha256::digest(name);
        Self(digest.first_chunk().copied().unwrap_or_default())
    }

    /// The name with these bytes, as they were stored.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// Its bytes, to be stored.
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

/// Who acts: a random id, made anew for each claim and each take.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner([u8; 16]);

impl Owner {
    /// An owner that no other process or moment has.
    #[must_use]
    pub fn random() -> Self {
        // The standard library's keys come from the operating system: nobody
        // has to guess them, but no two processes may have the same.
        let state = RandomState::new();
        let (high, low) = (state.hash_one(0_u8), state.hash_one(1_u8));
        Self(((u128::from(high) << 64) | u128::from(low)).to_be_bytes())
    }

    /// The owner with these bytes, as they were stored.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes, to be stored.
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

/// What entitles its holder to act on a delivery, until another takes over.
///
/// Owner, run and attempt are its fencing token: a ledger compares them with
/// those of the record, and so refuses a holder that was replaced without
/// noticing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    key: DeliveryKey,
    owner: Owner,
    run: u32,
    attempt: u32,
}

impl Lease {
    /// For ledgers: the lease that they hand out.
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

    /// Which run of the delivery's work this is, or ended with the answer: 1 is
    /// the first. A later one follows a run that failed or was cut off.
    #[must_use]
    pub const fn run(&self) -> u32 {
        self.run
    }

    /// Which attempt to send the answer this is: 1 is the first, and 0 is the
    /// work itself.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }
}

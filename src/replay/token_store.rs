use std::fmt;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep};

use super::{Claim, ReplayStore, ReplayStoreError, TokenId};
use crate::future::BoxFuture;
use crate::random;

/// How much longer than its token an ID is kept: a replica whose clock is behind
/// accepts the token for longer.
const CLOCKS_APART: Duration = Duration::from_secs(5 * 60);
/// The pause before a failed claim is retried.
const PAUSE: Duration = Duration::from_secs(1);

/// A table of token IDs in a store that all replicas share: whatever implements it is a
/// [`ReplayStore`].
///
/// An ID is kept five minutes longer than its token is valid, since the replicas' clocks
/// may differ.
///
/// ConductorOne makes at most 50 attempts, a few seconds apart: if an outage is answered
/// at once, they are used up within minutes. So a failed claim is retried every second
/// for the store's [`patience`](Self::patience) before the request is answered 503. It
/// is not retried if the store [is full](ReplayStoreError::full), which rarely passes so
/// soon. A claim recognises its own ID if the reply to an earlier try was lost.
pub trait TokenStore: fmt::Debug + Send + Sync + 'static {
    /// Stores the claimant under the token's ID for `life`, unless another claimant is
    /// stored there whose life has not ended. Returns the claimant that is stored then.
    ///
    /// Atomic: of several concurrent claimants, one is stored, and all are told which.
    /// Return an error within 5 seconds if the store is out of reach.
    ///
    /// # Errors
    /// [`ReplayStoreError`] if the store cannot tell which claimant is stored.
    fn put_if_absent<'a>(
        &'a self,
        id: TokenId<'a>,
        claimant: Claimant,
        life: Duration,
    ) -> impl Future<Output = Result<Claimant, ReplayStoreError>> + Send + 'a;

    /// For how long a failed claim is retried, until the last try begins. Default: 15
    /// seconds; zero disables retries. The layer's limit,
    /// [`replay_store_timeout`](crate::VerifyWebhookBuilder::replay_store_timeout),
    /// leaves 5 seconds for the last try.
    fn patience(&self) -> Duration {
        Duration::from_secs(15)
    }
}

/// Who claims a token ID: a random ID, new for each claim.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Claimant([u8; 16]);

impl Claimant {
    /// A claimant from its stored bytes.
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

impl<S: TokenStore> ReplayStore for S {
    fn claim<'a>(
        &'a self,
        id: TokenId<'a>,
        now: SystemTime,
        until: SystemTime,
    ) -> BoxFuture<'a, Result<Claim, ReplayStoreError>> {
        let life = until.duration_since(now).unwrap_or_default() + CLOCKS_APART;
        Box::pin(claim_patiently(self, id, life))
    }
}

async fn claim_patiently(
    store: &impl TokenStore,
    id: TokenId<'_>,
    life: Duration,
) -> Result<Claim, ReplayStoreError> {
    // Tells this claim from another's, if a reply was lost.
    let claimant = Claimant(random::bytes());
    let begun = Instant::now();
    loop {
        match store.put_if_absent(id, claimant, life).await {
            Ok(stored) if stored == claimant => return Ok(Claim::First),
            Ok(_) => return Ok(Claim::Seen),
            Err(error) if !error.is_full() && begun.elapsed() + PAUSE <= store.patience() => {
                sleep(PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    }
}

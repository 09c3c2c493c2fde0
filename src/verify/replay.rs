//! Claims the token's id, so that the token is accepted once.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::timeout;

use super::claims::Claims;
use super::envelope::Envelope;
use crate::excerpt::for_log;
use crate::replay::{Claim, ReplayStore, ReplayStoreError, TokenId};

pub(crate) struct ReplayGuard {
    pub(crate) store: Arc<dyn ReplayStore>,
    pub(crate) policy: ReplayPolicy,
    /// The longest wait for the store.
    pub(crate) timeout: Duration,
}

/// How to handle a webhook whose token was used before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplayPolicy {
    /// Refuse it with 401. The default.
    #[default]
    Refuse,
    /// Accept it and set [`Webhook::is_replay`](crate::Webhook::is_replay). For a
    /// handler that deduplicates and repeats its first answer.
    Mark,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplayError {
    #[error("the token {token_id:?} was used before (webhook {webhook_id:?}, event {event:?})")]
    UsedBefore {
        token_id: String,
        webhook_id: String,
        event: String,
    },
    #[error(transparent)]
    Store(#[from] ReplayStoreError),
}

impl ReplayGuard {
    /// Claims the token's id until it expires. Returns whether the token is a replay
    /// that the policy accepts.
    pub(super) async fn claim(
        &self,
        claims: &Claims,
        envelope: &Envelope,
        now: SystemTime,
        leeway: Duration,
    ) -> Result<bool, ReplayError> {
        let id = TokenId::new(claims.issuer(), claims.token_id());
        let until = claims.expires_at() + leeway;
        let claim = timeout(self.timeout, self.store.claim(id, now, until))
            .await
            .map_err(|_| ReplayStoreError::new(format!("no answer within {:?}", self.timeout)))??;
        match (claim, self.policy) {
            (Claim::First, _) => Ok(false),
            (Claim::Seen, ReplayPolicy::Mark) => Ok(true),
            (Claim::Seen, ReplayPolicy::Refuse) => Err(ReplayError::UsedBefore {
                token_id: for_log(claims.token_id()),
                webhook_id: for_log(&envelope.webhook_id),
                event: for_log(&envelope.event),
            }),
        }
    }
}

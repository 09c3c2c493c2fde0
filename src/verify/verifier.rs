use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::body::BodyPolicy;
use super::claims::ClaimPolicy;
use super::replay::ReplayGuard;
use super::signature::Tenants;
use crate::clock::Clock;
use crate::observe::{Burst, Observers};

/// A receiver's settings, which the builder has validated.
pub(crate) struct Verifier {
    pub(crate) tenants: Tenants,
    /// For `Debug` only: the builder has applied it.
    pub(crate) http_on_loopback: bool,
    pub(crate) max_token_bytes: usize,
    pub(crate) claims: ClaimPolicy,
    pub(crate) body: BodyPolicy,
    /// `None` if the replay guard is disabled.
    pub(crate) replay: Option<ReplayGuard>,
    pub(crate) clock: Arc<dyn Clock>,
    /// The log of refusals of unsigned requests.
    pub(crate) unsigned: Burst,
    pub(crate) observers: Observers,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenants: BTreeMap<_, _> = self.tenants.iter().collect();
        let replay = self.replay.as_ref();
        f.debug_struct("Verifier")
            .field("public_url", &format_args!("{}", self.claims.public_url))
            .field("tenants", &tenants)
            .field("dangerous_allow_http_on_loopback", &self.http_on_loopback)
            .field("leeway", &self.claims.leeway)
            .field("max_token_lifetime", &self.claims.max_lifetime)
            .field("max_token_bytes", &self.max_token_bytes)
            .field("max_body_bytes", &self.body.max_bytes)
            .field("body_timeout", &self.body.timeout)
            .field("replay_policy", &replay.map(|guard| guard.policy))
            .field("replay_store", &replay.map(|guard| &guard.store))
            .field("replay_store_timeout", &replay.map(|guard| guard.timeout))
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}

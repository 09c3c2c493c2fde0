//! Explains, check by check, why the layer accepts or refuses a captured request.

mod capture;
mod explanation;
mod remedy;
mod rewritten;

use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use sha2::{Digest, Sha256};

pub use self::capture::{CaptureError, CapturedRequest};
pub use self::explanation::{CheckVerdict, Explanation};
use self::remedy::Context;
use crate::config_error::ConfigError;
use crate::keys::{KeySet, KeySource};
use crate::rejection::{Rejection, RejectionKind};
use crate::replay::MemoryReplayStore;
use crate::tenant::Tenant;
pub use crate::verify::Check;
use crate::verify::{Trial, UnverifiedClaims, Verifier};
use crate::verify_webhook::VerifyWebhookBuilder;

/// Explains whether a receiver accepts captured requests, why not, and what helps.
///
/// It runs the layer's own checks in the layer's order, and continues after a failed
/// one, so that it reports everything that is wrong. It takes the receiver's
/// settings; you may omit the public URL and the tenants, and the checks that depend
/// on them are then [unknown](CheckVerdict::Unknown). The builder's clock is the time
/// of receipt: set a [`ManualClock`](super::ManualClock) for an older request.
///
/// An explainer remembers the tokens of its requests and detects a reused one. It
/// does not touch the receiver's replay store.
///
/// Explanations contain no token, signature or callback URL.
///
/// ```
/// use tower_conductorone::VerifyWebhookLayer;
/// use tower_conductorone::testing::explain::{CapturedRequest, Check, CheckVerdict};
/// use tower_conductorone::testing::{Explainer, FakeTenant};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let receiver = VerifyWebhookLayer::builder().public_url("https://hooks.example.com");
/// let captured = CapturedRequest::parse(
///     b"POST /webhooks HTTP/1.1\r\nContent-Type: text/plain\r\n\r\nhello",
/// )?;
///
/// let explanation = Explainer::new(receiver)?.explain(&captured).await;
/// assert!(!explanation.is_accepted());
/// let failed = explanation.checks().filter(|(_, verdict)| verdict.is_failed());
/// let failed: Vec<_> = failed.map(|(check, _)| check).collect();
/// assert_eq!(failed, [Check::MediaType, Check::BearerToken, Check::Envelope]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Explainer {
    verifier: Verifier,
    knows_url: bool,
    knows_tenants: bool,
    /// Tenant and id of the tokens so far.
    seen: Vec<Option<(String, String)>>,
}

/// Stands for omitted settings: no token has this issuer or audience.
const NOBODY: &str = "unknown.invalid";

/// A source without keys.
#[derive(Debug)]
struct NoKeys;

impl KeySource for NoKeys {
    fn current(&self) -> Option<Arc<KeySet>> {
        None
    }
}

impl Explainer {
    /// An explainer for a receiver with these settings.
    ///
    /// # Errors
    /// As [`VerifyWebhookBuilder::build`], except for omitted settings.
    pub fn new(receiver: VerifyWebhookBuilder) -> Result<Self, ConfigError> {
        let (knows_url, knows_tenants) = (receiver.has_public_url(), receiver.has_tenant());
        let mut receiver = receiver.replay_store(MemoryReplayStore::default());
        if !knows_url {
            receiver = receiver.public_url(format!("https://{NOBODY}"));
        }
        if !knows_tenants {
            receiver = receiver.tenant(Tenant::new(NOBODY).key_source(NoKeys));
        }
        Ok(Self {
            verifier: receiver.verifier()?,
            knows_url,
            knows_tenants,
            seen: Vec::new(),
        })
    }

    /// Runs all checks on one request.
    ///
    /// Loads a tenant's keys from the configured source if needed. If they are
    /// unavailable, the signature is unknown.
    pub async fn explain(&mut self, request: &CapturedRequest) -> Explanation {
        let mut remarks = request.remarks.clone();
        let mut body = request.body.clone();
        let mut trial = self.verifier.try_all(&request.parts, body.clone()).await;
        if let Some((whole, how)) = restored(request, trial.claims.as_ref()) {
            remarks.push(format!(
                "its body is shorter than Content-Length says; it is complete {how}"
            ));
            body = whole;
            trial = self.verifier.try_all(&request.parts, body.clone()).await;
        }
        let Trial { verdicts, claims } = trial;
        if let Some(number) = self.seen_before(claims.as_ref()) {
            remarks.push(format!("it reuses the token of request {number}"));
        }
        let context = Context {
            verifier: &self.verifier,
            parts: &request.parts,
            body: &body,
            claims: claims.as_ref(),
            now: self.verifier.clock.now(),
        };
        let checks = verdicts
            .into_iter()
            .map(|(check, verdict)| (check, self.verdict(&context, check, verdict)))
            .collect();
        Explanation {
            request: context.request(),
            token: context.token(),
            remarks,
            checks,
        }
    }

    fn verdict(
        &self,
        context: &Context<'_>,
        check: Check,
        outcome: Option<Result<(), Rejection>>,
    ) -> CheckVerdict {
        let unknown = match check {
            Check::Audience | Check::BoundUrl if !self.knows_url => context.without_public_url(),
            Check::Tenant if !self.knows_tenants => context.without_tenants(),
            Check::Signature if !self.knows_tenants => {
                context.claims.map(|_| "no tenant is configured".into())
            }
            _ => None,
        };
        match (unknown, outcome) {
            (Some(why), _) => CheckVerdict::Unknown { why },
            (None, None) => CheckVerdict::NotReached,
            (None, Some(Ok(()))) => CheckVerdict::Passed,
            (None, Some(Err(rejection))) => match rejection.kind() {
                RejectionKind::KeysUnavailable => CheckVerdict::Unknown {
                    why: rejection.cause().unwrap_or_default(),
                },
                RejectionKind::ReplayedToken => CheckVerdict::Failed {
                    kind: RejectionKind::ReplayedToken,
                    why: "the token was used before, in one of these requests".into(),
                    remedies: context.remedies(check, RejectionKind::ReplayedToken),
                },
                kind => CheckVerdict::Failed {
                    kind,
                    why: rejection.cause().unwrap_or_default(),
                    remedies: context.remedies(check, kind),
                },
            },
        }
    }

    /// The number of an earlier request with the same token, counted from 1.
    fn seen_before(&mut self, claims: Option<&UnverifiedClaims<'_>>) -> Option<usize> {
        let token = claims.map(|claims| (claims.issuer().into(), claims.token_id().into()));
        let before = self
            .seen
            .iter()
            .position(|seen| seen.is_some() && *seen == token);
        self.seen.push(token);
        before.map(|index| index + 1)
    }
}

/// The original body, if the capture has lost line ends: it must have the declared
/// length and the token's hash.
fn restored(
    request: &CapturedRequest,
    claims: Option<&UnverifiedClaims<'_>>,
) -> Option<(Bytes, &'static str)> {
    let digest = claims?.body_digest();
    let length = request.parts.headers.get(CONTENT_LENGTH)?;
    let length: usize = length.to_str().ok()?.parse().ok()?;
    if length <= request.body.len() {
        return None;
    }
    rewritten::line_ends(&request.body)
        .into_iter()
        .find(|(body, _)| body.len() == length && Sha256::digest(body)[..] == *digest)
        .map(|(body, how)| (body.into(), how))
}

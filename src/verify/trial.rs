//! Runs every step of the verification and records a verdict on each: after a
//! failure, the later steps run as far as possible. The testing kit explains requests
//! with it.

use std::time::SystemTime;

use bytes::Bytes;
use http::request::Parts;
use http_body_util::Full;

use super::check::Check;
use super::envelope::Envelope;
use super::replay::ReplayError;
use super::signature::{self, SignatureError, SignedClaims};
use super::token::{CompactJws, UntrustedToken};
use super::unverified_claims::UnverifiedClaims;
use super::{Rejection, Verifier, bearer, body, digest, preconditions};

/// The verdicts on a request, in the layer's order of checks.
#[derive(Default)]
pub(crate) struct Trial {
    /// `None` if the check could not run.
    pub(crate) verdicts: Vec<(Check, Option<Result<(), Rejection>>)>,
    /// The token's claims, verified or not.
    pub(crate) claims: Option<UnverifiedClaims<'static>>,
}

impl Trial {
    /// Records the verdict on a check and returns its result.
    fn note<T, E: Into<Rejection>>(
        &mut self,
        check: Check,
        outcome: Option<Result<T, E>>,
    ) -> Option<T> {
        let (verdict, found) = match outcome.map(|outcome| outcome.map_err(Into::into)) {
            None => (None, None),
            Some(Ok(found)) => (Some(Ok(())), Some(found)),
            Some(Err(rejection)) => (Some(Err(rejection)), None),
        };
        self.verdicts.push((check, verdict));
        found
    }

    fn all_passed(&self) -> bool {
        self.verdicts
            .iter()
            .all(|(_, verdict)| matches!(verdict, Some(Ok(()))))
    }
}

impl Verifier {
    /// Runs every check on a request. Like the layer, it claims the token's id only if
    /// all other checks pass.
    pub(crate) async fn try_all(&self, parts: &Parts, body: Bytes) -> Trial {
        let now = self.clock.now();
        let mut trial = Trial::default();
        trial.note(Check::Method, Some(preconditions::check_method(parts)));
        trial.note(
            Check::MediaType,
            Some(preconditions::check_media_type(parts)),
        );
        trial.note(
            Check::ContentCoding,
            Some(preconditions::check_content_coding(parts)),
        );
        trial.note(
            Check::DeclaredLength,
            Some(body::check_declared(&parts.headers, &self.body)),
        );
        let token = bearer::token(&parts.headers, self.max_token_bytes);
        let token = trial.note(Check::BearerToken, Some(token));
        let (jws, malformed) = match token.map(CompactJws::decode) {
            None => (None, None),
            Some(Ok(jws)) => (Some(jws), None),
            Some(Err(error)) => (None, Some(Err(error))),
        };
        let token = jws.as_ref().map(UntrustedToken::parse).or(malformed);
        let token = trial.note(Check::TokenForm, token);
        let claims = token
            .as_ref()
            .map(|token| token.claims.clone().into_owned());
        let signed = self.try_signature(&mut trial, token).await;
        self.try_claims(&mut trial, parts, claims.as_ref(), now);
        let envelope = self
            .try_body(&mut trial, parts, body, claims.as_ref())
            .await;
        let first_use = match (signed, &envelope) {
            (Some(signed), Some(envelope)) if trial.all_passed() => {
                self.try_first_use(parts, signed, envelope, now).await
            }
            _ => None,
        };
        trial.note(Check::FirstUse, first_use);
        trial.claims = claims;
        trial
    }

    async fn try_first_use(
        &self,
        parts: &Parts,
        signed: SignedClaims<'_>,
        envelope: &Envelope,
        now: SystemTime,
    ) -> Option<Result<(), ReplayError>> {
        let validated = signed.validate(&self.claims, &parts.method, parts.uri.path(), now);
        let claims = validated.ok()?;
        let Some(guard) = &self.replay else {
            return Some(Ok(()));
        };
        let leeway = self.claims.leeway;
        let claim = guard.claim(&claims, envelope, now, leeway).await;
        Some(claim.map(drop))
    }

    async fn try_signature<'t>(
        &self,
        trial: &mut Trial,
        token: Option<UntrustedToken<'t>>,
    ) -> Option<SignedClaims<'t>> {
        let verified = match token {
            Some(token) => Some(signature::verify(token, &self.tenants).await),
            None => None,
        };
        let (tenant, verified) = match verified {
            None => (None, None),
            Some(Err(unknown @ SignatureError::UnknownTenant(_))) => (Some(Err(unknown)), None),
            Some(verified) => (Some(Ok(())), Some(verified)),
        };
        trial.note(Check::Tenant, tenant);
        trial.note(Check::Signature, verified)
    }

    fn try_claims(
        &self,
        trial: &mut Trial,
        parts: &Parts,
        claims: Option<&UnverifiedClaims<'_>>,
        now: SystemTime,
    ) {
        let policy = &self.claims;
        trial.note(
            Check::TokenType,
            claims.map(UnverifiedClaims::check_token_type),
        );
        trial.note(
            Check::Audience,
            claims.map(|claims| claims.check_audience(policy)),
        );
        trial.note(
            Check::Times,
            claims.map(|claims| claims.check_times(policy, now)),
        );
        trial.note(
            Check::BoundMethod,
            claims.map(|claims| claims.check_method(&parts.method)),
        );
        trial.note(
            Check::BoundUrl,
            claims.map(|claims| claims.check_target(policy, parts.uri.path())),
        );
    }

    async fn try_body(
        &self,
        trial: &mut Trial,
        parts: &Parts,
        body: Bytes,
        claims: Option<&UnverifiedClaims<'_>>,
    ) -> Option<Envelope> {
        let read = body::read(&parts.headers, Full::new(body), &self.body).await;
        let read = trial.note(Check::BodySize, Some(read));
        let bound = read.as_ref().zip(claims);
        let bound =
            bound.map(|((_, digest), claims)| digest::check_token(&claims.body_digest, digest));
        trial.note(Check::BodyHash, bound);
        let agrees = read.as_ref();
        let agrees = agrees.map(|(_, digest)| digest::check_header(&parts.headers, digest));
        trial.note(Check::ContentDigest, agrees);
        let envelope = read.map(|(body, _)| Envelope::parse(&body, &parts.headers));
        trial.note(Check::Envelope, envelope)
    }
}

//! Verifies a request and produces a [`Webhook`]. Cheap steps run before expensive
//! ones, pure steps before those with effects. Each step has its own file and error
//! type; `rejections.rs` maps the errors to a [`Rejection`].

mod answering;
mod bearer;
mod body;
#[cfg(feature = "testing")]
mod check;
mod claims;
mod digest;
mod envelope;
mod log;
mod preconditions;
mod rejections;
mod replay;
mod signature;
mod stored;
mod target;
mod times;
mod token;
#[cfg(feature = "testing")]
mod trial;
mod unverified_claims;
mod verifier;
mod webhook;
#[cfg(test)]
mod wycheproof;

use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http_body::Body;
use http_body_util::Full;
use tokio::time::Instant;
use tracing::Span;

pub(crate) use self::answering::Answering;
pub(crate) use self::body::BodyPolicy;
#[cfg(feature = "testing")]
pub use self::check::Check;
pub(crate) use self::claims::ClaimPolicy;
pub use self::claims::Claims;
#[cfg(feature = "testing")]
pub(crate) use self::digest::header_agrees;
pub(crate) use self::replay::ReplayGuard;
pub use self::replay::ReplayPolicy;
pub(crate) use self::signature::Tenants;
pub(crate) use self::stored::Remembered;
pub(crate) use self::target::{PublicUrl, UrlError};
#[cfg(feature = "testing")]
pub(crate) use self::trial::Trial;
#[cfg(feature = "testing")]
pub(crate) use self::unverified_claims::UnverifiedClaims;
pub(crate) use self::verifier::Verifier;
pub use self::webhook::Webhook;

use self::envelope::{Envelope, WEBHOOK_CALLBACK_URL};
use self::log::Arrival;
use self::token::{CompactJws, UntrustedToken};
use self::webhook::Proven;
use crate::rejection::Rejection;

impl Verifier {
    /// Verifies a request that was sent to `path`, and has this span. It reads the body;
    /// the head stays with the caller, for [`let_through`].
    pub(crate) async fn verify<B>(
        &self,
        parts: &Parts,
        path: &str,
        body: B,
        span: &Span,
    ) -> Result<Webhook, Rejection>
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        if parts.extensions.get::<Webhook>().is_some() {
            return Err(Rejection::installed_twice("VerifyWebhookLayer"));
        }
        let arrival = Arrival {
            verifier: self,
            path,
            span,
            at: Instant::now(),
        };
        let webhook = self.prove(parts, body, arrival).await;
        match &webhook {
            Ok(webhook) => log::verified(webhook),
            Err(rejection) => arrival.refused(rejection),
        }
        webhook
    }

    async fn prove<B>(
        &self,
        parts: &Parts,
        body: B,
        arrival: Arrival<'_>,
    ) -> Result<Webhook, Rejection>
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        preconditions::check(parts)?;
        body::check_declared(&parts.headers, &self.body)?;
        let pending = arrival.pending(None);
        let claims = self.authenticate(parts, arrival.path).await;
        pending.end();
        let claims = claims?;
        let tenant = Arc::clone(claims.tenant());
        let pending = arrival.pending(Some(&claims));
        let proven = self.prove_body(parts, body, &claims).await;
        pending.end();
        match proven {
            Ok((body, envelope, replay)) => {
                let proven = Proven {
                    tenant,
                    claims,
                    body,
                    envelope,
                    replay,
                };
                Ok(Webhook::new(proven, Some(arrival.at)))
            }
            Err(rejection) => Err(rejection.of_tenant(tenant).of_token(claims.token_id())),
        }
    }

    /// Verifies the token, and checks that its claims match the request's head and the
    /// current time.
    async fn authenticate(&self, parts: &Parts, path: &str) -> Result<Claims, Rejection> {
        let token = bearer::token(&parts.headers, self.max_token_bytes)?;
        let jws = CompactJws::decode(token)?;
        let token = UntrustedToken::parse(&jws)?;
        let signed = signature::verify(token, &self.tenants).await?;
        let (tenant, token_id) = (Arc::clone(signed.tenant()), signed.token_id());
        let now = self.clock.now();
        let claims = signed.validate(&self.claims, &parts.method, path, now);
        claims.map_err(|error| Rejection::from(error).of_tenant(tenant).of_token(&token_id))
    }

    /// Checks that the body is the one that the claims are about, and that the token has
    /// not been used before. Returns the body, its envelope, and whether the policy
    /// accepts a token that was.
    async fn prove_body<B>(
        &self,
        parts: &Parts,
        body: B,
        claims: &Claims,
    ) -> Result<(Bytes, Envelope, bool), Rejection>
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let (body, digest) = body::read(&parts.headers, body, &self.body).await?;
        digest::check_token(claims.body_digest(), &digest)?;
        digest::check_header(&parts.headers, &digest)?;
        let envelope = Envelope::parse(&body, &parts.headers)?;
        // Reading the body takes time, and the store forgets a token that has expired.
        let now = self.clock.now();
        claims.check_times(&self.claims, now)?;
        // The only step with a side effect comes last.
        let replay = match &self.replay {
            Some(guard) => {
                let leeway = self.claims.leeway;
                let claim = guard.claim(claims, &envelope, now, leeway).await;
                let in_time = claim.map_err(Rejection::from).and_then(|replay| {
                    // So does the claim.
                    claims.check_times(&self.claims, self.clock.now())?;
                    Ok(replay)
                });
                in_time.map_err(|rejection| rejection.of_webhook(&envelope.webhook_id))?
            }
            None => false,
        };
        Ok((body, envelope, replay))
    }
}

/// The request for the inner service: its body buffered, the [`Webhook`] in its
/// extensions, and the headers that hold secrets hidden from `Debug`.
pub(crate) fn let_through(mut parts: Parts, webhook: Webhook) -> Request<Full<Bytes>> {
    for (name, value) in &mut parts.headers {
        if *name == AUTHORIZATION || *name == WEBHOOK_CALLBACK_URL {
            value.set_sensitive(true);
        }
    }
    let body = Full::new(webhook.body().clone());
    parts.extensions.insert(webhook);
    Request::from_parts(parts, body)
}

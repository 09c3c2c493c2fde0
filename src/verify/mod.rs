//! Verifies a request and produces a [`Webhook`]. Cheap steps run before expensive
//! ones, pure steps before those with effects. Each step has its own file and error
//! type; `rejections.rs` maps the errors to a [`Rejection`].

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
use http::header::{AUTHORIZATION, Entry};
use http::request::Parts;
use http_body::Body;
use http_body_util::Full;
use tokio::time::Instant;

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

use self::envelope::Envelope;
use self::signature::SignedClaims;
use self::token::UntrustedToken;
use self::webhook::Proven;
use crate::rejection::Rejection;

/// When a request arrived, before its body was read. It is in the extensions of the
/// verified request.
#[derive(Clone, Copy)]
pub(crate) struct Arrived(pub(crate) Instant);

impl Verifier {
    /// Verifies a request that was sent to `path`. Returns it with its body buffered
    /// and the [`Webhook`] in its extensions.
    pub(crate) async fn verify<B>(
        &self,
        request: Request<B>,
        path: &str,
    ) -> Result<Request<Full<Bytes>>, Rejection>
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let arrived = Arrived(Instant::now());
        let (mut parts, body) = request.into_parts();
        if parts.extensions.get::<Webhook>().is_some() {
            return Err(Rejection::installed_twice("VerifyWebhookLayer"));
        }
        let webhook = self.prove(&parts, path, body).await;
        let webhook = webhook.inspect_err(log::refused)?;
        log::verified(&webhook);
        hide_secrets(&mut parts);
        let body = Full::new(webhook.body().clone());
        parts.extensions.insert(webhook);
        parts.extensions.insert(arrived);
        Ok(Request::from_parts(parts, body))
    }

    async fn prove<B>(&self, parts: &Parts, path: &str, body: B) -> Result<Webhook, Rejection>
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        preconditions::check(parts)?;
        body::check_declared(&parts.headers, &self.body)?;
        let token = bearer::token(&parts.headers, self.max_token_bytes)?;
        let token = UntrustedToken::parse(token)?;
        let signed = signature::verify(token, &self.tenants).await?;
        let tenant = Arc::clone(signed.tenant());
        let proven = self.prove_signed(parts, path, body, signed).await;
        proven.map_err(|rejection| rejection.of_tenant(tenant))
    }

    /// Checks that the signed claims match the request and the current time, and that
    /// the token has not been used before.
    async fn prove_signed<B>(
        &self,
        parts: &Parts,
        path: &str,
        body: B,
        signed: SignedClaims,
    ) -> Result<Webhook, Rejection>
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let now = self.clock.now();
        let (tenant, claims) = signed.validate(&self.claims, &parts.method, path, now)?;
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
                let claim = guard.claim(&tenant, &claims, &envelope, now, leeway).await;
                claim.map_err(|error| Rejection::from(error).of_webhook(&envelope.webhook_id))?
            }
            None => false,
        };
        Ok(Webhook::from(Proven {
            tenant,
            claims,
            body,
            envelope,
            replay,
        }))
    }
}

/// Marks the headers that hold secrets, so that `Debug` does not show them.
fn hide_secrets(parts: &mut Parts) {
    for name in [AUTHORIZATION.as_str(), "webhook-callback-url"] {
        if let Ok(Entry::Occupied(mut values)) = parts.headers.try_entry(name) {
            values
                .iter_mut()
                .for_each(|value| value.set_sensitive(true));
        }
    }
}

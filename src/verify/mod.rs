//! The straight line from a request to a proven [`Webhook`]: cheap steps before
//! dear ones, pure ones before those with effects. Each step is a file of its
//! own with an error of its own; here they meet, and errors become a
//! [`Rejection`].

mod bearer;
mod binding;
mod body;
#[cfg(feature = "testing")]
mod check;
mod claims;
mod envelope;
mod preconditions;
mod signature;
mod stored;
mod token;
#[cfg(feature = "testing")]
mod trial;
mod webhook;
#[cfg(test)]
mod wycheproof;

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::Request;
use http::header::{AUTHORIZATION, Entry};
use http::request::Parts;
use http_body::Body;
use http_body_util::Full;
use tokio::time::{Instant, timeout};
use tracing::{debug, info, warn};

#[cfg(feature = "testing")]
pub(crate) use self::binding::content_digest_agrees;
pub(crate) use self::binding::{PublicUrl, UrlError};
pub(crate) use self::body::BodyPolicy;
#[cfg(feature = "testing")]
pub use self::check::Check;
pub(crate) use self::claims::ClaimPolicy;
pub use self::claims::Claims;
pub(crate) use self::signature::Tenants;
pub(crate) use self::stored::Remembered;
#[cfg(feature = "testing")]
pub(crate) use self::trial::Trial;
pub use self::webhook::{CallbackUrl, Webhook};

use self::bearer::BearerError;
use self::binding::DigestError;
use self::body::BodyError;
use self::claims::{ClaimError, MismatchError};
use self::envelope::{Envelope, EnvelopeError};
use self::preconditions::PreconditionError;
use self::signature::SignatureError;
use self::token::{TokenError, UntrustedToken};
use self::webhook::Proven;
use crate::clock::Clock;
use crate::excerpt::for_log;
use crate::keys::VerifyError;
use crate::rejection::{Rejection, RejectionKind};
use crate::replay::{Claim, ReplayStore, ReplayStoreError, TokenId};

/// What a receiver accepts, checked once when it was built.
pub(crate) struct Verifier {
    pub(crate) tenants: Tenants,
    /// Only to be told: where it counts, it was heeded when this was built.
    pub(crate) http_on_loopback: bool,
    pub(crate) max_token_bytes: usize,
    pub(crate) claims: ClaimPolicy,
    pub(crate) body: BodyPolicy,
    /// `None` if the guard is switched off.
    pub(crate) replay: Option<ReplayGuard>,
    pub(crate) clock: Arc<dyn Clock>,
}

pub(crate) struct ReplayGuard {
    pub(crate) store: Arc<dyn ReplayStore>,
    pub(crate) policy: ReplayPolicy,
    /// How long the store may take.
    pub(crate) timeout: Duration,
}

/// What becomes of a webhook whose token was used before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplayPolicy {
    /// It is refused with 401: the default.
    #[default]
    Refuse,
    /// It is let through, and [`Webhook::is_replay`] says so: for a handler
    /// that deduplicates, and gives a repeated delivery its first answer.
    Mark,
}

/// When a request came, before its body was read: in the extensions of the request
/// that is handed on.
#[derive(Clone, Copy)]
pub(crate) struct Arrived(pub(crate) Instant);

impl Verifier {
    /// The request with the body's bytes and the [`Webhook`] in its extensions.
    pub(crate) async fn verify<B>(
        &self,
        request: Request<B>,
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
        let signed = self.authenticate(&parts).await;
        let (tenant, claims) = signed.inspect_err(log_unsigned)?;
        let proven = self.prove(&parts, body, Arc::clone(&tenant), claims).await;
        let webhook = proven.inspect_err(|rejection| log_signed(rejection, Some(&tenant)))?;
        debug!(
            tenant = webhook.tenant(),
            webhook_id = webhook.id_for_log(),
            event = webhook.event_for_log(),
            replay = webhook.is_replay(),
            "webhook verified"
        );
        for name in [AUTHORIZATION.as_str(), "webhook-callback-url"] {
            if let Ok(Entry::Occupied(mut values)) = parts.headers.try_entry(name) {
                values
                    .iter_mut()
                    .for_each(|value| value.set_sensitive(true));
            }
        }
        let body = Full::new(webhook.body().clone());
        parts.extensions.insert(webhook);
        parts.extensions.insert(arrived);
        Ok(Request::from_parts(parts, body))
    }

    /// Who signed the token, and what it says.
    async fn authenticate(&self, parts: &Parts) -> Result<(Arc<str>, Claims), Rejection> {
        preconditions::check(parts)?;
        let token = bearer::token(&parts.headers, self.max_token_bytes)?;
        let token = UntrustedToken::parse(token)?;
        let tenant = signature::verify(&token, &self.tenants).await?;
        Ok((tenant, token.claims))
    }

    /// Whether what was signed is this request, here and now, for the first
    /// time.
    async fn prove<B>(
        &self,
        parts: &Parts,
        body: B,
        tenant: Arc<str>,
        claims: Claims,
    ) -> Result<Webhook, Rejection>
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let now = self.clock.now();
        claims.check(&self.claims, &parts.method, original_path(parts), now)?;

        let (body, digest) = body::read(&parts.headers, body, &self.body).await?;
        if !binding::same_digest(claims.body_digest(), &digest) {
            return Err(DigestError::Token.into());
        }
        if !binding::content_digest_agrees(&parts.headers, &digest) {
            return Err(DigestError::Header.into());
        }
        let envelope = Envelope::parse(&body, &parts.headers)?;
        // The body took its time, and a store forgets a token that has expired.
        let now = self.clock.now();
        claims.check_times(&self.claims, now)?;
        let replay = self.is_replay(&tenant, &claims, &envelope, now).await?;
        Ok(Webhook::from(Proven {
            tenant,
            version: envelope::VERSION,
            id: envelope.webhook_id,
            event: envelope.event,
            callback_url: envelope.callback_url,
            claims,
            payload: envelope.payload,
            body,
            replay,
        }))
    }

    /// Claims the token's id: the one step that leaves a trace, so the last.
    async fn is_replay(
        &self,
        tenant: &str,
        claims: &Claims,
        envelope: &Envelope,
        now: SystemTime,
    ) -> Result<bool, Rejection> {
        let Some(guard) = &self.replay else {
            return Ok(false);
        };
        let until = claims.expires_at() + self.claims.leeway;
        let id = TokenId::new(tenant, claims.token_id());
        let claim = timeout(guard.timeout, guard.store.claim(id, now, until))
            .await
            .map_err(|_| {
                ReplayStoreError::new(format!("no answer within {:?}", guard.timeout))
            })??;
        match (claim, guard.policy) {
            (Claim::First, _) => Ok(false),
            (Claim::Seen, ReplayPolicy::Mark) => Ok(true),
            (Claim::Seen, ReplayPolicy::Refuse) => {
                let cause = UsedBefore {
                    token_id: for_log(claims.token_id()),
                    webhook_id: for_log(&envelope.webhook_id),
                    event: for_log(&envelope.event),
                };
                Err(Rejection::because(RejectionKind::ReplayedToken, cause))
            }
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error(
    "the token {token_id:?} was used before; it comes with the webhook {webhook_id:?} ({event:?})"
)]
struct UsedBefore {
    token_id: String,
    webhook_id: String,
    event: String,
}

/// The path that the caller asked for, also below nested axum routers, which
/// strip what they matched.
pub(crate) fn original_path(parts: &Parts) -> &str {
    #[cfg(feature = "axum")]
    if let Some(original) = parts.extensions.get::<axum::extract::OriginalUri>() {
        return original.0.path();
    }
    parts.uri.path()
}

/// Says why a request was refused that no tenant has signed: at `info`, since
/// anybody can provoke it, unless the trouble is our own. Trouble with fetching
/// newer keys is told by what fetches them; here, any forgery would tell it.
fn log_unsigned(rejection: &Rejection) {
    let source = rejection.source().and_then(|source| source.downcast_ref());
    let by_anybody = matches!(source, Some(SignatureError::NewestUnavailable { .. }));
    if rejection.status().is_server_error() && !by_anybody {
        log_signed(rejection, None);
    } else {
        info!(
            code = rejection.code(),
            status = rejection.status().as_u16(),
            cause = rejection.cause(),
            "webhook refused"
        );
    }
}

/// Says why a request was refused that a tenant has signed.
fn log_signed(rejection: &Rejection, tenant: Option<&str>) {
    warn!(
        tenant,
        code = rejection.code(),
        status = rejection.status().as_u16(),
        cause = rejection.cause(),
        "webhook refused"
    );
}

impl From<PreconditionError> for Rejection {
    fn from(error: PreconditionError) -> Self {
        let kind = match error {
            PreconditionError::Method(_) => RejectionKind::MethodNotAllowed,
            PreconditionError::MediaType => RejectionKind::UnsupportedMediaType,
            PreconditionError::ContentCoding => RejectionKind::UnsupportedContentCoding,
        };
        Self::because(kind, error)
    }
}

impl From<BearerError> for Rejection {
    fn from(error: BearerError) -> Self {
        let kind = match error {
            BearerError::Missing | BearerError::OtherScheme => RejectionKind::MissingToken,
            BearerError::Several => RejectionKind::SeveralTokens,
            BearerError::Malformed => RejectionKind::MalformedToken,
            BearerError::TooLong { .. } => RejectionKind::TokenTooLong,
        };
        Self::because(kind, error)
    }
}

impl From<TokenError> for Rejection {
    fn from(error: TokenError) -> Self {
        let kind = match error {
            TokenError::Parts
            | TokenError::Base64 { .. }
            | TokenError::Json { .. }
            | TokenError::Parameter { .. } => RejectionKind::MalformedToken,
            TokenError::Unsupported { .. } => RejectionKind::UnsupportedTokenHeader,
            TokenError::Algorithm { .. } => RejectionKind::UnsupportedAlgorithm,
            TokenError::Type { .. } => RejectionKind::WrongTokenType,
            TokenError::Claim(ClaimError::Missing(_)) => RejectionKind::MissingClaim,
            TokenError::Claim(ClaimError::Invalid(_)) => RejectionKind::InvalidClaim,
        };
        Self::because(kind, error)
    }
}

impl From<SignatureError> for Rejection {
    fn from(error: SignatureError) -> Self {
        let kind = match &error {
            SignatureError::UnknownTenant(_) => RejectionKind::UnknownTenant,
            SignatureError::Refused { reason, .. } => match reason {
                VerifyError::UnknownKey => RejectionKind::UnknownKey,
                VerifyError::AlgorithmMismatch => RejectionKind::AlgorithmMismatch,
                VerifyError::BadSignature => RejectionKind::InvalidSignature,
            },
            SignatureError::Unavailable { source, .. }
            | SignatureError::NewestUnavailable { source, .. } => {
                let wait = source.retry_after();
                return Self::because(RejectionKind::KeysUnavailable, error).retry_after(wait);
            }
        };
        Self::because(kind, error)
    }
}

impl From<MismatchError> for Rejection {
    fn from(error: MismatchError) -> Self {
        let kind = match error {
            MismatchError::TokenType(_) => RejectionKind::WrongTokenType,
            MismatchError::Audience { .. } => RejectionKind::WrongAudience,
            MismatchError::Expired(_) => RejectionKind::TokenExpired,
            MismatchError::NotYetValid { .. } => RejectionKind::TokenNotYetValid,
            MismatchError::Lifetime { .. } => RejectionKind::TokenLifetimeTooLong,
            MismatchError::Method { .. } => RejectionKind::WrongMethod,
            MismatchError::Target(_) => RejectionKind::WrongUrl,
        };
        Self::because(kind, error)
    }
}

impl From<BodyError> for Rejection {
    fn from(error: BodyError) -> Self {
        let kind = match error {
            BodyError::TooLarge { .. } => RejectionKind::BodyTooLarge,
            BodyError::Timeout(_) => RejectionKind::BodyTimeout,
            BodyError::Read(_) => RejectionKind::UnreadableBody,
            BodyError::Empty | BodyError::Length { .. } => RejectionKind::IncompleteBody,
        };
        Self::because(kind, error)
    }
}

impl From<DigestError> for Rejection {
    fn from(error: DigestError) -> Self {
        let kind = match error {
            DigestError::Token => RejectionKind::BodyHashMismatch,
            DigestError::Header => RejectionKind::ContentDigestMismatch,
        };
        Self::because(kind, error)
    }
}

impl From<EnvelopeError> for Rejection {
    fn from(error: EnvelopeError) -> Self {
        let kind = match error {
            EnvelopeError::NotUtf8
            | EnvelopeError::Json { .. }
            | EnvelopeError::Missing(_)
            | EnvelopeError::TooLong(_) => RejectionKind::InvalidEnvelope,
            EnvelopeError::Version => RejectionKind::UnsupportedVersion,
            EnvelopeError::Header { .. } => RejectionKind::HeaderMismatch,
        };
        Self::because(kind, error)
    }
}

impl From<ReplayStoreError> for Rejection {
    fn from(error: ReplayStoreError) -> Self {
        Self::because(RejectionKind::ReplayStoreUnavailable, error)
            .retry_after(Duration::from_secs(1))
    }
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
            .finish()
    }
}

//! Maps the error of each step to a [`Rejection`].

use std::time::Duration;

use tracing::warn;

use super::bearer::BearerError;
use super::body::BodyError;
use super::claims::{Mismatch, MismatchError};
use super::digest::DigestError;
use super::envelope::EnvelopeError;
use super::preconditions::PreconditionError;
use super::replay::ReplayError;
use super::signature::SignatureError;
use super::times::TimesError;
use super::token::TokenError;
use super::unverified_claims::ClaimError;
use super::webhook::Webhook;
use crate::event::PayloadError;
use crate::keys::VerifyError;
use crate::rejection::{Rejection, RejectionKind};

/// `Retry-After` when the replay store is unavailable.
const STORE_PAUSE: Duration = Duration::from_secs(1);

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
        match error {
            BearerError::Missing => {
                Self::because_of(RejectionKind::MissingToken, &BearerError::Missing)
            }
            BearerError::OtherScheme => {
                Self::because_of(RejectionKind::MissingToken, &BearerError::OtherScheme)
            }
            BearerError::Several => {
                Self::because_of(RejectionKind::SeveralTokens, &BearerError::Several)
            }
            BearerError::TooLong { .. } => Self::because(RejectionKind::TokenTooLong, error),
        }
    }
}

impl From<TokenError> for Rejection {
    fn from(error: TokenError) -> Self {
        let kind = match error {
            TokenError::Parts => {
                return Self::because_of(RejectionKind::MalformedToken, &TokenError::Parts);
            }
            TokenError::Base64 { .. }
            | TokenError::Header(_)
            | TokenError::Parameter { .. }
            | TokenError::Claim(ClaimError::Json(_)) => RejectionKind::MalformedToken,
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
                return Self::because(RejectionKind::KeysUnavailable, error).with_retry_after(wait);
            }
        };
        Self::because(kind, error)
    }
}

impl From<Mismatch> for Rejection {
    fn from(Mismatch { error, remedy }: Mismatch) -> Self {
        let rejection = Self::from(error);
        match remedy {
            Some(remedy) => rejection.with_remedy(remedy),
            None => rejection,
        }
    }
}

impl From<MismatchError> for Rejection {
    fn from(error: MismatchError) -> Self {
        let kind = match error {
            MismatchError::TokenType(_) => RejectionKind::WrongTokenType,
            MismatchError::Audience { .. } => RejectionKind::WrongAudience,
            MismatchError::Times(TimesError::Expired(_)) => RejectionKind::TokenExpired,
            MismatchError::Times(TimesError::NotYetValid { .. }) => RejectionKind::TokenNotYetValid,
            MismatchError::Times(TimesError::Lifetime { .. }) => {
                RejectionKind::TokenLifetimeTooLong
            }
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

impl From<ReplayError> for Rejection {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::UsedBefore { .. } => Self::because(RejectionKind::ReplayedToken, error),
            ReplayError::Store(error) => {
                Self::because(RejectionKind::ReplayStoreUnavailable, error)
                    .with_retry_after(STORE_PAUSE)
            }
        }
    }
}

impl Webhook {
    /// Adds this webhook's tenant and id to a rejection.
    pub(crate) fn rejected(&self, rejection: Rejection) -> Rejection {
        rejection.of_tenant(self.tenant()).of_webhook(self.id())
    }

    /// Logs and returns the rejection of a payload that does not match its event's type.
    pub(crate) fn unreadable_payload(&self, error: PayloadError) -> Rejection {
        warn!(
            c1.tenant = self.tenant(),
            c1.webhook.id = &*self.id_for_log(),
            c1.event = &*self.event_for_log(),
            path = error.path(),
            "the payload does not match its event's type"
        );
        self.rejected(Rejection::because(RejectionKind::UnreadablePayload, error))
    }

    /// Logs and returns the rejection of an event that the route does not take.
    #[cfg(feature = "axum")]
    pub(crate) fn unexpected_event(&self, expected: &'static str) -> Rejection {
        warn!(
            c1.tenant = self.tenant(),
            c1.webhook.id = &*self.id_for_log(),
            c1.event = &*self.event_for_log(),
            expected,
            "the route does not take this event"
        );
        let error = UnexpectedEvent { expected };
        self.rejected(Rejection::because(RejectionKind::UnexpectedEvent, error))
    }
}

#[cfg(feature = "axum")]
#[derive(Debug, thiserror::Error)]
#[error("the route takes only {expected}")]
struct UnexpectedEvent {
    expected: &'static str,
}

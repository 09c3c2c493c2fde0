//! Why a request was refused, and the answer that says so.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;

use crate::error_chain::error_chain;
use crate::header::{whole_seconds, write_retry_after};

/// A request that was not let through.
///
/// The answer to the caller ([`response`](Self::response)) is made of fixed
/// text: problem details (RFC 9457) with a member `code`, and for all that
/// concerns the token only `missing_token` or `invalid_token`, so that a forger
/// learns nothing. The fine [`code`](Self::code) and the
/// [`source`](Error::source), which says what was expected and what came, are
/// for logs and metrics. Neither holds the token or the callback URL.
///
/// The layer puts the `Rejection` into the extensions of its answer, where
/// layers outside it (metrics, another error format) find it.
#[derive(Clone, Debug)]
pub struct Rejection {
    kind: RejectionKind,
    retry_after: Option<Duration>,
    tenant: Option<Arc<str>>,
    webhook_id: Option<Arc<str>>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

macro_rules! kinds {
    ($($(#[$doc:meta])+ $kind:ident => $status:ident, $code:literal, $answer:ident;)+) => {
        /// What was wrong with a request, or with us: one variant for each
        /// [`code`](Rejection::code).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum RejectionKind {
            $($(#[$doc])+ #[doc = concat!("\n\nCode `", $code, "`.")] $kind,)+
        }

        impl RejectionKind {
            /// All kinds, for tables of metrics and for tests.
            pub const ALL: &[Self] = &[$(Self::$kind,)+];

            fn properties(self) -> (StatusCode, &'static str, Answer) {
                match self {
                    $(Self::$kind => (StatusCode::$status, $code, Answer::$answer),)+
                }
            }
        }
    };
}

kinds! {
    /// **405**: the method is not POST. Route only POST to the layer, or leave
    /// the answer to it.
    MethodNotAllowed => METHOD_NOT_ALLOWED, "method_not_allowed", Method;
    /// **415**: the content type is missing or not `application/json`. Not sent
    /// by ConductorOne; a proxy may have changed it.
    UnsupportedMediaType => UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", MediaType;
    /// **415**: the body has a content coding. The token binds the bytes as
    /// sent: keep proxies from compressing requests.
    UnsupportedContentCoding => UNSUPPORTED_MEDIA_TYPE, "unsupported_content_coding", Coding;

    /// **401**: no bearer token. Not from ConductorOne, or a proxy took the
    /// `Authorization` header away.
    MissingToken => UNAUTHORIZED, "missing_token", Missing;
    /// **401**: more than one `Authorization` header. A proxy may have added its
    /// own.
    SeveralTokens => UNAUTHORIZED, "several_tokens", Token;
    /// **401**: the token is longer than the limit, 8 KiB by default.
    TokenTooLong => UNAUTHORIZED, "token_too_long", Token;
    /// **401**: not a JWT in strict compact form (RFC 7515 §7.1).
    MalformedToken => UNAUTHORIZED, "malformed_token", Token;
    /// **401**: `alg` is none of RS256, ES256, EdDSA (Ed25519).
    UnsupportedAlgorithm => UNAUTHORIZED, "unsupported_algorithm", Token;
    /// **401**: the token's header asks for something that this receiver
    /// refuses: `crit`, `b64`, `enc` or `zip`.
    UnsupportedTokenHeader => UNAUTHORIZED, "unsupported_token_header", Token;
    /// **401**: `typ` or `c1typ` names another kind of token.
    WrongTokenType => UNAUTHORIZED, "wrong_token_type", Token;
    /// **401**: a required claim is not there.
    MissingClaim => UNAUTHORIZED, "missing_claim", Token;
    /// **401**: a claim has a wrong type or form.
    InvalidClaim => UNAUTHORIZED, "invalid_claim", Token;
    /// **401**: `iss` is none of the configured tenants. The log names it.
    UnknownTenant => UNAUTHORIZED, "unknown_tenant", Token;
    /// **401**: the tenant's JWKS has no key for this token, also after a look
    /// at the newest one, as far as the limit on fetching and the endpoint allowed
    /// that.
    UnknownKey => UNAUTHORIZED, "unknown_key", Token;
    /// **401**: the key that `kid` names is for another algorithm than `alg`.
    AlgorithmMismatch => UNAUTHORIZED, "algorithm_mismatch", Token;
    /// **401**: the signature does not verify.
    InvalidSignature => UNAUTHORIZED, "invalid_signature", Token;
    /// **401**: `aud` is not the public URL's host. Check the public URL.
    WrongAudience => UNAUTHORIZED, "wrong_audience", Token;
    /// **401**: `exp` has passed. Check this machine's clock.
    TokenExpired => UNAUTHORIZED, "token_expired", Token;
    /// **401**: `nbf` lies in the future, or `iat` far in it. Check this machine's
    /// clock.
    TokenNotYetValid => UNAUTHORIZED, "token_not_yet_valid", Token;
    /// **401**: the token lives longer than the limit, 10 minutes by default.
    TokenLifetimeTooLong => UNAUTHORIZED, "token_lifetime_too_long", Token;
    /// **401**: `htm` is not the request's method.
    WrongMethod => UNAUTHORIZED, "wrong_method", Token;
    /// **401**: `htu` is not the URL that was called. Check the public URL: its
    /// scheme, host and the prefix that a proxy strips. Or the path that was called
    /// has dot segments, or is spelled otherwise than in `htu`, so that a router
    /// might take it for another one.
    WrongUrl => UNAUTHORIZED, "wrong_url", Token;
    /// **401**: the body is not the one that the token was made for. Something
    /// on the way may parse and write it again.
    BodyHashMismatch => UNAUTHORIZED, "body_hash_mismatch", Token;
    /// **401**: the token was used before.
    ReplayedToken => UNAUTHORIZED, "replayed_token", Token;

    /// **413**: the body is longer than the limit, 2 MiB by default.
    BodyTooLarge => PAYLOAD_TOO_LARGE, "body_too_large", Plain;
    /// **408**: the body did not arrive within the time limit, 10 s by default.
    BodyTimeout => REQUEST_TIMEOUT, "body_timeout", Plain;
    /// **400**: reading the body failed on the way.
    UnreadableBody => BAD_REQUEST, "unreadable_body", Plain;
    /// **400**: the body is empty, or shorter than its `Content-Length`. Has a
    /// layer outside this one consumed it?
    IncompleteBody => BAD_REQUEST, "incomplete_body", Plain;
    /// **400**: `Content-Digest` has a SHA-256 that is not the body's.
    ContentDigestMismatch => BAD_REQUEST, "content_digest_mismatch", Plain;
    /// **400**: the body is no webhook envelope, or its `webhookId` or `event` is
    /// longer than 256 bytes.
    InvalidEnvelope => BAD_REQUEST, "invalid_envelope", Plain;
    /// **400**: the envelope's `version` is not `v1`.
    UnsupportedVersion => BAD_REQUEST, "unsupported_version", Plain;
    /// **400**: a `Webhook-*` header contradicts the body.
    HeaderMismatch => BAD_REQUEST, "header_mismatch", Plain;

    /// **503**: the tenant's keys are out of reach for now, or so old that one for
    /// this token may be missing. ConductorOne retries; the log says why.
    KeysUnavailable => SERVICE_UNAVAILABLE, "keys_unavailable", Retry;
    /// **503**: the replay store is out of reach for now, or full. ConductorOne
    /// retries; the log says why.
    ReplayStoreUnavailable => SERVICE_UNAVAILABLE, "replay_store_unavailable", Retry;

    /// **503**, by [`DeliverOnce`](crate::DeliverOnce): the work on this delivery
    /// goes on and its answer is not there yet. ConductorOne's next attempt asks
    /// again.
    DeliveryRunning => SERVICE_UNAVAILABLE, "delivery_running", Retry;
    /// **503**, by [`DeliverOnce`](crate::DeliverOnce): as many handlers are at work
    /// as [may be](crate::deliver_once::DeliverOnceBuilder::max_running). ConductorOne
    /// retries.
    TooManyRunning => SERVICE_UNAVAILABLE, "too_many_running", Retry;
    /// **503**, by [`DeliverOnce`](crate::DeliverOnce): the ledger is out of
    /// reach for now, or full. ConductorOne retries; the log says why.
    LedgerUnavailable => SERVICE_UNAVAILABLE, "ledger_unavailable", Retry;
    /// **503**, by [`DeliverOnce`](crate::DeliverOnce): the receiver is stopping
    /// and begins no work. ConductorOne's next attempt reaches another.
    Stopping => SERVICE_UNAVAILABLE, "stopping", Retry;
    /// **400**, by [`DeliverOnce`](crate::DeliverOnce): every delivery is to be
    /// answered through its callback URL, and this one has none that may be
    /// used. The log says why.
    NoCallback => BAD_REQUEST, "no_callback", Plain;

    /// **500**, by either layer: it has let this request through already. It is
    /// installed twice on this path, or [`recover`] was given a service that has
    /// it inside. The log names the layer, as an error.
    ///
    /// [`recover`]: crate::DeliverOnceLayer#method.recover
    InstalledTwice => INTERNAL_SERVER_ERROR, "installed_twice", Plain;
}

/// The parts of an answer beside its status.
#[derive(Clone, Copy)]
enum Answer {
    Plain,
    Method,
    MediaType,
    Coding,
    Missing,
    Token,
    Retry,
}

impl RejectionKind {
    /// The status that the caller gets. Never 2xx, 3xx or 410 Gone (after which
    /// ConductorOne would not retry), 503 only for a passing trouble of the
    /// receiver's own, and 500 only for a mistake in how it is put together.
    #[must_use]
    pub fn status(self) -> StatusCode {
        self.properties().0
    }

    /// A stable name for logs and metrics.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.properties().1
    }

    /// The code in the answer: coarse for what concerns the token.
    #[must_use]
    pub fn public_code(self) -> &'static str {
        match self.properties() {
            (_, _, Answer::Token) => "invalid_token",
            (_, code, _) => code,
        }
    }
}

impl Rejection {
    pub(crate) fn new(kind: RejectionKind) -> Self {
        Self {
            kind,
            retry_after: None,
            tenant: None,
            webhook_id: None,
            source: None,
        }
    }

    pub(crate) fn because(kind: RejectionKind, source: impl Error + Send + Sync + 'static) -> Self {
        Self {
            source: Some(Arc::new(source)),
            ..Self::new(kind)
        }
    }

    /// Says so in the log, too: whoever installed the layers is to mend it.
    pub(crate) fn installed_twice(layer: &'static str) -> Self {
        let source = InstalledTwice { layer };
        let rejection = Self::new(RejectionKind::InstalledTwice);
        tracing::error!(code = rejection.code(), "{source}");
        Self {
            source: Some(Arc::new(source)),
            ..rejection
        }
    }

    pub(crate) fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    pub(crate) fn of_tenant(mut self, tenant: impl Into<Arc<str>>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    pub(crate) fn of_webhook(mut self, id: &str) -> Self {
        self.webhook_id = Some(id.into());
        self
    }

    /// What was wrong.
    #[must_use]
    pub fn kind(&self) -> RejectionKind {
        self.kind
    }

    /// A stable name of what was wrong, for logs and metrics.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.kind.code()
    }

    /// The tenant that signed the request: `None` unless the signature has verified.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// The webhook's [id](crate::Webhook::id): `None` unless the request is proven to
    /// be a webhook. Escape it where you write it.
    #[must_use]
    pub fn webhook_id(&self) -> Option<&str> {
        self.webhook_id.as_deref()
    }

    /// How long the caller is asked to wait, with 503: at least 1 s, in whole seconds,
    /// as in the header `Retry-After`. `None` with any other status.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let passing = matches!(self.kind.properties(), (_, _, Answer::Retry));
        passing.then(|| whole_seconds(self.retry_after.unwrap_or_default()))
    }

    /// What all of the sources say, for logs.
    pub(crate) fn cause(&self) -> Option<String> {
        self.source().map(error_chain)
    }

    /// The status that the caller gets.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.kind.status()
    }

    /// The answer to the caller: problem details as JSON (RFC 9457), a
    /// challenge with 401 (RFC 6750 §3), `Allow` with 405, `Retry-After` with
    /// 503.
    #[must_use]
    pub fn response(&self) -> Response<Full<Bytes>> {
        let (status, _, answer) = self.kind.properties();
        let title = status.canonical_reason().unwrap_or("Error");
        let body = format!(
            r#"{{"title":"{title}","status":{},"code":"{}"}}"#,
            status.as_u16(),
            self.kind.public_code(),
        );
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        let extra = match answer {
            Answer::Plain => None,
            Answer::Method => Some((header::ALLOW, HeaderValue::from_static("POST"))),
            Answer::MediaType => {
                Some((header::ACCEPT, HeaderValue::from_static("application/json")))
            }
            Answer::Coding => Some((
                header::ACCEPT_ENCODING,
                HeaderValue::from_static("identity"),
            )),
            Answer::Missing => Some((
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static(r#"Bearer realm="ConductorOne webhooks""#),
            )),
            Answer::Token => Some((
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static(
                    r#"Bearer realm="ConductorOne webhooks", error="invalid_token""#,
                ),
            )),
            Answer::Retry => {
                let wait = self.retry_after.unwrap_or_default();
                Some((header::RETRY_AFTER, write_retry_after(wait)))
            }
        };
        if let Some((name, value)) = extra {
            headers.insert(name, value);
        }
        response
    }
}

#[derive(Debug, thiserror::Error)]
#[error(
    "{layer} has let this request through already: is it installed twice on this path, \
     or was DeliverOnceLayer::recover given a service that has it inside?"
)]
struct InstalledTwice {
    layer: &'static str,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "webhook refused: {}", self.code())
    }
}

impl Error for Rejection {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source
            .as_ref()
            .map(|source| &**source as &(dyn Error + 'static))
    }
}

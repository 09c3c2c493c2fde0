//! Why a request was refused, and the answer that says so.

mod hooks;
mod kind;

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;

pub(crate) use self::hooks::RejectionHooks;
use self::kind::Answer;
pub use self::kind::RejectionKind;
#[cfg(doc)]
pub use self::kind::codes;
use crate::error_chain::error_chain;
use crate::header::{whole_seconds, write_retry_after};

/// A refused request.
///
/// The answer to the caller ([`response`](Self::response)) is made of fixed
/// text: problem details (RFC 9457) with a member `code`, and for all that
/// concerns the token only `missing_token` or `invalid_token`, so that a forger
/// learns nothing. The fine [`code`](Self::code) and the
/// [`source`](Error::source), which says what was expected and what came, are
/// for logs and metrics. Neither holds the token or the callback URL. All codes, with
/// cause and remedy: [`guide::rejections`](crate::guide::rejections).
///
/// It is in the extensions of its answer, where layers outside (metrics, another
/// error format) find it. Both layers' builders take an `on_rejection` to observe
/// rejections, and a `rejection_response` to answer in another form.
#[derive(Clone, Debug)]
pub struct Rejection {
    kind: RejectionKind,
    retry_after: Option<Duration>,
    tenant: Option<Arc<str>>,
    webhook_id: Option<Arc<str>>,
    token_id: Option<Arc<str>>,
    remedy: Option<Arc<str>>,
    source: Option<Source>,
}

#[derive(Clone, Debug)]
enum Source {
    /// Takes no memory: for what anyone can cause.
    Fixed(&'static (dyn Error + Send + Sync)),
    Shared(Arc<dyn Error + Send + Sync>),
}

impl Rejection {
    pub(crate) fn new(kind: RejectionKind) -> Self {
        Self {
            kind,
            retry_after: None,
            tenant: None,
            webhook_id: None,
            token_id: None,
            remedy: None,
            source: None,
        }
    }

    pub(crate) fn because(kind: RejectionKind, source: impl Error + Send + Sync + 'static) -> Self {
        Self {
            source: Some(Source::Shared(Arc::new(source))),
            ..Self::new(kind)
        }
    }

    pub(crate) fn because_of(
        kind: RejectionKind,
        source: &'static (dyn Error + Send + Sync),
    ) -> Self {
        Self {
            source: Some(Source::Fixed(source)),
            ..Self::new(kind)
        }
    }

    /// A layer is installed twice. Logs it, for who installed the layers.
    pub(crate) fn installed_twice(layer: &'static str) -> Self {
        Self::misuse(RejectionKind::InstalledTwice, Misuse::InstalledTwice(layer))
    }

    /// `VerifyWebhookLayer` is not installed. Logs it.
    pub(crate) fn missing_webhook() -> Self {
        Self::misuse(RejectionKind::MissingWebhook, Misuse::MissingWebhook)
    }

    /// `DeliverOnceLayer` is not installed. Logs it.
    pub(crate) fn missing_delivery_run() -> Self {
        let kind = RejectionKind::MissingDeliveryRun;
        Self::misuse(kind, Misuse::MissingDeliveryRun)
    }

    fn misuse(kind: RejectionKind, misuse: Misuse) -> Self {
        tracing::error!(code = kind.code(), "{misuse}");
        Self::because(kind, misuse)
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

    /// Adds the id of a token whose signature has verified.
    pub(crate) fn of_token(mut self, id: &str) -> Self {
        self.token_id = Some(id.into());
        self
    }

    pub(crate) fn with_remedy(mut self, remedy: impl Into<Arc<str>>) -> Self {
        self.remedy = Some(remedy.into());
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

    pub(crate) fn shared_tenant(&self) -> Option<&Arc<str>> {
        self.tenant.as_ref()
    }

    /// The webhook's [id](crate::Webhook::id): `None` unless the request is proven to
    /// be a webhook. Escape it where you write it.
    #[must_use]
    pub fn webhook_id(&self) -> Option<&str> {
        self.webhook_id.as_deref()
    }

    /// The token's `jti`: `None` unless the signature has verified. Any text that the
    /// tenant chose: escape it where you write it.
    #[must_use]
    pub fn token_id(&self) -> Option<&str> {
        self.token_id.as_deref()
    }

    /// What to do about it, in a sentence for logs: that of its
    /// [kind](RejectionKind::remedy), or a better one, such as the public URL that would
    /// have let the request pass.
    #[must_use]
    pub fn remedy(&self) -> &str {
        self.remedy.as_deref().unwrap_or(self.kind.remedy())
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
    /// 503. Its extensions hold the rejection.
    #[must_use]
    pub fn response(&self) -> Response<Full<Bytes>> {
        self.write(Response::default())
    }

    /// Writes the answer into this empty response.
    fn write(&self, mut response: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
        let (status, _, answer) = self.kind.properties();
        *response.status_mut() = status;
        *response.body_mut() = Full::new(self.kind.problem_details());
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
        response.extensions_mut().insert(self.clone());
        response
    }
}

/// A mistake in how the receiver is put together.
#[derive(Debug, thiserror::Error)]
enum Misuse {
    #[error(
        "{0} has let this request through already: is it installed twice on this path, \
         or was DeliverOnceLayer::recover given a service that has it inside?"
    )]
    InstalledTwice(&'static str),
    #[error(
        "no verified webhook in the request's extensions: is VerifyWebhookLayer installed \
         outside, on this route?"
    )]
    MissingWebhook,
    #[error(
        "no delivery's run in the request's extensions: is DeliverOnceLayer installed outside, \
         on this route?"
    )]
    MissingDeliveryRun,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "webhook refused: {}", self.code())
    }
}

impl Error for Rejection {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self.source.as_ref()? {
            Source::Fixed(source) => Some(*source),
            Source::Shared(source) => Some(&**source),
        }
    }
}

//! The kinds of rejections, and how each is answered.

use std::collections::HashMap;
use std::sync::LazyLock;

use bytes::Bytes;
use http::StatusCode;

macro_rules! kinds {
    ($(
        $(#[$doc:meta])+
        $kind:ident => $status:ident, $code:literal, $answer:ident, $remedy:literal;
    )+) => {
        /// Why a request was refused, or what failed in the receiver: one variant for each
        /// [`code`](crate::Rejection::code).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum RejectionKind {
            $(
                $(#[$doc])+
                #[doc = concat!("\n\nCode `", $code, "`. Remedy: ", $remedy, ".")]
                $kind,
            )+
        }

        /// Every rejection's code, with its cause and its remedy.
        ///
        /// The code is `error.type` in the log, `code` in metrics, and
        /// [`Rejection::code`](crate::Rejection::code). The answer says `invalid_token`
        /// for every 401 except `missing_token`, so that a forger learns nothing. Each code is
        /// an anchor of this page, for links in runbooks: `#wrong_url`.
        $(
            #[doc = concat!("\n# `", $code, "`\n")]
            $(#[$doc])+
            #[doc = concat!("\n\n**Remedy**: ", $remedy, ".\n")]
        )+
        #[cfg(doc)]
        pub mod codes {}

        impl RejectionKind {
            /// All kinds, for tables of metrics and for tests.
            pub const ALL: &[Self] = &[$(Self::$kind,)+];

            pub(super) fn properties(self) -> (StatusCode, &'static str, Answer) {
                match self {
                    $(Self::$kind => (StatusCode::$status, $code, Answer::$answer),)+
                }
            }

            /// What to do about it, in a sentence: for logs and runbooks. A
            /// [`Rejection`](crate::Rejection) may know
            /// [better](crate::Rejection::remedy).
            #[must_use]
            pub fn remedy(self) -> &'static str {
                match self {
                    $(Self::$kind => $remedy,)+
                }
            }
        }
    };
}

kinds! {
    /// **405**: the method is not POST. Route only POST to the layer, or let the layer
    /// answer.
    MethodNotAllowed => METHOD_NOT_ALLOWED, "method_not_allowed", Method,
        "ConductorOne sends POST: the request is not its own, or a redirect on the way has changed the method";
    /// **415**: the content type is missing or not `application/json`. ConductorOne does
    /// not send that; a proxy may have changed it.
    UnsupportedMediaType => UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", MediaType,
        "ConductorOne sends application/json: look for a proxy that changes Content-Type";
    /// **415**: the body has a content coding. The token binds the bytes as
    /// sent: keep proxies from compressing requests.
    UnsupportedContentCoding => UNSUPPORTED_MEDIA_TYPE, "unsupported_content_coding", Coding,
        "ConductorOne does not compress: look for a proxy that does, and turn that off for requests";

    /// **401**: no bearer token. ConductorOne did not send the request, or a proxy has
    /// removed the `Authorization` header.
    MissingToken => UNAUTHORIZED, "missing_token", Missing,
        "if ConductorOne sent it, a proxy removes the Authorization header: let it pass";
    /// **401**: more than one `Authorization` header. A proxy may have added one.
    SeveralTokens => UNAUTHORIZED, "several_tokens", Token,
        "look for a proxy that adds an Authorization header of its own, and turn that off";
    /// **401**: the token is longer than the limit, 8 KiB by default.
    TokenTooLong => UNAUTHORIZED, "token_too_long", Token,
        "if ConductorOne sent it, set max_token_bytes higher";
    /// **401**: not a JWT in strict compact form (RFC 7515 §7.1).
    MalformedToken => UNAUTHORIZED, "malformed_token", Token,
        "the token is not one of ConductorOne's webhooks: look for what else calls this URL";
    /// **401**: `alg` is none of RS256, ES256, EdDSA (Ed25519).
    UnsupportedAlgorithm => UNAUTHORIZED, "unsupported_algorithm", Token,
        "the token is not one of ConductorOne's webhooks: look for what else calls this URL";
    /// **401**: the token's header asks for something that this receiver
    /// refuses: `crit`, `b64`, `enc` or `zip`.
    UnsupportedTokenHeader => UNAUTHORIZED, "unsupported_token_header", Token,
        "the token is not one of ConductorOne's webhooks: look for what else calls this URL";
    /// **401**: `typ` or `c1typ` names another kind of token.
    WrongTokenType => UNAUTHORIZED, "wrong_token_type", Token,
        "the token is not a webhook's: look for what else calls this URL with ConductorOne's tokens";
    /// **401**: a required claim is not there.
    MissingClaim => UNAUTHORIZED, "missing_claim", Token,
        "the token is not one of ConductorOne's webhooks: look for what else calls this URL";
    /// **401**: a claim has a wrong type or form.
    InvalidClaim => UNAUTHORIZED, "invalid_claim", Token,
        "the token is not one of ConductorOne's webhooks: look for what else calls this URL";
    /// **401**: `iss` is none of the configured tenants. The log names it.
    UnknownTenant => UNAUTHORIZED, "unknown_tenant", Token,
        "if the tenant is yours, add its domain with VerifyWebhookBuilder::tenant";
    /// **401**: the tenant's JWKS has no key for this token. The layer has fetched the
    /// JWKS again before, unless the limit on fetching was reached or the endpoint failed.
    UnknownKey => UNAUTHORIZED, "unknown_key", Token,
        "if it continues for minutes, compare the keys at the tenant's JWKS URL with those of health(); otherwise the token is forged";
    /// **401**: the key that `kid` names is for another algorithm than `alg`.
    AlgorithmMismatch => UNAUTHORIZED, "algorithm_mismatch", Token,
        "the token is forged or was changed on its way: ConductorOne is not the sender";
    /// **401**: the signature does not verify.
    InvalidSignature => UNAUTHORIZED, "invalid_signature", Token,
        "the token is forged or was changed on its way: ConductorOne is not the sender";
    /// **401**: `aud` is not the public URL's host. Check the public URL.
    WrongAudience => UNAUTHORIZED, "wrong_audience", Token,
        "compare the host of the webhook's URL in ConductorOne with the host of public_url";
    /// **401**: `exp` has passed. Check this machine's clock.
    TokenExpired => UNAUTHORIZED, "token_expired", Token,
        "compare this machine's clock with the real time (NTP); or a proxy holds requests back";
    /// **401**: `nbf` is in the future, or `iat` is further in it than
    /// [`max_token_lifetime`](crate::VerifyWebhookBuilder::max_token_lifetime), both by more
    /// than the leeway. Check this machine's clock.
    TokenNotYetValid => UNAUTHORIZED, "token_not_yet_valid", Token,
        "this machine's clock is slow: synchronise it (NTP)";
    /// **401**: the token lives longer than the limit, 10 minutes by default.
    TokenLifetimeTooLong => UNAUTHORIZED, "token_lifetime_too_long", Token,
        "ConductorOne's tokens live for two minutes: the token has another purpose, or max_token_lifetime is too short";
    /// **401**: `htm` is not the request's method.
    WrongMethod => UNAUTHORIZED, "wrong_method", Token,
        "a proxy has changed the request's method: the token is for the one that ConductorOne sent";
    /// **401**: `htu` is not the URL that was called. Check the public URL: its
    /// scheme, its host, and the prefix that a proxy strips. Or the path has dot
    /// segments, or another percent-encoding than in `htu`, and a router might
    /// match it differently.
    WrongUrl => UNAUTHORIZED, "wrong_url", Token,
        "compare the webhook's URL in ConductorOne with public_url and with the path that arrives: a proxy may strip a prefix";
    /// **401**: the body's SHA-256 is not the token's `htb_s256`. A proxy may parse
    /// and rewrite the body.
    BodyHashMismatch => UNAUTHORIZED, "body_hash_mismatch", Token,
        "a proxy or a layer outside rewrites the body: the receiver needs the bytes as they were sent";
    /// **401**: the token was used before.
    ReplayedToken => UNAUTHORIZED, "replayed_token", Token,
        "if ConductorOne retried with the same token, its next attempt with a new token passes; otherwise look for a proxy that repeats requests";

    /// **413**: the body is longer than the limit, 2 MiB by default. A larger
    /// `Content-Length` is rejected before the token is verified, so without a tenant.
    BodyTooLarge => PAYLOAD_TOO_LARGE, "body_too_large", Plain,
        "if the webhook is genuine, set max_body_bytes higher";
    /// **408**: the body did not arrive within the time limit, 10 s by default.
    BodyTimeout => REQUEST_TIMEOUT, "body_timeout", Plain,
        "the body was slow to arrive: look at the network, or set body_timeout higher";
    /// **400**: reading the body failed.
    UnreadableBody => BAD_REQUEST, "unreadable_body", Plain,
        "the connection broke while the body arrived: ConductorOne retries";
    /// **400**: the body is empty, or shorter than its `Content-Length`. Has a
    /// layer outside this one consumed it?
    IncompleteBody => BAD_REQUEST, "incomplete_body", Plain,
        "look for a layer outside that reads the body, or a proxy that cuts it";
    /// **400**: `Content-Digest` has a SHA-256 that is not the body's.
    ContentDigestMismatch => BAD_REQUEST, "content_digest_mismatch", Plain,
        "a proxy or a layer outside rewrites the body: the receiver needs the bytes as they were sent";
    /// **400**: the body is not a webhook envelope, or its `webhookId` or `event` is
    /// longer than 256 bytes.
    InvalidEnvelope => BAD_REQUEST, "invalid_envelope", Plain,
        "the tenant signed a body of another form: look for a newer version of this crate";
    /// **400**: the envelope's `version` is not `v1`.
    UnsupportedVersion => BAD_REQUEST, "unsupported_version", Plain,
        "the tenant signed a body of another form: look for a newer version of this crate";
    /// **400**: a `Webhook-*` header contradicts the body.
    HeaderMismatch => BAD_REQUEST, "header_mismatch", Plain,
        "look for a proxy that changes the Webhook-* headers";

    /// **503**: the tenant's keys cannot be fetched, or those in force are so old that
    /// the key for this token may be missing. ConductorOne retries; the log says why.
    KeysUnavailable => SERVICE_UNAVAILABLE, "keys_unavailable", Retry,
        "see whether this machine reaches the tenant's JWKS URL (DNS, proxy, TLS): ConductorOne retries meanwhile";
    /// **503**: the replay store cannot be reached, or is full. ConductorOne retries; the
    /// log says why.
    ReplayStoreUnavailable => SERVICE_UNAVAILABLE, "replay_store_unavailable", Retry,
        "see whether the replay store is up and has room: ConductorOne retries meanwhile";

    /// **503**, by [`DeliverOnce`](crate::DeliverOnce): the handler is still at
    /// work on this delivery. ConductorOne retries.
    DeliveryRunning => SERVICE_UNAVAILABLE, "delivery_running", Retry,
        "the handler is slow: ConductorOne retries; with callbacks the layer answers 202 instead";
    /// **503**, by [`DeliverOnce`](crate::DeliverOnce): [`max_running`] handlers are
    /// at work. ConductorOne retries.
    ///
    /// [`max_running`]: crate::DeliverOnceBuilder::max_running
    TooManyRunning => SERVICE_UNAVAILABLE, "too_many_running", Retry,
        "handlers are slower than deliveries arrive: make them faster, add replicas, or set max_running higher";
    /// **503**, by [`DeliverOnce`](crate::DeliverOnce): the ledger cannot be
    /// reached, or is full. ConductorOne retries; the log says why.
    LedgerUnavailable => SERVICE_UNAVAILABLE, "ledger_unavailable", Retry,
        "see whether the ledger's store is up and has room: ConductorOne retries meanwhile";
    /// **503**, by [`DeliverOnce`](crate::DeliverOnce): the receiver is stopping
    /// and begins no work. ConductorOne retries, and reaches another replica.
    Stopping => SERVICE_UNAVAILABLE, "stopping", Retry,
        "nothing: ConductorOne retries, and reaches another replica or the next process";
    /// **400**, by [`DeliverOnce`](crate::DeliverOnce): the layer answers every
    /// delivery through its callback URL, and cannot use the URL of this one. The log
    /// says why.
    NoCallback => BAD_REQUEST, "no_callback", Plain,
        "configure the webhook in ConductorOne to be answered by callback, or do not answer by callback alone here";

    /// **500**, by [`DeliverOnce`](crate::DeliverOnce): the handler panicked, its service
    /// failed, or it was cut off at the
    /// [run limit](crate::DeliverOnceBuilder::run_limit). The log says
    /// which, as an error. ConductorOne retries.
    HandlerFailed => INTERNAL_SERVER_ERROR, "handler_failed", Plain,
        "look at the handler's own log lines in this delivery's span: ConductorOne retries";
    /// **500**, by [`DeliverOnce`](crate::DeliverOnce): ConductorOne cannot use the
    /// handler's response, such as a 200 without the document that the event requires.
    /// The log says why, as an error. ConductorOne retries.
    UnusableResponse => INTERNAL_SERVER_ERROR, "unusable_response", Plain,
        "answer with the document that the event requires: see event::Reply";
    /// **500**, by [`DeliverOnce`](crate::DeliverOnce): this delivery was answered 202,
    /// and then given up. The log says why, as an error.
    DeliveryGivenUp => INTERNAL_SERVER_ERROR, "delivery_given_up", Plain,
        "find the error in the log, fix its cause, and revive the delivery with Ledger::revive or c1 ledger revive";

    /// **500**, by [`DeliverOnce`](crate::DeliverOnce), an extractor or an
    /// [`EventRouter`](crate::EventRouter): the request has no verified webhook in its
    /// extensions. [`VerifyWebhookLayer`] is not installed outside, on this route. The log says so, as an error.
    ///
    /// [`VerifyWebhookLayer`]: crate::VerifyWebhookLayer
    MissingWebhook => INTERNAL_SERVER_ERROR, "missing_webhook", Plain,
        "install VerifyWebhookLayer outside, on this route";
    /// **500**, by an extractor or an [`EventRouter`](crate::EventRouter): the request has no
    /// [`DeliveryRun`](crate::DeliveryRun), and so no
    /// [`DeliveryHandle`](crate::DeliveryHandle), in its extensions. `DeliverOnceLayer` is
    /// not installed outside, on this route. The log says so, as an error.
    MissingDeliveryRun => INTERNAL_SERVER_ERROR, "missing_delivery_run", Plain,
        "install DeliverOnceLayer outside, on this route";
    /// **422**, by an extractor: the webhook is of another event than
    /// this route takes. It was configured for the wrong URL.
    UnexpectedEvent => UNPROCESSABLE_ENTITY, "unexpected_event", Plain,
        "give this event a route, or correct the webhook's URL in ConductorOne";
    /// **422**, by an extractor or an [`EventRouter`](crate::EventRouter): the payload does
    /// not match its event's type, or would take too much memory.
    UnreadablePayload => UNPROCESSABLE_ENTITY, "unreadable_payload", Plain,
        "the payload does not have its event's form: look for a newer version of this crate, or read payload_json";

    /// **500**, by either layer: the function given as `rejection_response` has made a
    /// 2xx, a 3xx or a 410, after which ConductorOne would not retry. The log says so, as an error.
    UnusableRejectionResponse => INTERNAL_SERVER_ERROR, "unusable_rejection_response", Plain,
        "let rejection_response answer with 4xx or 5xx, and not 410";

    /// **500**, by either layer: it has let this request through already. It is
    /// installed twice on this path, or [`recover`] was given a service that has
    /// it inside. The log names the layer, as an error.
    ///
    /// [`recover`]: crate::DeliverOnceLayer#method.recover
    InstalledTwice => INTERNAL_SERVER_ERROR, "installed_twice", Plain,
        "install the layer once on each path, and give recover the service inside it";
}

/// The parts of an answer beside its status.
#[derive(Clone, Copy)]
pub(super) enum Answer {
    Plain,
    Method,
    MediaType,
    Coding,
    Missing,
    Token,
    Retry,
}

impl RejectionKind {
    /// The status of the answer. Never 2xx, 3xx or 410 Gone (after which
    /// ConductorOne would not retry). It is 503 only for a temporary failure of the
    /// receiver, and 500 only if a handler fails or the receiver is put together
    /// wrongly.
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

    /// The body of the answer: problem details (RFC 9457).
    pub(super) fn problem_details(self) -> Bytes {
        static BODIES: LazyLock<HashMap<RejectionKind, Bytes>> = LazyLock::new(|| {
            let kinds = RejectionKind::ALL.iter();
            kinds
                .map(|kind| (*kind, kind.write_problem_details()))
                .collect()
        });

        BODIES.get(&self).cloned().unwrap_or_default()
    }

    fn write_problem_details(self) -> Bytes {
        let status = self.status();
        let title = status.canonical_reason().unwrap_or("Error");
        let (status, code) = (status.as_u16(), self.public_code());
        format!(r#"{{"title":"{title}","status":{status},"code":"{code}"}}"#).into()
    }
}

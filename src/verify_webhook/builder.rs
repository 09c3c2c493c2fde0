//! The configuration of the layer. The builder checks all of it, once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body_util::Full;

use crate::clock::{Clock, SystemClock};
use crate::config_error::ConfigError;
use crate::keys::Fetch;
use crate::observe::{Burst, Observer, Observers};
use crate::rejection::{Rejection, RejectionHooks};
use crate::replay::{MemoryReplayStore, ReplayStore};
use crate::tenant::{Fetching, Tenant, key_sources};
use crate::url::{RedactedUrl, has_unicode_host};
use crate::verify::{
    BodyPolicy, ClaimPolicy, PublicUrl, ReplayGuard, ReplayPolicy, UrlError, Verifier,
};

use super::layer::VerifyWebhookLayer;

const MAX_LEEWAY: Duration = Duration::from_secs(60);

/// Builds a [`VerifyWebhookLayer`]; begun with
/// [`VerifyWebhookLayer::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct VerifyWebhookBuilder {
    public_url: Option<RedactedUrl>,
    tenants: Vec<Tenant>,
    leeway: Duration,
    max_token_lifetime: Duration,
    max_token_bytes: usize,
    max_body_bytes: usize,
    body_timeout: Duration,
    replay_store: Arc<dyn ReplayStore>,
    replay_policy: Option<ReplayPolicy>,
    replay_store_timeout: Duration,
    fetching: Fetching,
    clock: Arc<dyn Clock>,
    hooks: RejectionHooks,
    observers: Observers,
}

impl VerifyWebhookLayer {
    /// A builder with the defaults. Name the [public
    /// URL](VerifyWebhookBuilder::public_url) and at least one
    /// [tenant](VerifyWebhookBuilder::tenant).
    pub fn builder() -> VerifyWebhookBuilder {
        VerifyWebhookBuilder::default()
    }
}

impl Default for VerifyWebhookBuilder {
    fn default() -> Self {
        Self {
            public_url: None,
            tenants: Vec::new(),
            leeway: Duration::from_secs(30),
            max_token_lifetime: Duration::from_secs(600),
            max_token_bytes: 8 * 1024,
            max_body_bytes: 2 * 1024 * 1024,
            body_timeout: Duration::from_secs(10),
            replay_store: Arc::new(MemoryReplayStore::default()),
            replay_policy: Some(ReplayPolicy::Refuse),
            replay_store_timeout: Duration::from_secs(20),
            fetching: Fetching {
                fetch: None,
                http_on_loopback: false,
            },
            clock: Arc::new(SystemClock),
            hooks: RejectionHooks::default(),
            observers: Observers::default(),
        }
    }
}

impl VerifyWebhookBuilder {
    /// The origin under which ConductorOne reaches this receiver, such as
    /// `https://hooks.example.com`, plus the prefix that a proxy strips from
    /// the path, if one does. Required.
    ///
    /// Tokens are bound to it: `htu` must be this URL followed by the path of the
    /// request, and `aud` its host. The layer does not take it from the request, whose
    /// `Host` header the sender chooses. A slash at its end is ignored, and so is the
    /// query string of a request: no token names one, so it is not signed.
    pub fn public_url(mut self, url: impl Into<String>) -> Self {
        self.public_url = Some(RedactedUrl(url.into()));
        self
    }

    /// A tenant whose webhooks are accepted: its domain, such as
    /// `example.conductor.one` or, in the EU, `example.c1eu.ai`; or a [`Tenant`]
    /// with keys from elsewhere. At least one is required; more are allowed. Each of
    /// them can call every path of the public URL: tell them apart by
    /// [`Webhook::tenant`](crate::Webhook::tenant), never by the path.
    pub fn tenant(mut self, tenant: impl Into<Tenant>) -> Self {
        self.tenants.push(tenant.into());
        self
    }

    /// The time that is added to `exp` and subtracted from `nbf`, since clocks differ. 30 s
    /// by default, at most 60 s.
    ///
    /// ConductorOne's `nbf` is a minute
    /// before `iat` already. So with the default, a clock here may be 90 s slow, or two
    /// and a half minutes fast, less the time that the request takes to arrive.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// The longest lifetime (`exp` less `iat`) of a token. 10 minutes by default;
    /// ConductorOne's tokens live for two. An `iat` that lies further in the future
    /// than this and the leeway is rejected.
    pub fn max_token_lifetime(mut self, lifetime: Duration) -> Self {
        self.max_token_lifetime = lifetime;
        self
    }

    /// The longest token that is accepted, in bytes. 8 KiB by default.
    pub fn max_token_bytes(mut self, bytes: usize) -> Self {
        self.max_token_bytes = bytes;
        self
    }

    /// The longest body that is accepted, in bytes. 2 MiB by default.
    pub fn max_body_bytes(mut self, bytes: usize) -> Self {
        self.max_body_bytes = bytes;
        self
    }

    /// How long a body may take to arrive, from its first poll to its end. 10 s by
    /// default.
    pub fn body_timeout(mut self, timeout: Duration) -> Self {
        self.body_timeout = timeout;
        self
    }

    /// Where the ids of used tokens are stored. By default in this process's memory;
    /// replicas that share the traffic should share a store.
    pub fn replay_store(mut self, store: impl ReplayStore) -> Self {
        self.replay_store = Arc::new(store);
        self
    }

    /// How long the replay store may take to answer. 20 s by default; after that, the
    /// request is answered 503.
    ///
    /// A store that cannot be reached can use that time to retry. With a 503 at once,
    /// an outage of minutes would use up ConductorOne's 50 attempts.
    ///
    /// The store may complete the claim after that time. ConductorOne's next attempts
    /// then count as replays while they bring the same token, for at most two
    /// minutes; its attempts go on for longer.
    pub fn replay_store_timeout(mut self, timeout: Duration) -> Self {
        self.replay_store_timeout = timeout;
        self
    }

    /// How to handle a webhook whose token was used before. It is rejected by
    /// default.
    pub fn replay_policy(mut self, policy: ReplayPolicy) -> Self {
        self.replay_policy = Some(policy);
        self
    }

    /// Accepts a token any number of times during its lifetime: anybody who captures a
    /// request can replay it. A warning in the log says so when the layer is built.
    pub fn dangerous_disable_replay_guard(mut self) -> Self {
        self.replay_policy = None;
        self
    }

    /// Allows plain `http://` in the public URL and in JWKS URLs, for loopback
    /// hosts only (`localhost`, `127.0.0.0/8`, `[::1]`): for tests and
    /// development. A warning in the log says so when the layer is built.
    ///
    /// It does not apply to a tenant's own [`key_source`](Tenant::key_source).
    pub fn dangerous_allow_http_on_loopback(mut self) -> Self {
        self.fetching.http_on_loopback = true;
        self
    }

    /// Sets the client that fetches the tenants' keys, in place of the crate's own (feature
    /// `reqwest`), which uses the system's proxy settings and trust store.
    ///
    /// For a reqwest client of your own, such as one that trusts a private CA, see
    /// [`HttpsFetch::with_client`](crate::keys::HttpsFetch::with_client). Without
    /// the feature `reqwest`, keys can be fetched from a URL only with this.
    ///
    /// A tenant's own [`key_source`](Tenant::key_source) does not use it.
    pub fn fetch(mut self, fetch: impl Fetch) -> Self {
        self.fetching.fetch = Some(Arc::new(fetch));
        self
    }

    /// The clock that a token's times are compared with: the system's by default.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Sets an [`Observer`], for metrics of your own. A second call replaces the first.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observers.set(observer);
        self
    }

    /// Calls `observe` for every rejection by this layer, before it is answered: to count
    /// rejections, or to raise an alarm. It must not block. It does not see those of
    /// `DeliverOnceLayer`, extractors or an `EventRouter`, as [`Observer::attempt`] does. A
    /// second call replaces the first.
    ///
    /// Anybody can provoke rejections: only one with a
    /// [tenant](Rejection::tenant) was signed by that tenant.
    pub fn on_rejection(mut self, observe: impl Fn(&Rejection) + Send + Sync + 'static) -> Self {
        self.hooks.on_rejection(observe);
        self
    }

    /// Makes the answers to rejections by this layer, in place of
    /// [`Rejection::response`]: for an error format of your own. A second call replaces the
    /// first. Start from the
    /// rejection's [status](Rejection::status) and
    /// [`retry_after`](Rejection::retry_after).
    ///
    /// The status must be 4xx or 5xx, and not 410. ConductorOne would take a 2xx for
    /// a success and a 410 for the end of the delivery, and follows no redirect:
    /// such an answer is replaced by a 500, and logged as an error.
    ///
    /// ```
    /// use http::Response;
    /// use http_body_util::Full;
    /// use tower_conductorone::VerifyWebhookLayer;
    ///
    /// let builder = VerifyWebhookLayer::builder().rejection_response(|rejection| {
    ///     let code = rejection.kind().public_code(); // the fine code would help a forger
    ///     let mut response = Response::new(Full::from(format!("error: {code}")));
    ///     *response.status_mut() = rejection.status();
    ///     response
    /// });
    /// # let _ = builder;
    /// ```
    pub fn rejection_response(
        mut self,
        respond: impl Fn(&Rejection) -> Response<Full<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        self.hooks.rejection_response(respond);
        self
    }

    /// Checks the configuration, reads the keys that are in files, and builds the layer. It
    /// makes no network request yet.
    ///
    /// # Errors
    /// [`ConfigError`] names the value that is wrong, and what would be right.
    pub fn build(self) -> Result<VerifyWebhookLayer, ConfigError> {
        let hooks = self.hooks.clone();
        Ok(VerifyWebhookLayer::new(self.verifier()?, hooks))
    }

    #[cfg(feature = "testing")]
    pub(crate) fn has_public_url(&self) -> bool {
        self.public_url.is_some()
    }

    #[cfg(feature = "testing")]
    pub(crate) fn has_tenant(&self) -> bool {
        !self.tenants.is_empty()
    }

    pub(crate) fn verifier(self) -> Result<Verifier, ConfigError> {
        let public_url = self.public_url.as_ref().ok_or_else(|| {
            ConfigError::new("no public URL: name the one that ConductorOne calls, such as https://hooks.example.com")
        })?;
        let public_url = PublicUrl::parse(&public_url.0, self.fetching.http_on_loopback)
            .map_err(|error| public_url_error(public_url, error, self.fetching.http_on_loopback))?;
        if self.leeway > MAX_LEEWAY {
            return Err(ConfigError::new(format!(
                "the leeway {:?} is too long: at most {MAX_LEEWAY:?}; set this machine's clock by NTP instead",
                self.leeway
            )));
        }
        for (name, is_zero) in [
            ("max_token_lifetime", self.max_token_lifetime.is_zero()),
            ("max_token_bytes", self.max_token_bytes == 0),
            ("max_body_bytes", self.max_body_bytes == 0),
            ("body_timeout", self.body_timeout.is_zero()),
            ("replay_store_timeout", self.replay_store_timeout.is_zero()),
        ] {
            if is_zero {
                return Err(ConfigError::new(format!(
                    "{name} is 0 and nothing would pass: leave it out for the default, or set it higher"
                )));
            }
        }
        let http_on_loopback = self.fetching.http_on_loopback;
        let tenants = key_sources(self.tenants, self.fetching)?;
        for (tenant, source) in &tenants {
            self.observers.keys(tenant, &**source, &self.clock);
        }
        if http_on_loopback {
            tracing::warn!(
                "plain http is allowed on loopback hosts: for tests and development only"
            );
        }
        if self.replay_policy.is_none() {
            tracing::warn!(
                "the guard against replays is switched off: a captured webhook can be replayed"
            );
        }
        Ok(Verifier {
            tenants,
            http_on_loopback,
            max_token_bytes: self.max_token_bytes,
            claims: ClaimPolicy {
                public_url,
                leeway: self.leeway,
                max_lifetime: self.max_token_lifetime,
            },
            body: BodyPolicy {
                max_bytes: self.max_body_bytes,
                timeout: self.body_timeout,
            },
            unsigned: Burst::default(),
            replay: self.replay_policy.map(|policy| ReplayGuard {
                store: self.observers.replay_store(self.replay_store),
                policy,
                timeout: self.replay_store_timeout,
            }),
            clock: self.clock,
            observers: self.observers,
        })
    }
}

fn public_url_error(url: &RedactedUrl, error: UrlError, http_on_loopback: bool) -> ConfigError {
    let remedy = match error {
        UrlError::PlainHttp if http_on_loopback => "use https, http is for loopback hosts only",
        UrlError::PlainHttp => {
            "use https; for tests on a loopback host, dangerous_allow_http_on_loopback allows http"
        }
        UrlError::Authority if has_unicode_host(&url.0) => "write its host in punycode (xn--…)",
        _ => "write it like https://hooks.example.com or https://example.com/prefix",
    };
    // A fragment alone is no secret: it is sent to nobody.
    let RedactedUrl(given) = url;
    let (sent, _) = given.split_once('#').unwrap_or((given, ""));
    let shown = if sent.contains('?') || given.contains('@') {
        format!("{url:?}")
    } else {
        format!("{given:?}")
    };
    ConfigError::new(format!("the public URL {shown} {error}: {remedy}"))
}

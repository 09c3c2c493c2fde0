//! A tenant and the source of its keys.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::config_error::ConfigError;
use crate::domain::check_domain;
#[cfg(feature = "reqwest")]
use crate::keys::HttpsFetch;
use crate::keys::{Fetch, FetchError, JwksCache, KeySet, KeySource, StaticKeys};
use crate::url::RedactedUrl;
use crate::verify::Tenants;

/// How often a JWKS file is read again.
const FILE_INTERVAL: Duration = Duration::from_secs(60);

/// A ConductorOne tenant: its domain and the source of its public keys.
///
/// By default, its keys are fetched from `https://<domain>/auth/v1/jwks`, which
/// needs the feature `reqwest` (on by default) or a
/// [`fetch`](crate::VerifyWebhookBuilder::fetch) of yours.
///
/// ```
/// use tower_conductorone::Tenant;
///
/// let usual = Tenant::new("example.conductor.one");
/// let offline = Tenant::new("example.conductor.one").jwks_file("/etc/c1/jwks.json");
/// # let _ = (usual, offline);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Tenant {
    domain: RedactedUrl,
    keys: Keys,
}

#[derive(Clone)]
enum Keys {
    WellKnown,
    Url(RedactedUrl),
    File(PathBuf),
    Source(Arc<dyn KeySource>),
}

impl Tenant {
    /// Creates a tenant from its domain: a bare host name, as in the token's `iss`, such as
    /// `example.conductor.one` or `example.c1eu.ai`. Any suffix is allowed; `iss` must
    /// equal the whole domain.
    pub fn new(domain: impl Into<String>) -> Self {
        Self {
            domain: RedactedUrl(domain.into()),
            keys: Keys::WellKnown,
        }
    }

    /// Fetches the keys from this URL instead: https, or http on a loopback host if
    /// [`dangerous_allow_http_on_loopback`](crate::VerifyWebhookBuilder::dangerous_allow_http_on_loopback)
    /// allows it.
    pub fn jwks_url(mut self, url: impl Into<String>) -> Self {
        self.keys = Keys::Url(RedactedUrl(url.into()));
        self
    }

    /// Reads the keys from a JWKS file when the layer is built, which fails if the file
    /// cannot be used, and again every 48 s.
    pub fn jwks_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.keys = Keys::File(path.into());
        self
    }

    /// Uses only these keys, which never change.
    pub fn static_keys(self, keys: KeySet) -> Self {
        self.key_source(StaticKeys::new(keys))
    }

    /// Gets the keys from your own source, such as a [`JwksCache`] with other settings.
    ///
    /// The layer's settings [`fetch`](crate::VerifyWebhookBuilder::fetch) and
    /// [`dangerous_allow_http_on_loopback`](crate::VerifyWebhookBuilder::dangerous_allow_http_on_loopback)
    /// do not apply to it: a cache has its own [`Fetch`](crate::keys::Fetch), and its
    /// builder its own switch for plain http.
    pub fn key_source(mut self, source: impl KeySource) -> Self {
        self.keys = Keys::Source(Arc::new(source));
        self
    }
}

impl<T: Into<String>> From<T> for Tenant {
    fn from(domain: T) -> Self {
        Self::new(domain)
    }
}

/// Validates the configured tenants and creates their key sources.
pub(crate) fn key_sources(
    configured: Vec<Tenant>,
    mut fetching: Fetching,
) -> Result<Tenants, ConfigError> {
    if configured.is_empty() {
        return Err(ConfigError::new(
            "no tenant is configured: name the one whose webhooks to accept, such as example.conductor.one",
        ));
    }
    let mut tenants = Tenants::new();
    for Tenant { domain, keys } in configured {
        check_domain("the tenant", &domain)?;
        let RedactedUrl(domain) = domain;
        let source = keys.source(&domain, &mut fetching).map_err(|error| {
            let message = format!("the key source of the tenant {domain:?} cannot be created");
            ConfigError::because(message, error)
        })?;
        if tenants.insert(domain.as_str().into(), source).is_some() {
            return Err(ConfigError::new(format!(
                "the tenant {domain:?} is named twice: name it once"
            )));
        }
    }
    Ok(tenants)
}

impl Keys {
    fn source(
        self,
        domain: &str,
        fetching: &mut Fetching,
    ) -> Result<Arc<dyn KeySource>, Box<dyn Error + Send + Sync>> {
        match self {
            Self::Source(source) => Ok(source),
            Self::WellKnown => fetching.cache(&format!("https://{domain}/auth/v1/jwks")),
            Self::Url(RedactedUrl(url)) => fetching.cache(&url),
            Self::File(path) => Ok(Arc::new(JwksCache::file(path, FILE_INTERVAL)?)),
        }
    }
}

/// How keys are fetched, for all tenants alike.
#[derive(Clone, Debug)]
pub(crate) struct Fetching {
    pub(crate) fetch: Option<Arc<dyn Fetch>>,
    pub(crate) http_on_loopback: bool,
}

impl Fetching {
    fn cache(&mut self, url: &str) -> Result<Arc<dyn KeySource>, Box<dyn Error + Send + Sync>> {
        let fetch = match &self.fetch {
            Some(fetch) => fetch,
            None => self.fetch.insert(default_fetch(url)?),
        };
        let mut cache = JwksCache::builder(url);
        if self.http_on_loopback {
            cache = cache.dangerous_allow_http_on_loopback();
        }
        Ok(Arc::new(cache.build(Arc::clone(fetch))?))
    }
}

#[cfg(feature = "reqwest")]
fn default_fetch(_: &str) -> Result<Arc<dyn Fetch>, FetchError> {
    Ok(Arc::new(HttpsFetch::new()?))
}

#[cfg(not(feature = "reqwest"))]
fn default_fetch(url: &str) -> Result<Arc<dyn Fetch>, FetchError> {
    let url = RedactedUrl(url.to_owned());
    Err(FetchError::new(format_args!(
        "fetching {url:?} needs the feature `reqwest`; enable it, call `fetch`, or give the \
         tenant static keys, a JWKS file or a key source"
    )))
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WellKnown => f.write_str("WellKnown"),
            Self::Url(url) => f.debug_tuple("Url").field(url).finish(),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Source(source) => source.fmt(f),
        }
    }
}

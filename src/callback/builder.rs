//! The settings of a client, checked once.

use std::sync::Arc;
use std::time::Duration;

use super::CallbackClient;
#[cfg(feature = "reqwest")]
use super::https::HttpsPost;
use super::origins::Origins;
use super::post::Post;
use crate::clock::{Clock, SystemClock};
use crate::config_error::ConfigError;
use crate::url::RedactedUrl;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Builds a [`CallbackClient`]. See [`CallbackClient::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct CallbackClientBuilder {
    origins: Vec<(RedactedUrl, RedactedUrl)>,
    http_on_loopback: bool,
    deadline: Duration,
    attempt_timeout: Duration,
    post: Option<Arc<dyn Post>>,
    clock: Arc<dyn Clock>,
}

impl CallbackClientBuilder {
    pub(super) fn new() -> Self {
        Self {
            origins: Vec::new(),
            http_on_loopback: false,
            deadline: 8 * DAY,
            attempt_timeout: 10 * SECOND,
            post: None,
            clock: Arc::new(SystemClock),
        }
    }

    /// Allows the tenant's callback URLs to lead to this origin, such as
    /// `https://callbacks.example.com`, instead of the tenant's own domain. A tenant
    /// may have several origins. Name the tenant as for the
    /// [layer](crate::Tenant::new): its domain in lower case.
    ///
    /// ```no_run
    /// use tower_conductorone::callback::CallbackClient;
    ///
    /// let client = CallbackClient::builder()
    ///     .origin("example.conductor.one", "https://callbacks.example.com")
    ///     .build()?;
    /// # Ok::<(), tower_conductorone::ConfigError>(())
    /// ```
    pub fn origin(mut self, tenant: impl Into<String>, origin: impl Into<String>) -> Self {
        self.origins
            .push((RedactedUrl(tenant.into()), RedactedUrl(origin.into())));
        self
    }

    /// Allows plain `http://` in [origins](Self::origin), for loopback hosts
    /// only (`localhost`, `127.0.0.0/8`, `[::1]`): for tests and development.
    pub fn dangerous_allow_http_on_loopback(mut self) -> Self {
        self.http_on_loopback = true;
        self
    }

    /// Sets how long after the webhook was [fired](super::Callback::fired_at) the
    /// document is still posted: the webhook's callback time-out in ConductorOne.
    /// From 1 to 30 days; default: 8 days, as in ConductorOne. A ledger's
    /// [`Retention`](crate::ledger::Retention) needs at least the same time for callbacks.
    pub fn deadline(mut self, after: Duration) -> Self {
        self.deadline = after;
        self
    }

    /// Sets how long one attempt may take, including the connection. From 1 to 30 s;
    /// default: 10 s.
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = timeout;
        self
    }

    /// Posts documents with this [`Post`]. The default is
    #[cfg_attr(feature = "reqwest", doc = " [`HttpsPost`](super::HttpsPost)")]
    #[cfg_attr(not(feature = "reqwest"), doc = " `HttpsPost`")]
    /// with the feature `reqwest`; without it a `Post` must be given. An `Arc` of
    /// one can be shared.
    pub fn post(mut self, post: impl Post) -> Self {
        self.post = Some(Arc::new(post));
        self
    }

    /// Sets the clock that tells how long ago a webhook was fired. Default: the
    /// system's. The pauses between attempts are measured on tokio's clock.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Checks the settings and builds the client. Opens no connection.
    ///
    /// # Errors
    /// [`ConfigError`] names the wrong value, and what is allowed.
    pub fn build(self) -> Result<CallbackClient, ConfigError> {
        for (name, value, allowed, range) in [
            ("deadline", self.deadline, DAY..=30 * DAY, "1 to 30 days"),
            (
                "attempt_timeout",
                self.attempt_timeout,
                SECOND..=30 * SECOND,
                "1 to 30 s",
            ),
        ] {
            if !allowed.contains(&value) {
                return Err(ConfigError::new(format!(
                    "the callback client's {name} is {value:?}: set it to {range}"
                )));
            }
        }
        let mut origins = Origins::default();
        for (tenant, origin) in self.origins {
            origins.add(tenant, &origin, self.http_on_loopback)?;
        }
        let post = match self.post {
            Some(post) => post,
            None => default_post()?,
        };
        Ok(CallbackClient::new(Settings {
            origins,
            deadline: self.deadline,
            attempt_timeout: self.attempt_timeout,
            post,
            clock: self.clock,
        }))
    }
}

#[cfg(feature = "reqwest")]
fn default_post() -> Result<Arc<dyn Post>, ConfigError> {
    let post = HttpsPost::new().map_err(|error| {
        ConfigError::because("no HTTPS client can be set up for callbacks", error)
    })?;
    Ok(Arc::new(post))
}

#[cfg(not(feature = "reqwest"))]
fn default_post() -> Result<Arc<dyn Post>, ConfigError> {
    Err(ConfigError::new(
        "the callback client cannot post without a client: call `post`, or enable the feature \
         `reqwest`, which posts over HTTPS",
    ))
}

/// The settings of a client.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) origins: Origins,
    pub(super) deadline: Duration,
    pub(super) attempt_timeout: Duration,
    pub(super) post: Arc<dyn Post>,
    pub(super) clock: Arc<dyn Clock>,
}

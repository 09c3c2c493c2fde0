//! Configures a cache, and checks the settings.

use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;

use super::worker::MIN_LIFETIME;
use super::{Config, JwksCache};
use crate::keys::fetch::{Fetch, FetchError, FileFetch};
use crate::keys::{KeySet, KeySetError};
use crate::url::{RedactedUrl, has_unicode_host, is_loopback};

/// Builds a [`JwksCache`]; see [`JwksCache::builder`].
///
/// Some limits are fixed. A set has at most 64 keys. Unknown key IDs cause at most
/// 2 fetches in 10 seconds: enough to find a new key soon, too few for forged
/// tokens to overload the server. The pauses after failures are shorter than the
/// time for which ConductorOne retries. The [`Fetch`] limits the time for connecting.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct JwksCacheBuilder {
    url: RedactedUrl,
    http_on_loopback: bool,
    fresh_for: Duration,
    max_lifetime: Duration,
    keep_on_failure: Duration,
    timeout: Duration,
    max_bytes: usize,
}

/// Why a [`JwksCache`] cannot be built.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JwksCacheError {
    /// The URL of the key set is not acceptable.
    #[error("JWKS URL {url}: {remedy}")]
    #[non_exhaustive]
    Url {
        /// The URL, without user information and query.
        url: String,
        /// How to correct it.
        remedy: &'static str,
    },
    /// The file cannot be read.
    #[error("the JWKS file {} cannot be read", .path.display())]
    #[non_exhaustive]
    UnreadableFile {
        /// The path of the file.
        path: PathBuf,
        /// Why it cannot be read.
        source: FetchError,
    },
    /// The file has no usable keys.
    #[error("the JWKS file {} has no usable keys", .path.display())]
    #[non_exhaustive]
    FileWithoutKeys {
        /// The path of the file.
        path: PathBuf,
        /// What is wrong with its content.
        source: KeySetError,
    },
    /// A setting is out of its range.
    #[error("{setting} is {value}; set it to {range}")]
    #[non_exhaustive]
    Setting {
        /// The method that sets it.
        setting: &'static str,
        /// Its value.
        value: String,
        /// The values that it may have.
        range: &'static str,
    },
}

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl JwksCacheBuilder {
    pub(super) fn new(url: String) -> Self {
        Self {
            url: RedactedUrl(url),
            http_on_loopback: false,
            fresh_for: Duration::from_secs(5 * 60),
            max_lifetime: Duration::from_secs(60 * 60),
            keep_on_failure: Duration::from_secs(60 * 60),
            timeout: Duration::from_secs(5),
            max_bytes: 256 * 1024,
        }
    }

    /// How long fetched keys stay fresh if the server sends neither
    /// `Cache-Control: max-age` nor `Expires`. From 1 second to 1 day; 5 minutes by
    /// default.
    pub fn fresh_for(mut self, time: Duration) -> Self {
        self.fresh_for = time;
        self
    }

    /// The longest time for which the server can declare its keys fresh. While
    /// fetching works, a key that the server has removed is accepted for at most
    /// this time, or for [`fresh_for`](Self::fresh_for) if the server declares none. From
    /// 30 seconds to 1 day; 1 hour by default.
    ///
    /// The shortest time is fixed at 30 seconds, to limit the requests to a server
    /// that forbids caching.
    pub fn max_lifetime(mut self, time: Duration) -> Self {
        self.max_lifetime = time;
        self
    }

    /// How long after the last successful fetch the keys are used while fetching
    /// fails. From 1 second to 1 day; 1 hour by default.
    pub fn keep_on_failure(mut self, time: Duration) -> Self {
        self.keep_on_failure = time;
        self
    }

    /// The time limit of a fetch, connecting included. From 1 millisecond to 20
    /// seconds; 5 seconds by default.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = time;
        self
    }

    /// The size limit of the document, in bytes. From 1 byte to 16 MiB; 256 KiB by
    /// default.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Allows an `http` URL if its host is `localhost`, in 127.0.0.0/8, or
    /// `[::1]`: for tests, and for a sidecar that serves the keys.
    ///
    /// This is dangerous: a process that listens on that port decides which tokens
    /// are genuine.
    pub fn dangerous_allow_http_on_loopback(mut self) -> Self {
        self.http_on_loopback = true;
        self
    }

    /// Builds a cache that fetches through `fetch`. It does not fetch yet.
    ///
    /// # Errors
    /// [`JwksCacheError`] if the URL or a setting is not acceptable.
    pub fn build(self, fetch: impl Fetch) -> Result<JwksCache, JwksCacheError> {
        let uri = self.check_url()?;
        self.check_settings()?;
        Ok(self.assemble(self.url.to_string(), uri, Box::new(fetch)))
    }

    pub(super) fn build_file(self, path: PathBuf) -> Result<JwksCache, JwksCacheError> {
        self.check_settings()?;
        let file = FileFetch::new(path.clone());
        let document = match file.read(self.max_bytes) {
            Ok(document) => document,
            Err(source) => return Err(JwksCacheError::UnreadableFile { path, source }),
        };
        let keys = match KeySet::from_json(&document) {
            Ok(keys) => keys,
            Err(source) => return Err(JwksCacheError::FileWithoutKeys { path, source }),
        };
        let name = path.display().to_string();
        let cache = self.assemble(name, Uri::default(), Box::new(file));
        cache.inner.shared.install(keys);
        // Without a runtime, the first request starts the task.
        let _ = cache.inner.progress();
        Ok(cache)
    }

    fn assemble(&self, name: String, uri: Uri, fetch: Box<dyn Fetch>) -> JwksCache {
        JwksCache::with_config(Config {
            name,
            uri,
            fetch,
            fresh_for: self.fresh_for,
            max_lifetime: self.max_lifetime,
            keep_on_failure: self.keep_on_failure,
            timeout: self.timeout,
            max_bytes: self.max_bytes,
        })
    }

    fn check_url(&self) -> Result<Uri, JwksCacheError> {
        let refuse = |remedy| JwksCacheError::Url {
            url: self.url.to_string(),
            remedy,
        };
        let RedactedUrl(url) = &self.url;
        // `Uri` drops a fragment silently.
        if url.contains('#') {
            return Err(refuse("remove the fragment (\"#…\")"));
        }
        if has_unicode_host(url) {
            return Err(refuse("write the host in punycode (xn--…)"));
        }
        let uri: Uri = url.parse().map_err(|_| {
            refuse("use an absolute URL like https://example.conductor.one/auth/v1/jwks")
        })?;
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(refuse("use an absolute URL that begins with https://"));
        };
        if authority.as_str().contains('@') {
            return Err(refuse("remove the user name and password"));
        }
        let host = authority.host();
        if host.is_empty() {
            return Err(refuse("name a host"));
        }
        // A port that is not a number up to 65535 has no `port_u16`.
        if authority.as_str().len() != host.len()
            && authority.port_u16().is_none_or(|port| port == 0)
        {
            return Err(refuse("use a port from 1 to 65535, or none"));
        }
        if *scheme == Scheme::HTTPS {
            return Ok(uri);
        }
        if *scheme != Scheme::HTTP || !is_loopback(host) {
            return Err(refuse(
                "use https (http is allowed for loopback hosts only)",
            ));
        }
        if !self.http_on_loopback {
            return Err(refuse(
                "use https, or call dangerous_allow_http_on_loopback()",
            ));
        }
        Ok(uri)
    }

    fn check_settings(&self) -> Result<(), JwksCacheError> {
        let times = [
            (
                "fresh_for",
                self.fresh_for,
                SECOND..=DAY,
                "a time from 1 second to 1 day",
            ),
            (
                "max_lifetime",
                self.max_lifetime,
                MIN_LIFETIME..=DAY,
                "a time from 30 seconds to 1 day",
            ),
            (
                "keep_on_failure",
                self.keep_on_failure,
                SECOND..=DAY,
                "a time from 1 second to 1 day",
            ),
            (
                "timeout",
                self.timeout,
                Duration::from_millis(1)..=Duration::from_secs(20),
                "a time from 1 millisecond to 20 seconds",
            ),
        ];
        for (setting, value, allowed, range) in times {
            if !allowed.contains(&value) {
                return Err(JwksCacheError::Setting {
                    setting,
                    value: format!("{value:?}"),
                    range,
                });
            }
        }
        if !(1..=16 * 1024 * 1024).contains(&self.max_bytes) {
            return Err(JwksCacheError::Setting {
                setting: "max_bytes",
                value: self.max_bytes.to_string(),
                range: "a size from 1 byte to 16 MiB (16777216)",
            });
        }
        Ok(())
    }
}

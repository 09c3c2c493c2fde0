//! The HTTP clients that the crate makes for itself.

use std::error::Error;
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use reqwest::Client;

use crate::url::is_loopback;

/// A client for https, and one for plain http with loopback hosts.
///
/// Certificates are checked against the operating system's trust store, the
/// system's proxies are used (never for loopback hosts), redirects are not
/// followed, and nothing is tried a second time.
#[derive(Clone, Debug)]
pub(crate) struct HttpClients {
    /// The error is that of a machine without CA certificates.
    https: Result<Client, String>,
    loopback: Client,
}

impl HttpClients {
    pub(crate) fn new(connect_timeout: Duration) -> Result<Self, String> {
        let https = builder(connect_timeout).build().map_err(|error| {
            format!(
                "TLS cannot be set up: {}; are the system's CA certificates installed \
                 (often a package named ca-certificates, or SSL_CERT_FILE)?",
                causes(&error)
            )
        });
        // Without trust in anyone, which plain HTTP does not need: so it works
        // on a machine that has no CA certificates.
        let loopback = builder(connect_timeout)
            .no_proxy()
            .tls_certs_only([])
            .build()
            .map_err(|error| causes(&error))?;
        Ok(Self { https, loopback })
    }

    /// The same client for everything.
    #[cfg(feature = "reqwest")]
    pub(crate) fn of(client: Client) -> Self {
        Self {
            https: Ok(client.clone()),
            loopback: client,
        }
    }

    pub(crate) fn for_uri(&self, uri: &Uri) -> Result<&Client, &str> {
        match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => self.https.as_ref().map_err(String::as_str),
            Some(scheme) if *scheme == Scheme::HTTP && uri.host().is_some_and(is_loopback) => {
                Ok(&self.loopback)
            }
            _ => Err("the URL is neither https nor, for a loopback host, http"),
        }
    }
}

fn builder(connect_timeout: Duration) -> reqwest::ClientBuilder {
    Client::builder()
        .tls_backend_rustls()
        .connect_timeout(connect_timeout)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        // Requests are far apart: a connection kept that long is likely to be
        // dead, and would belong to a runtime that may be gone.
        .pool_max_idle_per_host(0)
        .user_agent(concat!("tower-conductorone/", env!("CARGO_PKG_VERSION")))
}

/// The error and what caused it: reqwest's own message names only the outermost.
pub(crate) fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

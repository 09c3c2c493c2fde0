//! The HTTP clients of `HttpsFetch` and `HttpsPost`.

use std::env;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Client;

use crate::error_chain::error_chain;
use crate::url::{RedactedUrl, is_loopback};

/// A client for https, and one for plain http with loopback hosts.
///
/// They check certificates against the operating system's trust store, use the
/// system's proxies (never for loopback hosts), follow no redirects and retry
/// nothing.
#[derive(Clone)]
pub(crate) struct HttpClients {
    /// The error of a machine without CA certificates.
    https: Result<Client, String>,
    loopback: Client,
    /// `None` for the user's own client.
    proxy: Option<Arc<Proxy>>,
}

/// The proxy that the environment sets.
struct Proxy {
    /// The proxies that the client uses.
    understood: Matcher,
    /// The hosts for which the environment sets a proxy.
    wanted: Matcher,
    unusable: String,
}

impl HttpClients {
    pub(crate) fn new(connect_timeout: Duration) -> Result<Self, String> {
        let https = builder(connect_timeout).build().map_err(|error| {
            format!(
                "TLS cannot be set up: {}; are the system's CA certificates installed \
                 (often a package named ca-certificates, or SSL_CERT_FILE)?",
                reason(&error)
            )
        });
        // Plain HTTP needs no trust store: so this works on a machine without CA
        // certificates.
        let loopback = builder(connect_timeout)
            .no_proxy()
            .tls_certs_only([])
            .build()
            .map_err(|error| reason(&error))?;
        let proxy = Proxy::of_environment().map(Arc::new);
        Ok(Self {
            https,
            loopback,
            proxy,
        })
    }

    /// Uses this client for all URLs.
    pub(crate) fn of(client: Client) -> Self {
        Self {
            https: Ok(client.clone()),
            loopback: client,
            proxy: None,
        }
    }

    pub(crate) fn for_uri(&self, uri: &Uri) -> Result<&Client, &str> {
        match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => {
                if let Some(proxy) = &self.proxy {
                    proxy.check(uri)?;
                }
                self.https.as_ref().map_err(String::as_str)
            }
            Some(scheme) if *scheme == Scheme::HTTP && uri.host().is_some_and(is_loopback) => {
                Ok(&self.loopback)
            }
            _ => Err("the URL is neither https nor, for a loopback host, http"),
        }
    }
}

/// Does not show the clients, whose headers may be secrets.
impl fmt::Debug for HttpClients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClients").finish_non_exhaustive()
    }
}

impl Proxy {
    /// Reads the variables that the client reads, in the same order.
    fn of_environment() -> Option<Self> {
        // In a CGI program the caller's headers set them, so the client ignores them.
        if env::var_os("REQUEST_METHOD").is_some() {
            return None;
        }
        let first = |names: [&'static str; 2]| {
            let mut set = names
                .into_iter()
                .filter_map(|name| Some((name, env::var(name).ok()?)));
            set.next().filter(|(_, value)| !value.is_empty())
        };
        let (name, value) =
            first(["HTTPS_PROXY", "https_proxy"]).or_else(|| first(["ALL_PROXY", "all_proxy"]))?;
        let except = first(["NO_PROXY", "no_proxy"]).map(|(_, except)| except);
        Some(Self {
            understood: Matcher::from_system(),
            wanted: Matcher::builder()
                .https("http://any.invalid")
                .no(except.unwrap_or_default())
                .build(),
            unusable: format!(
                "{name} is {:?}, which the HTTP client cannot use: set a URL that begins with \
                 http://, https:// or, with reqwest's feature `socks`, socks5h://",
                RedactedUrl(value)
            ),
        })
    }

    /// The client ignores a proxy setting that it cannot read, and connects directly:
    /// where a proxy is set, that is an error.
    fn check(&self, uri: &Uri) -> Result<(), &str> {
        if self.wanted.intercept(uri).is_some() && self.understood.intercept(uri).is_none() {
            Err(&self.unusable)
        } else {
            Ok(())
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
        // Requests are rare: an idle connection is likely to be dead, and may belong
        // to a runtime that has ended.
        .pool_max_idle_per_host(0)
        .user_agent(concat!("tower-conductorone/", env!("CARGO_PKG_VERSION")))
}

/// The error and its sources, with a remedy where the client's text has none.
pub(crate) fn reason(error: &reqwest::Error) -> String {
    let mut text = error_chain(error);
    if text.contains("unsupported scheme socks") {
        text.push_str(": such a proxy needs reqwest's feature `socks`");
    }
    text
}

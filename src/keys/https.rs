//! Fetching key sets over HTTPS, with reqwest.

use std::error::Error;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::uri::Scheme;
use http::{Request, Response};

use super::fetch::{Fetch, FetchError, is_loopback};
use crate::BoxFuture;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Fetches over HTTPS with reqwest and rustls: the default [`Fetch`].
///
/// Certificates are checked against the operating system's trust store, the
/// system's proxy settings (`HTTPS_PROXY`, `NO_PROXY`, …) are honoured,
/// redirects are not followed, no cookies are kept, and no connection is kept
/// open between the rare fetches. Connecting may take 2 seconds.
///
/// Plain HTTP is spoken with loopback hosts only, and never through a proxy.
#[derive(Clone, Debug)]
pub struct HttpsFetch {
    https: Result<reqwest::Client, FetchError>,
    loopback: reqwest::Client,
}

impl HttpsFetch {
    /// A fetcher with a client of its own.
    ///
    /// On a machine without CA certificates this succeeds, and fetching from an
    /// `https` URL then fails with an error that says so.
    ///
    /// # Errors
    /// [`FetchError`] if no HTTP client can be set up at all.
    pub fn new() -> Result<Self, FetchError> {
        let https = client().build().map_err(|error| {
            FetchError::new(format_args!(
                "TLS cannot be set up: {}; are the system's CA certificates installed \
                 (often a package named ca-certificates, or SSL_CERT_FILE)?",
                causes(&error)
            ))
        });
        // Without trust in anyone, which plain HTTP does not need: so it works
        // on a machine that has no CA certificates.
        let loopback = client()
            .no_proxy()
            .tls_certs_only([])
            .build()
            .map_err(|error| FetchError::new(causes(&error)))?;
        Ok(Self { https, loopback })
    }

    /// A fetcher that uses your own client, for instance one that trusts a
    /// private CA or goes through a proxy.
    ///
    /// The client is used as it is, for `https` and for plain HTTP with loopback
    /// hosts: what is said above of proxies, redirects, cookies, connections and
    /// the time for connecting is then the client's business.
    ///
    /// Build it with [`reqwest::redirect::Policy::none()`]. A client that
    /// follows redirects has asked the other server by the time that this is
    /// noticed; the answer is refused, so its keys never count.
    #[must_use]
    pub fn with_client(client: reqwest::Client) -> Self {
        Self {
            https: Ok(client.clone()),
            loopback: client,
        }
    }

    fn client_for(&self, request: &Request<()>) -> Result<&reqwest::Client, FetchError> {
        let uri = request.uri();
        match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => self.https.as_ref().map_err(Clone::clone),
            Some(scheme) if *scheme == Scheme::HTTP && uri.host().is_some_and(is_loopback) => {
                Ok(&self.loopback)
            }
            _ => Err(FetchError::new(
                "the URL is neither https nor, for a loopback host, http",
            )),
        }
    }
}

fn client() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .tls_backend_rustls()
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        // Fetches are minutes apart: a connection kept that long is likely to be
        // dead, and would belong to a runtime that may be gone.
        .pool_max_idle_per_host(0)
        .user_agent(concat!("tower-conductorone/", env!("CARGO_PKG_VERSION")))
}

impl Fetch for HttpsFetch {
    fn fetch(
        &self,
        request: Request<()>,
        max_body: usize,
    ) -> BoxFuture<'_, Result<Response<Bytes>, FetchError>> {
        Box::pin(async move {
            let client = self.client_for(&request)?;
            let request = reqwest::Request::try_from(request.map(|()| reqwest::Body::default()))
                .map_err(failed)?;
            let url = request.url().clone();
            let mut answer = client.execute(request).await.map_err(failed)?;
            if *answer.url() != url {
                return Err(FetchError::new(
                    "the HTTP client followed a redirect; build it with \
                     `redirect(reqwest::redirect::Policy::none())`",
                ));
            }
            if answer
                .content_length()
                .is_some_and(|length| length > max_body as u64)
            {
                return Err(FetchError::too_large(max_body));
            }
            let mut body = BytesMut::new();
            while let Some(chunk) = answer.chunk().await.map_err(failed)? {
                if chunk.len() > max_body - body.len() {
                    return Err(FetchError::too_large(max_body));
                }
                body.extend_from_slice(&chunk);
            }
            let mut response = Response::new(body.freeze());
            *response.status_mut() = answer.status();
            std::mem::swap(response.headers_mut(), answer.headers_mut());
            Ok(response)
        })
    }
}

fn failed(error: reqwest::Error) -> FetchError {
    // The URL is named by whoever reports the error; its query may be private.
    FetchError::new(causes(&error.without_url()))
}

/// The error and what caused it: reqwest's own message names only the outermost.
fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

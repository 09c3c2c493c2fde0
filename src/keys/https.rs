//! Fetches key sets over HTTPS with reqwest.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, Response};

use super::fetch::{Fetch, FetchError};
use crate::future::BoxFuture;
use crate::http_client::{HttpClients, reason};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Fetches over HTTPS with reqwest and rustls: the default [`Fetch`].
///
/// It checks certificates against the operating system's trust store, uses the
/// system's proxy settings (`HTTPS_PROXY`, `NO_PROXY`, …), follows no redirects,
/// stores no cookies, and closes each connection after the fetch. Connecting may
/// take 2 seconds. A proxy that it does not support, such as `socks://…`, is an
/// error; `socks5h://…` needs reqwest's feature `socks`.
///
/// It uses plain HTTP for loopback hosts only, and without a proxy.
#[derive(Clone, Debug)]
pub struct HttpsFetch {
    clients: HttpClients,
}

impl HttpsFetch {
    /// Creates a fetcher with its own HTTP client.
    ///
    /// This succeeds on a machine without CA certificates; fetching an `https` URL
    /// then fails with an error that says so.
    ///
    /// # Errors
    /// [`FetchError`] if no HTTP client can be created.
    pub fn new() -> Result<Self, FetchError> {
        let clients = HttpClients::new(CONNECT_TIMEOUT).map_err(FetchError::new)?;
        Ok(Self { clients })
    }

    /// Creates a fetcher that uses your client, for instance one that trusts a
    /// private CA.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use tower_conductorone::VerifyWebhookLayer;
    /// use tower_conductorone::keys::HttpsFetch;
    ///
    /// let ca = reqwest::Certificate::from_pem(&std::fs::read("/etc/ssl/private-ca.pem")?)?;
    /// let client = reqwest::Client::builder()
    ///     .tls_certs_only([ca])
    ///     .connect_timeout(Duration::from_secs(2))
    ///     .redirect(reqwest::redirect::Policy::none())
    ///     .build()?;
    /// let layer = VerifyWebhookLayer::builder()
    ///     .public_url("https://hooks.example.com")
    ///     .tenant("example.conductor.one")
    ///     .fetch(HttpsFetch::with_client(client))
    ///     .build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// The client is used unchanged, for `https` and for plain HTTP to loopback
    /// hosts: its own settings apply to proxies, cookies, connections and the time
    /// limit for connecting.
    ///
    /// Switch redirects off, as above. If the client follows one, the fetch fails
    /// and the keys are not used, but the request to the other server has been
    /// made.
    #[must_use]
    pub fn with_client(client: reqwest::Client) -> Self {
        Self {
            clients: HttpClients::of(client),
        }
    }
}

impl Fetch for HttpsFetch {
    fn fetch(
        &self,
        request: Request<()>,
        max_body: usize,
    ) -> BoxFuture<'_, Result<Response<Bytes>, FetchError>> {
        Box::pin(async move {
            let client = self.clients.for_uri(request.uri());
            let client = client.map_err(FetchError::new)?;
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
    // Without the URL, whose query may be private; the cache logs the rest of it.
    FetchError::new(reason(&error.without_url()))
}

//! Posting over HTTPS, with reqwest.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};

use super::post::{Post, PostError};
use crate::future::BoxFuture;
use crate::http_client::{HttpClients, reason};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Posts over HTTPS with reqwest and rustls: the default [`Post`].
///
/// It checks certificates against the operating system's trust store, uses the
/// system's proxy settings (`HTTPS_PROXY`, `NO_PROXY`, …), follows no redirects,
/// retries nothing and keeps no connection open. Connecting may take 5 seconds.
/// A proxy setting that it cannot use, such as `socks://…`, is an error, never
/// ignored; `socks5h://` needs reqwest's feature `socks`.
///
/// It speaks plain HTTP with loopback hosts only, and never through a proxy.
#[derive(Clone, Debug)]
pub struct HttpsPost {
    clients: HttpClients,
}

impl HttpsPost {
    /// Posts with a client of its own.
    ///
    /// On a machine without CA certificates this succeeds, and posting to an
    /// `https` URL then fails with an error that says so.
    ///
    /// # Errors
    /// [`PostError`] if no HTTP client can be set up at all.
    pub fn new() -> Result<Self, PostError> {
        let clients = HttpClients::new(CONNECT_TIMEOUT).map_err(PostError::unsent)?;
        Ok(Self { clients })
    }

    /// Posts with your own client, for instance one that trusts a private CA or
    /// uses a proxy of your choice.
    ///
    /// The client is used as it is, for `https` and for plain HTTP with loopback
    /// hosts: proxies, redirects, retries, connections and the time for connecting
    /// are up to the client.
    ///
    /// Build it with [`reqwest::redirect::Policy::none()`][none]: a client that follows
    /// redirects may send the document to another server. The answer to a
    /// redirected request is an error, and never means that the document was
    /// accepted.
    ///
    /// ```no_run
    /// use tower_conductorone::callback::{CallbackClient, HttpsPost};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = reqwest::Client::builder()
    ///     .redirect(reqwest::redirect::Policy::none())
    ///     .build()?;
    /// let callbacks = CallbackClient::builder()
    ///     .post(HttpsPost::with_client(client))
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// [none]: https://docs.rs/reqwest/latest/reqwest/redirect/struct.Policy.html#method.none
    #[must_use]
    pub fn with_client(client: reqwest::Client) -> Self {
        Self {
            clients: HttpClients::of(client),
        }
    }
}

impl Post for HttpsPost {
    fn post(&self, request: Request<Bytes>) -> BoxFuture<'_, Result<Response<()>, PostError>> {
        Box::pin(async move {
            let client = self.clients.for_uri(request.uri());
            let client = client.map_err(PostError::unsent)?;
            let request = reqwest::Request::try_from(request).map_err(failed)?;
            let url = request.url().clone();
            let mut answer = client.execute(request).await.map_err(failed)?;
            if *answer.url() != url {
                return Err(PostError::unknown(
                    "the HTTP client followed a redirect; build it with \
                     `redirect(reqwest::redirect::Policy::none())`",
                ));
            }
            let mut response = Response::new(());
            *response.status_mut() = answer.status();
            std::mem::swap(response.headers_mut(), answer.headers_mut());
            // The body is dropped unread, and the connection with it.
            Ok(response)
        })
    }
}

fn failed(error: reqwest::Error) -> PostError {
    let error = error.without_url();
    let reason = reason(&error);
    if error.is_connect() || error.is_builder() {
        PostError::unsent(reason)
    } else {
        PostError::unknown(reason)
    }
}

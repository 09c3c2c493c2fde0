//! A server under attack, over HTTP/1.1.

use std::convert::Infallible;
use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::iter;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::uri::Scheme;
use http::{Request, Uri};
use http_body::{Body, Frame, SizeHint};
use hyper::client::conn::http1;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tower_service::Service;

use super::receiver::{Outcome, Receiver};
use super::shot::Framing;
use crate::testing::{TestResponse, response};

type BoxError = Box<dyn Error + Send + Sync>;

type Connection = MaybeHttpsStream<TokioIo<TcpStream>>;

pub(super) struct Wire {
    /// Scheme, host and port; the path is ignored.
    server: Uri,
    connector: HttpsConnector<HttpConnector>,
    /// The prefix that a proxy would strip from the path.
    prefix: String,
}

impl Wire {
    /// The server at `url`, for requests to `target`.
    pub(super) async fn to(url: &str, target: &str) -> io::Result<Self> {
        let invalid = |reason| io::Error::new(io::ErrorKind::InvalidInput, reason);
        let uri: Uri = url.parse().map_err(|_| invalid("not a URL"))?;
        let (Some(scheme), Some(_)) = (uri.scheme(), uri.host()) else {
            return Err(invalid("the URL is not absolute"));
        };
        let connector = if *scheme == Scheme::HTTPS {
            HttpsConnectorBuilder::new().with_provider_and_native_roots(default_provider())?
        } else if *scheme == Scheme::HTTP {
            // No roots: plain HTTP needs none, and a machine may have no CA certificates.
            let config = ClientConfig::builder_with_provider(default_provider().into())
                .with_safe_default_protocol_versions()
                .map_err(io::Error::other)?
                .with_root_certificates(RootCertStore::empty())
                .with_no_client_auth();
            HttpsConnectorBuilder::new().with_tls_config(config)
        } else {
            return Err(invalid("the URL is not http or https"));
        };
        let connector = connector.https_or_http().enable_http1().build();
        let target: Uri = target
            .parse()
            .map_err(|_| invalid("the target is not a URL"))?;
        let prefix = target.path().strip_suffix(uri.path()).ok_or_else(|| {
            invalid("the path of the target does not end with the path of the server's URL")
        })?;
        let prefix = prefix.to_owned();
        let wire = Self {
            server: uri,
            connector,
            prefix,
        };
        wire.connect().await.map_err(io_error)?;
        Ok(wire)
    }

    async fn connect(&self) -> Result<Connection, BoxError> {
        let mut connector = self.connector.clone();
        poll_fn(|cx| connector.poll_ready(cx)).await?;
        connector.call(self.server.clone()).await
    }

    async fn exchange(
        &self,
        mut request: Request<Bytes>,
        framing: Framing,
    ) -> Result<TestResponse, BoxError> {
        if let Some(path) = request.uri().to_string().strip_prefix(&self.prefix) {
            *request.uri_mut() = path.parse()?;
        }
        let (mut sender, connection) = http1::handshake(self.connect().await?).await?;
        let mut running = JoinSet::new();
        running.spawn(connection);
        let response = sender
            .send_request(request.map(|data| Framed::new(data, framing)))
            .await?;
        response::collect(response).await
    }
}

/// With the kind of the innermost I/O error.
fn io_error(error: BoxError) -> io::Error {
    let causes = iter::successors(Some(&*error as &dyn Error), |error| (*error).source());
    let kind = causes
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .map(io::Error::kind)
        .last();
    io::Error::new(kind.unwrap_or(io::ErrorKind::Other), error)
}

impl Receiver for Wire {
    fn can_send(&self, _: Framing) -> bool {
        true
    }

    async fn send(&mut self, request: Request<Bytes>, framing: Framing) -> Outcome {
        self.exchange(request, framing).await.into()
    }
}

/// The body of a request, framed as the attack asks.
struct Framed {
    data: Option<Bytes>,
    size: SizeHint,
    framing: Framing,
}

impl Framed {
    fn new(data: Bytes, framing: Framing) -> Self {
        let length = data.len() as u64;
        Self {
            data: Some(data).filter(|data| !data.is_empty()),
            size: match framing {
                Framing::Length => SizeHint::with_exact(length),
                Framing::Chunked => SizeHint::default(),
                Framing::Stalled => SizeHint::with_exact(length + 1),
            },
            framing,
        }
    }
}

impl Body for Framed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.data.take() {
            Some(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
            None if self.framing == Framing::Stalled => Poll::Pending,
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && self.framing != Framing::Stalled
    }

    fn size_hint(&self) -> SizeHint {
        self.size
    }
}

//! A server under attack, over HTTP/1.1.

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::uri::Scheme;
use http::{Request, Uri};
use http_body::{Body, Frame, SizeHint};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::receiver::{Outcome, Receiver};
use super::shot::Framing;
use crate::testing::{Answer, answer};

pub(super) struct Wire {
    /// Host and port.
    address: String,
    /// What a proxy would strip from the paths of requests.
    prefix: String,
}

impl Wire {
    /// The server at `url`, which gets requests that are made for `target`.
    pub(super) async fn to(url: &str, target: &str) -> io::Result<Self> {
        let invalid = |reason| io::Error::new(io::ErrorKind::InvalidInput, reason);
        let uri: Uri = url.parse().map_err(|_| invalid("not a URL"))?;
        let (Some(scheme), Some(host)) = (uri.scheme(), uri.host()) else {
            return Err(invalid("not an absolute URL"));
        };
        if *scheme != Scheme::HTTP {
            return Err(invalid(
                "only http is spoken: aim at the port behind whatever ends TLS",
            ));
        }
        let target: Uri = target.parse().map_err(|_| invalid("no URL is attacked"))?;
        let prefix = target.path().strip_suffix(uri.path()).ok_or_else(|| {
            invalid("the path of the webhook's URL does not end with that of the server's")
        })?;
        let address = format!("{host}:{}", uri.port_u16().unwrap_or(80));
        TcpStream::connect(&address).await?;
        Ok(Self {
            address,
            prefix: prefix.to_owned(),
        })
    }

    async fn exchange(
        &self,
        mut request: Request<Bytes>,
        framing: Framing,
    ) -> Result<Answer, Box<dyn Error + Send + Sync>> {
        if let Some(path) = request.uri().to_string().strip_prefix(&self.prefix) {
            *request.uri_mut() = path.parse()?;
        }
        let stream = TcpStream::connect(&self.address).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut running = JoinSet::new();
        running.spawn(connection);
        let response = sender
            .send_request(request.map(|data| Framed::new(data, framing)))
            .await?;
        answer::collect(response).await
    }
}

impl Receiver for Wire {
    fn can_send(&self, _: Framing) -> bool {
        true
    }

    async fn send(&mut self, request: Request<Bytes>, framing: Framing) -> Outcome {
        self.exchange(request, framing).await.into()
    }
}

/// A request's body, framed as an attack wants it.
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

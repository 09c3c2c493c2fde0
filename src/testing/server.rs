use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};

use super::endpoint::{Endpoint, Reaction};
use super::{FakeTenant, Fault, Validator};

/// The path at which a tenant publishes its keys.
const PATH: &str = "/auth/v1/jwks";

/// Publishes a tenant's keys on a loopback port, over HTTP/1.1.
///
/// Made by [`FakeTenant::serve`]. Dropping it closes the port and every
/// connection. `GET /auth/v1/jwks` returns the current [`FakeTenant::jwks`]; other
/// paths are answered 404, other methods 405.
#[derive(Debug)]
pub struct JwksServer {
    endpoint: Arc<Endpoint>,
    address: SocketAddr,
    accepting: AbortHandle,
}

impl JwksServer {
    pub(super) async fn start(tenant: FakeTenant) -> io::Result<Self> {
        let endpoint = Arc::new(Endpoint::new(tenant));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let accepting = tokio::spawn(accept(listener, endpoint.clone())).abort_handle();
        Ok(Self {
            endpoint,
            address,
            accepting,
        })
    }

    /// The URL of the keys: `http://127.0.0.1:<port>/auth/v1/jwks`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}{PATH}", self.address)
    }

    /// The number of requests for the keys.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.endpoint.requests()
    }

    /// The number of requests answered with 304: see
    /// [`set_validator`](Self::set_validator).
    #[must_use]
    pub fn not_modified(&self) -> usize {
        self.endpoint.not_modified()
    }

    /// The last request for the keys.
    #[must_use]
    pub fn last_request(&self) -> Option<Request<()>> {
        self.endpoint.last_request()
    }

    /// Answers with this response from now on; with `None`, with the keys again.
    pub fn answer_with(&self, answer: Option<Response<Bytes>>) {
        self.endpoint.answer_with(answer);
    }

    /// Sets or removes the keys' `Cache-Control`; by default there is none.
    ///
    /// # Panics
    /// If the text is not valid in a header.
    pub fn cache_control(&self, value: Option<&str>) {
        self.endpoint.cache_control(value);
    }

    /// Sends the keys with this validator and answers 304 while they have not
    /// changed; by default there is none.
    pub fn set_validator(&self, validator: Option<Validator>) {
        self.endpoint.set_validator(validator);
    }

    /// Injects a fault into every answer from now on; `None` ends it.
    ///
    /// # Panics
    /// At the next request, if it is a redirect to a URL that is not valid in a
    /// header.
    pub fn set_fault(&self, fault: Option<Fault>) {
        self.endpoint.set_fault(fault);
    }
}

impl Drop for JwksServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Serves connections; dropping the future closes them.
async fn accept(listener: TcpListener, endpoint: Arc<Endpoint>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let endpoint = endpoint.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let endpoint = endpoint.clone();
            async move { answer(&endpoint, request).await }
        });
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        while connections.try_join_next().is_some() {}
    }
}

/// An error ends the connection.
async fn answer(
    endpoint: &Endpoint,
    request: Request<Incoming>,
) -> io::Result<Response<MaybeBroken>> {
    let status = match (request.uri().path(), request.method()) {
        (PATH, &Method::GET) => {
            return match endpoint.react(request.map(drop)) {
                Reaction::Answer(answer) => Ok(answer.map(MaybeBroken::whole)),
                Reaction::AnswerAfter(wait, answer) => {
                    tokio::time::sleep(wait).await;
                    Ok(answer.map(MaybeBroken::whole))
                }
                Reaction::Reset(answer) => Ok(answer.map(MaybeBroken::broken)),
                Reaction::HangUp => Err(io::ErrorKind::ConnectionAborted.into()),
            };
        }
        (PATH, _) => StatusCode::METHOD_NOT_ALLOWED,
        _ => StatusCode::NOT_FOUND,
    };
    let mut answer = Response::new(MaybeBroken::whole(Bytes::new()));
    *answer.status_mut() = status;
    Ok(answer)
}

/// A body that is complete or breaks off half-way.
struct MaybeBroken {
    length: u64,
    data: Option<Bytes>,
    /// Whether it breaks off after the data sent so far.
    broken: bool,
    flushed: bool,
}

impl MaybeBroken {
    fn new(mut body: Bytes, broken: bool) -> Self {
        let length = body.len();
        if broken {
            body.truncate(length / 2);
        }
        Self {
            length: length as u64,
            data: Some(body).filter(|data| !data.is_empty()),
            broken,
            flushed: false,
        }
    }

    fn whole(body: Bytes) -> Self {
        Self::new(body, false)
    }

    fn broken(body: Bytes) -> Self {
        Self::new(body, true)
    }
}

impl Body for MaybeBroken {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(data) = self.data.take() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if !self.broken {
            return Poll::Ready(None);
        }
        // hyper flushes when the body is pending.
        if !std::mem::replace(&mut self.flushed, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && !self.broken
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length)
    }
}

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};

use super::FakeTenant;
use super::endpoint::Endpoint;

/// The path at which a tenant publishes its keys.
const PATH: &str = "/auth/v1/jwks";

/// Publishes a tenant's keys on a loopback port, over HTTP/1.1.
///
/// Made by [`FakeTenant::serve`]. Dropping it closes the port and every
/// connection. `GET /auth/v1/jwks` gets what [`FakeTenant::jwks`] says at that
/// moment; other paths are 404, other methods 405.
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

    /// Where the keys are: `http://127.0.0.1:<port>/auth/v1/jwks`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}{PATH}", self.address)
    }

    /// How many times the keys were asked for.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.endpoint.requests()
    }

    /// The last request for the keys.
    #[must_use]
    pub fn last_request(&self) -> Option<Request<()>> {
        self.endpoint.last_request()
    }

    /// Answers with this, whatever it is, from now on; with `None`, with the
    /// keys again.
    pub fn answer_with(&self, answer: Option<Response<Bytes>>) {
        self.endpoint.answer_with(answer);
    }

    /// Sends the keys with this `Cache-Control`, or without; at first without.
    ///
    /// # Panics
    /// If the text cannot stand in a header.
    pub fn cache_control(&self, value: Option<&str>) {
        self.endpoint.cache_control(value);
    }
}

impl Drop for JwksServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Serves connections, which end with this future.
async fn accept(listener: TcpListener, endpoint: Arc<Endpoint>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let endpoint = endpoint.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            std::future::ready(Ok::<_, Infallible>(answer(&endpoint, request)))
        });
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        while connections.try_join_next().is_some() {}
    }
}

fn answer(endpoint: &Endpoint, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let status = match (request.uri().path(), request.method()) {
        (PATH, &Method::GET) => return endpoint.answer(request.map(drop)).map(Full::new),
        (PATH, _) => StatusCode::METHOD_NOT_ALLOWED,
        _ => StatusCode::NOT_FOUND,
    };
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};
use tower_service::Service;

use super::callback::CallbackEndpoint;

/// Serves a [`CallbackEndpoint`] on a loopback port, over HTTP/1.1.
///
/// Made by [`CallbackEndpoint::serve`]. Dropping it closes the port and every
/// connection; new callback URLs then lead to the tenant's domain again.
#[derive(Debug)]
pub struct CallbackServer {
    endpoint: CallbackEndpoint,
    address: SocketAddr,
    accepting: AbortHandle,
}

impl CallbackEndpoint {
    /// Serves it on a free loopback port until the server is dropped. Until then,
    /// new callback URLs lead to that port, with the scheme `http`.
    ///
    /// # Errors
    /// If no port is available.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O.
    pub async fn serve(&self) -> io::Result<CallbackServer> {
        CallbackServer::start(self.clone()).await
    }
}

impl CallbackServer {
    pub(super) async fn start(endpoint: CallbackEndpoint) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let accepting = tokio::spawn(accept(listener, endpoint.clone())).abort_handle();
        endpoint.set_origin(Some(format!("http://{address}")));
        Ok(Self {
            endpoint,
            address,
            accepting,
        })
    }

    /// The origin of its callback URLs: `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for CallbackServer {
    fn drop(&mut self) {
        self.endpoint.set_origin(None);
        self.accepting.abort();
    }
}

/// Serves connections; dropping the future closes them.
async fn accept(listener: TcpListener, endpoint: CallbackEndpoint) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let endpoint = endpoint.clone();
        let service =
            service_fn(move |request: http::Request<Incoming>| endpoint.clone().call(request));
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        while connections.try_join_next().is_some() {}
    }
}

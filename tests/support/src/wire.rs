//! Clients on a real connection: hyper's, and one that writes bytes as it
//! likes, for what a polite client would not do.

use std::error::Error;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri};
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

pub type BoxError = Box<dyn Error + Send + Sync>;

/// Fails a test that would hang.
pub async fn within<F: Future>(what: &str, future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(60), future)
        .await
        .unwrap_or_else(|_| panic!("still waiting for {what}"))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Http1,
    /// With prior knowledge: without TLS, nobody asks first.
    Http2,
}

#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON answer")
    }

    /// The `code` of problem details, or `""`.
    pub fn code(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        body["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// Sends on a connection of its own, for as long as ConductorOne would wait.
pub async fn attempt(
    address: SocketAddr,
    request: Request<Full<Bytes>>,
    limit: Duration,
) -> Result<Response<Full<Bytes>>, BoxError> {
    let answer = tokio::time::timeout(limit, async {
        let stream = TcpStream::connect(address).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let (parts, body) = sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        connection.abort();
        Ok::<_, BoxError>(Response::from_parts(parts, Full::new(body)))
    });
    answer.await.map_err(std::io::Error::from)?
}

/// A connection of hyper's client.
pub enum Client {
    Http1(http1::SendRequest<UnsyncBoxBody<Bytes, BoxError>>),
    Http2(http2::SendRequest<UnsyncBoxBody<Bytes, BoxError>>),
}

impl Client {
    pub async fn connect(protocol: Protocol, address: SocketAddr) -> Self {
        match protocol {
            Protocol::Http1 => {
                let stream = TcpStream::connect(address).await.expect("a listener");
                let (sender, connection) = http1::handshake(TokioIo::new(stream))
                    .await
                    .expect("a handshake");
                tokio::spawn(connection);
                Self::Http1(sender)
            }
            Protocol::Http2 => {
                Self::http2(address, &http2::Builder::new(TokioExecutor::new())).await
            }
        }
    }

    pub async fn http2(address: SocketAddr, builder: &http2::Builder<TokioExecutor>) -> Self {
        let stream = TcpStream::connect(address).await.expect("a listener");
        let (sender, connection) = builder
            .handshake(TokioIo::new(stream))
            .await
            .expect("a handshake");
        tokio::spawn(connection);
        Self::Http2(sender)
    }

    /// The answer up to its body.
    pub async fn begin<B>(&mut self, request: Request<B>) -> hyper::Result<Response<Incoming>>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let mut request = request.map(|body| body.map_err(Into::into).boxed_unsync());
        match self {
            Self::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
            Self::Http2(sender) => {
                // What is the Host header in HTTP/1.1 is part of the URI here.
                let host = request.headers_mut().remove(HOST);
                if let Some(host) = host.filter(|_| request.uri().authority().is_none()) {
                    let host = host.to_str().expect("a host");
                    let uri = format!("https://{host}{}", request.uri());
                    *request.uri_mut() = uri.parse::<Uri>().expect("a URI");
                }
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    }

    pub async fn send<B>(&mut self, request: Request<B>) -> Answer
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        within("an answer", async {
            let (parts, body) = self.begin(request).await.expect("an answer").into_parts();
            Answer {
                status: parts.status,
                headers: parts.headers,
                body: body.collect().await.expect("a whole answer").to_bytes(),
            }
        })
        .await
    }
}

/// A body that a test sends bit by bit: it ends when the sender is dropped.
pub struct Streamed {
    frames: mpsc::UnboundedReceiver<Result<Bytes, BoxError>>,
    size: SizeHint,
}

/// With a size, `Content-Length` announces it; without, HTTP/1.1 sends chunks.
pub fn streamed(size: Option<u64>) -> (mpsc::UnboundedSender<Result<Bytes, BoxError>>, Streamed) {
    let (sender, frames) = mpsc::unbounded_channel();
    let size = size.map(SizeHint::with_exact).unwrap_or_default();
    (sender, Streamed { frames, size })
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.frames
            .poll_recv(cx)
            .map(|frame| frame.map(|frame| frame.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        self.size
    }
}

/// The head of an HTTP/1.1 request, with what the test says of the body in
/// `extra` (whole header lines).
pub fn head(request: &Request<Full<Bytes>>, target: &str, extra: &str) -> String {
    let mut head = format!("{} {target} HTTP/1.1\r\n", request.method());
    for (name, value) in request.headers() {
        let value = value.to_str().expect("text");
        let _ = write!(head, "{name}: {value}\r\n");
    }
    head + extra + "\r\n"
}

/// A whole HTTP/1.1 request, with `Content-Length`.
pub async fn http1_bytes(request: Request<Full<Bytes>>) -> Vec<u8> {
    let target = request.uri().to_string();
    let length = format!("content-length: {}\r\n", body_length(&request));
    let mut bytes = head(&request, &target, &length).into_bytes();
    bytes.extend(
        request
            .into_body()
            .collect()
            .await
            .expect("full")
            .to_bytes(),
    );
    bytes
}

pub fn body_length(request: &Request<Full<Bytes>>) -> u64 {
    request.body().size_hint().exact().expect("a full body")
}

/// A connection on which a test writes and reads HTTP/1.1 itself.
pub struct Wire {
    stream: BufReader<TcpStream>,
}

impl Wire {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("a listener");
        Self {
            stream: BufReader::new(stream),
        }
    }

    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream
            .write_all(bytes.as_ref())
            .await
            .expect("an open connection");
    }

    /// The next answer, which may be an interim one (100).
    pub async fn read(&mut self) -> Answer {
        within("an answer", async {
            let status = self.line().await;
            let status = status
                .strip_prefix("HTTP/1.1 ")
                .and_then(|rest| rest.get(..3))
                .unwrap_or_else(|| panic!("no status line: {status:?}"));
            let mut answer = Answer {
                status: status.parse().expect("a status"),
                headers: HeaderMap::new(),
                body: Bytes::new(),
            };
            loop {
                let line = self.line().await;
                let Some((name, value)) = line.split_once(':') else {
                    break;
                };
                answer.headers.append(
                    name.parse::<HeaderName>().expect("a name"),
                    HeaderValue::from_str(value.trim()).expect("a value"),
                );
            }
            if let Some(length) = answer.headers.get(CONTENT_LENGTH) {
                let length = length.to_str().expect("text").parse().expect("a number");
                let mut body = vec![0; length];
                self.stream.read_exact(&mut body).await.expect("a body");
                answer.body = body.into();
            }
            answer
        })
        .await
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).await.expect("a line");
        line.trim_end().to_owned()
    }

    /// What comes until the server closes the connection.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A reset is an end, too.
        let _ = within(
            "the end of the connection",
            self.stream.read_to_end(&mut rest),
        )
        .await;
        rest
    }
}

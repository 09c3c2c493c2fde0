//! The way of a request to the receiver, and of the answer back.

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Either, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tower_service::Service;

use super::body::Kept;
use super::folder::{Folder, raw};
use super::report::{Exchange, Reporter};
use crate::BoxError;
use crate::output::with_causes;

/// As long as ConductorOne waits for the whole attempt.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Longer than that: it is for the caller to give up.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// A request without an answer of the receiver, and the status that says so.
type Failed = (StatusCode, String);

pub(super) struct Proxy {
    to: Uri,
    connector: HttpsConnector<HttpConnector>,
    max_body: usize,
    folder: Arc<Folder>,
    reporter: Reporter,
}

impl Proxy {
    pub(super) fn new(
        to: Uri,
        max_body: usize,
        folder: Folder,
        reporter: Reporter,
    ) -> Result<Self, BoxError> {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(provider)?
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Self {
            to,
            connector,
            max_body,
            folder: Arc::new(folder),
            reporter,
        })
    }

    pub(super) async fn exchange(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Either<Incoming, Full<Bytes>>>, Infallible> {
        let (head, body) = request.into_parts();
        let mut exchange = self.reporter.begin(&head);
        let answered = self.answer(&mut exchange, head, body).await;
        exchange.ended(&answered);
        Ok(match answered {
            Ok(answer) => answer.map(Either::Left),
            Err((status, why)) => {
                let mut answer =
                    Response::new(Either::Right(format!("c1 capture: {why}\n").into()));
                *answer.status_mut() = status;
                let text = HeaderValue::from_static("text/plain; charset=utf-8");
                answer.headers_mut().insert(CONTENT_TYPE, text);
                answer
            }
        })
    }

    async fn answer(
        &self,
        exchange: &mut Exchange<'_>,
        mut head: Parts,
        body: Incoming,
    ) -> Result<Response<Incoming>, Failed> {
        let target = head.uri.path_and_query();
        let target = target.filter(|target| target.as_str().starts_with('/'));
        let target = target.cloned().ok_or((
            StatusCode::BAD_REQUEST,
            "the request is for no path".to_owned(),
        ))?;
        let (data, trailers) = self.read(body).await?;
        let raw = raw(&head, &data, trailers.as_ref());
        let folder = Arc::clone(&self.folder);
        exchange.written(match spawn_blocking(move || folder.write(&raw)).await {
            Ok(Ok(file)) => Ok(file),
            Ok(Err(error)) => Err(error.to_string()),
            Err(error) => Err(error.to_string()),
        });
        head.uri = target.into();
        let is_chunked = head.headers.contains_key(TRANSFER_ENCODING);
        let data = Some(data);
        let body = Kept {
            data,
            trailers,
            is_chunked,
        };
        let failed = |why| {
            (
                StatusCode::BAD_GATEWAY,
                format!("no answer of the receiver: {why}"),
            )
        };
        match timeout(ANSWER_TIMEOUT, self.send(Request::from_parts(head, body))).await {
            Ok(Ok(answer)) if answer.status() == StatusCode::SWITCHING_PROTOCOLS => {
                Err(failed("it changes the protocol".to_owned()))
            }
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(failed(with_causes(&*error))),
            Err(_) => Err((
                StatusCode::GATEWAY_TIMEOUT,
                format!(
                    "no answer of the receiver within {} s",
                    ANSWER_TIMEOUT.as_secs()
                ),
            )),
        }
    }

    /// Sends it on a connection of its own, and never again. Adds no header.
    async fn send(&self, request: Request<Kept>) -> Result<Response<Incoming>, BoxError> {
        let mut connector = self.connector.clone();
        poll_fn(|context| connector.poll_ready(context)).await?;
        let stream = connector.call(self.to.clone()).await?;
        let mut connection = http1::Builder::new();
        connection.preserve_header_case(true);
        let (mut sender, connection) = connection.handshake(stream).await?;
        // It ends with the answer, or when nobody waits for that any more.
        let connection = tokio::spawn(connection);
        tokio::select! {
            biased;
            answer = sender.send_request(request) => Ok(answer?),
            _ = connection => Err("it closes the connection".into()),
        }
    }

    async fn read(&self, body: Incoming) -> Result<(Bytes, Option<HeaderMap>), Failed> {
        match timeout(BODY_TIMEOUT, Limited::new(body, self.max_body).collect()).await {
            Ok(Ok(body)) => {
                let trailers = body.trailers().cloned();
                Ok((body.to_bytes(), trailers))
            }
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err((
                StatusCode::PAYLOAD_TOO_LARGE,
                format!(
                    "the body is larger than {} bytes (--max-body)",
                    self.max_body
                ),
            )),
            Ok(Err(error)) => Err((
                StatusCode::BAD_REQUEST,
                format!("the body cannot be read: {}", with_causes(&*error)),
            )),
            Err(_) => Err((
                StatusCode::REQUEST_TIMEOUT,
                format!("no complete body within {} s", BODY_TIMEOUT.as_secs()),
            )),
        }
    }
}

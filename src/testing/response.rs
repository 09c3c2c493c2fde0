use std::error::Error;
use std::fmt;
use std::future::poll_fn;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use serde::de::DeserializeOwned;
use tower_service::Service;

use super::gzip;
use crate::rejection::Rejection;

/// The response of a service to a [`Delivery`](super::Delivery), with its complete
/// body.
#[derive(Clone)]
pub struct TestResponse {
    response: Response<Bytes>,
}

impl TestResponse {
    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// The headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The whole body.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        self.response.body()
    }

    /// Deserializes the body from JSON, into a `serde_json::Value` or another type.
    ///
    /// # Panics
    /// If the body is not valid JSON for `T`.
    #[must_use]
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        match serde_json::from_slice(self.body()) {
            Ok(value) => value,
            Err(error) => panic!("{error} in the body of {self:?}"),
        }
    }

    /// The layer's rejection, if it refused the delivery.
    #[must_use]
    pub fn rejection(&self) -> Option<&Rejection> {
        self.response.extensions().get()
    }
}

/// Shows everything, the body as text, for failed assertions.
impl fmt::Debug for TestResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestResponse")
            .field("status", &self.status())
            .field("headers", self.headers())
            .field("body", &String::from_utf8_lossy(self.body()))
            .field("rejection", &self.rejection())
            .finish()
    }
}

/// Calls a service once it is ready, and collects its response.
pub(super) async fn call<S, B>(
    service: &mut S,
    request: Request<Full<Bytes>>,
) -> Result<TestResponse, Box<dyn Error + Send + Sync>>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    poll_fn(|cx| service.poll_ready(cx))
        .await
        .map_err(Into::into)?;
    collect(service.call(request).await.map_err(Into::into)?).await
}

/// Collects the body of a response.
pub(super) async fn collect<B>(
    response: Response<B>,
) -> Result<TestResponse, Box<dyn Error + Send + Sync>>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let (mut parts, body) = response.into_parts();
    let body = body.collect().await.map_err(Into::into)?.to_bytes();
    let body = gzip::unpack(&mut parts.headers, body)?;
    let response = Response::from_parts(parts, body);
    Ok(TestResponse { response })
}

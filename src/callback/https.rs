//! Posting with reqwest.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};

use super::post::{Post, PostError};
use crate::future::BoxFuture;
use crate::http_client::{HttpClients, reason};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The default [`Post`].
#[derive(Debug)]
pub(super) struct HttpsPost(HttpClients);

impl HttpsPost {
    pub(super) fn new() -> Result<Self, String> {
        HttpClients::new(CONNECT_TIMEOUT).map(Self)
    }
}

impl Post for HttpsPost {
    fn post(&self, request: Request<Bytes>) -> BoxFuture<'_, Result<Response<()>, PostError>> {
        Box::pin(async move {
            let client = self.0.for_uri(request.uri()).map_err(PostError::unsent)?;
            let request = reqwest::Request::try_from(request).map_err(failed)?;
            let mut answer = client.execute(request).await.map_err(failed)?;
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

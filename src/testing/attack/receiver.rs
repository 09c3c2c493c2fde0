//! The receiver under attack, in process or on a connection.

use std::error::Error;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tower_service::Service;

use super::shot::Framing;
use crate::testing::{TestResponse, response};

pub(super) trait Receiver {
    fn can_send(&self, framing: Framing) -> bool;

    async fn send(&mut self, request: Request<Bytes>, framing: Framing) -> Outcome;
}

/// The outcome of a request.
pub(super) enum Outcome {
    Answered(TestResponse),
    Failed,
    Panicked,
    Hung,
}

pub(super) struct InProcess<'s, S>(pub(super) &'s mut S);

impl<S, B> Receiver for InProcess<'_, S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    fn can_send(&self, framing: Framing) -> bool {
        framing == Framing::Length
    }

    async fn send(&mut self, request: Request<Bytes>, _: Framing) -> Outcome {
        let mut answered = pin!(response::call(self.0, request.map(Full::new)));
        poll_fn(|cx| {
            // Only the service sees the state that a panic leaves behind.
            match catch_unwind(AssertUnwindSafe(|| answered.as_mut().poll(cx))) {
                Ok(polled) => polled.map(Outcome::from),
                Err(_) => Poll::Ready(Outcome::Panicked),
            }
        })
        .await
    }
}

impl From<Result<TestResponse, Box<dyn Error + Send + Sync>>> for Outcome {
    fn from(answered: Result<TestResponse, Box<dyn Error + Send + Sync>>) -> Self {
        answered.map_or(Self::Failed, Self::Answered)
    }
}

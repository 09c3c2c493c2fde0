//! What all receivers are: services for requests.

use std::convert::Infallible;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use http::{Request, Response, StatusCode};
use tower::{Service, ServiceExt};

use crate::delivery::Frames;

/// Answers requests.
pub trait Receiver {
    /// The status of the answer.
    fn answer(&self, request: Request<Frames>) -> impl Future<Output = StatusCode>;
}

impl<S, B> Receiver for S
where
    S: Service<Request<Frames>, Response = Response<B>, Error = Infallible> + Clone,
{
    /// With a clone of the service for each request, as axum's and hyper-util's
    /// servers do.
    async fn answer(&self, request: Request<Frames>) -> StatusCode {
        match self.clone().oneshot(request).await {
            Ok(response) => response.status(),
            Err(never) => match never {},
        }
    }
}

/// What a future results in that has to wait for nothing. A runtime would allocate too,
/// and would have its tasks take turns.
pub fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("it waits for something"),
    }
}

//! Where a receiver runs: it can be killed and started again.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use tokio::sync::watch;
use tower::util::BoxCloneService;
use tower::{BoxError, Service, ServiceExt};

pub type Answer = Response<UnsyncBoxBody<Bytes, BoxError>>;
type App = BoxCloneService<Request<Full<Bytes>>, Answer, BoxError>;

/// Hands requests to the app that is running. What is in flight when that is
/// killed is dropped, and its connection reset. At first, nothing runs.
#[derive(Clone, Default)]
pub struct Host {
    app: Arc<Mutex<Option<App>>>,
    killed: Arc<watch::Sender<()>>,
}

impl Host {
    pub fn start<S, B>(&self, app: S)
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>>,
        S: Clone + Send + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let app = app.map_err(Into::into).map_response(|answer: Response<B>| {
            answer.map(|it| it.map_err(Into::into).boxed_unsync())
        });
        *self.app.lock().expect("no panic") = Some(app.boxed_clone());
    }

    pub fn kill(&self) {
        *self.app.lock().expect("no panic") = None;
        self.killed.send_replace(());
    }
}

impl Service<Request<Full<Bytes>>> for Host {
    type Response = Answer;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let app = self.app.lock().expect("no panic").clone();
        let mut killed = self.killed.subscribe();
        Box::pin(async move {
            let app = app.ok_or("connection refused")?;
            tokio::select! {
                answer = app.oneshot(request) => answer,
                Ok(()) = killed.changed() => Err("connection reset".into()),
            }
        })
    }
}

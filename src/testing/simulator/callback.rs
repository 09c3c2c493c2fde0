//! The endpoint for answers after a 202.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body::Body;
use http_body_util::{BodyExt, Full, Limited};
use tower_service::Service;

use super::instance::Instance;
use crate::testing::{id, lock};

/// The path of all callback URLs, without the token.
const PATH: &str = "/api/v1/webhooks/callback/";

/// The longest body that is read.
const MAX_BODY: usize = 1024 * 1024;

/// ConductorOne's callback endpoint: accepts the answer to a delivery, once for each
/// URL.
///
/// Made by [`Simulator::callbacks`](super::Simulator::callbacks). Receivers in
/// the same process post to it with [`post`](Self::post), or use it as the
/// [`tower::Service`][service] that their client calls; [`serve`](Self::serve)
/// publishes it for others. Only the path of a callback URL counts. Clones are the
/// same endpoint.
///
/// It answers 200 to an accepted document and 400 to any other:
/// [`CallbackRefusal`](super::CallbackRefusal) lists the reasons.
///
/// [service]: https://docs.rs/tower-service/latest/tower_service/trait.Service.html
#[derive(Clone)]
pub struct CallbackEndpoint {
    shared: Arc<Shared>,
}

struct Shared {
    domain: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    instances: HashMap<String, Arc<Instance>>,
    /// The origin of callback URLs while the endpoint is served.
    served: Option<String>,
}

impl CallbackEndpoint {
    pub(super) fn new(domain: &str) -> Self {
        Self {
            shared: Arc::new(Shared {
                domain: domain.to_owned(),
                state: Mutex::default(),
            }),
        }
    }

    /// A new callback URL for that delivery.
    pub(super) fn open(&self, instance: &Arc<Instance>) -> String {
        let token = id::ksuid();
        let mut state = lock(&self.shared.state);
        let url = match &state.served {
            Some(origin) => format!("{origin}{PATH}{token}"),
            None => format!("https://{}{PATH}{token}", self.shared.domain),
        };
        state.instances.insert(token, Arc::clone(instance));
        url
    }

    pub(super) fn set_origin(&self, origin: Option<String>) {
        lock(&self.shared.state).served = origin;
    }

    /// Posts a document to a callback URL and returns the status of the answer.
    pub fn post(&self, url: &str, document: impl Into<Bytes>) -> StatusCode {
        match url.parse::<Uri>() {
            Ok(uri) => self.take(uri.path(), document.into()),
            Err(_) => StatusCode::NOT_FOUND,
        }
    }

    fn take(&self, path: &str, document: Bytes) -> StatusCode {
        let Some(token) = path.strip_prefix(PATH) else {
            return StatusCode::NOT_FOUND;
        };
        let instance = lock(&self.shared.state).instances.get(token).cloned();
        instance.map_or(StatusCode::BAD_REQUEST, |it| it.take(document))
    }

    async fn answer<B: Body>(self, request: Request<B>) -> StatusCode {
        if request.method() != Method::POST {
            return StatusCode::METHOD_NOT_ALLOWED;
        }
        let (parts, body) = request.into_parts();
        let limited = Box::pin(Limited::new(body.map_err(|_| "the body failed"), MAX_BODY));
        match limited.collect().await {
            Ok(body) => self.take(parts.uri.path(), body.to_bytes()),
            Err(_) => StatusCode::BAD_REQUEST,
        }
    }
}

impl<B> Service<Request<B>> for CallbackEndpoint
where
    B: Body + Send + 'static,
    B::Data: Send,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let endpoint = self.clone();
        Box::pin(async move {
            let mut response = Response::new(Full::default());
            *response.status_mut() = endpoint.answer(request).await;
            Ok(response)
        })
    }
}

/// Lets a [`CallbackClient`](crate::callback::CallbackClient) post without a socket.
impl crate::callback::Post for CallbackEndpoint {
    fn post(
        &self,
        request: Request<Bytes>,
    ) -> crate::future::BoxFuture<'_, Result<Response<()>, crate::callback::PostError>> {
        Box::pin(async move {
            let mut response = Response::new(());
            *response.status_mut() = self.clone().answer(request.map(Full::new)).await;
            Ok(response)
        })
    }
}

/// Omits the callback URLs.
impl fmt::Debug for CallbackEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallbackEndpoint")
            .field("domain", &self.shared.domain)
            .finish_non_exhaustive()
    }
}

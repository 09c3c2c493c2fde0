//! What a user observes of rejections, and answers in another form.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode, request};
use http_body_util::Full;

use super::{Rejection, RejectionKind};

type Observe = dyn Fn(&Rejection) + Send + Sync;
type Respond = dyn Fn(&Rejection) -> Response<Full<Bytes>> + Send + Sync;

#[derive(Clone, Default)]
pub(crate) struct RejectionHooks {
    observe: Option<Arc<Observe>>,
    respond: Option<Arc<Respond>>,
}

#[derive(Debug, thiserror::Error)]
#[error(
    "rejection_response has made a {status} of the rejection {code}: \
     it must be a 4xx or 5xx, and not 410"
)]
struct Unusable {
    status: StatusCode,
    code: &'static str,
}

impl RejectionHooks {
    pub(crate) fn on_rejection(&mut self, observe: impl Fn(&Rejection) + Send + Sync + 'static) {
        self.observe = Some(Arc::new(observe));
    }

    pub(crate) fn rejection_response(
        &mut self,
        respond: impl Fn(&Rejection) -> Response<Full<Bytes>> + Send + Sync + 'static,
    ) {
        self.respond = Some(Arc::new(respond));
    }

    pub(crate) fn observe(&self, rejection: &Rejection) {
        if let Some(observe) = &self.observe {
            observe(rejection);
        }
    }

    /// The answer to the caller, with the rejection in its extensions.
    pub(crate) fn response(&self, rejection: &Rejection) -> Response<Full<Bytes>> {
        self.write(rejection, Response::default())
    }

    /// The answer to the caller, in place of the request's head, whose memory it takes.
    pub(crate) fn response_to(
        &self,
        mut head: request::Parts,
        rejection: &Rejection,
    ) -> Response<Full<Bytes>> {
        head.headers.clear();
        head.extensions.clear();
        let mut empty = Response::default();
        *empty.headers_mut() = head.headers;
        *empty.extensions_mut() = head.extensions;
        self.write(rejection, empty)
    }

    fn write(&self, rejection: &Rejection, empty: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
        let Some(respond) = &self.respond else {
            return rejection.write(empty);
        };
        let mut response = respond(rejection);
        let status = response.status();
        let is_error = status.is_client_error() || status.is_server_error();
        if !is_error || status == StatusCode::GONE {
            let code = rejection.code();
            let error = Unusable { status, code };
            tracing::error!("{error}");
            return Rejection::because(RejectionKind::UnusableRejectionResponse, error).response();
        }
        response.extensions_mut().insert(rejection.clone());
        response
    }
}

impl fmt::Debug for RejectionHooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RejectionHooks")
            .field("on_rejection", &self.observe.is_some())
            .field("rejection_response", &self.respond.is_some())
            .finish()
    }
}

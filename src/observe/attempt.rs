//! One request and its answer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::StatusCode;

use crate::excerpt::{for_log, one_line};
use crate::ledger::DeliveryKey;
use crate::readable::Readable;
use crate::rejection::Rejection;

/// How a request was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum How {
    /// The handler ran for this request.
    Ran,
    /// A duplicate got the answer of a run that it found at work.
    Joined,
    /// The ledger had the answer already.
    Replayed,
    /// 202, in the handler's stead.
    Promised,
    /// A layer or an extractor refused it.
    Refused,
    /// The caller hung up, or a layer outside gave up, before there was an answer.
    Abandoned,
}

impl How {
    /// Its name in logs and metrics, such as `joined`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ran => "ran",
            Self::Joined => "joined",
            Self::Replayed => "replayed",
            Self::Promised => "promised",
            Self::Refused => "refused",
            Self::Abandoned => "abandoned",
        }
    }
}

/// What the layers know of a request, for the outermost, which tells it.
#[derive(Default)]
pub(crate) struct Handling {
    is_in_a_layer: AtomicBool,
    delivery: OnceLock<DeliveryKey>,
    answer: OnceLock<(How, Option<u32>)>,
}

impl Handling {
    /// Whether no layer outside has called this.
    pub(crate) fn is_first_layer(&self) -> bool {
        !self.is_in_a_layer.swap(true, Ordering::Relaxed)
    }

    pub(crate) fn belongs_to(&self, delivery: DeliveryKey) {
        let _ = self.delivery.set(delivery);
    }

    pub(crate) fn delivery(&self) -> Option<DeliveryKey> {
        self.delivery.get().copied()
    }

    /// Sets how it was answered, and the number of the run that gave the answer.
    pub(crate) fn answered(&self, how: How, run: Option<u32>) {
        let _ = self.answer.set((how, run));
    }

    pub(crate) fn answer(&self) -> Option<(How, Option<u32>)> {
        self.answer.get().copied()
    }
}

/// A request and its answer.
#[derive(Debug)]
pub struct Attempt<'a> {
    pub(crate) how: How,
    pub(crate) duration: Duration,
    pub(crate) status: Option<StatusCode>,
    /// `None` unless the signature has verified.
    pub(crate) tenant: Option<&'a Arc<str>>,
    pub(crate) webhook_id: Option<&'a str>,
    pub(crate) event: Option<&'a str>,
    pub(crate) delivery: Option<DeliveryKey>,
    pub(crate) run: Option<u32>,
    pub(crate) rejection: Option<&'a Rejection>,
    /// Why there was no answer, if the caller did not hang up.
    pub(crate) failure: Option<&'static str>,
    /// The token's id and the path that was called, if a signed request was refused.
    pub(crate) token_id: Option<&'a str>,
    pub(crate) path: Option<&'a str>,
    /// In seconds.
    pub(crate) clock_difference: Option<f64>,
}

/// Where the lines of signed requests go.
const TARGET: &str = "tower_conductorone::attempt";

/// Where the lines of unsigned ones go.
pub(super) const UNSIGNED: &str = "tower_conductorone::unsigned";

macro_rules! line {
    ($level:ident, $attempt:expr, $message:literal) => {{
        let attempt: &Attempt<'_> = $attempt;
        tracing::$level!(
            target: TARGET,
            {
            c1.how = attempt.how.as_str(),
            c1.duration = display(Readable(attempt.duration)),
            http.response.status_code = attempt.status.map(|status| status.as_u16()),
            error.type = attempt.error_type(),
            c1.tenant = attempt.tenant(),
            c1.webhook.id = attempt.webhook_id.map(one_line).as_deref(),
            c1.event = attempt.event.map(one_line).as_deref(),
            c1.delivery = attempt.delivery.map(display),
            c1.run = attempt.run,
            c1.jti = attempt.token_id.map(one_line).as_deref(),
            url.path = attempt.path.map(|path| one_line(&for_log(path)).into_owned()),
            c1.cause = attempt.rejection.and_then(Rejection::cause),
            c1.remedy = attempt.rejection.map(Rejection::remedy),
            },
            $message
        );
    }};
}

impl<'a> Attempt<'a> {
    /// One of which nothing else is known.
    pub(crate) fn new(how: How) -> Self {
        Self {
            how,
            duration: Duration::ZERO,
            status: None,
            tenant: None,
            webhook_id: None,
            event: None,
            delivery: None,
            run: None,
            rejection: None,
            failure: None,
            token_id: None,
            path: None,
            clock_difference: None,
        }
    }

    pub(crate) fn refused(rejection: &'a Rejection) -> Self {
        Self {
            status: Some(rejection.status()),
            tenant: rejection.shared_tenant(),
            webhook_id: rejection.webhook_id(),
            rejection: Some(rejection),
            token_id: rejection.token_id(),
            ..Self::new(How::Refused)
        }
    }

    /// Writes its line of the log.
    pub(crate) fn log(&self) {
        match self.how {
            How::Refused => line!(warn, self, "webhook refused"),
            _ if self.failure.is_some() => {
                line!(warn, self, "webhook not answered: the connection is closed");
            }
            How::Abandoned => {
                line!(
                    warn,
                    self,
                    "webhook abandoned before its answer: the caller hung up, or a layer outside gave up"
                );
            }
            _ if self.rejection.is_some() => line!(warn, self, "webhook failed"),
            _ => line!(info, self, "webhook answered"),
        }
    }

    /// How it was answered.
    #[must_use]
    pub fn how(&self) -> How {
        self.how
    }

    /// From the arrival of its headers to its answer.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// The answer's status; `None` if there was no answer.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.status
    }

    /// The tenant that signed it, one of those configured: `None` unless the signature
    /// has verified.
    #[must_use]
    pub fn tenant(&self) -> Option<&'a str> {
        self.tenant.map(|tenant| &**tenant)
    }

    /// The webhook's id, any text that the tenant chose: `None` unless the request is
    /// proven to be a webhook.
    #[must_use]
    pub fn webhook_id(&self) -> Option<&'a str> {
        self.webhook_id
    }

    /// The event's full name, any text that the tenant chose: `None` unless the request
    /// is proven to be a webhook.
    #[must_use]
    pub fn event(&self) -> Option<&'a str> {
        self.event
    }

    /// The delivery's key in the ledger, with `DeliverOnceLayer`.
    #[must_use]
    pub fn delivery(&self) -> Option<DeliveryKey> {
        self.delivery
    }

    /// The number of the run that gave the answer, with `DeliverOnceLayer`.
    #[must_use]
    pub fn run(&self) -> Option<u32> {
        self.run
    }

    /// Why a layer or an extractor refused it, or its run failed.
    #[must_use]
    pub fn rejection(&self) -> Option<&'a Rejection> {
        self.rejection
    }

    /// How far this machine's clock was ahead of the tenant's, in seconds, with the time
    /// that the request took to arrive; negative if it was behind. `None` unless the
    /// request is proven to be a webhook.
    #[must_use]
    pub fn clock_difference(&self) -> Option<f64> {
        self.clock_difference
    }

    /// A [rejection](Self::rejection)'s code; the status of another answer that is an
    /// error; or why there was no answer, although the caller waited.
    #[must_use]
    pub fn error_type(&self) -> Option<&str> {
        match (self.rejection, &self.status) {
            (Some(rejection), _) => Some(rejection.code()),
            (None, Some(status)) if status.is_client_error() || status.is_server_error() => {
                Some(status.as_str())
            }
            _ => self.failure,
        }
    }
}

//! One request and its answer.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::StatusCode;

use crate::excerpt::{for_log, one_line};
use crate::ledger::DeliveryKey;
use crate::readable::Readable;
use crate::rejection::Rejection;

/// How a request was answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum How {
    /// The handler ran for this request.
    #[default]
    Ran,
    /// A duplicate got the answer of a run that it found at work.
    Joined,
    /// The ledger had the answer already.
    Replayed,
    /// 202, in the handler's stead.
    Promised,
    /// A layer or an extractor refused it.
    Refused,
    /// The caller hung up before there was an answer.
    Abandoned,
}

impl How {
    pub(crate) const fn as_str(self) -> &'static str {
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
#[derive(Default)]
pub(crate) struct Attempt<'a> {
    pub(crate) how: How,
    pub(crate) duration: Duration,
    pub(crate) status: Option<StatusCode>,
    /// `None` unless the signature has verified.
    pub(crate) tenant: Option<&'a str>,
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
            c1.tenant = attempt.tenant,
            c1.webhook.id = attempt.webhook_id.map(one_line),
            c1.event = attempt.event.map(one_line),
            c1.delivery = attempt.delivery.map(display),
            c1.run = attempt.run,
            c1.jti = attempt.token_id.map(one_line),
            url.path = attempt.path.map(|path| one_line(&for_log(path))),
            c1.cause = attempt.rejection.and_then(Rejection::cause),
            c1.remedy = attempt.rejection.map(Rejection::remedy),
            },
            $message
        );
    }};
}

impl<'a> Attempt<'a> {
    pub(crate) fn refused(rejection: &'a Rejection) -> Self {
        Self {
            how: How::Refused,
            status: Some(rejection.status()),
            tenant: rejection.tenant(),
            webhook_id: rejection.webhook_id(),
            rejection: Some(rejection),
            token_id: rejection.token_id(),
            ..Self::default()
        }
    }

    /// Writes its line of the log.
    pub(crate) fn log(&self) {
        match self.how {
            How::Refused => line!(warn, self, "webhook refused"),
            How::Abandoned => {
                line!(
                    warn,
                    self,
                    "webhook abandoned: the caller hung up before its answer"
                );
            }
            _ if self.failure.is_some() => {
                line!(warn, self, "webhook not answered: the connection is closed");
            }
            _ if self.rejection.is_some() => line!(warn, self, "webhook failed"),
            _ => line!(info, self, "webhook answered"),
        }
    }

    /// The rejection's code, or the status of another answer that is an error.
    pub(crate) fn error_type(&self) -> Option<&str> {
        match (self.rejection, &self.status) {
            (Some(rejection), _) => Some(rejection.code()),
            (None, Some(status)) if status.is_client_error() || status.is_server_error() => {
                Some(status.as_str())
            }
            _ => self.failure,
        }
    }
}

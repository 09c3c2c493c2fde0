use crate::rejection::{Rejection, RejectionKind};

/// Why there is no usable answer, where nothing else says it.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(super) enum Cause {
    #[error("the handler panicked or was cancelled")]
    Panicked,
    #[error("the handler exceeded the run limit and was cut off")]
    RunLimit,
    #[error("the inner service failed")]
    ServiceFailed,
    #[error("the run has not begun, since the receiver stops")]
    NotBegun,
    #[error("the outcome asks for another run")]
    NoAnswer,
    #[error("the run that this request has joined ended without an answer, or is still at work")]
    StillRunning,
    #[error("another replica is still at work on this delivery")]
    RunningElsewhere,
    #[error("the receiver stops, and begins no work")]
    Stopping,
    #[error("no callback client is configured")]
    NoCallbackClient,
}

impl Cause {
    pub(super) fn rejection(self) -> Rejection {
        let kind = match self {
            Self::Panicked
            | Self::RunLimit
            | Self::ServiceFailed
            | Self::NotBegun
            | Self::NoAnswer => RejectionKind::HandlerFailed,
            Self::StillRunning | Self::RunningElsewhere => RejectionKind::DeliveryRunning,
            Self::Stopping => RejectionKind::Stopping,
            Self::NoCallbackClient => RejectionKind::NoCallback,
        };
        Rejection::because(kind, self)
    }
}

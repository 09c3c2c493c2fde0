//! The wall clock.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

/// Provides the time that a token's `exp`, `nbf` and `iat` are compared with.
///
/// [`SystemClock`] is the default; tests use a settable one. Durations (time limits, the
/// age of keys) are measured on tokio's clock instead, which never jumps and which tests
/// can pause.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Returns the current time.
    fn now(&self) -> SystemTime;
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> SystemTime {
        (**self).now()
    }
}

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

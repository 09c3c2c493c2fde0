//! The times in a token: `iat`, `nbf` and `exp` (RFC 7519 §4.1.4-4.1.6).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[derive(Debug, thiserror::Error)]
pub(crate) enum TimesError {
    #[error("the token expired {0:?} ago, leeway not counted: is this machine's clock right?")]
    Expired(Duration),
    #[error("{claim} is {ahead:?} in the future: is this machine's clock right?")]
    NotYetValid {
        claim: &'static str,
        ahead: Duration,
    },
    #[error("the token's lifetime exceeds {limit:?}")]
    Lifetime { limit: Duration },
}

/// When a token was issued, and when it is valid, in seconds since the epoch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// `iat`
    pub(super) issued_at: f64,
    /// `nbf`
    pub(super) not_before: f64,
    /// `exp`
    pub(super) expires_at: f64,
}

impl Times {
    /// Checks that the token is valid now. Floating-point arithmetic saturates, and
    /// represents whole seconds exactly up to the year 285 million.
    pub(super) fn check(
        &self,
        now: SystemTime,
        leeway: Duration,
        max_lifetime: Duration,
    ) -> Result<(), TimesError> {
        let now = match now.duration_since(UNIX_EPOCH) {
            Ok(since) => since.as_secs_f64(),
            Err(before) => -before.duration().as_secs_f64(),
        };
        let (leeway, longest) = (leeway.as_secs_f64(), max_lifetime.as_secs_f64());
        if self.expires_at - self.issued_at > longest {
            return Err(TimesError::Lifetime {
                limit: max_lifetime,
            });
        }
        if now >= self.expires_at + leeway {
            return Err(TimesError::Expired(seconds(now - self.expires_at)));
        }
        // `nbf` starts the token's validity and allows for a receiver whose clock is
        // slow. `iat` is refused only far in the future, where it would make a long
        // lifetime look short.
        for (claim, time, ahead) in [
            ("nbf", self.not_before, leeway),
            ("iat", self.issued_at, leeway + longest),
        ] {
            if now + ahead < time {
                return Err(TimesError::NotYetValid {
                    claim,
                    ahead: seconds(time - now),
                });
            }
        }
        Ok(())
    }

    pub(crate) fn issued_at(&self) -> SystemTime {
        time(self.issued_at)
    }

    pub(crate) fn not_before(&self) -> SystemTime {
        time(self.not_before)
    }

    pub(crate) fn expires_at(&self) -> SystemTime {
        time(self.expires_at)
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

/// Converts to a `SystemTime` that every platform can represent, with room for a
/// leeway. A later time becomes the latest one, never a past one: the replay guard
/// would forget such a token at once.
fn time(since_epoch: f64) -> SystemTime {
    /// The end of the year 9999.
    const LAST: f64 = 253_402_300_799.0;

    let distance = seconds(since_epoch.abs().min(LAST));
    if since_epoch >= 0.0 {
        UNIX_EPOCH.checked_add(distance)
    } else {
        UNIX_EPOCH.checked_sub(distance)
    }
    .unwrap_or(UNIX_EPOCH)
}

//! The pauses between attempts.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(15 * 60);
const SOONEST_EARLY: Duration = Duration::from_secs(6);
const LATEST_EARLY: Duration = Duration::from_secs(60);
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

/// The pause after a document that came too early. It grows with the webhook's
/// age: the longer ConductorOne has been waiting, the less urgent the document is.
pub(super) fn early_pause(age: Duration, jitter: f64) -> Duration {
    let whole = (age / 4).clamp(SOONEST_EARLY, LATEST_EARLY);
    whole / 2 + (whole / 2).mul_f64(jitter)
}

/// The pause after this many attempts: one half is fixed, the other random
/// (`jitter`, from 0 to 1), so that callbacks that failed together are not retried
/// together. A longer `Retry-After` is respected, up to an hour.
pub(super) fn pause(attempts: u32, retry_after: Option<Duration>, jitter: f64) -> Duration {
    let doublings = attempts.saturating_sub(1);
    let whole = FIRST
        .saturating_mul(2_u32.saturating_pow(doublings))
        .min(LONGEST);
    let asked = retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER);
    (whole / 2).max(asked) + (whole / 2).mul_f64(jitter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_quarter_of_an_hour() {
        for (attempts, least) in [
            (0, 1),
            (1, 1),
            (2, 2),
            (3, 4),
            (9, 256),
            (10, 450),
            (11, 450),
            (u32::MAX, 450),
        ] {
            let least = Duration::from_secs(least);
            assert_eq!(pause(attempts, None, 0.0), least, "{attempts}");
            assert_eq!(pause(attempts, None, 1.0), least * 2, "{attempts}");
        }
    }

    #[test]
    fn early_documents_are_sent_again_within_a_minute() {
        for (age, least) in [(0, 3), (24, 3), (80, 10), (240, 30), (2_700, 30)] {
            let (age, least) = (Duration::from_secs(age), Duration::from_secs(least));
            assert_eq!(early_pause(age, 0.0), least, "{age:?}");
            assert_eq!(early_pause(age, 1.0), least * 2, "{age:?}");
        }
    }

    #[test]
    fn a_server_may_ask_for_an_hour_at_most() {
        for (asked, least) in [(0, 1), (1, 1), (7, 7), (3_600, 3_600), (u64::MAX, 3_600)] {
            let asked = Some(Duration::from_secs(asked));
            let least = Duration::from_secs(least);
            assert_eq!(pause(1, asked, 0.0), least);
            assert_eq!(pause(1, asked, 1.0), least + Duration::from_secs(1));
        }
    }
}

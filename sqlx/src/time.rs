use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::error::{Failure, TIME_LIMIT};

/// How often work that failed for a passing reason is repeated.
const RETRIES: u32 = 6;

/// Lets work on the database take no longer than its caller waits.
pub(crate) async fn in_time<T>(
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    timeout(TIME_LIMIT, work)
        .await
        .unwrap_or(Err(Failure::Late))
}

/// Does work in time, and repeats it if it failed for a passing reason. It may be done
/// once more although it was done and the reply was lost.
pub(crate) async fn repeated<T, F>(work: impl Fn() -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    in_time(async {
        for retry in 0..RETRIES {
            match work().await {
                Err(failure) if failure.is_passing() => {}
                done => return done,
            }
            // A broken connection is replaced at once.
            sleep(Duration::from_millis(5) * (retry * retry)).await;
        }
        work().await
    })
    .await
}

use tokio::time::timeout;

use crate::error::{Failure, TIME_LIMIT};

/// Lets work on the database take no longer than its caller waits.
pub(crate) async fn in_time<T>(
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    timeout(TIME_LIMIT, work)
        .await
        .unwrap_or(Err(Failure::Late))
}

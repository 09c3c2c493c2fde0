use std::time::Duration;

use redis::aio::ConnectionLike;
use redis::{Cmd, ErrorKind, FromRedisValue, RedisError};
use tokio::time::timeout;

use crate::ledger;

/// How long a command may take in all, in addition to the connection's own limits.
pub(super) const TIME_LIMIT: Duration = Duration::from_secs(5);

/// The keys of a server that begin with the prefix.
#[derive(Clone)]
pub(super) struct Store<C> {
    pub(super) connection: C,
    pub(super) prefix: String,
}

impl<C: ConnectionLike + Clone> Store<C> {
    pub(super) fn new(connection: C) -> Self {
        Self {
            connection,
            prefix: "c1:".to_owned(),
        }
    }

    /// Sends a command and returns its reply.
    pub(super) async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, RedisError> {
        let mut connection = self.connection.clone();
        match timeout(TIME_LIMIT, command.query_async(&mut connection)).await {
            Ok(reply) => reply,
            Err(_) => Err((ErrorKind::Io, "no reply within 5 s").into()),
        }
    }
}

/// Whether the server has reached its `maxmemory`.
pub(super) fn is_full(error: &RedisError) -> bool {
    error.code() == Some("OOM")
}

/// The part of an error's text that may be logged.
///
/// A server that does not know a command quotes its arguments, such as a key or a
/// callback URL. So the text is cut off at the first quotation mark.
pub(super) fn describe(error: &RedisError) -> String {
    let text = error.to_string();
    let quotation = [" '", " `", " \""]
        .iter()
        .filter_map(|quote| text.find(quote))
        .min();
    let said = quotation.and_then(|end| text.get(..end)).unwrap_or(&text);
    said.to_owned()
}

/// Milliseconds, rounded up, and limited to where Lua's numbers are exact: 35,000 years.
pub(super) fn millis(duration: Duration) -> u64 {
    ledger::millis(duration).min(1 << 50)
}

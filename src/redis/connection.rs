use std::fmt;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::sentinel::SentinelClient;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, InfoDict, IntoConnectionInfo, Pipeline,
    RedisError, RedisFuture, RedisResult, ServerErrorKind, Value,
};
use tokio::sync::Mutex;

use super::store::describe;

/// How long a server may take to accept a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// How long a server may take to reply.
const REPLY_LIMIT: Duration = Duration::from_secs(3);
/// How long a server may be silent to a caller who then gives up.
const SILENCE_LIMIT: Duration = Duration::from_millis(100);

/// A connection to the Redis server that takes the writes, for as long as the
/// process lives: clones share it.
///
/// It connects with the first command. Whenever the server hangs up, does not
/// reply within 3 seconds or before the caller gives up, or turns out to be a
/// replica after a fail-over, the command fails and the next one connects anew,
/// within 2 seconds: to wherever the server's name then leads, or the Sentinels
/// then say. No command is queued while there is no connection, nor repeated.
/// Where the server tells that it may evict keys, a warning is logged.
#[derive(Clone)]
pub struct RedisConnection {
    shared: Arc<Mutex<Shared>>,
    db: i64,
}

struct Shared {
    server: Server,
    live: Option<MultiplexedConnection>,
    /// How often it has connected.
    serial: u64,
}

enum Server {
    At(Client),
    /// Whichever the Sentinels name.
    Of(SentinelClient),
}

impl RedisConnection {
    /// A connection to one server: by its URL, such as
    /// `redis://user:password@redis.example.com:6379/0`, or by all that
    /// [`redis::ConnectionInfo`] can say.
    ///
    /// TLS (`rediss://`) needs a feature of the crate `redis`, such as
    /// `tokio-rustls-comp`.
    ///
    /// # Errors
    /// [`RedisError`] if it is no such URL. It does not repeat the URL.
    pub fn to_server(server: impl IntoConnectionInfo) -> Result<Self, RedisError> {
        let info = server.into_connection_info()?;
        // Small commands of many requests share the connection.
        let settings = info.tcp_settings().clone().set_nodelay(true);
        let client = Client::open(info.set_tcp_settings(settings))?;
        let db = client.get_connection_info().redis_settings().db();
        Ok(Self::new(Server::At(client), db))
    }

    /// A connection to the master that Sentinels name, made with the crate
    /// `redis`: for [`SentinelServerType::Master`](redis::sentinel::SentinelServerType).
    #[must_use]
    pub fn to_master(sentinels: SentinelClient) -> Self {
        Self::new(Server::Of(sentinels), 0)
    }

    fn new(server: Server, db: i64) -> Self {
        let shared = Shared {
            server,
            live: None,
            serial: 0,
        };
        Self {
            shared: Arc::new(Mutex::new(shared)),
            db,
        }
    }

    async fn live(&self) -> RedisResult<(u64, MultiplexedConnection)> {
        let mut shared = self.shared.lock().await;
        if let Some(connection) = &shared.live {
            return Ok((shared.serial, connection.clone()));
        }
        let mut connection = shared.server.connect().await?;
        warn_of_eviction(&mut connection).await;
        shared.live = Some(connection.clone());
        shared.serial += 1;
        Ok((shared.serial, connection))
    }

    fn awaited(&self, serial: u64) -> Awaited<'_> {
        Awaited {
            connection: self,
            serial,
            since: Instant::now(),
        }
    }

    /// Leaves a connection that is of no use any more, if nobody else has.
    async fn leave_if_useless(&self, serial: u64, error: &RedisError) {
        let useless = match error.kind() {
            ErrorKind::Io
            | ErrorKind::Parse
            | ErrorKind::AuthenticationFailed
            | ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown) => true,
            // Before Redis 7, what a script's command failed with is in the text.
            ErrorKind::Server(ServerErrorKind::ResponseError) => {
                let detail = error.detail().unwrap_or_default();
                detail.contains("-READONLY")
            }
            _ => false,
        };
        let mut shared = self.shared.lock().await;
        if useless && shared.serial == serial {
            shared.live = None;
        }
    }
}

/// A command whose reply is awaited. If the caller gives up sooner than the
/// connection would, the connection is left all the same: it may be dead.
struct Awaited<'a> {
    connection: &'a RedisConnection,
    serial: u64,
    since: Instant,
}

impl Awaited<'_> {
    /// There is a reply, or an error.
    fn over(self) {
        mem::forget(self);
    }
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        // Whoever has the lock is connecting, or leaving it himself.
        if self.since.elapsed() >= SILENCE_LIMIT
            && let Ok(mut shared) = self.connection.shared.try_lock()
            && shared.serial == self.serial
        {
            shared.live = None;
        }
    }
}

impl Server {
    async fn connect(&mut self) -> RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_LIMIT))
            .set_response_timeout(Some(REPLY_LIMIT));
        match self {
            Self::At(client) => {
                let connected = client
                    .get_multiplexed_async_connection_with_config(&config)
                    .await;
                connected.map_err(|error| {
                    let at = client.get_connection_info().addr();
                    let detail = format!("{at}: {}", describe(&error));
                    (error.kind(), "no connection", detail).into()
                })
            }
            Self::Of(sentinels) => sentinels.get_async_connection_with_config(&config).await,
        }
    }
}

/// Says so if the server would throw records away that are still needed.
async fn warn_of_eviction(connection: &mut MultiplexedConnection) {
    let asked = redis::cmd("INFO").arg("memory").to_owned();
    // One that does not tell may be right all the same.
    let Ok(memory) = asked.query_async::<InfoDict>(connection).await else {
        return;
    };
    let policy: Option<String> = memory.get("maxmemory_policy");
    if let Some(policy) = policy.filter(|policy| policy != "noeviction") {
        tracing::warn!(
            policy,
            "Redis evicts keys when memory is short, and so forgets deliveries: \
             set maxmemory-policy noeviction"
        );
    }
}

impl fmt::Debug for RedisConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConnection").finish_non_exhaustive()
    }
}

impl ConnectionLike for RedisConnection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            let (serial, mut connection) = self.live().await?;
            let awaited = self.awaited(serial);
            let reply = connection.send_packed_command(cmd).await;
            awaited.over();
            let reply = reply.and_then(Value::extract_error);
            if let Err(error) = &reply {
                self.leave_if_useless(serial, error).await;
            }
            reply
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async move {
            let (serial, mut connection) = self.live().await?;
            let awaited = self.awaited(serial);
            let replies = connection
                .send_packed_commands(pipeline, offset, count)
                .await;
            awaited.over();
            if let Err(error) = &replies {
                self.leave_if_useless(serial, error).await;
            }
            replies
        })
    }

    fn get_db(&self) -> i64 {
        self.db
    }
}

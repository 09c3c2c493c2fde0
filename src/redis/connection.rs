use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::sentinel::SentinelClient;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, InfoDict, IntoConnectionInfo, Pipeline,
    RedisError, RedisFuture, RedisResult, ServerErrorKind, Value,
};
use tokio::sync::watch;
use tokio::time::timeout;

use super::store::describe;

/// How long a server may take to accept a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// How long connecting may take in all: resolving names, and asking one Sentinel
/// after another.
const CONNECT_LIMIT_IN_ALL: Duration = Duration::from_secs(15);
/// How long a server may take to reply.
const REPLY_LIMIT: Duration = Duration::from_secs(3);
/// If a caller gives up after this time without a reply, the connection is dropped.
const SILENCE_LIMIT: Duration = Duration::from_millis(100);

/// A connection to the Redis server that accepts writes. It reconnects for as long
/// as the process lives, and clones share it.
///
/// The first command opens the connection. If the server closes it, does not reply
/// within 3 seconds or before the caller gives up, or has become a replica after a
/// fail-over, the command fails and the next one reconnects: to the address that
/// the server's name then resolves to, or that the Sentinels then give.
///
/// A task of its own connects, for all commands that wait. A caller that gives up
/// does not stop it, and later commands use the connection. Connecting to a server
/// may take 2 seconds, and 15 seconds in all with several Sentinels. Commands are
/// never queued while there is no connection, and never repeated. If the server is
/// configured to evict keys, a warning is logged.
#[derive(Clone)]
pub struct RedisConnection {
    shared: Arc<Shared>,
    db: i64,
}

struct Shared {
    server: Server,
    link: Mutex<Link>,
}

/// The state of the connection.
#[derive(Default)]
struct Link {
    state: State,
    /// How many connections were opened.
    serial: u64,
}

#[derive(Default)]
enum State {
    #[default]
    Down,
    /// The receiver gets the outcome.
    Connecting(watch::Receiver<Option<RedisResult<Live>>>),
    Up(Live),
}

#[derive(Clone)]
struct Live {
    connection: MultiplexedConnection,
    serial: u64,
}

enum Server {
    At(Client),
    /// The master that the Sentinels name.
    Of(tokio::sync::Mutex<SentinelClient>),
}

impl RedisConnection {
    /// A connection to one server, given by its URL, such as
    /// `redis://user:password@redis.example.com:6379/0`, or by a
    /// [`redis::ConnectionInfo`](https://docs.rs/redis/latest/redis/struct.ConnectionInfo.html).
    ///
    /// TLS (`rediss://`) needs the feature `redis-tls`.
    ///
    /// # Errors
    /// [`RedisError`] if the URL is invalid. It does not contain the URL.
    ///
    /// [`RedisError`]: https://docs.rs/redis/latest/redis/struct.RedisError.html
    pub fn to_server(server: impl IntoConnectionInfo) -> Result<Self, RedisError> {
        let info = server.into_connection_info()?;
        // Small commands of many requests share the connection.
        let settings = info.tcp_settings().clone().set_nodelay(true);
        let client = Client::open(info.set_tcp_settings(settings))?;
        let db = client.get_connection_info().redis_settings().db();
        Ok(Self::new(Server::At(client), db))
    }

    /// A connection to the master that Sentinels name. Build the client with the
    /// crate `redis`, for
    /// [`SentinelServerType::Master`](redis::sentinel::SentinelServerType).
    #[must_use]
    pub fn to_master(sentinels: SentinelClient) -> Self {
        Self::new(Server::Of(tokio::sync::Mutex::new(sentinels)), 0)
    }

    fn new(server: Server, db: i64) -> Self {
        let shared = Shared {
            server,
            link: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
            db,
        }
    }

    /// The open connection, or the one that is being opened.
    async fn live(&self) -> RedisResult<Live> {
        let mut connecting = {
            let mut link = self.shared.link();
            match &link.state {
                State::Up(live) => return Ok(live.clone()),
                State::Connecting(outcome) => outcome.clone(),
                State::Down => {
                    let outcome = connect(Arc::clone(&self.shared));
                    link.state = State::Connecting(outcome.clone());
                    outcome
                }
            }
        };
        match connecting.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(outcome)) => outcome.clone(),
            // The task panicked, or its runtime ended.
            Ok(None) | Err(_) => Err((ErrorKind::Io, "connecting was aborted").into()),
        }
    }

    fn awaited(&self, serial: u64) -> Awaited<'_> {
        Awaited {
            connection: self,
            serial,
            since: Instant::now(),
        }
    }

    /// Drops the connection if this error means that it is useless.
    fn leave_if_useless(&self, serial: u64, error: &RedisError) {
        let useless = match error.kind() {
            ErrorKind::Io
            | ErrorKind::Parse
            | ErrorKind::AuthenticationFailed
            | ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown) => true,
            // Before Redis 7, the text has the error of a script's command.
            ErrorKind::Server(ServerErrorKind::ResponseError) => {
                let detail = error.detail().unwrap_or_default();
                detail.contains("-READONLY")
            }
            _ => false,
        };
        if useless {
            self.shared.leave(serial);
        }
    }
}

impl Shared {
    fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops this connection, unless it was replaced already.
    fn leave(&self, serial: u64) {
        let mut link = self.link();
        if matches!(&link.state, State::Up(live) if live.serial == serial) {
            link.state = State::Down;
        }
    }
}

/// Connects in a task of its own: its callers may have less time.
fn connect(shared: Arc<Shared>) -> watch::Receiver<Option<RedisResult<Live>>> {
    let (tell, outcome) = watch::channel(None);
    let attempt = Connecting(shared);
    tokio::spawn(async move {
        let connected = timeout(CONNECT_LIMIT_IN_ALL, attempt.0.server.connect()).await;
        let connected = match connected {
            Ok(Ok(connection)) => Ok(attempt.succeed(connection)),
            Ok(Err(error)) => Err(error),
            Err(_elapsed) => Err((ErrorKind::Io, "no connection within 15 s").into()),
        };
        // Before the outcome is known, so that the next command can reconnect.
        drop(attempt);
        tell.send_replace(Some(connected));
    });
    outcome
}

/// An attempt to connect. When it ends, the next command may start another.
struct Connecting(Arc<Shared>);

impl Connecting {
    fn succeed(&self, connection: MultiplexedConnection) -> Live {
        let mut link = self.0.link();
        link.serial += 1;
        let live = Live {
            connection,
            serial: link.serial,
        };
        link.state = State::Up(live.clone());
        live
    }
}

impl Drop for Connecting {
    fn drop(&mut self) {
        let mut link = self.0.link();
        if matches!(link.state, State::Connecting(_)) {
            link.state = State::Down;
        }
    }
}

/// A command that waits for its reply. If the caller gives up first, the connection
/// is dropped: it may be dead.
struct Awaited<'a> {
    connection: &'a RedisConnection,
    serial: u64,
    since: Instant,
}

impl Awaited<'_> {
    /// The reply or an error came.
    fn over(self) {
        mem::forget(self);
    }
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        if self.since.elapsed() >= SILENCE_LIMIT {
            self.connection.shared.leave(self.serial);
        }
    }
}

impl Server {
    async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        #[cfg(feature = "redis-tls")]
        provide_cryptography();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_LIMIT))
            .set_response_timeout(Some(REPLY_LIMIT));
        let mut connection = match self {
            Self::At(client) => {
                let connected = client
                    .get_multiplexed_async_connection_with_config(&config)
                    .await;
                connected.map_err(|error| {
                    let at = client.get_connection_info().addr();
                    let detail = format!("{at}: {}", describe(&error));
                    RedisError::from((error.kind(), "no connection", detail))
                })?
            }
            Self::Of(sentinels) => {
                let mut sentinels = sentinels.lock().await;
                sentinels.get_async_connection_with_config(&config).await?
            }
        };
        warn_of_eviction(&mut connection).await;
        Ok(connection)
    }
}

/// TLS uses the process's provider of cryptography, and the crate `redis` panics if
/// rustls cannot determine it.
#[cfg(feature = "redis-tls")]
fn provide_cryptography() {
    use rustls::crypto::{CryptoProvider, aws_lc_rs};

    if CryptoProvider::get_default().is_none() {
        // If another thread was first, a provider is installed nevertheless.
        let _ = aws_lc_rs::default_provider().install_default();
    }
}

/// Warns if the server may evict records that are still needed.
async fn warn_of_eviction(connection: &mut MultiplexedConnection) {
    let asked = redis::cmd("INFO").arg("memory").to_owned();
    // The server may be configured well even if it does not answer.
    let Ok(memory) = asked.query_async::<InfoDict>(connection).await else {
        return;
    };
    let policy: Option<String> = memory.get("maxmemory_policy");
    if let Some(policy) = policy.filter(|policy| policy != "noeviction") {
        tracing::warn!(
            policy,
            "Redis evicts keys when memory is short, which loses deliveries: \
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
            let mut live = self.live().await?;
            let awaited = self.awaited(live.serial);
            let reply = live.connection.send_packed_command(cmd).await;
            awaited.over();
            let reply = reply.and_then(Value::extract_error);
            if let Err(error) = &reply {
                self.leave_if_useless(live.serial, error);
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
            let mut live = self.live().await?;
            let awaited = self.awaited(live.serial);
            let replies = live
                .connection
                .send_packed_commands(pipeline, offset, count)
                .await;
            awaited.over();
            if let Err(error) = &replies {
                self.leave_if_useless(live.serial, error);
            }
            replies
        })
    }

    fn get_db(&self) -> i64 {
        self.db
    }
}

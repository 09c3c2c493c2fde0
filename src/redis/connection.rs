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
/// How long connecting may take in all: looking names up, and asking Sentinels one
/// after the other.
const CONNECT_LIMIT_IN_ALL: Duration = Duration::from_secs(15);
/// How long a server may take to reply.
const REPLY_LIMIT: Duration = Duration::from_secs(3);
/// How long a server may be silent to a caller who then gives up.
const SILENCE_LIMIT: Duration = Duration::from_millis(100);

/// A connection to the Redis server that takes the writes, for as long as the
/// process lives: clones share it.
///
/// It connects with the first command. Whenever the server hangs up, does not
/// reply within 3 seconds or before the caller gives up, or turns out to be a
/// replica after a fail-over, the command fails and the next one connects anew:
/// to wherever the server's name then leads, or the Sentinels then say.
///
/// It connects in a task of its own, for all commands that wait for it. A caller
/// that gives up sooner does not stop that: a later command finds the connection
/// made. A server may take 2 seconds to accept a connection, and several Sentinels
/// 15 seconds in all. No command is queued while there is no connection, nor
/// repeated. Where the server tells that it may evict keys, a warning is logged.
#[derive(Clone)]
pub struct RedisConnection {
    shared: Arc<Shared>,
    db: i64,
}

struct Shared {
    server: Server,
    link: Mutex<Link>,
}

/// The way to the server, as far as there is one.
#[derive(Default)]
struct Link {
    state: State,
    /// How often it has connected.
    serial: u64,
}

#[derive(Default)]
enum State {
    #[default]
    Down,
    /// This tells how it ended.
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
    /// Whichever the Sentinels name.
    Of(tokio::sync::Mutex<SentinelClient>),
}

impl RedisConnection {
    /// A connection to one server: by its URL, such as
    /// `redis://user:password@redis.example.com:6379/0`, or by all that
    /// [`redis::ConnectionInfo`] can say.
    ///
    /// TLS (`rediss://`) needs the feature `redis-tls`.
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

    /// The connection there is, or the one that is being made.
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
            // It panicked, or its runtime has ended.
            Ok(None) | Err(_) => Err((ErrorKind::Io, "connecting broke off").into()),
        }
    }

    fn awaited(&self, serial: u64) -> Awaited<'_> {
        Awaited {
            connection: self,
            serial,
            since: Instant::now(),
        }
    }

    /// Leaves a connection that is of no use any more, if nobody else has.
    fn leave_if_useless(&self, serial: u64, error: &RedisError) {
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
        if useless {
            self.shared.leave(serial);
        }
    }
}

impl Shared {
    fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves this connection, unless that has been done.
    fn leave(&self, serial: u64) {
        let mut link = self.link();
        if matches!(&link.state, State::Up(live) if live.serial == serial) {
            link.state = State::Down;
        }
    }
}

/// Connects in a task of its own: whoever waits for it may have less time.
fn connect(shared: Arc<Shared>) -> watch::Receiver<Option<RedisResult<Live>>> {
    let (tell, outcome) = watch::channel(None);
    let attempt = Connecting(shared);
    tokio::spawn(async move {
        let connected = timeout(CONNECT_LIMIT_IN_ALL, attempt.0.server.connect()).await;
        let connected = match connected {
            Ok(Ok(connection)) => Ok(attempt.succeed(connection)),
            Ok(Err(error)) => Err(error),
            Err(_elapsed) => Err((ErrorKind::Io, "no connection in time").into()),
        };
        // First of all the next command may connect anew.
        drop(attempt);
        tell.send_replace(Some(connected));
    });
    outcome
}

/// An attempt to connect. However it ends, the next command may begin another.
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

/// TLS takes the process's provider of cryptography, and the crate `redis` panics
/// where rustls cannot tell which that is.
#[cfg(feature = "redis-tls")]
fn provide_cryptography() {
    use rustls::crypto::{CryptoProvider, aws_lc_rs};

    if CryptoProvider::get_default().is_none() {
        // Another thread may have been first: then there is one all the same.
        let _ = aws_lc_rs::default_provider().install_default();
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

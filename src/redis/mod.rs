//! Stores deliveries and token ids in Redis or Valkey, for all replicas of a
//! receiver.
//!
//! ```no_run
//! use tower_conductorone::{DeliverOnceLayer, VerifyWebhookLayer};
//! use tower_conductorone::redis::{RedisConnection, RedisLedger, RedisReplayStore};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let redis = RedisConnection::to_server("redis://:password@redis.example.com:6379")?;
//! let ledger = RedisLedger::new(redis.clone());
//! let once = DeliverOnceLayer::builder().ledger("hooks", ledger).build()?;
//! let verify = VerifyWebhookLayer::builder()
//!     .public_url("https://hooks.example.com")
//!     .tenant("example.conductor.one")
//!     .replay_store(RedisReplayStore::new(redis))
//!     .build()?;
//! # Ok(())
//! # }
//! ```
//!
//! # Requirements for the server
//!
//! - **Redis 6.2 or newer, or Valkey**: a single server; a master named by Sentinels
//!   ([`RedisConnection::to_master`]); or a Redis Cluster: pass the
//!   `ClusterConnection` of the crate `redis` (its feature `cluster-async`) to
//!   [`RedisLedger::new`] and [`RedisReplayStore::new`].
//! - **Permissions** for `EVALSHA`, `EVAL`, `SET`, `GET` and `INFO`, and in scripts
//!   for `TIME`, `DEL` and the commands of hashes, sorted sets and expiry.
//! - **`maxmemory-policy noeviction`**. Every key expires by itself. Any other policy
//!   removes keys when memory is short, so that deliveries run again or are lost.
//!   With `noeviction` new deliveries are refused meanwhile (503), running ones
//!   continue, and recovery waits.
//! - **Protected access**: a password, TLS on shared networks, and no other users of
//!   these keys. The server holds deliveries, answers and callback URLs, each of
//!   which lets its bearer answer once in the receiver's place.
//!
//! # TLS
//!
//! `rediss://` needs the feature `redis-tls`: rustls, with the system's trust store
//! unless the [`ConnectionInfo`](redis::ConnectionInfo) has certificates. It uses
//! the process's `rustls::crypto::CryptoProvider`. If none is installed when the
//! first connection is opened, it installs that of aws-lc-rs.
//!
//! # What Redis can lose
//!
//! A **crash** loses the writes since the last `fsync`: those of a second with
//! `appendonly yes`, none with `appendfsync always`, and all since the last snapshot
//! without an append-only file. A **fail-over** loses the writes that the replica had
//! not received, since replication is asynchronous.
//!
//! - A lost claim lets a delivery run twice, even at the same time.
//! - A lost answer lets the delivery run again.
//! - A lost token id lets that token pass once more.
//! - A lost promise loses the delivery if its receiver crashes, too.
//!
//! `WAIT` would make this rarer, not impossible, for one more round trip; this crate
//! does not use it.
//!
//! Leases are measured on the server's clock: setting it forward ends them early.

mod connection;
mod keys;
mod ledger;
mod replay;
mod reply;
mod script;
mod store;

pub use self::connection::RedisConnection;
pub use self::ledger::RedisLedger;
pub use self::replay::RedisReplayStore;

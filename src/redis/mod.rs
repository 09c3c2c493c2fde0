//! A ledger and a replay store in Redis or Valkey, shared by all replicas of a
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
//! # What the server has to be
//!
//! - **Redis 6.2 or newer, or Valkey.** Alone; with Sentinels, by
//!   [`RedisConnection::to_master`]; or as a Redis Cluster, by the
//!   `ClusterConnection` of the crate `redis` (its feature `cluster-async`), which
//!   goes into [`RedisLedger::new`] and [`RedisReplayStore::new`].
//! - **Open to its user** for `EVALSHA`, `EVAL`, `SET`, `GET` and `INFO`, and in
//!   scripts for `TIME`, `DEL` and the commands of hashes, sorted sets and expiry.
//! - **`maxmemory-policy noeviction`.** Every key expires by itself, and every
//!   policy but this one removes others when memory is short: a delivery would
//!   then run again, or be lost. With it, what is new is refused meanwhile (503),
//!   what is under way goes on, and what crashed replicas have left waits.
//! - **Trusted.** It holds callback URLs, each of which lets its bearer answer
//!   for the receiver once, and the deliveries and answers themselves. So it
//!   wants a password, TLS on networks that are shared, and no other users of
//!   these keys.
//!
//! # TLS
//!
//! `rediss://` needs the feature `redis-tls`: rustls, with the system's trust
//! store unless the [`ConnectionInfo`](redis::ConnectionInfo) has certificates. It
//! uses the process's `rustls::crypto::CryptoProvider`; if none is installed when
//! the first connection is made, that of aws-lc-rs is installed.
//!
//! # What it cannot guarantee
//!
//! What Redis has acknowledged it may lose: a **crash** loses the writes since the
//! last `fsync` (a second's with `appendonly yes`, none with `appendfsync always`,
//! and without an append-only file all since the last snapshot), and a
//! **fail-over** loses those that the replica had not got yet, since replication
//! is asynchronous. A lost claim lets a delivery run twice, at the same time even;
//! a lost answer lets it run again; a lost token id lets that token pass once
//! more; a lost promise loses the delivery, if the receiver that was at work on it
//! goes down as well. `WAIT` would make that rarer, not impossible, for one more
//! round trip; this crate does not use it.
//!
//! Leases end by the server's clock: one that is set forward ends them early.

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

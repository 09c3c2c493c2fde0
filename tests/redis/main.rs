//! The ledger and the replay store, each in a real Redis.
#![cfg(feature = "redis")]

mod cluster;
mod ledger;
mod replay;
#[cfg(feature = "redis-tls")]
mod tls;
mod trouble;

use std::time::Duration;

use redis::{Cmd, FromRedisValue};
use support::redis_server::RedisServer;
use tower_conductorone::ledger::{Claimed, DeliveryKey, Lease, Ledger, LedgerError, Owner};
use tower_conductorone::redis::RedisConnection;

const TERM: Duration = Duration::from_secs(45);

fn connection(server: &RedisServer) -> RedisConnection {
    RedisConnection::to_server(server.url()).expect("a good URL")
}

/// A delivery's key, in any of the ledger's parts.
fn key(number: u8) -> DeliveryKey {
    DeliveryKey::from_bytes([number; 32])
}

async fn claim(ledger: &impl Ledger, number: u8) -> Result<Claimed, LedgerError> {
    ledger.claim(key(number), Owner::random(), TERM).await
}

async fn start(ledger: &impl Ledger, number: u8) -> Lease {
    match claim(ledger, number).await.expect("a reply") {
        Claimed::Started(lease) => lease,
        standing @ Claimed::Standing(_) => panic!("{number}: {standing:?}"),
    }
}

/// The reply to a command.
async fn ask<T: FromRedisValue>(server: &RedisServer, words: &[&str]) -> T {
    let command = Cmd::new().arg(words).to_owned();
    let reply = command.query_async(&mut connection(server)).await;
    reply.unwrap_or_else(|error| panic!("{words:?}: {error}"))
}

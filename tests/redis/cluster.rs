//! Redis Cluster, and Redis with Sentinels.

use std::time::{Duration, Instant};

use bytes::Bytes;
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::sentinel::{SentinelClient, SentinelServerType};
use tower_conductorone::ledger::{Claimed, Hold, Ledger, Name, Owner, Standing};
use tower_conductorone::redis::{RedisConnection, RedisLedger, RedisReplayStore};
use tower_conductorone::testing::conformance;

use crate::ledger::ledgers;
use crate::{TERM, ask, claim, key, start};
use support::redis_server::RedisServer;

/// Waits until a server says so.
async fn until_it_says(server: &RedisServer, words: &[&str], expected: &str) {
    let asked = Instant::now();
    loop {
        let said: String = ask(server, words).await;
        if said.contains(expected) {
            return;
        }
        assert!(asked.elapsed() < Duration::from_secs(20), "{said}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Three nodes, each with a third of the slots.
async fn cluster() -> [RedisServer; 3] {
    let nodes = [(); 3].map(|()| RedisServer::start(&["cluster-enabled yes"]));
    let slots: Vec<_> = (0..16_384).map(|slot| slot.to_string()).collect();
    for ((node, part), epoch) in nodes.iter().zip(slots.chunks(5_462)).zip(["1", "2", "3"]) {
        let mut add = vec!["CLUSTER", "ADDSLOTS"];
        add.extend(part.iter().map(String::as_str));
        let () = ask(node, &add).await;
        let () = ask(node, &["CLUSTER", "SET-CONFIG-EPOCH", epoch]).await;
        let port = nodes[0].port().to_string();
        let () = ask(node, &["CLUSTER", "MEET", "127.0.0.1", &port]).await;
    }
    for node in &nodes {
        until_it_says(node, &["CLUSTER", "INFO"], "cluster_known_nodes:3").await;
        until_it_says(node, &["CLUSTER", "INFO"], "cluster_state:ok").await;
    }
    nodes
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rules_are_kept_in_a_cluster() {
    let nodes = cluster().await;
    let client = ClusterClient::new(vec![nodes[0].url()]).expect("a good URL");
    let connection = client.get_async_connection().await.expect("a cluster");
    conformance::ledger(ledgers(connection.clone()), tokio::time::sleep).await;
    conformance::replay_store(async || {
        for node in &nodes {
            let () = ask(node, &["FLUSHALL"]).await;
        }
        RedisReplayStore::new(connection.clone())
    })
    .await;
    // The ledger's parts are on different nodes.
    for number in 0..64 {
        start(&RedisLedger::new(connection.clone()), number).await;
    }
    for node in &nodes {
        let count: u32 = ask(node, &["DBSIZE"]).await;
        assert!(count > 4, "{count}");
    }
}

/// Moves keys of a slot from one node to another.
async fn move_keys(from: &RedisServer, to: &RedisServer, keys: &[String]) {
    let port = to.port().to_string();
    for key in keys {
        let migrate = ["MIGRATE", "127.0.0.1", &port, key, "0", "5000"];
        let () = ask(from, &migrate).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn promises_survive_that_a_slot_moves_to_another_node() {
    let nodes = cluster().await;
    // A step that has to wait for the rest of its keys fails soon.
    let client = ClusterClientBuilder::new(vec![nodes[0].url()])
        .retries(3)
        .min_retry_wait(1)
        .max_retry_wait(10)
        .build()
        .expect("a good URL");
    let connection = client.get_async_connection().await.expect("a cluster");
    let ledger = RedisLedger::new(connection);
    // In one part, and so in one slot.
    for number in [1, 17] {
        let lease = start(&ledger, number).await;
        let held = ledger.promise(lease, Bytes::from_static(b"work")).await;
        assert_eq!(held.expect("a reply"), Hold::Held);
        let held = ledger.release(lease, Duration::ZERO).await;
        assert_eq!(held.expect("a reply"), Hold::Held);
    }
    let slot: u16 = ask(&nodes[0], &["CLUSTER", "KEYSLOT", "c1:{01}:"]).await;
    let slot = slot.to_string();
    let mut parts = Vec::new();
    for node in nodes {
        let keys = ["CLUSTER", "GETKEYSINSLOT", &slot, "100"];
        let keys: Vec<String> = ask(&node, &keys).await;
        parts.push((node, keys));
    }
    parts.sort_by_key(|(_, keys)| keys.is_empty());
    let [(from, keys), (to, _), _] = &parts[..] else {
        panic!("three nodes");
    };
    let from_id: String = ask(from, &["CLUSTER", "MYID"]).await;
    let to_id: String = ask(to, &["CLUSTER", "MYID"]).await;
    let set = ["CLUSTER", "SETSLOT", &slot];
    let () = ask(to, &[&set[..], &["IMPORTING", &from_id]].concat()).await;
    let () = ask(from, &[&set[..], &["MIGRATING", &to_id]].concat()).await;

    let take = async || {
        let taken = ledger.take(Name::NONE, Owner::random(), TERM).await;
        taken.map(|taken| taken.map(|taken| taken.lease.key()))
    };
    let is_record = |name: &&String| !name.contains(":due") && !name.contains(":ends");
    let (records, indexes): (Vec<_>, Vec<_>) = keys.iter().cloned().partition(|n| is_record(&n));
    assert_eq!(records.len(), 2, "{keys:?}");
    // What is due is known there, what it is is not yet.
    move_keys(from, to, &indexes).await;
    for _ in 0..4 {
        let taken = take().await;
        assert!(matches!(taken, Ok(None) | Err(_)), "{taken:?}");
    }
    move_keys(from, to, &records).await;
    for node in [to, from] {
        let () = ask(node, &[&set[..], &["NODE", &to_id]].concat()).await;
    }
    // What was passed over is looked at again later, or now.
    for index in indexes.iter().filter(|name| name.contains(":due")) {
        let ids: Vec<String> = ask(to, &["ZRANGE", index, "0", "-1"]).await;
        for id in ids {
            let () = ask(to, &["ZADD", index, "0", &id]).await;
        }
    }
    let asked = Instant::now();
    let mut taken = Vec::new();
    while taken.len() < 2 && asked.elapsed() < Duration::from_secs(10) {
        taken.extend(take().await.ok().flatten());
    }
    taken.sort();
    assert_eq!(taken, [key(1), key(17)]);
}

#[tokio::test]
async fn the_master_is_followed_that_the_sentinels_name() {
    let no_delay = "repl-diskless-sync-delay 0";
    let mut old = RedisServer::start(&[no_delay]);
    let port = old.port();
    let new = RedisServer::start(&[&format!("replicaof 127.0.0.1 {port}")]);
    until_it_says(&new, &["INFO", "replication"], "master_link_status:up").await;
    let sentinel = RedisServer::start(&[
        &format!("sentinel monitor main 127.0.0.1 {port} 1"),
        "sentinel down-after-milliseconds main 300",
        "sentinel failover-timeout main 1000",
    ]);
    until_it_says(&sentinel, &["INFO", "sentinel"], "slaves=1").await;

    // Without TLS the crate takes nothing but a String.
    let name = String::from("main");
    let sentinels = vec![sentinel.url()];
    let client = SentinelClient::build(sentinels, name, None, SentinelServerType::Master);
    let connection = RedisConnection::to_master(client.expect("a good URL"));
    let ledger = RedisLedger::new(connection);
    start(&ledger, 1).await;
    // What the replica has got survives.
    until_it_says(&new, &["DBSIZE"], "1").await;
    old.kill();
    let failed = Instant::now();
    let known = loop {
        let asked = Instant::now();
        match claim(&ledger, 1).await {
            Ok(claimed) => break claimed,
            Err(error) => assert!(failed.elapsed() < Duration::from_secs(30), "{error}"),
        }
        assert!(
            asked.elapsed() < Duration::from_secs(6),
            "it is told in time"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(known, Claimed::Standing(Standing::Running));
    start(&ledger, 2).await;
}

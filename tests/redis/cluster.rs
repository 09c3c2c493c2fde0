//! Redis Cluster, and Redis with Sentinels.

use std::time::{Duration, Instant};

use redis::cluster::ClusterClient;
use redis::sentinel::{SentinelClient, SentinelServerType};
use tower_conductorone::ledger::{Claimed, Standing};
use tower_conductorone::redis::{RedisConnection, RedisLedger, RedisReplayStore};
use tower_conductorone::testing::conformance;

use crate::ledger::ledgers;
use crate::server::RedisServer;
use crate::{ask, claim, start};

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

#[tokio::test(flavor = "multi_thread")]
async fn the_rules_are_kept_in_a_cluster() {
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

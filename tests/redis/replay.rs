//! What the replay store does, and for how long it tries.

use std::time::{Duration, Instant, SystemTime};

use tower_conductorone::redis::RedisReplayStore;
use tower_conductorone::replay::{Claim, ReplayStore, ReplayStoreError, TokenId};
use tower_conductorone::testing::conformance;

use crate::{ask, connection};
use support::redis_server::RedisServer;

async fn claim(store: &impl ReplayStore, jti: &str) -> Result<Claim, ReplayStoreError> {
    let now = SystemTime::now();
    let id = TokenId::new("example.conductor.one", jti);
    store.claim(id, now, now + Duration::from_secs(150)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_keeps_the_rules_of_all_stores() {
    let server = RedisServer::start(&[]);
    conformance::replay_store(async || {
        let () = ask(&server, &["FLUSHALL"]).await;
        RedisReplayStore::new(connection(&server))
    })
    .await;
}

#[tokio::test]
async fn replicas_share_what_was_seen() {
    let server = RedisServer::start(&[]);
    let stores = [(); 2].map(|()| RedisReplayStore::at(server.url()).expect("a good URL"));
    let [one, two] = &stores;
    assert_eq!(claim(one, "id").await.expect("a reply"), Claim::First);
    assert_eq!(claim(two, "id").await.expect("a reply"), Claim::Seen);
    let other = RedisReplayStore::at(server.url())
        .expect("a good URL")
        .prefix("other:");
    assert_eq!(claim(&other, "id").await.expect("a reply"), Claim::First);
}

#[tokio::test]
async fn an_id_is_kept_five_minutes_longer_than_its_token() {
    let server = RedisServer::start(&[]);
    let store = RedisReplayStore::new(connection(&server));
    assert_eq!(claim(&store, "id").await.expect("a reply"), Claim::First);
    let name = "c1:jti:21:example.conductor.one:id";
    let left: u64 = ask(&server, &["PTTL", name]).await;
    assert!((445_000..=450_000).contains(&left), "{left}");
}

#[tokio::test]
async fn a_claim_waits_for_a_server_that_comes_back() {
    let mut server = RedisServer::start(&[]);
    let store = RedisReplayStore::at(server.url()).expect("a good URL");
    server.kill();
    let back = async {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        server.restart();
    };
    let (claimed, ()) = tokio::join!(claim(&store, "id"), back);
    assert_eq!(claimed.expect("a reply"), Claim::First);
}

#[tokio::test]
async fn a_claim_that_was_carried_out_unheard_is_the_first_all_the_same() {
    let server = RedisServer::start(&[]);
    let store = RedisReplayStore::new(connection(&server));
    assert_eq!(claim(&store, "id").await.expect("a reply"), Claim::First);
    server.pause();
    let back = async {
        // The first try has been given up by then, and is carried out later.
        tokio::time::sleep(Duration::from_millis(3_500)).await;
        server.resume();
    };
    let (claimed, ()) = tokio::join!(claim(&store, "another"), back);
    assert_eq!(claimed.expect("a reply"), Claim::First);
    assert_eq!(
        claim(&store, "another").await.expect("a reply"),
        Claim::Seen
    );
}

#[tokio::test]
async fn patience_may_be_endless() {
    let mut server = RedisServer::start(&[]);
    server.kill();
    let store = RedisReplayStore::at(server.url()).expect("a good URL");
    let store = store.patience(Duration::MAX);
    let back = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        server.restart();
    };
    let (claimed, ()) = tokio::join!(claim(&store, "id"), back);
    assert_eq!(claimed.expect("a reply"), Claim::First);
}

#[tokio::test]
async fn patience_ends() {
    let mut server = RedisServer::start(&[]);
    server.kill();
    for (patience, most) in [(0, 500), (2_000, 3_000)] {
        let store = RedisReplayStore::at(server.url()).expect("a good URL");
        let store = store.patience(Duration::from_millis(patience));
        let asked = Instant::now();
        let error = claim(&store, "id").await.expect_err("nobody there");
        let waited = asked.elapsed();
        assert!(waited < Duration::from_millis(most), "{waited:?}");
        assert!(
            waited + Duration::from_secs(1) > Duration::from_millis(patience),
            "{waited:?}"
        );
        assert!(error.to_string().contains("Connection refused"), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_is_full_is_an_error_at_once() {
    let server = RedisServer::start(&["maxmemory-policy noeviction"]);
    let store = RedisReplayStore::new(connection(&server));
    assert_eq!(claim(&store, "id").await.expect("a reply"), Claim::First);
    let () = ask(&server, &["CONFIG", "SET", "maxmemory", "1"]).await;
    let asked = Instant::now();
    let error = claim(&store, "another").await.expect_err("full");
    assert!(asked.elapsed() < Duration::from_secs(1), "{error}");
    assert!(error.to_string().contains("OOM"), "{error}");
}

//! Redis is away, hangs, or is not what it was.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use redis::sentinel::{SentinelClient, SentinelServerType};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tower_conductorone::ledger::{
    Claimed, Death, Finished, Hold, Ledger, Posted, RecordedAnswer, Revival, Standing,
};
use tower_conductorone::redis::{RedisConnection, RedisLedger};

use crate::{ask, claim, connection, key, start};
use support::log::Log;
use support::redis_server::RedisServer;

#[tokio::test]
async fn a_server_that_is_gone_is_an_error_at_once_and_then_found_again() {
    let mut server = RedisServer::start(&[]);
    let ledger = RedisLedger::at(server.url()).expect("a good URL");
    start(&ledger, 1).await;
    server.kill();
    for _ in 0..3 {
        let asked = Instant::now();
        let error = claim(&ledger, 2).await.expect_err("gone").to_string();
        assert!(error.starts_with("Redis: "), "{error}");
        assert!(asked.elapsed() < Duration::from_secs(1), "{error}");
    }
    let error = claim(&ledger, 2).await.expect_err("gone").to_string();
    let port = server.port();
    assert!(
        error.contains(&format!("127.0.0.1:{port}: Connection refused")),
        "{error}"
    );
    server.restart();
    // It has forgotten the scripts, too.
    start(&ledger, 2).await;
}

#[tokio::test]
async fn a_receiver_may_start_before_its_redis() {
    let mut server = RedisServer::start(&[]);
    server.kill();
    let ledger = RedisLedger::at(server.url()).expect("a good URL");
    claim(&ledger, 1).await.expect_err("not yet there");
    server.restart();
    start(&ledger, 1).await;
}

#[tokio::test]
async fn a_server_that_hangs_is_an_error_within_seconds_and_then_found_again() {
    let server = RedisServer::start(&[]);
    let ledger = Arc::new(RedisLedger::new(connection(&server)));
    let lease = start(&*ledger, 1).await;
    server.pause();
    // Those of the second round have to connect anew, which nobody answers either.
    for round in 1..=2 {
        let asked = Instant::now();
        let claims = (0..200).map(|_| {
            let ledger = Arc::clone(&ledger);
            async move { claim(&*ledger, 2).await }
        });
        for claimed in claims.collect::<JoinSet<_>>().join_all().await {
            claimed.expect_err("no answer");
        }
        let waited = asked.elapsed();
        assert!(waited < Duration::from_secs(6), "{round}: {waited:?}");
    }
    server.resume();
    let finished = ledger.finish(lease, RecordedAnswer::new(200, "{}")).await;
    assert_eq!(finished.expect("a reply"), Finished::Answered);
}

/// Passes connections on to the port that is set, as a name that leads to
/// another server after a fail-over.
async fn relay(to: watch::Receiver<u16>) -> u16 {
    slow_relay(to, Duration::ZERO).await
}

/// The same for a server that takes so long to accept a connection.
async fn slow_relay(to: watch::Receiver<u16>, delay: Duration) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            let to = *to.borrow();
            tokio::spawn(async move {
                sleep(delay).await;
                let mut to = TcpStream::connect(("127.0.0.1", to)).await?;
                copy_bidirectional(&mut from, &mut to).await
            });
        }
    });
    port
}

#[tokio::test]
async fn a_server_that_became_a_replica_is_left_for_the_new_master() {
    let (old, new) = (RedisServer::start(&[]), RedisServer::start(&[]));
    let (switch, to) = watch::channel(old.port());
    let port = relay(to).await;
    let ledger = RedisLedger::at(format!("redis://127.0.0.1:{port}")).expect("a good URL");
    start(&ledger, 1).await;
    let master = new.port().to_string();
    let () = ask(&old, &["REPLICAOF", "127.0.0.1", &master]).await;
    switch.send(new.port()).expect("a relay");
    let error = claim(&ledger, 2).await.expect_err("a replica").to_string();
    assert!(error.contains("read only replica"), "{error}");
    start(&ledger, 2).await;
}

#[tokio::test]
async fn a_server_that_falls_silent_is_left_by_whoever_gives_up() {
    let (old, new) = (RedisServer::start(&[]), RedisServer::start(&[]));
    let (switch, to) = watch::channel(old.port());
    let port = relay(to).await;
    let ledger = RedisLedger::at(format!("redis://127.0.0.1:{port}")).expect("a good URL");
    start(&ledger, 1).await;
    old.pause();
    switch.send(new.port()).expect("a relay");
    let impatient = timeout(Duration::from_millis(500), claim(&ledger, 2));
    assert!(impatient.await.is_err(), "the old one is silent");
    let patient = timeout(Duration::from_secs(2), claim(&ledger, 2));
    let claimed = patient.await.expect("the new one").expect("a reply");
    assert!(matches!(claimed, Claimed::Started(_)), "{claimed:?}");
    old.resume();
}

/// The first claim that is answered, of callers who each wait for 200 ms.
async fn claimed_impatiently(ledger: &impl Ledger, number: u8) -> Claimed {
    let asked = Instant::now();
    loop {
        let impatient = timeout(Duration::from_millis(200), claim(ledger, number));
        if let Ok(Ok(claimed)) = impatient.await {
            return claimed;
        }
        let waited = asked.elapsed();
        assert!(waited < Duration::from_secs(10), "still not connected");
        // A command that fails at once is not asked again at once.
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn connecting_goes_on_when_those_who_wait_for_it_give_up() {
    let server = RedisServer::start(&[]);
    let (_keep, to) = watch::channel(server.port());
    let port = slow_relay(to, Duration::from_millis(300)).await;
    let ledger = RedisLedger::at(format!("redis://127.0.0.1:{port}")).expect("a good URL");
    let claimed = claimed_impatiently(&ledger, 1).await;
    assert!(matches!(claimed, Claimed::Started(_)), "{claimed:?}");
}

#[tokio::test]
async fn a_sentinel_that_hangs_does_not_hide_the_next_one() {
    let master = RedisServer::start(&[]);
    let port = master.port();
    let sentinel = RedisServer::start(&[&format!("sentinel monitor main 127.0.0.1 {port} 1")]);
    let hung = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let hung = format!("redis://{}", hung.local_addr().expect("bound"));
    // Without TLS the crate takes nothing but a String.
    let name = String::from("main");
    let client = SentinelClient::build(
        vec![hung, sentinel.url()],
        name,
        None,
        SentinelServerType::Master,
    );
    let connection = RedisConnection::to_master(client.expect("a good URL"));
    let claimed = claimed_impatiently(&RedisLedger::new(connection), 1).await;
    assert!(matches!(claimed, Claimed::Started(_)), "{claimed:?}");
}

#[tokio::test]
async fn connecting_fails_for_all_who_wait_and_is_begun_anew() {
    let mut server = RedisServer::start(&[]);
    server.kill();
    let ledger = Arc::new(RedisLedger::at(server.url()).expect("a good URL"));
    let claims = (0..100).map(|_| {
        let ledger = Arc::clone(&ledger);
        async move { claim(&*ledger, 1).await }
    });
    for claimed in claims.collect::<JoinSet<_>>().join_all().await {
        let error = claimed.expect_err("nobody there").to_string();
        assert!(error.contains("Connection refused"), "{error}");
    }
    server.restart();
    start(&*ledger, 1).await;
}

#[tokio::test]
async fn full_memory_refuses_new_deliveries_and_ends_those_it_knows() {
    let server = RedisServer::start(&["maxmemory-policy noeviction"]);
    let ledger = RedisLedger::new(connection(&server));
    let lease = start(&ledger, 1).await;
    let answered = start(&ledger, 2).await;
    let (released, promised) = (start(&ledger, 4).await, start(&ledger, 5).await);
    let stored = start(&ledger, 6).await;
    let held = ledger.promise(stored, "work".into()).await;
    assert_eq!(held.expect("a reply"), Hold::Held);
    let finished = ledger
        .finish(answered, RecordedAnswer::new(200, "{}"))
        .await;
    assert_eq!(finished.expect("a reply"), Finished::Answered);
    let () = ask(&server, &["CONFIG", "SET", "maxmemory", "1"]).await;
    let error = claim(&ledger, 3).await.expect_err("full").to_string();
    assert!(error.contains("OOM"), "{error}");
    let term = Duration::from_secs(45);
    assert_eq!(
        ledger.renew(lease, term).await.expect("a reply"),
        Hold::Held
    );
    let finished = ledger.finish(lease, RecordedAnswer::new(200, "{}")).await;
    assert_eq!(finished.expect("a reply"), Finished::Answered);
    let held = ledger.release(released, Duration::ZERO).await;
    assert_eq!(held.expect("a reply"), Hold::Held);
    let held = ledger.promise(promised, "work".into()).await;
    assert_eq!(held.expect("a reply"), Hold::Held);
    let finished = ledger.finish(stored, RecordedAnswer::new(200, "{}")).await;
    let finished = finished.expect("a reply");
    let Finished::Stored(sending) = finished else {
        panic!("{finished:?}");
    };
    let held = ledger.postpone(sending, term, Posted::No).await;
    assert_eq!(held.expect("a reply"), Hold::Held);
    // What is given up is kept, and put back when there is room.
    let held = ledger.bury(promised, Death::new("no use")).await;
    assert_eq!(held.expect("a reply"), Hold::Held);
    let error = ledger.revive(promised.key()).await.expect_err("full");
    assert!(error.is_full(), "{error}");
    let page = ledger.dead(None).await.expect("a reply");
    let dead: Vec<_> = page.deliveries.iter().map(|dead| dead.key).collect();
    assert_eq!(dead, [promised.key()]);
    let known = Standing::Answered(RecordedAnswer::new(200, "{}"));
    let again = claim(&ledger, 2).await.expect("a reply");
    assert_eq!(again, Claimed::Standing(known));
    let () = ask(&server, &["CONFIG", "SET", "maxmemory", "0"]).await;
    let revived = ledger.revive(promised.key()).await;
    assert_eq!(revived.expect("a reply"), Revival::Revived);
}

#[tokio::test]
async fn no_error_and_no_debug_shows_a_secret() {
    // Each with the password that must not appear.
    let mut shown = Vec::new();
    for url in [
        "redis://user:hunter2@",
        "redis://user:hunter2@127.0.0.1:port",
        "redis://user:hunter2@127.0.0.1/many",
        "http://user:hunter2@127.0.0.1",
        "user:hunter2@127.0.0.1",
    ] {
        let error = RedisLedger::at(url).expect_err(url);
        shown.push(format!("{error} {error:?}"));
    }
    // Refused at once without TLS, and with it by a server that does not speak it.
    let server = RedisServer::start(&["requirepass another"]);
    let error = match RedisLedger::at(format!("rediss://user:hunter2@127.0.0.1:{}", server.port()))
    {
        Ok(ledger) => {
            shown.push(format!("{ledger:?}"));
            format!("{:?}", claim(&ledger, 1).await.expect_err("no TLS"))
        }
        Err(error) => format!("{error} {error:?}"),
    };
    shown.push(error);
    let url = format!("redis://:hunter2@127.0.0.1:{}", server.port());
    let ledger = RedisLedger::at(url.as_str()).expect("a good URL");
    let bare = RedisConnection::to_server(url).expect("a good URL");
    shown.push(format!("{ledger:?} {bare:?}"));
    let error = claim(&ledger, 1).await.expect_err("a wrong password");
    assert!(error.to_string().contains("127.0.0.1"), "{error}");
    shown.push(format!("{error} {error:?}"));

    // It is told what the command was given by a server that does not know it.
    let server = RedisServer::start(&["rename-command EVAL hidden"]);
    let ledger = RedisLedger::at(server.url()).expect("a good URL");
    let error = claim(&ledger, 1).await.expect_err("an unknown command");
    assert!(error.to_string().contains("unknown command"), "{error}");
    shown.push(format!("{error} {error:?}").replace("01010101", "hunter2"));

    let ledger = RedisLedger::new(connection(&RedisServer::start(&[])));
    shown.push(format!("{ledger:?}"));
    for text in shown {
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[tokio::test]
async fn a_delivery_that_is_kept_is_in_no_error() {
    let server = RedisServer::start(&[]);
    let ledger = RedisLedger::new(connection(&server));
    let lease = start(&ledger, 1).await;
    // As if somebody else had used the same prefix.
    let () = ask(&server, &["SET", "c1:{01}:due:0000000000000000", "hidden"]).await;
    let secret = Bytes::from_static(b"https://example.conductor.one/callback/hidden");
    let error = ledger.promise(lease, secret).await.expect_err("wrong type");
    let error = format!("{error} {error:?}");
    assert!(
        error.contains("WRONGTYPE") && !error.contains("hidden"),
        "{error}"
    );
    let found = ledger.find(key(1)).await.expect("a reply");
    assert_eq!(found, Some(Standing::Running), "nothing was half done");
}

#[tokio::test]
async fn a_server_that_may_evict_records_is_warned_of() {
    for (policy, warned) in [("noeviction", false), ("volatile-lru", true)] {
        let server = RedisServer::start(&[&format!("maxmemory-policy {policy}")]);
        let log = Log::default();
        let _capturing = log.capture(tracing::Level::WARN);
        start(&RedisLedger::new(connection(&server)), 1).await;
        let log = log.take();
        assert_eq!(log.contains("maxmemory-policy noeviction"), warned, "{log}");
    }
}

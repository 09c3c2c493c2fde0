use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::Rule;
use super::deduplication::all;
use crate::replay::{Claim, ReplayStore, TokenId};

const TENANT: &str = "example.conductor.one";

/// Tests all rules of a [`ReplayStore`].
///
/// `make` returns an empty store.
///
/// # Panics
/// If the store breaks a rule, or fails.
pub async fn replay_store<S: ReplayStore>(make: impl AsyncFn() -> S) {
    let now = SystemTime::now();
    {
        let _rule = Rule("an id is claimed once");
        once(&make().await, now).await;
    }
    {
        let _rule = Rule("one of simultaneous claims is the first");
        simultaneous(Arc::new(make().await), now).await;
    }
    {
        let _rule = Rule("ids differ, and differ between tenants");
        ids(&make().await, now).await;
    }
    {
        let _rule = Rule("an id is kept until it expires");
        kept(&make().await, now).await;
    }
}

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

async fn claim(store: &impl ReplayStore, tenant: &str, jti: &str, now: SystemTime) -> Claim {
    let until = now + seconds(150);
    let claimed = store.claim(TokenId::new(tenant, jti), now, until).await;
    claimed.expect("a reply to a claim")
}

async fn once(store: &impl ReplayStore, now: SystemTime) {
    assert_eq!(claim(store, TENANT, "one", now).await, Claim::First);
    for _ in 0..3 {
        assert_eq!(claim(store, TENANT, "one", now).await, Claim::Seen);
    }
}

async fn simultaneous(store: Arc<impl ReplayStore>, now: SystemTime) {
    for round in ["one", "two", "three"] {
        let claims = all((0..100).map(|_| {
            let store = Arc::clone(&store);
            async move { claim(&*store, TENANT, round, now).await }
        }))
        .await;
        let first = claims.iter().filter(|claim| **claim == Claim::First);
        assert_eq!(first.count(), 1, "{round}");
    }
}

async fn ids(store: &impl ReplayStore, now: SystemTime) {
    let long = "a".repeat(256);
    let nearly = "a".repeat(255);
    let jtis = [
        "a",
        "A",
        "a ",
        " a",
        "a:b",
        "a\0",
        "ä",
        "%61",
        "*",
        "{a}",
        "a\r\nb",
        "\u{1F600}",
        &long,
        &nearly,
    ];
    // A careless concatenation would make some of these equal.
    let tenants = ["a.example", "a.example:a", "b.example"];
    for expected in [Claim::First, Claim::Seen] {
        for tenant in tenants {
            for jti in jtis.into_iter().chain(["a:a", "a:a:b"]) {
                let claimed = claim(store, tenant, jti, now).await;
                assert_eq!(claimed, expected, "{tenant} {jti:?}");
            }
        }
    }
}

async fn kept(store: &impl ReplayStore, now: SystemTime) {
    for (number, life) in [0, 1, 150, 3_600, 86_400].into_iter().enumerate() {
        let jti = format!("id {number}");
        let id = TokenId::new(TENANT, &jti);
        let until = now + seconds(life);
        for (now, expected) in [
            (now, Claim::First),
            (now, Claim::Seen),
            (until, Claim::Seen),
            // A replica whose clock is behind.
            (now - seconds(60), Claim::Seen),
        ] {
            let claimed = store.claim(id, now, until).await.expect("a reply");
            assert_eq!(claimed, expected, "{life} s");
        }
    }
}

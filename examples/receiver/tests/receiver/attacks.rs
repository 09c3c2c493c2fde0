//! Forged, malformed and hostile requests.

use support::DOMAIN;
use tower_conductorone::testing::{AttackPack, FakeTenant};

use crate::process::{Receiver, serve};

#[tokio::test]
async fn it_stands_every_attack() {
    let tenant = FakeTenant::new(DOMAIN);
    let jwks = serve(&tenant).await;
    let receiver = Receiver::ready(&jwks, &[]).await;
    let pack = AttackPack::new(&tenant, "https://hooks.example.com/webhooks");
    let url = format!("http://{}/webhooks", receiver.address);
    let report = pack.fire_at(&url).await.expect("it listens");
    report.assert_clean();
    assert!(report.results().len() >= 60, "{report}");
    receiver.stop().await;
}

//! What receivers that share a store have in common.

use std::time::Duration;

use support::DOMAIN;
use tower_conductorone::testing::simulator::{CallbackServer, Simulator};
use tower_conductorone::testing::{FakeTenant, JwksServer};

use crate::process::{PUBLIC_URL, Receiver, command, serve};

/// For how long a receiver may be silent.
const LEASE: Duration = Duration::from_secs(3);

pub(crate) struct World {
    pub(crate) tenant: FakeTenant,
    pub(crate) simulator: Simulator,
    jwks: JwksServer,
    callbacks: CallbackServer,
    store: Vec<String>,
}

impl World {
    /// Receivers with these flags for their store.
    pub(crate) async fn on(store: &[&str]) -> Self {
        let tenant = FakeTenant::new(DOMAIN);
        let pauses = Duration::from_millis(300)..=Duration::from_millis(1500);
        let simulator = Simulator::new(&tenant).pauses(pauses);
        Self {
            jwks: serve(&tenant).await,
            callbacks: simulator.callbacks().serve().await.expect("a port"),
            store: store.iter().map(ToString::to_string).collect(),
            simulator,
            tenant,
        }
    }

    pub(crate) async fn receiver(&self, flags: &str) -> Receiver {
        let mut command = command();
        command
            .env("RUST_LOG", "info")
            .args(PUBLIC_URL)
            .args(["--listen", "127.0.0.1:0", "--tenant", DOMAIN, "--log-json"])
            .args(["--jwks-url", &self.jwks.url()])
            .args(&self.store)
            .args(["--callback-origin", &self.callbacks.origin()])
            .args(["--lease-ms", &LEASE.as_millis().to_string()])
            .args(flags.split_whitespace());
        let mut receiver = Receiver::run(command).await;
        receiver.wait_for_log("keys of every tenant").await;
        receiver
    }
}

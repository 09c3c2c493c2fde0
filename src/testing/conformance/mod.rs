//! Conformance tests for your own `Ledger` and `ReplayStore`.
//!
//! Each function tests all rules of one port, each against a new and empty store.
//! It panics at the first broken rule and prints the rule's name to stderr.
//!
//! ```
//! use std::time::Duration;
//! use tower_conductorone::ledger::MemoryLedger;
//! use tower_conductorone::replay::MemoryReplayStore;
//! use tower_conductorone::testing::conformance;
//!
//! # fn main() -> std::io::Result<()> {
//! # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
//! conformance::replay_store(async || MemoryReplayStore::default()).await;
//! conformance::ledger(async || MemoryLedger::default(), tokio::time::advance).await;
//! # });
//! # Ok(())
//! # }
//! ```

mod against_memory;
mod backlog;
mod callback;
mod dead;
mod deduplication;
mod ledger;
mod replay;
mod trial;

pub use self::ledger::ledger;
pub use self::replay::replay_store;

/// Prints the rule that is being tested if the test panics.
struct Rule(&'static str);

impl Drop for Rule {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("broken rule: {}", self.0);
        }
    }
}

//! What every store has to hold, as tests for stores of one's own.
//!
//! Each function runs all the rules of one port, one after the other, each
//! against a new and empty store, and panics where one is broken. The name of
//! the rule goes to the standard error.
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
mod callback;
mod deduplication;
mod ledger;
mod replay;
mod trial;

pub use self::ledger::ledger;
pub use self::replay::replay_store;

/// Tells which rule is being tried, if it fails.
struct Rule(&'static str);

impl Drop for Rule {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("broken rule: {}", self.0);
        }
    }
}

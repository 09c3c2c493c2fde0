//! Remembers deliveries, so that each is handled once.
//!
//! ConductorOne makes up to 50 attempts for a delivery, and any replica may
//! receive them. A [`Ledger`] decides which replica works on the delivery, keeps
//! the answer for duplicates, and keeps promised work until it is done.
//! [`MemoryLedger`] is the default.
//!
//! A delivery that is answered at once takes two calls:
//!
//! ```
//! use std::time::Duration;
//! use tower_conductorone::ledger::{
//!     Claimed, DeliveryKey, Finished, Ledger, MemoryLedger, Owner, RecordedAnswer, Standing,
//! };
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let ledger = MemoryLedger::default();
//! let key = DeliveryKey::from_bytes([7; 32]); // identifies the delivery
//! let term = Duration::from_secs(45);
//!
//! let Claimed::Started(lease) = ledger.claim(key, Owner::random(), term).await? else {
//!     panic!("nobody has claimed it before");
//! };
//! assert_eq!(lease.run(), 1);
//! // ... the handler runs here, once ...
//! let answer = RecordedAnswer::new(200, r#"{"version":"v1"}"#);
//! assert_eq!(ledger.finish(lease, answer.clone()).await?, Finished::Answered);
//!
//! // ConductorOne did not receive the answer, and retries:
//! let again = ledger.claim(key, Owner::random(), term).await?;
//! assert_eq!(again, Claimed::Standing(Standing::Answered(answer)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # States
//!
//! ```text
//!          claim              finish
//! (absent) ─────► running ──────────────► answered
//!                 │ ▲   │ promise
//!         release │ │   ▼            finish          called_back
//!       or lease  │ │ running, ──────────────► stored ──────────► called back
//!       ran out   ▼ │ promised               │ ▲
//!              released │ ▲               postpone │ take
//!                  take │ │ begin
//!                       ▼ │
//!                      taken       bury: a promised or stored delivery is dead
//!                                  revive: a dead one is promised or stored again
//! ```
//!
//! - **running**: one [`Lease`] lets its holder do the work, and is renewed while
//!   the work lasts. After the lease expires or is released, the next claim
//!   starts the next run.
//! - **answered**: final. Every duplicate gets the same answer.
//! - **promised**: ConductorOne was answered 202 and makes no more attempts. The
//!   ledger keeps what is needed to repeat the work. When no lease holds the
//!   delivery, [`take`](Ledger::take) hands it out, and a run may
//!   [begin](Ledger::begin).
//! - **stored**: the work is done, and its answer is not yet posted to the
//!   callback URL. The work never runs again; only the answer is posted.
//! - **dead**: promised, then given up, after too many runs or because ConductorOne
//!   refused the callback. The ledger keeps what is needed to do it again until the
//!   callback's deadline: [`dead`](Ledger::dead) lists it, and
//!   [`revive`](Ledger::revive) puts it back.
//!
//! # Guarantees
//!
//! While the store is linearizable, at most one lease of a delivery is in force,
//! an answer never changes, the holder of a lost lease can write nothing, and a
//! promised delivery is kept until its callback's deadline.
//!
//! A ledger cannot undo what a handler did. A handler that crashes, or continues
//! after its lease expired, may have done part of its work. The next run repeats
//! it, and [`Lease::run`] tells that it is not the first.

mod arc;
mod backlog;
mod dead;
mod error;
mod key_text;
mod lease;
mod memory;
#[cfg(test)]
mod model;
pub mod record;
mod reply;
mod retention;
mod state;

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

pub use self::backlog::Backlog;
pub use self::dead::{DeadDelivery, DeadPage, Death, Revival};
pub use self::error::LedgerError;
pub use self::key_text::ParseDeliveryKeyError;
pub(crate) use self::lease::KeyDigest;
pub use self::lease::{DeliveryKey, Lease, Name, Owner};
pub use self::memory::MemoryLedger;
pub use self::reply::{Claimed, Finished, Hold, Posted, RecordedAnswer, Standing, Taken, Work};
pub use self::retention::{Retention, RetentionError};
#[cfg(feature = "redis")]
pub(crate) use self::state::millis;
pub use crate::fill::Fill;
use crate::future::BoxFuture;

/// Keeps one record for each delivery. To build one on a database or another store,
/// implement [`record::RecordStore`], which has the rules already.
///
/// **Atomic.** Every method is one atomic step on one record. A method that takes
/// a [`Lease`] is a compare-and-set: if that lease does not hold the record, it
/// changes nothing and returns `Lost`.
///
/// **Time.** Leases and pauses are measured on the store's clock, which all
/// replicas share, never on the caller's. None is longer than 2 hours. A lease
/// that expired still holds until another owner takes over: its holder may renew
/// it, or finish.
///
/// **Idempotent.** If the reply to a step is lost, repeat the step with the same
/// arguments: it returns the same reply. Only [`take`](Self::take) and
/// [`resume`](Self::resume) do not: if their reply is lost, the delivery is due
/// again when the lease expires, and no run is counted. And a
/// [`revive`](Self::revive) that is repeated finds the delivery
/// [not dead](Revival::NotDead).
///
/// **Retention.** A record is kept for [`Retention::finished`] after its last
/// step, and a promised or dead one at least for [`Retention::callback`] after the
/// promise. A ledger without room may drop dead ones earlier.
///
/// A ledger does not interpret deliveries and answers. They are secrets: never log
/// them.
///
/// # Errors
/// Every method returns [`LedgerError`] if it cannot tell whether the step was
/// taken. If the store is out of reach, return the error within a few seconds:
/// the request is answered 503, and ConductorOne retries it.
pub trait Ledger: fmt::Debug + Send + Sync + 'static {
    /// Starts a run of a delivery, unless one is in progress or the delivery has
    /// ended.
    ///
    /// A delivery that is new, or whose unpromised run lost its lease or was
    /// released, is [`Started`](Claimed::Started) with the next run number. An
    /// owner that holds the lease already gets it again, for a new `term`: use a
    /// new [`Owner`] for each claim, and the same one to repeat a claim whose
    /// reply was lost. Otherwise nothing changes.
    fn claim(
        &self,
        key: DeliveryKey,
        owner: Owner,
        term: Duration,
    ) -> BoxFuture<'_, Result<Claimed, LedgerError>>;

    /// Returns a delivery's state without changing it; `None` if the delivery is
    /// unknown. A duplicate polls this while another replica runs the delivery.
    fn find(&self, key: DeliveryKey) -> BoxFuture<'_, Result<Option<Standing>, LedgerError>>;

    /// Extends a lease to `term` from now.
    fn renew(&self, lease: Lease, term: Duration) -> BoxFuture<'_, Result<Hold, LedgerError>>;

    /// Records, before 202 is answered, that the answer will follow. `delivery` has all that
    /// another process needs to do the work. The run continues under its lease. Changes
    /// nothing if it is recorded already: [`refresh`](Self::refresh) may have replaced it.
    fn promise(&self, lease: Lease, delivery: Bytes) -> BoxFuture<'_, Result<Hold, LedgerError>>;

    /// Ends a run with its answer. Duplicates get this answer from now on. The
    /// answer of a promised delivery is instead stored for its callback, and the
    /// lease becomes that of the first attempt to post it.
    fn finish(
        &self,
        lease: Lease,
        answer: RecordedAnswer,
    ) -> BoxFuture<'_, Result<Finished, LedgerError>>;

    /// Ends a run without an answer. The next run may start after `pause`: by a
    /// claim or, if the delivery is promised, by [`take`](Self::take).
    fn release(&self, lease: Lease, pause: Duration) -> BoxFuture<'_, Result<Hold, LedgerError>>;

    /// Replaces the `delivery` of a promise, if the delivery is promised or its
    /// answer stored: a later attempt of ConductorOne may bring another callback
    /// URL. The lease does not change. Otherwise nothing changes.
    fn refresh(&self, key: DeliveryKey, delivery: Bytes) -> BoxFuture<'_, Result<(), LedgerError>>;

    /// Takes over one promised delivery of this layer that no lease holds, if there
    /// is one: the longest due first, if the store can tell. The caller then
    /// [begins](Self::begin) a run, or makes the next attempt to post the answer.
    ///
    /// Skips records that a newer version of the store wrote.
    fn take(
        &self,
        layer: Name,
        owner: Owner,
        term: Duration,
    ) -> BoxFuture<'_, Result<Option<Taken>, LedgerError>>;

    /// Takes over this delivery, as [`take`](Self::take) does, if it is promised,
    /// due, and held by no lease.
    fn resume(
        &self,
        key: DeliveryKey,
        owner: Owner,
        term: Duration,
    ) -> BoxFuture<'_, Result<Option<Taken>, LedgerError>>;

    /// Begins the next run of a promised delivery that was taken over. The run is
    /// counted here, not in [`take`](Self::take), whose reply may have been lost.
    /// Returns a new lease, for `term` from now.
    fn begin(
        &self,
        lease: Lease,
        term: Duration,
    ) -> BoxFuture<'_, Result<Option<Lease>, LedgerError>>;

    /// Ends an attempt to post the stored answer. The next one may start after
    /// `pause`. `posted` says whether this attempt may have posted the answer.
    fn postpone(
        &self,
        lease: Lease,
        pause: Duration,
        posted: Posted,
    ) -> BoxFuture<'_, Result<Hold, LedgerError>>;

    /// Ends a stored delivery: ConductorOne has received its answer.
    fn called_back(&self, lease: Lease) -> BoxFuture<'_, Result<Hold, LedgerError>>;

    /// Gives up a promised or stored delivery, and keeps what [`revive`](Self::revive) needs
    /// until the callback's deadline. An answer of status 410 is dropped, since it cannot be
    /// posted.
    fn bury(&self, lease: Lease, death: Death) -> BoxFuture<'_, Result<Hold, LedgerError>>;

    /// The dead deliveries of all layers: the first page, or the one
    /// [after](DeadPage::next) another.
    ///
    /// The order is the ledger's own. Each delivery that is dead during all calls is in
    /// one page.
    ///
    /// Skips records that a newer version of the store wrote.
    fn dead(&self, after: Option<DeliveryKey>) -> BoxFuture<'_, Result<DeadPage, LedgerError>>;

    /// Puts a dead delivery back as it was before it was given up, due at once and held
    /// by no lease: [`take`](Self::take) hands it out, for a run or, if its answer is
    /// stored, to post that.
    ///
    /// Earlier leases are invalid. The numbers of the runs continue; the limit of runs counts
    /// from [`Taken::revived_after`].
    fn revive(&self, key: DeliveryKey) -> BoxFuture<'_, Result<Revival, LedgerError>>;

    /// Counts this layer's promised and dead deliveries: for metrics. Each process that
    /// [recovers](crate::DeliverOnceLayer::recover) asks for it every 15 seconds.
    fn backlog(&self, layer: Name) -> BoxFuture<'_, Result<Backlog, LedgerError>>;

    /// How full it is, if it has a limit and can tell at once: for metrics. `None` by
    /// default.
    fn fill(&self) -> Option<Fill> {
        None
    }
}

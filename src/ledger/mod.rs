//! What is known of each delivery: the memory of deduplication.
//!
//! ConductorOne tries a delivery up to 50 times, and a server may run as many
//! replicas. A [`Ledger`] says which of them works at a delivery, keeps the
//! answer for all the others, and keeps accepted work until it is done.
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
//!                      taken       bury: a promised delivery is dead
//! ```
//!
//! - **running**: one [`Lease`] lets its holder do the work. It is renewed while
//!   the work lasts; once it ran out, or was released, the next claim starts the
//!   next run.
//! - **answered**: over, and every duplicate gets the same answer.
//! - **promised**: ConductorOne was told 202 and never asks again, so the ledger
//!   keeps what the work can be done again with, and hands it out by
//!   [`take`](Ledger::take) whenever no lease holds it, for a run to
//!   [begin](Ledger::begin).
//! - **stored**: the work is done, its answer not yet posted to the callback
//!   URL. It is never run again, only sent.
//!
//! A delivery that is answered at once costs two calls:
//!
//! ```
//! use std::time::Duration;
//! use tower_conductorone::ledger::{
//!     RecordedAnswer, Claimed, DeliveryKey, Finished, Ledger, MemoryLedger, Owner, Standing,
//! };
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let ledger = MemoryLedger::default();
//! let key = DeliveryKey::from_bytes([7; 32]); // a digest of what makes it this delivery
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
//! // ConductorOne did not hear it, and asks again:
//! let again = ledger.claim(key, Owner::random(), term).await?;
//! assert_eq!(again, Claimed::Standing(Standing::Answered(answer)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What it guarantees, and what it cannot
//!
//! While the store behind it is linearizable, at most one lease of a delivery is
//! in force, an answer once given never changes, who lost the lease can write
//! nothing, and a promised delivery is not forgotten before its callback's
//! deadline.
//!
//! It cannot reach into a handler. One that is cut off by a crash, or goes on
//! although its lease ran out, may have done some of its work; the next run
//! repeats it, and is told by [`Lease::run`] that it is not the first.

mod arc;
mod error;
mod key_text;
mod lease;
mod memory;
#[cfg(test)]
mod model;
mod reply;
mod retention;
mod state;

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

pub use self::error::LedgerError;
pub use self::key_text::ParseDeliveryKeyError;
pub use self::lease::{DeliveryKey, Lease, Name, Owner};
pub use self::memory::MemoryLedger;
pub use self::reply::{Claimed, Finished, Hold, Posted, RecordedAnswer, Standing, Taken, Work};
pub use self::retention::{Retention, RetentionError};
#[cfg(feature = "redis")]
pub(crate) use self::state::millis;
use crate::future::BoxFuture;

/// Remembers deliveries, each in one record.
///
/// **Atomic.** Every method is one atomic step at one record. Those that take a
/// [`Lease`] are a compare-and-set: they change the record only if it is that
/// very lease that holds it, else they answer `Lost` and change nothing.
///
/// **Time.** Leases and pauses are measured on the store's clock, which all
/// replicas share, never on the caller's. None is longer than 2 hours. A lease that ran out, but which nobody
/// took over, still holds: its holder may renew it, or finish.
///
/// **Repeatable.** Who does not hear the reply of a step may take it again with
/// the same arguments: a step that has been taken answers the same the second
/// time. Only [`take`](Self::take) and [`resume`](Self::resume) do not: what
/// they handed out unheard comes back when the lease has run out, and counts as no
/// run.
///
/// **Retention.** A record is kept for [`Retention::finished`] after its last
/// step, and a promised one at least until [`Retention::callback`] after the
/// promise.
///
/// Everything in it is opaque to a ledger. Deliveries and answers are secrets:
/// they belong into no log.
///
/// # Errors
/// Every method fails with [`LedgerError`] if it cannot be said whether the step
/// was taken. A store that is out of reach should say so within a few seconds.
/// A request is then answered 503, and ConductorOne tries it again.
pub trait Ledger: fmt::Debug + Send + Sync + 'static {
    /// Starts a run of a delivery, if none is under way and none has ended it.
    ///
    /// A delivery that is new, or whose unpromised run lost its lease or was
    /// released, is [`Started`](Claimed::Started) with the next number. The owner
    /// that holds the lease already gets it again, for a fresh `term`: so use a
    /// new [`Owner`] for each claim, and the same one to repeat a claim whose
    /// reply was lost. Otherwise nothing changes.
    fn claim(
        &self,
        key: DeliveryKey,
        owner: Owner,
        term: Duration,
    ) -> BoxFuture<'_, Result<Claimed, LedgerError>>;

    /// How a delivery stands, without changing it; `None` if it is unknown. For
    /// those who wait for the end of another replica's run.
    fn find(&self, key: DeliveryKey) -> BoxFuture<'_, Result<Option<Standing>, LedgerError>>;

    /// Extends a lease to `term` from now.
    fn renew(&self, lease: Lease, term: Duration) -> BoxFuture<'_, Result<Hold, LedgerError>>;

    /// Promises that the work will be done, before 202 is answered: `delivery`
    /// is what any process can do it with. The run goes on under its lease.
    fn promise(&self, lease: Lease, delivery: Bytes) -> BoxFuture<'_, Result<Hold, LedgerError>>;

    /// Ends a run with its answer. The answer of a promised delivery is stored
    /// for its callback, and the lease goes on as that of the first attempt to
    /// send it; any other is what every duplicate gets from now on.
    fn finish(
        &self,
        lease: Lease,
        answer: RecordedAnswer,
    ) -> BoxFuture<'_, Result<Finished, LedgerError>>;

    /// Gives up a run without an answer: the next one may start after `pause`,
    /// by a claim or, if it was promised, by [`take`](Self::take).
    fn release(&self, lease: Lease, pause: Duration) -> BoxFuture<'_, Result<Hold, LedgerError>>;

    /// Replaces what is kept with a promise, if the delivery is promised or its
    /// answer stored: a later attempt of ConductorOne may have brought another
    /// callback URL. Whoever holds the lease keeps it. Otherwise nothing changes.
    fn refresh(&self, key: DeliveryKey, delivery: Bytes) -> BoxFuture<'_, Result<(), LedgerError>>;

    /// Takes over one promised delivery of this layer that no lease holds, if there
    /// is any: the longest due first, as far as the store can tell. A run of it may
    /// then [begin](Self::begin), or its next attempt to send the answer is made.
    ///
    /// A record that a newer version of the store has written is left alone.
    fn take(
        &self,
        layer: Name,
        owner: Owner,
        term: Duration,
    ) -> BoxFuture<'_, Result<Option<Taken>, LedgerError>>;

    /// Takes over this delivery as [`take`](Self::take) does, if it is promised
    /// and due, and no lease holds it.
    fn resume(
        &self,
        key: DeliveryKey,
        owner: Owner,
        term: Duration,
    ) -> BoxFuture<'_, Result<Option<Taken>, LedgerError>>;

    /// Begins the next run of a promised delivery that was taken over: its number
    /// counts from here on, not from [`take`](Self::take), which nobody may have
    /// heard. The lease is another one, for `term` from now.
    fn begin(
        &self,
        lease: Lease,
        term: Duration,
    ) -> BoxFuture<'_, Result<Option<Lease>, LedgerError>>;

    /// Gives up an attempt to send the stored answer: the next one may start
    /// after `pause`. `posted` says whether this one may have posted it.
    fn postpone(
        &self,
        lease: Lease,
        pause: Duration,
        posted: Posted,
    ) -> BoxFuture<'_, Result<Hold, LedgerError>>;

    /// Ends a stored delivery: ConductorOne has got its answer.
    fn called_back(&self, lease: Lease) -> BoxFuture<'_, Result<Hold, LedgerError>>;

    /// Ends a promised or stored delivery that can no longer succeed. The reason
    /// is for whoever looks into the store: short, and without secrets.
    fn bury<'a>(
        &'a self,
        lease: Lease,
        reason: &'a str,
    ) -> BoxFuture<'a, Result<Hold, LedgerError>>;
}

//! Builds a [`Ledger`] on a store of your own: a database, a key-value service, a file.
//!
//! All rules of a ledger are in [`Step`]s, pure functions from the stored record and
//! the time to the record to write and the reply. A store only reads, lets the step
//! decide, and writes, atomically. Whatever implements [`RecordStore`] is a [`Ledger`].
//!
//! ```
//! use std::collections::HashMap;
//! use std::sync::{Mutex, PoisonError};
//! use std::time::Instant;
//!
//! use tower_conductorone::ledger::record::{Counts, Listed, RecordStore, Step, Stored};
//! use tower_conductorone::ledger::{DeliveryKey, LedgerError, Name};
//!
//! #[derive(Debug)]
//! struct MapLedger {
//!     start: Instant,
//!     records: Mutex<HashMap<DeliveryKey, Stored>>,
//! }
//!
//! impl MapLedger {
//!     /// Milliseconds on the store's clock.
//!     fn now(&self) -> u64 {
//!         self.start.elapsed().as_millis().try_into().unwrap_or(u64::MAX)
//!     }
//! }
//!
//! impl RecordStore for MapLedger {
//!     async fn step<R: Send + 'static>(&self, step: Step<R>) -> Result<R, LedgerError> {
//!         // The lock makes the step atomic.
//!         let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
//!         let (key, now) = (step.key(), self.now());
//!         let stored = records.get(&key);
//!         let (reply, change) = step.apply(stored, now)?;
//!         if let Some(change) = change {
//!             let written = change.onto(stored, now);
//!             records.insert(key, written);
//!         }
//!         Ok(reply)
//!     }
//!
//!     async fn due(&self, layer: Name, skip: usize) -> Result<Vec<DeliveryKey>, LedgerError> {
//!         let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
//!         let now = self.now();
//!         let mut due: Vec<_> = records
//!             .iter()
//!             .filter(|(key, stored)| key.layer() == layer && stored.is_due(now))
//!             .map(|(key, stored)| (stored.due_at, *key))
//!             .collect();
//!         due.sort();
//!         Ok(due.into_iter().skip(skip).map(|(_, key)| key).collect())
//!     }
//!
//!     async fn dead_keys(
//!         &self,
//!         after: Option<DeliveryKey>,
//!     ) -> Result<Vec<DeliveryKey>, LedgerError> {
//!         let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
//!         let mut dead: Vec<_> = records
//!             .iter()
//!             .filter(|(_, stored)| stored.listed == Some(Listed::Dead))
//!             .map(|(key, _)| *key)
//!             .filter(|key| Some(*key) > after)
//!             .collect();
//!         dead.sort();
//!         dead.truncate(100);
//!         Ok(dead)
//!     }
//!
//!     async fn counts(&self, layer: Name) -> Result<Counts, LedgerError> {
//!         let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
//!         let now = self.now();
//!         let mut counts = Counts::default();
//!         let of_layer = records.iter().filter(|(key, _)| key.layer() == layer);
//!         for (_, stored) in of_layer {
//!             counts.add(stored, now);
//!         }
//!         Ok(counts)
//!     }
//! }
//! # #[cfg(feature = "testing")]
//! # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
//! # use tower_conductorone::testing::conformance;
//! # let make = async || MapLedger { start: Instant::now(), records: Mutex::default() };
//! conformance::ledger(make, tokio::time::sleep).await;
//! # });
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! A store has two more duties: it deletes records some time after they
//! [expire](Stored::expires_at), and its [`due`](RecordStore::due) must be fast, by an
//! index over [`listed`](Stored::listed) and [`due_at`](Stored::due_at). One over `listed`
//! and `expires_at` makes its [`counts`](RecordStore::counts) fast.
//!
//! # What is stored
//!
//! A record is the six fields of [`Stored`]. [`state`](Stored::state) is one JSON
//! object:
//!
//! | member | value |
//! | --- | --- |
//! | `version` | 1, the version of this format |
//! | `stage` | `running`, `promised`, `answered`, `stored`, `called_back` or `dead`: see the [states](super#states). `promised`: the run continues, and ConductorOne was answered 202 |
//! | `owner` | who holds the lease, or held it last: 32 hexadecimal digits, new for each claim |
//! | `run` | the number of the run, from 1 |
//! | `attempt` | the number of the attempt to post the answer, from 1; 0 during a run |
//! | `held` | whether the lease holds. If not, `due_at` ends the pause before the next run or attempt |
//! | `status` | of `answered` and `stored`, and of `dead` if it has an answer: the answer's HTTP status |
//! | `posted` | of `stored`, and of `dead` if it has an answer: `no`, or `perhaps` if an attempt had no clear outcome |
//! | `revived_after` | of `promised`, `stored` and `dead`, if it was revived: the last run before |
//! | `outlives` | of `promised` and `stored`: for how many milliseconds the record is kept after the callback's deadline, which is `expires_at` less that. If it is absent, the reader's [`Retention::finished`] counts |
//! | `deadline` | of `dead`: the callback's deadline, in milliseconds of the store's clock. `due_at` is when it was given up |
//! | `reason` | of `dead`: why it was given up |
//! | `about` | of `dead`: an object with the `tenant`, the `event` and an object of `ids` |
//!
//! `state` holds no secret. [`delivery`](Stored::delivery) and
//! [`answer`](Stored::answer) do: the delivery has the webhook's payload and the
//! callback URL, with which anyone can answer in the receiver's place; the answer has
//! the response document, with its comments. A record has a delivery while it is
//! `promised`, `stored` or `dead`, and an answer while it is `answered` or `stored`, and
//! while it is `dead` if the answer could not be posted.
//!
//! A record whose `version` is greater than 1 was written by a newer release, and is
//! never changed: `claim`, `find` and `revive` return an error, and all other steps do
//! nothing.

mod change;
mod ledger;
mod state_text;
mod step;
mod stored;

use std::fmt;

#[cfg(doc)]
use super::Backlog;
#[cfg(doc)]
use super::Ledger;
use super::{DeliveryKey, LedgerError, Name, Retention};

pub use self::change::{Change, Write};
pub use self::step::{Guess, Step};
pub use self::stored::{Counts, Listed, Stored};

/// A store of records that is used as a [`Ledger`]. See the [module](self).
///
/// # Errors
/// [`LedgerError`] if the store cannot tell whether the step was taken. Return it within
/// 5 seconds: the caller waits no longer, and repeats the step.
pub trait RecordStore: fmt::Debug + Send + Sync + 'static {
    /// Takes one step on the record of [`Step::key`], atomically: reads the record,
    /// [applies](Step::apply) the step, and writes the change, if there is one.
    ///
    /// Atomic means that no other step on this record comes between the read and the
    /// write: hold a lock; or write only if the record is still as it was read, and
    /// otherwise start over.
    fn step<R: Send + 'static>(
        &self,
        step: Step<R>,
    ) -> impl Future<Output = Result<R, LedgerError>> + Send;

    /// The keys of this layer's records that are [due](Stored::is_due), the longest due
    /// first, without the first `skip`. Return as many as one look finds cheaply, such
    /// as 20, and none only if there are no more.
    fn due(
        &self,
        layer: Name,
        skip: usize,
    ) -> impl Future<Output = Result<Vec<DeliveryKey>, LedgerError>> + Send;

    /// The keys of the [dead](Listed::Dead) records of all layers, in any order that
    /// stays the same: those after this key, or the first ones. Return as many as one look
    /// finds cheaply, at most 100, and none only if there are no more.
    fn dead_keys(
        &self,
        after: Option<DeliveryKey>,
    ) -> impl Future<Output = Result<Vec<DeliveryKey>, LedgerError>> + Send;

    /// Counts this layer's records that have not expired: the [promised](Listed::Promised)
    /// ones, and the [dead](Listed::Dead) ones. For metrics, four times a minute: count no
    /// more than [`Backlog::MOST`].
    fn counts(&self, layer: Name) -> impl Future<Output = Result<Counts, LedgerError>> + Send;

    /// How long records are kept. Default: [`Retention::default`].
    fn retention(&self) -> Retention {
        Retention::default()
    }
}

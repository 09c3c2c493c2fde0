//! Guides: how a receiver is put together, run and understood.
//!
//! | guide | the question |
//! | --- | --- |
//! | [`public_url`] | What do I set behind nginx, HAProxy, Envoy, an ALB, Cloudflare or a nested router? |
//! | [`answers`] | What does ConductorOne make of each status, and how long does it go on? |
//! | [`once`] | What happens to a duplicate, to slow work, in a crash? |
//! | [`stores`] | Where do answers and used tokens go? |
//! | [`tenants`] | How do I receive for several tenants? |
//! | [`people`] | Whom is a task about, who asked for it, who decides? |
//! | [`test`](mod@test) | How do I test my handler? |
//! | [`threats`] | What does a signature prove, and what not? |
//! | [`rejections`] | What does this code in my log mean, and what helps? |
//! | [`uncertainties`] | What does ConductorOne's documentation leave open? |
//! | [`from_hmac`] | I know webhooks with a shared secret. What is different? |
//!
//! An agent that writes code finds the same in short in
//! [`llms.txt`](https://github.com/tower-conductorone/tower-conductorone/blob/main/llms.txt).
//!
//! This module has no code, and is compiled for the documentation only.

#[doc = include_str!("public_url.md")]
pub mod public_url {}

#[doc = include_str!("answers.md")]
pub mod answers {}

/// Once, and in time: what happens to a delivery in each of its states.
///
/// [`DeliverOnceLayer`](crate::DeliverOnceLayer) has [rules](crate::deliver_once); here they
/// are in pictures. "The layers" are `VerifyWebhookLayer` and, inside it, `DeliverOnceLayer`.
///
/// # Answered in time
///
/// The handler answers within 25 s. The ledger keeps its document for a day, so that each
/// further attempt gets the same answer without a run.
///
#[doc = include_str!("sequences/in_time.svg")]
///
/// # A duplicate joins
///
/// ConductorOne gives an attempt up after 30 s and makes another. The handler goes on: it is
/// detached from the connection. The second attempt finds it at work, on this replica or on
/// another, waits, and gets its answer.
///
#[doc = include_str!("sequences/duplicate.svg")]
///
/// # A run fails
///
/// An answer that is no decision (500, 503, a panic, a document that ConductorOne cannot use)
/// is not kept. The next attempt runs the handler again, which can see that it is not the first
/// run. An `errored` or a `deny` is a decision: it is kept, and final.
///
#[doc = include_str!("sequences/fails.svg")]
///
/// # 202, and the callback
///
/// With [`callbacks`](crate::DeliverOnceBuilder::callbacks), a handler that is slower than
/// 25 s is answered for: 202 tells ConductorOne to wait at the callback URL, for 8 days unless
/// the webhook is configured otherwise. The layer posts the handler's document there, and
/// repeats that until ConductorOne has taken it.
///
#[doc = include_str!("sequences/by_callback.svg")]
///
/// # A crash
///
/// After a 202, ConductorOne does not try again, so a replica that crashes must not take the
/// work with it. [`recover`](crate::DeliverOnceLayer::recover), on any replica that shares the
/// ledger, finds the promise whose lease has run out, and runs the handler again:
/// [`DeliveryRun::number`](crate::DeliveryRun::number) is 2, and nobody knows what run 1 did
/// before the end. Look first, or make the work idempotent.
///
#[doc = include_str!("sequences/crash.svg")]
///
/// Before a 202, ConductorOne itself tries again, and its next attempt starts run 2.
///
/// # Functions that freeze
///
/// AWS Lambda, and functions like it, run only while a request is open. After the answer the
/// process stands still, and with it a detached run, the renewal of its lease, a callback, and
/// `recover`. They go on if the same instance gets another request. If not:
///
/// - If the layer has answered 202 and the process then freezes, nothing completes the
///   delivery. It waits in the ledger for a process that does not freeze and runs
///   `recover`, with the same ledger, [name](crate::DeliverOnceBuilder::ledger) and handlers.
///   Without one, or with a ledger in memory, it is lost. So set no
///   [`callbacks`](crate::DeliverOnceBuilder::callbacks) there, and the layer never promises.
/// - Then a handler that takes longer than 28 s is stopped in the middle, with the 503 that
///   tells ConductorOne to try again. The next attempts wait for its lease, and their run ends
///   in the same way: nothing is lost before the last of the 50, and nothing gets done.
///
/// So let the handler answer well within 28 s; or let it queue the work, answer
/// [202](crate::event::Outcome::accepted), and let a function behind the queue do the work and
/// post the document. The example
/// [`lambda`](https://github.com/tower-conductorone/tower-conductorone/blob/main/examples/lambda/src/lib.rs)
/// does both. Instances share nothing but a store: in memory, each has a ledger of its own.
///
/// # Given up
///
/// A promised delivery is given up after 50 runs, at the callback's deadline, when its handler
/// answers 410, or when ConductorOne refuses the callback. Nobody repeats it then but you: it stays in the ledger
/// among the [dead](crate::ledger::Ledger::dead) until the deadline, and can be
/// [revived](crate::ledger::Ledger::revive), with `c1 ledger` as well.
///
#[doc = include_str!("sequences/given_up.svg")]
pub mod once {}

#[doc = include_str!("stores.md")]
pub mod stores {}

#[doc = include_str!("tenants.md")]
pub mod tenants {}

#[doc = include_str!("people.md")]
pub mod people {}

#[doc = include_str!("test.md")]
pub mod test {}

#[doc = include_str!("threats.md")]
pub mod threats {}

pub use crate::rejection::codes as rejections;

#[doc = include_str!("uncertainties.md")]
pub mod uncertainties {}

#[doc = include_str!("from_hmac.md")]
pub mod from_hmac {}

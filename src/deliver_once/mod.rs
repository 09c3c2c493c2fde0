//! Does each delivery's work once, although ConductorOne retries it.
//!
//! ConductorOne abandons an attempt after 30 s, closes the connection, and makes up
//! to 50 attempts; a server drops the handler when its client disconnects. So a handler
//! alone may do its work twice, or only in part. [`DeliverOnceLayer`], inside
//! [`VerifyWebhookLayer`](crate::VerifyWebhookLayer), ensures that
//!
//! 1. the handler runs to its end, detached from the connection;
//! 2. duplicates, across all replicas that share a [ledger](crate::ledger), join the
//!    run and get the same answer, byte for byte, for as long as the ledger keeps it.
//!    An answer that was made for an earlier request has the header
//!    `Idempotent-Replayed: true`;
//! 3. if the handler is slower than ConductorOne waits, this layer answers 202 and
//!    posts the handler's document to the callback URL, if there is a
//!    [callback client](DeliverOnceBuilder::callbacks);
//! 4. a run that fails, by its status, a panic, or a crash of its process, is
//!    repeated: by ConductorOne's next attempt or, after a 202, by this layer;
//! 5. an answer that ConductorOne cannot use (a 2xx without the
//!    [document](crate::event::Reply::from_json) that the event requires, a 202
//!    without a usable callback URL, a redirect, a 410 that the handler did not
//!    [request](crate::event::Outcome::gone_for_good)) becomes 500.
//!
//! ```
//! use axum::{Router, routing::post};
//! use tower_conductorone::event::{Comment, Outcome, ProvisionReply, ProvisionStep};
//! use tower_conductorone::{DeliverOnceLayer, Typed, VerifyWebhookLayer};
//!
//! async fn provision(step: Typed<ProvisionStep>) -> Outcome {
//!     // However long it takes.
//!     step.answer(ProvisionReply::complete(Comment::none()))
//! }
//!
//! # fn app(verify: VerifyWebhookLayer) -> Result<Router, Box<dyn std::error::Error>> {
//! let once = DeliverOnceLayer::builder().build()?;
//! let app = Router::new()
//!     .route("/webhooks", post(provision))
//!     .layer(once.clone())
//!     .layer(verify); // outside: runs first
//! // ... serve it, and when the server has stopped:
//! // once.drain().await;
//! # Ok(app)
//! # }
//! # let _ = app;
//! ```
//!
//! # What is guaranteed
//!
//! While the ledger's store is linearizable and reachable, and leases are renewed: at
//! most one run of a delivery is alive at a time, across all replicas; all its requests
//! get the same answer; a process that lost the lease can no longer record one; and a
//! crash loses no delivery: it is run again, and [`DeliveryRun`] says so, or its stored
//! answer is sent. (Replicas that [`recover`](DeliverOnceLayer::recover) resume
//! promised deliveries: those that were answered 202.)
//!
//! A promised delivery is given up after 50 runs, when its handler answers 410, when
//! ConductorOne refuses its callback, or at the callback's deadline. The log has an error, and the ledger keeps the delivery
//! until that deadline: [`Ledger::dead`](crate::ledger::Ledger::dead) lists it, and
//! [`Ledger::revive`](crate::ledger::Ledger::revive) gives it another 50 runs, or another
//! attempt to post its answer.
//!
//! # What is not guaranteed
//!
//! - **External effects.** It is unknown whether a handler that was cut off had done
//!   its work. The next run repeats it: if [`DeliveryRun::number`] is greater than 1,
//!   check first; or make the work idempotent, with the delivery's id where the other
//!   side accepts one. Work in a database can be committed together with the answer:
//!   see [`DeliveryHandle`].
//! - **A handler that does not yield.** A run whose lease is lost is cut off at its
//!   next `await`. Work that it moved to another thread or task continues.
//! - **Work on a frozen machine.** AWS Lambda, and other functions that run only while
//!   a request is open, stop the run, its lease and its callback once the 202 is sent;
//!   these continue only when the same instance gets another request. There, let
//!   handlers answer within 25 s, or store the job in a queue, answer
//!   [`Outcome::accepted`](crate::event::Outcome::accepted), and let a worker that does
//!   not freeze do the work and post the document: see the
//!   [guide](crate::guide::once#functions-that-freeze).
//! - **Data that the ledger loses.** An in-memory ledger loses everything in a crash. A
//!   Redis that fails over may lose acknowledged writes; a delivery then runs again, or
//!   is lost if it was promised and the replica that works on it crashes as well.
//! - **The handler's headers.** Only the status and the document are stored and
//!   returned. Other headers of the response are dropped, except `Retry-After` and
//!   `Content-Type` of a run that failed.
//! - **Task-local values** of outer layers: the handler runs in its own task. The
//!   request's extensions are passed on. Its `tracing` span is `webhook.run`, which follows
//!   from the request's span but is not its child, since it may last days longer.
//! - **Other representations.** The handler's answer is kept and returned to every
//!   request, so the handler sees no `Accept-Encoding`, `Range` or conditional header.
//!   Compress outside this layer.
//!
//! # What it costs
//!
//! Two ledger steps for a delivery that is answered in time and one for each duplicate;
//! with Redis, each is a round trip. The second step is the handler's own if it records
//! its answer itself ([`DeliveryHandle::recorded`]). In addition, on a server core, about 5 µs plus 1 to
//! 1.5 µs per KB of payload to canonicalize and hash it; less if the payload's members are
//! in alphabetical order already (`cargo bench --bench deliver_once`).

// The files, along the way of a delivery:
//
// builder, layer, service,    the Tower edge: a service that joins each request to
// future, body                the work on its delivery
// key, canonical              which delivery a webhook belongs to
// in_progress, answer         the deliveries at work in this process, and the
//                             requests that wait for their answers
// lead                        the work on one delivery, from its claim to its answer:
//   claim                       whether this process runs it
//   promise                     the first run, and when 202 is answered meanwhile
//   run, handler, verdict       a run of the handler, and whether ConductorOne can use
//                               its response
//   observed_run                tells observers of it
//   handle                      what a handler needs to record its answer itself
//   lease, ask                  the lease under the run, and calls of the ledger
// promised                    after a 202: runs again, posts the document
//   death                       what is kept of a delivery that is given up
// recover                     promised deliveries whose replica is gone
// backoff                     the pauses of these two
// cause                       why there is no answer, for the log
// shared                      the policy, and what the files above share

mod answer;
mod ask;
mod backoff;
mod body;
mod builder;
mod canonical;
mod cause;
mod claim;
mod death;
mod future;
mod handle;
mod handler;
mod in_progress;
mod key;
mod layer;
mod lead;
mod lease;
mod observed_run;
mod promise;
mod promised;
mod recover;
mod run;
mod service;
mod shared;
mod verdict;

pub use self::body::DocumentBody;
pub use self::builder::DeliverOnceBuilder;
pub use self::future::ResponseFuture;
pub use self::handle::DeliveryHandle;
pub use self::layer::{DeliverOnceLayer, Drained};
pub use self::run::DeliveryRun;
pub use self::service::DeliverOnce;

//! Each delivery's work is done once, although ConductorOne asks again.
//!
//! ConductorOne gives an attempt up after 30 s, hangs up, and tries again, up to
//! 50 times; a server drops the handler when its client hangs up. So a handler
//! alone does its work twice, or half. [`DeliverOnceLayer`], inside of
//! [`VerifyWebhookLayer`](crate::VerifyWebhookLayer), sees to it that
//!
//! 1. the handler runs detached from the connection, to its end;
//! 2. duplicates, of all replicas that share a [ledger](crate::ledger), join the
//!    run and get its one answer, byte for byte, now and for as long as the
//!    ledger keeps it. One that was made for an earlier request has the header
//!    `Idempotent-Replayed: true`;
//! 3. a handler that is slower than ConductorOne's patience is answered 202 in
//!    its stead, and its document posted to the callback URL, if there is a
//!    [callback client](DeliverOnceBuilder::callbacks);
//! 4. a run that fails, by its status, a panic, or a crash of its process, is
//!    repeated: by ConductorOne's next attempt or, after a 202, by this layer;
//! 5. an answer with which ConductorOne could not do anything (a 2xx without the
//!    [document](crate::event::Reply::from_json) that the event asks for, a 202
//!    without a callback URL that may be used, a redirect, a 410 that the handler did not
//!    [ask for](crate::event::Outcome::gone_for_good)) becomes 500.
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
//!     .layer(verify); // outside: what is not proven never gets here
//! // ... serve it, and when the server has stopped:
//! // once.drain().await;
//! # Ok(app)
//! # }
//! # let _ = app;
//! ```
//!
//! # What is guaranteed
//!
//! While the ledger's store is linearizable and reachable, and leases are
//! renewed: at most one run of a delivery is alive at a time, over all replicas;
//! all who ask get one answer; who lost the lease cannot answer any more; and no
//! delivery is lost by a crash: it is run again, as [`DeliveryRun`] tells the
//! handler, or its stored answer is sent. (What was promised is taken up by the
//! replicas that [`recover`](DeliverOnceLayer::recover).)
//!
//! # What is not
//!
//! - **Effects outside.** Nobody can tell whether a handler that was cut off had
//!   done its work. The next run repeats it: look first, if
//!   [`DeliveryRun::number`] is over 1, or make the work idempotent, with the
//!   delivery's own id where the other side takes one.
//! - **A handler that does not yield.** A run whose lease is lost is cut off at
//!   its next `await`. What it left to another thread or task goes on.
//! - **Work on a machine that is frozen.** AWS Lambda, and other functions that run
//!   only while a request is open, stop the run, its lease and its callback once
//!   the 202 is sent; they go on when, and if, that very instance gets another
//!   request. There, let handlers answer within 25 s, or store the job in a queue,
//!   answer [`Outcome::accepted`](crate::event::Outcome::accepted), and let a worker
//!   that does not freeze do the work and post the document.
//! - **The ledger's own losses.** One in memory forgets everything in a crash. A
//!   Redis that fails over may forget what it had acknowledged, and a delivery
//!   then runs again; or is lost, if it was promised and the replica at work on
//!   it crashes as well.
//! - **The handler's headers.** Status and document are what counts and what is
//!   stored; other headers of its response do not leave this layer, but for
//!   `Retry-After` and `Content-Type` of a run that has failed.
//! - **Task-local values** of outer layers: the handler runs in a task of its
//!   own. What is in the request's extensions comes along. Its `tracing` span is
//!   `delivery`, which follows from the request's and is no part of it, since it may
//!   last for days longer.
//! - **Answers in another form.** The handler's answer is kept, and goes to all who
//!   ask: it sees no `Accept-Encoding`, `Range` or conditional header. Compress
//!   outside of this layer.
//!
//! # What it costs
//!
//! Two steps of the ledger for a delivery that is answered in time, one for each
//! duplicate: round trips, with Redis. Besides, on a server's core, about 7 µs and
//! for each KB of the payload 2 µs more, in which it is put into canonical form
//! and hashed (`cargo bench --bench deliver_once`).

// The files, along the way of a delivery:
//
// builder, layer, service,    the Tower edge: a service that joins each request to
// future, body                its delivery
// key, canonical              which delivery a webhook belongs to
// in_progress                 the deliveries at work in this process, and who waits
// lead                        the work on one delivery, from claim to answer:
//   claim                       whether this process runs it
//   run, handler, verdict       one run of the handler, and whether its response is
//                               of use
//   lease, ask                  the lease under it, and questions to the ledger
//   promise                     202, while the handler goes on
//   answer                      what the callers are told
// promised                    after a 202: runs again, posts the document
// recover                     promised deliveries of replicas that are gone
// shared                      the policy, and what all of them share

mod answer;
mod ask;
mod body;
mod builder;
mod canonical;
mod claim;
mod future;
mod handler;
mod in_progress;
mod key;
mod layer;
mod lead;
mod lease;
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
pub use self::layer::{DeliverOnceLayer, Drained};
pub use self::run::DeliveryRun;
pub use self::service::DeliverOnce;

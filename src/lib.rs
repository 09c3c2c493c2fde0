//! Tower middleware that makes any Rust HTTP service a receiver of
//! [ConductorOne](https://www.conductorone.com) webhooks.

#![allow(dead_code, reason = "the verification to come uses it")]
#![cfg_attr(docsrs, feature(doc_cfg))]
// The library never panics on what comes from outside; its tests may.
#![cfg_attr(
    not(test),
    warn(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::todo,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

use std::future::Future;
use std::pin::Pin;

mod clock;
pub mod keys;
pub mod replay;

pub use self::clock::{Clock, SystemClock};

/// The future that the methods of the crate's ports return.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

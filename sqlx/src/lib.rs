#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
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

#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod commit;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod error;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod rows;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "postgres")]
mod start;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod tables;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod time;

#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use self::commit::CommitError;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use self::error::NameError;
#[cfg(feature = "postgres")]
pub use self::postgres::{PostgresLedger, PostgresReplayStore};
#[cfg(feature = "sqlite")]
pub use self::sqlite::{SqliteLedger, SqliteReplayStore};

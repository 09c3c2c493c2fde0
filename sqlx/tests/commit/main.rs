//! The handler's work and the delivery's answer in one transaction.
#![cfg(any(feature = "postgres", feature = "sqlite"))]

mod books;
mod cases;
mod crash;
#[cfg(feature = "postgres")]
#[path = "../postgres/pool.rs"]
mod pool;
#[cfg(feature = "postgres")]
mod postgres;
mod receiver;
#[cfg(feature = "sqlite")]
mod sqlite;

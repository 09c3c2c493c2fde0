//! The handler's work and the delivery's answer in one transaction.
#![cfg(any(feature = "postgres", feature = "sqlite"))]

mod books;
mod cases;
mod crash;
#[cfg(feature = "postgres")]
mod postgres;
mod receiver;
#[cfg(feature = "postgres")]
#[path = "../postgres/server.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod server;
#[cfg(feature = "sqlite")]
mod sqlite;

//! `c1` as its users see it: commands, what they print, and how they end.
#![cfg(unix)]

mod browser;
mod capture;
mod commands;
#[cfg(all(feature = "redis", feature = "database"))]
mod ledger;
mod program;
mod ui;

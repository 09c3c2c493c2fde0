//! The receiver as its users see it: a process with flags, an environment, two output
//! streams, a port and signals.
#![cfg(unix)]

mod attacks;
mod databases;
mod flags;
mod metrics;
mod once;
mod process;
mod readme;
mod replicas;
mod server;
mod world;

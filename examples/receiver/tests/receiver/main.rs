//! The receiver as its users see it: a process with flags, an environment, two output
//! streams, a port and signals.
#![cfg(unix)]

mod alerts;
mod attacks;
mod databases;
mod flags;
mod metrics;
mod observability;
mod once;
mod process;
mod prometheus;
mod readme;
mod replicas;
mod server;
mod world;

//! A tenant's keys: how they are fetched, read, cached and rotated.

mod cache;
mod fetch;
mod import;
mod log;
mod rotation;

//! A tenant's keys: how they are fetched, read, cached and rotated.

mod cache;
mod fetch;
mod from_jsonwebtoken;
mod import;
mod log;
mod metrics;
mod rotation;
